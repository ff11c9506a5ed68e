"""Formulas: Python numbers that follow from what only a call decides, in a normal form.

What a call decides is an :class:`Input`: the size of an axis of an argument, or an int argument. A
whole number is a :class:`Sum`, a polynomial with integer coefficients over inputs and over calls
(``n // 2``) that no polynomial expresses; equal polynomials are equal objects, so that many a
question about sizes is answered for all sizes at once. A floating-point number is a tree of calls:
Python's double arithmetic has no other normal form.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hybrid.core.scalars import is_scalar


class Input(NamedTuple):
    """The size of an axis of an argument; without an axis the argument itself, an int."""

    name: str
    leaf: int
    axis: int | None = None

    @property
    def place(self) -> str:
        """Python text for it, the arguments being ``args``."""
        argument = f"args[{self.leaf}]"
        return argument if self.axis is None else f"{argument}.shape[{self.axis}]"


class Call(NamedTuple):
    """One of `FUNCTIONS`, applied."""

    function: str
    args: tuple[Formula, ...]


class Sum(NamedTuple):
    """A polynomial: products of inputs and calls, each with its coefficient, in order."""

    terms: tuple[tuple[Product, int], ...]


Atom = Input | Call
Product = tuple[Atom, ...]
Whole = int | Sum
Formula = int | float | Sum | Call

FUNCTIONS: dict[str, tuple[Callable[..., Any], str]] = {
    "add": (operator.add, "({} + {})"),
    "sub": (operator.sub, "({} - {})"),
    "mul": (operator.mul, "({} * {})"),
    "truediv": (operator.truediv, "({} / {})"),
    "floordiv": (operator.floordiv, "({} // {})"),
    "mod": (operator.mod, "({} % {})"),
    "pow": (operator.pow, "({} ** {})"),
    "neg": (operator.neg, "(-{})"),
    "abs": (abs, "abs({})"),
    "and": (operator.and_, "({} & {})"),
    "or": (operator.or_, "({} | {})"),
    "xor": (operator.xor, "({} ^ {})"),
    "lshift": (operator.lshift, "({} << {})"),
    "rshift": (operator.rshift, "({} >> {})"),
    "trunc": (math.trunc, "trunc({})"),
    "floor": (math.floor, "floor({})"),
    "ceil": (math.ceil, "ceil({})"),
    "round": (round, "round({})"),
    "lt": (operator.lt, "({} < {})"),
    "le": (operator.le, "({} <= {})"),
    "eq": (operator.eq, "({} == {})"),
    "is_scalar": (is_scalar, "is_scalar({})"),
    "is_array": (lambda x: isinstance(x, np.ndarray), "is_array({})"),
    "is_number": (lambda x: isinstance(x, np.generic), "is_number({})"),
}

NAMES = {
    name: FUNCTIONS[name][0]
    for name in ("trunc", "floor", "ceil", "is_scalar", "is_array", "is_number")
} | {
    "inf": math.inf,
    "nan": math.nan,
}
"""What the text of a formula uses beside Python's operators and builtins."""


# --- whole numbers --------------------------------------------------------------------------------


def input_formula(unknown: Input) -> Sum:
    """Return the formula that is one input."""
    return Sum((((unknown,), 1),))


def whole_call(function: str, *args: Formula) -> Sum:
    """Return a call with a whole result as a formula."""
    return Sum((((Call(function, args),), 1),))


def add(a: Whole, b: Whole, times: int = 1) -> Whole:
    """Return ``a + times * b``."""
    terms = dict(_terms(a))
    for product, factor in _terms(b):
        terms[product] = terms.get(product, 0) + factor * times
    return _sum(terms)


def multiply(a: Whole, b: Whole) -> Whole:
    """Return ``a * b``."""
    terms: dict[Product, int] = {}
    for left, x in _terms(a):
        for right, y in _terms(b):
            product = tuple(sorted((*left, *right), key=_order))
            terms[product] = terms.get(product, 0) + x * y
    return _sum(terms)


def floordiv(a: Whole, b: Whole) -> Whole:
    """Return ``a // b``; `b` is not 0."""
    whole, rest = _divided(a, b)
    if isinstance(rest, int) and isinstance(b, int):
        return add(whole, rest // b)
    return whole if rest == 0 else add(whole, whole_call("floordiv", rest, b))


def modulo(a: Whole, b: Whole) -> Whole:
    """Return ``a % b``; `b` is not 0."""
    _, rest = _divided(a, b)
    if isinstance(rest, int) and isinstance(b, int):
        return rest % b
    return 0 if rest == 0 else whole_call("mod", rest, b)


def _divided(a: Whole, b: Whole) -> tuple[Whole, Whole]:
    """Split `a` into ``b * whole + rest``, as much of it as divides term by term."""
    if a == b:
        return 1, 0
    divisor = _terms(b)
    if len(divisor) != 1:
        return 0, a
    ((product, factor),) = divisor
    whole: dict[Product, int] = {}
    rest: dict[Product, int] = {}
    for its, count in _terms(a):
        left = _without(its, product)
        if left is None or count % factor:
            rest[its] = count
        else:
            whole[left] = count // factor
    return _sum(whole), _sum(rest)


def _without(product: Product, part: Product) -> Product | None:
    left = list(product)
    for atom in part:
        if atom not in left:
            return None
        left.remove(atom)
    return tuple(left)


def _terms(a: Whole) -> tuple[tuple[Product, int], ...]:
    if isinstance(a, int):
        return (((), a),) if a else ()
    return a.terms


def _sum(terms: Mapping[Product, int]) -> Whole:
    kept = [(product, factor) for product, factor in terms.items() if factor]
    if not kept:
        return 0
    if len(kept) == 1 and not kept[0][0]:
        return kept[0][1]
    return Sum(tuple(sorted(kept, key=lambda term: (-len(term[0]), list(map(_order, term[0]))))))


@functools.lru_cache(maxsize=4096)  # each sum of formulas asks for it
def _order(atom: Atom) -> tuple[bool, str]:
    return isinstance(atom, Call), text(atom)


def least(a: Formula) -> float:
    """Return a bound that `a` is never below; minus infinity where none is known."""
    if isinstance(a, int | float):
        return a
    if isinstance(a, Call):
        return _least_of_atom(a)
    total = 0.0
    for product, factor in a.terms:
        bounds = [_least_of_atom(atom) for atom in product]
        if product and (factor < 0 or min(bounds) < 0):
            return -math.inf
        total += factor * math.prod(bounds)
    return total


def never_below(a: Sum, b: Sum) -> bool:
    """Tell whether ``least(a - b)`` is not negative, for a tenth of what forming that takes."""
    terms = dict(a.terms)
    for product, factor in b.terms:
        terms[product] = terms.get(product, 0) - factor
        if product and terms[product] < 0:
            return False
    total = 0.0
    for product, factor in terms.items():
        if not product:
            total += factor
        elif factor:
            bounds = [_least_of_atom(atom) for atom in product]
            if factor < 0 or min(bounds) < 0:
                return False
            total += factor * math.prod(bounds)
    return total >= 0


def _least_of_atom(atom: Atom) -> float:
    if isinstance(atom, Input):
        return -math.inf if atom.axis is None else 0
    if atom.function == "mod" and isinstance(atom.args[1], int) and atom.args[1] > 0:
        return 0
    if atom.function == "floordiv" and least(atom.args[0]) >= 0 and least(atom.args[1]) >= 0:
        return 0
    return 0 if atom.function == "abs" else -math.inf


# --- using them -----------------------------------------------------------------------------------


def inputs_of(formula: Formula | Atom) -> set[Input]:
    """Return what a formula depends on."""
    if isinstance(formula, Input):
        return {formula}
    if isinstance(formula, Call):
        return {x for arg in formula.args for x in inputs_of(arg)}
    if isinstance(formula, Sum):
        return {x for product, _ in formula.terms for atom in product for x in inputs_of(atom)}
    return set()


def evaluate(formula: Formula | Atom, values: Mapping[Input, int]) -> Any:
    """Return the number that a formula is for these inputs."""
    if isinstance(formula, Sum):
        return sum(
            factor * math.prod(evaluate(atom, values) for atom in product)
            for product, factor in formula.terms
        )
    if isinstance(formula, Input):
        return values[formula]
    if isinstance(formula, Call):
        function = FUNCTIONS[formula.function][0]
        return function(*(evaluate(arg, values) for arg in formula.args))
    return formula


def text(formula: Formula | Atom, spell: Callable[[Input], str] = lambda x: x.name) -> str:
    """Write a formula in Python, `spell` writing its inputs."""
    if isinstance(formula, Sum):
        parts = [_spelled(product, factor, spell) for product, factor in formula.terms]
        return " + ".join(parts).replace("+ -", "- ")
    if isinstance(formula, Input):
        return spell(formula)
    if isinstance(formula, Call):
        return FUNCTIONS[formula.function][1].format(*(_inner(a, spell) for a in formula.args))
    return repr(formula)


def _inner(formula: Formula, spell: Callable[[Input], str]) -> str:
    inside = text(formula, spell)
    return inside if _binds_closest(formula) else f"({inside})"


def _binds_closest(formula: Formula) -> bool:
    """Whether the text of a formula can stand on either side of any operator."""
    if isinstance(formula, Sum):
        ((product, factor), *more) = formula.terms
        return not more and factor == 1 and len(product) == 1
    return isinstance(formula, Call) or not repr(formula).startswith("-")


def _spelled(product: Product, factor: int, spell: Callable[[Input], str]) -> str:
    if not product:
        return str(factor)
    atoms = "*".join(text(atom, spell) for atom in product)
    return {1: atoms, -1: f"-{atoms}"}.get(factor, f"{factor}*{atoms}")


def reader(texts: Sequence[str], form: str, name: str = "args") -> Callable[..., Any]:
    """Compile texts over arguments of these names into one function; `form` joins them."""
    function: Callable[..., Any] = eval(f"lambda {name}: {form.join(texts)}", dict(NAMES))
    return function


def read(formula: Formula) -> Callable[[Sequence[Any]], Any]:
    """Compile a formula into a function of the arguments of a call."""
    return reader([text(formula, lambda x: x.place)], "")
