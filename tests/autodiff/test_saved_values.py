"""What a tape has saved is what it was, however the memory is written to afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb

X = np.array([0.3, -0.7, 1.1, 0.9])

USES: dict[str, Callable[..., Any]] = {
    "its own rule": lambda y, c: y + c,
    "one after it": lambda y, c: hb.sin(y),
    "a product of both": lambda y, c: y * c,
    "a product with itself": lambda y, c: y * y,
    "several": lambda y, c: hb.sin(y) * hb.exp(y) + y * c,
    "a view": lambda y, c: hb.sin(y[1:]).sum() * y,
    "a rule with two values": lambda y, c: hb.atan2(y, c),
    "a power": lambda y, c: hb.abs(y) ** hb.abs(c),
    "an op of several results": lambda y, c: hb.sum(hb.linalg.qr(hb.outer(y, c) + hb.eye(4)).Q),
    "a gradient": lambda y, c: hb.grad(lambda z: hb.sum(hb.sin(z) * y))(c * y),
    "nothing": lambda y, c: 1.0,
}


def assigned(y: Any, c: Any) -> None:
    y[1:3] = 5.0


def multiplied(y: Any, c: Any) -> None:
    y *= c


def replaced(y: Any, c: Any) -> None:
    y[...] = c


def by_a_view(y: Any, c: Any) -> None:
    part = y[::2]
    part += 1.0
    part *= 2.0


def without_a_tape(y: Any, c: Any) -> None:
    with hb.no_grad():
        y -= 3.0


def by_out(y: Any, c: Any) -> None:
    hb.cos(c, out=y)


def by_a_compiled_function(y: Any, c: Any) -> None:
    @hb.compile
    def double(a: Any) -> None:
        a *= 2.0

    double(y)


def twice(y: Any, c: Any) -> None:
    y += 1.0
    hb.sin(y)
    y += c


WRITES = [
    assigned, multiplied, replaced, by_a_view, without_a_tape, by_out, by_a_compiled_function, twice
]  # fmt: skip
MAKERS: dict[str, Callable[..., Any]] = {
    "sum": lambda x: x + 0.5,
    "tanh": hb.tanh,
    "product": lambda x: x * x,
    "cumsum": hb.cumulative_sum,
    "the leaf": lambda x: x,
}


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("write", WRITES, ids=lambda f: f.__name__)
def test_gradients_are_those_of_the_values_used(maker: str, use: str, write: Any) -> None:
    def run(x: Any, c: Any, *, written: bool, viewed: bool) -> Any:
        y = MAKERS[maker](x)
        before = y[:2] if viewed else None
        used = USES[use](y, c)
        again = USES[use](y, c * 2)
        if written:
            write(y, c)
            used = used + again * 0.5
        else:
            used = used + again * 0.5
        del before
        return hb.sum(used)

    for viewed in (False, True):
        found = []
        for written in (False, True):
            x, c = hb.asarray(X.copy()), hb.asarray(X[::-1].copy())
            with hb.GradientTape(persistent=True) as tape:
                tape.watch([x, c])
                loss = run(x, c, written=written, viewed=viewed)
                first = tape.gradient(loss, [x, c], unconnected_gradients="zero")
            found.append([t.numpy().copy() for t in first])
            second = tape.gradient(first[0], [c], unconnected_gradients="zero")
            found[-1].append(second[0].numpy().copy())
        for plain, other in zip(*found, strict=True):
            np.testing.assert_allclose(other, plain, rtol=1e-12)


def test_a_leaf_of_define_by_run_that_is_written_between_uses() -> None:
    w = hb.asarray(X.copy(), requires_grad=True)
    for _ in range(3):
        w.grad = None
        before = w.numpy().copy()
        loss = hb.sum(w * w + hb.sin(w))
        other = hb.sum(w * w)
        with hb.no_grad():
            w -= 0.1
        loss.backward()
        np.testing.assert_allclose(w.grad.numpy(), 2 * before + np.cos(before))
        del other


def test_gradients_asked_for_after_writes_to_what_they_record() -> None:
    """A gradient that a tape records saves values again; a later write must not change them."""
    x = hb.asarray(X.copy())
    with hb.GradientTape(persistent=True) as outer:
        outer.watch(x)
        y = x * 1.0
        with hb.GradientTape() as inner:
            inner.watch(y)
            z = hb.sum(hb.sin(y) * y)
        slope = inner.gradient(z, y)
        y *= 10.0
        total = hb.sum(slope)
    wanted = -X * np.sin(X) + 2 * np.cos(X)
    np.testing.assert_allclose(outer.gradient(total, x).numpy(), wanted, rtol=1e-12)
