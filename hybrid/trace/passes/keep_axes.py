"""Reductions keep their axes: the form in which they fuse with what is computed from them.

``sum(x, axis=1)`` becomes ``reshape(sum(x, axis=1, keepdims=True))``, and the reshape sinks below
the elementwise ops that use the result, so that these are computed on the kept axes and belong to
the same kernel. A reduction that widens its input gets an explicit cast; one of 16-bit floats gets
two, since it is computed in float32.
"""

from __future__ import annotations

from dataclasses import field
from math import prod

from hybrid import dtypes
from hybrid.core.graph import Const, FuncGraph, Node, Operand, Value
from hybrid.core.spec import Shape, broadcast_shapes
from hybrid.dtypes import DType
from hybrid.records import dataclass
from hybrid.trace.passes.rewriting import Rewriter, rewrite

_OF_ONE = ("sum", "prod", "max", "min")
_RESHAPES = ("reshape", "squeeze", "expand_dims")


def run(graph: FuncGraph) -> FuncGraph:
    """Give reductions ``keepdims=True`` and sink the reshapes that drop the axes."""
    return rewrite(graph, _KeptAxes().rule)


@dataclass(slots=True)
class _KeptAxes:
    """Remembers for each value that dropped its axes the one that has them still.

    `reduced` are the values on kept axes: reductions and what is computed from them.
    """

    kept: dict[Operand, Value] = field(default_factory=dict)
    reduced: set[Operand] = field(default_factory=set)

    def rule(self, r: Rewriter, node: Node, operands: tuple[Operand, ...]) -> Operand | None:
        if node.op.reduce is not None:
            return self._reduction(r, node, operands[0])
        if node.op.scan is not None:
            return _scan(r, node, operands[0])
        if node.op.name in _RESHAPES:
            return self._reshape(node, operands[0])
        if node.op.elementwise:
            if not self.kept.keys().isdisjoint(operands):
                return self._below(r, node, operands)
            shape = node.output.spec.shape
            if any(x.spec.shape == shape for x in operands if x in self.reduced):
                self.reduced.add(node.output)
        return None

    def _reshape(self, node: Node, source: Operand) -> Operand | None:
        shape = node.output.spec.shape
        kept = self.kept.get(source)
        if kept is not None:
            return kept if kept.spec.shape == shape else None
        if source in self.reduced and len(shape) < source.spec.ndim:
            if tuple(n for n in source.spec.shape if n != 1) == tuple(n for n in shape if n != 1):
                assert isinstance(source, Value)
                self.kept[node.output] = source
        return None

    def _drop(self, r: Rewriter, kept: Value, node: Node) -> Value:
        dropped = r.apply("reshape", (kept,), {"shape": node.output.spec.shape}, node.line)
        self.kept[dropped] = kept
        self.reduced.add(kept)
        return dropped

    def _reduction(self, r: Rewriter, node: Node, source: Operand) -> Operand | None:
        axis, spec = node.attrs["axis"], source.spec
        if not axis or spec.size == 0 or not isinstance(source, Value):
            return None
        dtype = node.output.spec.dtype
        wide = _single(dtype)
        one = node.op.reduce in _OF_ONE and all(spec.shape[a] == 1 for a in axis)
        if node.attrs["keepdims"] and spec.dtype == wide == dtype and not one:
            self.reduced.add(node.output)
            return None
        if one:
            kept = _of_one(r, node, _as(r, source, dtype, node))
            return kept if node.attrs["keepdims"] else self._drop(r, kept, node)
        source = _as(r, source, wide, node)
        kept = r.emit(node.op, (source,), {"axis": axis, "keepdims": True}, node.line)[0]
        self.reduced.add(kept)
        kept = _as(r, kept, dtype, node)
        self.reduced.add(kept)
        return kept if node.attrs["keepdims"] else self._drop(r, kept, node)

    def _below(self, r: Rewriter, node: Node, operands: tuple[Operand, ...]) -> Operand | None:
        """Apply an elementwise node to the values that have their axes still."""
        shape = node.output.spec.shape
        direct = [self._in_place(x) for x in operands]
        if direct != list(operands) and _broadcast_to(shape, [x.spec.shape for x in direct]):
            value = r.emit(node.op, direct, node.attrs, node.line)[0]
            if any(x.spec.shape == shape for x in direct if x in self.reduced):
                self.reduced.add(value)
            return value
        targets = [
            self.kept[x].spec.shape for x in operands if x in self.kept and x.spec.shape == shape
        ]
        if not targets:
            return None
        aligned = [self._aligned(r, x, shape, targets[0], node) for x in operands]
        found = [x for x in aligned if x is not None]
        if len(found) < len(aligned):
            return None
        return self._drop(r, r.emit(node.op, found, node.attrs, node.line)[0], node)

    def _in_place(self, x: Operand) -> Operand:
        """Return `x` with its axes kept where that leaves each element where it was.

        That is so where only leading axes were dropped: (3,) broadcasts like (1, 3), not like
        (3, 1).
        """
        kept = self.kept.get(x)
        if kept is None:
            return x
        lead = kept.spec.ndim - x.spec.ndim
        return kept if kept.spec.shape == (1,) * lead + x.spec.shape else x

    def _aligned(
        self, r: Rewriter, x: Operand, shape: Shape, target: Shape, node: Node
    ) -> Operand | None:
        """Return `x`, which broadcasts to `shape`, so that it broadcasts to `target` likewise."""
        kept = self.kept.get(x)
        if kept is not None and kept.spec.shape == target:
            return kept
        if prod(x.spec.shape) == 1 and x.spec.ndim == 0:
            return x
        if x.spec.shape != shape:
            return None
        return r.apply("reshape", (x,), {"shape": target}, node.line)


def _of_one(r: Rewriter, node: Node, source: Value) -> Value:
    """Return a reduction over axes of size 1: its element. The sum of -0.0 is 0.0, as in NumPy."""
    dtype = source.spec.dtype
    if node.op.reduce == "sum" and dtypes.is_float(dtype):
        return r.apply("add", (source, Const(0.0, dtype)), {}, node.line)
    return source


def _scan(r: Rewriter, node: Node, source: Operand) -> Operand | None:
    dtype = node.output.spec.dtype
    wide = _single(dtype)
    if source.spec.dtype == wide == dtype or not isinstance(source, Value):
        return None
    found = r.emit(node.op, (_as(r, source, wide, node),), node.attrs, node.line)[0]
    return _as(r, found, dtype, node)


def _single(dtype: DType) -> DType:
    """Return the dtype to reduce in: for 16-bit floats float32, rounded once at the end."""
    return dtypes.float32 if dtypes.is_half(dtype) else dtype


def _as(r: Rewriter, x: Value, dtype: DType, node: Node) -> Value:
    return x if x.spec.dtype == dtype else r.apply("astype", (x,), {"dtype": dtype}, node.line)


def _broadcast_to(shape: Shape, shapes: list[Shape]) -> bool:
    """Tell whether `shapes` broadcast to exactly `shape`."""
    try:
        return broadcast_shapes(*shapes) == shape
    except ValueError:
        return False
