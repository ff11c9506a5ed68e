"""Algebra: rewrite rules as a table. Each holds exactly, for NaN, infinities and -0.0 too.

A row reads ``Row("multiply(x, 1)", "x", "biuf")``: where the pattern is found and `x` is boolean,
integer or floating-point, the replacement takes its place. Small letters stand for any operand, the
same letter for the same operand; capital letters stand for literals. Operands of commutative ops
match in either order. ``0`` does not match ``-0.0``.

Powers are the one place where rounding may differ: products of at most five factors stay within the
4 ULP that an op is allowed.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable
from functools import cache
from itertools import groupby, product
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.graph import Const, FuncGraph, Node, Operand, Value
from hybrid.dtypes import DType
from hybrid.records import dataclass
from hybrid.trace.passes.rewriting import Rewriter, fill, rewrite

Bound = dict[str, Operand]

COMMUTATIVE = frozenset(
    ("add", "multiply", "maximum", "minimum", "equal", "not_equal")
    + ("logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor")
)


@dataclass(frozen=True, slots=True)
class Row:
    """One rewrite rule.

    Parameters
    ----------
    pattern, becomes : str
    kinds : str
        The dtypes of `x` for which it holds: ``b`` booleans, ``i`` and ``u`` integers, ``f``
        floating-point, ``c`` complex.
    given : dict, optional
        Literals of `becomes` (capital letters) computed from those of the pattern; the row does
        not apply where one of them is None.
    """

    pattern: str
    becomes: str
    kinds: str
    given: dict[str, Callable[[Const], Any]] | None = None


def _inverse_power_of_two(divisor: Const) -> float | None:
    """Return 1/divisor if both are powers of two in the dtype, so that nothing is rounded."""
    value = float(divisor.value.real)
    if value == 0 or not math.isfinite(value) or abs(math.frexp(value)[0]) != 0.5:
        return None
    with np.errstate(all="ignore"):
        inverse = float(np.asarray(1 / value, divisor.dtype))
    return inverse if math.isfinite(inverse) and inverse * value == 1 else None


ROWS: tuple[Row, ...] = (
    # Neutral elements. x + 0.0 is not among them: it turns -0.0 into 0.0.
    Row("add(x, 0)", "x", "iu"),
    Row("add(x, -0.0)", "x", "f"),
    Row("add_boolean(x, False)", "x", "b"),
    Row("subtract(x, 0)", "x", "iuf"),
    Row("multiply(x, 1)", "x", "biuf"),
    Row("divide(x, 1)", "x", "f"),
    Row("floor_divide(x, 1)", "x", "iu"),
    Row("positive(x)", "x", "iufc"),
    Row("copy(x)", "x", "biufc"),
    Row("stop_gradient(x)", "x", "biufc"),
    Row("assigned(y, x)", "x", "biufc"),
    Row("conj(x)", "x", "iuf"),
    Row("real(x)", "x", "biuf"),
    # Absorbing elements; for floats NaN and infinity stand against them.
    Row("multiply(x, 0)", "0", "biu"),
    Row("subtract(x, x)", "0", "iu"),
    Row("bitwise_and(x, 0)", "0", "biu"),
    Row("bitwise_xor(x, x)", "0", "biu"),
    # Signs.
    Row("negative(negative(x))", "x", "iufc"),
    Row("multiply(x, -1)", "negative(x)", "if"),
    Row("divide(x, -1)", "negative(x)", "f"),
    Row("add(y, negative(x))", "subtract(y, x)", "iuf"),
    Row("subtract(y, negative(x))", "add(y, x)", "iuf"),
    Row("multiply(negative(x), negative(y))", "multiply(x, y)", "iuf"),
    Row("divide(negative(x), negative(y))", "divide(x, y)", "f"),
    Row("abs(abs(x))", "abs(x)", "iuf"),
    Row("abs(negative(x))", "abs(x)", "if"),
    Row("square(negative(x))", "square(x)", "iuf"),
    Row("square(abs(x))", "square(x)", "iuf"),
    # Division by a power of two is multiplication by its inverse, which is exact.
    Row("divide(x, D)", "multiply(x, M)", "f", {"M": _inverse_power_of_two}),
    # Powers.
    Row("pow(x, 0)", "1", "f"),
    Row("pow(x, 1)", "x", "f"),
    Row("pow(x, -1)", "reciprocal(x)", "f"),
    Row("pow(x, 2)", "square(x)", "f"),
    Row("pow(x, 3)", "multiply(square(x), x)", "f"),
    Row("pow(x, 4)", "square(square(x))", "f"),
    Row("pow(x, 5)", "multiply(square(square(x)), x)", "f"),
    Row("integer_pow(x, 1)", "x", "iu"),
    Row("integer_pow(x, 2)", "square(x)", "iu"),
    Row("integer_pow(x, 3)", "multiply(square(x), x)", "iu"),
    Row("integer_pow(x, 4)", "square(square(x))", "iu"),
    Row("integer_pow(x, 5)", "multiply(square(square(x)), x)", "iu"),
    # Choices.
    Row("where(c, x, x)", "x", "biufc"),
    Row("where(True, x, y)", "x", "biufc"),
    Row("where(False, y, x)", "x", "biufc"),
    Row("where(logical_not(c), x, y)", "where(c, y, x)", "biufc"),
    Row("where(bitwise_invert(c), x, y)", "where(c, y, x)", "biufc"),
    Row("where(x, True, False)", "x", "b"),
    Row("where(x, False, True)", "logical_not(x)", "b"),
    Row("maximum(x, x)", "x", "biuf"),
    Row("minimum(x, x)", "x", "biuf"),
    Row("maximum(maximum(x, y), y)", "maximum(x, y)", "biu"),
    Row("minimum(minimum(x, y), y)", "minimum(x, y)", "biu"),
    # Logic.
    Row("logical_not(logical_not(x))", "x", "b"),
    Row("bitwise_invert(bitwise_invert(x))", "x", "biu"),
    Row("logical_and(x, True)", "x", "b"),
    Row("logical_and(x, False)", "False", "b"),
    Row("logical_and(x, x)", "x", "b"),
    Row("logical_or(x, False)", "x", "b"),
    Row("logical_or(x, True)", "True", "b"),
    Row("logical_or(x, x)", "x", "b"),
    Row("logical_xor(x, False)", "x", "b"),
    Row("logical_xor(x, True)", "logical_not(x)", "b"),
    Row("bitwise_and(x, True)", "x", "b"),
    Row("bitwise_and(x, x)", "x", "biu"),
    Row("bitwise_or(x, 0)", "x", "biu"),
    Row("bitwise_or(x, x)", "x", "biu"),
    Row("bitwise_xor(x, 0)", "x", "biu"),
    Row("bitwise_left_shift(x, 0)", "x", "iu"),
    Row("bitwise_right_shift(x, 0)", "x", "iu"),
    # Comparisons. Orders of floats have no negation: NaN is neither less nor not less.
    Row("logical_not(equal(x, y))", "not_equal(x, y)", "biuf"),
    Row("logical_not(not_equal(x, y))", "equal(x, y)", "biuf"),
    Row("logical_not(less(x, y))", "greater_equal(x, y)", "biu"),
    Row("logical_not(less_equal(x, y))", "greater(x, y)", "biu"),
    Row("logical_not(greater(x, y))", "less_equal(x, y)", "biu"),
    Row("logical_not(greater_equal(x, y))", "less(x, y)", "biu"),
    Row("equal(x, x)", "True", "biu"),
    Row("not_equal(x, x)", "False", "biu"),
    Row("less(x, x)", "False", "biuf"),
    Row("greater(x, x)", "False", "biuf"),
    Row("less_equal(x, x)", "True", "biu"),
    Row("greater_equal(x, x)", "True", "biu"),
    Row("equal(x, True)", "x", "b"),
    Row("not_equal(x, False)", "x", "b"),
    Row("equal(x, False)", "logical_not(x)", "b"),
    Row("not_equal(x, True)", "logical_not(x)", "b"),
    # Rounding what is whole.
    Row("floor(x)", "x", "iu"),
    Row("ceil(x)", "x", "iu"),
    Row("trunc(x)", "x", "iu"),
    Row("floor(floor(x))", "floor(x)", "f"),
    Row("ceil(ceil(x))", "ceil(x)", "f"),
    Row("trunc(trunc(x))", "trunc(x)", "f"),
    Row("rint(rint(x))", "rint(x)", "f"),
    Row("isnan(x)", "False", "biu"),
    Row("isinf(x)", "False", "biu"),
    Row("isfinite(x)", "True", "biu"),
)


# --- patterns -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Var:
    name: str
    literal: bool  # capital letters match literals only


@dataclass(frozen=True, slots=True)
class _Number:
    value: bool | int | float


@dataclass(frozen=True, slots=True)
class _Apply:
    op: str
    args: tuple[_Pattern, ...]


_Pattern = _Var | _Number | _Apply


def _parse(text: str) -> _Pattern:
    return _pattern(ast.parse(text, mode="eval").body)


def _pattern(tree: ast.expr) -> _Pattern:
    if isinstance(tree, ast.Call):
        assert isinstance(tree.func, ast.Name)
        return _Apply(tree.func.id, tuple(map(_pattern, tree.args)))
    if isinstance(tree, ast.Name):
        return _Var(tree.id, tree.id.isupper())
    value: bool | int | float = ast.literal_eval(tree)
    return _Number(value)


def _orders(pattern: _Pattern) -> Iterable[_Pattern]:
    """Yield `pattern` with the operands of commutative ops in every order."""
    if not isinstance(pattern, _Apply):
        yield pattern
        return
    for args in product(*map(list, map(_orders, pattern.args))):
        yield _Apply(pattern.op, args)
        if pattern.op in COMMUTATIVE and args[0] != args[1]:
            yield _Apply(pattern.op, args[::-1])


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: _Apply
    becomes: _Pattern
    row: Row
    needs: tuple[str | None, ...]  # what each operand must be, to rule most rules out at once


def _root(row: Row) -> str:
    return row.pattern.partition("(")[0]


_BY_OP = {op: list(rows) for op, rows in groupby(sorted(ROWS, key=_root), _root)}


@cache
def _rules(op: str) -> tuple[_Rule, ...]:
    """Return the rules whose pattern has `op` at its root; to parse all rows takes 3 ms."""
    rules: list[_Rule] = []
    for row in _BY_OP.get(op, ()):
        becomes = _parse(row.becomes)
        for pattern in dict.fromkeys(_orders(_parse(row.pattern))):
            assert isinstance(pattern, _Apply)
            rules.append(_Rule(pattern, becomes, row, tuple(map(_need, pattern.args))))
    return tuple(rules)


def _need(pattern: _Pattern) -> str | None:
    if isinstance(pattern, _Apply):
        return pattern.op
    return _LITERAL if isinstance(pattern, _Number) or pattern.literal else None


_LITERAL = "a literal"


# --- matching -------------------------------------------------------------------------------------


def run(graph: FuncGraph) -> FuncGraph:
    """Apply the rows of the table wherever they match."""
    return rewrite(graph, _rule)


def _rule(r: Rewriter, node: Node, operands: tuple[Operand, ...]) -> Operand | None:
    rules = _rules(node.op.name)
    if not rules:
        return None
    found = [_found(r, x) for x in operands]
    for rule in rules:
        if any(a is not None and a != b for a, b in zip(rule.needs, found)):
            continue
        bound: Bound = {}
        if not _match_all(r, rule.pattern.args, operands, bound) or not _holds(rule.row, bound):
            continue
        new = _build(r, rule, bound, node)
        if new is not None:
            return new
    return None


def _found(r: Rewriter, operand: Operand) -> str:
    """Name what an operand is: a literal, or the result of which op."""
    if type(operand) is Const:
        return _LITERAL
    node = r.maker(operand)
    return "" if node is None else node.op.name


def _match_all(
    r: Rewriter, patterns: tuple[_Pattern, ...], operands: tuple[Operand, ...], bound: Bound
) -> bool:
    for pattern, operand in zip(patterns, operands, strict=True):
        if not _match(r, pattern, operand, bound):
            return False
    return True


def _match(r: Rewriter, pattern: _Pattern, operand: Operand, bound: Bound) -> bool:
    if type(pattern) is _Number:
        return type(operand) is Const and _equal(operand, pattern.value)
    if type(pattern) is _Apply:
        node = r.makers.get(operand) if type(operand) is Value else None
        if node is None or node.op.name != pattern.op:
            return False
        return _match_all(r, pattern.args, node.inputs, bound)
    assert type(pattern) is _Var
    if pattern.literal and type(operand) is not Const:
        return False
    known = bound.setdefault(pattern.name, operand)
    if type(known) is Const and type(operand) is Const:
        return known.key() == operand.key()
    return known is operand


def _equal(literal: Const, number: float) -> bool:
    value = literal.value
    if isinstance(value, complex) or value != number:
        return False
    return value != 0 or math.copysign(1, value) == math.copysign(1, number)


def _holds(row: Row, bound: Bound) -> bool:
    return kind(bound["x"].spec.dtype) in row.kinds


def kind(dtype: DType) -> str:
    """Return ``b``, ``i``, ``u``, ``f`` or ``c``."""
    return "f" if dtypes.is_float(dtype) else dtype.kind


def _build(r: Rewriter, rule: _Rule, bound: Bound, node: Node) -> Operand | None:
    """Return what the replacement comes to, in the dtype and shape of `node`."""
    dtype, shape = node.output.spec.dtype, node.output.spec.shape
    for name, function in (rule.row.given or {}).items():
        source = bound[next(key for key in bound if key.isupper())]
        assert isinstance(source, Const)
        value = function(source)
        if value is None:
            return None
        bound[name] = Const(value, source.dtype)
    if isinstance(rule.becomes, _Number):
        literal = Const(np.asarray(rule.becomes.value, dtype).item(), dtype)
        return fill(r, literal, shape, node.line)
    new = _emit(r, rule.becomes, bound, node)
    if new.spec.dtype != dtype:
        return None
    if isinstance(new, Const):
        return fill(r, new, shape, node.line)
    return r.shaped(new, shape, node.line)


def _emit(r: Rewriter, pattern: _Pattern, bound: Bound, node: Node) -> Operand:
    if isinstance(pattern, _Var):
        return bound[pattern.name]
    assert isinstance(pattern, _Apply)
    operands = [_emit(r, arg, bound, node) for arg in pattern.args]
    return r.apply(pattern.op, operands, {}, node.line)
