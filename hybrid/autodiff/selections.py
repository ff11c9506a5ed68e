"""Gradients by parts of one array: put together in one buffer, not added up as whole arrays.

The gradient of ``x[a:b]`` or ``x[index]`` by x is zeros but for a part. A function that takes x
apart into n pieces would add up n arrays of the size of x.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from hybrid.core.dispatch import bind
from hybrid.core.op import Attrs, Op
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import Tensor, wrap
from hybrid.core.unknown import same

_FEW = 8
"""Up to so many overlapping parts are padded and added, which is one kernel."""


class Part(NamedTuple):
    """A gradient by ``op(x, *rest, **attrs)``, which shows or picks some elements of x.

    `inputs` are those of the op: of x, and of what else its rule does not use, only the spec.
    """

    op: Op
    attrs: Attrs
    gradient: Tensor
    inputs: Sequence[Any]


def add_into(buffer: Any, part: Part, *, empty: bool) -> None:
    """Add a part to an ndarray, which holds zeros only if it is `empty`."""
    if part.op.scatter_into is not None:
        given = [x._data if type(x) is Tensor else x for x in part.inputs]
        part.op.scatter_into(buffer, part.gradient._data, *given, **part.attrs)
        return
    view = part.op.eager(np, buffer, **part.attrs)
    if empty:
        view[...] = part.gradient._data
    else:
        np.add(view, part.gradient._data, out=view)


def buffer_for(spec: TensorSpec, part: Part) -> Tensor:
    """Return a new array that holds one part and zeros."""
    buffer = np.zeros(spec.shape, spec.dtype)
    add_into(buffer, part, empty=True)
    return wrap(buffer)


def joined(spec: TensorSpec, parts: Sequence[Part]) -> Tensor:
    """Return the sum of some parts as a graph computes it.

    Parameters
    ----------
    spec : TensorSpec
        Of the array that they are parts of.
    parts : sequence of Part

    Returns
    -------
    Tensor
    """
    from hybrid.ops.creation import zeros

    shown = [part for part in parts if part.op.scatter is None]
    picked = [part for part in parts if part.op.scatter is not None]
    total = _joined_views(spec, shown) if shown else zeros(spec.shape, dtype=spec.dtype)
    for part in picked:
        scatter: Any = part.op.scatter
        total = scatter(total, part.gradient, *part.inputs, **part.attrs)
    return total


def _joined_views(spec: TensorSpec, parts: Sequence[Part]) -> Tensor:
    axis = _common_axis(spec, parts)
    if axis is not None:
        layers = _layers(parts, axis)
        if len(layers) <= _FEW:
            return _sum([_side_by_side(spec, layer, axis) for layer in layers])
    if len(parts) <= _FEW:
        return _sum([_padded(spec, part) for part in parts])
    from hybrid.ops.view_update import view_update

    total = _padded(spec, parts[0])
    for op, attrs, gradient, _ in parts[1:]:
        total = view_update(total, bind(op, (total,), attrs) + gradient, ((op, attrs),))
    return total


def _sum(wholes: Sequence[Tensor]) -> Tensor:
    total = wholes[0]
    for whole in wholes[1:]:
        total = total + whole
    return total


def _padded(spec: TensorSpec, part: Part) -> Tensor:
    rules: Any = part.op.vjp
    whole: Tensor = rules[0](part.gradient, None, spec, **part.attrs)
    return whole


def _common_axis(spec: TensorSpec, parts: Sequence[Part]) -> int | None:
    """Return the only axis of which some parts have not everything, if they are plain pieces."""
    axes: set[int] = set()
    for part in parts:
        if "starts" not in part.attrs or any(step != 1 for step in part.attrs["steps"]):
            return None
        axes |= {
            axis
            for axis, (size, n) in enumerate(zip(part.attrs["sizes"], spec.shape, strict=True))
            if not same(size, n)
        }
    if len(axes) != 1:
        return None
    (axis,) = axes
    known = (spec.shape[axis], *chain(*(_place(part, axis) for part in parts)))
    return axis if all(type(n) is int for n in known) else None


def _place(part: Part, axis: int) -> tuple[int, int]:
    start: int = part.attrs["starts"][axis]
    return start, start + part.attrs["sizes"][axis]


def _layers(parts: Sequence[Part], axis: int) -> list[list[Part]]:
    """Return parts in order, in as few layers as can be in which none overlap."""
    layers: list[list[Part]] = []
    for part in sorted(parts, key=lambda part: _place(part, axis)):
        start, _ = _place(part, axis)
        for layer in layers:
            if _place(layer[-1], axis)[1] <= start:
                layer.append(part)
                break
        else:
            layers.append([part])
    return layers


def _side_by_side(spec: TensorSpec, layer: Sequence[Part], axis: int) -> Tensor:
    """Return parts in order where they belong, and zeros between them."""
    if len(layer) == 1:
        return _padded(spec, layer[0])
    from hybrid.ops.joining import concat

    found: list[Tensor] = []
    end = 0
    for part in layer:
        start, stop = _place(part, axis)
        found += [*_gap(spec, axis, start - end), part.gradient]
        end = stop
    return concat([*found, *_gap(spec, axis, spec.shape[axis] - end)], axis=axis)


def _gap(spec: TensorSpec, axis: int, size: int) -> list[Tensor]:
    from hybrid.ops.creation import zeros

    if not size:
        return []
    return [zeros((*spec.shape[:axis], size, *spec.shape[axis + 1 :]), dtype=spec.dtype)]
