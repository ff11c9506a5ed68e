"""Where an op of the trace raises, what Python has done outside by then is done once."""

from __future__ import annotations

import random
from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import TraceError

pytestmark = pytest.mark.filterwarnings("ignore::hybrid.errors.HybridWarning")

CALLS = ([[0, 7], [0, 1]], [[0, 1], [0, 7], [0, 7]], [[7, 7], [7, 7], [1, 0]])


class Slotted:
    """An object without a ``__dict__``."""

    __slots__ = ("count", "last")

    def __init__(self) -> None:
        self.count = 0


class Model:
    """Counts its calls in the class, too."""

    made = 0

    def __init__(self) -> None:
        self.calls = 0
        self.log: list[Any] = []


def _attribute(o: Any) -> Any:
    o.model.calls += 1
    return o.model.calls


def _new_attribute(o: Any) -> Any:
    o.model.seen = getattr(o.model, "seen", 0) + 1
    return o.model.seen


def _class(o: Any) -> Any:
    Model.made += 1
    return Model.made - o.made


def _list(o: Any) -> Any:
    o.model.log.append(len(o.model.log))
    return list(o.model.log)


def _dict(o: Any) -> Any:
    o.dict["a"] = o.dict.get("a", 0) + 1
    o.dict[len(o.dict)] = o.dict.pop("b", 0)
    return list(o.dict.items())


def _kinds_of_dicts(o: Any) -> Any:
    for found in (o.ordered, o.default, o.counter):
        found["a"] += 1
        found["b"] += 2
    o.ordered.move_to_end("a")
    return [list(x.items()) for x in (o.ordered, o.default, o.counter)]


def _elements(o: Any) -> Any:
    o.deque.append(len(o.deque))
    o.set.add(len(o.set))
    o.bytes.append(len(o.bytes))
    o.array.append(len(o.array))
    return list(o.deque), o.deque.maxlen, sorted(o.set), bytes(o.bytes), list(o.array)


def _slots(o: Any) -> Any:
    o.slotted.count += 1
    o.slotted.last = getattr(o.slotted, "last", 0) + 1
    return o.slotted.count, o.slotted.last


def _nested(o: Any) -> Any:
    o.dict["inner"] = o.dict.get("inner", [])
    o.nested["x"][0].append(1)
    o.nested["x"].append(2)
    return str(o.nested), len(o.nested["x"])


def _draws(o: Any) -> Any:
    of_numpy = np.random.rand()  # noqa: NPY002
    drawn = [random.random(), of_numpy, o.python.random(), o.legacy.rand(), o.new.random()]
    return [round(x, 12) for x in drawn]


DOING = [
    _attribute, _new_attribute, _class, _list, _dict, _kinds_of_dicts, _elements, _slots, _nested,
    _draws,
]  # fmt: skip


def _surroundings() -> SimpleNamespace:
    random.seed(3)
    np.random.seed(4)  # noqa: NPY002
    return SimpleNamespace(
        model=Model(), made=Model.made, dict={"b": 1}, ordered=OrderedDict(a=0, b=0, c=5),
        default=defaultdict(int), counter=Counter("ab"), deque=deque([1], 3), set={9},
        bytes=bytearray(b"x"), array=array("i", [4]), slotted=Slotted(), nested={"x": [[]]},
        python=random.Random(1), legacy=np.random.RandomState(2), new=np.random.default_rng(5),
    )  # fmt: skip


@pytest.mark.parametrize("caught", [True, False])
@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("calls", CALLS)
@pytest.mark.parametrize("do", DOING)
def test_what_python_does_outside_is_done_once_where_an_op_raises(
    do: Callable[[Any], Any], calls: Any, guarded: bool, caught: bool
) -> None:
    def run(wrap: Callable[[Any], Any]) -> list[Any]:
        o, seen = _surroundings(), []

        def f(x: Any, places: Any) -> Any:
            seen.append(do(o))
            if guarded and x.sum() > 0:
                seen.append(do(o))
            try:
                x[...] = x[places]
            except IndexError:
                if not caught:
                    raise
                x[0] = 5
            seen.append(do(o))
            return x + 1

        f = wrap(f)
        for places in calls:
            try:
                seen.append(np.asarray(f(hb.asarray(np.arange(2.0)), hb.asarray(places))).tolist())
            except IndexError:
                seen.append("IndexError")
        return seen

    assert run(hb.compile) == run(lambda f: f)


def test_a_global_that_counts_counts_once_where_an_op_raises() -> None:
    scope: dict[str, Any] = {"n": 0}
    exec("def f(x, places):\n    global n\n    n += 1\n    return x[places]", scope)
    f, n = hb.compile(scope["f"]), 0

    def g(x: Any, places: Any) -> Any:
        nonlocal n
        n += 1
        return x[places]

    g = hb.compile(g)
    for i in range(1, 4):
        for function in (f, g):
            with pytest.raises(IndexError):
                function(hb.asarray(np.arange(2.0)), hb.asarray([0, 7]))
        assert scope["n"] == n == i


def test_there_is_no_way_back_in_an_iterator_and_the_error_says_so() -> None:
    numbers = iter(range(10))

    @hb.compile
    def f(x: Any, places: Any) -> Any:
        return x[places] * next(numbers)

    with pytest.raises(TraceError, match=r"iterator numbers .* use it up\s+twice(?s:.*)next\(num"):
        f(hb.asarray(np.arange(2.0)), hb.asarray([0, 7]))
