"""Conditions: what a trace came to depend on of the numbers that only a call decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, cast

from hybrid.core import formula
from hybrid.core.formula import Call, Formula, Input, Sum, Whole
from hybrid.records import dataclass

if TYPE_CHECKING:
    from hybrid.core.unknown import Unknown


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold of the inputs for a trace to be right: ``formula relation 0``, or a truth.

    `relation` is ``"=="``, ``"!="`` or ``">="``, or ``"is"`` and ``"is not"`` for a comparison of
    floating-point numbers that must (not) be true.
    """

    formula: Formula
    relation: str

    @property
    def fixes(self) -> Input | None:
        """The one input of which it leaves a single value, if there is one."""
        if self.relation != "==" or not isinstance(self.formula, Sum):
            return None
        products = [product for product, _ in self.formula.terms if product]
        only = products[0][0] if len(products) == len(products[0]) == 1 else None
        return only if isinstance(only, Input) else None

    def text(self, spell: Callable[[Input], str] = lambda x: x.name) -> str:
        """Write it in Python."""
        if not isinstance(self.formula, Sum):
            return (
                f"{'not ' if self.relation == 'is not' else ''}{formula.text(self.formula, spell)}"
            )
        parts = self.formula.terms
        left: list[tuple[formula.Product, int]] = [(p, k) for p, k in parts if k > 0 and p]
        right = [(p, -k) for p, k in parts if k < 0 and p]
        for product, k in parts:
            if not product:
                (right if left else left).append((product, -k if left else k))
        first, second = (formula.text(Sum(tuple(x)), spell) or "0" for x in (left, right))
        if self.relation == ">=" and (not left or not left[0][0]):
            return f"{second} <= {first}"
        return f"{first} {self.relation} {second}"

    def holds(self, arguments: Sequence[Any]) -> bool:
        """Tell whether it holds for the arguments of a call."""
        return bool(formula.reader([self.text(lambda x: x.place)], "")(arguments))

    def __str__(self) -> str:
        return self.text()


@dataclass(slots=True)
class Unknowns:
    """The unknown numbers of one trace, and the conditions that it came to depend on.

    Attributes
    ----------
    hints : dict
        What each input is in the call that is traced.
    conditions : dict of Condition
        In the order in which they were met; the values mean nothing.
    open : bool
        Once the trace has ended its Unknowns are nothing but their hints.
    """

    hints: dict[Input, int] = field(default_factory=dict)
    conditions: dict[Condition, None] = field(default_factory=dict)
    open: bool = True
    _facts: list[Sum] = field(default_factory=list)  # none of them is negative
    _looked: dict[Sum, int] = field(default_factory=dict)  # at so many facts, which did not tell

    def note_input(self, unknown: Input, hint: int) -> Sum:
        """Take in an input, and return it as a formula."""
        self.hints[unknown] = hint
        number = formula.input_formula(unknown)
        for bound in (formula.add(2**63 - 1, number, -1), formula.add(number, 2**63)):
            assert isinstance(bound, Sum)
            self._facts.append(bound)  # other ints are constants of the trace
        return number

    def note_division(self, a: Whole, b: Whole, quotient: Whole) -> None:
        """Remember what follows from rounding down: ``0 <= a - b * quotient < b``, for one."""
        if not isinstance(b, int) or b <= 0:
            return
        rest = formula.add(a, formula.multiply(b, quotient), -1)
        facts = [rest, formula.add(b - 1, rest, -1)]
        if isinstance(a, Sum) and self._known(a):
            facts += [quotient, formula.add(a, quotient, -1)]
        self._facts += [fact for fact in facts if isinstance(fact, Sum)]

    def is_negative(self, a: Whole) -> bool:
        """Tell whether `a` is below 0, for the hints where it depends."""
        if isinstance(a, int):
            return a < 0
        if self._known(a):
            return False
        opposite = formula.add(-1, a, -1)
        if isinstance(opposite, Sum) and self._known(opposite):
            return True
        negative = bool(formula.evaluate(a, self.hints) < 0)
        fact = opposite if negative else a
        assert isinstance(fact, Sum)
        self._facts.append(fact)
        self.conditions[Condition(fact, ">=")] = None
        return negative

    def is_zero(self, a: Whole) -> bool:
        """Tell whether `a` is 0, for the hints where it depends."""
        if isinstance(a, int):
            return a == 0
        a = _upright(a)
        equal, unequal = Condition(a, "=="), Condition(a, "!=")
        if equal in self.conditions or unequal in self.conditions:
            return equal in self.conditions
        below, above = formula.add(-1, a, -1), formula.add(a, -1)
        if any(isinstance(x, Sum) and self._known(x) for x in (below, above)):
            return False
        zero = bool(formula.evaluate(a, self.hints) == 0)
        self.conditions[equal if zero else unequal] = None
        if zero:
            self._facts += [a, cast(Sum, formula.multiply(a, -1))]
        return zero

    def knows_zero(self, a: Sum) -> bool:
        """Tell whether `a` is 0 by a condition that is noted already."""
        return Condition(_upright(a), "==") in self.conditions

    def is_true(self, comparison: Call) -> bool:
        """Tell whether a comparison of floating-point numbers holds, and depend on it."""
        holds = bool(formula.evaluate(comparison, self.hints))
        self.conditions[Condition(comparison, "is" if holds else "is not")] = None
        return holds

    def hash_of(self, unknown: Unknown) -> int:
        """Hash a number as Python hashes it, which asks for it."""
        return hash(unknown.concrete())

    def _known(self, a: Sum) -> bool:
        """Tell whether `a` is known not to be negative."""
        first = self._looked.get(a, 0)
        if first == 0 and formula.least(a) >= 0:
            return True
        for i in range(first, len(self._facts)):
            if formula.never_below(a, self._facts[i]):
                self._looked[a] = i  # the same fact tells again
                return True
        self._looked[a] = len(self._facts)
        return False


def _upright(a: Sum) -> Sum:
    """Return `a` or its opposite, whichever begins with a positive coefficient."""
    return a if a.terms[0][1] > 0 else cast(Sum, formula.multiply(a, -1))
