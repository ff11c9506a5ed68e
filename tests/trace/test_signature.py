"""Every way to define and to call a function works compiled, and shares traces where it should."""

from __future__ import annotations

import enum
import functools
import gc
import inspect
import weakref
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import optree
import pytest

import hybrid as hb
from hybrid.trace.keys import fast_key, key_of_tensors
from tests.trace.agreement import agree, alike, compiled_throughout, falls_back


def x3() -> hb.Tensor:
    return hb.asarray([1.0, 2.0, 3.0])


# --- parameters -----------------------------------------------------------------------------------


def test_keyword_only_positional_only_star_and_default_arguments() -> None:
    def f(a: Any, /, b: Any = 2.0, *rest: Any, c: Any = 3.0, **more: Any) -> Any:
        return a * b + c, rest, more, sum(rest), list(more)

    traced = hb.compile(f)
    x = x3()
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((x,), {}),
        ((x, 5.0), {}),
        ((x,), {"b": 5.0}),
        ((x, 5.0, x, x), {}),
        ((x,), {"c": x}),
        ((x,), {"z": x, "y": 1.0}),
        ((x,), {"y": 1.0, "z": x}),
        ((x, 1.0, 2.0), {"c": 4.0, "d": x}),
    ]
    for _ in range(2):
        for args, kwargs in calls:
            alike(traced(*args, **kwargs), f(*args, **kwargs))
    for wrong in (lambda g: g(), lambda g: g(a=x), lambda g: g(x, 1.0, b=1.0)):
        for g in (traced, f):
            with pytest.raises(TypeError):
                wrong(g)


ONES = np.ones(3)


def test_a_default_that_is_an_array_is_an_input_and_changed_defaults_are_seen() -> None:
    def f(x: hb.Tensor, w: Any = ONES, k: float = 2.0) -> hb.Tensor:
        return x * w * k

    traced = hb.compile(f)
    alike(traced(x3()), f(x3()))
    f.__defaults__ = (np.full(3, 2.0), 5.0)
    for _ in range(2):
        assert traced(x3()).tolist() == [10, 20, 30]


# --- containers -----------------------------------------------------------------------------------


class Point(NamedTuple):
    x: Any
    y: Any


@dataclass
class Pair:
    first: Any
    second: Any = 2.0


@dataclass(frozen=True)
class Config:
    width: int
    name: str


class Registered:
    def __init__(self, value: Any, tag: str) -> None:
        self.value, self.tag = value, tag


hb.register_container(
    Registered, lambda r: ((r.value,), r.tag), lambda tag, parts: Registered(*parts, tag)
)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: Point(x3(), 2.0),
        lambda: Point([x3(), x3()], {"a": x3()}),
        lambda: OrderedDict(b=x3(), a=x3() * 2),
        lambda: defaultdict(list, b=[x3()]),
        lambda: deque([x3(), x3() * 2], maxlen=5),
        lambda: (x3(), None, (), [], {}, "text"),
        lambda: {2: x3(), 1: x3() * 2},
        lambda: {"z": x3(), "a": x3() * 2},
    ],
)
def test_containers_come_and_go_as_they_are(make: Callable[[], Any]) -> None:
    def f(c: Any) -> Any:
        doubled = optree.tree_map(
            lambda v: v * 2 if isinstance(v, hb.Tensor | float) else v, c, none_is_leaf=True
        )
        return doubled, c, list(c)

    with compiled_throughout():
        traced = agree(f, lambda: (make(),))
    assert traced.cache_info().misses == 1


def test_registered_containers_are_looked_into() -> None:
    f = hb.compile(lambda r: Registered(r.value * 2, r.tag + "!"))
    for _ in range(2):
        out = f(Registered(x3(), "t"))
        assert out.tag == "t!"
        assert out.value.tolist() == [2, 4, 6]
    assert f.cache_info().misses == 1


def test_dataclasses_as_arguments() -> None:
    def f(p: Pair) -> hb.Tensor:
        return p.first * p.second

    traced = hb.compile(f)
    pair = Pair(x3())
    alike(traced(pair), f(pair))
    pair.second = 5.0
    alike(traced(pair), f(pair))
    pair.first = x3() * 2
    alike(traced(pair), f(pair))
    for k in (2.0, 3.0):
        other = Pair(x3(), k)
        alike(traced(other), f(other))
    frozen = hb.compile(lambda x, c: x * c.width + len(c.name))
    for width in (2, 3, 2):
        assert frozen(x3(), Config(width, "ab")).tolist()[0] == width + 2
    assert frozen.cache_info().misses == 2


def test_the_order_of_a_dict_argument_is_that_of_the_call() -> None:
    def f(d: dict[str, Any]) -> Any:
        return list(d), sum(i * v for i, v in enumerate(d.values())), next(iter(d))

    a, b = x3(), x3() * 10
    agree(f, lambda: ({"a": a, "b": b},), lambda: ({"b": b, "a": a},), lambda: ({"a": b, "b": a},))


def test_a_returned_dict_keeps_its_order() -> None:
    def f(x: hb.Tensor) -> Any:
        out = {"z": x, "a": x * 2, "m": {2: x + 1, 1: x}}
        out["b"] = out.pop("a")
        return out, OrderedDict(z=x, a=x), defaultdict(list, {"z": [x], "a": [x]})

    agree(f, lambda: (x3(),))


@pytest.mark.parametrize("kind", [set, frozenset])
def test_sets_as_arguments(kind: Any) -> None:
    def f(x: hb.Tensor, names: Any) -> Any:
        return x * len(names) + ("a" in names), sorted(names)

    calls = [kind(v) for v in ({"a", "b"}, {"b", "a"}, {"b"}, {"c"}, set())]
    traced = hb.compile(f)
    for _ in range(2):
        for names in calls:
            alike(traced(x3(), names), f(x3(), names))
    changing = {"a"}
    alike(traced(x3(), changing), f(x3(), changing))
    changing.add("z")
    alike(traced(x3(), changing), f(x3(), changing))


def test_enums_dtypes_slices_and_functions_are_constants() -> None:
    def f(x: hb.Tensor, c: Any, d: Any, s: Any, g: Any) -> Any:
        return g(x.astype(d)[s]) * (2 if c is Colour.RED else 3)

    calls = [
        lambda c=c, d=d, s=s, g=g: (x3(), c, d, s, g)
        for c, d, s, g in [
            (Colour.RED, hb.float64, slice(1, None), hb.tanh),
            (Colour.BLUE, np.float32, slice(None, 2), np.exp),
            (Colour.RED, "int32", slice(None), abs),
        ]
    ]
    with compiled_throughout():
        assert agree(f, *calls).cache_info().misses == 3


# --- kinds of functions ---------------------------------------------------------------------------


class Model:
    scale = 2.0

    def __init__(self, rate: float) -> None:
        self.rate = rate

    @hb.compile
    def method(self, x: hb.Tensor) -> hb.Tensor:
        return x * self.rate

    @classmethod
    @hb.compile
    def of_class(cls, x: hb.Tensor) -> hb.Tensor:
        return x * cls.scale

    @hb.compile
    @classmethod
    def of_class_inside_out(cls, x: hb.Tensor) -> hb.Tensor:
        return x * cls.scale

    @staticmethod
    @hb.compile
    def static(x: hb.Tensor) -> hb.Tensor:
        return x * 3

    @hb.compile
    @staticmethod
    def static_inside_out(x: hb.Tensor) -> hb.Tensor:
        return x * 3

    @property
    @hb.compile
    def doubled(self) -> hb.Tensor:
        return hb.ones(2) * self.rate * 2

    @hb.compile
    def __call__(self, x: hb.Tensor) -> hb.Tensor:
        return self.method(x) + self.static(x)


class Child(Model):
    scale = 5.0

    def method(self, x: hb.Tensor) -> hb.Tensor:
        return super().method(x) + 1


def test_methods_of_every_kind() -> None:
    a, b, child = Model(2.0), Model(7.0), Child(3.0)
    for _ in range(3):
        assert a.method(x3()).tolist() == [2, 4, 6]
        assert b.method(x3()).tolist() == [7, 14, 21]
        assert child.method(x3()).tolist() == [4, 7, 10]
        for model, scale in ((Model, 2), (a, 2), (Child, 5), (child, 5)):
            assert model.of_class(x3()).tolist()[0] == scale
            assert model.of_class_inside_out(x3()).tolist()[0] == scale
            assert model.static(x3()).tolist()[0] == 3
            assert model.static_inside_out(x3()).tolist()[0] == 3
        assert b.doubled.tolist() == [14, 14]
        assert b(x3()).tolist() == [10, 20, 30]
        assert child(x3()).tolist()[0] == 7
        assert hb.compile(b.method)(x3()).tolist()[0] == 7
        assert hb.compile(Model.of_class)(x3()).tolist()[0] == 2
    assert Model.method.cache_info().misses <= 4  # one cache for all instances


def test_a_method_holds_self_weakly() -> None:
    models = [Model(float(i)) for i in range(5)]
    for i, model in enumerate(2 * models):  # the fifth is traced when it comes again
        assert model.method(x3()).tolist()[0] == i % 5
    before = Model.method.cache_info().currsize
    refs = [weakref.ref(m) for m in models]
    del model, models
    gc.collect()
    assert [r() for r in refs] == [None] * 5
    assert Model.method.cache_info().currsize <= before - 5


def test_partials_callables_and_builtins() -> None:
    def f(a: Any, b: Any, k: float = 1.0) -> Any:
        return a - b * k

    x = x3()
    for made in (functools.partial(f, x), functools.partial(f, b=x, k=3.0)):
        agree(made, lambda: (x * 2,))

    class Callable_:
        def __init__(self) -> None:
            self.k = 2.0

        def __call__(self, x: hb.Tensor) -> hb.Tensor:
            return x * self.k

    thing = Callable_()
    traced = hb.compile(thing)
    for k in (2.0, 2.0, 9.0):
        thing.k = k
        alike(traced(x), thing(x))
    for builtin in (abs, np.exp, np.sum, max):
        agree(builtin, lambda: (x,))
    agree(sum, lambda: ([x, x],))


def test_decorators_above_and_below() -> None:
    def plus_one(g: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(g)
        def inner(*args: Any, **kwargs: Any) -> Any:
            return g(*args, **kwargs) + 1

        return inner

    @plus_one
    @hb.compile
    def above(x: hb.Tensor) -> hb.Tensor:
        return x * 2

    @hb.compile
    @plus_one
    def below(x: hb.Tensor, k: float = 2.0) -> hb.Tensor:
        return x * k

    @hb.compile
    @functools.lru_cache
    def table(n: int) -> hb.Tensor:
        return hb.ones(n) * n

    for _ in range(3):
        assert above(x3()).tolist() == [3, 5, 7]
        assert below(x3()).tolist() == [3, 5, 7]
        assert below(x3(), k=3.0).tolist() == [4, 7, 10]
        assert table(3).tolist() == [3, 3, 3]


class _Doubles:
    """Says that it takes nothing."""

    __signature__ = inspect.Signature()

    def __call__(self, x: Any) -> Any:
        return x * 2.0


def test_decorators_that_take_fewer_arguments_than_they_say_or_more() -> None:
    def given(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inner(*args: Any, twice: bool = False, **kwargs: Any) -> Any:
            result = function(2.0, *args, **kwargs)
            return result * 2.0 if twice else result

        return inner

    @given
    def scale(by: Any, x: Any, *, offset: Any = 0.0) -> Any:
        return by * x + offset

    for function in (scale, functools.partial(scale, twice=True), _Doubles()):
        agree(function, lambda: (x3(),))
    traced = hb.compile(scale)
    for kwargs in ({"twice": True}, {"offset": 1.0}):
        alike(traced(x3(), **kwargs), scale(x3(), **kwargs))
    alike(traced(x=x3()), scale(x=x3()))


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), ((1.0, 2.0, 3.0), {}), ((1.0,), {"rate": 2.0}), ((1.0,), {})]
)
def test_arguments_that_do_not_fit_raise_what_python_raises(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    def step(x: Any, y: Any = 1.0, *, scale: Any) -> Any:
        return x * y * scale

    with pytest.raises(TypeError) as eager:
        step(*args, **kwargs)
    with pytest.raises(TypeError) as traced:
        hb.compile(step)(*args, **kwargs)
    assert str(traced.value) == str(eager.value)
    assert "step() " in str(traced.value)


def test_decorated_twice_is_decorated_once() -> None:
    calls = []

    def f(x: hb.Tensor) -> hb.Tensor:
        calls.append(1)
        return x * 2

    once = hb.compile(f)
    twice = hb.compile(hb.compile(once))
    for g in (once, twice):
        for _ in range(3):
            assert g(x3()).tolist() == [2, 4, 6]
    assert twice.__wrapped__ is f


def test_nested_compiled_functions_are_inlined_with_other_signatures() -> None:
    @hb.compile
    def inner(x: hb.Tensor, n: int = 1) -> hb.Tensor:
        if x.ndim == 1:
            return x * n
        return x.sum(axis=0) - n

    def outer(x: hb.Tensor) -> hb.Tensor:
        return inner(x, 2) + inner(hb.stack([x, x]), n=3) + inner(x)

    with compiled_throughout():
        agree(outer, lambda: (x3(),))
    assert inner.cache_info().misses <= 3


def test_recursion() -> None:
    @hb.compile
    def power(x: hb.Tensor, n: int) -> hb.Tensor:
        return x if n == 1 else x * power(x, n - 1)

    @hb.compile
    def halve(x: hb.Tensor) -> hb.Tensor:
        return x if x.sum() < 1 else halve(x / 2)

    for _ in range(2):
        assert power(x3(), 4).tolist() == [1, 16, 81]
        assert halve(x3()).sum().item() == 0.75
        assert halve(x3() * 0).tolist() == [0, 0, 0]


def test_deep_recursion_ends_in_a_recursion_error_as_eagerly_and_leaves_things_clean() -> None:
    @hb.compile
    def forever(x: hb.Tensor) -> hb.Tensor:
        return forever(x + 1)

    for _ in range(2):
        with pytest.raises(RecursionError):
            forever(x3())
    assert hb.compile(lambda x: x + 1)(x3()).tolist() == [2, 3, 4]

    def deep(x: hb.Tensor, n: int = 300) -> hb.Tensor:
        return x if n == 0 else deep(x, n - 1) + 1

    agree(deep, lambda: (x3(),))


def test_generators_and_comprehensions_inside() -> None:
    def parts(x: hb.Tensor) -> Iterator[hb.Tensor]:
        for i in range(3):
            if x[i] > 1:
                yield x[i] * i

    def f(x: hb.Tensor) -> Any:
        rows = [v + 1 for v in x]
        table = {i: v * 2 for i, v in enumerate(parts(x))}
        first, *rest = x
        return sum(parts(x)), rows, table, tuple(v * 2 for v in x), first, rest, {*range(2)}

    with compiled_throughout():
        agree(f, lambda: (x3(),), lambda: (x3() - 1.5,))


def test_generators_and_iterators_passed_in_are_consumed_at_every_call() -> None:
    @hb.compile
    def total(x: hb.Tensor, items: Any) -> hb.Tensor:
        for item in items:
            x = x + item
        return x

    with falls_back("iterator"):
        for n in (2, 3, 0, 2):
            assert total(x3(), (float(i) for i in range(n))).tolist()[0] == 1 + sum(range(n))
            assert total(x3(), iter([1.0] * n)).tolist()[0] == 1 + n
        once = iter([5.0])
        assert [total(x3(), once).tolist()[0] for _ in range(3)] == [6, 1, 1]
        assert total(x3(), map(float, "12")).tolist()[0] == 4
    assert total(x3(), [1.0, 2.0]).tolist()[0] == 4
    assert total(x3(), range(3)).tolist()[0] == 4


def test_a_captured_iterator_is_not_frozen() -> None:
    import itertools

    numbers = itertools.count(1)
    gen = (float(i) for i in range(100))

    def counted(x: hb.Tensor) -> hb.Tensor:
        return x * next(numbers)

    def drawn(x: hb.Tensor) -> hb.Tensor:
        return x * next(gen)

    for f, first in ((counted, 1), (drawn, 0)):
        traced = hb.compile(f)
        with falls_back("iterator"):
            assert [traced(hb.ones(1)).item() for _ in range(4)] == [first + i for i in range(4)]


def test_lambdas_and_closures_made_in_a_loop_do_not_share_or_leak() -> None:
    refs = []
    for k in range(5):
        w: Any = hb.full(1000, float(k))
        f = hb.compile(lambda x, k=k, w=w: x * k + w)
        g = hb.compile(lambda x: x * k + w)
        assert f(x3()[:1]).tolist()[0] == 2 * k
        assert g(x3()[:1]).tolist()[0] == 2 * k
        refs += [weakref.ref(f), weakref.ref(g), weakref.ref(w)]
    f = g = w = None
    gc.collect()
    assert [r() for r in refs if r() is not None] == []


def test_functions_passed_as_arguments_do_not_leak() -> None:
    apply = hb.compile(lambda f, x: f(x))
    refs = []
    for k in range(5):
        f = lambda x, k=k: x * k
        assert apply(f, x3()).tolist()[0] == k
        refs.append(weakref.ref(f))
    del f
    gc.collect()
    assert [r() for r in refs] == [None] * 5
    assert apply.cache_info().currsize == 0


def test_two_instances_of_one_class_are_told_apart_and_die() -> None:
    class Thing:
        def __init__(self, k: float) -> None:
            self.k = k

    f = hb.compile(lambda x, thing: x * thing.k)
    a, b = Thing(2.0), Thing(3.0)
    for _ in range(3):
        assert f(x3(), a).tolist()[0] == 2
        assert f(x3(), b).tolist()[0] == 3
    ref = weakref.ref(a)
    del a
    gc.collect()
    assert ref() is None
    assert f.cache_info().currsize == 1


def test_objects_equal_by_value_share_a_trace_only_if_they_behave_alike() -> None:
    class Scale:
        def __init__(self, k: float, note: str) -> None:
            self.k, self.note = k, note

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Scale) and self.note == other.note

        def __hash__(self) -> int:
            return hash(self.note)

    f = hb.compile(lambda x, s: x * s.k)
    a, b = Scale(2.0, "same"), Scale(3.0, "same")
    for _ in range(2):
        assert f(x3(), a).tolist()[0] == 2
        assert f(x3(), b).tolist()[0] == 3
    a.k = 9.0
    assert f(x3(), a).tolist()[0] == 9


Mutable = namedtuple("Mutable", "items rate")


def test_what_is_no_function_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="compile: 3 is not a function"):
        hb.compile(3)  # type: ignore[call-overload]


def test_named_tuples_with_mutable_fields() -> None:
    def f(m: Any) -> Any:
        return sum(m.items) * m.rate, m._replace(rate=2.0)

    agree(f, lambda: (Mutable([x3(), x3()], 3.0),), lambda: (Mutable([x3()], 4.0),))


def test_the_short_key_of_tensors_tells_apart_what_the_long_one_does() -> None:
    base = np.zeros((4, 4), np.float32)
    kinds = [base, base.T, base[:2], base[::2], base.astype(np.float64), base[0], base.reshape(16)]
    pairs = [(hb.asarray(a), hb.asarray(b)) for a in kinds for b in kinds]
    short = key_of_tensors(2)
    for one in pairs:
        for other in pairs:
            assert (short(one) == short(other)) == (fast_key(one) == fast_key(other))
    for args in ((pairs[0][0],), (*pairs[0], 1.0), (pairs[0][0], 1.0), (base, base)):
        assert short(args) == fast_key(args)


# --- the words for a difference -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (1.0, np.float64(1.0), "a: f64*[] -> f64[]"),
        (np.float32(1.0), 1.0, "a: f32[] -> f64*[]"),
        (1j, hb.asarray(1j), "a: c128*[] -> c64[]"),
        ((1.0, 2.0), [1.0, 2.0], "the arguments nest differently: ((*, *),) before, ([*, *],) now"),
    ],
)
def test_the_reason_for_a_trace_names_what_differs_where_shapes_and_names_are_the_same(
    first: Any, second: Any, words: str
) -> None:
    f = hb.compile(lambda a: a)
    f(first)
    f(second)
    assert f"traced because {words}\n" in f.explain()
