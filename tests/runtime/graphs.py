"""Graphs for tests of the runtime: written by hand, and drawn at random."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import hybrid as hb
from hybrid.core.fused import FUSED
from hybrid.core.graph import Builder, Const, FuncGraph, Operand, Value, verify
from hybrid.core.layout import Layout, contiguous
from hybrid.core.op import OPS
from hybrid.core.source import SourceLine
from hybrid.core.spec import TensorSpec

# Importing hybrid has registered the ops.
f32, f64 = hb.float32, hb.float64


@dataclass
class Sketch:
    """Writes a graph line by line; the line number of each node is its position."""

    name: str = "f"
    inputs: list[Value] = field(default_factory=list)
    captures: list[Value] = field(default_factory=list)
    builder: Builder = field(default_factory=Builder)

    def input(self, *shape: int, dtype: Any = f32, weak: bool = False) -> Value:
        self.inputs.append(Value(TensorSpec(shape, np.dtype(dtype), weak=weak)))
        return self.inputs[-1]

    def capture(self, *shape: int, dtype: Any = f32) -> Value:
        self.captures.append(Value(TensorSpec(shape, np.dtype(dtype))))
        return self.captures[-1]

    def __call__(self, op: str, *operands: Operand, **attrs: Any) -> Value:
        return self.multi(op, *operands, **attrs)[0]

    def multi(self, op: str, *operands: Operand, **attrs: Any) -> tuple[Value, ...]:
        line = SourceLine("model.py", len(self.builder.nodes) + 1, self.name)
        return self.builder.emit(OPS[op], operands, attrs, line)

    def fused(self, *operands: Value, body: FuncGraph) -> tuple[Value, ...]:
        return self.multi(FUSED.name, *operands, body=body)

    def graph(self, *outputs: Operand) -> FuncGraph:
        return verify(
            FuncGraph(
                self.name,
                tuple(self.inputs),
                tuple(self.captures),
                tuple(self.builder.nodes),
                outputs,
            )
        )


def layouts_of(arrays: Any) -> tuple[Layout, ...]:
    """How arrays, or Python scalars, lie."""
    return tuple(
        Layout(a.shape, tuple(s // a.itemsize for s in a.strides))
        if isinstance(a, np.ndarray)
        else contiguous(())
        for a in arrays
    )


def softmax(rows: int, columns: int) -> FuncGraph:
    """The body of a softmax over the last axis."""
    body = Sketch("body")
    x = body.input(rows, columns)
    top = body("max", x, axis=(1,), keepdims=True)
    e = body("exp", body("subtract", x, top))
    return body.graph(body("divide", e, body("sum", e, axis=(1,), keepdims=True)))


def add_bias(rows: int, columns: int) -> FuncGraph:
    """The body of a row added to a matrix, then relu."""
    body = Sketch("body")
    x, b = body.input(rows, columns), body.input(columns)
    return body.graph(body("maximum", body("add", x, b), Const(0.0, f32)))


# --- at random ------------------------------------------------------------------------------------

UNARY = ("negative", "abs", "square")
BINARY = ("add", "subtract", "multiply", "maximum", "minimum")


def draw_body(rng: random.Random, specs: list[TensorSpec]) -> FuncGraph:
    """Draw a body in the canonical form over inputs of float32; specs broadcast to one space."""
    body = Sketch("body")
    values = [body.input(*spec.shape) for spec in specs]
    space = np.broadcast_shapes(*(spec.shape for spec in specs))
    full = [_viewed(rng, body, value, space) for value in values]
    axes: tuple[int, ...] = ()
    if space and rng.random() < 0.5:
        axes = tuple(a for a in range(len(space)) if rng.random() < 0.6) or (len(space) - 1,)
    inner, outer = full[:], []
    for _ in range(rng.randint(1, 7)):
        kind = rng.random()
        pool = inner + outer
        if kind < 0.25 and axes:
            whole = [v for v in inner if v.spec.shape == space]
            if whole:
                op = rng.choice(("sum", "max", "min"))
                outer.append(body(op, rng.choice(whole), axis=axes, keepdims=True))
                continue
        if kind < 0.5:
            made = body(rng.choice(UNARY), rng.choice(pool))
        else:
            second: Operand = rng.choice([*pool, Const(rng.uniform(-2, 2), f32)])
            made = body(rng.choice(BINARY), rng.choice(pool), second)
        kept = tuple(1 if a in axes else n for a, n in enumerate(space))
        (outer if axes and made.spec.shape == kept else inner).append(made)
    made_inside = {node.output for node in body.builder.nodes if node.op.view is None}
    stored = [v for v in inner if v in made_inside and v.spec.shape == space]
    stored += [v for v in outer if v in made_inside]
    if not stored:
        stored = [body("add", full[0], Const(1.0, f32))]
        if stored[0].spec.shape != space:
            stored = [body("add", stored[0], _zeros(body, full, space))]
    outputs = rng.sample(stored, rng.randint(1, min(3, len(stored))))
    return body.graph(*outputs)


def _zeros(body: Sketch, full: list[Value], space: tuple[int, ...]) -> Value:
    total = body("multiply", full[0], Const(0.0, f32))
    for value in full[1:]:
        total = body("add", total, body("multiply", value, Const(0.0, f32)))
    assert total.spec.shape == space
    return total


def _viewed(rng: random.Random, body: Sketch, value: Value, space: tuple[int, ...]) -> Value:
    """Maybe flip an input, which keeps its shape."""
    if value.spec.shape and rng.random() < 0.3:
        axis = rng.randrange(len(value.spec.shape))
        return body("flip", value, axis=(axis,))
    return value


def draw_graph(rng: random.Random, sizes: tuple[int, ...] = (1, 2, 3, 4)) -> FuncGraph:
    """Draw a graph of fused nodes, views and library calls, of float32."""
    sketch = Sketch("drawn")
    values = [
        sketch.input(*(rng.choice(sizes) for _ in range(rng.randint(0, 3))))
        for _ in range(rng.randint(1, 3))
    ]
    values += [sketch.capture(rng.choice(sizes), rng.choice(sizes))]
    for _ in range(rng.randint(1, 9)):
        values += _draw_node(rng, sketch, values)
    outputs: list[Operand] = [rng.choice(values) for _ in range(rng.randint(1, 4))]
    outputs.append(values[-1])
    if rng.random() < 0.2:
        outputs.append(Const(2.5, f32))
    return sketch.graph(*outputs)


def _draw_node(rng: random.Random, sketch: Sketch, values: list[Value]) -> tuple[Value, ...]:
    value = rng.choice(values[-5:])
    shape = value.spec.shape
    kind = rng.choice(("fused", "fused", "fused", "view", "library"))
    if kind == "fused":
        group = [value]
        for other in rng.sample(values, min(len(values), 3)):
            shapes = [v.spec.shape for v in (*group, other)]
            try:
                np.broadcast_shapes(*shapes)
            except ValueError:
                continue
            group.append(other)
        body = draw_body(rng, [v.spec for v in group])
        return sketch.fused(*group, body=body)
    if kind == "view":
        return (_draw_view(rng, sketch, value),)
    matrices = [v for v in values if v.spec.ndim == 2]
    pairs = [(a, b) for a in matrices for b in matrices if a.spec.shape[1] == b.spec.shape[0]]
    if pairs and rng.random() < 0.7:
        return (sketch("matmul", *rng.choice(pairs)),)
    if shape and rng.random() < 0.5:
        return (sketch("concat", value, value, axis=rng.randrange(len(shape))),)
    return (sketch("full", value, shape=(2, *shape), dtype=f32),)


def _draw_view(rng: random.Random, sketch: Sketch, value: Value) -> Value:
    shape = value.spec.shape
    kind = rng.choice(("transpose", "reshape", "slice", "expand", "flip", "broadcast"))
    if kind == "broadcast" or not shape:
        return sketch("broadcast_to", value, shape=(2, *shape))
    axis = rng.randrange(len(shape))
    if kind == "transpose":
        return sketch("permute_dims", value, axes=tuple(rng.sample(range(len(shape)), len(shape))))
    if kind == "reshape":
        return sketch("reshape", value, shape=(value.spec.size,))
    if kind == "expand":
        return sketch("expand_dims", value, axis=(axis,))
    if kind == "flip":
        return sketch("flip", value, axis=(axis,))
    size = shape[axis]
    start = rng.randrange(size)
    starts = tuple(start if a == axis else 0 for a in range(len(shape)))
    sizes = tuple(n - start if a == axis else n for a, n in enumerate(shape))
    return sketch("slice", value, starts=starts, sizes=sizes, steps=(1,) * len(shape))


def draw_arrays(rng: random.Random, graph: FuncGraph) -> list[Any]:
    """Draw one array for each parameter: contiguous, transposed, strided or reversed."""
    generator = np.random.default_rng(rng.randrange(1 << 30))
    arrays: list[Any] = []
    for value in graph.parameters:
        shape, dtype = value.spec.shape, value.spec.dtype
        if value.spec.weak:
            arrays.append(rng.uniform(-2, 2))
            continue
        kind = rng.choice(("plain", "plain", "transposed", "strided", "reversed"))
        plain = generator.integers(-8, 8, shape).astype(dtype)
        array = plain
        if kind == "transposed":
            array = np.array(plain, order="F")
        elif kind == "strided" and shape:
            array = np.repeat(plain, 2, axis=-1)[..., ::2]
        elif kind == "reversed" and shape:
            array = np.ascontiguousarray(plain[::-1])[::-1]
        arrays.append(array)
    return arrays
