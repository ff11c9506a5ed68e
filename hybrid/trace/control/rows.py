"""``x[i]`` in a counted loop is a row of a scan: read where it lies, and so is its gradient."""

from __future__ import annotations

from dataclasses import replace

from hybrid.core.graph import Builder, Const, FuncGraph, Node, Value
from hybrid.core.tensor import Tensor


def by_rows(
    body: FuncGraph, constants: tuple[Tensor, ...], carries: int, course: range
) -> tuple[FuncGraph, tuple[Tensor, ...]]:
    """Turn what the body of a counted loop picks by its index into rows of a scan.

    Parameters
    ----------
    body : FuncGraph
        Its inputs are the carries, the first of which counts, and then `constants`.
    constants : tuple of Tensor
    carries : int
    course : range
        What the first carry runs through.

    Returns
    -------
    FuncGraph
        With the rows between carries and constants.
    tuple of Tensor
        What to scan along.
    """
    arrays = dict(zip(body.inputs[carries:], constants, strict=True))
    shifts = {body.inputs[0]: 0}
    rows: dict[tuple[Value, int], Value] = {}
    builder = Builder()
    for node in body.nodes:
        shift = _shift(node, shifts)
        if shift is not None:
            shifts[node.output] = shift
        picked = _picked(node, shifts, arrays, course)
        if picked is None:
            builder.copy(node)
        else:
            row = rows.setdefault(picked, Value(node.output.spec))
            builder.replace(node.output, row)
    if not rows:
        return body, ()
    scanned = tuple(arrays[x][start : start + len(course)] for x, start in rows)
    inputs = (*body.inputs[:carries], *rows.values(), *body.inputs[carries:])
    return replace(builder.finish(body), inputs=inputs), scanned


def _shift(node: Node, shifts: dict[Value, int]) -> int | None:
    """Return by how much a node's result differs from the index, where that is known."""
    if node.op.name not in ("add", "subtract"):
        return None
    one, other = node.inputs
    if isinstance(one, Const) and node.op.name == "add":
        one, other = other, one
    if not isinstance(one, Value) or one not in shifts or not isinstance(other, Const):
        return None
    step = int(other.value.real)
    return shifts[one] + (step if node.op.name == "add" else -step)


def _picked(
    node: Node, shifts: dict[Value, int], arrays: dict[Value, Tensor], course: range
) -> tuple[Value, int] | None:
    """Return what a node takes a row of, and the first of its rows; None where it does not."""
    if node.op.name != "gather" or node.attrs["axes"] != (0,) or node.attrs["at"] != 0:
        return None
    array, index = node.inputs
    if not isinstance(array, Value) or not isinstance(index, Value):
        return None
    if array not in arrays or index not in shifts:
        return None
    start = course.start + shifts[index]
    inside = start >= 0 and start + len(course) <= array.spec.shape[0]
    # An index that is out of bounds, or counts from the end, is left to gather.
    return (array, start) if inside else None
