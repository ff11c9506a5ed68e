"""How far a loop over a range is: a number of the trace, or a value of the graph."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from hybrid import dtypes
from hybrid.core.graph import Const
from hybrid.core.number import Number
from hybrid.core.op import OPS
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor

if TYPE_CHECKING:
    from hybrid.trace.counting import Counting
    from hybrid.trace.cutting import Cutter


LONG = "for "  # begins the names of loops whose steps are none of what they do


class Count:
    """How far a loop is; to Python, its variable where that is for the function to return only.

    Attributes
    ----------
    numbers : range
    position : int
        Of the number that was given last; of an earlier one where there is a `counter`.
    counter : Tensor, optional
        How many steps it is further by now, if that is a value of the graph.
    more : int
        What was added to the number.
    """

    def __init__(self, numbers: range) -> None:
        self.numbers = numbers
        self.position = -1
        self.counter: Tensor | None = None
        self.more = 0
        self.loop: weakref.ref[Counting] | None = None

    @property
    def runs(self) -> bool:
        """Whether Python is in the loop."""
        return self.loop is not None and self.loop() is not None

    @property
    def seen(self) -> tuple[Any, ...]:
        """What tells the number from another one, beside the counter."""
        return repr(self.numbers), self.position, self.more

    def __add__(self, other: int) -> Count:
        found = Count(self.numbers)
        found.position, found.counter, found.more = self.position, self.counter, self.more + other
        return found

    def __sub__(self, other: int) -> Count:
        return self + -other

    def number(self, tracer: Cutter) -> Any:
        """Return the number, or what stands for it."""
        base = self.numbers.start + self.numbers.step * self.position + self.more
        if self.counter is None:
            return base
        data = self.counter._data
        if type(data) is not Symbol or data.array is not None:
            return base + self.numbers.step * int(self.counter.numpy())
        step, first = (Const(x, dtypes.int64) for x in (self.numbers.step, base))
        scaled = tracer.emit(OPS["multiply"], (data.value, step), {}, None)[0]
        found = tracer.emit(OPS["add"], (scaled, first), {}, None, weak=True)[0]
        return Number(tracer.tensor(found, None))
