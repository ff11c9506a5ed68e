"""``hb.compare``: what it measures, what it finds, and that it leaves no trace of itself."""

from __future__ import annotations

import functools
import gc
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.inspect import difference
from hybrid.inspect.difference import largest
from hybrid.inspect.timing import Timing, format_seconds, interleaved


def wave(x: hb.Tensor) -> hb.Tensor:
    return hb.sin(x) * 2 + 1


X = np.linspace(-3, 3, 500, dtype=np.float32)


def test_plain_and_compiled_functions_give_the_same_report() -> None:
    for f in (wave, hb.compile(wave)):
        report = hb.compare(f, X, repeat=3)
        assert (report.kernels, report.library_calls, report.temp_bytes) == (1, 0, 0)
        assert report.name == "wave(x: f32[500])"
        assert report.eager.median > 0
        assert report.traced.median > 0
        assert report.first_call > report.traced.median
        assert report.ulp <= 8


def test_the_compiled_function_itself_is_left_alone() -> None:
    f = hb.compile(wave)
    hb.compare(f, X, repeat=2)
    assert f.cache_info().misses == 0


def test_keyword_arguments_and_containers() -> None:
    def f(pair: dict[str, hb.Tensor], *, scale: float) -> tuple[hb.Tensor, list[hb.Tensor]]:
        return pair["a"] * scale, [pair["b"] + 1]

    pair = {"a": hb.ones(3), "b": hb.zeros(2)}
    assert hb.compare(f, pair, scale=3.0, repeat=2).ulp == 0


def test_decorators_that_give_an_argument_themselves() -> None:
    def given(function: Callable[..., Any]) -> Callable[..., Any]:
        return functools.wraps(function)(lambda *args: function(2.0, *args))

    report = hb.compare(given(lambda by, x: by * wave(x)), X, repeat=2)
    assert report.traced.median > 0


def test_methods() -> None:
    class Scaled:
        def __init__(self) -> None:
            self.by = hb.Variable(2.0)

        @hb.compile
        def __call__(self, x: hb.Tensor) -> hb.Tensor:
            return x * self.by

        def plain(self, x: hb.Tensor) -> hb.Tensor:
            return x * self.by

    scaled = Scaled()
    assert hb.compare(scaled.plain, hb.ones(3), repeat=2).kernels == 1
    assert hb.compare(scaled.__call__, hb.ones(3), repeat=2).kernels == 1


def test_variables_start_equal_in_both_modes_and_are_put_back() -> None:
    count = hb.Variable(1.0)
    table = hb.Variable([1.0, 2.0])

    def step(x: hb.Tensor) -> hb.Tensor:
        count.assign_add(1)
        table.assign(table * x)
        return count + x

    report = hb.compare(step, hb.asarray(3.0), repeat=4)
    assert report.ulp == 0
    assert count.item() == 1
    np.testing.assert_array_equal(table.numpy(), [1, 2])


def test_variables_that_the_garbage_collector_was_told_to_leave_alone_are_put_back() -> None:
    count = hb.Variable(1.0)
    gc.collect()
    gc.freeze()
    report = hb.compare(lambda x: (count.assign_add(1), count + x)[1], hb.ones(2), repeat=2)
    assert report.ulp == 0
    assert count.item() == 1


def test_random_numbers_are_the_same_in_both_modes_and_the_state_is_put_back() -> None:
    hb.random.seed(5)
    expected = hb.random.uniform((3,)).numpy()
    hb.random.seed(5)
    assert hb.compare(lambda: hb.random.normal((50,)), repeat=2).ulp == 0
    np.testing.assert_array_equal(hb.random.uniform((3,)).numpy(), expected)


@pytest.mark.parametrize("kind", [np.asarray, hb.asarray])
def test_written_arguments_are_put_back(kind: object) -> None:
    def fill(x: hb.Tensor) -> None:
        x += 1
        x[0] = 7

    x = kind(np.arange(4.0))  # type: ignore[operator]
    assert hb.compare(fill, x, repeat=3).ulp == 0
    np.testing.assert_array_equal(np.asarray(x), [0, 1, 2, 3])


def test_captured_tensors_are_put_back() -> None:
    table = hb.zeros(3)

    def write(x: hb.Tensor) -> hb.Tensor:
        table[1] = x
        return table + 1

    assert hb.compare(write, hb.asarray(2.0), repeat=3).ulp == 0
    np.testing.assert_array_equal(table.numpy(), [0, 0, 0])


def test_state_is_put_back_when_the_function_raises() -> None:
    count = hb.Variable(0.0)

    def broken(x: hb.Tensor) -> hb.Tensor:
        count.assign_add(1)
        return x @ hb.ones((7, 7))

    with pytest.raises(hb.errors.ShapeError):
        hb.compare(broken, hb.ones((2, 2)))
    assert count.item() == 0


def test_the_first_op_that_differs_is_named_with_its_line() -> None:
    def f(x: hb.Tensor) -> hb.Tensor:
        y = x * 2
        z = hb.exp(y)  # the vector math is not NumPy's
        return z + 1

    report = hb.compare(f, np.linspace(-20, 20, 4001, dtype=np.float32), repeat=2)
    if not report.ulp:
        pytest.skip("NumPy's exponential agrees with the kernel's to the last bit here")
    assert report.origin is not None
    assert report.origin.op == "exp"
    assert report.origin.line is not None
    assert "the vector math is not NumPy's" in report.origin.line.text
    assert "first in exp (test_compare.py:" in str(report)


def test_the_origin_is_found_behind_a_guard() -> None:
    def f(x: hb.Tensor) -> hb.Tensor:
        if hb.sum(x) > 0:
            return hb.tanh(x)
        return x

    report = hb.compare(f, np.linspace(-1, 4, 4001, dtype=np.float32), repeat=2)
    if report.ulp:
        assert report.origin is not None
        assert report.origin.op == "tanh"


@pytest.mark.parametrize(
    "meet",
    [
        operator.add,
        operator.sub,
        operator.mul,
        operator.truediv,
        operator.floordiv,
        operator.mod,
        operator.pow,
        operator.lt,
        operator.eq,
    ],
)
@pytest.mark.parametrize("number", [0.45, 0.45j, 3])
def test_the_origin_is_looked_for_where_arguments_that_are_numbers_meet(
    meet: Callable[[Any, Any], Any], number: Any
) -> None:
    def f(x: Any, a: Any, b: Any) -> Any:
        return x * meet(a, b)

    if isinstance(number, complex) and meet in (operator.floordiv, operator.mod, operator.lt):
        pytest.skip("Python has none of complex numbers")
    traced = hb.compile(f)
    traced(X, number, number + 1)
    traced(X, number + 1, number + 2)  # ints are inputs now
    assert difference.find_origin(traced.concrete_functions[-1], [X, number, number + 1]) is None


def test_a_function_that_falls_back_says_so() -> None:
    def f(x: hb.Tensor) -> hb.Tensor:
        return x + float(hb.sum(x))

    with pytest.warns(hb.errors.EagerFallbackWarning):
        report = hb.compare(f, hb.ones(3), repeat=2)
    assert "float()" in report.fallback
    assert "runs eagerly" in str(report)


def test_text_is_plain_and_html_has_table_and_chart() -> None:
    report = hb.compare(wave, X, repeat=2)
    text = str(report)
    assert "\x1b" not in text
    for word in ("time of a call", "spread", "speed-up", "kernels", "temporary memory", "ULP"):
        assert word in text
    bundle = report._repr_mimebundle_()
    assert bundle["text/plain"] == text
    assert "<table>" in bundle["text/html"]
    assert "data:image/png;base64," in bundle["text/html"]


def test_results_of_another_kind_are_infinitely_far_apart() -> None:
    one = np.ones(2)
    assert largest([one], [one, one]) == np.inf
    assert largest([one], [np.ones(3)]) == np.inf
    assert largest([one], [one.astype(np.float32)]) == np.inf
    assert largest([], []) == 0


def test_timings_are_interleaved() -> None:
    order: list[str] = []
    ways = tuple(lambda name=name: order.append(name) for name in "ab")
    first, second = interleaved(ways, lambda: order.append("-"), repeat=3)
    assert len(first.samples) == len(second.samples) == 3
    marks = [part[0] for part in "".join(order).split("-") if part]
    assert "".join(marks).endswith("ababab")


def test_timing_gives_median_and_spread() -> None:
    timing = Timing((1.0, 2.0, 3.0, 4.0, 100.0))
    assert (timing.median, timing.spread) == (3.0, 2.0)
    assert str(timing) == "3 s ± 1 s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(12.345, "12.3 s"), (0.9999, "1 s"), (5e-5, "50 µs"), (2.5e-8, "25 ns"), (1234.5, "1234 s")],
)
def test_durations_are_written_with_a_unit(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_a_difference_that_only_shorter_graphs_show_is_found_by_cutting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    f = hb.compile(lambda x: ((x + 1) * 2 - 3) / 4)
    x = hb.asarray([1.0, 2.0])
    concrete = f.get_concrete_function(x)
    traced = difference._traced

    def off_from_the_product_on(graph, outputs, arrays):  # type: ignore[no-untyped-def]
        found = traced(graph, outputs, arrays)
        position = [n.output for n in graph.nodes].index(outputs[-1])
        alone = len(outputs) == 1 and position >= 1
        return [np.nextafter(a, np.float32(9)) for a in found] if alone else found

    monkeypatch.setattr(difference, "_traced", off_from_the_product_on)
    origin = difference.find_origin(concrete, [x])
    assert origin is not None
    assert (origin.op, origin.ulp) == ("multiply", 1)


def test_the_op_that_differs_is_found_while_a_tape_is_open() -> None:
    f = hb.compile(lambda x: hb.sin(x) * hb.exp(x))
    x = hb.asarray(X)
    concrete = f.get_concrete_function(x)
    alone = difference.find_origin(concrete, [x])
    assert alone is not None
    with hb.GradientTape() as tape:
        tape.watch(x)
        assert difference.find_origin(concrete, [x]) == alone


def test_the_first_call_names_the_compiler_only_where_it_was_at_work() -> None:
    function = lambda a: hb.exp(a) * 3 + a
    hb.compare(function, hb.ones(1000), repeat=2)
    again = hb.compare(function, hb.ones(1000), repeat=2)
    assert again.compiled == 0
    assert "with the trace\n" in str(again)
