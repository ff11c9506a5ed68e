"""16-bit floats in kernels: what is read, how results are rounded, what eager code gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import hybrid as hb
from hybrid.core.dispatch import bind
from hybrid.core.op import OPS
from hybrid.core.spec import TensorSpec
from hybrid.kernels import native
from hybrid.runtime import lower
from tests.trace.passes.graphs import traced

Array = np.ndarray[Any, Any]

HALVES = [np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)]
both = pytest.mark.parametrize("dtype", HALVES, ids=str)


def every(dtype: np.dtype[Any]) -> Array:
    """All 65,536 numbers of a dtype."""
    return np.arange(1 << 16, dtype=np.uint16).view(dtype)


def ordinal(x: Array) -> Array:
    """Count numbers from zero, so that neighbours differ by 1."""
    bits = x.view(np.int16).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFF), bits)


def distance(found: Array, wanted: Array) -> int:
    """Units in the last place between two arrays, NaN at the same places."""
    nan = np.isnan(wanted.astype(np.float32))
    np.testing.assert_array_equal(np.isnan(found.astype(np.float32)), nan)
    return int(np.abs(ordinal(found) - ordinal(wanted))[~nan].max(initial=0))


def compiled(function: Callable[..., Any], *arrays: Array) -> Array:
    """Run a function as one kernel."""
    call = hb.compile(function)
    tensors = [hb.asarray(x) for x in arrays]
    graph = call.get_concrete_function(*tensors).optimized
    assert {node.op.name for node in graph.nodes} <= {"fused", "reshape", "number", "arange"}
    result: Array = call(*tensors).numpy()
    return result


@both
def test_every_number_is_read_and_stored_as_it_is(dtype: np.dtype[Any]) -> None:
    x = every(dtype)
    assert distance(compiled(lambda x: hb.maximum(x, -hb.inf), x), x) == 0
    wide = compiled(lambda x: x.astype("float32"), x)
    np.testing.assert_array_equal(wide, x.astype(np.float32))


@both
def test_rounding_is_to_the_nearest_and_to_even_between(dtype: np.dtype[Any]) -> None:
    x = every(dtype).astype(np.float32)
    x = np.sort(x[np.isfinite(x)])
    with np.errstate(all="ignore"):
        middle = ((x[1:].astype(np.float64) + x[:-1]) / 2).astype(np.float32)
        parts = [middle, np.nextafter(middle, np.float32(np.inf)), np.nextafter(middle, x[:-1])]
        ends = np.array([np.inf, -np.inf, np.nan, 3e38, 65519.9, 65520.0, 1e-45, -0.0], np.float32)
        given = np.concatenate([*parts, ends])
        wanted = given.astype(dtype)
    assert distance(compiled(lambda x: x.astype(dtype), given), wanted) == 0


UNARY = sorted(
    name
    for name, op in OPS.items()
    if op.scalar and not op.impure and op.examples and len(op.examples[0].shapes) == 1
)


@both
@pytest.mark.parametrize("name", UNARY)
def test_ops_are_rounded_once(name: str, dtype: np.dtype[Any]) -> None:
    """Within a unit of the float64 result, for every number there is."""
    op, x = OPS[name], every(dtype)
    attrs = op.examples[0].attrs
    try:
        result = op.infer(TensorSpec(x.shape, dtype), **attrs)
    except TypeError:
        pytest.skip(f"{name} takes no floating-point numbers")
    found = compiled(lambda x: bind(op, (x,), dict(attrs)), x)
    assert found.dtype == result.dtype
    with np.errstate(all="ignore"):
        wanted = np.asarray(op.eager(np, x.astype(np.float64), **attrs)).astype(result.dtype)
    if result.dtype == dtype:
        assert distance(found, wanted) <= 1
    else:
        np.testing.assert_array_equal(found, wanted)


PROGRAMS: dict[str, Callable[..., Any]] = {
    "arithmetic": lambda x, y: (x * y + 1.0) - x / y,
    "choices": lambda x, y: hb.where(x > y, x, hb.maximum(x, y) * 2),
    "sums of rows": lambda x, y: (x * y).sum(axis=1),
    "sums of columns": lambda x, y: (x * y).sum(axis=0) - 1.0,
    "means": lambda x, y: y.mean(axis=1) + 0.5,
    "variances": lambda x, y: y.var(axis=0),
    "extremes": lambda x, y: hb.maximum(x, y).max(axis=1),
    "running sums": lambda x, y: hb.cumsum(y, axis=0) * 2,
    "a broadcast row": lambda x, y: x + y[0],
    "there and back": lambda x, y: (x.astype("float32") * 1.1).astype(x.dtype) * y,
    "integers": lambda x, y: (y * 10).astype("int8").astype(y.dtype) + y,
    "places": lambda x, y: hb.argmax(x, axis=0),
}


@both
@pytest.mark.parametrize("name", PROGRAMS)
def test_each_step_rounds_as_in_eager_code(name: str, dtype: np.dtype[Any]) -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(37, 53)).astype(dtype) for _ in range(2))
    x.ravel()[:6] = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-7, 60000], dtype)
    function = PROGRAMS[name]
    with np.errstate(all="ignore"):
        wanted = function(hb.asarray(x), hb.asarray(y)).numpy()
    found = compiled(function, x, y)
    assert found.dtype == wanted.dtype
    if found.dtype == dtype:
        assert distance(found, wanted) == 0
    else:
        np.testing.assert_array_equal(found, wanted)


@both
def test_casts_of_wider_numbers_round_as_in_eager_code(dtype: np.dtype[Any]) -> None:
    """This float64 lies just above the middle of two numbers, where float32 has the middle."""
    ulp = 2.0**-10 if dtype == np.float16 else 2.0**-7
    x = np.full(5, 1 + ulp / 2 + 2.0**-40)
    found = hb.compile(lambda x: (x * 1.5 / 1.5).astype(dtype) * 2)(hb.asarray(x)).numpy()
    np.testing.assert_array_equal(found, x.astype(dtype) * 2)


def test_without_conversions_in_the_processor_numpy_computes(monkeypatch) -> None:
    monkeypatch.setattr(native, "converts_half", lambda: False)
    graph = traced(lambda x: x * 2 + 1, TensorSpec((4,), np.dtype(np.float16)))
    from hybrid.core.layout import contiguous
    from hybrid.trace.passes import optimize

    (node,) = optimize(graph).nodes
    with pytest.raises(lower.Unsupported, match="float16"):
        lower.lower(node.attrs["body"], (contiguous((4,)),))
    x = np.arange(4, dtype=np.float16)
    result = hb.compile(lambda x: x * 2 + 1)(hb.asarray(x))
    np.testing.assert_array_equal(result.numpy(), x * 2 + 1)
