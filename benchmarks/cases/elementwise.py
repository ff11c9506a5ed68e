"""Fused elementwise expressions: from a thousand numbers to ten million, and options' prices."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import (
    COMPILED,
    Array,
    Case,
    Compile,
    Function,
    Program,
    evaluated,
    formula,
    uniform,
)

SIZE = 1_000_000
SIZES = {"1e3": 1_000, "1e5": 100_000, "1e6": 1_000_000, "1e7": 10_000_000}
TOLERANCES = {"float32": (1e-5, 1e-6), "float64": (1e-12, 1e-14)}
PAIRS = {dtype: uniform(2, dtype) for dtype in TOLERANCES}

# --- a chain with transcendental functions, and one without --------------------------------------


def chain(xp: Any) -> Function:
    def expression(a: Any, b: Any) -> Any:
        return xp.tanh(a * b + a) * xp.exp(-b) + xp.log(a + 1)

    return expression


CHAIN = formula(chain) | evaluated("tanh(a * b + a) * exp(-b) + log(a + 1)", "a", "b")


def ten_ops(xp: Any) -> Function:
    def expression(a: Any, b: Any) -> Any:
        c = a * b + a
        d = xp.maximum(c - b, a) * c
        return xp.sqrt(d * d + b) / (a + 2)

    return expression


TEN_OPS = formula(ten_ops) | evaluated(
    "sqrt((where(a * b + a - b > a, a * b + a - b, a) * (a * b + a)) ** 2 + b) / (a + 2)",
    "a",
    "b",
)

# --- Black-Scholes --------------------------------------------------------------------------------

RATE, VOLATILITY = 0.1, 0.2


def options(dtype: str) -> Any:
    """Return a drawer of prices, strikes and times."""

    def inputs(size: int) -> tuple[Array, ...]:
        rng = np.random.default_rng(0)
        ranges = (10.0, 50.0), (10.0, 50.0), (1.0, 2.0)
        return tuple(rng.uniform(low, high, size).astype(dtype) for low, high in ranges)

    return inputs


def black_scholes(xp: Any, erf: Any) -> Function:
    """Return the price of a call and of a put."""

    def prices(price: Any, strike: Any, time: Any) -> Any:
        spread = VOLATILITY * xp.sqrt(time)
        d1 = (xp.log(price / strike) + (RATE + 0.5 * VOLATILITY**2) * time) / spread
        d2 = d1 - spread
        n1 = 0.5 + 0.5 * erf(d1 * 0.5**0.5)
        n2 = 0.5 + 0.5 * erf(d2 * 0.5**0.5)
        discounted = strike * xp.exp(-RATE * time)
        call = price * n1 - discounted * n2
        return call, call - price + discounted

    return prices


def black_scholes_numpy(np: Any, compile: Compile) -> Function:
    from scipy.special import erf

    return black_scholes(np, erf)


BLACK_SCHOLES: dict[str, Program] = {
    "numpy": black_scholes_numpy,
    "hybrid": lambda hb, compile: compile(black_scholes(hb, hb.erf)),
    "torch": lambda torch, compile: compile(black_scholes(torch, torch.erf)),
    "jax": lambda jax, compile: compile(black_scholes(jax.numpy, jax.lax.erf)),
}


def _chains(dtype: str) -> list[Case]:
    rtol, atol = TOLERANCES[dtype]
    itemsize = np.dtype(dtype).itemsize
    return [
        Case(
            f"elementwise {dtype} {label}",
            PAIRS[dtype],
            size,
            CHAIN,
            rtol=rtol,
            atol=atol,
            traffic=3 * itemsize * size,
            tiny=1000,
        )
        for label, size in SIZES.items()
    ]


CASES = (
    *_chains("float32"),
    *_chains("float64"),
    *(
        Case(
            f"ten simple ops {dtype} 1e7",
            PAIRS[dtype],
            SIZES["1e7"],
            TEN_OPS,
            rtol=TOLERANCES[dtype][0],
            atol=TOLERANCES[dtype][1],
            traffic=3 * np.dtype(dtype).itemsize * SIZES["1e7"],
            tiny=1000,
        )
        for dtype in TOLERANCES
    ),
    *(
        Case(
            f"Black-Scholes {dtype} 1e6",
            options(dtype),
            SIZE,
            BLACK_SCHOLES,
            rtol=1e-5 if dtype == "float32" else 1e-12,
            # Prices are differences of numbers about 50.
            atol=2e-5 if dtype == "float32" else 1e-13,
            traffic=5 * np.dtype(dtype).itemsize * SIZE,
            tiny=1000,
        )
        for dtype in TOLERANCES
    ),
    Case(
        "compile elementwise",
        PAIRS["float32"],
        SIZE,
        CHAIN,
        peers=COMPILED,
        measure="compile",
        tiny=1000,
    ),
    Case(
        "first call after restart",
        PAIRS["float32"],
        SIZE,
        CHAIN,
        peers=COMPILED,
        measure="restart",
        tiny=1000,
    ),
    Case("new shape", PAIRS["float32"], 1000, CHAIN, peers=COMPILED, measure="shape"),
    Case(
        "peak memory, ten simple ops 1e7",
        PAIRS["float32"],
        SIZES["1e7"],
        TEN_OPS,
        measure="memory",
        tiny=1000,
    ),
)
