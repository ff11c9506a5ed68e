"""The graphs of a derivative know nothing but what they are given, whatever rules of ops make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core import dispatch
from hybrid.core.graph import verify
from hybrid.core.op import OPS, Example, Op
from hybrid.core.spec import TensorSpec
from hybrid.dtypes import is_inexact
from hybrid.trace.derivative import derive
from hybrid.trace.recorder import trace_pure
from tests.ops.test_registry import inputs_of

CASES = [
    pytest.param(op, example, id=f"{op.name}-{i}")
    for op in OPS.values()
    if (op.vjp is not None or op.joint_vjp is not None) and not op.bodies
    for i, example in enumerate(op.examples[:2])
]


@pytest.mark.parametrize(("op", "example"), CASES)
def test_the_graphs_of_every_gradient_are_whole(op: Op, example: Example) -> None:
    specs = [TensorSpec(a.shape, a.dtype) for a in inputs_of(example)]
    graph, _ = trace_pure(
        op.name, lambda *tensors: dispatch.bind(op, tensors, example.attrs), specs
    )
    found = derive(graph, tuple(is_inexact(spec.dtype) for spec in specs))
    verify(found.forward.graph)
    verify(found.backward.graph)


MEDIANS: dict[str, Callable[[Any], Any]] = {
    "a median": np.median,
    "quantiles": lambda x: np.quantile(x, [0.1, 0.5], axis=0).prod(),
    "half a spectrum": lambda x: (np.abs(np.fft.rfft(x)) ** 2).sum(),
    "and back": lambda x: np.fft.irfft(np.fft.rfft(x) ** 2).prod(),
    "least squares": lambda x: np.linalg.lstsq(x, x[:, 0] * 2, rcond=None)[0].sum(),
}


@pytest.mark.parametrize("name", MEDIANS)
def test_a_tape_around_a_compiled_function_sees_what_it_sees_in_eager_code(name: str) -> None:
    x, found = hb.asarray(np.random.default_rng(0).normal(size=(5, 4))), []
    for function in (MEDIANS[name], hb.compile(MEDIANS[name])):
        with hb.GradientTape() as tape:
            tape.watch(x)
            loss = function(x)
        found.append(tape.gradient(loss, x).numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-10, atol=1e-12)
