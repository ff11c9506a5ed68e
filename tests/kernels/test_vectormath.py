"""Law: every vector math function is within a few ULP of the exact value, everywhere.

Arguments are drawn over all bit patterns, over moderate magnitudes, densely inside each
function's interesting interval, and around its edges; special values are always there. float32
results are compared with float64 references of NumPy and SciPy, float64 results with mpmath.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from functools import cache
from typing import Any
from unittest import mock

import mpmath
import numpy as np
import pytest

import hybrid as hb
from benchmarks import vectormath as speeds
from hybrid.kernels import build, entry, machine, native, vectormath, wide

Array = np.ndarray[Any, Any]

# NumPy's references overflow and divide by zero where they should.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

# The stated bounds, in ULP of the exact value: (float32, float64). Half a ULP is rounding.
BOUNDS = {
    "acos": (0.6, 0.8),
    "acosh": (2.2, 2.2),
    "asin": (0.65, 0.8),
    "asinh": (1.0, 1.0),
    "atan": (1.2, 1.1),
    "atan2": (1.7, 1.8),
    "atanh": (2.1, 2.0),
    "cbrt": (0.6, 0.6),
    "cos": (1.7, 0.9),
    "cosh": (1.5, 1.4),
    "erf": (1.0, 1.0),
    "erfc": (0.6, 2.8),
    "exp": (1.0, 1.0),
    "exp2": (1.0, 1.0),
    "expm1": (1.0, 1.0),
    "hypot": (0.6, 0.6),
    "log": (1.0, 1.0),
    "log10": (0.9, 1.0),
    "log1p": (1.0, 1.0),
    "log2": (0.9, 1.0),
    "logaddexp": (0.6, 1.5),
    "pow": (0.6, 1.2),
    "rsqrt": (0.6, 0.6),
    "sigmoid": (2.4, 2.5),
    "sin": (1.7, 0.9),
    "sinh": (1.6, 1.5),
    "sqrt": (0.5, 0.5),
    "tan": (3.4, 2.5),
    "tanh": (2.6, 2.7),
}

# Where the result is neither trivial nor out of range: (float32, float64).
INTERVALS = {
    "acos": ((-1, 1), (-1, 1)),
    "acosh": ((1, 3), (1, 3)),
    "asin": ((-1, 1), (-1, 1)),
    "atanh": ((-1, 1), (-1, 1)),
    "cosh": ((-90, 90), (-711, 711)),
    "erf": ((-4.1, 4.1), (-6.1, 6.1)),
    "erfc": ((-4.1, 10.3), (-6, 27.4)),
    "exp": ((-105, 90), (-746, 711)),
    "exp2": ((-151, 129), (-1077, 1025)),
    "expm1": ((-20, 90), (-40, 711)),
    "log": ((0.5, 2), (0.5, 2)),
    "log10": ((0.5, 2), (0.5, 2)),
    "log1p": ((-1, 2), (-1, 2)),
    "log2": ((0.5, 2), (0.5, 2)),
    "sigmoid": ((-105, 20), (-746, 40)),
    "sinh": ((-90, 90), (-711, 711)),
    "tanh": ((-10, 10), (-20, 20)),
}


def _sigmoid_exact(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


def _logaddexp_exact(x: Any, y: Any) -> Any:
    return max(x, y) + mpmath.log1p(mpmath.exp(-abs(x - y)))


EXACT: dict[str, Callable[..., Any]] = {
    "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
    "exp2": lambda x: mpmath.power(2, x),
    "log2": lambda x: mpmath.log(x, 2),
    "logaddexp": _logaddexp_exact,
    "pow": mpmath.power,
    "rsqrt": lambda x: 1 / mpmath.sqrt(x),
    "sigmoid": _sigmoid_exact,
}


def numpy_reference(name: str, arguments: tuple[Array, ...]) -> Array:
    out = np.empty_like(arguments[0])
    speeds.by_numpy(name)(*arguments, out=out)
    return out


def exact(name: str, arguments: tuple[float, ...]) -> Any:
    """The value to 60 digits or more, or None where there is no real one."""
    huge = name in {"sin", "cos", "tan"} and abs(arguments[0]) > 1e5
    function = EXACT.get(name) or getattr(mpmath, name)
    with mpmath.workdps(400 if huge else 60):
        try:
            value = function(*map(mpmath.mpf, arguments))
        except (ValueError, ZeroDivisionError, OverflowError):
            return None
        return value if isinstance(value, mpmath.mpf) else None


@cache
def compiled(name: str, dtype: Any) -> Callable[..., None]:
    return speeds.by_kernel(name, np.dtype(dtype).name)


def apply(name: str, arguments: tuple[Array, ...]) -> Array:
    out = np.empty_like(arguments[0])
    compiled(name, out.dtype)(*arguments, out)
    return out


def portable(name: str, dtype: str) -> Callable[..., None]:
    """The kernel as it is for a processor without vectors of which anything is known."""
    no = mock.Mock(return_value=False)
    return without(name, dtype, available=no, branches=no, reads_tables=no)


def without(name: str, dtype: str, **off: mock.Mock) -> Callable[..., None]:
    source = speeds.source(name, dtype)
    with mock.patch.multiple(wide, **off):
        code = build.build(source)
    address = native.load_object(code)
    runs = [address(f"{phase}_run") for phase in source.phases]
    call = entry.callable_of(source.name, source.arrays, runs)
    return lambda *arrays: call(0, np.array([0, 0, arrays[-1].size]), *arrays)


# --- arguments ---------------------------------------------------------------------------------


def special_values(dtype: Any) -> Array:
    info = np.finfo(dtype)
    positive = [
        0.0, info.smallest_subnormal, info.tiny * (1 - info.eps), info.tiny, info.eps, 0.25, 0.5,
        1 - info.eps / 2, 1.0, 1 + info.eps, 1.5, 2.0, 3.0, 4.0, 1e10, info.max / 2, info.max,
        np.inf, np.nan,
    ]  # fmt: skip
    return np.array([sign * value for value in positive for sign in (1, -1)], dtype=dtype)


def draw(rng: np.random.Generator, name: str, dtype: Any, count: int) -> Array:
    """About four times ``count`` arguments."""
    integer = np.int32 if dtype == np.float32 else np.int64
    limits = np.iinfo(integer)
    patterns = rng.integers(limits.min, limits.max, count, dtype=integer, endpoint=True)
    moderate = np.exp(rng.uniform(-20, 20, count)) * rng.choice([-1, 1], count)
    pieces = [patterns.view(dtype), moderate.astype(dtype), special_values(dtype)]
    if name in INTERVALS:
        low, high = INTERVALS[name][0 if dtype == np.float32 else 1]
        edge = rng.choice([low, high], count // 2) + rng.uniform(-0.05, 0.05, count // 2)
        pieces += [rng.uniform(low, high, count).astype(dtype), edge.astype(dtype)]
    if name in {"sin", "cos", "tan"}:
        multiples = rng.integers(-1000, 1000, count // 2) * (np.pi / 2)
        pieces += [rng.uniform(-10, 10, count).astype(dtype), multiples.astype(dtype)]
    return np.concatenate(pieces)


def draw_pairs(rng: np.random.Generator, name: str, dtype: Any, count: int) -> tuple[Array, Array]:
    first = draw(rng, name, dtype, count)
    pairs = [(first, rng.permutation(first))]
    near = rng.normal(size=(2, 2 * count)).astype(dtype)
    pairs.append((near[0], near[1]))
    if name == "pow":
        base = np.exp(rng.uniform(-30, 30, 2 * count)).astype(dtype)
        span = 100 if dtype == np.float32 else 740
        exponent = rng.uniform(-span, span, 2 * count) / np.log(base.astype(np.float64))
        pairs.append((base, exponent.astype(dtype)))
        pairs.append((-base, rng.integers(-10, 10, 2 * count).astype(dtype)))
        close = 1 + rng.normal(size=count) * 0.05
        pairs.append((close.astype(dtype), (rng.normal(size=count) * 300).astype(dtype)))
    specials = np.array(list(itertools.product(special_values(dtype), repeat=2)), dtype=dtype)
    pairs.append((specials[:, 0], specials[:, 1]))
    return np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])


def arguments_for(name: str, dtype: Any, count: int) -> tuple[Array, ...]:
    rng = np.random.default_rng(sum(map(ord, name)))
    if name in speeds.BINARY:
        return draw_pairs(rng, name, dtype, count)
    return (draw(rng, name, dtype, count),)


# --- distances ----------------------------------------------------------------------------------


def ulps32(got: Array, reference: Array) -> Array:
    """Distance of float32 results from float64 references, in ULP of the reference."""
    rounded = reference.astype(np.float32)
    exponent = np.maximum(np.frexp(reference)[1] - 1, -126) - 23
    distance = np.abs(got.astype(np.float64) - reference) / np.ldexp(1.0, exponent)
    agree = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    distance = np.where(agree, np.where(np.isfinite(distance), distance.clip(0, 0.5), 0), distance)
    # An overflow may be reported one float too early or late.
    edge = np.float32(np.finfo(np.float32).max)
    near_edge = (np.isinf(got) & (np.abs(rounded) == edge)) | (
        np.isinf(rounded) & (np.abs(got) == edge)
    )
    distance = np.where(near_edge & (np.signbit(got) == np.signbit(rounded)), 1.0, distance)
    return np.where(np.isnan(distance), np.inf, distance)


def ulps64(got: float, true: Any) -> float:
    """Distance of a float64 from an mpmath number, in ULP of the latter."""
    largest = mpmath.mpf(np.finfo(np.float64).max)
    if true is None or mpmath.isnan(true):
        return 0.0 if np.isnan(got) else np.inf
    if np.isnan(got):
        return np.inf
    if np.isinf(got) or abs(true) > largest:
        same = (got > 0) == (true > 0) and abs(true) > largest * (1 - mpmath.mpf(2) ** -51)
        return float(not np.isinf(got)) if same else np.inf
    exponent = -1022 if true == 0 else max(mpmath.frexp(true)[1] - 1, -1022)
    return float(abs(mpmath.mpf(float(got)) - true) / mpmath.mpf(2) ** (exponent - 52))


def by_numpy(name: str, values: tuple[float, ...], reference: float) -> bool:
    """Whether the NumPy value is the truth: at special points, where mpmath has none."""
    if not all(np.isfinite(values)):
        return True
    if name == "erfc" and abs(values[0]) > 1e3:
        return True
    if name == "pow":
        return values[0] <= 0 and (values[0] == 0 or not float(values[1]).is_integer())
    if name in speeds.BINARY:
        return 0.0 in values
    return np.isinf(reference) and name in {"log", "log2", "log10", "log1p", "atanh", "rsqrt"}


def signs_of_zero_agree(got: Array, reference: Array) -> Array:
    both_zero = (got == 0) & (reference == 0)
    return np.asarray(~both_zero | (np.signbit(got) == np.signbit(reference)))


def bits(got: Array) -> bytes:
    """What it holds; a NaN is a NaN, whatever its sign."""
    return np.where(np.isnan(got), np.nan, got).astype(got.dtype).tobytes()


def worst(distance: Array, arguments: tuple[Array, ...], got: Array) -> str:
    at = int(np.argmax(distance))
    shown = ", ".join(repr(a[at]) for a in arguments)
    return f"{distance[at]:.3g} ULP at ({shown}): got {got[at]!r}"


# --- the laws -------------------------------------------------------------------------------------


def test_every_function_has_a_bound() -> None:
    assert set(BOUNDS) == set(vectormath.NAMES)
    assert all(bound <= 4 for pair in BOUNDS.values() for bound in pair)


@pytest.mark.parametrize("name", sorted(BOUNDS))
def test_float32_is_accurate(name: str) -> None:
    arguments = arguments_for(name, np.float32, 50_000)
    got = apply(name, arguments)
    reference = numpy_reference(name, tuple(a.astype(np.float64) for a in arguments))
    distance = ulps32(got, reference)
    assert distance.max() <= BOUNDS[name][0], worst(distance, arguments, got)
    assert signs_of_zero_agree(got, reference.astype(np.float32)).all()


@pytest.mark.parametrize("name", sorted(BOUNDS))
def test_float64_is_accurate(name: str) -> None:
    arguments = arguments_for(name, np.float64, 400)
    got = apply(name, arguments)
    reference = numpy_reference(name, arguments)
    distance = np.zeros(got.size)
    for i, values in enumerate(zip(*arguments, strict=True)):
        if by_numpy(name, values, reference[i]):
            same = got[i] == reference[i] or (np.isnan(got[i]) and np.isnan(reference[i]))
            near = abs(got[i] - reference[i]) <= np.spacing(abs(reference[i]))
            distance[i] = 0.0 if same or near else np.inf
            continue
        true = exact(name, tuple(map(float, values)))
        distance[i] = ulps64(got[i], true)
        if name == "logaddexp" and true is not None:
            # The result may vanish; then the error is measured on the larger operand.
            distance[i] *= min(1.0, abs(float(true)) / max(map(abs, values)))
    assert distance.max() <= BOUNDS[name][1], worst(distance, arguments, got)
    assert signs_of_zero_agree(got, reference).all()


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_arguments_nearest_to_multiples_of_half_pi(name: str) -> None:
    # The hardest arguments of each format: what remains after the reduction is smallest.
    single = np.array([16367173 * 2.0**72, -16367173 * 2.0**72, 2.0**127], dtype=np.float32)
    got32 = apply(name, (single,))
    true32 = [exact(name, (float(x),)) for x in single]
    assert ulps32(got32, np.array(true32, dtype=np.float64)).max() <= BOUNDS[name][0]
    double = np.array([6381956970095103 * 2.0**797, 5319372648326541 * 2.0**-52, 2.0**1023])
    got64 = apply(name, (double,))
    for x, y in zip(double, got64, strict=True):
        assert ulps64(y, exact(name, (float(x),))) <= BOUNDS[name][1]


def test_expm1_is_accurate_where_one_is_half_a_unit_of_the_power() -> None:
    low, high = np.array([24, 25], np.float32) * np.float32(np.log(2)) + np.float32([-0.05, 0.05])
    x = np.arange(low.view(np.int32), high.view(np.int32), dtype=np.int32).view(np.float32)
    distance = ulps32(got := apply("expm1", (x,)), np.expm1(x.astype(np.float64)))
    assert distance.max() <= BOUNDS["expm1"][0], worst(distance, (x,), got)


@pytest.mark.parametrize(
    ("low", "high"), [(-0.07, -0.02), (0.02, 0.07), (36.69, 37.48), (-38, -28), (709.7, 709.782)]
)
def test_expm1_of_float64_is_accurate_where_its_parts_meet(low: float, high: float) -> None:
    x = np.linspace(low, high, 3_000)
    got = apply("expm1", (x,))
    distance = np.array(
        [ulps64(y, exact("expm1", (float(v),))) for v, y in zip(x, got, strict=True)]
    )
    assert distance.max() <= BOUNDS["expm1"][1], worst(distance, (x,), got)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", sorted(BOUNDS))
def test_instructions_of_avx512_change_no_bit(name: str, dtype: Any) -> None:
    arguments = arguments_for(name, dtype, 5_000)
    want = np.empty_like(arguments[0])
    portable(name, np.dtype(dtype).name)(*arguments, want)
    got = apply(name, arguments)
    same = (got.view(np.uint8) == want.view(np.uint8)).reshape(got.size, -1).all(axis=1)
    differs = ~(same | (np.isnan(got) & np.isnan(want)))
    assert not differs.any(), worst(differs.astype(float), arguments, got)


@pytest.mark.skipif(not wide._has("+avx2"), reason="AVX2")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["cbrt", "exp", "exp2", "expm1", "log", "log10", "pow"])
def test_tables_in_registers_of_avx2_change_no_bit(name: str, dtype: Any) -> None:
    arguments = arguments_for(name, dtype, 5_000)
    got = np.empty_like(arguments[0])
    without(name, got.dtype.name, _has_avx512=mock.Mock(return_value=False))(*arguments, got)
    np.testing.assert_array_equal(got, apply(name, arguments))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", sorted(BOUNDS))
def test_each_place_of_a_loop_gives_the_same_bits(name: str, dtype: Any) -> None:
    # As part of a vector of any size, and in the loop over what remains.
    arguments = tuple(a[-67:] for a in arguments_for(name, dtype, 50))
    whole = apply(name, arguments)
    for count in range(1, 67):
        for part in (slice(count), slice(67 - count, None)):
            got = apply(name, tuple(a[part].copy() for a in arguments))
            assert bits(got) == bits(whole[part]), (count, part)


def test_forms_that_are_inlined_or_not_called_are_gone_when_code_is_emitted() -> None:
    optimised: list[str] = []
    optimise = machine._optimized

    def keep(text: str, machine: Any) -> Any:
        module = optimise(text, machine)
        optimised.append(str(module))
        return module

    with mock.patch.object(machine, "_optimized", keep):
        build.build(speeds.source("log", "float32"))
    assert "avx512.perm" in optimised[0] or not wide._has_avx512()
    assert wide.PREFIX not in re.sub("[@%][^ ]*_entries", "", optimised[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lanes_that_a_mask_leaves_out_change_nothing(dtype: str) -> None:
    # Rare arguments take another way, which a whole vector takes if one of its lanes does.
    function = hb.compile(lambda x, y: hb.pow(x, y) + hb.sin(y))
    x, y = (draw(np.random.default_rng(i), "pow", np.dtype(dtype), 12)[:40] for i in (1, 2))
    with np.errstate(all="ignore"):
        whole = function(x, y).numpy()
        for size in (*range(1, 20), 31, 33):
            for start in (0, 40 - size):
                part = slice(start, start + size)
                found = function(x[part].copy(), y[part].copy()).numpy()
                np.testing.assert_array_equal(found, whole[part])


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *((name, "float32") for name in ("exp", "log", "tanh", "sin")),
        *((name, "float64") for name in ("exp", "log", "sin")),
    ],
)
def test_loops_are_vectorised(name: str, dtype: str) -> None:
    assembly = build.assembly(speeds.source(name, dtype))
    if "xmm" not in assembly:
        pytest.skip("not an x86 processor")
    assert re.search(r"v(mul|fn?madd)\w*p[sd]\s.*[yz]mm", assembly)
