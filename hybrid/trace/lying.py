"""How the memory of traced Tensors lies: what eager code would give a view of, and what a copy."""

from __future__ import annotations

from typing import Any

from hybrid.core.aliases import own_alias
from hybrid.core.layout import Layout
from hybrid.core.op import Attrs, Op
from hybrid.core.storage import Chain, alone
from hybrid.core.tensor import Tensor
from hybrid.trace.memory_order import Like, Made, Order, Part, always_view
from hybrid.trace.rules import Rules


def is_view(rules: Rules, op: Op, source: Tensor, attrs: Attrs, made: Tensor) -> bool:
    """Tell whether eager code would get a view of `source` here, which is `made`."""
    layout = layout_in(rules, source)
    if layout is None:
        if always_view(op, source.shape, attrs):
            made._data.layout = None
            return True
        order_of(rules, source).found()
        layout = layout_in(rules, source)
        assert layout is not None
    found, always = rules.view(op, layout, rules.attrs(attrs))
    made._data.layout = found
    if not always and source._data.given:
        order_of(rules, source).asked = True
        if found is None:
            order_of(rules, made).asked = True
    return found is not None


def layout_in(rules: Rules, tensor: Tensor) -> Layout | None:
    """Return how a Tensor lies; None where nobody has asked yet for that of its memory."""
    link = tensor._link
    if link is None:
        return rules.base(tensor._data.value.spec)
    if type(link) is tuple and link[2] is None:  # as it was made
        layout: Layout | None = tensor._data.layout
        if layout is not None:
            return layout
    chain: Chain = ()
    if type(link) is tuple and link[2] == ():
        storage = link[0]
    else:
        alias = own_alias(tensor)
        storage, chain = alias.storage, alias.chain
    order = storage.order
    layout = rules.base(storage.base.value.spec) if order is None else order.layout
    for op, attrs in chain:
        if layout is not None:
            layout, _ = rules.view(op, layout, rules.attrs(attrs))
    return layout


def layout_of(rules: Rules, tensor: Tensor) -> Layout:
    """Return how a Tensor lies, which somebody asks for."""
    order_of(rules, tensor).found()
    found = layout_in(rules, tensor)
    assert found is not None
    return found


def order_of(rules: Rules, tensor: Tensor) -> Order:
    """Return what is known of how the memory of a Tensor lies."""
    storage = own_alias(tensor).storage
    if storage.order is None:
        storage.order = Order(rules.base(storage.base.value.spec))
    order: Order = storage.order
    return order


def lie(rules: Rules, tensor: Tensor, order: Order) -> None:
    """Let a new Tensor lie otherwise than in C order."""
    link = tensor._link = alone(tensor._data, tensor._node)
    link[0].order = order
    rules.turned = True


def lie_like(rules: Rules, tensor: Tensor, like: Tensor, order: str) -> None:
    """Let a new Tensor lie as NumPy lays out one like another, in an order of ``empty_like``."""
    tensor._data.given = tensor._data.given or like._data.given
    known = layout_in(rules, tensor), layout_in(rules, like)
    if all(x is not None and rules.in_order(x) for x in known):
        return  # as nearly all do
    lie(rules, tensor, Order(None, Like(_part(rules, like), order, tensor._data.value.spec.shape)))


def lay_out(rules: Rules, op: Op, inputs: tuple[Any, ...], attrs: Attrs, outputs: Any) -> None:
    """Note how results of the trace lie of which some operands may not lie in C order."""
    results = outputs if op.multi else (outputs,)
    may = [(i, t) for i, t in enumerate(results) if rules.may_turn(op, t._data.value.spec)]
    if not may or op.bodies or op.impure:
        return
    layouts = [
        layout_in(rules, x) for x in inputs if type(x) is Tensor and x._data.value.spec.shape
    ]
    known = [x for x in layouts if x is not None]
    if len(known) < len(layouts) or not op.elementwise:
        plain = len(known) == len(layouts) and all(map(rules.in_order, known))
        if plain and not op.turns:
            return
        operands = tuple([_part(rules, x) if type(x) is Tensor else x for x in inputs])
        for i, t in may:
            lie(rules, t, Order(None, Made(op, attrs, operands, i, t._data.value.spec)))
        return
    layout = rules.kept(known, outputs._data.value.spec)
    if layout is not rules.base(outputs._data.value.spec):
        lie(rules, outputs, Order(layout))


def _part(rules: Rules, tensor: Tensor) -> Part:
    return Part(order_of(rules, tensor), own_alias(tensor).chain, tensor._data.value.spec)
