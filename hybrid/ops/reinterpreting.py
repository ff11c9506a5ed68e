"""Views of memory as elements of another dtype."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.dispatch import bind
from hybrid.core.layout import Layout
from hybrid.core.making import asarray
from hybrid.core.op import OPS, Example, Op, always, register
from hybrid.core.source import located
from hybrid.core.spec import Shape, TensorSpec
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor
from hybrid.core.unknown import known, same_shape
from hybrid.dtypes import DType
from hybrid.errors import DTypeError, ShapeError
from hybrid.ops._axes import lead_as_is
from hybrid.ops._methods import attach
from hybrid.ops.lying import strides
from hybrid.ops.parts import PART_OF


def _resized(shape: Shape, of: DType, dtype: DType) -> Shape:
    """Return the shape of elements of dtype `of` that are seen as ones of `dtype`."""
    if of.itemsize == dtype.itemsize:
        return shape
    return (*shape[:-1], shape[-1] * of.itemsize // dtype.itemsize)


def _infer(x: TensorSpec, *, dtype: DType, of: DType) -> TensorSpec:
    _check("viewed", x.dtype, of)
    return TensorSpec(_resized(x.shape, of, dtype), dtype, x.device)


def _infer_whole(whole: TensorSpec, part: TensorSpec, *, dtype: DType, of: DType) -> TensorSpec:
    _check("with_viewed", whole.dtype, of)
    if not part.weak:
        _check("with_viewed", part.dtype, dtype)
    if not same_shape(part.shape, _resized(whole.shape, of, dtype)):
        raise ShapeError(f"with_viewed: {part.shape} is not what {whole.shape} is seen as")
    return TensorSpec(whole.shape, whole.dtype, whole.device)


def _check(name: str, given: DType, wanted: DType) -> None:
    if given != wanted:
        raise DTypeError(f"{name}: told of {wanted.name}, given {given.name}")


def _shown(layout: Layout, *, dtype: DType, of: DType) -> Layout:
    """Return how the view lies, in steps of its own elements."""
    many, few = of.itemsize, dtype.itemsize
    if many == few:
        return layout
    strides = (*(s * many // few for s in layout.strides[:-1]), 1)
    return Layout(_resized(layout.shape, of, dtype), strides, layout.offset * many // few)


def _into(x: TensorSpec, *, dtype: DType, of: DType) -> Any:
    def copied(x: Any, *, out: Any) -> None:
        np.copyto(out, _packed(np, x, dtype).view(dtype))

    return copied


def _packed(xp: Any, x: Any, dtype: DType) -> Any:
    """Return an array that can be seen as one of `dtype`: values of a Plan may lie otherwise."""
    last = x.ndim and x.shape[-1] != 1 and x.strides[-1] != x.dtype.itemsize
    return xp.ascontiguousarray(x) if last and x.dtype.itemsize != dtype.itemsize else x


def _vjp(g: Tensor, out: Tensor, x: Tensor, *, dtype: DType, of: DType) -> Any:
    if PART_OF.get(of) == dtype:  # the gradient by a + bi is that by a, minus that by b times i
        return _conj(_bound(g, of))
    return _bound(_conj(g), of) if PART_OF.get(dtype) == of else None


def _conj(z: Tensor) -> Tensor:
    return bind(OPS["conj"], (z,), {})


def _bound(x: Tensor, dtype: DType) -> Tensor:
    return bind(VIEWED, (x,), {"dtype": dtype, "of": x.dtype})


def _put(xp: Any, whole: Any, part: Any, *, dtype: DType, of: DType) -> Any:
    out = xp.array(whole, order="C")
    out.view(dtype)[...] = part
    return out


def _vjp_part(g: Tensor, out: Tensor, whole: Tensor, part: Tensor, **attrs: Any) -> Any:
    seen = _bound(whole, attrs["dtype"])
    return _vjp(g, seen, out, dtype=attrs["of"], of=attrs["dtype"])


WITH_VIEWED = register(
    Op(
        name="with_viewed",
        family="reinterpreting",
        infer=_infer_whole,
        eager=_put,
        vjp=(None, _vjp_part),
        lead=lead_as_is,
        in_order=always,
        examples=(
            Example(
                ((2, 3), (2, 6)),
                {"dtype": dtypes.float64, "of": dtypes.complex128},
                dtypes=("complex128", "float64"),
            ),
            Example(
                ((2, 4), (2, 4)),
                {"dtype": dtypes.int64, "of": dtypes.float64},
                dtypes=("float64", "int64"),
            ),
        ),
        doc="What a write to ``x.view(dtype)`` makes of `x`.",
    )
)

VIEWED = register(
    Op(
        name="viewed",
        family="reinterpreting",
        infer=_infer,
        eager=lambda xp, x, *, dtype, of: _packed(xp, x, dtype).view(dtype),
        into=_into,
        vjp=(_vjp,),
        lead=lead_as_is,
        put=WITH_VIEWED,
        shown=_shown,
        examples=(
            Example(
                ((3,),), {"dtype": dtypes.float64, "of": dtypes.complex128}, dtypes=("complex128",)
            ),
            Example(
                ((4,),), {"dtype": dtypes.complex128, "of": dtypes.float64}, dtypes=("float64",)
            ),
            Example(((2, 3),), {"dtype": dtypes.int64, "of": dtypes.float64}, dtypes=("float64",)),
            Example(((),), {"dtype": dtypes.uint32, "of": dtypes.int32}, dtypes=("int32",)),
        ),
        doc="The same memory as elements of another dtype.",
    )
)


def view(x: Tensor, dtype: Any = None, /, *sizes: int, **options: Any) -> Tensor:
    """Return a view of the same memory, as elements of another dtype if one is given.

    The method of ndarray. Of elements of another size the last axis gets as many as there are bytes
    for. Gradients pass between complex numbers and their parts, and nothing else.

    Parameters
    ----------
    x : Tensor
    dtype : dtype or str, optional
        Left out: a view of `x` as it is. It may be given by name.

    Returns
    -------
    Tensor
        What is written to it is written to `x`.

    Raises
    ------
    DTypeError
        For what is no dtype of a Tensor, a shape among it: ``x.reshape`` gives another shape.
    ShapeError
        Where elements of another size do not fit the last axis, or it does not lie without gaps.

    Examples
    --------
    >>> import hybrid as hb
    >>> hb.asarray([1.0, -2.0], dtype="float32").view("uint32")
    Tensor([1065353216, 3221225472], dtype=uint32)
    >>> hb.asarray([1 + 2j, 3 + 4j]).view("float32")
    Tensor([1., 2., 3., 4.], dtype=float32)
    """
    wanted = options.pop("dtype", dtype) if not sizes else (dtype, *sizes)
    if options.pop("type", np.ndarray) is not np.ndarray or options:
        raise TypeError(located("view: takes a dtype, a Tensor stays a Tensor"))
    if wanted is None or wanted is np.ndarray:
        return x[...]
    wanted = _supported(wanted)
    if wanted == x.dtype:
        return x[...]
    if wanted.itemsize != x.dtype.itemsize:
        _check_last_axis(x, wanted)
    return bind(VIEWED, (asarray(x),), {"dtype": wanted, "of": x.dtype})


@cache
def _dtype_of(name: Any) -> DType:
    found: DType = np.dtype(name)
    return found


def _supported(dtype: Any) -> DType:
    try:
        found = None if isinstance(dtype, int | tuple | list) else _dtype_of(dtype)
    except TypeError:
        found = None
    if found is None:
        raise DTypeError(located(f"view: {dtype!r} is not a dtype; x.reshape gives another shape"))
    if found not in dtypes.SUPPORTED:
        raise DTypeError(located(f"view: dtype {found} is not supported; use x.numpy().view"))
    return found


def _check_last_axis(x: Tensor, dtype: DType) -> None:
    """Refuse what NumPy refuses to see as elements of another size."""
    change = f"view: {x.dtype.name} of shape {x.shape} as {dtype.name}"
    if not x.ndim:
        raise ShapeError(located(f"{change}: one element becomes another number of them"))
    if known(x.shape[-1]) * x.dtype.itemsize % dtype.itemsize:
        raise ShapeError(located(f"{change}: the last axis has not bytes for whole elements"))
    steps = strides(x)
    if known(x.size) and known(x.shape[-1]) != 1 and steps[-1] != x.dtype.itemsize:
        raise ShapeError(
            located(f"{change}: the last axis has gaps or runs backwards; x.copy() lies without")
        )
    if type(x._data) is Symbol and any(known(s) % dtype.itemsize for s in steps[:-1]):
        x._concrete("view(), of rows that begin amid the new elements,")


attach(view=view)
