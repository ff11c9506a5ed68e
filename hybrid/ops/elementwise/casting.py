"""Ops that keep the values and change what they are: astype, real, imag, conj, stop_gradient."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Literal

import numpy as np

from hybrid import dtypes
from hybrid.core.aliases import one_step, seen
from hybrid.core.devices import as_device
from hybrid.core.dispatch import bind, busy, state
from hybrid.core.heard import converts, heard
from hybrid.core.making import asarray
from hybrid.core.op import Example, Op, register
from hybrid.core.scalars import is_scalar
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import ArrayLike, Tensor, wrap
from hybrid.dtypes import DType
from hybrid.errors import DTypeError
from hybrid.ops.elementwise.declare import Key, Loop, Unary, elementwise, unary
from hybrid.ops.elementwise.operands import strong
from hybrid.ops.elementwise.operators import into
from hybrid.ops.parts import PART_OF, WITH_IMAG, WITH_REAL

_NO_ATTRS: dict[str, Any] = {}

# --- astype ---------------------------------------------------------------------------------------


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


# --- parts of complex numbers ---------------------------------------------------------------------


def _part_rule(x: Key) -> Loop:
    dtype = np.dtype(x)
    return dtype, PART_OF.get(dtype, dtype)


def _shown(xp: Any, part: Callable[[Any], Any], x: Any) -> Any:
    """Return a view of a part of complex numbers, of others an array of its own."""
    found = part(x)
    return found if getattr(x, "dtype", dtypes.bool_).kind == "c" else xp.array(found)


def _copied(part: Callable[[Any], Any]) -> Callable[..., None]:
    """Return what a Plan calls where no kernel computes a part: values there share no memory."""
    return lambda x, *, out: np.copyto(out, part(x))


REAL = elementwise(
    "real",
    lambda xp, x: _shown(xp, xp.real, x),
    _part_rule,
    scalar="real({0})",
    vjp=(lambda g, out, x: g,),
    examples=(Example(((2, 3),)), Example(((),)), Example(((0, 3),))),
    put=WITH_REAL,
    into=lambda x: _copied(np.real),
    doc="The real part; of complex numbers a view.",
)

IMAG = elementwise(
    "imag",
    lambda xp, x: _shown(xp, xp.imag, x),
    _part_rule,
    scalar="imag({0})",
    vjp=(lambda g, out, x: g * -1j if x.dtype.kind == "c" else None,),
    examples=(Example(((2, 3),)), Example(((),)), Example(((0, 3),))),
    put=WITH_IMAG,
    into=lambda x: _copied(np.imag),
    doc="The imaginary part; of complex numbers a view, of real ones 0.",
)


def real(x: ArrayLike, /, out: Any = None) -> Tensor:
    """Return the real part: of complex numbers a view, real numbers as they are.

    Parameters
    ----------
    x : array-like
        What is written to the result is written to it.
    out : Tensor, optional
        Where to write it instead.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> real([1 + 2j, 3])
    Tensor([1., 3.], dtype=float32)
    """
    if out is not None:
        return into(out, real(x))
    if isinstance(x, Tensor | np.ndarray) and x.dtype.kind != "c":
        return asarray(x)
    return _part(REAL, x)


def imag(x: ArrayLike, /, out: Any = None) -> Tensor:
    """Return the imaginary part: of complex numbers a view, of real ones zeros.

    Parameters
    ----------
    x : array-like
        Where it is complex, what is written to the result is written to it. The zeros of real
        numbers are read-only, as in NumPy.
    out : Tensor, optional
        Where to write it instead.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> imag([1 + 2j])
    Tensor([2.], dtype=float32)
    """
    if out is not None:
        return into(out, imag(x))
    return _part(IMAG, x)


def set_real(x: Tensor, value: ArrayLike) -> None:
    """Write the real parts of `x`, as ``x.real = value`` does."""
    from hybrid.ops.inplace import assign

    assign(real(x), value)


def set_imag(x: Tensor, value: ArrayLike) -> None:
    """Write the imaginary parts of `x`, as ``x.imag = value`` does."""
    from hybrid.ops.inplace import assign

    if x.dtype.kind != "c":
        raise TypeError(located(f"imag: {x.spec} has no imaginary part that could be written"))
    assign(imag(x), value)


def _part(op: Op, x: ArrayLike) -> Tensor:
    if type(x) is Tensor and (not busy or state.plain) and type(x._data) is np.ndarray:
        data = x._data
        if data.dtype.kind == "c" and data.ndim:
            return seen(x, data.real if op is REAL else data.imag, one_step, op, _NO_ATTRS)
    whole = asarray(strong(x)[0])
    if op is IMAG and whole.dtype.kind != "c" and state.recorder is not None and whole.ndim:
        from hybrid.ops.broadcasting import broadcast_to

        return broadcast_to(np.zeros((), whole.dtype), whole.shape)  # read-only, as NumPy's
    found: Tensor = bind(op, (whole,), _NO_ATTRS)
    if op is IMAG and type(found._data) is np.ndarray and whole.dtype.kind != "c":
        found._data.flags.writeable = False
    recorder = state.recorder
    if not whole.ndim and (is_scalar(whole) if recorder is None else recorder.is_scalar(whole)):
        found._link = None
        if type(found._data) is not Symbol:
            found._data = found._data.copy()
    return found


conj: Unary = unary(
    "conj",
    "conj({0})",
    lambda g, out, x: conj(g),
    ufunc=np.conjugate,
    hint="booleans have no conjugate",
    doc="The complex conjugate.",
    example="""
>>> conj([1 + 2j])
Tensor([1.-2.j], dtype=complex64)
""",
)
conjugate = conj


def conj_method(x: Tensor) -> Tensor:
    """Return the complex conjugate; as NumPy's method does, of booleans the same.

    Parameters
    ----------
    x : Tensor

    Returns
    -------
    Tensor
        The same Tensor where it is real.

    Examples
    --------
    >>> import hybrid as hb
    >>> hb.asarray([1 + 2j]).conj()
    Tensor([1.-2.j], dtype=complex64)
    """
    return asarray(x, copy=True) if x.dtype.kind == "b" else conj(x)


# --- stop_gradient --------------------------------------------------------------------------------

_STOP_GRADIENT = elementwise(
    "stop_gradient",
    lambda xp, x: xp.array(x),
    lambda x: (np.dtype(x), np.dtype(x)),
    scalar="{0}",
    vjp=(None,),
    no_gradient="asked for",
    examples=(Example(((2, 3),)), Example(((),))),
    doc="A copy that gradients do not pass.",
)


def stop_gradient(x: ArrayLike, /) -> Tensor:
    """Return a copy that gradients do not pass.

    Parameters
    ----------
    x : array-like

    Returns
    -------
    Tensor

    Examples
    --------
    >>> stop_gradient([1.0, 2.0])
    Tensor([1., 2.], dtype=float32)
    """
    result: Tensor = bind(_STOP_GRADIENT, (asarray(x),), {})
    return result


# --- what a Variable holds after an assignment ----------------------------------------------------

_ASSIGNED = elementwise(
    "assigned",
    lambda xp, before, value: xp.array(xp.broadcast_arrays(before, value)[1]),
    lambda before, value: (np.dtype(before), np.dtype(value), np.dtype(value)),
    scalar="{1}",
    vjp=(lambda g, out, before, value: g, None),
    examples=(),
    doc="What a Variable holds that is assigned a value: that, with the gradients of the Variable.",
)


def assigned(before: Tensor, value: Tensor) -> Tensor:
    """Return `value` as new contents of a Variable that held `before`.

    As in eager code, gradients do not pass the assignment; what is read from then on is the
    Variable itself, and counts for its gradient.
    """
    result: Tensor = bind(_ASSIGNED, (before, value), {})
    return result
