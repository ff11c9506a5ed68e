"""Reductions, alone and with what is usually fused around them."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Array, Case, Compile, Function, formula, uniform

ROWS = 1000
EPSILON = 1e-5


def matrix(rows: int) -> tuple[Array, ...]:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((rows, rows), dtype=np.float32),)


def matrix_and_weights(rows: int) -> tuple[Array, ...]:
    rng = np.random.default_rng(0)
    scale, shift = rng.standard_normal((2, rows), dtype=np.float32)
    return (*matrix(rows), scale, shift)


def sum_of_squares(xp: Any) -> Function:
    def expression(x: Any) -> Any:
        return xp.sum(x * x)

    return expression


def numpy_softmax(np: Any, compile: Compile) -> Function:
    def softmax(x: Any) -> Any:
        weights = np.exp(x - np.max(x, axis=-1, keepdims=True))
        return weights / np.sum(weights, axis=-1, keepdims=True)

    return softmax


def layer_norm(xp: Any) -> Function:
    def normalise(x: Any, scale: Any, shift: Any) -> Any:
        mean = xp.mean(x, axis=-1, keepdims=True)
        variance = xp.var(x, axis=-1, keepdims=True)
        return (x - mean) / xp.sqrt(variance + EPSILON) * scale + shift

    return normalise


def torch_layer_norm(torch: Any, compile: Compile) -> Function:
    def normalise(x: Any, scale: Any, shift: Any) -> Any:
        return torch.nn.functional.layer_norm(x, (x.shape[-1],), scale, shift, EPSILON)

    return compile(normalise)


CASES = (
    Case(
        "sum of squares 1e6",
        uniform(1, "float32"),
        1_000_000,
        formula(sum_of_squares),
        traffic=4_000_000,
    ),
    Case(
        "softmax 1000x1000",
        matrix,
        ROWS,
        {
            "numpy": numpy_softmax,
            "hybrid": lambda hb, compile: compile(lambda x: hb.softmax(x, axis=-1)),
            "torch": lambda torch, compile: compile(lambda x: torch.softmax(x, -1)),
            "jax": lambda jax, compile: compile(lambda x: jax.nn.softmax(x, axis=-1)),
        },
        rtol=1e-4,
        traffic=2 * 4 * ROWS * ROWS,
    ),
    Case(
        "layer norm 1000x1000",
        matrix_and_weights,
        ROWS,
        formula(layer_norm) | {"torch": torch_layer_norm},
        rtol=1e-4,
        atol=1e-5,
        traffic=2 * 4 * ROWS * ROWS,
    ),
)
