"""Unknown: a Python number inside a trace that only a call decides, such as ``x.shape[0]``.

It is what torch calls a SymInt. It computes like the number that it is in the present call, its
*hint*, and remembers the formula. Where Python needs more than a formula (a comparison, ``range``,
a dict key, text), it answers for the hint and notes the condition under which the answer holds;
a trace is only replayed where all its conditions do. So any code may be handed an Unknown and stays
right; code that knows of Unknowns keeps more sizes in one trace.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from numbers import Number
from typing import Any, cast

import numpy as np

from hybrid.core import formula
from hybrid.core.conditions import Unknowns
from hybrid.core.formula import FUNCTIONS, Call, Formula, Input, Whole


class Unknown:
    """A Python int or float of a trace; see the module."""

    __slots__ = ("_space", "formula", "hint")

    def __init__(self, space: Unknowns, formula: Formula, hint: Any) -> None:
        self._space = space
        self.formula = formula
        self.hint = hint

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        # `isinstance(n, int)` takes the same branch as in eager code.
        return int if isinstance(self.hint, int) else float

    @property
    def open(self) -> bool:
        """Whether the trace that it belongs to is under way; it is its hint afterwards."""
        return self._space.open

    def concrete(self) -> Any:
        """Return the hint; from now on the trace is for calls with the same number."""
        if self.open:
            if isinstance(self.hint, int):
                self._space.is_zero(formula.add(cast(Whole, self.formula), self.hint, -1))
            else:
                self._space.is_true(Call("eq", (self.formula, self.hint)))
        return self.hint

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in _DUNDER:
            raise AttributeError(f"{self.__class__.__name__!r} object has no attribute {name!r}")
        return getattr(self.concrete(), name)

    # --- what needs the number itself -------------------------------------------------------------

    def __index__(self) -> int:
        if not isinstance(self.hint, int):
            raise TypeError("'float' object cannot be interpreted as an integer")
        return cast(int, self.concrete())

    def __int__(self) -> int:
        return operator.index(self if isinstance(self.hint, int) else math.trunc(self))

    def __float__(self) -> float:
        return float(self.concrete())

    def __complex__(self) -> complex:
        return complex(self.concrete())

    def __hash__(self) -> int:
        return self._space.hash_of(self)

    def __repr__(self) -> str:
        return repr(self.concrete())

    def __format__(self, spec: str) -> str:
        return format(self.concrete(), spec)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(self.concrete(), dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        # A Python number beside an array, not an array of no axes: it is weak.
        return getattr(ufunc, method)(*map(settled, inputs), **kwargs)

    def __reduce__(self) -> Any:
        return type(self.hint), (self.concrete(),)

    def __copy__(self) -> Unknown:
        return self

    def __deepcopy__(self, memo: Any) -> Unknown:
        return self

    # --- comparisons ------------------------------------------------------------------------------

    def __bool__(self) -> bool:
        return self != 0

    def __eq__(self, other: object) -> bool:
        return _compare(self, other, "eq")

    def __ne__(self, other: object) -> bool:
        found = _compare(self, other, "eq")
        return found if found is NotImplemented else not found

    def __lt__(self, other: Any) -> bool:
        return _compare(self, other, "lt")

    def __le__(self, other: Any) -> bool:
        return _compare(self, other, "le")

    def __gt__(self, other: Any) -> bool:
        return _compare(self, other, "lt", swapped=True)

    def __ge__(self, other: Any) -> bool:
        return _compare(self, other, "le", swapped=True)

    # --- arithmetic -------------------------------------------------------------------------------

    def __neg__(self) -> Any:
        return _apply("neg", self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return -self if self < 0 else self

    def __invert__(self) -> Any:
        return ~self.concrete() if isinstance(self.hint, float) else -self - 1

    def __trunc__(self) -> Any:
        return self if isinstance(self.hint, int) else _apply("trunc", self)

    def __floor__(self) -> Any:
        return self if isinstance(self.hint, int) else _apply("floor", self)

    def __ceil__(self) -> Any:
        return self if isinstance(self.hint, int) else _apply("ceil", self)

    def __round__(self, ndigits: int | None = None) -> Any:
        if ndigits is not None:
            return round(self.concrete(), ndigits)
        return self if isinstance(self.hint, int) else _apply("round", self)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self


_DUNDER = frozenset({"__doc__"})


def entered(space: Unknowns, number: Input, hint: int) -> Unknown:
    """Return the number that an input of a trace is."""
    return Unknown(space, space.note_input(number, hint), hint)


def _operator(name: str) -> tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]:
    def forward(self: Unknown, other: Any) -> Any:
        return _apply(name, self, other) if _is_number(other) else NotImplemented

    def reflected(self: Unknown, other: Any) -> Any:
        return _apply(name, other, self) if _is_number(other) else NotImplemented

    return forward, reflected


_OPERATORS = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"),
    *("and", "or", "xor", "lshift", "rshift"),
)
for _name in _OPERATORS:
    for _prefix, _function in zip(("__", "__r"), _operator(_name), strict=True):
        setattr(Unknown, f"{_prefix}{_name}__", _function)


def _is_number(x: Any) -> bool:
    # NumPy's scalars do the arithmetic themselves: the result is of their type.
    # A Tensor that stands for a Python number does so too, and says that it is a float.
    return type(x) is Unknown or (issubclass(type(x), Number) and not isinstance(x, np.generic))


def _parts(*numbers: Any) -> tuple[Unknowns | None, list[Formula]]:
    """Return the open trace that numbers belong to, and their formulas; None where they do not fit
    into one."""
    spaces = {id(x._space): x._space for x in numbers if type(x) is Unknown and x.open}
    plain = all(type(x) in (Unknown, int, float, bool) for x in numbers)
    space = next(iter(spaces.values())) if len(spaces) == 1 and plain else None
    return space, [x.formula if type(x) is Unknown and x.open else known(x) for x in numbers]


def known(x: Any) -> Any:
    """Return the number that `x` is in the present call."""
    return x.hint if type(x) is Unknown else x


def settled(x: Any) -> Any:
    """Return `x`, an Unknown as the number that it is; it is asked for."""
    return x.concrete() if type(x) is Unknown else x


def _apply(name: str, *numbers: Any) -> Any:
    function = FUNCTIONS[name][0]
    space, parts = _parts(*numbers)
    if space is None or not _can_follow(name, numbers):
        return function(*map(settled, numbers))
    hint = function(*map(known, numbers))
    if isinstance(hint, float):
        return Unknown(space, Call(name, tuple(parts)), hint)
    if any(isinstance(known(x), float) for x in numbers):  # rounded to a whole number
        return Unknown(space, formula.whole_call(name, *parts), hint)
    whole = list(map(_as_int, parts))
    found = _whole(name, *whole)
    if name == "floordiv":
        space.note_division(whole[0], whole[1], found)
    return _number(space, found, hint)


def _as_int(x: Any) -> Any:
    return int(x) if isinstance(x, bool) else x


def _number(space: Unknowns, found: Whole, hint: Any) -> Any:
    return found if isinstance(found, int) else Unknown(space, found, hint)


def _can_follow(name: str, numbers: tuple[Any, ...]) -> bool:
    """Ask what decides the kind of the result; where Python raises it shall raise as it does."""
    if name in ("truediv", "floordiv", "mod"):
        return bool(numbers[1] != 0)
    if name in ("lshift", "rshift"):
        return not numbers[1] < 0
    if name == "pow":
        base, exponent = numbers
        whole = isinstance(base, int) and isinstance(exponent, int)
        return not exponent < 0 if whole else base > 0
    return True


def _whole(name: str, a: Whole, b: Whole = 0) -> Whole:
    match name:
        case "add":
            return formula.add(a, b)
        case "sub":
            return formula.add(a, b, -1)
        case "neg":
            return formula.multiply(a, -1)
        case "mul":
            return formula.multiply(a, b)
        case "floordiv":
            return formula.floordiv(a, b)
        case "mod":
            return formula.modulo(a, b)
        case "pow" if isinstance(b, int) and b <= 4:
            return functools.reduce(formula.multiply, [a] * b, cast(Whole, 1))
    return formula.whole_call(name, a, b)


def _compare(a: Any, b: Any, name: str, *, swapped: bool = False) -> bool:
    if not _is_number(b):
        if isinstance(b, np.generic):
            return bool(FUNCTIONS[name][0](*((b, settled(a)) if swapped else (settled(a), b))))
        return cast(bool, NotImplemented)
    if swapped:
        a, b = b, a
    space, parts = _parts(a, b)
    if space is None:
        return bool(FUNCTIONS[name][0](settled(a), settled(b)))
    if any(isinstance(known(x), float) for x in (a, b)):
        return space.is_true(Call(name, tuple(parts)))
    left, right = map(_as_int, parts)
    if name == "eq":
        return space.is_zero(formula.add(left, right, -1))
    # a < b is b - a - 1 >= 0; a <= b is b - a >= 0
    return not space.is_negative(
        formula.add(formula.add(right, left, -1), -1 if name == "lt" else 0)
    )


# --- for code that knows of Unknowns --------------------------------------------------------------


def same(a: Any, b: Any) -> bool:
    """Tell whether two sizes are certainly equal, without depending on this call any further."""
    if type(a) is not Unknown and type(b) is not Unknown:
        return bool(a == b)
    space, (left, right) = _parts(a, b)
    if space is None or any(isinstance(known(x), float) for x in (a, b)):
        return bool(left == right)
    difference = formula.add(_as_int(left), _as_int(right), -1)
    return difference == 0 if isinstance(difference, int) else space.knows_zero(difference)


def same_shape(a: Sequence[int], b: Sequence[int]) -> bool:
    """Tell whether two shapes are equal; of unknown sizes only those are compared that must be.

    Python's own ``==`` compares sizes of tuples that differ in length.
    """
    return len(a) == len(b) and all(m == n for m, n in zip(a, b, strict=True))


def as_size(n: Any) -> int:
    """Return a whole number: an Unknown as it is, anything else by ``operator.index``."""
    if type(n) is Unknown and n.open and isinstance(n.hint, int):
        return cast(int, n)
    return operator.index(n)


def spell(n: Any) -> str:
    """Write a size for a printed graph: an Unknown by its formula, one that is open as ``?``."""
    if type(n) is Unknown:
        return formula.text(n.formula)
    return "?" if n is None else str(n)


def is_unknown(n: Any) -> bool:
    """Tell whether a number is an Unknown, whose hint nobody should ask for lightly."""
    return type(n) is Unknown
