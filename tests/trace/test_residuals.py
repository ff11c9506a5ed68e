"""What gradients keep: enough, and no more bytes than need be."""

from __future__ import annotations

import random
from itertools import combinations
from typing import Any

import pytest

import hybrid as hb
from hybrid.core.graph import Builder, Node, Value
from hybrid.core.op import OPS
from hybrid.core.spec import TensorSpec
from hybrid.trace.derivative import derive
from hybrid.trace.residuals import choose, is_cheap


def chain(seed: int) -> tuple[list[Node], list[Value], list[Value]]:
    """Draw a small graph of cheap and expensive ops, and what of it is needed."""
    rng = random.Random(seed)
    builder = Builder()
    values = [Value(TensorSpec((rng.choice((1, 8, 64)),), hb.float32)) for _ in range(2)]
    values.append(Value(TensorSpec((), hb.float32)))
    for _ in range(rng.randrange(3, 9)):
        op = OPS[rng.choice(("add", "multiply", "exp", "sum", "negative", "tanh"))]
        attrs: dict[str, Any] = {"axis": (0,), "keepdims": False} if op.name == "sum" else {}
        one = rng.choice(values)
        if op.name == "sum" and not one.spec.shape:
            continue
        same = [v for v in values if v.spec.shape in (one.spec.shape, (), (1,))]
        inputs = (one, rng.choice(same)) if op.name in ("add", "multiply") else (one,)
        values += builder.emit(op, inputs, attrs, None)
    made = [v for node in builder.nodes for v in node.outputs]
    needed = rng.sample(made, min(len(made), rng.randrange(1, 4)))
    return list(builder.nodes), needed, rng.sample(made, 1)


def follows(nodes: list[Node], kept: set[Value], needed: list[Value]) -> bool:
    """Tell whether the needed values follow from the kept ones by cheap nodes."""
    made = {v for node in nodes for v in node.outputs}
    known = set(kept)
    for node in nodes:
        inputs = [x for x in node.inputs if isinstance(x, Value)]
        if is_cheap(node) and all(x in known or x not in made for x in inputs):
            known.update(node.outputs)
    return known.issuperset(needed)


@pytest.mark.parametrize("seed", range(40))
def test_no_other_choice_costs_fewer_bytes(seed: int) -> None:
    nodes, needed, outputs = chain(seed)
    if not nodes:
        return

    def cost(values: Any) -> float:
        return sum(v.spec.nbytes / (2 if v in outputs else 1) for v in values)

    found = choose(nodes, needed, outputs)
    assert follows(nodes, set(found.values), needed)
    assert all(is_cheap(node) for node in found.again)
    made = [v for node in nodes for v in node.outputs]
    best = min(
        cost(kept)
        for count in range(len(made) + 1)
        for kept in combinations(made, count)
        if follows(nodes, set(kept), needed)
    )
    assert cost(found.values) == best


def test_only_what_cannot_be_computed_in_passing_is_kept() -> None:
    def f(x: Any, w: Any) -> Any:
        h = x @ w
        a = hb.maximum(h * 0.5 + 1, 0) * h
        return (hb.tanh(a) * 2 - a).sum()

    x, w = hb.ones((64, 32)), hb.ones((32, 16))
    graph = hb.compile(f).get_concrete_function(x, w).graph
    kept = derive(graph, (True, True)).forward.graph.outputs[1:]
    assert len(kept) == 2
    assert sum(v.spec.nbytes for v in kept) == 2 * 64 * 16 * 4


def test_a_gradient_that_needs_nothing_keeps_nothing() -> None:
    nodes, _, outputs = chain(0)
    assert choose(nodes, [], outputs).values == ()


def test_draws_and_products_are_never_computed_again() -> None:
    assert not is_cheap(Node(OPS["matmul"], (), {}, ()))
    assert not is_cheap(Node(OPS["random_uniform"], (), {}, ()))
    assert not is_cheap(Node(OPS["exp"], (), {}, ()))
    assert is_cheap(Node(OPS["maximum"], (), {}, ()))
    assert is_cheap(Node(OPS["reshape"], (), {}, ()))
