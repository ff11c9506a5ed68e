"""``__array_function__``: NumPy's functions on Tensors, translated to hybrid's (NEP 18).

A function of ``numpy``, ``numpy.linalg`` or ``numpy.fft`` is hybrid's public function of the same
name, called with the same arguments: `_route` pairs the parameters of both by name, and passes
NumPy's default where hybrid's is another one. `adapters` has those that names do not explain.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from importlib import import_module
from itertools import zip_longest
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.defaults import in_force, with_floats
from hybrid.core.dispatch import busy
from hybrid.core.number import Number
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor
from hybrid.core.unknown import Unknown
from hybrid.errors import DTypeError, HybridError
from hybrid.ops.protocols.by_numpy import by_numpy, put_into, spread

Function = Callable[..., Any]

_ADAPTERS: dict[Function, Function] = {}

_NOT_HANDLED = object()
_NO_VALUE = np._NoValue


def implements(*functions: Function) -> Callable[[Function], Function]:
    """Register what stands in for NumPy functions, where names and arguments do not say it all.

    Parameters
    ----------
    *functions : callable
        Of NumPy. The decorated one takes the same arguments.

    Returns
    -------
    callable
        A decorator.
    """

    def decorate(ours: Function) -> Function:
        for function in functions:
            _ADAPTERS[function] = ours
        return ours

    return decorate


@cache
def adapters() -> dict[Function, Function]:
    """Return what stands in for each NumPy function that has such, called with the same arguments.

    The modules come with the first call, for they bring the families of ops that they are made of.
    """
    for name in ("adapters", "arrays_for_scipy", "compositions", "padding", "writers"):
        import_module(f"{__package__}.{name}")
    return _ADAPTERS


def __array_function__(self: Any, func: Function, types: Any, args: Any, kwargs: Any) -> Any:
    """Answer for NumPy function `func` where a Tensor is among its arguments.

    Numbers and lists that NumPy makes arrays of are float64, as they are there.
    """
    if not busy:
        key = (func, len(args), *kwargs) if kwargs else (func, len(args))
        ours = _ANSWERED.get(key)
        if ours is not None and (
            (_are_usual(args) and (not kwargs or _are_usual(kwargs.values())))
            or (func in _BESIDE and not kwargs and _are_beside_floats(args, _BESIDE[func]))
        ):
            try:
                return ours(*args, **kwargs)
            except Exception:
                pass  # explained below
    if _hold_fractions(args) or (kwargs and _hold_fractions(kwargs.values())):
        with in_force(with_floats(dtypes.float64)):
            return _answer(func, args, kwargs)
    return _answer(func, args, kwargs)


_ANSWERED: dict[tuple[Any, ...], Function] = {}
"""What is called at once, by NumPy's function, how many arguments are given by place, and the names
of the others. It saves 1.5 us of 2.5."""


def _are_usual(values: Iterable[Any]) -> bool:
    """Tell whether none of `values` needs a look: Tensors, whole numbers, None, several such."""
    for x in values:
        kind = type(x)
        if kind is Tensor:
            if type(x._data) is not np.ndarray:
                return False
        elif kind is tuple or kind is list:
            if not _are_usual(x):
                return False
        elif kind not in _USUAL:
            return False
    return True


_BESIDE = {np.clip: 0, np.where: 1}
"""Functions that leave numbers weak beside a Tensor of floats, and their first such argument."""


def _are_beside_floats(args: tuple[Any, ...], first: int) -> bool:
    """Tell whether all from one on are numbers or Tensors of floats, at least one of these."""
    found = False
    for x in args[first:]:
        kind = type(x)
        if kind is Tensor:
            if type(x._data) is not np.ndarray or x._data.dtype.kind != "f":
                return False
            found = True
        elif kind is not float and kind is not int:
            return False
    return found and _are_usual(args[:first])


_USUAL = frozenset((np.ndarray, int, bool, str, slice, type(None)))


def _answer(func: Function, args: Any, kwargs: Any) -> Any:
    adapter = adapters().get(func)
    if adapter is None:
        return translated(func, args, kwargs)
    _ANSWERED[func, len(args), *kwargs] = adapter
    return adapter(*args, **kwargs)


def _hold_fractions(values: Iterable[Any]) -> bool:
    """Tell whether `values`, or lists among them, hold a number that the default dtype is about."""
    for x in values:  # without a call for a Tensor: this is on the path of eager code
        if type(x) is Tensor:
            if type(x._data) is Symbol and x._data.spec.weak:
                return True
        elif type(x) in _FRACTIONS or (isinstance(x, _SEQUENCES) and _hold_fractions(x)):
            return True
    return False


_FRACTIONS = frozenset((float, complex, Unknown, Number))
_SEQUENCES = (list, tuple)
_SPREADING = frozenset(
    (np.fix, np.isposinf, np.isneginf)
    + (np.quantile, np.percentile, np.nanquantile, np.nanpercentile)
)
"""Functions that broadcast to ``out=``, as ufuncs do; the others refuse another shape."""


def translated(func: Function, args: Any, kwargs: Any) -> Any:
    """Call hybrid's function of the same name, or let NumPy compute on the concrete values."""
    ours = namesake(func)
    refused: Exception | None = None
    if ours is not None:
        try:
            result = _translated(func, ours, args, kwargs)
        except DTypeError:
            if not any(map(_is_foreign, _leaves(args))):
                raise
            result = _NOT_HANDLED  # objects, texts or dates are beside the Tensors
        except HybridError:
            raise
        except (TypeError, ValueError) as error:  # a form of the call that only NumPy's has
            result, refused = _NOT_HANDLED, error
        if result is not _NOT_HANDLED:
            return result
    try:
        return by_numpy(func, args, kwargs)
    except (TypeError, ValueError) as error:
        if type(refused) is not type(error):
            raise
        raise refused from None  # the one that names shapes and arguments


@cache
def namesake(func: Function) -> Function | None:
    """Return hybrid's public function of the name and namespace of a NumPy function."""
    package, *path = func.__module__.split(".")
    space: Any = sys.modules["hybrid"]
    if package != "numpy" or len(path) > 1:
        return None
    for part in path:
        space = getattr(space, part, None) or sys.modules.get(f"hybrid.ops.{part}")
    ours = getattr(space, func.__name__, None)
    return ours if inspect.isfunction(ours) else None


def _leaves(x: Any) -> Iterator[Any]:
    if isinstance(x, list | tuple):
        for item in x:
            yield from _leaves(item)
    else:
        yield x


def _is_foreign(x: Any) -> bool:
    """Tell whether NumPy has to make an array of `x` that no Tensor can be."""
    return (
        x is None or isinstance(x, str) or getattr(x, "dtype", dtypes.bool_) not in dtypes.SUPPORTED
    )


def _translated(func: Function, ours: Function, args: Any, kwargs: Any) -> Any:
    """Call `ours` with the arguments of `func`; those left at their defaults do not matter."""
    told = _told(func, ours, len(args), tuple(kwargs) if kwargs else ())
    if told is not None:
        _ANSWERED[func, len(args), *kwargs] = partial(ours, **told) if told else ours
        if not kwargs:
            return ours(*args, **told) if told else ours(*args)
        for value in kwargs.values():
            if value is _NO_VALUE:  # which stands for the default
                break
        else:
            return ours(*args, **told, **kwargs)
    route = _route(func, ours, len(args), tuple(kwargs))
    if route is None:
        return _NOT_HANDLED
    out = None
    positional: list[Any] = []
    keyword: dict[str, Any] = dict(_other_defaults(func, ours))
    for (theirs, own), value in zip(route, (*args, *kwargs.values()), strict=True):
        if own is not None:
            if own.kind in (own.POSITIONAL_ONLY, own.VAR_POSITIONAL):
                positional.append(value)
            elif not (value is theirs.default and own.default is not own.empty):
                keyword[own.name] = value
        elif theirs.name == "out":
            out = value
        elif not _is_default(value, theirs):
            return _NOT_HANDLED
    put = spread if func in _SPREADING else put_into
    return put(ours(*positional, **keyword), out)


@cache
def _told(func: Function, ours: Function, count: int, keys: tuple[str, ...]) -> Told | None:
    """Tell what else `ours` is told where all that is given means the same to both.

    None where so many arguments by place and those by name do not: under another name, with a
    default of its own, or only to `func`.
    """
    route = _route(func, ours, count, keys)
    if route is None:
        return None
    mine = list(inspect.signature(ours).parameters.values())[:count]
    if len(mine) < count:
        return None
    for i, (theirs, own) in enumerate(route):
        if own is None or own.kind not in _PLACED[i < count]:
            return None
        if own.name != (mine[i].name if i < count else theirs.name):
            return None
        alike = theirs.default is theirs.empty or theirs.default is own.default
        if not alike and (i < count or theirs.default is not _NO_VALUE):
            return None
    given = {own.name for _, own in route if own is not None}
    return {name: value for name, value in _other_defaults(func, ours) if name not in given}


Told = dict[str, Any]
_PLACED = {
    True: (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD),
    False: (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY),
}
"""The kinds of parameters that are given by place, or not."""


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
        elif own is not None and own.kind not in (own.KEYWORD_ONLY, own.VAR_KEYWORD):
            if own.name not in signature.parameters:
                pairs[theirs] = own
    return pairs


@cache
def _other_defaults(func: Function, ours: Function) -> tuple[tuple[str, Any], ...]:
    """Return what `ours` must be told where `func` says nothing, since their defaults differ."""
    signature = _signature(func)
    found = []
    for name, own in (_pairs(func, ours) or {}).items():
        default = signature.parameters[name].default if signature else own.default
        known = default not in (own.empty, np._NoValue) and default is not own.default
        if known and own.default is not own.empty and own.kind is not own.POSITIONAL_ONLY:
            if type(default) is not type(own.default) or default != own.default:
                found.append((own.name, default))
    return tuple(found)


# Memory order and subclasses mean nothing to Tensors.
_MEANINGLESS = frozenset(("order", "subok"))


def _is_default(value: Any, parameter: inspect.Parameter) -> bool:
    if parameter.name in _MEANINGLESS or value is parameter.default:
        return True
    return isinstance(value, str) and value == parameter.default
