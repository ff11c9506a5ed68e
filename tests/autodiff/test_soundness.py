"""Gradients at the points where formulas divide by zero, tie or overflow; docs/gradients.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import GradientError

INF, NAN = np.inf, np.nan
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of what is not taken
Function = Callable[..., Any]


def tensors(values: tuple[Any, ...]) -> list[hb.Tensor]:
    return [hb.asarray(np.asarray(v, dtype=np.float64)) for v in values]


def gradient(f: Function, *points: hb.Tensor) -> tuple[hb.Tensor, ...]:
    found: tuple[hb.Tensor, ...] = hb.grad(lambda *x: hb.sum(f(*x)), tuple(range(len(points))))(
        *points
    )
    return found


def assigned(x: hb.Tensor, value: hb.Tensor) -> hb.Tensor:
    y = x * 1
    y[0] = value
    y[2:] *= 2
    return y * y


# A name, the function, its arguments, the gradient by each.
CASES: list[tuple[str, Function, tuple[Any, ...], tuple[Any, ...]]] = [
    # The branch that where does not take.
    ("1/x", lambda x: hb.where(x > 0, 1 / x, 0.0), ([0.0, 2.0],), ([0, -0.25],)),
    ("log", lambda x: hb.where(x > 0, hb.log(x), x), ([0.0, -1.0, 2.0],), ([1, 1, 0.5],)),
    ("sqrt", lambda x: hb.where(x > 0, hb.sqrt(x), 0.0), ([0.0, 4.0],), ([0, 0.25],)),
    ("power", lambda x: hb.where(x > 0, x**-1.5, 0.0), ([0.0, 1.0],), ([0, -1.5],)),
    (
        "a chain of ops",
        lambda x: hb.where(x == 0, 1.0, hb.sin(x) / x * hb.log(hb.abs(x)) + 2 / x),
        ([0.0, 1.0],),
        ([0, np.sin(1) - 2],),
    ),
    (
        "where within where",
        lambda x: hb.where(x > 0, hb.where(x > 1, hb.log(x - 1), 1 / x), 0.0),
        ([0.0, 1.0, 2.0],),
        ([0, -1, 1],),
    ),
    (
        "values that broadcast",
        lambda x, y: hb.where(x > 0, y / x, 0.0),
        ([0.0, 2.0], 3.0),
        ([0, -0.75], 0.5),
    ),
    (
        "one value for several branches",
        lambda x: hb.where(x > 0, hb.sqrt(x), 0.0) + hb.where(x > 0, hb.log(x), x),
        ([0.0, 1.0],),
        ([1, 1.5],),
    ),
    (
        "then a sum along an axis",
        lambda x: hb.where(hb.sum(x, axis=1) > 0, hb.log(hb.sum(x, axis=1)), 0.0),
        ([[0.0, 0.0], [1.0, 1.0]],),
        ([[0, 0], [0.5, 0.5]],),
    ),
    # Kinks: the middle of the slopes at both sides, or 0.
    ("abs at 0", hb.abs, ([0.0, -1.0],), ([0, -1],)),
    ("sign at 0", hb.sign, ([0.0, 2.0],), ([0, 0],)),
    ("relu at 0", hb.relu, ([0.0, 1.0],), ([0, 1],)),
    ("hypot at 0", hb.hypot, (0.0, 0.0), (0, 0)),
    ("norm of zeros", hb.linalg.norm, ([0.0, 0.0],), ([0, 0],)),
    (
        "norms of rows",
        lambda x: hb.linalg.norm(x, axis=1),
        ([[0.0, 0.0], [3.0, 4.0]],),
        ([[0, 0], [0.6, 0.8]],),
    ),
    ("third norm", lambda x: hb.linalg.norm(x, ord=3), ([0.0, 0.0],), ([0, 0],)),
    ("std of a constant", hb.std, ([2.0, 2.0],), ([0, 0],)),
    ("std of one", hb.std, ([2.0],), ([0],)),
    ("var of one", hb.var, ([2.0],), ([0],)),
    ("clip at its limits", lambda x: hb.clip(x, 0.0, 1.0), ([0.0, 1.0, 2.0],), ([1, 1, 0],)),
    # Ties share equally.
    ("max", hb.max, ([2.0, 2.0, 1.0],), ([0.5, 0.5, 0],)),
    ("min", hb.min, ([1.0, 2.0, 1.0],), ([0.5, 0, 0.5],)),
    ("maximum", hb.maximum, ([1.0, 2.0], [1.0, 1.0]), ([0.5, 1], [0.5, 0])),
    (
        "max where, with an initial value",
        lambda x: np.max(x, where=hb.asarray([True, False, True]), initial=2.0),
        ([1.0, 0.0, 2.0],),
        ([0, 0, 0.5],),
    ),
    (
        "min where, with an initial value",
        lambda x: np.minimum.reduce(x, where=hb.asarray([False, True]), initial=2.0),
        ([1.0, 2.0],),
        ([0, 0.5],),
    ),
    ("sort", lambda x: hb.sort(x) * hb.arange(3.0), ([2.0, 2.0, 1.0],), ([1, 2, 0],)),
    # Infinities.
    ("logsumexp of -inf", hb.logsumexp, ([-INF, -INF],), ([0, 0],)),
    ("logsumexp with -inf", hb.logsumexp, ([-INF, 0.0],), ([0, 1],)),
    ("logaddexp of -inf", hb.logaddexp, (-INF, -INF), (0, 0)),
    ("logaddexp with -inf", hb.logaddexp, ([0.0], [-INF]), ([1], [0])),
    ("softmax with -inf", lambda x: hb.softmax(x)[1], ([-INF, 0.0, 0.0],), ([0, 0.25, -0.25],)),
    ("softplus", hb.softplus, ([1000.0, -1000.0],), ([1, 0],)),
    ("tanh", hb.tanh, ([1000.0, -1000.0],), ([0, 0],)),
    # Powers of 0.
    ("x ** 0", lambda x: x**0, ([0.0, 2.0],), ([0, 0],)),
    ("x ** 1", lambda x: x**1, ([0.0],), ([1],)),
    ("x ** 2", lambda x: x**2, ([0.0],), ([0],)),
    ("0 ** y", lambda y: 0.0**y, ([0.0, 1.0],), ([0, 0],)),
    ("x ** y", hb.pow, ([0.0, 0.0, 0.0], [0.0, 1.0, 2.0]), ([0, 1, 0], [0, 0, 0])),
    # Products with zeros.
    ("prod, one 0", hb.prod, ([2.0, 0.0, 3.0],), ([0, 6, 0],)),
    ("prod, two 0", hb.prod, ([0.0, 0.0, 3.0],), ([0, 0, 0],)),
    ("cumprod, one 0", hb.cumulative_prod, ([2.0, 0.0, 3.0],), ([1, 8, 0],)),
    ("cumprod, two 0", hb.cumulative_prod, ([0.0, 0.0, 3.0],), ([1, 0, 0],)),
    ("det, singular", hb.linalg.det, ([[1.0, 2.0], [2.0, 4.0]],), ([[4, -2], [-2, 1]],)),
    # The slope is infinite there, as the formula says.
    ("sqrt at 0", hb.sqrt, ([0.0, 4.0],), ([INF, 0.25],)),
    ("cbrt at 0", hb.cbrt, ([0.0, 1.0],), ([INF, 1 / 3],)),
    ("log at 0", hb.log, ([0.0, 2.0],), ([INF, 0.5],)),
    ("division by 0", lambda x, y: x / y, (1.0, 0.0), (INF, -INF)),
    # Values that repeat.
    ("eigenvalues", lambda x: hb.linalg.eigvalsh(x), (np.eye(3),), (np.eye(3),)),
    ("singular values", lambda x: hb.linalg.svdvals(x), (2 * np.eye(2),), (np.eye(2),)),
    # Parts: each element has the gradient of where it went.
    ("assignment", assigned, ([1.0, 2.0, 3.0], 5.0), ([0, 4, 24], 10)),
    ("concat", lambda x, y: hb.concat([y, x, y]) ** 2, ([1.0], [3.0]), ([2], [12])),
    ("broadcast", lambda x, y: x * y, ([[1.0], [2.0]], [3.0, 4.0]), ([[7], [7]], [3, 3])),
    ("det of zeros", hb.linalg.det, ([[0.0, 0.0], [0.0, 0.0]],), ([[0, 0], [0, 0]],)),
]


def checked(cases: list[Any]) -> Any:
    return pytest.mark.parametrize(
        ("f", "points", "expected"), [c[1:] for c in cases], ids=[c[0] for c in cases]
    )


@checked(CASES)
def test_the_gradient_at_a_singular_point(f: Function, points: Any, expected: Any) -> None:
    for found, wanted in zip(gradient(f, *tensors(points)), expected, strict=True):
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12, atol=1e-14)


@checked(CASES[::3])
def test_it_is_the_same_in_a_compiled_function(f: Function, points: Any, expected: Any) -> None:
    inside = hb.compile(lambda *x: gradient(f, *x))
    for found, wanted in zip(inside(*tensors(points)), expected, strict=True):
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12, atol=1e-14)


WHERE = [case for case in CASES[:9] if len(case[2]) == 1]


@checked(WHERE)
def test_second_derivatives_and_forward_mode_know_the_branch_too(
    f: Function, points: Any, expected: Any
) -> None:
    (x,) = tensors(points)
    _, tangent = hb.jvp(f, (x,), (hb.ones_like(x),))
    slope = hb.grad(lambda x: hb.sum(f(x)))
    np.testing.assert_allclose(hb.sum(tangent).item(), np.sum(expected[0]), rtol=1e-12)
    _, second = hb.jvp(slope, (x,), (hb.ones_like(x),))
    assert np.isfinite(second.numpy()).all()
    again = hb.grad(lambda x: hb.sum(slope(x)))(x)
    np.testing.assert_allclose(again.numpy(), second.numpy(), rtol=1e-12)


KINKS = {
    "hypot": lambda x: hb.hypot(x[0], x[1]),
    "norm": hb.linalg.norm,
    "norms of columns": lambda x: hb.linalg.norm(x[:, None], axis=0),
    "another norm": lambda x: hb.linalg.norm(x, ord=1.5),
    "std": hb.std,
    "nanstd": hb.nanstd,
    "std by kernels": hb.compile(hb.std),
}


@pytest.mark.parametrize("f", KINKS.values(), ids=KINKS)
def test_a_gradient_that_is_taken_as_0_has_no_slope_of_its_own(f: Function) -> None:
    """There the second derivative is infinite: 0 is a choice, a number of the formula's is none."""
    x = hb.asarray(np.zeros(2))
    slope = hb.grad(lambda x: hb.sum(f(x)))
    np.testing.assert_array_equal(slope(x).numpy(), 0)
    np.testing.assert_array_equal(hb.jacobian(slope)(x).numpy(), 0)
    np.testing.assert_array_equal(hb.jvp(slope, (x,), (hb.ones_like(x),))[1].numpy(), 0)


@pytest.mark.parametrize("x", [0.0, 1e-12, 1e-6, 0.1, 0.3, 0.4, -2.5])
def test_the_derivatives_of_sinc_are_as_accurate_near_0_as_elsewhere(x: float) -> None:
    """They are the integrals of the derivatives of ``cos(pi * x * t)`` over t from 0 to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    t, w = np.pi * (nodes + 1) / 2, weights / 2
    f, at = hb.sinc, hb.asarray(np.float64(x))
    expected = [np.cos(t * x), -t * np.sin(t * x), -t * t * np.cos(t * x), t**3 * np.sin(t * x)]
    for values in expected:
        np.testing.assert_allclose(f(at).item(), w @ values, rtol=1e-12)
        f = hb.grad(f)


@pytest.mark.parametrize("wrap", [lambda f: f, hb.compile], ids=["eager", "compiled"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_vectors_of_values_that_repeat_have_no_tangent_in_forward_mode(wrap: Any) -> None:
    x, way = hb.asarray(np.diag([1.0, 1.0, 2.0])), hb.asarray(np.ones((3, 3)))
    for f, first, last in (
        (lambda x: hb.linalg.eigh(x)[1], slice(0, 2), 2),
        (lambda x: hb.swapaxes(hb.linalg.svd(x)[2], 0, 1), slice(1, 3), 0),
    ):
        tangent = wrap(lambda x, way, f=f: hb.jvp(f, (x,), (way,))[1])(x, way).numpy()
        assert np.isnan(tangent[:, first]).any(axis=0).all()
        assert np.isfinite(tangent[:, last]).all()
        alone = hb.jvp(lambda x, f=f, last=last: f(x)[:, last], (x,), (way,))[1]
        np.testing.assert_allclose(alone.numpy(), tangent[:, last])


def test_vectors_of_values_that_repeat_have_no_derivative() -> None:
    """Any basis of their space is one of eigenvectors: a number would be wrong."""
    x = hb.asarray(np.eye(3))
    weights = hb.asarray(np.arange(9.0).reshape(3, 3))
    for vectors in (
        lambda x: hb.linalg.eigh(x)[1],
        lambda x: hb.linalg.svd(x)[0],
    ):
        (found,) = gradient(lambda x, vectors=vectors: vectors(x) * weights, x)
        assert np.isnan(found.numpy()).any()


@pytest.mark.parametrize("z", [3 + 4j, -2j, 0j])
def test_the_sign_of_a_complex_number_turns_and_does_not_grow(z: complex) -> None:
    """``sign(z) = z / abs(z)``: no slope outwards, 1 / abs(z) around; 0 at 0, as for reals."""
    point = hb.asarray(np.array(z))
    size = abs(z) or 1.0
    for direction, slope in ((z / size, 0), (1j * z / size, 1j * z / size / size)):
        _, tangent = hb.jvp(hb.sign, (point,), (hb.asarray(np.array(direction)),))
        np.testing.assert_allclose(tangent.numpy(), slope, atol=1e-14)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_integers_and_booleans_take_part_as_constants(dtype: str) -> None:
    x = hb.asarray(np.array([1.5, 2.5]))
    whole = hb.asarray(np.array([1, 1]).astype(dtype))
    for f in (lambda x: hb.sum(x * whole), hb.compile(lambda x: hb.sum(x * whole))):
        np.testing.assert_array_equal(hb.grad(f)(x).numpy(), [1, 1])
    with pytest.raises(GradientError, match=dtype):
        hb.grad(lambda n: hb.sum(n * x))(whole)


def test_where_hides_no_nan_of_the_branch_that_is_taken() -> None:
    x = hb.asarray(np.array([0.0, 1.0]))
    (found,) = gradient(lambda x: hb.where(x >= 0, hb.sqrt(x) * x - hb.sqrt(x) * x, 0.0), x)
    assert np.isnan(found.numpy()[0])  # 0 times inf, which is nobody's 0


@pytest.mark.parametrize("wrap", [lambda f: f, hb.compile], ids=["eager", "compiled"])
def test_the_branch_that_an_example_does_not_take_has_no_gradient(wrap: Any) -> None:
    def f(x: hb.Tensor) -> hb.Tensor:
        return hb.where(x > 0, hb.sqrt(x), x * x)

    x = hb.asarray(np.array([4.0, -2.0, 0.0]))
    with np.errstate(all="ignore"):
        found = wrap(hb.grad(lambda x: hb.sum(hb.vmap(f)(x))))(x)
        rows = wrap(hb.grad(lambda x: hb.sum(hb.vmap(f)(x))))(x[None])
        lanes = wrap(hb.vmap(hb.grad(f)))(x)
    for slope in (found, rows[0], lanes):
        np.testing.assert_allclose(slope.numpy(), [0.25, -4, 0])


def test_what_flows_around_a_where_is_not_masked() -> None:
    x = hb.asarray(np.array([0.0, 4.0]))

    def f(x: hb.Tensor) -> hb.Tensor:
        root = hb.sqrt(x + 1)
        return hb.where(x > 0, root, 0.0) + root

    (found,) = gradient(f, x)
    np.testing.assert_allclose(found.numpy(), [0.5, 2 / (2 * np.sqrt(5))])


@pytest.mark.parametrize("mode", ["eager", "traced"])
@pytest.mark.parametrize("part", [slice(0, 1), slice(None)], ids=["a part", "all"])
def test_a_gradient_that_is_differentiated_is_that_of_the_contents_before_a_write(
    part: slice, mode: str
) -> None:
    start = np.array([0.5, -1.0, 2.0])

    def f(y: hb.Tensor) -> hb.Tensor:
        slope = hb.grad(lambda q: (hb.sin(q) * y[-1]).sum())(y)
        with hb.GradientTape() as inner:
            inner.watch(y)
            z = hb.exp(y).sum()
        other = inner.gradient(z, y)
        y[part] += 0.25
        return slope + other

    y = hb.asarray(start.copy())
    with hb.GradientTape() as tape:
        tape.watch(y)
        total = (f if mode == "eager" else hb.compile(f))(y).sum()
    expected = np.exp(start) - np.sin(start) * start[-1]
    expected[-1] += np.cos(start).sum()
    np.testing.assert_allclose(tape.gradient(total, y), expected, rtol=1e-12)


@pytest.mark.parametrize("mode", ["eager", "traced"])
@pytest.mark.parametrize(
    "op",
    [
        hb.tanh, hb.exp, hb.sqrt, hb.sigmoid, hb.softmax, hb.logsumexp, hb.cumprod, hb.cummax,
        hb.linalg.inv, hb.linalg.cholesky, lambda x: hb.linalg.qr(x)[0],
        lambda x: hb.linalg.eigh(x)[0], lambda x: hb.max(x, axis=0), hb.reciprocal,
    ],
)  # fmt: skip
def test_a_write_to_a_part_of_a_result_leaves_the_gradient_of_the_rest(
    op: Function, mode: str
) -> None:
    start = np.array([[2.0, 0.5, 0.25], [0.5, 3.0, 0.75], [0.25, 0.75, 4.0]])

    def written(x: hb.Tensor) -> hb.Tensor:
        y = op(x)
        y.reshape(-1)[::2] *= 0.5
        return hb.sum(y * y)

    def multiplied(x: hb.Tensor) -> hb.Tensor:
        y = op(x).reshape(-1)
        y = y * hb.where(hb.arange(y.size) % 2 == 0, 0.5, 1.0)
        return hb.sum(y * y)

    found = hb.grad(written if mode == "eager" else hb.compile(written))(hb.asarray(start))
    np.testing.assert_allclose(found, hb.grad(multiplied)(hb.asarray(start)), rtol=1e-9, atol=1e-12)
