"""The thread pool: many callers, forks, limits."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from hybrid.kernels import parallel
from hybrid.kernels.kernel import kernel_of
from tests.kernels.reference import make_region, mapped

F32 = "float32"


def launch() -> tuple[object, ...]:
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
        good = np.array_equal(result, want) and parallel.driver_address() == 0
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0


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
