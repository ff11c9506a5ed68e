"""Graphs for the tests of the passes: traced programs, checks of bodies, equality of results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import hybrid as hb
from hybrid.core.fused import axes_of, is_read, space_of
from hybrid.core.graph import FuncGraph, Node, Value, format_graph, verify
from hybrid.core.interpret import interpret
from hybrid.core.spec import TensorSpec
from hybrid.trace.passes import dead_code, rolling
from hybrid.trace.recorder import trace_pure


def spec(*shape: int, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(shape, np.dtype(dtype))


def traced(function: Callable[..., Any], *specs: TensorSpec) -> FuncGraph:
    name = getattr(function, "__name__", "f").strip("_").replace("<lambda>", "f")
    graph, _ = trace_pure(name, function, specs)
    return verify(graph)


def names(graph: FuncGraph) -> list[str]:
    return [node.op.name for node in graph.nodes]


def bodies(graph: FuncGraph) -> list[FuncGraph]:
    return [node.attrs["body"] for node in graph.nodes if node.op.name == "fused"]


def sample(graph: FuncGraph, seed: int = 0, special: bool = False) -> list[np.ndarray]:
    """Draw arrays for the parameters; small multiples of 1/4, so that sums are exact."""
    rng = np.random.default_rng(seed)
    arrays = []
    for value in graph.parameters:
        shape, dtype = value.spec.shape, value.spec.dtype
        if dtype.kind == "b":
            arrays.append(rng.integers(0, 2, shape).astype(bool))
            continue
        low = 0 if dtype.kind == "u" else -8
        array = np.asarray(rng.integers(low, 9, shape)).astype(dtype)
        if dtype.kind == "f":
            array = array / dtype.type(4)
            if special and array.size:
                flat = array.reshape(-1).copy()
                picked = rng.integers(0, flat.size, max(1, flat.size // 4))
                flat[picked] = rng.choice([np.nan, np.inf, -np.inf, -0.0, 0.0], picked.size)
                array = flat.reshape(shape)
        arrays.append(np.asarray(array, dtype))
    return arrays


def assert_same(
    before: FuncGraph,
    after: FuncGraph,
    arrays: Sequence[np.ndarray],
    *,
    rtol: float = 0.0,
    atol: float = 0.0,
) -> None:
    """Check that two graphs compute the same, bit for bit unless a tolerance is given."""
    with np.errstate(all="ignore"):
        wanted, found = interpret(before, arrays), interpret(after, arrays)
    for x, y in zip(wanted, found, strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        if x.dtype.kind not in "fc":
            np.testing.assert_array_equal(y, x)
            continue
        np.testing.assert_allclose(y, x, rtol=rtol, atol=atol, equal_nan=True)
        if not rtol and not atol and x.dtype.kind == "f":
            real = ~np.isnan(x)
            np.testing.assert_array_equal(np.signbit(y[real]), np.signbit(x[real]))


def show(graph: FuncGraph) -> str:
    return format_graph(graph, lines=False)


def check_body(node: Node, producers: Sequence[Node]) -> None:
    """Check the canonical form that :mod:`hybrid.core.fused` promises to lowering."""
    body: FuncGraph = node.attrs["body"]
    verify(body)
    assert not body.captures
    assert all(isinstance(x, Value) for x in node.inputs)
    views: set[Value] = set(body.inputs)
    space, axes = space_of(body), axes_of(body)
    kept = tuple(1 if i in axes else n for i, n in enumerate(space))
    for inner in body.nodes:
        if is_read(inner):
            assert views.issuperset(inner.inputs)
            views.update(inner.outputs)
        elif inner.op.reduce is not None:
            assert inner.attrs["keepdims"]
            assert inner.attrs["axis"] == axes
            assert inner.inputs[0].spec.shape == space
            assert inner.output.spec.dtype == inner.inputs[0].spec.dtype
        elif inner.op.scan is not None:
            assert (inner.attrs["axis"],) == axes
            assert inner.output.spec.shape == space
            assert inner.output.spec.dtype == inner.inputs[0].spec.dtype
        else:
            assert inner.op.elementwise
            assert inner.op.scalar is not None
            assert np.broadcast_shapes(inner.output.spec.shape, space) == space
    for output in body.outputs:
        assert isinstance(output, Value)
        assert output.spec.shape == space or (axes and output.spec.shape == kept)
        assert output not in views
    assert dead_code.run(body) is body
    read = {x for inner in body.nodes for x in inner.inputs}
    checks = {x.output for x in producers if x.op.name == "in_bounds"}
    for outside, inside in zip(node.inputs, body.inputs, strict=True):
        assert inside in read or outside in checks


def check_bodies(graph: FuncGraph) -> None:
    for node in graph.nodes:
        if node.op.name == "fused":
            check_body(node, graph.nodes)


# --- programs of some size, for golden texts ------------------------------------------------------


def softmax(x: hb.Tensor) -> hb.Tensor:
    return hb.softmax(x, axis=-1)


def layer_norm(x: hb.Tensor, scale: hb.Tensor, shift: hb.Tensor) -> hb.Tensor:
    mean = hb.mean(x, axis=-1)[:, None]
    var = hb.var(x, axis=-1)[:, None]
    return (x - mean) / hb.sqrt(var + 1e-5) * scale + shift


def mlp_loss(x: hb.Tensor, w: hb.Tensor, b: hb.Tensor, y: hb.Tensor) -> Any:
    hidden = hb.maximum(x @ w + b, 0.0)
    logits = hidden @ w.T
    loss = -hb.mean(hb.sum(hb.log_softmax(logits, axis=1) * y, axis=1))
    return loss, logits * 1.0


def sgd(w: hb.Tensor, g: hb.Tensor, v: hb.Tensor, b: hb.Tensor, h: hb.Tensor, u: hb.Tensor) -> Any:
    """Two parameters of one shape and their momenta."""
    v = 0.9 * v + g
    u = 0.9 * u + h
    return w - 0.1 * v, v, b - 0.1 * u, u


def whole_norm(x: hb.Tensor) -> hb.Tensor:
    """Divide by a reduction of everything: two kernels where the array is large."""
    return x / hb.sqrt(hb.sum(x * x))


def strided(x: hb.Tensor, y: hb.Tensor) -> Any:
    """Views of inputs belong to the kernel; one that is returned too stays outside."""
    turned = x.T
    return hb.exp(turned + y[1:4, ::-1]) - 1.0, turned


def recurrence(x: hb.Tensor, w: hb.Tensor) -> Any:
    """A scan of which only the last carry is read; one branch of a cond in it is dead weight."""

    def step(carry: Any, row: hb.Tensor) -> Any:
        h, unread = carry
        h = hb.cond(h.sum() > 0, lambda: (hb.tanh(w @ h + row), row), lambda: (h * 0.5, h))[0]
        return (h, unread + h), hb.exp(h)

    return hb.scan(step, (x[0], x[0]), x)[0][0]


def countdown(x: hb.Tensor) -> Any:
    def step(carry: Any) -> Any:
        hb.print("left: {}", carry[0])
        return carry[0] - 1, carry[1] / 2

    return hb.while_loop(lambda carry: carry[0] > 0, step, (3, x))[1]


def relaxation(p: hb.Tensor, b: hb.Tensor) -> hb.Tensor:
    """Time steps of slice updates, as one writes them for NumPy: they roll into one loop."""
    for _ in range(12):
        q = p.copy()
        p[1:-1] = (q[2:] + q[:-2]) * 0.5 - b
        p[0] = p[1]
    return p


def marching(u: hb.Tensor) -> Any:
    for n in range(12):
        u[n + 1, 1:-1] = u[n, 1:-1] + 0.1 * (u[n, 2:] - u[n, :-2]) * (n + 1)
    return u


def alignment(d: hb.Tensor, c: hb.Tensor) -> Any:
    for i in range(1, 9):
        for j in range(1, 9):
            d[i, j] = hb.minimum(d[i - 1, j], d[i, j - 1]) + c[i, j]
    return d


def settling(x: hb.Tensor, w: hb.Tensor, s: hb.Tensor) -> hb.Tensor:
    """Each step makes the same weights anew; the shift is cheap and stays in its kernel."""

    def step(h: hb.Tensor, _: Any) -> Any:
        return hb.tanh(hb.softmax(w, axis=1).T @ h) + s * 2.0, None

    return hb.scan(step, x, length=9)[0]


def large_decay(x: hb.Tensor, y: hb.Tensor) -> Any:
    """Steps over what no cache of a core holds are done four at a time."""

    def step(c: Any, _: Any) -> Any:
        a, b = c
        return (a * 0.5 + b, b * y), None

    return hb.scan(step, (x, x * 2.0), length=9)[0][0]


def projected(x: hb.Tensor, y: hb.Tensor) -> Any:
    """A transpose in front of a product sinks; one in front of a sum stays in its kernel."""
    return hb.exp(x.T * 2.0) @ y, hb.argmax(y.T, axis=0)


def siblings(x: hb.Tensor) -> Any:
    """Results that need each other not, but the same array."""
    return hb.max(x, axis=1), hb.sum(x, axis=1), hb.exp(x)


def epilogue(x: hb.Tensor, w: hb.Tensor, b: hb.Tensor) -> hb.Tensor:
    return hb.relu(x @ w + b)


def averages(table: hb.Tensor, words: hb.Tensor) -> hb.Tensor:
    return table[words].mean(axis=1)


def periodic(u: hb.Tensor) -> hb.Tensor:
    return hb.roll(u, 1, 0) + hb.roll(u, -1, 0) - 2.0 * u


@hb.compile
def squashed(x: hb.Tensor) -> hb.Tensor:
    return hb.tanh(x * 0.5 + 0.1)


def inlined(x: hb.Tensor) -> hb.Tensor:
    """Compiled functions called in another are part of its graph, and of its kernel."""
    return squashed(squashed(x)) - x


def unit_length(x: hb.Tensor) -> hb.Tensor:
    """Two kernels read `y`, which each of them computes: that costs less than its memory."""
    y = x * 2.0 + 1.0
    return y / hb.sqrt(hb.sum(y * y))


def spread_of_all(x: hb.Tensor) -> Any:
    return hb.mean(x), hb.std(x)


PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[TensorSpec, ...]]] = {
    "softmax": (softmax, (spec(8, 10),)),
    "layer_norm": (layer_norm, (spec(8, 16), spec(16), spec(16))),
    "mlp_loss": (mlp_loss, (spec(8, 6), spec(6, 5), spec(5), spec(8, 6))),
    "sgd": (sgd, (spec(4, 3),) * 6),
    "whole_norm_small": (whole_norm, (spec(16, 16),)),
    "whole_norm_large": (whole_norm, (spec(512, 512),)),
    "strided": (strided, (spec(5, 3), spec(6, 5))),
    "recurrence": (recurrence, (spec(4, 3), spec(3, 3))),
    "relaxation": (relaxation, (spec(6), spec(4))),
    "marching": (marching, (spec(13, 6),)),
    "alignment": (alignment, (spec(9, 9), spec(9, 9))),
    "settling": (settling, (spec(3), spec(3, 3), spec(3))),
    "large_decay": (large_decay, (spec(512, 256), spec(256))),
    "projected": (projected, (spec(4, 3), spec(4, 5))),
    "siblings": (siblings, (spec(8, 10),)),
    "epilogue": (epilogue, (spec(8, 10), spec(10, 4), spec(4))),
    "averages": (averages, (spec(9, 64), spec(50, 4, dtype="int64"))),
    "periodic": (periodic, (spec(100, 100),)),
    "inlined": (inlined, (spec(8, 10),)),
    "unit_length": (unit_length, (spec(512, 512),)),
    "spread_of_all": (spread_of_all, (spec(1000, 500),)),
    "countdown": (countdown, (spec(3),)),
}


def rolled(function: Callable[..., Any], *specs: TensorSpec) -> FuncGraph:
    """Roll a traced function; check that the result computes the same bits."""
    graph = traced(function, *specs)
    new = verify(rolling.run(graph))
    assert_same(graph, new, sample(graph))
    return new


def loops(graph: FuncGraph) -> list[int]:
    return [node.attrs["length"] for node in graph.nodes if node.op.name == "scan"]
