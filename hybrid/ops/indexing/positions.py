"""Indices into an array and positions in its raveled form, one turned into the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hybrid import dtypes
from hybrid.core.dispatch import bind, bind_all
from hybrid.core.op import Example, Op, register
from hybrid.core.source import located
from hybrid.core.spec import Shape, TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import DTypeError, ShapeError
from hybrid.ops._axes import as_shape, lead_as_is
from hybrid.ops.elementwise.declare import broadcast
from hybrid.ops.indexing.gather import index_array

Modes = tuple[str, ...]


def _check_order(name: str, order: str) -> None:
    if order not in ("C", "F"):
        raise ValueError(located(f"{name}: order {order!r} is neither 'C' nor 'F'"))


def _check_integers(name: str, given: tuple[TensorSpec, ...]) -> None:
    for spec in given:
        if spec.dtype.kind not in "iu":
            raise DTypeError(f"{name}: takes integers, not {spec.dtype.name}")


# --- unravel_index --------------------------------------------------------------------------------


def _infer_unravel(x: TensorSpec, *, shape: Shape, order: str) -> tuple[TensorSpec, ...]:
    _check_integers("unravel_index", (x,))
    return (TensorSpec(x.shape, dtypes.int64, x.device),) * len(shape)


def _eager_unravel(xp: Any, x: Any, *, shape: Shape, order: str) -> tuple[Any, ...]:
    _infer_unravel(TensorSpec(x.shape, x.dtype), shape=shape, order=order)
    found = xp.unravel_index(x.astype(dtypes.int64), shape, order)
    return tuple(xp.array(i, dtype=dtypes.int64) for i in found)


UNRAVEL_INDEX = register(
    Op(
        name="unravel_index",
        family="indexing",
        lead=lead_as_is,
        infer=_infer_unravel,
        eager=_eager_unravel,
        raises=True,
        multi=True,
        examples=(
            Example(((2, 3),), {"shape": (2, 3), "order": "C"}, ("uint8",)),
            Example(((),), {"shape": (4,), "order": "F"}, ("uint8",)),
        ),
        doc="The indices of positions in a raveled array.",
    )
)


def unravel_index(
    indices: ArrayLike, shape: int | Iterable[int], /, order: str = "C"
) -> tuple[Tensor, ...]:
    """Return the indices, one Tensor per axis, of positions in a raveled array.

    Parameters
    ----------
    indices : array-like of int
    shape : int or tuple of int
        Of the array.
    order : str
        ``"C"``: the last index runs fastest; ``"F"``: the first.

    Returns
    -------
    tuple of Tensor

    Raises
    ------
    ValueError
        For a position outside of the array.

    Examples
    --------
    >>> unravel_index([5, 1], (2, 3))
    (Tensor([1, 0], dtype=int64), Tensor([2, 1], dtype=int64))
    """
    _check_order("unravel_index", order)
    sizes = as_shape("unravel_index", shape)
    if not sizes:
        raise ShapeError(located("unravel_index: an array without axes has no indices"))
    return bind_all(
        UNRAVEL_INDEX,
        (index_array(indices),),
        {"shape": sizes, "order": order},
    )


# --- ravel_multi_index ----------------------------------------------------------------------------


def _infer_ravel(*index: TensorSpec, shape: Shape, mode: Modes, order: str) -> TensorSpec:
    _check_integers("ravel_multi_index", index)
    return TensorSpec(broadcast("ravel_multi_index", index), dtypes.int64, index[0].device)


def _eager_ravel(xp: Any, *index: Any, shape: Shape, mode: Modes, order: str) -> Any:
    _check_integers("ravel_multi_index", tuple(TensorSpec(i.shape, i.dtype) for i in index))
    for axis, (i, n, how) in enumerate(zip(index, shape, mode, strict=True)):
        wrong = i[(i < 0) | (i >= n)]
        if how == "raise" and wrong.size:
            raise ValueError(
                f"ravel_multi_index: index {wrong.flat[0]} is out of bounds for axis {axis} of "
                f"shape {shape}, which has size {n}"
            )
    wide = tuple(i.astype(dtypes.int64) for i in index)
    return xp.array(xp.ravel_multi_index(wide, shape, mode, order), dtype=dtypes.int64)


RAVEL_MULTI_INDEX = register(
    Op(
        name="ravel_multi_index",
        family="indexing",
        infer=_infer_ravel,
        eager=_eager_ravel,
        raises=True,
        examples=(
            Example(
                ((2, 1), (3,)),
                {"shape": (4, 5), "mode": ("wrap", "clip"), "order": "C"},
                ("int64",) * 2,
            ),
            Example(((),), {"shape": (4,), "mode": ("clip",), "order": "F"}, ("int64",)),
        ),
        doc="The positions in the raveled array of indices.",
    )
)


def ravel_multi_index(
    multi_index: Sequence[ArrayLike],
    dims: int | Iterable[int],
    /,
    mode: str | tuple[str, ...] = "raise",
    order: str = "C",
) -> Tensor:
    """Return the positions in the raveled array of indices.

    Parameters
    ----------
    multi_index : sequence of array-like of int
        One per axis; they broadcast.
    dims : int or tuple of int
        The shape of the array.
    mode : str or tuple of str
        What becomes of an index outside of its axis, for all or for each: ``"raise"``, ``"wrap"``
        or ``"clip"``. Negative ones are outside.
    order : str
        ``"C"``: the last index runs fastest; ``"F"``: the first.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        For an index outside of its axis.

    Examples
    --------
    >>> ravel_multi_index(([1, 0], [2, 1]), (2, 3))
    Tensor([5, 1], dtype=int64)
    """
    _check_order("ravel_multi_index", order)
    shape = as_shape("ravel_multi_index", dims)
    index = tuple(map(index_array, multi_index))
    modes = (mode,) * len(shape) if isinstance(mode, str) else tuple(mode)
    if len(index) != len(shape) or not shape or len(modes) != len(shape):
        raise ShapeError(
            located(
                f"ravel_multi_index: {len(index)} index arrays and {len(modes)} modes do not fit "
                f"shape {shape}"
            )
        )
    for one in modes:
        if one not in ("raise", "wrap", "clip"):
            raise ValueError(located(f"ravel_multi_index: there is no mode {one!r}"))
    attrs = {"shape": shape, "mode": modes, "order": order}
    return bind(RAVEL_MULTI_INDEX, index, attrs)
