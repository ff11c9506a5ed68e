"""Gradients beyond what the registry's examples say: complex ones, equal values, singular ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from tests.ops.agreement import slopes

L = hb.linalg
rng = np.random.default_rng(0)


def gradient(f: Callable[..., Any], *points: np.ndarray) -> list[np.ndarray]:
    tensors = [hb.asarray(p.copy()) for p in points]
    with hb.GradientTape() as tape:
        tape.watch(tensors)
        y = f(*tensors)
    return [g.numpy() for g in tape.gradient(y, tensors, unconnected_gradients="zero")]


def complex_normal(*shape: int) -> np.ndarray:
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


W = complex_normal(3, 3)


def weigh(x: Any) -> Any:
    return hb.real((x * W[: x.shape[-2], : x.shape[-1]]).sum())


def definite(x: Any) -> Any:
    return x @ hb.conj(x).mT + np.eye(x.shape[-2])


REAL_VALUED: dict[str, Callable[..., Any]] = {
    "inv": lambda x: weigh(L.inv(x)),
    "det": lambda x: hb.real(L.det(x) * (2 - 1j)),
    "logabsdet": lambda x: L.slogdet(x).logabsdet,
    "sign": lambda x: hb.real(L.slogdet(x).sign * (2 - 1j)),
    "solve": lambda x: weigh(L.solve(x, W)) + weigh(L.solve(W, x)),
    "solve_triangular": lambda x: weigh(L.solve_triangular(x, W, "C", lower=True)),
    "cholesky": lambda x: weigh(L.cholesky(definite(x))),
    "cholesky upper": lambda x: weigh(L.cholesky(definite(x), upper=True)),
    "eigvalsh": lambda x: (L.eigvalsh(x + hb.conj(x).mT) * np.array([1.0, -2, 3])).sum(),
    "eigh": lambda x: (
        (hb.abs(weigh_columns(L.eigh(x + hb.conj(x).mT).eigenvectors)) ** 2) * np.arange(3.0)
    ).sum(),
    "svdvals": lambda x: (L.svdvals(x) * np.array([1.0, -2, 3])).sum(),
    "svd": lambda x: invariant_of_svd(x),
    "svd, tall": lambda x: invariant_of_svd(x[:, :2]),
    "svd, wide": lambda x: invariant_of_svd(x[:2]),
    "qr": lambda x: invariant_of_qr(x),
    "qr, tall": lambda x: invariant_of_qr(x[:, :2]),
    "qr, wide": lambda x: invariant_of_qr(x[:2]),
    "pinv, tall": lambda x: weigh(L.pinv(x[:, :2])),
    "pinv, wide": lambda x: weigh(L.pinv(x[:2])),
    "lstsq": lambda x: (
        hb.real((L.lstsq(x[:, :2], x[:, 2]).x * W[0, :2]).sum())
        + L.lstsq(x[:, :2], x[:, 2]).residuals.sum()
        + L.lstsq(x[:, :2], x[:, 2]).s[0]
    ),
    "expm": lambda x: weigh(L.expm(x / 3)),
    "matrix_power": lambda x: weigh(L.matrix_power(x, -2)),
    "norm": lambda x: L.norm(x, "nuc") + L.norm(x, 2) + L.norm(x),
    "cross": lambda x: weigh(L.cross(x, W)),
    "trace": lambda x: hb.real(L.trace(x @ W, offset=1)),
    "vdot": lambda x: hb.real(hb.vdot(x, W) + hb.vecdot(x, x).sum() + hb.inner(x, W).sum()),
}


def weigh_columns(vectors: Any) -> Any:
    return (vectors * W[:, :1]).sum(axis=0)


def invariant_of_svd(x: Any) -> Any:
    """A function that does not depend on the phases: U diag(f(S)) Vh, and parts of it."""
    u, s, vh = L.svd(x, full_matrices=False)
    return weigh((u * hb.sin(s)) @ vh) + hb.abs((u[:, 0] * W[: x.shape[0], 0]).sum()) ** 2


def invariant_of_qr(x: Any) -> Any:
    q, r = L.qr(x)
    return weigh(1j * hb.sin(hb.abs(q))) + (hb.abs(r) ** 3).sum()


@pytest.mark.parametrize("name", REAL_VALUED)
def test_complex_gradients_are_those_of_differences(name: str):
    f, x = REAL_VALUED[name], complex_normal(3, 3)
    (found,) = gradient(f, x)
    np.testing.assert_allclose(found, slopes(f, x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [n for n in REAL_VALUED if "lstsq" not in n])
def test_complex_second_derivatives_are_differences_of_the_first(name: str):
    f, x = REAL_VALUED[name], complex_normal(2, 3) if "wide" in name else complex_normal(3, 3)

    def slope(t: Any) -> Any:
        t = hb.asarray(t)
        with hb.GradientTape() as tape:
            tape.watch(t)
            y = f(t)
        return hb.real((tape.gradient(y, t) * W[: t.shape[0]]).sum())

    (found,) = gradient(slope, x)
    np.testing.assert_allclose(found, slopes(slope, x), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", ["inv", "eigh", "svd", "qr, tall", "cholesky", "pinv, tall"])
def test_gradients_of_compiled_functions_are_eager_ones(name: str):
    f, x = REAL_VALUED[name], complex_normal(3, 3)
    (expected,) = gradient(f, x)
    np.testing.assert_allclose(gradient(hb.compile(f), x)[0], expected, rtol=1e-9, atol=1e-9)

    @hb.compile
    def inside(t: Any) -> Any:
        with hb.GradientTape() as tape:
            tape.watch(t)
            y = f(t)
        return tape.gradient(y, t)

    np.testing.assert_allclose(inside(x).numpy(), expected, rtol=1e-9, atol=1e-9)


# --- equal eigenvalues ----------------------------------------------------------------------------

EQUAL = np.diag([1.0, 1.0, 2.0])


def test_what_is_well_defined_at_equal_eigenvalues_is_finite_and_right():
    symmetric = lambda x: (x + x.mT) / 2
    total = lambda x: (L.eigvalsh(symmetric(x)) ** 2).sum()
    np.testing.assert_allclose(gradient(total, EQUAL)[0], 2 * EQUAL)
    apart = lambda x: (L.eigh(symmetric(x)).eigenvectors[:, 2] ** 2 * np.array([1.0, 2, 3])).sum()
    np.testing.assert_allclose(gradient(apart, EQUAL)[0], 0, atol=1e-12)
    alone = lambda x: L.eigh(symmetric(x)).eigenvectors[0, 2]
    expected = np.zeros((3, 3))
    expected[0, 2] = expected[2, 0] = 0.5 * np.sign(np.linalg.eigh(EQUAL)[1][2, 2])
    np.testing.assert_allclose(gradient(alone, EQUAL)[0], expected)
    np.testing.assert_allclose(gradient(lambda x: L.norm(x, "nuc"), EQUAL)[0], np.eye(3))
    first = lambda x: L.svd(x).U[:, 0] @ np.array([1.0, 2, 3])
    assert np.isfinite(gradient(first, EQUAL)[0]).all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_not_defined_at_equal_eigenvalues_is_no_number():
    turned = lambda x: L.eigh(x).eigenvectors[0, 0]
    assert not np.isfinite(gradient(turned, EQUAL + 0.0)[0]).all()
    assert not np.isfinite(gradient(lambda x: L.svd(x).U[0, 1], EQUAL)[0]).all()
    through_vectors = lambda x: (hb.exp(L.eigh(x)[0])[None] * L.eigh(x)[1] @ L.eigh(x)[1].mT)[0, 1]
    assert not np.isfinite(gradient(through_vectors, EQUAL)[0]).all()


def test_the_exponential_has_a_gradient_where_eigenvalues_are_equal():
    (found,) = gradient(lambda x: L.expm(x)[0, 1], np.zeros((3, 3)))
    np.testing.assert_allclose(found, np.eye(3)[:, [0]] @ np.eye(3)[[1]])


# --- singular matrices ----------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_the_determinant_of_a_singular_matrix_has_a_gradient(rank: int):
    x = rng.normal(size=(3, rank)) @ rng.normal(size=(rank, 3))
    (found,) = gradient(L.det, x)
    cofactors = [
        [(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(x, i, 0), j, 1)) for j in range(3)]
        for i in range(3)
    ]
    np.testing.assert_allclose(found, cofactors, atol=1e-12)


def test_pinv_of_constant_rank_has_the_gradient_along_it():
    low = lambda a, b: L.pinv(a @ b)
    a, b = rng.normal(size=(4, 2)), rng.normal(size=(2, 3))
    weights = rng.normal(size=(3, 4))
    f = lambda a, b: (low(a, b) * weights).sum()
    for i, found in enumerate(gradient(f, a, b)):
        moved = lambda x, i=i: f(x.real, b) if i == 0 else f(a, x.real)
        np.testing.assert_allclose(found, slopes(moved, (a, b)[i]).real, rtol=1e-4, atol=1e-5)


def test_vectors_that_only_fill_up_have_no_gradient():
    x = rng.normal(size=(4, 2))
    with pytest.raises(hb.errors.GradientError, match="full_matrices=False"):
        gradient(lambda t: L.svd(t).U.sum(), x)
    with pytest.raises(hb.errors.GradientError, match="mode='reduced'"):
        gradient(lambda t: L.qr(t, mode="complete").Q.sum(), x)
    np.testing.assert_allclose(
        gradient(lambda t: L.svd(t).S.sum(), x)[0], gradient(lambda t: L.svdvals(t).sum(), x)[0]
    )
