"""Functions that have short ways give what they give without: values, views, errors."""

from __future__ import annotations

import contextlib
import gc
import sys
import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core import making
from hybrid.ops import _shortways, creation, permuting, reshaping, searching, unit_axes
from hybrid.ops.elementwise import selection
from hybrid.ops.reduction import moments

Case = tuple[Any, ...]

CUBE = np.arange(24.0, dtype="float32").reshape(2, 3, 4)
ARRAYS = [
    *(
        CUBE,
        CUBE[:, ::-1],
        CUBE.T,
        CUBE[:, :1],
        np.array(7.0),
        np.zeros((0, 3)),
        np.ones((1,) * 40),
    ),
    *(np.array([3, 1, 3]), np.array([[1.0, np.nan], [2.0, 5.0]]), np.arange(600.0)),
    np.array([True, False, True]),
]
TENSORS = [hb.asarray(a, copy=False) for a in ARRAYS]
AXES: list[Case] = [
    *(
        (),
        (None,),
        ((2, 0, 1),),
        ((0, -1, 1),),
        ((0, 1),),
        ((0, 1, 1),),
        ((0, 1, 5),),
        ([1, 0, 2],),
    ),
    *(((0.0, 1, 2),), ((True, 0, 2),), ((np.int64(1), 0, 2),), (1,), ("abc",)),
]
UNIT_AXES: list[Case] = [(), (None,), (0,), (1,), ((0, 1),), (7,), ("a",)]
PLACES: list[Case] = [(), (None,), (0,), (-1,), (1,), (5,), (True,), (0.5,), ((0,),)]
SHAPES = [
    *(0, 1, 7, 500, 501, 2**40, -1, True, 2.0, None, "a", (), (3,), (2, 3), (0, 2**40), (2, -1)),
    *((1,) * 40, (1,) * 70, [2, 2], (2.0,), np.int64(3), (np.int64(3), 2), (30, 30), range(3)),
]
FILLS = [
    0,
    1,
    -2,
    0.0,
    -0.0,
    1.5,
    1e-45,
    1e39,
    np.inf,
    np.nan,
    2**60,
    True,
    1j,
    np.float64(2),
    None,
]
NUMBERS: list[Any] = [
    *([], [1.0, 2.0], [1, 2, 3], [1, 2.5], [True, False], [1, True], [1.0, None], [1j], [[1.0]]),
    *([[1, 2], [3, 4]], [[1, 2], [3.5, 4]], [[1], [2, 3]], [[1.0], 2.0], [1.0, [2.0]], [[[1.0]]]),
    *([[], []], [2**53 + 1, 1.0], [2**62], [2**64], [-(2**63)], [1e-45], [1e300], [np.nan, -0.0]),
    *([np.float64(1)], ["a"], (1.0, 2.0), [0.1] * 600, [[0.1] * 30] * 30, [hb.ones(())], [1, [2]]),
]
MASK, VECTOR = hb.asarray([True, False, True]), hb.asarray([1.0, 2.0, 3.0])
BESIDE: list[Any] = [
    *(VECTOR, hb.asarray([4.0, 5.0, 6.0]), hb.asarray(9.0), hb.asarray([1, 2, 3]), hb.ones((2, 3))),
    *(hb.ones(2), 0, 1, -2.5, 1e-45, 1e39, 1e300, 2**60, True, 1j, None, [7.0, 8.0, 9.0], "a"),
    *(hb.asarray([4.0, 5.0, 6.0], dtype="float64"), hb.asarray([1, 2, 3], dtype=hb.bfloat16)),
    *(
        hb.arange(6.0)[::2],
        np.ones(3),
        np.float32(2),
        hb.asarray([1j, 2, 3]),
        hb.ones(3).astype("?"),
    ),
]
MASKS: list[Any] = [
    *(
        MASK,
        hb.asarray(True),
        hb.asarray([1, 0, 2]),
        hb.asarray([[True], [False]]),
        True,
        [True] * 3,
    ),
    *(hb.asarray(np.array([True, False] * 3))[::2], np.array([True, False, True]), None),
    hb.asarray(np.ones((0,), "?")),
]

CASES: dict[str, tuple[Any, str, Callable[..., Any], list[Case]]] = {
    "permute_dims": (
        *(permuting, "_short_turn", hb.permute_dims),
        [(x, *axes) for x in [*TENSORS, CUBE] for axes in AXES],
    ),
    "squeeze": (
        *(unit_axes, "_short", hb.squeeze),
        [(x, *axes) for x in [*TENSORS, CUBE] for axes in UNIT_AXES],
    ),
    "reshape": (
        *(reshaping, "_short", hb.reshape),
        [(x, shape) for x in [*TENSORS, CUBE] for shape in (-1, (4, -1), [2, 12], (3,), (), "a")],
    ),
    "mean": (
        *(moments, "_short_sum", hb.mean),
        [(x, *axes) for x in [*TENSORS, CUBE, hb.asarray([1e38] * 4)] for axes in PLACES],
    ),
    "argmax": (
        *(searching, "_short_max", hb.argmax),
        [(x, *axes) for x in [*TENSORS, CUBE] for axes in PLACES],
    ),
    "argmin": (
        *(searching, "_short_min", hb.argmin),
        [(x, *axes) for x in [*TENSORS, CUBE] for axes in PLACES],
    ),
    "zeros": (creation, "_short", hb.zeros, [(s,) for s in SHAPES]),
    "zeros of a dtype": (
        *(creation, "_short", hb.zeros),
        [
            (3, d)
            for d in ("bool", "int8", "float16", hb.bfloat16, "complex64", "datetime64[s]", "O")
        ],
    ),
    "ones": (creation, "_short", hb.ones, [(s,) for s in SHAPES]),
    "ones of a dtype": (
        *(creation, "_short", hb.ones),
        [
            ((2, 3), d)
            for d in ("bool", "int64", "uint8", "float16", hb.bfloat16, "complex64", "U3")
        ],
    ),
    "empty": (creation, "_short", hb.empty, [(s,) for s in SHAPES]),
    "zeros_like": (creation, "_short", hb.zeros_like, [(x,) for x in TENSORS]),
    "ones_like": (creation, "_short", hb.ones_like, [(x,) for x in TENSORS]),
    "full": (creation, "_short", hb.full, [(s, v) for s in (3, (2, 2), ()) for v in FILLS]),
    "asarray": (making, "short_way_of_lists", hb.asarray, [(v,) for v in NUMBERS]),
    "array": (making, "short_way_of_lists", hb.array, [(v,) for v in NUMBERS]),
    "where": (
        *(selection, "_short_where", hb.where),
        [(m, x, y) for m in MASKS for x in BESIDE for y in BESIDE],
    ),
}


@pytest.fixture(autouse=True, scope="module")
def _compiled() -> None:
    _shortways.install()


def outcome(function: Callable[..., Any], *args: Any) -> Any:
    """What a call gives, how it fails and what it warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = function(*args)
        except Exception as error:
            return type(error), str(error).splitlines()[0]
    told = [(w.category, str(w.message), w.filename) for w in caught]
    if type(found) is not hb.Tensor:
        return found, told
    data = found.numpy()
    chain = None if found._alias is None else found._alias.chain
    flags = data.flags.num & ~(4 if chain else 0)  # NumPy may show an array itself, which owns it
    return found.dtype, data.shape, data.strides, flags, data.tobytes(), chain, told


@pytest.mark.parametrize("name", CASES)
def test_a_function_gives_the_same_without_its_short_way(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, short, function, cases = CASES[name]
    assert getattr(module, short) is not None
    found = [outcome(function, *case) for case in cases]
    monkeypatch.setattr(module, short, None)
    for case, got in zip(cases, found, strict=True):
        wanted = outcome(function, *case)
        assert repr(got) == repr(wanted), (name, case)


@pytest.mark.parametrize("name", ["transpose", "squeeze", "ravel", "flatten"])
def test_a_method_gives_what_its_python_way_gives(name: str) -> None:
    method = getattr(hb.Tensor, name)
    (way,) = [w for w, _ in _shortways.offered if w.kind == name and w.name == name]
    long = way.otherwise
    assert long is not None
    given = [*AXES, (2, 0, 1), (0, -1, 1), (0, 1), (1, 1, 0)] if name == "transpose" else UNIT_AXES
    given += [("C",), ("F",), ("K",)] if name in ("ravel", "flatten") else []
    for x in TENSORS:
        for args in given:
            assert repr(outcome(method, x, *args)) == repr(outcome(long, x, *args)), (args, x.shape)
    named = {"axis": 0}
    if name in ("ravel", "flatten"):
        assert getattr(hb.asarray([[1, 2], [3, 4]]), name)(order="F").tolist() == [1, 3, 2, 4]
    if name == "squeeze":
        assert hb.ones((1, 3)).squeeze(**named).shape == (3,)


def test_turned_and_squeezed_views_are_written_through_and_differentiated() -> None:
    for show in (
        lambda x: x.transpose(2, 0, 1)[0, 1],
        lambda x: hb.permute_dims(x, (1, -1, 0))[1],
        lambda x: x[:, :1].squeeze()[1:],
        lambda x: hb.squeeze(x[None, :, 1]).T[2],
    ):

        def write(x: hb.Tensor, show: Any = show) -> hb.Tensor:
            part = show(x)
            part *= 3.0
            return (x * x).sum()

        eager, wanted = hb.asarray(CUBE, copy=True), CUBE.copy()
        write(eager)
        shown = show(hb.asarray(wanted, copy=False)).numpy()
        shown *= 3.0
        np.testing.assert_array_equal(eager.numpy(), wanted)
        x = hb.asarray(CUBE, copy=True)
        np.testing.assert_array_equal(
            hb.grad(write)(x).numpy(), 2 * wanted * (wanted / CUBE.clip(1)).clip(1)
        )
        with hb.GradientTape() as tape:
            tape.watch(x := hb.asarray(CUBE, copy=True))
            loss = (show(x) ** 2).sum()
        part = hb.zeros((2, 3, 4))
        show(part)[...] = 2.0
        np.testing.assert_array_equal(tape.gradient(loss, x).numpy(), CUBE * part.numpy())


def test_short_ways_of_functions_are_not_taken_while_something_records() -> None:
    x = hb.asarray([1.0, -2.0, 3.0])

    def f(x: hb.Tensor) -> hb.Tensor:
        made = hb.zeros(3) + hb.ones((3,)) + hb.full(3, 2.0) + hb.asarray([1.0, 2.0, 3.0])
        turned = hb.where(x > 0, x, 0.0)[:, None, None].transpose(1, 0, 2).squeeze()
        return (made * turned).sum() + turned.argmax()

    eager = f(x)
    compiled = hb.compile(f, fullgraph=True)
    for _ in range(2):
        np.testing.assert_allclose(compiled(x).numpy(), eager.numpy())
    assert hb.grad(f)(x).tolist() == [4.0, 0.0, 6.0]


def test_what_functions_make_is_of_the_default_dtype_of_the_thread() -> None:
    before = hb.get_default_dtype()
    try:
        hb.set_default_dtype("float64")
        for made in (hb.zeros(2), hb.ones((2, 1)), hb.full(2, 1.5), hb.asarray([1.0, 2])):
            assert made.dtype == np.float64
        assert hb.asarray([1, 2]).dtype == np.int64
    finally:
        hb.set_default_dtype(before)


def test_functions_keep_nothing_alive_and_let_nothing_die_early() -> None:
    x, mask, vector = hb.asarray(CUBE, copy=True), MASK, VECTOR
    numbers: list[Any] = [1.25, 2.25]
    table = [numbers, [3, 4]]
    wrong: list[Any] = [[1.0, 1e-45], [[1.0], [1e-45]], [[1.0], [2.0, 3.0]]]
    dtype = x._data.dtype

    def run() -> None:
        for _ in range(50):
            x.transpose(2, 0, 1), hb.permute_dims(x, (0, -1, 1)), x[:, :1].squeeze(), hb.squeeze(x)
            (
                hb.where(mask, vector, 0.5),
                hb.where(mask, vector, vector),
                hb.where(mask, 1e-45, vector),
            )
            (
                hb.argmax(x),
                hb.argmin(x, 1),
                hb.zeros(7),
                hb.ones((2, 2)),
                hb.full(3, 1.5),
                hb.full(3, 1e-45),
            )
            hb.asarray(numbers), hb.asarray(table)
            for bad in wrong:
                with contextlib.suppress(Exception):
                    hb.asarray(bad)
            for call in (
                lambda: x.transpose(0, 0, 1),
                lambda: hb.zeros(-1),
                lambda: hb.argmax(x, 9),
            ):
                with contextlib.suppress(Exception):
                    call()

    run()
    held = [x, x._data, mask, mask._data, vector, vector._data, numbers, table, dtype, *numbers]
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


def test_copies_are_tensors_of_their_own() -> None:
    for x, a in zip(TENSORS, ARRAYS, strict=True):
        for mine, wanted in (
            (x.copy(), a.copy()),
            (x.copy("F"), a.copy("F")),
            (x.copy(order="C"), a.copy()),
        ):
            assert mine._alias is None or wanted.flags.f_contiguous
            got = mine.numpy()
            assert (got.dtype, got.shape, got.strides) == (a.dtype, a.shape, wanted.strides)
            assert got.flags.writeable
            assert got.tobytes("A") == wanted.tobytes("A")
            assert not np.shares_memory(got, a)
    for wrong in (("G",), (1, 2)):
        with pytest.raises((TypeError, ValueError)):
            TENSORS[0].copy(*wrong)
    x = hb.asarray(CUBE, copy=True)
    assert hb.grad(lambda v: (v.copy() * 3).sum())(x).numpy().min() == 3.0
    traced = hb.compile(lambda v: v.copy(), fullgraph=True)(x)
    traced += 1.0
    np.testing.assert_array_equal(x.numpy(), CUBE)


def test_few_elements_are_sorted_as_by_numpy() -> None:
    odd = np.array([3.0, np.nan, -0.0, 0.0, np.inf, -1.0, 0.0, -0.0])
    for dtype in ("float64", "float32", "float16", "int8", "uint64", "bool"):
        for a in (
            odd,
            odd.reshape(2, 4),
            odd.reshape(2, 4).T,
            odd[::-2],
            odd[:0],
            odd.reshape(2, 2, 2),
        ):
            with np.errstate(all="ignore"):
                given = np.asarray(a.astype(dtype))
            x = hb.asarray(given, copy=False)
            for axis in range(-given.ndim, given.ndim):
                mine, wanted = hb.sort(x, axis), np.sort(given, axis, stable=True)
                assert mine.numpy().tobytes() == wanted.tobytes()
                assert (mine.dtype, mine.shape) == (wanted.dtype, wanted.shape)
            with pytest.raises(ValueError, match="sort"):
                hb.sort(x, given.ndim)
    z = hb.asarray(odd)
    hb.sort(z)
    np.testing.assert_array_equal(z.numpy(), odd)
    assert hb.grad(lambda v: (hb.sort(v) * hb.arange(3.0)).sum())(
        hb.asarray([3.0, 1.0, 2.0])
    ).tolist() == [2.0, 0.0, 1.0]


def test_differences_and_norms_of_few_elements_are_numpys() -> None:
    for a in (
        CUBE,
        CUBE.T,
        CUBE[:, ::-1],
        CUBE.astype("float64"),
        np.array([3.0]),
        np.zeros((0, 3)),
    ):
        x = hb.asarray(a, copy=False)
        got = hb.linalg.norm(x)
        wanted = np.linalg.norm(a)
        assert (got.dtype, got.shape, got.numpy().tobytes()) == (a.dtype, (), wanted.tobytes())
        for axis in range(-a.ndim, a.ndim):
            for n in (0, 1, 2, 5):
                mine = hb.diff(x, n, axis)
                np.testing.assert_array_equal(mine.numpy(), np.diff(a, n, axis), strict=True)
    x = hb.asarray(CUBE, copy=True)
    parts = hb.split(x, 3, axis=1)
    parts[1][...] = -1.0
    assert (x.numpy()[:, 1] == -1.0).all()
    assert hb.linalg.norm(hb.asarray([3, 4])).item() == 5.0
    assert hb.grad(hb.linalg.norm)(hb.asarray([3.0, 4.0])).tolist() == pytest.approx([0.6, 0.8])
