"""What no result depends on has no gradient in loops and branches either: not 0 times infinity.

In eager code a loop is a loop of Python, so that its gradients are those of what ran. The graph of
a loop or branch has one gradient for all that may run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import hybrid as hb

X = hb.asarray(3.0, dtype="float64")  # 3, 2, 1, 0 in four steps: a root without a slope at the end
ZERO = hb.asarray([0.0, 4.0], dtype="float64")


@pytest.fixture(autouse=True)
def nothing_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested here is the graphs."""
    monkeypatch.setenv("HYBRID_PASSES_OFF", "fuse")


def read_one_step_later(x: hb.Tensor, *, reverse: bool) -> hb.Tensor:
    def step(carry: Any, row: hb.Tensor) -> Any:
        a, root = carry
        return (a - row * x / 3, hb.sqrt(a)), root * row

    rows = hb.ones(4, dtype="float64") * x / 3
    return hb.scan(step, (x, x), rows, reverse=reverse)[1].sum()


def read_three_steps_later(x: hb.Tensor) -> hb.Tensor:
    def step(carry: Any, row: Any) -> Any:
        a, root, before, long_before = carry
        return (a - 1, 3 * hb.sqrt(a), root * 2, before), long_before

    return hb.scan(step, (x - 1, x, x, x), None, length=4)[1].sum()


def only_the_end_is_read(x: hb.Tensor) -> hb.Tensor:
    def step(carry: Any, row: Any) -> Any:
        a, root, total = carry
        return (a - 1, hb.sqrt(a), total + root), None

    return hb.scan(step, (x, x, x), None, length=4)[0][2]


def as_many_steps_as_carries(x: hb.Tensor) -> hb.Tensor:
    return hb.scan(lambda c, _: ((c[0] - 2, hb.sqrt(c[0])), c[1] * c[1]), (x, x), None, length=2)[1].sum()  # fmt: skip # noqa: E501


def one_step(x: hb.Tensor) -> hb.Tensor:
    return hb.scan(lambda c, _: ((c[0], hb.sqrt(c[0] - 3)), c[1] * 2), (x, x), None, length=1)[1].sum()  # fmt: skip # noqa: E501


def counted(x: hb.Tensor) -> hb.Tensor:
    return hb.fori_loop(0, 4, lambda i, s: (s[0] - 1, hb.sqrt(s[0]), s[2] + s[1]), (x, x, x))[2]


def until(x: hb.Tensor) -> hb.Tensor:
    def step(carry: Any) -> Any:
        a, root, total = carry
        return a - 1, hb.sqrt(a), total + root * root

    return hb.while_loop(lambda c: c[0] >= 0, step, (x, x, x))[2]


def a_loop_in_a_loop(x: hb.Tensor) -> hb.Tensor:
    def step(carry: Any, _: Any) -> Any:
        found = hb.fori_loop(0, 2, lambda i, s: (s[0] - 1, hb.sqrt(s[0]), s[2] + s[1]), carry)
        return found, found[2]

    return hb.scan(step, (x, x, x), None, length=2)[1].sum()


def a_python_loop(x: hb.Tensor) -> hb.Tensor:
    a, root, total = x, x, x
    for _ in range(4):
        a, root, total = a - 1, hb.sqrt(a), total + root
    return total


def no_steps(x: hb.Tensor) -> hb.Tensor:
    root = hb.sqrt(x - 3)
    return hb.scan(lambda c, row: (c * root + row, c), x * 2, ZERO[:0])[0]


def none_until(x: hb.Tensor) -> hb.Tensor:
    root = hb.sqrt(x - 3)
    return hb.while_loop(lambda c: c > 10, lambda c: c * root, x * 2)


def a_branch_that_is_not_taken(x: hb.Tensor) -> hb.Tensor:
    roots = hb.sqrt(hb.stack([x - 3, x]))
    return hb.cond(x > 5, lambda: roots.sum(), lambda: x * 3)


def of_several(x: hb.Tensor, which: int) -> hb.Tensor:
    root = hb.log(x - 3)
    taken = [lambda: root * 2, lambda: x * x, lambda: root + x, lambda: x]
    return hb.switch(hb.asarray(which) + 0 * x.astype("int64"), taken)


def a_branch_in_a_loop(x: hb.Tensor) -> hb.Tensor:
    def step(a: hb.Tensor, _: Any) -> Any:
        root = hb.sqrt(a)
        return a - 1, hb.cond(a > 0, lambda: root, lambda: a)

    return hb.scan(step, x, None, length=4)[1].sum()


PROGRAMS: dict[str, Callable[..., hb.Tensor]] = {
    f.__name__: f
    for f in (
        read_three_steps_later, only_the_end_is_read, as_many_steps_as_carries,
        one_step, counted, until, a_loop_in_a_loop, a_python_loop, no_steps, none_until,
        a_branch_that_is_not_taken, a_branch_in_a_loop,
    )
} | {
    "read one step later": lambda x: read_one_step_later(x, reverse=False),
    "backwards": lambda x: read_one_step_later(x, reverse=True),
    "the last of several": lambda x: of_several(x, which=7),
    "the second of several": lambda x: of_several(x, which=1),
}  # fmt: skip


@pytest.mark.parametrize("f", PROGRAMS.values(), ids=list(PROGRAMS))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
class TestEveryWay:
    def test_gradients(self, f: Callable[..., hb.Tensor]) -> None:
        expected = hb.grad(f)(X).numpy()
        assert np.isfinite(expected)
        for g in (hb.grad(hb.compile(f)), hb.compile(hb.grad(f))):
            np.testing.assert_allclose(g(X).numpy(), expected, rtol=1e-12)

    def test_of_a_batch(self, f: Callable[..., hb.Tensor]) -> None:
        batch = hb.asarray([3.0, 3.5], dtype="float64")  # as many steps
        expected = [hb.grad(f)(x).item() for x in batch]
        for g in (hb.vmap(hb.grad(f)), hb.compile(hb.vmap(hb.grad(f)))):
            np.testing.assert_allclose(g(batch).numpy(), expected, rtol=1e-6)

    def test_second_order(self, f: Callable[..., hb.Tensor]) -> None:
        x = X + 0.25
        expected = hb.grad(hb.grad(f))(x).numpy()
        np.testing.assert_allclose(hb.compile(hb.grad(hb.grad(f)))(x).numpy(), expected, rtol=1e-9)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_gradients_by_rows_of_the_last_steps_are_in_their_places() -> None:
    def f(rows: hb.Tensor, *, reverse: bool) -> hb.Tensor:
        def step(carry: Any, row: hb.Tensor) -> Any:
            return (hb.sqrt(row), carry[0] * row), carry[1] * carry[0] * row

        return hb.scan(step, (rows[0], rows[1]), rows, reverse=reverse)[1].sum()

    for n in (1, 2, 3, 6):
        rows = hb.arange(n + 1, dtype="float64")
        for reverse in (False, True):
            g = hb.grad(partial(f, reverse=reverse))
            given = rows if reverse else hb.flip(rows)
            np.testing.assert_allclose(hb.compile(g)(given).numpy(), g(given).numpy(), rtol=1e-12)


def test_no_step_stands_apart_where_zeros_can_do_no_harm() -> None:
    """The carry that is not read at the end is read by the results, or only added."""

    def f(x: hb.Tensor) -> hb.Tensor:
        def step(carry: Any, _: Any) -> Any:
            c, h, late = carry
            c = hb.tanh(c) + h
            h = hb.sin(c)
            return (c, h, 0.5 * c + late), h * late

        return hb.scan(step, (x, x, x), None, length=4)[1].sum()

    graph = hb.compile(hb.grad(f)).get_concrete_function(X).graph
    assert [node.attrs["length"] for node in graph.nodes if node.op.name == "scan"] == [4, 4]
