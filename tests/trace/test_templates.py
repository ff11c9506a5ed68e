"""Templates: a new size costs no passes and no planning, and gets the very Plan that these give."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.graph import FuncGraph
from hybrid.core.substitute import specialise
from hybrid.runtime.arguments import layout_of
from hybrid.runtime.plan import Plan, make_plan
from hybrid.trace import passes
from hybrid.trace.sources import contents

W = hb.asarray(np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4))


def data(n: int) -> hb.Tensor:
    return hb.asarray(np.linspace(0.5, 2, 3 * n, dtype=np.float32).reshape(n, 3))


def gradient(x: Any) -> Any:
    with hb.GradientTape() as tape:
        tape.watch(W)
        loss = (hb.tanh(x @ W) ** 2).mean()
    return loss, tape.gradient(loss, W)


def written(x: Any) -> Any:
    y = x * 1
    y[1:] += x[:-1]
    return y


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "elementwise": lambda x: hb.tanh(x) * 2 + x[:, :1],
    "reductions": lambda x: (x.sum(), x.max(axis=0), x.mean(axis=1), x.var(axis=0)),
    "softmax": lambda x: hb.softmax(x, axis=0) @ W,
    "gradient": gradient,
    "slices": lambda x: x[1:] - x[:-1].mean(axis=0),
    "writes": written,
    "reshapes": lambda x: (x.reshape(-1) * 2, x.T.reshape(x.shape[0], 3) + 1),
    "sizes": lambda x: x / x.shape[0] + hb.arange(x.shape[0])[:, None] + hb.zeros(x.shape),
    "joins": lambda x: hb.concat([x, hb.exp(x)]) * 2,
    "picks": lambda x: x[hb.arange(x.shape[0])[::-1]] + 1,
    "sorts": lambda x: hb.cumsum(hb.sort(x, axis=0), axis=0) * 2,
}


def planned(f: Any, x: hb.Tensor) -> tuple[Plan, Plan]:
    """Return the Plan that a call had, and the one that is made for its sizes alone."""
    (segment,) = f.get_concrete_function(x).segments
    given = [x.numpy(), *(contents(source, [x]) for source in segment.captured)]
    found = segment.sized([x]).plan_for(given)
    sizes = dict.fromkeys(segment.inputs, x.shape[0])
    graph = passes.optimize(specialise(segment.graph, sizes))
    return found, make_plan(graph, tuple(map(layout_of, given)))


def numbers(plan: Plan) -> Any:
    """Return what a Plan knows of sizes: operands of kernels, geometries, memory."""
    run: Any = plan.run
    late = {name: x.default for name, x in inspect.signature(run).parameters.items()}
    scope = run.__globals__ | late
    geometries = [scope[name].tolist() for name in sorted(scope) if re.fullmatch(r"g\d+", name)]
    steps = [(s.name, s.reads, s.writes) for s in plan.steps]
    regions = [kernel.region for kernel in plan.kernels]
    return geometries, regions, steps, plan.temp_bytes, plan.naive_bytes


class TestNewSize:
    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_it_gets_the_plan_that_is_made_for_it_alone(self, name: str) -> None:
        f = hb.compile(FUNCTIONS[name], input_signature=[hb.TensorSpec((None, 3), hb.float32)])
        f(data(40))
        for n in (41, 7, 300, 2, 3000):
            x = data(n)
            found = f(x)
            plan, alone = planned(f, x)
            assert numbers(plan) == numbers(alone)
            expected = FUNCTIONS[name](x)
            pairs = zip(*(y if isinstance(y, tuple) else (y,) for y in (found, expected)))
            for a, b in pairs:
                assert (a.shape, a.dtype) == (b.shape, b.dtype)
                np.testing.assert_allclose(a.numpy(), b.numpy(), 2e-4, 1e-5)

    def test_it_costs_no_passes_and_no_planning(self) -> None:
        f = hb.compile(lambda x: hb.tanh(x) * 2, dynamic=True)
        f(hb.ones(10))
        with hb.trace_log() as log:
            assert f(hb.ones(11)).shape == (11,)
        assert str(log) == "nothing was traced or compiled"

    def test_sizes_0_and_1_are_planned_for_themselves(self) -> None:
        f = hb.compile(lambda x: (x * 2).sum(axis=0) + x.shape[0], dynamic=True)
        for n in (0, 1, 5, 1, 0, 6):
            np.testing.assert_array_equal(f(hb.ones((n, 2))).numpy(), np.full(2, 3.0 * n))
        (segment,) = f.concrete_functions[0].segments
        assert [str(c[0]) for c in segment.templates.conditions] == ["n >= 2"]

    def test_other_decisions_make_another_template(self) -> None:
        f = hb.compile(lambda x: hb.exp(x).sum(), dynamic=True)
        for n in (10, 1_000_000, 11, 999_999):
            assert f(hb.zeros(n)).item() == n
        (segment,) = f.concrete_functions[0].segments
        assert len(segment.templates.conditions) == 2
        assert f.explain().count("planned once for sizes where n >= 2") == 2

    def test_plans_of_which_the_same_is_said_are_counted_in_one_line(self) -> None:
        @hb.compile
        def smooth(x: hb.Tensor) -> hb.Tensor:
            sums = hb.cumulative_sum(x, include_initial=True)
            return (sums[20:] - sums[:-20]) / 20

        for n in (100, 200, 300, 4000):
            smooth(hb.ones(n))
        text = smooth.explain()
        assert "planned 2 times for sizes where n >= 2, n >= 19 and 10 conditions more" in text

    def test_arguments_that_lie_otherwise_are_planned_for_themselves(self) -> None:
        f = hb.compile(lambda x: hb.exp(x) * 2 + x.sum(axis=1)[:, None], dynamic=True)
        for n in (4, 5, 6):
            x = np.arange(2.0 * n * 3).reshape(2 * n, 3)
            for y in (x[::2], x[:n], np.asfortranarray(x)[:n], x[:n][::-1]):
                np.testing.assert_allclose(f(y).numpy(), np.exp(y) * 2 + y.sum(axis=1)[:, None])

    def test_what_fixes_a_size_is_said_and_planned_for_each_size(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = []

        def optimize(graph: FuncGraph) -> FuncGraph:
            asked.append(int(graph.inputs[0].spec.shape[0]))
            return plain(graph)

        plain = passes.optimize
        monkeypatch.setattr(passes, "optimize", optimize)
        f = hb.compile(lambda x: hb.tanh(x) * 2, dynamic=True)
        for n in (8, 9, 10, 11):
            assert f(hb.ones(n)).shape == (n,)
        assert asked == [8, 8, 9, 9, 10, 11]  # no third attempt
        assert "planned anew for each size: a Plan depends on n == 9" in f.explain()

    def test_what_the_trace_itself_fixes_is_a_number_and_the_rest_stays_open(self) -> None:
        f = hb.compile(lambda x: sum(x[i] for i in range(x.shape[0])) * 2, dynamic=True)
        for shape in ((3, 5), (3, 6), (4, 5), (4, 7), (3, 8)):
            np.testing.assert_array_equal(f(hb.ones(shape)).numpy(), 2.0 * shape[0])
        templates = [c.segments[0].templates for c in f.concrete_functions]
        assert [[str(c) for c in t.conditions[0][:2]] for t in templates] == [
            ["n == 3", "m >= 2"],
            ["n == 4", "m >= 2"],
        ]

    def test_what_the_trace_fixes_need_not_be_in_the_graph(self) -> None:
        def f(y: Any, k: int) -> Any:
            for _ in range(k):
                y = y * 2
            return y

        g = hb.compile(f, dynamic=True)
        for k, m in ((2, 5), (3, 6), (3, 7), (4, 5), (4, 7), (3, 8)):
            np.testing.assert_array_equal(g(hb.ones(m), k).numpy(), [2.0**k] * m)

    @pytest.mark.parametrize("move", [lambda x, n: hb.roll(x, n), lambda x, n: hb.tril(x, n)])
    def test_an_int_that_decides_nothing(self, move: Callable[..., hb.Tensor]) -> None:
        f = hb.compile(lambda x, n: move(x, n) * 2)
        x = data(4)
        for n in (1, 2, 3, 0, -1, 7, 2):
            with hb.eagerly():
                expected = move(x, n) * 2
            np.testing.assert_array_equal(f(x, n).numpy(), expected.numpy())

    def test_errors_name_the_sizes_of_the_call(self) -> None:
        f = hb.compile(lambda x, i: x[i] * 2, dynamic=True)
        f(hb.ones(5), hb.asarray([4, 0]))
        for n in (7, 9):
            with pytest.raises(IndexError) as traced:
                f(hb.ones(n), hb.asarray([n, 0]))
            with hb.eagerly(), pytest.raises(IndexError) as eager:
                f(hb.ones(n), hb.asarray([n, 0]))
            assert str(traced.value).split("\n")[0] == str(eager.value).split("\n")[0]
