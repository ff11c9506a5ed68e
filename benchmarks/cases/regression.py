"""A step of Newton's method for logistic regression: a gradient, a Hessian, and a linear system."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Array, Case, Function, formula

SAMPLES, FEATURES = 20_000, 32
PENALTY = 1.0


def samples(size: int) -> tuple[Array, ...]:
    """Draw features, labels of 0 and 1, and weights to start from."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((size, FEATURES))
    truth = rng.standard_normal(FEATURES)
    labels = (x @ truth + rng.standard_normal(size) > 0).astype(np.float64)
    return x, labels, 0.1 * truth


def newton(xp: Any) -> Function:
    def step(x: Any, y: Any, w: Any) -> Any:
        p = 1 / (1 + xp.exp(-(x @ w)))
        gradient = x.T @ (p - y) + PENALTY * w
        hessian = (x * (p * (1 - p))[:, None]).T @ x + PENALTY * xp.eye(FEATURES, dtype=x.dtype)
        return w - xp.linalg.solve(hessian, gradient)

    return step


CASES = (
    Case(
        f"logistic regression Newton step {SAMPLES}x{FEATURES}",
        samples,
        SAMPLES,
        formula(newton),
        rtol=1e-9,
        atol=1e-10,
        # In float64, where the machine's rate is about half that of float32.
        flops=2 * 2 * SAMPLES * FEATURES**2,
        tiny=100,
    ),
)
