"""Two steps of a loop count as the same where only names and lines differ."""

from __future__ import annotations

import pytest

import hybrid as hb
from hybrid.core.spec import TensorSpec
from hybrid.trace.bodies import in_order, same_body
from hybrid.trace.recorder import trace_pure

SPEC = TensorSpec((3,), hb.float32)


def body(function, *specs):
    return trace_pure("step", function, specs or (SPEC, SPEC))[0]


def step(x, y):
    return hb.sum(x * 2.0 + y, keepdims=True), y


def test_the_same_ops_on_the_same_operands_are_the_same():
    assert same_body(body(step), body(step))
    branch = lambda x, y: hb.cond(hb.sum(x) > 0, lambda: x, lambda: y)
    assert same_body(body(branch), body(branch))


@pytest.mark.parametrize(
    "other",
    [
        lambda x, y: (hb.sum(x * 3.0 + y, keepdims=True), y),
        lambda x, y: (hb.sum(y * 2.0 + x, keepdims=True), y),
        lambda x, y: (hb.sum(x * 2.0 - y, keepdims=True), y),
        lambda x, y: (hb.sum(x * 2.0 + y), y),
        lambda x, y: (hb.sum(x * 2.0 + y, keepdims=True), x),
        lambda x, y: (hb.sum(x * 2.0 + 1.0, keepdims=True), y),
        lambda x, y: (hb.sum(x * 2.0 + y, keepdims=True), y, y),
    ],
)
def test_another_literal_operand_op_attribute_or_result_is_told(other):
    assert not same_body(body(step), body(other))
    assert not same_body(body(other), body(step))


def test_signed_zeros_specs_and_bodies_of_branches_are_told():
    assert not same_body(body(lambda x, y: x + 0.0), body(lambda x, y: x + -0.0))
    assert not same_body(body(step), body(step, SPEC, TensorSpec((1,), hb.float32)))
    one, other = (
        body(lambda x, y, n=n: hb.cond(hb.sum(x) > 0, lambda: x, lambda: y * n)) for n in (2.0, 3.0)
    )
    assert not same_body(one, other)


def test_parameters_are_told_apart_by_their_places():
    one, other = body(lambda x, y: x - y), body(lambda x, y: y - x)
    assert same_body(in_order(one, (4, 2)), in_order(other, (2, 4)))
    assert not same_body(in_order(one, (2, 4)), in_order(other, (2, 4)))
