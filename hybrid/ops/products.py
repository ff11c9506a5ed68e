"""Products of matrices, and of vectors along an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.batch import Lane, Lanes
from hybrid.core.dispatch import bind, busy, state
from hybrid.core.heard import heard
from hybrid.core.making import asarray
from hybrid.core.op import Attrs, Example, Op, register
from hybrid.core.spec import TensorSpec, broadcast_shapes, promote_specs
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.dtypes import promote
from hybrid.errors import ShapeError
from hybrid.kernels.shortway import Way
from hybrid.ops import _shortways, reduction
from hybrid.ops._axes import Axes, one_axis
from hybrid.ops._methods import as_numpy, attach
from hybrid.ops.broadcasting import sum_to
from hybrid.ops.elementwise.complex_parts import conj
from hybrid.ops.elementwise.operands import together
from hybrid.ops.elementwise.operators import attach_inplace
from hybrid.ops.permuting import moveaxis, swapaxes
from hybrid.ops.reshaping import reshape
from hybrid.ops.unit_axes import expand_dims, squeeze

# --- matmul ---------------------------------------------------------------------------------------


def _infer_matmul(a: TensorSpec, b: TensorSpec) -> TensorSpec:
    if not a.ndim or not b.ndim:
        raise ShapeError(
            f"matmul: shapes {a.shape} and {b.shape} do not fit: both need at least one axis"
        )
    inner = a.shape[-1], b.shape[-2] if b.ndim > 1 else b.shape[0]
    if inner[0] != inner[1]:
        raise ShapeError(
            f"matmul: shapes {a.shape} and {b.shape} do not fit: the last axis of the first has "
            f"size {inner[0]}, the {'second to last' if b.ndim > 1 else 'only'} axis of the second "
            f"has size {inner[1]}"
        )
    try:
        batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ShapeError(
            f"matmul: shapes {a.shape} and {b.shape} do not fit: the axes before the last two, "
            f"{a.shape[:-2]} and {b.shape[:-2]}, do not broadcast"
        ) from None
    rows = a.shape[-2:-1] if a.ndim > 1 else ()
    columns = b.shape[-1:] if b.ndim > 1 else ()
    return TensorSpec((*batch, *rows, *columns), promote_specs((a, b)), a.device)


def _eager_matmul(xp: Any, a: Any, b: Any) -> Any:
    if not dtypes.is_half(wanted := promote((a.dtype, b.dtype))):
        return xp.matmul(a, b).astype(wanted, copy=False)
    # NumPy's loop for float16 converts at each multiplication and calls no BLAS: of 512 x 512 290
    # milliseconds instead of 2. It has none for bfloat16.
    out = xp.matmul(a.astype(dtypes.float32), b.astype(dtypes.float32))
    return xp.asarray(out).astype(wanted)


def _expand_matmul(a: Tensor, b: Tensor) -> Tensor | None:
    """Multiply arrays of one dtype, which BLAS does in planned memory and divided among threads."""
    if a.dtype != b.dtype and not dtypes.is_half(wanted := promote((a.dtype, b.dtype))):
        return matmul(a.astype(wanted, copy=False), b.astype(wanted, copy=False))
    return _widened(matmul, a, b)


def _widened(product: Callable[..., Tensor], a: Tensor, b: Tensor) -> Tensor | None:
    """Multiply 16-bit numbers in float32 and round once; None for a result of another dtype."""
    if not dtypes.is_half(wanted := promote((a.dtype, b.dtype))):
        return None
    wide = product(a.astype(dtypes.float32), b.astype(dtypes.float32))
    return wide.astype(wanted)


def _as_matrices(a: Tensor, b: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Give vectors the axis of size 1 that makes them matrices, in the product too."""
    if b.ndim == 1:
        b, g = expand_dims(b, -1), expand_dims(g, -1)
    if a.ndim == 1:
        a, g = expand_dims(a, 0), expand_dims(g, -2)
    return a, b, g


def _vjp_left(g: Tensor, out: Tensor, a: Tensor, b: Tensor) -> Tensor:
    left, right, g = _as_matrices(a, b, g)
    found = sum_to(matmul(g, swapaxes(right, -1, -2)), left.shape)
    return reshape(found, a.shape)


def _vjp_right(g: Tensor, out: Tensor, a: Tensor, b: Tensor) -> Tensor:
    left, right, g = _as_matrices(a, b, g)
    if right.ndim == 2 and left.ndim > 2:  # one product over all batches, not a sum of many
        left, g = reshape(left, (-1, left.shape[-1])), reshape(g, (-1, g.shape[-1]))
    found = sum_to(matmul(swapaxes(left, -1, -2), g), right.shape)
    return reshape(found, b.shape)


def _batch_matmul(op: Op, size: int, lanes: Lanes, attrs: Attrs) -> Tensor | None:
    a, b = lanes
    if not (a.batched or b.batched):
        return None
    ndim_a, ndim_b = (lane.tensor.ndim - lane.batched for lane in lanes)
    left = stacked(a, -2 if ndim_a == 1 else None, ndim_b - 2)
    right = stacked(b, -1 if ndim_b == 1 else None, ndim_a - 2)
    out = bind(MATMUL, (left, right), {})
    gone = tuple(axis for axis, ndim in ((-2, ndim_a), (-1, ndim_b)) if ndim == 1)
    return squeeze(out, gone) if gone else out


def stacked(lane: Lane, vector: int | None, others: int) -> Tensor:
    """Return matrices with the batch axis in front of all axes that the other operand stacks."""
    x: Tensor = lane.tensor
    if vector is not None:
        x = expand_dims(x, vector)
    if not lane.batched:
        return x
    own = x.ndim - 3
    return expand_dims(x, tuple(range(1, 1 + max(others - own, 0))))


MATMUL = register(
    Op(
        name="matmul",
        family="linalg",
        batch=_batch_matmul,
        infer=_infer_matmul,
        eager=_eager_matmul,
        expand=_expand_matmul,
        in_order=lambda spec: spec.ndim <= 3,  # matrices do; of many, the axes in front follow
        vjp=(_vjp_left, _vjp_right),
        examples=(
            Example(((3, 4), (4, 5))),
            Example(((4,), (4,))),
            Example(((4,), (4, 5))),
            Example(((3, 4), (4,))),
            Example(((2, 3, 4), (4, 5))),
            Example(((2, 1, 3, 4), (5, 4, 2))),
            Example(((3,), (2, 3, 4))),
            Example(((2, 2), (2, 2)), {}, ("int64", "float32")),
            Example(((3, 4), (4, 2)), {}, ("float16", "float16")),
            Example(((2, 3, 4), (4,)), {}, ("bfloat16", "int8")),
        ),
        doc="The matrix product; axes before the last two broadcast.",
    )
)


_new = object.__new__
_array = np.ndarray
_matmul = np.matmul


def matmul(a: ArrayLike, b: ArrayLike, /, out: Any = None) -> Tensor:
    """Return the matrix product; ``a @ b``.

    Parameters
    ----------
    a, b : array-like
        Vectors, matrices, or stacks of matrices whose leading axes broadcast.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        Where the shapes do not fit.

    Examples
    --------
    >>> matmul([[1, 2], [3, 4]], [1, 1])
    Tensor([3, 7], dtype=int64)
    """
    if out is not None:
        return as_numpy(np.matmul, a, b, out=out)
    if _short is not None and (done := _short(a, b)) is not None:
        return done
    if not busy or state.plain:
        left: Any = a._data if type(a) is Tensor else a
        right: Any = b._data if type(b) is Tensor else b
        # Most dtypes are one object. The product of float16 is not NumPy's.
        alike = type(left) is type(right) is _array and left.dtype is right.dtype
        if alike and left.dtype.char in "fdFD":
            try:
                product = heard()(_matmul, left, right)
            except (TypeError, ValueError):
                pass  # explained below
            else:  # what `wrap` does
                made = _new(Tensor)
                made._data = product if type(product) is _array else np.asarray(product)
                made._link = made._node = None
                return made
    return bind(MATMUL, together(a, b), {})


_short: Callable[[Any, Any], Tensor | None] | None = None


def _put(native: dict[str, Any]) -> None:
    global _short
    _short = native["matmul"]


_shortways.offer(Way("matmul", "function of a product", _matmul), _put)


def __matmul__(self: Tensor, other: Any) -> Any:
    kind = type(other)
    if kind is Tensor or hasattr(kind, "__array__") or hasattr(kind, "__dlpack__"):
        return matmul(self, other)
    # A sparse matrix is no array of any kind, and multiplies by itself.
    return NotImplemented if hasattr(kind, "__rmatmul__") else matmul(self, other)


def _rmatmul_method(self: Tensor, other: Any) -> Tensor:
    return matmul(other, self)


# --- vecdot ---------------------------------------------------------------------------------------


def _infer_vecdot(a: TensorSpec, b: TensorSpec) -> TensorSpec:
    if not a.ndim or not b.ndim or a.shape[-1] != b.shape[-1]:
        raise ShapeError(
            f"vecdot: shapes {a.shape} and {b.shape} do not fit along the axis of the vectors"
        )
    try:
        shape = broadcast_shapes(a.shape[:-1], b.shape[:-1])
    except ValueError:
        raise ShapeError(
            f"vecdot: shapes {a.shape} and {b.shape} do not fit: the other axes, {a.shape[:-1]} "
            f"and {b.shape[:-1]}, do not broadcast"
        ) from None
    return TensorSpec(shape, promote_specs((a, b)), a.device)


def _eager_vecdot(xp: Any, a: Any, b: Any) -> Any:
    wanted = promote((a.dtype, b.dtype))
    if dtypes.is_half(wanted) or dtypes.bfloat16 in (a.dtype, b.dtype):  # of which NumPy has none
        wide = dtypes.float32 if dtypes.is_half(wanted) else wanted
        return xp.asarray(xp.vecdot(a.astype(wide), b.astype(wide))).astype(wanted)
    return xp.vecdot(a, b)


def _batch_vecdot(op: Op, size: int, lanes: Lanes, attrs: Attrs) -> Tensor | None:
    a, b = lanes
    if not (a.batched or b.batched):
        return None
    ndim_a, ndim_b = (lane.tensor.ndim - lane.batched for lane in lanes)
    left, right = stacked(a, -1, ndim_b - 1), stacked(b, -1, ndim_a - 1)
    return bind(op, (left[..., 0], right[..., 0]), attrs)


VECDOT = register(
    Op(
        name="vecdot",
        family="linalg",
        batch=_batch_vecdot,
        infer=_infer_vecdot,
        eager=_eager_vecdot,
        expand=lambda a, b: summed_products(conjugated(a), b),
        vjp=(
            lambda g, out, a, b: conjugated(expand_dims(g, -1) * b),
            lambda g, out, a, b: expand_dims(g, -1) * conjugated(a),
        ),
        examples=(
            Example(((4,), (4,))),
            Example(((2, 3), (3,))),
            Example(((2, 1, 3), (4, 3))),
            Example(((3,), (2, 3)), {}, ("int64", "float32")),
        ),
        doc="The inner products of vectors along the last axis; the other axes broadcast.",
    )
)


def vecdot(x1: ArrayLike, x2: ArrayLike, /, *, axis: int = -1) -> Tensor:
    """Return the inner products of vectors that lie along an axis; the other axes broadcast.

    Parameters
    ----------
    x1, x2 : array-like
        The elements of `x1` are conjugated where they are complex.
    axis : int
        Of both. Their sizes along it must agree.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        Where the sizes differ.

    Examples
    --------
    >>> vecdot([[1, 2], [3, 4]], [1, 1])
    Tensor([3, 7], dtype=int64)
    """
    a, b = together(x1, x2)
    if axis != -1:
        a = moveaxis(a, one_axis("vecdot", axis, a.shape), -1)
        b = moveaxis(b, one_axis("vecdot", axis, b.shape), -1)
    return bind(VECDOT, (a, b), {})


# --- what other products are made of --------------------------------------------------------------


def summed_products(a: Tensor, b: Tensor) -> Tensor:
    """Sum the products of elements along the last axis; those of 16 bits are rounded once."""
    widened = _widened(_multiplied_and_summed, a, b)
    return _multiplied_and_summed(a, b) if widened is None else widened


def _multiplied_and_summed(a: Tensor, b: Tensor) -> Tensor:
    return total(a * b, -1)


def total(x: Tensor, axis: int | Axes) -> Tensor:
    """Sum along axes in the dtype of `x`, as products of matrices do; booleans are joined by or."""
    if x.dtype == dtypes.bool_:
        return reduction.any(x, axis=axis)
    return reduction.sum(x, axis=axis, dtype=x.dtype)


def conjugated(x: ArrayLike) -> Tensor:
    """Return the complex conjugate; real numbers as they are, without a copy."""
    x = asarray(x)
    return conj(x) if x.dtype.kind == "c" else x


attach(
    __matmul__=__matmul__,
    __rmatmul__=_rmatmul_method,
)
_shortways.on_tensor(Way("__matmul__", "product", _matmul, __matmul__, _rmatmul_method))
attach_inplace("__imatmul__", MATMUL, None, __matmul__)
