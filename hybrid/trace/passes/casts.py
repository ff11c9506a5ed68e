"""Casts: those that change nothing go, chains of two become one where the first loses nothing."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from hybrid import dtypes
from hybrid.core.graph import FuncGraph, Node, Operand
from hybrid.dtypes import DType
from hybrid.trace.passes.rewriting import Rewriter, rewrite


def run(graph: FuncGraph) -> FuncGraph:
    """Simplify the `astype` nodes."""
    return rewrite(graph, _rule)


def _rule(r: Rewriter, node: Node, operands: tuple[Operand, ...]) -> Operand | None:
    if node.op.name != "astype":
        return None
    (source,) = operands
    target: DType = node.output.spec.dtype
    if source.spec.dtype == target:
        # Ops of arrays are given an array, and no number, which is what weak inputs are at a run.
        return None if source.spec.weak and not node.output.spec.weak else source
    before = r.maker(source, "astype")
    if before is None:
        return None
    (origin,) = before.inputs
    if not _same_directly(origin.spec.dtype, source.spec.dtype, target):
        return None
    if origin.spec.dtype == target and origin.spec.weak == node.output.spec.weak:
        return origin
    return r.emit(node.op, (origin,), node.attrs, node.line)[0]


def _same_directly(origin: DType, middle: DType, target: DType) -> bool:
    """Tell whether a cast by way of `middle` gives what the direct one gives."""
    if not loses_nothing(origin, middle):
        return False
    # Out of range, integers wrap around and floats do something else: the way must not matter.
    through_float = dtypes.is_inexact(middle) and target.kind in "iu"
    return not through_float or loses_nothing(origin, target)


def loses_nothing(source: DType, target: DType) -> bool:
    """Tell whether each value of `source` has an equal one in `target`.

    Stricter than NumPy's ``can_cast``, which takes int64 to float64 for safe.
    """
    if source == target or source == dtypes.bool_:
        return True
    if target == dtypes.bool_:
        return False
    if source.kind in "iu":
        if target.kind in "iu":
            return bool(np.can_cast(source, target))
        digits = source.itemsize * 8 - (source.kind == "i")
        return digits <= _digits(target)
    if target.kind in "iu" or (source.kind == "c" and target.kind != "c"):
        return False
    return _digits(source) <= _digits(target) and _exponents(source) <= _exponents(target)


def _digits(dtype: DType) -> int:
    return int(ml_dtypes.finfo(dtype).nmant) + 1  # type: ignore[no-untyped-call]


def _exponents(dtype: DType) -> int:
    return int(ml_dtypes.finfo(dtype).maxexp)  # type: ignore[no-untyped-call]
