"""Axes in another order: views, as NumPy makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from hybrid.core.aliases import seen
from hybrid.core.dispatch import bind, busy, state
from hybrid.core.making import asarray
from hybrid.core.op import Example, Op, register
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.storage import Chain
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import ShapeError
from hybrid.kernels.shortway import Way
from hybrid.ops import _shortways
from hybrid.ops._axes import Axes, one_axis, some_axes
from hybrid.ops._methods import attach, attach_properties


def _infer_permute(x: TensorSpec, *, axes: Axes) -> TensorSpec:
    if sorted(axes) != list(range(x.ndim)):
        raise ShapeError(
            f"permute_dims: axes {axes} are no permutation of the axes of shape {x.shape}"
        )
    return TensorSpec(tuple(x.shape[a] for a in axes), x.dtype, x.device)


PERMUTE_DIMS = register(
    Op(
        name="permute_dims",
        family="movement",
        lead=lambda attrs, size, x: {"axes": (0, *(a + 1 for a in attrs["axes"]))},
        infer=_infer_permute,
        eager=lambda xp, x, *, axes: x.transpose(axes),
        vjp=(lambda g, out, x, *, axes: permute_dims(g, _inverse(axes)),),
        view=lambda layout, *, axes: layout.transpose(axes),
        examples=(
            Example(((2, 3, 4),), {"axes": (2, 0, 1)}),
            Example(((),), {"axes": ()}),
        ),
        doc="The axes in another order.",
    )
)


def _inverse(axes: Axes) -> Axes:
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


def permute_dims(x: ArrayLike, /, axes: Iterable[int] | None = None) -> Tensor:
    """Put the axes of `x` in another order; a view.

    Parameters
    ----------
    x : array-like
    axes : tuple of int, optional
        For each axis of the result the axis of `x`; the reverse order if left out.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> permute_dims([[1, 2], [3, 4]])
    Tensor([[1, 3],
            [2, 4]], dtype=int64)
    """
    if _short_turn is not None and (done := _short_turn(x, axes)) is not None:
        return done
    if (not busy or state.plain) and type(x) is Tensor and type(x._data) is np.ndarray:
        data = x._data
        if axes is None:
            return seen(x, data.T, _permuted, *range(data.ndim - 1, -1, -1))
        if type(axes) is tuple and len(axes) == data.ndim and set(map(type, axes)) == {int}:
            try:
                return seen(x, data.transpose(axes), _permuted, *axes)
            except ValueError:
                pass  # explained below
    x = asarray(x)
    if axes is None:
        order = tuple(range(x.ndim - 1, -1, -1))
    else:
        order = some_axes("permute_dims", axes, x.shape)
    return bind(PERMUTE_DIMS, (x,), {"axes": order})


_short_turn: Callable[[Any, Any], Tensor | None] | None = None


def _permuted(*axes: int) -> Chain:
    n = len(axes)
    return ((PERMUTE_DIMS, {"axes": tuple([a % n for a in axes])}),)


transpose = permute_dims


def matrix_transpose(x: ArrayLike, /) -> Tensor:
    """Swap the last two axes; a view.

    Parameters
    ----------
    x : array-like
        Of two axes at least, (..., m, n).

    Returns
    -------
    Tensor
        (..., n, m).

    Examples
    --------
    >>> matrix_transpose([[1, 2, 3], [4, 5, 6]])
    Tensor([[1, 4],
            [2, 5],
            [3, 6]], dtype=int64)
    """
    x = asarray(x)
    if x.ndim < 2:
        raise ShapeError(located(f"matrix_transpose: shape {x.shape} has fewer than two axes"))
    return swapaxes(x, -1, -2)


def swapaxes(x: ArrayLike, /, axis1: int, axis2: int) -> Tensor:
    """Swap two axes; a view.

    Parameters
    ----------
    x : array-like
    axis1, axis2 : int

    Returns
    -------
    Tensor

    Examples
    --------
    >>> swapaxes([[1, 2], [3, 4]], 0, 1)
    Tensor([[1, 3],
            [2, 4]], dtype=int64)
    """
    x = asarray(x)
    a, b = one_axis("swapaxes", axis1, x.shape), one_axis("swapaxes", axis2, x.shape)
    order = list(range(x.ndim))
    order[a], order[b] = b, a
    return bind(PERMUTE_DIMS, (x,), {"axes": tuple(order)})


def moveaxis(x: ArrayLike, /, source: int | Axes, destination: int | Axes) -> Tensor:
    """Move axes to other places, the others keeping their order; a view.

    Parameters
    ----------
    x : array-like
    source, destination : int or tuple of int
        Where axes are, and where they go.

    Returns
    -------
    Tensor
        A view.

    Examples
    --------
    >>> moveaxis(asarray([[1, 2, 3]]), 0, 1).shape
    (3, 1)
    """
    x = asarray(x)
    taken = some_axes("moveaxis", source, x.shape)
    put = some_axes("moveaxis", destination, x.shape)
    if len(taken) != len(put):
        raise ShapeError(located(f"moveaxis: {len(taken)} axes cannot go to {len(put)} places"))
    order = [a for a in range(x.ndim) if a not in taken]
    for place, axis in sorted(zip(put, taken)):
        order.insert(place, axis)
    return bind(PERMUTE_DIMS, (x,), {"axes": tuple(order)})


def _transpose_method(self: Tensor, *axes: Any) -> Tensor:
    """Reorder the axes, or reverse their order where none is given; a view.

    Parameters
    ----------
    *axes : int, or one tuple of int
        Which axis of this Tensor each axis of the result is.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> import hybrid as hb
    >>> hb.ones((2, 3, 4)).transpose(1, 0, 2).shape
    (3, 2, 4)
    """
    if not axes or axes == (None,):
        return permute_dims(self)
    return permute_dims(self, axes[0] if isinstance(axes[0], Iterable) else axes)


attach(transpose=_transpose_method, swapaxes=swapaxes)
_shortways.offer(
    Way("T", "transpose", _permuted, permute_dims),
    lambda native: attach_properties(T=native["T"]),
)
_shortways.on_tensor(Way("transpose", "transpose", _permuted, _transpose_method))
_shortways.in_module(Way("permute_dims", "function of axes", _permuted), globals(), "_short_turn")
attach_properties(T=permute_dims, mT=matrix_transpose)
