"""Functions of matrices agree with NumPy and SciPy over shapes, dtypes and strides."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import array_api_strict
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

import hybrid as hb

pytestmark = pytest.mark.filterwarnings("ignore::hybrid.errors.RetraceWarning")

KINDS = ("float32", "float64", "complex64", "complex128", "int64")
BATCHES = ((), (2,), (0,), (2, 1))


@dataclass(frozen=True)
class Case:
    """A function, what it must equal, and the arrays that it takes, made of any matrix."""

    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    prepare: Callable[[np.ndarray], tuple[np.ndarray, ...]] = lambda x: (x,)
    square: bool = False


def regular(x: np.ndarray, *rest: np.ndarray) -> tuple[np.ndarray, ...]:
    return (x + (8 * np.eye(x.shape[-1])).astype(x.dtype), *rest)


def definite(x: np.ndarray) -> tuple[np.ndarray, ...]:
    return (x @ x.mT.conj() + np.eye(x.shape[-1], dtype=x.dtype),)


def symmetric(x: np.ndarray) -> tuple[np.ndarray, ...]:
    return (x + x.mT.conj(),)


def with_columns(x: np.ndarray) -> tuple[np.ndarray, ...]:
    return regular(x, x[..., :2] + 1)


L, N = hb.linalg, np.linalg
CASES = {
    "cholesky": Case(L.cholesky, N.cholesky, definite, square=True),
    "cholesky upper": Case(
        lambda x: L.cholesky(x, upper=True),
        lambda x: N.cholesky(x, upper=True),
        definite,
        square=True,
    ),
    "eigh": Case(L.eigh, N.eigh, symmetric, square=True),
    "eigvalsh": Case(L.eigvalsh, N.eigvalsh, symmetric, square=True),
    "inv": Case(L.inv, N.inv, regular, square=True),
    "det": Case(L.det, N.det, regular, square=True),
    "slogdet": Case(L.slogdet, N.slogdet, regular, square=True),
    "solve": Case(L.solve, N.solve, with_columns, square=True),
    "qr": Case(L.qr, N.qr),
    "qr complete": Case(lambda x: L.qr(x, mode="complete"), lambda x: N.qr(x, mode="complete")),
    "svd": Case(L.svd, N.svd),
    "svd thin": Case(
        lambda x: L.svd(x, full_matrices=False), lambda x: N.svd(x, full_matrices=False)
    ),
    "svdvals": Case(L.svdvals, N.svdvals),
    "pinv": Case(L.pinv, lambda x: N.pinv(x * 1.0, rtol=None)),
    "matrix_rank": Case(L.matrix_rank, N.matrix_rank),
    "matrix_power": Case(
        lambda x: L.matrix_power(x, 5), lambda x: N.matrix_power(x, 5), regular, square=True
    ),
    "matrix_power to 0": Case(
        lambda x: L.matrix_power(x, 0), lambda x: N.matrix_power(x, 0), square=True
    ),
    "inverse power": Case(
        lambda x: L.matrix_power(x, -3), lambda x: N.matrix_power(x, -3), regular, square=True
    ),
    "diagonal": Case(lambda x: L.diagonal(x, offset=1), lambda x: N.diagonal(x, offset=1)),
    "trace": Case(lambda x: L.trace(x, offset=-1), lambda x: N.trace(x, offset=-1)),
    "matrix_transpose": Case(L.matrix_transpose, N.matrix_transpose),
    "expm": Case(L.expm, scipy.linalg.expm, lambda x: (x / 4,), square=True),
}


@st.composite
def matrices(draw: Any, square: bool) -> np.ndarray:
    kind = draw(st.sampled_from(KINDS))
    m, n = draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))
    shape = (*draw(st.sampled_from(BATCHES)), m, m if square else n)
    rng = np.random.default_rng(draw(st.integers(0, 5)))
    base = 2 * rng.normal(size=[2 * size for size in shape])
    if kind[0] == "c":
        base = base + 1j * rng.normal(size=base.shape)
    x = base.astype(kind)
    if draw(st.booleans()):  # neither order is contiguous
        return x[(slice(None, None, -2),) * x.ndim]
    return np.ascontiguousarray(x[(slice(None, None, 2),) * x.ndim])


def agrees(found: Any, expected: Any) -> None:
    if isinstance(expected, tuple):
        assert found._fields == expected._fields
        for a, b in zip(found, expected, strict=True):
            agrees(a, b)
        return
    expected = np.asarray(expected)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    single = expected.dtype.name in ("float32", "complex64")
    tolerance = 1e-3 if single else 1e-9
    np.testing.assert_allclose(found.numpy(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_eager_is_numpys(name: str):
    case = CASES[name]

    @given(matrices(case.square))
    def check(x: np.ndarray) -> None:
        arrays = case.prepare(x)
        if name == "expm" and x.dtype.kind == "i":
            arrays = (arrays[0].astype("float64"),)
        agrees(case.ours(*arrays), case.theirs(*arrays))

    check()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", ["float32", "complex128"])
def test_traced_is_eager(name: str, kind: str):
    case = CASES[name]
    rng = np.random.default_rng(3)
    x = (
        rng.normal(size=(2, 3, 3)) + (1j * rng.normal(size=(2, 3, 3)) if kind[0] == "c" else 0)
    ).astype(kind)
    arrays = case.prepare(x)
    eager = case.ours(*arrays)
    traced = hb.compile(lambda *xs: case.ours(*xs), fullgraph=True)(*arrays)
    assert type(traced) is type(eager)
    for a, b in zip(*((r if isinstance(r, tuple) else (r,)) for r in (traced, eager)), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [n for n in CASES if hasattr(np.linalg, n)])
def test_numpys_functions_of_tensors_are_these(name: str):
    case = CASES[name]
    arrays = case.prepare(np.random.default_rng(4).normal(size=(2, 3, 3)))
    call = np.linalg.pinv if name == "pinv" else case.theirs
    found = call(*map(hb.asarray, arrays))
    assert all(isinstance(x, hb.Tensor) for x in (found if isinstance(found, tuple) else (found,)))
    agrees(found, call(*arrays))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.linalg.svd(x, compute_uv=False),
        lambda x: np.linalg.svd(x, False),
        lambda x: np.linalg.eigh(x, UPLO="U").eigenvalues,
        lambda x: np.abs(np.linalg.eigh(x, UPLO="U").eigenvectors),
        lambda x: np.linalg.eigvalsh(x, "U"),
        lambda x: np.linalg.qr(x, mode="r"),
        lambda x: np.linalg.qr(x, "complete"),
        lambda x: np.linalg.matrix_rank(x[0, 0]),
        lambda x: np.linalg.norm(x, axis=-1),
        lambda x: np.linalg.matrix_power(x, 3),
    ],
)
def test_what_only_numpy_says_is_understood_and_traced(call: Callable[..., Any]):
    x = np.random.default_rng(4).normal(size=(2, 3, 3)) * (1 + 1j)
    expected = call(x)
    agrees(call(hb.asarray(x)), expected if isinstance(expected, tuple) else np.asarray(expected))
    hb.compile(lambda t: call(t), fullgraph=True)(x)


@pytest.mark.parametrize("name", array_api_strict.linalg.__all__)
def test_the_extension_is_complete(name: str):
    """Every name of the standard is there and takes the standard's arguments."""
    ours = inspect.signature(getattr(hb.linalg, name)).parameters
    for parameter in inspect.signature(getattr(array_api_strict.linalg, name)).parameters.values():
        if parameter.kind is parameter.POSITIONAL_ONLY:
            continue
        assert parameter.name in ours, f"{name} lacks {parameter.name}"
        assert ours[parameter.name].default == parameter.default
    positional = [
        sum(p.kind is p.POSITIONAL_ONLY for p in inspect.signature(f).parameters.values())
        for f in (getattr(hb.linalg, name), getattr(array_api_strict.linalg, name))
    ]
    assert positional[0] == positional[1]


# --- what the factors are -------------------------------------------------------------------------


@given(matrices(square=False))
def test_the_factors_multiply_to_the_matrix(x: np.ndarray):
    q, r = hb.linalg.qr(x)
    u, s, vh = hb.linalg.svd(x, full_matrices=False)
    close = dict(rtol=1e-4, atol=1e-4) if x.dtype.itemsize == 4 or x.dtype == "complex64" else {}
    close = close or dict(rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose((q @ r).numpy(), x, **close)
    np.testing.assert_allclose(((u * s[..., None, :]) @ vh).numpy(), x, **close)
    identity = np.broadcast_to(np.eye(q.shape[-1]), (*x.shape[:-2], *(q.shape[-1],) * 2))
    np.testing.assert_allclose((q.mT.conj() @ q).numpy(), identity, **close)
    np.testing.assert_allclose((u.mT.conj() @ u).numpy(), identity, **close)
    assert np.array_equal(hb.triu(r).numpy(), r.numpy())
    assert (s[..., 1:] <= s[..., :-1]).numpy().all()


@given(matrices(square=True))
def test_eigenvectors_are_stretched_by_their_eigenvalues(x: np.ndarray):
    (x,) = symmetric(x)
    values, vectors = hb.linalg.eigh(x)
    np.testing.assert_allclose(
        (hb.asarray(x) @ vectors).numpy(), (vectors * values[..., None, :]).numpy(), atol=1e-4
    )


# --- the ones that NumPy does not have in stacks --------------------------------------------------


@given(
    st.sampled_from(
        [
            ((3, 3), (3,)),
            ((3, 3), (3, 2)),
            ((2, 3, 3), (2, 3, 1)),
            ((2, 1, 2, 2), (3, 2, 0)),
            ((0, 0), (0, 2)),
        ]
    ),
    st.sampled_from(KINDS),
    st.sampled_from([0, 1, 2, "N", "T", "C"]),
    st.booleans(),
    st.booleans(),
)
def test_solve_triangular_solves(shapes: Any, kind: str, trans: Any, lower: bool, unit: bool):
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=s) * (1 + (1j if kind[0] == "c" else 0)) for s in shapes)
    (a, b) = (x.astype(kind) for x in regular(a, b))
    triangle = np.tril(a) if lower else np.triu(a)
    if unit:
        triangle[..., range(a.shape[-1]), range(a.shape[-1])] = 1
    matrix = triangle if trans in (0, "N") else triangle.mT
    matrix = matrix.conj() if trans in (2, "C") else matrix
    found = hb.linalg.solve_triangular(a, b, trans=trans, lower=lower, unit_diagonal=unit)
    agrees(found, np.linalg.solve(matrix, b))


@pytest.mark.parametrize(
    "shapes", [((4, 2), (4,)), ((4, 2), (4, 3)), ((2, 3), (2, 1)), ((3, 3), (3,))]
)
@pytest.mark.parametrize("kind", KINDS)
def test_lstsq_is_numpys(shapes: Any, kind: str):
    rng = np.random.default_rng(0)
    a, b = ((4 * rng.normal(size=s)).astype(kind) for s in shapes)
    expected = np.linalg.lstsq(a, b)
    for found in (hb.linalg.lstsq(a, b), hb.compile(hb.linalg.lstsq)(a, b)):
        for ours, theirs in zip(found, expected, strict=True):
            agrees(ours, np.asarray(theirs, ours.dtype))


def test_lstsq_of_a_lower_rank_has_residuals():
    a, b = np.ones((3, 2)), np.array([1.0, 2.0, 6.0])
    found = hb.linalg.lstsq(a, b)
    np.testing.assert_allclose(found.x.numpy(), [1.5, 1.5])
    np.testing.assert_allclose(found.residuals.numpy(), [14])
    assert found.rank.item() == 1


@given(st.lists(st.integers(1, 4), min_size=3, max_size=6), st.booleans(), st.booleans())
def test_multi_dot_is_numpys(sizes: list[int], row: bool, column: bool):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape) for shape in pairwise(sizes)]
    arrays[0] = arrays[0][0] if row else arrays[0]
    arrays[-1] = arrays[-1][:, 0] if column else arrays[-1]
    expected = np.linalg.multi_dot(arrays)
    agrees(hb.linalg.multi_dot(arrays), expected)
    agrees(np.linalg.multi_dot([hb.asarray(x) for x in arrays]), expected)


@pytest.mark.parametrize(
    ("shapes", "axis"),
    [(((3,), (3,)), -1), (((2, 3), (3,)), -1), (((3, 2), (3, 1)), -2), (((3, 2), (3, 2)), 0)],
)
def test_cross_is_numpys(shapes: Any, axis: int):
    a, b = (np.random.default_rng(0).normal(size=s) for s in shapes)
    expected = np.linalg.cross(a, b, axis=axis)
    agrees(hb.linalg.cross(a, b, axis=axis), expected)
    agrees(np.linalg.cross(hb.asarray(a), b, axis=axis), expected)


def test_rtol_decides_the_rank_matrix_by_matrix():
    x = np.stack([np.diag([1.0, 0.1]), np.diag([1.0, 0.1])])
    rtol = np.array([0.5, 0.01])
    agrees(hb.linalg.matrix_rank(x, rtol=rtol), np.array([1, 2]))
    agrees(hb.linalg.pinv(x, rtol=rtol), np.linalg.pinv(x, rtol=rtol))
    agrees(hb.compile(lambda t: hb.linalg.pinv(t, rtol=0.5))(x), np.linalg.pinv(x, rtol=0.5))


def test_a_diagonal_is_a_view_in_both_modes():
    def f(x):
        d = hb.diagonal(x, offset=1)
        d *= 2
        x.diagonal()[:] = 7
        return d

    one, two = (hb.asarray(np.arange(9.0).reshape(3, 3)) for _ in range(2))
    first, second = f(one), hb.compile(f)(two)
    np.testing.assert_array_equal(first.numpy(), [2, 10])
    np.testing.assert_array_equal(second.numpy(), [2, 10])
    np.testing.assert_array_equal(one.numpy(), [[7, 2, 2], [3, 7, 10], [6, 7, 7]])
    np.testing.assert_array_equal(two.numpy(), one.numpy())


@pytest.mark.parametrize("wrap", [lambda f: f, hb.compile], ids=["eager", "compiled"])
@pytest.mark.parametrize(
    ("a", "b", "axes"),
    [((2, 3, 6), (2, 3), None), ((6, 2, 3), (2, 3), (0,)), ((2, 3, 3, 2), (3, 2), (1, 0))],
)
def test_tensorsolve_is_numpys(wrap: Any, a: Any, b: Any, axes: Any) -> None:
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=a), rng.normal(size=b)
    expected = np.linalg.tensorsolve(left, right, axes)
    for module in (np, hb):
        solve = wrap(lambda x, y, of=module: of.linalg.tensorsolve(x, y, axes))
        found = solve(hb.asarray(left), hb.asarray(right))
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("wrap", [lambda f: f, hb.compile], ids=["eager", "compiled"])
@pytest.mark.parametrize(("shape", "ind"), [((4, 6, 8, 3), 2), ((24, 8, 3), 1)])
def test_tensorinv_is_numpys(wrap: Any, shape: Any, ind: int) -> None:
    a = np.random.default_rng(0).normal(size=shape)
    for module in (np, hb):
        inverse = wrap(lambda x, of=module: of.linalg.tensorinv(x, ind=ind))
        expected = np.linalg.tensorinv(a, ind=ind)
        np.testing.assert_allclose(inverse(hb.asarray(a)).numpy(), expected, rtol=1e-8, atol=1e-10)


def test_systems_of_tensors_that_are_not_square_say_what_they_are() -> None:
    with pytest.raises(hb.linalg.LinAlgError, match=r"\(2, 3\).* 2 rows .* 3 columns"):
        hb.linalg.tensorinv(hb.ones((2, 3)), ind=1)
    with pytest.raises(hb.linalg.LinAlgError, match=r"4 rows .* 3 columns"):
        hb.linalg.tensorsolve(hb.ones((4, 3)), hb.ones(4))
    with pytest.raises(ValueError, match="positive"):
        hb.linalg.tensorinv(hb.ones((2, 2)), ind=0)
