"""Reductions over elements that many results share give what NumPy gives."""

from __future__ import annotations

import numpy as np
import pytest

from hybrid.kernels import parallel
from hybrid.kernels.region import Instr
from tests.kernels.reference import check, mapped, reduce

Array = np.ndarray
RTOL = {"float32": 1e-6, "float64": 2e-15}


def pairs(dtype: str, *shape: int) -> tuple[Array, Array]:
    """Points by points: `shape` is a batch, two numbers of points, and their elements."""
    rng = np.random.default_rng(0)
    *batch, n, m, k = shape
    one, other = rng.standard_normal((*batch, n, k)), rng.standard_normal((*batch, m, k))
    return tuple((10 * x).astype(dtype) for x in (one[..., None, :], other[..., None, :, :]))


def distances(dtype: str, kind: str = "sum") -> list[Instr]:
    return [
        mapped("subtract", "{0} - {1}", (0, 1), dtype),
        mapped("multiply", "{0} * {0}", (2,), dtype),
        reduce(kind, 3, dtype),
    ]


@pytest.mark.parametrize("points", [64, 65, 129, 700])
@pytest.mark.parametrize("elements", [2, 3, 33, 130])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_distances_of_all_pairs(points: int, elements: int, dtype: str) -> None:
    inputs = pairs(dtype, 9, points, elements)
    shape = 9, points, elements
    kernel, (alone,) = check(shape, (2,), inputs, distances(dtype), [(4, dtype, True)], RTOL[dtype])
    assert kernel.spec.shared == 1
    outputs = [(4, dtype, True)]
    driver = parallel.driver_address()
    _, (shared,) = check(shape, (2,), inputs, distances(dtype), outputs, RTOL[dtype], driver)
    np.testing.assert_array_equal(alone, shared)


@pytest.mark.parametrize("kind", ["max", "min", "prod"])
@pytest.mark.parametrize("dtype", ["float32", "int32", "int8", "int64"])
def test_other_reductions_of_all_pairs(kind: str, dtype: str) -> None:
    inputs = pairs(dtype, 8, 100, 7)
    rtol = 1e-5 if dtype == "float32" else 0.0
    body, outputs = distances(dtype, kind), [(4, dtype, True)]
    kernel, _ = check((8, 100, 7), (2,), inputs, body, outputs, rtol)
    assert kernel.spec.shared == 1


def test_pairs_of_a_batch_share_within_their_example() -> None:
    kernel, _ = check(
        (3, 8, 150, 5),
        (3,),
        pairs("float32", 3, 8, 150, 5),
        distances("float32"),
        [(4, "float32", True)],
        1e-6,
    )
    assert kernel.spec.shared == 1


def test_all_loops_share_what_varies_in_none() -> None:
    one = np.random.default_rng(0).standard_normal((4, 6, 1, 5), "float32")
    other = pairs("float32", 1, 80, 5)[1][None]
    body, outputs = distances("float32"), [(4, "float32", True)]
    kernel, _ = check((4, 6, 80, 5), (3,), [one, other], body, outputs, 1e-6)
    # Its two outer loops are walked as one.
    assert kernel.spec.shared == kernel.spec.kept == 1


def test_elements_that_are_neighbours_already() -> None:
    x, y = np.random.default_rng(0).standard_normal((2, 40, 300), "float32")
    body, outputs = distances("float32"), [(4, "float32", True)]
    views = [x.T[:, None], y.T[None]]
    kernel, _ = check((300, 300, 40), (2,), views, body, outputs, 1e-6, bases=[x, y])
    assert kernel.spec.shared == 1


def test_tiles_of_sixteen_bits() -> None:
    inputs = pairs("float16", 9, 130, 11)
    body = [
        *(Instr("cast", "float32", "", (number,), "float32") for number in (0, 1)),
        mapped("multiply", "({0} - {1}) * {0}", (2, 3), "float32"),
        reduce("sum", 4, "float32"),
    ]
    kernel, _ = check((9, 130, 11), (2,), inputs, body, [(5, "float32", True)], 1e-6)
    assert kernel.spec.shared == 1


def test_several_reductions_with_values_of_the_results() -> None:
    """A log-sum-exp over the elements of pairs, weighted by pair; exponentials are kept."""
    inputs = [*pairs("float32", 9, 133, 20), np.linspace(1, 2, 133, dtype="float32")[None, :, None]]
    body = [
        mapped("multiply", "{0} * {1}", (0, 1), "float32"),
        reduce("max", 3, "float32"),
        mapped("subtract", "({0} - {1}) * {2}", (3, 4, 2), "float32"),
        mapped("exp", "exp({0})", (5,), "float32"),
        reduce("sum", 6, "float32"),
        mapped("multiply", "{0} * {1}", (6, 3), "float32"),
        reduce("sum", 8, "float32"),
        reduce("min", 8, "float32"),
        mapped("positive", "{0} > 0", (8,), "bool"),
        reduce("any", 11, "bool"),
        mapped("divide", "{0} / {1}", (9, 7), "float32"),
    ]
    outputs = [(4, "float32", True), (10, "float32", True), (12, "bool", True)]
    kernel, _ = check((9, 133, 20), (2,), inputs, body, [*outputs, (13, "float32", True)], 2e-5)
    assert kernel.spec.shared == 1


def test_nan_wins_a_maximum_over_pairs() -> None:
    one, other = pairs("float32", 8, 70, 6)
    other[0, 69, 5] = other[0, 3, 0] = np.nan
    body, outputs = distances("float32", "max"), [(4, "float32", True)]
    check((8, 70, 6), (2,), [one, other], body, outputs, 1e-6)


def test_accumulators_stay_in_registers() -> None:
    for dtype in ("float32", "float64"):
        inputs, body = pairs(dtype, 9, 300, 32), distances(dtype)
        kernel, _ = check((9, 300, 32), (2,), inputs, body, [(4, dtype, True)], RTOL[dtype])
        lines = kernel.assembly().splitlines()
        scalar = [x for x in lines if "vaddss" in x or "vaddsd" in x]
        assert not scalar
