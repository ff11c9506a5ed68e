"""Memory of large results is used again, never while somebody refers to it."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core import recycle

SIZE = recycle.LARGE + 4096


@pytest.fixture(autouse=True)
def empty_pool() -> Iterator[None]:
    gc.collect()
    recycle._free.clear()
    yield
    recycle._free.clear()


def address(array: Any) -> int:
    return int(array.ctypes.data)


def test_memory_is_used_again_when_nothing_refers_to_it() -> None:
    first = recycle.empty((SIZE,), np.dtype(np.uint8))
    before = address(first)
    view = first[10:20]
    del first
    second = recycle.empty((SIZE,), np.dtype(np.uint8))
    assert address(second) != before
    del view
    third = recycle.empty((SIZE // 4, 2, 2), np.dtype(np.uint8))
    assert address(third) == before
    assert recycle.kept() == 0


@pytest.mark.parametrize("dtype", ["float32", "complex128", "bool", "bfloat16"])
def test_arrays_are_as_asked_for(dtype: str) -> None:
    kind = np.dtype(getattr(hb, dtype, dtype))
    array = recycle.empty((3, 5), kind)
    assert (array.shape, array.dtype) == ((3, 5), kind)
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert array.flags.aligned
    assert address(array) % 64 == 0


def test_what_nobody_uses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recycle, "KEPT", 10_000)
    arrays = [recycle.empty((size,), np.dtype(np.uint8)) for size in (3000, 4000, 5000)]
    del arrays
    assert 0 < recycle.kept() <= 10_000
    large = recycle.empty((20_000,), np.dtype(np.uint8))
    del large
    assert recycle.kept() <= 10_000


def test_results_of_a_compiled_function_stay_what_they_are() -> None:
    f = hb.compile(lambda x: x + 1)
    x = np.zeros(SIZE // 4, np.float32)
    results = [f(x).numpy()]
    for number in range(1, 4):
        x[:] = number
        results.append(f(x).numpy())
    assert [r[0] for r in results] == [1, 2, 3, 4]
    places = {address(r) for r in results}
    assert len(places) == 4
    del results
    assert address(f(x).numpy()) in places


def test_many_threads() -> None:
    wrong = []

    def work(number: int) -> None:
        for _ in range(300):
            array = recycle.empty((1000,), np.dtype(np.int64))
            array[:] = number
            if not (array == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_replay_allocates_nothing_but_its_results() -> None:
    @hb.compile
    def f(x: Any, w: Any) -> Any:
        h = hb.tanh(x @ w)
        scores = h @ hb.permute_dims(w, (1, 0))
        return hb.softmax(scores - hb.mean(scores, axis=1, keepdims=True), axis=1) @ w

    x, w = hb.ones((200, 100)), hb.ones((100, 50))
    (plan,) = (f(x, w), f.concrete_functions[0].segments[0].plans.values())[1]
    assert plan.temp_bytes > 200 * 100 * 4
    for _ in range(3):
        result = f(x, w)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        result = f(x, w)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert result.shape == (200, 50)
    # NumPy reports the memory of arrays; the rest is the objects around it.
    assert 200 * 50 * 4 <= peak < 200 * 50 * 4 + 2000


STATEMENTS = """
import resource
import hybrid as hb

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

for n in (20_000, 100_000, 300_000, 1_000_000):
    x = hb.ones(n)
    for _ in range(5):
        y = hb.exp(x + x) - x * x
    before = faults()
    for _ in range(20):
        y = hb.exp(x + x) - x * x
    assert faults() - before < 40, (n, faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has other rules")
def test_statements_with_several_large_results_lie_in_memory_used_before() -> None:
    own = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    where = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", STATEMENTS], check=True, cwd=where, env=own)
