"""Programs as users of several fields write them give what NumPy gives, eager and compiled."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb

pytestmark = [
    pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning"),
    pytest.mark.filterwarnings("ignore::hybrid.errors.RetraceWarning"),
]


def drawn(number: int, *shape: int) -> Any:
    return np.random.default_rng(number).normal(size=shape)


@dataclasses.dataclass
class Bodies:
    q: Any
    p: Any
    t: float = 0.0
    steps: int = 0


def orbits(bodies: Bodies, dt: float) -> Bodies:
    """A state that every step makes anew."""
    for _ in range(2):
        away = bodies.q[None] - bodies.q[:, None]
        force = (away / ((away**2).sum(-1) + 0.01)[..., None] ** 1.5).sum(1)
        p = bodies.p + dt * force
        q, t, n = bodies.q + dt * p, bodies.t + dt, bodies.steps + 1
        bodies = dataclasses.replace(bodies, q=q, p=p, t=t, steps=n)
    return bodies


class Norm:
    """Batch normalisation with running statistics, one of which is written in place."""

    def __init__(self) -> None:
        self.mean, self.var, self.steps = np.zeros(4), np.ones(4), 0

    def __call__(self, x: Any, train: bool) -> Any:
        if train:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
            self.var *= 0.9
            self.var += 0.1 * x.var(0)
            self.steps += 1
        return (x - self.mean) / np.sqrt(self.var + 1e-5)


def normalised(norm: Norm, x: Any, train: bool) -> Any:
    return norm(x, train) + norm(x, train=False)


def walk(data: Any, rng: np.random.Generator, step: float) -> Any:
    """Metropolis, with a generator that is passed in."""
    mean, chain = 0.0, []
    for _ in range(5):
        new = mean + step * rng.normal()
        gain = 0.5 * np.sum((data - mean) ** 2) - 0.5 * np.sum((data - new) ** 2)
        if np.log(rng.random()) < gain:
            mean = new
        chain.append(mean)
    return np.array(chain)


def components(image: Any) -> Any:
    """Labels of connected pixels: a ufunc's method on a list of views, until nothing changes."""
    labels = np.where(image, np.arange(1, image.size + 1).reshape(image.shape), 0)
    while True:
        p = np.pad(labels, 1)
        around = [p[1:-1, 1:-1], p[:-2, 1:-1], p[2:, 1:-1], p[1:-1, :-2], p[1:-1, 2:]]
        spread = np.where(image, np.maximum.reduce(around), 0)
        if (spread == labels).all():
            return labels
        labels = spread


def distances(adjacent: Any, start: int) -> Any:
    """Breadth first, by masks that select and are written through."""
    found, front = np.full(len(adjacent), -1), np.zeros(len(adjacent), bool)
    found[start], front[start], far = 0, True, 0
    while front.any():
        far += 1
        front = adjacent[front].any(0) & (found < 0)
        found[front] = far
    return found


def accumulated(weights: dict[str, Any], x: Any, parts: int) -> Any:
    """Gradients gathered over parts of a batch; the caller's dict of arrays is updated."""
    total = {name: np.zeros_like(w) for name, w in weights.items()}
    for part in np.array_split(x, parts):
        out = part @ weights["w"] + weights["b"]
        total["w"] += part.T @ out
        total["b"] += out.sum(0)
    for name in weights:
        weights[name] -= 0.01 * total[name] / parts
    return total


def clipped(gradients: list[Any], most: float) -> Any:
    norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
    if norm > most:
        for g in gradients:
            g *= most / norm
    return norm


def degrees(edges: Any, count: int) -> Any:
    found, matrix = np.zeros(count, int), np.zeros((count, count))
    np.add.at(found, edges[:, 0], 1)
    matrix[edges[:, 0], edges[:, 1]] = 1
    return found, matrix, np.bincount(edges[:, 1], minlength=count)


def overlapping(x: Any) -> Any:
    x[1:] += x[:-1]
    x[:-2] = x[2:]
    x[::2] *= 0.5
    return x[::-1].cumsum(), x.max()


def options(x: Any, how: str = "mean", weights: Any = None, *, keep: bool = False) -> Any:
    """Strings, None and flags that decide what is computed."""
    w = np.ones(len(x)) if weights is None else weights
    total = (x * w[:, None]).sum(0, keepdims=keep)
    return {how: total / w.sum() if how == "mean" else total, "n": len(x)}


def image(number: int) -> Any:
    return drawn(number, 6, 6) > 0.2


PROGRAMS: dict[Callable[..., Any], Callable[[int], tuple[Any, ...]]] = {
    orbits: lambda k: (Bodies(drawn(k, 3, 2), drawn(9, 3, 2), k / 2, k), 0.01 * (k + 1)),
    normalised: lambda k: (Norm(), drawn(k, 5, 4), k % 2 == 0),
    walk: lambda k: (drawn(k, 10), np.random.default_rng(k), 0.3 + 0.1 * k),
    components: lambda k: (image(k),),
    distances: lambda k: (image(k), k % 3),
    accumulated: lambda k: ({"w": drawn(k, 3, 4), "b": drawn(k, 4)}, drawn(9, 5, 3), 2 + k % 2),
    clipped: lambda k: ([drawn(k + i, 3, 4) for i in range(2)], 1.0 + 3 * k),
    degrees: lambda k: (np.random.default_rng(k).integers(0, 9, (12 + k, 2)), 9),
    overlapping: lambda k: (drawn(k, 9 + k).astype("f4" if k % 2 else "f8"),),
    options: lambda k: (drawn(k, 4, 3), ("mean", "sum")[k % 2], None if k < 3 else drawn(7, 4)),
}


def tensors(x: Any) -> Any:
    return hb.asarray(x) if type(x) is np.ndarray else x


def same(found: Any, wanted: Any) -> None:
    if isinstance(wanted, dict):
        assert list(found) == list(wanted)
        same(list(found.values()), list(wanted.values()))
    elif isinstance(wanted, list | tuple):
        assert len(found) == len(wanted)
        for x, y in zip(found, wanted):
            same(x, y)
    elif isinstance(wanted, Bodies | Norm):
        assert type(found) is type(wanted)
        same(vars(found), vars(wanted))
    elif isinstance(wanted, np.random.Generator):
        assert found.bit_generator.state == wanted.bit_generator.state
    elif isinstance(wanted, int | float | str | None) and not isinstance(wanted, np.generic):
        assert type(found) is type(wanted)
        assert found == pytest.approx(wanted) if isinstance(wanted, float) else found == wanted
    else:
        x, y = np.asarray(found), np.asarray(wanted)
        assert (x.dtype, x.shape) == (y.dtype, y.shape)
        np.testing.assert_allclose(x, y, rtol=1e-5 if y.dtype == np.float32 else 1e-10, atol=1e-12)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_results_and_what_becomes_of_the_arguments(program: Callable[..., Any]) -> None:
    arguments, compiled = PROGRAMS[program], hb.compile(program)
    for k in (0, 1, 2, 3, 2):
        given = arguments(k)
        wanted = program(*given)
        eager = [tensors(x) for x in arguments(k)]
        ways = (program, eager), (compiled, list(arguments(k)))
        for function, own in ways:
            same(function(*own), wanted)
            same(own, list(given))
