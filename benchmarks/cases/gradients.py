"""Gradients through many steps: an LSTM over a sequence, the sensitivity of an orbit.

What comes out is the value and the gradients, flat, in one array.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Array, Case, Compile, Function

LENGTH, BATCH, WIDTH = 128, 32, 64
STEPS, DT = 1000, 0.002
SIGMA, RHO, BETA = 10.0, 28.0, 8.0 / 3.0

# --- an LSTM, as libraries with a scan write it ---------------------------------------------------


def sequence(size: int) -> tuple[Array, ...]:
    """Draw weights for the input, weights for the state, biases and a batch of sequences."""
    rng = np.random.default_rng(0)
    w = rng.standard_normal((WIDTH, 4 * WIDTH)) / np.sqrt(WIDTH)
    u = rng.standard_normal((WIDTH, 4 * WIDTH)) / np.sqrt(WIDTH)
    x = rng.standard_normal((size, BATCH, WIDTH))
    return tuple(a.astype(np.float32) for a in (w, u, np.zeros(4 * WIDTH), x))


def numpy_lstm(np: Any, compile: Compile) -> Function:
    """Backpropagation through time by hand."""

    def gradients(w: Array, u: Array, b: Array, xs: Array) -> Any:
        h = c = np.zeros((BATCH, WIDTH), np.float32)
        kept = []
        for x in xs:
            z = x @ w + h @ u + b
            i, f, o = (1 / (1 + np.exp(-z[:, k * WIDTH : (k + 1) * WIDTH])) for k in range(3))
            g = np.tanh(z[:, 3 * WIDTH :])
            kept.append((x, h, c, i, f, o, g))
            c = f * c + i * g
            h = o * np.tanh(c)
        value = np.mean(h * h)
        dw, du, db = np.zeros_like(w), np.zeros_like(u), np.zeros_like(b)
        dh, dc = 2 * h / np.float32(h.size), np.zeros_like(c)
        after = c
        for x, h, c, i, f, o, g in reversed(kept):
            t = np.tanh(after)
            dc = dc + dh * o * (1 - t * t)
            parts = dc * g * i * (1 - i), dc * c * f * (1 - f), dh * t * o * (1 - o)
            dz = np.concatenate((*parts, dc * i * (1 - g * g)), axis=1)
            dw += x.T @ dz
            du += h.T @ dz
            db += dz.sum(axis=0)
            dh, dc, after = dz @ u.T, dc * f, c
        return np.concatenate((value[None], dw.ravel(), du.ravel(), db))

    return gradients


def lstm_loss(xp: Any, sigmoid: Any, scan: Any) -> Function:
    def loss(w: Any, u: Any, b: Any, xs: Any) -> Any:
        def step(carry: Any, x: Any) -> Any:
            h, c = carry
            z = x @ w + h @ u + b
            i, f, o = (sigmoid(z[:, k * WIDTH : (k + 1) * WIDTH]) for k in range(3))
            c = f * c + i * xp.tanh(z[:, 3 * WIDTH :])
            return (o * xp.tanh(c), c), None

        zeros = xp.zeros((BATCH, WIDTH), dtype=xp.float32)
        (h, _), _ = scan(step, (zeros, zeros), xs)
        return xp.mean(h * h)

    return loss


def flat(xp: Any, value_and_grad: Any, loss: Function, count: int) -> Function:
    """Return the function that gives value and gradients in one array."""

    def gradients(*arguments: Any) -> Any:
        value, found = value_and_grad(loss, tuple(range(count)))(*arguments)
        parts = [xp.reshape(value, (1,)), *(xp.reshape(g, (-1,)) for g in found)]
        return xp.concat(parts)

    return gradients


def hybrid_lstm(hb: Any, compile: Compile) -> Function:
    return compile(flat(hb, hb.value_and_grad, lstm_loss(hb, hb.sigmoid, hb.scan), 3))


def jax_lstm(jax: Any, compile: Compile) -> Function:
    loss = lstm_loss(jax.numpy, jax.nn.sigmoid, jax.lax.scan)
    return compile(flat(jax.numpy, jax.value_and_grad, loss, 3))


def torch_lstm(torch: Any, compile: Compile) -> Function:
    """torch has no scan: a Python loop."""

    def scan(step: Any, carry: Any, xs: Any) -> Any:
        for x in xs:
            carry, _ = step(carry, x)
        return carry, None

    return torch_gradients(torch, lstm_loss(torch, torch.sigmoid, scan), 3)


def torch_gradients(torch: Any, loss: Function, count: int) -> Function:
    def gradients(*arguments: Any) -> Any:
        leaves = [x.detach().requires_grad_() for x in arguments[:count]]
        value = loss(*leaves, *arguments[count:])
        found = torch.autograd.grad(value, leaves)
        return torch.cat([value.detach().reshape(1), *(g.reshape(-1) for g in found)])

    return gradients


# --- the orbit of Lorenz's equations --------------------------------------------------------------


def start(size: int) -> tuple[Array, ...]:
    """Return where the orbit starts, and its parameters."""
    return np.array([1.0, 2.0, 20.0]), np.array([SIGMA, RHO, BETA])


def numpy_orbit(np: Any, compile: Compile) -> Function:
    """Each step takes its Jacobian along: forward mode, by the derivatives written out."""

    def slope(y: Array, p: Array) -> tuple[Array, Array, Array]:
        a, b, c = y
        sigma, rho, beta = p
        field = np.array([sigma * (b - a), a * (rho - c) - b, a * b - beta * c])
        by_y = np.array([[-sigma, sigma, 0], [rho - c, -1, -a], [b, a, -beta]])
        by_p = np.diag([b - a, a, -c])
        return field, by_y, by_p

    def gradients(y: Array, p: Array) -> Any:
        j = np.hstack([np.eye(3), np.zeros((3, 3))])
        for _ in range(STEPS):
            ks: list[Array] = []
            js: list[Array] = []
            for weight in (0.0, 0.5, 0.5, 1.0):
                point = y + weight * DT * ks[-1] if ks else y
                tangent = j + weight * DT * js[-1] if js else j
                field, by_y, by_p = slope(point, p)
                ks.append(field)
                js.append(by_y @ tangent + np.hstack([np.zeros((3, 3)), by_p]))
            y = y + DT / 6 * (ks[0] + 2 * ks[1] + 2 * ks[2] + ks[3])
            j = j + DT / 6 * (js[0] + 2 * js[1] + 2 * js[2] + js[3])
        return np.concatenate(([y @ y], 2 * y @ j))

    return gradients


def orbit_loss(xp: Any, scan: Any) -> Function:
    def loss(y: Any, p: Any) -> Any:
        def slope(y: Any) -> Any:
            a, b, c = y[0], y[1], y[2]
            return xp.stack([p[0] * (b - a), a * (p[1] - c) - b, a * b - p[2] * c])

        def step(y: Any, _: Any) -> Any:
            k1 = slope(y)
            k2 = slope(y + 0.5 * DT * k1)
            k3 = slope(y + 0.5 * DT * k2)
            k4 = slope(y + DT * k3)
            return y + DT / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

        y, _ = scan(step, y, None, length=STEPS)
        return xp.sum(y * y)

    return loss


def hybrid_orbit(hb: Any, compile: Compile) -> Function:
    return compile(flat(hb, hb.value_and_grad, orbit_loss(hb, hb.scan), 2))


def jax_orbit(jax: Any, compile: Compile) -> Function:
    loss = orbit_loss(jax.numpy, jax.lax.scan)
    return compile(flat(jax.numpy, jax.value_and_grad, loss, 2))


PEERS = ("numpy", "hybrid", "torch", "jax")

CASES = (
    Case(
        f"gradient of an LSTM over {LENGTH} steps",
        sequence,
        LENGTH,
        {"numpy": numpy_lstm, "hybrid": hybrid_lstm, "torch": torch_lstm, "jax": jax_lstm},
        peers=PEERS,
        rtol=1e-3,
        atol=1e-5,
    ),
    Case(
        f"gradient of an orbit of {STEPS} steps",
        start,
        3,
        {"numpy": numpy_orbit, "hybrid": hybrid_orbit, "jax": jax_orbit},
        peers=PEERS,
        rtol=1e-8,
        atol=1e-8,
    ),
)
