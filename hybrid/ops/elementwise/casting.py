"""Conversion to other dtypes: astype and what it refuses."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import numpy as np

from hybrid import dtypes
from hybrid.core.devices import as_device
from hybrid.core.dispatch import bind, busy, state
from hybrid.core.heard import converts, heard
from hybrid.core.making import asarray
from hybrid.core.op import Example, Op, register
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor, wrap
from hybrid.dtypes import DType
from hybrid.errors import DTypeError
from hybrid.ops.elementwise.complex_parts import conj, real


@converts
def _cast(array: Any, dtype: DType) -> Any:
    if dtype == np.uint32 and array.dtype.kind == "f":
        # NumPy's own loops differ among themselves for NaN and what is out of range.
        array = array.astype(np.int64)
    return array.astype(dtype)


_QUIET = frozenset(
    a + b
    for a in "?bBhHiIlLqQfdFD"
    for b in "?bBhHiIlLqQfdFD"
    if a in "?bBhHiIlLqQ" or np.can_cast(a, b, "safe")
)
"""What casts of NumPy's have nothing to warn of, by the characters of both dtypes."""


def _vjp_astype(g: Tensor, out: Tensor, x: Tensor, *, dtype: DType) -> Tensor:
    if g.dtype.kind == "c" and x.dtype.kind != "c":
        g = real(g)
    return astype(g, x.dtype, copy=False)


ASTYPE = register(
    Op(
        name="astype",
        family="elementwise",
        infer=lambda x, *, dtype: TensorSpec(x.shape, dtype, x.device),
        eager=lambda xp, x, *, dtype: _cast(xp.asarray(x), dtype),
        scalar="cast",
        compute=lambda specs: (specs[0].dtype,),
        vjp=(_vjp_astype,),
        examples=(
            Example(((2, 3),), {"dtype": dtypes.float64}, domain=(-20.0, 20.0)),
            Example(((),), {"dtype": dtypes.int32}, domain=(-20.0, 20.0)),
            Example(((3,),), {"dtype": dtypes.float32}, dtypes=("int64",)),
            Example(((3,),), {"dtype": dtypes.bool_}, dtypes=("int64",)),
        ),
        doc="Convert to another dtype.",
    )
)


def astype(
    x: ArrayLike, dtype: Any, /, *, copy: bool = True, device: Any = None, casting: str = "unsafe"
) -> Tensor:
    """Convert to another dtype.

    Parameters
    ----------
    x : array-like
    dtype : dtype or str
    copy : bool
        False returns `x` itself where it has the dtype already.
    device : str, optional
        Where the Tensor is to be; left out, where `x` is.
    casting : {"unsafe", "same_kind", "safe", "equiv", "no"}
        Which conversions are refused, by NumPy's rules.

    Returns
    -------
    Tensor

    Raises
    ------
    DTypeError
        For what is no dtype of a Tensor, or a conversion that `casting` refuses.

    Examples
    --------
    >>> astype([1.5, -1.5], "int32")
    Tensor([ 1, -1], dtype=int32)
    """
    wanted = _supported(dtype)
    if (
        copy
        and device is None
        and casting == "unsafe"
        and (made := _at_once(x, wanted)) is not None
    ):
        return made
    if casting != "unsafe":
        x = asarray(x)
        check_cast("astype", x.dtype, wanted, casting)
    if device is not None:
        where = as_device("astype", device)
        return astype(x, dtype, copy=copy).to_device(where)
    x = asarray(x)
    if not copy and x.dtype == wanted and not x.spec.weak:
        return x
    result: Tensor = bind(ASTYPE, (x,), {"dtype": wanted})
    return result


def _at_once(x: Any, wanted: DType) -> Tensor | None:
    """Convert where nothing records it and NumPy does it; None elsewhere."""
    if (busy and not state.plain) or type(x) is not Tensor:
        return None
    data = x._data
    if type(data) is not np.ndarray:
        return None
    if data.dtype.char + wanted.char in _QUIET:
        return wrap(data.astype(wanted))
    return wrap(heard()(_cast, data, wanted))


def check_cast(name: str, old: DType, new: DType, casting: str) -> None:
    """Refuse a conversion that a rule of NumPy's does not allow.

    Raises
    ------
    DTypeError
        Naming both dtypes and the rule.
    ValueError
        For what is no rule.
    """
    if casting not in _RULES:
        raise ValueError(located(f"{name}: casting is one of {', '.join(_RULES)}, not {casting!r}"))
    if not np.can_cast(old, new, casting):  # type: ignore[arg-type]
        raise DTypeError(
            located(f"{name}: {old.name} does not become {new.name} by the rule {casting!r}")
        )


_RULES = ("unsafe", "same_kind", "safe", "equiv", "no")


def astype_method(
    x: Tensor,
    dtype: Any,
    order: Literal["C", "F", "A", "K"] = "K",
    casting: str = "unsafe",
    subok: bool = True,
    copy: bool = True,
    *,
    device: Any = None,
) -> Tensor:
    """Convert to another dtype; arguments as of :func:`astype` and of the method of ndarray.

    Parameters
    ----------
    x : Tensor
    dtype : dtype or str
    order : {"K", "A", "C", "F"}
        How the result lies in memory: as `x` does, or in C or Fortran order.
    subok : bool
        Says nothing of Tensors.
    casting, copy, device
        As of :func:`astype`.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> import hybrid as hb
    >>> hb.asarray([1.5, 2.0]).astype("int32", casting="safe")
    Traceback (most recent call last):
      ...
    hybrid.errors.DTypeError: astype: float32 does not become int32 by the rule 'safe'
      ...
    """
    usual = order == "K" and copy and device is None and casting == "unsafe"
    if usual and (made := _at_once(x, _supported(dtype))) is not None:
        return made
    if order not in ("C", "F", "A", "K"):
        raise ValueError(located(f"astype: order is 'C', 'F', 'A' or 'K', not {order!r}"))
    result = astype(x, dtype, copy=copy, device=device, casting=casting)
    if order in "KA":
        return result
    from hybrid.ops.copying import packed

    return packed(result, order)


@cache
def _supported(dtype: Any) -> DType:
    try:
        wanted: DType = np.dtype(dtype)
    except TypeError:
        raise DTypeError(located(f"astype: {dtype!r} is not a dtype")) from None
    if wanted not in dtypes.SUPPORTED:
        raise DTypeError(located(f"astype: dtype {wanted} is not supported"))
    return wanted


conjugate = conj
