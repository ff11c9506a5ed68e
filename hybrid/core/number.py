"""Number: what stands in a trace for a Python float or complex, and for what Python makes of it.

In the graph it is a Tensor without axes that takes the dtype of what it meets. To the user's code
it is a float: it has the methods of one and nothing else, and is no Tensor. What Python wants to
know of it becomes a part of the graph where it can: arithmetic does, a comparison is a decision.
Everything else (text, a dict key, ``math.floor``) asks for the number itself, and goes on eagerly.

A comparison gives a bool. As long as only ops use it, it may stay in the graph, so that
``hb.where(rate > 1, a, b)`` is one graph for all rates; where code can tell ``True`` from what
stands for it, by ``is`` or ``match``, Python gets the bool itself.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Iterator
from numbers import Number as AnyNumber
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid.core import limits
from hybrid.core.identity import tells_identity
from hybrid.core.source import is_framework
from hybrid.core.spec import PYTHON_TYPES
from hybrid.core.state import state
from hybrid.core.symbol import Symbol
from hybrid.core.unknown import Unknown

if TYPE_CHECKING:
    from hybrid.core.tensor import Tensor

_PLAIN = frozenset((bool, int, float, complex, Unknown))
_EXACT = 2**53  # above it a float cannot tell ints apart, which Python does


class Number:
    """A Python float, complex or bool of a trace; see the module.

    Attributes
    ----------
    tensor : Tensor
        Stands for it in the graph: weak, without axes.
    limits : tuple of two numbers, optional
        Of an int with which Python counts, or a float made of such: see :mod:`hybrid.core.limits`.
    """

    __slots__ = ("__weakref__", "limits", "tensor")

    def __init__(self, tensor: Tensor, limits: tuple[Any, Any] | None = None) -> None:
        self.tensor = tensor
        self.limits = limits

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        # `isinstance(rate, float)` takes the same branch as in eager code.
        return PYTHON_TYPES[self.tensor._data.dtype.kind]

    @property
    def known(self) -> bool:
        """Whether the trace has given up, so that it is the number that it was."""
        data = self.tensor._data
        return type(data) is not Symbol or data.array is not None

    def value(self, why: str) -> Any:
        """Return the number itself: a bool or int is a decision, any other one ends the trace.

        `why` is empty where it is for what the user's line calls.
        """
        tensor = self.tensor
        if tensor._data.dtype.kind in "bi" and not self.known:
            return _kind(self)(tensor)
        return tensor._concrete(why).item()

    def __getattr__(self, name: str) -> Any:
        kind = _kind(self)
        if not hasattr(kind, name):
            raise AttributeError(f"{kind.__name__!r} object has no attribute {name!r}")
        if kind is float and name in _OF_REALS:
            return _OF_REALS[name](self)
        return getattr(self.value(f"{name} of a float"), name)

    # --- what needs the number itself -------------------------------------------------------------

    def __bool__(self) -> bool:
        return bool(self.value("bool()") if self.known else self.tensor)

    def __index__(self) -> int:
        kind = _kind(self)
        if kind is int and not self.known:
            return operator.index(self.tensor)
        if kind not in (bool, int):
            name = kind.__name__
            raise TypeError(f"{name!r} object cannot be interpreted as an integer")
        return int(self.value("int()"))

    def __int__(self) -> int:
        return int(self.value("int()"))

    def __float__(self) -> float:
        return float(self.value("float()"))

    def __complex__(self) -> complex:
        return complex(self.value("complex()"))

    def __round__(self, digits: int | None = None) -> Any:
        return round(self.value("round()"), digits)

    def __trunc__(self) -> int:
        found: int = math.trunc(self.value("math.trunc()"))
        return found

    def __floor__(self) -> int:
        found: int = math.floor(self.value("math.floor()"))
        return found

    def __ceil__(self) -> int:
        found: int = math.ceil(self.value("math.ceil()"))
        return found

    def __hash__(self) -> int:
        found = self.value("hash()")
        if type(found) in (int, float) and not self.known:
            state.recorder.trace.keyed(self, found)
        return hash(found)

    def __repr__(self) -> str:
        return repr(self.value("repr()"))

    def __str__(self) -> str:
        return str(self.value("str()"))

    def __format__(self, spec: str) -> str:
        return format(self.value("format()"), spec)

    def __reduce__(self) -> Any:
        return _kind(self), (self.value("pickling"),)

    def __copy__(self) -> Number:
        return self

    def __deepcopy__(self, memo: Any) -> Number:
        return self

    # --- NumPy ------------------------------------------------------------------------------------

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self.value(""), dtype=dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return getattr(ufunc, method)(*_for_numpy(inputs), **each(options))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func in (np.real, np.imag):
            return getattr(args[0], func.__name__)
        found = [*items(args), *items(kwargs)]
        if not self.known and any(hasattr(type(x), "dtype") for x in found):
            return type(self.tensor).__array_function__(self.tensor, func, types, args, kwargs)
        return func(*each(args, as_numpy_would), **each(kwargs, as_numpy_would))


def _same(x: Number) -> Any:
    return x


_OF_REALS: dict[str, Callable[[Number], Any]] = {
    "real": _same,
    "imag": lambda x: 0.0,
    "conjugate": lambda x: lambda: x,
}


def _kind(x: Any) -> Any:
    """Return the type that a number is of, or stands for."""
    return x.__class__


def in_graph(x: Any) -> Any:
    """Return what stands for `x` among Tensors; other objects as they are."""
    if type(x) is not Number:
        return x
    return x.value("") if x.known else x.tensor


def in_index(index: Any) -> Any:
    """Return an index with Tensors for the numbers of a trace."""
    if type(index) is tuple:
        return tuple(map(in_graph, index)) if Number in map(type, index) else index
    return in_graph(index)


def in_python(x: Any) -> Any:
    """Return the number for which `x` stands, which is asked for; other objects as they are."""
    return x.value("") if type(x) is Number else x


def of_tensor(x: Any) -> Any:
    """Return a Tensor that stands for a Python number as user code sees it; others as they are."""
    data = x._data if hasattr(type(x), "_data") else None
    return Number(x) if type(data) is Symbol and data.spec.weak else x


# --- operators ------------------------------------------------------------------------------------


def _apply(function: Callable[..., Any], *numbers: Any) -> Any:
    """Apply an operator to numbers, one of which is a Number."""
    if any(type(x) is Number and x.known for x in numbers):
        return function(*(x.value("") if type(x) is Number else x for x in numbers))
    if _stays_in_python(function, numbers):
        kind = int if int in map(_kind, numbers) else bool
        return function(*(kind(x) if _kind(x) is bool else x for x in numbers))
    if function is operator.pos and _kind(numbers[0]) is not bool:
        return numbers[0]
    within = None
    if any(type(x) is Number and (x.limits or _kind(x) is int) for x in numbers):
        try:
            within = _limits(function, numbers)
        except limits.TooLarge:
            # The body of a loop has no number to give to Python: it counts in 64 bits.
            if state.recorder is None or state.recorder.decides:
                return function(*(int(x) if _kind(x) is int else x for x in numbers))
    found = function(*map(_operand, numbers))
    found = tuple(map(of_tensor, found)) if type(found) is tuple else of_tensor(found)
    if type(found) is Number:
        found.limits = within
    if type(found) is Number and _kind(found) is bool and _is_told_apart():
        return bool(found)
    return found


def _limits(function: Callable[..., Any], numbers: tuple[Any, ...]) -> Any:
    """Return the limits of what ints and floats give; see :mod:`hybrid.core.limits`."""
    found = [_limits_of(x) for x in numbers]
    if function in _VOUCHED and limits.is_harmless(function, *found):
        recorder = state.recorder
        if recorder is not None and recorder.decides:
            recorder.harmless.add((_VOUCHED[function], *map(told_by, map(_operand, numbers))))
    ints = [x for x, n in zip(found, numbers, strict=True) if _kind(n) is int]
    if None in ints:
        raise limits.TooLarge
    if len(ints) < len(found):
        limits.result(operator.lt, *ints)
    elif function is not operator.truediv:
        return limits.result(function, *ints)
    return limits.of_floats(function, *found)


def _limits_of(x: Any) -> Any:
    """Return between which numbers one lies; None where that is not known."""
    if type(x) is Number:
        return x.limits
    return (x, x) if type(x) in (int, float) else None


def told_by(x: Any) -> Any:
    """Return what the same number has, computed alike in another step of a loop."""
    data = getattr(x, "_data", None)
    return state.recorder.number_of(data.value) if type(data) is Symbol else (type(x), x)


def _stays_in_python(function: Callable[..., Any], numbers: tuple[Any, ...]) -> bool:
    """Tell whether bools are to be counted with, which Python does with ints of any size."""
    kinds = {_kind(x) for x in numbers}
    if not kinds <= {bool, int} or bool not in kinds:
        return False
    return not (kinds == {bool} and (function in _LOGICAL or function in _COMPARISONS))


def _is_number(x: Any) -> bool:
    # NumPy's scalars do the arithmetic themselves: the result is of their type.
    numeric = isinstance(x, int | float | complex) and not isinstance(x, np.generic)
    return numeric and not hasattr(type(x), "_data")  # nor do Tensors, of the index of a loop


def _operand(x: Any) -> Any:
    if type(x) is Number:
        return x.tensor
    if type(x) not in _PLAIN:  # an IntEnum, say
        x = next(kind for kind in (int, float, complex) if isinstance(x, kind))(x)
    if type(x) is int and not -_EXACT <= x <= _EXACT:
        return float(x)  # as Python does, which refuses what is too large
    return x


def _compares_exactly(numbers: tuple[Any, ...]) -> bool:
    return any(type(x) is int and not -_EXACT <= x <= _EXACT for x in numbers)


def _is_told_apart() -> bool:
    """Tell whether code may see that what stands for a bool is not ``True`` itself."""
    recorder = state.recorder
    if recorder is not None and recorder.trace.tells_identity:
        return True
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_framework(frame.f_code):
        frame = frame.f_back
    return frame is not None and tells_identity(frame.f_code)


def _forward(function: Callable[..., Any]) -> Callable[..., Any]:
    comparison = function in _COMPARISONS

    def method(self: Number, other: Any) -> Any:
        if not _is_number(other):
            return _beside(function, self, other)
        if _is_refused(function, self, other):
            return NotImplemented
        if comparison and _compares_exactly((self, other)):
            return function(self.value("comparing with an int of more than 53 bits"), other)
        return _apply(function, self, other)

    return method


def _is_refused(function: Callable[..., Any], *numbers: Any) -> bool:
    """Tell whether Python raises TypeError for numbers of these kinds."""
    kinds = {_kind(x) for x in numbers}
    if complex in kinds:
        return function in _OF_BITS or function in _OF_ORDER
    return float in kinds and function in _OF_BITS


def _beside(function: Callable[..., Any], x: Number, other: Any) -> Any:
    """Apply an operator to a number and what is none of Python's own, which may know numbers."""
    if _kind(x) is complex and type(other) is np.float64:  # a Python float to it
        return _apply(function, x, float(other))
    if isinstance(other, AnyNumber) and not isinstance(other, np.generic):  # a Decimal, say
        if not hasattr(type(other), "_data"):
            return function(x.value(f"counting with a {type(other).__name__}"), other)
    return NotImplemented


def _reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Number, other: Any) -> Any:
        if not _is_number(other) or _is_refused(function, self, other):
            return NotImplemented
        return _apply(function, other, self)

    return method


def _unary(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Number) -> Any:
        if function is operator.invert and _kind(self) is not bool:
            raise TypeError(f"bad operand type for unary ~: {_kind(self).__name__!r}")
        return _apply(function, self)

    return method


_ORDERINGS = frozenset((operator.lt, operator.le, operator.gt, operator.ge))
_COMPARISONS = _ORDERINGS | {operator.eq, operator.ne}
_OF_ORDER = _ORDERINGS | {operator.floordiv, operator.mod, divmod}
_LOGICAL = frozenset((operator.and_, operator.or_, operator.xor))
_OF_BITS = _LOGICAL | {operator.lshift, operator.rshift}
_VOUCHED: dict[Callable[..., Any], str] = {
    operator.truediv: "divide",
    operator.floordiv: "floor_divide",
    operator.mod: "remainder",
    operator.pow: "pow",
}
_BINARY: dict[str, Callable[..., Any]] = {
    **{name: getattr(operator, name) for name in ("add", "sub", "mul", "truediv", "floordiv")},
    **{name: getattr(operator, name) for name in ("mod", "pow", "lshift", "rshift")},
    "and": operator.and_,
    "or": operator.or_,
    "xor": operator.xor,
    "divmod": divmod,
}
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Number, f"__{_name}__", _forward(getattr(operator, _name)))
for _name, _function in _BINARY.items():
    setattr(Number, f"__{_name}__", _forward(_function))
    setattr(Number, f"__r{_name}__", _reflected(_function))
for _name in ("neg", "pos", "abs", "invert"):
    setattr(Number, f"__{_name}__", _unary(getattr(operator, _name)))


# --- NumPy ----------------------------------------------------------------------------------------


def items(x: Any) -> Iterator[Any]:
    """Yield what arguments of NumPy's functions hold, in dicts and in nested sequences."""
    if isinstance(x, dict):
        x = tuple(x.values())
    if isinstance(x, list | tuple):
        for item in x:
            yield from items(item)
    else:
        yield x


def each(x: Any, change: Callable[[Number], Any] = in_graph) -> Any:
    """Return arguments, or what they hold, with what `change` makes of Numbers."""
    if type(x) is dict:
        return {key: each(value, change) for key, value in x.items()}
    if type(x) in (list, tuple):
        return type(x)(each(item, change) for item in x)
    return change(x) if type(x) is Number else x


def _for_numpy(args: tuple[Any, ...]) -> Any:
    """Return arguments with Tensors for Numbers; NumPy's own dtypes where there is no array."""
    if any(hasattr(type(x), "dtype") for x in items(args)):
        return each(args)
    return each(args, as_numpy_would)


def as_numpy_would(x: Number) -> Any:
    """Return the array that NumPy makes of a number: of its own dtype, not of a default one."""
    found = in_graph(x)
    return found.astype(found.dtype) if hasattr(type(found), "_data") else found
