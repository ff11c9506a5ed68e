"""Dtypes of results, as the Array API standard has them, in every mode."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid import dtypes
from tests.modes import DTYPE_MODES

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

KINDS = {
    kind: list(hb.__array_namespace_info__().dtypes(kind=kind).values())
    for kind in ("bool", "integral", "real floating", "complex floating", "numeric")
}
KINDS["real floating"] += [hb.float16, hb.bfloat16]
_REAL = KINDS["integral"] + KINDS["real floating"]
_FLOATS = KINDS["real floating"] + KINDS["complex floating"]
_BITS = KINDS["bool"] + KINDS["integral"]
_NUMERIC = _REAL + KINDS["complex floating"]
_ALL = KINDS["bool"] + _NUMERIC

SAME: list[tuple[str, list[Any]]] = [
    ("negative positive square sign conj round", _NUMERIC),
    ("abs ceil floor trunc", _REAL),
    ("bitwise_invert", _BITS),
    ("acos acosh asin asinh atan atanh cos cosh exp expm1", _FLOATS),
    ("log log1p log2 log10 reciprocal sin sinh sqrt tan tanh", _FLOATS),
]
TO_BOOL: list[tuple[str, list[Any]]] = [
    ("isfinite isinf isnan", _NUMERIC),
    ("signbit", KINDS["real floating"]),
    ("logical_not", KINDS["bool"]),
]
TOGETHER: list[tuple[str, list[Any]]] = [
    ("add subtract multiply", _NUMERIC),
    ("divide", _FLOATS),
    ("pow", _NUMERIC),
    ("floor_divide remainder maximum minimum", _REAL),
    ("atan2 copysign hypot logaddexp nextafter", KINDS["real floating"]),
    ("bitwise_and bitwise_or bitwise_xor", _BITS),
    ("bitwise_left_shift bitwise_right_shift", KINDS["integral"]),
]
COMPARED: list[tuple[str, list[Any]]] = [
    ("equal not_equal", _ALL),
    ("greater greater_equal less less_equal", _REAL),
    ("logical_and logical_or logical_xor", KINDS["bool"]),
]


def each(table: list[tuple[str, list[Any]]]) -> list[Any]:
    return [pytest.param(n, kinds, id=n) for text, kinds in table for n in text.split()]


@DTYPE_MODES
@pytest.mark.parametrize(("name", "kinds"), each(SAME))
def test_functions_that_keep_the_dtype(name: str, kinds: list[Any], mode: Any) -> None:
    arrays = [hb.ones(2, dtype) for dtype in kinds]
    for dtype, found in zip(kinds, mode(lambda *xs: [*map(getattr(hb, name), xs)], *arrays)):
        assert found.dtype == dtype


@DTYPE_MODES
@pytest.mark.parametrize(("name", "kinds"), each(TO_BOOL))
def test_functions_that_tell(name: str, kinds: list[Any], mode: Any) -> None:
    arrays = [hb.ones(2, dtype) for dtype in kinds]
    for found in mode(lambda *xs: [*map(getattr(hb, name), xs)], *arrays):
        assert found.dtype == hb.bool


@DTYPE_MODES
@pytest.mark.parametrize(("name", "kinds"), each(TOGETHER + COMPARED))
def test_functions_of_two_promote(name: str, kinds: list[Any], mode: Any) -> None:
    function = getattr(hb, name)
    pairs = [(a, b) for a, b in product(kinds, kinds) if (a, b) in PROMOTION]
    arrays = [hb.ones(2, dtype) for pair in pairs for dtype in pair]
    found = mode(lambda *xs: [function(x, y) for x, y in zip(xs[::2], xs[1::2])], *arrays)
    told = any(name in text.split() for text, _ in COMPARED)
    for pair, result in zip(pairs, found, strict=True):
        assert result.dtype == (hb.bool if told else PROMOTION[pair]), pair


def promotions() -> dict[tuple[Any, Any], Any]:
    """Return the standard's table: pairs of one kind, and of real and complex numbers."""
    table = {(d, d): d for d in _ALL}
    signed, unsigned = (
        sorted(hb.__array_namespace_info__().dtypes(kind=f"{sign} integer").values(), key=_size)
        for sign in ("signed", "unsigned")
    )
    standard = [hb.float32, hb.float64]
    for ladder in (signed, unsigned, standard, KINDS["complex floating"]):
        table |= {(a, b): max(a, b, key=_size) for a, b in product(ladder, ladder)}
    for a, b in product(signed, unsigned[:-1]):  # uint64 meets no signed integer
        wide = signed[max(signed.index(a), unsigned.index(b) + 1)]
        table |= {(a, b): wide, (b, a): wide}
    for a, b in product(standard, KINDS["complex floating"]):
        wide = hb.complex128 if hb.float64 == a else b
        table |= {(a, b): wide, (b, a): wide}
    return table


def _size(dtype: Any) -> int:
    return dtype.itemsize


PROMOTION = promotions()


def test_promotion_is_the_standards() -> None:
    for (a, b), wanted in PROMOTION.items():
        assert hb.result_type(a, b) == wanted


@DTYPE_MODES
@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "pow", "less", "bitwise_or"])
def test_python_scalars_take_the_dtype_of_the_array(name: str, mode: Any) -> None:
    function = getattr(hb, name)
    scalars: dict[str, list[complex]] = {"b": [True], "i": [2], "u": [2], "f": [2, 0.5]}
    scalars["V"], scalars["c"] = scalars["f"], [2, 0.5, 1j]
    for dtype in _ALL:
        for scalar in scalars[dtype.kind]:
            bits = dtype.kind in "biu"
            if (name == "bitwise_or" and not bits) or (name == "less" and dtype.kind == "c"):
                continue
            if dtype.kind == "b" and name in ("pow", "less"):
                continue
            x = hb.ones(2, dtype)
            wanted = hb.bool if name == "less" else dtype
            for found in mode(lambda x: [function(x, scalar), function(scalar, x)], x):
                assert found.dtype == wanted, (dtype, scalar)


@DTYPE_MODES
def test_parts_of_complex_numbers(mode: Any) -> None:
    for dtype, real in (("complex64", "float32"), ("complex128", "float64")):
        x = hb.ones(2, dtype)
        for found in mode(lambda x: [hb.real(x), hb.imag(x), hb.abs(x)], x):
            assert found.dtype == real


@DTYPE_MODES
@pytest.mark.parametrize("dtype", _NUMERIC, ids=lambda d: d.name)
def test_reductions(dtype: Any, mode: Any) -> None:
    x = hb.ones((2, 3), dtype)
    wide = {"i": hb.int64, "u": hb.uint64}.get(dtype.kind, dtype)
    for function in (hb.sum, hb.prod, lambda x: hb.cumulative_sum(x, axis=0)):
        assert mode(function, x).dtype == wide
        assert mode(lambda x: hb.sum(x, dtype="float64"), hb.abs(x)).dtype == hb.float64
    if dtype.kind != "c":
        assert mode(hb.max, x).dtype == mode(hb.min, x).dtype == dtype
        assert mode(hb.argmax, x).dtype == mode(hb.argmin, x).dtype == hb.int64
    if dtypes.is_inexact(dtype):
        assert mode(hb.mean, x).dtype == dtype
    if dtypes.is_float(dtype):
        assert mode(hb.var, x).dtype == mode(hb.std, x).dtype == dtype
    assert mode(hb.count_nonzero, x).dtype == hb.int64
    assert mode(hb.any, x).dtype == mode(hb.all, x).dtype == hb.bool


@DTYPE_MODES
@pytest.mark.parametrize("dtype", _ALL, ids=lambda d: d.name)
def test_what_moves_elements_keeps_the_dtype(dtype: Any, mode: Any) -> None:
    def moved(x: Any) -> list[Any]:
        return [
            *hb.broadcast_arrays(x, x[:1]),
            *hb.unstack(x),
            *hb.meshgrid(x[0], x[1]),
            hb.broadcast_to(x, (2, 2, 3)),
            hb.concat([x, x]),
            hb.expand_dims(x, axis=0),
            hb.flip(x),
            hb.moveaxis(x, 0, 1),
            hb.permute_dims(x, (1, 0)),
            hb.repeat(x, 2),
            hb.reshape(x, (6,)),
            hb.roll(x, 1),
            hb.squeeze(x[:1], 0),
            hb.stack([x, x]),
            hb.tile(x, (2, 1)),
            hb.take(x, hb.arange(1, -1, -1), axis=1),
            hb.take_along_axis(x, hb.arange(2)[:, None], axis=1),
            hb.tril(x),
            hb.triu(x),
            hb.where(hb.ones((), dtype=bool), x, x),
            hb.zeros_like(x),
            hb.full_like(x, 1),
            hb.astype(x, x.dtype),
            x.T,
            x.mT,
            x[0, 1],
            x[:, 1:],
            x[hb.arange(1, -1, -1)],
        ]

    for found in mode(moved, hb.ones((2, 3), dtype)):
        assert found.dtype == dtype


@DTYPE_MODES
def test_arithmetic_of_booleans_is_numpys(mode: Any) -> None:
    """The standard leaves it open, docs/semantics.md says what hybrid does."""
    x, y = hb.asarray([True, False]), hb.asarray([True, True])
    for name in ("add", "multiply", "divide", "floor_divide", "remainder", "pow", "maximum"):
        expected = getattr(np, name)(x.numpy(), y.numpy())
        assert mode(getattr(hb, name), x, y).dtype == expected.dtype
        np.testing.assert_array_equal(getattr(hb, name)(x, y).numpy(), expected)
    for refused, way_out in (
        (hb.subtract, "logical_xor"),
        (lambda x, y: x - y, "x \\^ y"),
        (lambda x, y: -x, "~x or logical_not"),
        (lambda x, y: hb.sign(y), "astype"),
    ):
        with pytest.raises(TypeError, match=way_out):
            mode(refused, x, y)


@DTYPE_MODES
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_the_extensions_keep_the_dtype(dtype: str, mode: Any) -> None:
    la, eye = hb.linalg, hb.eye(3, dtype=dtype)
    kept = [la.cholesky, la.det, la.inv, la.pinv, la.trace, la.matrix_transpose, la.diagonal]
    kept += [
        lambda x: la.solve(x, x),
        lambda x: la.matrix_power(x, 2),
        lambda x: la.outer(x[0], x[1]),
    ]
    kept += [lambda x: la.cross(x, x), lambda x: la.tensordot(x, x), lambda x: la.vecdot(x, x)]
    kept += [lambda x: la.qr(x)[0], lambda x: la.svd(x)[2], lambda x: la.slogdet(x)[0]]
    kept += [lambda x: la.eigh(x)[1], lambda x: la.matmul(x, x)]
    real = {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)
    sizes = [la.eigvalsh, la.svdvals, la.matrix_norm, la.vector_norm]
    sizes += [lambda x: la.slogdet(x)[1], lambda x: la.svd(x)[1], lambda x: la.eigh(x)[0]]
    for wanted, functions in ((dtype, kept), (real, sizes)):
        for found in mode(lambda x: [f(x) for f in functions], eye):
            assert found.dtype == wanted
    assert mode(la.matrix_rank, eye).dtype == hb.int64


@DTYPE_MODES
@pytest.mark.parametrize("single", [True, False])
def test_transforms_have_the_precision_of_their_argument(single: bool, mode: Any) -> None:
    real, complex_ = ("float32", "complex64") if single else ("float64", "complex128")
    ft, x, z = hb.fft, hb.ones((4, 6), real), hb.ones((4, 6), complex_)
    for found in mode(lambda z: [ft.fft(z), ft.ifft(z), ft.fftn(z), ft.ifftn(z)], z):
        assert found.dtype == complex_
    for found in mode(lambda x: [ft.fft(x), ft.rfft(x), ft.rfftn(x), ft.ihfft(x)], x):
        assert found.dtype == complex_
    for found in mode(lambda z: [ft.irfft(z), ft.irfftn(z), ft.hfft(z)], z):
        assert found.dtype == real
    for found in mode(lambda x: [ft.fftshift(x), ft.ifftshift(x)], x):
        assert found.dtype == real
    for frequencies in (ft.fftfreq, ft.rfftfreq):
        assert frequencies(4).dtype == hb.float32
        assert frequencies(4, dtype=hb.float64, device="cpu").dtype == hb.float64
