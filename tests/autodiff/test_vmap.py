"""vmap does to each example what the function does to one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.autodiff import batching
from hybrid.core.dispatch import bind
from hybrid.core.op import Example, Op
from hybrid.errors import ShapeError, TraceError
from tests.ops.test_registry import CASES, inputs_of

SIZE = 3


def same(a: Any, b: Any, rtol: float = 1e-6) -> None:
    a, b = np.asarray(a), np.asarray(b)
    assert a.dtype == b.dtype
    np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6)


def batch_of(example: Example, position: int) -> np.ndarray[Any, Any]:
    """Return one input of an example SIZE times, each time another permutation of its elements."""
    array = inputs_of(example)[position]
    rng = np.random.default_rng(1)
    return np.stack([rng.permutation(array.reshape(-1)).reshape(array.shape) for _ in range(SIZE)])


def choices(count: int) -> list[tuple[bool, ...]]:
    """Return which inputs have the batch axis: all, and each one alone."""
    alone = [tuple(i == j for i in range(count)) for j in range(min(count, 3))]
    return [c for c in dict.fromkeys([(True,) * count, *alone]) if any(c)]


@pytest.mark.parametrize(("op", "example"), [c for c in CASES if c.values[0].family != "random"])
def test_each_op_does_to_examples_what_it_does_to_one(op: Op, example: Example) -> None:
    arrays = inputs_of(example)
    for batched in choices(len(arrays)):
        given = [batch_of(example, i) if b else arrays[i] for i, b in enumerate(batched)]
        axes = tuple(0 if b else None for b in batched)

        def apply(*inputs: Any) -> Any:
            return bind(op, inputs, example.attrs)

        try:
            rows = [
                apply(*(x[i] if b else x for x, b in zip(given, batched, strict=True)))
                for i in range(SIZE)
            ]
        except np.linalg.LinAlgError:
            continue  # another order of the elements need not have an inverse
        found = hb.vmap(apply, in_axes=axes)(*given)
        for part, wanted in zip(found, zip(*rows)) if op.multi else [(found, rows)]:
            same(part, np.stack([np.asarray(x) for x in wanted]), rtol=1e-4)


ONE_BY_ONE = {"bincount", "histogram", "histogram_bin_edges", "lstsq", "nonzero", "ravel_multi_index", "unique"}  # fmt: skip # noqa: E501
TABLES = {"digitize", "interp", "isin", "quantile", "searchsorted"}
"""Ops that run example by example where each has a table (or an array and quantiles) of its own."""


@pytest.mark.parametrize(("op", "example"), CASES)
def test_only_the_ops_that_the_docs_name_run_example_by_example(
    op: Op, example: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    if op.family == "random" or op.name in ("in_bounds", "moving_view", "moving_update"):
        pytest.skip("no user's function has it: states are split, and passes make the others")
    slow: list[str] = []

    def one_by_one(op: Op, lanes: Any, attrs: Any, size: int) -> Any:
        slow.append(op.name)
        return run(op, lanes, attrs, size)

    run = batching._one_by_one
    monkeypatch.setattr(batching, "_one_by_one", one_by_one)
    arrays = inputs_of(example)
    given = [
        np.stack([x, x]) if i == 0 or op.name not in TABLES else x for i, x in enumerate(arrays)
    ]
    if op.name == "searchsorted":
        given = [arrays[0], np.stack([arrays[1]] * 2)]
    axes = tuple(None if x is y else 0 for x, y in zip(given, arrays, strict=True))
    if not given:
        return
    hb.vmap(lambda *inputs: bind(op, inputs, example.attrs), in_axes=axes)(*given)
    assert bool(slow) == (op.name in ONE_BY_ONE)


def test_axes_of_arguments_and_results() -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    w = {"a": np.ones((4, 3)), "b": 2.0}

    def f(x: Any, w: Any) -> Any:
        return (x * w["b"]).T, w["a"].sum(), x + w["a"][0]

    got = hb.vmap(f, in_axes=(1, {"a": 1, "b": None}), out_axes=(2, 0, -1))(x[:, :, :3], w)
    rows = [f(x[:, i, :3], {"a": w["a"][:, i], "b": 2.0}) for i in range(3)]
    wanted = [np.stack(r, axis=a) for r, a in zip(zip(*rows), (2, 0, -1))]
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_allclose(one.numpy(), other)


def test_shared_results_are_repeated_or_returned_as_they_are() -> None:
    x = hb.arange(3.0)
    same(hb.vmap(lambda row: hb.ones(2))(x), np.ones((3, 2), np.float32))
    same(hb.vmap(lambda row: hb.ones(2), out_axes=None)(x), np.ones(2, np.float32))
    with pytest.raises(ValueError, match="out_axes is None"):
        hb.vmap(lambda row: row, out_axes=None)(x)


@pytest.mark.parametrize("traced", [False, True])
def test_gradients_of_each_example(traced: bool) -> None:
    x = np.linspace(-1, 1, 12).reshape(4, 3)
    w = np.linspace(0, 1, 6).reshape(3, 2)

    def gradient(row: Any, w: Any) -> Any:
        with hb.GradientTape() as tape:
            tape.watch(w)
            y = (hb.tanh(row @ w) ** 2).sum()
        return tape.gradient(y, w)

    mapped = hb.vmap(gradient, in_axes=(0, None))
    x, w = hb.asarray(x), hb.asarray(w)
    got = (hb.compile(mapped) if traced else mapped)(x, w)
    same(got, np.stack([np.asarray(gradient(row, w)) for row in x]))


@pytest.mark.parametrize("traced", [False, True])
def test_gradients_through_a_vmap(traced: bool) -> None:
    def loss(x: Any, w: Any) -> Any:
        with hb.GradientTape() as tape:
            tape.watch([x, w])
            y = hb.vmap(lambda row: hb.sin(row * w).sum())(x)
            z = (y * y).sum()
        return tape.gradient(z, [x, w])

    x, w = hb.asarray(np.linspace(0, 1, 6).reshape(2, 3)), hb.asarray([1.0, 2.0, 3.0], hb.float64)
    a, b = x.numpy(), w.numpy()
    y = np.sin(a * b).sum(1, keepdims=True)
    got = (hb.compile(loss) if traced else loss)(x, w)
    same(got[0], 2 * y * np.cos(a * b) * b)
    same(got[1], (2 * y * np.cos(a * b) * a).sum(0))


def test_nested_vmaps_and_values_from_outside() -> None:
    a, b, c = hb.arange(3.0), hb.arange(4.0), hb.asarray(10.0)
    table = hb.vmap(lambda x: hb.vmap(lambda y: x * y + c)(b))(a)
    same(table, np.outer(np.arange(3.0), np.arange(4.0)).astype(np.float32) + 10)


def test_compiled_functions_inside_and_around() -> None:
    inner = hb.compile(lambda row: hb.exp(row).sum())
    x = hb.asarray(np.linspace(0, 1, 6).reshape(2, 3))
    wanted = np.exp(x.numpy()).sum(1)
    same(hb.vmap(inner)(x), wanted)
    same(hb.compile(hb.vmap(inner))(x), wanted)


def test_writes_in_place_reach_the_argument() -> None:
    def f(row: Any, at: Any) -> Any:
        row[at] = 7.0
        row[1:] *= 2
        return row.sum()

    x = np.arange(6.0).reshape(2, 3)
    rows = x.copy()
    wanted = [f(rows[0], 0), f(rows[1], 2)]
    same(hb.vmap(f)(x, hb.asarray([0, 2])), wanted)
    same(x, rows)


def test_examples_cannot_write_different_values_into_what_they_share() -> None:
    total = hb.zeros(3)
    x = hb.ones((2, 3))
    with pytest.raises(TraceError, match="different values"):
        hb.vmap(lambda row: np.add(row, total, out=total))(x)
    v = hb.Variable(0.0, name="steps")
    with pytest.raises(TraceError, match="steps would get another value"):
        hb.vmap(lambda row: v.assign(row.sum()))(x)
    hb.vmap(lambda row: v.assign_add(1.0))(x)
    assert v.item() == 1


def test_each_example_draws_its_own_numbers_and_the_stream_moves_on() -> None:
    hb.random.seed(3)
    x = hb.zeros((4, 5))
    first = hb.vmap(lambda row: row + hb.random.uniform(5))(x).numpy()
    second = hb.vmap(lambda row: row + hb.random.uniform(5))(x).numpy()
    drawn = np.concatenate([first, second])
    assert len(np.unique(drawn)) == drawn.size
    hb.random.seed(3)
    same(hb.compile(hb.vmap(lambda row: row + hb.random.uniform(5)))(x), first)
    shuffled = hb.vmap(lambda row: hb.random.permutation(20))(x).numpy()
    assert len({tuple(row) for row in shuffled}) == 4


def test_decisions_on_what_all_examples_share_are_allowed() -> None:
    flag = hb.asarray(2.0)

    def f(row: Any) -> Any:
        return row * 2 if flag > 1 else row

    same(hb.vmap(f)(hb.arange(3.0)), np.arange(3, dtype=np.float32) * 2)


def test_a_decision_that_differs_between_examples_names_the_lines() -> None:
    def f(row: Any) -> Any:
        top = row.max()
        return row if top > 1 else -row

    with pytest.raises(TraceError, match=r"(?s)made at .*top > 1.*hb\.where"):
        hb.vmap(f)(hb.ones((2, 3)))
    with pytest.raises(TraceError, match="value of its own"):
        hb.vmap(lambda row: float(row))(hb.ones(2))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: hb.vmap(lambda a, b: a)(hb.ones(2), 2.0), TypeError, "argument 1 is 2.0"),
        (lambda: hb.vmap(lambda a: a)(hb.asarray(2.0)), ShapeError, "has no axis 0"),
        (lambda: hb.vmap(lambda a, b: a)(hb.ones(2), hb.ones(3)), ShapeError, "1 has 3"),
        (lambda: hb.vmap(lambda: hb.ones(2))(), ValueError, "axis_size"),
        (lambda: hb.vmap(lambda a: a, in_axes=(0, 0))(hb.ones(2)), ValueError, "in_axes"),
        (lambda: hb.vmap(lambda a: (a, a), out_axes=(0, 0, 0))(hb.ones(2)), ValueError, "out_axes"),
    ],
)
def test_errors_say_which_argument(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize("size", [0, 1])
def test_batches_of_none_and_of_one(size: int) -> None:
    x = np.ones((size, 3, 2))
    got = hb.vmap(lambda m: hb.cumsum(m.T @ m, axis=1)[0])(x)
    assert got.shape == (size, 2)
    assert hb.vmap(lambda n: hb.ones(3), axis_size=5, in_axes=None)(1).shape == (5, 3)


@pytest.mark.parametrize("traced", [False, True])
def test_control_flow_is_mapped(traced: bool) -> None:
    def f(row: Any) -> Any:
        last, sums = hb.scan(lambda c, a: (c + a, c * a), row[0] * 0, row)
        grown = hb.while_loop(lambda c: c.sum() < 20, lambda c: c + 1, row)
        chosen = hb.cond(row.sum() > 5, lambda q: q * 2, lambda q: q - 1, row)
        return last, sums, grown, chosen, hb.fori_loop(0, 3, lambda i, c: c + row * i, row)

    x = hb.reshape(hb.arange(6.0), (2, 3))
    mapped = hb.vmap(f)
    got = (hb.compile(mapped) if traced else mapped)(x)
    for part, wanted in zip(got, zip(*(f(row) for row in x), strict=True), strict=True):
        same(part, np.stack([w.numpy() for w in wanted]))


def _square(p: hb.Tensor) -> hb.Tensor:
    return hb.reshape(p, (2, 2))


BESIDE_NUMBERS: dict[str, Any] = {
    "powers": lambda p, rate, n: p**rate + rate**2 + p**n + rate**n,
    "sums": lambda p, rate, n: p * rate + n * p.shape[0] + hb.arange(4) * n,
    "comparisons": lambda p, rate, n: p * (rate == n) + (p > rate) * n,
    "a decision": lambda p, rate, n: p if n > 2 and rate < 3 else -p,
    "a division": lambda p, rate, n: p / n + rate / n + rate // n,
    "the gradient": lambda p, rate, n: hb.grad(lambda q: (q**n).sum() * rate)(p),
    "within another": lambda p, rate, n: hb.vmap(lambda q: q * rate + n**rate)(p),
    "a loop": lambda p, rate, n: hb.while_loop(lambda c: c.sum() < n * 10, lambda c: c + 1, p),
    "sizes": lambda p, rate, n: hb.reshape(p, (-1, 2)) * p.shape[0] + p.size,
    "columns": lambda p, rate, n: _square(p)[:, hb.asarray([0, 1, 1])] * rate,
    "a column of its own": lambda p, rate, n: _square(p)[:, hb.astype(p[0], hb.int64) % 2] * n,
    "a written column": lambda p, rate, n: _column_written(p, n),
    "whether it is an ndarray": lambda p, rate, n: p * (2 if isinstance(p, np.ndarray) else 3),
    "what type it is of": lambda p, rate, n: p * (2 if type(p) is np.ndarray else 3),
    "converted": lambda p, rate, n: hb.asarray(p) * rate,
}


def _column_written(p: hb.Tensor, n: int) -> hb.Tensor:
    grid = hb.zeros((4, 4), dtype=p.dtype)
    grid[:, hb.astype(p[0], hb.int64) % 4] += p * n
    return grid


@pytest.mark.parametrize("name", BESIDE_NUMBERS)
@pytest.mark.parametrize("dynamic", [None, True])
def test_in_a_trace_the_function_may_use_numbers_that_are_not_known_yet(
    name: str, dynamic: bool | None
) -> None:
    def mapped(x: Any, rate: float, n: int) -> hb.Tensor:
        return hb.vmap(lambda p: BESIDE_NUMBERS[name](p, rate, n))(x)

    traced = hb.compile(mapped, dynamic=dynamic)
    for x in (np.arange(20.0).reshape(5, 4), hb.reshape(hb.arange(20.0), (5, 4))):
        for rate, n in ((1.5, 3), (0.5, 4), (2.5, 2)):
            expected = np.stack(
                [np.asarray(BESIDE_NUMBERS[name](p, rate, n)) for p in hb.asarray(x)]
            )
            for f in (mapped, traced):
                np.testing.assert_allclose(np.asarray(f(x, rate, n)), expected, rtol=1e-5)


def test_a_division_of_numbers_by_zero_is_pythons() -> None:
    traced = hb.compile(lambda x, a, b: hb.vmap(lambda p: p + a / b)(x))
    assert traced(hb.ones(2), 1.0, 2.0).tolist() == [1.5, 1.5]
    with pytest.raises(ZeroDivisionError):
        traced(hb.ones(2), 1.0, 0.0)


class _Holder:
    def __init__(self, x: hb.Tensor) -> None:
        self.x = x


def _filled_by_numpy(p: Any) -> Any:
    out = np.zeros(2)
    out[0] = p[0]
    return out


def _added_outside(x: hb.Tensor) -> Any:
    total = hb.zeros(2)

    def add(p: hb.Tensor) -> hb.Tensor:
        total[...] += p  # here
        return p

    return hb.vmap(add)(x)


MISTAKES: dict[str, tuple[Any, type[Exception], str]] = {
    "an axis that no result has": (
        hb.vmap(hb.sum, out_axes=1),
        ShapeError,
        r"vmap: out_axes asks for axis 1 of a result of shape \(3,\).*\n  at .*test_vmap",
    ),
    "axes for fewer arguments": (
        lambda x: hb.vmap(lambda p, q: p, in_axes=(0,))(x, x),
        ValueError,
        r"in_axes=\(0,\) does not nest as the 2 arguments do\n  at .*test_vmap",
    ),
    "an object": (
        lambda x: hb.vmap(lambda h: h.x)(_Holder(x)),
        TypeError,
        r"argument 0 is of type _Holder, which has no axis.*hb.register_container",
    ),
    "an ndarray filled number by number": (
        hb.vmap(_filled_by_numpy),
        TraceError,
        r"writing into the ndarray out .* has a value of its own in each example",
    ),
    "a sum outside": (_added_outside, TraceError, r"different values.*at .*in add: total.*# here"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_with_the_line_and_the_way_out(name: str) -> None:
    f, error, text = MISTAKES[name]
    with pytest.raises(error, match=f"(?s){text}"):
        f(hb.ones((3, 2)))
