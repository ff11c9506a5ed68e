"""Products of matrices and tensors, and norms."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.dispatch import bind, located
from hybrid.core.op import Example, Op, register
from hybrid.core.spec import Shape, TensorSpec, promote_specs
from hybrid.core.tensor import ArrayLike, Tensor, asarray
from hybrid.dtypes import promote
from hybrid.errors import ShapeError
from hybrid.ops import reduction
from hybrid.ops._axes import Axes, all_axes, one_axis, some_axes
from hybrid.ops._methods import attach
from hybrid.ops.creation import eye, ones
from hybrid.ops.elementwise.arithmetic import absolute, sqrt
from hybrid.ops.elementwise.selection import where
from hybrid.ops.movement import expand_dims, permute_dims, reshape, squeeze, sum_to, swapaxes

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
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ShapeError(
            f"matmul: shapes {a.shape} and {b.shape} do not fit: the axes before the last two, "
            f"{a.shape[:-2]} and {b.shape[:-2]}, do not broadcast"
        ) from None
    rows = a.shape[-2:-1] if a.ndim > 1 else ()
    columns = b.shape[-1:] if b.ndim > 1 else ()
    return TensorSpec((*batch, *rows, *columns), promote_specs((a, b)), a.device)


def _eager_matmul(xp: Any, a: Any, b: Any) -> Any:
    out = xp.matmul(a, b)
    # NumPy has no product of bfloat16 and computes it in float32.
    return out if a.dtype == out.dtype == b.dtype else out.astype(promote((a.dtype, b.dtype)))


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
    return reshape(found, a.shape).astype(a.dtype, copy=False)


def _vjp_right(g: Tensor, out: Tensor, a: Tensor, b: Tensor) -> Tensor:
    left, right, g = _as_matrices(a, b, g)
    if right.ndim == 2 and left.ndim > 2:  # one product over all batches, not a sum of many
        left, g = reshape(left, (-1, left.shape[-1])), reshape(g, (-1, g.shape[-1]))
    found = sum_to(matmul(swapaxes(left, -1, -2), g), right.shape)
    return reshape(found, b.shape).astype(b.dtype, copy=False)


MATMUL = register(
    Op(
        name="matmul",
        family="linalg",
        infer=_infer_matmul,
        eager=_eager_matmul,
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
        ),
        doc="The matrix product; axes before the last two broadcast.",
    )
)


def matmul(a: ArrayLike, b: ArrayLike, /) -> Tensor:
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
    return bind(MATMUL, (asarray(a), asarray(b)), {})


def _matmul_method(self: Tensor, other: Any) -> Tensor:
    return matmul(self, other)


def _rmatmul_method(self: Tensor, other: Any) -> Tensor:
    return matmul(other, self)


def dot(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """Return NumPy's dot product.

    For matrices it is :func:`matmul`, for vectors the inner product, for a scalar the multiple;
    otherwise the sum over the last axis of `a` and the second to last of `b`.
    """
    a, b = asarray(a), asarray(b)
    if not a.ndim or not b.ndim:
        return a * b
    if b.ndim <= 2:
        return matmul(a, b)
    return tensordot(a, b, axes=((a.ndim - 1,), (b.ndim - 2,)))


def vecdot(a: ArrayLike, b: ArrayLike, /, *, axis: int = -1) -> Tensor:
    """Return the inner products of vectors that lie along an axis; the other axes broadcast."""
    a, b = asarray(a), asarray(b)
    i, j = one_axis("vecdot", axis, a.shape), one_axis("vecdot", axis, b.shape)
    if a.shape[i] != b.shape[j]:
        raise ShapeError(
            located(f"vecdot: shapes {a.shape} and {b.shape} do not fit along axis {axis}")
        )
    return (a * b).sum(axis=axis)


def outer(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """Return the products of each element of `a` with each of `b`, both raveled."""
    return reshape(a, (-1, 1)) * reshape(b, (1, -1))


def tensordot(
    a: ArrayLike, b: ArrayLike, /, axes: int | tuple[Sequence[int], Sequence[int]] = 2
) -> Tensor:
    """Sum the products of two tensors over pairs of axes.

    Parameters
    ----------
    a, b : array-like
    axes : int, or a pair of sequences of int
        How many of the last axes of `a` meet the first axes of `b`; or which axes of `a` meet
        which of `b`.

    Returns
    -------
    Tensor
        The other axes of `a`, then those of `b`.

    Examples
    --------
    >>> tensordot([[1, 2], [3, 4]], [[1, 0], [0, 1]])
    Tensor(5, dtype=int64)
    """
    a, b = asarray(a), asarray(b)
    left, right = _contracted(a, b, axes)
    rest_a = tuple(i for i in range(a.ndim) if i not in left)
    rest_b = tuple(i for i in range(b.ndim) if i not in right)
    rows, columns = [a.shape[i] for i in rest_a], [b.shape[i] for i in rest_b]
    inner = prod(a.shape[i] for i in left)
    first = reshape(permute_dims(a, rest_a + left), (prod(rows), inner))
    second = reshape(permute_dims(b, right + rest_b), (inner, prod(columns)))
    return reshape(matmul(first, second), (*rows, *columns))


def _contracted(a: Tensor, b: Tensor, axes: Any) -> tuple[Axes, Axes]:
    if isinstance(axes, Sequence):
        left, right = axes
    else:
        count = operator.index(axes)
        left, right = range(a.ndim - count, a.ndim), range(count)
    first, second = some_axes("tensordot", left, a.shape), some_axes("tensordot", right, b.shape)
    if [a.shape[i] for i in first] != [b.shape[i] for i in second]:
        raise ShapeError(
            located(
                f"tensordot: axes {first} of shape {a.shape} do not meet axes {second} of shape "
                f"{b.shape}: the sizes differ"
            )
        )
    return first, second


# --- einsum ---------------------------------------------------------------------------------------


def _sizes(terms: list[str], shapes: list[Shape], subscripts: str) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes):
        if len(term) != len(shape):
            raise ShapeError(
                f"einsum: {term!r} in {subscripts!r} names {len(term)} axes, the operand has "
                f"shape {shape}"
            )
        for letter, n in zip(term, shape):
            if sizes.setdefault(letter, n) != n:
                raise ShapeError(
                    f"einsum: {letter!r} in {subscripts!r} has size {sizes[letter]} and {n}"
                )
    return sizes


def _infer_einsum(*specs: TensorSpec, subscripts: str) -> TensorSpec:
    left, out = subscripts.split("->")
    sizes = _sizes(left.split(","), [s.shape for s in specs], subscripts)
    return TensorSpec(tuple(sizes[c] for c in out), promote_specs(specs), specs[0].device)


def _eager_einsum(xp: Any, *arrays: Any, subscripts: str) -> Any:
    out = xp.einsum(subscripts, *arrays, optimize=len(arrays) > 1)
    # A permutation or a diagonal comes back as a view, which no other op may write to; bfloat16
    # comes back as float32.
    return xp.asarray(out).astype(promote(x.dtype for x in arrays), copy=len(arrays) == 1)


def _vjp_einsum(i: int, g: Tensor, out: Tensor, *inputs: Tensor, subscripts: str) -> Tensor:
    left, result = subscripts.split("->")
    terms = left.split(",")
    own, x = terms[i], inputs[i]
    operands = [g, *(t for j, t in enumerate(inputs) if j != i)]
    names = [result, *(t for j, t in enumerate(terms) if j != i)]
    # An axis that only this operand had was summed alone: its gradient is the same everywhere.
    sizes = dict(zip(own, x.shape))
    alone = "".join(c for c in sizes if not any(c in name for name in names))
    if alone:
        operands.append(ones([sizes[c] for c in alone], g.dtype))
        names.append(alone)
    # An axis named twice took the diagonal: the gradient lies on the diagonal.
    spare = _letters_but(subscripts)
    target = ""
    for letter, n in zip(own, x.shape):
        if letter in target:
            operands.append(eye(n, dtype=g.dtype))
            names.append(letter + spare[0])
            letter, spare = spare[0], spare[1:]
        target += letter
    return bind(EINSUM, tuple(operands), {"subscripts": f"{','.join(names)}->{target}"}).astype(
        x.dtype, copy=False
    )


def _letters_but(used: str) -> str:
    alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return "".join(c for c in alphabet if c not in used)


EINSUM = register(
    Op(
        name="einsum",
        family="linalg",
        infer=_infer_einsum,
        eager=_eager_einsum,
        vjp=_vjp_einsum,
        examples=(
            Example(((2, 3), (3, 4)), {"subscripts": "ij,jk->ik"}),
            Example(((2, 3, 4), (2, 4, 5)), {"subscripts": "bij,bjk->bik"}),
            Example(((3, 3),), {"subscripts": "ii->"}),
            Example(((3, 3),), {"subscripts": "ii->i"}),
            Example(((2, 3),), {"subscripts": "ij->ji"}),
            Example(((2, 3), (4,)), {"subscripts": "ij,k->i"}),
            Example(((2, 3), (3, 4), (4,)), {"subscripts": "ij,jk,k->i"}),
        ),
        doc="Einstein summation.",
    )
)


def einsum(subscripts: str, /, *operands: ArrayLike) -> Tensor:
    """Multiply and sum as Einstein's notation says.

    Parameters
    ----------
    subscripts : str
        ``"ij,jk->ik"``: a letter per axis of each operand, then those of the result. Without the
        arrow the result has the letters that occur once, in alphabetical order. ``...`` stands
        for axes that broadcast.
    *operands : array-like

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        Where letters and shapes do not fit.

    Examples
    --------
    >>> einsum("ij,ij->i", [[1, 2], [3, 4]], [[1, 1], [1, 1]])
    Tensor([3, 7], dtype=int64)
    """
    tensors = [asarray(x) for x in operands]
    terms, result = _parse(subscripts, [t.ndim for t in tensors])
    terms, tensors = _without_stretched(terms, tensors)
    attrs = {"subscripts": f"{','.join(terms)}->{result}"}
    return bind(EINSUM, tuple(tensors), attrs)


def _parse(subscripts: str, ndims: list[int]) -> tuple[list[str], str]:
    """Return a term per operand and the result's, with the ellipsis spelled out in letters."""
    text = subscripts.replace(" ", "")
    left, arrow, result = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise ShapeError(
            located(f"einsum: {subscripts!r} is for {len(terms)} operands, given {len(ndims)}")
        )
    counts = [n - len(t.replace("...", "")) for t, n in zip(terms, ndims) if "..." in t]
    spare = _letters_but(text)[: max(counts, default=0)]
    if min(counts, default=0) < 0:
        raise ShapeError(located(f"einsum: {subscripts!r} names more axes than an operand has"))
    lengths = iter(counts)
    terms = [
        t.replace("...", spare[len(spare) - next(lengths) :]) if "..." in t else t for t in terms
    ]
    if not arrow:
        letters = "".join(terms)
        once = sorted(c for c in set(letters) - set(spare) if letters.count(c) == 1)
        return terms, spare + "".join(once)
    result = result.replace("...", spare)
    unknown = sorted(set(result) - set("".join(terms)))
    if unknown or len(set(result)) != len(result):
        why = f"{unknown[0]!r} is in no operand" if unknown else "a letter occurs twice"
        raise ShapeError(located(f"einsum: the result {result!r} of {subscripts!r}: {why}"))
    return terms, result


def _without_stretched(terms: list[str], tensors: list[Tensor]) -> tuple[list[str], list[Tensor]]:
    """Remove axes of size 1 that broadcast against another operand's."""
    sizes: dict[str, int] = {}
    for term, tensor in zip(terms, tensors):
        for letter, n in zip(term, tensor.shape):
            sizes[letter] = n if n != 1 else sizes.get(letter, 1)
    left, kept = [], []
    for term, tensor in zip(terms, tensors):
        drop = [i for i, (c, n) in enumerate(zip(term, tensor.shape)) if n == 1 and sizes[c] != 1]
        left.append("".join(c for i, c in enumerate(term) if i not in drop))
        kept.append(squeeze(tensor, tuple(drop)) if drop else tensor)
    return left, kept


# --- norms ----------------------------------------------------------------------------------------


def vector_norm(
    x: ArrayLike, /, *, axis: int | Axes | None = None, keepdims: bool = False, ord: float = 2
) -> Tensor:
    """Return the norm of vectors that lie along axes.

    The gradient of the 2-norm at the origin is taken as 0.

    Parameters
    ----------
    x : array-like
    axis : int or tuple of int, optional
        Left out: all elements are one vector.
    keepdims : bool
        Keep the reduced axes with size 1.
    ord : number
        The order: 1, 2, any other power, ``inf``, ``-inf``, or 0 to count what is not zero.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> vector_norm([3.0, 4.0])
    Tensor(5., dtype=float32)
    """
    x = asarray(x)
    if not dtypes.is_inexact(x.dtype):
        x = x.astype(dtypes.float64)
    axes = all_axes("vector_norm", axis, x.shape)
    if x.dtype.kind == "c":
        x = absolute(x)
    if ord == 2:
        total = (x * x).sum(axis=axes, keepdims=keepdims)
        at_origin = total == 0
        return where(at_origin, 0, sqrt(where(at_origin, 1, total))).astype(x.dtype, copy=False)
    if ord == 0:
        return reduction.count_nonzero(x, axis=axes, keepdims=keepdims).astype(x.dtype)
    size = absolute(x)
    if ord == np.inf:
        return size.max(axis=axes, keepdims=keepdims)
    if ord == -np.inf:
        return size.min(axis=axes, keepdims=keepdims)
    if ord == 1:
        return size.sum(axis=axes, keepdims=keepdims)
    return (size**ord).sum(axis=axes, keepdims=keepdims) ** (1 / ord)


def norm(
    x: ArrayLike,
    /,
    ord: float | str | None = None,
    axis: int | Axes | None = None,
    *,
    keepdims: bool = False,
) -> Tensor:
    """Return a vector norm, or the Frobenius norm of matrices (``ord="fro"`` or left out)."""
    if ord is None or ord == "fro":
        return vector_norm(x, axis=axis, keepdims=keepdims)
    x = asarray(x)
    axes = all_axes("norm", axis, x.shape)
    if isinstance(ord, str) or len(axes) != 1:
        raise ValueError(
            located(f"norm: order {ord!r} over axes {axes} of shape {x.shape} is not supported")
        )
    return vector_norm(x, axis=axes, keepdims=keepdims, ord=ord)


attach(
    __matmul__=_matmul_method,
    __rmatmul__=_rmatmul_method,
    dot=dot,
)
