"""Parts of arrays along their axes, and axes backwards: views."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from hybrid.core.aliases import seen
from hybrid.core.dispatch import bind, busy, state
from hybrid.core.layout import Layout
from hybrid.core.making import asarray
from hybrid.core.op import Attrs, Example, Op, register
from hybrid.core.source import located
from hybrid.core.spec import Shape, TensorSpec
from hybrid.core.storage import Chain
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.core.unknown import Unknown, as_size
from hybrid.errors import ShapeError
from hybrid.ops._axes import Axes, lead_axis, one_axis, some_axes
from hybrid.ops.unit_axes import SQUEEZE

_BACKWARDS, _WHOLE = slice(None, None, -1), slice(None)


def _view_flip(layout: Layout, *, axis: Axes) -> Layout:
    for a in axis:
        n = layout.shape[a]
        layout = layout.slice(a, n - 1, n, -1)
    return layout


FLIP = register(
    Op(
        name="flip",
        family="movement",
        lead=lead_axis,
        infer=lambda x, *, axis: TensorSpec(x.shape, x.dtype, x.device),
        eager=lambda xp, x, *, axis: x[
            tuple([_BACKWARDS if a in axis else _WHOLE for a in range(x.ndim)])
        ],
        vjp=(lambda g, out, x, *, axis: flip(g, axis),),
        view=_view_flip,
        examples=(Example(((2, 3),), {"axis": (1,)}), Example(((2, 3),), {"axis": (0, 1)})),
        doc="Reverse the order of the elements along axes.",
    )
)


def flip(x: ArrayLike, /, axis: int | Axes | None = None) -> Tensor:
    """Reverse the order of the elements along `axis`, or along all axes; a view.

    Parameters
    ----------
    x : array-like
    axis : int or tuple of int, optional
        All axes if it is left out.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> flip([[1, 2], [3, 4]], axis=1)
    Tensor([[2, 1],
            [4, 3]], dtype=int64)
    """
    if type(axis) is tuple and len(axis) == 1:
        (axis,) = axis
    if type(axis) is int and (not busy or state.plain) and type(x) is Tensor:
        data = x._data
        if type(data) is np.ndarray and -data.ndim <= axis < data.ndim:
            axis %= data.ndim
            return seen(x, data[(_WHOLE,) * axis + (_BACKWARDS,)], _flipped, axis)
    if axis is None and not busy and type(x) is Tensor and type(x._data) is np.ndarray:
        if n := x.ndim:
            return seen(x, x._data[(_BACKWARDS,) * n], _flipped, *range(n))
    x = asarray(x)
    axes = tuple(range(x.ndim)) if axis is None else some_axes("flip", axis, x.shape)
    return bind(FLIP, (x,), {"axis": tuple(sorted(axes))})


def _flipped(*axes: int) -> Chain:
    return ((FLIP, {"axis": axes}),)


def _infer_slice(x: TensorSpec, *, starts: Axes, sizes: Axes, steps: Axes) -> TensorSpec:
    for n, start, size, step in zip(x.shape, starts, sizes, steps, strict=True):
        last = start + (size - 1) * step
        low, high = (start, last) if step > 0 else (last, start)
        if size < 0 or (not (low >= 0 and high < n) and size != 0):
            raise ShapeError(
                f"slice: starts {starts}, sizes {sizes}, steps {steps} leave the shape {x.shape}"
            )
    return TensorSpec(sizes, x.dtype, x.device)


def slice_objects(starts: Axes, sizes: Axes, steps: Axes) -> tuple[slice, ...]:
    """Return the Python slices that select what the `slice` op selects."""
    found = []
    for start, size, step in zip(starts, sizes, steps):
        stop = start + size * step
        found.append(slice(start, stop if stop >= 0 else None, step) if size else slice(0, 0))
    return tuple(found)


def slice_bounds(entry: slice, n: int) -> tuple[int, int, int]:
    """Return first index, number of elements and step of a slice of an axis of size `n`."""
    if type(entry.step) is int and entry.step == 0:
        raise ValueError(located(f"the step of the slice [{entry.start}:{entry.stop}:0] is zero"))
    if Unknown not in map(type, (n, entry.start, entry.stop, entry.step)):
        start, stop, step = entry.indices(n)
        return start, len(range(start, stop, step)), step
    step = 1 if entry.step is None else operator.index(entry.step)
    if step == 0:
        raise ValueError("slice step cannot be zero")
    low, high = (0, n) if step > 0 else (-1, n - 1)
    first, last = (low, high) if step > 0 else (high, low)
    start = first if entry.start is None else _clipped(as_size(entry.start), n, low, high)
    stop = last if entry.stop is None else _clipped(as_size(entry.stop), n, low, high)
    distance = stop - start if step > 0 else start - stop
    return start, 0 if distance < 0 else (distance + abs(step) - 1) // abs(step), step


def _clipped(bound: int, n: int, low: int, high: int) -> int:
    if bound < 0:
        return max(bound + n, low)
    return min(bound, high)


def _view_slice(layout: Layout, *, starts: Axes, sizes: Axes, steps: Axes) -> Layout:
    for axis, (start, size, step) in enumerate(zip(starts, sizes, steps)):
        layout = layout.slice(axis, start, size, step)
    return layout


def _vjp_slice(
    g: Tensor, out: Tensor, x: Tensor, *, starts: Axes, sizes: Axes, steps: Axes
) -> Tensor:
    from hybrid.ops.creation import zeros
    from hybrid.ops.rearranging import pad
    from hybrid.ops.view_update import view_update

    if all(step == 1 for step in steps):
        width = tuple((a, n - a - k) for a, k, n in zip(starts, sizes, x.shape))
        if 0 not in sizes:
            return pad(g, width)
    step = (SLICE, {"starts": starts, "sizes": sizes, "steps": steps})
    return view_update(zeros(x.shape, g.dtype), g, (step,))


def _lead_slice(attrs: Attrs, size: int, x: Shape) -> Attrs:
    first = {"starts": 0, "sizes": size, "steps": 1}
    return {name: (first[name], *values) for name, values in attrs.items()}


SLICE = register(
    Op(
        name="slice",
        family="movement",
        lead=_lead_slice,
        infer=_infer_slice,
        eager=lambda xp, x, *, starts, sizes, steps: x[(..., *slice_objects(starts, sizes, steps))],
        vjp=(_vjp_slice,),
        view=_view_slice,
        selects=True,
        examples=(
            Example(((5, 4),), {"starts": (1, 0), "sizes": (3, 4), "steps": (1, 1)}),
            Example(((5, 4),), {"starts": (4, 1), "sizes": (3, 2), "steps": (-2, 2)}),
            Example(((3,),), {"starts": (0,), "sizes": (0,), "steps": (1,)}),
        ),
        doc="Every `steps`-th element of each axis, `sizes` of them, from `starts` on.",
    )
)


def split(x: ArrayLike, /, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Cut `x` along an axis into views.

    Parameters
    ----------
    x : array-like
    indices_or_sections : int or sequence of int
        How many equal parts, or the places to cut at.
    axis : int

    Returns
    -------
    list of Tensor

    Examples
    --------
    >>> split([1, 2, 3, 4], 2)
    [Tensor([1, 2], dtype=int64), Tensor([3, 4], dtype=int64)]
    """
    x = asarray(x)
    axis = one_axis("split", axis, x.shape)
    n = x.shape[axis]
    cuts: list[int | None]
    if isinstance(indices_or_sections, Sequence | np.ndarray):
        cuts = [as_size(i) for i in indices_or_sections]
    else:
        parts = as_size(indices_or_sections)
        if parts < 1 or n % parts != 0:
            raise ShapeError(
                located(f"split: axis {axis} of shape {x.shape} does not split into {parts} parts")
            )
        cuts = [n // parts * i for i in range(1, parts)]
    ranges = [slice_bounds(slice(a, b), n) for a, b in pairwise([0, *cuts, None])]
    return [narrow(x, axis, start, size) for start, size, _ in ranges]


def unstack(x: ArrayLike, /, axis: int = 0) -> tuple[Tensor, ...]:
    """Return the slices of `x` along an axis, without it: views, and of a single axis numbers.

    Parameters
    ----------
    x : array-like
    axis : int

    Returns
    -------
    tuple of Tensor

    Examples
    --------
    >>> unstack([[1, 2], [3, 4]])
    (Tensor([1, 2], dtype=int64), Tensor([3, 4], dtype=int64))
    """
    x = asarray(x)
    axis = one_axis("unstack", axis, x.shape)
    if x.ndim == 1:
        return tuple(x)
    parts = (narrow(x, axis, i, 1) for i in range(x.shape[axis]))
    return tuple(bind(SQUEEZE, (part,), {"axis": (axis,)}) for part in parts)


def narrow(x: Tensor, axis: int, start: int, size: int) -> Tensor:
    """Show `size` places of an axis, which counts from the front, from `start` on."""
    if not busy and type(x) is Tensor:
        return x[(*_ALL * axis, slice(start, start + size))]
    starts = tuple(start if a == axis else 0 for a in range(x.ndim))
    sizes = tuple(size if a == axis else n for a, n in enumerate(x.shape))
    return bind(SLICE, (x,), {"starts": starts, "sizes": sizes, "steps": (1,) * x.ndim})


_ALL = (slice(None),)
