"""The short ways in native code do what the Python ways behind them do."""

from __future__ import annotations

import contextlib
import gc
import inspect
import operator
import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.ops import _shortways

WAYS = {way.name: way for way, _ in _shortways.offered if not way.kind.startswith("function")}
OPERATORS = [n for n, way in WAYS.items() if way.kind in ("binary", "reflected", "product")]
INDICES = [
    *(1, -1, slice(1, None), slice(None, None, -2), None, ..., (), (0,), (slice(1), None, 1)),
    *((..., 0), (0, slice(None)), True, [1, 0], (0, [1]), np.int64(1), slice(np.int64(1), 2)),
    *(7, (0, 0, 0), "a", 1.0, slice("a"), slice(0, 2, 0)),
]
SIZES: list[tuple[Any, ...]] = [
    *((12,), (-1,), (4, 3), ((4, -1),), ([2, 6],), (2, -1, 2), (np.int64(12), 1), (1,), ((),), ()),
    *((5,), (-1, -1), (0, -1), (2.0, 6), ("a",), (None,), (hb.asarray(12),), (True, 12)),
]


@pytest.fixture(autouse=True, scope="module")
def _compiled() -> None:
    _shortways.install()


def compiled(name: str) -> bool:
    return type(getattr(hb.Tensor, name)) is type(str.join)


def outcome(function: Any, *args: Any) -> Any:
    """What a call gives, or how it fails."""
    try:
        found = function(*args)
    except Exception as error:
        return type(error), str(error).splitlines()[0]
    if type(found) is not hb.Tensor:
        return found
    return found.dtype, found.shape, found.numpy().tobytes(), found._alias is None


def operands() -> list[Any]:
    dtypes = ("bool", "int8", "uint64", "float16", "float32", "float64", "complex64")
    arrays: list[Any] = [hb.asarray(np.array([3, 1, 2]).astype(d)) for d in dtypes]
    arrays += [hb.asarray([1.0, 2.0, 3.0], dtype=hb.bfloat16), hb.asarray(2.0), hb.zeros((0, 3))]
    arrays += [hb.ones(2), hb.eye(3), np.ones(3), 2, -3, 1 << 70, 2.5, True, 1j, np.float32(3)]
    return [*arrays, np.int64(3), [1, 2, 3], None, "a", object(), hb.Variable([1.0, 2.0, 3.0])]


@pytest.mark.parametrize("name", list(WAYS))
def test_help_shows_of_a_way_what_it_shows_of_the_python_function(name: str) -> None:
    found, like = getattr(hb.Tensor, name), WAYS[name].otherwise
    assert like is not None
    mine, wanted = (inspect.signature(f).parameters.values() for f in (found, like))
    assert [(p.name, p.default) for p in mine] == [(p.name, p.default) for p in wanted]
    assert (found.__doc__ or "") == inspect.cleandoc(like.__doc__ or "")


def test_the_ways_were_compiled_but_those_that_are_no_more() -> None:
    assert not _shortways.counting
    assert [name for name in WAYS if not compiled(name)] == ["__pow__"]  # which was rerouted


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_gives_what_its_python_way_gives(name: str) -> None:
    long = WAYS[name].otherwise if compiled(name) else getattr(hb.Tensor, name)
    for x in operands():
        for y in operands() if type(x) is hb.Tensor else ():
            got, wanted = outcome(getattr(hb.Tensor, name), x, y), outcome(long, x, y)
            assert got == wanted, (name, x, y)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [n for n, way in WAYS.items() if way.kind == "unary"])
def test_a_unary_operator_gives_what_its_python_way_gives(name: str) -> None:
    for x in operands():
        if type(x) is hb.Tensor:
            assert outcome(getattr(hb.Tensor, name), x) == outcome(WAYS[name].otherwise, x)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function", [hb.add, hb.pow, hb.less, hb.copysign, hb.exp, hb.sqrt])
def test_a_function_gives_what_numpys_gives(function: Any) -> None:
    ufunc = getattr(np, function.__name__)
    x, y = np.array([0.5, 2.0, 3.0], "float32"), np.array([[1.0], [4.0]])
    for args in ([x, x], [x, y], [y, x], [x, 2.5], [x, 3], [x, x > 1], [x[0], x], [y.T, x[:2]]):
        given = args[: ufunc.nin]
        wanted = ufunc(*given)
        got = function(*[hb.asarray(a) if isinstance(a, np.ndarray) else a for a in given])
        np.testing.assert_array_equal(got.numpy(), wanted, strict=True)


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_an_index_shows_what_its_python_way_shows(index: Any) -> None:
    for x in (hb.arange(5), hb.asarray(np.arange(12.0).reshape(3, 4)), hb.asarray(3.0)):
        got = outcome(operator.getitem, x, index)
        assert got == outcome(WAYS["__getitem__"].otherwise, x, index)


@pytest.mark.parametrize("sizes", SIZES, ids=repr)
def test_a_shape_is_given_as_its_python_way_gives_it(sizes: tuple[Any, ...]) -> None:
    y = hb.arange(12.0)
    m = y.reshape(3, 4)
    for x in (y, m, m.T, m[:, 1:], hb.ones(())):
        got = outcome(hb.Tensor.reshape, x, *sizes)
        assert got == outcome(WAYS["reshape"].otherwise, x, *sizes)


def test_the_options_of_a_shape_go_pythons_way() -> None:
    x = hb.arange(6.0)
    assert x.reshape(2, 3, order="F").tolist() == [[0, 2, 4], [1, 3, 5]]
    with pytest.raises(ValueError, match="copy=False"):
        x.reshape(2, 3).T.reshape(6, copy=False)
    with pytest.raises(TypeError):
        x.reshape(2, 3, size=1)


def test_a_view_and_what_it_is_a_view_of_see_each_others_writes() -> None:
    def steps(x: hb.Tensor) -> hb.Tensor:
        part = x.reshape(2, -1).reshape(-1)[1:]
        inner = part[::2]
        inner += 10.0
        x[1] = 5.0
        return part * inner[0]

    with hb.GradientTape() as tape:
        x = hb.asarray([1.0, 2.0, 3.0, 4.0], copy=True)
        tape.watch(x)
        plain = steps(x * 1.0)
    x = hb.asarray([1.0, 2.0, 3.0, 4.0])
    assert hb.array_equal(steps(x.copy()), plain)
    assert hb.array_equal(hb.compile(steps)(x.copy()), plain)
    view = x[1:]  # made where nothing was recorded, written where a tape watches
    with hb.GradientTape() as tape:
        tape.watch(factor := hb.asarray(3.0))
        view *= factor
        y = (x * x).sum()
    assert tape.gradient(y, factor).item() == 2 * 3 * (4 + 9 + 16)


def test_an_error_of_numpy_is_raised_as_by_the_python_way() -> None:
    x = hb.asarray([1.0, 0.0])
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        x / (x - x)
    with pytest.warns(RuntimeWarning, match="divide") as caught:
        1.0 / x
    assert len(caught) == 1
    with pytest.raises(TypeError):
        x + object()


def test_nothing_is_kept_alive_and_nothing_dies_early() -> None:
    x, y, number = hb.asarray(np.ones(3)), hb.asarray(np.ones(3)), 2.125
    index = (slice(1, None), None)
    view = hb.ones((2, 2)).T

    def run() -> None:
        for _ in range(50):
            x + y, number * x, -x, x @ y, hb.exp(x), x[1:], x[index], x[0], x == y
            x.reshape(3, 1), x.reshape((1, -1)), view.reshape(4), view[1:].reshape(2)
            for wrong in (
                lambda: x[7],
                lambda: x + hb.ones(2),
                lambda: x[1:][9],
                lambda: x.reshape(4),
            ):
                with contextlib.suppress(IndexError, ValueError):
                    wrong()

    run()
    held = [x, y, x._data, y._data, number, index]
    gc.collect()
    before = [sys.getrefcount(h) for h in held]
    tracemalloc.start()
    run()
    gc.collect()
    first = tracemalloc.get_traced_memory()[0]
    run()
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - first
    tracemalloc.stop()
    assert [sys.getrefcount(h) for h in held] == before
    assert grown < 2000
