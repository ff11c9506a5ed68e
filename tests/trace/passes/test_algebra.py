"""Each row of the table fires, and is exact for NaN, infinities and both zeros."""

from __future__ import annotations

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.graph import Const, FuncGraph, Node, Value, verify
from hybrid.core.interpret import interpret
from hybrid.core.op import OPS
from hybrid.core.spec import TensorSpec
from hybrid.trace.passes import algebra, dead_code
from hybrid.trace.passes.algebra import ROWS, Row
from tests.trace.passes.graphs import names, spec, traced

SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1.5, -2.25, 1e-40, 3e38, -1e-30]
DTYPES = {
    "b": ["bool"],
    "i": ["int32", "int64"],
    "u": ["uint8"],
    "f": ["float32", "float64"],
    "c": ["complex64"],
}
CASES = [(row, dtype) for row in ROWS for kind in row.kinds for dtype in DTYPES[kind]]


def values(dtype: np.dtype) -> np.ndarray:
    if dtype.kind == "b":
        return np.array([True, False])
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return np.array([info.min, info.max, 0, 1, 2, 7, info.max // 2], dtype)
    return np.array(SPECIAL, dtype)


class Build:
    """Builds the graph of a pattern, every operand drawn from all special values."""

    def __init__(self, dtype: str) -> None:
        self.dtype = np.dtype(dtype)
        self.inputs: dict[str, Value] = {}
        self.nodes: list[Node] = []

    def operand(self, pattern, dtype: np.dtype):
        if isinstance(pattern, algebra._Number):
            return Const(dtype.type(pattern.value).item(), dtype)
        if isinstance(pattern, algebra._Var):
            if pattern.literal:
                return Const(dtype.type(4).item(), dtype)
            kind = np.dtype(bool) if pattern.name == "c" else dtype
            # Operands along axes of their own: every pair of values meets.
            axis = "xyc".find(pattern.name)
            shape = (len(values(kind)),) + (1,) * max(axis, 0)
            return self.inputs.setdefault(pattern.name, Value(TensorSpec(shape, kind)))
        op = OPS[pattern.op]
        takes = [dtype] * len(pattern.args)
        if pattern.op == "where":
            takes[0] = np.dtype(bool)
        inputs = tuple(self.operand(a, t) for a, t in zip(pattern.args, takes))
        out = Value(op.infer(*(x.spec for x in inputs)))
        self.nodes.append(Node(op, inputs, {}, (out,)))
        return out

    def arrays(self) -> list[np.ndarray]:
        return [values(v.spec.dtype).reshape(v.spec.shape) for v in self.inputs.values()]

    def graph(self, root) -> FuncGraph:
        return FuncGraph("row", tuple(self.inputs.values()), (), tuple(self.nodes), (root,))


def ulps(x: np.ndarray, y: np.ndarray) -> float:
    unit = np.spacing(np.abs(y))
    return float(np.max(np.abs(x - y) / unit, initial=0))


@pytest.mark.parametrize(
    ("row", "dtype"), CASES, ids=lambda p: p.pattern if isinstance(p, Row) else p
)
def test_row(row: Row, dtype: str):
    pattern = algebra._parse(row.pattern)
    build = Build(dtype)
    before = verify(build.graph(build.operand(pattern, build.dtype)))
    after = verify(dead_code.run(algebra.run(before)))
    assert names(after) != names(before), "the row did not match"
    wanted = algebra._parse(row.becomes)
    if isinstance(wanted, algebra._Apply):
        assert names(after)[-1] in (wanted.op, "broadcast_to")
    with np.errstate(all="ignore"):
        (x,), (y,) = (interpret(g, build.arrays()) for g in (before, after))
    assert (x.shape, x.dtype) == (y.shape, y.dtype)
    if "pow" in row.pattern and dtype.startswith("float"):
        finite = np.isfinite(x) & np.isfinite(y)
        np.testing.assert_array_equal(np.isnan(x), np.isnan(y))
        np.testing.assert_array_equal(x[~finite], y[~finite])
        assert ulps(y[finite], x[finite]) <= 4
    else:
        np.testing.assert_array_equal(y, x)
    if x.dtype.kind == "f":
        real = ~np.isnan(x)
        np.testing.assert_array_equal(np.signbit(y[real]), np.signbit(x[real]))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + 0.0,  # turns -0.0 into 0.0
        lambda x: x - (-0.0),
        lambda x: x * 0.0,  # NaN and infinity
        lambda x: x - x,
        lambda x: x == x,
        lambda x: ~(x < 1.0),  # NaN
        lambda x: x / 3.0,
        lambda x: x / 2.0**-149,  # the inverse overflows
    ],
)
def test_what_floats_do_not_allow_stays(function):
    graph = traced(function, spec(3))
    assert algebra.run(graph) is graph


def test_commutative_operands_match_in_either_order():
    graph = traced(lambda x: 1.0 * x, spec(3))
    assert names(dead_code.run(algebra.run(graph))) == []


def test_a_smaller_result_is_broadcast_back():
    graph = traced(lambda c, x: hb.where(c, x, x), spec(4, 3, dtype="bool"), spec(3))
    after = verify(algebra.run(graph))
    assert after.outputs[0].spec.shape == (4, 3)
    assert "broadcast_to" in names(after)


def test_every_op_of_the_table_is_registered():
    for row in ROWS:
        for text in (row.pattern, row.becomes):
            pattern = algebra._parse(text)
            assert not isinstance(pattern, algebra._Apply) or pattern.op in OPS
