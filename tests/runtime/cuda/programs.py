"""Whole programs, as a user writes them, with the shapes of their arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hybrid as hb


@dataclass(frozen=True)
class Program:
    """A function of Tensors; `dtypes` where not all arguments are float32."""

    function: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()


def mlp_step(x: Any, y: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
    with hb.GradientTape() as tape:
        for w in (w1, b1, w2, b2):
            tape.watch(w)
        hidden = hb.maximum(x @ w1 + b1, 0)
        logits = hidden @ w2 + b2
        loss = -hb.mean(hb.sum(hb.log_softmax(logits, axis=1) * y, axis=1))
    found = tape.gradient(loss, [w1, b1, w2, b2])
    return loss, *(w - 0.1 * g for w, g in zip((w1, b1, w2, b2), found, strict=True))


def layer_norm(x: Any, scale: Any, shift: Any) -> Any:
    centred = x - hb.mean(x, axis=-1, keepdims=True)
    variance = hb.mean(centred * centred, axis=-1, keepdims=True)
    return centred / hb.sqrt(variance + 1e-5) * scale + shift


def attention(q: Any, k: Any, v: Any) -> Any:
    scores = q @ hb.swapaxes(k, -1, -2) / 2.0
    return hb.softmax(scores, axis=-1) @ v


def stencil(u: Any) -> Any:
    inner = u[1:-1, 1:-1] + 0.1 * (
        u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1]
    )
    out = u.copy()
    out[1:-1, 1:-1] = inner
    return out


def running_mean(x: Any) -> Any:
    return hb.cumulative_sum(x, axis=1) / hb.arange(1, x.shape[1] + 1, dtype=hb.float32)


def turned(x: Any, y: Any) -> Any:
    return hb.exp(x.T) * y + hb.sum(x), x.T, x[::-1, 1:]


def sorted_rows(x: Any) -> Any:
    return hb.sort(x * 2, axis=1) + 1, hb.argsort(x, axis=1)


def batched(a: Any, b: Any, v: Any) -> Any:
    return a @ b, (a @ v), hb.swapaxes(a, 0, 1) @ b[0]


def moments(x: Any) -> Any:
    return hb.mean(x), hb.std(x, axis=0), hb.max(x, axis=1), hb.any(x > 1.5)


def pairwise(x: Any, y: Any) -> Any:
    return hb.sum((x[:, None, :] - y[None, :, :]) ** 2, axis=-1)


def halves(x: Any, w: Any) -> Any:
    return hb.tanh(x @ w) * 0.5 + 1


PROGRAMS = {
    "training step": Program(mlp_step, ((6, 5), (6, 3), (5, 8), (8,), (8, 3), (3,))),
    "softmax": Program(lambda x: hb.softmax(x, axis=-1), ((5, 37),)),
    "softmax of columns": Program(lambda x: hb.softmax(x, axis=0), ((19, 5),)),
    "layer norm": Program(layer_norm, ((4, 24), (24,), (24,))),
    "attention": Program(attention, ((2, 3, 4, 4), (2, 3, 5, 4), (2, 3, 5, 4))),
    "stencil": Program(stencil, ((7, 9),)),
    "cumulative sum": Program(running_mean, ((3, 21),)),
    "turned": Program(turned, ((9, 10), (10, 9))),
    "sorted rows": Program(sorted_rows, ((3, 7),)),
    "batched products": Program(batched, ((2, 3, 4), (2, 4, 5), (4,))),
    "moments": Program(moments, ((6, 7),)),
    "distances": Program(pairwise, ((5, 3), (4, 3))),
    "float16": Program(halves, ((4, 8), (8, 8)), ("float16", "float16")),
    "bfloat16": Program(halves, ((4, 8), (8, 8)), ("bfloat16", "bfloat16")),
    "whole numbers": Program(
        lambda x, y: (x * y + hb.sum(x, axis=0), x @ y.T),
        ((4, 5), (4, 5)),
        ("int64", "int64"),
    ),
    "complex": Program(lambda x, y: (x.T @ y) * 2, ((4, 3), (4, 2)), ("complex64", "complex64")),
    "mixed dtypes": Program(lambda x, y: x @ y, ((3, 4), (4, 2)), ("float32", "float64")),
}
