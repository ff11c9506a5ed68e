"""Unrolling: several steps of a scan become one, where one kernel then does them in one sweep.

A step that is elementwise only reads its carries and writes them again. Where these are too large
for the caches that takes longer than the arithmetic; four steps in one kernel go through memory
once. The arithmetic and its order stay the same, and so do the results, bit for bit.
"""

from __future__ import annotations

from dataclasses import replace

from hybrid.core.graph import Builder, FuncGraph, Node, Operand, Value, has_effects
from hybrid.trace.passes import dead_code
from hybrid.trace.passes.grouping import is_fusable

LARGE = 1 << 20
"""Bytes of carries from which on it pays: what a core's own caches hold."""
STEPS = 4
"""How many become one: the memory traffic falls to a quarter, and a kernel stays small."""
NODES = 32
"""In a step at most: more take longer than their way through memory."""


def run(graph: FuncGraph) -> FuncGraph:
    """Do several steps at once in scans over large carries."""
    builder = Builder()
    for node in graph.nodes:
        if _pays(node):
            _unroll(builder, node)
        else:
            builder.copy(node)
    return builder.finish(graph) if builder.replaced else graph


def _pays(node: Node) -> bool:
    """Tell whether a node is a counted loop over large carries, elementwise in each step."""
    attrs = node.attrs
    if "carries" not in attrs or attrs.get("length", 0) < 2 * STEPS or attrs["xs"]:
        return False
    body: FuncGraph = attrs["body"]
    stacks = len(body.outputs) > attrs["carries"]
    if stacks or len(body.nodes) > NODES or has_effects(node):
        return False
    carried = sum(x.spec.nbytes for x in body.outputs)
    return carried >= LARGE and all(n.op.elementwise and is_fusable(n) for n in body.nodes)


def _unroll(builder: Builder, node: Node) -> None:
    """Append a loop of longer steps, and one of the steps that are left."""
    body, length, carries = node.attrs["body"], node.attrs["length"], node.attrs["carries"]
    inputs = builder.operands(node)
    for count, step in ((length // STEPS, _repeated(body, carries)), (length % STEPS, body)):
        if count:
            attrs = {**node.attrs, "body": step, "length": count}
            results = builder.emit(node.op, inputs, attrs, node.line)
            inputs = (*results, *inputs[carries:])
    for old, new in zip(node.outputs, inputs, strict=False):
        builder.replace(old, new)


def _repeated(body: FuncGraph, carries: int) -> FuncGraph:
    """Return a body that does several steps."""
    nodes: list[Node] = []
    given: tuple[Operand, ...] = body.inputs
    for _ in range(STEPS):
        step = Builder(dict(zip(body.inputs, given, strict=True)))
        for node in body.nodes:
            outputs = tuple(Value(v.spec) for v in node.outputs)
            nodes.append(replace(node, inputs=step.operands(node), outputs=outputs))
            step.replaced.update(zip(node.outputs, outputs, strict=True))
        results = tuple(map(step.operand, body.outputs))
        given = (*results, *body.inputs[carries:])
    return dead_code.run(replace(body, nodes=tuple(nodes), outputs=results))
