"""A convolution alone, and a training step of a convolutional network of LeNet's size.

The network: 6 and 16 channels by 5 x 5 windows, each followed by a rectifier and maxima over 2 x 2,
then 400-120-84-10; batches of 64 images of 28 x 28, softmax cross entropy, gradient descent.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Array, Case, Compile, Function

IMAGES = 32
BATCH = 64
# A small rate: thousands of steps on one batch must not drive the numbers into underflow.
RATE = 1e-3
SHAPES = (
    *((6, 1, 5, 5), (6, 1, 1), (16, 6, 5, 5), (16, 1, 1)),
    *((400, 120), (120,), (120, 84), (84,), (84, 10), (10,)),
)
# Products of a step: thrice those of a forward pass, but none by the first input.
FORWARD = 28 * 28 * 6 * 25, 10 * 10 * 16 * 150 + 400 * 120 + 120 * 84 + 84 * 10


def images(size: int) -> tuple[Array, ...]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((size, 16, 28, 28), dtype=np.float32)
    return x, rng.standard_normal((32, 16, 3, 3), dtype=np.float32)


def batch(size: int) -> tuple[Array, ...]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((size, 1, 28, 28), dtype=np.float32)
    return x, rng.integers(0, 10, size)


def initial() -> list[Array]:
    rng = np.random.default_rng(1)
    found = []
    for shape in SHAPES:
        if len(shape) in (1, 3):
            found.append(np.zeros(shape, np.float32))
        else:
            rows = shape[0] if len(shape) == 2 else int(np.prod(shape[1:]))
            scale = np.float32(np.sqrt(2 / rows))
            found.append(rng.standard_normal(shape, dtype=np.float32) * scale)
    return found


# --- NumPy by hand --------------------------------------------------------------------------------


def windows(np: Any, x: Array, size: int) -> Array:
    found: Array = np.lib.stride_tricks.sliding_window_view(x, (size, size), (2, 3))
    return found


def numpy_conv(np: Any, x: Array, w: Array) -> Array:
    found = np.tensordot(windows(np, x, w.shape[2]), w, ((1, 4, 5), (1, 2, 3)))
    first: Array = np.ascontiguousarray(np.moveaxis(found, 3, 1))
    return first


def numpy_by_input(np: Any, g: Array, w: Array) -> Array:
    edge = w.shape[2] - 1
    padded = np.pad(g, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
    return numpy_conv(np, padded, np.ascontiguousarray(w[:, :, ::-1, ::-1].swapaxes(0, 1)))


def numpy_by_weight(np: Any, x: Array, g: Array, size: int) -> Array:
    found: Array = np.tensordot(g, windows(np, x, size), ((0, 2, 3), (0, 2, 3)))
    return found


def numpy_pool(np: Any, x: Array) -> tuple[Array, Array]:
    n, c, h, w = x.shape
    blocks = x.reshape(n, c, h // 2, 2, w // 2, 2)
    top = blocks.max(axis=(3, 5), keepdims=True)
    return top[:, :, :, 0, :, 0], blocks == top


def numpy_unpool(np: Any, g: Array, chosen: Array) -> Array:
    n, c, h, _, w, _ = chosen.shape
    found: Array = (chosen * g[:, :, :, None, :, None]).reshape(n, c, 2 * h, 2 * w)
    return found


def numpy_step(np: Any, compile: Compile) -> Function:
    parameters = initial()

    def step(x: Array, y: Array) -> Any:
        w1, b1, w2, b2, w3, b3, w4, b4, w5, b5 = parameters
        x = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
        a1 = np.maximum(numpy_conv(np, x, w1) + b1, 0)
        p1, chosen1 = numpy_pool(np, a1)
        a2 = np.maximum(numpy_conv(np, p1, w2) + b2, 0)
        p2, chosen2 = numpy_pool(np, a2)
        flat = p2.reshape(len(y), 400)
        h3 = np.maximum(flat @ w3 + b3, 0)
        h4 = np.maximum(h3 @ w4 + b4, 0)
        logits = h4 @ w5 + b5
        logits -= logits.max(axis=1, keepdims=True)
        power = np.exp(logits)
        total = power.sum(axis=1, keepdims=True)
        rows = np.arange(len(y))
        loss = np.mean(np.log(total[:, 0]) - logits[rows, y])

        d5 = power / total
        d5[rows, y] -= 1
        d5 /= len(y)
        d4 = (d5 @ w5.T) * (h4 > 0)
        d3 = (d4 @ w4.T) * (h3 > 0)
        d2 = numpy_unpool(np, (d3 @ w3.T).reshape(p2.shape), chosen2) * (a2 > 0)
        d1 = numpy_unpool(np, numpy_by_input(np, d2, w2), chosen1) * (a1 > 0)
        gradients = [
            *(numpy_by_weight(np, x, d1, 5), d1.sum(axis=(0, 2, 3)).reshape(b1.shape)),
            *(numpy_by_weight(np, p1, d2, 5), d2.sum(axis=(0, 2, 3)).reshape(b2.shape)),
            *(flat.T @ d3, d3.sum(axis=0), h3.T @ d4, d4.sum(axis=0), h4.T @ d5, d5.sum(axis=0)),
        ]
        for value, gradient in zip(parameters, gradients, strict=True):
            value -= np.float32(RATE) * gradient
        return loss

    return step


# --- the libraries --------------------------------------------------------------------------------


def hybrid_step(hb: Any, compile: Compile) -> Function:
    parameters = [hb.Variable(value) for value in initial()]

    def step(x: Any, y: Any) -> Any:
        w1, b1, w2, b2, w3, b3, w4, b4, w5, b5 = parameters
        with hb.GradientTape() as tape:
            a1 = hb.relu(hb.conv2d(x, w1, padding=2) + b1)
            a2 = hb.relu(hb.conv2d(hb.max_pool2d(a1, 2), w2) + b2)
            flat = hb.max_pool2d(a2, 2).reshape(-1, 400)
            h3 = hb.relu(flat @ w3 + b3)
            h4 = hb.relu(h3 @ w4 + b4)
            loss = hb.cross_entropy(h4 @ w5 + b5, y)
        for value, gradient in zip(parameters, tape.gradient(loss, parameters), strict=True):
            value.assign_sub(RATE * gradient)
        return loss

    return compile(step)


def torch_step(torch: Any, compile: Compile) -> Function:
    nn = torch.nn.functional
    parameters = [torch.from_numpy(value).requires_grad_() for value in initial()]
    descent = torch.optim.SGD(parameters, RATE)

    def loss_of(x: Any, y: Any) -> Any:
        w1, b1, w2, b2, w3, b3, w4, b4, w5, b5 = parameters
        a1 = torch.relu(nn.conv2d(x, w1, b1.flatten(), padding=2))
        a2 = torch.relu(nn.conv2d(nn.max_pool2d(a1, 2), w2, b2.flatten()))
        flat = nn.max_pool2d(a2, 2).reshape(-1, 400)
        h3 = torch.relu(flat @ w3 + b3)
        h4 = torch.relu(h3 @ w4 + b4)
        return nn.cross_entropy(h4 @ w5 + b5, y)

    loss_function = compile(loss_of)

    def step(x: Any, y: Any) -> Any:
        descent.zero_grad()
        loss = loss_function(x, y)
        loss.backward()
        descent.step()
        return loss

    return step


def jax_step(jax: Any, compile: Compile) -> Function:
    jnp, lax = jax.numpy, jax.lax
    parameters = [jnp.asarray(value) for value in initial()]

    def pooled(x: Any) -> Any:
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def loss_of(parameters: Any, x: Any, y: Any) -> Any:
        w1, b1, w2, b2, w3, b3, w4, b4, w5, b5 = parameters
        a1 = jnp.maximum(lax.conv(x, w1, (1, 1), "SAME") + b1, 0)
        a2 = jnp.maximum(lax.conv(pooled(a1), w2, (1, 1), "VALID") + b2, 0)
        flat = pooled(a2).reshape(-1, 400)
        h3 = jnp.maximum(flat @ w3 + b3, 0)
        h4 = jnp.maximum(h3 @ w4 + b4, 0)
        scores = jax.nn.log_softmax(h4 @ w5 + b5)
        return -jnp.mean(jnp.take_along_axis(scores, y[:, None], axis=-1))

    def update(parameters: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(parameters, x, y)
        pairs = zip(parameters, gradients, strict=True)
        return [value - RATE * gradient for value, gradient in pairs], loss

    update = jax.jit(update, donate_argnums=0)

    def step(x: Any, y: Any) -> Any:
        nonlocal parameters
        parameters, loss = update(parameters, x, y)
        return loss

    return step


CASES = (
    Case(
        "convolution 32x16x28x28 by 3x3",
        images,
        IMAGES,
        {
            "numpy": lambda np, compile: lambda x, w: numpy_conv(np, x, w),
            "hybrid": lambda hb, compile: compile(lambda x, w: hb.conv2d(x, w)),
            "torch": lambda torch, compile: compile(lambda x, w: torch.nn.functional.conv2d(x, w)),
            "jax": lambda jax, compile: compile(lambda x, w: jax.lax.conv(x, w, (1, 1), "VALID")),
        },
        rtol=1e-4,
        atol=1e-4,
        tiny=2,
        flops=2 * IMAGES * 32 * 26 * 26 * 16 * 9,
    ),
    Case(
        "LeNet step, 64 images",
        batch,
        BATCH,
        {"numpy": numpy_step, "hybrid": hybrid_step, "torch": torch_step, "jax": jax_step},
        rtol=1e-3,
        atol=1e-5,
        calls=5,
        tiny=4,
        flops=2 * BATCH * (2 * FORWARD[0] + 3 * FORWARD[1]),
    ),
)
