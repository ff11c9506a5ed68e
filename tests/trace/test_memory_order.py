"""What a write through ``reshape`` reaches, and how a trace takes results to lie in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core import dispatch
from hybrid.core.layout import Layout
from hybrid.core.op import OPS, Example, Op
from hybrid.core.spec import TensorSpec
from hybrid.runtime.arguments import layout_of
from hybrid.trace.lying import layout_in, order_of
from hybrid.trace.memory_order import Order
from hybrid.trace.recorder import GraphRecorder

A = np.arange(16.0).reshape(4, 4) / 8
STACK = np.arange(24.0).reshape(2, 3, 4)

MADE: dict[str, Callable[[Any], Any]] = {
    "times": lambda a: a.T * 0.7,
    "exp": lambda a: np.exp(a.T),
    "two orders": lambda a: a.T + a,
    "a row": lambda a: a.T + a[0],
    "a chain": lambda a: np.abs(-(a.T + 1)) * 2,
    "transposed back": lambda a: np.exp(a.T).T,
    "flipped": lambda a: np.flip(a.T) * 2,
    "another dtype": lambda a: a.T.astype("float32"),
    "where": lambda a: np.where(a.T > 3, a.T, 0.0),
    "spread": lambda a: np.broadcast_to(a[0], (3, 4)).T * 2,
    "copied": lambda a: a.T.copy(),
    "an array of it": lambda a: np.array(a.T),
    "copied by NumPy": lambda a: np.copy(a.T),
    "three axes": lambda a: np.moveaxis(np.ones((2, 4, 4)) * a[0], 0, -1) * 2,
    "multiplied": lambda a: a.T @ a.T,
    "sorted": lambda a: np.sort(a.T, 0),
    "rolled": lambda a: np.roll(a.T, 1, 0),
    "joined": lambda a: np.concatenate([a.T, a.T]),
    "joined of two orders": lambda a: np.concatenate([a.T, a]),
    "averaged": lambda a: np.moveaxis(np.ones((2, 3, 4)) * a[0], 0, -1).mean(0),
    "running sums": lambda a: a.T.cumsum(0),
    "products of stacks": lambda a: (
        np.moveaxis(np.ones((2, 3, 4, 4)) * a, 0, 1) @ np.moveaxis(np.ones((2, 3, 4, 4)) * a, 0, 1)
    ),
    "written over": lambda a: overwritten(a.T * 2, a),
    "of what is written over": lambda a: overwritten(np.zeros((4, 4)), a.T * 2) * 3,
    "a circle": lambda a: circle(a.T * 2, a * 3),
    "a part": lambda a: (a.T * 2)[1:, :3],
    "picked columns": lambda a: a[:, [2, 0, 1]],
    "columns picked by a mask": lambda a: a[:, np.array([True, False, True, True])],
    "picked rows": lambda a: a.T[[2, 0, 1]],
    "columns taken": lambda a: np.take(a, [2, 0, 1], axis=1),
    "in one piece": lambda a: np.ascontiguousarray(a),
    "a part in one piece": lambda a: np.ascontiguousarray(a[:, 1:3]),
    "in Fortran's order": lambda a: np.asfortranarray(a),
    "an array in C order": lambda a: np.asarray(a.T, order="C"),
    "an array in Fortran's order": lambda a: np.array(a, order="F"),
    "padded": lambda a: np.pad(a.T, 1),
    "padded by edges": lambda a: np.pad(a.T, 1, mode="edge"),
    "padded by means": lambda a: np.pad(a.T[::-1], 1, mode="mean"),
    "padded by several constants": lambda a: np.pad(a.T[::2], 1, constant_values=(1, 2)),
    "slopes": lambda a: np.gradient(a.T, axis=0),
    "slopes of two samples": lambda a: np.gradient(thick(a)[:2], axis=0),
    "slopes of a square": lambda a: np.gradient(a.T)[1],
    "without a row": lambda a: np.delete(a.T, 1, 0),
    "without rows": lambda a: np.delete(a.T, [0, 2], 1),
    "without a slice": lambda a: np.delete(a.T, slice(0, 2), 1),
    "a row put in": lambda a: np.insert(a.T, 1, 5.0, 0),
    "zeros like it": lambda a: np.zeros_like(a.T) + 0,
    "zeros like it, written": lambda a: overwritten(np.zeros_like(a.T), a),
    "ones like a part": lambda a: np.ones_like(a.T[1:, ::2]),
    "a number like it": lambda a: np.full_like(a.T, 2.0),
    "numbers of another dtype like it": lambda a: np.ones_like(a.T, dtype="int64"),
    "selected": lambda a: np.select([a.T > 1, a.T > 2], [a.T, a.T * 2]),
    "chosen": lambda a: np.choose((a.T > 1).astype(int), [a.T, a.T * 2]),
    "transformed": lambda a: np.fft.fft(a.T).real + 0,
    "transformed by two axes": lambda a: np.fft.fft2(a.T).real + 0,
    "transformed and back": lambda a: np.fft.irfft(np.fft.rfft(a.T, 6, 0), 5, 0),
    "transformed by two axes and back": lambda a: np.fft.irfft2(np.fft.rfft2(a.T)),
    "rounded": lambda a: np.round(a.T[::-1], 1),
    "angles": lambda a: np.angle(a.T - 1),
    "real": lambda a: np.isreal(a.T).astype(float),
    "complex": lambda a: np.iscomplex(a.T).astype(float),
    "quantiles": lambda a: np.percentile(thick(a), 30, axis=-1),
    "weighted means": lambda a: np.average(np.stack([a.T, a.T], -1), -1, weights=[1.0, 2.0]),
    "a reshaped one": lambda a: (a.T * 2).reshape(2, 2, 4) + 1,
}


def thick(a: Any) -> Any:
    """Return an array of three axes, the last of which is the outermost in memory."""
    return np.moveaxis(np.stack([a, a * 2, a * 3]), 0, -1)


def overwritten(b: Any, a: Any) -> Any:
    b[...] = a
    return b


def circle(x: Any, y: Any) -> Any:
    x[...] = y
    y = x + 1
    x[...] = y
    return x + y


def written(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def function(a: Any) -> Any:
        b = make(a)
        flat = b.reshape(-1)
        flat[1:5] = 99.0
        b[0] += 1
        return b, flat, a + 0

    return function


@pytest.mark.parametrize("given", ["ndarray", "Tensor"])
@pytest.mark.parametrize("lies", ["in order", "transposed"])
@pytest.mark.parametrize("name", MADE)
def test_a_write_through_reshape_reaches_what_it_does_eagerly(
    name: str, lies: str, given: str
) -> None:
    function = written(MADE[name])
    own = np.copy if given == "ndarray" else lambda x: hb.asarray(np.copy(x, order="K"))
    a: Any = A if lies == "in order" else A.T
    traced = hb.compile(function, fullgraph=True)
    traced(own(A))  # which must not answer for another order
    for found, expected in zip(traced(own(a)), function(own(a)), strict=True):
        np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-6)


def test_an_order_that_does_not_exist_is_refused() -> None:
    @hb.compile
    def function(a: Any) -> Any:
        return np.asarray(a.T, order="X")

    with pytest.raises(ValueError, match="order"):
        function(A)


def turning(a: Any) -> Any:
    total = a * 0
    for _ in range(40):
        a = a.T * 0.5
        flat = a.reshape(-1)  # a view in every second step
        flat[0] = 1.0
        total = total + a
    return total


def while_turning(a: Any) -> Any:
    while a.sum() < 300:
        a = a.T * 1.5
        a.reshape(-1)[:2] += 1.0
    return a


def outside(a: Any) -> Any:
    (OUTSIDE * a).reshape(-1)[:3] = 7.0
    b = OUTSIDE * 2
    b.reshape(-1)[:3] = 7.0
    return b


def in_a_body(a: Any) -> Any:
    b = a.T * 2

    def step(i: Any, x: Any) -> Any:
        flat = b.reshape(-1)
        flat[:2] = flat[1:3] * 0.5
        return x + b

    return hb.fori_loop(0, 3, step, a * 1), b


OUTSIDE = hb.asarray(A.T)


@pytest.mark.parametrize("function", [turning, while_turning, outside, in_a_body])
@pytest.mark.parametrize("given", [A, A.T], ids=["in order", "transposed"])
def test_loops_bodies_and_what_is_outside_keep_their_order(
    function: Callable[[Any], Any], given: Any
) -> None:
    traced = hb.compile(function, fullgraph=function is not while_turning)
    for a in (A, given, A):
        own = hb.asarray(np.copy(a, order="K"))
        expected = function(own)
        found = traced(hb.asarray(np.copy(a, order="K")))
        for x, y in zip(found, expected, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-6)


def test_sizes_that_are_open_keep_their_order() -> None:
    function = written(lambda a: a.T * 0.7 + a.T)
    traced = hb.compile(function, fullgraph=True, dynamic=True)
    for rows in (3, 5, 4, 2):
        a = np.arange(rows * 4.0).reshape(rows, 4)
        for found, expected in zip(traced(a), function(a), strict=True):
            np.testing.assert_allclose(np.asarray(found), expected)
    assert traced.cache_info().misses == 1


def test_nothing_is_traced_again_for_another_order_where_no_write_tells_it() -> None:
    def function(a: Any) -> Any:
        b = (a * 2).reshape(-1)
        c = a @ a
        c.reshape(-1)[0] = 5
        return b + c.reshape(-1)

    traced = hb.compile(function, fullgraph=True)
    traced(A)
    assert not any(traced.concrete_functions[0].entangled([a]) for a in (A, A.T))


# --- each op --------------------------------------------------------------------------------------


def permuted(x: np.ndarray[Any, Any], axes: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Return the same array with its axes in another order in memory."""
    return x.transpose(axes).copy("C").transpose(tuple(np.argsort(axes)))


def orders(example: Example) -> Iterator[list[np.ndarray[Any, Any]]]:
    """Yield the inputs of an example, as they may lie in memory."""
    rng = np.random.default_rng(0)
    dtypes = example.dtypes or ("float64",) * len(example.shapes)
    arrays: Any = [
        rng.uniform(*example.domain, shape).astype(dtype)
        if np.dtype(dtype).kind in "fc"
        else rng.integers(0, 2, shape).astype(dtype)
        for shape, dtype in zip(example.shapes, dtypes, strict=True)
    ]
    if example.prepare is not None:
        arrays = [np.asarray(x) for x in example.prepare(*arrays)]
    most = max((x.ndim for x in arrays), default=0)
    for axes in [*permutations(range(most))][:: 1 if most < 4 else 5]:
        yield [permuted(x, tuple(a for a in axes if a < x.ndim)) for x in arrays]
        if len(arrays) > 1:
            yield [permuted(arrays[0], tuple(a for a in axes if a < arrays[0].ndim)), *arrays[1:]]


def steps(layout: Layout) -> list[int]:
    """Return the strides that tell one layout from another."""
    if 0 in layout.shape:
        return []
    return [s for n, s in zip(layout.shape, layout.strides, strict=True) if n != 1]


def layout(recorder: GraphRecorder, tensor: hb.Tensor) -> Layout:
    """Return how a trace takes a Tensor to lie."""
    order_of(recorder.rules, tensor).found()
    found = layout_in(recorder.rules, tensor)
    assert found is not None
    return found


MAKES_ARRAYS = [
    pytest.param(op, id=op.name)
    for op in OPS.values()
    if op.examples and op.view is None and not op.bodies and not op.impure
    if op.family != "reinterpreting"  # whose function refuses what lies with gaps
]


@pytest.mark.parametrize("op", MAKES_ARRAYS)
def test_a_trace_takes_results_to_lie_as_eager_code_lays_them_out(op: Op) -> None:
    for example in op.examples:
        for arrays in orders(example):
            found = op.eager(np, *arrays, **example.attrs)
            recorder = GraphRecorder()
            given = [recorder.parameter(TensorSpec(x.shape, x.dtype)) for x in arrays]
            for tensor, array in zip(given, arrays, strict=True):
                if not array.flags.c_contiguous:
                    recorder.lie(tensor, Order(layout_of(array)))
            with dispatch.scope(recorder=recorder, tapes=()):
                made: Any = dispatch.bind(op, tuple(given), example.attrs)
                pairs = zip(found, made, strict=True) if op.multi else [(found, made)]
                for array, tensor in pairs:
                    expected = layout_of(np.asarray(array))
                    assert steps(layout(recorder, tensor)) == steps(expected), [
                        x.strides for x in arrays
                    ]


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_what_is_handed_over_to_eager_code_lies_as_if_it_were_made_there(
    make: Callable[[Any], Any],
) -> None:
    def f(a: Any) -> Any:
        b = make(a)
        float(b.sum())  # goes on eagerly
        c = b.reshape(-1)
        c[1] = 50.0
        return b, c

    for order in "CF":
        a = hb.asarray(np.array(A, order=order))
        want, got = f(hb.asarray(np.array(A, order=order))), hb.compile(f)(a)  # type: ignore[call-overload]
        np.testing.assert_allclose(got[0], want[0])
        np.testing.assert_allclose(got[1], want[1])
