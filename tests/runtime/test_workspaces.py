"""Workspaces of Plans are kept for the next call, and of large ones only so much in all."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import numpy as np
import pytest

import hybrid as hb
from hybrid.runtime import workspaces
from hybrid.runtime.workspaces import LARGE, LargePool, new_pool


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Count from what other tests have left; keep ten."""
    gc.collect()
    before = workspaces.kept()
    monkeypatch.setattr(workspaces, "KEPT", before + 10)
    yield before
    gc.collect()


def test_a_workspace_is_taken_again_and_an_empty_pool_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    for pool in (new_pool(1), new_pool(LARGE)):
        with pytest.raises(IndexError):
            pool.pop()
        one, other = (np.empty(1),), (np.empty(1),)
        pool.append(one)
        pool.append(other)
        assert pool.pop() is other
        assert pool.pop() is one


def test_those_used_least_recently_go_but_the_last_one_stays(little: int) -> None:
    pools = [LargePool(4) for _ in range(4)]
    for pool in pools[:3]:
        pool.append((np.empty(1),))
    assert workspaces.kept() == little + 8
    with pytest.raises(IndexError):
        pools[0].pop()
    again = pools[1].pop()
    pools[1].append(again)  # now the other one is the oldest
    pools[3].append((np.empty(1),))
    with pytest.raises(IndexError):
        pools[2].pop()
    assert pools[1].pop() is again
    huge = LargePool(1000)
    huge.append((np.empty(1),))
    assert huge.pop()


def test_a_pool_that_dies_gives_its_memory_back(little: int) -> None:
    pool = LargePool(4)
    pool.append((np.empty(1),))
    pool.append((np.empty(1),))
    assert workspaces.kept() == little + 8
    del pool
    gc.collect()
    assert workspaces.kept() == little


@pytest.mark.filterwarnings("ignore::hybrid.errors.RetraceWarning")
def test_plans_of_many_sizes_keep_no_more_than_that(
    little: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspaces, "KEPT", little + (12 << 20))

    @hb.compile(dynamic=False)
    def f(x: hb.Tensor) -> hb.Tensor:
        return hb.sort(hb.tanh(x) * 2) + 1

    for n in range(500_000, 500_012):
        x = np.full(n, 0.5, np.float32)
        for _ in range(2):
            found = f(x).numpy()
        np.testing.assert_allclose(found, np.tanh(np.float32(0.5)) * 2 + 1, rtol=1e-6)
    plans = [plan for c in f.concrete_functions for s in c.segments for plan in s.plans.values()]
    assert sum(plan.temp_bytes for plan in plans) > 12 << 20
    assert little < workspaces.kept() <= little + (12 << 20)
    del plans
    f.cache_clear()
    gc.collect()
    assert workspaces.kept() == little


def test_many_threads_take_and_give_back(little: int) -> None:
    pools = [LargePool(3) for _ in range(3)]
    taken: set[int] = set()
    twice = []

    def work(number: int) -> None:
        for i in range(400):
            pool = pools[(number + i) % 3]
            try:
                workspace = pool.pop()
            except IndexError:
                workspace = (np.empty(1),)
            if id(workspace) in taken:
                twice.append(workspace)
            taken.add(id(workspace))
            taken.discard(id(workspace))
            pool.append(workspace)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not twice
    assert workspaces.kept() <= little + 10
    pools.clear()
    gc.collect()
    assert workspaces.kept() == little


def test_calls_with_new_sizes_use_the_same_memory_in_turns() -> None:
    pools = workspaces.SharedPools()
    raw, home = pools.take(5000)
    assert raw.nbytes == 8192
    other, _ = pools.take(8000)
    assert other is not raw  # that one is in use
    home.append((raw,))
    assert pools.take(4100)[0] is raw
    assert pools.take(4096)[0].nbytes == workspaces.SMALLEST


def test_what_new_sizes_leave_behind_is_counted_with_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    before = workspaces.kept()
    pools = workspaces.SharedPools()
    raw, home = pools.take(workspaces.LARGE + 1)
    home.append((raw,))
    assert workspaces.kept() == before + 2 * workspaces.LARGE
    del pools, home, raw
    assert workspaces.kept() == before
