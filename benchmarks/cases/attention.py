"""An attention block, forward and backward: values weighted by how keys fit queries."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Array, Case, Compile, Function

BATCH, HEADS, LENGTH, WIDTH = 4, 8, 128, 64
SCALE = float(1 / np.sqrt(WIDTH))


def inputs(size: int) -> tuple[Array, ...]:
    """Draw queries, keys, values and the gradient of the result."""
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal((4, size, HEADS, LENGTH, WIDTH), dtype=np.float32)
    return tuple(drawn)


def numpy_attention(np: Any, compile: Compile) -> Function:
    def gradients(q: Array, k: Array, v: Array, g: Array) -> tuple[Array, ...]:
        weights = np.exp(q @ k.swapaxes(-1, -2) * SCALE)
        weights /= weights.sum(axis=-1, keepdims=True)
        by_weights = g @ v.swapaxes(-1, -2)
        inner = (weights * by_weights).sum(axis=-1, keepdims=True)
        by_scores = weights * (by_weights - inner) * np.float32(SCALE)
        return by_scores @ k, by_scores.swapaxes(-1, -2) @ q, weights.swapaxes(-1, -2) @ g

    def summed(q: Array, k: Array, v: Array, g: Array) -> Any:
        return np.stack(gradients(q, k, v, g))

    return summed


def hybrid_attention(hb: Any, compile: Compile) -> Function:
    def gradients(q: Any, k: Any, v: Any, g: Any) -> Any:
        with hb.GradientTape() as tape:
            tape.watch([q, k, v])
            out = hb.attention(q, k, v)
        return hb.stack(tape.gradient(out, [q, k, v], output_gradients=g))

    return compile(gradients)


def torch_attention(torch: Any, compile: Compile) -> Function:
    forward = compile(torch.nn.functional.scaled_dot_product_attention)

    def gradients(q: Any, k: Any, v: Any, g: Any) -> Any:
        leaves = [t.detach().requires_grad_() for t in (q, k, v)]
        return torch.stack(torch.autograd.grad(forward(*leaves), leaves, g))

    return gradients


def jax_attention(jax: Any, compile: Compile) -> Function:
    jnp = jax.numpy

    def attention(q: Any, k: Any, v: Any) -> Any:
        return jax.nn.softmax(q @ jnp.swapaxes(k, -1, -2) * SCALE) @ v

    def gradients(q: Any, k: Any, v: Any, g: Any) -> Any:
        return jnp.stack(jax.vjp(attention, q, k, v)[1](g))

    return compile(gradients)


CASES = (
    Case(
        "attention forward and backward",
        inputs,
        BATCH,
        {
            "numpy": numpy_attention,
            "hybrid": hybrid_attention,
            "torch": torch_attention,
            "jax": jax_attention,
        },
        rtol=1e-3,
        atol=1e-4,
        flops=6 * 2 * BATCH * HEADS * LENGTH * LENGTH * WIDTH,
    ),
)
