"""Losses of classifiers, and one-hot coding."""

from __future__ import annotations

import operator
from typing import Any

from hybrid import dtypes
from hybrid.core.dispatch import state
from hybrid.core.making import asarray
from hybrid.core.source import located
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import DTypeError, ShapeError
from hybrid.ops._axes import as_dtype, one_axis
from hybrid.ops.composite import log_softmax
from hybrid.ops.elementwise.activation import softplus
from hybrid.ops.indexing import take_along_axis
from hybrid.ops.ranges import arange
from hybrid.ops.reshaping import reshape
from hybrid.ops.unit_axes import expand_dims, squeeze


def one_hot(x: ArrayLike, /, num_classes: int, *, axis: int = -1, dtype: Any = None) -> Tensor:
    """Return for each number a row of zeros with a one at its place.

    A number outside ``range(num_classes)`` gives zeros only.

    Parameters
    ----------
    x : array-like of int
    num_classes : int
        The length of the rows.
    axis : int
        The place of the new axis in the result.
    dtype : dtype, optional
        The default dtype if left out.

    Returns
    -------
    Tensor

    Raises
    ------
    DTypeError
        Where `x` does not hold integers.

    Examples
    --------
    >>> one_hot([2, 0], 3)
    Tensor([[0., 0., 1.],
            [1., 0., 0.]], dtype=float32)
    """
    x = asarray(x)
    if x.dtype.kind not in "iu":
        raise DTypeError(located(f"one_hot: classes are integers, not {x.dtype.name}"))
    wanted = state.defaults.floats if dtype is None else as_dtype("one_hot", dtype)
    count = operator.index(num_classes)
    if count < 0:
        raise ValueError(located(f"one_hot: there cannot be {count} classes"))
    place = one_axis("one_hot", axis, x.shape, extra=1)
    numbers = reshape(arange(count, device=x.device), (count, *(1,) * (x.ndim - place)))
    return (expand_dims(x, place) == numbers).astype(wanted)


def cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    /,
    *,
    axis: int = -1,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """Return the cross entropy of the softmax of `logits` relative to `targets`.

    Parameters
    ----------
    logits : array-like
        Scores of the classes, which lie along `axis`; any real numbers.
    targets : array-like
        The number of the right class, of the shape of `logits` without `axis`, counted from the
        end where negative; or probabilities of the classes, floating-point, of the same shape.
    axis : int
    label_smoothing : float
        From 0 to 1: how much of each target is spread evenly over all classes (Szegedy et al.,
        "Rethinking the Inception Architecture for Computer Vision", 2016).
    reduction : {"mean", "sum", "none"}
        What is made of the losses of the single examples.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        Where the shapes do not fit.
    IndexingError
        For a class that does not exist.

    Examples
    --------
    >>> cross_entropy([[0.0, 0.0], [9.0, 0.0]], [1, 0])
    Tensor(0.34663528, dtype=float32)
    """
    logits, targets = asarray(logits), asarray(targets)
    place = one_axis("cross_entropy", axis, logits.shape)
    smoothing = _fraction("cross_entropy", "label_smoothing", label_smoothing)
    rest = logits.shape[:place] + logits.shape[place + 1 :]
    classes = targets.dtype.kind in "iu"
    if targets.shape != (rest if classes else logits.shape):
        raise ShapeError(
            located(
                f"cross_entropy: targets of shape {targets.shape} for logits of shape "
                f"{logits.shape} with classes along axis {place}; expected {rest} for numbers of "
                f"classes, {logits.shape} for probabilities"
            )
        )
    likely = log_softmax(logits, axis=place)
    if classes:
        losses = -squeeze(take_along_axis(likely, expand_dims(targets, place), axis=place), place)
    else:
        losses = -(targets * likely).sum(axis=place)
    if smoothing:
        losses = (1 - smoothing) * losses - smoothing * likely.mean(axis=place)
    return _reduced("cross_entropy", losses, reduction)


def binary_cross_entropy_with_logits(
    logits: ArrayLike, targets: ArrayLike, /, *, reduction: str = "mean"
) -> Tensor:
    """Return the cross entropy of the sigmoid of `logits` relative to `targets`.

    Exact to rounding for large logits too, where the sigmoid itself is 0 or 1.

    Parameters
    ----------
    logits : array-like
        Any real numbers.
    targets : array-like
        Probabilities of yes, of the same shape; booleans and integers are taken as such.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        Where the shapes differ.

    Examples
    --------
    >>> binary_cross_entropy_with_logits([0.0, 100.0], [1.0, 0.0], reduction="none")
    Tensor([  0.6931472, 100.       ], dtype=float32)
    """
    name = "binary_cross_entropy_with_logits"
    logits, targets = asarray(logits), asarray(targets)
    if logits.shape != targets.shape:
        raise ShapeError(
            located(f"{name}: targets of shape {targets.shape} for logits of shape {logits.shape}")
        )
    if not dtypes.is_inexact(targets.dtype):
        targets = targets.astype(dtypes.to_inexact(logits.dtype))
    losses = targets * softplus(-logits) + (1 - targets) * softplus(logits)
    return _reduced(name, losses, reduction)


def _fraction(name: str, what: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(located(f"{name}: {what} is {value}, it must be from 0 to 1"))
    return value


def _reduced(name: str, losses: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return losses
    if reduction not in ("mean", "sum"):
        raise ValueError(
            located(f"{name}: reduction {reduction!r} is not one of 'mean', 'sum', 'none'")
        )
    found: Tensor = losses.mean() if reduction == "mean" else losses.sum()
    return found
