"""trace_log: what is traced and compiled is written down, with times; replays are not."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import hybrid as hb


def test_a_first_call_is_a_trace_with_its_segments_guards_plans_and_kernels():
    @hb.compile
    def f(x):
        if x.sum() > 0:
            return hb.tanh(x) * 2
        return -x

    with hb.trace_log() as log:
        f(np.ones(3))
        f(np.ones(3))
    (trace,) = log.entries
    assert trace.text == "f(x: f64[3]), because it was called for the first time"
    assert [entry.kind for entry in trace.entries] == ["segment", "guard", "segment"]
    first, guard, _ = trace.entries
    assert [entry.kind for entry in first.entries] == ["passes", "plan"]
    assert guard.text == "bool() is True"
    assert guard.line is not None
    assert guard.line.text == "if x.sum() > 0:"
    assert 0 < first.seconds < trace.seconds
    assert guard.seconds is None


def test_a_replay_leaves_no_entry():
    f = hb.compile(lambda x: x * 3)
    f(np.ones(3))
    with hb.trace_log() as log:
        f(np.zeros(3))
    assert log.entries == []
    assert str(log) == "nothing was traced or compiled"


def test_another_way_through_and_another_shape_say_why():
    f = hb.compile(lambda x: x * 2 if x.sum() > 0 else x[x < 0])
    f(np.ones(3))
    with hb.trace_log() as log:
        f(-np.ones(3))
        f(np.array([-1.0, -1.0, 1.0]))
        f(np.ones(4))
    reasons = [entry.text.split(", because ")[1] for entry in log.of("trace")]
    assert reasons[0] == "a new value False at a decision of Python on a traced value"
    assert reasons[1] == "the data select another number of elements, 2"
    assert reasons[2] == "x: shape (3,) -> (4,)"


def test_a_kernel_says_whether_it_was_compiled_or_on_disk(tmp_path, monkeypatch):
    from hybrid.kernels import kernel

    monkeypatch.setenv("HYBRID_CACHE_DIR", str(tmp_path))
    said = []
    for _ in range(2):
        kernel.clear()
        f = hb.compile(lambda x: hb.cos(x) - x * 0.123)
        with hb.trace_log() as log:
            f(np.ones(3))
        (entry,) = log.of("kernel")
        said.append(entry.text.split(": ")[1])
        assert entry.seconds > 0
    assert said == ["compiled", "was on disk"]


def test_giving_up_names_the_line():
    f = hb.compile(lambda x: x * float(x.sum()))
    with hb.trace_log() as log, pytest.warns(hb.errors.EagerFallbackWarning):
        f(np.ones(3))
    (entry,) = log.of("eager")
    assert entry.text == "float() needs a concrete value"
    assert "x * float(x.sum())" in str(log)


def test_logs_nest_and_an_error_closes_them():
    with hb.trace_log() as outer:
        with pytest.raises(hb.errors.ShapeError), hb.trace_log() as inner:
            hb.compile(lambda x: x @ x)(np.ones((2, 3)))
        hb.compile(lambda x: x + 1)(np.ones(2))
    hb.compile(lambda x: x + 1)(np.ones(2))
    assert len(inner.of("trace")) == 1
    assert len(outer.of("trace")) == 2
    assert all(entry.seconds is not None for entry in outer.of("trace"))


def test_other_threads_are_heard_each_in_its_own_entries():
    functions = [hb.compile(lambda x, k=k: x * k) for k in (2.0, 3.0, 4.0)]
    with hb.trace_log() as log:
        threads = [threading.Thread(target=f, args=(np.ones(3),)) for f in functions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(log.entries) == 3
    assert all(len(entry.entries) == 1 for entry in log.entries)


def test_a_derivative_is_noted():
    f = hb.compile(lambda x: hb.tanh(x).sum())
    with hb.trace_log() as log, hb.GradientTape() as tape:
        x = hb.ones(3)
        tape.watch(x)
        y = f(x)
    tape.gradient(y, x)
    assert log.of("derivative")
