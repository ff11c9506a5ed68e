"""Time stepping by slice updates, as one writes it for NumPy, and by hand in numba."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Array, Case, Compile, Function

SIZE, STEPS = 128, 1000


def inputs(size: int) -> tuple[Array, ...]:
    """Draw the grid and the source of a Poisson equation."""
    rng = np.random.default_rng(0)
    return rng.uniform(0.0, 1.0, (size, size)), rng.uniform(-1e-3, 1e-3, (size, size))


def slices(library: Any, compile: Compile) -> Function:
    """Jacobi's iteration with its boundary conditions."""

    def jacobi(p: Any, b: Any) -> Any:
        p = p.copy()
        for _ in range(STEPS):
            q = p.copy()
            p[1:-1, 1:-1] = (
                (q[1:-1, 2:] + q[1:-1, :-2]) * 0.25
                + (q[2:, 1:-1] + q[:-2, 1:-1]) * 0.25
                - b[1:-1, 1:-1]
            )
            p[:, 0] = 0
            p[:, -1] = b[:, 1]
            p[0] = p[1]
            p[-1] = p[-2]
        return p

    return compile(jacobi)


def loops(numba: Any, compile: Compile) -> Function:
    """The same element by element, for a compiler of loops."""

    def jacobi(p: Any, b: Any) -> Any:
        p, q = p.copy(), np.empty_like(p)
        rows, columns = p.shape
        for _ in range(STEPS):
            q[:] = p
            for i in range(1, rows - 1):
                for j in range(1, columns - 1):
                    p[i, j] = (
                        (q[i, j + 1] + q[i, j - 1]) * 0.25
                        + (q[i + 1, j] + q[i - 1, j]) * 0.25
                        - b[i, j]
                    )
            for i in range(rows):
                p[i, 0] = 0
                p[i, columns - 1] = b[i, 1]
            for j in range(columns):
                p[0, j] = p[1, j]
                p[rows - 1, j] = p[rows - 2, j]
        return p

    return compile(jacobi)


CASES = (
    Case(
        "jacobi 128x128, 1000 steps",
        inputs,
        SIZE,
        {"numpy": slices, "hybrid": slices, "numba": loops},
        peers=("numpy", "numba", "hybrid"),
        rtol=1e-12,
        atol=1e-14,
    ),
    Case(
        "compile jacobi of 1000 steps",
        inputs,
        SIZE,
        {"numpy": slices, "hybrid": slices, "numba": loops},
        peers=("numba", "hybrid"),
        measure="compile",
        rtol=1e-12,
        atol=1e-14,
    ),
)
