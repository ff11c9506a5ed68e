"""Random numbers equal the CPU's bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hybrid import dtypes
from hybrid.core.op import OPS
from hybrid.kernels.cuda import random
from tests.kernels.cuda.simulator import launch

THREADS = 8
LAST = 2**64 - 1
STATES = [(0, 0, 0), (123, LAST - 5, 41), (7, 9, LAST - 2)]
SIZES = [1, 4, 15, 37]  # whole blocks of words, and not


def drawn(op: str, state: tuple[int, ...], size: int, attrs: dict[str, Any]) -> np.ndarray:
    dtype = attrs.get("dtype", dtypes.uint64)
    memory = np.full(size, 77, np.uint16 if dtypes.is_half(dtype) else dtype)
    made = random.draw(op, attrs, THREADS)
    words = np.array(state, np.uint64)
    launch(made.source, made.source.phases[0], 2, [words, memory, made.count(size), size])
    return memory.view(dtype)


def on_the_cpu(op: str, state: tuple[int, ...], size: int, attrs: dict[str, Any]) -> np.ndarray:
    shape = {"n": size} if op == "random_bits" else {"shape": (size,)}
    found: np.ndarray = OPS[op].eager(np, np.array(state, np.uint64), **attrs, **shape)
    return found


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "words": ("random_bits", {}),
    "32-bit words": ("random_words", {"dtype": dtypes.uint32}),
    "64-bit words": ("random_words", {"dtype": dtypes.uint64}),
    "float32": ("random_uniform", {"dtype": dtypes.float32, "low": 0.0, "high": 1.0}),
    "float64": ("random_uniform", {"dtype": dtypes.float64, "low": -1.0, "high": 4.0}),
    "float16": ("random_uniform", {"dtype": dtypes.float16, "low": 0.0, "high": 1.0}),
    "bfloat16": ("random_uniform", {"dtype": dtypes.bfloat16, "low": -3.0, "high": 3.0}),
    "few values": ("random_uniform", {"dtype": dtypes.float16, "low": 1000.0, "high": 1001.0}),
    "normal float32": ("random_normal", {"dtype": dtypes.float32, "mean": 0.0, "std": 1.0}),
    "normal float64": ("random_normal", {"dtype": dtypes.float64, "mean": 5.0, "std": 0.1}),
    "normal float16": ("random_normal", {"dtype": dtypes.float16, "mean": -1.0, "std": 3.0}),
    "normal bfloat16": ("random_normal", {"dtype": dtypes.bfloat16, "mean": 0.0, "std": 1.0}),
    "int64": ("random_integers", {"dtype": dtypes.int64, "low": -3, "high": 10}),
    "uint8": ("random_integers", {"dtype": dtypes.uint8, "low": 0, "high": 256}),
    "all of uint64": ("random_integers", {"dtype": dtypes.uint64, "low": 0, "high": 2**64}),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", CASES)
def test_numbers_are_the_cpus(name: str, size: int, state: tuple[int, ...]) -> None:
    op, attrs = CASES[name]
    found, want = drawn(op, state, size, attrs), on_the_cpu(op, state, size, attrs)
    assert found.tobytes() == want.tobytes()


def test_the_state_moves_on_and_wraps() -> None:
    state, out = np.array([3, 4, LAST - 1], np.uint64), np.zeros(3, np.uint64)
    source = random.advance(THREADS)
    launch(source, source.phases[0], 1, [state, out, 5])
    want = OPS["random_advance"].eager(np, state, blocks=5)
    np.testing.assert_array_equal(out, want)
