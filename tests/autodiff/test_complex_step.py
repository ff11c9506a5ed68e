"""Gradients equal the complex-step derivative, to the last digits that doubles have.

A step of 1e-30 i changes the imaginary part alone, and nothing is subtracted, so that what it shows
is exact (Squire and Trapp, 1998); but only of analytic functions. So an op is tested whose rule
accepts complex inputs and whose eager form obeys the Cauchy-Riemann equations at the place.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.op import Example, Op
from hybrid.core.spec import TensorSpec
from hybrid.errors import HybridError
from tests.autodiff.test_gradients import applied, differentiable, draw, gradients

STEP = 1e-30
Scalar = Callable[..., complex]


def eagerly(op: Op, example: Example) -> Scalar:
    """Return the same weighted sum of results as `applied`, by the eager form on ndarrays."""

    def f(*arrays: np.ndarray) -> complex:
        prepared = arrays if example.prepare is None else example.prepare(*arrays)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = op.eager(np, *prepared, **example.attrs)
        total = 0.0 + 0.0j
        results = [r for r in (found if op.multi else (found,)) if np.asarray(r).dtype.kind in "fc"]
        for k, r in enumerate(results):
            total += (np.asarray(r) * np.cos(np.arange(np.size(r)) + k).reshape(np.shape(r))).sum()
        return complex(total)

    return f


def moved(arrays: list[np.ndarray], ways: list[np.ndarray], by: complex) -> list[np.ndarray]:
    """Move floating-point inputs along `ways`; others have an empty way."""
    return [a + by * way if way.size else a for a, way in zip(arrays, ways, strict=True)]


def ways_of(op: Op, arrays: list[np.ndarray], seed: int) -> list[np.ndarray]:
    """Draw a direction for each input that has a gradient."""
    rng = np.random.default_rng(seed)
    rules = op.vjp if isinstance(op.vjp, tuple) else (True,) * len(arrays)
    return [
        rng.normal(size=a.shape) if a.dtype.kind == "f" and rule is not None else np.zeros(0)
        for a, rule in zip(arrays, rules, strict=True)
    ]


def results_of(op: Op, example: Example, arrays: list[np.ndarray]) -> tuple[TensorSpec, ...]:
    """Return the specs of the results, as the registry says them; an error where it refuses."""
    prepared = arrays if example.prepare is None else example.prepare(*arrays)
    found = op.infer(*(TensorSpec(a.shape, a.dtype) for a in prepared), **example.attrs)
    return tuple(found) if op.multi else (found,)


@cache
def is_analytic(op: Op, case: int) -> bool:
    """Tell by the registry and the Cauchy-Riemann equations whether a complex step is right."""
    example = EXAMPLES[op, case]
    arrays = draw(example, 1)
    ways = ways_of(op, arrays, 0)
    if not any(way.size for way in ways):
        return False
    around = moved(arrays, ways, 0.001j)
    try:
        if any(spec.dtype.kind == "c" for spec in results_of(op, example, arrays)):
            return False  # whose gradients `applied` takes by real and imaginary part
        results_of(op, example, around)
        f = eagerly(op, example)
        here, far = f(*around), 1e-5
        right = (f(*moved(around, ways, far)) - here) / far
        up = (f(*moved(around, ways, far * 1j)) - here) / (far * 1j)
    except (HybridError, TypeError, ValueError, np.linalg.LinAlgError):
        return False
    return bool(np.isfinite(right) and abs(right - up) <= 1e-3 * (1 + abs(right)))


EXAMPLES: dict[tuple[Op, int], Example] = {}
for _case in differentiable():
    _op, _example = _case.values
    EXAMPLES[_op, sum(op is _op for op, _ in EXAMPLES)] = _example

ANALYTIC = [
    pytest.param(op, EXAMPLES[op, i], id=f"{op.name}-{i}")
    for op, i in EXAMPLES
    if is_analytic(op, i)
]


def test_most_smooth_ops_are_reached() -> None:
    """The selection is by what ops accept: it must not become empty unseen."""
    names = {param.values[0].name for param in ANALYTIC}
    assert {"exp", "multiply", "pow", "matmul", "solve", "sum", "concat", "gather"} <= names
    assert not names & {"abs", "real", "conj", "floor", "norm"}
    assert len(names) > 80, sorted(names)


def slope_along(found: list[Any], arrays: list[np.ndarray], ways: list[np.ndarray]) -> float:
    """Return the derivative along `ways` that gradients by the floating-point inputs say."""
    floats = [way for a, way in zip(arrays, ways, strict=True) if a.dtype.kind == "f"]
    pairs = [(g.numpy(), way) for g, way in zip(found, floats, strict=True) if way.size]
    return float(sum((g * way).sum() for g, way in pairs))


@pytest.mark.parametrize(("op", "example"), ANALYTIC)
def test_gradient_equals_the_complex_step(op: Op, example: Example) -> None:
    arrays = draw(example, 1)
    ways = ways_of(op, arrays, 0)
    found = gradients(applied(op, example), [hb.asarray(a) for a in arrays])
    expected = eagerly(op, example)(*moved(arrays, ways, STEP * 1j)).imag / STEP
    np.testing.assert_allclose(slope_along(found, arrays, ways), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("op", "example"), ANALYTIC)
def test_second_derivative_equals_differences_of_complex_steps(op: Op, example: Example) -> None:
    arrays = draw(example, 2)
    ways, others = ways_of(op, arrays, 0), ways_of(op, arrays, 1)
    f = applied(op, example)

    def slope(*tensors: hb.Tensor) -> hb.Tensor:
        floats = [w for a, w in zip(arrays, ways, strict=True) if a.dtype.kind == "f"]
        pairs = [(g, w) for g, w in zip(gradients(f, list(tensors)), floats) if w.size]
        total = hb.asarray(0.0, dtype="float64")
        for g, way in pairs:
            total = total + hb.sum(g * hb.asarray(way))
        return total

    found = gradients(slope, [hb.asarray(a) for a in arrays])
    far, plain = 1e-5, eagerly(op, example)
    steps = [
        plain(*moved(moved(arrays, others, by), ways, STEP * 1j)).imag / STEP for by in (far, -far)
    ]
    expected = (steps[0] - steps[1]) / (2 * far)
    np.testing.assert_allclose(
        slope_along(found, arrays, others), expected, rtol=1e-6, atol=1e-6 * (1 + abs(steps[0]))
    )
