"""The default dtype and compiled functions: another one is another trace, whatever way calls go."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from tests.core.test_defaults import WITHOUT_A_DTYPE
from tests.trace.agreement import agree, alike, compiled_throughout, falls_back

SINGLE = hb.ones(3, hb.float32)


def rooted(x: hb.Tensor) -> hb.Tensor:
    return x * 2 + hb.ones(3) / 3 + hb.asarray(0.1)


@pytest.mark.parametrize("what", sorted(set(WITHOUT_A_DTYPE) - {"a Variable"}))
def test_a_trace_takes_the_default_as_eager_code_does(what: str) -> None:
    make = WITHOUT_A_DTYPE[what]

    def typed(x: hb.Tensor) -> Any:
        return make().dtype, x

    f = hb.compile(typed)
    hb.random.seed(0)
    for dtype in ("float32", "float64", "float16", "float32", "float64"):
        with hb.default_dtype(dtype):
            assert f(SINGLE)[0] == np.dtype(dtype)
            assert f(SINGLE)[0] == np.dtype(dtype)


def test_a_default_changed_between_calls_traces_again_and_each_trace_is_kept() -> None:
    f = hb.compile(rooted)
    try:
        for _ in range(3):
            for dtype in ("float32", "float64", "float16", "bfloat16"):
                hb.set_default_dtype(dtype)
                for _ in range(2):
                    alike(f(SINGLE), rooted(SINGLE))
    finally:
        hb.set_default_dtype("float32")
    assert f.cache_info() == (20, 4, 4)
    assert "default dtype float32 -> float64" in f.explain()


@pytest.mark.parametrize(
    "call",
    [
        lambda f: f(SINGLE, 2),
        lambda f: f(SINGLE, n=2),
        lambda f: f(x=SINGLE, n=2),
        lambda f: f([SINGLE], 2),
        lambda f: f(SINGLE.numpy(), 2),
        lambda f: f({"a": SINGLE}, 2),
    ],
)
def test_no_short_way_to_a_trace_forgets_the_default(call: Callable[[Any], Any]) -> None:
    def f(x: Any, n: int) -> Any:
        return hb.ones(2) + hb.asarray(1 / 3) * n

    traced = hb.compile(f)
    for dtype in ("float32", "float64", "float32", "float64", "float64"):
        with hb.default_dtype(dtype):
            alike(call(traced), call(f))


def test_a_default_changed_between_calls_under_a_tape_and_with_decisions() -> None:
    def f(x: hb.Tensor) -> hb.Tensor:
        if x.sum() > 0:
            return (x * hb.linspace(0, 1, 3)).sum()
        return (x / hb.full(3, 3.0)).sum()

    traced = hb.compile(f)
    for dtype in ("float32", "float64", "float32", "float64"):
        with hb.default_dtype(dtype):
            for x in (SINGLE, -SINGLE):
                found = [hb.value_and_grad(g)(x) for g in (traced, f)]
                alike(*found)
                assert found[0][1].dtype == np.float32
                alike(traced(x), f(x))


def test_the_default_may_change_inside_of_a_function_in_a_block() -> None:
    def f(x: hb.Tensor) -> Any:
        with hb.default_dtype("float64"):
            wide = hb.ones(3)
            positive = bool(x.sum() > 0)
        return wide + x, hb.zeros(2), positive

    with compiled_throughout():
        agree(f, lambda: (SINGLE,), lambda: (-SINGLE,))


def test_a_function_that_sets_the_default_runs_eagerly_and_says_so() -> None:
    def f(x: hb.Tensor) -> Any:
        y = x * hb.ones(3)
        hb.set_default_dtype("float64")
        return y + hb.ones(3)

    traced = hb.compile(f)
    with falls_back("set_default_dtype changes what is outside"):
        try:
            for _ in range(3):
                hb.set_default_dtype("float32")
                alike(traced(SINGLE), SINGLE + np.ones(3))
                assert hb.get_default_dtype() == np.float64
        finally:
            hb.set_default_dtype("float32")


@pytest.mark.parametrize(
    "body",
    [
        lambda change, x: hb.fori_loop(0, 2, lambda i, c: change() or c * 2, x),
        lambda change, x: hb.cond(x.sum() > 0, lambda: change() or x, lambda: x),
        lambda change, x: hb.vmap(lambda row: change() or row * 2)(x),
        lambda change, x: hb.checkpoint(lambda y: change() or y * 2)(x),
    ],
)
def test_setting_it_in_a_body_runs_eagerly_too(body: Callable[..., Any]) -> None:
    def f(x: hb.Tensor) -> Any:
        return body(lambda: hb.set_default_dtype("float64"), x), hb.ones(1)

    traced = hb.compile(f)
    with falls_back("set_default_dtype changes what is outside"):
        try:
            for _ in range(2):
                hb.set_default_dtype("float32")
                found = traced(SINGLE)
                hb.set_default_dtype("float32")
                alike(found, f(SINGLE))
        finally:
            hb.set_default_dtype("float32")


def test_a_checkpoint_is_repeated_with_the_default_that_it_had() -> None:
    def block(x: hb.Tensor) -> hb.Tensor:
        return hb.exp(x * hb.full(3, 1 / 3)) * hb.asarray(0.1)

    with hb.GradientTape() as tape, hb.default_dtype("float64"):
        tape.watch(SINGLE)
        y = hb.checkpoint(block)(SINGLE).sum()
    found = tape.gradient(y, SINGLE)
    with hb.default_dtype("float64"):
        alike(found, hb.grad(lambda x: block(x).sum())(SINGLE))


def test_threads_with_their_own_defaults_share_one_function() -> None:
    f = hb.compile(rooted)
    wanted = {}
    for dtype in ("float16", "float32", "float64"):
        with hb.default_dtype(dtype):
            wanted[dtype] = rooted(SINGLE)
    wrong: list[Any] = []
    until = time.monotonic() + 0.5

    def calls(dtype: str) -> None:
        with hb.default_dtype(dtype):
            while time.monotonic() < until:
                try:
                    alike(f(SINGLE), wanted[dtype])
                except BaseException as error:
                    wrong.append(error)
                    return

    threads = [threading.Thread(target=calls, args=(dtype,)) for dtype in [*wanted] * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert f.cache_info().misses == 3


def test_a_default_that_another_thread_sets_during_a_trace_leaves_no_trace_of_both() -> None:
    def f(x: hb.Tensor) -> Any:
        before = hb.ones(3) * x
        pool.submit(hb.set_default_dtype, "float64").result()
        return before, hb.ones(2)

    traced = hb.compile(f)
    pool = ThreadPoolExecutor(1)
    pool.submit(int).result()  # its thread runs: one that a function starts ends the trace
    try:
        for _ in range(3):
            found = []
            for g in (traced, f):
                hb.set_default_dtype("float32")
                found.append(g(SINGLE))
            alike(*found)
    finally:
        hb.set_default_dtype("float32")
    assert traced.cache_info().currsize == 0
