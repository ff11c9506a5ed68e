"""A segment made of the nodes that a trace has recorded: what it is given, hands on and writes."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from hybrid.core.graph import FuncGraph, Value
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import Tensor
from hybrid.trace.background import Planner
from hybrid.trace.outside import OutsideRecorder
from hybrid.trace.same_graphs import SameGraphs
from hybrid.trace.segment import Segment
from hybrid.trace.sized import Sized
from hybrid.trace.sources import Environment, Fill, Write
from hybrid.trace.unread import recorded, with_unread


class SegmentRecorder(OutsideRecorder):
    """Records a call, and knows where in the environment each value is.

    Parameters
    ----------
    name, arguments, environment, first
        See :class:`~hybrid.trace.outside.OutsideRecorder`.
    planner : Planner, optional
        Makes Plans in the background.
    same : SameGraphs, optional
        Those of the function.

    Attributes
    ----------
    passed : list of (Segment, value)
        The segments that have run by now, with the values met at their guards.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[Any],
        environment: Environment,
        *,
        first: bool,
        planner: Planner | None,
        same: SameGraphs[Sized] | None = None,
    ) -> None:
        super().__init__(name, arguments, environment, first=first)
        self._planner = planner
        self._same = same
        self._index: dict[Value, int] = {}
        self._seen_captures = 0
        self._size = 0
        self.passed: list[tuple[Segment, Any]] = []

    def _known_segment(self) -> Segment | None:
        """Return the segment that these nodes have been before, if they have."""
        return None

    def _fills(self) -> tuple[Fill, ...]:
        """Return what goes from lists and dicts of Python's to the environment with a segment."""
        return ()

    def argument(self, leaf: int, spec: TensorSpec) -> Tensor:
        """Return the Tensor that stands for an argument, the next in the environment."""
        tensor = super().argument(leaf, spec)
        self._enter(tensor._data.value)
        return tensor

    def _enter(self, value: Value) -> None:
        self._index[value] = self._size
        self._size += 1

    @property
    def size(self) -> int:
        """How many values the environment has."""
        return self._size

    def _segment(self, extra: list[Value], guard: type | None, result: Any = ...) -> Segment:
        new_captures = list(self.captures.values())[self._seen_captures :]
        self._seen_captures = len(self.captures)
        for _, value in new_captures:
            self._enter(value)
        before_writes = {leaf: value for leaf, _, value in self.inputs}
        writes = self.pending_writes()
        outputs = self._outputs(extra, result, len(writes))
        written = [value for _, value, _ in writes]
        parameters = self._parameters([*written, *outputs])
        before = dict(self._index)
        for value in outputs:
            self._enter(value)
        places: list[Write] = []
        for target, _, rebind in writes:
            # A fresh buffer for each write: the world outside must not share it with a result.
            places.append(Write(target, self._size, rebind))
            self._size += 1
        fills = self._fills()
        self._size += sum(fill.new for fill in fills)
        new = {value for _, value in new_captures}
        depth = len(self.passed)
        graph = FuncGraph(
            f"{self.name}.{depth}" if depth else self.name,
            tuple(v for v in parameters if v not in new),
            tuple(v for v in parameters if v in new),
            with_unread(self.nodes, {*outputs, *written}),
            (*outputs, *written),
        )
        return Segment(
            graph,
            tuple(before[v] for v in graph.parameters),
            tuple(source for source, _ in new_captures),
            tuple(places),
            fills,
            (guard, self._index[extra[0]]) if guard else None,
            planner=self._planner,
            same=self._same,
            replaced=dict(self._replaced(graph, writes, before_writes)),
            fixed=frozenset(c for c in self.unknowns.conditions if c.fixes is not None),
        )

    def _replaced(
        self, graph: FuncGraph, writes: list[tuple[Any, Value, bool]], before: dict[int, Value]
    ) -> Iterator[tuple[int, int]]:
        """Yield the outputs that are written to the world outside, with what was there before."""
        numbers = {value: number for number, value in enumerate(graph.parameters)}
        first = len(graph.outputs) - len(writes)
        for output, (target, _, _) in enumerate(writes, first):
            captured = self.captures.get(id(target), (None, None))[1]
            old = before[target] if type(target) is int else captured
            if old in numbers:
                yield output, numbers[old]

    def _outputs(self, extra: list[Value], result: Any, written: int) -> list[Value]:
        """Return what a segment hands on: `result`, or all that something still refers to.

        Reference cycles keep more alive in one trace than in another, until the garbage collector
        comes by. So a segment that is known already hands on what it did when it was traced first.
        """
        if result is not ...:
            return self._new(extra, result)
        alive = self._new(extra, self.live_values())
        known = self._known_segment()
        if known is None:
            return alive
        before = self._outputs_of(known.graph, written)
        if not before.keys() >= set(alive):
            gc.collect()
            alive = self._new(extra, self.live_values())
        return list(before) if before.keys() >= set(alive) else alive

    def _new(self, *values: list[Value]) -> list[Value]:
        return list(dict.fromkeys(v for v in chain(*values) if v not in self._index))

    def _outputs_of(self, graph: FuncGraph, written: int) -> dict[Value, None]:
        """Return what a known segment of these nodes hands on, but for what it writes."""
        pairs = zip(recorded(graph.nodes), self.nodes, strict=False)
        now = {a: b for old, new in pairs for a, b in zip(old.outputs, new.outputs, strict=False)}
        handed_on = graph.outputs[: len(graph.outputs) - written]
        return {now[x]: None for x in handed_on if isinstance(x, Value) and x in now}

    def _parameters(self, results: list[Value]) -> list[Value]:
        """Return the values from before this segment that it uses; the first takes all inputs."""
        used = {x for node in self.nodes for x in node.inputs if isinstance(x, Value)}
        used.update(results)
        first = {value for _, _, value in self.inputs} if not self.passed else set()
        return [v for v in self._index if v in used or v in first]
