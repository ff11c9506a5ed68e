"""What a drawing of a graph shows: boxes and arrows, before they have a place."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Literal

from hybrid.core.fused import is_view
from hybrid.core.graph import Const, FuncGraph, Node, Value, bodies_of, format_attr
from hybrid.core.spec import TensorSpec
from hybrid.records import dataclass

Kind = Literal["input", "capture", "op", "view", "fused", "library", "output"]

_WIDTH = 30  # characters in a line of a box
_LONG = 14  # lines of a fused region that are shown
_LIBRARY = ("linalg", "fft", "random", "conv")  # families that run outside generated kernels


@dataclass(frozen=True, slots=True)
class Box:
    """One box: a bold first line and further lines."""

    kind: Kind
    title: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Panel:
    """The drawing of one graph; arrows are pairs of box numbers, sources before targets."""

    title: str
    boxes: tuple[Box, ...]
    arrows: tuple[tuple[int, int], ...]


def panel(
    graph: FuncGraph,
    title: str = "",
    names: Sequence[str] = (),
    results: Sequence[str] = (),
) -> Panel:
    """Return boxes and arrows for a graph.

    Parameters
    ----------
    graph : FuncGraph
    title : str
        By default the name of the graph.
    names : sequence of str
        What the inputs and then the captures are called.
    results : sequence of str
        What the outputs are called.
    """
    boxes: list[Box] = []
    arrows: dict[tuple[int, int], None] = {}
    home: dict[Value, int] = {}

    def add(box: Box, operands: Sequence[Value | Const] = ()) -> int:
        boxes.append(box)
        for x in operands:
            if isinstance(x, Value):
                arrows[home[x], len(boxes) - 1] = None
        return len(boxes) - 1

    used = {x for n in graph.nodes for x in n.inputs} | set(graph.outputs)
    for i, value in enumerate(graph.parameters):
        if value in used:
            kind: Kind = "input" if i < len(graph.inputs) else "capture"
            name = names[i] if i < len(names) else f"{kind} {i}"
            home[value] = add(Box(kind, name, (str(value.spec),)))
    for node in graph.nodes:
        number = add(_box(node), node.inputs)
        home.update(dict.fromkeys(node.outputs, number))
    for i, operand in enumerate(graph.outputs):
        name = results[i] if i < len(results) else f"output {i}"
        lines = (str(operand),) if isinstance(operand, Const) else ()
        add(Box("output", name, lines), (operand,))
    return Panel(title or graph.name, tuple(boxes), tuple(arrows))


def _box(node: Node) -> Box:
    specs = tuple(_specs([v.spec for v in node.outputs]))
    if node.op.name == "fused":
        body: FuncGraph = node.attrs["body"]
        return Box("fused", "one kernel", (*_region(body), *specs))
    plain = {k: v for k, v in sorted(node.attrs.items()) if k not in node.op.bodies}
    attrs = [f"{k}={format_attr(v)}" for k, v in plain.items() if _shown(k, v)]
    constants = [_constant(x) for x in node.inputs if isinstance(x, Const)]
    about = ", ".join(constants + attrs)
    kind: Kind = "op"
    if is_view(node):
        kind = "view"
    elif node.op.family in _LIBRARY:
        kind = "library"
    bodies = [line for body in bodies_of(node) for line in _body(body)]
    return Box(kind, node.op.name, (*textwrap.wrap(about, _WIDTH), *bodies, *specs))


def _body(body: FuncGraph) -> list[str]:
    """Return the name of a body and its ops, those of bodies in it included."""
    names = [name for node in body.nodes if not is_view(node) for name in _ops(node)]
    lines = textwrap.wrap(f"{body.name}: {', '.join(names) or 'nothing'}", _WIDTH)
    if len(lines) > _LONG:
        lines = [*lines[: _LONG - 1], f"... {len(names)} ops in all"]
    return lines


def _ops(node: Node) -> list[str]:
    if node.op.name == "fused":
        return [_named(inner) for inner in node.attrs["body"].nodes if not is_view(inner)]
    if not node.op.bodies:
        return [_named(node)]
    inner = [name for body in bodies_of(node) for part in body.nodes for name in _ops(part)]
    return [f"{node.op.name}({', '.join(inner)})"]


def _shown(name: str, attr: object) -> bool:
    """Leave out what the spec of the result says anyway, and what is off."""
    if name in ("shape", "dtype") or attr is False or attr is None:
        return False
    return len(format_attr(attr)) <= 2 * _WIDTH


def _constant(x: Const) -> str:
    return f"{x.value:g}" if isinstance(x.value, float) else str(x.value)


def _specs(specs: Sequence[TensorSpec]) -> list[str]:
    """Return each spec once, with the number of results that have it."""
    texts = [str(s) for s in specs]
    return [
        text if texts.count(text) == 1 else f"{texts.count(text)} x {text}"
        for text in dict.fromkeys(texts)
    ]


def _region(body: FuncGraph) -> list[str]:
    """Return the ops of a fused region, in order."""
    names = [_named(node) for node in body.nodes if not is_view(node)]
    lines = textwrap.wrap(", ".join(names), _WIDTH)
    if len(lines) > _LONG:
        lines = [*lines[: _LONG - 1], f"... {len(names)} ops in all"]
    return lines


def _named(node: Node) -> str:
    if node.op.reduce is not None:
        return f"{node.op.name}[{','.join(map(str, node.attrs['axis']))}]"
    return node.op.name
