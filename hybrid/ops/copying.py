"""The same elements in memory of their own, or in C order."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.core.dispatch import bind, busy
from hybrid.core.making import asarray
from hybrid.core.op import Example, Op, always, register
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import ArrayLike, Tensor, wrap
from hybrid.kernels.shortway import Way
from hybrid.ops import _shortways
from hybrid.ops._methods import attach
from hybrid.ops.lying import first_to_last, like_fortran
from hybrid.ops.permuting import permute_dims

COPY = register(
    Op(
        name="copy",
        family="movement",
        infer=lambda x: TensorSpec(x.shape, x.dtype, x.device),
        eager=lambda xp, x: xp.array(x, order="C"),  # as the method of ndarrays does
        scalar="{0}",
        compute=lambda specs: (specs[0].dtype,),
        in_order=always,
        vjp=(lambda g, out, x: g,),
        examples=(Example(((2, 3),)),),
        doc="The same elements in memory of their own.",
    )
)


def copy(x: ArrayLike, /, order: str = "C") -> Tensor:
    """Return a copy that shares no memory with `x`.

    Parameters
    ----------
    x : array-like
    order : {"C", "F", "A", "K"}
        How the copy lies in memory: the last axis is contiguous, or the first one; the first if it
        is in all of `x`; or the axes follow one another as in `x`.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> copy([1.0, 2.0])
    Tensor([1., 2.], dtype=float32)
    """
    if order == "C":
        if not busy and type(x) is Tensor and type(x._data) is np.ndarray:
            return wrap(x._data.copy())
        return bind(COPY, (asarray(x),), {})
    if order == "F":
        return permute_dims(bind(COPY, (permute_dims(x),), {}))
    if order == "A":
        return copy(x, "F" if like_fortran(asarray(x)) else "C")
    if order == "K":
        axes = first_to_last(asarray(x))
        turned = bind(COPY, (permute_dims(x, axes),), {})
        return permute_dims(turned, sorted(range(len(axes)), key=axes.__getitem__))
    raise ValueError(located(f"copy: order is 'C', 'F', 'A' or 'K', not {order!r}"))


PACK = register(
    Op(
        name="pack",
        family="movement",
        lead=lambda attrs, size, x: {},
        infer=lambda x: TensorSpec(x.shape, x.dtype, x.device),
        eager=lambda xp, x: xp.asarray(x, order="C"),
        vjp=(lambda g, out, x: g,),
        view=lambda layout: layout if layout.is_contiguous else None,
        examples=(Example(((2, 3),)), Example(((),))),
        doc="The same elements in C order without gaps: a view where they lie so, else a copy.",
    )
)


def packed(x: Tensor, order: str) -> Tensor:
    """Return `x` where it lies in order ``"C"`` or ``"F"`` without gaps, else a copy that does."""
    if order == "C":
        return bind(PACK, (x,), {})
    return permute_dims(bind(PACK, (permute_dims(x),), {}))


def laid(made: Tensor, like: Tensor, order: str = "K") -> Tensor:
    """Return a new Tensor as NumPy lays out one that it makes like another.

    Parameters
    ----------
    made : Tensor
        New, of no memory that others see.
    like : Tensor
        With as many axes.
    order : {"K", "A", "C"}
        As ``np.empty_like`` takes it; but ``"A"`` is Fortran's where `like` is not in C order too.

    Returns
    -------
    Tensor
        `made` where it lies so, or where how it lies cannot be seen.
    """
    if made.ndim < 2 or made.ndim != like.ndim:
        return made
    data, other = made._data, like._data
    if type(data) is Symbol:
        if data.array is None and type(other) is Symbol and other.array is None:
            data.recorder.lie_like(made, like, order)
        return made
    if type(data) is not np.ndarray or type(other) is not np.ndarray:
        return made
    if data.flags.c_contiguous and (order == "C" or other.flags.c_contiguous):
        return made
    wanted_order: Any = ("F" if other.flags.fnc else "C") if order == "A" else order
    wanted = np.empty_like(other, np.int8, order=wanted_order, shape=made.shape).strides
    axes = tuple(sorted(range(made.ndim), key=lambda axis: -wanted[axis]))
    if data.transpose(axes).flags.c_contiguous:
        return made
    turned = bind(COPY, (permute_dims(made, axes),), {})
    return permute_dims(turned, sorted(range(len(axes)), key=axes.__getitem__))


attach(copy=copy)
_shortways.on_tensor(Way("copy", "copy", otherwise=copy))
