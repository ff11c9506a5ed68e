"""The real and the imaginary part of complex numbers, and their conjugates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.aliases import one_step, seen
from hybrid.core.dispatch import bind, busy, state
from hybrid.core.making import asarray
from hybrid.core.op import Example, Op
from hybrid.core.scalars import is_scalar
from hybrid.core.source import located
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.ops.elementwise.declare import Key, Loop, Unary, elementwise, unary
from hybrid.ops.elementwise.operands import strong
from hybrid.ops.elementwise.operators import into
from hybrid.ops.parts import PART_OF, WITH_IMAG, WITH_REAL

_NO_ATTRS: dict[str, Any] = {}


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
