"""Loops that write to parts of arrays: in native code, and as NumPy writes."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hybrid as hb
from hybrid.core.graph import FuncGraph
from hybrid.core.interpret import interpret
from hybrid.runtime import native_scalars
from hybrid.runtime.arguments import layout_of
from hybrid.runtime.native_loop import NativeLoop
from hybrid.runtime.plan import make_plan
from hybrid.trace.passes import optimize
from hybrid.trace.recorder import trace_pure

STEPS = 5


def loop(step, *arrays: np.ndarray) -> FuncGraph:
    """Trace a loop whose steps write to its carry."""

    def function(p, b):
        def body(_, p):
            p = p.copy()
            step(p, b)
            return p

        return hb.fori_loop(0, STEPS, body, p)

    return trace_pure("f", function, [hb.asarray(x).spec for x in arrays])[0]


def runs_natively(step, p: np.ndarray, b: np.ndarray) -> bool:
    """Run a loop by its Plan, check it against the eager forms; tell whether it was native."""
    graph = loop(step, p, b)
    (wanted,) = interpret(graph, (p, b))
    called = False
    for most in (0, native_scalars.MOST):  # by kernels, and element by element
        with (
            mock.patch.object(native_scalars, "MOST", most),
            mock.patch.object(NativeLoop, "run", autospec=True, side_effect=NativeLoop.run) as run,
        ):
            (found,) = make_plan(optimize(graph), (layout_of(p), layout_of(b))).run(p, b)
        np.testing.assert_array_equal(found, wanted)
        called = called or run.called
    return called


P = np.arange(20.0).reshape(4, 5)
B = np.linspace(-1, 1, 20).reshape(4, 5)


def row(p, b):
    p[0] = p[1] + b[0]


def literal(p, b):
    p[:, 0] = 0
    p[1, 1] = -0.5


def stretched(p, b):
    p[:, 1:3] = b[:, :1]


def backwards(p, b):
    p[::-2, 1:] = b[::2, :-1]


def column_beside_column(p, b):
    p[:, 0] = p[:, 1]
    p[:, 4] = b[:, 0]


def onto_itself(p, b):
    p[:, 1:] = p[:, :-1]
    p[0] = b[0]


@pytest.mark.parametrize("step", [row, literal, stretched, backwards, column_beside_column])
def test_writes_to_parts_run_in_native_code(step):
    assert runs_natively(step, P, B)


def test_a_source_that_the_write_overlaps_is_read_before_it_is_written():
    runs_natively(onto_itself, P, B)


def test_a_literal_is_assigned_as_numpy_assigns_it():
    def step(p, b):
        p[0] = 2.75
        p[1] = p[1] + b[1]

    runs_natively(step, P.astype(np.int32), B.astype(np.int32))


def test_an_empty_part_is_nothing():
    def step(p, b):
        p[2:2] = 1.0
        p[0] = p[0] * b[0]

    runs_natively(step, P, B)


@st.composite
def slices(draw, size: int) -> tuple[slice, ...]:
    """Draw a slice of `size` elements for each of two axes of 4 and 5."""
    found = []
    for n in (4, 5):
        step = draw(st.sampled_from([1, 1, 2, -1]))
        reach = (size - 1) * abs(step)
        if reach >= n:
            step, reach = 1, size - 1
        start = draw(st.integers(0, n - 1 - reach))
        places = range(start, start + reach + 1, abs(step))
        if step < 0:
            stop = places[0] - 1
            found.append(slice(places[-1], None if stop < 0 else stop, step))
        else:
            found.append(slice(places[0], places[-1] + 1, step))
    return tuple(found)


@given(data=st.data())
def test_drawn_writes_compute_the_same(data):
    plan = [
        (
            data.draw(st.sampled_from(["own", "other", "sum", "literal"])),
            *(lambda n: (data.draw(slices(n)), data.draw(slices(n))))(data.draw(st.integers(1, 3))),
        )
        for _ in range(data.draw(st.integers(1, 4)))
    ]

    def step(p, b):
        for kind, to, source in plan:
            if kind == "own":
                p[to] = p[source]
            elif kind == "other":
                p[to] = b[source]
            elif kind == "sum":
                p[to] = p[source] * 0.5 + b[to]
            else:
                p[to] = 0.25

    runs_natively(step, P, B)
