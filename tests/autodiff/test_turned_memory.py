"""Gradients through writes to what NumPy lays out otherwise than in C order, in both modes.

A trace keeps with such a result how its memory lies, from before a tape hears of the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb

X = np.arange(6.0).reshape(2, 3) + 1

MADE: dict[str, Callable[[Any], Any]] = {
    "by an operator": lambda x: x.T * 2,
    "by a function": lambda x: hb.exp(x.T / 4),
    "of two": lambda x: hb.where(x.T > 2.5, x.T, 0.0),
    "by brackets": lambda x: x[:, [0, 2, 1]] * 2,
    "by a scan": lambda x: hb.cumsum(x.T, axis=0),
    "one of several": lambda x: hb.split(hb.exp(x.T / 4), [1])[1],
    "by several results": lambda x: hb.linalg.qr(x.T + hb.eye(3, 2, dtype="float64"))[0],
    "by LAPACK": lambda x: hb.linalg.solve(hb.eye(3, dtype="float64") * 2, x.T),
    "a copy by reshape": lambda x: (x * 2).T.reshape(-1, 1),
    "a copy of a copy": lambda x: (x.T * 2).reshape(2, 3).T.reshape(-1, 1),
    "a copy by ravel": lambda x: (x * 2).T.ravel()[:, None],
    "by copy": lambda x: x.T.copy(),
    "by a rule of its own": lambda x: _cube(x.T),
    "by a branch": lambda x: hb.cond(x[0, 0] > 0, lambda x: x * 2, lambda x: x * 3, x.T),
    "by vmap": lambda x: hb.vmap(lambda row: row * row.sum(), in_axes=1, out_axes=1)(x.T),
    "by a checkpoint": lambda x: hb.checkpoint(lambda x: hb.sin(x) * 2)(x.T),
    "by a compiled function": lambda x: hb.compile(lambda x: hb.sin(x) * 2)(x.T),
}


@hb.custom_gradient
def _cube(x: Any) -> Any:
    return x * x * x, lambda g: 3 * x * x * g


def whole(y: Any) -> None:
    y *= y


def first(y: Any) -> None:
    y[0] = 0.5


def view(y: Any) -> None:
    part = y[1:]
    part *= part


def chosen(y: Any) -> None:
    y[y > 1.4] *= 2.0


def by_out(y: Any) -> None:
    np.multiply(y, 3.0, out=y)


@pytest.mark.parametrize("write", [whole, first, view, chosen, by_out])
@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_a_write_leaves_the_gradient_of_the_rest(
    make: Callable[[Any], Any], write: Callable[[Any], None]
) -> None:
    def f(x: hb.Tensor) -> hb.Tensor:
        y = make(x)
        write(y)
        return (y * y * hb.arange(y.size, dtype="float64").reshape(y.shape)).sum()

    def by_tape(x: hb.Tensor) -> Any:
        with hb.GradientTape() as tape:
            tape.watch(x)
            out = f(x)
        return tape.gradient(out, x)

    x = hb.asarray(X)
    way = np.cos(X)
    slope = (f(hb.asarray(X + 1e-6 * way)) - f(hb.asarray(X - 1e-6 * way))).item() / 2e-6
    found = hb.grad(f)(x).numpy()
    np.testing.assert_allclose((found * way).sum(), slope, rtol=1e-6)
    for other in (hb.compile(hb.grad(f)), hb.compile(by_tape), hb.grad(hb.compile(f))):
        np.testing.assert_allclose(other(x).numpy(), found, rtol=1e-12)
