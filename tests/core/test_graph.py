"""FuncGraphs print as stable text and refuse to be malformed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.graph import FuncGraph, Value, format_graph, verify
from hybrid.core.spec import TensorSpec
from hybrid.errors import GraphError


def traced() -> FuncGraph:
    w = hb.asarray(np.ones(3, np.float32))

    @hb.compile
    def f(x: hb.Tensor, rate: float) -> hb.Tensor:
        return hb.sum(x * w * rate, axis=0) + 1

    return f.get_concrete_function(hb.asarray(np.ones((2, 3), np.float32)), 0.5).graph


def test_the_printed_form_is_stable() -> None:
    assert format_graph(traced(), lines=False) == (
        "f(%0: f32[2,3], %1: f64*[], %c0: f32[3]) {\n"
        "  %2: f32[2,3] = multiply(%0, %c0)\n"
        "  %3: f32[] = astype(%1, dtype=f32)\n"
        "  %4: f32[2,3] = multiply(%2, %3)\n"
        "  %5: f32[3] = sum(%4, axis=(0), keepdims=False)\n"
        "  %6: f32[3] = add(%5, 1.0:f32)\n"
        "  return %6\n"
        "}"
    )


def test_each_node_names_the_users_line() -> None:
    assert all("test_graph.py" in str(node.line) for node in traced().nodes)


def test_verify_finds_what_is_malformed() -> None:
    graph = verify(traced())
    with pytest.raises(GraphError, match="before it is defined"):
        verify(replace(graph, nodes=graph.nodes[1:]))
    with pytest.raises(GraphError, match="a second time"):
        verify(replace(graph, nodes=(*graph.nodes, graph.nodes[0])))
    with pytest.raises(GraphError, match="output is not defined"):
        verify(replace(graph, outputs=(Value(TensorSpec((), np.dtype("float32"))),)))
    wrong = replace(graph.nodes[0], outputs=(Value(TensorSpec((9,), np.dtype("float32"))),))
    with pytest.raises(GraphError, match="declared as"):
        verify(replace(graph, nodes=(wrong,), outputs=()))
