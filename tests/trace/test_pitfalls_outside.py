"""What is outside a function and changes between calls, or that the function itself changes."""

from __future__ import annotations

import copy
import functools
import gc
import os
import subprocess
import sys
import time
import types
import warnings
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import EagerFallbackWarning, LeakedTensorError, SideEffectWarning, TraceError
from tests.trace.agreement import agree, alike, compiled_throughout, falls_back


def ones() -> hb.Tensor:
    return hb.ones(2)


# --- containers among the arguments ---------------------------------------------------------------


def appends(x: hb.Tensor, c: Any) -> Any:
    c.append(x * 2)
    c.append(3)
    return x + len(c)


def sets_items(x: hb.Tensor, c: Any) -> Any:
    c["new"] = x * 2
    c["a"], c["n"] = c["b"], 7
    del c["b"]
    return sum(v for v in c.values() if not isinstance(v, int))


def replaces_slices(x: hb.Tensor, c: Any) -> Any:
    c[1:] = [x, x, c[0]]
    c.insert(0, "text")
    c.reverse()
    return x


def changes_inner(x: hb.Tensor, c: Any) -> Any:
    c["list"].append(x + 1)
    c["dict"]["k"] = c["list"]
    c["list"] = [c["list"], x]
    c["tuple"][0].pop()
    return x


def sorts(x: hb.Tensor, c: Any) -> Any:
    c.sort(key=lambda t: -t.sum())
    return c[0] + x


def swaps(x: hb.Tensor, c: Any) -> Any:
    c[0], c[1] = c[1], c[0]
    c[0] += 1
    return x


def branches(x: hb.Tensor, c: Any) -> Any:
    c.append(1.0)
    if x.sum() > 0:
        c.append(x)
    return x


MUTATIONS: list[tuple[Callable[..., Any], Callable[[], Any]]] = [
    (appends, list),
    (appends, lambda: [ones(), None]),
    (appends, lambda: deque([ones()], maxlen=2)),
    (sets_items, lambda: {"a": ones(), "b": ones() * 5}),
    (sets_items, lambda: OrderedDict(b=ones(), a=ones() * 5)),
    (sets_items, lambda: defaultdict(list, b=ones(), a=ones() * 5)),
    (replaces_slices, lambda: [ones(), 1, 2]),
    (changes_inner, lambda: {"list": [ones()], "dict": {}, "tuple": ([1, 2],)}),
    (sorts, lambda: [ones(), ones() * 3, ones() * 2]),
    (swaps, lambda: [ones(), ones() * 3]),
    (branches, list),
]


@pytest.mark.parametrize(("function", "make"), MUTATIONS)
def test_a_container_that_is_an_argument_is_changed_at_every_call(
    function: Callable[..., Any], make: Callable[[], Any]
) -> None:
    with compiled_throughout():
        agree(function, lambda: (ones(), make()), lambda: (-ones(), make()), rounds=3)


def test_changed_containers_keep_their_identity_and_that_of_what_they_hold() -> None:
    @hb.compile
    def f(x: hb.Tensor, c: list[Any]) -> None:
        c[0].append(x)
        c.append(c[0])
        c.append(x)

    for _ in range(3):
        inner: list[Any] = []
        outer: list[Any] = [inner]
        x = ones()
        f(x, outer)
        assert outer[0] is inner
        assert outer[1] is inner
        assert outer[2] is x
        assert inner[0] is x


def test_containers_are_changed_after_a_fallback_too() -> None:
    def f(x: hb.Tensor, c: dict[str, Any]) -> Any:
        c["before"] = x * 2
        total = float(x.sum())
        c["after"] = x + total
        c["list"].append(total)
        return c["before"]

    with falls_back("float()"):
        agree(f, lambda: (ones(), {"list": []}), rounds=3)
    with falls_back("float()"):
        traced = hb.compile(f)
        for _ in range(3):
            array, c = np.ones(2), {"list": []}
            traced(array, c)
            assert list(c) == ["list", "before", "after"]
            assert c["list"] == [2.0]


def test_containers_are_changed_up_to_an_exception() -> None:
    def f(x: hb.Tensor, c: list[Any]) -> None:
        c.append(x * 2)
        raise KeyError("later")

    agree(f, lambda: (ones(), []), rounds=2)


def test_under_a_tape_containers_are_changed_and_have_gradients() -> None:
    @hb.compile
    def f(x: hb.Tensor, out: dict[str, Any]) -> None:
        out["loss"] = (x * x).sum()

    for _ in range(3):
        x, out = hb.asarray([1.0, 2.0]), {}
        with hb.GradientTape() as tape:
            tape.watch(x)
            f(x, out)
        assert tape.gradient(out["loss"], x).tolist() == [2, 4]


def test_a_set_that_is_an_argument_and_changed_runs_eagerly() -> None:
    def f(x: hb.Tensor, names: set[str]) -> Any:
        names.add("new")
        return x * len(names)

    with falls_back("names"):
        names: set[str] = {"a"}
        f_ = hb.compile(f)
        assert f_(ones(), names).tolist() == [2, 2]
        names.remove("new")
        assert f_(ones(), names).tolist() == [2, 2]
        assert names == {"a", "new"}


class Thing:
    def __init__(self, k: Any = 1.0) -> None:
        self.k = k


def test_attributes_set_on_an_argument_are_set_at_every_call() -> None:
    @hb.compile
    def f(x: hb.Tensor, thing: Thing) -> hb.Tensor:
        thing.k = x * 2
        thing.n = 5  # type: ignore[attr-defined]
        return x

    thing = Thing()
    with falls_back("thing.k = x * 2"):
        for i in range(3):
            thing.n = 0  # type: ignore[attr-defined]
            f(ones() * i, thing)
            assert thing.k.tolist() == [2 * i, 2 * i]
            assert thing.n == 5  # type: ignore[attr-defined]


# --- containers outside ---------------------------------------------------------------------------

HISTORY: list[Any] = []
TABLE: dict[str, Any] = {"count": 0}
SEEN: set[Any] = set()
COUNTS = np.zeros(3)
TOTAL: Any = 0.0


def into_a_global_list(x: hb.Tensor) -> hb.Tensor:
    y = x * 2
    HISTORY.append(y)
    return y


def into_a_global_dict(x: hb.Tensor) -> hb.Tensor:
    TABLE["last"] = x * 2
    return x


def into_a_nested_container(x: hb.Tensor) -> hb.Tensor:
    TABLE["nested"] = {"deep": [(x * 2, 1)]}
    return x


def into_a_global(x: hb.Tensor) -> hb.Tensor:
    global TOTAL
    TOTAL = TOTAL + x.sum()
    return x


def into_a_set(x: hb.Tensor) -> hb.Tensor:
    SEEN.add(x * 2)
    return x


def into_an_attribute_of_a_function(x: hb.Tensor) -> hb.Tensor:
    into_an_attribute_of_a_function.last = x * 2  # type: ignore[attr-defined]
    return x


@pytest.mark.parametrize(
    ("function", "line", "read"),
    [
        (into_a_global_list, "HISTORY.append(y)", lambda: HISTORY[-1]),
        (into_a_global_dict, 'TABLE["last"] = x * 2', lambda: TABLE["last"]),
        (into_a_nested_container, 'TABLE["nested"] =', lambda: TABLE["nested"]["deep"][0][0]),
        (into_a_global, "TOTAL = TOTAL + x.sum()", lambda: TOTAL),
        (into_a_set, "SEEN.add(x * 2)", lambda: [t for t in SEEN if t.sum() != 0][-1]),
        (
            into_an_attribute_of_a_function,
            ".last = x * 2",
            lambda: into_an_attribute_of_a_function.last,  # type: ignore[attr-defined]
        ),
    ],
)
def test_a_tensor_kept_outside_keeps_its_contents(
    function: Any, line: str, read: Callable[[], Any]
) -> None:
    HISTORY.clear(), TABLE.clear(), SEEN.clear()
    TABLE["count"] = 0
    traced = hb.compile(function)
    with falls_back(line):
        for k in (1.0, 2.0, 3.0):
            SEEN.clear()
            traced(ones() * k)
            assert np.isfinite(np.asarray(read())).all()
    with pytest.raises(TraceError, match="fullgraph"):
        hb.compile(function, fullgraph=True)(ones())


def test_a_container_outside_that_changes_is_told_once_with_the_line() -> None:
    log: list[Any] = []
    table: dict[str, Any] = {}

    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        log.append(x.shape)
        return x

    @hb.compile
    def g(x: hb.Tensor) -> hb.Tensor:
        table[str(x.shape)] = 1
        return x

    for function, line in ((f, r"log\.append\(x\.shape\)"), (g, r"table\[str\(x\.shape\)\] = 1")):
        with pytest.warns(SideEffectWarning, match=line):
            function(hb.ones(2))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for n in (2, 3):
                function(hb.ones(n))


def test_a_number_in_a_list_that_is_read_and_changed_runs_eagerly() -> None:
    state = [0]

    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        state[0] += 1
        return x * state[0]

    with falls_back("state[0] += 1"):
        for i in range(1, 4):
            assert f(ones()).tolist() == [i, i]


@pytest.mark.parametrize("after_use", [False, True])
def test_an_ndarray_outside_that_numpy_writes_runs_eagerly(after_use: bool) -> None:
    counts = np.zeros(2, np.float32)

    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        y = x + counts if after_use else x
        counts[0] += 1
        return y if after_use else y + counts

    with falls_back("counts[0] += 1"):
        for i in range(4):
            assert f(hb.zeros(2)).tolist() == [i if after_use else i + 1, 0]


def test_an_attribute_array_that_numpy_writes_runs_eagerly() -> None:
    thing = Thing(np.zeros(2))

    @hb.compile
    def f(x: hb.Tensor, thing: Thing) -> hb.Tensor:
        np.add(thing.k, 1, out=thing.k)
        return x * thing.k

    with falls_back("thing.k"):
        for i in range(1, 4):
            assert f(ones(), thing).tolist() == [i, i]


def test_an_array_that_the_function_writes_through_hybrid_stays_compiled() -> None:
    total = np.zeros(2)

    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        out = hb.asarray(total)
        out += x
        if x.sum() > 0:
            out *= 2
        return out * 1

    with compiled_throughout():
        assert [f(ones()).tolist()[0] for _ in range(3)] == [2, 6, 14]


# --- escaped Tensors ------------------------------------------------------------------------------


def test_an_escaped_tensor_names_where_it_was_made_and_who_keeps_it() -> None:
    box = Element("box")  # in C: nothing shows what is in it
    holder = types.SimpleNamespace()

    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        y = x * 3  # made here
        box.set("inside", y)  # type: ignore[arg-type]
        return y + 1

    f(ones())
    holder.kept = box.attrib
    with pytest.raises(LeakedTensorError, match=r"made here(.|\n)*kept under 'inside' of a dict"):
        holder.kept["inside"] + 1


# --- what changes between calls -------------------------------------------------------------------


def module(source: str) -> types.ModuleType:
    made = types.ModuleType("made_for_a_test")
    made.__dict__["hb"] = hb
    exec(compile(source, "made_for_a_test.py", "exec"), made.__dict__)
    return made


def test_redefining_anything_that_is_reached_retraces() -> None:
    m = module(
        "k = 2.0\n"
        "w = hb.ones(2)\n"
        "items = [1.0, 2.0]\n"
        "def helper(x, by=1.0): return x * k + by\n"
        "def f(x): return helper(x) * w + sum(items)\n"
    )
    sys.modules[m.__name__] = m
    try:
        f = hb.compile(m.f)
        changes = [
            lambda: None,
            lambda: setattr(m, "k", 5.0),
            lambda: setattr(m, "w", hb.full(2, 3.0)),
            lambda: m.items.append(10.0),
            lambda: m.items.__setitem__(0, -1.0),
            lambda: setattr(m, "items", [7.0]),
            lambda: setattr(m.helper, "__defaults__", (9.0,)),
            lambda: setattr(m.helper, "__code__", (lambda x, by=1.0: x - by).__code__),
            lambda: exec("def helper(x, by=1.0): return x * x * by", m.__dict__),
            lambda: setattr(m.f, "__code__", (lambda x: x * 100).__code__),
        ]
        for change in changes:
            change()
            for _ in range(2):
                alike(f(ones() * 2), m.f(ones() * 2))
    finally:
        del sys.modules[m.__name__]


class Layer:
    def __init__(self, k: float) -> None:
        self.k = k
        self.w = hb.Variable(hb.ones(2))
        self.options = {"bias": 1.0}
        self.name = "layer"

    def __call__(self, x: hb.Tensor) -> hb.Tensor:
        return x * self.w * self.k + self.options["bias"] + len(self.name)


class Net:
    training = True

    def __init__(self) -> None:
        self.layers = [Layer(2.0), Layer(3.0)]
        self.extra: tuple[Any, ...] = ()

    @hb.compile
    def __call__(self, x: hb.Tensor) -> hb.Tensor:
        for layer in [*self.layers, *self.extra]:
            x = layer(x)
        return x if self.training else -x


@pytest.mark.parametrize(
    "change",
    [
        lambda n: setattr(n, "training", False),
        lambda n: setattr(n.layers[1], "k", 9.0),
        lambda n: n.layers.append(Layer(4.0)),
        lambda n: n.layers.pop(),
        lambda n: n.layers.reverse(),
        lambda n: setattr(n, "extra", (Layer(5.0),)),
        lambda n: n.layers[0].options.update(bias=3.0),
        lambda n: setattr(n.layers[0], "options", {"bias": 8.0}),
        lambda n: setattr(n.layers[0], "name", "longer name"),
        lambda n: setattr(n.layers[0], "w", hb.Variable(hb.zeros(2))),
        lambda n: n.layers[0].w.assign([5.0, 6.0]),
        lambda n: setattr(n, "layers", n.layers[::-1]),
        lambda n: setattr(Layer, "__call__", lambda self, x: x + 100),
        lambda n: setattr(Net, "training", False),
    ],
)
def test_attributes_of_self_and_of_its_layers_are_never_stale(change: Callable[[Net], Any]) -> None:
    net = Net()
    saved = Layer.__call__, Net.training
    try:
        for _ in range(2):
            alike(net(ones()), Net.__call__.__wrapped__(net, ones()))  # type: ignore[attr-defined]
        change(net)
        for _ in range(2):
            alike(net(ones()), Net.__call__.__wrapped__(net, ones()))  # type: ignore[attr-defined]
    finally:
        Layer.__call__, Net.training = saved  # type: ignore[method-assign]


FACTOR = 2.0


def scaled(x: hb.Tensor) -> hb.Tensor:
    return (x * x * FACTOR).sum()


class Scaled:
    def __call__(self, x: hb.Tensor) -> hb.Tensor:
        return scaled(x)

    def method(self, x: hb.Tensor) -> hb.Tensor:
        return scaled(x)


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (hb.grad(scaled), (2,)),
        (hb.grad(hb.grad(scaled)), ()),
        (hb.value_and_grad(scaled), (2,)),
        (hb.jacobian(scaled), (2,)),
        (hb.hessian(scaled), (2,)),
        (hb.vmap(scaled), (3, 2)),
        (hb.vmap(hb.grad(scaled)), (3, 2)),
        (hb.checkpoint(scaled), (2,)),
        (hb.grad(hb.compile(scaled)), (2,)),
        (functools.partial(hb.grad(scaled)), (2,)),
        (hb.grad(functools.partial(scaled)), (2,)),
        (hb.grad(Scaled()), (2,)),
        (hb.grad(Scaled().method), (2,)),
        (hb.grad(hb.custom_gradient(lambda x: (scaled(x), lambda g: g * x * FACTOR))), (2,)),
    ],
)
def test_what_a_transform_was_made_of_is_never_stale(
    function: Any, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = hb.compile(function)
    x = hb.ones(shape) * 3
    for factor in (2.0, 3.0):
        monkeypatch.setitem(globals(), "FACTOR", factor)
        alike(compiled(x), function(x))


def test_arrays_made_in_what_is_differentiated_are_tensors() -> None:
    def shifted(x: Any) -> Any:
        out = np.zeros(3)
        out[1:] = x[:-1] ** 2
        return (out * x).sum()

    found = hb.compile(hb.grad(shifted), fullgraph=True)(np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(found, [4.0, 13.0, 4.0])


def test_changes_that_do_not_matter_do_not_retrace() -> None:
    net = Net()
    net(ones())
    before = Net.__call__.cache_info().misses  # type: ignore[attr-defined]
    net.layers[0].k = 2.0  # the same value
    net.layers[0].w.assign([3.0, 4.0])
    for _ in range(3):
        net(ones())
    assert Net.__call__.cache_info().misses == before  # type: ignore[attr-defined]


def test_deep_copies_of_objects_have_traces_of_their_own() -> None:
    net = Net()
    other = copy.deepcopy(net)
    other.layers[0].k = 7.0
    for _ in range(2):
        for n in (net, other):
            alike(n(ones()), Net.__call__.__wrapped__(n, ones()))  # type: ignore[attr-defined]


def test_a_warning_that_is_an_error_leaves_the_next_call_right() -> None:
    f = hb.compile(lambda x: x * float(x.sum()))
    with compiled_throughout(), pytest.raises(EagerFallbackWarning):
        f(ones())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            assert f(ones()).tolist() == [2, 2]


def append_and_count(a: Any, b: Any) -> Any:
    a.append(b[0] * 2)
    b[0] = b[0] + 1
    return len(a), len(b), a is b


def through_a_dict(a: Any, b: Any) -> Any:
    a["k"] = a["x"] * 2
    return b.get("k", a["x"] * 0) + b["x"]


def inner_and_outer(a: Any, b: Any) -> Any:
    a[0].append(a[1].popleft())
    b[1].append(b[0][0] * 3)
    return len(a[0]), len(b[1]), [*b[0]]


@pytest.mark.parametrize(
    ("f", "make"),
    [
        (append_and_count, lambda x: [x]),
        (through_a_dict, lambda x: {"x": x}),
        (inner_and_outer, lambda x: ([x], deque([x, x + 1]))),
    ],
)
def test_a_container_that_is_given_twice_is_one_container(f: Any, make: Any) -> None:
    traced = hb.compile(f)
    for shared in (True, False, True, False, True):
        seen = []
        for g in (f, traced):
            a = make(hb.asarray([1.0, 2.0]))
            b = a if shared else make(hb.asarray([1.0, 2.0]))
            seen.append(str((g(a, b), a, b)))
        assert seen[0] == seen[1]
    assert traced.cache_info().misses == 2
    assert "the same container" in traced.explain()


def test_a_container_inside_of_another_argument_is_one_container() -> None:
    def f(outer: Any, inner: Any) -> Any:
        inner.append(1.0)
        return len(outer["a"])

    traced = hb.compile(f)
    for _ in range(2):
        inner = [hb.ones(2)]
        assert traced({"a": inner}, inner) == 2
        assert traced({"a": [hb.ones(2)]}, inner) == 1


def test_what_the_garbage_collector_runs_is_not_the_functions_doing() -> None:
    def callback(phase: str, info: Any) -> None:
        time.perf_counter()

    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        gc.collect()
        return x + (0.0 if callable(time.sleep) else time.perf_counter())

    gc.callbacks.append(callback)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            f(hb.ones(3))
    finally:
        gc.callbacks.remove(callback)
    assert f.concrete_functions[0].fallback is None


def test_a_global_that_takes_the_place_of_a_builtin_is_seen() -> None:
    scope: dict[str, Any] = {}
    source = "def helper(x): return abs(x) * len([1, 2])\ndef f(x): return helper(x) + max(1, 2)"
    exec(source, scope)
    f, x = hb.compile(scope["f"]), -ones()
    alike(f(x), ones() * 4)
    scope["abs"] = lambda t: t * 100
    for _ in range(2):
        alike(f(x), x * 198)
    assert "abs" in f.explain().splitlines()[-3]
    scope["max"] = min
    alike(f(x), x * 199)
    del scope["abs"], scope["max"]
    for _ in range(2):
        alike(f(x), ones() * 4)
    misses = f.cache_info().misses
    scope["min"] = scope["something_else"] = 1
    alike(f(x), ones() * 4)
    assert f.cache_info().misses == misses


def test_what_the_compiler_imports_is_nothing_that_the_function_does(tmp_path) -> None:
    """numba imports NumPy's random numbers: in the midst of the first trace, and draws none."""
    code = """if True:
        import hybrid as hb

        @hb.compile
        def doubled(x):
            for _ in range(20):
                x = x * 2
                if hb.sum(x) > 1000:
                    break
            return x

        print(doubled(hb.ones(3)).tolist())"""
    environment = {**os.environ, "HYBRID_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[512.0, 512.0, 512.0]", "")


def test_a_container_that_is_returned_as_it_came_is_the_callers_own() -> None:
    def stepped(state: dict[str, Any], x: Any, log: list[Any]) -> Any:
        state["x"] = state["x"] + x
        return state, [log, {"log": log}], x

    def untouched(state: dict[str, Any], x: Any, log: list[Any]) -> Any:
        if x.sum() > 3:
            log.append(x.sum())
        return log, state, {"state": state}, x * 2

    def eager(state: dict[str, Any], x: Any, log: list[Any]) -> Any:
        state["x"] = state["x"] * float(x.sum())
        return [state], {}, log

    for function in (stepped, untouched, eager):
        compiled = hb.compile(function)
        for i in range(6):
            for x in (np.full(2, float(i)), hb.full(2, float(i), dtype="float64")):
                state: dict[str, Any] = {"x": np.ones(2), "more": [{}, 1.5]}
                log: list[Any] = []
                more = state["more"]
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    first, second, *rest = compiled(state, x, log)
                assert state["more"] is more
                assert state["more"] == [{}, 1.5]
                if function is stepped:
                    assert first is state
                    assert second[0] is log
                    assert second[1]["log"] is log
                    assert rest[0] is x
                    assert state["x"].tolist() == [1 + i, 1 + i]
                elif function is untouched:
                    assert first is log
                    assert second is rest[0]["state"] is state
                    assert len(log) == (i > 1)
                else:
                    assert first[0] is state
                    assert rest[0] is log
                    assert second == {}
                    assert state["x"].tolist() == [2 * i, 2 * i]


@pytest.mark.parametrize("by", ["closure", "partial", "default", "attribute"])
def test_an_argument_that_is_changed_and_read_under_another_name_is_told_of(by: str) -> None:
    rows: list[int] = []
    holder = types.SimpleNamespace(rows=rows)
    count: Callable[[], int] = {
        "closure": lambda: len(rows),
        "partial": functools.partial(len, rows),
        "default": lambda held=rows: len(held),
        "attribute": lambda: len(holder.rows),
    }[by]

    @hb.compile
    def f(x: hb.Tensor, given: list[int]) -> hb.Tensor:
        given.append(1)
        return x * count()

    with pytest.warns(SideEffectWarning, match="shows what was there before the call"):
        f(ones(), rows)
    other: list[int] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hb.compile(lambda x, given: (given.append(1), x * len(given))[1])(ones(), other)
    assert other == [1]


@pytest.mark.parametrize("by", ["closure", "default", "attribute", "element"])
def test_an_argument_that_is_changed_and_read_under_another_name_is_one_in_a_later_call(
    by: str,
) -> None:
    rows: list[Any] = []
    holder = types.SimpleNamespace(rows=rows)
    count: Callable[[], int] = {
        "closure": lambda: len(rows),
        "default": lambda held=rows: len(held),
        "attribute": lambda: len(holder.rows),
        "element": lambda held=(rows,): len(held[0]),
    }[by]

    @hb.compile
    def f(x: Any, given: dict[str, list[int]]) -> Any:
        given["rows"].append(1)
        return x * count()

    assert f(ones(), {"rows": []}).tolist() == [0, 0]
    with pytest.warns(EagerFallbackWarning, match="runs eagerly where it is given"):
        assert f(ones(), {"rows": rows}).tolist() == [1, 1]
    for i in range(2, 4):
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # it is told once
            assert f(np.ones(2), {"rows": rows}).tolist() == [i, i]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SideEffectWarning)
            assert f(np.ones(2), {"rows": []}).tolist() == [i, i]
    assert rows == [1, 1, 1]
