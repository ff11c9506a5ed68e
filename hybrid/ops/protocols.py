"""NumPy's functions on Tensors: ``np.exp(x)``, ``np.sum(x)``, ``ndarray + x`` run hybrid's own ops.

NumPy hands its ufuncs and functions over through two protocols (NEP 13 and NEP 18). A ufunc is
looked up among those that the declarations named; a function among hybrid's public functions of the
same name, with its arguments translated by name. What hybrid does not have, or not with these
arguments, NumPy computes on the concrete values: in a trace that ends tracing, with its warning,
and on a tape it is refused where a gradient would be lost.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from itertools import zip_longest
from types import ModuleType
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.dispatch import located, state
from hybrid.core.tensor import Tensor, asarray
from hybrid.core.variable import Variable
from hybrid.errors import GradientError, HybridError
from hybrid.ops import (
    creation,
    elementwise,
    indexing,
    linalg,
    movement,
    rearranging,
    reduction,
    searching,
    sorting,
)
from hybrid.ops.elementwise.declare import UFUNCS
from hybrid.ops.elementwise.operands import KNOWN, SCALARS
from hybrid.ops.elementwise.selection import where
from hybrid.ops.inplace import write

Function = Callable[..., Any]

FUNCTIONS: dict[Function, Function] = {}
"""What stands in for a NumPy function, called with the same arguments."""

_NOT_HANDLED = object()

UFUNCS[np.matmul] = linalg.matmul
UFUNCS[np.vecdot] = linalg.vecdot

# --- ufuncs ---------------------------------------------------------------------------------------

_REDUCE: dict[np.ufunc, Function] = {
    np.add: reduction.sum,
    np.multiply: reduction.prod,
    np.maximum: reduction.max,
    np.minimum: reduction.min,
    np.logical_or: reduction.any,
    np.logical_and: reduction.all,
}
_ACCUMULATE: dict[np.ufunc, Function] = {np.add: reduction.cumsum, np.multiply: reduction.cumprod}


def __array_ufunc__(self: Any, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
    """Answer for `ufunc` where one of its operands is a Tensor."""
    if method == "__call__" and not options:  # what ndarray's own operators ask for
        function = UFUNCS.get(ufunc)
        if function is not None and all(isinstance(x, KNOWN) for x in inputs):
            return function(*inputs)
    out = options.pop("out", None)
    targets = out if isinstance(out, tuple) else (out,)
    if not all(isinstance(x, KNOWN) for x in (*inputs, *targets) if x is not None):
        if method == "__call__":
            return NotImplemented
    result = _ufunc_result(ufunc, method, inputs, options, targets)
    if result is _NOT_HANDLED:
        if out is not None:
            options["out"] = out
        return _by_numpy(getattr(ufunc, method), inputs, options)
    if out is None:
        return result
    results = result if isinstance(result, tuple) else (result,)
    written = tuple(_deliver(r, t) for r, t in zip(results, targets, strict=True))
    return written if isinstance(result, tuple) else written[0]


def _ufunc_result(
    ufunc: np.ufunc,
    method: str,
    inputs: tuple[Any, ...],
    options: dict[str, Any],
    targets: tuple[Any, ...],
) -> Any:
    if method == "__call__":
        return _called(ufunc, inputs, dict(options), targets)
    if method == "reduce":
        return _reduced(ufunc, *inputs, **options)
    if method == "accumulate":
        return _accumulated(ufunc, *inputs, **options)
    if method == "outer" and not options and ufunc in UFUNCS:
        x, y = map(asarray, inputs)
        return UFUNCS[ufunc](x.reshape(x.shape + (1,) * y.ndim), y)
    return _NOT_HANDLED


def _called(
    ufunc: np.ufunc, inputs: tuple[Any, ...], options: dict[str, Any], targets: tuple[Any, ...]
) -> Any:
    function = UFUNCS.get(ufunc)
    mask = options.pop("where", True)
    dtype = options.pop("dtype", None)
    if options.get("casting") == "same_kind":
        del options["casting"]
    if function is None or options or (mask is not True and all(t is None for t in targets)):
        return _NOT_HANDLED
    if dtype is not None:
        dtype = np.dtype(dtype)
        inputs = tuple(x if type(x) in SCALARS else asarray(x).astype(dtype) for x in inputs)
    result = function(*inputs)
    if dtype is not None and (isinstance(result, tuple) or result.dtype != dtype):
        return _NOT_HANDLED
    if mask is not True and not isinstance(result, tuple):
        return where(mask, result, asarray(targets[0]).astype(result.dtype, copy=False))
    return result


def _reduced(ufunc: np.ufunc, x: Any, axis: Any = 0, *rest: Any, **options: Any) -> Any:
    function = _REDUCE.get(ufunc)
    keepdims = options.pop("keepdims", False)
    dtype = options.pop("dtype", None)
    if options.get("where", False) is True:
        del options["where"]
    if function is None or rest or options:
        return _NOT_HANDLED
    if dtype is not None:
        return function(asarray(x).astype(dtype), axis=axis, keepdims=keepdims)
    return function(x, axis=axis, keepdims=keepdims)


def _accumulated(ufunc: np.ufunc, x: Any, axis: int = 0, dtype: Any = None, **options: Any) -> Any:
    function = _ACCUMULATE.get(ufunc)
    return _NOT_HANDLED if function is None or options else function(x, axis=axis, dtype=dtype)


def _deliver(value: Any, target: Any) -> Any:
    """Write a result into what was given as ``out=``, and return that."""
    if target is None:
        return value
    if isinstance(target, Variable):
        target.assign(value)
    elif isinstance(target, np.ndarray) and target.dtype not in dtypes.SUPPORTED:
        np.copyto(target, asarray(value).numpy(), casting="same_kind")
    else:
        write(asarray(target), value)
    return target


# --- functions ------------------------------------------------------------------------------------


def implements(function: Function) -> Callable[[Function], Function]:
    """Register what stands in for a NumPy function, where names and arguments do not say it all.

    Parameters
    ----------
    function : callable
        The NumPy function. The decorated one takes the same arguments.

    Returns
    -------
    callable
        A decorator.
    """

    def decorate(ours: Function) -> Function:
        FUNCTIONS[function] = ours
        return ours

    return decorate


def __array_function__(self: Any, func: Function, types: Any, args: Any, kwargs: Any) -> Any:
    """Answer for NumPy function `func` where a Tensor is among its arguments."""
    adapter = FUNCTIONS.get(func)
    if adapter is not None:
        return adapter(*args, **kwargs)
    ours = _same_name(func)
    if ours is not None:
        try:
            result = _translated(func, ours, args, kwargs)
        except HybridError:
            raise
        except (TypeError, ValueError):  # a form of the call that only NumPy's function has
            result = _NOT_HANDLED
        if result is not _NOT_HANDLED:
            return result
    return _by_numpy(func, args, kwargs)


_MODULES: tuple[ModuleType, ...] = (
    *(elementwise, reduction, searching, sorting, movement, rearranging, indexing, creation),
    linalg,
)


@cache
def _same_name(func: Function) -> Function | None:
    """Return hybrid's function of the same name."""
    modules: tuple[ModuleType, ...]
    if func.__module__ == "numpy.linalg":
        modules = (linalg,)
    elif func.__module__ == "numpy":
        modules = _MODULES
    else:
        return None
    for module in modules:
        ours = vars(module).get(func.__name__)
        if inspect.isfunction(ours):
            return ours
    return None


def _translated(func: Function, ours: Function, args: Any, kwargs: Any) -> Any:
    """Call `ours` with the arguments of `func`; those left at their defaults do not matter."""
    route = _route(func, ours, len(args), tuple(kwargs))
    if route is None:
        return _NOT_HANDLED
    out = None
    positional: list[Any] = []
    keyword: dict[str, Any] = {}
    for (theirs, own), value in zip(route, (*args, *kwargs.values()), strict=True):
        if own is not None:
            if own.kind in (own.POSITIONAL_ONLY, own.VAR_POSITIONAL):
                positional.append(value)
            else:
                keyword[own.name] = value
        elif theirs.name == "out":
            out = value
        elif not _is_default(value, theirs):
            return _NOT_HANDLED
    return _deliver(ours(*positional, **keyword), out)


Route = tuple[tuple[inspect.Parameter, inspect.Parameter | None], ...]


@cache
def _route(func: Function, ours: Function, count: int, keys: tuple[str, ...]) -> Route | None:
    """Say for each argument of a call of `func` which parameter it is, there and in `ours`.

    None where `func` would refuse the call: it will say itself what is wrong.
    """
    signature, pairs = _signature(func), _pairs(func, ours)
    if signature is None or pairs is None:
        return None
    try:
        signature.bind(*(None,) * count, **dict.fromkeys(keys))
    except TypeError:
        return None
    theirs = list(signature.parameters.values())
    stars = [i for i, p in enumerate(theirs) if p.kind is p.VAR_POSITIONAL]
    last = stars[0] if stars else len(theirs)
    placed = [theirs[min(i, last)] for i in range(count)]
    named = [signature.parameters.get(key) or theirs[-1] for key in keys]
    return tuple((p, pairs.get(p.name)) for p in (*placed, *named))


@cache
def _signature(func: Function) -> inspect.Signature | None:
    try:
        return inspect.signature(func)
    except ValueError:  # written in C, and its NumPy is too old to say
        return None


@cache
def _pairs(func: Function, ours: Function) -> dict[str, inspect.Parameter] | None:
    """Pair the parameters of both: by name, else by place among those that have no namesake."""
    signature = _signature(func)
    if signature is None:
        return None
    mine = dict(inspect.signature(ours).parameters)
    pairs: dict[str, inspect.Parameter] = {}
    for theirs, own in zip_longest(signature.parameters, list(mine.values())):
        if theirs is None or theirs == "out":
            continue
        if theirs in mine:
            pairs[theirs] = mine[theirs]
        elif own is not None and own.kind is not own.KEYWORD_ONLY:
            if own.name not in signature.parameters:
                pairs[theirs] = own
    return pairs


# Memory order and subclasses mean nothing to Tensors.
_MEANINGLESS = frozenset(("order", "subok"))


def _is_default(value: Any, parameter: inspect.Parameter) -> bool:
    if parameter.name in _MEANINGLESS or value is parameter.default:
        return True
    return isinstance(value, str) and value == parameter.default


# --- what NumPy computes itself -------------------------------------------------------------------


def _by_numpy(func: Function, args: Any, kwargs: Any) -> Any:
    """Let NumPy compute on the concrete values, and wrap what it returns."""
    result = func(*_concrete(args), **_concrete(kwargs))
    _check_gradient(func, (args, kwargs), result)
    return _wrapped(result)


def _concrete(x: Any) -> Any:
    if isinstance(x, Tensor | Variable):
        return x.numpy()
    if isinstance(x, dict):
        return {key: _concrete(value) for key, value in x.items()}
    if type(x) in (list, tuple):
        return type(x)(_concrete(item) for item in x)
    return x


def _wrapped(x: Any) -> Any:
    if isinstance(x, np.ndarray | np.generic):
        return asarray(x) if x.dtype in dtypes.SUPPORTED else x
    if type(x) in (list, tuple):
        return type(x)(_wrapped(item) for item in x)
    if isinstance(x, tuple):  # named ones
        return type(x)(*(_wrapped(item) for item in x))
    return x


def _check_gradient(func: Function, inputs: Any, result: Any) -> None:
    """Refuse to lose a gradient in silence."""
    if state.tapes and _any_tracked(inputs) and _any_inexact(result):
        name = getattr(func, "__name__", str(func))
        raise GradientError(
            located(
                f"np.{name} is NumPy's own here, so that the tape cannot see what it computes; "
                "write it with functions of hybrid, or pass x.numpy() to treat x as a constant"
            )
        )


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


def _writes(func: Function) -> None:
    """Let a NumPy function that changes its first argument do so on a copy, then write that."""

    @implements(func)
    def adapter(target: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(target, Tensor):
            return func(target, *_concrete(args), **_concrete(kwargs))
        changed = target.numpy().copy()
        result = func(changed, *_concrete(args), **_concrete(kwargs))
        _check_gradient(func, (target, args, kwargs), changed)
        write(target, asarray(changed))
        return result


for _writer in (np.put, np.place, np.putmask, np.put_along_axis, np.fill_diagonal):
    _writes(_writer)


# --- functions whose arguments need a word --------------------------------------------------------


@implements(np.concatenate)
def _concatenate(
    arrays: Any, /, axis: int | None = 0, out: Any = None, *, dtype: Any = None, casting: str = ""
) -> Any:
    result = rearranging.concat(arrays, axis=axis)
    return _deliver(result if dtype is None else result.astype(dtype, copy=False), out)


@implements(np.where)
def _where(condition: Any, *branches: Any) -> Any:
    return where(condition, *branches) if branches else searching.nonzero(condition)


@implements(np.clip)
def _clip(x: Any, a_min: Any = None, a_max: Any = None, out: Any = None, **options: Any) -> Any:
    low = options.pop("min", None)
    high = options.pop("max", None)
    if options:
        return _by_numpy(np.clip, (x, a_min, a_max, out), options)
    low = low if a_min is None or a_min is np._NoValue else a_min
    high = high if a_max is None or a_max is np._NoValue else a_max
    return _deliver(elementwise.clip(x, low, high), out)


@implements(np.dot)
def _dot(a: Any, b: Any, out: Any = None) -> Any:
    return _deliver(linalg.dot(a, b), out)


@implements(np.inner)
def _inner(a: Any, b: Any, /) -> Any:
    a, b = asarray(a), asarray(b)
    return a * b if not a.ndim or not b.ndim else linalg.tensordot(a, b, axes=((-1,), (-1,)))


@implements(np.vdot)
def _vdot(a: Any, b: Any, /) -> Any:
    return linalg.dot(elementwise.conj(movement.ravel(a)), movement.ravel(b))


@implements(np.einsum)
def _einsum(*operands: Any, out: Any = None, optimize: Any = False, **options: Any) -> Any:
    if options or not isinstance(operands[0], str):
        return _by_numpy(np.einsum, operands, {"out": out, "optimize": optimize, **options})
    return _deliver(linalg.einsum(*operands), out)


@implements(np.transpose)
def _transpose(x: Any, axes: Any = None) -> Tensor:
    return movement.permute_dims(x, axes)


@implements(np.reshape)
def _reshape(x: Any, /, shape: Any, order: str = "C", *, copy: bool | None = None) -> Any:
    if order != "C":
        return _by_numpy(np.reshape, (x, shape), {"order": order, "copy": copy})
    return movement.reshape(x, shape, copy=copy)


@implements(np.copyto)
def _copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    target = asarray(dst)
    if where is not True:
        src = elementwise.where(where, src, target).astype(target.dtype)
    elif casting == "unsafe":
        src = asarray(src).astype(target.dtype)
    write(target, src)


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
    return asarray(x, copy=True)


# --- attached -------------------------------------------------------------------------------------

for _cell in (Tensor, Variable):
    for _protocol in (__array_ufunc__, __array_function__):
        setattr(_cell, _protocol.__name__, _protocol)
