"""The `gather` op: elements at index arrays."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.batch import Lanes
from hybrid.core.dispatch import bind, resolve, state
from hybrid.core.making import asarray
from hybrid.core.op import Attrs, Example, Op, register
from hybrid.core.spec import Shape, TensorSpec, broadcast_shapes
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.core.unknown import is_unknown
from hybrid.errors import IndexingError
from hybrid.kernels import picking, taking
from hybrid.ops._axes import Axes
from hybrid.ops.creation import zeros
from hybrid.ops.permuting import moveaxis
from hybrid.ops.ranges import arange
from hybrid.ops.reshaping import reshape

# Elements along one axis from which on NumPy's `take`, which looks at each index once, is as fast
# as a kernel that looks at all of them first.
TAKEN = 1 << 12


def picked_shape(base: TensorSpec, index: tuple[Any, ...], axes: Axes, at: int) -> Shape:
    """Return the shape of ``base[index]``: the axes of the indices stand at place `at`."""
    try:
        block = broadcast_shapes(*(i.shape for i in index))
    except ValueError:
        text = ", ".join(str(i.shape) for i in index)
        raise IndexingError(f"index arrays of shapes {text} do not broadcast") from None
    rest = tuple(n for i, n in enumerate(base.shape) if i not in axes)
    return (*rest[:at], *block, *rest[at:])


def check_index(name: str, index: tuple[TensorSpec, ...]) -> None:
    """Refuse index arrays that do not hold integers."""
    for spec in index:
        if spec.dtype.kind not in "iu":
            raise IndexingError(f"{name}: index arrays hold integers, not {spec.dtype.name}")


def _infer_gather(base: TensorSpec, *index: TensorSpec, axes: Axes, at: int) -> TensorSpec:
    check_index("gather", index)
    return TensorSpec(picked_shape(base, index, axes, at), base.dtype, base.device)


def numpy_index(ndim: int, index: tuple[Any, ...], axes: Axes) -> tuple[tuple[Any, ...], int]:
    """Return the index tuple for NumPy, and where NumPy puts the axes of the indices."""
    full: list[Any] = [slice(None)] * ndim
    for axis, array in zip(axes, index):
        full[axis] = array
    adjacent = all(b - a == 1 for a, b in pairwise(axes))
    return tuple(full), axes[0] if adjacent else 0


def move_block(xp: Any, x: Any, count: int, source: int, target: int) -> Any:
    """Move `count` axes that lie side by side."""
    if source == target or not count:
        return x
    return xp.moveaxis(x, range(source, source + count), range(target, target + count))


def out_of_bounds(shape: Shape, index: tuple[Any, ...], axes: Axes) -> IndexingError | None:
    """Return the error that names the first index outside its axis."""
    for axis, array in zip(axes, index):
        n = shape[axis]
        values = np.asarray(array)
        wrong = values[(values < -n) | (values >= n)]
        if wrong.size:
            return _outside(wrong.flat[0], axis, shape)
    return None


def check_bounds(xp: Any, shape: Shape, index: tuple[Any, ...], axes: Axes) -> None:
    """Refuse indices outside their axes where the array module does not: a card wraps them."""
    for axis, array in zip(axes, index):
        n = shape[axis]
        values = xp.asarray(array)
        wrong = values[(values < -n) | (values >= n)]
        if wrong.size:
            raise _outside(wrong[0].item(), axis, shape)


def _outside(number: int, axis: int, shape: Shape) -> IndexingError:
    return IndexingError(
        f"index {number} is out of bounds for axis {axis} of shape {shape}, which has size "
        f"{shape[axis]}"
    )


def _eager_gather(xp: Any, base: Any, *index: Any, axes: Axes, at: int) -> Any:
    if xp is not np:
        check_bounds(xp, base.shape, index, axes)
    try:
        if axes == (at,) and getattr(index[0], "dtype", None) != dtypes.uint64:
            # Half the time of an index array: 12 ms for 1e6 float64 out of as many, not 24.
            return xp.asarray(base.take(index[0], axis=at))
        return _indexed(xp, base, *index, axes=axes, at=at)
    except IndexError as error:
        raise out_of_bounds(base.shape, index, axes) or error from None


def _into_gather(base: TensorSpec, *index: TensorSpec, axes: Axes, at: int) -> Any:
    if axes == (0,) and at == 0 and taking.takes(base):
        return _rows_into
    if not picking.takes(base, index, axes):
        return None
    if base.ndim == 1 and (is_unknown(index[0].size) or index[0].size > TAKEN):
        return None

    def read(base: Any, *index: Any, out: Any) -> None:
        np.copyto(out, _eager_gather(np, base, *index, axes=axes, at=at))

    return picking.Picking("gather", base.dtype.name, base.shape, read)


def _rows_into(base: Any, index: Any, out: Any) -> None:
    """Write in the memory of a Plan: most of a `take` of many rows is page faults."""
    index = np.asarray(index)
    if not taking.pays(out):
        np.copyto(out, _eager_gather(np, base, index, axes=(0,), at=0))
        return
    _eager_in_bounds(np, index, axes=(0,), shape=base.shape)
    taking.take_rows(base, index, out)


def _indexed(xp: Any, base: Any, *index: Any, axes: Axes, at: int) -> Any:
    native, place = numpy_index(base.ndim, index, axes)
    count = max((np.ndim(i) for i in index), default=0)
    return move_block(xp, xp.asarray(base[native]), count, place, at)


def _vjp_gather(
    i: int, g: Tensor, out: Tensor, base: Tensor, *index: Tensor, axes: Axes, at: int
) -> Tensor | None:
    return None if i else _scatter(zeros(base.shape, g.dtype), g, base, *index, axes=axes, at=at)


def _scatter(total: Tensor, g: Tensor, base: Tensor, *index: Tensor, axes: Axes, at: int) -> Tensor:
    from hybrid.ops.indexing.update import index_update

    return index_update(total, g, index, axes, at, "add")


def _scatter_into(total: Any, g: Any, base: Any, *index: Any, axes: Axes, at: int) -> None:
    from hybrid.ops.indexing.accumulate import accumulate

    accumulate(np, "add", total, g.astype(total.dtype, copy=False), index, axes, at)


def batch_index(size: int, lanes: Lanes) -> tuple[Tensor, ...]:
    """Return index arrays with the batch axis, the number of the example first."""
    ndim = max(lane.tensor.ndim - lane.batched for lane in lanes)
    rows = reshape(arange(size), (size, *(1,) * ndim))
    found = [rows]
    for lane in lanes:
        new = ndim + 1 - lane.tensor.ndim
        shape = lane.tensor.shape
        found.append(
            reshape(lane.tensor, (size, *(1,) * new, *shape[1:])) if lane.batched else lane.tensor
        )
    return tuple(found)


def _batch_gather(op: Op, size: int, lanes: Lanes, attrs: Attrs) -> Tensor | None:
    base, *index = lanes
    axes, at = attrs["axes"], attrs["at"]
    if not any(lane.batched for lane in index):
        if not base.batched:
            return None
        inputs = tuple(lane.tensor for lane in lanes)
        return bind(GATHER, inputs, {"axes": tuple(a + 1 for a in axes), "at": at + 1})
    rows, *rest = batch_index(size, index)
    if base.batched:
        rest, axes = [rows, *rest], (0, *(a + 1 for a in axes))
    else:
        rest[0] = rest[0] + rows * 0  # whichever indices differ, the first axis is the batch
    picked = bind(GATHER, (base.tensor, *rest), {"axes": axes, "at": 0})
    count = rows.ndim - 1
    return moveaxis(picked, tuple(range(1, 1 + count)), tuple(range(1 + at, 1 + at + count)))


GATHER = register(
    Op(
        name="gather",
        family="indexing",
        batch=_batch_gather,
        infer=_infer_gather,
        eager=_eager_gather,
        into=_into_gather,
        raises=True,
        first_index=1,
        vjp=_vjp_gather,
        scatter=_scatter,
        scatter_into=_scatter_into,
        picks=True,
        examples=(
            Example(((4, 3), ()), {"axes": (0,), "at": 0}, ("float32", "int64")),
            Example(((3, 4), (2,)), {"axes": (1,), "at": 1}, ("float64", "int64")),
            Example(
                ((4, 4), (2, 1), (3,)), {"axes": (0, 1), "at": 0}, ("float32", "int64", "int64")
            ),
            Example(
                ((4, 3, 4), (5,), (5,)), {"axes": (0, 2), "at": 0}, ("float32", "int64", "int64")
            ),
        ),
        doc="Elements at index arrays on some axes; their own axes stand at place `at`.",
    )
)


def _counts(index: Any) -> Any:
    """Return indices as unsigned: negative ones are then large, which one sweep tells."""
    return index.view(f"u{index.dtype.itemsize}") if index.dtype.kind == "i" else index


def _eager_in_bounds(xp: Any, *index: Any, axes: Axes, shape: Shape) -> Any:
    index = tuple(x if hasattr(x, "dtype") else xp.asarray(x) for x in index)  # loops give ints
    for axis, array in zip(axes, index):
        n = shape[axis]
        if not array.size or _counts(array).max() < n:
            continue
        if array.min() < -n or array.max() >= n:
            error = out_of_bounds(shape, index, axes)
            assert error is not None
            raise error
    return xp.asarray(True)


def _into_in_bounds(*index: TensorSpec, axes: Axes, shape: Shape) -> Any:
    if not picking.are_plain(*index):
        return None

    def check(*index: Any, out: Any) -> None:
        out[()] = _eager_in_bounds(np, *index, axes=axes, shape=shape)

    return picking.Picking("check", "int64", tuple(shape[axis] for axis in axes), check)


IN_BOUNDS = register(
    Op(
        name="in_bounds",
        family="indexing",
        infer=lambda *index, axes, shape: TensorSpec((), dtypes.bool_, index[0].device),
        eager=_eager_in_bounds,
        into=_into_in_bounds,
        raises=True,
        examples=(Example(((4,),), {"axes": (1,), "shape": (3, 7)}, ("int64",)),),
        doc="True where indices are inside of their axes, an error otherwise.",
    )
)


def gather(base: Tensor, index: tuple[ArrayLike, ...], axes: Axes, at: int) -> Tensor:
    """Bind the `gather` op: index arrays on `axes`, their own axes put at place `at`."""
    arrays = [index_array(i, base.device) for i in index]
    return bind(GATHER, (base, *arrays), {"axes": axes, "at": at})


_INDEXED = replace(GATHER, eager=_indexed, turns=True)


def pick(base: Tensor, index: tuple[ArrayLike, ...], axes: Axes, at: int) -> Tensor:
    """Do as :func:`gather` for brackets, whose results NumPy lays out otherwise than `take` does.

    Of ``base[:, index]`` the axes of the index are the outer ones in memory.
    """
    inputs = (base, *(index_array(i, base.device) for i in index))
    attrs: Attrs = {"axes": axes, "at": at}
    picked = bind(GATHER, inputs, attrs)
    recorder = state.recorder
    if recorder is not None and type(picked._data) is Symbol:
        leading = at == 0 and axes == (*range(len(axes)),)
        if recorder.turned or not leading:
            recorder.lay_out(_INDEXED, tuple(map(resolve, inputs)), attrs, picked)
    return picked


def index_array(index: Any, device: str | None = None) -> Tensor:
    """Return an index array as a Tensor; what is none comes along to the device."""
    tensor = asarray(index)
    if device is not None and type(index) is not Tensor and tensor.device != device:
        tensor = tensor.to_device(device)
    # An empty list is float32 by the rule for Python sequences.
    return tensor if tensor.dtype.kind in "iu" or tensor.size else tensor.astype(dtypes.int64)
