"""Expansion: an op that is written with simpler ones is replaced by these, where they fuse.

``softmax``, ``mean`` or ``var`` are one NumPy call in eager code; in a graph their parts become one
kernel together with what is around them. An op whose parts would not all fuse stays as it is.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from functools import lru_cache
from typing import Any

from hybrid.core.graph import Builder, FuncGraph, Node, Value
from hybrid.core.op import Op
from hybrid.core.spec import TensorSpec
from hybrid.trace.passes.grouping import FUSABLE
from hybrid.trace.recorder import trace_pure


def run(graph: FuncGraph) -> FuncGraph:
    """Replace the composite nodes whose parts fuse."""
    builder = Builder()
    for node in graph.nodes:
        parts = _expansion(node)
        if parts is None:
            builder.copy(node)
        else:
            _inline(builder, node, parts)
    return builder.finish(graph) if builder.replaced else graph


def _expansion(node: Node) -> FuncGraph | None:
    if node.op.expand is None or node.op.impure:
        return None
    specs = tuple(x.spec for x in node.inputs)
    if any(spec.dtype not in FUSABLE for spec in specs):
        return None
    attrs: tuple[tuple[str, Hashable], ...] = tuple(sorted(node.attrs.items()))
    parts = _parts(node.op, specs, attrs)
    if parts is None:
        return None
    # An expansion that promotes otherwise than the op itself is not the op.
    same = all(
        (x.spec.shape, x.spec.dtype) == (v.spec.shape, v.spec.dtype)
        for x, v in zip(parts.outputs, node.outputs, strict=True)
    )
    return parts if same else None


@lru_cache(maxsize=512)
def _parts(
    op: Op, specs: tuple[TensorSpec, ...], attrs: tuple[tuple[str, Any], ...]
) -> FuncGraph | None:
    """Return the graph of an op's expansion, composites in it expanded too; None if it pays not."""
    assert op.expand is not None
    function = op.expand
    graph, _ = trace_pure(op.name, lambda *inputs: function(*inputs, **dict(attrs)), specs)
    graph = run(graph)
    if not graph.outputs:  # the rule itself says that it pays not
        return None
    return graph if _is_closed(graph) and all(map(_fuses, graph.nodes)) else None


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
