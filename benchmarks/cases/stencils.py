"""One step of the heat and of the wave equation on a grid, by slices, and a 5 x 5 image filter."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Array, Case, Compile, Function, Program, formula

SIDE = 1024
RATE = 0.2


def grids(count: int) -> Any:
    """Return a drawer of ``count`` grids of float64."""

    def inputs(size: int) -> tuple[Array, ...]:
        rng = np.random.default_rng(0)
        return tuple(rng.uniform(0.0, 1.0, (size, size)) for _ in range(count))

    return inputs


def laplacian(u: Any) -> Any:
    """Return the five-point stencil of the inner points."""
    return u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1]


def heat(xp: Any) -> Function:
    return lambda u: u[1:-1, 1:-1] + RATE * laplacian(u)


def wave(xp: Any) -> Function:
    def step(u: Any, before: Any) -> Any:
        return 2 * u[1:-1, 1:-1] - before[1:-1, 1:-1] + RATE * laplacian(u)

    return step


def numexpr_stencil(text: str) -> dict[str, Program]:
    """numexpr's program: ``u`` and ``before`` are inner points, the others the neighbours of u."""

    def program(numexpr: Any, compile: Compile) -> Function:
        def step(u: Any, *before: Any) -> Any:
            parts = {"u": u[1:-1, 1:-1], "s": u[2:, 1:-1], "n": u[:-2, 1:-1]}
            parts |= {"e": u[1:-1, 2:], "w": u[1:-1, :-2]}
            if before:
                parts["before"] = before[0][1:-1, 1:-1]
            return numexpr.evaluate(text, parts)

        return step

    return {"numexpr": program}


def image(size: int) -> tuple[Array, ...]:
    rng = np.random.default_rng(0)
    return rng.uniform(0.0, 1.0, (size, size)).astype(np.float32), gaussian()


def gaussian() -> Array:
    line = np.exp(-0.5 * np.arange(-2.0, 3.0) ** 2)
    weights: Array = np.outer(line, line) / np.sum(line) ** 2
    return weights.astype(np.float32)


def shifted(xp: Any) -> Function:
    """Return the filter as a sum of 25 shifted images."""

    def filtered(x: Any, w: Any) -> Any:
        rows, columns = x.shape[0] - 4, x.shape[1] - 4
        total = 0.0
        for i in range(5):
            for j in range(5):
                total = total + w[i, j] * x[i : i + rows, j : j + columns]
        return total

    return filtered


def numexpr_filter(numexpr: Any, compile: Compile) -> Function:
    places = [(i, j) for i in range(5) for j in range(5)]
    text = " + ".join(f"w{i}{j} * x{i}{j}" for i, j in places)

    def filtered(x: Any, w: Any) -> Any:
        rows, columns = x.shape[0] - 4, x.shape[1] - 4
        parts = {f"w{i}{j}": w[i, j] for i, j in places}
        parts |= {f"x{i}{j}": x[i : i + rows, j : j + columns] for i, j in places}
        return numexpr.evaluate(text, parts)

    return filtered


def torch_filter(torch: Any, compile: Compile) -> Function:
    def filtered(x: Any, w: Any) -> Any:
        return torch.nn.functional.conv2d(x[None, None], w[None, None])[0, 0]

    return compile(filtered)


def jax_filter(jax: Any, compile: Compile) -> Function:
    def filtered(x: Any, w: Any) -> Any:
        return jax.lax.conv(x[None, None], w[None, None], (1, 1), "VALID")[0, 0]

    return compile(filtered)


def hybrid_filter(hb: Any, compile: Compile) -> Function:
    def filtered(x: Any, w: Any) -> Any:
        return hb.conv2d(x[None, None], w[None, None])[0, 0]

    return compile(filtered)


FILTERS: dict[str, Program] = formula(shifted) | {"numexpr": numexpr_filter}
CONVOLUTIONS: dict[str, Program] = {
    "numpy": lambda np, compile: shifted(np),
    "hybrid": hybrid_filter,
    "torch": torch_filter,
    "jax": jax_filter,
}

CASES = (
    Case(
        f"heat step {SIDE}x{SIDE}",
        grids(1),
        SIDE,
        formula(heat) | numexpr_stencil("u + 0.2 * (s + n + e + w - 4 * u)"),
        rtol=1e-12,
        traffic=2 * 8 * SIDE**2,
        tiny=12,
    ),
    Case(
        f"wave step {SIDE}x{SIDE}",
        grids(2),
        SIDE,
        formula(wave) | numexpr_stencil("2 * u - before + 0.2 * (s + n + e + w - 4 * u)"),
        rtol=1e-12,
        atol=1e-13,
        traffic=3 * 8 * SIDE**2,
        tiny=12,
    ),
    Case(
        f"image filter 5x5 by slices {SIDE}x{SIDE}",
        image,
        SIDE,
        FILTERS,
        rtol=1e-5,
        traffic=2 * 4 * SIDE**2,
        tiny=12,
    ),
    Case(
        f"image filter 5x5 by convolution {SIDE}x{SIDE}",
        image,
        SIDE,
        CONVOLUTIONS,
        rtol=1e-5,
        traffic=2 * 4 * SIDE**2,
        tiny=12,
    ),
)
