"""``hb.draw``: what is shown, and that nothing overlaps."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hybrid as hb
from hybrid.inspect.layering import place


def test_a_trace_shows_every_node_and_the_optimised_graph_the_kernels() -> None:
    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        return hb.tanh(x * 2) + 1

    f(hb.ones((2, 3)))
    (traced,) = hb.draw(f).panels
    assert [box.title for box in traced.boxes] == ["x", "multiply", "tanh", "add", "return"]
    assert traced.arrows == ((0, 1), (1, 2), (2, 3), (3, 4))
    (optimized,) = hb.draw(f, optimized=True).panels
    assert [box.kind for box in optimized.boxes] == ["input", "fused", "output"]
    assert optimized.boxes[1].lines == ("multiply, tanh, add", "f32[2,3]")


def test_variables_and_writes_go_by_their_names() -> None:
    total = hb.Variable(0.0, name="total")

    @hb.compile
    def f(x: hb.Tensor) -> None:
        total.assign_add(hb.sum(x))

    f(hb.ones(3))
    (panel,) = hb.draw(f).panels
    assert [b.title for b in panel.boxes if b.kind in ("capture", "output")] == [
        "total",
        "write total",
    ]


def test_each_segment_has_a_panel() -> None:
    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        return hb.exp(x) if hb.sum(x) > 0 else -x

    f(hb.ones(3))
    f(-hb.ones(3))
    titles = [panel.title for panel in hb.draw(f).panels]
    assert titles == ["f", "f, bool() is True", "f, bool() is False"]


def test_a_loop_that_python_counts_is_a_panel_with_its_bound() -> None:
    @hb.compile
    def f(x: hb.Tensor) -> tuple[hb.Tensor, int]:
        last = x
        for n in range(99):  # noqa: B007
            x, last = x * 0.5, x
            if hb.max(x) < 0.01:
                break
        return x + last, n

    f(hb.ones(3))
    titles = [panel.title for panel in hb.draw(f).panels]
    again = "f, bool() is False, bool() is False, repeated while bool() is False, at most 96 times"
    assert again in titles


def test_concrete_functions_and_graphs_can_be_drawn() -> None:
    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        return x + x

    concrete = f.get_concrete_function(hb.ones(3))
    assert "<text" in hb.draw(concrete).svg
    assert "<text" in hb.draw(concrete.graph, optimized=True).svg


def test_files(tmp_path: Path) -> None:
    f = hb.compile(lambda x: x @ x.T)
    f(hb.ones((2, 2)))
    drawing = hb.draw(f)
    root = ET.parse(drawing.save(tmp_path / "graph.svg")).getroot()
    assert root.tag.endswith("svg")
    dot = drawing.save(tmp_path / "graph.dot").read_text()
    assert dot.startswith("digraph {")
    assert dot.count("->") == len(drawing.panels[0].arrows)
    with pytest.raises(ValueError, match=r"\.svg or \.dot, not as 'graph\.png'"):
        drawing.save(tmp_path / "graph.png")


def test_a_function_without_a_trace_is_refused() -> None:
    f = hb.compile(lambda x: x)
    with pytest.raises(hb.errors.TraceError, match="call it once"):
        hb.draw(f)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[tuple[float, float]], list[tuple[int, int]]]:
    count = draw(st.integers(0, 14))
    sizes = [(draw(st.floats(20, 200)), draw(st.floats(20, 60))) for _ in range(count)]
    pairs = [(a, b) for b in range(count) for a in range(b)]
    arrows = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=25)) if pairs else []
    return sizes, arrows


@given(graphs())
def test_boxes_never_overlap_and_arrows_point_down(
    graph: tuple[list[tuple[float, float]], list[tuple[int, int]]],
) -> None:
    sizes, arrows = graph
    layout = place(sizes, arrows)
    boxes = list(zip(layout.centers, sizes, strict=True))
    for i, ((x, y), (w, h)) in enumerate(boxes):
        assert x - w / 2 >= -1e-6
        assert x + w / 2 <= layout.width + 1e-6
        for (x2, y2), (w2, h2) in boxes[:i]:
            apart = abs(x - x2) >= (w + w2) / 2 - 1e-6 or abs(y - y2) >= (h + h2) / 2 - 1e-6
            assert apart
    for path in layout.paths.values():
        heights = [y for _, y in path]
        assert heights == sorted(heights)
