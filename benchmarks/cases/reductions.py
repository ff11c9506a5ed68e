"""Reductions over rows, columns and all, and with what is usually fused around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.case import Array, Case, Compile, Function, Program, formula, uniform

ROWS = 1000
SIDE = 2000  # of the reductions alone: 16 MB
EPSILON = 1e-5
BINS = 64


def matrix(rows: int) -> tuple[Array, ...]:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((rows, rows), dtype=np.float32),)


def matrix_and_weights(rows: int) -> tuple[Array, ...]:
    rng = np.random.default_rng(0)
    scale, shift = rng.standard_normal((2, rows), dtype=np.float32)
    return (*matrix(rows), scale, shift)


def images_and_weights(batch: int) -> tuple[Array, ...]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, 16, 32, 32), dtype=np.float32)
    return x, *rng.standard_normal((2, 16, 1, 1), dtype=np.float32)


# --- reductions alone -----------------------------------------------------------------------------


def reduction(name: str, axis: int | None) -> dict[str, Program]:
    def write(xp: Any) -> Function:
        reduce = getattr(xp, name)
        return lambda x: reduce(x, axis=axis)

    def write_torch(torch: Any, compile: Compile) -> Function:
        # torch's own: unbiased variance by default, and maxima of an axis with their places.
        if name == "var":
            return compile(lambda x: torch.var(x, axis, correction=0))
        if name == "max":
            return compile(lambda x: torch.amax(x, axis) if axis is not None else torch.amax(x))
        reduce = getattr(torch, name)
        return compile(lambda x: reduce(x, axis) if axis is not None else reduce(x))

    return formula(write) | {"torch": write_torch}


AXES = {"rows": 1, "columns": 0, "all": None}

REDUCTIONS = tuple(
    Case(
        f"{name} over {where} {SIDE}x{SIDE}",
        matrix,
        SIDE,
        reduction(name, axis),
        rtol=1e-4,
        atol=1e-5,
        # Read once; a copy would write as much again.
        traffic=4 * SIDE * SIDE,
        tiny=37,
    )
    for name in ("mean", "var", "max", "argmax")
    for where, axis in AXES.items()
)


def sum_of_squares(xp: Any) -> Function:
    def expression(x: Any) -> Any:
        return xp.sum(x * x)

    return expression


# --- with what is around them ---------------------------------------------------------------------


def numpy_softmax(np: Any, compile: Compile) -> Function:
    def softmax(x: Any) -> Any:
        weights = np.exp(x - np.max(x, axis=-1, keepdims=True))
        return weights / np.sum(weights, axis=-1, keepdims=True)

    return softmax


def numpy_logsumexp(np: Any, compile: Compile) -> Function:
    def logsumexp(x: Any) -> Any:
        top = np.max(x, axis=-1, keepdims=True)
        return np.log(np.sum(np.exp(x - top), axis=-1)) + top[:, 0]

    return logsumexp


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


def batch_norm(xp: Any) -> Function:
    def normalise(x: Any, scale: Any, shift: Any) -> Any:
        mean = xp.mean(x, axis=(0, 2, 3), keepdims=True)
        variance = xp.var(x, axis=(0, 2, 3), keepdims=True)
        return (x - mean) / xp.sqrt(variance + EPSILON) * scale + shift

    return normalise


def torch_batch_norm(torch: Any, compile: Compile) -> Function:
    def normalise(x: Any, scale: Any, shift: Any) -> Any:
        scale, shift = scale.reshape(-1), shift.reshape(-1)
        return torch.nn.functional.batch_norm(x, None, None, scale, shift, True, 0.1, EPSILON)

    return compile(normalise)


# --- along an axis, and into bins -----------------------------------------------------------------


def cumulative_sum(xp: Any) -> Function:
    return lambda x: xp.cumsum(x, axis=0)


def counts(histogram: Callable[..., Any]) -> Function:
    return lambda x: histogram(x, bins=BINS, range=(0.0, 1.0))[0]


def torch_counts(torch: Any, compile: Compile) -> Function:
    # As int64, like everywhere else.
    return compile(lambda x: torch.histc(x, BINS, 0.0, 1.0).to(torch.int64))


def jax_counts(jax: Any, compile: Compile) -> Function:
    histogram = counts(jax.numpy.histogram)
    return compile(lambda x: histogram(x).astype("int64"))


CASES = (
    *REDUCTIONS,
    Case(
        "sum of squares 1e6",
        uniform(1, "float32"),
        1_000_000,
        # No numexpr: one running sum in float32 loses three more digits than the others.
        formula(sum_of_squares),
        rtol=1e-4,
        traffic=4_000_000,
        tiny=1000,
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
        tiny=37,
    ),
    Case(
        "logsumexp 1000x1000",
        matrix,
        ROWS,
        {
            "numpy": numpy_logsumexp,
            "hybrid": lambda hb, compile: compile(lambda x: hb.logsumexp(x, axis=-1)),
            "torch": lambda torch, compile: compile(lambda x: torch.logsumexp(x, -1)),
            "jax": lambda jax, compile: compile(lambda x: jax.nn.logsumexp(x, axis=-1)),
        },
        rtol=1e-5,
        traffic=4 * ROWS * ROWS,
        tiny=37,
    ),
    Case(
        "layer norm 1000x1000",
        matrix_and_weights,
        ROWS,
        formula(layer_norm) | {"torch": torch_layer_norm},
        rtol=1e-4,
        atol=1e-5,
        traffic=2 * 4 * ROWS * ROWS,
        tiny=37,
    ),
    Case(
        "batch norm 64x16x32x32",
        images_and_weights,
        64,
        formula(batch_norm) | {"torch": torch_batch_norm},
        rtol=1e-4,
        atol=1e-5,
        traffic=2 * 4 * 64 * 16 * 32 * 32,
        tiny=2,
    ),
    Case(
        "cumulative sum 1e6",
        uniform(1, "float64"),
        1_000_000,
        formula(cumulative_sum) | {"torch": lambda t, compile: compile(lambda x: t.cumsum(x, 0))},
        rtol=1e-10,
        traffic=2 * 8 * 1_000_000,
        tiny=1000,
    ),
    Case(
        "histogram of 1e6 in 64 bins",
        uniform(1, "float32"),
        1_000_000,
        {
            "numpy": lambda np, compile: counts(np.histogram),
            "hybrid": lambda hb, compile: compile(counts(hb.histogram)),
            "torch": torch_counts,
            "jax": jax_counts,
        },
        # Numbers at the very border of a bin may fall to either side of it.
        atol=3,
        traffic=4_000_000,
        tiny=1000,
    ),
)
