"""NumPy functions whose arguments need a word before hybrid's functions can take them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.lost import warn_of_array
from hybrid.core.making import asarray
from hybrid.core.operands import spec_of
from hybrid.core.tensor import Tensor
from hybrid.core.variable import Variable
from hybrid.ops import (
    copying,
    diagonals,
    elementwise,
    indexing,
    joining,
    linalg,
    permuting,
    products,
    rearranging,
    reduction,
    reshaping,
    sorting,
    tensor_products,
    triangles,
)
from hybrid.ops._axes import as_dtype, one_axis
from hybrid.ops.broadcasting import broadcast_to
from hybrid.ops.composed import joining as joined
from hybrid.ops.composed import ranges
from hybrid.ops.elementwise.casting import astype, check_cast
from hybrid.ops.elementwise.operands import is_weak, strong
from hybrid.ops.elementwise.selection import where as _choose
from hybrid.ops.inplace import write
from hybrid.ops.linalg import contraction
from hybrid.ops.protocols.by_numpy import by_numpy, put_into, spread
from hybrid.ops.protocols.functions import implements, translated
from hybrid.ops.protocols.writers import within
from hybrid.ops.ranges import linspace

Function = Callable[..., Any]


@implements(np.concatenate)
def _concatenate(
    arrays: Any,
    /,
    axis: int | None = 0,
    out: Any = None,
    *,
    dtype: Any = None,
    casting: str = "same_kind",
) -> Any:
    return put_into(_as_cast("concatenate", joining.concat(arrays, axis=axis), dtype, casting), out)


def _as_cast(name: str, x: Tensor, dtype: Any, casting: str) -> Tensor:
    """Return `x` in a dtype, if the rule allows it."""
    if dtype is None:
        return x
    wanted = as_dtype(name, dtype)
    check_cast(name, x.dtype, wanted, casting)
    return x.astype(wanted, copy=False)


@implements(np.diff)
def _diff(
    a: Any, n: int = 1, axis: int = -1, prepend: Any = np._NoValue, append: Any = np._NoValue
) -> Any:
    ends = {"prepend": prepend, "append": append}
    given = {
        name: asarray(end, spec_of(end).dtype) if is_weak(end) else end  # for NumPy as an array
        for name, end in ends.items()
        if end is not np._NoValue
    }
    return rearranging.diff(a, n, axis, **given)


@implements(np.append)
def _append(arr: Any, values: Any, axis: int | None = None) -> Tensor:
    # A number is an array of its own dtype to NumPy here, not as wide as the other.
    return joined.append(arr, strong(values)[0], axis=axis)


@implements(np.clip)
def _clip(x: Any, a_min: Any = None, a_max: Any = None, out: Any = None, **options: Any) -> Any:
    low = options.pop("min", None)
    high = options.pop("max", None)
    if options:
        return by_numpy(np.clip, (x, a_min, a_max, out), options)
    low = low if a_min is None or a_min is np._NoValue else a_min
    high = high if a_max is None or a_max is np._NoValue else a_max
    return spread(elementwise.clip(x, low, high), out)


@implements(np.linspace)
def _linspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, *more: Any, **options: Any
) -> Any:
    dtype = options.pop("dtype", None)
    if more or options:
        options["dtype"] = dtype
        return by_numpy(np.linspace, (start, stop, num, endpoint, *more), options)
    # Between Python's numbers, which traced ones stand for, NumPy draws a line in 64 bits.
    wanted = ranges.dtype_between(start, stop, dtypes.float64) if dtype is None else dtype
    return linspace(start, stop, num, endpoint=endpoint, dtype=wanted)


@implements(np.logspace)
def _logspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    if axis or np.ndim(base):
        return by_numpy(np.logspace, (start, stop, num, endpoint, base, dtype, axis), {})
    made = elementwise.power(base, _linspace(start, stop, num, endpoint))
    return made if dtype is None else made.astype(dtype, copy=False)


def _at_least_double(func: Function, *args: Any, dtype: Any = None, **options: Any) -> Any:
    """Call hybrid's function, which keeps float32, as NumPy's does, which widens it."""
    if dtype is None:
        given = [asarray(x) for x in (*args[:2], options.get("y")) if x is not None]
        is_complex = any(x.dtype.kind == "c" for x in given)
        dtype = dtypes.complex128 if is_complex else dtypes.float64
    return translated(func, args, {**options, "dtype": dtype})


for _widening in (np.cov, np.corrcoef):
    implements(_widening)(partial(_at_least_double, _widening))


@implements(np.dot)
def _dot(a: Any, b: Any, out: Any = None) -> Any:
    return put_into(tensor_products.dot(a, b), out)


@implements(np.einsum)
def _einsum(*operands: Any, out: Any = None, optimize: Any = True, **options: Any) -> Any:
    if options:
        return by_numpy(np.einsum, operands, {"out": out, "optimize": optimize, **options})
    return put_into(contraction.einsum(*operands, optimize=optimize), out)


@implements(np.linalg.svd)
def _svd(
    a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    if hermitian:
        return by_numpy(np.linalg.svd, (a, full_matrices, compute_uv, hermitian), {})
    return linalg.svd(a, full_matrices=full_matrices) if compute_uv else linalg.svdvals(a)


@implements(np.linalg.eigh)
def _eigh(a: Any, UPLO: str = "L") -> Any:
    return linalg.eigh(_from_triangle(a, UPLO))


@implements(np.linalg.eigvalsh)
def _eigvalsh(a: Any, UPLO: str = "L") -> Any:
    return linalg.eigvalsh(_from_triangle(a, UPLO))


def _from_triangle(a: Any, uplo: str) -> Any:
    """Return the matrix whose lower triangle holds what the one that is named holds in `a`."""
    if uplo.upper() not in ("L", "U"):
        raise ValueError(f"UPLO is 'L' or 'U', not {uplo!r}")
    return a if uplo.upper() == "L" else products.conjugated(permuting.matrix_transpose(a))


@implements(np.linalg.qr)
def _qr(a: Any, mode: str = "reduced") -> Any:
    if mode == "r":
        return linalg.qr(a).R
    if mode not in ("reduced", "complete"):
        return by_numpy(np.linalg.qr, (a, mode), {})
    return linalg.qr(a, mode=mode)  # type: ignore[arg-type]


@implements(np.linalg.pinv)
def _pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue) -> Any:
    if hermitian:
        return by_numpy(np.linalg.pinv, (a, rcond, hermitian), {"rtol": rtol})
    if rcond is None and rtol is np._NoValue:
        rcond = 1e-15  # NumPy's, which differs from the standard's
    return linalg.pinv(a, rtol=rcond if rcond is not None else rtol)


@implements(np.transpose)
def _transpose(x: Any, axes: Any = None) -> Tensor:
    return permuting.permute_dims(x, axes)


@implements(np.reshape)
def _reshape(x: Any, /, shape: Any, order: str = "C", *, copy: bool | None = None) -> Any:
    if order not in ("C", "F"):  # as the elements lie in memory, which Tensors do not know
        return by_numpy(np.reshape, (x, shape), {"order": order, "copy": copy})
    return reshaping.reshape(x, shape, order, copy=copy)


@implements(np.ravel)
def _ravel(x: Any, order: str = "C") -> Any:
    return reshaping.ravel(x, order) if order in ("C", "F") else by_numpy(np.ravel, (x, order), {})


@implements(np.copyto)
def _copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    target = asarray(dst)
    if not is_weak(src):
        src = _as_cast("copyto", asarray(src), target.dtype, casting)
    if where is not True:
        value = asarray(src, target.dtype)
        while value.ndim > target.ndim and value.shape[0] == 1:
            value = value[0]
        value = broadcast_to(value, target.shape)
        src = elementwise.where(where, value, target)
    warn_of_array(src, dst)
    write(target, src)


@implements(np.take)
def _take(
    a: Any, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise"
) -> Any:
    x = asarray(a)
    size = x.size if axis is None else x.shape[one_axis("take", axis, x.shape)]
    return put_into(indexing.take(x, within(indices, size, mode), axis), out)


def _sorted(
    ours: Function,
    a: Any,
    axis: Any = -1,
    kind: Any = None,
    order: Any = None,
    *,
    stable: bool | None = None,
) -> Tensor:
    found: Tensor = ours(a, axis, stable=sorting.stability(kind, order, stable))
    return found


implements(np.sort)(partial(_sorted, sorting.sort))
implements(np.argsort)(partial(_sorted, sorting.argsort))


@implements(np.shape)
def _shape(x: Any) -> Any:
    return asarray(x).shape


@implements(np.ndim)
def _ndim(x: Any) -> int:
    return asarray(x).ndim


@implements(np.size)
def _size(x: Any, axis: Any = None) -> int:
    x = asarray(x)
    return x.size if axis is None else int(np.prod([x.shape[i] for i in np.atleast_1d(axis)]))


@implements(np.result_type)
def _result_type(*given: Any) -> dtypes.DType:
    return np.result_type(*(x.dtype if isinstance(x, Tensor | Variable) else x for x in given))


@implements(np.iscomplexobj)
def _iscomplexobj(x: Any) -> bool:
    return bool(asarray(x).dtype.kind == "c")


@implements(np.isrealobj)
def _isrealobj(x: Any) -> bool:
    return not _iscomplexobj(x)


@implements(np.copy)
def _copy(x: Any, order: str = "K", subok: bool = False) -> Tensor:
    x = asarray(x)
    if order == "F":
        return permuting.permute_dims(copying.copy(permuting.permute_dims(x)))
    return copying.copy(x) if order == "C" else astype(x, x.dtype)


def _triangle(function: Function) -> Function:
    """Return `function` for NumPy, which takes an array of one axis for equal rows."""

    def triangle(m: Any, k: int = 0) -> Any:
        x = asarray(m)
        return function(broadcast_to(x, (*x.shape, *x.shape)) if x.ndim == 1 else x, k=k)

    return triangle


implements(np.tril)(_triangle(triangles.tril))
implements(np.triu)(_triangle(triangles.triu))


@implements(np.trace)
def _trace(
    a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None
) -> Any:
    found = diagonals.diagonal(a, offset, axis1, axis2)
    return put_into(reduction.sum(found, axis=-1, dtype=dtype), out)


@implements(np.common_type)
def _common_type(*arrays: Any) -> Any:
    empty = (np.empty(0, x.dtype) if isinstance(x, Tensor | Variable) else x for x in arrays)
    return np.common_type(*empty)


@implements(np.min_scalar_type)
def _min_scalar_type(x: Any) -> Any:
    return x.dtype if x.ndim else by_numpy(np.min_scalar_type, (x,), {})


# --- reductions -----------------------------------------------------------------------------------


def _reducer(func: Function, ufunc: np.ufunc) -> None:
    """Let ``initial=`` and ``where=`` be what they are in ``ufunc.reduce``."""

    @implements(func)
    def adapter(*args: Any, **kwargs: Any) -> Any:
        given = {"where", "initial"} & {k for k, v in kwargs.items() if v is not np._NoValue}
        if not given:
            return translated(func, args, kwargs)
        bound = inspect.signature(func).bind(*args, **kwargs)
        x, *_ = bound.args
        options = {k: v for k, v in bound.arguments.items() if k != next(iter(bound.arguments))}
        options = {k: v for k, v in options.items() if v is not np._NoValue}
        return ufunc.reduce(asarray(x), **({"axis": None} | options))


for _func, _ufunc in (
    *((np.sum, np.add), (np.prod, np.multiply), (np.any, np.logical_or), (np.all, np.logical_and)),
    *((np.max, np.maximum), (np.amax, np.maximum), (np.min, np.minimum), (np.amin, np.minimum)),
):
    _reducer(_func, _ufunc)


# --- the average of elements that a mask chooses --------------------------------------------------


def _averager(func: Function, of_chosen: Function) -> None:
    """Compute ``where=`` here; all else is hybrid's function of the same name."""

    @implements(func)
    def adapter(*args: Any, **kwargs: Any) -> Any:
        if any(kwargs.get("where", True) is everywhere for everywhere in (np._NoValue, True)):
            return translated(func, args, {k: v for k, v in kwargs.items() if k != "where"})
        bound = inspect.signature(func).bind(*args, **kwargs)
        given = {k: v for k, v in bound.arguments.items() if v is not np._NoValue}
        if given.keys() - {"a", "axis", "out", "ddof", "keepdims", "where"}:
            return by_numpy(func, args, kwargs)
        x, out = asarray(given.pop("a")), given.pop("out", None)
        found = of_chosen(x, **given)
        inexact = dtypes.is_inexact(x.dtype) and not (func is not np.mean and x.dtype.kind == "c")
        return put_into(found.astype(x.dtype, copy=False) if inexact else found, out)


def _mean_of_chosen(x: Tensor, where: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    chosen = broadcast_to(asarray(where), x.shape)
    total = reduction.sum(_choose(chosen, _widened(x), 0), axis=axis, keepdims=keepdims)
    return total / reduction.sum(chosen, axis=axis, keepdims=keepdims)


def _variance_of_chosen(
    x: Tensor, where: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False
) -> Tensor:
    chosen = broadcast_to(asarray(where), x.shape)
    away = elementwise.abs(_widened(x) - _mean_of_chosen(x, chosen, axis, keepdims=True))
    squares = reduction.sum(_choose(chosen, away * away, 0), axis=axis, keepdims=keepdims)
    count = reduction.sum(chosen, axis=axis, keepdims=keepdims)
    return squares / elementwise.maximum(count - ddof, 0)


def _widened(x: Tensor) -> Tensor:
    wide = dtypes.float32 if dtypes.is_half(x.dtype) else dtypes.float64
    return x if dtypes.is_inexact(x.dtype) and not dtypes.is_half(x.dtype) else x.astype(wide)


_averager(np.mean, _mean_of_chosen)
_averager(np.var, _variance_of_chosen)
_averager(np.std, lambda x, **given: elementwise.sqrt(_variance_of_chosen(x, **given)))
