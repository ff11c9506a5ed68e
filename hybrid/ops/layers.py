"""What layers of neural networks compute besides products and convolutions."""

from __future__ import annotations

import math
from typing import Any

from hybrid import dtypes
from hybrid.core.making import asarray
from hybrid.core.source import located
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import DTypeError, ShapeError
from hybrid.ops import random
from hybrid.ops._axes import Axes, one_axis, some_axes
from hybrid.ops.composite import softmax
from hybrid.ops.data_types import finfo
from hybrid.ops.elementwise.arithmetic import rsqrt
from hybrid.ops.elementwise.selection import where
from hybrid.ops.indexing import take
from hybrid.ops.permuting import swapaxes
from hybrid.ops.products import matmul
from hybrid.ops.reduction import mean as mean_of
from hybrid.ops.reduction import var
from hybrid.ops.reshaping import reshape
from hybrid.ops.triangles import tri


def dropout(
    x: ArrayLike,
    /,
    rate: float = 0.5,
    *,
    training: bool,
    generator: random.Generator | None = None,
) -> Tensor:
    """Set elements to zero at random and scale the others, so that the mean stays.

    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.
    Eager and compiled code drop the same elements for the same seed.

    Parameters
    ----------
    x : array-like
    rate : float
        How likely an element is dropped, from 0 to 1.
    training : bool
        False returns `x` as it is.
    generator : Generator, optional
        Where the random numbers come from; left out, ``hb.random``'s own.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> dropout([1.0, 2.0], 0.5, training=False)
    Tensor([1., 2.], dtype=float32)
    """
    x = asarray(x)
    if not 0 <= rate <= 1:
        raise ValueError(located(f"dropout: rate is {rate}, it must be from 0 to 1"))
    if not dtypes.is_inexact(x.dtype):
        raise DTypeError(located(f"dropout: {x.dtype.name} cannot be scaled; use a float dtype"))
    if not training or rate == 0:
        return x
    draw = random.uniform if generator is None else generator.uniform
    kept = draw(x.shape) >= rate
    return where(kept, x / (1 - rate) if rate < 1 else x, 0)


def embedding(indices: ArrayLike, table: ArrayLike, /) -> Tensor:
    """Return the rows of a table at given places.

    Parameters
    ----------
    indices : array-like of int
        Negative ones count from the end.
    table : array-like
        Of shape (rows, ...).

    Returns
    -------
    Tensor
        Of the shape of `indices`, followed by that of a row.

    Raises
    ------
    DTypeError
        Where `indices` are no integers.
    IndexingError
        For a row that does not exist.

    Examples
    --------
    >>> embedding([2, 0], [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    Tensor([[4., 5.],
            [0., 1.]], dtype=float32)
    """
    indices = asarray(indices)
    if indices.dtype.kind not in "iu":
        raise DTypeError(located(f"embedding: indices are integers, not {indices.dtype.name}"))
    return take(table, indices, axis=0)


# --- normalisation --------------------------------------------------------------------------------


def layer_norm(
    x: ArrayLike,
    scale: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    /,
    *,
    axis: int | Axes = -1,
    epsilon: float = 1e-5,
) -> Tensor:
    """Shift and scale the elements along `axis` to mean 0 and variance 1.

    Ba et al., "Layer Normalization", 2016.

    Parameters
    ----------
    x : array-like
    scale, shift : array-like, optional
        What the result is multiplied with and what is added to it; they broadcast to `x`.
    axis : int or tuple of int
    epsilon : float
        Added to the variance.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> layer_norm([[1.0, 3.0], [0.0, 8.0]], epsilon=0.0)
    Tensor([[-1.,  1.],
            [-1.,  1.]], dtype=float32)
    """
    x = asarray(x)
    axes = some_axes("layer_norm", axis, x.shape)
    centre, spread = mean_of(x, axis=axes, keepdims=True), var(x, axis=axes, keepdims=True)
    return _affine((x - centre) * rsqrt(spread + epsilon), scale, shift)


def batch_norm(
    x: ArrayLike,
    scale: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    /,
    *,
    mean: ArrayLike | None = None,
    variance: ArrayLike | None = None,
    axis: int = 1,
    epsilon: float = 1e-5,
) -> Tensor:
    """Shift and scale each channel by its mean and variance.

    Ioffe and Szegedy, "Batch Normalization", 2015.

    Parameters
    ----------
    x : array-like
        With the channels along `axis`.
    scale, shift : array-like, optional
        One number per channel, to multiply the result with and to add to it.
    mean, variance : array-like, optional
        One number per channel, such as averages over many batches; left out, those of `x`.
    axis : int
    epsilon : float
        Added to the variance.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        Where there is not one number per channel.

    Examples
    --------
    >>> batch_norm([[1.0, 10.0], [3.0, 30.0]], epsilon=0.0)
    Tensor([[-1., -1.],
            [ 1.,  1.]], dtype=float32)
    """
    x = asarray(x)
    place = one_axis("batch_norm", axis, x.shape)
    others = tuple(a for a in range(x.ndim) if a != place)

    def channels(name: str, value: ArrayLike | None) -> Tensor | None:
        if value is None:
            return None
        tensor = asarray(value)
        if tensor.shape != (x.shape[place],):
            raise ShapeError(
                located(
                    f"batch_norm: {name} has shape {tensor.shape}, an input of shape {x.shape} "
                    f"has {x.shape[place]} channels along axis {place}"
                )
            )
        return reshape(tensor, tuple(-1 if a == place else 1 for a in range(x.ndim)))

    centre, spread = channels("mean", mean), channels("variance", variance)
    if centre is None:
        centre = mean_of(x, axis=others, keepdims=True)
    if spread is None:
        spread = ((x - centre) ** 2).mean(axis=others, keepdims=True)
    normal = (x - centre) * rsqrt(spread + epsilon)
    return _affine(normal, channels("scale", scale), channels("shift", shift))


def _affine(x: Any, scale: ArrayLike | None, shift: ArrayLike | None) -> Tensor:
    if scale is not None:
        x = x * asarray(scale)
    if shift is not None:
        x = x + asarray(shift)
    return asarray(x)


# --- attention ------------------------------------------------------------------------------------


def attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    /,
    *,
    mask: ArrayLike | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Return scaled dot-product attention: means of `value`, weighted by how keys fit queries.

    Vaswani et al., "Attention Is All You Need", 2017.

    Parameters
    ----------
    query : array-like
        Of shape (..., L, D).
    key : array-like
        Of shape (..., S, D).
    value : array-like
        Of shape (..., S, E). Leading axes broadcast.
    mask : array-like, optional
        Broadcasts to (..., L, S). Booleans: which keys a query may see; where it sees none, the
        result is 0. Numbers: added to the scores.
    causal : bool
        A query sees no keys behind its own place.
    scale : float, optional
        Of the scores; left out, ``1 / sqrt(D)``.

    Returns
    -------
    Tensor
        Of shape (..., L, E).

    Raises
    ------
    ShapeError
        Where the shapes do not fit.

    Examples
    --------
    >>> attention([[1.0], [1.0]], [[5.0], [5.0]], [[0.0], [4.0]], causal=True)
    Tensor([[0.],
            [2.]], dtype=float32)
    """
    query, key, value = asarray(query), asarray(key), asarray(value)
    sizes = [t.shape[-2:] for t in (query, key, value)]
    if min(map(len, sizes)) < 2 or sizes[0][1] != sizes[1][1] or sizes[1][0] != sizes[2][0]:
        raise ShapeError(
            located(
                f"attention: shapes {query.shape}, {key.shape} and {value.shape} do not fit; "
                "expected (..., L, D), (..., S, D) and (..., S, E)"
            )
        )
    factor = 1 / math.sqrt(max(sizes[0][1], 1)) if scale is None else scale
    scores = matmul(query * factor, swapaxes(key, -1, -2))
    seen = tri(sizes[0][0], sizes[1][0], dtype=dtypes.bool_) if causal else None
    if mask is not None:
        allowed = asarray(mask)
        if allowed.dtype.kind == "b":
            seen = allowed if seen is None else seen & allowed
        else:
            scores = scores + allowed
    if seen is None:
        return matmul(softmax(scores), value)
    # Not minus infinity: a query that sees nothing would get NaN, and so would its gradients.
    lowest = finfo(scores.dtype).min
    return matmul(where(seen, softmax(where(seen, scores, lowest)), 0), value)
