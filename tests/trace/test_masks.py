"""What a mask selects stays one graph for any number of elements, as long as nobody counts them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import EagerFallbackWarning

Function = Callable[..., Any]


def draw(rng: np.random.Generator, kind: str) -> Any:
    if kind == "ints":
        return rng.integers(-5, 6, 30)
    if kind == "rows":
        return rng.standard_normal((6, 5))
    if kind.startswith("mask"):
        return rng.random({"mask6": 6, "mask5": 5, "mask": (6, 5)}[kind]) > 0.5
    return rng.standard_normal(30)


def leaves(x: Any) -> list[Any]:
    return [np.asarray(leaf) for leaf in (x if isinstance(x, tuple) else (x,))]


def hold(compiled: Function, function: Function, kinds: tuple[str, ...], calls: int = 12) -> None:
    """Call both on data of which masks select ever other numbers; results and arguments agree."""
    rng = np.random.default_rng(len(kinds))
    for _ in range(calls):
        given = [draw(rng, kind) for kind in kinds]
        ours, theirs = ([hb.asarray(x.copy()) for x in given] for _ in range(2))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            expected = leaves(function(*theirs)) + leaves(tuple(theirs))
        found = leaves(compiled(*ours)) + leaves(tuple(ours))
        for one, other in zip(found, expected, strict=True):
            assert (one.shape, one.dtype) == (other.shape, other.dtype)
            if one.dtype.kind in "fc":
                np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)
            else:
                np.testing.assert_array_equal(one, other)


# --- one graph ------------------------------------------------------------------------------------


def scaled(x):
    x[x > 0] *= 2.0
    return x


def all_operators(x):
    m = x > 0
    x[m] += 1
    x[m] -= 0.5
    x[m] *= 3
    x[m] /= 7
    x[m] **= 2
    x[m] //= 0.01
    x[m] %= 3.0
    return x


def operators_of_ints(x):
    m = x > 0
    x[m] <<= 2
    x[m] |= 1
    x[m] ^= 3
    x[m] &= 7
    x[m] >>= 1
    return x


def divided_where_it_can_be(x, y):
    m = y != 0
    x[m] //= y[m]
    return x


def remainder_where_there_is_one(x, y):
    m = y != 0
    x[m] %= y[m]
    return x


def function_of_two(x, y):
    m = (x > 0) & (y > 0)
    x[m] = np.sqrt(x[m]) * np.log(y[m]) + y[m] ** 2
    return x


def condition_written_twice(x):
    x[x < 0] = -x[x < 0]
    return x


def nan_taken_out(x):
    y = np.log(x)
    y[np.isnan(y)] = 0.0
    y[~np.isfinite(y)] *= 0.0
    return y


def number_of_the_data(x):
    s = x.mean()
    m = x > s
    x[m] -= s
    x[~m] = s
    return x


def written_in_between(x):
    m = x > 0
    t = x[m]
    x[:] = 7.0
    x[m] = t * 2
    return x


def narrower(x):
    y = x.astype(np.float32)
    y[y > 0] *= np.float64(1.1)
    n = x.astype(np.int32)
    n[x > 0] = x[x > 0] * 3
    return y, n


def chosen_and_clipped(x, m):
    x[m] = np.where(x[m] > 0.5, np.clip(x[m], 0, 1), x[m].astype(np.float32))
    return x


def rows(x, m):
    x[m] *= 2
    x[m, :] += np.arange(5.0)
    return x


def columns(x, m):
    x[:, m] *= 2
    x[1:4, m] -= 1.5
    x[2, m] = np.exp(x[2, m])
    return x


def one_column(x, m):
    x[m, 2] *= 2
    x[m, -1] = 0.0
    return x


def flags(x):
    b = x > 0
    b[x < 1] = ~b[x < 1]
    b[x > 1] &= False
    return b


def complex_parts(x):
    z = x + 1j * x[::-1]
    m = x > 0
    z[m] *= 1j
    z.real[m] += 1
    return z


def a_view_of_it(x):
    y = x[10:]
    m = y > 0
    y[m] *= 2
    x[x < 0] = y.sum()
    return x, y


def body_of_a_scan(x):
    def step(c, i):
        c = c * 1.0
        c[c > 0] *= 0.9
        c[c < 0] = -c[c < 0]
        return c, c.sum()

    return hb.scan(step, x, np.arange(5.0))


def body_of_a_branch(x):
    def above(y):
        y = y * 1.0
        y[y > 0] += 1
        return y

    return hb.cond(x.sum() > 0, above, lambda y: y - 1, x)


def each_example(x):
    def one(row):
        row = row * 1.0
        row[row > 0] *= 2
        row[row < -1] = np.sqrt(-row[row < -1])
        return row

    return hb.vmap(one)(x)


def many_steps(x):
    for i in range(50):
        x[x > 0.01 * i] *= 0.9
    return x


@pytest.mark.parametrize(
    ("function", "kinds"),
    [
        (scaled, ("floats",)),
        (all_operators, ("floats",)),
        (operators_of_ints, ("ints",)),
        (divided_where_it_can_be, ("ints", "ints")),
        (remainder_where_there_is_one, ("ints", "ints")),
        (function_of_two, ("floats", "floats")),
        (condition_written_twice, ("floats",)),
        (nan_taken_out, ("floats",)),
        (number_of_the_data, ("floats",)),
        (written_in_between, ("floats",)),
        (narrower, ("floats",)),
        (chosen_and_clipped, ("rows", "mask")),
        (rows, ("rows", "mask6")),
        (columns, ("rows", "mask5")),
        (one_column, ("rows", "mask6")),
        (flags, ("floats",)),
        (complex_parts, ("floats",)),
        (a_view_of_it, ("floats",)),
        (body_of_a_scan, ("floats",)),
        (body_of_a_branch, ("floats",)),
        (each_example, ("rows",)),
        (many_steps, ("floats",)),
    ],
)
def test_writes_of_what_is_computed_element_by_element_are_one_graph(function, kinds):
    compiled = hb.compile(function, fullgraph=True)
    hold(compiled, function, kinds)
    assert "in 1 segment" in compiled.explain()


def test_arrays_of_numpy_are_written_too():
    compiled = hb.compile(function_of_two, fullgraph=True)
    x, y = np.array([1.0, -1.0, 4.0]), np.array([2.0, 1.0, -1.0])
    compiled(x, y)
    np.testing.assert_allclose(x, [np.log(2) + 4, -1.0, 4.0])


# --- what asks for the elements -------------------------------------------------------------------


def returned(x):
    t = x[x > 0] * 2
    x[x > 0] = 0
    return t, x


def held_by_two_names(x):
    t = x[x > 0]
    u = t
    t *= 2
    return u, t, x


def view_of_what_is_selected(x):
    t = x[x > 0]
    t *= 2
    w = t[1:]
    w += 1
    return w, t


def mask_written_later(x):
    m = x > 0
    t = x[m]
    m[:10] = False
    x[m] = 1
    return t, x


def summed(x):
    m = x > 0
    if x[m].sum() > 3:
        x[m] *= 2
    return x


def counted(x):
    t = x[x > 0]
    return t.size, len(t), t.shape[0], t.ndim, t.dtype == np.float64


def turned_around(x, m):
    x[m] = x[m][::-1]
    return x


def mean_of_rows(x, m):
    x[m] -= x[m].mean(axis=0)
    return x


def another_mask(x):
    a, b = x > np.median(x), x <= np.median(x)
    x[a] = x[b]
    return x


def powers_of_ints(x):
    m = x > 0  # of others there is no power by an int below 0: NumPy raises
    x[m] = x[m] ** x[m]
    return x


def no_quotient_of_ints(x):
    try:
        x[x > 0] /= 2
    except TypeError:
        x[x > 0] = 9
    return x


def shapes_that_do_not_fit(x):
    try:
        x[x > 0] += np.arange(3.0)
    except ValueError:
        x[0] = 3
    return x


def vector_of_the_rows(x, m):
    x[m] *= np.arange(5.0)[None]
    x[m] += np.arange(5.0)[None, None, 0]
    return x


def seen_from_a_branch(x):
    t = x[x > 0]

    def doubled(y):
        nonlocal t
        t *= 2
        return y + t.sum()

    return hb.cond(x.sum() > 0, doubled, lambda y: y, x), t


def kept_from_step_to_step(x):
    for _ in range(5):
        t = x[x > 0]
        x[x > 0] = t * 0.9
    return x, t


def text_of_it(x):
    t = x[x > 0]
    return float(t[0]), str(t) == str(x[x > 0]), t * 2


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
@pytest.mark.parametrize(
    ("function", "kinds"),
    [
        (returned, ("floats",)),
        (held_by_two_names, ("floats",)),
        (view_of_what_is_selected, ("floats",)),
        (mask_written_later, ("floats",)),
        (summed, ("floats",)),
        (counted, ("floats",)),
        (turned_around, ("rows", "mask")),
        (mean_of_rows, ("rows", "mask6")),
        (another_mask, ("floats",)),
        (powers_of_ints, ("ints",)),
        (no_quotient_of_ints, ("ints",)),
        (shapes_that_do_not_fit, ("floats",)),
        (vector_of_the_rows, ("rows", "mask6")),
        (seen_from_a_branch, ("floats",)),
        (kept_from_step_to_step, ("floats",)),
        (text_of_it, ("floats",)),
    ],
)
def test_whatever_else_is_done_with_it_selects_the_elements(function, kinds):
    hold(hb.compile(function), function, kinds, calls=5)


def test_an_error_that_numpy_is_asked_for_is_that_of_the_selected_elements():
    def rooted(x):
        m = x > 0
        t = x[m]
        with np.errstate(invalid="raise"):
            x[m] = np.sqrt(t)
        return x

    compiled = hb.compile(rooted)
    with pytest.warns(EagerFallbackWarning):
        found = compiled(hb.asarray([4.0, -1.0]))
    np.testing.assert_array_equal(found, [2.0, -1.0])


def test_the_text_of_a_shape_that_does_not_fit_names_what_was_selected():
    @hb.compile
    def f(x):
        x[x > 0] += np.arange(3.0)
        return x

    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        f(np.array([1.0, 2.0, -1.0]))


# --- gradients ------------------------------------------------------------------------------------


def rooted_where_positive(x):
    y = x * 1.0
    m = y > 0
    y[m] = np.sqrt(y[m]) * np.log(y[m]) + 1 / y[m]
    y[~m] **= 2
    return (y * y).sum()


def gradients(x):
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = x * 2
        s = y[x > 0]
        u = s * s
        y[x > 0] = u + s
        z = (y * y).sum() + s.sum() + (u * u).sum()
    return tuple(tape.gradient(z, [x, s, u, y]))


def gradient_of_what_was_written_since(x):
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = x * 2
        s = y[y > 0]
        s *= 3
        y[y > 0] = s
        z = (y * y).sum()
    return tuple(tape.gradient(z, [x, s]))


def jacobians(x):
    with hb.GradientTape(persistent=True) as tape:
        tape.watch(x)
        s = x[x > 0]
        y = x * 1
        y[x > 0] = s * s
    return tape.jacobian(y, s), tape.jacobian(y, x)


def second_gradient(x):
    return hb.grad(lambda x: hb.grad(rooted_where_positive)(x).sum())(x)


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
@pytest.mark.parametrize(
    "function",
    [
        gradients,
        gradient_of_what_was_written_since,
        jacobians,
        second_gradient,
        hb.grad(rooted_where_positive),
    ],
)
def test_gradients_are_those_of_eager_code(function):
    hold(hb.compile(function), function, ("floats",), calls=3)


def test_elements_that_a_mask_leaves_out_make_no_gradient_nan():
    compiled = hb.compile(rooted_where_positive, fullgraph=True)
    hold(hb.grad(compiled), hb.grad(rooted_where_positive), ("floats",))
    assert np.isfinite(hb.grad(compiled)(hb.asarray([-1.0, 0.0, 2.0]))).all()


def test_what_is_left_behind_by_a_trace_says_so():
    kept = []

    def keep(x):
        kept.append(x[x > 0])
        return x * 2

    with pytest.warns(EagerFallbackWarning):
        hb.compile(keep)(hb.asarray([1.0, -1.0]))
    np.testing.assert_array_equal(kept[0], [1.0])


@pytest.mark.parametrize("count", [len, lambda x: x.shape[0]], ids=["len", "shape"])
def test_a_count_of_what_a_mask_selects_at_which_tracing_ends_is_that_of_eager_code(
    count: Callable[[Any], int],
) -> None:
    def f(x: Any) -> Any:
        n = 0
        for i in range(200):  # more decisions than a trace may hold
            n += count(x[x > 0.1 * i])
        return x * n

    x = np.arange(9.0)
    with pytest.warns(EagerFallbackWarning):
        ours = hb.compile(f)(x)
    assert ours.tolist() == f(x).tolist()
