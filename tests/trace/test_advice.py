"""The warning that a function runs eagerly says what to do about its reason."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import hybrid as hb
from hybrid.errors import EagerFallbackWarning

STATE = [0]


def counted(x: Any) -> Any:
    STATE[0] += 1
    return x * STATE[0]


def in_a_thread(x: Any) -> Any:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    return x


def in_a_body(x: Any) -> Any:
    return hb.fori_loop(0, 2, lambda i, c: c * 2 if c.sum() > 0 else c, x)


PROGRAMS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda x: x * float(x.sum()), "convert it outside"),
    (lambda x: x * x.sum().item(), "convert it outside"),
    (lambda x: (x, str(x))[0], "hb.print"),
    (lambda x: (x, f"{x.sum():.2f}")[0], "hb.print"),
    (lambda x: x * random.random(), "hb.random"),
    (lambda x: x * time.time(), "pass in what it gives"),
    (counted, "hb.Variable"),
    (in_a_thread, "Start threads outside"),
    (in_a_body, "hb.cond or hb.where"),
    (lambda x: (part for part in [x * 2]), "Decorate the functions that compute"),
    (lambda x: {x * 2}, "Return Tensors in tuples"),
    (lambda x: x.numpy() + 1, "compile a smaller part"),
]


@pytest.mark.parametrize(("f", "advice"), PROGRAMS, ids=[advice for _, advice in PROGRAMS])
def test_the_advice_is_about_the_reason(f: Callable[[Any], Any], advice: str) -> None:
    with pytest.warns(EagerFallbackWarning, match=f"(?s)runs eagerly.*{advice}"):
        hb.compile(f)(hb.ones(2))
