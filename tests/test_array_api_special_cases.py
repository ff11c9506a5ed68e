"""The special cases of the Array API standard, in every mode and every floating-point dtype."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from itertools import product
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import hybrid as hb
from tests import special_cases as special
from tests.modes import MODES


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """NumPy warns of divisions by zero and overflow, which are the point here."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


FLOATS = [hb.float16, hb.bfloat16, hb.float32, hb.float64]
_WIDE = 40  # so many copies of the cases: enough for vector loops and what is left over


def column(values: list[float], dtype: Any) -> Any:
    return hb.asarray(np.tile(np.array(values).astype(dtype), (_WIDE, 1)))


def assert_cases(name: str, found: Any, wanted: list[Any], arguments: list[Any]) -> None:
    rows = found.numpy()
    rows = rows if rows.dtype.kind == "b" else rows.astype(np.float64)
    tolerance = float(ml_dtypes.finfo(found.dtype).eps) * 4 if rows.dtype.kind == "f" else 0
    for row in (rows[0], rows[_WIDE // 2], rows[-1]):
        for value, want, argument in zip(row.tolist(), wanted, arguments, strict=True):
            fits = agrees(value, want, tolerance)
            assert fits, f"{name}{argument}: {value}, not {want}"


def agrees(value: float, want: Any, tolerance: float) -> bool:
    if isinstance(want, special.Unsigned):
        return agrees(abs(value), want.value, tolerance)
    if math.isnan(want):
        return math.isnan(value)
    close = value == want or math.isclose(value, want, rel_tol=tolerance)
    return close and math.copysign(1, value) == math.copysign(1, want)


@MODES
@pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: d.name)
def test_special_cases_of_one_real_number(dtype: Any, mode: Any) -> None:
    cases = {name: special.real_cases(name) for name in special.REAL}
    arrays = [column(xs, dtype) for xs, _ in cases.values()]
    results = mode(lambda *xs: [getattr(hb, n)(x) for n, x in zip(cases, xs)], *arrays)
    for (name, (xs, wanted)), found in zip(cases.items(), results, strict=True):
        assert_cases(name, found, wanted, [(x,) for x in xs])


@MODES
@pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: d.name)
def test_special_cases_of_two_real_numbers(dtype: Any, mode: Any) -> None:
    cases = {name: [*special.expanded(rows)] for name, rows in special.BINARY.items()}
    pairs = {repr((a, b)): (a, b) for rows in cases.values() for a, b, _ in rows}
    place = {pair: i for i, pair in enumerate(pairs)}
    x, y = (column(side, dtype) for side in zip(*pairs.values(), strict=True))
    results = mode(lambda x, y: [getattr(hb, name)(x, y) for name in cases], x, y)
    for (name, rows), found in zip(cases.items(), results, strict=True):
        chosen = found[:, hb.asarray([place[repr((a, b))] for a, b, _ in rows])]
        assert_cases(name, chosen, [want for *_, want in rows], [(a, b) for a, b, _ in rows])


@MODES
def test_the_sign_of_nan_is_a_bit_like_any_other(mode: Any) -> None:
    for dtype in FLOATS:
        nans = hb.asarray(np.copysign(np.full(64, np.nan), [1, -1] * 32).astype(dtype))
        signs = mode(hb.signbit, nans).numpy()
        np.testing.assert_array_equal(signs, [False, True] * 32)
        copied = mode(lambda s: hb.signbit(hb.copysign(hb.ones_like(s), s)), nans).numpy()
        np.testing.assert_array_equal(copied, signs)
        turned = mode(lambda s: hb.signbit(hb.copysign(s, -hb.ones_like(s))), nans).numpy()
        assert turned.all()


@MODES
@pytest.mark.parametrize("bounds", [(math.nan, 1.0), (-1.0, math.nan), (-1.0, 1.0)])
def test_clip_passes_nan_on(bounds: tuple[float, float], mode: Any) -> None:
    x = hb.asarray(np.array([math.nan, 0.5] * 20))
    low, high = (hb.full(40, b, dtype="float64") for b in bounds)
    found = mode(hb.clip, x, low, high).numpy()
    np.testing.assert_array_equal(
        np.isnan(found), np.isnan(x.numpy()) | any(map(math.isnan, bounds))
    )


def complex_cases(name: str, dtype: Any) -> tuple[Any, list[Any]]:
    a, b, wanted = zip(*special.expanded(special.COMPLEX[name]), strict=True)
    x = np.empty(len(a), dtype)
    x.real, x.imag = a, b
    return x, list(wanted)


@MODES
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", special.COMPLEX)
def test_special_cases_of_one_complex_number(name: str, dtype: str, mode: Any) -> None:
    x, wanted = complex_cases(name, dtype)
    function = getattr(hb, name)
    for value, mirrored, want, argument in zip(
        mode(function, hb.asarray(x)).tolist(),
        mode(function, hb.asarray(x.conj())).tolist(),
        wanted,
        x.tolist(),
        strict=True,
    ):
        for part in range(2):
            numbers = [(z.real, z.imag)[part] for z in (value, mirrored)]
            assert agrees(numbers[0], want[part], 1e-6), f"{name}({argument}): {value}, not {want}"
            loose = isinstance(want[part], special.Unsigned) or math.isnan(want[part])
            if not loose:  # f(conj(x)) is conj(f(x))
                assert agrees(numbers[1], -want[part] if part else want[part], 1e-6), argument


@MODES
@pytest.mark.parametrize("name", [*special.ROTATED, "cos"])
def test_special_cases_of_rotated_functions(name: str, mode: Any) -> None:
    values = [0.0, -0.0, 0.5, -3.0, math.inf, -math.inf, math.nan]
    x = np.empty(len(values) ** 2, np.complex128)
    x.real, x.imag = zip(*product(values, values), strict=True)
    turned = np.empty_like(x)
    turned.real, turned.imag = -x.imag, x.real
    wanted = getattr(hb, special.ROTATED.get(name, "cosh"))(hb.asarray(turned)).numpy()
    if name != "cos":
        back = np.empty_like(x)
        back.real, back.imag = wanted.imag, -wanted.real
        wanted = back
    found = mode(getattr(hb, name), hb.asarray(x)).numpy()
    for part, other in ((np.real, np.imag), (np.imag, np.real)):
        loose = np.isnan(other(wanted))  # the sign of an infinity beside NaN is open
        a, b = (np.where(loose, np.abs(part(z)), part(z)) for z in (found, wanted))
        np.testing.assert_allclose(a, b, rtol=1e-12)


@MODES
def test_the_absolute_value_of_a_complex_number_is_a_hypotenuse(mode: Any) -> None:
    x, y, wanted = zip(*special.expanded(special.BINARY["hypot"]), strict=True)
    z = np.empty(len(x), np.complex128)
    z.real, z.imag = x, y
    np.testing.assert_array_equal(mode(hb.abs, hb.asarray(z)).numpy(), wanted)
