"""Unknown sizes become numbers: in shapes, attributes, graphs and records of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from hybrid.core import formula
from hybrid.core.formula import Input
from hybrid.core.graph import Const, FuncGraph, Node, Operand, Value
from hybrid.core.spec import TensorSpec
from hybrid.core.unknown import Unknown

_PLAIN = frozenset((int, bool, float, str, type(None)))


def unknowns_in(x: Any) -> set[Input]:
    """Return the inputs that sizes and attributes of a graph, or of what holds some, depend on."""
    if type(x) is Unknown:
        return formula.inputs_of(x.formula)
    if type(x) is tuple:  # most often of ints: a long trace has hundreds of thousands of these
        rest = [part for part in x if type(part) not in _PLAIN]
        return {found for part in rest for found in unknowns_in(part)} if rest else set()
    if isinstance(x, FuncGraph):
        specs = [v.spec for v in x.parameters]
        specs += [v.spec for node in x.nodes for v in node.outputs]
        parts: list[Any] = list({id(spec.shape): spec.shape for spec in specs}.values())
        shared = {id(node.attrs): node.attrs for node in x.nodes}
        parts += [attr for attrs in shared.values() for attr in attrs.values()]
    elif isinstance(x, list):
        parts = x
    elif isinstance(x, Mapping):
        parts = list(x.values())
    elif is_dataclass(x) and not isinstance(x, type):
        parts = [getattr(x, f.name) for f in fields(x) if f.init] if _may_hold(x) else []
    else:
        return set()
    return {found for part in parts for found in unknowns_in(part)}


class OfGraphs:
    """A dataclass that holds graphs, and may be made again of the same graphs for other sizes.

    What it has found out about them is in fields that are no arguments.
    """

    __slots__ = ()


def _may_hold(x: Any) -> bool:
    """Tell whether a dataclass is a plain record: one that two equal ones can stand for."""
    if isinstance(x, OfGraphs):
        return True
    params = getattr(x, "__dataclass_params__", None)
    return bool(params is not None and params.eq and params.frozen)


def substitute(x: Any, values: Mapping[Input, Any]) -> Any:
    """Return `x` with each Unknown replaced by its number; `x` itself where there is none."""
    if type(x) is Unknown:
        return formula.evaluate(x.formula, values)
    if type(x) is tuple or type(x) is list:
        new = [substitute(part, values) for part in x]
        return x if all(a is b for a, b in zip(new, x, strict=True)) else type(x)(new)
    if type(x) is dict:
        found = {key: substitute(part, values) for key, part in x.items()}
        return x if all(found[key] is x[key] for key in x) else found
    if isinstance(x, FuncGraph):
        return specialise(x, values)
    if is_dataclass(x) and not isinstance(x, type) and _may_hold(x):
        old = {f.name: getattr(x, f.name) for f in fields(x) if f.init}
        changed = {k: new for k, v in old.items() if (new := substitute(v, values)) is not v}
        return replace(x, **changed) if changed else x
    return x


def specialise(graph: FuncGraph, values: Mapping[Input, Any]) -> FuncGraph:
    """Return `graph` for these sizes; its Values are new ones.

    Parameters
    ----------
    graph : FuncGraph
    values : mapping
        The number that each input is.

    Returns
    -------
    FuncGraph
    """
    new: dict[Value, Value] = {}

    def sized(value: Value) -> Value:
        spec: TensorSpec = value.spec
        shape = substitute(spec.shape, values)
        found = new[value] = Value(spec if shape is spec.shape else replace(spec, shape=shape))
        return found

    def operand(x: Operand) -> Operand:
        return x if isinstance(x, Const) else new[x]

    inputs, captures = tuple(map(sized, graph.inputs)), tuple(map(sized, graph.captures))
    nodes = [
        Node(
            node.op,
            tuple(map(operand, node.inputs)),
            substitute(node.attrs, values),
            tuple(map(sized, node.outputs)),
            node.line,
        )
        for node in graph.nodes
    ]
    return FuncGraph(graph.name, inputs, captures, tuple(nodes), tuple(map(operand, graph.outputs)))
