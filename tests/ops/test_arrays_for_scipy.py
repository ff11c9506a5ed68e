"""SciPy's solvers take what hybrid's functions return, and give what they give for NumPy's."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize

import hybrid as hb

START = np.array([1.3, 0.7, 0.8, 1.9])


def rosen(x: Any) -> Any:
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


def residuals(x: Any) -> Any:
    return np.stack([x[0] * x[1] - 2.0, x[0] - 1.0, x[1] ** 2 - 4.0])


GRADIENT = hb.compile(hb.grad(rosen))
FIRST = ("CG", "BFGS", "L-BFGS-B", "TNC", "SLSQP")
SECOND = ("Newton-CG", "dogleg", "trust-ncg", "trust-krylov", "trust-exact", "trust-constr")


@pytest.mark.parametrize("method", [*FIRST, *SECOND])
def test_minimize_finds_by_gradients_of_hybrid_what_it_finds_by_scipys(method: str) -> None:
    second = {"hess": hb.compile(hb.hessian(rosen))} if method in SECOND else {}
    theirs = {"hess": scipy.optimize.rosen_hess} if method in SECOND else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # trust-constr's about its own steps
        found = scipy.optimize.minimize(
            hb.compile(rosen), START, jac=GRADIENT, method=method, **second
        )
        expected = scipy.optimize.minimize(
            scipy.optimize.rosen, START, jac=scipy.optimize.rosen_der, method=method, **theirs
        )
    assert found.success == expected.success
    np.testing.assert_allclose(found.x, expected.x, rtol=1e-5)


@pytest.mark.parametrize("method", FIRST)
def test_minimize_takes_values_and_gradients_of_one_function(method: str) -> None:
    both = hb.compile(hb.value_and_grad(rosen))
    found = scipy.optimize.minimize(both, START, jac=True, method=method)
    np.testing.assert_allclose(found.x, 1.0, rtol=1e-3)


@pytest.mark.parametrize("method", ["trf", "dogbox", "lm"])
def test_least_squares_takes_a_jacobian(method: str) -> None:
    jacobian = hb.compile(hb.jacobian(residuals))
    found = scipy.optimize.least_squares(
        hb.compile(residuals), [3.0, 3.0], jac=jacobian, method=method
    )
    np.testing.assert_allclose(found.x, [1.0, 2.0], rtol=1e-6)


@pytest.mark.parametrize("method", ["Radau", "BDF", "LSODA", "RK45"])
def test_equations_are_integrated_with_a_jacobian(method: str) -> None:
    @hb.compile
    def turn(t: Any, y: Any) -> Any:
        return np.stack([y[1], -y[0] + 0.0 * t])

    of_turn = hb.compile(lambda t, y: hb.jacobian(lambda y: turn(t, y))(y))
    more = {} if method == "RK45" else {"jac": of_turn}
    found = scipy.integrate.solve_ivp(
        turn, (0.0, 3.0), [1.0, 0.0], method=method, rtol=1e-8, atol=1e-8, **more
    )
    np.testing.assert_allclose(found.y[:, -1], [np.cos(3.0), -np.sin(3.0)], atol=1e-5)


@pytest.mark.parametrize("raised", [np.atleast_1d, np.atleast_2d])
def test_scipy_alone_gets_arrays(raised: Any) -> None:
    x = hb.asarray([1.0, 2.0])
    assert isinstance(raised(x), hb.Tensor)
    within = {"__name__": "scipy.optimize._minimize", "raised": raised, "x": x}
    of_scipy = eval("raised(x)", within)
    assert type(of_scipy) is np.ndarray
    first, second = eval("raised(x, 3.0)", within)
    np.testing.assert_array_equal(first, raised([1.0, 2.0]))
    np.testing.assert_array_equal(second, raised(3.0))


def test_what_a_tape_follows_stays_on_it() -> None:
    x = hb.asarray([1.0, 2.0])
    with hb.GradientTape() as tape:
        tape.watch(x)
        within = {"__name__": "scipy.optimize", "raised": np.atleast_1d, "x": x * 2.0}
        total = eval("raised(x)", within).sum()
    assert tape.gradient(total, x).tolist() == [2.0, 2.0]


def test_what_a_trace_computes_stays_in_it() -> None:
    @hb.compile(fullgraph=True)
    def double(x: Any) -> Any:
        return eval("raised(x)", {"__name__": "scipy", "raised": np.atleast_1d, "x": x * 2.0})

    assert double(hb.asarray(3.0)).tolist() == [6.0]
