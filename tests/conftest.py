"""What every test run shares: a kernel cache of its own, hypothesis profiles, test selection.

Also loaded for the doctests of the package (``pytest -p tests.conftest --doctest-modules``).
"""

from __future__ import annotations

import ctypes
import gc
import os
import shutil
import tempfile
from collections.abc import Generator
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import HealthCheck, settings

# Before NumPy is loaded, here and in workers and child processes: after a product OpenBLAS's
# threads wait 2^26 ticks for the next one, on cores that another worker has work for. That was a
# fifth of the processor time of tests/ops/linalg.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")

_CACHE_DIR = "HYBRID_CACHE_DIR"
_OWN_CACHE = pytest.StashKey[str]()

# Kernels are compiled while a test runs, so the time of one example says nothing.
_shared = dict(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("quick", max_examples=20, derandomize=True, **_shared)
settings.register_profile("ci", max_examples=60, derandomize=True, print_blob=True, **_shared)
settings.register_profile("thorough", max_examples=1000, print_blob=True, **_shared)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")


def pytest_configure(config: pytest.Config) -> None:
    # Set before anything imports hybrid. Workers of pytest-xdist and child processes inherit it,
    # so one run shares one cache and never sees the user's own.
    if not hasattr(config, "workerinput"):
        config.stash[_OWN_CACHE] = os.environ[_CACHE_DIR] = tempfile.mkdtemp(prefix="hybrid-test-")
    import hybrid.compiled
    import hybrid.families  # noqa: F401 - all ops, which tests walk, and not before that


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    # Twenty-five thousand tests stay until the end. Nothing of them is garbage, and looking for it
    # again and again is a sixth of the time it takes to collect them.
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    # A worker of pytest-xdist tells of a test in six messages, most of which say that nothing went
    # wrong before or after it. Of thirty thousand tests that is 1.1 ms each, of 3 in all.
    if not hasattr(item.config, "workerinput"):
        return None
    for report in runtestprotocol(item, nextitem=nextitem, log=False):
        if report.when == "call" or not report.passed:
            item.ihook.pytest_runtest_logreport(report=report)
    return True


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    # What stays of a module (kernels, traces, imports) stays until the end as well. Looking through
    # all of it takes a second in the midst of a run, each time that a test collects garbage.
    if nextitem is None or nextitem.path != item.path:
        gc.collect()
        gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    folder = config.stash.get(_OWN_CACHE, None)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    slow = pytest.mark.skip(reason="slow: runs with --slow")
    no_gpu = pytest.mark.skip(reason="no NVIDIA GPU here")
    for item in items:
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(slow)
        if item.get_closest_marker("gpu") and not _gpu_present():
            item.add_marker(no_gpu)


@pytest.fixture
def without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute optimised graphs op by op, in fresh memory: for tests that are about tracing."""
    import numpy as np

    from hybrid.core.interpret import interpret

    def interpreted(graph: Any, layouts: Any, replaced: Any = None) -> Any:
        def run(*arrays: Any) -> tuple[Any, ...]:
            return tuple(np.array(x) for x in interpret(graph, map(np.asarray, arrays)))

        return SimpleNamespace(run=run, donations=())

    monkeypatch.setattr("hybrid.trace.sized.make_plan", interpreted)
    monkeypatch.setattr("hybrid.trace.derivative.make_plan", interpreted)


@cache
def _gpu_present() -> bool:
    """Ask the driver itself, so that no GPU library has to be installed."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return (
        driver.cuInit(0) == 0
        and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
        and count.value > 0
    )
