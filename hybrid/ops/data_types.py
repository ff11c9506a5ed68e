"""The Array API's data type functions: limits, kinds, promotion."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from hybrid import dtypes
from hybrid.core.dispatch import state
from hybrid.core.operands import spec_of
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec, promote_specs
from hybrid.core.tensor import Tensor
from hybrid.core.variable import Variable
from hybrid.dtypes import DType
from hybrid.ops._axes import as_dtype
from hybrid.records import dataclass

_ARRAYS = (Tensor, Variable, np.ndarray, np.generic)


@dataclass(frozen=True, slots=True)
class FloatInfo:
    """Limits of a floating-point dtype, as :func:`finfo` gives them.

    Attributes
    ----------
    bits : int
    eps : float
        From 1 to the next larger number.
    max, min : float
        The largest and the smallest finite number.
    smallest_normal, smallest_subnormal : float
        The smallest positive number of full precision, and of any.
    dtype : dtype
        Of the real numbers that the limits are of.
    """

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    smallest_subnormal: float
    dtype: DType

    @property
    def tiny(self) -> float:
        """NumPy's name of `smallest_normal`."""
        return self.smallest_normal


@dataclass(frozen=True, slots=True)
class IntegerInfo:
    """Limits of an integer dtype, as :func:`iinfo` gives them.

    Attributes
    ----------
    bits : int
    max, min : int
        The largest and the smallest number.
    dtype : dtype
    """

    bits: int
    max: int
    min: int
    dtype: DType


def finfo(type: Any, /) -> FloatInfo:
    """Return the limits of a floating-point dtype.

    Parameters
    ----------
    type : dtype or array
        Complex dtypes give the limits of their components.

    Returns
    -------
    FloatInfo

    Raises
    ------
    ValueError
        For integers and booleans, as NumPy does.

    Examples
    --------
    >>> finfo("float32").eps, finfo("bfloat16").bits
    (1.1920928955078125e-07, 16)
    """
    dtype = _dtype_of("finfo", type)
    if not dtypes.is_inexact(dtype):
        raise ValueError(located(f"finfo: {dtype} is not floating-point; iinfo has its limits"))
    real = {dtypes.complex64: dtypes.float32, dtypes.complex128: dtypes.float64}.get(dtype, dtype)
    info: Any = ml_dtypes.finfo(real)  # type: ignore[no-untyped-call]
    return FloatInfo(
        bits=int(info.bits),
        eps=float(info.eps),
        max=float(info.max),
        min=float(info.min),
        smallest_normal=float(info.smallest_normal),
        smallest_subnormal=float(info.smallest_subnormal),
        dtype=real,
    )


def iinfo(type: Any, /) -> IntegerInfo:
    """Return the limits of an integer dtype.

    Parameters
    ----------
    type : dtype or array

    Returns
    -------
    IntegerInfo

    Raises
    ------
    ValueError
        For anything but integers, as NumPy does.

    Examples
    --------
    >>> iinfo("int8").max
    127
    """
    dtype = _dtype_of("iinfo", type)
    if dtype not in dtypes.KINDS["integral"]:
        raise ValueError(located(f"iinfo: {dtype} is not an integer dtype"))
    info = np.iinfo(dtype)
    return IntegerInfo(int(info.bits), int(info.max), int(info.min), dtype)


def isdtype(dtype: Any, kind: Any) -> bool:
    """Tell whether a dtype is of a kind.

    Parameters
    ----------
    dtype : dtype
    kind : str, dtype or tuple of them
        ``"bool"``, ``"signed integer"``, ``"unsigned integer"``, ``"integral"``,
        ``"real floating"`` (float16 and bfloat16 included), ``"complex floating"``, ``"numeric"``.
        A tuple means any of its members.

    Returns
    -------
    bool

    Examples
    --------
    >>> isdtype(dtypes.bfloat16, ("integral", "real floating"))
    True
    """
    found = as_dtype("isdtype", dtype)
    members = kind if isinstance(kind, tuple) else (kind,)
    return any(_is_of_kind(found, member) for member in members)


def _is_of_kind(dtype: DType, kind: Any) -> bool:
    if not isinstance(kind, str):
        return dtype == as_dtype("isdtype", kind)
    if kind not in dtypes.KINDS:
        known = ", ".join(map(repr, dtypes.KINDS))
        raise ValueError(located(f"isdtype: {kind!r} is no kind of dtypes; there are {known}"))
    return dtype in dtypes.KINDS[kind]


def can_cast(from_: Any, to: Any, /) -> bool:
    """Tell whether promotion can turn one dtype into another: nothing is lost.

    Parameters
    ----------
    from_ : dtype or array
    to : dtype

    Returns
    -------
    bool

    Examples
    --------
    >>> can_cast("int8", "float32"), can_cast("float32", "float16")
    (True, False)
    """
    source, target = _dtype_of("can_cast", from_), as_dtype("can_cast", to)
    return dtypes.promote((source, target)) == target


def result_type(*arrays_and_dtypes: Any) -> DType:
    """Return the dtype that arrays and dtypes meet in; Python scalars are weak.

    Parameters
    ----------
    *arrays_and_dtypes : array, dtype or Python scalar

    Returns
    -------
    dtype

    Raises
    ------
    ValueError
        Where there is nothing at all.

    Examples
    --------
    >>> result_type("int8", "uint8", 1)
    dtype('int16')
    >>> result_type("float16", 1.0)
    dtype('float16')
    """
    if not arrays_and_dtypes:
        raise ValueError(located("result_type: at least one array or dtype is needed"))
    specs = tuple(map(_spec_of, arrays_and_dtypes))
    if all(spec.weak for spec in specs):
        kind = max((spec.dtype.kind for spec in specs), key="bifc".index)
        return state.defaults.dtypes[kind]
    return promote_specs(specs)


def _spec_of(x: Any) -> TensorSpec:
    if isinstance(x, (*_ARRAYS, bool, int, float, complex)):
        return spec_of(x)
    return TensorSpec((), as_dtype("result_type", x))


def _dtype_of(name: str, x: Any) -> DType:
    return as_dtype(name, x.dtype if isinstance(x, _ARRAYS) else x)
