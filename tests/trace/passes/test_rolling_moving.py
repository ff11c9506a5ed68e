"""Loops whose steps read and write other parts of arrays each time become loops again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

import hybrid as hb
from hybrid.core.graph import verify
from hybrid.trace.control.run import NativeLoops
from hybrid.trace.passes import optimize, rolling
from tests.trace.passes.graphs import assert_same, loops, names, rolled, sample, show, spec, traced

STEPS = 40


def rows(x: Any, w: Any, out: Any) -> Any:
    for i in range(STEPS):
        out[i] = w @ x[i]
    return out


def march(u: Any) -> Any:
    for n in range(STEPS - 1):
        u[n + 1, 1:-1] = u[n, 1:-1] + 0.1 * (u[n, 2:] - 2 * u[n, 1:-1] + u[n, :-2])
    return u


def columns(x: Any) -> Any:
    for i in range(STEPS - 1, 0, -1):
        x[:, i - 1] += x[:, i] * 0.5
    return x


def windows(x: Any, out: Any) -> Any:
    for i in range(STEPS - 4):
        out[i] = hb.sum(x[i : i + 5] * x[2])
    return out


def every_other(x: Any) -> Any:
    for i in range(0, 2 * STEPS - 4, 2):
        x[i : i + 2] = x[i + 2 : i + 4] - x[i : i + 2]
    return x


def recurrence(x: Any) -> Any:
    for i in range(2, STEPS):
        x[i] = 0.5 * x[i - 1] + 0.25 * x[i - 2]
    return x


def relaxation(u: Any) -> Any:
    for _ in range(9):
        for i in range(1, 15):
            u[i, 1:-1] = 0.25 * (u[i - 1, 1:-1] + u[i + 1, 1:-1] + u[i, :-2] + u[i, 2:])
    return u


def distances(d: Any, c: Any) -> Any:
    for i in range(1, 12):
        for j in range(1, 12):
            d[i, j] = hb.minimum(hb.minimum(d[i - 1, j], d[i, j - 1]), d[i - 1, j - 1]) + c[i, j]
    return d


def literals(x: Any, w: Any) -> Any:
    t = 0.0
    for k in range(STEPS):
        x = hb.tanh(w @ x + t) * (k + 1)
        t += 0.125
    return x


def written_literals(x: Any) -> Any:
    for i in range(2 * STEPS):
        x[i] = i * 0.1
    return x


def of_a_nest(x: Any, w: Any) -> Any:
    for i in range(10):
        for j in range(12):
            x = hb.tanh(w @ x + i * 0.5)
            x[0] = j * 0.25 + i
        x = x - hb.mean(x)
    return x


F64 = {"dtype": "float64"}
PROGRAMS: list[tuple[Callable[..., Any], tuple[Any, ...], int]] = [
    (rows, (spec(STEPS, 4), spec(4, 4), spec(STEPS, 4)), STEPS),
    (march, (spec(STEPS, 9),), STEPS - 1),
    (columns, (spec(3, STEPS),), STEPS - 1),
    (windows, (spec(STEPS, 3), spec(STEPS, **F64)), STEPS - 4),
    (every_other, (spec(2 * STEPS),), STEPS - 2),
    (recurrence, (spec(STEPS),), STEPS - 2),
    (relaxation, (spec(16, 16),), 9),
    (distances, (spec(12, 12), spec(12, 12)), 11),
    (literals, (spec(4), spec(4, 4)), STEPS),
    (written_literals, (spec(2 * STEPS),), 2 * STEPS),
    (of_a_nest, (spec(4), spec(4, 4)), 10),
]

NESTS = (relaxation, distances, of_a_nest)


@pytest.mark.parametrize(
    ("program", "specs", "length"), PROGRAMS, ids=[f.__name__ for f, *_ in PROGRAMS]
)
def test_steps_that_move_slices_or_literals_become_one_loop(
    program: Callable[..., Any], specs: tuple[Any, ...], length: int
) -> None:
    graph = rolled(program, *specs)
    assert loops(graph) == [length]
    others = [name for name in names(graph) if name not in ("arange", "stack", "full", "scan")]
    assert not others
    optimized = verify(optimize(graph))
    assert_same(graph, optimized, sample(graph), rtol=1e-5)


@pytest.mark.parametrize(
    ("program", "specs"),
    [(f, specs) for f, specs, _ in PROGRAMS if f not in NESTS],
    ids=[f.__name__ for f, *_ in PROGRAMS if f not in NESTS],
)
def test_such_loops_run_in_native_code(
    program: Callable[..., Any], specs: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Any] = []
    find = NativeLoops.find

    def watched(self: NativeLoops, arrays: Any) -> Any:
        found.append(find(self, arrays))
        return found[-1]

    monkeypatch.setattr(NativeLoops, "find", watched)
    given = [np.random.default_rng(1).uniform(-1, 1, s.shape).astype(s.dtype) for s in specs]
    wanted = program(*[hb.asarray(x.copy()) for x in given])
    compiled = hb.compile(program)
    for _ in range(2):
        got = compiled(*[hb.asarray(x.copy()) for x in given])
        np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=2e-5, atol=1e-6)
    assert found
    assert None not in found


def test_slices_that_do_not_move_evenly_end_the_loop():
    def program(x, w):
        for i in range(3 * STEPS):
            x = w @ x + w[(i % 5 * i) % 4]
        return x

    graph = traced(program, spec(4), spec(4, 4))
    assert rolling.run(graph) is graph


def test_a_turn_in_the_direction_makes_two_loops():
    def program(x, out):
        for i in [*range(STEPS), *range(STEPS - 1, -1, -1)]:
            out[i] = hb.sum(x[i] * out[i])
        return out

    assert len(loops(rolled(program, spec(STEPS, 3), spec(STEPS)))) == 2


def test_a_body_with_library_calls_reads_and_writes_moving_parts_too():
    def program(x, out):
        for i in range(STEPS):
            out[i] = hb.sort(x[i])
            x[i, 1:] = out[i, :-1] + x[STEPS - 1 - i, 1:]
        return out, x

    assert loops(rolled(program, spec(STEPS, 4), spec(STEPS, 4))) == [STEPS]
    x = np.random.default_rng(0).uniform(-1, 1, (STEPS, 4))
    wanted = program(hb.asarray(x.copy()), hb.zeros((STEPS, 4), dtype="float64"))
    got = hb.compile(program)(hb.asarray(x.copy()), hb.zeros((STEPS, 4), dtype="float64"))
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_gradients_flow_through_moving_parts():
    @hb.compile
    def loss(x, w):
        out = hb.zeros((STEPS, 3), dtype="float64")
        for i in range(STEPS):
            out[i] = hb.tanh(w @ x[i])
        return hb.sum(out * out)

    x, w = np.linspace(-1, 1, 3 * STEPS).reshape(STEPS, 3), np.eye(3) * 0.5 + 0.1
    found = hb.grad(loss, argnums=(0, 1))(hb.asarray(x), hb.asarray(w))
    eager = hb.grad(loss.__wrapped__, argnums=(0, 1))(hb.asarray(x), hb.asarray(w))
    for a, b in zip(found, eager, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


# --- drawn programs -------------------------------------------------------------------------------

SIDE = 16


@st.composite
def programs(draw: Callable) -> Callable[..., Any]:
    """Draw loops that read and write rows, columns and blocks at places that move with the step."""
    place = st.tuples(st.integers(0, 3), st.integers(-1, 1))
    kinds = st.sampled_from(["row", "column", "block", "point", "mix", "scale", "sort"])
    plan = draw(st.lists(st.tuples(kinds, place, place, st.booleans()), min_size=1, max_size=4))
    count = draw(st.integers(8, 11))

    def at(i: int, where: tuple[int, int]) -> int:
        start, step = where
        return start + (i if step > 0 else count - 1 - i if step < 0 else 0)

    def program(x: Any, y: Any) -> Any:
        for i in range(count):
            for kind, one, other, swap in plan:
                a, b = at(i, one), at(i, other)
                into, read = (y, x) if swap else (x, x)
                if kind == "row":
                    into[a] = read[b] * 0.5 - y[a]
                elif kind == "column":
                    into[:, a] = read[:, b] + y[b]
                elif kind == "block":
                    into[a : a + 2, 1:5] = read[b : b + 2, 2:6] * 0.25
                elif kind == "point":
                    into[a, b] = read[b, a] - i * 0.5
                elif kind == "mix":
                    into[a, 1:] += read[b, :-1] * y[3, 1:]
                elif kind == "sort":
                    into[a] = hb.sort(read[b])
                else:
                    x = x * 0.5 + y[a]
        return x, y

    return program


@given(program=programs(), seed=st.integers(0, 99))
def test_drawn_loops_compute_what_eager_code_does(program, seed):
    graph = traced(program, *[spec(SIDE, SIDE, dtype="float64")] * 2)
    note(show(graph))
    new = verify(rolling.run(graph))
    note(show(new))
    assert_same(graph, new, sample(graph, seed))
    rng = np.random.default_rng(seed)
    given = [rng.uniform(-1, 1, (SIDE, SIDE)) for _ in range(2)]
    wanted = program(*[hb.asarray(x.copy()) for x in given])
    got = hb.compile(program)(*[hb.asarray(x.copy()) for x in given])
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-13)
