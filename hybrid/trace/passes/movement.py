"""Movement: chains of view ops become one, those that change nothing go, broadcasts sink.

An elementwise op broadcasts by itself, so that a `broadcast_to` in front of one is not needed;
where all operands are broadcast, the op is applied before the broadcast, to fewer elements.
"""

from __future__ import annotations

from collections.abc import Callable

from hybrid.core.graph import FuncGraph, Node, Operand
from hybrid.trace.passes import stacked
from hybrid.trace.passes.rewriting import Rewriter, Rule, fill, rewrite, uniform


def run(graph: FuncGraph) -> FuncGraph:
    """Simplify the ops that only move elements."""
    return rewrite(graph, _rule)


def _rule(r: Rewriter, node: Node, operands: tuple[Operand, ...]) -> Operand | None:
    if node.op.elementwise:
        return _without_broadcasts(r, node, operands) or stacked.by_rows(r, node, operands)
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
    part = stacked.part(r, root, node)
    if part is not None:
        return part
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


# --- stack ----------------------------------------------------------------------------------------

RUN = 4
"""So many rows that follow each other in an array are a part of it rather than rows."""


def _stack(r: Rewriter, node: Node, operands: tuple[Operand, ...]) -> Operand | None:
    """Take rows that follow each other in one array for a part of that array."""
    if node.attrs["axis"] != 0 or len(operands) < RUN:
        return None
    rows = [_row_of(r, x) if x.spec.dtype == node.output.spec.dtype else None for x in operands]
    parts: list[Operand] = []
    loose: list[Operand] = []
    start = 0
    while start < len(rows):
        stop, row = start + 1, rows[start]
        if row is not None:
            while stop < len(rows) and rows[stop] == (row[0], row[1] + stop - start):
                stop += 1
        if row is None or stop - start < RUN:
            loose += operands[start:stop]
        else:
            if loose:
                parts.append(r.emit(node.op, loose, node.attrs, node.line)[0])
                loose = []
            parts.append(_rows(r, *row, stop - start, node))
        start = stop
    if not parts:
        return None
    if loose:
        parts.append(r.emit(node.op, loose, node.attrs, node.line)[0])
    return parts[0] if len(parts) == 1 else r.apply("concat", parts, {"axis": 0}, node.line)


def _row_of(r: Rewriter, x: Operand) -> tuple[Operand, int] | None:
    """Return which row of which array an operand is."""
    dropped = r.maker(x)
    if dropped is None or dropped.op.name not in _RESHAPES:
        return None
    cut = r.maker(dropped.inputs[0], "slice")
    if cut is None or dropped.inputs[0].spec.shape != (1, *x.spec.shape):
        return None
    array, starts = cut.inputs[0], cut.attrs["starts"]
    if cut.attrs["sizes"][1:] != array.spec.shape[1:] or any(s != 1 for s in cut.attrs["steps"]):
        return None
    return array, starts[0]


def _rows(r: Rewriter, array: Operand, start: int, count: int, node: Node) -> Operand:
    rest = array.spec.shape[1:]
    if count == array.spec.shape[0]:
        return array
    attrs = {
        "starts": (start, *(0 for _ in rest)),
        "sizes": (count, *rest),
        "steps": (1,) * array.spec.ndim,
    }
    return r.apply("slice", (array,), attrs, node.line)


# --- ops that copy, where they do not move anything -----------------------------------------------


def _unless(moves: Callable[[Node, tuple[Operand, ...]], bool]) -> Rule:
    return lambda r, node, operands: None if moves(node, operands) else operands[0]


_RULES: dict[str, Rule] = {
    **dict.fromkeys(_RESHAPES, _reshape),
    "permute_dims": _permute,
    "broadcast_to": _broadcast,
    "slice": _slice,
    "flip": _flip,
    "stack": _stack,
    "concat": _unless(lambda node, operands: len(operands) > 1),
    "pack": _unless(lambda node, operands: False),  # what it tells apart is settled in the trace
    "pad": _unless(lambda node, operands: any(map(any, node.attrs["width"]))),
    "roll": _unless(lambda node, operands: any(node.attrs["shift"])),
    "tile": _unless(lambda node, operands: operands[0].spec.shape != node.output.spec.shape),
    "repeat": _unless(lambda node, operands: node.attrs["repeats"] != 1),
}
