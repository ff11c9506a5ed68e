"""Uniform numbers become normal ones: accurately, and in arrays and kernels alike."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numba import njit

from hybrid.kernels import build, normals

Array = np.ndarray[Any, Any]


def units(dtype: str) -> Array:
    """Uniform numbers, the smallest and the largest that words give, and quarters of a turn."""
    kind = np.dtype(dtype).type
    smallest = 2.0**-33 if dtype == "float32" else 2.0**-54
    edges = [smallest, 1.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, np.nextafter(1, 0)]
    near = [np.nextafter(kind(x), kind(y)) for x in (0.25, 0.5, 0.75) for y in (0, 1)]
    drawn = np.random.default_rng(0).random(5000)
    return np.array([*edges, *near, *drawn, *drawn**8], kind)


def in_kernels(name: str, u: Array) -> Array:
    function = build.function(name, u.dtype.name)

    @njit(error_model="numpy")
    def loop(u: Any, out: Any) -> None:
        for i in range(len(u)):
            out[i] = function(u[i])

    out = np.empty_like(u)
    loop(u, out)
    return out


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernels_give_the_bits_of_arrays(dtype: str) -> None:
    u = units(dtype)
    cosine, sine = normals.cosine_sine(normals.arrays, u, dtype)
    radius = normals.radius(normals.arrays, u, dtype)
    for name, want in (("radius", radius), ("cosine", cosine), ("sine", sine)):
        assert in_kernels(f"normal_{name}", u).tobytes() == want.tobytes(), name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_radii_and_angles_are_within_two_units_in_the_last_place(dtype: str) -> None:
    u = units(dtype)
    wide = u.astype(np.longdouble)
    turns = 2 * np.longdouble("3.14159265358979323846264338327950288") * (wide - np.rint(wide))
    radius = np.sqrt(-2 * np.log(wide))
    cosine, sine = normals.cosine_sine(normals.arrays, u, dtype)
    eps = np.finfo(dtype).eps
    found = normals.radius(normals.arrays, u, dtype)
    np.testing.assert_allclose(found.astype(np.longdouble), radius, rtol=2 * eps, atol=0)
    # Next to 0 what is left of pi/2 has an error of its own in numbers as short as these.
    for got, want in ((cosine, np.cos(turns)), (sine, np.sin(turns))):
        np.testing.assert_allclose(got.astype(np.longdouble), want, rtol=2 * eps, atol=eps / 1e3)


@pytest.mark.parametrize("count", [0, 1, 7, 8192, 20_001])
def test_blocks_of_pairs_do_not_show(count: int) -> None:
    u = np.random.default_rng(1).random(2 * count).astype(np.float32) + np.float32(2.0**-33)
    found = normals.box_muller(u[:count], u[count:])
    assert found.shape == (2 * count,)
    for i in {0, count // 2, count - 1} & set(range(count)):
        one = slice(i, i + 1)
        pair = normals.box_muller(u[:count][one], u[count:][one])
        assert pair.tolist() == [found[i], found[count + i]]
        radius = math.sqrt(-2 * math.log(u[i]))
        assert math.isclose(math.hypot(*pair), radius, rel_tol=1e-5)
