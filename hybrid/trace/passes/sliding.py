"""Nodes whose slices and literals differ from step to step, written with the step's number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import field, replace

from hybrid import dtypes
from hybrid.core.graph import Builder, Const, FuncGraph, Node, Operand, Value
from hybrid.core.op import OPS, Attrs
from hybrid.core.spec import TensorSpec
from hybrid.records import dataclass
from hybrid.trace.passes.likeness import WRITES, chain_of, has_free_literals, literals

COUNTER = TensorSpec((), dtypes.int64)


@dataclass(slots=True)
class Rows:
    """What the steps of a loop take one row of each: the steps' numbers, and literals."""

    length: int
    arrays: list[Value] = field(default_factory=list)
    given: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    _counter: Value | None = None

    def counter(self) -> Value:
        """Return what stands in the body for the number of the step."""
        if self._counter is None:
            attrs = {"start": 0, "stop": self.length, "step": 1, "dtype": dtypes.int64}
            self._counter = self._add("arange", (), attrs, COUNTER)
        return self._counter

    def literal(self, values: tuple[Const, ...]) -> Value | None:
        """Return what stands for a literal that has these values; None where they are equal."""
        if len({value.key() for value in values}) == 1:
            return None
        return self._add("stack", values, {"axis": 0}, values[0].spec)

    def _add(self, op: str, inputs: tuple[Operand, ...], attrs: Attrs, spec: TensorSpec) -> Value:
        builder = Builder()
        self.arrays += builder.emit(OPS[op], inputs, attrs)
        self.nodes += builder.nodes
        self.given.append(Value(spec))
        return self.given[-1]


def slide(
    steps: Sequence[Node], moves: tuple[int, ...], inputs: tuple[Operand, ...], rows: Rows
) -> Node:
    """Return the node that stands for one node of each step.

    Parameters
    ----------
    steps : sequence of Node
        The node at each step.
    moves : tuple of int
        How far each start of its slices moves from step to step.
    inputs : tuple of Operand
        In the body of the loop, literals among them.
    rows : Rows
        What the steps differ in is added to it.
    """
    values = [rows.literal(each) for each in _literals(steps)]
    node = replace(steps[0], inputs=inputs)
    if not any(moves) and not any(values):
        return node
    return _slid(node, iter(moves), iter(values), rows.counter)


def _literals(steps: Sequence[Node]) -> Iterator[tuple[Const, ...]]:
    """Yield the literals of one node of each step, place by place; of one step for all
    where these have the very same."""
    first = steps[0]
    if first.op.name != "scan":  # told soon where all steps have the very same ones
        places = [i for i, x in enumerate(first.inputs) if type(x) is Const]
        if all(len({id(node.inputs[i]) for node in steps}) == 1 for i in places):
            steps = steps[:1]
    return zip(*map(literals, steps), strict=True)


def _slid(
    node: Node,
    moves: Iterator[int],
    values: Iterator[Value | None],
    counter: Callable[[], Value],
) -> Node:
    if node.op.name == "scan":
        return _slid_loop(node, moves, values, counter)
    inputs = node.inputs
    if has_free_literals(node):
        inputs = tuple((next(values) or x) if isinstance(x, Const) else x for x in inputs)
    chain = chain_of(node)
    by = tuple(tuple(next(moves) for _ in attrs.get("starts", ())) for _, attrs in chain)
    if not any(map(any, by)):
        return replace(node, inputs=inputs)
    attrs = {
        "chain": tuple((name, tuple(sorted(attrs.items()))) for name, attrs in chain),
        "moves": (*node.attrs.get("moves", ()), by),
    }
    op = OPS["moving_update" if node.op.name in WRITES else "moving_view"]
    return Node(op, (*inputs, counter()), attrs, node.outputs, node.line)


def _slid_loop(
    node: Node,
    moves: Iterator[int],
    values: Iterator[Value | None],
    counter: Callable[[], Value],
) -> Node:
    """Hand the number of the outer loop's step, and its literals, to the body of an inner one."""
    outside: dict[Value, Value] = {}

    def inside(x: Value) -> Value:
        return outside.setdefault(x, Value(x.spec))

    body: FuncGraph = node.attrs["body"]
    given = (None if x is None else inside(x) for x in values)
    nodes = tuple(_slid(inner, moves, given, lambda: inside(counter())) for inner in body.nodes)
    body = replace(body, nodes=nodes, inputs=(*body.inputs, *outside.values()))
    attrs = {**node.attrs, "body": body}
    return replace(node, attrs=attrs, inputs=(*node.inputs, *outside))
