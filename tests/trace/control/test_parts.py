"""Ops that put parts together, written out as assignments, compute what they did."""

from __future__ import annotations

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.dispatch import bind
from hybrid.core.graph import verify
from hybrid.core.interpret import interpret
from hybrid.core.op import OPS, Example, Op
from hybrid.trace.control.parts import written
from tests.ops.test_registry import CASES, inputs_of


@pytest.mark.parametrize(("op", "example"), [c for c in CASES if c.values[0].parts is not None])
def test_assignments_of_the_parts_give_the_whole(op: Op, example: Example) -> None:
    arrays = inputs_of(example)
    traced = hb.compile(lambda *xs: bind(op, xs, example.attrs))
    graph = traced.get_concrete_function(*arrays).graph
    parts = verify(written(graph))
    (found,) = interpret(parts, arrays)
    expected = op.eager(np, *arrays, **example.attrs)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    mixed = len({a.dtype for a in arrays}) > 1
    assert (parts is graph) is (mixed or example.attrs.get("mode", "constant") != "constant")


def test_that_holds_for_the_ops_of_shapes() -> None:
    assert {"stack", "concat", "pad"} <= {op.name for op in OPS.values() if op.parts}
