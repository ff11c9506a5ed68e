"""Tensors out of nothing: constants, ranges, grids; of the default dtype unless one is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeGuard

import numpy as np

from hybrid import dtypes
from hybrid.core import making
from hybrid.core.aliases import as_array
from hybrid.core.batch import Lanes
from hybrid.core.devices import CPU, DeviceScope, as_device
from hybrid.core.dispatch import bind, busy, state
from hybrid.core.making import asarray, holds, own
from hybrid.core.op import Attrs, Example, Op, register
from hybrid.core.operands import spec_of
from hybrid.core.source import located
from hybrid.core.spec import Shape, TensorSpec, fits
from hybrid.core.tensor import ArrayLike, Tensor, wrap
from hybrid.core.unknown import is_unknown
from hybrid.dtypes import DType
from hybrid.errors import ShapeError
from hybrid.kernels.shortway import Way
from hybrid.ops import _shortways
from hybrid.ops._axes import as_dtype, as_shape
from hybrid.ops.broadcasting import sum_to
from hybrid.ops.copying import laid
from hybrid.ops.unit_axes import expand_dims


def array(
    obj: Any, /, dtype: Any = None, *, device: Any = None, copy: bool | None = None
) -> Tensor:
    """Turn `obj` into a Tensor; arguments as of :func:`asarray`, but for ``requires_grad``.

    Examples
    --------
    >>> array([1.0, 2.0])
    Tensor([1., 2.], dtype=float32)
    """
    made = own(asarray(obj, dtype, device=device, copy=copy))
    return made if made.ndim or type(obj) is Tensor else as_array(made)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """Return a Tensor that shares its memory with another library's array.

    Parameters
    ----------
    x : array
        Anything with ``__dlpack__``: NumPy's, PyTorch's, JAX's arrays; bfloat16 included.
    device : str, optional
        Where the Tensor is to be; left out, where the scope of :func:`hybrid.device` says.
    copy : bool, optional
        True copies; False and None share the memory, and raise where that cannot be.

    Returns
    -------
    Tensor

    Raises
    ------
    BufferError, ValueError
        Where the memory cannot be shared.

    Examples
    --------
    >>> import numpy as np
    >>> a = np.zeros(2)
    >>> t = from_dlpack(a)
    >>> t += 1
    >>> a
    array([1., 1.])
    """
    where = None if device is None else as_device("from_dlpack", device)
    return asarray(x, device=where, copy=copy)


def placed(name: str, device: Any, make: Callable[..., Tensor], *args: Any, **kw: Any) -> Tensor:
    """Return what a function makes, on a device."""
    with DeviceScope(as_device(name, device)) as where:
        return make(*args, **kw).to_device(where)


# --- constants ------------------------------------------------------------------------------------


def _infer_full(value: TensorSpec, *, shape: Shape, dtype: DType) -> TensorSpec:
    if not fits(value.shape, shape):
        raise ShapeError(f"full: a value of shape {value.shape} does not broadcast to {shape}")
    return TensorSpec(shape, dtype, value.device)


def _batch_full(op: Op, size: int, lanes: Lanes, attrs: Attrs) -> Tensor | None:
    (lane,) = lanes
    if not lane.batched:
        return None
    new = 1 + len(attrs["shape"]) - lane.tensor.ndim
    aligned = expand_dims(lane.tensor, tuple(range(1, 1 + new)))
    return bind(op, (aligned,), {**attrs, "shape": (size, *attrs["shape"])})


def _into_full(value: TensorSpec, *, shape: Shape, dtype: DType) -> Callable[..., None] | None:
    if value.dtype != dtype:
        return None  # a number that does not fit raises
    return lambda value, *, out: np.copyto(out, value)


FULL = register(
    Op(
        name="full",
        family="creation",
        batch=_batch_full,
        infer=_infer_full,
        eager=lambda xp, value, *, shape, dtype: xp.full(shape, value, dtype),
        into=_into_full,
        vjp=(
            lambda g, out, value, *, shape, dtype: sum_to(g, value.shape).astype(
                value.dtype, copy=False
            ),
        ),
        examples=(
            Example(((),), {"shape": (2, 3), "dtype": dtypes.float32}),
            Example(((3,),), {"shape": (2, 3), "dtype": dtypes.float64}),
            Example(((),), {"shape": (), "dtype": dtypes.int32}, ("int64",)),
        ),
        doc="An array filled with one value.",
    )
)


def full(
    shape: int | Iterable[int], fill_value: ArrayLike, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """Return a Tensor filled with one value.

    Parameters
    ----------
    shape : int or tuple of int
    fill_value : scalar or array-like that broadcasts to `shape`
    dtype : dtype, optional
        Left out: the value's own; for a Python scalar the default dtype, int64 or bool.
    device : str, optional
        Where the Tensor is to be; left out, where the scope of :func:`hybrid.device` says.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> full((2,), 0.5)
    Tensor([0.5, 0.5], dtype=float32)
    """
    if device is not None and device != state.device:
        return placed("full", device, full, shape, fill_value, dtype=dtype)
    if dtype is None and type(fill_value) is float and (not busy or state.plain):
        if _short is not None:
            done = _short(shape, state.defaults.floats, fill_value)
            if done is not None:
                return done
        made = _filled_with(fill_value, shape)
        if made is not None:
            return made
    if isinstance(fill_value, list | tuple):
        fill_value = asarray(fill_value)
    wanted = as_dtype("full", dtype) if dtype is not None else _own_dtype(fill_value)
    value: Any = fill_value
    if is_unknown(value) and not holds(wanted, value):
        value = value.concrete()
    if type(value) is int and wanted.kind in "iu":
        try:
            wanted.type(value)
        except OverflowError as error:
            raise OverflowError(located(f"full: {error}")) from None
    size = as_shape("full", shape)
    made = bind(FULL, (value,), {"shape": size, "dtype": wanted})
    return made if size else as_array(made)


def _filled_with(value: float, shape: Any) -> Tensor | None:
    """Make a Tensor of the default dtype at once; None for what needs more thought."""
    wanted = state.defaults.floats
    if not -1e4 < value < 1e4 or wanted.kind != "f":  # which NumPy might warn of
        return None
    try:
        data = np.empty(shape, wanted)
    except (TypeError, ValueError):
        return None
    data.fill(value)
    return wrap(data) if data.ndim else as_array(wrap(data))


def _own_dtype(value: Any) -> DType:
    spec = spec_of(value)
    return state.defaults.dtypes[spec.dtype.kind] if spec.weak else spec.dtype


def float_or(name: str, dtype: Any) -> DType:
    """Return the dtype that is asked for, or the one that floats have."""
    return state.defaults.floats if dtype is None else as_dtype(name, dtype)


_short: Callable[[Any, DType, Any], Tensor | None] | None = None
_shortways.in_module(Way("full", "function of a shape"), globals(), "_short")
_shortways.in_module(Way("asarray", "function of numbers"), vars(making), "short_way_of_lists")


def _filled(name: str, shape: Any, value: int, dtype: Any, device: Any) -> Tensor:
    wanted = state.defaults.floats if dtype is None else as_dtype(name, dtype)
    if _short is not None and device is None:
        if (done := _short(shape, wanted, value)) is not None:
            return done
    if (not busy or state.plain) and (device is None or device == CPU):
        try:  # at once, where nothing records it
            if value:
                data = np.empty(shape, wanted)
                data.fill(value)
            else:
                data = np.zeros(shape, wanted)
            return wrap(data) if data.ndim else as_array(wrap(data))
        except (TypeError, ValueError):
            pass  # explained below
    device = None if device is None else as_device(name, device)
    return full(as_shape(name, shape), value, dtype=wanted, device=device)


def zeros(shape: int | Iterable[int], dtype: Any = None, *, device: Any = None) -> Tensor:
    """Return a Tensor of zeros, of the default dtype unless another is given.

    Parameters
    ----------
    shape : int or tuple of int
    dtype : dtype, optional
    device : str, optional
        Where it is; the one of ``with hb.device(...)`` if it is left out.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> zeros((2, 2), dtype="int64")
    Tensor([[0, 0],
            [0, 0]], dtype=int64)
    """
    if _short is not None and dtype is None and device is None:
        if (done := _short(shape, state.defaults.floats, 0)) is not None:
            return done
    return _filled("zeros", shape, 0, dtype, device)


def ones(shape: int | Iterable[int], dtype: Any = None, *, device: Any = None) -> Tensor:
    """Return a Tensor of ones, of the default dtype unless another is given.

    Parameters
    ----------
    shape : int or tuple of int
    dtype : dtype, optional
    device : str, optional
        Where it is; the one of ``with hb.device(...)`` if it is left out.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> ones((2, 2))
    Tensor([[1., 1.],
            [1., 1.]], dtype=float32)
    """
    if _short is not None and dtype is None and device is None:
        if (done := _short(shape, state.defaults.floats, 1)) is not None:
            return done
    return _filled("ones", shape, 1, dtype, device)


def empty(shape: int | Iterable[int], dtype: Any = None, *, device: Any = None) -> Tensor:
    """Return zeros, on which nobody should rely; arguments as of :func:`zeros`.

    Examples
    --------
    >>> empty((2, 3)).shape
    (2, 3)
    """
    return _filled("empty", shape, 0, dtype, device)


def full_like(
    x: ArrayLike,
    /,
    fill_value: ArrayLike,
    *,
    dtype: Any = None,
    device: Any = None,
    shape: Any = None,
) -> Tensor:
    """Return a Tensor of the shape and dtype of `x`, filled with one value.

    Parameters
    ----------
    x : array-like
    fill_value : array-like
        One number, or of a shape that broadcasts.
    dtype : dtype, optional
        That of `x` if it is left out.
    device : str, optional
        Where it is; the one of ``with hb.device(...)`` if it is left out.
    shape : int or tuple of int, optional
        That of `x` if it is left out.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> full_like([1, 2], 7)
    Tensor([7, 7], dtype=int64)
    """
    spec = spec_of(x) if not isinstance(x, int | float | complex) else asarray(x).spec
    size = spec.shape if shape is None else shape
    device = spec.device if device is None and spec.device != state.device else device
    made = full(size, fill_value, dtype=spec.dtype if dtype is None else dtype, device=device)
    return laid(made, x) if type(x) is Tensor else made


def _like_alone(x: Any, *wanted: Any) -> TypeGuard[Tensor]:
    """Tell whether what is to be like `x` depends on nothing else, where nothing records it."""
    plain = not busy and type(x) is Tensor and type(x._data) is np.ndarray and x.ndim > 0
    return plain and wanted == (None, None, None) and x._data.flags.c_contiguous


def zeros_like(
    x: ArrayLike, /, dtype: Any = None, *, device: Any = None, shape: Any = None
) -> Tensor:
    """Return zeros of the shape and dtype of `x`.

    Parameters
    ----------
    x : array-like
    dtype : dtype, optional
        That of `x` if it is left out.
    device : str, optional
        Where it is; the one of ``with hb.device(...)`` if it is left out.
    shape : int or tuple of int, optional
        That of `x` if it is left out.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> zeros_like([1, 2])
    Tensor([0, 0], dtype=int64)
    """
    if _like_alone(x, dtype, device, shape):
        data = x._data
        made = None if _short is None else _short(data.shape, data.dtype, 0)
        return wrap(np.zeros(data.shape, data.dtype)) if made is None else made
    return full_like(x, 0, dtype=dtype, device=device, shape=shape)


def ones_like(
    x: ArrayLike, /, dtype: Any = None, *, device: Any = None, shape: Any = None
) -> Tensor:
    """Return ones of the shape and dtype of `x`.

    Parameters
    ----------
    x : array-like
    dtype : dtype, optional
        That of `x` if it is left out.
    device : str, optional
        Where it is; the one of ``with hb.device(...)`` if it is left out.
    shape : int or tuple of int, optional
        That of `x` if it is left out.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> ones_like([1, 2])
    Tensor([1, 1], dtype=int64)
    """
    if _like_alone(x, dtype, device, shape):
        data = x._data
        made = None if _short is None else _short(data.shape, data.dtype, 1)
        return wrap(np.ones(data.shape, data.dtype)) if made is None else made
    return full_like(x, 1, dtype=dtype, device=device, shape=shape)


def empty_like(
    x: ArrayLike, /, dtype: Any = None, *, device: Any = None, shape: Any = None
) -> Tensor:
    """Return zeros of the shape and dtype of `x`.

    Parameters
    ----------
    x : array-like
    dtype : dtype, optional
        That of `x` if it is left out.
    device : str, optional
        Where it is; the one of ``with hb.device(...)`` if it is left out.
    shape : int or tuple of int, optional
        That of `x` if it is left out.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> empty_like([1.0, 2.0]).shape
    (2,)
    """
    return full_like(x, 0, dtype=dtype, device=device, shape=shape)
