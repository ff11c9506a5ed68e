"""Mandelbrot's set: by a while_loop over the plane, by a fixed number of steps, and by masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Array, Case, Compile, Function, Program

SIDE, STEPS = 256, 50


def plane(size: int) -> tuple[Array, ...]:
    """Return real and imaginary parts of the points, each of size x size."""
    x, y = np.linspace(-2.0, 0.6, size), np.linspace(-1.2, 1.2, size)
    return tuple(np.ascontiguousarray(part) for part in np.meshgrid(x, y))


def points(size: int) -> tuple[Array, ...]:
    x, y = plane(size)
    return (x + 1j * y,)


# --- a fixed number of steps: the count rises as long as a point has not left ---------------------


def fixed(xp: Any) -> Function:
    def counts(x: Any, y: Any) -> Any:
        a, b, count = x, y, xp.zeros_like(x)
        for _ in range(STEPS):
            a, b = a * a - b * b + x, 2 * a * b + y
            inside = a * a + b * b < 4
            # What has left stays where it is, or it would overflow.
            a, b = xp.where(inside, a, 2.0), xp.where(inside, b, 2.0)
            count = count + inside
        return count

    return counts


FIXED: dict[str, Program] = {
    "numpy": lambda np, compile: fixed(np),
    "hybrid": lambda hb, compile: compile(fixed(hb)),
    "torch": lambda torch, compile: compile(fixed(torch)),
    "jax": lambda jax, compile: compile(fixed(jax.numpy)),
}

# --- while any point is inside --------------------------------------------------------------------


def step(where: Any, x: Any, y: Any, a: Any, b: Any, count: Any) -> Any:
    inside = a * a + b * b < 4
    a, b = where(inside, a * a - b * b + x, a), where(inside, 2 * a * b + y, b)
    return a, b, count + inside


def python_while(xp: Any) -> Function:
    def counts(x: Any, y: Any) -> Any:
        a, b, count, k = xp.zeros_like(x), xp.zeros_like(x), xp.zeros_like(x), 0
        while k < STEPS and bool(xp.any(a * a + b * b < 4)):
            a, b, count = step(xp.where, x, y, a, b, count)
            k += 1
        return count

    return counts


def structured_while(xp: Any, while_loop: Any) -> Function:
    def counts(x: Any, y: Any) -> Any:
        def goes_on(state: Any) -> Any:
            a, b, _, k = state
            return (k < STEPS) & xp.any(a * a + b * b < 4)

        def body(state: Any) -> Any:
            a, b, count, k = state
            return (*step(xp.where, x, y, a, b, count), k + 1)

        zero = xp.zeros_like(x)
        return while_loop(goes_on, body, (zero, zero, zero, 0))[2]

    return counts


WHILE: dict[str, Program] = {
    "numpy": lambda np, compile: python_while(np),
    "hybrid": lambda hb, compile: compile(structured_while(hb, hb.while_loop)),
    "torch": lambda torch, compile: compile(python_while(torch)),
    "jax": lambda jax, compile: compile(structured_while(jax.numpy, jax.lax.while_loop)),
}

# --- by masks, as in NumPy's tutorials ------------------------------------------------------------


def masks(library: Any, compile: Compile) -> Function:
    def mandelbrot(c: Any) -> Any:
        z = np.zeros_like(c)
        left_at = np.full(c.shape, STEPS, dtype=np.int64)
        for k in range(STEPS):
            z = z * z + c
            far = z.real**2 + z.imag**2 > 4
            left_at[far & (left_at == STEPS)] = k
            z[far] = 2
        return left_at

    return compile(mandelbrot)


def torch_masks(torch: Any, compile: Compile) -> Function:
    def mandelbrot(c: Any) -> Any:
        z = torch.zeros_like(c)
        left_at = torch.full(c.shape, STEPS, dtype=torch.int64)
        for k in range(STEPS):
            z = z * z + c
            far = z.real**2 + z.imag**2 > 4
            left_at[far & (left_at == STEPS)] = k
            z[far] = 2
        return left_at

    return compile(mandelbrot)


def jax_masks(jax: Any, compile: Compile) -> Function:
    jnp = jax.numpy

    def mandelbrot(c: Any) -> Any:
        def body(k: Any, state: Any) -> Any:
            z, left_at = state
            z = z * z + c
            far = z.real**2 + z.imag**2 > 4
            left_at = jnp.where(far & (left_at == STEPS), k, left_at)
            return jnp.where(far, 2, z), left_at

        start = jnp.zeros_like(c), jnp.full(c.shape, STEPS)
        return jax.lax.fori_loop(0, STEPS, body, start)[1]

    return compile(mandelbrot)


CASES = (
    Case(f"Mandelbrot {SIDE}x{SIDE}, {STEPS} steps", plane, SIDE, FIXED, atol=1, tiny=9),
    Case(
        f"Mandelbrot {SIDE}x{SIDE}, while_loop",
        plane,
        SIDE,
        WHILE,
        atol=1,
        peers=("numpy", "hybrid-eager", "hybrid", "torch", "jax"),
        tiny=9,
    ),
    Case(
        f"Mandelbrot {SIDE}x{SIDE}, by masks",
        points,
        SIDE,
        {"numpy": masks, "hybrid": masks, "torch": torch_masks, "jax": jax_masks},
        atol=1,
        peers=("numpy", "hybrid-eager", "hybrid", "torch", "jax"),
        tiny=9,
    ),
)
