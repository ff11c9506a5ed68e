"""Expansion: an op that is written with simpler ones is replaced by these, where they fuse.

``softmax``, ``mean`` or ``var`` are one NumPy call in eager code; in a graph their parts become one
kernel together with what is around them. An op whose parts would not all fuse stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import replace
from functools import lru_cache
from typing import Any

from hybrid.core.devices import CPU, DeviceScope
from hybrid.core.graph import Builder, FuncGraph, Node, Value
from hybrid.core.op import Op
from hybrid.core.spec import TensorSpec
from hybrid.trace.passes.grouping import FUSABLE
from hybrid.trace.recorder import trace_pure


def run(graph: FuncGraph) -> FuncGraph:
    """Replace the composite nodes whose parts fuse."""
    return _expanded(graph, frozenset(graph.parameters))


def _expanded(graph: FuncGraph, stored: Set[Value]) -> FuncGraph:
    """Expand the nodes of a graph of whose parameters some lie in memory: those `stored`."""
    builder = Builder()
    swept = _swept(graph, stored)
    for node in graph.nodes:
        parts = _expansion(node, swept)
        if parts is None:
            builder.copy(node)
        else:
            _inline(builder, node, parts)
    return builder.finish(graph) if builder.replaced else graph


def _swept(graph: FuncGraph, stored: Set[Value]) -> set[tuple[Value, object]]:
    """Return which arrays in memory are reduced more than once, and along which axes."""
    lying = set(stored)
    found = set()
    for node in graph.nodes:
        source = node.inputs[0] if node.inputs else None
        if not isinstance(source, Value):
            continue
        if source in lying if node.op.view else not node.op.fusable and node.op.expand is None:
            lying.update(node.outputs)
        if node.op.sweep is not None and source in lying and _reductions(node) > 1:
            found.add((source, node.attrs["axis"]))
    return found


def _reductions(node: Node) -> int:
    """Return how often the plain expansion of a node reduces: each time it reads the input."""
    parts = _plain(node)
    return 0 if parts is None else sum(n.op.reduce is not None for n in parts.nodes)


def _expansion(node: Node, swept: Set[tuple[Value, object]]) -> FuncGraph | None:
    parts = None
    if node.op.sweep is not None and (node.inputs[0], node.attrs["axis"]) in swept:
        parts = _parts(node.op, node.op.sweep, *_arguments(node))
    parts = parts or _plain(node)
    if parts is None:
        return None
    # An expansion that promotes otherwise than the op itself is not the op.
    same = all(
        (x.spec.shape, x.spec.dtype) == (v.spec.shape, v.spec.dtype)
        for x, v in zip(parts.outputs, node.outputs, strict=True)
    )
    return parts if same else None


def _plain(node: Node) -> FuncGraph | None:
    op = node.op
    if op.expand is None or op.impure or any(x.spec.dtype not in FUSABLE for x in node.inputs):
        return None
    return _parts(op, op.expand, *_arguments(node))


def _arguments(node: Node) -> tuple[tuple[TensorSpec, ...], tuple[tuple[str, Any], ...]]:
    return tuple(x.spec for x in node.inputs), tuple(sorted(node.attrs.items()))


@lru_cache(maxsize=512)
def _parts(
    op: Op,
    function: Callable[..., Any],
    specs: tuple[TensorSpec, ...],
    attrs: tuple[tuple[str, Any], ...],
) -> FuncGraph | None:
    """Return the graph of an op's expansion, composites in it expanded too; None if it pays not."""

    def parts(*inputs: Any) -> Any:
        found = function(*inputs, **dict(attrs))
        return () if found is None else found

    # What an expansion makes of nothing is to be where the inputs are.
    with DeviceScope(next((s.device for s in specs if s.device != CPU), CPU)):
        graph, _ = trace_pure(op.name, parts, specs)
    graph = _expanded(graph, frozenset())
    if not graph.outputs:  # the rule itself says that it pays not
        return None
    # The op itself, in another dtype, pays: the casts around it fuse with what is around them.
    fused = all(node.op is op or _fuses(node) for node in graph.nodes)
    return graph if fused and _is_closed(graph) else None


def _fuses(node: Node) -> bool:
    op = node.op
    if any(v.spec.dtype not in FUSABLE for v in node.outputs):
        return False
    # What has no inputs is computed once, when the Plan is made.
    alone = not node.inputs and not op.impure
    return alone or op.view is not None or op.computed or op.draws


def _is_closed(graph: FuncGraph) -> bool:
    """Tell whether a graph reads nothing but its inputs."""
    known = {*graph.inputs, *(v for node in graph.nodes for v in node.outputs)}
    read = [x for node in graph.nodes for x in node.inputs]
    return all(x in known for x in (*read, *graph.outputs) if isinstance(x, Value))


def _inline(builder: Builder, node: Node, parts: FuncGraph) -> None:
    """Append the nodes of `parts` in the place of `node`."""
    inside = Builder(dict(zip(parts.inputs, builder.operands(node), strict=True)))
    for part in parts.nodes:
        outputs = tuple(Value(v.spec) for v in part.outputs)
        inputs = inside.operands(part)
        builder.nodes.append(replace(part, inputs=inputs, outputs=outputs, line=node.line))
        for old, new in zip(part.outputs, outputs, strict=True):
            inside.replace(old, new)
    for value, result in zip(node.outputs, parts.outputs, strict=True):
        builder.replace(value, inside.operand(result))
