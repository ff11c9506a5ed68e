"""Calls that native code answers do what Python's own way of a call does."""

from __future__ import annotations

import dataclasses
import gc
import sys
import threading
import weakref
from typing import Any, NamedTuple

import numpy as np
import pytest

import hybrid as hb
from hybrid.trace import sharing, shortcuts


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortcuts, "WORTH_COMPILING", 1)


def again(f: Any, *args: Any) -> Any:
    """Call until native code answers, then once more."""
    for _ in range(3):
        f(*args)
    assert f._shortcuts.tickets is not None
    before = f._shortcuts.answered[0]
    found = f(*args)
    assert f._shortcuts.answered[0] == before + 1
    return found


def three() -> list[hb.Tensor]:
    return [hb.asarray(np.arange(3.0) + i) for i in range(3)]


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y, z: x * y + z,
        lambda x, y, z: z - x,  # the Plan takes fewer, in another order
        lambda x, y, z: (x + y, [z]),
        lambda x, y, z: y,
        lambda x, y, z: 3,
        lambda x, y, z: x.sum() if y[0] > 0 else z,
    ],
)
def test_results_are_those_of_eager_code(function: Any) -> None:
    args = three()
    found, wanted = again(hb.compile(function), *args), function(*args)
    assert repr(found) == repr(wanted)


def test_other_types_shapes_strides_and_numbers_of_arguments_go_pythons_way() -> None:
    f = hb.compile(lambda x, y: x + y)
    x = hb.asarray(np.arange(3.0))
    again(f, x, x + 1)
    for other in (x.astype("int8"), hb.ones(()), hb.ones((2, 3)), hb.arange(6.0)[::2], 2.5, 3):
        assert hb.array_equal(f(x, other), x + other)
    assert hb.array_equal(f(x, y=x), x + x)
    assert hb.array_equal(f(np.ones(3), x), x + 1)
    with pytest.raises(TypeError):
        f(x)
    with pytest.raises(TypeError):
        f(x, x, x)
    with pytest.raises(TypeError):
        f(x, z=x)
    assert hb.array_equal(f(x, x), x + x)
    assert hb.array_equal(again(f, x, x + 1), x + x + 1)


def test_what_the_function_reads_is_still_looked_at() -> None:
    rate = [2.0]
    f = hb.compile(lambda x: x * rate[0] + scale)
    global scale
    scale = 1.0
    x = hb.asarray([1.0, 2.0])
    assert again(f, x).tolist() == [3.0, 5.0]
    rate[0] = 3.0
    assert f(x).tolist() == [4.0, 7.0]
    scale = 0.0
    assert again(f, x).tolist() == [3.0, 6.0]


def test_tapes_traces_defaults_and_eager_modes_are_heard() -> None:
    f = hb.compile(lambda x: x * x + hb.asarray(0.5))
    x = hb.asarray([3.0])
    again(f, x)
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    assert tape.gradient(y, x).tolist() == [6.0]
    assert hb.compile(lambda x: f(x) + 1)(x).tolist() == [10.5]
    half = hb.asarray([3.0], dtype="float16")
    again(f, half)
    with hb.default_dtype("float64"):
        assert f(half).dtype == (half * half + hb.asarray(0.5)).dtype == hb.float64
    answered = f._shortcuts.answered[0]
    hb.run_functions_eagerly(True)
    try:
        assert f(x).tolist() == [9.5]
    finally:
        hb.run_functions_eagerly(False)
    assert f._shortcuts.answered[0] == answered


def test_variables_are_read_and_written() -> None:
    v = hb.Variable([1.0])

    @hb.compile
    def step(x: hb.Tensor) -> hb.Tensor:
        v.assign_add(x)
        return v * 2

    x = hb.asarray([1.0])
    before = v.numpy().copy()
    again(step, x)
    assert (v.numpy() - before).tolist() == [4.0]
    v.assign([0.0])
    assert step(x).tolist() == [2.0]


def test_an_error_is_raised_as_in_eager_code() -> None:
    f = hb.compile(lambda x, y: hb.linalg.inv(x) + y)
    good = hb.eye(2)
    again(f, good, hb.eye(2))
    with pytest.raises(np.linalg.LinAlgError):
        f(hb.zeros((2, 2)), good)
    assert hb.array_equal(f(good, good), good + good)


def test_an_error_with_containers_around_is_raised_as_in_eager_code() -> None:
    f = hb.compile(lambda given: {"inverse": hb.linalg.inv(given[0]), "sum": given[0] + given[1]})
    good, singular = hb.eye(2), hb.zeros((2, 2))
    again(f, [good, good])
    with pytest.raises(np.linalg.LinAlgError):
        f([singular, good])
    assert hb.array_equal(f([good, good])["sum"], good + good)


def test_guards_behind_containers_are_answered_and_new_values_traced() -> None:
    def f(given: dict[str, Any]) -> Any:
        x = given["x"]
        if x.sum() > 0:
            return {"up": x * 2, "all": [x + 1]} if x.sum() > 10 else (x, x * 2)
        while x.sum() < -1:
            x = x / 2
        return x

    compiled = hb.compile(f)
    assert repr(again(compiled, {"x": hb.ones(3)})) == repr(f({"x": hb.ones(3)}))
    for value in (20.0, -1.0, -20.0, 1.0, -5.0, 20.0):
        for _ in range(3):
            given = {"x": hb.full(3, value)}
            assert repr(compiled(given)) == repr(f(given))
    assert repr(again(compiled, {"x": hb.full(3, -9.0)})) == repr(f({"x": hb.full(3, -9.0)}))
    assert compiled.cache_info().misses == 1


def test_hits_are_counted_and_forgotten() -> None:
    f = hb.compile(lambda x: x + 1)
    x = hb.ones(2)
    for _ in range(10):
        f(x)
    assert f.cache_info()[:2] == (9, 1)
    f.cache_clear()
    assert f._shortcuts.tickets is None
    assert f.cache_info() == (0, 0, 0)
    f(x)
    assert f.cache_info()[:2] == (0, 1)


def test_two_shapes_in_turns_are_answered() -> None:
    f = hb.compile(lambda x: x + 1, dynamic=False)
    for _ in range(5):
        for n in (2, 3):
            assert f(hb.zeros(n)).tolist() == [1.0] * n


def test_many_threads_are_answered_while_the_function_forgets() -> None:
    f = hb.compile(lambda x, y: x * y)
    x = hb.asarray(np.arange(4.0))
    failures: list[Any] = []

    def work() -> None:
        for _ in range(300):
            if f(x, x).tolist() != [0.0, 1.0, 4.0, 9.0]:
                failures.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        f.cache_clear()
    for thread in threads:
        thread.join()
    assert not failures


def test_nothing_is_kept_alive() -> None:
    f = hb.compile(lambda x, y: x * y)
    x, y = hb.ones(3), hb.ones(3)
    again(f, x, y)
    seen = weakref.ref(f), weakref.ref(x), weakref.ref(f(x, y))
    assert seen[2]() is None
    before = sys.getrefcount(x._data), sys.getrefcount(f._shortcuts.tickets)
    for _ in range(100):
        f(x, y)
    assert (sys.getrefcount(x._data), sys.getrefcount(f._shortcuts.tickets)) == before
    del f, x
    gc.collect()
    assert [r() for r in seen] == [None] * 3


class Layer:
    """Has parameters, and a method that is compiled."""

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self.weight = hb.Variable([1.0, 2.0])

    def spread(self, x: hb.Tensor) -> hb.Tensor:
        return x + self.scale

    @hb.compile
    def forward(self, x: hb.Tensor) -> hb.Tensor:
        return self.spread(x) * self.weight


def forward(layer: Layer, x: hb.Tensor) -> list[float]:
    found: list[float] = ((x + layer.scale) * layer.weight).tolist()
    return found


def test_methods_of_several_objects_are_answered() -> None:
    layers = [Layer(float(i)) for i in range(4)]
    x = hb.asarray([1.0, 2.0])
    compiled = vars(Layer)["forward"]
    for _ in range(4):
        for layer in layers:
            assert layer.forward(x).tolist() == forward(layer, x)
    before = compiled._shortcuts.answered[0]
    for layer in layers:
        layer.weight.assign_add([1.0, 1.0])
        assert layer.forward(x).tolist() == forward(layer, x)
    assert compiled._shortcuts.answered[0] == before + 4
    for layer in layers:
        layer.scale += 1
        for _ in range(4):
            assert layer.forward(x).tolist() == forward(layer, x)


def test_an_object_that_is_gone_is_not_taken_for_the_next() -> None:
    x = hb.asarray([1.0, 2.0])
    for i in range(6):
        layer = Layer(float(i))
        for _ in range(4):
            assert layer.forward(x).tolist() == forward(layer, x)
        del layer
        gc.collect()


@pytest.mark.parametrize(
    "other", [np.ones(3), None, True, 2.5, 1j, "text", np.dtype("int8"), hb.float32, Layer(2.0)]
)
def test_arguments_of_other_kinds_are_answered(other: Any) -> None:
    def f(x: Any, y: Any) -> Any:
        if isinstance(y, Layer):
            return x * y.scale
        return x.astype(y) if isinstance(y, np.dtype) else x if isinstance(y, str | None) else x * y

    compiled = hb.compile(f)
    x = hb.asarray(np.arange(3.0))
    assert repr(again(compiled, x, other)) == repr(f(x, other))
    for y in (np.ones(3)[::-1], None, False, 3.5, "other", hb.int32, Layer(3.0)):
        for _ in range(4):
            assert repr(compiled(x, y)) == repr(f(x, y))
    if isinstance(other, np.ndarray):
        raw = np.zeros(25, np.uint8)[1:].view(np.float64)  # not aligned
        assert repr(compiled(x, raw)) == repr(f(x, raw))
    assert repr(compiled(x, other)) == repr(f(x, other))


def test_a_number_that_is_replaced_by_its_equal_and_then_by_another() -> None:
    global scale
    f = hb.compile(lambda x: x * scale)
    x = hb.asarray([1.0, 2.0])
    for value in ("2.5", "2.5", "3.5", "3.5", "2.5"):
        scale = float(value)  # another object each time
        for _ in range(4):
            assert f(x).tolist() == (x * scale).tolist()


def test_other_names_come_and_change_while_native_code_answers() -> None:
    global other_name
    f = hb.compile(lambda x: x * scale + len([x]))
    x = hb.asarray([1.0, 2.0])
    global scale
    scale = 2.0
    again(f, x)
    for i in range(20):
        other_name = i  # of which the function knows nothing
        before = f._shortcuts.answered[0]
        globals()[f"_made_{i}"] = i
        assert f(x).tolist() == [3.0, 5.0]
        assert f(x).tolist() == [3.0, 5.0]
        assert f._shortcuts.answered[0] == before + 2
    for i in range(20):
        del globals()[f"_made_{i}"]
        assert f(x).tolist() == [3.0, 5.0]
    globals()["len"] = lambda _: 10
    try:
        assert f(x).tolist() == [12.0, 14.0]
    finally:
        del globals()["len"]
    assert f(x).tolist() == [3.0, 5.0]


class Several(dict[str, Any]):
    """A dict with a class of its own."""


class Pair(NamedTuple):
    first: Any
    second: Any


class Couple(NamedTuple):
    first: Any
    second: Any


@dataclasses.dataclass(frozen=True)
class Scaled:
    by: Any
    rest: Any = ()


def test_a_frozen_object_is_answered_as_it_is_now() -> None:
    f = hb.compile(lambda x, how: x * how.by + len(how.rest))
    x, how = hb.asarray([1.0, 2.0]), Scaled(2.0)
    assert again(f, x, how).tolist() == [2.0, 4.0]
    assert f(x, Scaled(2.0)).tolist() == [2.0, 4.0]
    assert f(x, Scaled(3.0)).tolist() == [3.0, 6.0]
    assert again(f, x, Scaled(2.0)).tolist() == [2.0, 4.0]  # another that is equal
    object.__setattr__(how, "by", 5.0)
    assert f(x, how).tolist() == [5.0, 10.0]
    assert again(f, x, how).tolist() == [5.0, 10.0]
    object.__setattr__(how, "rest", (1, 2))
    assert f(x, how).tolist() == [7.0, 12.0]
    held = Scaled(hb.asarray([1.0, 2.0]), [how])
    assert again(hb.compile(lambda x, how: x * how.by), x, Scaled(x)).tolist() == [1.0, 4.0]
    assert again(hb.compile(lambda x, how: x * how.by), x, held).tolist() == [1.0, 4.0]


def test_a_frozen_object_is_of_the_class_of_which_it_is_now() -> None:
    class Other(Scaled):
        def factor(self) -> Any:
            return -self.by

    class One(Scaled):
        def factor(self) -> Any:
            return self.by

    f = hb.compile(lambda x, how: x * how.factor())
    x, how = hb.asarray([1.0, 2.0]), One(2.0)
    assert again(f, x, how).tolist() == [2.0, 4.0]
    object.__setattr__(how, "__class__", Other)
    assert f(x, how).tolist() == [-2.0, -4.0]


@pytest.mark.parametrize(
    "others",
    [
        lambda a: [[a, a * 2]],  # a list
        lambda a: [(a, a * 2)],
        lambda a: [{"b": a, "a": a * 2}],
        lambda a: [{"x": [a, {"y": (a * 3,)}], 3: (), "z": []}],
        lambda a: [a, [None, True, "text", 2.5, a]],
        lambda a: [a, a],  # one Tensor twice
        lambda a: [[a, {"again": a}], a],
        lambda a: [a, 3],
        lambda a: [[a, -7], 0],
        lambda a: [[a, np.ones(3)], hb.float32],
        lambda a: [Pair(a, a * 2)],
        lambda a: [[Pair(a, Pair(2.5, [a * 3])), 3], Pair(1, None)],
    ],
)
def test_containers_ints_and_names_are_answered(others: Any) -> None:
    def f(*args: Any) -> Any:
        out = hb.zeros(3)
        for i, leaf in enumerate(hb.core.containers.leaves_of(args)):
            if isinstance(leaf, hb.Tensor | np.ndarray | float | int):
                out = out + leaf * (i + 1)
        return out

    def named(x: Any, y: Any = 1.5, *, z: Any = 2) -> Any:
        return f(x, y, z)

    args = others(hb.asarray(np.arange(3.0)))
    assert repr(again(hb.compile(f), *args)) == repr(f(*args))
    last = others(hb.asarray(np.arange(3.0)))[-1]
    for kwargs in ({"y": last}, {"z": last}, {"z": 2.5, "y": last}, {}):
        compiled = hb.compile(named)
        for _ in range(3):
            compiled(args[0], **kwargs)
        before = compiled._shortcuts.answered[0]
        assert repr(compiled(args[0], **kwargs)) == repr(named(args[0], **kwargs))
        assert compiled._shortcuts.answered[0] == before + 1


@pytest.mark.parametrize(
    "other",
    [
        lambda a: [a],
        lambda a: [a, a, a],
        lambda a: [a, a + 1],  # two where one came twice
        lambda a: (a, a),
        lambda a: [a, hb.zeros(4)],
        lambda a: [a, 3],
        lambda a: [a, 4],
        lambda a: [a, True],
        lambda a: [a, 1 << 40],
        lambda a: [a, -3],
        lambda a: [a, [a]],
        lambda a: [a, None],
        lambda a: {"a": a, "b": a},
        lambda a: {"b": a, "a": a},
        lambda a: {"a": a},
        lambda a: {"a": a, "b": a, "c": a},
        lambda a: {"".join(["long", "er"]): a, "b": a},
        lambda a: Several(a=a, b=a),
        lambda a: Several(b=a, a=a),
        lambda a: Pair(a, a),
        lambda a: Pair(a, a + 1),
        lambda a: Couple(a, a),
    ],
)
def test_other_containers_go_pythons_way(other: Any) -> None:
    def f(held: Any) -> Any:
        text = [type(held).__name__, repr([*held]) if isinstance(held, dict) else len(held)]
        for x in held.values() if isinstance(held, dict) else held:
            text.append(x if isinstance(x, int | None) else type(x).__name__)
            if isinstance(x, hb.Tensor):
                text.append(x.shape)
        items = [*held.values()] if isinstance(held, dict) else held
        return items[0] * len(items), text

    x = hb.asarray(np.arange(3.0))
    compiled = hb.compile(f)
    pair = Pair(x, x)
    for known in ([x, x], [x, 3], {"a": x, "b": x}, {"longer": x, "b": x}, pair):
        for _ in range(3):
            compiled(known)
        assert repr(compiled(known)) == repr(f(known))
        assert repr(compiled(other(x))) == repr(f(other(x)))
        assert repr(compiled(known)) == repr(f(known))


def test_a_list_that_is_emptied_while_python_is_asked_keeps_its_arrays() -> None:
    class Scale:
        def __eq__(self, other: object) -> bool:
            held.clear()
            gc.collect()
            return True

        __hash__ = None  # type: ignore[assignment]

    held: list[Any] = []
    f = hb.compile(lambda items: items[0] + items[1])
    for _ in range(4):
        held[:] = [hb.asarray([1.0]), hb.asarray([2.0])]
        assert f(held).tolist() == [3.0]
    launcher = next(iter(f._shortcuts.nested._known.values()))[1]
    launcher.tickets.clear()
    launcher.valid = lambda: Scale() == 1
    for _ in range(3):
        held[:] = [hb.asarray([1.0]), hb.asarray([2.0])]
        before = f._shortcuts.answered[0]
        assert f(held).tolist() == [3.0]
    assert f._shortcuts.answered[0] == before + 1


def test_a_counter_among_the_arguments_is_answered() -> None:
    f = hb.compile(lambda x, step: x * step)
    x = hb.asarray([1.0, 2.0])
    for i in range(20):
        assert f(x, i).tolist() == [i, 2.0 * i]
    assert f._shortcuts.answered[0] > 10
    for i in (1 << 29, 1 << 30, -(1 << 30), -5, 1 << 40):
        assert f(x, i).tolist() == (x * i).tolist()
    g = hb.compile(lambda x, n: x[: n + 1])
    for i in (0, 1, 2, 1, 0, 5, 1, 1, 1, 0, -2):
        assert g(x, i).tolist() == x[: i + 1].tolist()


def test_nothing_in_containers_is_kept_alive() -> None:
    f = hb.compile(lambda d, y: d["x"][0] * y)
    x, y = hb.ones(3), hb.ones(3)
    again(f, {"x": [x]}, y)
    before = sys.getrefcount(x._data), sys.getrefcount(x)
    for _ in range(100):
        f({"x": [x]}, y)
        f({"x": [x]}, y=y)
    assert (sys.getrefcount(x._data), sys.getrefcount(x)) == before
    seen = weakref.ref(x)
    del x
    assert seen() is None


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: [x + y, x * y],
        lambda x, y: (x + y,),
        lambda x, y: {"a": (x + y, [x - y]), 3: x * y},
        lambda x, y: [],
        lambda x, y: [x + y, x],
        lambda x, y: [(z := x + y), z],
        lambda x, y: [(z := x + y), z[1:]],
        lambda x, y: [x + y, 3, "text", x.shape],
        lambda x, y: Several(b=x + y, a=x * y),
        lambda x, y: [x.max(), y],
    ],
)
@pytest.mark.parametrize("writes", [False, True])
def test_results_in_containers_are_those_of_eager_code(function: Any, writes: bool) -> None:
    v = hb.Variable([1.0, 2.0])

    def f(x: Any, y: Any) -> Any:
        if writes:
            v.assign_add(x)
        return function(x, y)

    x, y = hb.asarray([1.0, 2.0]), hb.asarray([3.0, 5.0])
    compiled = hb.compile(f)
    for _ in range(3):
        compiled(x, y)
    found, wanted = compiled(x, y), function(x, y)
    assert repr(found) == repr(wanted)
    assert type(found) is type(wanted)
    if isinstance(wanted, list) and len(wanted) == 2:
        assert (found[0] is found[1]) == (wanted[0] is wanted[1])
    assert v.numpy().tolist() == ([5.0, 10.0] if writes else [1.0, 2.0])
    if isinstance(found, list) and isinstance(found[0] if found else None, hb.Tensor):
        found[0] += 1  # is nobody else's
    assert repr(compiled(x, y)) == repr(wanted)


@pytest.mark.parametrize("dynamic", [None, False, True])
@pytest.mark.parametrize("native", [1, 500])
def test_one_array_twice_is_told_from_two(
    native: int, dynamic: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shortcuts, "WORTH_COMPILING", native)
    flat = hb.compile(lambda x, y: x + 1 if x is y else x - y, dynamic=dynamic)
    nested = hb.compile(lambda d: d["x"] + 1 if d["x"] is d["y"] else d["x"] - d["y"])
    three = hb.compile(lambda x, y, z: x + (x is y) + 2 * (y is z) + 4 * (x is z))
    for n in (2, 3, 4, 5, 2, 2, 3):
        x, y = hb.ones(n), hb.ones(n)
        for a, b in [(x, x), (x, y), (y, x), (y, y)] * 3:
            assert flat(a, b).tolist() == [2.0 if a is b else 0.0] * n
            assert nested({"x": a, "y": b}).tolist() == [2.0 if a is b else 0.0] * n
            for c in (x, y):
                wanted = 1.0 + (a is b) + 2 * (b is c) + 4 * (a is c)
                assert three(a, b, c).tolist() == [wanted] * n


def sgd(parameters: list[Any], gradients: list[Any], rate: float) -> None:
    for p, g in zip(parameters, gradients, strict=True):
        p -= rate * g


@pytest.mark.parametrize("make", [hb.asarray, np.asarray])
def test_lists_that_are_written_are_answered(make: Any) -> None:
    def arrays() -> list[Any]:
        return [make(np.arange(n + 2.0)) for n in range(3)]

    f = hb.compile(sgd)
    ours, theirs, gradients = arrays(), arrays(), arrays()
    assert again(f, ours, gradients, 0.5) is None
    for _ in range(4):
        sgd(theirs, gradients, 0.5)
    assert repr(ours) == repr(theirs)


def test_memory_that_is_shared_is_noticed_before_it_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sharing, "WORTH_COMPARING", 1)
    f = hb.compile(sgd)
    for _ in range(3):
        again(f, [hb.ones(3), hb.ones(3)], [hb.ones(3), hb.ones(3)], 0.5)
    runs = []
    for function in (f, sgd):
        x = np.arange(9.0).astype("f4")
        a, b, c = (hb.asarray(x[i : i + 3]) for i in (0, 2, 5))
        function([a, b], [b, c], 0.5)
        function([a, c], [c, c], 0.5)
        function([a, a], [b, c], 0.5)
        runs.append(x.tolist())
    assert runs[0] == runs[1]


def test_a_view_that_was_taken_sees_what_a_replay_writes() -> None:
    f = hb.compile(sgd)
    x, g = hb.ones(3), hb.ones(3)
    again(f, [x], [g], 0.5)
    view = x[1:]
    f([x], [g], 0.5)
    assert view.tolist() == x.tolist()[1:]
    with hb.GradientTape() as tape:
        tape.watch(x)
        loss = (x * x).sum()
    wanted = 2 * x.numpy()
    f([x], [g], 0.5)
    np.testing.assert_array_equal(tape.gradient(loss, x), wanted)


def test_results_of_several_kinds_are_put_together_at_once() -> None:
    thing = object()

    def f(x: hb.Tensor, n: int) -> Any:
        y = x + n
        return {"y": (y, [y, x]), "n": n + 1, "size": x.size, "thing": thing, "none": None}

    compiled, x = hb.compile(f), hb.asarray([1.0, 2.0])
    for n in (2, 3, 4, 5, 6):
        found = compiled(x, n)
        assert repr(found) == repr(f(x, n))
        assert found["y"][0] is found["y"][1][0]
        assert found["y"][1][1] is x
        assert type(found["n"]) is type(found["size"]) is int


def test_objects_in_results_follow_sizes() -> None:
    def f(x: hb.Tensor) -> Any:
        return x + 1, x.shape, x.shape[0] * 2

    compiled = hb.compile(f)
    for n in (2, 3, 4, 5, 6, 5, 4):
        for _ in range(3):
            assert repr(compiled(hb.ones(n))) == repr(f(hb.ones(n)))
