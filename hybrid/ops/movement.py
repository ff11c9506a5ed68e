"""Ops that show the same elements in another shape or order: views wherever NumPy makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import Any, cast

import numpy as np

from hybrid.core.aliases import aliases, seen, shares_memory
from hybrid.core.dispatch import bind, busy, state
from hybrid.core.making import asarray
from hybrid.core.op import Example, Op, always, register
from hybrid.core.source import located
from hybrid.core.spec import Shape, TensorSpec
from hybrid.core.storage import Chain
from hybrid.core.tensor import ArrayLike, Tensor, wrap
from hybrid.core.unknown import as_size
from hybrid.errors import HybridError, ShapeError
from hybrid.kernels.shortway import Way
from hybrid.ops import _shortways
from hybrid.ops._axes import Axes, as_shape, one_axis, some_axes
from hybrid.ops._methods import attach, attach_properties

# --- reshape --------------------------------------------------------------------------------------


def _infer_reshape(x: TensorSpec, *, shape: Shape) -> TensorSpec:
    if prod(shape) != x.size:
        raise ShapeError(
            f"reshape: {x.size} elements of shape {x.shape} do not fill the shape {shape}"
        )
    return TensorSpec(shape, x.dtype, x.device)


RESHAPE = register(
    Op(
        name="reshape",
        family="movement",
        lead=lambda attrs, size, x: {"shape": (size, *attrs["shape"])},
        infer=_infer_reshape,
        eager=lambda xp, x, *, shape: x.reshape(shape),
        vjp=(lambda g, out, x, *, shape: reshape(g, x.shape),),
        view=lambda layout, *, shape: layout.reshape(shape),
        examples=(
            Example(((2, 3),), {"shape": (3, 2)}),
            Example(((),), {"shape": (1, 1)}),
            Example(((0, 3),), {"shape": (3, 0, 2)}),
        ),
        doc="The same elements in another shape.",
    )
)


def reshape(
    x: ArrayLike,
    /,
    shape: int | Iterable[int],
    order: str = "C",
    *,
    copy: bool | None = None,
) -> Tensor:
    """Give the elements of `x` another shape.

    Parameters
    ----------
    x : array-like
    shape : int or tuple of int
        One size may be -1: it is then worked out from the others.
    order : str
        In which order elements are read and placed: ``"C"``, the last axis changes fastest, or
        ``"F"``, the first one does.
    copy : bool, optional
        True always copies, False never; otherwise the result is a view where the memory of `x`
        allows it.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        Where the number of elements differs.
    ValueError
        Where ``copy=False`` and the memory of `x` does not allow a view, and for another `order`.

    Examples
    --------
    >>> reshape([1, 2, 3, 4], (2, -1))
    Tensor([[1, 2],
            [3, 4]], dtype=int64)
    """
    if order != "C":
        return _reshape_first_axis_fastest(x, shape, order, copy)
    if _short is not None and type(x) is Tensor and copy is None:
        done = _short(x, shape)
        if done is not None:
            return done
    if (
        copy is None
        and (not busy or state.plain)
        and type(x) is Tensor
        and type(x._data) is np.ndarray
    ):
        try:
            data = x._data.reshape(cast(Any, shape))
        except (TypeError, ValueError):
            pass  # explained below
        else:
            if data.base is x._data or shares_memory(data, x._data):
                return seen(x, data, _reshaped, *data.shape)
            return wrap(data)
    x = asarray(x)
    out = bind(RESHAPE, (x,), {"shape": _resolve_shape(x, shape)})
    if copy is False and out.size and not aliases(out, x):
        raise ValueError(
            located(f"reshape: copy=False, but {x.shape} cannot be seen as {out.shape} in place")
        )
    return _copy(out) if copy else out


def _reshape_first_axis_fastest(x: ArrayLike, shape: Any, order: str, copy: Any) -> Tensor:
    if order != "F":
        raise ValueError(
            located(
                f"reshape: order is 'C' or 'F', not {order!r}: how elements lie in memory is not "
                "part of a Tensor"
            )
        )
    x = asarray(x)
    reversed_shape = _resolve_shape(x, shape)[::-1]
    return permute_dims(reshape(permute_dims(x), reversed_shape, copy=copy))


def _reshaped(*shape: int) -> Chain:
    return ((RESHAPE, {"shape": shape}),)


def _resolve_shape(x: Tensor, shape: Any) -> Shape:
    given = tuple(shape) if isinstance(shape, Iterable) else (shape,)
    try:
        sizes = tuple([as_size(n) for n in given])
    except TypeError as error:
        if isinstance(error, HybridError):
            raise
        text = f"reshape: a shape is an int or several, not {shape!r}"
        raise TypeError(located(text)) from None
    if -1 not in sizes:
        return as_shape("reshape", sizes)
    known = prod(n for n in sizes if n != -1)
    if sizes.count(-1) > 1 or known <= 0 or x.size % known != 0:
        raise ShapeError(
            located(
                f"reshape: the -1 in {sizes} cannot be worked out for {x.size} elements "
                f"of shape {x.shape}"
            )
        )
    return tuple(x.size // known if n == -1 else n for n in sizes)


def ravel(x: ArrayLike, /, order: str = "C") -> Tensor:
    """Return the elements as one axis: a view where they lie so in memory, without gaps.

    As in NumPy what steps through memory otherwise is copied, where `reshape` may still show it.

    Parameters
    ----------
    x : array-like
    order : {"C", "F"}
        The last or the first index moves fastest.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> ravel([[1, 2], [3, 4]])
    Tensor([1, 2, 3, 4], dtype=int64)
    """
    if not busy and type(x) is Tensor and type(x._data) is np.ndarray and order == "C":
        if x._data.flags.c_contiguous:
            return x.reshape(-1)
    x = asarray(x)
    if order in ("C", "F"):
        return reshape(packed(x, order), x.size, order)
    return reshape(x, x.size, order)


_short: Callable[[Tensor, Any], Tensor | None] | None = None


def _by_itself(x: Tensor, shape: Any) -> None:
    """Stand behind the short way of :func:`reshape`, which goes on by itself."""


def _reshape_method(
    self: Tensor, *shape: Any, order: str = "C", copy: bool | None = None
) -> Tensor:
    """Return the same elements in another shape: sizes one by one, else as :func:`reshape`.

    Examples
    --------
    >>> import hybrid as hb
    >>> hb.asarray([1, 2, 3, 4]).reshape(2, -1)
    Tensor([[1, 2],
            [3, 4]], dtype=int64)
    """
    return reshape(self, shape[0] if len(shape) == 1 else shape, order, copy=copy)


def _flatten(self: Tensor, order: str = "C") -> Tensor:
    """Return a copy of the elements as one axis.

    Parameters
    ----------
    order : {"C", "F", "A", "K"}
        The last or the first index moves fastest, or as they lie.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> import hybrid as hb
    >>> hb.asarray([[1, 2], [3, 4]]).flatten("F")
    Tensor([1, 3, 2, 4], dtype=int64)
    """
    return _copy(ravel(self, order))


# --- permutations of axes -------------------------------------------------------------------------


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


# --- copy -----------------------------------------------------------------------------------------

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
    order : {"C", "F"}
        How the copy lies in memory: the last axis is contiguous, or the first one.

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
    raise ValueError(located(f"copy: order is 'C' or 'F', not {order!r}"))


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


_copy = copy  # `copy` is the name of a parameter of reshape

attach(
    reshape=_reshape_method,
    ravel=ravel,
    flatten=_flatten,
    transpose=_transpose_method,
    swapaxes=swapaxes,
    copy=copy,
)
_shortways.on_tensor(Way("reshape", "reshape", _reshaped, _reshape_method))
_shortways.offer(
    Way("T", "transpose", _permuted, permute_dims),
    lambda native: attach_properties(T=native["T"]),
)
_shortways.offer(
    Way("shaped", "reshape", _reshaped, _by_itself),
    lambda native: globals().update(_short=native["shaped"]),
)
_shortways.on_tensor(Way("ravel", "ravel", _reshaped, ravel))
_shortways.on_tensor(Way("flatten", "flatten", otherwise=_flatten))
_shortways.on_tensor(Way("transpose", "transpose", _permuted, _transpose_method))
_shortways.on_tensor(Way("copy", "copy", otherwise=copy))
_shortways.in_module(Way("permute_dims", "function of axes", _permuted), globals(), "_short_turn")
attach_properties(T=permute_dims, mT=matrix_transpose)
