"""A training step of a small network on the digits: forward, backward and Adam's update.

64-128-64-10, batches of 128, softmax cross entropy. Each library has the form that its own
users would write; the step keeps its parameters and returns the loss.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.case import Array, Case, Compile, Function

BATCH = 128
WIDTHS = (64, 128, 64, 10)
# A small rate: thousands of steps on one batch must not drive the numbers into underflow.
RATE, BETA1, BETA2, EPSILON = 1e-4, 0.9, 0.999, 1e-8
WEIGHTS = sum(rows * columns for rows, columns in pairwise(WIDTHS))


def batch(size: int) -> tuple[Array, ...]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return digits.data[:size].astype(np.float32) / np.float32(16), digits.target[:size]


def initial() -> list[Array]:
    """Draw weights and biases, alternating."""
    rng = np.random.default_rng(0)
    parameters: list[Array] = []
    for rows, columns in pairwise(WIDTHS):
        scale = np.float32(np.sqrt(2 / rows))
        parameters.append(rng.standard_normal((rows, columns), dtype=np.float32) * scale)
        parameters.append(np.zeros(columns, dtype=np.float32))
    return parameters


def numpy_step(np: Any, compile: Compile) -> Function:
    parameters = initial()
    first = [np.zeros_like(value) for value in parameters]
    second = [np.zeros_like(value) for value in parameters]
    count = 0

    def step(x: Array, y: Array) -> Any:
        nonlocal count
        w1, b1, w2, b2, w3, b3 = parameters
        h1 = np.maximum(x @ w1 + b1, 0)
        h2 = np.maximum(h1 @ w2 + b2, 0)
        logits = h2 @ w3 + b3
        logits -= logits.max(axis=1, keepdims=True)
        probabilities = np.exp(logits)
        total = probabilities.sum(axis=1, keepdims=True)
        rows = np.arange(len(y))
        loss = np.mean(np.log(total[:, 0]) - logits[rows, y])

        d3 = probabilities / total
        d3[rows, y] -= 1
        d3 /= len(y)
        d2 = (d3 @ w3.T) * (h2 > 0)
        d1 = (d2 @ w2.T) * (h1 > 0)
        gradients = [
            x.T @ d1,
            d1.sum(axis=0),
            h1.T @ d2,
            d2.sum(axis=0),
            h2.T @ d3,
            d3.sum(axis=0),
        ]

        count += 1
        rate = RATE * np.sqrt(1 - BETA2**count) / (1 - BETA1**count)
        epsilon = EPSILON * np.sqrt(1 - BETA2**count)
        for value, m, v, g in zip(parameters, first, second, gradients, strict=True):
            m += (1 - BETA1) * (g - m)
            v += (1 - BETA2) * (g * g - v)
            value -= np.float32(rate) * m / (np.sqrt(v) + np.float32(epsilon))
        return loss

    return step


def hybrid_step(hb: Any, compile: Compile) -> Function:
    parameters = [hb.Variable(value) for value in initial()]
    first = [hb.Variable(np.zeros_like(value)) for value in initial()]
    second = [hb.Variable(np.zeros_like(value)) for value in initial()]
    count = hb.Variable(np.float32(0))

    def step(x: Any, y: Any) -> Any:
        w1, b1, w2, b2, w3, b3 = parameters
        with hb.GradientTape() as tape:
            h1 = hb.maximum(x @ w1 + b1, 0)
            h2 = hb.maximum(h1 @ w2 + b2, 0)
            scores = hb.log_softmax(h2 @ w3 + b3, axis=-1)
            loss = -hb.mean(hb.take_along_axis(scores, y[:, None], axis=-1))
        gradients = tape.gradient(loss, parameters)

        count.assign_add(1)
        correction = hb.sqrt(1 - BETA2**count)
        rate = RATE * correction / (1 - BETA1**count)
        for value, m, v, g in zip(parameters, first, second, gradients, strict=True):
            m.assign_add((1 - BETA1) * (g - m))
            v.assign_add((1 - BETA2) * (g * g - v))
            value.assign_sub(rate * m / (hb.sqrt(v) + EPSILON * correction))
        return loss

    return compile(step)


def torch_step(torch: Any, compile: Compile) -> Function:
    parameters = [torch.from_numpy(value).requires_grad_() for value in initial()]
    adam = torch.optim.Adam(parameters, RATE, (BETA1, BETA2), EPSILON, fused=True)

    def loss_of(x: Any, y: Any) -> Any:
        w1, b1, w2, b2, w3, b3 = parameters
        h1 = torch.relu(x @ w1 + b1)
        h2 = torch.relu(h1 @ w2 + b2)
        return torch.nn.functional.cross_entropy(h2 @ w3 + b3, y)

    loss_function = compile(loss_of)

    def step(x: Any, y: Any) -> Any:
        adam.zero_grad()
        loss = loss_function(x, y)
        loss.backward()
        adam.step()
        return loss

    return step


def jax_step(jax: Any, compile: Compile) -> Function:
    jnp = jax.numpy
    parameters = [jnp.asarray(value) for value in initial()]
    state = (
        parameters,
        [jnp.zeros_like(value) for value in parameters],
        [jnp.zeros_like(value) for value in parameters],
        jnp.float32(0),
    )

    def loss_of(parameters: Any, x: Any, y: Any) -> Any:
        w1, b1, w2, b2, w3, b3 = parameters
        h1 = jnp.maximum(x @ w1 + b1, 0)
        h2 = jnp.maximum(h1 @ w2 + b2, 0)
        scores = jax.nn.log_softmax(h2 @ w3 + b3)
        return -jnp.mean(jnp.take_along_axis(scores, y[:, None], axis=-1))

    def update(state: Any, x: Any, y: Any) -> Any:
        parameters, first, second, count = state
        loss, gradients = jax.value_and_grad(loss_of)(parameters, x, y)
        count = count + 1
        correction = jnp.sqrt(1 - BETA2**count)
        rate = RATE * correction / (1 - BETA1**count)
        first = [m + (1 - BETA1) * (g - m) for m, g in zip(first, gradients, strict=True)]
        second = [v + (1 - BETA2) * (g * g - v) for v, g in zip(second, gradients, strict=True)]
        parameters = [
            value - rate * m / (jnp.sqrt(v) + EPSILON * correction)
            for value, m, v in zip(parameters, first, second, strict=True)
        ]
        return (parameters, first, second, count), loss

    update = jax.jit(update, donate_argnums=0)

    def step(x: Any, y: Any) -> Any:
        nonlocal state
        state, loss = update(state, x, y)
        return loss

    return step


CASES = (
    Case(
        "digits training step",
        batch,
        BATCH,
        {"numpy": numpy_step, "hybrid": hybrid_step, "torch": torch_step, "jax": jax_step},
        rtol=1e-3,
        atol=1e-5,
        calls=5,
        flops=6 * BATCH * WEIGHTS,
    ),
)
