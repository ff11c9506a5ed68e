"""What a trace remembers of the rules of ops must be what the rules say."""

from __future__ import annotations

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.layout import contiguous
from hybrid.core.op import OPS
from hybrid.core.spec import TensorSpec
from hybrid.trace.rules import Rules


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, True), (0, False), (1, 1.0), (0.0, -0.0), ((1,), (True,)), ((1, 2), (2, 1)), ("a", "b")],
)
def test_attributes_that_are_told_apart_stay_apart(one, other):
    rules = Rules()
    first, second = rules.attrs({"key": one}), rules.attrs({"key": other})
    assert repr(first["key"]) == repr(one)
    assert repr(second["key"]) == repr(other)


def test_equal_attributes_are_one():
    rules = Rules()
    one, other = {"axis": (0, 1), "keepdims": True}, {"axis": (0, 1), "keepdims": True}
    assert rules.attrs(one) is rules.attrs(other)
    assert rules.attrs({"dtype": np.dtype("f4")}) is not rules.attrs({"dtype": np.dtype("f8")})


def test_attributes_that_die_do_not_lend_their_name_to_others():
    rules = Rules()
    found = [rules.attrs({"axis": (i,)})["axis"] for i in range(1000)]
    assert found == [(i,) for i in range(1000)]


def test_results_are_those_that_the_op_infers():
    rules = Rules()
    op, spec = OPS["sum"], TensorSpec((2, 3), np.dtype("i4"))
    for _ in range(2):
        for axis in (0, 1):
            attrs = rules.attrs({"axis": (axis,), "keepdims": False})
            assert rules.results(op, (spec,), attrs, weak=False) == (op.infer(spec, **attrs),)
    (weak,) = rules.results(op, (spec,), attrs, weak=True)
    assert weak.weak


def test_layouts_are_those_that_the_op_gives():
    rules = Rules()
    base = rules.base(TensorSpec((2, 3), np.dtype("f4")))
    attrs = rules.attrs({"axes": (1, 0)})
    assert base == contiguous((2, 3))
    turned, always = rules.view(OPS["permute_dims"], base, attrs)
    assert (turned, always) == (base.transpose((1, 0)), True)
    flat = rules.view(OPS["reshape"], turned, rules.attrs({"shape": (6,)}))
    assert flat == (None, False)


def test_what_is_written_is_not_read():
    """A write adds one node, and one more for what is read through an older view afterwards."""

    @hb.compile
    def f(x):
        y = x.copy()
        top = y[1:]
        y[0] = 1.0
        y[:, 0] = 2.0
        return y, top.sum()

    graph = f.get_concrete_function(np.zeros((3, 3))).graph
    assert [node.op.name for node in graph.nodes] == [
        "copy",
        "slice",
        "view_update",
        "view_update",
        "slice",
        "sum",
    ]
