"""Many threads, and processes, call one compiled function: all right, one trace a signature."""

from __future__ import annotations

import multiprocessing
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import EagerFallbackWarning, LeakedTensorError, SideEffectWarning, TraceError


@hb.compile
def mixed(x: hb.Tensor, k: float, mode: str) -> hb.Tensor:
    y = hb.tanh(x * k) + (x.sum() if mode == "sum" else x.max())
    if y.sum() > 0:
        return y * 2
    return y - x


def wanted(x: np.ndarray, k: float, mode: str) -> np.ndarray:
    y = np.tanh(x * np.float32(k)) + (x.sum() if mode == "sum" else x.max())
    return y * 2 if y.sum() > 0 else y - x


def calls(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    while True:
        shape = [(3,), (40,), (5, 6), (2, 3, 4)][rng.integers(4)]
        x = (rng.normal(size=shape) + rng.choice([-2, 2])).astype(np.float32)
        yield x, float(rng.normal()), str(rng.choice(["sum", "max"]))


def work(seed: int, seconds: float) -> tuple[int, int]:
    """Return how many calls were made, and how many gave something else."""
    end = time.monotonic() + seconds
    wrong = 0
    for made, (x, k, mode) in enumerate(calls(seed), 1):
        got = mixed(hb.asarray(x), k, mode).numpy()
        wrong += not np.allclose(got, wanted(x, k, mode), rtol=1e-4, atol=1e-4)
        if time.monotonic() > end:
            return made, wrong
    raise AssertionError("there are always more calls")


def in_threads(seconds: float) -> None:
    mixed.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        found = [
            f.result(timeout=seconds + 120)
            for f in [pool.submit(work, i, seconds) for i in range(8)]
        ]
    assert sum(wrong for _, wrong in found) == 0
    info = mixed.cache_info()
    assert info.misses == info.currsize <= 8  # four shapes, two modes


def test_eight_threads_with_mixed_signatures() -> None:
    in_threads(1.0)


@pytest.mark.slow
def test_eight_threads_with_mixed_signatures_for_long() -> None:
    in_threads(30.0)


def in_processes(method: str, seconds: float) -> None:
    assert work(0, 0.1)[1] == 0  # what a fork inherits has traces, kernels and threads
    context = multiprocessing.get_context(method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            futures = [pool.submit(work, i, seconds) for i in range(4)]
            found = [f.result(timeout=seconds * 4 + 120) for f in futures]
    assert sum(wrong for _, wrong in found) == 0


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pools_of_processes(method: str) -> None:
    in_processes(method, 0.2)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pools_of_processes_for_long(method: str) -> None:
    in_processes(method, 15.0)


def test_a_fork_in_the_middle_of_a_trace_of_another_thread_does_not_block_the_child() -> None:
    inside, go_on = threading.Event(), threading.Event()

    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        if threading.current_thread().name == "tracing":
            inside.set()
            go_on.wait(60)
        return x * 2

    thread = threading.Thread(target=lambda: f(hb.ones(3)), name="tracing")
    thread.start()
    assert inside.wait(60)
    child = multiprocessing.get_context("fork").Process(target=lambda: f(hb.ones(3)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    child.join(60)
    hangs = child.is_alive()
    child.kill()
    go_on.set()
    thread.join(60)
    assert not hangs
    assert child.exitcode == 0


def test_threads_that_trace_each_others_functions_do_not_block_one_another() -> None:
    barrier = threading.Barrier(2, timeout=60)

    @hb.compile
    def a(x: hb.Tensor, meet: bool) -> hb.Tensor:
        if meet:
            barrier.wait()
        return b(x, False) * 2

    @hb.compile
    def b(x: hb.Tensor, meet: bool) -> hb.Tensor:
        if meet:
            barrier.wait()
        return a(x, False) * 3 if meet else x

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(a, hb.ones(2), True), pool.submit(b, hb.ones(2), True)
        assert first.result(60).tolist() == [2, 2]
        assert second.result(60).tolist() == [6, 6]


def test_an_eager_thread_beside_a_tracing_one_is_not_traced() -> None:
    inside, go_on = threading.Event(), threading.Event()

    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        inside.set()
        go_on.wait(60)
        return x * 2

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(f, hb.ones(2))
        assert inside.wait(60)
        assert (hb.ones(2) * 3).tolist() == [3, 3]
        with hb.GradientTape() as tape:
            x = hb.ones(2)
            tape.watch(x)
            y = x * x
        assert tape.gradient(y, x).tolist() == [2, 2]
        go_on.set()
        assert future.result(60).tolist() == [2, 2]


def test_a_thread_of_a_pool_is_told_that_its_trace_is_under_way() -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()

        @hb.compile
        def total(x: hb.Tensor) -> hb.Tensor:
            doubled = x * 2
            return pool.submit(lambda: doubled.sum()).result()

        match = r"(?s)under way.*Start threads outside.*x\.numpy\(\).*x \* 2"
        with pytest.raises(LeakedTensorError, match=match):
            total(hb.ones(3))


def by_a_thread(x: Any) -> Any:
    found = []
    thread = threading.Thread(target=lambda: found.append(x * 2))
    thread.start()
    thread.join()
    return found[0] if found else x


def by_a_pool(x: Any) -> Any:
    y = x + 1
    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(lambda k: y * k, [1, 2]))


def by_a_timer(x: Any) -> Any:
    found = []
    timer = threading.Timer(0.0, lambda: found.append(x.sum()))
    timer.start()
    timer.join()
    return found[0] + x


@pytest.mark.parametrize("f", [by_a_thread, by_a_pool, by_a_timer])
def test_a_function_that_starts_a_thread_runs_eagerly_from_there(f: Callable[[Any], Any]) -> None:
    traced = hb.compile(f)
    x = hb.ones(3)
    starts = {key: value for key, value in vars(threading).items() if key.startswith("_start")}
    with pytest.warns(EagerFallbackWarning, match="starts a thread"):
        assert traced(x).tolist() == f(x).tolist()
    assert traced(x * 3).tolist() == f(x * 3).tolist()
    assert {key: vars(threading)[key] for key in starts} == starts
    with pytest.raises(TraceError, match="starts a thread"):
        hb.compile(f, fullgraph=True)(x)


def test_a_callback_that_runs_in_the_midst_of_a_trace_may_start_a_thread() -> None:
    seen: list[float] = []

    def note(x: Any) -> None:
        thread = threading.Thread(target=lambda: seen.append(float(x.sum())))
        thread.start()
        thread.join()

    @hb.compile
    def f(x: Any) -> Any:
        hb.callback(note, None, x)
        return x * 2 if x.sum() > 0 else x

    with warnings.catch_warnings():
        warnings.simplefilter("error", EagerFallbackWarning)
        warnings.simplefilter("ignore", SideEffectWarning)
        for _ in range(2):
            assert f(hb.ones(3)).tolist() == [2, 2, 2]
    assert seen == [3, 3]
    assert f.cache_info().misses == 1
