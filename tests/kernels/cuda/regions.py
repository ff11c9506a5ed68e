"""Regions of ops of the registry: what the compiler would hand to a generator of kernels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid.core.dispatch import bind
from hybrid.core.graph import FuncGraph
from hybrid.core.interpret import interpret, run_node
from hybrid.core.layout import contiguous
from hybrid.core.op import OPS, Example, Op
from hybrid.core.spec import TensorSpec
from hybrid.kernels.cuda.spec import refused
from hybrid.kernels.region import Region
from hybrid.runtime.lower import lower
from hybrid.trace.passes import optimize
from tests.trace.passes.graphs import traced

Array = np.ndarray[Any, Any]

FUSABLE = [op for op in OPS.values() if op.scalar or op.reduce or op.scan or op.expand]


@dataclass(frozen=True)
class Case:
    """A region with operands; the outputs are zeros that the kernel is to fill."""

    region: Region
    inputs: list[Array]
    outputs: list[Array]
    wanted: tuple[Array, ...]

    @property
    def arrays(self) -> list[Array]:
        """All operands, outputs last."""
        return [*self.inputs, *self.outputs]


def inputs_of(op: Op, example: Example, seed: int = 0) -> list[Array]:
    """Arrays that an op accepts."""
    rng = np.random.default_rng(seed)
    names = example.dtypes or ("float32",) * len(example.shapes)
    arrays = [
        np.asarray(rng.uniform(*example.domain, shape)).astype(name)
        for shape, name in zip(example.shapes, names, strict=True)
    ]
    return list(example.prepare(*arrays)) if example.prepare else arrays


def graph_of(op: Op, example: Example, arrays: list[Array]) -> FuncGraph:
    """The graph of an op alone, after all passes."""
    specs = [TensorSpec(array.shape, array.dtype) for array in arrays]
    return optimize(traced(lambda *xs: bind(op, xs, example.attrs), *specs))


def cases_of(op: Op, example: Example) -> Iterator[Case]:
    """The regions that an op becomes, each with operands and what it should give.

    Those of complex numbers are left out: no GPU kernel computes them.
    """
    arrays = inputs_of(op, example)
    graph = graph_of(op, example, arrays)
    values = dict(zip(graph.parameters, arrays, strict=True))
    for node in graph.nodes:
        operands = [
            np.asarray(x.value, x.dtype) if not hasattr(x, "spec") or x not in values else values[x]
            for x in node.inputs
        ]
        results = run_node(node, operands)
        values.update(zip(node.outputs, results, strict=True))
        if node.op.name != "fused":
            continue
        body = node.attrs["body"]
        operands = [np.ascontiguousarray(x).reshape(x.shape) for x in operands]
        lowered = lower(body, tuple(contiguous(x.shape) for x in operands))
        if why := refused(lowered.region):
            assert "complex" in why, f"{op.name}: {why}"
            continue
        given = [operands[number] for number in lowered.operands]
        empty = [np.zeros(value.spec.shape, value.spec.dtype) for value in body.outputs]
        with np.errstate(all="ignore"):
            wanted = interpret(body, operands)
        yield Case(lowered.region, given, empty, wanted)
