"""AnySize: the sizes for which a Plan is made when it is to serve others too.

The passes and the planner take such sizes for the ints that they are in the present call; each
decision that depends on them becomes a condition, as in a trace. Where the conditions hold for
other sizes, the same decisions are right there, and only numbers are put in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from hybrid.core import formula
from hybrid.core.conditions import Condition, Unknowns
from hybrid.core.formula import Input, Sum
from hybrid.core.unknown import Unknown, entered
from hybrid.records import dataclass


@dataclass(slots=True)
class AnySize(Unknowns):
    """Unknown sizes inside the framework's own code, which keeps them in dicts and sets.

    There a size is its formula: two that are equal in some calls only are two keys, which costs at
    most a chance to share something.

    Attributes
    ----------
    names : dict
        How each input is called in generated code.
    """

    names: dict[Input, str] = field(default_factory=dict)

    def stand_for(self, inputs: Mapping[Input, int]) -> dict[Input, Unknown]:
        """Return the number that each input is; those that are equal now are one from now on.

        Parameters
        ----------
        inputs : mapping of Input to int
        """
        found: dict[Input, Unknown] = {}
        first: dict[int, Input] = {}
        for unknown, size in inputs.items():
            same = first.setdefault(size, unknown) if unknown.axis is not None else unknown
            if same is not unknown:
                self.conditions[Condition(difference(unknown, same), "==")] = None
                found[unknown] = found[same]
                continue
            self.names[unknown] = f"n{len(self.names)}"
            found[unknown] = entered(self, unknown, size)
            if unknown.axis is not None:  # sizes 0 and 1 are treated apart everywhere
                several = formula.add(formula.input_formula(unknown), -2)
                assert isinstance(several, Sum)
                self._facts.append(several)
                self.conditions[Condition(several, ">=")] = None
        return found

    def hash_of(self, unknown: Unknown) -> int:
        """Hash the formula."""
        return hash((id(self), unknown.formula))

    def text(self, x: Any) -> str:
        """Write a number, or tuples of numbers, in Python, with the inputs by their names."""
        if type(x) is tuple:
            return f"({', '.join(map(self.text, x))}{',' if len(x) == 1 else ''})"
        return formula.text(x.formula, self.names.__getitem__) if type(x) is Unknown else repr(x)

    def reader(self, x: Any) -> Callable[..., Any]:
        """Compile a number, or tuples of numbers, into a function of the inputs in `names`."""
        return formula.reader([self.text(x)], "", ", ".join(self.names.values()))

    @property
    def fixed(self) -> str:
        """The condition that leaves one size only; empty where there is none."""
        return next((str(c) for c in self.conditions if _fixes(c)), "")


def difference(a: Input, b: Input) -> Sum:
    """Return ``a - b``, of two inputs."""
    found = formula.add(formula.input_formula(a), formula.input_formula(b), -1)
    assert isinstance(found, Sum)
    return found


def _fixes(condition: Condition) -> bool:
    if condition.relation == "is":
        return isinstance(condition.formula, formula.Call) and condition.formula.function == "eq"
    return condition.fixes is not None
