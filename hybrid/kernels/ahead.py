"""Extremes of the next row, looked for while functions of this one are computed.

A ``softmax`` has a row's maximum before the first exponential. By a pass of its own it waits for
memory, then for lanes to be put together; beside the exponentials of the row before, which leave
the processor's loads idle, it does neither. No NaN is watched for, which would take more than that
gains: only kernels do so in which one spreads to all results of its row by other ways.
"""

from __future__ import annotations

import ast
import functools

from hybrid.kernels.region import Instr
from hybrid.kernels.spec import KernelSpec, dataflow, inner_closure, is_heavy, pass_roots

# Functions of which NaN gives NaN.
_SPREADING = frozenset({"exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "reciprocal"})
_NOWHERE, _HERE, _EVERYWHERE = range(3)


@functools.lru_cache(maxsize=4096)
def ahead_of(spec: KernelSpec) -> int | None:
    """The reduction of the first pass that the second one may do for the next row, if any.

    It takes the largest or least number of an input of whole rows, one of each item.
    """
    flow = dataflow(spec)
    plain = spec.form == "rows" and not spec.split and not spec.moments
    if not plain or (spec.kept, spec.reduced) != (1, 1) or flow.passes < 2:
        return None
    count = len(spec.inputs)
    first, second = (
        pass_roots(spec, flow.reduces, flow.inner_outputs, flow.store_pass, number)
        for number in (0, 1)
    )
    if len(flow.reduces[0]) != 1 or flow.store_pass == 0:
        return None
    (found,) = flow.reduces[0]
    instr = spec.body[found - count]
    (source,) = instr.args
    if instr.expr not in ("max", "min") or not isinstance(source, int) or source >= count:
        return None
    operand = spec.inputs[source]
    special = operand.picks or operand.windows or operand.is_position or operand.words
    if operand.outer or special or operand.inner != "1" or first != {source}:
        return None
    if operand.dtype not in ("float32", "float64") or operand.dtype != instr.dtype:
        return None
    values = inner_closure(spec, flow.outer, second)
    if not any(x >= count and is_heavy(spec.body[x - count]) for x in values):
        return None
    return found if _spreads(spec, source) else None


def _spreads(spec: KernelSpec, source: int) -> bool:
    """Whether a NaN of an input makes all results of its row NaN."""
    levels = [_NOWHERE] * len(spec.inputs)
    levels[source] = _HERE
    for instr in spec.body:
        known = max((levels[arg] for arg in instr.args if isinstance(arg, int)), default=_NOWHERE)
        levels.append(_level(instr, known))
    return all(levels[value] == _EVERYWHERE for value, _ in spec.outputs)


def _level(instr: Instr, known: int) -> int:
    """Where a NaN is after an instruction, if it was where `known` says."""
    if not instr.dtype.startswith("float"):
        return _NOWHERE
    if instr.kind == "reduce" and instr.expr == "sum":
        return _EVERYWHERE if known else _NOWHERE
    if instr.kind == "cast" or (instr.kind == "map" and _arithmetic(instr.expr)):
        return known
    return _NOWHERE


@functools.cache
def _arithmetic(expr: str) -> bool:
    """Whether a scalar template is but arithmetic of all its arguments, and such functions."""
    tree = ast.parse(expr.replace("{", "_").replace("}", "_"), mode="eval")
    return all(map(_keeps_nan, ast.walk(tree)))


def _keeps_nan(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Name(id=name), keywords=[]):
            return name in _SPREADING
        case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div()):
            return True
        case ast.UnaryOp(op=ast.USub()):
            return True
        case ast.Expression() | ast.Name() | ast.Constant() | ast.operator() | ast.unaryop():
            return True
        case ast.expr_context():
            return True
    return False
