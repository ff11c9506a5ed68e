"""Bits of bytes: eight booleans to an element, and back."""

from __future__ import annotations

from typing import Any

from hybrid import dtypes
from hybrid.core.dispatch import bind
from hybrid.core.making import asarray
from hybrid.core.op import Attrs, Example, Op, register
from hybrid.core.source import located
from hybrid.core.spec import Shape, TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import DTypeError
from hybrid.ops._axes import one_axis
from hybrid.ops.reshaping import ravel


def _lead(attrs: Attrs, size: int, *shapes: Shape) -> Attrs:
    return {**attrs, "axis": attrs["axis"] + 1}


def _sized(x: TensorSpec, axis: int, n: int) -> TensorSpec:
    return TensorSpec((*x.shape[:axis], n, *x.shape[axis + 1 :]), dtypes.uint8, x.device)


def _infer_packbits(x: TensorSpec, *, axis: int, bitorder: str) -> TensorSpec:
    if x.dtype.kind not in "biu":
        raise DTypeError(f"packbits: takes booleans or integers, not {x.dtype.name}")
    return _sized(x, axis, (x.shape[axis] + 7) // 8)


PACKBITS = register(
    Op(
        name="packbits",
        family="bits",
        infer=_infer_packbits,
        eager=lambda xp, x, *, axis, bitorder: xp.packbits(x, axis=axis, bitorder=bitorder),
        lead=_lead,
        examples=(
            Example(((2, 11),), {"axis": 1, "bitorder": "big"}, ("bool",)),
            Example(((9, 2),), {"axis": 0, "bitorder": "little"}, ("int64",)),
        ),
        doc="Eight booleans to a byte.",
    )
)


def packbits(a: ArrayLike, /, axis: int | None = None, bitorder: str = "big") -> Tensor:
    """Pack booleans, eight to a byte; ``numpy.packbits``.

    Parameters
    ----------
    a : array-like of bool or int
        What is not 0 is a bit that is set.
    axis : int, optional
        Left out: `a` is raveled.
    bitorder : {"big", "little"}
        Whether the first is the highest bit or the lowest.

    Returns
    -------
    Tensor of uint8
        Missing bits at the end are 0.

    Raises
    ------
    DTypeError
        For elements that are neither booleans nor integers.

    Examples
    --------
    >>> packbits([True, False, True])
    Tensor([160], dtype=uint8)
    """
    return _bound(PACKBITS, a, axis, bitorder, {})


def _infer_unpackbits(x: TensorSpec, *, axis: int, count: int | None, bitorder: str) -> TensorSpec:
    if x.dtype != dtypes.uint8:
        raise DTypeError(f"unpackbits: takes uint8, not {x.dtype.name}")
    n = 8 * x.shape[axis]
    return _sized(x, axis, n if count is None else count if count >= 0 else n + count)


UNPACKBITS = register(
    Op(
        name="unpackbits",
        family="bits",
        infer=_infer_unpackbits,
        eager=lambda xp, x, **attrs: xp.unpackbits(x, **attrs),
        lead=_lead,
        examples=(
            Example(((2, 3),), {"axis": 1, "count": None, "bitorder": "big"}, ("uint8",)),
            Example(((3,),), {"axis": 0, "count": -5, "bitorder": "little"}, ("uint8",)),
            Example(((1, 2),), {"axis": 0, "count": 11, "bitorder": "big"}, ("uint8",)),
        ),
        doc="The bits of bytes.",
    )
)


def unpackbits(
    a: ArrayLike, /, axis: int | None = None, count: int | None = None, bitorder: str = "big"
) -> Tensor:
    """Return the bits of bytes, each an element that is 0 or 1; ``numpy.unpackbits``.

    Parameters
    ----------
    a : array-like of uint8
    axis : int, optional
        Left out: `a` is raveled.
    count : int, optional
        How many bits of the axis: zeros follow where there are fewer. A negative one says how
        many at the end are left out.
    bitorder : {"big", "little"}
        As of :func:`packbits`.

    Returns
    -------
    Tensor of uint8

    Raises
    ------
    DTypeError
        For elements that are not uint8.

    Examples
    --------
    >>> import hybrid as hb
    >>> unpackbits(hb.asarray([5], dtype="uint8"), count=-2)
    Tensor([0, 0, 0, 0, 0, 1], dtype=uint8)
    """
    x = asarray(a)
    if count is not None and x.ndim:
        n = 8 * (x.size if axis is None else x.shape[one_axis("unpackbits", axis, x.shape)])
        if n + count < 0:
            raise ValueError(located(f"unpackbits: count is {count}, of {n} bits"))
    return _bound(UNPACKBITS, x, axis, bitorder, {"count": count})


def _bound(op: Op, a: ArrayLike, axis: int | None, bitorder: str, attrs: dict[str, Any]) -> Tensor:
    if bitorder not in ("big", "little"):
        raise ValueError(located(f"{op.name}: bitorder is 'big' or 'little', not {bitorder!r}"))
    x = asarray(a)
    if axis is None or not x.ndim:
        x, axis = ravel(x), 0
    attrs = {"axis": one_axis(op.name, axis, x.shape), "bitorder": bitorder, **attrs}
    return bind(op, (x,), attrs)
