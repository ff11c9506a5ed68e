"""A training step of a text classifier: embedding, average, dense, for texts of any length.

The texts of a batch are as long as its longest one, and that differs from batch to batch: a call
is a step on each of eight batches, in turns. Zero stands for no word.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Array, Case, Compile, Function, Program

WORDS, WIDTH, CLASSES, BATCH = 5000, 64, 4, 64
LENGTHS = 24, 57, 33, 80, 41, 65, 28, 73
RATE = 1e-2


def batches(size: int) -> tuple[Array, ...]:
    """Draw words and labels of each batch, alternating."""
    rng = np.random.default_rng(0)
    drawn: list[Array] = []
    for longest in LENGTHS:
        words = rng.integers(1, WORDS, (size, longest))
        ends = rng.integers(longest // 2, longest + 1, size)
        words[np.arange(longest) >= ends[:, None]] = 0
        drawn += [words, rng.integers(0, CLASSES, size)]
    return tuple(drawn)


def initial() -> list[Array]:
    """Draw the embedding of each word, and the weights and biases of the classes."""
    rng = np.random.default_rng(1)
    table = rng.standard_normal((WORDS, WIDTH), dtype=np.float32)
    weights = np.float32(WIDTH**-0.5) * rng.standard_normal((WIDTH, CLASSES), dtype=np.float32)
    return [table, weights, np.zeros(CLASSES, np.float32)]


def over_batches(step: Function) -> Function:
    """Return the function that takes a step on each batch and gives the mean loss."""

    def epoch(*given: Any) -> Any:
        return mean([step(x, y) for x, y in zip(given[::2], given[1::2], strict=True)])

    return epoch


def mean(losses: Any) -> Any:
    return sum(losses[1:], losses[0]) / len(losses)


def numpy_epoch(np: Any, compile: Compile) -> Function:
    table, weights, bias = initial()

    def step(x: Array, y: Array) -> Any:
        known = (x > 0).astype(np.float32)
        count = known.sum(axis=1, keepdims=True)
        average = (table[x] * known[:, :, None]).sum(axis=1) / count
        logits = average @ weights + bias
        logits -= logits.max(axis=1, keepdims=True)
        powers = np.exp(logits)
        total = powers.sum(axis=1, keepdims=True)
        rows = np.arange(len(y))
        loss = np.mean(np.log(total[:, 0]) - logits[rows, y])

        slope = powers / total
        slope[rows, y] -= 1
        slope /= len(y)
        by_word = (slope @ weights.T / count)[:, None, :] * known[:, :, None]
        by_table = np.zeros_like(table)
        np.add.at(by_table, x, by_word)
        for value, g in (
            (weights, average.T @ slope),
            (bias, slope.sum(axis=0)),
            (table, by_table),
        ):
            value -= np.float32(RATE) * g
        return loss

    return over_batches(step)


def hybrid_epoch(hb: Any, compile: Compile) -> Function:
    parameters = [hb.Variable(value) for value in initial()]

    def step(x: Any, y: Any) -> Any:
        table, weights, bias = parameters
        with hb.GradientTape() as tape:
            known = (x > 0).astype(hb.float32)[:, :, None]
            average = hb.sum(hb.embedding(x, table) * known, axis=1) / hb.sum(known, axis=1)
            loss = hb.cross_entropy(average @ weights + bias, y)
        for value, g in zip(parameters, tape.gradient(loss, parameters), strict=True):
            value.assign_sub(RATE * g)
        return loss

    return over_batches(compile(step))


def torch_epoch(torch: Any, compile: Compile) -> Function:
    nn = torch.nn.functional
    parameters = [torch.from_numpy(value).requires_grad_() for value in initial()]
    descent = torch.optim.SGD(parameters, RATE)

    def loss_of(x: Any, y: Any) -> Any:
        table, weights, bias = parameters
        known = (x > 0).to(torch.float32)[:, :, None]
        average = (nn.embedding(x, table) * known).sum(1) / known.sum(1)
        return nn.cross_entropy(average @ weights + bias, y)

    loss_function = compile(loss_of)

    def step(x: Any, y: Any) -> Any:
        descent.zero_grad()
        loss = loss_function(x, y)
        loss.backward()
        descent.step()
        return loss.detach()

    return over_batches(step)


def jax_epoch(jax: Any, compile: Compile) -> Function:
    jnp = jax.numpy
    parameters = [jnp.asarray(value) for value in initial()]

    def loss_of(parameters: Any, x: Any, y: Any) -> Any:
        table, weights, bias = parameters
        known = (x > 0).astype(jnp.float32)[:, :, None]
        average = jnp.sum(table[x] * known, axis=1) / jnp.sum(known, axis=1)
        scores = jax.nn.log_softmax(average @ weights + bias)
        return -jnp.mean(jnp.take_along_axis(scores, y[:, None], axis=-1))

    def update(parameters: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(parameters, x, y)
        pairs = zip(parameters, gradients, strict=True)
        return [value - RATE * g for value, g in pairs], loss

    update = jax.jit(update, donate_argnums=0)

    def step(x: Any, y: Any) -> Any:
        nonlocal parameters
        parameters, loss = update(parameters, x, y)
        return loss

    return over_batches(step)


PROGRAMS: dict[str, Program] = {
    "numpy": numpy_epoch,
    "hybrid": hybrid_epoch,
    "torch": torch_epoch,
    "jax": jax_epoch,
}

CASES = (
    Case(
        f"text classifier, {len(LENGTHS)} steps of {BATCH} texts",
        batches,
        BATCH,
        PROGRAMS,
        rtol=1e-3,
        atol=1e-5,
        calls=3,
        tiny=4,
    ),
)
