"""Sums of squared deviations, and what is derived from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hybrid as hb

_ROWS = np.random.default_rng(5).standard_normal((7, 1100)).astype(np.float32)


def _var(x: Any) -> Any:
    return hb.var(x, axis=1)


def _mean_and_var(x: Any) -> Any:
    return hb.mean(x, axis=1), hb.var(x, axis=1)


def _deviations_and_var(x: Any) -> Any:
    return x - hb.mean(x, axis=1, keepdims=True), hb.var(x, axis=1)


def test_variances_far_from_zero_lose_nothing_by_the_rounding_of_their_mean() -> None:
    x = _ROWS + np.float32(1e5)
    exact = x.astype(np.float64).var(axis=1)
    np.testing.assert_allclose(hb.compile(_var)(hb.asarray(x)).numpy(), exact, rtol=3e-5)


@pytest.mark.parametrize("f", [_mean_and_var, _deviations_and_var])
def test_a_mean_that_others_read_keeps_its_infinity(f: Any) -> None:
    x = _ROWS.copy()
    x[2, 1000] = np.inf
    with np.errstate(invalid="ignore"):
        eager = f(hb.asarray(x))
    for one, other in zip(hb.compile(f)(hb.asarray(x)), eager, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("first", [1.0, 1e19])
@pytest.mark.parametrize("scale", [1.0, 1e20, 1e36])
@pytest.mark.parametrize("signs", [False, True])
def test_variances_whose_squares_overflow_are_infinite(
    scale: float, signs: bool, first: float
) -> None:
    x = np.full((5, 1100), scale, np.float32)
    if signs:
        x *= np.sign(_ROWS[:5])
    x[:, :64] *= np.float32(first) if scale == 1.0 else 1
    x[0, 700] = 1e38
    with np.errstate(over="ignore", invalid="ignore"):
        eager = _var(hb.asarray(x)).numpy()
        traced = hb.compile(_var)(hb.asarray(x)).numpy()
    np.testing.assert_allclose(traced, eager, rtol=1e-5)
