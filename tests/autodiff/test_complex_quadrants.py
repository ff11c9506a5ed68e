"""Gradients of elementwise ops at complex numbers of all four quadrants equal central differences.

The examples of the registry are drawn from the domain of real numbers, which is one quadrant for
many ops; a rule that asks for the sign of a number holds there alone.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.dispatch import bind
from hybrid.core.op import OPS, Op
from hybrid.core.spec import TensorSpec
from hybrid.errors import HybridError
from hybrid.ops.elementwise import pow

pytestmark = pytest.mark.filterwarnings("ignore:Casting complex values")

QUADRANTS = np.array([1.5 + 0.5j, -1.5 + 0.7j, -0.6 - 1.3j, 0.4 - 0.8j])
COMPLEX = TensorSpec((4,), np.dtype("complex128"))
PAIRS = np.array(list(product(QUADRANTS, QUADRANTS * 1.1))).T


def points(op: Op, n: int) -> list[np.ndarray]:
    return [QUADRANTS] if n == 1 else list(PAIRS[:n])


def of_complex_numbers() -> list[Any]:
    found = []
    for op in OPS.values():
        n = len(op.examples[0].shapes) if op.examples else 0
        if op.family != "elementwise" or n not in (1, 2) or op.multi or not op.vjp:
            continue
        try:
            result = op.infer(*[COMPLEX] * n, **op.examples[0].attrs)
        except (HybridError, TypeError):
            continue
        if result.dtype.kind in "fc":
            found.append(pytest.param(op, n, id=op.name))
    return found


def measured(y: hb.Tensor) -> hb.Tensor:
    weights = hb.asarray(np.cos(np.arange(y.size)).reshape(y.shape))
    return hb.sum(weights * hb.real(y)) + 0.7 * hb.sum(weights * hb.imag(y))


def by_differences(f: Any, arrays: list[np.ndarray], which: int, step: float = 1e-6) -> np.ndarray:
    """Return df/dx - i df/dy, where `f` is of each element alone."""
    found = np.zeros_like(arrays[which])
    for place in np.ndindex(found.shape):
        for way, factor in ((1.0, 1.0), (1j, -1j)):
            ends = []
            for sign in (1, -1):
                moved = [a.copy() for a in arrays]
                moved[which][place] += sign * step * way
                ends.append(f(*map(hb.asarray, moved)).item())
            found[place] += factor * (ends[0] - ends[1]) / (2 * step)
    return found


@pytest.mark.parametrize(("op", "n"), of_complex_numbers())
def test_gradients_hold_in_all_quadrants(op: Op, n: int) -> None:
    attrs = op.examples[0].attrs
    arrays = points(op, n)

    def f(*x: hb.Tensor) -> hb.Tensor:
        return measured(bind(op, x, attrs))

    with np.errstate(all="ignore"):
        found = hb.vjp(f, *map(hb.asarray, arrays))[1](hb.asarray(1.0, dtype="float64"))
        for which in range(n):
            expected = by_differences(f, arrays, which)
            np.testing.assert_allclose(found[which].numpy(), expected, rtol=1e-6, atol=1e-8)


def test_there_are_ops_of_complex_numbers() -> None:
    assert {"pow", "log", "sqrt", "acosh", "divide", "sign"} <= {p.id for p in of_complex_numbers()}


@pytest.mark.parametrize("base", [-2.0, 2.0, -1 + 0.5j, 1j], ids=str)
@pytest.mark.parametrize("kind", ["number", "array"])
@pytest.mark.parametrize("wrap", [lambda f: f, hb.compile], ids=["eager", "compiled"])
def test_a_power_of_any_base_has_a_gradient_by_a_complex_exponent(
    base: complex, kind: str, wrap: Any
) -> None:
    x: Any = base if kind == "number" else hb.asarray(np.asarray(base))
    y = hb.asarray(QUADRANTS)
    found = wrap(hb.grad(lambda y: measured(pow(x, y))))(y)
    expected = by_differences(lambda y: measured(pow(x, y)), [QUADRANTS], 0)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_a_power_of_a_complex_0_has_no_slope_by_its_exponent() -> None:
    y = hb.asarray(QUADRANTS[:1])
    slope = hb.grad(lambda y: measured(pow(hb.asarray([0j], dtype="complex128"), y)))(y)
    assert slope.numpy().tolist() == [0]
