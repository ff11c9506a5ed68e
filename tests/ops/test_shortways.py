"""The short ways in native code do what the Python ways behind them do."""

from __future__ import annotations

import contextlib
import gc
import inspect
import operator
import os
import pydoc
import subprocess
import sys
import threading
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor
from operator import setitem
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import hybrid as hb
from hybrid.core.described import Described
from hybrid.kernels import elf
from hybrid.kernels.shortway import installing
from hybrid.ops import _shortways

WAYS = {
    way.name: way
    for way, _ in _shortways.offered
    if not way.kind.startswith(("function", "transpose")) and way.name.startswith(("__", "reshape"))
}
KINDS = ("binary", "comparison", "product")
OPERATORS = [n for n, way in WAYS.items() if way.kind in KINDS]
REFLECTED = {f"__r{n.strip('_')}__": way for n, way in WAYS.items() if way.reflected is not None}
LONG = {n: way.otherwise for n, way in WAYS.items()} | {
    n: w.reflected for n, w in REFLECTED.items()
}
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
    return type(getattr(hb.Tensor, name)) in (type(str.join), type(str.__add__))


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
    dtypes = ("bool", "int8", "int64", "uint64", "float16", "float32", "float64", "complex64")
    arrays: list[Any] = [hb.asarray(np.array([3, 1, 2]).astype(d)) for d in dtypes]
    arrays += [hb.asarray([1.0, 2.0, 3.0], dtype=hb.bfloat16), hb.asarray(2.0), hb.zeros((0, 3))]
    arrays += [hb.ones(2), hb.eye(3), np.ones(3), 2, -3, 1 << 70, 2.5, True, 1j, np.float32(3)]
    arrays += [np.int64(3), np.int64(-(2**63)), np.int32(7), hb.asarray(5), hb.asarray([[1], [2]])]
    arrays += [np.float64(2.5), np.float64("inf"), np.bool_(True), np.uint8(200), np.complex64(1j)]
    return [*arrays, np.int64(3), [1, 2, 3], None, "a", object(), hb.Variable([1.0, 2.0, 3.0])]


@pytest.mark.parametrize("name", list(LONG))
def test_help_shows_of_a_way_what_it_shows_of_the_python_function(name: str) -> None:
    found, like = getattr(hb.Tensor, name), LONG[name]
    assert like is not None
    mine, wanted = (inspect.signature(f).parameters.values() for f in (found, like))
    assert [(p.name, p.default) for p in mine] == [(p.name, p.default) for p in wanted]
    assert (found.__doc__ or "") == inspect.cleandoc(like.__doc__ or "")


@pytest.mark.parametrize("name", ["shape", "ndim", "size", "dtype"])
def test_help_shows_of_what_describes_a_tensor_what_it_shows_of_the_property(name: str) -> None:
    found, like = getattr(hb.Tensor, name), inspect.getattr_static(Described, name)
    assert type(like) is property
    assert not isinstance(found, property)
    assert inspect.isdatadescriptor(found)
    assert found.__doc__ == like.__doc__
    assert found.__doc__ in pydoc.render_doc(found)
    with pytest.raises(AttributeError, match=name):
        setattr(hb.ones(2), name, 1)


def test_all_ways_were_compiled() -> None:
    assert not _shortways.counting
    assert all(compiled(name) for name in LONG)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*OPERATORS, *REFLECTED])
def test_an_operator_gives_what_its_python_way_gives(name: str) -> None:
    long = LONG[name]
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


def test_turned_axes_are_numpys() -> None:
    arrays = [np.arange(n) for n in (0, 1, 5)] + [np.array(7.0), np.arange(12.0).reshape(3, 4)]
    arrays += [np.arange(24.0).reshape(2, 3, 4)[:, ::-1], np.ones((2, 0, 3)), np.ones((1,) * 32)]
    for a in arrays:
        x = hb.asarray(a, copy=False)
        for mine, wanted in ((x.T, a.T), (x.T.T, a.T.T), (x[None].T, a[None].T)):
            got = mine.numpy()
            np.testing.assert_array_equal(got, wanted, strict=True)
            assert (got.strides, got.flags.num) == (wanted.strides, wanted.flags.num)
            assert mine._alias is not None
            assert mine._alias.chain[0][0].name in ("permute_dims", "expand_dims")
    x = hb.asarray(np.arange(6.0).reshape(2, 3), copy=True)
    x.T[1] = 9.0
    assert x.tolist() == [[0, 9, 2], [3, 9, 5]]
    assert hb.Tensor.T.__doc__ == "Put the axes of `x` in another order; a view."
    assert hb.grad(lambda v: (v.T[0] * 2).sum())(x).tolist() == [[2, 0, 0], [2, 0, 0]]


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


def test_a_view_of_a_view_is_found_again_when_a_tape_writes_it() -> None:
    for make in (hb.Tensor.__getitem__, WAYS["__getitem__"].otherwise):
        assert make is not None
        x = hb.arange(12.0) + 0.0  # alone with its memory
        rows = make(x.reshape(3, 4), slice(1, None))
        column = make(make(rows, (slice(None), slice(1, None))), (..., 0))
        del rows
        with hb.GradientTape() as tape:
            tape.watch(factor := hb.asarray(2.0))
            column *= factor
            y = (x * x).sum()
        assert column.tolist() == [10.0, 18.0]
        assert x.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 10.0, 6.0, 7.0, 8.0, 18.0, 10.0, 11.0]
        assert tape.gradient(y, factor).item() == 2 * 2.0 * (5.0**2 + 9.0**2)


def test_views_may_hang_on_views_as_deep_as_one_likes() -> None:
    x = hb.zeros(3)
    view = x
    for _ in range(50_000):
        view = view[::-1]
    view[1:] = 5.0
    assert x.tolist() == [0.0, 5.0, 5.0]
    assert len(view._alias.chain) == 50_000
    del view
    assert x[1:][0].item() == 5.0


@pytest.mark.parametrize("on_disk", [True, False])
def test_ways_are_loaded_early_from_disk_and_compiled_late(
    on_disk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[None] = []
    monkeypatch.setattr(_shortways, "_left", _shortways.WORTH_LOADING)
    monkeypatch.setattr(_shortways, "install", lambda: asked.append(None))
    monkeypatch.setattr(installing, "kept", lambda *_: on_disk)
    monkeypatch.setattr(_shortways, "start", lambda work: work())
    operators = 0
    while not asked:
        _shortways.tick()
        operators += 1
    assert operators == (_shortways.WORTH_LOADING if on_disk else _shortways.WORTH_COMPILING)


def test_operators_go_on_while_ways_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def compile_slowly(*_: Any) -> list[Any]:
        begun.set()
        assert go_on.wait(10)
        return []

    monkeypatch.setattr(
        _shortways, "_left", _shortways.WORTH_LOADING - _shortways.WORTH_COMPILING + 1
    )
    monkeypatch.setattr(_shortways, "counting", True)
    monkeypatch.setattr(installing, "short_ways", compile_slowly)
    _shortways.tick()
    assert begun.wait(10)
    assert (hb.ones(3) + 1).tolist() == [2.0] * 3
    go_on.set()
    _shortways.install()  # waits for the other
    assert not _shortways.counting


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_child_of_a_process_that_compiles_may_compile() -> None:
    code = (
        "import os, hybrid as hb; from hybrid.ops import _shortways as s; s.start(s.install)\n"
        "while s.counting: pass\n"
        "if (pid := os.fork()) == 0:\n"
        "    found = hb.compile(lambda x: x + 1)(hb.ones(3)).tolist()\n"
        "    os._exit(0 if found == [2, 2, 2] else 1)\n"
        "raise SystemExit(os.waitpid(pid, 0)[1])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_ways_that_were_compiled_are_kept() -> None:
    ways = [way for way, _ in _shortways.offered]
    assert installing.kept(ways, _shortways.known_objects())
    assert not installing.kept(ways[1:], _shortways.known_objects())


def test_llvm_loads_the_ways_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elf, "load", lambda *_: None)
    ways = [way for way, _ in _shortways.offered]
    made = installing.short_ways(ways, _shortways.known_objects())
    exp = next(m["exp"] for way, m in zip(ways, made) if way.call is np.exp)
    x = np.arange(3.0)
    assert exp(hb.asarray(x)).numpy().tobytes() == np.exp(x).tobytes()
    assert exp(x) is None


UFUNCS = {
    way.call: way
    for way, _ in _shortways.offered
    if isinstance(way.call, np.ufunc) and way.kind != "function of an axis"
}


def samples(dtype: np.dtype[Any], n: int) -> list[Any]:
    """Two arrays of n numbers, usual and odd ones."""
    rng = np.random.default_rng(n)
    odd = np.array([0.0, -0.0, 1.0, -1.0, 2.0, 3.0, 0.5, 88.0, 1e-3, 40.0, -7.5])
    if dtype.kind == "f":
        odd = np.append(odd, [np.inf, -np.inf, np.nan, 1e-40, 3e38])
    drawn = [np.where(rng.random(n) < 0.5, rng.normal(0, 9, n), rng.choice(odd, n)) for _ in "ab"]
    if dtype.kind == "c":
        return [(x + 1j * x[::-1]).astype(dtype) for x in drawn]
    if dtype.kind in "bu":
        drawn = [np.abs(x) for x in drawn]
    return [x.astype(dtype) for x in drawn]


@pytest.mark.parametrize("ufunc", [u for u in UFUNCS if u.signature is None], ids=str)
def test_a_loop_gives_the_bits_of_its_ufunc(ufunc: np.ufunc) -> None:
    function = getattr(hb, UFUNCS[ufunc].name, None) or getattr(operator, UFUNCS[ufunc].name)
    for char in "?bBilfdFD":
        for n in (1, 2, 16, 33, 500, 501):
            x, y = samples(np.dtype(char), n)
            column, single = x.reshape(n, 1), x[0].reshape(())
            with np.errstate(all="ignore"):
                for given in ([x, y], [column, column], [single, y], [y, single], [x, 2.5], [3, y]):
                    with contextlib.suppress(TypeError, ValueError):  # which NumPy raises
                        wanted = ufunc(*given[: ufunc.nin])
                        mine = [hb.asarray(g) if hasattr(g, "dtype") else g for g in given]
                        got = function(*mine[: ufunc.nin])
                        assert type(got) is hb.Tensor
                        if got.dtype == wanted.dtype:  # weak numbers of ints differ, as documented
                            assert got.numpy().tobytes() == wanted.tobytes(), (char, n, given)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_a_small_product_gives_the_bits_of_matmul(dtype: str) -> None:
    rng = np.random.default_rng(3)
    for n, k, m in [
        (2, 2, 2),
        (4, 4, 4),
        (3, 5, 7),
        (16, 16, 16),
        (1, 4, 3),
        (4, 1, 3),
        (17, 16, 16),
    ]:
        a, b = rng.normal(size=(n, k)).astype(dtype), rng.normal(size=(k, m)).astype(dtype)
        for x, y in ((a, b), (a, b.T.copy().T), (a.T.copy().T, b), (b.T, a.T)):
            got = hb.asarray(x) @ hb.asarray(y)
            assert got.numpy().tobytes() == (x @ y).tobytes()
            assert got.shape == (x @ y).shape


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_a_product_of_vectors_gives_the_bits_of_matmul(dtype: str) -> None:
    rng = np.random.default_rng(4)
    for n in (*range(1, 70), 500, 4096, 4097):
        a, b = rng.normal(size=(2, n)).astype(dtype)
        for x, y in ((a, b), (a[::-1], b), (a, a), (a, np.repeat(b, 2)[::2])):
            mine, too = hb.asarray(x, copy=False), hb.asarray(y, copy=False)
            for got in (mine @ too, hb.matmul(mine, too), mine.dot(too), np.dot(mine, too)):
                assert (got.dtype, got.shape) == (dtype, ())
                assert got.numpy().tobytes() == np.asarray(x @ y).tobytes()
    x = hb.asarray(np.ones(3, dtype))
    for wrong in (hb.asarray(np.ones(2, dtype)), hb.asarray(np.ones(0, dtype))):
        with pytest.raises(ValueError, match="matmul"):
            x @ wrong
    with pytest.warns(RuntimeWarning) if dtype == "float32" else contextlib.nullcontext():
        big = hb.asarray(np.full(8, 1e30, dtype))
        assert dtype != "float32" or (big @ big).item() == np.inf


@pytest.mark.parametrize("kind", ["over", "under", "divide", "invalid"])
def test_what_a_loop_finds_wrong_is_told_as_numpy_is_asked_to(kind: str) -> None:
    big, small, zero = (hb.asarray(np.full(4, v, "float32")) for v in (3e38, 1e-38, 0.0))
    wrong: Any = {
        "over": [lambda: big + big, lambda: big * 2, lambda: hb.exp(big), lambda: big + 1e300],
        "under": [lambda: small * small, lambda: small * 1e-30],
        "divide": [lambda: big / zero, lambda: 1 / zero, lambda: hb.log(zero)],
        "invalid": [lambda: zero / zero, lambda: hb.sqrt(-big), lambda: zero % zero],
    }[kind]
    for function in wrong:
        with np.errstate(all="ignore", **{kind: "raise"}), pytest.raises(FloatingPointError):
            function()
        with np.errstate(all="ignore", **{kind: "warn"}), pytest.warns(RuntimeWarning) as caught:
            function()
        assert len(caught) == 1
        with np.errstate(all="ignore"):
            function()
        with np.errstate(all="raise"):  # of what went wrong before nothing is left
            big - big, small + small, hb.exp(zero)


@given(
    shape=arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    writes=st.booleans(),
    data=st.data(),
)
def test_a_view_is_numpys_view(shape: tuple[int, ...], writes: bool, data: Any) -> None:
    index = data.draw(arrays.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    x = (
        np.arange(np.prod(shape, dtype=int)).reshape(shape).swapaxes(0, -1)
        if shape
        else np.array(7)
    )
    index = index if shape == x.shape else ...
    x.flags.writeable = writes
    mine, wanted = hb.asarray(x, copy=False)[index], x[index]
    got = mine.numpy()
    np.testing.assert_array_equal(got, wanted, strict=isinstance(wanted, np.ndarray))
    if isinstance(wanted, np.ndarray):
        assert (got.strides, got.flags.num) == (wanted.strides, wanted.flags.num)
        assert got.base is wanted.base
        assert got.ctypes.data == wanted.ctypes.data
        assert mine._alias is not None


@pytest.mark.parametrize("far", [1 << 70, -(1 << 70), 1 << 62, -(1 << 63), (1 << 63) - 1])
def test_a_number_that_no_place_has_is_refused_and_cuts_a_slice(far: int) -> None:
    x = hb.arange(6.0).reshape(2, 3)
    for wrong in (lambda: x[far], lambda: x[0, far], lambda: x[..., far]):
        with pytest.raises(IndexError):
            wrong()
    for sizes in ((abs(far),), (far, -1), (-1, far), (far, far), (1 << 33, 1 << 33), (0,), (4, 1)):
        with pytest.raises(ValueError, match="reshape"):
            x.reshape(*sizes)
    assert x[:far].shape == x.numpy()[:far].shape
    assert x[far:, ::far].shape == x.numpy()[far:, ::far].shape


def test_threads_get_their_own_results() -> None:
    shared = hb.asarray(np.arange(16.0).reshape(4, 4))

    def work(seed: int) -> bool:
        own = hb.asarray(np.full((4, 4), float(seed)))
        for i in range(400):
            part = (own * 2.0 + shared)[1:, i % 4]
            long = hb.ones(2000) * float(seed)
            if (long + long)[i] != 2.0 * seed:
                return False
            with np.errstate(all="raise" if i % 2 else "ignore"):
                quotient = own / 1.0 if i % 2 else own / 0.0
            fine = part.numpy() == 2.0 * seed + np.arange(16.0).reshape(4, 4)[1:, i % 4]
            if not fine.all() or np.isinf(quotient.numpy()).all() == bool(i % 2):
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(1, 9)))


def test_an_error_of_numpy_is_raised_as_by_the_python_way() -> None:
    x = hb.asarray([1.0, 0.0])
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        x / (x - x)
    with pytest.warns(RuntimeWarning, match="divide") as caught:
        1.0 / x
    assert len(caught) == 1
    with pytest.raises(TypeError):
        x + object()


@pytest.mark.filterwarnings("ignore")
def test_nothing_is_kept_alive_and_nothing_dies_early() -> None:
    x, y, number = hb.asarray(np.ones(3)), hb.asarray(np.ones(3)), 2.125
    index = (slice(1, None), None)
    view = hb.ones((2, 2)).T
    square, zero = hb.ones((2, 2)), hb.asarray(0.0)
    long = hb.ones(600)

    def run() -> None:
        for _ in range(50):
            x + y, number * x, -x, x @ y, hb.exp(x), x[1:], x[index], x[0], x == y, x[...], 2 / x
            long + long, long * 2.0, zero - long, hb.exp(long), -long, long / (long - long)
            x[1], x[1:], square[:, 0] = 1.0, 1.0, square[:, 1]
            x[x > 5], square[0], x[2] = 1.0, square[1], x[0]
            w = view[1:]
            w += 0.0
            w[:1] *= 1.0
            square.shape, len(x), float(zero), int(zero), bool(zero), x.ndim, x.size, x.dtype
            (
                square @ square,
                x @ x,
                x.copy(),
                square.T.copy(),
                zero.copy(),
                x + zero,
                square[1, :, None],
                square[0, 1],
                x + 1e300,
                x / (x - x),
            )
            x.reshape(3, 1), x.reshape((1, -1)), view.reshape(4), view[1:].reshape(2)
            for wrong in (
                lambda: x[7],
                lambda: x[1 << 70],
                lambda: x.reshape(1 << 70),
                lambda: square @ hb.ones((3, 3)),
                lambda: x + hb.ones(2),
                lambda: x[1:][9],
                lambda: x.reshape(4),
                lambda: setitem(x, 7, 1.0),
                lambda: setitem(x, slice(2), hb.ones(3)),
                lambda: float(x),
                lambda: len(zero),
            ):
                with contextlib.suppress(IndexError, TypeError, ValueError):
                    wrong()

    run()
    held = [x, y, square, x._data, y._data, square._data, number, index, x._data.dtype]
    held += [long, long._data, zero._data]
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


def test_a_tensor_made_of_a_dropped_one_is_a_new_one() -> None:
    x, gone = hb.ones(3), []
    first = x + 1
    _ = weakref.ref(first, gone.append)
    address, base = id(first), first[1:]
    del first
    assert [r() for r in gone] == [None]
    second = x[:1]
    assert id(second) == address
    assert weakref.getweakrefcount(second) == 0
    assert gc.is_tracked(second)
    second[0] = 5.0
    assert (x.tolist(), base.tolist()) == ([5.0, 1.0, 1.0], [2.0, 2.0])


def test_a_view_that_something_else_knows_is_not_used_again() -> None:
    x = hb.arange(6.0)
    mine = x[1:3].numpy()
    seen: list[Any] = []
    told = weakref.ref(x[2:4].numpy(), seen.append)
    lent = memoryview(x[3:5].numpy())
    kept = [x[i:] for i in range(6)]
    assert mine.tolist() == [1.0, 2.0]
    assert (told(), len(seen)) == (None, 1)
    assert lent.tolist() == [3.0, 4.0]
    assert [k.tolist() for k in kept] == [[float(i) for i in range(j, 6)] for j in range(6)]


def test_a_number_that_something_else_knows_is_not_used_again() -> None:
    x = hb.arange(6.0)
    mine, lent, locked = x[1].numpy(), memoryview(x[2].numpy()), x[3].numpy()
    shown = x[4].numpy().reshape(1)
    locked.flags.writeable = False
    seen: list[Any] = []
    told = weakref.ref(x[5].numpy(), seen.append)
    del locked
    others = [x[0] + i for i in range(40)]
    assert mine == 1.0
    assert lent.tolist() == 2.0
    assert shown == 4.0
    assert (told(), len(seen)) == (None, 1)
    assert [o.item() for o in others] == [*range(40)]
    assert all(o.numpy().flags.writeable for o in others)


def test_numbers_of_many_dtypes_are_used_again_as_what_they_are() -> None:
    dtypes = ("bool", "int8", "int64", "uint16", "float16", "float32", "float64", "complex128")
    rows = [hb.asarray(np.array([1, 0, 1]).astype(d)) for d in dtypes]
    for n in range(100):
        kept = [row[i % 3] for i in range(n % 40) for row in rows[:: 1 + n % 3]]
        for i in range(n % 40):
            for j, row in enumerate(rows[:: 1 + n % 3]):
                found = kept[i * len(rows[:: 1 + n % 3]) + j]
                assert (found.dtype, found.item()) == (row.dtype, i % 3 != 1)
        del kept


def test_the_memory_of_a_view_that_was_dropped_is_let_go() -> None:
    class Owner(np.ndarray):
        pass

    x = hb.asarray(np.arange(12.0).reshape(3, 4))
    dtype = x._data.dtype
    owner = Owner((4,))
    shown = hb.asarray(np.asarray(owner), copy=False)
    x[1:]  # which makes it a Storage
    held = [sys.getrefcount(owner), sys.getrefcount(x._data), sys.getrefcount(dtype)]
    for _ in range(300):
        shown[1:], x[1:], x[1], x[1:, None], x.reshape(2, 6), x.reshape(-1), shown[::-1][1:]
    gc.collect()
    assert [sys.getrefcount(owner), sys.getrefcount(x._data), sys.getrefcount(dtype)] == held
    last = weakref.ref(owner)
    part = shown[1:]
    del owner, shown
    assert last() is not None
    assert part.numpy().base.base is last()
    del part
    gc.collect()
    assert last() is None


def test_a_reshaped_array_of_a_view_may_be_used_again() -> None:
    x = hb.arange(12.0)
    for _ in range(100):
        part = x[:6].numpy()
        part.shape = (2, 3)  # in place: other room for its sizes
        del part
        both = [x[3:], x.reshape(4, 3)[1:], x.reshape(2, 2, 3)[:, 1]]
        assert [b.shape for b in both] == [(9,), (3, 3), (2, 3)]
        assert [b.numpy().strides for b in both] == [(4,), (12, 4), (24, 4)]


def test_tensors_of_a_derived_class_and_in_circles_are_let_go() -> None:
    class Named(hb.Tensor):
        pass

    before, held = sys.getrefcount(Named), []
    for _ in range(200):
        one = object.__new__(Named)
        one._data, one._link, one._node = np.ones(2), None, None
        one.circle = one
        held.append(weakref.ref(one))
    del one
    gc.collect()
    assert [r() for r in held] == [None] * 200
    assert sys.getrefcount(Named) == before
    assert type(hb.ones(2) + 1) is hb.Tensor


def test_many_tensors_dropped_at_once_take_no_memory() -> None:
    x = hb.ones(3)

    def work() -> None:
        many = [x[1:] for _ in range(1000)] + [x + 1 for _ in range(1000)]
        many[0] = many[1:]
        many.clear()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: [work() for _ in range(5)], range(4)))
        gc.collect()
        before = sys.getallocatedblocks()
        list(pool.map(lambda _: [work() for _ in range(5)], range(4)))
    gc.collect()
    assert sys.getallocatedblocks() - before < 500


def test_tensors_outlive_the_modules() -> None:
    code = (
        "import builtins, hybrid as hb; from hybrid.ops import _shortways; _shortways.install();"
        "x = hb.ones(3); builtins.kept = [[x[1:], x + 1, {'x': x}] for _ in range(1000)]"
    )
    done = subprocess.run([sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=30)
@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "any", "all"])
@given(data=st.data())
def test_a_reduction_gives_what_numpys_gives(name: str, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(["?", "i1", "u2", "i4", "i8", "u8", "f4", "f8", "F", "D"]))
    x = data.draw(arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_side=20), fill=None))
    x = data.draw(st.sampled_from([x, x.T, np.full((7, 90), -x.flat[0] if dtype != "?" else 1)]))
    axis = data.draw(st.none() | st.integers(-3, 3))
    keepdims = data.draw(st.integers(0, 9)) == 0

    def reduced(module: Any, operand: Any) -> Any:
        return getattr(module, name)(operand, axis=axis, keepdims=keepdims)

    try:
        wanted = reduced(np, x)
    except ValueError:
        with pytest.raises(ValueError, match="axis"):
            reduced(hb, hb.asarray(x))
        return
    got = reduced(hb, hb.asarray(x)).numpy()
    assert (got.dtype, got.shape, got.tobytes()) == (wanted.dtype, wanted.shape, wanted.tobytes())


def test_reductions_warn_as_numpy_does() -> None:
    x = hb.asarray(np.full(20, 3e38, "float32"))
    with pytest.warns(RuntimeWarning, match="overflow encountered in reduce"):
        assert x.sum().item() == np.inf
    with np.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
        x.prod()


@pytest.mark.parametrize("method", [True, False])
def test_axes_that_are_named_are_turned_as_numpys(method: bool) -> None:
    a = np.arange(24.0).reshape(2, 3, 4)
    for axes in ((), (None,), (2, 0, 1), ((-1, 1, 0),), ([0, 2, 1],), (np.int64(1), 0, 2)):
        x = hb.asarray(a, copy=True)
        given = axes[0] if len(axes) == 1 else axes or None
        mine = x.transpose(*axes) if method else hb.transpose(x, given)
        wanted = a.transpose(*axes)
        np.testing.assert_array_equal(mine.numpy(), wanted, strict=True)
        assert mine.numpy().strides == wanted.strides
        mine[0, 0, 0] = 99.0
        assert x[0, 0, 0].item() == 99.0
        with hb.GradientTape() as tape:
            tape.watch(factor := hb.asarray(2.0))
            mine *= factor
            y = x.sum()
        assert abs(tape.gradient(y, factor).item() - (a.sum() + 99.0)) < 1e-3
    with pytest.raises(ValueError, match="axes"):
        x.transpose(0, 1)
    with pytest.raises(ValueError, match="axes"):
        x.transpose(0, 1, 1)


def test_masks_and_places_take_what_numpy_takes() -> None:
    a = np.arange(12.0).reshape(3, 4)
    x = hb.asarray(a, copy=True)
    for index in (a > 4, a[:, 0] > 2, np.array([2, 0]), np.array([[1], [-1]]), np.array([], int)):
        got = x[hb.asarray(index)]
        np.testing.assert_array_equal(got.numpy(), a[index], strict=True)
        assert got._alias is None
    for wrong in (hb.asarray([3]), hb.asarray([True, False]), hb.asarray([0.5])):
        with pytest.raises(IndexError):
            x[wrong]


def test_functions_beside_python_floats_are_numpys() -> None:
    a = np.array([1.0, -2.0, np.nan], "float32")
    for x in (a, a.astype("float16"), a.astype("float64")):
        t, mask = hb.asarray(x), x > 0
        for value in (0.0, 2.5, -1e3, 1e-30):
            for mine, wanted in (
                (hb.where(hb.asarray(mask), t, value), np.where(mask, x, value)),
                (hb.where(hb.asarray(mask), value, t), np.where(mask, value, x)),
                (np.where(hb.asarray(mask), t, value), np.where(mask, x, value)),
            ):
                np.testing.assert_array_equal(mine.numpy(), wanted, strict=True)
    k = np.arange(3)
    got = hb.where(hb.asarray(k > 1), hb.asarray(k), 0.5)
    assert got.tolist() == [0.5, 0.5, 2.0]


def test_places_of_extremes_are_numpys() -> None:
    a = np.array([[1.0, np.nan, 3.0], [4.0, 0.0, 4.0]])
    for name in ("argmax", "argmin"):
        for axis in (None, 0, 1, -1):
            got = getattr(hb, name)(hb.asarray(a), axis)
            assert got.tolist() == getattr(np, name)(a, axis).tolist()
            assert (got.dtype, got.shape) == (np.int64, np.shape(getattr(np, name)(a, axis)))
        with pytest.raises(ValueError, match=name):
            getattr(hb.zeros((0, 2)), name)()
        with pytest.raises(ValueError, match="axis"):
            getattr(hb.asarray(a), name)(5)


def test_casts_warn_where_numpys_do() -> None:
    x = hb.asarray([np.nan, 1e30])
    assert x.astype("float64").dtype == np.float64
    with pytest.warns(RuntimeWarning, match="invalid value encountered in cast"):
        x.astype("int64")
    with pytest.warns(RuntimeWarning, match="overflow encountered in cast"):
        hb.asarray([1e300], dtype="float64").astype("float32")
    with pytest.warns(RuntimeWarning, match="overflow encountered in cast"):
        hb.asarray([1e300])


def test_the_rows_of_a_traced_tensor_of_any_size_are_as_many_as_a_call_has() -> None:
    f = hb.compile(lambda x: hb.stack([*x, x[0]]) * len(list(x)))
    for n in (2, 3, 4, 5, 6):
        x = np.arange(2.0 * n).reshape(n, 2)
        np.testing.assert_array_equal(f(hb.asarray(x)), np.stack([*x, x[0]]) * n)
