"""Layout: transposes sink below elementwise ops, to products of matrices, which take them as flags.

``exp(x.T) @ y`` becomes the product of ``exp(x)``, transposed, and `y`: the kernel reads and writes
rows as they lie, and BLAS is told to read the other way round. Results that are returned are then
laid out as NumPy lays them out, which keeps the order of the operands. Where a kernel reads the
result nothing is moved, since it reads transposes in place.
"""

from __future__ import annotations

from hybrid.core.graph import FuncGraph, Node, Operand, Value
from hybrid.trace.passes.rewriting import Rewriter, rewrite

_PERMUTE = "permute_dims"


def run(graph: FuncGraph) -> FuncGraph:
    """Apply elementwise ops to what their operands are transposes of."""
    if not any(node.op.name == _PERMUTE for node in graph.nodes):
        return graph
    sinking = _sinking(graph)
    if not sinking:
        return graph

    def rule(r: Rewriter, node: Node, operands: tuple[Operand, ...]) -> Operand | None:
        axes = sinking.get(node)
        return None if axes is None else _before(r, node, operands, axes)

    return rewrite(graph, rule)


def _sinking(graph: FuncGraph) -> dict[Node, tuple[int, ...]]:
    """Return the elementwise nodes to move in front of a transpose, with its axes."""
    order: dict[Value, tuple[int, ...]] = {}
    found: dict[Node, tuple[int, ...]] = {}
    for node in graph.nodes:
        if node.op.name == _PERMUTE:
            order[node.output] = tuple(node.attrs["axes"])
        elif node.op.elementwise:
            orders = {order.get(x) if isinstance(x, Value) else None for x in _arrays(node)}
            axes = orders.pop() if len(orders) == 1 else None
            if axes is not None:
                order[node.output] = found[node] = axes
    users: dict[Value, list[Node]] = {}
    for node in reversed(graph.nodes):
        if node in found and any(_in_kernel(user, found) for user in users.get(node.output, ())):
            del found[node]
        for x in node.inputs:
            if isinstance(x, Value):
                users.setdefault(x, []).append(node)
    return found


def _arrays(node: Node) -> list[Operand]:
    return [x for x in node.inputs if x.spec.shape]


def _in_kernel(user: Node, sinking: dict[Node, tuple[int, ...]]) -> bool:
    """Tell whether a kernel, which may be that of the value itself, reads the value."""
    if user.op.view is not None:
        return user.op.name != _PERMUTE
    return user.op.computed and user not in sinking


def _before(
    r: Rewriter, node: Node, operands: tuple[Operand, ...], axes: tuple[int, ...]
) -> Operand | None:
    sources: list[Operand] = []
    for x in operands:
        maker = r.maker(x, _PERMUTE)
        if x.spec.shape and maker is None:
            return None
        sources.append(x if maker is None else maker.inputs[0])
    moved = r.emit(node.op, sources, node.attrs, node.line)[0]
    return r.apply(_PERMUTE, (moved,), {"axes": axes}, node.line)
