"""Kernels that read an operand where indices say, as its own elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.graph import Node
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
    # Kernels gather small arrays too.
    monkeypatch.setattr(reading, "LEAST", 1)
    monkeypatch.setattr(reading, "LEAST_ROW", 1)
    function, shape, places = CASES[name]
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype(np.float32)
    index = rng.integers(-min(shape), min(shape), places)
    specs = TensorSpec(shape, x.dtype), TensorSpec(places, index.dtype)
    graph = optimize(traced(function, *specs))
    values = dict(zip(graph.parameters, (x, index), strict=True))
    for node in graph.nodes:
        operands = [values[value] for value in node.inputs]  # type: ignore[index]
        if node.op.name == "fused":
            check(node, operands, threads)
        values.update(zip(node.outputs, run_node(node, operands), strict=True))
    assert "fused" in names(graph)


def check(node: Node, operands: list[Array], threads: int) -> None:
    body = node.attrs["body"]
    lowered = lower(body, tuple(contiguous(a.shape) for a in operands), refused=refused)
    assert any(access.picks for access in lowered.region.inputs)
    outputs = [np.zeros(v.spec.shape, v.spec.dtype) for v in body.outputs]
    run(lowered.region, [*(operands[i] for i in lowered.operands), *outputs], threads=threads)
    for found, want in zip(outputs, interpret(body, operands), strict=True):
        np.testing.assert_allclose(found, want, rtol=2e-6, atol=1e-6)
