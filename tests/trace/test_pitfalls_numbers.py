"""Numbers at the edges of their types: both modes agree bit for bit, as NumPy does."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import EagerFallbackWarning
from tests.trace.agreement import agree, compiled_throughout, outcome

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
FLOATS = ["float32", "float64"]


def edges(dtype: str) -> np.ndarray:
    kind = np.dtype(dtype)
    if kind.kind == "f":
        info = np.finfo(kind)
        tiny = [info.smallest_subnormal, info.tiny, info.max, info.eps]
        values = [0.0, -0.0, np.nan, np.inf, -np.inf, 1.5, -2.5, *tiny, *(-v for v in tiny)]
        return np.array(values, kind)
    bounds = np.iinfo(kind)
    values = [0, 1, 2, 3, 7, bounds.max, bounds.max - 1, bounds.min, bounds.min + 1]
    return np.array([*values, *((-1, -3) if bounds.min else ())], kind)


def bits(x: Any) -> Any:
    array = np.asarray(x)
    quiet = np.where(np.isnan(array), np.nan, array) if array.dtype.kind == "f" else array
    return array.dtype, array.shape, quiet.tobytes()


def same_bits(function: Callable[..., Any], *arrays: np.ndarray) -> None:
    """Hold a function against itself eagerly, and where NumPy takes it, against NumPy."""
    traced = hb.compile(function)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            got, failed = outcome(traced, [hb.asarray(a.copy()) for a in arrays])
            want, expected = outcome(function, [hb.asarray(a.copy()) for a in arrays])
            assert failed is expected
            if failed is None:
                for g, w in zip(*((r if isinstance(r, tuple) else (r,)) for r in (got, want))):
                    assert bits(g)[:2] == bits(w)[:2]
                    np.testing.assert_array_equal(np.asarray(g), np.asarray(w))
                    if np.asarray(g).dtype.kind == "f":
                        known = ~np.isnan(np.asarray(g))
                        signs = [np.signbit(np.asarray(x))[known] for x in (g, w)]
                        np.testing.assert_array_equal(*signs)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: (x + y, x - y, x * y),
        lambda x, y: (x // y, x % y),
        lambda x, y: divmod(x, y),
        lambda x, y: x / y,
        lambda x, y: hb.remainder(x, y) + hb.floor_divide(x, y),
        lambda x, y: (-x, abs(x), ~x, x * x * x),
        lambda x, y: (x & y, x | y, x ^ y),
        lambda x, y: (x > y, x == y, hb.sign(x), hb.maximum(x, y)),
        lambda x, y: (x.sum(axis=0), x.prod(axis=0), hb.cumsum(x, axis=0), x.mean()),
        lambda x, y: (x // 3, x % 3, x // -1 if x.dtype.kind == "i" else x // 1),
        lambda x, y: x ** abs(y % 5),
    ],
)
def test_integers_overflow_and_divide_as_numpys(dtype: str, function: Any) -> None:
    values = edges(dtype)
    same_bits(function, values[:, None], values[None, :])


@pytest.mark.parametrize("dtype", INTEGERS)
def test_shifts_by_the_width_or_more(dtype: str) -> None:
    values = edges(dtype)
    width = np.dtype(dtype).itemsize * 8
    by = np.array([0, 1, width - 1, width, width + 1, 2 * width, 100], dtype)
    same_bits(lambda x, n: (x << n, x >> n), values[:, None], by)
    same_bits(lambda x: (x << width, x >> width, x >> (width - 1)), values)
    if np.dtype(dtype).kind == "i":
        same_bits(lambda x, n: (x << n, x >> n), values[:, None], np.array([-1, -5], dtype))


@pytest.mark.parametrize("source", FLOATS)
@pytest.mark.parametrize("target", [*INTEGERS, "bool"])
def test_casts_of_nan_infinity_and_what_is_too_large(source: str, target: str) -> None:
    same_bits(lambda x: (x.astype(target), (x * 1).astype(target)), edges(source))
    large = np.array([1e3, 1e10, 1e20, -1e3, -1e10, 3.99, -3.99, 255.5, 256, 2**31], source)
    same_bits(lambda x: (x + 0.0).astype(target), large)


@pytest.mark.parametrize("source", INTEGERS)
@pytest.mark.parametrize("target", [*INTEGERS, *FLOATS, "bool"])
def test_casts_between_integers_wrap_around(source: str, target: str) -> None:
    same_bits(lambda x: ((x + 0).astype(target), x.astype(target) * 1), edges(source))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: (x + y, x - y, x * y, x / y),
        lambda x, y: (x // y, x % y),
        lambda x, y: divmod(x, y),
        lambda x, y: (hb.fmod(x, y), hb.copysign(x, y)),
        lambda x, y: (hb.maximum(x, y), hb.minimum(x, y), hb.fmax(x, y), hb.fmin(x, y)),
        lambda x, y: (x * 0, x + 0.0, x - x, -x, 0 - x, x * -1),
        lambda x, y: (hb.floor(x), hb.ceil(x), hb.trunc(x), hb.round(x), abs(x), hb.sqrt(x)),
        lambda x, y: (x == y, x < y, x != x, hb.isnan(x), hb.isinf(x), hb.signbit(x), hb.sign(x)),
        lambda x, y: (hb.where(x < y, x, y), hb.clip(x, -1.0, 1.0), hb.nan_to_num(x)),
        lambda x, y: (x / 2, x * 0.5, x / 1, x**1, x**0),
        lambda x, y: (x.min(axis=0), x.max(axis=0), hb.hypot(x, y)),
    ],
)
def test_nan_infinities_signed_zeros_and_subnormals(dtype: str, function: Any) -> None:
    values = edges(dtype)
    same_bits(function, values[:, None], values[None, :])


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8"])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_argmax_with_ties_and_nan(dtype: str, axis: int | None) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 3, (40, 33)).astype(dtype)
    same_bits(lambda x: (hb.argmax(x, axis=axis), hb.argmin(x, axis=axis)), values)
    if np.dtype(dtype).kind == "f":
        values[rng.random(values.shape) < 0.1] = np.nan
        same_bits(lambda x: (hb.argmax(x, axis=axis), hb.argmin(x * 1, axis=axis)), values)
        same_bits(lambda x: (x.max(axis=axis), x.min(axis=axis)), values)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "bool"])
def test_sorting_is_stable_and_puts_nan_last(dtype: str) -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(0, 2, 100).astype(dtype)
    if np.dtype(dtype).kind == "f":
        values[::7], values[1::9] = np.nan, -0.0
    same_bits(lambda x: (hb.argsort(x, stable=True), hb.sort(x), hb.argsort(x)), values)
    np.testing.assert_array_equal(
        hb.compile(lambda x: hb.argsort(x, stable=True))(hb.asarray(values)).numpy(),
        np.argsort(values, stable=True),
    )


# --- Python's own numbers -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: divmod(a, b),
        lambda a, b: (a // b, a % b, a / b),
        lambda a, b: (a**b, a + b, a - b, a * b, -a, abs(a), +a),
        lambda a, b: (a < b, a == b, a >= b, a != b),
        lambda a, b: (round(a), round(a, 1), int(a), float(b)),
        lambda a, b: (max(a, b), min(a, b), sum([a, b]), sorted([a, b])),
        lambda a, b: (a if a > b else b, not a, bool(b), a and b, a or b),
        lambda a, b: [a, b, (a, {"k": a * b})],
    ],
)
@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_python_floats_compute_as_python_does(function: Any) -> None:
    pairs = [
        (7.5, 2.0),
        (-7.5, 2.0),
        (7.5, -2.0),
        (0.0, 3.0),
        (-0.0, 1.0),
        (1e300, 1e300),
        (2.0, 0.5),
    ]
    agree(function, *(lambda p=p: p for p in pairs))


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (lambda a, b: a / b, (1.0, 0.0)),
        (lambda a, b: a // b, (1.0, 0.0)),
        (lambda a, b: a % b, (1.0, 0.0)),
        (lambda a, b: divmod(a, b), (1.0, 0.0)),
        (lambda a, b: 1 / (a - b), (1.0, 1.0)),
        (lambda a, b: a**b, (0.0, -1.0)),
        (lambda a, b: a**b, (10.0, 1000.0)),
        (lambda a, b: a**b, (-8.0, 1 / 3)),
    ],
)
@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_python_floats_raise_as_python_does(function: Any, arguments: tuple[float, ...]) -> None:
    agree(function, lambda: (7.0, 2.0), lambda: arguments, lambda: (9.0, 3.0))


def test_an_error_of_pythons_arithmetic_can_be_caught() -> None:
    def f(x: hb.Tensor, a: float, b: float) -> Any:
        try:
            ratio = a / b
        except ZeroDivisionError:
            return x * 0
        return x * ratio

    with compiled_throughout():
        agree(f, lambda: (hb.ones(2), 1.0, 4.0), lambda: (hb.ones(2), 1.0, 0.0))
    whole = hb.compile(lambda a, b: a / b, fullgraph=True)
    assert whole(1.0, 4.0) == 0.25
    with pytest.raises(ZeroDivisionError):
        whole(1.0, 0.0)
    power = hb.compile(lambda a, b: a**b, fullgraph=True)
    assert power(2.0, 3.0) == 8.0
    with pytest.raises(OverflowError):
        power(10.0, 1000.0)
    with pytest.warns(hb.errors.EagerFallbackWarning, match="this time: .* came to DTypeError"):
        assert power(-8.0, 0.5) == (-8.0) ** 0.5  # a complex number


def test_minus_zero_and_nan_outside_are_not_taken_for_others() -> None:
    state = {"k": 0.0}
    f = hb.compile(lambda x: hb.copysign(x, x * 0 + state["k"]) * state["k"])
    for k in (0.0, -0.0, 0.0, 1.0, -0.0):
        state["k"] = k
        got, want = f(hb.ones(2)), f.__wrapped__(hb.ones(2))
        np.testing.assert_array_equal(np.signbit(got.numpy()), np.signbit(want.numpy()))
    state["k"] = float("nan")
    f(hb.ones(2))
    before = f.cache_info().misses
    state["k"] = float("nan")
    f(hb.ones(2))
    assert f.cache_info().misses == before


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(lambda x, h: x + h**2 / 4 - x * (1 / h), id="an argument"),
        pytest.param(lambda x, h: x + (h * 2) ** 2 / 16 - x * (1 / (2 * h - h)), id="a result"),
    ],
)
def test_a_number_is_asked_once_whether_python_would_raise(
    step: Callable[[hb.Tensor, float], hb.Tensor],
) -> None:
    """Each question ends a segment: 200 of them were too many, and the function ran eagerly."""

    @hb.compile
    def steps(x: hb.Tensor, h: float) -> hb.Tensor:
        for _ in range(200):
            x = step(x, h)
        return x

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steps(hb.ones(3), 2.0)
        assert "in 3 segments" in str(steps.explain())
        np.testing.assert_allclose(steps(hb.ones(3), 4.0).numpy(), 16, rtol=1e-6)
    with pytest.raises(OverflowError):
        steps(hb.ones(3), 1e200)
    with pytest.raises(ZeroDivisionError):
        steps(hb.ones(3), 0.0)


def _copied(x: Any, r: Any) -> Any:
    x = x.copy()
    np.copyto(x, r, where=np.asarray([True, False, True, False]))
    return x


PUT_INTO: dict[str, Callable[[Any, Any], Any]] = {
    "at": lambda x, r: x.at[1].set(r),
    "at several": lambda x, r: x.at[[0, 2]].set(r),
    "copyto": _copied,
    "initial of max": lambda x, r: np.max(x, initial=r),
    "initial of sum": lambda x, r: np.sum(x, initial=r),
    "initial of reduce": lambda x, r: np.multiply.reduce(x, initial=r),
    "full": lambda x, r: np.full(3, r, dtype=x.dtype),
    "full of hybrid": lambda x, r: hb.full(3, r, dtype=x.dtype),
    "full_like": lambda x, r: np.full_like(x, r),
    "asarray": lambda x, r: np.asarray(r, dtype="uint8"),
    "asarray of hybrid": lambda x, r: hb.asarray(r, dtype="uint8"),
    "array of a list": lambda x, r: np.array([[r], [2]], dtype="uint8"),
}


@pytest.mark.parametrize("name", PUT_INTO)
def test_what_an_integer_dtype_cannot_hold_is_the_error_of_eager_code(name: str) -> None:
    traced = hb.compile(PUT_INTO[name])
    x = np.arange(4, dtype="uint8")
    for r in (2.0, -1.0, 300.0, 3.0, float("nan"), 2, -1, 300, 3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EagerFallbackWarning)
            found, failed = outcome(traced, (hb.asarray(x), r))
        expected, raised = outcome(PUT_INTO[name], (hb.asarray(x), r))
        assert failed is raised
        if raised is None:
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def test_a_float_that_fits_an_integer_dtype_stays_in_the_graph() -> None:
    def function(x: Any, r: float) -> Any:
        x = x + hb.asarray(r, "int32")
        x = x.at[1].set(r)
        x[0] += x[1]
        return x

    traced = hb.compile(function)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for r in (2.0, -3.5, 7.25):
            np.testing.assert_array_equal(traced(hb.asarray([1, 2]), r), [1 + 2 * int(r), int(r)])
    assert traced.cache_info().misses == 1
