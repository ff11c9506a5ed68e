"""Recurrences by scan: an LSTM, a Kalman filter, Runge-Kutta steps of Lorenz' equations.

A case is ``write(xp, scan)``. NumPy and torch have no scan: there it is a loop of Python, which
torch.compile would unroll, so that torch runs eagerly only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.case import Array, Case, Function, Program

PEERS = ("numpy", "hybrid-eager", "hybrid", "torch", "jax")


def by_scan(write: Callable[[Any, Function], Function]) -> dict[str, Program]:
    """Return the programs of ``write(xp, scan)``, with ``scan(f, init, xs, length)``."""

    def looped(xp: Any) -> Function:
        def scan(f: Function, init: Any, xs: Any = None, length: int = 0) -> tuple[Any, Any]:
            carry, ys = init, []
            for row in range(length) if xs is None else xs:
                carry, y = f(carry, row)
                ys.append(y)
            return carry, xp.stack(ys)

        return scan

    return {
        "numpy": lambda np, compile: write(np, looped(np)),
        "hybrid": lambda hb, compile: compile(write(hb, hb.scan)),
        "torch": lambda torch, compile: compile(write(torch, looped(torch))),
        "jax": lambda jax, compile: compile(write(jax.numpy, jax.lax.scan)),
    }


# --- LSTM -----------------------------------------------------------------------------------------

LENGTH, BATCH, INPUTS, HIDDEN = 128, 32, 64, 128


def sentences(batch: int) -> tuple[Array, ...]:
    """Draw inputs of (time, batch, features), and the weights and biases of four gates."""
    rng = np.random.default_rng(0)
    shapes = (LENGTH, batch, INPUTS), (INPUTS, 4 * HIDDEN), (HIDDEN, 4 * HIDDEN), (4 * HIDDEN,)
    scales = 1.0, INPUTS**-0.5, HIDDEN**-0.5, 0.1
    return tuple(
        np.float32(scale) * rng.standard_normal(shape, dtype=np.float32)
        for shape, scale in zip(shapes, scales, strict=True)
    )


def lstm(xp: Any, scan: Function) -> Function:
    def sigmoid(x: Any) -> Any:
        return 1 / (1 + xp.exp(-x))

    def states(xs: Any, w: Any, u: Any, b: Any) -> Any:
        def step(carry: Any, x: Any) -> Any:
            h, c = carry
            gates = x @ w + h @ u + b
            i, f = sigmoid(gates[:, :HIDDEN]), sigmoid(gates[:, HIDDEN : 2 * HIDDEN])
            g = xp.tanh(gates[:, 2 * HIDDEN : 3 * HIDDEN])
            o = sigmoid(gates[:, 3 * HIDDEN :])
            c = f * c + i * g
            h = o * xp.tanh(c)
            return (h, c), h

        zero = xp.zeros_like(xs[0, :, :1] + u[0, :HIDDEN])
        return scan(step, (zero, zero), xs)[1]

    return states


# --- Kalman filter: position and speed in two dimensions from noisy positions ---------------------

MEASUREMENTS = 500


def track(length: int) -> tuple[Array, ...]:
    """Draw measurements, and return the matrices of motion, measurement and both noises."""
    rng = np.random.default_rng(0)
    seen = np.cumsum(rng.standard_normal((length, 2)), axis=0) + rng.standard_normal((length, 2))
    motion = np.eye(4) + np.eye(4, k=2)
    return seen, motion, np.eye(2, 4), 0.01 * np.eye(4), np.eye(2)


def kalman(xp: Any, scan: Function) -> Function:
    def inverse(m: Any) -> Any:
        # Of a 2 x 2 matrix, by its determinant, as filters of this size do it.
        swapped = xp.stack([xp.stack([m[1, 1], -m[0, 1]]), xp.stack([-m[1, 0], m[0, 0]])])
        return swapped / (m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0])

    def positions(seen: Any, motion: Any, look: Any, drift: Any, noise: Any) -> Any:
        def step(carry: Any, z: Any) -> Any:
            x, p = carry
            x, p = motion @ x, motion @ p @ motion.T + drift
            gain = p @ look.T @ inverse(look @ p @ look.T + noise)
            x = x + gain @ (z - look @ x)
            p = p - gain @ look @ p
            return (x, p), x

        return scan(step, (xp.zeros_like(motion[0]), 100 * drift), seen)[1]

    return positions


# --- Lorenz' equations by the classical Runge-Kutta method ----------------------------------------

LORENZ_STEPS, DT = 2000, 1e-3
SIGMA, RHO, BETA = 10.0, 28.0, 8 / 3


def starts(count: int) -> tuple[Array, ...]:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((3, count)) + np.array([[0.0], [0.0], [25.0]]),)


def lorenz(xp: Any, scan: Function) -> Function:
    def slope(s: Any) -> Any:
        x, y, z = s[0], s[1], s[2]
        return xp.stack([SIGMA * (y - x), x * (RHO - z) - y, x * y - BETA * z])

    def trajectory(start: Any) -> Any:
        def step(s: Any, _: Any) -> Any:
            k1 = slope(s)
            k2 = slope(s + DT / 2 * k1)
            k3 = slope(s + DT / 2 * k2)
            k4 = slope(s + DT * k3)
            s = s + DT / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            return s, s

        return scan(step, start, None, LORENZ_STEPS)[1]

    return trajectory


CASES = (
    Case(
        f"LSTM {BATCH}x{INPUTS}-{HIDDEN}, {LENGTH} steps",
        sentences,
        BATCH,
        by_scan(lstm),
        peers=PEERS,
        rtol=1e-3,
        atol=1e-4,
        flops=2 * LENGTH * BATCH * (INPUTS + HIDDEN) * 4 * HIDDEN,
        tiny=2,
    ),
    Case(
        f"Kalman filter, {MEASUREMENTS} steps",
        track,
        MEASUREMENTS,
        by_scan(kalman),
        peers=PEERS,
        rtol=1e-8,
        atol=1e-9,
        tiny=8,
    ),
    *(
        Case(
            f"Lorenz by RK4, {LORENZ_STEPS} steps of {count}",
            starts,
            count,
            by_scan(lorenz),
            peers=PEERS,
            # Chaos: errors of rounding grow tenfold with each unit of time.
            rtol=1e-6,
            atol=1e-6,
            tiny=2,
        )
        for count in (1, 1000)
    ),
)
