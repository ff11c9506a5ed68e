"""Random programs: eager equals NumPy, traced equals eager, gradients equal central differences.

A program is a list of steps on a stack of arrays; the same steps run on ndarrays by NumPy's own
functions and on Tensors by hybrid's, so that no op is its own reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hybrid as hb

# Functions that keep errors small: |f'| is bounded by about 1 on the values that programs reach, so
# that a few ULP per op stay a few ULP per program.
UNARY = ["tanh", "sin", "cos", "arctan", "abs", "negative", "exp2_bounded", "sqrt_abs", "log1p_abs"]
BINARY = ["add", "subtract", "multiply_bounded", "maximum", "minimum", "where_less"]
INTEGER_UNARY = ["abs", "negative", "invert"]
INTEGER_BINARY = [
    "add",
    "subtract",
    "multiply",
    "maximum",
    "minimum",
    "bitwise_xor",
    "floor_divide",
]
SHAPES = ["sum", "mean", "max", "transpose", "flip", "step", "tail", "expand", "write", "softmax"]
SMOOTH = ["sum", "mean", "transpose", "flip", "step", "tail", "expand", "softmax"]


def unary(xp: Any, name: str, x: Any) -> Any:
    if name == "exp2_bounded":
        return xp.exp2(-xp.abs(x))
    if name == "sqrt_abs":
        return xp.sqrt(xp.abs(x) + 1)
    if name == "log1p_abs":
        return xp.log1p(xp.abs(x))
    return getattr(xp, name)(x)


def binary(xp: Any, name: str, x: Any, y: Any) -> Any:
    if name == "multiply_bounded":
        return xp.tanh(x) * xp.tanh(y)
    if name == "where_less":
        return xp.where(x < y, x, y * 0.5)
    return getattr(xp, name)(x, y)


def reshaping(xp: Any, name: str, x: Any) -> Any:
    if name in ("sum", "max"):
        return getattr(xp, name)(x, axis=-1, keepdims=True) if x.ndim else x
    if name == "mean":
        return xp.mean(x, axis=0, keepdims=True) if x.ndim else x
    if name == "transpose":
        return x.T
    if name == "flip":
        return x[::-1] if x.ndim else x
    if name == "step":
        return x[..., ::2] if x.ndim else x
    if name == "tail":
        return x[-1:] if x.ndim else x
    if name == "expand":
        return x[None] if x.ndim < 4 else x
    if name == "write":
        y = x * 1
        if x.ndim:
            y[-1:] = y[:1] * 2
        return y
    if name == "softmax":
        e = xp.exp(x - xp.max(x, axis=None))
        return e / xp.sum(e)
    raise AssertionError(name)


@dataclass(frozen=True)
class Program:
    """Steps on a list of values: each appends one value made from earlier ones."""

    steps: tuple[tuple[str, str, int, int], ...]

    def __call__(self, xp: Any, *inputs: Any) -> Any:
        values = list(inputs)
        for kind, name, i, j in self.steps:
            x, y = values[i % len(values)], values[j % len(values)]
            if kind == "unary":
                values.append(unary(xp, name, x))
            elif kind == "binary" and fits(x.shape, y.shape):
                values.append(binary(xp, name, x, y))
            elif kind == "shape":
                values.append(reshaping(xp, name, x))
        return values[-1], values[len(values) // 2]


def fits(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    try:
        shape = np.broadcast_shapes(a, b)
    except ValueError:
        return False
    return int(np.prod(shape)) <= 4000


def programs(unary: list[str], binary: list[str], shapes: list[str]) -> st.SearchStrategy[Program]:
    place = st.integers(0, 20)
    step = st.one_of(
        st.tuples(st.just("unary"), st.sampled_from(unary), place, place),
        st.tuples(st.just("binary"), st.sampled_from(binary), place, place),
        st.tuples(st.just("shape"), st.sampled_from(shapes), place, place),
    )
    return st.lists(step, min_size=1, max_size=8).map(lambda steps: Program(tuple(steps)))


@st.composite
def arrays(draw: st.DrawFn, dtype: str, count: int) -> list[np.ndarray]:
    """Arrays that broadcast with one another and lie in memory in all the ways views can."""
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=0, max_size=3)))
    made = []
    for _ in range(count):
        own = tuple(draw(st.sampled_from([n, n, n, 1])) for n in shape)[draw(st.integers(0, 1)) :]
        rng = np.random.default_rng(draw(st.integers(0, 2**16)))
        way = draw(st.sampled_from(["plain", "fortran", "stepped", "reversed", "broadcast"]))
        made.append(lay_out(rng, own, dtype, way))
    return made


def lay_out(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, way: str) -> np.ndarray:
    def fresh(shape: tuple[int, ...]) -> np.ndarray:
        if dtype.startswith("float"):
            return rng.uniform(-2, 2, shape).astype(dtype)
        return rng.integers(-9, 10, shape).astype(dtype)

    if way == "fortran":
        return np.asfortranarray(fresh(shape))
    if way == "stepped" and shape:
        return fresh((*shape[:-1], shape[-1] * 2))[..., ::2]
    if way == "reversed" and shape:
        return fresh(shape)[::-1]
    if way == "broadcast" and shape:
        return np.broadcast_to(fresh((1, *shape[1:])), shape)
    return fresh(shape)


def close(found: Any, wanted: Any, dtype: str) -> None:
    for a, b in zip(found, wanted, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        if b.dtype.kind != "f":
            np.testing.assert_array_equal(a, b)
        else:
            bound = 2e-5 if dtype == "float32" else 1e-12
            np.testing.assert_allclose(a, b, rtol=bound, atol=bound)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_float_programs_agree_in_numpy_eager_and_traced(dtype: str, data: st.DataObject) -> None:
    inputs = data.draw(arrays(dtype, 3))
    program = data.draw(programs(UNARY, BINARY, SHAPES))
    wanted = program(np, *[a.copy() for a in inputs])
    tensors = [hb.asarray(a) for a in inputs]
    close(program(hb, *tensors), wanted, dtype)
    traced = hb.compile(lambda *args: program(hb, *args))
    close(traced(*tensors), wanted, dtype)
    close(traced(*tensors), wanted, dtype)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_integer_programs_agree_bit_for_bit(dtype: str, data: st.DataObject) -> None:
    inputs = data.draw(arrays(dtype, 3))
    shapes = ["sum", "max", "transpose", "flip", "step", "tail", "expand", "write"]
    program = data.draw(programs(INTEGER_UNARY, INTEGER_BINARY, shapes))
    with np.errstate(all="ignore"):
        wanted = program(np, *[a.copy() for a in inputs])
        tensors = [hb.asarray(a) for a in inputs]
        close(program(hb, *tensors), wanted, dtype)
        close(hb.compile(lambda *args: program(hb, *args))(*tensors), wanted, dtype)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_gradients_of_programs_agree_with_central_differences(data: st.DataObject) -> None:
    inputs = data.draw(arrays("float64", 2))
    smooth = ["tanh", "sin", "cos", "arctan", "negative"]
    program = data.draw(programs(smooth, ["add", "subtract", "multiply_bounded"], SMOOTH))

    def loss(*tensors: hb.Tensor) -> hb.Tensor:
        first, second = program(hb, *tensors)
        return hb.sum(hb.sin(first)) + hb.mean(second)

    def gradients(*tensors: hb.Tensor) -> Any:
        with hb.GradientTape() as tape:
            tape.watch(tensors)
            out = loss(*tensors)
        return tape.gradient(out, tensors, unconnected_gradients="zero")

    tensors = [hb.asarray(a) for a in inputs]
    eager = gradients(*tensors)
    traced = hb.compile(gradients)(*tensors)
    rng = np.random.default_rng(0)
    for i, (a, b) in enumerate(zip(eager, traced, strict=True)):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-11)
        # Along one random direction: the sum over all elements would cost a run for each.
        direction = rng.normal(size=inputs[i].shape)
        ends = []
        for sign in (1, -1):
            moved = [np.array(x) for x in inputs]
            moved[i] = moved[i] + sign * 1e-6 * direction
            ends.append(loss(*map(hb.asarray, moved)).item())
        slope = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(np.sum(a.numpy() * direction), slope, rtol=1e-5, atol=1e-6)
