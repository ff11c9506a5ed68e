"""Broadcasting: arrays stretched to a common shape, and the sum that undoes it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hybrid.core.aliases import one_step, seen
from hybrid.core.batch import Lanes
from hybrid.core.dispatch import bind, busy, state
from hybrid.core.making import asarray
from hybrid.core.op import Attrs, Example, Op, register
from hybrid.core.source import located
from hybrid.core.spec import Shape, TensorSpec, fits
from hybrid.core.spec import broadcast_shapes as broadcast
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.core.unknown import same, same_shape
from hybrid.errors import ShapeError
from hybrid.ops._axes import as_shape
from hybrid.ops.reshaping import reshape
from hybrid.ops.unit_axes import expand_dims


def _infer_broadcast(x: TensorSpec, *, shape: Shape) -> TensorSpec:
    if not fits(x.shape, shape):
        raise ShapeError(f"broadcast_to: shape {x.shape} does not broadcast to {shape}")
    return TensorSpec(shape, x.dtype, x.device)


def _batch_broadcast(op: Op, size: int, lanes: Lanes, attrs: Attrs) -> Tensor | None:
    (lane,) = lanes
    if not lane.batched:
        return None
    new = 1 + len(attrs["shape"]) - lane.tensor.ndim
    aligned = expand_dims(lane.tensor, tuple(range(1, 1 + new)))
    return bind(BROADCAST_TO, (aligned,), {"shape": (size, *attrs["shape"])})


BROADCAST_TO = register(
    Op(
        name="broadcast_to",
        family="movement",
        batch=_batch_broadcast,
        infer=_infer_broadcast,
        eager=lambda xp, x, *, shape: xp.broadcast_to(x, shape),
        vjp=(lambda g, out, x, *, shape: sum_to(g, x.shape),),
        view=lambda layout, *, shape: layout.expand(shape),
        examples=(
            Example(((3, 1),), {"shape": (2, 3, 4)}),
            Example(((),), {"shape": (2,)}),
        ),
        doc="Stretch axes of size 1 and put axes in front.",
    )
)


def broadcast_to(x: ArrayLike, /, shape: int | Iterable[int]) -> Tensor:
    """Broadcast `x` to `shape`; a read-only view.

    Parameters
    ----------
    x : array-like
    shape : int or tuple of int

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        If `x` does not broadcast to it.

    Examples
    --------
    >>> broadcast_to([1, 2], (2, 2))
    Tensor([[1, 2],
            [1, 2]], dtype=int64)
    """
    attrs = {"shape": as_shape("broadcast_to", shape)}
    if (not busy or state.plain) and type(x) is Tensor and type(x._data) is np.ndarray:
        try:
            data = np.broadcast_to(x._data, attrs["shape"])
        except ValueError:
            pass  # explained below
        else:
            return seen(x, data, one_step, BROADCAST_TO, attrs)
    return bind(BROADCAST_TO, (asarray(x),), attrs)


def broadcast_shapes(*shapes: Shape) -> Shape:
    """Return the shape that arrays of `shapes` broadcast to.

    Parameters
    ----------
    *shapes : tuple of int

    Returns
    -------
    tuple of int

    Examples
    --------
    >>> broadcast_shapes((2, 1), (3,))
    (2, 3)
    """
    try:
        return broadcast(*shapes)
    except ValueError:
        text = ", ".join(map(str, shapes))
        raise ShapeError(located(f"broadcast: shapes {text} do not fit each other")) from None


def broadcast_arrays(*arrays: ArrayLike) -> list[Tensor]:
    """Broadcast several arrays to their common shape; read-only views.

    Parameters
    ----------
    *arrays : array-like
        Of shapes that broadcast.

    Returns
    -------
    list of Tensor

    Examples
    --------
    >>> [x.shape for x in broadcast_arrays([[1], [2]], [1, 2, 3])]
    [(2, 3), (2, 3)]
    """
    tensors = [asarray(a) for a in arrays]
    shape = broadcast_shapes(*(t.shape for t in tensors))
    return [t if same_shape(t.shape, shape) else broadcast_to(t, shape) for t in tensors]


def sum_to(g: Tensor, shape: Shape) -> Tensor:
    """Undo a broadcast: sum `g` over what was stretched, back to `shape`."""
    if same_shape(g.shape, shape):
        return g
    lead = g.ndim - len(shape)
    stretched = [
        axis
        for axis, (n, m) in enumerate(zip(shape, g.shape[lead:]), lead)
        if not same(n, m) and n == 1 and m != 1
    ]
    axes = (*range(lead), *stretched)
    summed = g.sum(axis=axes, keepdims=True) if axes else g
    return summed if not lead else reshape(summed, shape)
