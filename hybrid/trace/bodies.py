"""Whether two steps of a loop that Python goes through have the same body.

Compared node by node: to print both takes a quarter of the time of a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hybrid.core.graph import Const, FuncGraph, Operand, Value, format_attr
from hybrid.core.op import Attrs


def in_order(graph: FuncGraph, places: Sequence[int]) -> FuncGraph:
    """Return a body with its parameters in the order of their places."""
    order = sorted(range(len(places)), key=places.__getitem__)
    return replace(graph, inputs=tuple(graph.parameters[i] for i in order), captures=())


def same_body(one: FuncGraph, other: FuncGraph) -> bool:
    """Tell whether two bodies are the same but for the names of values and the user's lines."""
    if len(one.inputs) != len(other.inputs) or len(one.nodes) != len(other.nodes):
        return False
    if not all(map(_same_spec, one.inputs, other.inputs)):
        return False
    names: dict[Operand, Operand] = dict(zip(one.inputs, other.inputs, strict=True))
    for a, b in zip(one.nodes, other.nodes, strict=True):
        if a.op is not b.op or not _same_operands(a.inputs, b.inputs, names):
            return False
        if a.attrs is not b.attrs and _text(a.attrs) != _text(b.attrs):
            return False
        if len(a.outputs) != len(b.outputs) or not all(map(_same_spec, a.outputs, b.outputs)):
            return False
        names.update(zip(a.outputs, b.outputs, strict=True))
    return _same_operands(one.outputs, other.outputs, names)


def _same_operands(
    one: Sequence[Operand], other: Sequence[Operand], names: dict[Operand, Operand]
) -> bool:
    if len(one) != len(other):
        return False
    for x, y in zip(one, other, strict=True):
        if type(x) is Const:
            if x is not y and (type(y) is not Const or x.key() != y.key()):
                return False
        elif names.get(x) is not y:
            return False
    return True


def _same_spec(x: Value, y: Value) -> bool:
    # As text: unknown sizes are not to be asked whether they are equal in this call.
    return x.spec is y.spec or str(x.spec) == str(y.spec)


def _text(attrs: Attrs) -> list[tuple[str, str]]:
    return [(name, format_attr(value)) for name, value in sorted(attrs.items())]
