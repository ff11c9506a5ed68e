"""Kernels that read an operand where indices say, and blocks of operands side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.graph import FuncGraph, Node
from hybrid.core.interpret import interpret, run_node
from hybrid.core.layout import contiguous
from hybrid.core.spec import TensorSpec
from hybrid.kernels.cuda.spec import refused
from hybrid.runtime.lower import lower
from hybrid.trace.passes import optimize, reading
from tests.kernels.cuda.simulator import THREADS, run
from tests.trace.passes.graphs import names, traced

Array = np.ndarray[Any, Any]

CASES: dict[str, tuple[Callable[..., Any], tuple[int, ...], tuple[int, ...]]] = {
    "rows": (lambda x, i: hb.exp(x[i]) + 1, (7, 16), (5,)),
    "rows of few": (lambda x, i: x[i] * 2, (7, 3), (5, 2)),
    "columns": (lambda x, i: x[:, i] + 1, (6, 9), (8,)),
    "elements": (lambda x, i: hb.exp(x[i]), (9,), (13,)),
    "sums of rows": (lambda x, i: hb.sum(x[i], axis=1), (7, 40), (5,)),
    "sums over rows": (lambda x, i: hb.sum(x[i], axis=0), (7, 20), (18,)),
    "maxima of picked columns": (lambda x, i: hb.max(x[:, i], axis=1), (3, 9), (40,)),
    "scans": (lambda x, i: hb.cumulative_sum(x[i] * 2, axis=0), (9, 2), (11,)),
    "turned": (lambda x, i: x.T[:, i] * 1.5, (9, 8), (8,)),
}


@pytest.mark.parametrize("threads", [16, THREADS])
@pytest.mark.parametrize("name", CASES)
def test_operands_at_indices(name: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    small_too(monkeypatch)
    function, shape, places = CASES[name]
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype(np.float32)
    index = rng.integers(-min(shape), min(shape), places)
    specs = TensorSpec(shape, x.dtype), TensorSpec(places, index.dtype)
    graph = optimize(traced(function, *specs))
    run_all(graph, [x, index], threads)


def small_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let kernels gather small arrays too."""
    monkeypatch.setattr(reading, "LEAST", 1)
    monkeypatch.setattr(reading, "LEAST_ROW", 1)


BLOCKS: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...], str]] = {
    "side by side": (lambda x, y: hb.concat([x, y], axis=1) * 2, ((3, 5), (3, 4)), "float32"),
    "below": (lambda x, y: hb.exp(hb.concat([x, y])), ((3, 8), (2, 8)), "float32"),
    "rolled": (lambda x: hb.roll(x, 3, axis=0) + x, ((21,),), "float32"),
    "padded": (lambda x: hb.pad(x, 2) * 3, ((5, 6),), "float32"),
    "padded float16": (lambda x: hb.pad(x, ((1, 2), (0, 3))) * 3, ((5, 6),), "float16"),
    "whole numbers": (lambda x, y: hb.concat([x, y]) + 1, ((9,), (8,)), "int32"),
    "sum of both": (lambda x, y: hb.sum(hb.concat([x, y]) ** 2), ((33,), (9,)), "float32"),
    "sums of rows": (lambda x: hb.sum(hb.pad(x, 1), axis=1), ((6, 30),), "float32"),
    "sums of columns": (lambda x: hb.max(hb.roll(x, 2, axis=0), axis=0), ((6, 40),), "float32"),
    "scanned": (lambda x: hb.cumulative_sum(hb.roll(x, 2), axis=0), ((19,),), "float32"),
}


@pytest.mark.parametrize("threads", [16, THREADS])
@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_side_by_side(name: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    small_too(monkeypatch)
    function, shapes, dtype = BLOCKS[name]
    rng = np.random.default_rng(0)
    arrays = [(rng.standard_normal(shape) * 4).astype(dtype) for shape in shapes]
    graph = optimize(traced(function, *(TensorSpec(x.shape, x.dtype) for x in arrays)))
    run_all(graph, arrays, threads)


def run_all(graph: FuncGraph, arrays: list[Array], threads: int) -> None:
    """Run a graph node by node; kernels of fused nodes must give what their bodies say."""
    values = dict(zip(graph.parameters, arrays, strict=True))
    for node in graph.nodes:
        operands = [values[value] for value in node.inputs]  # type: ignore[index]
        if node.op.name == "fused":
            check(node, operands, threads)
        values.update(zip(node.outputs, run_node(node, operands), strict=True))
    assert "fused" in names(graph)


def check(node: Node, operands: list[Array], threads: int) -> None:
    body = node.attrs["body"]
    lowered = lower(body, tuple(contiguous(a.shape) for a in operands), refused=refused)
    assert any(access.sources for access in lowered.region.inputs)
    outputs = [np.zeros(v.spec.shape, v.spec.dtype) for v in body.outputs]
    run(lowered.region, [*(operands[i] for i in lowered.operands), *outputs], threads=threads)
    for found, want in zip(outputs, interpret(body, operands), strict=True):
        np.testing.assert_allclose(found, want, rtol=2e-6, atol=1e-6)
