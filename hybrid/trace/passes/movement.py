"""Movement: chains of view ops become one, those that change nothing go, broadcasts sink.

An elementwise op broadcasts by itself, so that a `broadcast_to` in front of one is not needed;
where all operands are broadcast, the op is applied before the broadcast, to fewer elements.
"""

from __future__ import annotations

from collections.abc import Callable

from hybrid.core.graph import FuncGraph, Node, Operand
from hybrid.trace.passes.rewriting import Rewriter, Rule, fill, rewrite, uniform


def run(graph: FuncGraph) -> FuncGraph:
    """Simplify the ops that only move elements."""
    return rewrite(graph, _rule)


def _rule(r: Rewriter, node: Node, operands: tuple[Operand, ...]) -> Operand | None:
    if node.op.elementwise:
        return _without_broadcasts(r, node, operands)
    rule = _RULES.get(node.op.name)
    if rule is None:
        return None
    if node.op.view is not None:
        literal = uniform(r, operands[0])
        if literal is not None:
            return fill(r, literal, node.output.spec.shape, node.line)
    return rule(r, node, operands)


def _without_broadcasts(r: Rewriter, node: Node, operands: tuple[Operand, ...]) -> Operand | None:
    roots = [_root(r, x) for x in operands]
    if all(new is old for new, old in zip(roots, operands)):
        return None
    small = r.emit(node.op, roots, node.attrs, node.line)[0]
    return r.shaped(small, node.output.spec.shape, node.line)


def _root(r: Rewriter, operand: Operand) -> Operand:
    """Return what `operand` is broadcast from."""
    literal = uniform(r, operand)
    if literal is not None:
        return literal
    node = r.maker(operand, "broadcast_to")
    return operand if node is None else node.inputs[0]


# --- reshape, squeeze, expand_dims ----------------------------------------------------------------

_RESHAPES = ("reshape", "squeeze", "expand_dims")


def _reshape(r: Rewriter, node: Node, operands: tuple[Operand, ...]) -> Operand | None:
    root, shape = operands[0], node.output.spec.shape
    while (before := r.maker(root)) is not None and before.op.name in _RESHAPES:
        root = before.inputs[0]
    if root.spec.shape == shape:
        return root
    if root is operands[0]:
        return None
    return r.apply("reshape", (root,), {"shape": shape}, node.line)


# --- permute_dims ---------------------------------------------------------------------------------


def _permute(r: Rewriter, node: Node, operands: tuple[Operand, ...]) -> Operand | None:
    root, axes = operands[0], tuple(node.attrs["axes"])
    before = r.maker(root, "permute_dims")
    if before is not None:
        root = before.inputs[0]
        axes = tuple(before.attrs["axes"][a] for a in axes)
    moved = [a for a in axes if root.spec.shape[a] != 1]
    if moved == sorted(moved):  # only axes of size 1 change places
        shape = node.output.spec.shape
        if root.spec.shape == shape:
            return root
        return r.apply("reshape", (root,), {"shape": shape}, node.line)
    return None if before is None else r.emit(node.op, (root,), {"axes": axes}, node.line)[0]


# --- broadcast_to ---------------------------------------------------------------------------------


def _broadcast(r: Rewriter, node: Node, operands: tuple[Operand, ...]) -> Operand | None:
    root, shape = operands[0], node.output.spec.shape
    if root.spec.shape == shape:
        return root
    before = r.maker(root, "broadcast_to")
    if before is not None:
        return r.shaped(before.inputs[0], shape, node.line)
    if root.spec.size != node.output.spec.size:
        return None
    return r.apply("reshape", (root,), {"shape": shape}, node.line)


# --- slice, flip ----------------------------------------------------------------------------------


def _slice(r: Rewriter, node: Node, operands: tuple[Operand, ...]) -> Operand | None:
    (root,) = operands
    starts, sizes, steps = (node.attrs[name] for name in ("starts", "sizes", "steps"))
    if sizes == root.spec.shape and all(
        (start, step) == (0, 1) or size <= 1 for start, size, step in zip(starts, sizes, steps)
    ):
        return root
    before = r.maker(root, "slice")
    if before is None or 0 in sizes:
        return None
    inner = zip(before.attrs["starts"], before.attrs["steps"], starts, steps)
    joined = [(start + by * step, step * by2) for start, step, by, by2 in inner]
    attrs = {
        "starts": tuple(start for start, _ in joined),
        "sizes": sizes,
        "steps": tuple(step for _, step in joined),
    }
    return r.emit(node.op, before.inputs, attrs, node.line)[0]


def _flip(r: Rewriter, node: Node, operands: tuple[Operand, ...]) -> Operand | None:
    root, axes = operands[0], set(node.attrs["axis"])
    before = r.maker(root, "flip")
    if before is not None:
        root, axes = before.inputs[0], axes ^ set(before.attrs["axis"])
    found = tuple(a for a in sorted(axes) if root.spec.shape[a] > 1)
    if not found:
        return root
    if before is None and found == node.attrs["axis"]:
        return None
    return r.emit(node.op, (root,), {"axis": found}, node.line)[0]


# --- ops that copy, where they do not move anything -----------------------------------------------


def _unless(moves: Callable[[Node, tuple[Operand, ...]], bool]) -> Rule:
    return lambda r, node, operands: None if moves(node, operands) else operands[0]


_RULES: dict[str, Rule] = {
    **dict.fromkeys(_RESHAPES, _reshape),
    "permute_dims": _permute,
    "broadcast_to": _broadcast,
    "slice": _slice,
    "flip": _flip,
    "concat": _unless(lambda node, operands: len(operands) > 1),
    "pad": _unless(lambda node, operands: any(map(any, node.attrs["width"]))),
    "roll": _unless(lambda node, operands: any(node.attrs["shift"])),
    "tile": _unless(lambda node, operands: operands[0].spec.shape != node.output.spec.shape),
    "repeat": _unless(lambda node, operands: node.attrs["repeats"] != 1),
}
