"""What ``np.ndarray`` and ``isinstance`` mean in a trace: arguments are what the call was given.

An ndarray among the arguments is a Tensor in the trace, so that a branch on ``isinstance(x,
np.ndarray)`` would go the other way than in eager code. So the name stands for a class whose
instances are ndarrays and the Tensors that stand for such arguments, or for views of them; that
becomes a condition of the trace, since a call with a Tensor may replay it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from numbers import Number
from types import CodeType, UnionType
from typing import Any

import numpy as np

from hybrid.core.source import SourceLine, warn_user
from hybrid.core.state import state
from hybrid.core.tensor import Tensor
from hybrid.core.watched import Watched
from hybrid.errors import ArrayTypeWarning
from hybrid.trace.bytecode import line_that_matches

_COMPUTED = (
    "what is computed from ndarrays is a Tensor in a compiled function: without @hb.compile it "
    "may be an np.ndarray or a scalar of NumPy's, for which this line may give another answer. Ask "
    "for np.ndarray | hb.Tensor, hasattr(x, 'shape') or np.ndim(x), or decide by an argument"
)


_MATCHED = (
    "`case hb.Tensor():` takes ndarrays that are given to a compiled function for Tensors: without "
    "@hb.compile they do not match. Write `case _ if isinstance(x, hb.Tensor):`"
)
_DISPATCHED = (
    "{}, which functools.singledispatch makes, takes ndarrays that are given to a compiled "
    "function for Tensors: without @hb.compile it goes another way with them. Register what it "
    "does with an ndarray for hb.Tensor too, or ask for isinstance(x, np.ndarray) in it"
)
_ARRAYS = (Tensor, np.ndarray)
_NUMBERS = (bool, int, float, complex, np.generic, Number)


def stands_for_array(x: Any) -> bool:
    """Tell whether a Tensor of the trace at hand is an ndarray in eager code."""
    found = _kind_of(x)
    if found is None and x.ndim:  # what has no axes is none in either
        warn_user(_COMPUTED, ArrayTypeWarning)
    return found is np.ndarray


def _kind_of(x: Any) -> type | None:
    """Return the class that something has in eager code, or None where nobody knows."""
    if type(x) is not Tensor or state.recorder is None:
        return type(x)
    found: type | None = state.recorder.kind_of(x)
    return found


def is_instance(x: Any, kinds: Any, /) -> bool:
    """Return what ``isinstance`` gives in eager code; of a Tensor that may be none there it warns.

    A Tensor of a trace stands for an ndarray that was given, or for what NumPy may have computed
    of one: an ndarray, or a scalar such as ``np.float64``, which is a float too.
    """
    if type(x) is not Tensor or state.recorder is None:
        return isinstance(x, kinds)
    asked = [np.ndarray if kind is ARRAY else kind for kind in _each(kinds)]
    ours, arrays = Tensor in asked, np.ndarray in asked
    scalars = any(map(_is_of_numbers, asked))
    if ours and arrays and (scalars or x.ndim):
        return True  # whatever it is
    if not (ours or (arrays and x.ndim) or (scalars and not x.ndim)):
        return isinstance(x, kinds)
    found = _kind_of(x)
    if found is None:
        warn_user(_COMPUTED, ArrayTypeWarning)
        return isinstance(x, tuple(asked))
    return any(
        issubclass(found, kind) if kind in _ARRAYS or _is_of_numbers(kind) else isinstance(x, kind)
        for kind in asked
    )


def warn_of_patterns(codes: Iterable[CodeType], leaves: Iterable[Any]) -> None:
    """Warn of ``case hb.Tensor():``, which an ndarray among the arguments matches in a trace.

    Parameters
    ----------
    codes : iterable of CodeType
        That of the function and its helpers.
    leaves : iterable
        What the arguments hold.
    """
    if not any(isinstance(x, np.ndarray | np.generic) for x in leaves):
        return
    for code in codes:
        line = line_that_matches(code, "Tensor")
        if line is not None:
            where = SourceLine(code.co_filename, line, code.co_name)
            warn_user(f"{_MATCHED}\n  at {where.describe()}", ArrayTypeWarning)


def warn_of_dispatch(functions: Iterable[Any], leaves: Iterable[Any]) -> None:
    """Warn of ``singledispatch``, which takes the ndarrays of a trace for the Tensors they are.

    Parameters
    ----------
    functions : iterable
        Of ``functools.singledispatch``.
    leaves : iterable
        What the arguments hold.
    """
    kinds = {type(x) for x in leaves if isinstance(x, np.ndarray | np.generic)}
    for function in functions:
        if any(function.dispatch(kind) is not function.dispatch(Tensor) for kind in kinds):
            warn_user(_DISPATCHED.format(function.__name__), ArrayTypeWarning)


def is_scalar(element: Any) -> bool:
    """Return what ``np.isscalar`` gives; of a Tensor that may be a scalar of NumPy's it warns."""
    return is_instance(element, np.generic) or np.isscalar(element)


def _each(kinds: Any) -> Iterator[Any]:
    """Yield the classes of what ``isinstance`` takes: a class, a tuple or a union of some."""
    for kind in kinds if isinstance(kinds, tuple) else getattr(kinds, "__args__", (kinds,)):
        if isinstance(kind, tuple | UnionType):
            yield from _each(kind)
        else:
            yield kind


def _is_of_numbers(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, _NUMBERS)


class _TypeOfArrays(type):
    """What makes `ARRAY` mean `numpy.ndarray`, wherever a class is looked for."""

    def __new__(cls, name: str, bases: tuple[type, ...], fields: dict[str, Any]) -> Any:
        if not bases:
            return super().__new__(cls, name, bases, fields)
        plain = tuple(np.ndarray if x is ARRAY else x for x in bases)
        return type(name, plain, fields)

    def __call__(cls, *args: Any, **options: Any) -> Any:
        return np.ndarray(*args, **options)

    def __instancecheck__(cls, obj: Any) -> bool:
        return isinstance(obj, np.ndarray) or stands_for_array(obj)

    def __subclasscheck__(cls, kind: Any) -> bool:
        return kind is ARRAY or issubclass(kind, np.ndarray)

    def __getattr__(cls, name: str) -> Any:
        return getattr(np.ndarray, name)

    def __getitem__(cls, parameters: Any) -> Any:
        return np.ndarray[parameters]

    def __eq__(cls, other: object) -> bool:
        return other is np.ndarray or other is ARRAY

    def __hash__(cls) -> int:
        return hash(np.ndarray)

    def __repr__(cls) -> str:
        return repr(np.ndarray)


ARRAY: Any = _TypeOfArrays("ndarray", (), {"__doc__": np.ndarray.__doc__})
ARRAY.__module__ = "numpy"


def as_named(kind: type, x: Any) -> Any:
    """Return the type of `x`, which is `kind`, as names of NumPy mean it in a trace."""
    if kind is np.ndarray or kind is Watched:
        return ARRAY
    found = _kind_of(x)
    if found is None:
        warn_user(_COMPUTED, ArrayTypeWarning)
        return kind
    return ARRAY if found is np.ndarray else kind if type(x) is not Tensor else found
