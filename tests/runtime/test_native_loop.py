"""Loops in native code give what the same bodies give step by step."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core import containers
from hybrid.kernels import products
from hybrid.runtime import native_loop, native_program, native_scalars
from hybrid.runtime.native_program import Nested
from hybrid.trace.control.run import NativeLoops

X = np.arange(24, dtype=np.float32).reshape(6, 4) / 8 - 1


def constant_results(x: hb.Tensor) -> Any:
    return hb.scan(lambda c, r: ((c[1], r, c[2] * 0 + 2), (c[0], 5, True)), (x[0], x[1], 1.0), x)


def reductions(x: hb.Tensor) -> Any:
    return hb.scan(lambda c, r: (hb.softmax(c + r), (r.sum(), c.max())), x[0], x, reverse=True)


def turned(x: hb.Tensor) -> Any:
    return hb.scan(lambda c, r: (c * 0.5 + r, c + x.T[0]), x[:, 1], x.T)


def every_other(x: hb.Tensor) -> Any:
    return hb.scan(lambda c, r: (c + r[::-1], r), x[0], x[::-2])


def mandelbrot(x: hb.Tensor) -> Any:
    def step(state: Any) -> Any:
        n, a, b = state
        return n + 1, a * a - b * b + x[0, 0], 2 * a * b + x[1, 0]

    return hb.while_loop(
        lambda s: hb.logical_and(s[0] < 50, s[1] * s[1] + s[2] * s[2] < 4), step, (0, 0.0, 0.0)
    )


def flag_in_the_carry(x: hb.Tensor) -> Any:
    return hb.while_loop(lambda s: s[0], lambda s: (s[1].sum() < 3, s[1] + 1), (True, x))


def large(x: hb.Tensor) -> Any:
    big = hb.ones((600, 600)) * x[0, 0]
    return hb.fori_loop(0, 4, lambda i, c: hb.tanh(c) * i + big, big).sum()


def put_together(x: hb.Tensor) -> Any:
    def step(c: Any, r: Any) -> Any:
        turned = hb.stack([c[1], c[0] * 0.5, r[3], r[0] + c[2]])
        y = hb.concat([turned[2:], c[:1], hb.pad(r[1:3], (1, 2), constant_values=7.0)])
        return turned, (y, hb.stack([turned, r], axis=1))

    return hb.scan(step, x[0], x)


def kalman(x: hb.Tensor) -> Any:
    """A filter of two states and one measurement, whose gain needs no solver."""
    a, h = hb.asarray([[1.0, 0.1], [0.0, 1.0]], dtype="float32"), hb.ones((1, 2))

    def step(carry: Any, z: hb.Tensor) -> Any:
        mean, cov = carry
        mean, cov = a @ mean, a @ cov @ a.T + 0.01 * hb.eye(2)
        gain = cov @ h.T / (h @ cov @ h.T + 0.1)
        mean = mean + gain @ (z[:1] - h @ mean)
        return (mean, cov - gain @ h @ cov), (mean, cov)

    return hb.scan(step, (hb.zeros(2), hb.eye(2)), x)


def products_of_parts(x: hb.Tensor) -> Any:
    def step(c: hb.Tensor, r: hb.Tensor) -> Any:
        left = c[1:3, ::2] @ x[:2, 1:]
        return c + (r[:0:-1] @ left.T).sum() * 0.01, (left, x @ r, r @ r)

    return hb.scan(step, x, x, reverse=True)


def products_of_batches(x: hb.Tensor) -> Any:
    stack = hb.stack([x[:4] * 0.5, x[2:]])
    return hb.fori_loop(0, 5, lambda i, c: hb.tanh(c @ stack[0] + stack[:, ::-1] @ c[1]), stack)


def equations(x: hb.Tensor) -> Any:
    """Solvers of one and of several right sides, an inverse and both triangular factors."""

    def step(c: Any, r: Any) -> Any:
        a = c @ c.T * 0.1 + 2 * hb.eye(4)
        lower, upper = (hb.linalg.cholesky(a, upper=side) for side in (False, True))
        solved = hb.linalg.solve(a, r), hb.linalg.solve(a.T, c[:, ::2]), hb.linalg.solve(a, a)
        return c * 0.5 + lower @ upper * 0.1 + hb.linalg.inv(a[::-1, ::-1]), solved

    return hb.scan(step, x[:4], x)


def of_one_row(x: hb.Tensor) -> Any:
    return hb.scan(lambda c, r: ((c + r).sum(axis=0, keepdims=True), c.sum(axis=0)), x[:1], x)


def loops_in_steps(x: hb.Tensor) -> Any:
    """An odd and an even number of steps, backwards, over parts of rows, carries and arrays."""

    def step(c: Any, r: Any) -> Any:
        halved = hb.fori_loop(0, 7, lambda i, d: d * 0.5 + r * i, c)
        turned = hb.scan(lambda d, q: (d + q[1:3], (d * q[0], q * 2)), c[::2], x.T[1:], None, True)
        first, n = hb.fori_loop(0, 4, lambda i, s: (s[0] + r[1], s[1] + 1), (c[0], 0))
        return halved * 0.1 + first, (turned, n, first)

    return hb.scan(step, x[0], x)


def loops_in_loops_in_loops(x: hb.Tensor) -> Any:
    def innermost(i: Any, c: Any) -> Any:
        return hb.fori_loop(0, 3, lambda j, d: hb.tanh(d @ x.T @ x * 0.1 + j), c)

    return hb.fori_loop(0, 4, lambda i, c: hb.fori_loop(0, 3, innermost, c + i), x)


def loop_in_a_while_loop(x: hb.Tensor) -> Any:
    def relaxed(state: Any) -> Any:
        n, c = state
        return n + 1, hb.fori_loop(0, 5, lambda i, d: 0.5 * (d + hb.flip(d)) + 0.1, c)

    return hb.while_loop(lambda s: s[1].sum() < 90, relaxed, (0, x))


def rows_of_a_carry(x: hb.Tensor) -> Any:
    """The inner loop goes over rows of what the outer one has just computed."""

    def step(c: Any, _: Any) -> Any:
        total, sums = hb.scan(lambda s, r: (s + r, s[1:]), c[0] * 0, c * 2)
        return c * 0.5 + total, sums

    return hb.scan(step, x, None, length=5)


def rows_by_number(x: hb.Tensor) -> Any:
    def step(i: Any, c: Any) -> Any:
        return hb.fori_loop(0, 3, lambda j, d: d + x[j] * 0.5, c) + x[i]

    return hb.fori_loop(0, 6, step, x[0])


def parts_and_orders(x: hb.Tensor) -> Any:
    return hb.scan(lambda c, r: (c[::-1], (r[1:], c[::2], x.T, c[1:])), x[0], x)


def rows_by_data(x: hb.Tensor) -> Any:
    """Rows, elements and columns at places that a step computes."""

    def step(c: Any, r: Any) -> Any:
        total, at = c
        place = (at * 5 + 3) % 6
        total = total * 0.5 + x[place] + x.T[hb.asarray([1, -2, 0, 3]), place]
        return (total, place), (x[place, place % 4], x[:, place % 2 - 1])

    return hb.scan(step, (x[0], hb.asarray(2)), x)


def path_back(x: hb.Tensor) -> Any:
    """Follow pointers, as a decoder does from its last step on."""
    back = hb.argmax(x[:, :, None] + x[:, None], axis=1)
    return hb.scan(lambda at, row: (row[at], at), hb.argmax(x[-1]), back, reverse=True)


def extremes(x: hb.Tensor) -> Any:
    """Places of extremes in short rows, in long ones, and in some that lie backwards."""
    long = hb.concat([x.reshape(-1)] * 12)

    def step(c: Any, r: Any) -> Any:
        wide, at = long * r[0], hb.argmax(c * r)
        places = hb.argmin(hb.stack([wide, -wide]), axis=1), hb.argmax(r[::-1], keepdims=True)
        return (c + x[at]) / 2, (at, places, hb.argmax(hb.where(c > 0, c, hb.nan)))

    return hb.scan(step, x[0], x)


def rows_by_data_in_steps(x: hb.Tensor) -> Any:
    def step(at: Any, r: Any) -> Any:
        return hb.fori_loop(0, 3, lambda i, n: (n * 3 + i) % 6, at), x[at] + r

    return hb.scan(step, hb.asarray(1), x)


def gradients_of_loops_in_steps(x: hb.Tensor) -> Any:
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = hb.scan(
            lambda c, r: (hb.fori_loop(0, 3, lambda i, d: hb.sin(d * r), c), c.sum()), x[0], x
        )[1].sum()
    return tape.gradient(y, x)


PROGRAMS = [
    loops_in_steps, loops_in_loops_in_loops, loop_in_a_while_loop, rows_of_a_carry, rows_by_number,
    rows_by_data, path_back, rows_by_data_in_steps, extremes, parts_and_orders,
    kalman, equations, products_of_parts, products_of_batches, of_one_row,
    constant_results, reductions, turned, every_other, put_together, mandelbrot, flag_in_the_carry,
    large,
]  # fmt: skip


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    loops: list[Any] = []
    find = NativeLoops.find

    def watched(self: NativeLoops, arrays: Any) -> Any:
        loops.append(find(self, arrays))
        return loops[-1]

    monkeypatch.setattr(NativeLoops, "find", watched)
    return loops


def assert_alike(got: Any, expected: Any) -> None:
    for a, b in zip(containers.leaves_of(got), containers.leaves_of(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("chunk", "most"), [(1, 0), (1, native_scalars.MOST), (50_000_000, native_scalars.MOST)]
)
@pytest.mark.parametrize("f", PROGRAMS)
def test_the_result_is_that_of_eager_code(
    f: Callable[..., Any], chunk: int, most: int, found: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By kernels, and where a step is a few numbers, in one function."""
    for module in (native_loop, native_scalars):
        monkeypatch.setattr(module, "LONGEST_NS", chunk)  # 1: Python looks after each step
    monkeypatch.setattr(native_scalars, "MOST", most)
    g = hb.compile(f)
    for x in (X, X[::-1], X):
        assert_alike(g(hb.asarray(x)), f(hb.asarray(x)))
    assert len(found) == 3
    assert None not in found


@pytest.mark.parametrize("f", [products_of_parts, products_of_batches, loops_in_loops_in_loops])
def test_products_in_loops_are_divided_among_threads(
    f: Callable[..., Any], found: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_scalars, "MOST", 0)
    for name in ("_WORTH_DIVIDING", "_LEAST", "_MULTIPLE"):
        monkeypatch.setattr(products, name, 1)
    assert_alike(hb.compile(f)(hb.asarray(X)), f(hb.asarray(X)))
    assert found[-1] is not None
    actions = [entry.action for entry in found[-1].body.entries]
    assert any(isinstance(x, Nested) or getattr(x, "divided", ()) for x in actions)


# --- a few numbers --------------------------------------------------------------------------------


def lorenz(x: hb.Tensor) -> Any:
    def step(s: Any, _: Any) -> Any:
        a, b, c = s[0], s[1], s[2]
        s = s + 0.01 * hb.stack([10.0 * (b - a), a * (28.0 - c) - b, a * b - 2.5 * c])
        return s, s

    return hb.scan(step, x[:3, 0], None, 50)


def swapped(x: hb.Tensor) -> Any:
    """The old values are read where new ones are written."""
    return hb.fori_loop(0, 7, lambda i, s: (s[1], s[0], s[2] + i), (x[0, 0], x[1, 1], 0))


def tiny_softmax(x: hb.Tensor) -> Any:
    def step(c: Any, r: Any) -> Any:
        p = hb.softmax(c[:, None] * r, axis=1)
        return p.mean(axis=1), (p.max(), hb.any(p > 0.3), hb.all(p > 0.01, axis=1), p.prod(axis=0))

    return hb.scan(step, x[0], x[:, :3], None, True)


def dtypes_and_writes(x: hb.Tensor) -> Any:
    def step(c: Any, r: Any) -> Any:
        number, flags, kept = c
        kept = kept.copy()
        kept[1:3] = r[:2] * number
        kept[0] = 7
        return (number // 2 + 3, flags ^ (r > 0), kept), (number, kept[::-1], r.astype(hb.int32))

    return hb.scan(step, (hb.asarray(9), x[0] > 0, x[1]), x[:, ::-1])


def converging(x: hb.Tensor) -> Any:
    def step(s: Any) -> Any:
        return (s[0] + 2 / s[0]) / 2, s[1] + 1

    far = lambda s: abs(s[0] * s[0] - 2) > 1e-6 + 0 * x[0, 0]
    return hb.while_loop(far, step, (2.0 + x[0, 0] ** 2, 0))


def not_once(x: hb.Tensor) -> Any:
    return hb.while_loop(lambda s: s[0] < 0, lambda s: (s[0] + 1, s[1] * 2), (0, x[0]))


def nothing_changes(x: hb.Tensor) -> Any:
    return hb.fori_loop(0, 3, lambda i, c: c, x[0, :2] * 2)


@pytest.mark.parametrize("chunk", [1, 50_000_000])
@pytest.mark.parametrize(
    "f",
    [lorenz, swapped, tiny_softmax, dtypes_and_writes, converging, not_once, nothing_changes],
)
def test_steps_of_a_few_numbers_are_one_function(
    f: Callable[..., Any], chunk: int, found: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_scalars, "LONGEST_NS", chunk)
    g = hb.compile(f)
    for x in (X, X[::-1], np.asfortranarray(X)):
        assert_alike(g(hb.asarray(x)), f(hb.asarray(x)))
    assert len(found) == 3
    assert all(isinstance(loop, native_scalars.ScalarLoop) for loop in found)


def test_steps_that_begin_with_constants_alone_are_one_function(found: list[Any]) -> None:
    def ramps(x: Any, n: int) -> Any:
        step = lambda c, p: (c + 1, (hb.arange(4) * n + p, hb.maximum(hb.arange(4) - 2, n)))
        return hb.scan(step, hb.zeros(()), x)[1]

    g = hb.compile(ramps)
    for n in (3, 4, 5):
        assert_alike(g(hb.asarray(X[:, :4]), n), ramps(hb.asarray(X[:, :4]), n))
    assert found
    assert all(isinstance(loop, native_scalars.ScalarLoop) for loop in found)


def test_no_bit_differs_from_a_loop_of_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for most in (0, native_scalars.MOST):
        monkeypatch.setattr(native_scalars, "MOST", most)
        results.append(hb.compile(lambda x: lorenz(x))(hb.asarray(X))[1].numpy())
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("seed", range(40))
def test_random_steps_of_a_few_numbers(seed: int) -> None:
    rng = random.Random(seed)
    dtype = rng.choice(["float32", "float64", "int32", "int64", "uint8"])
    shapes = [rng.choice([(), (1,), (2,), (3,), (2, 2)]) for _ in range(rng.randrange(1, 4))]
    choices = [rng.randrange(100) for _ in range(60)]

    def step(carry: Any, row: Any) -> Any:
        pick = iter(choices)
        values = [*carry, row, row[:1], row.sum()]
        for _ in range(8):
            a, b = (values[next(pick) % len(values)] for _ in "ab")
            match next(pick) % 7:
                case 0:
                    values.append(a + b.max())
                case 1:
                    values.append(a.min() - b)
                case 2:
                    values.append(hb.where(a > a.max() // 2, a, a * 0))
                case 3:
                    values.append(hb.flip(a) * 2)
                case 4:
                    values.append(hb.stack([a.sum(dtype=dtype), b.max()]))
                case 5:
                    values.append(hb.maximum(a, b.min()) % 7)
                case 6:
                    values.append((a.reshape(-1)[:1] * b).astype(dtype))
        new = [
            hb.broadcast_to(values[next(pick) % len(values)].sum(dtype=dtype) % 11, shape) + old
            for shape, old in zip(shapes, carry, strict=True)
        ]
        return tuple(x.astype(dtype) for x in new), tuple(values[-4:])

    def f(x: Any) -> Any:
        return hb.scan(step, tuple(hb.ones(s, dtype=dtype) for s in shapes), x, None, seed % 3 == 0)

    x = hb.asarray(np.arange(15).reshape(5, 3) % 4).astype(dtype)
    got, expected = hb.compile(f)(x), f(x)
    for a, b in zip(containers.leaves_of(got), containers.leaves_of(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4 if "32" in dtype else 1e-9)


def test_a_loop_in_a_step_that_takes_long_is_called_from_python(
    found: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_program, "LONGEST_NS", 100)  # Python could not be interrupted
    g = hb.compile(loops_in_loops_in_loops)
    assert_alike(g(hb.asarray(X)), loops_in_loops_in_loops(hb.asarray(X)))
    assert found[0] is None
    assert found[-1] is not None


def test_gradients_of_loops_in_steps_run_natively(found: list[Any]) -> None:
    g = hb.compile(gradients_of_loops_in_steps)
    assert_alike(g(hb.asarray(X)), gradients_of_loops_in_steps(hb.asarray(X)))
    assert len(found) == 2
    assert None not in found


def test_threads_have_frames_of_their_own() -> None:
    f = hb.compile(lambda x: hb.fori_loop(0, 20_000, lambda i, c: c * 0.5 + x, x))
    f(hb.asarray(X))
    results: dict[int, Any] = {}

    def work(number: int) -> None:
        results[number] = f(hb.asarray(X * number)).numpy()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(6):
        np.testing.assert_allclose(results[number], X * number * 2, rtol=1e-5)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: hb.fori_loop(
            0, 3, lambda i, c: hb.linalg.solve(c.T @ c + hb.eye(4), x.T[None])[0].T, x
        ),
        lambda x: hb.fori_loop(0, 3, lambda i, c: hb.sort(c * 0.5 + x, axis=0), x),
        lambda x: hb.scan(lambda c, r: (c, hb.print("") or r), 0.0, x[:0])[1],
        lambda x: hb.fori_loop(0, 3, lambda i, c: c[::-1].T.reshape(6, 4), x),
    ],
)
def test_what_is_more_than_kernels_runs_by_plans(f: Callable[..., Any], found: list[Any]) -> None:
    assert_alike(hb.compile(f)(hb.asarray(X)), f(hb.asarray(X)))
    assert not any(found)


def powers(x: hb.Tensor) -> hb.Tensor:
    return hb.scan(lambda c, r: (hb.tanh(c * r), c.sum()), x[0], x)[1].sum()


def parts(x: hb.Tensor) -> hb.Tensor:
    """The gradients of slices are pads, those of stacks slices."""

    def step(c: Any, r: Any) -> Any:
        a, b = c[0], c[1:]
        return hb.concat([b * r[0], hb.stack([hb.sin(a) * r[2]])]), None

    return (hb.scan(step, x[0], x)[0] ** 2).sum()


@pytest.mark.parametrize("f", [powers, parts])
def test_gradients_run_natively_both_ways(f: Callable[..., Any], found: list[Any]) -> None:

    def gradient(g: Callable[..., Any]) -> hb.Tensor:
        x = hb.asarray(X)
        with hb.GradientTape() as tape:
            tape.watch(x)
            y = g(x)
        return tape.gradient(y, x)

    expected = gradient(f)
    assert_alike(gradient(hb.compile(f)), expected)
    assert len(found) == 2
    assert None not in found


def shrinking(x: Any) -> Any:
    def step(c: Any, r: Any) -> Any:
        return c - r * 0.3, hb.linalg.cholesky(c)

    return hb.scan(step, hb.eye(2, dtype="float64"), x)


def test_a_singular_matrix_is_the_error_of_eager_code(found: list[Any]) -> None:
    compiled = hb.compile(shrinking)
    for values in ([1.0, 1.0], [1.0, 9.0, 1.0], [0.5, 0.25], [1.0, 9.0, 1.0]):
        x = hb.asarray(np.array(values))
        if max(values) < 9:
            assert_alike(compiled(x), shrinking(x))
            continue
        texts = []
        for f in (compiled, shrinking):
            with pytest.raises(np.linalg.LinAlgError, match=r"test_native_loop\.py") as caught:
                f(x)
            texts.append(str(caught.value).partition("\n")[0])
        assert texts[0] == texts[1]
    assert len(found) == 4
    assert None not in found


def test_a_singular_matrix_in_a_loop_of_a_step_is_the_error_of_eager_code(found: list[Any]) -> None:
    def f(x: Any) -> Any:
        def step(c: Any, r: Any) -> Any:
            return c + hb.fori_loop(0, 2, lambda i, d: hb.linalg.inv(d * r), hb.eye(2) * 1.0), r

        return hb.scan(step, hb.eye(2), x)

    compiled = hb.compile(f)
    good, bad = (hb.asarray(np.array(x, np.float32)) for x in ([1.0, 2.0], [1.0, 0.0]))
    assert_alike(compiled(good), f(good))
    assert None not in found
    with pytest.raises(np.linalg.LinAlgError, match=r"test_native_loop\.py"):
        compiled(bad)
    assert_alike(compiled(good), f(good))


def following(x: Any, start: Any) -> Any:
    """Follow pointers until one of them is the last place."""
    return hb.while_loop(lambda s: s[0] != 5, lambda s: (x[s[0]], s[1] + 1), (start, 0))


def stepping(x: Any, start: Any) -> Any:
    def step(at: Any, r: Any) -> Any:
        return hb.fori_loop(0, 2, lambda i, n: x[n], at), r

    return hb.scan(step, start, x)


@pytest.mark.parametrize("f", [following, stepping])
@pytest.mark.parametrize("most", [0, native_scalars.MOST])
def test_an_index_out_of_bounds_is_the_error_of_eager_code(
    f: Callable[..., Any], most: int, found: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a loop go on for ever that looks at the first element instead."""
    monkeypatch.setattr(native_scalars, "MOST", most)
    compiled, start = hb.compile(f), hb.asarray(0)
    for bad in (None, 6, -7, None):
        x = np.array([1, 2, 3, 4, 5, 5])
        if bad is None:
            assert_alike(compiled(hb.asarray(x), start), f(hb.asarray(x), start))
            continue
        x[2] = bad
        texts = []
        for g in (compiled, f):
            with pytest.raises(IndexError, match=r"test_native_loop\.py") as caught:
                g(hb.asarray(x), start)
            texts.append(str(caught.value).partition("\n")[0])
        assert texts[0] == texts[1]
    assert found
    assert None not in found


def test_another_nan_than_that_of_a_solver_retires_the_loop(found: list[Any]) -> None:
    def f(x: Any) -> Any:
        def step(c: Any, r: Any) -> Any:
            return hb.linalg.inv(c + hb.eye(2, dtype="float64")), hb.sqrt(r)

        return hb.scan(step, hb.eye(2, dtype="float64"), x)

    compiled, x = hb.compile(f), hb.asarray(np.array([1.0, -1.0, 4.0]))
    with np.errstate(invalid="ignore"):
        for _ in range(3):
            assert_alike(compiled(x), f(x))
    assert found[0] is not None
    assert found[1:] == [None, None]
