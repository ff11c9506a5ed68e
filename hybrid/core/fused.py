"""The op `fused`: a region of a graph, kept as a graph of its own, that becomes one kernel.

The fusion pass puts the body into a canonical form that lowering relies upon:

- ``body.inputs`` stand for the inputs of the node; there are no captures; literals stay inside.
- Its nodes are view ops on inputs or on other such views; ops that pick elements of these at
  indices among these, and views of what they pick; elementwise ops and ``astype``; and
  reductions with ``keepdims=True`` that all reduce the same ``axis`` of the iteration space, or
  scans of the whole space that all run along the same axis.
- The iteration space is the broadcast of the shapes of all values that are not views. Every value
  broadcasts to it; a reduced one has its rank, and size 1 on the reduced axes.
- Each output has the shape of the space, or that shape reduced.
- Indices are checked before: the node takes the result of the check as one more input, which the
  body does not read.
"""

from __future__ import annotations

from typing import Any

from hybrid.core.graph import FuncGraph, Node
from hybrid.core.interpret import interpret
from hybrid.core.op import Op, register
from hybrid.core.spec import Shape, TensorSpec, broadcast_shapes
from hybrid.errors import GraphError


def _infer(*specs: TensorSpec, body: FuncGraph) -> tuple[TensorSpec, ...]:
    wanted = tuple((v.spec.shape, v.spec.dtype) for v in body.inputs)
    found = tuple((s.shape, s.dtype) for s in specs)
    if wanted != found:
        raise GraphError(f"fused: the body takes {wanted} but is given {found}")
    return tuple(x.spec for x in body.outputs)


def _eager(xp: Any, *arrays: Any, body: FuncGraph) -> tuple[Any, ...]:
    return interpret(body, arrays, xp)


FUSED = register(
    Op(
        name="fused",
        family="composite",
        infer=_infer,
        eager=_eager,
        multi=True,
        no_gradient="made by the fusion pass, when the gradients are in the graph already",
        doc="A region of a graph that becomes one kernel; `body` says what it computes.",
    )
)


def is_view(node: Node) -> bool:
    """Tell whether a node of a body is a view of an input."""
    return node.op.view is not None


def is_read(node: Node) -> bool:
    """Tell whether a node of a body only says how inputs are read."""
    return is_view(node) or node.op.finds


def space_of(body: FuncGraph) -> Shape:
    """Return the iteration space of a body."""
    shapes: list[Shape] = [x.spec.shape for x in body.outputs]
    for node in body.nodes:
        if is_read(node):
            continue
        shapes += [x.spec.shape for x in node.inputs]
        shapes += [v.spec.shape for v in node.outputs]
    return broadcast_shapes(*shapes)


def axes_of(body: FuncGraph) -> tuple[int, ...]:
    """Return the axes of the space that a body reduces or scans along; empty without any."""
    for node in body.nodes:
        if node.op.reduce is not None:
            axes: tuple[int, ...] = node.attrs["axis"]
            return axes
        if node.op.scan is not None:
            return (node.attrs["axis"],)
    return ()
