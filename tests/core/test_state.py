"""What is known of all threads together: whether any of them traces or watches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.state import busy, state


def in_a_thread(function: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.filterwarnings("ignore::hybrid.errors.SideEffectWarning")
def test_a_thread_is_busy_while_it_watches_or_traces_and_no_longer() -> None:
    me = threading.get_ident()
    assert me not in busy
    with hb.GradientTape():
        assert me in busy
        with hb.GradientTape():
            assert me in busy
        assert me in busy
    assert me not in busy
    seen = []
    hb.compile(lambda x: seen.append(me in busy) or x + 1)(hb.ones(2))
    assert seen == [True]
    assert me not in busy


def test_a_thread_that_raises_in_a_trace_is_not_busy_afterwards() -> None:
    def wrong(x: hb.Tensor) -> hb.Tensor:
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        hb.compile(wrong)(hb.ones(2))
    assert threading.get_ident() not in busy


def test_what_one_thread_watches_another_computes_plainly() -> None:
    x = hb.asarray([1.0, 2.0])
    with hb.GradientTape() as tape:
        tape.watch(x)
        other = in_a_thread(lambda: (state.plain, (hb.sort(x) * x + hb.sum(x))[0]))
        y = hb.sum(x * x)
    assert other[0]
    assert other[1]._node is None
    np.testing.assert_array_equal(tape.gradient(y, x).numpy(), [2.0, 4.0])


def test_a_thread_that_ends_while_it_watches_leaves_the_others_right() -> None:
    in_a_thread(lambda: hb.GradientTape().__enter__())
    try:
        assert busy
        assert state.plain
        x = hb.asarray([3.0, 1.0])
        assert (x + x)._node is None
        np.testing.assert_array_equal(hb.concat([hb.sort(x), x[1:]]).numpy(), [1.0, 3.0, 1.0])
        with hb.GradientTape() as tape:
            tape.watch(x)
            y = x * x
        np.testing.assert_array_equal(tape.gradient(y, x).numpy(), [6.0, 2.0])
    finally:
        busy.clear()
