"""Special functions agree with mpmath; they stay finite in gradients where they are."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

import hybrid as hb

POINTS = [-3.7, -0.5, 1e-3, 0.3, 1.4616, 2.5, 8.0, 31.5, 170.25]
EXACT = {
    "lgamma": lambda x: mpmath.log(abs(mpmath.gamma(x))),
    "digamma": mpmath.digamma,
    "trigamma": lambda x: mpmath.psi(1, x),
    "polygamma 3": lambda x: mpmath.psi(3, x),
}
OURS = {
    "lgamma": hb.lgamma,
    "digamma": hb.digamma,
    "trigamma": lambda x: hb.polygamma(1, x),
    "polygamma 3": lambda x: hb.polygamma(3, x),
}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_are_exact(name: str, dtype: str):
    points = np.array([x for x in POINTS if x > 0 or name != "polygamma 3"], dtype)
    with mpmath.workdps(40):
        exact = np.array([float(EXACT[name](mpmath.mpf(float(x)))) for x in points])
    found = OURS[name](points)
    assert found.dtype == dtype
    # Beside a zero of the function (1.4616 is one of digamma) the error is absolute.
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(found.numpy(), exact, rtol=8 * eps, atol=8 * eps)


def test_the_inverse_of_erf():
    x = np.array([-0.999, -0.5, 0.0, 1e-9, 0.7, 0.99999])
    with mpmath.workdps(30):
        exact = [float(mpmath.erfinv(v)) for v in x]
    np.testing.assert_allclose(hb.erfinv(x).numpy(), exact, rtol=4e-15)
    np.testing.assert_array_equal(
        hb.erfinv(np.array([-1.0, 1, 2])).numpy(), [-np.inf, np.inf, np.nan]
    )


def test_gradients_at_negative_numbers():
    x = hb.asarray(np.array([-3.7, -0.5]))
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = hb.digamma(x).sum()
    exact = [float(mpmath.psi(1, mpmath.mpf(v))) for v in (-3.7, -0.5)]
    np.testing.assert_allclose(tape.gradient(y, x).numpy(), exact, rtol=1e-12)


def test_a_derivative_has_an_order():
    with pytest.raises(ValueError, match="polygamma: n is -1"):
        hb.polygamma(-1, 1.0)
    with pytest.raises(TypeError, match="polygamma: not defined for complex128"):
        hb.polygamma(1, 1j * np.ones(2))
    np.testing.assert_array_equal(
        hb.polygamma(0, [0.5, 2.0]).numpy(), hb.digamma([0.5, 2.0]).numpy()
    )
