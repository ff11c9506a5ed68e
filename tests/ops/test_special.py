"""``scipy.special`` on Tensors: SciPy's numbers and dtypes, in traces and with gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special

import hybrid as hb
from hybrid.errors import EagerFallbackWarning, GradientError
from hybrid.ops.protocols import special

NAMES = sorted(special._OURS)
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 0.5, np.inf, -np.inf, np.nan, 1e-100, 1e100])
INSIDE = {
    **dict.fromkeys(("entr", "kl_div", "rel_entr", "xlogy"), (0.01, 30.0)),
    **dict.fromkeys(("logit",), (0.001, 0.999)),
    **dict.fromkeys(("erfinv", "log1p"), (-0.99, 0.99)),
    **dict.fromkeys(("gammaln", "psi"), (0.1, 30.0)),
    **dict.fromkeys(("xlog1py",), (-0.9, 5.0)),
}
"""Where a function is defined and smooth."""


def operands(name: str, points: Any) -> tuple[Any, ...]:
    if getattr(scipy.special, name).nin == 1:
        return (points,)
    grid = np.meshgrid(points, points)
    return grid[0].ravel(), grid[1].ravel()


def drawn(name: str, count: int = 40) -> Any:
    return np.random.default_rng(0).uniform(*INSIDE.get(name, (-5.0, 5.0)), count)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", NAMES)
def test_a_function_gives_scipys_numbers_in_both_modes(name: str) -> None:
    function = getattr(scipy.special, name)
    for points in (drawn(name), SPECIAL):
        given = operands(name, points)
        with np.errstate(all="ignore"):
            expected = function(*given)
            eager = function(*map(hb.asarray, given))
            traced = hb.compile(lambda *x: function(*x), fullgraph=True)(*given)
        assert isinstance(eager, hb.Tensor)
        np.testing.assert_allclose(eager.numpy(), expected, rtol=2e-13, atol=1e-14)
        np.testing.assert_allclose(traced.numpy(), expected, rtol=2e-13, atol=1e-14)


@pytest.mark.parametrize("dtype", ["bool", "int32", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_a_result_has_the_dtype_that_scipy_gives(name: str, dtype: str) -> None:
    function = getattr(scipy.special, name)
    given = (np.ones(3, dtype),) * function.nin
    with np.errstate(all="ignore"):
        expected = function(*given)
        found = function(*map(hb.asarray, given))
    assert found.dtype == expected.dtype


@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_is_that_of_small_differences(name: str) -> None:
    function = getattr(scipy.special, name)
    given = [drawn(name, 30)] + [drawn(name, 60)[30:]] * (function.nin - 1)
    step = 1e-6
    for place in range(function.nin):
        by = [step * (i == place) for i in range(function.nin)]
        after = function(*(x + h for x, h in zip(given, by)))
        before = function(*(x - h for x, h in zip(given, by)))
        for grad in (hb.grad(lambda *x: function(*x).sum(), argnums=place),):
            for found in (grad(*given), hb.compile(grad)(*given)):
                np.testing.assert_allclose(
                    found, (after - before) / (2 * step), rtol=2e-5, atol=1e-7
                )


def test_gradients_where_a_product_with_zero_is_left_out_are_numbers() -> None:
    zero, one = hb.asarray([0.0]), hb.asarray([2.0])
    by_x, by_y = hb.grad(lambda x, y: scipy.special.xlogy(x, y).sum(), argnums=(0, 1))(zero, one)
    np.testing.assert_allclose(by_x, np.log([2.0]), rtol=1e-6)
    np.testing.assert_allclose(by_y, [0.0])
    by_x, by_y = hb.grad(lambda x, y: scipy.special.xlogy(x, y).sum(), argnums=(0, 1))(zero, zero)
    np.testing.assert_array_equal(by_x, [0.0])
    np.testing.assert_array_equal(by_y, [0.0])


def test_numbers_beside_a_tensor_outs_and_complex_numbers_are_as_scipys() -> None:
    x = hb.asarray([0.5, 2.0], "float32")
    assert scipy.special.xlogy(x, 3.0).dtype == hb.float32
    out = np.zeros(2, np.float32)
    assert scipy.special.expit(x, out=out) is out
    np.testing.assert_allclose(out, scipy.special.expit(x.numpy()), rtol=1e-6)
    z = np.array([1.0 + 2.0j])
    np.testing.assert_array_equal(scipy.special.erf(hb.asarray(z)), scipy.special.erf(z))


def test_what_is_not_known_is_named_and_computed_by_scipy() -> None:
    x = np.array([0.5, 2.0])
    with pytest.warns(EagerFallbackWarning, match=r"scipy\.special\.j0, which is SciPy's own"):
        found = hb.compile(lambda x: scipy.special.j0(x))(x)
    np.testing.assert_array_equal(found, scipy.special.j0(x))
    with pytest.raises(GradientError, match=r"scipy\.special\.j0 is SciPy's own here"):
        hb.grad(lambda x: scipy.special.j0(x).sum())(x)
