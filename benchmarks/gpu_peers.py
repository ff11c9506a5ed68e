"""What other libraries take for the work of ``benchmarks.gpu``, where they are installed."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from itertools import pairwise
from typing import Any

import numpy as np

import hybrid as hb

BATCH, SIZES, RATE = 256, (784, 512, 512, 10), 0.1
Peer = Callable[[Any, Any], Any]


def versions() -> Iterator[tuple[str, str]]:
    """The packages that matter for what is measured."""
    for name in ("cupy-cuda13x", "cuda-core", "numba-cuda", "torch", "jax"):
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            yield name, "not installed"


def torch_here() -> Any:
    """Torch with a card, or None."""
    try:
        import torch
    except ModuleNotFoundError:
        return None
    return torch if torch.cuda.is_available() else None


def jax_here() -> Any:
    """JAX with a card, or None."""
    try:
        import jax
    except ModuleNotFoundError:
        return None
    return jax if jax.default_backend() == "gpu" else None


def softmax(m: Any, x: Any) -> Any:
    """Softmax of rows by the library's own function."""
    return m.softmax(x, 1) if m.__name__ == "torch" else jax_here().nn.softmax(x, 1)


def layer_norm(m: Any, x: Any) -> Any:
    """Layer normalisation of rows, by the library's own function if it has one."""
    if m.__name__ == "torch":
        return m.nn.functional.layer_norm(x, x.shape[1:])
    centred = x - x.mean(1, keepdims=True)
    return centred / m.sqrt((centred * centred).mean(1, keepdims=True) + 1e-5)


def rates(peer: Peer, shape: tuple[int, int], moved: int, samples: int) -> dict[str, float]:
    """GB/s of a function of a matrix, by the name of the library."""
    found: dict[str, float] = {}
    torch, jax = torch_here(), jax_here()
    if torch is not None:
        x = torch.randn(shape, device="cuda")

        def written(y: Any) -> Any:
            return peer(torch, y)

        for name, f in {"torch": written, "torch.compile": torch.compile(written)}.items():
            work = functools.partial(f, x)
            found[name] = moved / _milliseconds(work, torch.cuda.synchronize, samples) / 1e6
    if jax is not None:
        y = jax.random.normal(jax.random.key(0), shape)
        g = jax.jit(lambda z: peer(jax.numpy, z))
        wait = lambda: jax.block_until_ready(g(y))
        found["JAX"] = moved / _milliseconds(lambda: g(y), wait, samples) / 1e6
    return found


def _milliseconds(work: Callable[[], Any], wait: Callable[[], Any], samples: int) -> float:
    """The median time of one call out of ten in a row; clocks of the host, all work done."""
    for _ in range(3):
        work()
    wait()
    times = []
    for _ in range(samples):
        start = time.perf_counter()
        for _ in range(10):
            work()
        wait()
        times.append((time.perf_counter() - start) / 10)
    return float(np.median(times)) * 1e3


# --- a training step ------------------------------------------------------------------------


def _drawn() -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((BATCH, SIZES[0])).astype(np.float32)
    y = np.eye(SIZES[-1], dtype=np.float32)[rng.integers(0, SIZES[-1], BATCH)]
    weights = [
        rng.standard_normal(pair).astype(np.float32) / np.sqrt(pair[0]) for pair in pairwise(SIZES)
    ]
    return x, y, weights


def training_steps(samples: int) -> dict[str, float]:
    """Milliseconds of a step of 784-512-512-10, batch 256, by the name of the library."""
    found = {"hybrid": hybrid_step(samples)}
    if torch_here() is not None:
        found["torch"] = _torch_step(samples, compiled=False)
        found["torch.compile"] = _torch_step(samples, compiled=True)
    if jax_here() is not None:
        found["JAX"] = _jax_step(samples)
    return found


def hybrid_step(samples: int, device: str = "cuda") -> float:
    """Milliseconds of hybrid's step on a device."""
    x, y, weights = _drawn()
    with hb.device(device):
        xs, ys = hb.asarray(x), hb.asarray(y)
        variables = [hb.Variable(w) for w in weights]

    @hb.compile
    def step(x: Any, y: Any) -> Any:
        with hb.GradientTape() as tape:
            for w in variables[:-1]:
                x = hb.maximum(x @ w, 0)
            loss = -hb.mean(hb.sum(hb.log_softmax(x @ variables[-1], axis=1) * y, axis=1))
        for w, g in zip(variables, tape.gradient(loss, variables), strict=True):
            w.assign_sub(RATE * g)
        return loss

    return _milliseconds(lambda: step(xs, ys), hb.synchronize, samples)


def _torch_step(samples: int, *, compiled: bool) -> float:
    torch = torch_here()
    x, y, weights = _drawn()
    xs, ys = torch.tensor(x, device="cuda"), torch.tensor(y, device="cuda")
    parameters = [torch.tensor(w, device="cuda", requires_grad=True) for w in weights]

    def loss_of(x: Any, y: Any) -> Any:
        for w in parameters[:-1]:
            x = torch.relu(x @ w)
        return -(torch.log_softmax(x @ parameters[-1], 1) * y).sum(1).mean()

    function = torch.compile(loss_of) if compiled else loss_of

    def step() -> None:
        gradients = torch.autograd.grad(function(xs, ys), parameters)
        with torch.no_grad():
            for w, g in zip(parameters, gradients, strict=True):
                w -= RATE * g

    return _milliseconds(step, torch.cuda.synchronize, samples)


def _jax_step(samples: int) -> float:
    jax = jax_here()
    x, y, weights = _drawn()
    xs, ys = jax.numpy.asarray(x), jax.numpy.asarray(y)
    state = [[jax.numpy.asarray(w) for w in weights]]

    def loss_of(parameters: Any, x: Any, y: Any) -> Any:
        for w in parameters[:-1]:
            x = jax.nn.relu(x @ w)
        return -(jax.nn.log_softmax(x @ parameters[-1], 1) * y).sum(1).mean()

    def step(parameters: Any, x: Any, y: Any) -> Any:
        gradients = jax.grad(loss_of)(parameters, x, y)
        return [w - RATE * g for w, g in zip(parameters, gradients, strict=True)]

    compiled = jax.jit(step)

    def work() -> None:
        state[0] = compiled(state[0], xs, ys)

    return _milliseconds(work, lambda: jax.block_until_ready(state[0]), samples)
