"""Dataclasses whose methods are made later must be like those of the standard library."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from hybrid.records import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    tags: list[str] = dataclasses.field(default_factory=list)
    y: int = 0
    cached: int | None = dataclasses.field(default=None, init=False)

    def moved(self, by: int) -> Point:
        return dataclasses.replace(self, x=self.x + by)


@dataclass(slots=True)
class Counter:
    count: int = 0


@dataclass(eq=False, slots=True)
class Node:
    name: str


@dataclass(frozen=True, slots=True)
class Pair:
    one: int
    other: int = 0


@dataclass(frozen=True, slots=True)
class Single:
    value: float


@dataclass(frozen=True, slots=True)
class Named(Point):
    name: str = ""


def test_it_has_the_methods_of_a_dataclass():
    point = Point(1, y=2)
    assert repr(point) == "Point(x=1, tags=[], y=2, cached=None)"
    assert point == Point(1, [], 2) != Point(1)
    assert point.moved(2) == Point(3, y=2)
    assert hash(Pair(1)) == hash(Pair(1, 0))
    nan = float("nan")
    assert Single(nan) == Single(nan) != Single(1.0)  # as tuples of the fields compare
    assert len({Pair(1), Pair(1), Pair(2)}) == 2
    assert point.tags is not Point(1).tags
    assert not hasattr(point, "__dict__")
    assert [f.name for f in dataclasses.fields(Named)] == ["x", "tags", "y", "cached", "name"]
    assert Named(1, name="a") != Point(1)
    assert Point.__match_args__ == ("x", "tags", "y")


def test_it_inherits_the_fields_of_any_dataclass():
    @dataclasses.dataclass(frozen=True)
    class Standard:
        a: int
        b: list[int] = dataclasses.field(default_factory=list)

    @dataclass(frozen=True, slots=True)
    class Derived(Standard):
        c: int = 3

    assert repr(Derived(1)).endswith("Derived(a=1, b=[], c=3)")
    assert Derived(1, [2]) == Derived(1, [2], 3) != Derived(1)


def test_a_frozen_one_stays_as_it_is():
    point = Point(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'x'"):
        point.x = 2
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'x'"):
        del point.x
    assert pickle.loads(pickle.dumps(point)) == copy.deepcopy(point) == point


def test_one_that_changes_has_no_hash_and_one_without_equality_has_its_own():
    counter = Counter()
    counter.count += 1
    assert counter == Counter(1)
    with pytest.raises(TypeError, match="unhashable"):
        hash(counter)
    assert Node("a") != Node("a")
    assert len({Node("a"), Node("a")}) == 2


def test_wrong_arguments_are_refused():
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        Point()


def test_threads_that_make_the_first_one_at_once_all_get_one():
    for _ in range(20):

        @dataclass(frozen=True, slots=True)
        class Fresh:
            found: list[int] = dataclasses.field(default_factory=list)

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda _: Fresh().found, range(8))) == [[]] * 8


def test_importing_hybrid_imports_neither_compilers_nor_what_few_need():
    code = "import sys, hybrid; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    late = {"numba", "llvmlite", "matplotlib", "scipy", "numpy.random", "subprocess", "html"}
    assert not late & loaded


@pytest.mark.parametrize("before", [0, 1, 23, 24, 25, 40])
def test_the_first_calls_make_what_later_ones_make(before):
    @dataclass(frozen=True, slots=True)
    class Sized:
        size: int
        unit: str = "m"
        known: tuple[int, ...] = ()
        notes: list[str] = dataclasses.field(default_factory=list)

        def __post_init__(self) -> None:
            if self.size < 0:
                raise ValueError("a size")

    for number in range(before):
        Sized(number)
    made = Sized(3, known=(1,))
    assert (made.size, made.unit, made.known) == (3, "m", (1,))
    assert Sized(unit="s", size=4) == Sized(4, "s")
    assert dataclasses.replace(made, unit="s") == Sized(3, "s", (1,), [])
    assert [field.name for field in dataclasses.fields(made)] == ["size", "unit", "known", "notes"]
    assert made.notes == [] == Sized(3).notes is not made.notes
    assert Sized(3, notes=["a"]).notes == ["a"]
    with pytest.raises(ValueError, match="a size"):
        Sized(-1)
    for wrong in (lambda: Sized(), lambda: Sized(1, size=1), lambda: Sized(1, length=2)):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(TypeError):
        Sized(1, "m", (), [], 4)
    assert Sized(5).size == 5
