"""Data type functions, and one law of promotion for all ops."""

from __future__ import annotations

from itertools import product
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import hybrid as hb
from hybrid import dtypes
from hybrid.errors import DTypeError

ALL = sorted(dtypes.SUPPORTED, key=lambda d: d.name)
_name = lambda d: d.name


def test_promotion_is_numpys_where_numpy_has_one() -> None:
    for a, b in product(ALL, ALL):
        if hb.bfloat16 not in (a, b):
            assert hb.result_type(a, b) == np.result_type(a, b)


def meetings(x: Any, y: Any) -> list[Any]:
    chosen = hb.where(hb.asarray([True, False]), x, y)
    return [x + y, x * y, hb.maximum(x, y), chosen, hb.concat([x, y]), hb.stack([x, y])]


@pytest.mark.parametrize("a", ALL, ids=_name)
def test_all_ways_of_meeting_give_the_same_dtype(a: Any) -> None:
    rest = ALL[ALL.index(a) :]  # a pair is met once
    x, others = hb.ones(2, a), [hb.ones(2, b) for b in rest]
    every = lambda x, *ys: [meetings(x, y) for y in ys]
    for found in (every(x, *others), hb.compile(every)(x, *others)):
        for b, results in zip(rest, found, strict=True):
            wanted = hb.result_type(a, b)
            assert hb.result_type(b, a) == wanted
            assert {r.dtype for r in results} == {wanted}, b


@pytest.mark.parametrize("a", ALL, ids=_name)
def test_promotion_is_associative_enough_for_can_cast(a: Any) -> None:
    for b in ALL:
        assert hb.can_cast(a, b) == (hb.result_type(a, b) == b)
        assert hb.can_cast(hb.zeros(2, a), b) == hb.can_cast(a, b)


def test_python_scalars_are_weak() -> None:
    for dtype in ALL:
        kind = {"V": "f"}.get(dtype.kind, dtype.kind)
        assert hb.result_type(dtype, True) == dtype
        if kind != "b":
            assert hb.result_type(1, dtype) == dtype
        if kind in "fc":
            assert hb.result_type(dtype, 1.0, 2) == dtype
        if kind == "c":
            assert hb.result_type(1j, dtype) == dtype
    assert hb.result_type(hb.bfloat16, 1j) == np.complex64
    assert [hb.result_type(x) for x in (True, 1, 1.0, 1j)] == [
        "bool",
        "int64",
        "float32",
        "complex64",
    ]
    assert hb.result_type(1, 1.0) == hb.asarray([1, 1.0]).dtype
    with pytest.raises(ValueError, match="at least one"):
        hb.result_type()


@pytest.mark.parametrize("dtype", [d for d in ALL if dtypes.is_inexact(d)], ids=_name)
def test_finfo(dtype: Any) -> None:
    info, known = hb.finfo(dtype), ml_dtypes.finfo(dtype)
    assert info.dtype == hb.real(hb.zeros(1, dtype)).dtype
    assert info.bits == info.dtype.itemsize * 8
    for name in ("eps", "max", "min", "tiny", "smallest_normal", "smallest_subnormal"):
        assert type(getattr(info, name)) is float
        assert getattr(info, name) == float(getattr(known, name))
    assert hb.finfo(hb.zeros(1, dtype)) == info
    one = hb.ones((), info.dtype)
    assert (one + hb.asarray(info.eps, dtype=info.dtype) > one).item()


def test_iinfo() -> None:
    for dtype in hb.__array_namespace_info__().dtypes(kind="integral").values():
        info, known = hb.iinfo(dtype), np.iinfo(dtype)
        assert (info.bits, info.max, info.min) == (known.bits, known.max, known.min)
        assert info.dtype == dtype
        assert hb.iinfo(hb.zeros(1, dtype)) == info


def test_limits_are_known_while_tracing() -> None:
    f = hb.compile(lambda x: hb.maximum(x, hb.finfo(x).smallest_normal) + hb.iinfo("int8").max)
    assert f(hb.zeros(2)).dtype == np.float32


@pytest.mark.parametrize("dtype", ALL, ids=_name)
def test_each_dtype_is_of_one_basic_kind(dtype: Any) -> None:
    basic = ("bool", "signed integer", "unsigned integer", "real floating", "complex floating")
    assert [hb.isdtype(dtype, kind) for kind in basic].count(True) == 1
    assert hb.isdtype(dtype, "numeric") == (dtype != hb.bool)
    assert hb.isdtype(dtype, "integral") == hb.isdtype(dtype, basic[1:3])
    assert hb.isdtype(dtype, dtype)
    assert hb.isdtype(dtype, ("bool", dtype))
    assert not hb.isdtype(dtype, ())


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"finfo: int8 is not floating-point.*\n  at .*test_data"):
        hb.finfo(hb.int8)
    with pytest.raises(ValueError, match="iinfo: float32 is not an integer"):
        hb.iinfo(hb.float32)
    with pytest.raises(ValueError, match="isdtype: 'float' is no kind of dtypes; there are 'bool'"):
        hb.isdtype(hb.float32, "float")
    with pytest.raises(DTypeError, match="can_cast: dtype object is not supported"):
        hb.can_cast(object, hb.float32)
