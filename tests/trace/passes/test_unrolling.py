"""Which loops do several steps at once, and that they compute the same."""

from __future__ import annotations

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.graph import verify
from hybrid.trace.passes import unrolling
from tests.trace.passes.graphs import assert_same, names, sample, spec, traced

LARGE = (512, 512)


def steps(graph):
    """Return length and number of nodes of each loop."""
    loops = [node for node in graph.nodes if node.op.bodies]
    return [(node.attrs["length"], len(node.attrs["body"].nodes)) for node in loops]


def swapping(x, y, length):
    def step(c, _):
        a, b = c
        return (b * 0.5 - y, a), None

    return hb.scan(step, (x, x + 1.0), length=length)[0]


@pytest.mark.parametrize("length", [8, 9, 10, 11])
def test_steps_left_over_are_done_one_by_one(length):
    graph = traced(lambda x, y: swapping(x, y, length), spec(*LARGE), spec(512))
    new = verify(unrolling.run(graph))
    assert steps(new) == [(length // 4, 8), (length % 4, 2)][: 1 + (length % 4 > 0)]
    assert_same(graph, new, sample(graph))


def test_compiled_steps_are_those_of_eager_code_bit_for_bit():
    rng = np.random.default_rng(0)
    x, y = (hb.asarray(rng.normal(size=shape)) for shape in (LARGE, (512,)))
    found = hb.compile(lambda x, y: swapping(x, y, 11))(x, y)
    for a, b in zip(found, swapping(x, y, 11), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_counters_go_along():
    def f(x):
        return hb.fori_loop(0, 10, lambda i, c: c * 0.5 + i, x)

    graph = traced(f, spec(*LARGE, dtype="float64"))
    new = verify(unrolling.run(graph))
    assert len(steps(new)) == 2
    assert_same(graph, new, sample(graph))


def kept(function, *specs):
    graph = traced(function, *specs)
    return "scan" in names(graph) and unrolling.run(graph) is graph


def test_other_loops_stay_as_they_are():
    def loop(step, x, length=10):
        return hb.scan(lambda c, _: (step(c), None), x, length=length)[0]

    assert kept(lambda x: loop(lambda c: c * 0.5, x), spec(64, 64))  # small
    assert kept(lambda x: loop(lambda c: c * 0.5, x, 7), spec(*LARGE))  # short
    assert kept(lambda x: loop(lambda c: c / c.sum(), x), spec(*LARGE))  # more than elementwise
    assert kept(lambda x: loop(lambda c: c[::-1] * 0.5, x), spec(*LARGE))
    assert kept(lambda x: hb.scan(lambda c, _: (c * 0.5, c[0]), x, length=10)[1], spec(*LARGE))

    def long(c):
        for _ in range(40):
            c = c * 0.5 + 1.0
        return c

    assert kept(lambda x: loop(long, x), spec(*LARGE))
