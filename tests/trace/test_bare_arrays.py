"""Traced values written into ndarrays that NumPy reads without asking the trace."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import hybrid as hb

WRITES: dict[str, Callable[[Any, Any], Any]] = {
    "iadd": lambda a, x: a.__iadd__(x),
    "out": lambda a, x: np.add(a, x, out=a),
    "out and where": lambda a, x: np.add(x, 1, out=a, where=x > 0),
    "reduction": lambda a, x: np.sum(x.reshape(1, 3), axis=0, out=a),
    "clip": lambda a, x: np.clip(x, 0, 0.5, out=a),
    "copyto": lambda a, x: np.copyto(a, x),
    "put": lambda a, x: np.put(a, [0, 1, 2], x),
    "place": lambda a, x: np.place(a, x > 0, [5.0]),
    "putmask": lambda a, x: np.putmask(a, x > 0, x),
    "put_along_axis": lambda a, x: np.put_along_axis(a, np.array([0, 1]), x[:2], 0),
    "fill_diagonal": lambda a, x: np.fill_diagonal(a.reshape(1, 3), x[0]),
    "at": lambda a, x: np.add.at(a, np.array([0, 0]), x[:2]),
    "index": lambda a, x: a.__setitem__(slice(None), x),
    "mask": lambda a, x: a.__setitem__(x > 0, 4.0),
    "a view": lambda a, x: a[1:].__iadd__(x[1:]),
    "a Tensor": lambda a, x: hb.asarray(a).__iadd__(x),
    "a Tensor's element": lambda a, x: hb.asarray(a).__setitem__(0, x[0]),
    "a body": lambda a, x: hb.fori_loop(
        0, 2, lambda i, c: (hb.asarray(a).__setitem__(0, c), c + 1)[1], x[0]
    ),
}


class Holder:
    """Holds an array where no name of the function does."""

    array: Any


def in_a_list(write: Any, x: Any) -> Any:
    (a,) = made = [np.array([0.1, 0.2, 0.3]) * 2]
    write(a, x)
    return made[0] + 1, a.sum() * x


def in_a_dict(write: Any, x: Any) -> Any:
    made = {"a": np.linspace(0, 1, 3)}
    write(made["a"], x)
    return made["a"] * 2, x


def in_an_attribute(write: Any, x: Any) -> Any:
    holder = Holder()
    holder.array = np.split(np.arange(6.0), 2)[0]
    write(holder.array, x)
    return np.exp(holder.array), x


def of_several_results(write: Any, x: Any) -> Any:
    a, b = np.meshgrid(np.linspace(0, 1, 3), np.arange(2.0))
    write(a[0], x)
    return a + b, x


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("place", [in_a_list, in_a_dict, in_an_attribute, of_several_results])
@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_numpy_reads_what_was_written(place: Callable[[Any, Any], Any], name: str) -> None:
    write = WRITES[name]
    compiled = hb.compile(lambda x: place(write, x))
    for values in ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], [1.0, 1.0, 1.0]):
        want = place(write, hb.asarray(np.array(values)))
        got = compiled(hb.asarray(np.array(values)))
        for a, b in zip(got, want, strict=True):
            np.testing.assert_array_equal(a, b)


def test_an_array_that_only_its_tensor_holds_is_written_in_the_trace() -> None:
    @hb.compile(fullgraph=True)
    def f(x: Any) -> Any:
        made = [hb.asarray(np.array([0.1, 0.2, 0.3]) * 2)]
        made[0] += x
        made[0][1:] *= 2
        return made[0] + 1

    for scale in (1.0, 2.0):
        x = hb.asarray(np.arange(3.0)) * scale
        np.testing.assert_array_equal(f(x), f.__wrapped__(x))


@pytest.mark.parametrize("calls", [([0, 7], [0, 1]), ([0, 1], [0, 7]), ([7, 7], [7, 7], [1, 0])])
@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_what_numpy_writes_outside_is_written_once_where_an_op_raises(calls: Any) -> None:
    def run(wrap: Callable[[Any], Any]) -> list[Any]:
        holder = SimpleNamespace(kept=np.ones((2, 2)))

        def f(x: Any, places: Any) -> Any:
            holder.kept[:, 0] *= -0.5
            try:
                x[...] = x[places]
            except IndexError:
                x[0] = 5
            return x + 1

        f, seen = wrap(f), []
        for places in calls:
            result = f(hb.asarray(np.arange(2.0)), hb.asarray(places))
            seen += [np.array(result), holder.kept.copy()]
        return seen

    for got, want in zip(run(hb.compile), run(lambda f: f), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("part", [slice(None), slice(None, None, 2), slice(None, None, -1)])
@pytest.mark.parametrize("func", [np.asanyarray, np.asarray, np.atleast_1d, np.require])
@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_a_function_of_numpys_that_gives_back_what_it_is_given_is_written_through(
    func: Callable[[Any], Any], part: slice
) -> None:
    def run(wrap: Callable[[Any], Any]) -> tuple[Any, Any]:
        holder = SimpleNamespace(kept=np.ones(6)[part])

        def f(x: Any) -> Any:
            same = func(holder.kept)
            same += x
            return same * 2

        return wrap(f)(hb.asarray(3.0, dtype="float64")), holder.kept

    for got, want in zip(run(hb.compile), run(lambda f: f), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("part", [slice(None), slice(None, None, 2)])
@pytest.mark.parametrize("shape", [(-1,), (2, 3), (3, 2)])
@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_numpy_writes_a_view_of_what_is_outside_and_the_trace_ends(
    shape: tuple[int, ...], part: slice
) -> None:
    def run(wrap: Callable[[Any], Any]) -> list[Any]:
        holder = SimpleNamespace(kept=np.arange(6.0).reshape(2, 3))

        def f(x: Any) -> Any:
            shown = holder.kept.reshape(shape)[part]
            np.multiply(shown, 2, out=shown)
            return shown[0] * x

        f, seen = wrap(f), []
        for scale in (1.0, 2.0, 3.0):
            seen += [np.array(f(hb.asarray(np.array(scale)))), holder.kept.copy()]
        return seen

    for got, want in zip(run(hb.compile), run(lambda f: f), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("order", ["C", "F", "K"])
@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_a_copy_of_what_is_outside_has_what_the_trace_wrote_to_a_part_of_it(order: Any) -> None:
    def run(wrap: Callable[[Any], Any]) -> list[Any]:
        holder = SimpleNamespace(kept=np.arange(6.0).reshape(2, 3))

        def f(x: Any) -> Any:
            np.add(x, 1, out=holder.kept[0])
            return np.array(holder.kept, order=order) * 1

        f = wrap(f)
        return [np.array(f(hb.asarray(np.arange(3.0) * k))) for k in (1, 2)]

    np.testing.assert_array_equal(run(hb.compile), run(lambda f: f))
