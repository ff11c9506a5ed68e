"""Ops that join arrays, along an axis they have or a new one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hybrid.core.dispatch import bind, busy, state
from hybrid.core.making import asarray
from hybrid.core.op import Block, Blocks, Example, Op, Parts, Steps, register
from hybrid.core.source import located
from hybrid.core.spec import Shape, TensorSpec, promote_specs
from hybrid.core.tensor import ArrayLike, Tensor, wrap
from hybrid.dtypes import promote
from hybrid.errors import ShapeError
from hybrid.ops._axes import lead_axis, one_axis
from hybrid.ops.elementwise.operands import each_of
from hybrid.ops.reshaping import ravel, reshape
from hybrid.ops.slicing import narrow
from hybrid.ops.unit_axes import expand_dims, squeeze


def _apart(first: Shape, other: Shape, axis: int) -> str:
    """Say what keeps arrays of two shapes from being joined along an axis."""
    text = f"concat: shapes {first} and {other}"
    if len(first) != len(other):
        return f"{text} have {len(first)} and {len(other)} axes, not as many"
    sizes = enumerate(zip(first, other))
    i, n, m = next((i, n, m) for i, (n, m) in sizes if n != m and i != axis)
    return f"{text} have sizes {n} and {m} along axis {i}; only along axis {axis} may they differ"


def _infer_concat(*specs: TensorSpec, axis: int) -> TensorSpec:
    first = specs[0]
    for spec in specs[1:]:
        rest = [s.shape[:axis] + s.shape[axis + 1 :] for s in (first, spec)]
        if spec.ndim != first.ndim or rest[0] != rest[1]:
            raise ShapeError(_apart(first.shape, spec.shape, axis))
    total = sum(s.shape[axis] for s in specs)
    shape = (*first.shape[:axis], total, *first.shape[axis + 1 :])
    return TensorSpec(shape, promote_specs(specs), first.device)


def _vjp_concat(i: int, g: Tensor, out: Tensor, *inputs: Tensor, axis: int) -> Tensor:
    start = sum(x.shape[axis] for x in inputs[:i])
    return narrow(g, axis, start, inputs[i].shape[axis]).astype(inputs[i].dtype, copy=False)


def _alike(arrays: tuple[Any, ...]) -> Iterable[Any]:
    """Convert arrays to their common dtype, which NumPy does not find for bfloat16 and others."""
    first = arrays[0].dtype
    for x in arrays:
        if x.dtype is not first:  # most dtypes are one object
            break
    else:
        return arrays
    common = promote(x.dtype for x in arrays)
    return [x.astype(common, copy=False) for x in arrays]


def _block(starts: Shape, sizes: Shape) -> Steps:
    """Return the view ops that show a block of an array, as the attrs of view_update hold them."""
    steps = (1,) * len(sizes)
    return (("slice", (("sizes", sizes), ("starts", starts), ("steps", steps))),)


def _parts_concat(*specs: TensorSpec, axis: int) -> Parts:
    places, start = [], 0
    for spec in specs:
        starts = tuple(start if i == axis else 0 for i in range(spec.ndim))
        places.append(_block(starts, spec.shape))
        start += spec.shape[axis]
    return 0, tuple(places)


def _blocks_concat(*specs: TensorSpec, axis: int) -> Blocks:
    blocks, start = [], 0
    for number, spec in enumerate(specs):
        first = (0,) * spec.ndim
        at = (*first[:axis], start, *first[axis + 1 :])
        blocks.append(Block(number, first, at, spec.shape))
        start += spec.shape[axis]
    return None, tuple(blocks)


CONCAT = register(
    Op(
        name="concat",
        family="movement",
        lead=lead_axis,
        infer=_infer_concat,
        eager=lambda xp, *arrays, axis: xp.concatenate(_alike(arrays), axis=axis),
        vjp=_vjp_concat,
        parts=_parts_concat,
        blocks=_blocks_concat,
        examples=(
            Example(((2, 3), (4, 3)), {"axis": 0}),
            Example(((2,), (3,), (1,)), {"axis": 0}, ("float32", "int64", "float32")),
        ),
        doc="Join arrays along an axis they have.",
    )
)


def _of_one_dtype(arrays: Any) -> list[Any] | None:
    """Return what Tensors hold, for a short way to bind; None unless it is as one can join it."""
    parts: list[Any] = []
    if type(arrays) is not list and type(arrays) is not tuple:
        return None
    dtype = None
    for x in arrays:
        data = x._data if type(x) is Tensor else None
        if type(data) is not _array:
            return None
        if data.dtype is not dtype:
            if dtype is not None:
                return None
            dtype = data.dtype
        parts.append(data)
    return parts


_new = object.__new__
_array = np.ndarray
_concatenate = np.concatenate


def concat(arrays: Sequence[ArrayLike], /, *, axis: int | None = 0) -> Tensor:
    """Join arrays along an axis.

    Parameters
    ----------
    arrays : sequence of array-like
        Of the same shape but for `axis`; they meet in a common dtype.
    axis : int, optional
        None joins the raveled arrays.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        Where shapes do not fit or there is no array.

    Examples
    --------
    >>> concat([[1, 2], [3]])
    Tensor([1, 2, 3], dtype=int64)
    """
    if not busy or state.plain:
        parts = _of_one_dtype(arrays)
        if parts:
            try:
                data = _concatenate(parts, axis)
            except (TypeError, ValueError):
                pass  # explained below
            else:  # what `wrap` does
                made = _new(Tensor)
                made._data = data
                made._link = made._node = None
                return made
    tensors = each_of("concat", arrays)
    if not tensors:
        raise ShapeError(located("concat: there is no array to join"))
    if axis is None:
        tensors, axis = tuple(ravel(t) for t in tensors), 0
    elif not tensors[0].ndim:
        raise ShapeError(located("concat: arrays without axes cannot be joined, use stack"))
    axis = one_axis("concat", axis, tensors[0].shape)
    return bind(CONCAT, tensors, {"axis": axis})


def concatenate(arrays: Sequence[ArrayLike], axis: int | None = 0) -> Tensor:
    """NumPy's name of concat; arguments as of :func:`concat`.

    Examples
    --------
    >>> concatenate([[1, 2], [3]])
    Tensor([1, 2, 3], dtype=int64)
    """
    return concat(arrays, axis=axis)


def _infer_stack(*specs: TensorSpec, axis: int) -> TensorSpec:
    first = specs[0]
    for spec in specs[1:]:
        if spec.shape != first.shape:
            raise ShapeError(
                f"stack: shapes {first.shape} and {spec.shape} differ, all must be the same"
            )
    shape = (*first.shape[:axis], len(specs), *first.shape[axis:])
    return TensorSpec(shape, promote_specs(specs), first.device)


def _vjp_stack(i: int, g: Tensor, out: Tensor, *inputs: Tensor, axis: int) -> Tensor:
    part = squeeze(narrow(g, axis, i, 1), axis)
    return part.astype(inputs[i].dtype, copy=False)


def _parts_stack(*specs: TensorSpec, axis: int) -> Parts:
    shape = specs[0].shape
    sizes = (*shape[:axis], 1, *shape[axis:])
    starts = [tuple(k if i == axis else 0 for i in range(len(sizes))) for k in range(len(specs))]
    return 0, tuple((*_block(s, sizes), ("squeeze", (("axis", (axis,)),))) for s in starts)


def _eager_stack(xp: Any, *arrays: Any, axis: int) -> Any:
    if axis:
        return xp.stack(_alike(arrays), axis=axis)
    # A third of the time of xp.stack, for small arrays.
    return xp.concatenate([x[None] for x in _alike(arrays)])


STACK = register(
    Op(
        name="stack",
        family="movement",
        lead=lead_axis,
        infer=_infer_stack,
        eager=_eager_stack,
        vjp=_vjp_stack,
        parts=_parts_stack,
        expand=lambda *arrays, axis: concat([expand_dims(a, axis) for a in arrays], axis=axis),
        examples=(Example(((2, 3), (2, 3)), {"axis": 1}), Example(((), ()), {"axis": 0})),
        doc="Join arrays along a new axis.",
    )
)


def stack(arrays: Sequence[ArrayLike], /, *, axis: int = 0) -> Tensor:
    """Join arrays of one shape along a new axis.

    Parameters
    ----------
    arrays : sequence of array-like
        Of one shape.
    axis : int
        Where the new axis is in the result.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> stack([[1, 2], [3, 4]], axis=1)
    Tensor([[1, 3],
            [2, 4]], dtype=int64)
    """
    if not axis and (not busy or state.plain):
        parts = _of_one_dtype(arrays)
        if parts:
            try:
                return wrap(np.concatenate([part[None] for part in parts]))
            except ValueError:
                pass  # explained below
    tensors = each_of("stack", arrays)
    if not tensors:
        raise ShapeError(located("stack: there is no array to join"))
    return bind(STACK, tensors, {"axis": one_axis("stack", axis, tensors[0].shape, extra=1)})


def joined(obj: Any) -> Tensor:
    """Return nested sequences, in which Tensors are, as one Tensor; dtypes meet as in NumPy.

    Raises
    ------
    ShapeError
        Where parts differ in shape.
    """
    if not isinstance(obj, list | tuple):
        # A Python scalar in an array is as wide as NumPy makes it, one of a trace too.
        weak = type(obj) is Tensor and obj.spec.weak
        tensor = asarray(obj if isinstance(obj, Tensor) or weak else np.asarray(obj))
        return tensor.astype(tensor.dtype, copy=True) if weak else tensor
    parts = [joined(part) for part in obj]
    shapes = {part.shape for part in parts}
    if len(shapes) > 1:
        listed = ", ".join(map(str, sorted(shapes)))
        raise ShapeError(located(f"array: parts of different shapes, {listed}, make no array"))
    return stack(parts) if parts else asarray(np.zeros(0))


def vstack(arrays: Sequence[ArrayLike], /) -> Tensor:
    """Join arrays row by row; an array of one axis is a row.

    Parameters
    ----------
    arrays : sequence of array-like

    Returns
    -------
    Tensor

    Examples
    --------
    >>> vstack([[1, 2], [3, 4]])
    Tensor([[1, 2],
            [3, 4]], dtype=int64)
    """
    return concat([_at_least_2d(a) for a in each_of("vstack", arrays)], axis=0)


def hstack(arrays: Sequence[ArrayLike], /) -> Tensor:
    """Join arrays column by column; arrays of one axis are joined along it.

    Parameters
    ----------
    arrays : sequence of array-like

    Returns
    -------
    Tensor

    Examples
    --------
    >>> hstack([[1, 2], [3]])
    Tensor([1, 2, 3], dtype=int64)
    """
    tensors = [t if t.ndim else reshape(t, 1) for t in each_of("hstack", arrays)]
    return concat(tensors, axis=0 if tensors and tensors[0].ndim == 1 else 1)


def _at_least_2d(x: Tensor) -> Tensor:
    return x if x.ndim >= 2 else reshape(x, (1, x.size))
