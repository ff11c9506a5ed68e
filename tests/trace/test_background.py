"""``compile(background=True)``: no call waits for the compiler, and none is wrong meanwhile."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.trace import sized

SECONDS = 60.0


class Gate:
    """An Event without a lock: one that a thread holds at a fork is never let go in the child."""

    def __init__(self) -> None:
        self._open = False

    def set(self) -> None:
        self._open = True

    def wait(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not self._open and time.monotonic() < end:
            time.sleep(0.001)
        return self._open


class Compiler:
    """Stands for the compiler: it makes Plans when it is let, or fails."""

    def __init__(self) -> None:
        self.go = Gate()
        self.asked = Gate()
        self.thread: threading.Thread | None = None
        self.error: Exception | None = None
        self.make = sized.make_plan
        self.plans: list[Any] = []

    def __call__(self, *args: Any) -> Any:
        self.asked.set()
        self.thread = threading.current_thread()
        assert self.go.wait(SECONDS)
        if self.error is not None:
            raise self.error
        self.plans.append(self.make(*args))
        return self.plans[-1]


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Compiler]:
    held = Compiler()
    monkeypatch.setattr(sized, "make_plan", held)
    yield held
    held.go.set()


@pytest.mark.filterwarnings("ignore::hybrid.errors.SideEffectWarning")
def test_calls_are_right_before_and_after_the_plan_is_ready(compiler: Compiler) -> None:
    traced = []

    @hb.compile(background=True)
    def f(x: Any, y: Any) -> Any:
        traced.append(1)
        return hb.tanh(x) * y + 1, x

    x, y = hb.linspace(0, 1, 5), hb.ones(5)
    want = np.tanh(np.linspace(0, 1, 5)) + 1
    for _ in range(3):
        first, second = f(x, y)
        np.testing.assert_allclose(first.numpy(), want, rtol=1e-6)
        assert second is x
    assert not f.wait(0)
    compiler.go.set()
    assert f.wait(SECONDS)
    assert compiler.thread not in (None, threading.current_thread())
    np.testing.assert_allclose(f(x, y)[0].numpy(), want, rtol=1e-6)
    assert len(traced) == 1
    assert len(compiler.plans) == 1


def test_the_plan_is_run_once_it_is_ready(compiler: Compiler) -> None:
    f = hb.compile(lambda x: hb.exp(x) + x, background=True)
    f(hb.ones(4))
    f(hb.ones(4))
    compiler.go.set()
    assert f.wait(SECONDS)
    f(hb.ones(4))  # makes the short way anew
    (plan,) = f.concrete_functions[0].segments[0].plans.values()
    assert plan is compiler.plans[0]
    assert len(plan.kernels) == 1
    launcher = next(iter(f._shortcuts.launchers.values()))
    assert plan.run in launcher.run.__defaults__


def test_waiting_ends_after_the_short_ways_to_what_stood_for_the_plan_are_gone(
    compiler: Compiler,
) -> None:
    f = hb.compile(lambda x: x * 3, background=True)
    planner, ended = f._subject.planner, []
    planner._ready = lambda: ended.append(planner.wait(0))
    f(hb.ones(4))
    compiler.go.set()
    assert f.wait(SECONDS)
    assert ended == [False]


def test_what_runs_meanwhile_says_so(compiler: Compiler) -> None:
    f = hb.compile(lambda x: x + 1, background=True)
    f(hb.ones(4))
    (plan,) = f.concrete_functions[0].segments[0].plans.values()
    assert "being compiled in the background" in str(plan)
    assert "being compiled in the background" in f.explain()
    compiler.go.set()
    assert f.wait(SECONDS)
    assert "1 kernel, 0 library calls, temporaries 0 B" in f.explain()


def test_results_share_memory_where_those_of_the_plan_do(compiler: Compiler) -> None:
    def plain(x: Any) -> Any:
        y = x * 1
        return x[1:], hb.astype(y, hb.float32), hb.broadcast_to(y, (2, 4)), y.reshape(2, 2), y

    def sharing(f: Any) -> list[bool]:
        x = hb.ones(4)
        found = [x.numpy(), *(r.numpy() for r in f(x))]
        return [np.shares_memory(a, b) for a in found for b in found]

    meanwhile = sharing(hb.compile(plain, background=True))
    compiler.go.set()
    assert meanwhile == sharing(hb.compile(plain))


def test_writes_variables_and_decisions(compiler: Compiler) -> None:
    count = hb.Variable(np.float32(0))

    def plain(x: Any, array: Any) -> Any:
        array[0] = x[0] * 2
        count.assign_add(1)
        while x[0] < 10:
            x = x * 2
        return x

    f = hb.compile(plain, background=True)
    for turn in range(1, 5):
        array = np.zeros(3, np.float32)
        if turn == 3:
            compiler.go.set()
            assert f.wait(SECONDS)
        assert f(hb.asarray(np.float32([3, 1])), array).tolist() == [12, 4]
        assert array.tolist() == [6, 0, 0]
        assert count.numpy() == turn


def test_an_error_of_the_compiler_is_raised_by_the_next_call(compiler: Compiler) -> None:
    f = hb.compile(lambda x: x + 1, background=True)
    assert f(hb.ones(2)).tolist() == [2, 2]
    compiler.error = RuntimeError("no registers left")
    compiler.go.set()
    with pytest.raises(RuntimeError, match="no registers left"):
        f.wait(SECONDS)
    with pytest.raises(RuntimeError, match="no registers left"):
        f(hb.ones(2))


def test_many_threads_get_right_results(compiler: Compiler) -> None:
    f = hb.compile(lambda x: hb.sin(x) * 2, background=True)
    wrong = []

    def work(number: int) -> None:
        x = np.full(100, number, np.float32)
        for turn in range(20):
            if turn == 10 and number == 0:
                compiler.go.set()
            if not np.allclose(f(x).numpy(), np.sin(x) * 2, rtol=1e-6):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_compiles_what_was_under_way(compiler: Compiler) -> None:
    f = hb.compile(lambda x: x * 3, background=True)
    f(hb.ones(2))
    assert compiler.asked.wait(SECONDS)
    child = os.fork()
    if child == 0:
        compiler.go.set()
        good = f.wait(SECONDS) and f(hb.ones(2)).tolist() == [3, 3]
        os._exit(0 if good and len(compiler.plans) == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_without_it_wait_has_nothing_to_wait_for() -> None:
    f = hb.compile(lambda x: x + 1)
    assert f.wait()
    f(hb.ones(2))
    assert f.wait(0)


def test_a_program_may_end_while_the_compiler_is_at_work() -> None:
    import subprocess
    import sys
    import tempfile

    code = (
        "import hybrid as hb\n"
        "f = hb.compile(lambda x: hb.softmax(x) + hb.sin(x), background=True)\n"
        "print(f(hb.ones((4, 4))).shape)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "HYBRID_CACHE_DIR": folder},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "(4, 4)", "")
