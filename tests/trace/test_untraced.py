"""Arguments of which no trace can be made: the function runs eagerly with them, and says so."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import TraceError
from tests.trace.agreement import falls_back


def _quiet_matrix(rows: list[list[float]]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return np.matrix(rows)


class Metres(np.ndarray[Any, np.dtype[Any]]):
    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        plain = (np.asarray(x) for x in inputs)
        return "metres", getattr(ufunc, method)(*plain, **options)


class Periodic(np.ndarray[Any, np.dtype[Any]]):
    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(index % self.shape[0])


class Named(np.ndarray[Any, np.dtype[Any]]):
    """Says nothing of what is computed from it."""

    def __array_finalize__(self, obj: Any) -> None:
        self.name = getattr(obj, "name", "")


MATRIX = _quiet_matrix([[1.0, 2.0], [3.0, 4.0]])
METRES = np.arange(3.0).view(Metres)
PERIODIC = np.arange(3.0).view(Periodic)
RECORDS = np.array([(1.0, 2), (3.0, 4)], dtype=[("a", "f8"), ("b", "i4")])

CASES: dict[str, tuple[Any, Any]] = {
    "matrix": (lambda a: a * a, MATRIX),
    "masked": (lambda a: a.sum(), np.ma.masked_array([1.0, 2.0, 3.0], mask=[0, 0, 1])),
    "quantity": (lambda a: a * 2, METRES),
    "own index": (lambda a: a[4] + 1.0, PERIODIC),
    "texts": (lambda a: (a == "b").sum(), np.array(["a", "b", "b"])),
    "objects": (len, np.array([None, {}], dtype=object)),
    "dates": (lambda a: a[1] - a[0], np.array(["2020-01-01", "2020-01-03"], dtype="M8[D]")),
    "records": (lambda a: a["a"].sum(), RECORDS),
    "a record": (lambda a: a["a"] * 2, RECORDS[1]),
    "record array": (lambda a: a.a.sum(), RECORDS.view(np.recarray)),
    "long double": (lambda a: a * 2, np.ones(2, np.longdouble)),
    "in a dict": (lambda d: d["x"] * 2 + (d["l"] == "a").sum(), {"x": 1.5, "l": np.array(["a"])}),
}


@pytest.mark.parametrize("name", CASES)
def test_arrays_that_are_more_than_their_numbers_give_the_eager_result(name: str) -> None:
    f, given = CASES[name]
    expected = f(given)
    traced = hb.compile(f)
    with falls_back("the argument"):
        for _ in range(3):
            found = traced(given)
            assert type(found) is type(expected)
            for one, other in zip(*(x if type(x) is tuple else (x,) for x in (found, expected))):
                assert np.all(one == other)


def test_fullgraph_refuses_them_by_name() -> None:
    with pytest.raises(TraceError, match=r"argument m is a matrix.*pass np.asarray\(m\)"):
        hb.compile(lambda m: m * m, fullgraph=True)(MATRIX)


def test_classes_without_rules_and_memory_maps_are_traced(tmp_path: Any) -> None:
    traced = hb.compile(lambda a: a * 2 + 1, fullgraph=True)
    mapped = np.memmap(tmp_path / "x", dtype="f8", mode="w+", shape=(3,))
    for given in (np.arange(3.0).view(Named), mapped):
        assert np.array_equal(traced(given), np.asarray(given) * 2 + 1)


def test_texts_and_dates_of_numpy_are_values_as_pythons_are() -> None:
    traced = hb.compile(lambda x, mode: x * 2 if mode == "double" else x, fullgraph=True)
    for mode in np.array(["double", "same", "double"]):
        assert traced(hb.ones(2), mode).tolist() == [2.0 if mode == "double" else 1.0] * 2
    assert len(traced.concrete_functions) == 2
    later = hb.compile(lambda x, day: (x * 2, day + np.timedelta64(1, "D")))
    for _ in range(2):
        assert later(hb.ones(1), np.datetime64("2020-01-31"))[1] == np.datetime64("2020-02-01")


def test_a_memoryview_that_may_be_written_is_read_at_each_call() -> None:
    memory = bytearray(b"abc")
    traced = hb.compile(lambda view: hb.asarray(view) * 2)
    for first in (1, 2):
        memory[0] = first
        assert traced(memoryview(memory)).tolist() == [2 * first, 196, 198]


def test_captured_arrays_answer_operators_themselves() -> None:
    x = np.ones((2, 2))
    expected = np.asarray(x * MATRIX)
    assert np.array_equal(hb.asarray(x) * MATRIX, expected)
    assert np.array_equal(hb.compile(lambda a: a * MATRIX)(x), expected)
    for f in (lambda a: a * METRES, lambda a: np.add(a, METRES)):
        for found in (f(hb.ones(3)), hb.compile(f)(np.ones(3))):
            assert found[0] == "metres"
            assert np.array_equal(found[1], f(np.ones(3))[1])
