"""What Python does with values, and a trace must not get wrong: text, types, copies, chance."""

from __future__ import annotations

import copy
import logging
import os
import pickle
import random
import sys
import time
from functools import partial
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import TraceError
from tests.trace.agreement import agree, compiled_throughout, falls_back


def up() -> tuple[hb.Tensor]:
    return (hb.asarray([1.0, 2.0]),)


def down() -> tuple[hb.Tensor]:
    return (hb.asarray([-1.0, -2.0]),)


# --- text -----------------------------------------------------------------------------------------


def test_print_of_a_traced_value_prints_at_every_call(capsys: pytest.CaptureFixture[str]) -> None:
    def f(x: hb.Tensor) -> hb.Tensor:
        print(x.sum())
        return x * 2

    with falls_back("print(x.sum())"):
        agree(f, up, down)
    lines = capsys.readouterr().out.split("\n")
    assert lines[0::2][:4] == lines[1::2][:4]


def test_logging_of_a_traced_value_logs_its_contents(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("pitfalls")

    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        log.warning("sum is %s and %.1f", x.sum(), x.max())
        return x * 2

    with falls_back("log.warning"):
        for call in (up, down, up):
            f(*call())
    texts = [r.getMessage() for r in caplog.records]
    assert texts == [f"sum is {x.sum()} and {x.max().item():.1f}" for (x,) in (up(), down(), up())]


@pytest.mark.parametrize(
    "text",
    [
        lambda x: f"{x}",
        lambda x: f"{x.sum():.2f}",
        lambda x: str(x),
        lambda x: "%s" % x,  # noqa: UP031
        lambda x: f"{x!s}",
    ],
)
@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_text_made_of_a_traced_value_is_that_of_its_contents(text: Any) -> None:
    agree(lambda x: (text(x * 2), x + len(text(x))), up, down)


def test_repr_of_a_traced_value_says_so_and_ends_nothing() -> None:
    seen = []

    def f(x: hb.Tensor) -> hb.Tensor:
        seen.append(f"{x!r} {[x]}")
        return x * 2

    with compiled_throughout():
        hb.compile(f)(*up())
    assert seen == ["Tensor(traced f32[2]) [Tensor(traced f32[2])]"]


def test_assert_on_a_traced_value_holds_or_raises_at_every_call() -> None:
    def f(x: hb.Tensor) -> hb.Tensor:
        assert (x > 0).all(), "positive only"
        return x * 2

    with compiled_throughout():
        agree(f, up, down, up)


# --- what a value is ------------------------------------------------------------------------------


def test_isinstance_type_and_hasattr() -> None:
    def f(x: hb.Tensor, rate: float, n: int) -> tuple[Any, ...]:
        return (
            isinstance(x, hb.Tensor),
            isinstance(x, np.ndarray),
            isinstance(rate, float),
            isinstance(rate, int | float),
            isinstance(rate * 2, float),
            isinstance(n, int),
            type(x) is hb.Tensor,
            type(x * 2) is type(x),
            hasattr(x, "shape"),
            hasattr(x, "no_such_thing"),
            callable(x),
            x is None,
            x is not None,
            rate is None,
            x is x,
        )

    with compiled_throughout():
        agree(f, lambda: (*up(), 0.5, 3), lambda: (*up(), 1.5, 4))


def test_methods_of_a_python_float() -> None:
    with falls_back("is_integer"):
        agree(lambda x, k: x * (2 if k.is_integer() else 3), lambda: (*up(), 2.0))
    with pytest.raises(AttributeError, match="no_such"):
        hb.compile(lambda x: x.no_such)(*up())


def test_equality_membership_and_hashing_of_traced_values() -> None:
    def f(x: hb.Tensor, y: hb.Tensor) -> tuple[Any, ...]:
        a, b = x.sum(), y.sum()
        table = {x: "x", y: "y", a: "sum"}
        return (
            x in [x, y],
            a in [a, b],
            a == b,
            a != b,
            [a].index(a),
            table[x],
            table[a],
            len({x, y, x}),
            len({x, x * 1}),
            x in table,
            None in [a],
        )

    for g in (f,):
        assert "sum" in f(*up(), *down())
        agree(g, lambda: (*up(), *down()), lambda: (*down(), *down()))


def test_none_is_looked_for_among_arrays_as_numpy_does() -> None:
    for f in (lambda x: None in [x], hb.compile(lambda x: None in [x])):
        with pytest.raises(ValueError, match="ambiguous"):
            f(hb.ones(2))
        assert not f(hb.ones(1))


def test_membership_that_asks_for_values() -> None:
    def f(x: hb.Tensor) -> tuple[Any, ...]:
        s = x.sum()
        return s in [0.0, 3.0], 3.0 in x, [1.0, s].count(3.0), s in (s, 1.0)

    with compiled_throughout():
        agree(f, up, down)


def test_sorted_min_max_and_lookups_over_tensors() -> None:
    def f(x: hb.Tensor) -> tuple[Any, ...]:
        parts = [x[1], x[0], x.sum()]
        n = x.astype(hb.int64).sum()
        return (
            sorted(parts),
            min(parts),
            max(parts, key=lambda t: -t),
            {3: "three", -3: "minus"}[int(n)],
            [10, 20, 30, 40][n],
            (x[0] < x[1] < 5) or x[0],
            any(t > 1 for t in parts),
            all(t > 1 for t in parts),
            sum(parts),
            x[0] if x[0] > 0 else x[1],
        )

    with compiled_throughout():
        agree(f, up, down, lambda: (hb.asarray([2.0, 1.0]),))


# --- copies ---------------------------------------------------------------------------------------


def test_copies_of_traced_values_are_apart() -> None:
    def f(x: hb.Tensor) -> tuple[hb.Tensor, ...]:
        a, b = copy.copy(x), copy.deepcopy(x)
        c = copy.deepcopy({"x": [x, x]})["x"]
        a += 1
        b *= 2
        c[0][0] = 7
        return a, b, c[0], c[1], x

    with compiled_throughout():
        agree(f, up, down)


def test_pickling_a_traced_value_pickles_its_contents() -> None:
    with falls_back("pickling"):
        agree(lambda x: pickle.loads(pickle.dumps(x * 2)) + 1, up, down)


class Scaled:
    """A model that compiles a method of its own."""

    def __init__(self, factor: float) -> None:
        self.factor = hb.Variable(factor)
        self.run = hb.compile(self.forward, fullgraph=True)
        self.partly = hb.compile(partial(self.forward, plus=1.0))

    def forward(self, x: hb.Tensor, plus: float = 0.0) -> hb.Tensor:
        return x * self.factor + plus


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_the_compiled_methods_of_a_copied_object_are_those_of_the_copy(copied: Any) -> None:
    first = Scaled(2.0)
    assert first.run(hb.ones(1)).tolist() == [2.0]
    second = copied(first)
    second.factor.assign(5.0)
    assert second.run(hb.ones(1)).tolist() == [5.0]
    assert second.partly(hb.ones(1)).tolist() == [6.0]
    assert first.run(hb.ones(1)).tolist() == [2.0]
    assert second.run.fullgraph
    alone = copied(first.run)
    assert alone.__wrapped__.__self__ is not first
    assert copied is not copy.deepcopy or alone.__wrapped__.__self__.run is alone


def test_the_copy_of_a_compiled_object_is_another_one() -> None:
    f = hb.compile(Constant(3.0))
    g = copy.deepcopy(f)
    f.__wrapped__.value = 4.0
    assert [h(hb.ones(1)).tolist() for h in (f, g)] == [[4.0], [3.0]]


class Constant:
    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, x: hb.Tensor) -> hb.Tensor:
        return x * self.value


def test_a_compiled_function_is_copied_and_pickled_by_its_name() -> None:
    again = pickle.loads(pickle.dumps(module_level))
    assert again is module_level
    assert copy.deepcopy(module_level) is module_level
    assert copy.copy(module_level) is module_level


@hb.compile
def module_level(x: hb.Tensor) -> hb.Tensor:
    return x + 1


# --- values that would freeze ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        lambda x: x * np.asarray(x).max(),
        lambda x: np.linalg.inv(np.diag(x)) @ x,
        lambda x: x[np.argsort(np.asarray(x))],
        lambda x: x * np.histogram(x, 2)[0],
        lambda x: x * float(np.median(x)),
        lambda x: x * np.float64(x.sum()),
        lambda x: x + np.array([x.sum(), 1.0]),
        lambda x: x * len(np.unique(x)),
        lambda x: hb.asarray(memoryview(x.numpy())) * 2,
        lambda x: x * x.tolist()[0],
        lambda x: x * np.interp(0.5, [0, 1], x),
        lambda x: x * np.vectorize(lambda v: v + 1)(x),
        lambda x: x * np.apply_along_axis(np.sum, 0, x),
    ],
)
@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_a_numpy_call_freezes_no_value(use: Any) -> None:
    traced = hb.compile(use)
    for call in (up, down, up, lambda: (hb.asarray([5.0, 3.0]),)):
        np.testing.assert_allclose(np.asarray(traced(*call())), np.asarray(use(*call())), rtol=1e-5)


def by_random(x: hb.Tensor) -> hb.Tensor:
    return x * random.random()


def by_numpy_random(x: hb.Tensor) -> hb.Tensor:
    return x * np.random.rand()  # noqa: NPY002


GENERATOR = np.random.default_rng(0)


def by_generator(x: hb.Tensor) -> hb.Tensor:
    return x + GENERATOR.normal(size=2)


def by_a_shuffle(x: hb.Tensor) -> hb.Tensor:
    order = [0, 1]
    random.shuffle(order)
    return x[order[0]]


def by_the_clock(x: hb.Tensor) -> hb.Tensor:
    return x * (time.time() % 1)


def by_a_counter(x: hb.Tensor) -> hb.Tensor:
    return x * time.perf_counter_ns()


@pytest.mark.parametrize(
    "function", [by_random, by_numpy_random, by_generator, by_a_shuffle, by_the_clock, by_a_counter]
)
def test_a_value_that_python_draws_or_measures_is_not_frozen(function: Any) -> None:
    traced = hb.compile(function)
    x = hb.asarray([1.0, 2.0])
    with falls_back(f"in {function.__name__}"):
        results = {np.asarray(traced(x)).tobytes() for _ in range(40)}
    assert len(results) > 1


def test_an_environment_variable_that_changes_is_seen() -> None:
    def f(x: hb.Tensor) -> hb.Tensor:
        return x * float(os.environ["HYBRID_TEST_RATE"]) + len(os.getenv("HYBRID_TEST_RATE", ""))

    traced = hb.compile(f)
    for rate in ("1.0", "1.0", "25.0", "3.0"):
        os.environ["HYBRID_TEST_RATE"] = rate
        np.testing.assert_array_equal(traced(hb.ones(2)).numpy(), f(hb.ones(2)).numpy())
    del os.environ["HYBRID_TEST_RATE"]


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_fullgraph_refuses_a_drawn_value() -> None:
    with pytest.raises(TraceError, match=r"random"):
        hb.compile(by_random, fullgraph=True)(hb.ones(2))


def test_a_program_run_as_a_module_of_a_package_is_the_users_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``python -m pytest`` made arrays that tests read to constants, as if a package read them."""
    monkeypatch.setattr(sys.modules["__main__"], "__file__", pytest.__file__, raising=False)
    scope: dict[str, Any] = {"__name__": "__main__", "weights": np.ones(2)}
    exec("def weighted(x):\n    return x * weights\n", scope)
    weighted = hb.compile(scope["weighted"])
    weighted(hb.ones(2))
    scope["weights"][:] = 3
    assert weighted(hb.ones(2)).tolist() == [3, 3]
    assert weighted.cache_info().misses == 1
