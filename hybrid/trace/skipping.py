"""Steps of a ``for`` loop that Python need not take while it is traced.

Where everything that Python can see is the same at the beginning of two steps one after the other,
but for Tensors that were computed anew in the same way, all the steps that follow are the same too:
Python is deterministic, and what a replay could not repeat (see `effects`) has not happened. So of
``for _ in range(1000)``, whose variable nobody reads, Python takes the first few steps; those that
follow become one `scan` of the nodes that the last of them recorded; then Python takes the last
step, after which its variables are what they would be. The pass *rolling* makes one loop of it all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from hybrid.core.graph import FuncGraph, Node, Operand, Value, has_effects
from hybrid.core.op import OPS
from hybrid.core.source import located
from hybrid.core.state import state
from hybrid.core.unknown import same_shape
from hybrid.errors import TraceError
from hybrid.records import dataclass
from hybrid.trace.passes.rolling import BACK, enough
from hybrid.trace.passes.shortening import AGAIN
from hybrid.trace.repeats import Questions, has_more, moves
from hybrid.trace.seeing import Opaque, State, place_of
from hybrid.trace.unread import with_unread

if TYPE_CHECKING:
    from hybrid.trace.cutting import Cutter

MOST = 6
"""Steps that Python takes before it is told that they are not alike: each look takes 50 us."""
LEAST = 16
"""In a loop of fewer steps Python takes them all."""


@dataclass(frozen=True, eq=False, slots=True)
class Head:
    """The beginning of a step.

    Attributes
    ----------
    state : State
        What Python can see, and what the trace holds of the world outside.
    first : int
        The number of the next value that is computed.
    nodes : list of Node
        What the segment has recorded, to which the step adds.
    start : int
        How many that were.
    around : tuple
        What else decides what is recorded.
    """

    state: State
    first: int
    nodes: list[Node]
    start: int
    around: tuple[Any, ...]


class Skipping:
    """Finds loops in a trace whose steps are alike.

    Parameters
    ----------
    tracer : Cutter
    questions : Questions
    """

    def __init__(self, tracer: Cutter, questions: Questions) -> None:
        self._tracer = tracer
        self._questions = questions
        self._places: dict[Value, int] = {}
        self._values: list[Value] = []
        self._nodes: list[Node] = []
        self._numbered = 0

    def steps(self, numbers: range, counter: str) -> Iterator[int]:
        """Yield the numbers of a loop that Python is to go through.

        Parameters
        ----------
        numbers : range
        counter : str
            The name of what gives them, whose position is none of what the steps do.
        """
        heads: list[Head] = []
        for taken in range(min(MOST, len(numbers) - LEAST)):
            head = self._head(counter)
            if head is None:
                yield from numbers[taken:]
                return
            heads.append(head)
            left = len(numbers) - taken  # with the step before, without the last one
            body = self._skipped(heads, left) if taken > 1 else None
            if body is not None:
                start = len(self._nodes)
                yield numbers[-1]
                self._check(body, start)
                return
            yield numbers[taken]
        yield from numbers[len(heads) :]

    def _head(self, counter: str) -> Head | None:
        """Return what there is at the beginning of a step; None where not all can be seen."""
        tracer = self._tracer
        if state.recorder is not tracer or not tracer.open or state.tapes or state.silent:
            return None
        self._number()
        outside = [x for _, x, _ in (*tracer.inputs, *tracer.shadows.values())]
        written = list(tracer.variables.values())
        try:
            seen = self._questions.look(
                self._places, (*outside, *(x for _, x, _, _ in written)), counter
            )
        except Opaque:
            return None
        around = (
            *(state.device, state.fallback, state.defaults),
            *(len(tracer.captures), len(tracer.made), len(outside), tracer.acted),
            *[(id(variable), assigned) for variable, _, _, assigned in written],
        )
        return Head(seen, len(self._values), tracer.nodes, len(tracer.nodes), around)

    def _number(self) -> None:
        """Number the values that are new in the trace, in the order of their making."""
        tracer = self._tracer
        if self._nodes is not tracer.nodes:
            self._nodes, self._numbered = tracer.nodes, 0
        known = (*tracer._index, *(value for _, value in tracer.captures.values()))
        made = [v for node in islice(self._nodes, self._numbered, None) for v in node.outputs]
        self._numbered = len(self._nodes)
        for value in (*known, *made):
            if value not in self._places:
                self._places[value] = len(self._values)
                self._values.append(value)

    def _skipped(self, heads: Sequence[Head], left: int) -> list[Node] | None:
        """Let a loop of so many steps stand for the last one if all that follow are like it.

        Returns
        -------
        list of Node, optional
            What each step records.
        """
        before, now = heads[-2:]
        if before.around != now.around or any(head.nodes is not now.nodes for head in heads):
            return None
        body = now.nodes[before.start : now.start]
        if before.state.where != now.state.where or now.state.differs(before.state):
            return None
        if (left + 2) * len(body) < 2 * enough(body) or any(map(has_effects, body)):
            return None
        moved = moves(before.state, now.state)
        if moved is None or has_more(self._tracer, before, now.state, None, self._places):
            return None
        found = self._loop(heads, body, moved, left)
        if found is None or not self._questions.untouched():
            return None
        now.nodes[:] = found
        self._numbered = len(found)
        return body

    def _loop(
        self, heads: Sequence[Head], body: list[Node], moved: dict[int, int], length: int
    ) -> list[Node] | None:
        """Return the nodes of the segment with a loop in the place of the step from `before` on.

        What Python sees after the loop are the values that it sees after that step. Those of them
        that were made before it, as in ``old = new``, get new names there.
        """
        earlier, before, now = heads[-3:]
        values = self._values
        carried = {was: place for was, place in moved.items() if was != place}
        pairs = [(values[was], values[place]) for was, place in carried.items()]
        late = {place for place in carried.values() if place < before.first}
        if not late <= moved.keys() or not all(_alike(old, new) for old, new in pairs):
            return None
        late = {place for place in late if moved[place] != place}
        if not pairs or not all(_arrives(x, moved, before.first) for x in late):
            return None
        if self._is_hidden(late, now):
            return None
        # Of the loop itself only: loops around it know older values by their names.
        steps = before.nodes[heads[0].start : before.start]
        before_it = renamed(steps, {values[place] for place in late})
        outside = self._constants(earlier, body, pairs, moved)
        if before_it is None or outside is None:
            return None
        nodes, names = before_it
        results: list[Value] = []
        for (_, new), place in zip(pairs, carried.values(), strict=True):
            own = (place >= before.first or place in late) and new not in results
            results.append(new if own else Value(new.spec))
        attrs = {
            "body": step_of(body, pairs, outside),
            "carries": len(pairs),
            "xs": 0,
            "length": length,
            "reverse": False,
        }
        operands = (*(names.get(old, old) for old, _ in pairs), *outside)
        node = Node(OPS["scan"], operands, attrs, tuple(results), body[0].line)
        return [*before.nodes[: heads[0].start], *nodes, node]

    def _is_hidden(self, late: set[int], now: Head) -> bool:
        """Tell whether Tensors that nothing shows hold what is to get a new name."""
        if not late or self._tracer.silenced:
            return bool(self._tracer.silenced)
        tensors = self._tracer.live_tensors()
        return any(
            place_of(t, self._places) in late for t in tensors if id(t) not in now.state.tensors
        )

    def _constants(
        self,
        earlier: Head,
        body: list[Node],
        pairs: list[tuple[Value, Value]],
        moved: dict[int, int],
    ) -> list[Value] | None:
        """Return what a step reads that is the same for all; None where that cannot be told."""
        known = {v for node in body for v in node.outputs} | {old for old, _ in pairs}
        read = [x for node in body for x in node.inputs if isinstance(x, Value)]
        found = dict.fromkeys(x for x in (*read, *(x for _, x in pairs)) if x not in known)
        places = [self._places[x] for x in found]
        if any(place >= earlier.first and place not in moved for place in places):
            return None
        return list(found)

    def _check(self, body: list[Node], start: int) -> None:
        """Raise if the last step has not recorded what the others did."""
        tracer = self._tracer
        if state.recorder is not tracer or not tracer.open:
            return
        last = tracer.nodes[start:] if tracer.nodes is self._nodes else []
        if [(n.op, n.line) for n in last] != [(n.op, n.line) for n in body]:
            why = "the last step of a loop is not like those before it, though all looks the same"
            tracer.fail(TraceError(located(why)))


def _arrives(place: int, moved: dict[int, int], first: int) -> bool:
    """Tell whether a value is one that some step soon before has made, or one that stays."""
    for _ in range(BACK):
        if place >= first or moved[place] == place:
            return True
        place = moved[place]
    return False


def _alike(old: Value, new: Value) -> bool:
    one, other = old.spec, new.spec
    if one.weak or other.weak or one.dtype != other.dtype or one.device != other.device:
        return False
    return same_shape(one.shape, other.shape)


def renamed(nodes: list[Node], old: set[Value]) -> tuple[list[Node], dict[Value, Value]] | None:
    """Return nodes in which some values have other names, and these; None if others make them."""
    names = {v: Value(v.spec) for v in old}
    found, missing = list(nodes), set(old)
    for i in reversed(range(len(nodes))):
        if not missing:
            break
        node = nodes[i]
        missing -= set(node.outputs)
        inputs = tuple(names.get(x, x) if isinstance(x, Value) else x for x in node.inputs)
        outputs = tuple(names.get(v, v) for v in node.outputs)
        found[i] = replace(node, inputs=inputs, outputs=outputs)
    return None if missing else (found, names)


def step_of(
    body: list[Node], pairs: list[tuple[Value, Value]], constants: list[Value]
) -> FuncGraph:
    """Return a step as a graph: from what is carried to what it has become."""
    given = [Value(old.spec) for old, _ in pairs]
    names: dict[Operand, Value] = dict(zip((old for old, _ in pairs), given, strict=True))
    fixed = [names.setdefault(x, Value(x.spec)) for x in constants]
    nodes = []
    for node in body:
        inputs = tuple(names.get(x, x) for x in node.inputs)
        outputs = tuple(Value(v.spec) for v in node.outputs)
        names.update(zip(node.outputs, outputs, strict=True))
        nodes.append(replace(node, inputs=inputs, outputs=outputs))
    results = tuple(names[new] for _, new in pairs)
    return FuncGraph(AGAIN, (*given, *fixed), (), with_unread(nodes, results), results)
