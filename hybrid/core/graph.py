"""FuncGraph: a typed graph in static single assignment form, and its printed text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field, replace
from typing import Any, Final

import numpy as np

from hybrid import dtypes
from hybrid.core.op import Attrs, Op
from hybrid.core.source import SourceLine
from hybrid.core.spec import TensorSpec
from hybrid.core.unknown import spell
from hybrid.errors import GraphError
from hybrid.records import dataclass


class Value:
    """A result of a node, an input or a capture; two Values are equal if they are the same."""

    __slots__ = ("spec",)

    def __init__(self, spec: TensorSpec) -> None:
        self.spec = spec

    def __repr__(self) -> str:
        return f"<value {self.spec}>"


@dataclass(frozen=True, slots=True)
class Const:
    """A scalar literal among the inputs of a node."""

    value: bool | int | float | complex
    dtype: dtypes.DType

    @property
    def spec(self) -> TensorSpec:
        """The 0-d spec of the literal."""
        return TensorSpec((), self.dtype)

    def key(self) -> tuple[str, dtypes.DType]:
        """Identify the literal exactly: ``-0.0`` differs from ``0.0``, NaN equals NaN."""
        return repr(self.value), self.dtype  # to make its name takes NumPy 1 us

    def __str__(self) -> str:
        return f"{self.value}:{dtypes.short(self.dtype)}"


Operand = Value | Const


@dataclass(eq=False, slots=True)
class Node:
    """One application of an op.

    It never changes, and mypy sees to that: a frozen dataclass takes 0.9 us longer to make.
    """

    op: Final[Op]
    inputs: Final[tuple[Operand, ...]]
    attrs: Final[Attrs]
    outputs: Final[tuple[Value, ...]]
    line: Final[SourceLine | None] = None

    @property
    def output(self) -> Value:
        """The result of a node that has one."""
        return self.outputs[0]


def bodies_of(node: Node) -> tuple[FuncGraph, ...]:
    """Return the graphs that a node runs."""
    return _bodies(node.op, node.attrs)


def _bodies(op: Op, attrs: Attrs) -> tuple[FuncGraph, ...]:
    found: list[FuncGraph] = []
    for name in op.bodies:
        attr = attrs[name]
        found += attr if isinstance(attr, tuple) else (attr,)
    return tuple(found)


def has_effects(node: Node) -> bool:
    """Tell whether a node must run at each call, in order: it, or a node of its bodies."""
    if not node.op.bodies:
        return node.op.impure
    return any(has_effects(inner) for body in bodies_of(node) for inner in body.nodes)


def acts(op: Op, attrs: Attrs) -> bool:
    """Tell whether somebody outside notices each run of an op: it, or a node of its bodies."""
    inner = (node for body in _bodies(op, attrs) for node in body.nodes)
    return op.acts or any(acts(node.op, node.attrs) for node in inner)


def may_fail(op: Op, attrs: Attrs) -> bool:
    """Tell whether elements may be such that an op raises an error: it, or a node of its bodies."""
    if op.raises or not op.bodies:
        return op.raises
    return any(may_fail(node.op, node.attrs) for body in _bodies(op, attrs) for node in body.nodes)


@dataclass(frozen=True, eq=False, slots=True)
class FuncGraph:
    """A function as a graph: inputs, captures, nodes in order, outputs.

    Parameters
    ----------
    name : str
    inputs : tuple of Value
        The leaves of the arguments.
    captures : tuple of Value
        Tensors and Variables from outside, read by reference at each call.
    nodes : tuple of Node
        In an order in which they can run.
    outputs : tuple of Value or Const
    """

    name: str
    inputs: tuple[Value, ...]
    captures: tuple[Value, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Operand, ...]

    def __str__(self) -> str:
        return format_graph(self)

    @property
    def parameters(self) -> tuple[Value, ...]:
        """Inputs and captures: what the graph is called with."""
        return self.inputs + self.captures


def verify(graph: FuncGraph) -> FuncGraph:
    """Check that each value is defined once and before use and that specs follow from the ops.

    Returns
    -------
    FuncGraph
        `graph` itself.

    Raises
    ------
    GraphError
        Naming the node that breaks a rule.
    """
    defined: set[Value] = set()
    for value in graph.parameters:
        _define(value, defined, graph, "parameter")
    for node in graph.nodes:
        for operand in node.inputs:
            if isinstance(operand, Value) and operand not in defined:
                raise GraphError(f"{graph.name}: {node.op.name} uses a value before it is defined")
        _check_specs(graph, node)
        for value in node.outputs:
            _define(value, defined, graph, node.op.name)
    for operand in graph.outputs:
        if isinstance(operand, Value) and operand not in defined:
            raise GraphError(f"{graph.name}: an output is not defined by any node")
    return graph


def _define(value: Value, defined: set[Value], graph: FuncGraph, where: str) -> None:
    if value in defined:
        raise GraphError(f"{graph.name}: {where} defines a value a second time")
    defined.add(value)


def _check_specs(graph: FuncGraph, node: Node) -> None:
    specs = tuple(operand.spec for operand in node.inputs)
    if node.op.compute is not None:
        wanted = node.op.compute(specs)
        found = tuple(spec.dtype for spec in specs)
        if wanted != found:
            raise GraphError(
                f"{graph.name}: {node.op.name} computes in {wanted} but is given {found}"
            )
    inferred = node.op.infer(*specs, **node.attrs)
    results = inferred if node.op.multi else (inferred,)
    declared = tuple(value.spec for value in node.outputs)
    for have, want in zip(declared, results, strict=True):
        if (have.shape, have.dtype) != (want.shape, want.dtype):
            raise GraphError(f"{graph.name}: {node.op.name} gives {want}, declared as {have}")


# --- rebuilding -----------------------------------------------------------------------------------


@dataclass(slots=True)
class Builder:
    """Rebuilds a graph node by node; what every pass is written with.

    `operand` maps an operand of the old graph to the new one; nodes that a pass leaves alone are
    copied with `copy`.
    """

    replaced: dict[Value, Operand] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)

    def operand(self, old: Operand) -> Operand:
        """Return what stands for `old` in the new graph."""
        return self.replaced.get(old, old) if isinstance(old, Value) else old

    def operands(self, node: Node) -> tuple[Operand, ...]:
        """Return what stands for the inputs of `node` in the new graph."""
        return tuple(self.operand(x) for x in node.inputs)

    def copy(self, node: Node) -> Node:
        """Append `node` with its inputs mapped; its outputs stay the same Values."""
        inputs = self.operands(node)
        same = all(a is b for a, b in zip(inputs, node.inputs, strict=True))
        new = node if same else replace(node, inputs=inputs)
        self.nodes.append(new)
        return new

    def emit(
        self, op: Op, inputs: Iterable[Operand], attrs: Attrs, line: SourceLine | None = None
    ) -> tuple[Value, ...]:
        """Append a new node; its specs come from the op's own rule."""
        operands = tuple(inputs)
        inferred = op.infer(*(x.spec for x in operands), **attrs)
        specs = inferred if op.multi else (inferred,)
        node = Node(op, operands, attrs, tuple(Value(spec) for spec in specs), line)
        self.nodes.append(node)
        return node.outputs

    def replace(self, old: Value, new: Operand) -> None:
        """Let later uses of `old` mean `new`."""
        self.replaced[old] = new

    def finish(self, graph: FuncGraph) -> FuncGraph:
        """Return `graph` with the new nodes."""
        outputs = tuple(self.operand(x) for x in graph.outputs)
        return replace(graph, nodes=tuple(self.nodes), outputs=outputs)


def uses(graph: FuncGraph) -> dict[Value, int]:
    """Count the uses of each value, outputs of the graph included."""
    count: dict[Value, int] = {}
    for operand in _all_operands(graph):
        if isinstance(operand, Value):
            count[operand] = count.get(operand, 0) + 1
    return count


def last_uses(graph: FuncGraph) -> dict[Value, int]:
    """Return which node reads a value last; one beyond the end for a result of the graph."""
    last: dict[Value, int] = {}
    for i, node in enumerate(graph.nodes):
        for x in node.inputs:
            if type(x) is Value:
                last[x] = i
    for x in graph.outputs:
        if type(x) is Value:
            last[x] = len(graph.nodes)
    return last


def _all_operands(graph: FuncGraph) -> Iterator[Operand]:
    for node in graph.nodes:
        yield from node.inputs
    yield from graph.outputs


# --- printing -------------------------------------------------------------------------------------


def format_graph(graph: FuncGraph, *, lines: bool = True) -> str:
    """Print a graph as stable text: values are numbered in order of definition.

    Parameters
    ----------
    graph : FuncGraph
    lines : bool
        Show the user's source line behind each node.
    """
    names: dict[Value, str] = {}
    for value in graph.inputs:
        names[value] = f"%{len(names)}"
    for i, value in enumerate(graph.captures):
        names[value] = f"%c{i}"
    header = ", ".join(f"{names[v]}: {v.spec}" for v in graph.parameters)
    number = len(graph.inputs)
    text = [f"{graph.name}({header}) {{"]
    rows: list[tuple[str, str]] = []
    for node in graph.nodes:
        for value in node.outputs:
            names[value] = f"%{number}"
            number += 1
        rows.append((_format_node(node, names), str(node.line) if node.line else ""))
    width = min(max((len(left) for left, _ in rows), default=0), 72)
    for left, where in rows:
        text.append(f"  {left:<{width}}  # {where}".rstrip(" #") if lines else f"  {left}")
    results = ", ".join(_name(x, names) for x in graph.outputs)
    text += [f"  return {results}".rstrip(), "}"]
    return "\n".join(text)


def _format_node(node: Node, names: dict[Value, str]) -> str:
    results = ", ".join(f"{names[v]}: {v.spec}" for v in node.outputs)
    parts = [_name(x, names) for x in node.inputs]
    parts += [f"{k}={format_attr(v)}" for k, v in sorted(node.attrs.items())]
    call = f"{node.op.name}({', '.join(parts)})"
    return f"{results} = {call}" if results else call


def _name(operand: Operand, names: dict[Value, str]) -> str:
    return str(operand) if isinstance(operand, Const) else names.get(operand, "%?")


def format_attr(value: Any) -> str:
    """Print one attribute of a node."""
    if isinstance(value, np.dtype):
        return dtypes.short(value)
    if isinstance(value, FuncGraph):
        inner = format_graph(value, lines=False).split("\n")
        return "\n    ".join(inner)
    if isinstance(value, tuple):
        graphs = any(isinstance(v, FuncGraph) for v in value)
        inside = (", " if graphs else ",").join(format_attr(v) for v in value)
        return f"({inside})"
    return spell(value)
