"""What NumPy computes itself: on the concrete values, with gradients guarded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.devices import CPU
from hybrid.core.dispatch import state
from hybrid.core.making import asarray
from hybrid.core.source import located
from hybrid.core.spec import fits
from hybrid.core.tensor import Tensor
from hybrid.core.unknown import same_shape
from hybrid.core.variable import Variable
from hybrid.errors import DeviceError, GradientError
from hybrid.ops.broadcasting import broadcast_to
from hybrid.ops.inplace import check_shape_of_out, deliver

SUBSTITUTES: dict[str, str] = {
    "np.cross": "hb.linalg.cross takes vectors of three elements",
    "np.geomspace": "hb.exp(hb.linspace(hb.log(a), hb.log(b), n)) is the same",
    "np.linalg.eig": "hb.linalg.eigh is for Hermitian matrices",
    "np.linalg.eigvals": "hb.linalg.eigvalsh is for Hermitian matrices",
    "np.polydiv": "hb.linalg.lstsq solves for coefficients",
    "np.polymul": "hb.convolve of the coefficients is the same where none in front is 0",
    "np.real_if_close": "hb.real takes the real parts, whatever the others are",
    "np.trim_zeros": "hb.flatnonzero finds where the zeros end",
}
"""What to write instead of a function that NumPy computes."""


def _substitute(func: Callable[..., Any]) -> str:
    return SUBSTITUTES.get(_name(func), "write it with functions of hybrid")


def by_numpy(func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Let NumPy compute on the concrete values, and wrap what it returns.

    Parameters
    ----------
    func : callable
        A function of NumPy, or a method of a ufunc, that writes to none of its arguments.
    args, kwargs
        Of the call; Tensors in lists, tuples and dicts are found.
    """
    why = f"{_name(func)}, which is {_whose(func)} ({_substitute(func)}),"
    result = func(*concrete(args, why), **concrete(kwargs, why))
    check_gradient(func, (args, kwargs), result)
    found = _wrapped(result)
    where = next((device for device in _devices((args, kwargs)) if device != CPU), CPU)
    return found if where == CPU else _moved(found, where)


def _devices(x: Any) -> Iterator[str]:
    if isinstance(x, Tensor | Variable):
        yield x.device
    items = x.values() if isinstance(x, dict) else x if isinstance(x, list | tuple) else ()
    for item in items:
        yield from _devices(item)


def _moved(found: Any, device: str) -> Any:
    """Return results where the arguments are; that they were computed here was asked for."""
    if isinstance(found, tuple | list):
        items = [_moved(item, device) for item in found]
        return type(found)(*items) if hasattr(found, "_fields") else type(found)(items)
    return found.to_device(device) if type(found) is Tensor else found


def written_by_numpy(func: Callable[..., Any], target: Any, args: Any, kwargs: Any) -> Any:
    """Let a NumPy function that changes its first argument do so on a copy, then write that."""
    cell = isinstance(target, Tensor | Variable)
    why = f"{_name(func)}, which is {_whose(func)},"
    changed = concrete(target, why).copy() if cell else target
    result = func(changed, *concrete(args, why), **concrete(kwargs, why))
    check_gradient(func, (target, args, kwargs), changed)
    if cell:
        put_into(asarray(changed, device=target.device), target)
    return result


def concrete(x: Any, why: str) -> Any:
    """Return `x` with ndarrays in place of Tensors; `why` is what ends a trace."""
    if isinstance(x, Variable):
        x = x.read()
    if isinstance(x, Tensor):
        if x.device != CPU and not state.fallback:
            raise DeviceError(
                located(
                    f"{why} cannot be computed on {x.device}; move its arguments with "
                    f"x.to_device('cpu'), or let such functions run there: with "
                    f"hb.device({x.device!r}, fallback='cpu')"
                )
            )
        return x._concrete(why)
    if isinstance(x, dict):
        return {key: concrete(value, why) for key, value in x.items()}
    if type(x) in (list, tuple):
        return type(x)(concrete(item, why) for item in x)
    return x


def put_into(value: Any, target: Any) -> Any:
    """Write a result into what was given as ``out=``, and return that, as NumPy does.

    Raises
    ------
    ShapeError
        Where it is of another shape, as NumPy does but for calls of ufuncs: :func:`spread`.
    """
    if target is None:
        return value
    if isinstance(target, tuple):
        (target,) = target
    if isinstance(target, Variable):
        check_shape_of_out(value.shape, target.shape)
        target.assign(value)
    elif isinstance(target, np.ndarray) and target.dtype not in dtypes.SUPPORTED:
        check_shape_of_out(value.shape, target.shape)
        np.copyto(target, asarray(value).numpy(), casting="same_kind")
    else:
        deliver(value, target)
    return target


def spread(value: Any, target: Any) -> Any:
    """Write a result into what was given as ``out=``, to which it may be broadcast."""
    if target is None:
        return value
    if isinstance(target, tuple):
        (target,) = target
    if not same_shape(value.shape, target.shape) and fits(value.shape, target.shape):
        value = broadcast_to(value, target.shape)
    return put_into(value, target)


def check_gradient(func: Callable[..., Any], inputs: Any, result: Any) -> None:
    """Refuse to lose a gradient in silence."""
    if state.tapes and _any_tracked(inputs) and _any_inexact(result):
        raise GradientError(
            located(
                f"{_name(func)} is {_whose(func)} here, so that the tape cannot see what it "
                f"computes; {_substitute(func)}, or pass x.numpy() to treat x as a constant"
            )
        )


def _name(func: Callable[..., Any]) -> str:
    """Return the name by which a user calls `func`."""
    ufunc = func if isinstance(func, np.ufunc) else getattr(func, "__self__", None)
    if isinstance(ufunc, np.ufunc):
        home = _home(ufunc)
        method = "" if func is ufunc else f".{func.__name__}".removesuffix(".__call__")
        return f"{home and home + '.'}{ufunc.__name__}{method}".replace("numpy", "np", 1)
    return f"{func.__module__}.{func.__name__}".replace("numpy", "np", 1)


def _home(ufunc: np.ufunc) -> str:
    """Name the module that has a ufunc; it does not say so itself."""
    for name in ("numpy", "scipy.special"):
        if getattr(sys.modules.get(name), ufunc.__name__, None) is ufunc:
            return name
    return ""


def _whose(func: Callable[..., Any]) -> str:
    return "SciPy's own" if _name(func).startswith("scipy.") else "NumPy's own"


def _wrapped(x: Any) -> Any:
    if isinstance(x, np.ndarray | np.generic):
        return asarray(x) if x.dtype in dtypes.SUPPORTED else x
    if type(x) in (list, tuple):
        return type(x)(_wrapped(item) for item in x)
    if isinstance(x, tuple):  # named ones
        return type(x)(*(_wrapped(item) for item in x))
    return x


def _any_tracked(x: Any) -> bool:
    if isinstance(x, Tensor | Variable):
        tensor = x.read() if isinstance(x, Variable) else x
        return tensor._node is not None
    items = x.values() if isinstance(x, dict) else x if isinstance(x, list | tuple) else ()
    return any(map(_any_tracked, items))


def _any_inexact(x: Any) -> bool:
    if isinstance(x, np.ndarray | np.generic):
        return dtypes.is_inexact(x.dtype)
    return isinstance(x, list | tuple) and any(map(_any_inexact, x))
