"""Gradients in every dtype that an op takes: of that dtype, of that value, and the same traced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import hybrid as hb
from hybrid.core import dispatch
from hybrid.core.dispatch import bind
from hybrid.core.graph import FuncGraph
from hybrid.core.interpret import interpret
from hybrid.core.op import Example, Op
from hybrid.core.spec import TensorSpec
from hybrid.dtypes import is_inexact
from hybrid.errors import HybridError
from hybrid.trace.recorder import GraphRecorder
from tests.autodiff.test_gradients import differentiable, draw

FIRST = {case.values[0].name: case for case in reversed(differentiable())}
LOW = [hb.float16, hb.bfloat16, hb.float32]


def inputs(op: Op, example: Example, dtype: Any) -> list[np.ndarray] | None:
    """Return the inputs of an example in `dtype`; None where the op refuses it."""
    arrays = [a.astype(dtype) if a.dtype.kind == "f" else a for a in draw(example, 1)]
    try:
        found = op.infer(*(TensorSpec(a.shape, a.dtype) for a in arrays), **example.attrs)
    except (HybridError, TypeError):
        return None
    specs = found if op.multi else (found,)
    return arrays if any(is_inexact(s.dtype) for s in specs) else None


def slopes(op: Op, example: Example) -> Callable[..., Any]:
    """Return what gives the gradients of the sum of all results by all floating-point inputs."""

    def run(*tensors: hb.Tensor) -> tuple[hb.Tensor, ...]:
        watched = [t for t in tensors if is_inexact(t.dtype)]
        with hb.GradientTape() as tape:
            tape.watch(watched)
            ready = tensors if example.prepare is None else example.prepare(*tensors)
            out = bind(op, ready, example.attrs)
            targets = [r for r in (out if op.multi else (out,)) if is_inexact(r.dtype)]
        return tuple(tape.gradient(targets, watched, unconnected_gradients="zero"))

    return run


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("op", "example"), FIRST.values())
def test_gradients_have_the_dtype_of_their_source_and_its_value(op: Op, example: Example) -> None:
    run = slopes(op, example)
    for dtype in LOW:
        arrays = inputs(op, example, dtype)
        if arrays is None:
            continue
        exact = run(*(hb.asarray(a.astype("f8") if is_inexact(a.dtype) else a) for a in arrays))
        found = run(*map(hb.asarray, arrays))
        tolerance = 40 * float(ml_dtypes.finfo(dtype).eps)
        for gradient, wanted in zip(found, exact, strict=True):
            assert gradient.dtype == dtype
            values = wanted.numpy()
            scale = float(np.max(np.abs(values), initial=1.0))
            np.testing.assert_allclose(
                gradient.numpy().astype("f8"), values, rtol=tolerance, atol=tolerance * scale
            )


def interpreted(function: Callable[..., Any], arrays: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Trace `function`, then run its graph node by node."""
    recorder = GraphRecorder(line=lambda depth=0: None)
    parameters = [recorder.parameter(TensorSpec(a.shape, a.dtype)) for a in arrays]
    inputs = tuple(p._data.value for p in parameters)
    with dispatch.scope(recorder=recorder, tapes=()):
        outputs = tuple(map(recorder.operand, function(*parameters)))
    recorder.open = False
    captures = [*recorder.captures.values()]
    graph = FuncGraph(
        "gradient", inputs, tuple(v for _, v in captures), tuple(recorder.nodes), outputs
    )
    return interpret(graph, [*arrays, *(source.numpy() for source, _ in captures)])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("op", "example"), FIRST.values())
def test_traced_gradients_are_the_same_nodes(op: Op, example: Example) -> None:
    run = slopes(op, example)
    for dtype in (hb.bfloat16, hb.float64):
        arrays = inputs(op, example, dtype)
        if arrays is None:
            continue
        expected = run(*map(hb.asarray, arrays))
        for found, eager in zip(interpreted(run, arrays), expected, strict=True):
            assert found.dtype == eager.dtype
            np.testing.assert_array_equal(found.astype("f8"), eager.numpy().astype("f8"))
