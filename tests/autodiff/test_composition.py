"""Gradients through control flow, in compiled functions and under vmap, are those of eager code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb

X = np.array([0.3, 0.7, -0.2])
Function = Callable[[hb.Tensor], hb.Tensor]


def branch(x: hb.Tensor) -> hb.Tensor:
    found: hb.Tensor = hb.cond(hb.sum(x) > 0, lambda x: x * x, lambda x: -x, x)
    return hb.sum(found * x)


def captured(x: hb.Tensor) -> hb.Tensor:
    part = x[1:]
    found: hb.Tensor = hb.cond(x[0] > 0, lambda: part * part * x[0], lambda: -part)
    return hb.sum(found)


def loop(x: hb.Tensor) -> hb.Tensor:
    found: hb.Tensor = hb.fori_loop(0, 3, lambda i, s: hb.sin(s) * x, x)
    return hb.sum(found)


def until(x: hb.Tensor) -> hb.Tensor:
    found: hb.Tensor = hb.while_loop(lambda s: hb.sum(s) < 30, lambda s: s * 1.5 + x * x, x + 1)
    return hb.sum(found)


def scanned(x: hb.Tensor) -> hb.Tensor:
    last, rows = hb.scan(lambda c, t: (c * t + x, c * c), x, hb.asarray(np.arange(1.0, 4.0)))
    return hb.sum(last) + hb.sum(rows)


def remembered(x: hb.Tensor) -> hb.Tensor:
    step = hb.checkpoint(lambda c, _: (hb.sin(c) * x, c))
    return hb.sum(hb.scan(step, x, None, length=4)[0])


def written(x: hb.Tensor) -> hb.Tensor:
    y = x * x
    y[0] = x[1] * x[2]
    y[1:] *= x[0]
    y += x
    return hb.sum(y * y)


def guarded(x: hb.Tensor) -> hb.Tensor:
    y = hb.sum(x * x)
    while y < 20:
        y = y * hb.exp(x[0])
    return y if y < 24 else y * x[1]


def chosen(x: hb.Tensor) -> hb.Tensor:
    return hb.sum(hb.where(x > 0, hb.log(x), 0.0) * x)


FUNCTIONS = [branch, captured, loop, until, scanned, remembered, written, guarded, chosen]


def differences(f: Function, x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    units = step * np.eye(x.size)
    pairs = [(f(hb.asarray(x + u)), f(hb.asarray(x - u))) for u in units]
    return np.stack([(a.numpy() - b.numpy()) / (2 * step) for a, b in pairs])


pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the branch not taken


@pytest.mark.parametrize("f", FUNCTIONS)
def test_gradient_hessian_and_forward_mode_compose_with_compile(f: Function) -> None:
    x = hb.asarray(X)
    first = differences(f, X)
    second = differences(hb.grad(f), X, 1e-5)
    for g in (hb.grad(f), hb.compile(hb.grad(f)), hb.grad(hb.compile(f))):
        np.testing.assert_allclose(g(x).numpy(), first, rtol=1e-5, atol=1e-7)
    ways = [hb.hessian(f)]
    if f in (branch, captured, written):  # the others take seconds to compile
        ways += [hb.compile(hb.hessian(f)), hb.hessian(hb.compile(f))]
    for h in ways:
        np.testing.assert_allclose(h(x).numpy(), second, rtol=1e-4, atol=1e-5)
    direction = hb.asarray(np.array([1.0, -2.0, 0.5]))
    tangent = hb.jvp(f, (x,), (direction,))[1]
    np.testing.assert_allclose(tangent.numpy(), first @ direction.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("f", [branch, captured, scanned, until])
def test_gradients_per_example_are_those_of_each_example(f: Function) -> None:
    batch = hb.asarray(np.stack([X, -X, 2 * X]))
    each = np.stack([hb.grad(f)(hb.asarray(x)).numpy() for x in batch.numpy()])
    ways: list[Callable[[hb.Tensor], Any]] = [
        hb.vmap(hb.grad(f)),
        hb.grad(lambda batch: hb.sum(hb.vmap(f)(batch))),
    ]
    for way in ways:
        np.testing.assert_allclose(way(batch).numpy(), each, rtol=1e-10, atol=1e-12)


def test_a_view_of_a_view_that_two_tapes_watch_is_known_in_a_branch() -> None:
    @hb.compile
    def slopes(x: hb.Tensor) -> Any:
        with hb.GradientTape() as outer:
            view = x[1:]
            outer.watch(view)
            with hb.GradientTape() as inner:
                part = view[:2]
                inner.watch(part)
                y = hb.sum(hb.cond(x[0] > 0, lambda: part**3, lambda: part))
            first = inner.gradient(y, part)
        return first, outer.gradient(first, view)

    first, second = slopes(hb.asarray(np.array([1.0, 2.0, 3.0, 4.0])))
    np.testing.assert_allclose(first.numpy(), [12, 27])
    np.testing.assert_allclose(second.numpy(), [12, 18, 0])
