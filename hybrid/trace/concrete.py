"""ConcreteFunction: what a function became for one signature."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field
from typing import Any

from hybrid.core.conditions import Condition
from hybrid.core.formula import reader
from hybrid.core.graph import FuncGraph
from hybrid.records import dataclass
from hybrid.trace.environment import Binding
from hybrid.trace.segment import Segment
from hybrid.trace.sharing import Outside, memory_of
from hybrid.trace.signature import Signature
from hybrid.trace.sources import Local
from hybrid.trace.tracer import EagerFrom
from hybrid.trace.unchanged import unchanged


def _always(arguments: Sequence[Any]) -> bool:
    return True


@dataclass(eq=False, repr=False, slots=True)
class ConcreteFunction:
    """A function traced for one signature: a tree of segments.

    Attributes
    ----------
    signature : Signature
    root : Segment, optional
        None where the function runs eagerly.
    fallback : EagerFrom, optional
        Why and from which line on it runs eagerly.
    reason : str
        Why it was traced.
    conditions : tuple of Condition
        Under which it holds, beside the signature.
    """

    name: str
    signature: Signature
    reason: str
    root: Segment | None = None
    fallback: EagerFrom | None = None
    bindings: tuple[Binding, ...] = ()
    read: dict[int, Binding] = field(default_factory=dict)
    traces: int = 0
    layout_matters: bool = False
    anchors: list[Any] = field(default_factory=list)
    conditions: tuple[Condition, ...] = ()
    holds: Callable[[Sequence[Any]], bool] = _always
    number: int = 0
    _outside: tuple[int, Outside | None] = (-1, None)
    _changed: tuple[int, tuple[int, ...]] = (-1, ())
    _valid: tuple[tuple[Binding, ...], Callable[[], bool]] | None = None

    def __reduce__(self) -> Any:
        raise TypeError(
            f"the trace of {self.name} cannot be pickled: it holds code of this process; pickle "
            "the compiled function, which traces anew"
        )

    def __copy__(self) -> ConcreteFunction:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> ConcreteFunction:
        return self

    def depend(self, conditions: Iterable[Condition]) -> None:
        """Let calls use this trace only where these conditions hold too.

        Parameters
        ----------
        conditions : iterable of Condition
            On sizes and int arguments; they are looked at before anything runs.
        """
        both = tuple(dict.fromkeys((*self.conditions, *conditions)))
        if both != self.conditions:
            # In this order: whoever has seen the new conditions asks whether they hold.
            self.holds = reader([f"({c.text(lambda x: x.place)})" for c in both], " and ")
            self.conditions = both

    @property
    def out_of_date(self) -> bool:
        """Whether the world outside is not what was traced."""
        if self.fallback is not None:
            return False
        known = self._valid
        if known is not None and known[0] is self.bindings:
            return not known[1]()
        return bool(self.changed())

    @property
    def graph(self) -> FuncGraph:
        """The graph of the first segment, as traced."""
        return self.segments[0].graph

    @property
    def optimized(self) -> FuncGraph:
        """The graph of the first segment after all passes."""
        return self.segments[0].optimized

    @property
    def segments(self) -> list[Segment]:
        """All segments, parents before children; of those that do the same in a loop one."""
        found: list[Segment] = []
        pending = [self.root] if self.root is not None else []
        while pending:
            segment = pending.pop()
            if segment.twin is None:
                found.append(segment)
            pending.extend(reversed(segment.children.values()))
        return found

    @property
    def nbytes(self) -> int:
        """Memory of the arrays that only this trace keeps: what it has read, what it begins with.

        That of temporaries is bounded for all Plans together: see :mod:`hybrid.runtime.workspaces`.
        """
        captured = [x for segment in self.segments for x in segment.captured]
        local = {id(x.array): x.array.nbytes for x in captured if type(x) is Local}
        return sum(local.values()) + sum(_bytes_of(b.value) for b in self.read.values())

    def entangled(self, leaves: Sequence[Any]) -> bool:
        """Tell whether the trace is wrong for the memory of these arguments.

        It may write in place what is shared by arrays that it takes for apart, or take for a view
        what is a copy for arguments that lie otherwise.

        Parameters
        ----------
        leaves : sequence
            The arguments of a call.
        """
        if self.layout_matters and not all(map(_in_order, leaves)):
            return True
        version, outside = self._outside
        if version != self.traces:
            version, outside = self.traces, self._found_outside()
            self._outside = version, outside
        if outside is None:
            return False
        read = [binding.holder.array() for binding in self.read.values()]
        return outside.entangled(leaves, [x for x in read if x is not None])

    @property
    def containers_changed(self) -> tuple[int, ...]:
        """The containers among the arguments that some way through the trace changes."""
        version, found = self._changed
        if version != self.traces:
            results = (segment.result for segment in self.segments)
            found = tuple({number for x in results if x is not None for number in x.changed})
            self._changed = self.traces, found
        return found

    def _found_outside(self) -> Outside | None:
        """Return what is written in place and read outside; None where nothing is written."""
        segments = self.segments
        targets = [w.target for s in segments for w in s.writes if not w.rebind]
        if not targets:
            return None
        return Outside(targets, [source for segment in segments for source in segment.captured])

    def again(self) -> ConcreteFunction:
        """Return an untraced one for the same signature."""
        return ConcreteFunction(self.name, self.signature, self.reason)

    def unchanged(self) -> Callable[[], bool]:
        """Return a function that tells whether all names outside mean what they did."""
        known = self._valid  # one for all sizes
        if known is None or known[0] is not self.bindings:
            known = self._valid = (self.bindings, unchanged(self.bindings))
        return known[1]

    def changed(self) -> list[str]:
        """Return the names outside the arguments that mean something else by now."""
        names = [name for b in self.bindings if b.changed for name in b.changes()]
        return [*dict.fromkeys(re.sub(r"\.\*\['(\w+)'\]", r".\1", name) for name in names)]

    def __repr__(self) -> str:
        return f"<concrete function {self.name}{self.signature}>"

    def __str__(self) -> str:
        text = [f"{self.name}{self.signature}"]
        if self.conditions:
            text.append(f"where {', '.join(map(str, self.conditions))}")
        text += [str(segment.graph) for segment in self.segments]
        if self.fallback is not None:
            text.append(f"runs eagerly: {self.fallback}")
        return "\n".join(text)


def _bytes_of(contents: Any) -> int:
    return sum(len(x) for x in contents if isinstance(x, bytes))


def _in_order(leaf: Any) -> bool:
    array = memory_of(leaf)
    return array is None or bool(array.flags.c_contiguous)
