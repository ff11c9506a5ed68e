"""The dtypes and how they promote.

A dtype is a NumPy dtype object, so that it compares equal to what a NumPy user writes
(``np.float32``, ``"float32"``). Promotion is NumPy 2's (NEP 50), a superset of the Array API
standard's table: Python scalars are weak and take the dtype of the array they meet.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import ml_dtypes
import numpy as np

DType = np.dtype[Any]

bool_: Final[DType] = np.dtype(np.bool_)
int8: Final[DType] = np.dtype(np.int8)
int16: Final[DType] = np.dtype(np.int16)
int32: Final[DType] = np.dtype(np.int32)
int64: Final[DType] = np.dtype(np.int64)
uint8: Final[DType] = np.dtype(np.uint8)
uint16: Final[DType] = np.dtype(np.uint16)
uint32: Final[DType] = np.dtype(np.uint32)
uint64: Final[DType] = np.dtype(np.uint64)
float16: Final[DType] = np.dtype(np.float16)
bfloat16: Final[DType] = np.dtype(ml_dtypes.bfloat16)
float32: Final[DType] = np.dtype(np.float32)
float64: Final[DType] = np.dtype(np.float64)
complex64: Final[DType] = np.dtype(np.complex64)
complex128: Final[DType] = np.dtype(np.complex128)

KINDS: Final[dict[str, frozenset[DType]]] = {
    "bool": frozenset((bool_,)),
    "signed integer": frozenset((int8, int16, int32, int64)),
    "unsigned integer": frozenset((uint8, uint16, uint32, uint64)),
    "real floating": frozenset((float16, bfloat16, float32, float64)),
    "complex floating": frozenset((complex64, complex128)),
}
"""The Array API's names of kinds; float16 and bfloat16 are beyond the standard."""
KINDS["integral"] = KINDS["signed integer"] | KINDS["unsigned integer"]
KINDS["numeric"] = KINDS["integral"] | KINDS["real floating"] | KINDS["complex floating"]

SUPPORTED: Final[frozenset[DType]] = KINDS["bool"] | KINDS["numeric"]

NAMES: Final = "bool, int8..int64, uint8..uint64, float16..float64, bfloat16, complex64, complex128"
"""The supported dtypes, for error messages."""

_SHORT: Final[dict[DType, str]] = {bool_: "b1", bfloat16: "bf16"}


def short(dtype: DType) -> str:
    """Name a dtype in two to four characters, as printed graphs do (``f32``, ``i64``, ``b1``).

    Parameters
    ----------
    dtype : dtype

    Returns
    -------
    str

    Examples
    --------
    >>> short(float32)
    'f32'
    """
    return _SHORT.get(dtype) or f"{dtype.kind}{dtype.itemsize * 8}"


def is_float(dtype: DType) -> bool:
    """Tell whether `dtype` is real floating-point, the low-precision ones included.

    Parameters
    ----------
    dtype : dtype

    Returns
    -------
    bool

    Examples
    --------
    >>> is_float(bfloat16)
    True
    """
    return dtype.kind == "f" or dtype == bfloat16


def is_half(dtype: DType) -> bool:
    """Tell whether `dtype` is one of 16 bits, in which a long sum stops to grow.

    Parameters
    ----------
    dtype : dtype

    Returns
    -------
    bool

    Examples
    --------
    >>> is_half(float16)
    True
    """
    return dtype.char in "eE"


def is_inexact(dtype: DType) -> bool:
    """Tell whether `dtype` is real or complex floating-point: what a gradient can have.

    Parameters
    ----------
    dtype : dtype

    Returns
    -------
    bool

    Examples
    --------
    >>> is_inexact(complex64)
    True
    """
    return dtype.kind == "c" or is_float(dtype)


def promote(dtypes: Iterable[DType | int | float | complex]) -> DType:
    """Return the dtype that arrays of `dtypes` meet in; Python scalars among them are weak.

    Parameters
    ----------
    dtypes : iterable of dtype or Python scalar
        A Python scalar stands for its kind only.

    Returns
    -------
    dtype
        By NEP 50.

    Examples
    --------
    >>> promote([float32, 1.0])
    dtype('float32')
    >>> promote([int64, 1.0])
    dtype('float64')
    >>> promote([bfloat16, 1.0]), promote([bfloat16, float16])
    (dtype(bfloat16), dtype('float32'))
    """
    return _promote(*dtypes)


@lru_cache(maxsize=4096, typed=True)
def _promote(*members: Any) -> DType:
    scalars = [x for x in members if not isinstance(x, np.dtype)]
    strong = _meet([x for x in members if isinstance(x, np.dtype)])
    if strong == bfloat16:  # NumPy widens it beside a Python scalar
        return complex64 if any(isinstance(x, complex) for x in scalars) else bfloat16
    return np.result_type(*scalars) if strong is None else np.result_type(strong, *scalars)


def _meet(strong: list[DType]) -> DType | None:
    """Promote arrays' dtypes. NumPy refuses bfloat16 beside float16 and wide integers: float32."""
    others = [x for x in strong if x != bfloat16]
    if len(others) == len(strong):
        return np.result_type(*others) if others else None
    if all(x.kind in "biu" and x.itemsize == 1 for x in others):
        return bfloat16
    return np.result_type(float32, *others)


def to_inexact(dtype: DType) -> DType:
    """Return the floating-point dtype in which functions of real numbers are computed.

    NumPy's rule: ``int8`` and ``bool`` give float16, ``int16`` float32, wider integers float64.

    Parameters
    ----------
    dtype : dtype

    Returns
    -------
    dtype

    Examples
    --------
    >>> to_inexact(int64)
    dtype('float64')
    """
    if is_inexact(dtype):
        return dtype
    if dtype.itemsize == 1:
        return float16
    return float32 if dtype.itemsize == 2 else float64
