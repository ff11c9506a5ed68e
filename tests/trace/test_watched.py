"""What Python reads of arrays from outside is never a stale constant of a trace."""

from __future__ import annotations

import argparse
import array
import collections
import dataclasses
import functools
import types
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import EagerFallbackWarning

X = np.arange(1.0, 4.0)


def held(
    function: Callable[[Any], Any], *changes: Callable[[], Any], traces: int | None = None
) -> None:
    """Hold a compiled function against the function itself, after each change of its surroundings.

    Parameters
    ----------
    function, changes
    traces : int, optional
        How many there must be; left out, one more for each change.
    """
    traced = hb.compile(function, fullgraph=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for change in (lambda: None, *changes):
            change()
            for _ in range(2):
                expected = np.asarray(function(hb.asarray(X)))
                np.testing.assert_allclose(traced(hb.asarray(X)).numpy(), expected, rtol=1e-14)
    assert traced.cache_info().misses == (1 + len(changes) if traces is None else traces)


def grow(x: Any) -> Callable[[], None]:
    def change() -> None:
        x[...] = x + 1

    return change


READS: dict[str, Callable[[Any], Any]] = {
    "element": lambda w: w[0],
    "float": lambda w: float(w[1]),
    "int": lambda w: int(w[1]),
    "item": lambda w: w.item(0),
    "list": lambda w: w.tolist()[0],
    "method": lambda w: w.sum(),
    "function": np.sum,
    "ufunc": np.exp,
    "operator": lambda w: w + 1,
    "reflected": lambda w: 2 - w,
    "matmul": lambda w: w @ w,
    "comparison": lambda w: 2 if w[1] > 1.5 else 3,
    "truth": lambda w: 2 if (w > 1.5).any() else 3,
    "contains": lambda w: 2 if 2.0 in w else 3,
    "iteration": lambda w: sum(v for v in w),
    "builtin": max,
    "mask": lambda w: hb.asarray(w[w > 0])[0],
    "of_a_slice": lambda w: w[1:].mean(),
    "of_a_transpose": lambda w: w.T.sum(),
    "copy": lambda w: w.copy(),
    "cast": lambda w: w.astype(np.float32),
    "reshaped_copy": lambda w: np.stack([w, w]).T.reshape(6)[:3],
    "linalg": np.linalg.norm,
    "fft": lambda w: np.fft.fft(w).real,
    "where": lambda w: np.where(w > 1, w, 0),
    "second_argument": lambda w: np.take(np.arange(9.0), w.astype(int)),
    "repeats": lambda w: hb.repeat(hb.ones(1), w.astype(int)[:1]).shape[0],
    "list_of_elements": lambda w: hb.asarray([w[0], w[1], 2.0]),
    "list_of_rows": lambda w: np.array([w, w])[0],
    "text": lambda w: len(str(w * 10 ** w[0])),
    "memory": lambda w: w.tobytes()[7],
    "buffer": lambda w: memoryview(w)[0],
}


@pytest.mark.parametrize("name", READS)
def test_what_python_reads_of_an_ndarray_outside_is_read_anew_when_it_changes(name: str) -> None:
    read, w = READS[name], np.ones(3)
    held(lambda x: x * read(w), grow(w), grow(w))


USES: dict[str, Callable[[Any, Any], Any]] = {
    "operand": lambda x, w: (x * w - w) + w / x,
    "matmul": lambda x, w: w.reshape(1, 3) @ x,
    "function_of_numpy": lambda x, w: np.maximum(np.dot(w, x), w),
    "function": lambda x, w: hb.where(x > 1, w, 0.0),
    "rows": lambda x, w: sum(x * row for row in w.reshape(3, 1)),
    "view": lambda x, w: x[1:] * w[1:] + w[::-1][:2],
    "gathered": lambda x, w: w[x.argmax()] + w[hb.asarray([0, 1, 1])],
    "as_a_tensor": lambda x, w: hb.asarray(w) + np.asarray(w) + x,
    "stacked": lambda x, w: np.stack([w, x]),
    "like": lambda x, w: np.zeros_like(w) + x * w,
    "size": lambda x, w: x * w.shape[0] * len(w) * w.ndim * w.size,
    "body": lambda x, w: hb.cond(x.sum() > 0, lambda: x * w, lambda: x),
}


@pytest.mark.parametrize("name", USES)
def test_what_ops_take_of_an_ndarray_outside_needs_no_new_trace(name: str) -> None:
    use, w = USES[name], np.ones(3)
    held(lambda x: use(x, w), grow(w), grow(w), traces=1)


def test_a_body_may_read_an_ndarray_outside() -> None:
    w = np.ones(3)
    held(lambda x: hb.cond(x.sum() > 0, lambda: x * float(w[0]), lambda: x), grow(w))


@dataclasses.dataclass(slots=True)
class Slotted:
    w: Any


class Plain:
    shared = np.ones(3)

    def __init__(self, w: Any) -> None:
        self.w = w


GLOBAL = np.ones(3)


def with_default(x: Any, w: Any = GLOBAL) -> Any:
    return x * w[0]


HOLDERS: dict[str, Callable[[Any], Callable[[], Any]]] = {
    "list": lambda w: functools.partial(lambda h: h[0], [w]),
    "dict": lambda w: functools.partial(lambda h: h["w"], {"w": w}),
    "tuple": lambda w: functools.partial(lambda h: h[0][1], ((1, w),)),
    "deque": lambda w: functools.partial(lambda h: h[0], collections.deque([w])),
    "object": lambda w: functools.partial(lambda h: h.w, Plain(w)),
    "slots": lambda w: functools.partial(lambda h: h.w, Slotted(w)),
    "namespace": lambda w: functools.partial(lambda h: h.w, types.SimpleNamespace(w=w)),
    "options": lambda w: functools.partial(lambda h: h.w, argparse.Namespace(w=w)),
    "chain": lambda w: functools.partial(lambda h: h["w"], collections.ChainMap({"w": w})),
    "proxy": lambda w: functools.partial(lambda h: h["w"], types.MappingProxyType({"w": w})),
}


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("read", [True, False])
def test_wherever_an_ndarray_is_kept(holder: str, read: bool) -> None:
    w = np.ones(3)
    partial = HOLDERS[holder](w)
    get, (kept,) = partial.func, partial.args
    # A view of a dict is no place for a stand-in: its arrays count as read.
    watched = holder not in ("proxy",)
    held(
        (lambda x: x * float(get(kept)[0])) if read else (lambda x: x * get(kept)),
        grow(w),
        traces=2 if read or not watched else 1,
    )


def test_an_ndarray_of_a_class_a_default_or_a_partial_is_read_anew() -> None:
    scaled = functools.partial(lambda w, x: x * w[0], np.ones(3))
    held(
        lambda x: x * Plain.shared[0] + with_default(x) + scaled(x),
        *map(
            grow,
            (
                Plain.shared,
                GLOBAL,
                scaled.args[0],
            ),
        ),
    )


def test_numbers_in_other_containers_are_read_anew() -> None:
    numbers, raw = array.array("d", [1.0]), bytearray(b"a")
    user, namespace = collections.UserDict(a=1.0), types.SimpleNamespace(b=1.0)
    held(
        lambda x: x * numbers[0] * raw[0] * user["a"] * namespace.b,
        lambda: numbers.__setitem__(0, 2.0),
        lambda: raw.__setitem__(0, 7),
        lambda: user.update(a=3.0),
        lambda: setattr(namespace, "b", 5.0),
    )


@pytest.mark.parametrize(
    "kept",
    [
        np.array([1.0, 2.0], dtype=object),
        np.zeros(2, dtype=[("a", "f8")]),
        np.array(["a", "bb"]),
        np.ma.masked_array([1.0, 2.0], [False, False]),
        np.ones(2)[::-1],
    ],
    ids=["objects", "records", "text", "masked", "backwards"],
)
def test_ndarrays_that_are_no_tensors_are_read_anew(kept: Any) -> None:
    new: Any = (9.0,) if kept.dtype.names else "ccc" if kept.dtype.kind == "U" else 9.0
    value = kept[0]

    def number(x: Any) -> float:
        return (
            float(len(x)) if isinstance(x, str) else float(x[0]) if kept.dtype.names else float(x)
        )

    held(lambda x: x * number(kept[0]), lambda: kept.__setitem__(0, new))
    kept[0] = value


@pytest.mark.parametrize(
    "read",
    [
        lambda t: t.numpy().sum(),
        lambda t: t.tolist()[0],
        lambda t: np.from_dlpack(t)[0],
        lambda t: len(repr(t)),
        lambda t: len(str(t)),
    ],
)
def test_what_python_reads_of_a_tensor_outside_is_read_anew(read: Callable[[Any], Any]) -> None:
    t = hb.asarray(np.full(3, 8.0))
    held(lambda x: x * read(t), grow(t), grow(t), grow(t))


@pytest.mark.parametrize("kind", [float, int, complex, bool, lambda t: t.item()])
def test_a_number_outside_that_is_a_tensor_is_read_anew(kind: Callable[[Any], Any]) -> None:
    t = hb.asarray(0.0)
    held(lambda x: x + np.real(kind(t)), grow(t), grow(t))


def test_code_of_packages_may_read_arrays_outside() -> None:
    import numba
    import scipy.linalg

    w = np.ones((3, 3))
    total = numba.njit(lambda a: a.sum())
    held(lambda x: x * total(w), grow(w))
    held(lambda x: x * scipy.linalg.norm(w), grow(w))


def test_a_shape_set_in_place_retraces() -> None:
    w = np.ones((3, 1))
    held(lambda x: x * w, lambda: np.ndarray.resize(w, (1, 3), refcheck=False))


def test_two_branches_that_read_arrays_hold_for_both_contents() -> None:
    a, b = np.ones(1), np.ones(1)

    @hb.compile
    def f(x: Any) -> Any:
        return x * float(a[0]) if x.sum() > 0 else x * float(b[0])

    for change in (lambda: None, grow(a), grow(b), grow(a)):
        change()
        for sign in (1.0, -1.0):
            assert f(hb.asarray(sign)).item() == sign * (a if sign > 0 else b)[0]


def test_arrays_are_themselves_again_after_a_trace() -> None:
    w, kept = np.ones(2), []
    holder: dict[str, Any] = {"w": w, "t": (w, 1)}
    pair = holder["t"]

    @hb.compile
    def f(x: Any) -> Any:
        holder["again"] = holder["w"]
        kept.append(w)
        assert holder["w"] is w
        assert isinstance(w, np.ndarray)
        return w, holder["t"][0], x

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            first, second, _ = f(hb.ones(2))
            assert first is w
            assert second is w
    assert holder["w"] is w
    assert holder["again"] is w
    assert holder["t"] is pair
    assert kept[0] is w

    @hb.compile
    def fails(x: Any) -> Any:
        raise LookupError(w.sum())

    with pytest.raises(LookupError):
        fails(hb.ones(2))
    assert holder["w"] is w


def test_what_the_function_writes_to_an_ndarray_itself_reaches_it() -> None:
    counts = np.zeros(2)

    @hb.compile
    def f(x: Any) -> Any:
        counts[0] += 1
        np.add(counts, 1, out=counts)
        return x + counts.sum()

    with pytest.warns(EagerFallbackWarning):
        found = [f(hb.zeros(())).item() for _ in range(3)]
    assert found == [3.0, 6.0, 9.0]


def kept_in_loops(x: Any, matrix: Any, steps: int) -> Any:
    for _ in range(steps):
        x = matrix.T @ hb.tanh(matrix @ x) + matrix[:, 0]
    return x


def test_views_made_anew_at_each_step_are_one_captured_array_and_the_loop_rolls_up() -> None:
    matrix = np.arange(9.0).reshape(3, 3) / 9
    traced = hb.compile(lambda x: kept_in_loops(x, matrix, 20), fullgraph=True)
    for _ in range(2):
        expected = kept_in_loops(hb.asarray(X), matrix, 20)
        np.testing.assert_allclose(traced(hb.asarray(X)).numpy(), expected.numpy(), rtol=1e-14)
        matrix[:] += 0.1  # read anew at each call
    assert traced.cache_info().misses == 1
    graph = traced.get_concrete_function(hb.asarray(X)).graph
    assert len(graph.captures) == 3
    assert "0 kernels, 1 library call" in traced.explain()


@pytest.mark.parametrize("write", [lambda m: m.T, lambda m: m], ids=["the view", "the array"])
def test_a_view_made_anew_after_a_write_shows_what_was_written(write: Any) -> None:
    def run(x: Any, matrix: Any) -> Any:
        before = matrix.T @ x
        write(matrix)[0, 1] = x[2]
        return before + matrix.T @ x

    mine, wanted = (np.arange(9.0).reshape(3, 3) for _ in range(2))
    traced = hb.compile(lambda x: run(x, mine))
    for _ in range(3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EagerFallbackWarning)
            found = traced(hb.asarray(X))
        np.testing.assert_allclose(np.asarray(found), run(X, wanted))
        np.testing.assert_array_equal(mine, wanted)


@pytest.mark.parametrize("value", [lambda x, n: x[0], lambda x, n: n], ids=["Tensor", "number"])
def test_what_a_function_of_numpy_does_not_ask_may_be_traced(value: Any) -> None:
    def run(x: Any, n: Any, matrix: Any) -> Any:
        np.fill_diagonal(matrix, value(x, n))
        return matrix + 1

    mine, wanted = (np.zeros((2, 2)) for _ in range(2))
    traced = hb.compile(lambda x, n: run(x, n, mine))
    for n in (1.5, 2.5, 3.5):
        found = traced(hb.asarray(X) * n, n)
        np.testing.assert_array_equal(np.asarray(found), run(X * n, n, wanted))
        np.testing.assert_array_equal(mine, wanted)
