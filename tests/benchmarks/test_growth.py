"""Memory growth: what is a leak, and what is a step."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest

from benchmarks import growth
from benchmarks.growth import Look

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


@pytest.mark.parametrize("leak", [lambda: bytes(67), lambda: np.empty(1000)], ids=["100 B", "8 kB"])
def test_what_stays_of_each_trace_is_growth(leak: Callable[[], object]) -> None:
    kept = []

    def make(count: int) -> Callable[[], None]:
        return lambda: kept.extend(leak() for _ in range(count))

    found = growth.grown("leak", growth.TRACES, make)
    assert not found.is_noise
    assert found.blocks > growth.NOISE_BLOCKS


@pytest.mark.parametrize("at", range(1, growth.STEPS))
def test_one_step_of_what_is_in_use_is_no_growth(at: int) -> None:
    looks = [Look(50.0 + (i >= at), 1000 + 10**6 * (i >= at), 10**7 * (i >= at)) for i in range(10)]
    assert growth.growth(looks) == (1.0, 0, 0)


def test_resident_memory_has_its_bound_whatever_is_in_use() -> None:
    looks = [Look(50.0, 0, 0)] * 9 + [Look(50.1 + growth.NOISE_MB, 0, 0)]
    assert not growth.growth(looks).is_noise


def test_memory_of_the_c_library_counts_whether_it_lies_in_a_heap_or_apart() -> None:
    before = growth.look()
    heap, apart = np.empty(10_000, np.uint8), np.empty(1 << 28, np.uint8)
    taken = growth.look().bytes - before.bytes
    assert heap.nbytes + apart.nbytes <= taken < heap.nbytes + apart.nbytes + 100_000


@pytest.mark.parametrize("way", [growth.functions, growth.objects], ids=lambda way: way.__name__)
def test_traces_that_are_dropped_leave_nothing_in_use(
    way: Callable[[int], Callable[[], None]],
) -> None:
    found = growth.grown(way.__name__, 400, way)
    assert found.blocks < 400  # one block for each trace
    assert found.bytes < 40_000
