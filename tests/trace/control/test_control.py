"""Loops and branches give in a graph what the same Python loop gives eagerly."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core import containers
from hybrid.core.graph import verify
from hybrid.errors import DTypeError, EagerFallbackWarning, ShapeError, TraceError
from tests.trace.agreement import compiled_throughout

X = np.array([1.0, -2.0, 3.0], np.float32)
M = np.arange(12, dtype=np.float32).reshape(4, 3) / 7 - 0.5


def fibonacci(x: hb.Tensor) -> Any:
    return hb.scan(lambda c, _: ((c[1], c[0] + c[1]), c[0]), (x[0], x[1]), length=6)


def tree_carry(x: hb.Tensor) -> Any:
    def step(carry: dict[str, Any], row: hb.Tensor) -> Any:
        h = hb.tanh(carry["h"] * row + carry["n"][0])
        return {"h": h, "n": (carry["n"][0] + 1, carry["n"][1])}, (h.sum(), None, {"row": row})

    return hb.scan(step, {"h": x, "n": (0.0, None)}, M)


def backwards(x: hb.Tensor) -> Any:
    return hb.scan(lambda c, row: (c * 0.5 + row, c), x, hb.asarray(M), reverse=True)


def two_inputs(x: hb.Tensor) -> Any:
    return hb.scan(lambda c, v: (c + v["a"] * v["b"][0], c), 0.0, {"a": x, "b": (x * 2, None)})


def counted(x: hb.Tensor) -> Any:
    return hb.fori_loop(2, 6, lambda i, c: c * 0.5 + i * x + x[i % 3], x)


def counted_by_data(x: hb.Tensor) -> Any:
    return hb.fori_loop(x.argmin(), x.argmax() + 2, lambda i, c: c + x[i % 3] * i, x)


def halving(x: hb.Tensor) -> Any:
    return hb.while_loop(lambda c: c[1].sum() > 0.1, lambda c: (c[0] + 1, c[1] / 2), (0, x * x))


def never(x: hb.Tensor) -> Any:
    return hb.while_loop(lambda c: c.sum() > 1e9, lambda c: c * 2, x)


def either(x: hb.Tensor) -> Any:
    return hb.cond(x.sum() > 0, lambda a: {"y": a + 1, "n": 3.0}, lambda a: {"y": a, "n": 2.0}, x)


def neither(x: hb.Tensor) -> Any:
    return hb.cond(x.sum() > 100, hb.sqrt, lambda a: a * x, x)


def several(x: hb.Tensor) -> Any:
    branches = [lambda a: a, lambda a: a * 10, lambda a: a[::-1] + x]
    return tuple(hb.switch(hb.asarray(i) + x.argmin(), branches, x) for i in range(-3, 4))


def by_number(x: hb.Tensor) -> Any:
    return hb.switch(1, [hb.exp, hb.sin], x), hb.cond(False, hb.exp, hb.cos, x)


def rows(x: hb.Tensor) -> Any:
    return hb.map(lambda row: (row @ x, row.max()), hb.asarray(M))


def nested(x: hb.Tensor) -> Any:
    def outer(c: hb.Tensor, row: hb.Tensor) -> Any:
        def inner(i: int, d: hb.Tensor) -> hb.Tensor:
            return hb.cond(d.sum() > 0, lambda: d - row * i, lambda: d + c + x)

        d = hb.fori_loop(0, 3, inner, c)
        return d, hb.while_loop(lambda e: e.sum() < 5, lambda e: e + abs(row) + 1, d)

    return hb.scan(outer, x, hb.asarray(M))


def writes_to_its_carry(x: hb.Tensor) -> Any:
    def step(c: hb.Tensor, row: hb.Tensor) -> Any:
        before = c[1:]
        c[0] += 1
        row *= 2
        c += row
        return c, before

    m = hb.asarray(M) * 1
    return hb.scan(step, x, m), x, m


def writes_to_what_is_outside(x: hb.Tensor) -> Any:
    y = x * 1
    tail = y[1:]

    def step(i: int, c: hb.Tensor) -> hb.Tensor:
        tail[0] = tail[0] * 2 + c
        tail[...] = tail[::-1] * 1
        return c + y.sum()

    return hb.fori_loop(0, 3, step, 0.0), y, tail


def writes_in_a_branch(x: hb.Tensor) -> Any:
    y = x * 1

    def negate() -> None:
        y[0] = -y[0]

    hb.cond(x.sum() > 0, negate, lambda: None)
    hb.cond(x.sum() > 9, negate, lambda: None)
    return y


def rows_by_the_index(x: hb.Tensor) -> Any:
    m = hb.asarray(M) * 1

    def step(i: int, c: hb.Tensor) -> hb.Tensor:
        row, other = m[i], m[(i + 1) % 4]
        tail = row[1:]
        m[i] *= 2
        c = c + tail.sum()  # sees the write through m
        tail[0] = -1
        other += row
        m[0, i % 3] = 7
        return c * row + other

    return hb.fori_loop(0, 4, step, x), m


def neighbours(x: hb.Tensor) -> Any:
    m, w = hb.asarray(M), hb.asarray(M) * x

    def step(i: int, c: hb.Tensor) -> hb.Tensor:
        return c * 0.5 + m[i] + w[i - 1] * m[i + 1] - (w[1 + i])[0] + m[-i] + m[i % 2] + i

    return hb.fori_loop(1, 3, step, x), hb.fori_loop(0, 4, lambda i, c: c + m[i - 1], x)


def one_array_twice(x: hb.Tensor) -> Any:
    return hb.fori_loop(0, 3, lambda i, c: (c[0] + c[1], c[0]), (x, x))


def returns_what_is_outside(x: hb.Tensor) -> Any:
    y = x * 3

    def step(i: int, c: hb.Tensor) -> hb.Tensor:
        c += 1
        return y

    return hb.fori_loop(0, 3, step, x * 0), y


def of_no_rows(x: hb.Tensor) -> Any:
    empty = hb.zeros((0, 3))
    return hb.scan(lambda c, row: (c + row, (row[:, None] * c, c.sum() > 0)), x, empty)


def no_steps(x: hb.Tensor) -> Any:
    return hb.fori_loop(5, 2, lambda i, c: c + 1, x), hb.scan(lambda c, _: (c, c), x, length=0)


def no_carry(x: hb.Tensor) -> Any:
    return hb.scan(lambda c, v: (c, v * 2), (), x)


def integers_and_booleans(x: hb.Tensor) -> Any:
    def step(i: int, c: Any) -> Any:
        return c[0] * 3 + i, ~c[1], c[2] + 0.5

    return hb.fori_loop(0, 5, step, (1, True, np.float64(2)))


PROGRAMS = [
    fibonacci, tree_carry, backwards, two_inputs, counted, counted_by_data, halving, never, either,
    neither, several, by_number, rows, nested, writes_to_its_carry, writes_to_what_is_outside,
    writes_in_a_branch, rows_by_the_index, neighbours, one_array_twice, returns_what_is_outside,
    of_no_rows, no_steps, no_carry,
    integers_and_booleans,
]  # fmt: skip


def arrays(result: Any) -> list[np.ndarray]:
    return [np.array(x) for x in containers.leaves_of(result) if x is not None]


def assert_alike(found: Any, expected: Any) -> None:
    assert containers.flatten(found)[1] == containers.flatten(expected)[1]
    for a, b in zip(arrays(found), arrays(expected), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("f", PROGRAMS)
def test_the_traced_result_equals_the_eager_one(f: Callable[..., Any]) -> None:
    g = hb.compile(fullgraph=True)(f)
    for x in (X, -X, X * 0, X):
        expected = f(hb.asarray(x.copy()))
        assert_alike(g(hb.asarray(x.copy())), expected)
    assert g.cache_info().misses == 1


@pytest.mark.parametrize("f", PROGRAMS)
def test_the_graph_obeys_the_rules_before_and_after_the_passes(f: Callable[..., Any]) -> None:
    concrete = hb.compile(f).get_concrete_function(hb.asarray(X.copy()))
    verify(concrete.graph)
    verify(concrete.optimized)


class TestVariables:
    def test_a_loop_reads_and_writes_them_by_reference_and_in_order(self) -> None:
        def run(v: hb.Variable, w: hb.Variable, x: hb.Tensor) -> Any:
            def step(i: int, c: hb.Tensor) -> hb.Tensor:
                v.assign(v * 2 + w)
                w.assign_add(c)
                return c + v

            v.assign_add(1.0)
            c = hb.fori_loop(0, 3, step, x)
            v.assign_sub(w)
            return c, v.read()

        states = []
        for f in (run, hb.compile(run)):
            v, w = hb.Variable(1.0), hb.Variable(0.5)
            results = [f(v, w, hb.asarray(2.0)) for _ in range(3)]
            states.append((results, v.read(), w.read()))
        assert_alike(states[1], states[0])

    @pytest.mark.parametrize("flag", [True, False])
    def test_only_the_branch_that_runs_writes(self, flag: bool) -> None:
        v, w = hb.Variable([1.0, 2.0]), hb.Variable(1.0)

        @hb.compile(fullgraph=True)
        def f(p: hb.Tensor) -> None:
            hb.cond(p, lambda: v.assign(v * 10), lambda: w.assign(-w))

        f(hb.asarray(flag))
        np.testing.assert_array_equal(v.numpy(), [10, 20] if flag else [1, 2])
        assert w.item() == (1.0 if flag else -1.0)

    def test_asking_may_write_too(self) -> None:
        def run(asked: hb.Variable, x: hb.Tensor) -> hb.Tensor:
            def small(c: hb.Tensor) -> hb.Tensor:
                asked.assign_add(1)
                return c + asked < 20

            return hb.while_loop(small, lambda c: c * 2 + asked, x)

        found = []
        for f in (run, hb.compile(run)):
            asked = hb.Variable(0.0)
            found.append((f(asked, hb.asarray(1.0)), asked.read()))
        assert_alike(found[1], found[0])

    def test_random_numbers_advance_as_in_eager_code(self) -> None:
        def run(g: hb.random.Generator) -> Any:
            first = hb.scan(lambda c, _: (c + g.normal(2), g.uniform(1)), hb.zeros(2), length=3)
            walk = hb.while_loop(lambda c: c < 2, lambda c: c + g.uniform(), 0.0)
            return first, walk, hb.cond(walk > 2.5, lambda: g.normal(), lambda: 0.0), g.uniform(2)

        a, b = hb.random.Generator(3), hb.random.Generator(3)
        traced = hb.compile(lambda: run(b))
        for _ in range(3):
            assert_alike(traced(), run(a))


class TestErrors:
    CASES = [
        (
            lambda x: hb.scan(lambda c, v: ({"h": c["h"][None]}, None), {"h": x}, x),
            ShapeError,
            r"scan: carry\['h'\] is float32\[3\] going in and float32\[1,3\] coming out of the "
            r"body <lambda> at test_control.py:\d+",
        ),
        (
            lambda x: hb.fori_loop(0, 2, lambda i, c: c.astype("float64"), x),
            DTypeError,
            r"fori_loop: carry is float32\[3\] going in and float64\[3\] coming out of the body",
        ),
        (
            lambda x: hb.while_loop(lambda c: c[0].sum() < 1e9, lambda c: c[0], (x, x)),
            ShapeError,
            r"while_loop: carry is \(Tensor, Tensor\) going in and Tensor coming out of the body",
        ),
        (
            lambda x: hb.while_loop(lambda c: c > 0, lambda c: c, x),
            ShapeError,
            r"while_loop: the condition <lambda> at .* gives bool\[3\], not one boolean",
        ),
        (
            lambda x: hb.while_loop(lambda c: c.sum(), lambda c: c, x),
            DTypeError,
            r"gives float32\[\], not one boolean",
        ),
        (
            lambda x: hb.scan(lambda c, v: (c, v), 0.0, {"a": x, "b": (x, x[:2])}),
            ShapeError,
            r"scan: the numbers of rows differ "
            r"\(xs\['a'\]: 3, xs\['b'\]\[0\]: 3, xs\['b'\]\[1\]: 2\)",
        ),
        (lambda x: hb.scan(lambda c, v: (c, v), 0.0, x, length=4), ShapeError, "length: 4, xs: 3"),
        (lambda x: hb.scan(lambda c, v: (c, v), 0.0), ValueError, "length says how many"),
        (lambda x: hb.scan(lambda c, v: c, 0.0, x), TypeError, r"must return a pair \(carry, y\)"),
        (lambda x: hb.scan(lambda c, v: (c, v), "a", x), DTypeError, "init is a str"),
        (lambda x: hb.scan(lambda c, v: (c, v), 0.0, x.sum()), ShapeError, "xs has no axes"),
        (lambda x: hb.map(lambda r: r, x.sum()), ShapeError, "^map: xs has no axes"),
        (
            lambda x: hb.map(hb.exp, (x, x[:1])),
            ShapeError,
            r"^map: .* differ \(xs\[0\]: 3, xs\[1\]",
        ),
        (lambda x: hb.map(hb.exp, None), ValueError, "^map: without xs, nothing is mapped"),
        (lambda x: hb.map(lambda r: "a", x), DTypeError, "^map: y is a str"),
        (lambda x: hb.cond(x > 0, hb.exp, hb.sin, x), ShapeError, r"pred has shape \(3,\)"),
        (lambda x: hb.cond(x[0] > 0, hb.exp(x), x), TypeError, "a branch is a function"),
        (lambda x: hb.switch(0, [], x), ValueError, "there is no branch"),
        (lambda x: hb.switch(1.5, [hb.exp], x), DTypeError, "not a whole number"),
        (lambda x: hb.fori_loop(0, x, lambda i, c: c, x), DTypeError, "upper is float32"),
    ]

    @pytest.mark.parametrize(("f", "kind", "text"), CASES)
    @pytest.mark.parametrize("mode", ["eager", "traced"])
    def test_they_name_the_leaf_in_both_modes(
        self, f: Callable[..., Any], kind: type[Exception], text: str, mode: str
    ) -> None:
        with pytest.raises(kind, match=text):
            (f if mode == "eager" else hb.compile(f))(hb.asarray(X))

    @pytest.mark.parametrize(
        ("f", "text"),
        [
            (
                lambda x: hb.cond(x[0] > 0, lambda: {"a": x}, lambda: {"a": x[:2]}),
                r"cond: result\['a'\] is float32\[3\] from the true branch, <lambda> at .*:\d+ and "
                r"float32\[2\] from the false branch",
            ),
            (
                lambda x: hb.switch(x.argmax(), [lambda: x, lambda: x, lambda: (x, x)]),
                r"switch: result is Tensor from branch 0, .* and \(Tensor, Tensor\) from branch 2.*"
                r"all branches return the same structure",
            ),
            (
                lambda x: hb.cond(x[0] > 0, lambda: x, lambda: x > 0),
                r"result is float32\[3\] from the true branch, .* and bool\[3\] from the false",
            ),
        ],
    )
    def test_branches_that_differ_are_named(self, f: Callable[..., Any], text: str) -> None:
        with pytest.raises((ShapeError, DTypeError), match=text):
            hb.compile(f)(hb.asarray(X))

    def test_an_error_of_a_body_names_the_line_in_the_body(self) -> None:
        def step(c: hb.Tensor, i: hb.Tensor) -> Any:
            return c, X_TENSOR[i + 1]  # beyond the end at the last step

        X_TENSOR = hb.asarray(X)
        f = hb.compile(lambda n: hb.scan(step, 0.0, n))
        for run in (f, f, f.__wrapped__):
            with pytest.raises(IndexError) as caught:
                run(hb.asarray([0, 1, 2]))
            text = str(caught.value) + "".join(getattr(caught.value, "__notes__", []))
            assert "beyond the end" in text


class TestFallback:
    def test_a_body_that_asks_for_a_value_runs_eagerly_with_one_warning(self) -> None:
        def step(c: hb.Tensor, v: hb.Tensor) -> Any:
            if v > 0:
                return c + v, c
            return c - 1, c

        @hb.compile
        def f(x: hb.Tensor) -> Any:
            return hb.scan(step, 0.0, x * 2)[0] * 3

        with pytest.warns(EagerFallbackWarning, match=r"the body of hb\.scan .* use hb\.cond"):
            found = f(hb.asarray(X))
        assert found.item() == pytest.approx(3 * (2 - 1 + 6))
        assert f(hb.asarray(-X)).item() == pytest.approx(3 * (-1 + 4 - 1))

    def test_a_nested_body_too(self) -> None:
        def inner(i: int, c: hb.Tensor) -> Any:
            return c + float(c)

        @hb.compile
        def f(x: hb.Tensor) -> Any:
            return hb.map(lambda v: hb.fori_loop(0, 2, inner, v), x + 1)

        with pytest.warns(EagerFallbackWarning, match=r"float\(\) needs a concrete value"):
            assert_alike(f(hb.asarray(X)), hb.asarray((X + 1) * 4))

    def test_numbers_among_the_arguments_are_numbers_again_afterwards(self) -> None:
        def f(y: hb.Tensor, s: float) -> Any:
            r = hb.while_loop(lambda q: q.sum() > min(s, y.mean()), lambda q: q - 1, y[0])
            y[0, :2] = s
            y[1] += s
            return r, y * s

        found = []
        for g in (f, hb.compile(f)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", EagerFallbackWarning)
                found.append(g(hb.asarray(M.copy()), 0.5))
        assert_alike(found[1], found[0])

    def test_fullgraph_raises_instead_and_names_the_line(self) -> None:
        @hb.compile(fullgraph=True)
        def f(x: hb.Tensor) -> Any:
            return hb.while_loop(lambda c: c < 3, lambda c: c + 1 if c > 0 else c + 2, x)

        with pytest.raises(TraceError, match=r"(?s)fullgraph=True.*while_loop.*test_control.py"):
            f(hb.asarray(1.0))

    def test_a_value_kept_from_a_body_is_kept_by_eager_code(self) -> None:
        kept: list[hb.Tensor] = []

        def f(x: hb.Tensor) -> hb.Tensor:
            hb.fori_loop(0, 2, lambda i, c: kept.append(c) or c + 1, x)
            return kept[-1] + 1

        with pytest.warns(EagerFallbackWarning, match="the body of hb.fori_loop .* changes kept"):
            found = hb.compile(f)(hb.asarray(X))
        np.testing.assert_array_equal(found, X + 2)
        np.testing.assert_array_equal(kept, [X, X + 1])
        with pytest.raises(TraceError, match="changes kept outside of it"):
            hb.compile(f, fullgraph=True)(hb.asarray(X))


class TestGraphs:
    def test_what_nobody_reads_is_not_computed(self) -> None:
        def f(x: hb.Tensor) -> hb.Tensor:
            def step(c: Any, v: hb.Tensor) -> Any:
                return (c[0] + v, hb.exp(c[1])), (hb.sin(v), c[1])

            return hb.scan(step, (0.0, 0.0), x)[0][0]

        (node,) = (
            n for n in hb.compile(f).get_concrete_function(hb.asarray(X)).optimized.nodes
            if n.op.name == "scan"
        )  # fmt: skip
        assert len(node.outputs) == 1
        assert node.attrs["carries"] == 1
        assert "exp" not in str(node.attrs["body"])

    def test_a_loop_whose_result_nobody_reads_is_gone(self) -> None:
        f = hb.compile(lambda x: (hb.while_loop(lambda c: c.sum() < 9, hb.exp, x), x + 1)[1])
        ops = [n.op.name for n in f.get_concrete_function(hb.asarray(X)).optimized.nodes]
        assert ops == ["fused"]

    def test_what_the_index_picks_is_a_row_of_a_scan(self) -> None:
        f = hb.compile(lambda x: hb.fori_loop(1, 3, lambda i, c: c + x[i - 1] * x[i], 0.0))
        graph = f.get_concrete_function(hb.asarray(X)).optimized
        (scan,) = (node for node in graph.nodes if node.op.name == "scan")
        assert (scan.attrs["carries"], scan.attrs["xs"]) == (1, 2)
        assert "gather" not in str(graph)
        assert f(hb.asarray(X)).item() == -8

    def test_an_index_out_of_bounds_is_an_error_in_both_modes(self) -> None:
        def f(x: hb.Tensor) -> Any:
            return hb.fori_loop(0, 4, lambda i, c: c + x[i], 0.0)

        for g in (f, hb.compile(f)):
            with pytest.raises(IndexError, match="out of bounds"):
                g(hb.asarray(X))

    def test_other_values_do_not_trace_again(self) -> None:
        f = hb.compile(lambda x, n: hb.fori_loop(0, n, lambda i, c: c * 2, x))
        for n in range(6):
            assert_alike(f(hb.asarray(X), hb.asarray(n)), hb.asarray(X * 2**n))
        assert f.cache_info().misses == 1

    def test_a_compiled_function_in_a_body_is_part_of_it(self) -> None:
        inner = hb.compile(lambda c, x: hb.tanh(c * x))
        f = hb.compile(lambda x: hb.fori_loop(0, 3, lambda i, c: inner(c, x), x))
        assert_alike(f(hb.asarray(X)), f.__wrapped__(hb.asarray(X)))


NUMBERED_STEPS: dict[str, Any] = {
    "times two": lambda i, c: c + i * 2,
    "half": lambda i, c: c + i // 2 + i % 3,
    "compared": lambda i, c: c + (i < 2),
    "negated": lambda i, c: c - abs(-i),
    "a matrix": lambda i, c: c + hb.linalg.inv(hb.eye(2) * (i + 1)).sum(),
    "asserted": lambda i, c: (hb.assert_(i < 9, "too far"), c + 1)[1],  # noqa: PT009
    "an element that nobody reads": lambda i, c: (hb.ones((9, 2))[i], c + 1)[1],
}


@pytest.mark.parametrize("name", NUMBERED_STEPS)
def test_steps_compute_with_their_number_however_many_there_are(name: str) -> None:
    def run(x: hb.Tensor, n: int) -> Any:
        return hb.fori_loop(0, n, NUMBERED_STEPS[name], x.sum())

    with compiled_throughout():
        for traced in (hb.compile(run), hb.compile(run, fullgraph=True, dynamic=True)):
            for n in (3, 4, 2, 0):
                assert traced(hb.ones(3), n).item() == pytest.approx(run(hb.ones(3), n).item())


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "float32", "float64"])
@pytest.mark.parametrize(
    "steps",
    [3, np.int64(3), hb.asarray(3), hb.asarray(3, dtype="int32")],
    ids=["int", "NumPy's", "Tensor", "int32"],
)
def test_the_number_of_a_step_is_weak_in_both_modes(dtype: str, steps: Any) -> None:
    def counted(x: Any, n: Any) -> Any:
        return hb.fori_loop(0, n, lambda i, c: c * 2 + i, x)

    def ranged(x: Any, n: Any) -> Any:
        for i in range(n):
            x = x * 2 + i
        return x

    def turned(x: Any, n: Any) -> Any:  # as an array of its own a number is of the usual dtype
        return hb.fori_loop(0, n, lambda i, c: c + hb.asarray(i).astype(c.dtype), x)

    x = hb.ones(2, dtype=dtype)
    for function in (counted, ranged, turned):
        eager, compiled = function(x, steps), hb.compile(function)(x, steps)
        assert eager.dtype == compiled.dtype == x.dtype
        assert eager.tolist() == compiled.tolist()


@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize("over", [np.arange, hb.arange])
def test_the_elements_of_a_range_that_is_an_array_are_of_its_dtype(over: Any, dtype: str) -> None:
    def summed(x: Any) -> Any:
        for i in over(3):
            x = x + i
        return x

    x = hb.ones(2, dtype=dtype)
    eager, compiled = summed(x), hb.compile(summed)(x)
    assert eager.dtype == compiled.dtype == np.promote_types(dtype, "int64")
    assert eager.tolist() == compiled.tolist()
