"""FuncGraph -> steps: which kernels and library calls run, on which arrays.

Every value of the graph gets a place: an array that exists when the Plan runs (its root), and the
layout of the value in it. View ops only make a new place, so they cost nothing in kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.fused import is_view
from hybrid.core.graph import Const, FuncGraph, Node, Operand
from hybrid.core.layout import Layout, contiguous
from hybrid.core.substitute import unknowns_in
from hybrid.runtime.building import Building, Into, Target, last_uses
from hybrid.runtime.instructions import Unsupported
from hybrid.runtime.joining import JOINS, schedule_join
from hybrid.runtime.lower import lower, refused_by_cpu
from hybrid.runtime.steps import (
    KernelStep,
    Later,
    LibraryStep,
    Place,
    Return,
    Root,
    Schedule,
    computed,
)
from hybrid.runtime.windows import schedule_moving_write, schedule_window
from hybrid.runtime.writing import schedule_write

CONSTANT_BYTES = 1 << 18  # the largest array that a Plan computes once and keeps

# Library functions that write into an array they are given, by the name of the op.
INTO: dict[str, Callable[..., Any]] = {"matmul": np.matmul}


def _into(node: Node) -> Into | None:
    """Return the function that computes a node into a given array, if there is one."""
    if node.op.into is not None:
        return node.op.into(*(operand.spec for operand in node.inputs), **node.attrs)
    into = INTO.get(node.op.name)
    if into is None or node.attrs:
        return None
    # NumPy casts and converts where dtypes differ; the op's own eager form knows how it wants it.
    (dtype, *others) = {operand.spec.dtype for operand in (*node.inputs, *node.outputs)}
    plain = not others and dtype.kind in "biufc" and not dtypes.is_half(dtype)
    return into if plain else None


CPU = Target(refused_by_cpu, _into, plans_results=False, windows=True)


def schedule(
    graph: FuncGraph, layouts: tuple[Layout, ...], donated: int = 0, target: Target = CPU
) -> Schedule:
    """Order the work of a graph and say where each value lies.

    Parameters
    ----------
    graph : FuncGraph
        Optimised.
    layouts : tuple of Layout
        How each parameter lies in the ndarray that is passed for it.
    donated : int
        How many of the first parameters nobody else reads: they may be overwritten.
    target : Target
        The device that does the work.

    Returns
    -------
    Schedule
    """
    building = Building(last_uses(graph), target, donated)
    parameters = []
    for number, (value, layout) in enumerate(zip(graph.parameters, layouts, strict=True)):
        root = Root("parameter", number, value.spec, replace(layout, offset=0))
        parameters.append(root)
        building.define((value,), (root,))
    for number, node in enumerate(graph.nodes):
        _schedule_node(building, node, number)
    returns = tuple(_returns(building, graph.outputs))
    return Schedule(
        graph.name,
        tuple(parameters),
        len(graph.inputs),
        tuple(building.steps),
        tuple(building.planned),
        tuple(building.constants),
        returns,
    )


def _schedule_node(building: Building, node: Node, number: int) -> None:
    if is_view(node) and _schedule_view(building, node):
        return
    if node.op.name == "view_update" and schedule_write(building, node, number):
        return
    if building.target.windows and _schedule_moving(building, node, number):
        return
    if node.op.name in JOINS and schedule_join(building, node, number):
        return
    if node.op.name != "fused":
        if not _schedule_constant(building, node):
            _schedule_library(building, node)
    elif all(value.spec.size == 0 for value in node.outputs):
        building.define(node.outputs, tuple(building.plan(v.spec) for v in node.outputs))
    else:
        _schedule_fused(building, node)


def _schedule_moving(building: Building, node: Node, number: int) -> bool:
    if node.op.name == "moving_view":
        return schedule_window(building, node)
    return node.op.name == "moving_update" and schedule_moving_write(building, node, number)


def _schedule_constant(building: Building, node: Node) -> bool:
    """Compute a node now that depends on nothing: ``arange(128)``, a block of zeros."""
    literals = all(isinstance(operand, Const) for operand in node.inputs)
    if node.op.impure or node.op.bodies or not literals:
        return False
    if node.output.spec.nbytes > CONSTANT_BYTES:
        return False
    arrays: Sequence[Any]
    if unknowns_in((node.attrs, *(value.spec for value in node.outputs))):
        if node.op.multi:
            return False
        arrays = [Later(node)]
    else:
        try:
            arrays = computed(node, node.attrs)
        except Exception:  # the same error is due when the Plan runs, with the user's line
            return False
    for value, array in zip(node.outputs, arrays, strict=True):
        root = Root("constant", len(building.constants), value.spec, contiguous(value.spec.shape))
        building.constants.append((root, array))
        building.define((value,), (root,))
    return True


def _schedule_view(building: Building, node: Node) -> bool:
    source = building.place(node.inputs[0])
    if isinstance(source, Const):
        return False
    assert node.op.view is not None
    layout = node.op.view(source.layout, **node.attrs)
    if layout is None:
        return False
    building.put(node.output, Place(source.root, layout, (*source.chain, node)))
    return True


def _schedule_fused(building: Building, node: Node) -> None:
    places = []
    for operand in node.inputs:
        place = building.place(operand)
        if isinstance(place, Const):
            return _schedule_library(building, node, "a literal among its inputs")
        places.append(place)
    if any(0 in place.layout.shape for place in places):
        # The reduction of nothing: rare, and an error for some reductions.
        return _schedule_library(building, node, "an input without elements")
    roots = [place.root for place in places]
    layouts = tuple(place.layout for place in places)
    try:
        numbers = tuple(map(roots.index, roots))
        lowered = lower(node.attrs["body"], layouts, numbers, building.target.refused)
    except Unsupported as reason:
        return _schedule_library(building, node, str(reason))
    inputs = tuple(roots[i] for i in lowered.operands)
    outputs = tuple(building.plan(value.spec) for value in node.outputs)
    building.steps.append(KernelStep(node, lowered.region, inputs, outputs))
    building.define(node.outputs, outputs)


def _schedule_library(building: Building, node: Node, reason: str = "") -> None:
    args = tuple(building.place(operand) for operand in node.inputs)
    target = building.target
    into = target.into(node)
    create = building.plan if into is not None or target.plans_results else building.result
    outputs = tuple(create(value.spec) for value in node.outputs)
    building.steps.append(LibraryStep(node, args, outputs, into, reason))
    building.define(node.outputs, outputs)


def _returns(building: Building, outputs: tuple[Operand, ...]) -> Iterator[Return]:
    owned: set[Root] = set()
    for operand in outputs:
        source = building.place(operand)
        if isinstance(source, Const):
            yield Return(source, False)
            continue
        root = source.root
        fresh = root.origin in ("planned", "result")
        own = fresh and root not in owned and source.whole
        if own:
            owned.add(root)
        yield Return(source, own)
