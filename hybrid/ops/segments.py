"""Reductions of segments: elements that share an id."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.batch import Lanes
from hybrid.core.dispatch import bind
from hybrid.core.making import asarray
from hybrid.core.op import Attrs, Example, Op, register
from hybrid.core.places import Place
from hybrid.core.source import located
from hybrid.core.spec import Shape, TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.dtypes import DType
from hybrid.errors import DTypeError, IndexingError, ShapeError
from hybrid.ops import reduction
from hybrid.ops.broadcasting import broadcast_to
from hybrid.ops.creation import ones
from hybrid.ops.elementwise import where
from hybrid.ops.indexing import take
from hybrid.ops.indexing.accumulate import accumulate, add_in_order
from hybrid.ops.permuting import moveaxis
from hybrid.ops.ranges import arange
from hybrid.ops.reduction.declare import accumulator
from hybrid.ops.reshaping import reshape


def _check(name: str, x: TensorSpec, ids: TensorSpec) -> None:
    if ids.dtype.kind not in "iu":
        raise DTypeError(f"{name}: ids are integers, not {ids.dtype.name}")
    if not ids.ndim or ids.shape != x.shape[: ids.ndim]:
        raise ShapeError(
            f"{name}: ids of shape {ids.shape} do not fit the first axes of data of shape {x.shape}"
        )


def _checked_ids(name: str, ids: Any, num: int) -> Any:
    wrong = ids[(ids < 0) | (ids >= num)]
    if wrong.size:
        raise IndexingError(
            f"{name}: id {wrong.flat[0]} is out of bounds for axis 0 of the result, which has size "
            f"{num}"
        )
    return ids


def _batch(op: Op, size: int, lanes: Lanes, attrs: Attrs) -> Tensor | None:
    x, ids = lanes
    num = attrs["num"]
    if not ids.batched:
        if not x.batched:
            return None
        axes = ids.tensor.ndim  # the batch comes behind those of the ids
        return moveaxis(bind(op, (moveaxis(x.tensor, 0, axes), ids.tensor), attrs), 1, 0)
    data = x.tensor if x.batched else broadcast_to(x.tensor, (size, *x.tensor.shape))
    own = ids.tensor.astype(dtypes.int64)  # each example has segments of its own
    shift = reshape(arange(size), (size, *(1,) * (own.ndim - 1))) * num
    own = where((own < 0) | (own >= num), size * num, own + shift)  # out of bounds stays so
    found: Tensor = bind(op, (data, own), {"num": size * num})
    return reshape(found, (size, num, *found.shape[1:]))


# --- sums -----------------------------------------------------------------------------------------


def _infer_sum(x: TensorSpec, ids: TensorSpec, *, num: int) -> TensorSpec:
    _check("segment_sum", x, ids)
    return TensorSpec((num, *x.shape[ids.ndim :]), accumulator(x.dtype), x.device)


def _eager_sum(xp: Any, x: Any, ids: Any, *, num: int) -> Any:
    spec = _infer_sum(TensorSpec(x.shape, x.dtype), TensorSpec(ids.shape, ids.dtype), num=num)
    ids = _checked_ids("segment_sum", ids, num)
    # float16 and bfloat16 are summed in float32, as elsewhere
    wide = dtypes.float32 if spec.dtype.itemsize == 2 else spec.dtype
    out = xp.zeros(spec.shape, wide)
    accumulate(xp, "add", out, x.astype(wide, copy=False), (ids,), (0,), 0)
    return out.astype(spec.dtype, copy=False)


def _sum_into(x: TensorSpec, ids: TensorSpec, *, num: int) -> Any:
    """Write in the memory of a Plan; sums that are computed in a wider dtype are cast anyway."""
    if accumulator(x.dtype) != x.dtype or dtypes.is_half(x.dtype):
        return None

    def write(x: Any, ids: Any, *, out: Any) -> None:
        ids = _checked_ids("segment_sum", ids, num)
        out.fill(0)
        accumulate(np, "add", out, x, (ids,), (0,), 0)

    return write


def _sum_on_card(place: Place, x: Any, ids: Any, *, num: int) -> Any:
    from hybrid.kernels.cuda.scattering import DTYPES

    spec = _infer_sum(TensorSpec(x.shape, x.dtype), TensorSpec(ids.shape, ids.dtype), num=num)
    wide = dtypes.float32 if spec.dtype.itemsize == 2 else spec.dtype
    if wide.name not in DTYPES:
        return _eager_sum(place.xp, x, ids, num=num)
    out = place.xp.zeros(spec.shape, wide)
    ids = _checked_ids("segment_sum", ids, num)
    add_in_order(place, out, x.astype(wide, copy=False), (ids,), (0,), 0)
    return out.astype(spec.dtype, copy=False)


_SHAPES = ((5, 2), (5,))
_IDS = "uint8"  # so that tests draw no negative ones

SEGMENT_SUM = register(
    Op(
        name="segment_sum",
        family="indexing",
        warns=True,
        batch=_batch,
        infer=_infer_sum,
        eager=_eager_sum,
        into=_sum_into,
        by_kernel=_sum_on_card,
        raises=True,
        vjp=(lambda g, out, x, ids, *, num: take(g, ids, axis=0), None),
        examples=(
            Example(_SHAPES, {"num": 4}, ("float64", _IDS)),
            Example(((2, 3), (2, 3)), {"num": 3}, ("float32", _IDS)),
            Example(((4,), (4,)), {"num": 3}, ("int8", _IDS)),
        ),
        doc="The sum of the elements of each segment.",
    )
)


# --- extremes -------------------------------------------------------------------------------------


def _declare(name: str, ufunc: str, nothing: Any, what: str) -> Op:
    def infer(x: TensorSpec, ids: TensorSpec, *, num: int) -> TensorSpec:
        _check(name, x, ids)
        if x.dtype.kind == "c":
            raise DTypeError(f"{name}: {x.dtype.name} has no order")
        return TensorSpec((num, *x.shape[ids.ndim :]), x.dtype, x.device)

    def eager(xp: Any, x: Any, ids: Any, *, num: int) -> Any:
        spec = infer(TensorSpec(x.shape, x.dtype), TensorSpec(ids.shape, ids.dtype), num=num)
        out = xp.full(spec.shape, nothing(x.dtype), x.dtype)
        accumulate(xp, ufunc, out, x, (_checked_ids(name, ids, num),), (0,), 0)
        return out

    return register(
        Op(
            name=name,
            family="indexing",
            batch=_batch,
            infer=infer,
            eager=eager,
            raises=True,
            vjp=(_vjp_extreme, None),
            examples=(
                Example(((5, 2), (5,)), {"num": 3}, ("float32", _IDS)),
                Example(_SHAPES, {"num": 4}, ("float32", _IDS)),
                Example(((4,), (4,)), {"num": 3}, ("int8", _IDS)),
                Example(((4,), (4,)), {"num": 3}, ("bool", _IDS)),
            ),
            doc=f"The {what} element of each segment.",
        )
    )


def _vjp_extreme(g: Tensor, out: Tensor, x: Tensor, ids: Tensor, *, num: int) -> Tensor:
    # Elements that tie share the gradient equally.
    chosen = (x == take(out, ids, axis=0)).astype(g.dtype)
    ties = bind(SEGMENT_SUM, (chosen, ids), {"num": num})
    return chosen * take(g / where(ties == 0, 1, ties), ids, axis=0)


def _lowest(dtype: DType) -> Any:
    if dtypes.is_inexact(dtype):
        return -np.inf
    return dtype.kind != "b" and np.iinfo(dtype).min


def _highest(dtype: DType) -> Any:
    if dtypes.is_inexact(dtype):
        return np.inf
    return dtype.kind == "b" or np.iinfo(dtype).max


SEGMENT_MAX = _declare("segment_max", "maximum", _lowest, "largest")
SEGMENT_MIN = _declare("segment_min", "minimum", _highest, "smallest")


# --- functions ------------------------------------------------------------------------------------


def _reduced(op: Op, data: ArrayLike, ids: ArrayLike, num: int | None) -> Tensor:
    x, index = asarray(data), asarray(ids)
    if not index.size and index.dtype.kind == "f":  # an empty list
        index = index.astype(dtypes.int64)
    try:
        _check(op.name, x.spec, index.spec)
    except (DTypeError, ShapeError) as error:
        raise type(error)(located(str(error))) from None
    if num is None:
        num = int(reduction.max(index)) + 1 if index.size else 0
    return bind(op, (x, index), {"num": max(operator.index(num), 0)})


def segment_sum(
    data: ArrayLike, segment_ids: ArrayLike, /, num_segments: int | None = None
) -> Tensor:
    """Add the elements of each segment: those that have the same id.

    Parameters
    ----------
    data : array-like
    segment_ids : array-like of int
        In any order, of the shape of `data` or of its first axes.
    num_segments : int, optional
        How many segments there are; left out, one more than the largest id. In a trace that is a
        decision: for another number the function is traced again.

    Returns
    -------
    Tensor
        One part for each segment, 0 where it is empty. Booleans and integers are added in 64 bits.

    Raises
    ------
    IndexError
        For an id that is negative or not below `num_segments`.

    Examples
    --------
    >>> segment_sum([1, 2, 3, 4], [0, 2, 0, 2])
    Tensor([4, 0, 6], dtype=int64)
    """
    return _reduced(SEGMENT_SUM, data, segment_ids, num_segments)


def segment_max(
    data: ArrayLike, segment_ids: ArrayLike, /, num_segments: int | None = None
) -> Tensor:
    """Return the largest element of each segment; arguments as of :func:`segment_sum`.

    An empty segment has the smallest value of the dtype. Elements that tie share gradients.

    Examples
    --------
    >>> segment_max([1.0, 2.0, 3.0], [1, 0, 1])
    Tensor([2., 3.], dtype=float32)
    """
    return _reduced(SEGMENT_MAX, data, segment_ids, num_segments)


def segment_min(
    data: ArrayLike, segment_ids: ArrayLike, /, num_segments: int | None = None
) -> Tensor:
    """Return the smallest element of each segment; as :func:`segment_max`.

    Examples
    --------
    >>> segment_min([3.0, 1.0, 2.0], [0, 0, 1])
    Tensor([1., 2.], dtype=float32)
    """
    return _reduced(SEGMENT_MIN, data, segment_ids, num_segments)


def segment_mean(
    data: ArrayLike, segment_ids: ArrayLike, /, num_segments: int | None = None
) -> Tensor:
    """Return the mean of each segment, 0 where it is empty; as :func:`segment_sum`.

    Examples
    --------
    >>> segment_mean([1.0, 2.0, 5.0], [0, 2, 2])
    Tensor([1. , 0. , 3.5], dtype=float32)
    """
    x, ids = asarray(data), asarray(segment_ids)
    if not dtypes.is_inexact(x.dtype):
        x = x.astype(dtypes.float64)
    total = segment_sum(x, ids, num_segments)
    count = segment_sum(ones(ids.shape, dtypes.int64, device=ids.device), ids, total.shape[0])
    some = where(count > 0, count, 1).astype(total.dtype)
    return total / reshape(some, _beside(some, total.ndim))


def _beside(x: Tensor, ndim: int) -> Shape:
    return x.shape + (1,) * (ndim - x.ndim)
