"""Writes in native code are those of the Python ways behind them, and all who share memory hear."""

from __future__ import annotations

import operator
from types import GetSetDescriptorType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import hybrid as hb
from hybrid.ops import _shortways

DTYPES = ("bool", "int8", "int64", "uint64", "float16", "float32", "float64", "complex64")
VALUES: list[Any] = [
    *(2, -3, 0, 1 << 40, 1 << 70, 2.5, -0.0, 1e9, 1e-42, 1e300, float("nan"), float("inf")),
    *(True, 1j, np.float32(3), [1, 2, 3], np.array([5.0, 6.0, 7.0]), None, "a", hb.asarray(4.0)),
    *(hb.asarray([1, 2, 3]), hb.asarray([1.5, 2.5, 3.5], dtype="float64"), hb.ones(3), hb.ones(2)),
]
INDICES: list[Any] = [
    *(0, -1, 7, slice(1, None), slice(None, None, -1), slice(0, 0), ..., None, (), (None, 1)),
    *((...,), (..., 1), True, [0, 2], np.array([1]), np.int64(2), 1 << 70, (0, 0), 1.0),
    *(np.array([True, False, True]), np.array([False, True]), np.array([2, 0, -1]), np.array(1)),
    *(hb.asarray([2, 0]), hb.asarray([True, False, True]), hb.asarray(1), hb.Variable([1, 0])),
]
INPLACE = [way for way, _ in _shortways.offered if way.kind == "in place"]
setitem: Any = operator.setitem
iadd: Any = operator.iadd
SETITEM = next(way for way, _ in _shortways.offered if way.kind == "set item")


@pytest.fixture(autouse=True, scope="module")
def _compiled() -> None:
    _shortways.install()


def outcome(function: Any, x: np.ndarray[Any, Any], *args: Any) -> Any:
    """What is left in an array and in what shares its memory after a call, or how it fails."""
    base = hb.asarray(np.zeros((3, 5), x.dtype), copy=False)
    target = base[:, 2]
    target._data[...] = x
    plain = hb.asarray(x.copy(), copy=False)
    found: list[Any] = []
    for to in (plain, target, base):
        try:
            returned = function(to, *args)
        except Exception as error:
            returned = type(error), str(error).splitlines()[0]
        found += [returned if type(returned) is tuple else returned is to, to._data.tobytes()]
    return str(found)


def versions(x: Any) -> tuple[int, int] | None:
    alias = x._alias
    return None if alias is None else (alias.version, alias.storage.version)


def test_all_ways_were_compiled() -> None:
    kinds = (type(str.__add__), type(str.join), GetSetDescriptorType)
    for way, _ in _shortways.offered:
        if way.kind in ("set item", "in place", "float", "int", "bool", "length", "shape", "dtype"):
            assert type(getattr(hb.Tensor, way.name)) in kinds, way.name


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_assignment_does_what_its_python_way_does(dtype: str) -> None:
    x = np.array([3, 1, 2]).astype(dtype)
    for index in INDICES:
        for value in VALUES:
            got = outcome(setitem, x, index, value)
            assert got == outcome(SETITEM.otherwise, x, index, value), (index, value)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", INPLACE, ids=lambda way: way.name)
def test_an_operator_in_place_does_what_its_python_way_does(way: Any) -> None:
    for dtype in DTYPES:
        x = np.array([3, 1, 2]).astype(dtype)
        for value in VALUES:
            got = outcome(getattr(hb.Tensor, way.name), x, value)
            assert got == outcome(way.otherwise, x, value), (dtype, value)


@settings(max_examples=200)
@given(data=st.data())
def test_writes_through_any_alias_are_numpys(data: st.DataObject) -> None:
    shape = data.draw(arrays.array_shapes(min_dims=1, max_dims=3, max_side=4))
    start = np.arange(np.prod(shape), dtype=data.draw(st.sampled_from(["f4", "f8", "i8"])))
    theirs, mine = [start.reshape(shape)], [hb.asarray(start.reshape(shape), copy=True)]
    for _ in range(data.draw(st.integers(1, 6))):
        i = data.draw(st.integers(0, len(mine) - 1))
        j = data.draw(st.integers(0, len(mine) - 1))
        index = data.draw(arrays.basic_indices(theirs[i].shape, allow_ellipsis=True))
        step = data.draw(st.sampled_from(["view", "number", "array", "add", "inside"]))
        if step == "view" and np.ndim(theirs[i][index]):
            theirs.append(theirs[i][index])
            mine.append(mine[i][index])
        elif step == "number":
            theirs[i][index] = mine[i][index] = 7
        elif step == "array" and theirs[j].size and theirs[j].ndim <= np.ndim(theirs[i][index]):
            one = (0,) * theirs[j].ndim
            theirs[i][index] = theirs[j][one]
            mine[i][index] = mine[j][one]
        elif step == "inside":
            theirs[i][index] *= 3
            mine[i][index] *= 3
        elif step == "add":
            theirs[i] += 1
            mine[i] += 1
    for a, b in zip(theirs, mine, strict=True):
        np.testing.assert_array_equal(b.numpy(), a, strict=True)


def test_overlapping_operands_are_read_before_they_are_written() -> None:
    x, y = hb.arange(6.0), np.arange(6.0, dtype="float32")
    x[1:] += x[:-1]
    y[1:] += y[:-1]
    assert x.tolist() == y.tolist()
    x[1:], y[1:] = x[:-1], y[:-1].copy()
    assert x.tolist() == y.tolist()
    m, n = hb.arange(12.0).reshape(3, 4), np.arange(12.0).reshape(3, 4)
    m[:, 2], n[:, 2] = m[1, :3], n[1, :3].copy()
    m.T[1:] -= m.T[0]
    n.T[1:] -= n.T[0]
    assert m.tolist() == n.tolist()


def test_an_ndarray_that_shares_memory_with_what_is_written_is_read_before() -> None:
    for index in (slice(1, None), np.array([1, 2, 3, 4])):
        memory, wanted = np.arange(5.0), np.arange(5.0)
        x = hb.asarray(memory)
        x[index] = memory[:-1]
        wanted[index] = wanted[:-1].copy()
        np.testing.assert_array_equal(memory, wanted)
        part = hb.asarray(memory)[::-1]
        part[index] = memory[:-1]
        turned = wanted[::-1]
        turned[index] = wanted[:-1].copy()
        np.testing.assert_array_equal(memory, wanted)


def test_who_shares_memory_sees_another_version_and_the_writer_none() -> None:
    x = hb.arange(6.0)
    view: Any = x[1:]
    link = view._link
    writes: list[Any] = [lambda: setitem(x, 2, 5.0), lambda: iadd(x, 1.0)]
    for write in writes:
        before = view._link[0].version
        write()
        assert view._link is link
        assert view._link[0].version == before + 1
    assert versions(view) == (0, 2)
    assert versions(x) == (2, 2)
    view[0] = 1.0
    assert (versions(view), versions(x)) == ((3, 3), (2, 3))


def test_what_a_tape_saved_is_handed_over_before_it_is_overwritten() -> None:
    writes: list[Any] = [lambda v: setitem(v, 0, 9.0), lambda v: iadd(v, 9.0)]
    for write in writes:
        for part in (slice(None), slice(0, 2)):
            x = hb.asarray([1.0, 2.0, 3.0], copy=True)
            view = x[part]
            with hb.GradientTape() as tape:
                tape.watch(factor := hb.asarray(2.0))
                y = (x * factor).sum()
            write(view)
            assert tape.gradient(y, factor).item() == 6.0


def test_what_is_watched_is_no_longer_what_a_tape_knew_once_written() -> None:
    with hb.GradientTape(persistent=True) as tape:
        x = hb.asarray([1.0, 2.0], copy=True)
        tape.watch(x)
        y = x * 3.0
        view = y[:1]
    view += 1.0
    y[1] = 0.0
    with tape:
        z = y.sum()
    assert tape.gradient(z, x) is None


def test_a_read_only_array_is_refused() -> None:
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    x = hb.asarray(frozen, copy=False)
    writes: list[Any] = [
        lambda: setitem(x, 1, 1.0),
        lambda: setitem(x, slice(2), 1.0),
        lambda: setitem(x, slice(None), x),
        lambda: iadd(x, 1.0),
    ]
    for write in writes:
        with pytest.raises(ValueError, match="read-only"):
            write()
    assert x.tolist() == [0.0, 0.0, 0.0]


def test_what_goes_wrong_in_place_is_told_once_and_written() -> None:
    x = hb.asarray([1.0, 1.0], copy=True)
    with pytest.warns(RuntimeWarning, match="divide by zero") as caught:
        x /= hb.asarray([2.0, 0.0])
    assert len(caught) == 1
    assert x.tolist() == [0.5, np.inf]
    x[:] = 1e30
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        x *= 1e30


@pytest.mark.parametrize("dtype", [*DTYPES, "bfloat16"])
def test_a_number_and_what_an_array_is_are_told_as_by_the_python_ways(dtype: str) -> None:
    ways = [w for w, _ in _shortways.offered if w.kind in ("float", "int", "bool", "length")]
    properties = [w for w, _ in _shortways.offered if w.kind in ("shape", "ndim", "size", "dtype")]
    values = [0, 1, 2, -1, 0.5, np.nan, np.inf, 1 << 62]
    with np.errstate(all="ignore"):
        singles = [
            hb.asarray(np.array(v).astype(np.dtype(getattr(hb, dtype, dtype)))) for v in values
        ]
    for x in (*singles, singles[1][None, None], hb.ones((0, 2)), hb.ones(3)[::2]):
        for way in ways:
            call = getattr(hb.Tensor, way.name)
            assert repr(outcome_of(call, x)) == repr(outcome_of(way.otherwise, x))
        for way in properties:
            assert way.otherwise is not None
            assert getattr(x, way.name) == way.otherwise(x)


def outcome_of(function: Any, x: Any) -> Any:
    try:
        return function(x)
    except Exception as error:
        return type(error), str(error).splitlines()[0]


@pytest.mark.parametrize("name", [n for n in dir(hb.Tensor) if n.startswith("__i") and n[3:-2]])
def test_an_operator_in_place_refuses_what_it_does_not_know(name: str) -> None:
    function = getattr(operator, name, None)
    if function is None or name in ("__index__", "__invert__"):
        pytest.skip("no operator of two")
    for other in (None, object(), "a"):
        with pytest.raises(TypeError):
            function(hb.ones((2, 2)), other)


def test_a_deletion_is_refused_as_by_the_python_way_and_leaves_the_slot_native() -> None:
    x = hb.asarray([1.0, 2.0])
    slot = type(int.__add__)
    assert type(hb.Tensor.__setitem__) is slot
    assert type(hb.Tensor.__delitem__) is slot
    for delete in (lambda: operator.delitem(x, 0), lambda: x.__delitem__(slice(1))):
        with pytest.raises(ValueError, match="cannot be deleted"):
            delete()
    x[0] = 5.0
    assert x.tolist() == [5.0, 2.0]
