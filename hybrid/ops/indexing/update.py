"""The `index_update` op: a copy of an array with other values at index arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.batch import Lanes
from hybrid.core.dispatch import bind
from hybrid.core.heard import converts
from hybrid.core.making import asarray
from hybrid.core.op import Attrs, Example, Op, register
from hybrid.core.operands import spec_of
from hybrid.core.places import Place
from hybrid.core.spec import TensorSpec, fits
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import ShapeError
from hybrid.kernels import picking
from hybrid.ops._axes import Axes
from hybrid.ops.broadcasting import broadcast_to, sum_to
from hybrid.ops.creation import ones, zeros
from hybrid.ops.elementwise.selection import where
from hybrid.ops.indexing.accumulate import accumulate, add_in_order, to_numpy
from hybrid.ops.indexing.gather import (
    batch_index,
    check_bounds,
    check_index,
    gather,
    index_array,
    out_of_bounds,
    picked_shape,
)
from hybrid.ops.permuting import moveaxis
from hybrid.ops.ranges import arange
from hybrid.ops.reduction.scans import shifted
from hybrid.ops.reshaping import reshape
from hybrid.ops.slicing import flip


def _infer_update(
    base: TensorSpec, value: TensorSpec, *index: TensorSpec, axes: Axes, at: int, mode: str
) -> TensorSpec:
    check_index("index_update", index)
    shape = picked_shape(base, index, axes, at)
    if not fits(value.shape, shape):
        raise ShapeError(
            f"a value of shape {value.shape} does not fit the indexed part, of shape {shape}"
        )
    return TensorSpec(base.shape, base.dtype, base.device)


def _eager_update(
    xp: Any, base: Any, value: Any, *index: Any, axes: Axes, at: int, mode: str
) -> Any:
    if xp is not np:
        check_bounds(xp, base.shape, index, axes)
    value = xp.asarray(value)
    if mode != "set":
        out = xp.array(base, order="C")
        accumulate(xp, mode, out, value.astype(out.dtype, copy=False), index, axes, at)
        return out
    out = xp.array(base)
    if xp is np:
        _set(mode, out, value, index, axes, at)
    else:
        _set_in_order(xp, out, *to_numpy(xp, out, value, index, axes, at))
    return out


def _into_update(
    base: TensorSpec, value: TensorSpec, *index: TensorSpec, axes: Axes, at: int, mode: str
) -> Any:
    """Write in the memory of a Plan: a table's gradient in fresh memory is page faults."""
    apply = _set if mode == "set" else _accumulate

    def write(base: Any, value: Any, *index: Any, out: Any) -> None:
        if out is not base:
            np.copyto(out, base)
        apply(mode, out, np.asarray(value), index, axes, at)

    plain = base.dtype == value.dtype and not value.weak
    if mode in ("add", "set") and plain and picking.takes(base, index, axes):
        return picking.Picking(mode, base.dtype.name, base.shape, write)
    return write


def _accumulate(
    mode: str, out: Any, value: Any, index: tuple[Any, ...], axes: Axes, at: int
) -> None:
    accumulate(np, mode, out, value.astype(out.dtype, copy=False), index, axes, at)


@converts
def _set(mode: str, out: Any, value: Any, index: tuple[Any, ...], axes: Axes, at: int) -> None:
    native, value = to_numpy(np, out, value, index, axes, at)
    try:
        out[native] = value
    except IndexError as error:
        raise out_of_bounds(out.shape, index, axes) or error from None


def _update_on_card(
    place: Place, base: Any, value: Any, *index: Any, axes: Axes, at: int, mode: str
) -> Any:
    from hybrid.kernels.cuda.scattering import DTYPES

    xp = place.xp
    if mode != "add" or base.dtype.name not in DTYPES:
        return _eager_update(xp, base, value, *index, axes=axes, at=at, mode=mode)
    check_bounds(xp, base.shape, index, axes)
    out = xp.array(base, order="C")
    add_in_order(place, out, xp.asarray(value).astype(out.dtype, copy=False), index, axes, at)
    return out


def _set_in_order(xp: Any, out: Any, native: tuple[Any, ...], value: Any) -> None:
    """Write values of which the last one for a place stays: a card writes in any order."""
    places = xp.arange(out.size).reshape(out.shape)[native]
    values = xp.broadcast_to(value, places.shape).reshape(-1)[::-1].astype(out.dtype)
    places, last = xp.unique(places.reshape(-1)[::-1], return_index=True)
    out[xp.unravel_index(places, out.shape)] = values[last]


Index = tuple[Tensor, ...]


def _vjp_update(
    i: int,
    g: Tensor,
    out: Tensor,
    base: Tensor,
    value: Tensor,
    *index: Tensor,
    axes: Axes,
    at: int,
    mode: str,
) -> Tensor | None:
    if i > 1:
        return None
    rule = _GRADIENTS[mode]
    found = rule(i, g, out, base, value, index, {"axes": axes, "at": at})
    return found if i == 0 else sum_to(found, value.shape).astype(value.dtype, copy=False)


def _gradient_of_add(
    i: int, g: Tensor, out: Tensor, base: Tensor, value: Tensor, index: Index, place: Attrs
) -> Tensor:
    return g if i == 0 else gather(g, index, **place)


def _gradient_of_set(
    i: int, g: Tensor, out: Tensor, base: Tensor, value: Tensor, index: Index, place: Attrs
) -> Tensor:
    if i == 0:
        return index_update(g, 0, index, **place, mode="set")
    picked = gather(g, index, **place)
    if all(t.size <= 1 for t in index):
        return picked
    # Of several values for one place the last one stays; the others have no gradient.
    order = reshape(arange(picked.size), picked.shape)
    placed = index_update(zeros(base.shape, dtypes.int64), order, index, **place, mode="set")
    return where(gather(placed, index, **place) == order, picked, 0)


def _gradient_of_multiply(
    i: int, g: Tensor, out: Tensor, base: Tensor, value: Tensor, index: Index, place: Attrs
) -> Tensor:
    if i == 0:
        return g * index_update(
            ones(base.shape, base.dtype), value, index, **place, mode="multiply"
        )
    picked = gather(g * base, index, **place)
    places = gather(reshape(arange(base.size), base.shape), index, **place)
    factors = reshape(broadcast_to(value, picked.shape), (picked.size,))
    others = _product_of_others(factors, reshape(places, (places.size,)))
    return picked * reshape(others, picked.shape)


def _product_of_others(x: Tensor, keys: Tensor) -> Tensor:
    """Return for each element the product of the others with the same key, without dividing."""
    from hybrid.ops.sorting import argsort

    order = argsort(keys)
    x, keys = gather(x, (order,), (0,), 0), gather(keys, (order,), (0,), 0)
    before = _products_before(x, keys)
    after = flip(_products_before(flip(x), flip(keys)))
    return gather(before * after, (argsort(order),), (0,), 0)


def _products_before(x: Tensor, keys: Tensor) -> Tensor:
    """Return for each element the product of those before it with the same key; keys are sorted."""
    out = where(keys == shifted(keys, 1, -1), shifted(x, 1, 1), 1)
    by = 1
    while by < x.size:  # as for cumulative products: by doubling, so that zeros have gradients
        out = out * where(keys == shifted(keys, by, -1), shifted(out, by, 1), 1)
        by *= 2
    return out


def _gradient_of_extreme(
    i: int, g: Tensor, out: Tensor, base: Tensor, value: Tensor, index: Index, place: Attrs
) -> Tensor:
    # What ties with the result shares the gradient equally.
    from_base = (base == out).astype(g.dtype)
    from_value = (value == gather(out, index, **place)).astype(g.dtype)
    ties = index_update(from_base, from_value, index, **place, mode="add")
    share = g / where(ties == 0, 1, ties)
    return share * from_base if i == 0 else gather(share, index, **place) * from_value


_GRADIENTS: dict[str, Callable[..., Tensor]] = {
    "set": _gradient_of_set,
    "add": _gradient_of_add,
    "multiply": _gradient_of_multiply,
    "minimum": _gradient_of_extreme,
    "maximum": _gradient_of_extreme,
}


def _batch_update(op: Op, size: int, lanes: Lanes, attrs: Attrs) -> Tensor | None:
    base, value, *index = lanes
    axes, at = attrs["axes"], attrs["at"]
    if not any(lane.batched for lane in lanes):
        return None
    shared = asarray(base.tensor)
    whole = shared if base.batched else broadcast_to(shared, (size, *shared.shape))
    rows, *rest = batch_index(size, index)
    count = rows.ndim - 1
    ndim = whole.ndim - len(axes) + count
    part = value.tensor
    if value.batched:
        part = reshape(part, (size, *(1,) * (ndim - part.ndim), *part.shape[1:]))
        kept = tuple(range(1 + at, 1 + at + count))
        part = moveaxis(part, kept, tuple(range(1, 1 + count)))
    elif spec_of(part).ndim > at:
        part = reshape(part, (*(1,) * (ndim - 1 - part.ndim), *part.shape))
        part = moveaxis(part, tuple(range(at, at + count)), tuple(range(count)))
    moved = (0, *(a + 1 for a in axes))
    return index_update(whole, part, (rows, *rest), moved, 0, attrs["mode"])


INDEX_UPDATE = register(
    Op(
        name="index_update",
        family="indexing",
        warns=True,
        batch=_batch_update,
        infer=_infer_update,
        eager=_eager_update,
        by_kernel=_update_on_card,
        into=_into_update,
        changes=True,
        raises=True,
        first_index=2,
        vjp=_vjp_update,
        examples=(
            Example(
                ((4, 3), (2, 3), (2,)),
                {"axes": (0,), "at": 0, "mode": "add"},
                ("float32", "float32", "int64"),
            ),
            Example(
                ((3, 4), (), (2,)),
                {"axes": (1,), "at": 1, "mode": "set"},
                ("float32", "float32", "int64"),
            ),
            *(
                Example(
                    ((4,), (5,), (5,)),
                    {"axes": (0,), "at": 0, "mode": mode},
                    ("float64", "float64", "int64"),
                )
                for mode in ("set", "add", "multiply", "minimum", "maximum")
            ),
        ),
        doc="A copy of the base in which values at index arrays are set, added, multiplied ….",
    )
)


def index_update(
    base: Tensor, value: ArrayLike, index: tuple[ArrayLike, ...], axes: Axes, at: int, mode: str
) -> Tensor:
    """Bind the `index_update` op; index arrays are given as for :func:`gather`.

    Modes are ``"set"``, where of several values for one place the last one stays, and the names of
    ufuncs that accumulate: ``"add"``, ``"multiply"``, ``"minimum"``, ``"maximum"``.
    """
    if not isinstance(value, int | float | complex):
        value = asarray(value).astype(base.dtype, copy=False)
    attrs = {"axes": axes, "at": at, "mode": mode}
    arrays = [index_array(i, base.device) for i in index]
    return bind(INDEX_UPDATE, (base, value, *arrays), attrs)
