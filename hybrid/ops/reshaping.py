"""The same elements in another shape: views wherever NumPy makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import Any, cast

import numpy as np

from hybrid.core.aliases import aliases, seen, shares_memory
from hybrid.core.dispatch import bind, busy, state
from hybrid.core.making import asarray
from hybrid.core.op import Example, Op, register
from hybrid.core.source import located
from hybrid.core.spec import Shape, TensorSpec
from hybrid.core.storage import Chain
from hybrid.core.tensor import ArrayLike, Tensor, wrap
from hybrid.core.unknown import as_size
from hybrid.errors import HybridError, ShapeError
from hybrid.kernels.shortway import Way
from hybrid.ops import _shortways
from hybrid.ops._axes import as_shape
from hybrid.ops._methods import attach
from hybrid.ops.copying import copy as copied  # `copy` is the name of a parameter
from hybrid.ops.copying import packed
from hybrid.ops.lying import first_to_last, like_fortran
from hybrid.ops.permuting import permute_dims


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
    return copied(out) if copy else out


def _reshape_first_axis_fastest(x: ArrayLike, shape: Any, order: str, copy: Any) -> Tensor:
    x = asarray(x)
    if order == "A":
        if not like_fortran(x):
            return reshape(x, shape, copy=copy)
    elif order != "F":
        raise ValueError(located(f"reshape: order is 'C', 'F' or 'A', not {order!r}"))
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
    # NumPy works out any negative size.
    sizes = tuple([-1 if type(n) is int and n < 0 else n for n in sizes])
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
    order : {"C", "F", "A", "K"}
        The last or the first index moves fastest; the first if all lies so, else the last; or the
        axes follow one another as in memory.

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
    if order == "K":
        return ravel(permute_dims(x, first_to_last(x)))
    if order == "A":
        order = "F" if like_fortran(x) else "C"
    if order in ("C", "F"):
        return reshape(packed(x, order), x.size, order)
    raise ValueError(located(f"ravel: order is 'C', 'F', 'A' or 'K', not {order!r}"))


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
    return copied(ravel(self, order))


attach(reshape=_reshape_method, ravel=ravel, flatten=_flatten)
_shortways.on_tensor(Way("reshape", "reshape", _reshaped, _reshape_method))
_shortways.offer(
    Way("shaped", "reshape", _reshaped, _by_itself),
    lambda native: globals().update(_short=native["shaped"]),
)
_shortways.on_tensor(Way("ravel", "ravel", _reshaped, ravel))
_shortways.on_tensor(Way("flatten", "flatten", otherwise=_flatten))
