"""Blocks of a transformer, forward and backward: GELU between two layers, and attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Array, Case, Compile, Function

# --- two layers with GELU -------------------------------------------------------------------------

TOKENS, WIDTH = 512, 256
INNER = 4 * WIDTH


def tokens(size: int) -> tuple[Array, ...]:
    """Draw tokens, the gradient of the result, and two layers of weights and biases."""
    rng = np.random.default_rng(0)
    shapes = (size, WIDTH), (size, WIDTH), (WIDTH, INNER), (INNER,), (INNER, WIDTH), (WIDTH,)
    scales = 1.0, 1.0, WIDTH**-0.5, 0.1, INNER**-0.5, 0.1
    return tuple(
        np.float32(scale) * rng.standard_normal(shape, dtype=np.float32)
        for shape, scale in zip(shapes, scales, strict=True)
    )


def numpy_layers(np: Any, compile: Compile) -> Function:
    from scipy.special import erf

    def gradients(x: Any, g: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
        h = x @ w1 + b1
        normal = 0.5 * (1 + erf(h * np.float32(0.5**0.5)))
        a = h * normal
        out = a @ w2 + b2
        density = np.exp(-0.5 * h * h) * np.float32((2 * np.pi) ** -0.5)
        by_h = (g @ w2.T) * (normal + h * density)
        return out, by_h @ w1.T, x.T @ by_h, by_h.sum(axis=0), a.T @ g, g.sum(axis=0)

    return gradients


def hybrid_layers(hb: Any, compile: Compile) -> Function:
    def gradients(x: Any, g: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
        with hb.GradientTape() as tape:
            tape.watch([x, w1, b1, w2, b2])
            out = hb.gelu(x @ w1 + b1) @ w2 + b2
        return (out, *tape.gradient(out, [x, w1, b1, w2, b2], output_gradients=g))

    return compile(gradients)


def torch_layers(torch: Any, compile: Compile) -> Function:
    def block(x: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
        return torch.nn.functional.gelu(x @ w1 + b1) @ w2 + b2

    forward = compile(block)

    def gradients(x: Any, g: Any, *weights: Any) -> Any:
        leaves = [t.detach().requires_grad_() for t in (x, *weights)]
        out = forward(*leaves)
        return (out, *torch.autograd.grad(out, leaves, g))

    return gradients


def jax_layers(jax: Any, compile: Compile) -> Function:
    def block(x: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
        return jax.nn.gelu(x @ w1 + b1, approximate=False) @ w2 + b2

    def gradients(x: Any, g: Any, *weights: Any) -> Any:
        out, pull = jax.vjp(block, x, *weights)
        return (out, *pull(g))

    return compile(gradients)


# --- attention: values weighted by how keys fit queries -------------------------------------------

BATCH, HEADS, LENGTH, DEPTH = 4, 8, 128, 64
SCALE = float(1 / np.sqrt(DEPTH))


def heads(size: int) -> tuple[Array, ...]:
    """Draw queries, keys, values and the gradient of the result."""
    rng = np.random.default_rng(0)
    return tuple(rng.standard_normal((4, size, HEADS, LENGTH, DEPTH), dtype=np.float32))


def numpy_attention(np: Any, compile: Compile) -> Function:
    def gradients(q: Any, k: Any, v: Any, g: Any) -> Any:
        weights = np.exp(q @ k.swapaxes(-1, -2) * SCALE)
        weights /= weights.sum(axis=-1, keepdims=True)
        by_weights = g @ v.swapaxes(-1, -2)
        inner = (weights * by_weights).sum(axis=-1, keepdims=True)
        by_scores = weights * (by_weights - inner) * np.float32(SCALE)
        return by_scores @ k, by_scores.swapaxes(-1, -2) @ q, weights.swapaxes(-1, -2) @ g

    return gradients


def hybrid_attention(hb: Any, compile: Compile) -> Function:
    def gradients(q: Any, k: Any, v: Any, g: Any) -> Any:
        with hb.GradientTape() as tape:
            tape.watch([q, k, v])
            out = hb.attention(q, k, v)
        return tuple(tape.gradient(out, [q, k, v], output_gradients=g))

    return compile(gradients)


def torch_attention(torch: Any, compile: Compile) -> Function:
    forward = compile(torch.nn.functional.scaled_dot_product_attention)

    def gradients(q: Any, k: Any, v: Any, g: Any) -> Any:
        leaves = [t.detach().requires_grad_() for t in (q, k, v)]
        return torch.autograd.grad(forward(*leaves), leaves, g)

    return gradients


def jax_attention(jax: Any, compile: Compile) -> Function:
    def attention(q: Any, k: Any, v: Any) -> Any:
        return jax.nn.softmax(q @ jax.numpy.swapaxes(k, -1, -2) * SCALE) @ v

    def gradients(q: Any, k: Any, v: Any, g: Any) -> Any:
        return jax.vjp(attention, q, k, v)[1](g)

    return compile(gradients)


CASES = (
    Case(
        f"GELU block {TOKENS}x{WIDTH}, forward and backward",
        tokens,
        TOKENS,
        {
            "numpy": numpy_layers,
            "hybrid": hybrid_layers,
            "torch": torch_layers,
            "jax": jax_layers,
        },
        rtol=1e-3,
        atol=1e-3,
        flops=6 * 2 * TOKENS * WIDTH * INNER,
        tiny=8,
    ),
    Case(
        "attention forward and backward",
        heads,
        BATCH,
        {
            "numpy": numpy_attention,
            "hybrid": hybrid_attention,
            "torch": torch_attention,
            "jax": jax_attention,
        },
        rtol=1e-3,
        atol=1e-4,
        flops=6 * 2 * BATCH * HEADS * LENGTH * LENGTH * DEPTH,
        tiny=1,
    ),
)
