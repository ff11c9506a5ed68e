"""A training step of a multi-layer perceptron: forward, backward and Adam's update.

Rectifiers, softmax cross entropy. Each library has the form that its own users would write; the
step keeps its parameters and returns the loss.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.case import Array, Case, Compile, Function, Measure, Program

# A small rate: thousands of steps on one batch must not drive the numbers into underflow.
RATE, BETA1, BETA2, EPSILON = 1e-4, 0.9, 0.999, 1e-8


def digits(size: int) -> tuple[Array, ...]:
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.data[:size].astype(np.float32) / np.float32(16), found.target[:size]


def pictures(size: int) -> tuple[Array, ...]:
    """Draw pictures of the size of MNIST's."""
    rng = np.random.default_rng(0)
    return rng.uniform(0.0, 1.0, (size, 784)).astype(np.float32), rng.integers(0, 10, size)


def initial(widths: tuple[int, ...]) -> list[Array]:
    """Draw the weights and the biases of each layer."""
    rng = np.random.default_rng(0)
    parameters: list[Array] = []
    for rows, columns in pairwise(widths):
        scale = np.float32(np.sqrt(2 / rows))
        parameters.append(rng.standard_normal((rows, columns), dtype=np.float32) * scale)
        parameters.append(np.zeros(columns, dtype=np.float32))
    return parameters


def numpy_step(np: Any, widths: tuple[int, ...]) -> Function:
    parameters = initial(widths)
    first = [np.zeros_like(value) for value in parameters]
    second = [np.zeros_like(value) for value in parameters]
    count = 0

    def loss_and_gradients(x: Array, y: Array) -> Any:
        weights, biases = parameters[::2], parameters[1::2]
        layers = [x]
        for w, b in zip(weights[:-1], biases[:-1], strict=True):
            layers.append(np.maximum(layers[-1] @ w + b, 0))
        logits = layers[-1] @ weights[-1] + biases[-1]
        logits -= logits.max(axis=1, keepdims=True)
        powers = np.exp(logits)
        total = powers.sum(axis=1, keepdims=True)
        rows = np.arange(len(y))
        loss = np.mean(np.log(total[:, 0]) - logits[rows, y])

        slope = powers / total
        slope[rows, y] -= 1
        slope /= len(y)
        gradients = []
        for layer, w in zip(reversed(layers), reversed(weights), strict=True):
            gradients += [slope.sum(axis=0), layer.T @ slope]
            if layer is not x:
                slope = (slope @ w.T) * (layer > 0)
        return loss, gradients[::-1]

    def step(x: Array, y: Array) -> Any:
        nonlocal count
        loss, gradients = loss_and_gradients(x, y)
        count += 1
        rate = RATE * np.sqrt(1 - BETA2**count) / (1 - BETA1**count)
        epsilon = EPSILON * np.sqrt(1 - BETA2**count)
        for value, m, v, g in zip(parameters, first, second, gradients, strict=True):
            m += (1 - BETA1) * (g - m)
            v += (1 - BETA2) * (g * g - v)
            value -= np.float32(rate) * m / (np.sqrt(v) + np.float32(epsilon))
        return loss

    return step


def hybrid_step(hb: Any, compile: Compile, widths: tuple[int, ...]) -> Function:
    parameters = [hb.Variable(value) for value in initial(widths)]
    first = [hb.Variable(np.zeros_like(value)) for value in initial(widths)]
    second = [hb.Variable(np.zeros_like(value)) for value in initial(widths)]
    count = hb.Variable(np.float32(0))

    def loss_of(x: Any, y: Any) -> Any:
        weights, biases = parameters[::2], parameters[1::2]
        for w, b in zip(weights[:-1], biases[:-1], strict=True):
            x = hb.relu(x @ w + b)
        return hb.cross_entropy(x @ weights[-1] + biases[-1], y)

    def step(x: Any, y: Any) -> Any:
        with hb.GradientTape() as tape:
            loss = loss_of(x, y)
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


def torch_step(torch: Any, compile: Compile, widths: tuple[int, ...]) -> Function:
    parameters = [torch.from_numpy(value).requires_grad_() for value in initial(widths)]
    adam = torch.optim.Adam(parameters, RATE, (BETA1, BETA2), EPSILON, fused=True)

    def loss_of(x: Any, y: Any) -> Any:
        weights, biases = parameters[::2], parameters[1::2]
        for w, b in zip(weights[:-1], biases[:-1], strict=True):
            x = torch.relu(x @ w + b)
        return torch.nn.functional.cross_entropy(x @ weights[-1] + biases[-1], y)

    loss_function = compile(loss_of)

    def step(x: Any, y: Any) -> Any:
        adam.zero_grad()
        loss = loss_function(x, y)
        loss.backward()
        adam.step()
        return loss

    return step


def jax_step(jax: Any, widths: tuple[int, ...]) -> Function:
    jnp = jax.numpy
    parameters = [jnp.asarray(value) for value in initial(widths)]
    state = (
        parameters,
        [jnp.zeros_like(value) for value in parameters],
        [jnp.zeros_like(value) for value in parameters],
        jnp.float32(0),
    )

    def loss_of(parameters: Any, x: Any, y: Any) -> Any:
        weights, biases = parameters[::2], parameters[1::2]
        for w, b in zip(weights[:-1], biases[:-1], strict=True):
            x = jax.nn.relu(x @ w + b)
        scores = jax.nn.log_softmax(x @ weights[-1] + biases[-1])
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


def programs(*widths: int) -> dict[str, Program]:
    return {
        "numpy": lambda np, compile: numpy_step(np, widths),
        "hybrid": lambda hb, compile: hybrid_step(hb, compile, widths),
        "torch": lambda torch, compile: torch_step(torch, compile, widths),
        "jax": lambda jax, compile: jax_step(jax, widths),
    }


def products(batch: int, *widths: int) -> int:
    """Count a step's operations: each weight is in three products, those of pictures in two."""
    weights = [rows * columns for rows, columns in pairwise(widths)]
    return 2 * batch * (3 * sum(weights) - weights[0])


SMALL, LARGE = (64, 128, 10), (784, 512, 512, 10)
SMALL_STEP, LARGE_STEP = programs(*SMALL), programs(*LARGE)
FIRST_CALLS: dict[Measure, str] = {
    "compile": "compile MLP step",
    "restart": "first call after restart, MLP step",
    "shape": "new shape, MLP step",
}

CASES = (
    Case(
        "MLP step 64-128-10, 128 digits",
        digits,
        128,
        SMALL_STEP,
        rtol=1e-3,
        atol=1e-5,
        calls=5,
        flops=products(128, *SMALL),
        tiny=16,
    ),
    Case(
        "MLP step 784-512-512-10, 256 pictures",
        pictures,
        256,
        LARGE_STEP,
        rtol=1e-3,
        atol=1e-5,
        calls=5,
        flops=products(256, *LARGE),
        tiny=16,
    ),
    *(
        Case(
            name,
            digits,
            128,
            SMALL_STEP,
            peers=("hybrid", "torch-compile", "jax"),
            measure=measure,
            rtol=1e-3,
            atol=1e-5,
            calls=5,
            tiny=16,
        )
        for measure, name in FIRST_CALLS.items()
    ),
    Case(
        "peak memory, MLP step 784-512-512-10, 4096 pictures",
        pictures,
        4096,
        LARGE_STEP,
        measure="memory",
        rtol=1e-3,
        atol=1e-5,
        calls=5,
        tiny=16,
    ),
)
