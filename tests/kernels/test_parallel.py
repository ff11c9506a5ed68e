"""The thread pool: many callers, forks, limits."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import hybrid as hb
from hybrid.kernels import parallel
from hybrid.kernels.kernel import kernel_of
from tests.kernels.reference import make_region, mapped

F32 = "float32"


def launch() -> tuple[Any, ...]:
    x = np.linspace(0, 1, 200_000, dtype=F32)
    body = [mapped("add", "{0} * 2 + 1", (0,), F32)]
    region, _ = make_region(x.shape, (), [(x, x)], body, [(1, F32, False)])
    kernel, geometry = kernel_of(region)
    return kernel, geometry, x, x * 2 + 1


def test_many_callers_at_once() -> None:
    kernel, geometry, x, want = launch()
    driver = parallel.driver_address()
    failures = []

    def work() -> None:
        for _ in range(50):
            result = np.zeros_like(x)
            kernel.call(driver, geometry, x, result)
            if not np.array_equal(result, want):
                failures.append(result)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_many_short_jobs_lose_no_chunk() -> None:
    kernel, geometry, x, want = launch()
    driver = parallel.driver_address()
    result = np.zeros_like(x)
    for _ in range(2000):
        result[::5000] = 0
        kernel.call(driver, geometry, x, result)
        assert np.array_equal(result[::5000], want[::5000])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_runs_serially() -> None:
    kernel, geometry, x, want = launch()
    driver = parallel.driver_address()
    kernel.call(driver, geometry, x, np.zeros_like(x))
    child = os.fork()
    if child == 0:
        result = np.zeros_like(x)
        kernel.call(driver, geometry, x, result)
        alone = parallel.get_num_threads() == 1 and not parallel.several()
        os._exit(0 if alone and np.array_equal(result, want) else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.skipif(parallel.available() == 1, reason="one processor")
def test_a_forked_child_has_threads_when_it_asks_for_them() -> None:
    kernel, geometry, x, want = launch()
    driver = parallel.driver_address()
    child = os.fork()
    if child == 0:
        parallel.set_num_threads(2)
        result, met = np.zeros_like(x), False
        for _ in range(2000):
            result[:] = 0
            kernel.call(driver, geometry, x, result)
            met = met or _native_threads() > 1
        os._exit(0 if met and np.array_equal(result, want) else 1)
    assert os.waitpid(child, 0)[1] == 0


def _native_threads() -> int:
    return len(os.listdir("/proc/self/task"))


@pytest.fixture
def limit() -> Iterator[None]:
    """Set back what a test sets."""
    before = parallel.get_num_threads()
    yield
    parallel.set_num_threads(before)


@pytest.mark.usefixtures("limit")
def test_the_limit_holds_for_kernels_and_blas() -> None:
    for count in (1, parallel.available()):
        hb.set_num_threads(count)
        assert hb.get_num_threads() == count
        blas = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
        assert blas
        assert set(blas) == {count}


@pytest.mark.usefixtures("limit")
@pytest.mark.skipif(parallel.available() == 1, reason="one processor")
def test_the_limit_holds_for_functions_that_are_compiled_already() -> None:
    hb.set_num_threads(1)
    region_kernel, geometry, x, want = launch()
    driver = parallel.driver_address()
    for count in (parallel.available(), 1):
        hb.set_num_threads(count)
        assert parallel._pool is not None
        assert parallel._pool.threads.value == count
        assert parallel.several() == (count > 1)
        result = np.zeros_like(x)
        region_kernel.call(driver, geometry, x, result)
        assert np.array_equal(result, want)


@pytest.mark.usefixtures("limit")
def test_many_threads_may_set_the_limit_while_kernels_run() -> None:
    kernel, geometry, x, want = launch()
    driver = parallel.driver_address()
    counts = [1, parallel.available()]
    failures = []

    def work(number: int) -> None:
        for turn in range(20):
            parallel.set_num_threads(counts[(turn + number) % 2])
            result = np.zeros_like(x)
            kernel.call(driver, geometry, x, result)
            if not np.array_equal(result, want):
                failures.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert parallel.get_num_threads() in counts


def test_a_limit_of_the_environment_that_is_no_number_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HYBRID_NUM_THREADS", "many")
    with pytest.raises(ValueError, match="HYBRID_NUM_THREADS is 'many'"):
        parallel.available()


def test_impossible_thread_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="0 threads asked for"):
        parallel.set_num_threads(0)
    with pytest.raises(ValueError, match="can be had"):
        parallel.set_num_threads(100_000)


def test_one_thread_needs_no_driver() -> None:
    code = "from hybrid.kernels import parallel; print(parallel.driver_address())"
    environment = {**os.environ, "HYBRID_NUM_THREADS": "1"}
    printed = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "0"
