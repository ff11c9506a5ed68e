"""Stacks of a few computed arrays: ops are applied to the arrays, and parts of the stack are these.

The right side of a differential equation ends in ``stack([dx, dy, dz])``, is added to the state,
and is taken apart again at the next stage. Each stack would end a kernel; so the ops behind it are
applied in front of it, row by row, and what takes the rows finds them without it.
"""

from __future__ import annotations

from hybrid.core.graph import Node, Operand, Value
from hybrid.trace.passes.rewriting import Rewriter

# Arrays in a stack that ops are applied to one by one: each op becomes as many.
FEW = 4


def by_rows(r: Rewriter, node: Node, operands: tuple[Operand, ...]) -> Operand | None:
    """Apply an elementwise op of a stack of a few computed arrays to each of them."""
    spec = node.output.spec
    if not any(_computed(r, x, spec.shape[:1]) for x in operands):
        return None
    rows: list[Operand] = []
    for i in range(spec.shape[0]):
        parts = [_row(r, x, i, spec.ndim, node) for x in operands]
        (row,) = r.emit(node.op, parts, node.attrs, node.line)
        rows.append(r.shaped(row, spec.shape[1:], node.line))
    return r.apply("stack", rows, {"axis": 0}, node.line)


def part(r: Rewriter, root: Operand, node: Node) -> Operand | None:
    """Return what a slice of one row of a stack is."""
    stack = r.maker(root, "stack")
    starts, sizes, steps = (node.attrs[name] for name in ("starts", "sizes", "steps"))
    if stack is None or stack.attrs["axis"] != 0 or sizes != (1, *root.spec.shape[1:]):
        return None
    row = stack.inputs[starts[0]]
    whole = not any(starts[1:]) and all(step == 1 for step in steps[1:])
    if not whole or not isinstance(row, Value) or row.spec.dtype != root.spec.dtype:
        return None
    return r.apply("reshape", (row,), {"shape": sizes}, node.line)


def _computed(r: Rewriter, x: Operand, count: tuple[int, ...]) -> bool:
    """Tell whether an operand is a stack of so many arrays that kernels compute."""
    stack = r.maker(x, "stack")
    if stack is None or stack.attrs["axis"] != 0 or len(stack.inputs) > FEW:
        return False
    made = [r.maker(row) for row in stack.inputs if row.spec.dtype == x.spec.dtype]
    return count == (len(made),) and all(n is not None and n.op.elementwise for n in made)


def _row(r: Rewriter, x: Operand, i: int, ndim: int, node: Node) -> Operand:
    """Return row `i` of an operand of an op whose result has `ndim` axes."""
    shape = x.spec.shape
    if len(shape) < ndim:
        return x
    if _computed(r, x, shape[:1]):
        stack = r.maker(x)
        assert stack is not None
        return stack.inputs[i]
    if shape[0] > 1:
        attrs = {
            "starts": (i, *(0 for _ in shape[1:])),
            "sizes": (1, *shape[1:]),
            "steps": (1,) * ndim,
        }
        x = r.apply("slice", (x,), attrs, node.line)
    return r.apply("squeeze", (x,), {"axis": (0,)}, node.line)
