"""Gradients, maps over examples and loops take one trace for all sizes, once one is unknown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb


@hb.custom_vjp
def cube(x: Any) -> Any:
    """Return x ** 3, with a gradient that can be told from the real one."""
    return x**3


cube.defvjp(lambda x: (cube(x), x), lambda x, g: (10 * x * x * g,))


def grad(f: Callable[..., Any]) -> Callable[..., Any]:
    return hb.grad(lambda r: hb.sum(f(r)))


def branch(r: Any) -> Any:
    return hb.cond(r[0] > 0.5, lambda r: r * r, lambda r: -r, r)


def batch_jacobian(r: Any) -> Any:
    with hb.GradientTape() as tape:
        tape.watch(r)
        y = hb.sin(r) * r[:, :1]
    return tape.batch_jacobian(y, r)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "while_loop": grad(lambda r: hb.while_loop(lambda s: hb.sum(s) < 50, lambda s: s * 1.5 + 1, r)),
    "fori_loop": grad(lambda r: hb.fori_loop(0, 3, lambda i, s: hb.sin(s) * r, r)),
    "scan": grad(lambda r: hb.scan(lambda c, t: (c * t, None), r[0], r)[0]),
    "cond": grad(lambda r: hb.cond(r[0, 0] > 0.5, lambda r: r * r, lambda r: -r, r)),
    "custom_vjp": grad(lambda r: cube(r) * r),
    "checkpoint": grad(hb.checkpoint(lambda r: hb.exp(hb.sin(r)) * r)),
    "vmap": hb.vmap(lambda r: hb.sin(r) * r[0]),
    "vmap of grad": hb.vmap(grad(lambda r: hb.sin(r) * r[0])),
    "vmap of cond": hb.vmap(grad(branch)),
    "vmap of scan": hb.vmap(grad(lambda r: hb.scan(lambda c, t: (c * t, None), r, r)[0])),
    "jacobian": hb.jacobian(lambda r: hb.sum(hb.sin(r) * r, axis=1)),
    "batch_jacobian": batch_jacobian,
    "parts": grad(lambda r: r[:-1] * r[1:] + r[:1] ** 2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_third_trace_serves_all_further_sizes(name: str) -> None:
    function = FUNCTIONS[name]
    compiled = hb.compile(function)
    rng = np.random.default_rng(0)
    for n in (2, 3, 4, 5, 6):
        x = hb.asarray(rng.uniform(size=(n, 3)))
        np.testing.assert_allclose(compiled(x).numpy(), function(x).numpy(), rtol=1e-9, atol=1e-12)
    assert "3 traces, 2 calls replayed" in compiled.explain()


@pytest.mark.parametrize("name", ["custom_vjp", "while_loop", "vmap of cond"])
def test_a_tape_around_a_call_of_unknown_size_differentiates_again(name: str) -> None:
    function = FUNCTIONS[name]
    compiled = hb.compile(function)
    for n in (2, 3, 4, 5):
        x = hb.asarray(np.linspace(0.1, 0.9, 3 * n).reshape(n, 3))
        found, want = (hb.grad(lambda x, f=f: hb.sum(f(x) ** 2))(x) for f in (compiled, function))
        np.testing.assert_allclose(found.numpy(), want.numpy(), rtol=1e-9, atol=1e-12)
