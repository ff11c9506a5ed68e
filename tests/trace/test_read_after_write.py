"""What Python reads of an array is what was written to it before, wherever the two happen."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from tests.trace.agreement import alike

pytestmark = pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")

READERS: dict[str, Callable[[Any], Any]] = {
    "tolist": lambda t: t.tolist(),
    "numpy": lambda t: t.numpy().tolist(),
    "item": lambda t: t[0].item(),
    "ints": lambda t: [int(x) for x in t],
    "pickle": lambda t: pickle.loads(pickle.dumps(t)).tolist(),
    "deepcopy": lambda t: copy.deepcopy(t).tolist(),
    "dlpack": lambda t: np.from_dlpack(t).tolist(),
    "bytes": lambda t: bytes(np.ascontiguousarray(t)),
    "an index": lambda t: list(range(9))[t[0]],
    "a truth": lambda t: bool((t == 7).any()),
    "a view": lambda t: t[:].tolist(),
    "text": str,
    "a format": lambda t: f"{t}",
    "a number's format": lambda t: f"{t[0]:d}",
    "sorted": lambda t: sorted(t.tolist()),
}

KEPT = hb.asarray(np.arange(3))


def kept(x: Any) -> Any:
    return KEPT


def made(x: Any) -> Any:
    return hb.asarray(np.arange(3))


def made_in_a_trace(x: Any) -> Any:
    return hb.zeros(3, hb.int64) + hb.arange(3)


@pytest.mark.parametrize("array", [kept, made, made_in_a_trace])
@pytest.mark.parametrize("reader", READERS)
def test_python_reads_what_was_written(reader: str, array: Callable[[Any], Any]) -> None:
    def f(x: hb.Tensor) -> Any:
        t = array(x)
        t[0] = 7
        t[1:] = x.astype(hb.int64)[1:]
        return READERS[reader](t), t.sum()

    traced = hb.compile(f)
    for number in (1.0, 2.0, 1.0):
        found = []
        for g in (f, traced):
            KEPT[:] = hb.arange(3)
            found.append(g(hb.full(3, number)))
        alike(*found)


@pytest.mark.parametrize("reader", sorted(set(READERS) - {"pickle", "dlpack"}))
def test_an_array_of_numpys_that_is_written_to_is_read_so(reader: str) -> None:
    def f(x: Any) -> Any:
        t = np.arange(3)
        t[0] = 7
        t[1:] = x[1:]
        return READERS[reader](hb.asarray(t)), t.sum() * x

    traced = hb.compile(f)
    for number in (1.0, 2.0, 1.0):
        alike(traced(hb.full(3, number)), f(hb.full(3, number)))


class Holder:
    """An object with an array of NumPy's."""

    def __init__(self) -> None:
        self.w = np.ones(3)


def added(w: Any, x: Any) -> None:
    w += x


def multiplied(w: Any, x: Any) -> None:
    w += x
    w *= 0.5


def put_out(w: Any, x: Any) -> None:
    np.add(w, x, out=w)


def through_a_view(w: Any, x: Any) -> None:
    v = w[1:]
    v += x[1:]


def element(w: Any, x: Any) -> None:
    w += x
    w[0] = 7


WRITERS = [added, multiplied, put_out, through_a_view, element]
NUMPYS_READERS: dict[str, Callable[[Any], Any]] = {
    "an operator": lambda w: w * 1,
    "a ufunc": np.negative,
    "a function": lambda w: np.sum(w) + np.take(np.arange(9.0), np.clip(w, 0, 8).astype(int)),
    "a list": lambda w: np.stack([w, w]),
    "a method": lambda w: w.max(),
    "an element": lambda w: float(w[1]),
    "a slice": lambda w: w[::-1] * 2,
    "a transposed view": lambda w: w.T + 1,
    "a reduction": np.add.reduce,
    "a truth": lambda w: 1 if (w > 1.5).any() else 2,
    "contents": lambda w: w.tolist(),
    "a copy": lambda w: w.copy(),
    "a conversion": np.asarray,
}


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("reader", NUMPYS_READERS)
def test_numpy_reads_what_was_written_to_an_array_outside(
    reader: str, write: Callable[[Any, Any], None]
) -> None:
    def f(held: Holder, x: Any) -> Any:
        write(held.w, x)
        return np.asarray(NUMPYS_READERS[reader](held.w)) + 0

    traced, one, other = hb.compile(f), Holder(), Holder()
    for number in (1.0, 2.0, 1.0):
        x = np.arange(3.0) * number
        np.testing.assert_array_equal(np.asarray(traced(other, x)), f(one, x))
        np.testing.assert_array_equal(other.w, one.w)


def written_before_a_loop(x: hb.Tensor) -> Any:
    KEPT[0] = x[0].astype(hb.int64)
    return hb.fori_loop(0, 2, lambda i, c: c * KEPT.tolist()[0], x)


def written_in_a_loop(x: hb.Tensor) -> Any:
    def step(i: Any, c: hb.Tensor) -> hb.Tensor:
        KEPT[0] = c[0].astype(hb.int64)
        return c * KEPT.tolist()[0]

    return hb.fori_loop(0, 2, step, x)


def written_in_a_branch(x: hb.Tensor) -> Any:
    def branch() -> hb.Tensor:
        KEPT[0] += 3
        return x * KEPT.tolist()[0]

    return hb.cond(x.sum() > 0, branch, lambda: x)


def written_before_a_vmap(x: hb.Tensor) -> Any:
    KEPT[0] = x[0].astype(hb.int64)
    return hb.vmap(lambda r: r * KEPT.tolist()[0])(x)


def written_in_a_vmap(x: hb.Tensor) -> Any:
    def row(r: hb.Tensor) -> hb.Tensor:
        KEPT[0] = x[0].astype(hb.int64)
        KEPT[1] = KEPT[0] + KEPT.tolist()[0]
        return r * KEPT.tolist()[1]

    return hb.vmap(row)(x)


@pytest.mark.parametrize(
    "f",
    [
        written_before_a_loop,
        written_in_a_loop,
        written_in_a_branch,
        written_before_a_vmap,
        written_in_a_vmap,
    ],
)
def test_so_does_the_body_of_a_loop_of_a_branch_and_of_a_vmap(f: Callable[[Any], Any]) -> None:
    traced = hb.compile(f)
    for number in (2.0, 3.0, 2.0):
        found = []
        for g in (f, traced):
            KEPT[:] = hb.arange(3)
            found.append((g(hb.full(3, number)), KEPT.tolist()))
        alike(*found)


def test_a_vmap_reads_what_it_has_written_itself() -> None:
    KEPT[:] = hb.arange(3)
    alike(written_in_a_vmap(hb.full(3, 2.0)), hb.full(3, 8.0))
    assert KEPT.tolist() == [2, 4, 2]


def test_reading_through_another_alias_in_a_vmap_is_refused() -> None:
    outside = np.zeros(3)
    whole, part = hb.asarray(outside), hb.asarray(outside[1:])

    def row(r: hb.Tensor) -> hb.Tensor:
        whole[1] = 5.0
        return r * part.tolist()[0]

    with pytest.raises(hb.errors.TraceError, match="written through another Tensor"):
        hb.vmap(row)(hb.ones(2))


@pytest.mark.parametrize(
    "text",
    [str, repr, "{}".format, "{0!r}".format, "{0:.3f}".format, lambda r: f"{r} {r!s:>9} {[r]}"],
)
def test_the_text_of_a_number_that_is_an_argument_is_that_of_the_number(
    text: Callable[[Any], str],
) -> None:
    def f(x: hb.Tensor, rate: float) -> Any:
        return text(rate), x * len(text(rate)), text(rate * 2)

    traced = hb.compile(f)
    for rate in (0.5, 0.25, 0.125):
        alike(traced(hb.ones(2), rate), f(hb.ones(2), rate))
