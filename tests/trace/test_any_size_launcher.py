"""Sizes that no call had before are answered without a Plan of their own, and never wrongly."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.trace.any_size_launcher import MAX_COUNTED, UNKNOWN, WORTH_A_LAUNCHER

SIZES = (25, 24, 30)


def data(*shape: int) -> hb.Tensor:
    return hb.asarray(np.random.default_rng(len(shape)).uniform(-1, 1, shape).astype(np.float32))


def served(f: Any, *args: Any) -> Any:
    """Return what a call gives without a launcher for its sizes; `UNKNOWN` where it needs one."""
    return f._shortcuts.any_size.launch(None, args)


def warm(f: Any, *rest: Any) -> Any:
    for n in SIZES:
        f(data(n, 3), *rest)
    return f


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "one Tensor": lambda x: hb.tanh(x) * 2 + x[:, :1],
    "several results": lambda x: {"sum": x.sum(axis=0), "pairs": (x[1:] - x[:-1], x.shape)},
    "views of one array": lambda x: (y := x * 2, y[1:], y.T),
    "a workspace": lambda x: hb.softmax(x @ x.T, axis=1) @ x,
    "sizes as numbers": lambda x: (x / x.shape[0], x.shape[0] * 2, hb.zeros(x.shape) + len(x)),
    "an argument": lambda x: (x, x + 1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_new_size_gives_what_eager_code_gives(name: str) -> None:
    f = warm(hb.compile(FUNCTIONS[name]))
    for n in (26, 27, 31, 28):  # other decisions, of another template, may begin at 20 or 48
        x = data(n, 3)
        found, expected = served(f, x), FUNCTIONS[name](x)
        assert found is not UNKNOWN
        leaves, tree = hb.core.containers.flatten(found)
        wanted, same = hb.core.containers.flatten(expected)
        assert tree == same
        for a, b in zip(leaves, wanted, strict=True):
            assert type(a) is type(b)
            np.testing.assert_allclose(a, b, 1e-5, 1e-6)
    assert f.cache_info().misses == 3


def test_variables_are_written_and_read() -> None:
    total = hb.Variable(hb.zeros(3))
    count = hb.Variable(hb.zeros(()))

    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        total.assign_add(x.sum(axis=0))
        count.assign_add(1)
        return total / count

    warm(f)
    expected = sum(data(n, 3).numpy().sum(axis=0) for n in (*SIZES, 26, 27))
    assert served(f, data(26, 3)) is not UNKNOWN
    np.testing.assert_allclose(served(f, data(27, 3)), expected / 5, 1e-5)


def test_arguments_are_written_in_place() -> None:
    def f(x: Any) -> Any:
        x[1:] += 1
        return x.sum()

    g = warm(hb.compile(f))
    for n in (6, 7):
        x, y = data(n, 3).numpy().copy(), data(n, 3)
        assert served(g, y) is not UNKNOWN
        f(x)
        np.testing.assert_allclose(y, x, 1e-6)


@pytest.mark.parametrize(
    "x",
    [
        data(3, 6).T,
        data(12, 3)[::2],
        data(6, 4),
        data(6),
        data(6, 3).astype(hb.float64),
        data(6, 3).numpy(),
        data(1, 3),
        data(0, 3),
        None,
    ],
    ids=lambda x: "None" if x is None else f"{type(x).__name__} {x.dtype}{x.shape}",
)
def test_other_arguments_are_left_to_others(x: Any) -> None:
    f = warm(hb.compile(lambda x: None if x is None else x * 2 + x.shape[0]))
    assert served(f, x) is UNKNOWN
    if x is not None:
        np.testing.assert_allclose(f(x), np.asarray(x) * 2 + x.shape[0], 1e-6)


def test_misaligned_arrays_are_left_to_others() -> None:
    f = hb.compile(lambda x: x * 2)
    for n in SIZES:
        f(np.ones(n))
    x = np.frombuffer(bytes(1 + 6 * 8), np.uint8)[1:].view(np.float64)
    assert served(f, np.ones(6)) is not UNKNOWN
    assert served(f, x) is UNKNOWN
    assert f(x).tolist() == [0] * 6


def test_conditions_of_the_trace_are_looked_at() -> None:
    f = hb.compile(lambda x: x * 2 if x.shape[0] % 2 else x * 3)
    for n in (3, 5, 7):
        f(hb.ones(n))
    assert served(f, hb.ones(9)).tolist() == [2] * 9
    assert served(f, hb.ones(8)) is UNKNOWN
    assert f(hb.ones(8)).tolist() == [3] * 8


@pytest.mark.parametrize("value", [2, True, "two", 2.0, 2j], ids=repr)
def test_other_leaves_are_told_apart_as_by_the_signature(value: Any) -> None:
    f = warm(hb.compile(lambda x, k: x * (k if not isinstance(k, str) else 5)), value)
    assert served(f, data(6, 3), value) is not UNKNOWN
    for other in (3, 2, True, False, "two", "three", 2.0, 2j, None):
        same = type(other) is type(value) and (other == value or isinstance(value, float | complex))
        assert (served(f, data(6, 3), other) is not UNKNOWN) == same


def test_an_int_that_is_an_input_may_be_any() -> None:
    f = hb.compile(lambda x, k: x * k + x.shape[0])
    for n, k in zip((5, 4, 9, 8), (1, 2, 3, 4), strict=True):
        f(hb.ones(n), k)
    for k in (7, -1):
        assert f(hb.ones(6), k).tolist() == [k + 6] * 6


def test_what_a_function_reads_is_looked_at() -> None:
    scale = {"by": 2.0}
    f = warm(hb.compile(lambda x: x * scale["by"]))
    assert served(f, hb.ones((6, 3)))[0, 0].item() == 2
    scale["by"] = 3.0
    assert served(f, hb.ones((6, 3))) is UNKNOWN
    assert f(hb.ones((6, 3)))[0, 0].item() == 3


def test_the_same_array_twice_is_seen() -> None:
    def add(x: Any, y: Any) -> Any:
        x[0] = 5
        return x + y

    f = hb.compile(add)
    for n in SIZES:
        f(hb.ones(n), hb.ones(n))
    assert served(f, hb.ones(6), hb.ones(6)).tolist() == [6, 2, 2, 2, 2, 2]
    x = hb.ones(7)
    assert served(f, x, x) is UNKNOWN
    assert f(x, x).tolist() == [10, 2, 2, 2, 2, 2, 2]


def test_tapes_and_default_dtypes_have_their_own_way() -> None:
    f = hb.compile(lambda x: (x * x).sum() + hb.zeros(1))
    for n in SIZES:
        f(hb.ones(n))
    x = hb.ones(6)
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    assert tape.gradient(y, x).tolist() == [2] * 6
    with hb.default_dtype(hb.float64):
        assert f(hb.ones(7)).dtype == hb.float64


def test_errors_are_raised_as_in_eager_code() -> None:
    f = warm(hb.compile(lambda x: hb.linalg.inv(x[:3, :3]) + x.sum()))
    with pytest.raises(np.linalg.LinAlgError):
        served(f, hb.zeros((6, 3)))


def test_a_size_that_comes_again_gets_a_launcher() -> None:
    f = warm(hb.compile(lambda x: x * 2 + x.shape[0]))
    before = len(f._shortcuts.launchers)
    for _ in range(WORTH_A_LAUNCHER):
        f(data(6, 3))
    assert len(f._shortcuts.launchers) == before
    f(data(6, 3))
    assert len(f._shortcuts.launchers) == before + 1
    assert f.cache_info() == (WORTH_A_LAUNCHER + 1, 3, 3)


def test_new_sizes_keep_nothing() -> None:
    f = warm(hb.compile(lambda x: x * 2 + x.shape[0]))
    (segment,) = f.concrete_functions[-1].segments
    launchers, sizes = len(f._shortcuts.launchers), len(segment._sizes)
    for n in range(10, 10 + 2 * MAX_COUNTED):
        f(data(n, 3))
    assert len(f._shortcuts.any_size._times) <= MAX_COUNTED
    assert (len(f._shortcuts.launchers), len(segment._sizes)) == (launchers, sizes)
    (plan,) = segment.plans.values()  # of the size that was called last
    assert plan.kernels[0].writes == 12 * n


def test_they_are_forgotten_with_their_trace() -> None:
    f = warm(hb.compile(lambda x: x * 2))
    f.cache_clear()
    assert not f._shortcuts.any_size


def test_containers_and_keywords_have_it_too() -> None:
    f = hb.compile(lambda xs, scale: {"out": xs["a"] * scale + xs["b"].shape[0]})
    for n in (*SIZES, 6, 7):
        found = f({"a": data(n, 3), "b": data(n, 2)}, scale=2.0)
        np.testing.assert_allclose(found["out"], data(n, 3) * 2 + n, 1e-6)
    (segment,) = f.concrete_functions[-1].segments
    assert len(segment._sizes) == 1


def test_temporaries_of_new_sizes_lie_in_the_same_memory() -> None:
    f = hb.compile(lambda x: hb.softmax(x @ x.T, axis=1) @ x)
    for n in range(200, 220):
        f(data(n, 3))
    (segment,) = f.concrete_functions[-1].segments
    driver = segment.templates._kept[-1].draft.driver
    borrowed = driver.once[-2](dict.fromkeys(driver.inputs, 219))
    (pool,) = borrowed._pools._pools.values()
    assert len(pool) == 1


def test_threads_with_sizes_of_their_own_do_not_meet() -> None:
    def expected(x: Any) -> Any:
        return hb.softmax(x @ x.T, axis=1) @ x

    f = warm(hb.compile(expected))
    arguments = [data(n, 3) for n in range(21, 45)]
    with ThreadPoolExecutor(4) as threads:
        found = [list(threads.map(f, arguments)) for _ in range(3)]
    for results in found:
        for x, y in zip(arguments, results, strict=True):
            np.testing.assert_allclose(y, expected(x), 1e-5, 1e-6)
