"""Ops that put elements into new arrays: padding, repeating, rolling, tiling."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hybrid.core.batch import Lanes
from hybrid.core.dispatch import bind
from hybrid.core.heard import converts
from hybrid.core.making import asarray
from hybrid.core.op import Attrs, Block, Blocks, Example, Op, Parts, register
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.core.unknown import as_size
from hybrid.core.watched import noted
from hybrid.dtypes import promote
from hybrid.errors import ShapeError
from hybrid.ops._axes import Axes, as_shape, lead_axis, one_axis
from hybrid.ops._methods import attach
from hybrid.ops.broadcasting import broadcast_to
from hybrid.ops.joining import concat
from hybrid.ops.reshaping import ravel, reshape
from hybrid.ops.slicing import SLICE, narrow


def _blocks_roll(x: TensorSpec, *, shift: Axes, axis: Axes) -> Blocks:
    whole = (0,) * x.ndim
    blocks = [Block(0, whole, whole, x.shape)]
    for a, by in zip(axis, shift):
        n = x.shape[a]
        blocks = [part for b in blocks for part in _rolled(b, a, by % n if n else 0, n)]
    return None, tuple(blocks)


def _rolled(block: Block, axis: int, by: int, n: int) -> Iterable[Block]:
    """Yield what of a block stays in front of the end of an axis, and what comes in again."""

    def put(shape: Axes, value: int) -> Axes:
        return (*shape[:axis], value, *shape[axis + 1 :])

    size, at = block.sizes[axis], block.at[axis] + by
    stays = min(max(n - at, 0), size)
    if stays:
        yield replace(block, at=put(block.at, at), sizes=put(block.sizes, stays))
    if stays < size:
        yield Block(
            block.source,
            put(block.first, block.first[axis] + stays),
            put(block.at, at + stays - n),
            put(block.sizes, size - stays),
        )


ROLL = register(
    Op(
        name="roll",
        family="movement",
        lead=lead_axis,
        infer=lambda x, *, shift, axis: TensorSpec(x.shape, x.dtype, x.device),
        eager=lambda xp, x, *, shift, axis: xp.roll(x, shift, axis),
        vjp=(lambda g, out, x, *, shift, axis: roll(g, tuple(-s for s in shift), axis),),
        blocks=_blocks_roll,
        examples=(Example(((3, 4),), {"shift": (1, -2), "axis": (0, 1)}),),
        doc="Shift elements along axes; what leaves at the end comes in at the front.",
    )
)


def roll(x: ArrayLike, /, shift: int | Axes, axis: int | Axes | None = None) -> Tensor:
    """Shift elements along axes, those that leave come in again at the other end.

    Parameters
    ----------
    x : array-like
    shift : int or tuple of int
        One per axis.
    axis : int or tuple of int, optional
        None rolls the raveled array.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> roll([1, 2, 3], 1)
    Tensor([3, 1, 2], dtype=int64)
    """
    x = asarray(x)
    if axis is None:
        return reshape(roll(ravel(x), shift, 0), x.shape)
    axes = tuple(axis) if isinstance(axis, Iterable) else (axis,)
    shifts = tuple(shift) if isinstance(shift, Iterable) else (shift,) * len(axes)
    axes = axes * len(shifts) if len(axes) == 1 else axes
    if len(axes) != len(shifts):
        raise ShapeError(located(f"roll: {len(shifts)} shifts for {len(axes)} axes"))
    attrs = {
        "shift": tuple(operator.index(s) for s in shifts),
        "axis": tuple(one_axis("roll", a, x.shape) for a in axes),
    }
    return bind(ROLL, (x,), attrs)


Width = tuple[tuple[int, int], ...]


def _infer_pad(x: TensorSpec, *, width: Width, mode: str, value: Any) -> TensorSpec:
    if any(a < 0 or b < 0 for a, b in width):
        raise ShapeError(f"pad: width {width} has a negative entry")
    if mode != "constant":
        for n, pair in zip(x.shape, width):
            if n == 0 and pair != (0, 0):
                raise ShapeError(f"pad: mode {mode!r} has nothing to repeat in shape {x.shape}")
    shape = tuple(a + n + b for n, (a, b) in zip(x.shape, width, strict=True))
    return TensorSpec(shape, x.dtype, x.device)


@converts
def _eager_pad(xp: Any, x: Any, *, width: Width, mode: str, value: Any) -> Any:
    if mode != "constant":
        return xp.pad(x, width, mode=mode)
    order = "F" if x.flags.fnc else "C"  # as NumPy does
    out = xp.full([a + n + b for n, (a, b) in zip(x.shape, width)], value, x.dtype, order)
    out[(..., *(slice(a, a + n) for n, (a, _) in zip(x.shape, width)))] = x
    return out


def _parts_pad(x: TensorSpec, *, width: Width, mode: str, value: Any) -> Parts | None:
    if mode != "constant":
        return None
    starts = tuple(before for before, _ in width)
    block = (("sizes", x.shape), ("starts", starts), ("steps", (1,) * x.ndim))
    return value, ((("slice", block),),)


def _blocks_pad(x: TensorSpec, *, width: Width, mode: str, value: Any) -> Blocks | None:
    if mode != "constant":
        return None
    return value, (Block(0, (0,) * x.ndim, tuple(before for before, _ in width), x.shape),)


def _vjp_pad(g: Tensor, out: Tensor, x: Tensor, *, width: Width, mode: str, value: Any) -> Tensor:
    if mode == "constant":
        starts = tuple(a for a, _ in width)
        return bind(SLICE, (g,), {"starts": starts, "sizes": x.shape, "steps": (1,) * x.ndim})
    from hybrid.ops.creation import zeros
    from hybrid.ops.indexing import index_update
    from hybrid.ops.ranges import arange

    for axis, (n, pair) in enumerate(zip(x.shape, width)):
        if pair != (0, 0):
            source = pad(arange(n), pair, mode)
            shape = (*g.shape[:axis], n, *g.shape[axis + 1 :])
            g = index_update(zeros(shape, g.dtype), g, (source,), (axis,), axis, "add")
    return g


PAD = register(
    Op(
        name="pad",
        family="movement",
        warns=True,
        lead=lambda attrs, size, x: {**attrs, "width": ((0, 0), *attrs["width"])},
        infer=_infer_pad,
        eager=_eager_pad,
        vjp=(_vjp_pad,),
        parts=_parts_pad,
        blocks=_blocks_pad,
        examples=(
            Example(((2, 3),), {"width": ((1, 2), (0, 1)), "mode": "constant", "value": 0}),
            Example(((3, 4),), {"width": ((1, 0), (2, 2)), "mode": "edge", "value": 0}),
            Example(((3, 4),), {"width": ((1, 0), (2, 2)), "mode": "reflect", "value": 0}),
            Example(((3, 4),), {"width": ((1, 0), (2, 2)), "mode": "wrap", "value": 0}),
        ),
        doc="Put elements around the edges.",
    )
)

PAD_MODES = ("constant", "edge", "reflect", "symmetric", "wrap")


def pad(x: ArrayLike, /, width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Tensor:
    """Put elements before and after each axis.

    Parameters
    ----------
    x : array-like
    width : int, (before, after), one such pair per axis, or a dict from axes to ints and pairs
    mode : str
        ``"constant"``, ``"edge"``, ``"reflect"``, ``"symmetric"`` or ``"wrap"``.
    constant_values : scalar
        What to pad with in mode ``"constant"``.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> pad([1, 2], (1, 0))
    Tensor([0, 1, 2], dtype=int64)
    """
    x = asarray(x)
    if mode not in PAD_MODES:
        raise ValueError(located(f"pad: mode {mode!r} is not one of {', '.join(PAD_MODES)}"))
    attrs = {
        "width": widths(x, width),
        "mode": mode,
        "value": np.asarray(constant_values).item(),
    }
    return bind(PAD, (x,), attrs)


def widths(x: Tensor, width: Any) -> Width:
    """Return a pair of whole numbers for each axis."""
    if isinstance(width, dict):
        return _widths_by_axis(x, width)
    given = width.tolist() if isinstance(width, Tensor | np.ndarray | np.generic) else width
    rows = list(given) if isinstance(given, Iterable) else [given]
    if not any(isinstance(row, Iterable) for row in rows):
        rows = [rows]  # what is not nested is for all axes
    pairs = [_pair(row if isinstance(row, Iterable) else (row,)) for row in rows]
    if len(pairs) == 1:
        pairs *= x.ndim
    if len(pairs) != x.ndim or None in pairs:
        raise ShapeError(located(f"pad: width {width} does not fit the shape {x.shape}"))
    return tuple(pair for pair in pairs if pair is not None)


def _widths_by_axis(x: Tensor, width: dict[int, Any]) -> Width:
    """Return a pair for each axis, of zeros for those that a dict does not name."""
    pairs: list[tuple[int, int] | None] = [(0, 0)] * x.ndim
    for axis, ends in width.items():
        pairs[one_axis("pad", axis, x.shape)] = _pair(
            ends if isinstance(ends, Iterable) else (ends,)
        )
    if None in pairs:
        raise ShapeError(located(f"pad: width {width} does not fit the shape {x.shape}"))
    return tuple(pair for pair in pairs if pair is not None)


def _pair(row: Iterable[Any]) -> tuple[int, int] | None:
    ends = tuple(as_size(n) for n in row)
    return (ends[0], ends[-1]) if len(ends) in (1, 2) else None


def _infer_tile(x: TensorSpec, *, reps: Axes) -> TensorSpec:
    shape = (1,) * (len(reps) - x.ndim) + x.shape
    return TensorSpec(tuple(n * r for n, r in zip(shape, reps)), x.dtype, x.device)


def _vjp_tile(g: Tensor, out: Tensor, x: Tensor, *, reps: Axes) -> Tensor:
    shape = (1,) * (len(reps) - x.ndim) + x.shape
    apart = reshape(g, tuple(size for pair in zip(reps, shape) for size in pair))
    return reshape(apart.sum(axis=tuple(range(0, 2 * len(reps), 2))), x.shape)


def _batch_tile(op: Op, size: int, lanes: Lanes, attrs: Attrs) -> Tensor | None:
    (lane,) = lanes
    if not lane.batched:
        return None
    new = 1 + len(attrs["reps"]) - lane.tensor.ndim
    aligned = reshape(lane.tensor, (size, *(1,) * new, *lane.tensor.shape[1:]))
    return bind(TILE, (aligned,), {"reps": (1, *attrs["reps"])})


TILE = register(
    Op(
        name="tile",
        family="movement",
        batch=_batch_tile,
        infer=_infer_tile,
        eager=lambda xp, x, *, reps: xp.tile(x, reps),
        vjp=(_vjp_tile,),
        examples=(Example(((2, 3),), {"reps": (3, 1, 2)}), Example(((2,),), {"reps": (2,)})),
        doc="Repeat the whole array along each axis.",
    )
)


def tile(x: ArrayLike, /, reps: int | Iterable[int]) -> Tensor:
    """Repeat the whole array `reps` times along each axis.

    Parameters
    ----------
    x : array-like
    reps : int or tuple of int

    Returns
    -------
    Tensor

    Examples
    --------
    >>> tile([1, 2], (2, 2))
    Tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]], dtype=int64)
    """
    x = asarray(x)
    times = as_shape("tile", reps)
    return bind(TILE, (x,), {"reps": (1,) * (x.ndim - len(times)) + times})


def _infer_repeat(x: TensorSpec, *, repeats: int, axis: int) -> TensorSpec:
    shape = (*x.shape[:axis], x.shape[axis] * repeats, *x.shape[axis + 1 :])
    return TensorSpec(shape, x.dtype, x.device)


def _vjp_repeat(g: Tensor, out: Tensor, x: Tensor, *, repeats: int, axis: int) -> Tensor:
    apart = reshape(g, (*x.shape[: axis + 1], repeats, *x.shape[axis + 1 :]))
    return apart.sum(axis=axis + 1)


REPEAT = register(
    Op(
        name="repeat",
        family="movement",
        lead=lead_axis,
        infer=_infer_repeat,
        eager=lambda xp, x, *, repeats, axis: x.repeat(repeats, axis),
        vjp=(_vjp_repeat,),
        examples=(Example(((2, 3),), {"repeats": 2, "axis": 1}),),
        doc="Repeat each element along an axis.",
    )
)


def repeat(x: ArrayLike, /, repeats: ArrayLike, axis: int | None = None) -> Tensor:
    """Repeat each element.

    Parameters
    ----------
    x : array-like
    repeats : int or array-like of int
        How often; an array says it for each element of the axis. The size of the result depends on
        its values, so that it ends a trace unless it is a constant.
    axis : int, optional
        None repeats the elements of the raveled array.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> repeat([1, 2], 2)
    Tensor([1, 1, 2, 2], dtype=int64)
    """
    x = asarray(x)
    if axis is None:
        x, axis = ravel(x), 0
    axis = one_axis("repeat", axis, x.shape)
    repeats = noted(repeats)
    if isinstance(repeats, Tensor):
        repeats = repeats.numpy() if repeats.ndim else operator.index(repeats)
    if isinstance(repeats, Sequence | np.ndarray):
        from hybrid.ops.indexing import take

        return take(x, np.repeat(np.arange(x.shape[axis]), repeats), axis=axis)
    return bind(REPEAT, (x,), {"repeats": as_shape("repeat", repeats)[0], "axis": axis})


def diff(
    x: ArrayLike,
    /,
    n: int = 1,
    axis: int = -1,
    prepend: ArrayLike | None = None,
    append: ArrayLike | None = None,
) -> Tensor:
    """Return the differences of neighbours along an axis, taken `n` times.

    Parameters
    ----------
    x : array-like
        For booleans a difference is whether the neighbours differ.
    n : int
    axis : int
    prepend, append : array-like, optional
        What to put before and after `x` along `axis` first: of the shape of `x` in the other axes,
        or a scalar.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        Where `x` has no axes.
    ValueError
        Where `n` is negative.

    Examples
    --------
    >>> diff([1, 4, 9], prepend=0)
    Tensor([1, 3, 5], dtype=int64)
    """
    x = asarray(x)
    axis = one_axis("diff", axis, x.shape)
    if operator.index(n) < 0:
        raise ValueError(located(f"diff: n is {n}, differences are taken at least 0 times"))
    ends = [None if end is None else _along(end, x, axis) for end in (prepend, append)]
    if n and any(end is not None for end in ends):
        x = concat([part for part in (ends[0], x, ends[1]) if part is not None], axis=axis)
    for _ in range(n):
        size = max(x.shape[axis] - 1, 0)
        later, earlier = narrow(x, axis, min(1, x.shape[axis]), size), narrow(x, axis, 0, size)
        x = later != earlier if x.dtype.kind == "b" else later - earlier
    return x


def _along(end: ArrayLike, x: Tensor, axis: int) -> Tensor:
    """Return what :func:`diff` puts at one end of `x`; a scalar is as wide as `x`."""
    if isinstance(end, bool | int | float | complex):
        end = asarray(end, promote((x.dtype, end)))
    end = asarray(end)
    if end.ndim:
        return end
    return broadcast_to(end, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))


attach(repeat=repeat)
