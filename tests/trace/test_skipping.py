"""Steps of a Python loop that are all alike need not be taken while it is traced."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.graph import format_graph
from hybrid.errors import EagerFallbackWarning
from hybrid.trace import skipping
from hybrid.trace.passes import dead_code, rolling

pytestmark = pytest.mark.usefixtures("no_tape_around", "without_kernels")

Function = Callable[..., Any]
N = 90


def arrays() -> tuple[hb.Tensor, hb.Tensor]:
    rng = np.random.default_rng(0)
    return hb.asarray(rng.uniform(size=(6, 6))), hb.asarray(rng.uniform(size=(6, 6)))


def values(x: Any) -> Any:
    return tuple(map(values, x)) if isinstance(x, tuple) else np.asarray(x)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a.dtype == b.dtype and bool(np.array_equal(a, b))


def recorded(function: Function) -> Any:
    """Return the graph of a function of two arrays, which must give what it gives eagerly."""
    compiled, (x, y) = hb.compile(function), arrays()
    for _ in range(2):
        (a, b), (c, d) = arrays(), arrays()
        want, got = values(function(a, b)), values(compiled(c, d))
        assert same(want, got)
        assert same(values((a, b)), values((c, d)))  # what was written to the arguments
    (segment,) = compiled.get_concrete_function(x, y).segments
    return segment.graph


# --- loops whose steps are alike ------------------------------------------------------------------


def stencil(x: Any, y: Any) -> Any:
    x = np.copy(x)
    for _ in range(N):
        old = np.copy(x)
        x[1:-1, 1:-1] = (old[1:-1, 2:] + old[1:-1, :-2] + old[2:, 1:-1]) * 0.25 - y[1:-1, 1:-1]
        x[0] = x[1]
        x[:, -1] = 0
    return x


def added(x: Any, y: Any) -> Any:
    x = x.copy()
    for _ in range(N):
        x[1:-1] += 0.1 * (x[2:] + x[:-2] - 2 * x[1:-1])
    return x, x[0]


def argument(x: Any, y: Any) -> Any:
    for _ in range(N):
        x[1:-1] = (x[2:] + x[:-2]) * 0.5 - y[1:-1]
        x[0] *= 0.5
    return x.sum()


def two_back(x: Any, y: Any) -> Any:
    old = x
    for _ in range(N):
        x, old = 2 * x - old + 0.01 * (y @ x), x
    return x, old


def three_back(x: Any, y: Any) -> Any:
    a, b, c, d = x, x + 1, x + 2, x + 3
    for _ in range(N):
        a, b, c, d = (a @ y) * 0.1 + d, a, b, c
    return a, b, c, d


def swapped(x: Any, y: Any) -> Any:
    a, b = x * 1.0, y * 1.0
    z = x
    for _ in range(N + 1):
        z = (z @ a) * 0.1 + b
        a, b = b, a
    return z, a, b


def both_written(x: Any, y: Any) -> Any:
    a, b = x.copy(), y.copy()
    for _ in range(N):
        b[1:-1, 1:-1] = (a[2:, 1:-1] + a[:-2, 1:-1] + a[1:-1, 1:-1]) * 0.3
        a, b = b, a
    return a, b


def nested(x: Any, y: Any) -> Any:
    x = x.copy()
    for _ in range(N // 2):
        y = y * 0.5 + x
        for _ in range(N // 3):
            x[1:-1] = (x[2:] + x[:-2]) * 0.3 + y[1:-1]
            x[0] = x[1]
        x[-1] = y[0] * 0.1
    return x, y


def older_than_the_inner_loop(x: Any, y: Any) -> Any:
    a, b, c = x * 0.1, x * 0.2, x * 0.3
    for _ in range(N // 3):
        y = y * 0.9 + a * 0.01
        for _ in range(N // 2):
            a, b, c = y @ c * 0.1 + 1, a, b
    return a, b, c


def helped(x: Any, y: Any) -> Any:
    for _ in range(N):
        x = _helper(x, y)
    return x


def _helper(x: Any, y: Any) -> Any:
    for _ in range(3):
        x = x @ y * 0.3
    return x


def fixed_later(x: Any, y: Any) -> Any:
    held = None
    for _ in range(N):
        x = x @ y * 0.3
        if held is None:
            held = x
        x = x + held
    return x, held


def a_view_is_handed_on(x: Any, y: Any) -> Any:
    row, older, oldest = x[0], x[1], x[2]
    for _ in range(N):
        x = x @ y * 0.3 + oldest
        row, older, oldest = x[0], row, older
    return x, row, older, oldest


def in_a_dict(x: Any, y: Any) -> Any:
    at = {"x": x, "old": [x, y]}
    for _ in range(N):
        at["old"] = [at["x"], at["old"][0]]
        at["x"] = at["x"] @ y * 0.3 + at["old"][1]
    return at["x"], at["old"][0], at["old"][1]


ALIKE = (
    stencil, added, argument, two_back, three_back, both_written, nested, older_than_the_inner_loop,
    helped, fixed_later, a_view_is_handed_on, in_a_dict,
)  # fmt: skip


@pytest.mark.parametrize("function", ALIKE, ids=lambda f: f.__name__)
def test_alike_steps_are_not_recorded_and_roll_as_if_they_were(
    function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = recorded(function)
    monkeypatch.setattr(skipping, "LEAST", 10**6)
    long = recorded(function)
    assert len(short.nodes) * 3 < len(long.nodes)
    texts = [format_graph(dead_code.run(rolling.run(g)), lines=False) for g in (short, long)]
    assert "scan(" in texts[0]
    assert "again" not in texts[0]
    if function not in (
        fixed_later,
        three_back,
        older_than_the_inner_loop,
    ):  # whose first steps are others
        assert texts[0] == texts[1]
    lines = {str(node.line) for g in (short, long) for node in g.nodes}
    assert {str(n.line) for n in inner(short)} | lines == lines


def inner(graph: Any) -> Any:
    for node in graph.nodes:
        if node.op.name == "scan":
            yield from inner(node.attrs["body"])
        yield node


# --- loops whose steps are not --------------------------------------------------------------------


class Counter:
    def __init__(self) -> None:
        self.n = 0

    def late(self) -> bool:
        self.n += 1
        return self.n > 7


def number(x: Any, y: Any) -> Any:
    t = 0.0
    for _ in range(N):
        x = x @ y * 0.3 + t
        t += 0.1
    return x


def index(x: Any, y: Any) -> Any:
    for i in range(N):
        x = x @ y * 0.3
        if i == 17:
            x = x + 1
    return x


def toggled(x: Any, y: Any) -> Any:
    odd = False
    for _ in range(N):
        x = x @ y * 0.3
        if odd:
            x = x + 1
        odd = not odd
    return x


def hidden(x: Any, y: Any) -> Any:
    counter = Counter()
    for _ in range(N):
        x = x @ y * 0.3
        if counter.late():
            x = x + 1
    return x


def gathered(x: Any, y: Any) -> Any:
    found = []
    for _ in range(N):
        x = x @ y * 0.3
        found.append(x.sum())
        if len(found) == 9:
            x = x + 1
    return x, found[3], found[-1]


def left(x: Any, y: Any) -> Any:
    steps = [1] * 20
    for _ in range(N):
        x = x @ y * 0.3
        steps.pop()
        if not steps:
            break
    return x


def iterated(x: Any, y: Any) -> Any:
    numbers = iter(range(1000))
    for _ in range(N):
        x = x @ y * 0.3 + next(numbers)
    return x


def in_a_cell(x: Any, y: Any) -> Any:
    n = 0

    def late() -> bool:
        nonlocal n
        n += 1
        return n > 7

    for _ in range(N):
        x = x @ y * 0.3
        if late():
            x = x + 1
    return x


def generated(x: Any, y: Any) -> Any:
    def steps() -> Any:
        z = x
        for _ in range(N):
            z = z @ y * 0.3
            yield z

    found = list(steps())
    return found[0], found[-1]


def remembered(x: Any, y: Any) -> Any:
    x = x.copy()
    queue = [x * float(i) for i in range(20)]
    for _ in range(N):
        queue.append(queue.pop(0))
        x = x @ y * 0.3 + queue[0]
    return x


UNLIKE = (
    number, index, toggled, hidden, gathered, left, iterated, in_a_cell, generated, remembered,
    swapped,
)  # fmt: skip


@pytest.mark.parametrize("function", UNLIKE, ids=lambda f: f.__name__)
def test_steps_that_differ_are_all_taken(function: Function) -> None:
    graph = recorded(function)
    assert not any(node.op.name == "scan" for node in graph.nodes)


def test_a_loop_that_differs_in_its_first_steps_only() -> None:
    def late(x: Any, y: Any) -> Any:
        steps = [x, y, None]
        for _ in range(N):
            x = x @ y * 0.3
            if steps:
                steps.pop()
                x = x + 1
        return x

    assert len(recorded(late).nodes) < N // 2


def test_the_variable_has_its_last_value_and_a_break_is_no_end_of_the_rest() -> None:
    def last(x: Any, y: Any) -> Any:
        for i in range(0, 3 * N, 3):  # noqa: B007 (it is read after the loop)
            x = x @ y * 0.3
        return x + i

    def broken(x: Any, y: Any) -> Any:
        for _ in range(N):
            x = x @ y * 0.3
            break
        return x

    recorded(last)
    recorded(broken)


# --- what else a step may do ----------------------------------------------------------------------


def test_variables_and_random_numbers_go_along() -> None:
    def run(compile: Callable[[Function], Function]) -> Any:
        hb.random.seed(3)
        state = hb.Variable(np.ones((6, 6)))

        def walk(x: Any) -> Any:
            for _ in range(N):
                state.assign(state.read() * 0.5 + x)
                x = x @ state.read() * 0.01 + hb.random.uniform((6, 6), dtype=hb.float64)
            return x

        function = compile(walk)
        found = [values(function(arrays()[0])) for _ in range(2)]
        return (*found, values(state.read()))

    assert same(run(lambda f: f), run(hb.compile))


def test_gradients_through_a_loop_that_was_not_recorded() -> None:
    def loss(x: Any, y: Any) -> Any:
        for _ in range(N):
            x = hb.tanh(x @ y * 0.3)
        return x.sum()

    compiled, (x, y) = hb.compile(loss), arrays()
    compiled(x, y)
    want, got = hb.grad(loss)(x, y), hb.grad(compiled)(x, y)
    np.testing.assert_allclose(np.asarray(want), np.asarray(got), rtol=1e-12)


def test_an_index_out_of_bounds_that_nobody_reads_raises_all_the_same() -> None:
    def reads(x: Any, i: Any) -> Any:
        for _ in range(N):
            x[i]
            x = x @ x * 0.1
        return x

    compiled, (x, _) = hb.compile(reads), arrays()
    compiled(x, hb.asarray([0, 3]))
    with pytest.raises(IndexError, match=r"x\[i\]"):
        compiled(x, hb.asarray([0, 7]))


def test_a_last_step_that_is_another_one_is_noticed() -> None:
    before = sys.getrecursionlimit()

    def hidden(x: Any, y: Any) -> Any:
        sys.setrecursionlimit(before)
        for _ in range(N):
            x = x @ y * 0.3
            sys.setrecursionlimit(sys.getrecursionlimit() + 1)
            if sys.getrecursionlimit() == before + 3:  # no variable shows it
                x = x + 1
        return x

    x, y = arrays()
    try:
        with pytest.warns(EagerFallbackWarning):
            got = hb.compile(hidden)(x, y)
        assert same(values(hidden(x, y)), values(got))
    finally:
        sys.setrecursionlimit(before)


# --- the stand-in for range -----------------------------------------------------------------------


def test_code_that_does_more_with_range_than_to_call_it_has_the_real_one() -> None:
    def asks(x: Any, y: Any) -> Any:
        assert type(range(100)) is range
        for _ in range(N):
            x = x @ y * 0.3
        return x

    def calls(x: Any, y: Any) -> Any:
        for _ in range(N):
            x = x @ y * 0.3
        return x

    assert len(recorded(asks).nodes) == 2 * N
    assert len(recorded(calls).nodes) < N
    assert "range" not in globals()


def test_range_refuses_what_it_refuses() -> None:
    def wrong(x: Any, y: Any) -> Any:
        for _ in range(1.5):  # type: ignore[call-overload]
            x = x + y
        return x

    with pytest.raises(TypeError, match="'float' object cannot be interpreted"):
        hb.compile(wrong)(*arrays())
