"""Loops found in a graph, and the nodes that run them: what :mod:`rolling` is written with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hybrid import dtypes
from hybrid.core.graph import Builder, Const, FuncGraph, Node, Operand, Value
from hybrid.core.op import OPS
from hybrid.core.source import SourceLine
from hybrid.core.spec import TensorSpec
from hybrid.records import dataclass
from hybrid.trace.passes.places import Places
from hybrid.trace.passes.sliding import Rows, slide


@dataclass(frozen=True, slots=True)
class Past:
    """A result of an earlier step: of which node, which one, and how many steps back."""

    node: int
    output: int
    back: int


Position = tuple[int, int]
"""A node of a step, and one of its results."""
Step = list[tuple["Past | None", ...]]
"""For each operand of each node of a step: the result of an earlier step that it is, if any."""


@dataclass(frozen=True, slots=True)
class Loop:
    """Nodes `start` up to `stop` of a graph, `period` for each step.

    Attributes
    ----------
    step : list
        What its last step reads of earlier ones; all steps do, but for the first few.
    first : dict
        What the values of the past are before the first step.
    after : dict
        The values that are read after the loop, in the same terms.
    rows : dict
        For results that are read after the loop of early steps too: number and value of these
        steps. The loop stacks them.
    left_out : int
        Steps besides, in the midst of the others and like them.
    """

    start: int
    stop: int
    period: int
    step: Step
    first: dict[Past, Value]
    after: dict[Past, Value]
    rows: dict[Position, list[tuple[int, Value]]]
    left_out: int = 0

    @property
    def place(self) -> tuple[int, int, int]:
        """From where to where it reaches, and the number of nodes in a step."""
        return self.start, self.stop, self.period

    @property
    def length(self) -> int:
        """The number of its steps."""
        return (self.stop - self.start) // self.period + self.left_out

    def carries(self) -> list[Past]:
        """Return what is handed from step to step, what one step back made before the rest."""
        deep: dict[tuple[int, int], int] = {}
        for past in (*self.first, *self.after):
            key = past.node, past.output
            deep[key] = max(deep.get(key, 0), past.back)
        return [Past(*key, back) for key in sorted(deep) for back in range(1, deep[key] + 1)]


def emit(builder: Builder, places: Places, loop: Loop) -> None:
    """Append the node that runs the loop; what is read later keeps its values."""
    begin = loop.stop - loop.period
    nodes = places.nodes[begin : loop.stop]
    carries = loop.carries()
    made = {past: nodes[past.node].outputs[past.output] for past in carries}
    given = {past: Value(v.spec) for past, v in made.items()}
    inside: dict[Value, Value] = {v: Value(v.spec) for n in nodes for v in n.outputs}
    outside: dict[Value, Value] = {}

    def operand(x: Operand, past: Past | None) -> Operand:
        if past is not None:
            return given[past]
        if isinstance(x, Const):
            return x
        return inside[x] if x in inside else outside.setdefault(x, Value(x.spec))

    copies = []
    rows = Rows(loop.length)
    for i, (node, row) in enumerate(zip(nodes, loop.step, strict=True), loop.start):
        operands = tuple(operand(x, past) for x, past in zip(node.inputs, row, strict=True))
        steps = places.nodes[i : loop.stop : loop.period]
        copy = slide(steps, places.moves(i, loop.period), operands, rows)
        copies.append(replace(copy, outputs=tuple(inside[v] for v in node.outputs)))
    results = [
        inside[made[past]] if past.back == 1 else given[replace(past, back=past.back - 1)]
        for past in carries
    ]
    inputs = (*given.values(), *rows.given, *outside.values())
    kept = [nodes[i].outputs[j] for i, j in loop.rows]
    stacked = (*results, *(inside[v] for v in kept))
    body = FuncGraph("step", inputs, (), tuple(copies), stacked)
    start = [loop.first.get(past) or _nothing(builder, made[past].spec) for past in carries]
    attrs: dict[str, Any] = {
        "body": body,
        "carries": len(carries),
        "xs": len(rows.given),
        "length": loop.length,
        "reverse": False,
    }
    outputs = tuple(loop.after.get(past) or Value(made[past].spec) for past in carries)
    ys = [Value(replace(v.spec, shape=(loop.length, *v.spec.shape))) for v in kept]
    line = nodes[0].line
    builder.nodes += rows.nodes
    operands = (*start, *rows.arrays, *outside)
    builder.nodes.append(Node(OPS["scan"], operands, attrs, (*outputs, *ys), line))
    for array, wanted in zip(ys, loop.rows.values(), strict=True):
        for number, value in wanted:
            builder.nodes += _row(array, number, value, line)


def _row(array: Value, number: int, value: Value, line: SourceLine | None) -> tuple[Node, Node]:
    """Return the nodes that make `value`, a row of a stacked result."""
    shape = value.spec.shape
    part = Value(replace(value.spec, shape=(1, *shape)))
    attrs = {
        "starts": (number, *(0 for _ in shape)),
        "sizes": part.spec.shape,
        "steps": (1,) * part.spec.ndim,
    }
    return (
        Node(OPS["slice"], (array,), attrs, (part,), line),
        Node(OPS["squeeze"], (part,), {"axis": (0,)}, (value,), line),
    )


def _nothing(builder: Builder, spec: TensorSpec) -> Value:
    """Return what stands for a value before the first step that no step reads."""
    attrs = {"shape": spec.shape, "dtype": spec.dtype}
    return builder.emit(OPS["full"], (Const(False, dtypes.bool_),), attrs)[0]
