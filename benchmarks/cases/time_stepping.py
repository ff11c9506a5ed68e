"""Time stepping by slice updates, as one writes it for NumPy, and only decorated for hybrid.

NumPy's and hybrid's functions are the same, with ``np.copy``; torch's have ``torch.clone`` in its
place. JAX has no slice updates in place and unrolls Python's loops, so its users write
``.at[].set`` and ``fori_loop``. numba's users write loops by hand, as for Jacobi's iteration, or
decorate too: FDTD. The cavity takes numba half a minute to compile that way, and with
``parallel=True`` it adds to the heated plate in place while it still reads it, which is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.case import Array, Case, Compile, Function, Program

SIDE, STEPS = 128, 1000
CAVITY, CAVITY_STEPS, PRESSURE_STEPS = 41, 20, 50
FDTD_STEPS = 200

PEERS = ("numpy", "numba", "hybrid-eager", "hybrid", "torch", "jax")


def in_place(write: Callable[[Function], Function], **others: Program) -> dict[str, Program]:
    """Return the programs of a function that ``write(copy)`` makes, and other libraries'."""

    def unedited(library: Any, compile: Compile) -> Function:
        return compile(write(np.copy))

    def torch_program(torch: Any, compile: Compile) -> Function:
        return compile(write(torch.clone))

    return {"numpy": unedited, "hybrid": unedited, "torch": torch_program} | others


# --- Jacobi's iteration with its boundary conditions ----------------------------------------------


def plate(size: int) -> tuple[Array, ...]:
    """Draw the grid and the source of a Poisson equation."""
    rng = np.random.default_rng(0)
    return rng.uniform(0.0, 1.0, (size, size)), rng.uniform(-1e-3, 1e-3, (size, size))


def jacobi(copy: Function) -> Function:
    def solve(p: Any, b: Any) -> Any:
        p = copy(p)
        for _ in range(STEPS):
            q = copy(p)
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

    return solve


def jax_jacobi(jax: Any, compile: Compile) -> Function:
    def solve(p: Any, b: Any) -> Any:
        def step(k: Any, p: Any) -> Any:
            inner = (
                (p[1:-1, 2:] + p[1:-1, :-2]) * 0.25
                + (p[2:, 1:-1] + p[:-2, 1:-1]) * 0.25
                - b[1:-1, 1:-1]
            )
            p = p.at[1:-1, 1:-1].set(inner)
            p = p.at[:, 0].set(0).at[:, -1].set(b[:, 1])
            p = p.at[0].set(p[1])
            return p.at[-1].set(p[-2])

        return jax.lax.fori_loop(0, STEPS, step, p)

    return compile(solve)


def loops_jacobi(numba: Any, compile: Compile) -> Function:
    rows_of = numba.prange

    def solve(p: Any, b: Any) -> Any:
        p, q = p.copy(), np.empty_like(p)
        rows, columns = p.shape
        for _ in range(STEPS):
            q[:] = p
            for i in rows_of(1, rows - 1):
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

    return compile(solve)


# --- heat on a plate whose border stays as it is --------------------------------------------------

RATE = 0.2


def hot_plate(size: int) -> tuple[Array, ...]:
    return plate(size)[:1]


def heat(copy: Function) -> Function:
    def diffuse(u: Any) -> Any:
        u = copy(u)
        for _ in range(STEPS):
            u[1:-1, 1:-1] += RATE * (
                u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1]
            )
        return u

    return diffuse


def jax_heat(jax: Any, compile: Compile) -> Function:
    def diffuse(u: Any) -> Any:
        def step(k: Any, u: Any) -> Any:
            return u.at[1:-1, 1:-1].add(
                RATE * (u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1])
            )

        return jax.lax.fori_loop(0, STEPS, step, u)

    return compile(diffuse)


# --- electromagnetic waves: FDTD with fields on shifted grids -------------------------------------

COURANT = 0.5


def fields(size: int) -> tuple[Array, ...]:
    """Draw an electric field, and two magnetic ones that are zero."""
    x = np.linspace(-4.0, 4.0, size)
    pulse = np.exp(-(x[:, None] ** 2) - x[None, :] ** 2)
    return pulse, np.zeros((size, size - 1)), np.zeros((size - 1, size))


def fdtd(copy: Function) -> Function:
    def propagate(ez: Any, hx: Any, hy: Any) -> Any:
        ez, hx, hy = copy(ez), copy(hx), copy(hy)
        for _ in range(FDTD_STEPS):
            hx -= COURANT * (ez[:, 1:] - ez[:, :-1])
            hy += COURANT * (ez[1:, :] - ez[:-1, :])
            ez[1:-1, 1:-1] += COURANT * (
                hy[1:, 1:-1] - hy[:-1, 1:-1] - hx[1:-1, 1:] + hx[1:-1, :-1]
            )
        return ez, hx, hy

    return propagate


def jax_fdtd(jax: Any, compile: Compile) -> Function:
    def propagate(ez: Any, hx: Any, hy: Any) -> Any:
        def step(k: Any, state: Any) -> Any:
            ez, hx, hy = state
            hx = hx - COURANT * (ez[:, 1:] - ez[:, :-1])
            hy = hy + COURANT * (ez[1:, :] - ez[:-1, :])
            ez = ez.at[1:-1, 1:-1].add(
                COURANT * (hy[1:, 1:-1] - hy[:-1, 1:-1] - hx[1:-1, 1:] + hx[1:-1, :-1])
            )
            return ez, hx, hy

        return jax.lax.fori_loop(0, FDTD_STEPS, step, (ez, hx, hy))

    return compile(propagate)


# --- flow in a cavity with a moving lid, after Barba and Forsyth, "CFD Python" (2018) -------------

DENSITY, VISCOSITY, DT = 1.0, 0.1, 1e-3


def at_rest(size: int) -> tuple[Any, ...]:
    """Return velocities and pressure of zero, and the width of a cell."""
    return *np.zeros((3, size, size)), 2.0 / (size - 1)


def cavity(copy: Function) -> Function:
    def flow(u: Any, v: Any, p: Any, h: float) -> Any:
        u, v, p = copy(u), copy(v), copy(p)
        for _ in range(CAVITY_STEPS):
            un, vn = copy(u), copy(v)
            ux = (un[1:-1, 2:] - un[1:-1, :-2]) / (2 * h)
            uy = (un[2:, 1:-1] - un[:-2, 1:-1]) / (2 * h)
            vx = (vn[1:-1, 2:] - vn[1:-1, :-2]) / (2 * h)
            vy = (vn[2:, 1:-1] - vn[:-2, 1:-1]) / (2 * h)
            b = DENSITY * ((ux + vy) / DT - ux**2 - 2 * uy * vx - vy**2)
            for _ in range(PRESSURE_STEPS):
                pn = copy(p)
                p[1:-1, 1:-1] = (
                    pn[1:-1, 2:] + pn[1:-1, :-2] + pn[2:, 1:-1] + pn[:-2, 1:-1]
                ) / 4 - h**2 / 4 * b
                p[:, -1] = p[:, -2]
                p[0, :] = p[1, :]
                p[:, 0] = p[:, 1]
                p[-1, :] = 0
            u[1:-1, 1:-1] = (
                un[1:-1, 1:-1]
                - un[1:-1, 1:-1] * DT / h * (un[1:-1, 1:-1] - un[1:-1, :-2])
                - vn[1:-1, 1:-1] * DT / h * (un[1:-1, 1:-1] - un[:-2, 1:-1])
                - DT / (2 * DENSITY * h) * (p[1:-1, 2:] - p[1:-1, :-2])
                + VISCOSITY
                * DT
                / h**2
                * (un[1:-1, 2:] + un[1:-1, :-2] + un[2:, 1:-1] + un[:-2, 1:-1] - 4 * un[1:-1, 1:-1])
            )
            v[1:-1, 1:-1] = (
                vn[1:-1, 1:-1]
                - un[1:-1, 1:-1] * DT / h * (vn[1:-1, 1:-1] - vn[1:-1, :-2])
                - vn[1:-1, 1:-1] * DT / h * (vn[1:-1, 1:-1] - vn[:-2, 1:-1])
                - DT / (2 * DENSITY * h) * (p[2:, 1:-1] - p[:-2, 1:-1])
                + VISCOSITY
                * DT
                / h**2
                * (vn[1:-1, 2:] + vn[1:-1, :-2] + vn[2:, 1:-1] + vn[:-2, 1:-1] - 4 * vn[1:-1, 1:-1])
            )
            u[0, :] = 0
            u[:, 0] = 0
            u[:, -1] = 0
            u[-1, :] = 1
            v[0, :] = 0
            v[-1, :] = 0
            v[:, 0] = 0
            v[:, -1] = 0
        return u, v, p

    return flow


def jax_cavity(jax: Any, compile: Compile) -> Function:
    fori_loop = jax.lax.fori_loop

    def sides(f: Any) -> Any:
        """Return the sum of the four neighbours of the inner points."""
        return f[1:-1, 2:] + f[1:-1, :-2] + f[2:, 1:-1] + f[:-2, 1:-1]

    def moved(f: Any, u: Any, v: Any, slope: Any, h: Any) -> Any:
        inner = f[1:-1, 1:-1]
        return f.at[1:-1, 1:-1].set(
            inner
            - u[1:-1, 1:-1] * DT / h * (inner - f[1:-1, :-2])
            - v[1:-1, 1:-1] * DT / h * (inner - f[:-2, 1:-1])
            - DT / (2 * DENSITY * h) * slope
            + VISCOSITY * DT / h**2 * (sides(f) - 4 * inner)
        )

    def flow(u: Any, v: Any, p: Any, h: Any) -> Any:
        def step(k: Any, state: Any) -> Any:
            u, v, p = state
            ux = (u[1:-1, 2:] - u[1:-1, :-2]) / (2 * h)
            uy = (u[2:, 1:-1] - u[:-2, 1:-1]) / (2 * h)
            vx = (v[1:-1, 2:] - v[1:-1, :-2]) / (2 * h)
            vy = (v[2:, 1:-1] - v[:-2, 1:-1]) / (2 * h)
            b = DENSITY * ((ux + vy) / DT - ux**2 - 2 * uy * vx - vy**2)

            def relax(k: Any, p: Any) -> Any:
                p = p.at[1:-1, 1:-1].set(sides(p) / 4 - h**2 / 4 * b)
                p = p.at[:, -1].set(p[:, -2])
                p = p.at[0, :].set(p[1, :])
                p = p.at[:, 0].set(p[:, 1])
                return p.at[-1, :].set(0)

            p = fori_loop(0, PRESSURE_STEPS, relax, p)
            new_u = moved(u, u, v, p[1:-1, 2:] - p[1:-1, :-2], h)
            new_v = moved(v, u, v, p[2:, 1:-1] - p[:-2, 1:-1], h)
            new_u = new_u.at[0, :].set(0).at[:, 0].set(0).at[:, -1].set(0).at[-1, :].set(1)
            new_v = new_v.at[0, :].set(0).at[-1, :].set(0).at[:, 0].set(0).at[:, -1].set(0)
            return new_u, new_v, p

        return fori_loop(0, CAVITY_STEPS, step, (u, v, p))

    return compile(flow)


JACOBI = in_place(jacobi, jax=jax_jacobi, numba=loops_jacobi)

CASES = (
    Case(
        f"Jacobi {SIDE}x{SIDE}, {STEPS} steps",
        plate,
        SIDE,
        JACOBI,
        peers=PEERS,
        rtol=1e-12,
        atol=1e-14,
        tiny=12,
    ),
    Case(
        f"Jacobi 512x512, {STEPS} steps",
        plate,
        512,
        JACOBI,
        peers=("numba", "hybrid", "jax"),
        rtol=1e-12,
        atol=1e-14,
        tiny=12,
    ),
    Case(
        f"heat {SIDE}x{SIDE}, {STEPS} steps",
        hot_plate,
        SIDE,
        in_place(heat, jax=jax_heat),
        peers=PEERS,
        rtol=1e-12,
        atol=1e-14,
        tiny=12,
    ),
    Case(
        f"FDTD {SIDE}x{SIDE}, {FDTD_STEPS} steps",
        fields,
        SIDE,
        in_place(fdtd, jax=jax_fdtd, numba=lambda numba, compile: compile(fdtd(np.copy))),
        peers=PEERS,
        rtol=1e-11,
        atol=1e-13,
        tiny=12,
    ),
    Case(
        f"cavity flow {CAVITY}x{CAVITY}, {CAVITY_STEPS} x {PRESSURE_STEPS} steps",
        at_rest,
        CAVITY,
        in_place(cavity, jax=jax_cavity),
        peers=PEERS,
        rtol=1e-9,
        atol=1e-12,
        tiny=9,
    ),
    Case(
        f"compile {STEPS} Jacobi steps",
        plate,
        SIDE,
        JACOBI,
        peers=("numba", "hybrid", "jax"),
        measure="compile",
        rtol=1e-12,
        atol=1e-14,
        tiny=12,
    ),
    Case(
        f"first call after restart, {STEPS} Jacobi steps",
        plate,
        SIDE,
        JACOBI,
        # numba keeps nothing on disk unless told to.
        peers=("hybrid", "jax"),
        measure="restart",
        rtol=1e-12,
        atol=1e-14,
        tiny=12,
    ),
)
