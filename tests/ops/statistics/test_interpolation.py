"""Interpolation is NumPy's, with gradients by where, points and values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import DTypeError, ShapeError
from tests.autodiff.test_gradients import numeric

RUN = pytest.mark.parametrize("run", [lambda f: f, hb.compile], ids=["eager", "traced"])
AT = np.array([[-1.0, 0.0, 0.3], [2.0, 2.5, 9.0], [5.0, np.nan, np.inf]])
POINTS = np.array([0.0, 1.0, 2.0, 5.0])
VALUES = np.array([1.0, -2.0, 4.0, 3.0])


@RUN
@pytest.mark.parametrize("values", [VALUES, VALUES * (1 - 2j), VALUES.astype(np.int32)], ids=str)
@pytest.mark.parametrize(
    "options", [{}, {"left": -7.0}, {"left": 8, "right": 9.5}, {"period": 3.5}], ids=str
)
def test_interp_is_numpys(values: Any, options: dict[str, Any], run: Callable[..., Any]):
    for at in (AT, np.float32(0.25), np.zeros((0, 2))):
        if "period" in options:
            at = np.where(np.isfinite(at), at, 0)
        expected = np.asarray(np.interp(at, POINTS, values, **options))
        found = run(lambda x, xp, fp: hb.interp(x, xp, fp, **options))(at, POINTS, values)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-14)
    one = run(lambda x: hb.interp(x, [2.0], [3.0]))(AT)
    np.testing.assert_array_equal(one.numpy(), np.interp(AT, [2.0], [3.0]))


@RUN
@pytest.mark.parametrize("options", [{}, {"left": -7.0, "right": 2.0}, {"period": 6.0}], ids=str)
def test_gradients_are_the_slopes(options: dict[str, Any], run: Callable[..., Any]):
    at = np.array([[-1.3, 0.2, 0.3], [1.7, 2.5, 9.1]])

    def f(x: Any, xp: Any, fp: Any) -> Any:
        return hb.sum(hb.interp(x, xp, fp, **options) * np.cos(np.arange(6.0)).reshape(2, 3))

    @run
    def slopes(*inputs: Any) -> Any:
        with hb.GradientTape() as tape:
            tape.watch(inputs)
            y = f(*inputs)
        return tape.gradient(y, list(inputs))

    arrays = [at, POINTS, VALUES]
    for i, found in enumerate(slopes(*map(hb.asarray, arrays))):
        expected = numeric(f, arrays, i)
        if i == 1 and "period" in options:  # a point at 0 wraps around when it is moved
            found, expected = found[1:], expected[1:]
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)


@RUN
def test_what_cannot_be_interpolated_is_refused(run: Callable[..., Any]):
    with pytest.raises(ShapeError, match=r"not shapes \(2,\) and \(3,\)"):
        run(hb.interp)(1.0, np.ones(2), np.ones(3))
    with pytest.raises(ShapeError, match="no points to interpolate between"):
        run(hb.interp)(np.ones(1), np.ones(0), np.ones(0))
    with pytest.raises(DTypeError, match="complex points have no order"):
        run(hb.interp)(np.ones(2) * 1j, np.ones(2), np.ones(2))
    with pytest.raises(ValueError, match="a period of 0"):
        run(lambda x: hb.interp(x, [1.0, 2.0], [1.0, 2.0], period=0))(np.ones(1))
