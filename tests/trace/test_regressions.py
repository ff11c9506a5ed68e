"""What once went wrong: each test is named after it."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
import pytest

import hybrid as hb
from hybrid.trace.recorder import GraphRecorder
from tests.trace.agreement import agree


class Held:
    """An object with whatever attributes."""

    rate = 1.0

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    @property
    def doubled(self) -> float:
        return self.rate * 2

    def scaled(self, x: hb.Tensor) -> hb.Tensor:
        return x * self.doubled


class Slotted:
    __slots__ = ("rate",)


Case = tuple[Callable[[hb.Tensor], hb.Tensor], Callable[[float], None]]


def in_a_nested_dict() -> Case:
    outside: dict[str, Any] = {"a": {"b": {"rate": 1.0}}}
    return lambda x: x * outside["a"]["b"]["rate"], partial(outside["a"]["b"].__setitem__, "rate")


def in_a_long_list() -> Case:
    outside = [1.0] * 100
    return lambda x: x * outside[70], partial(outside.__setitem__, 70)


def in_an_object_in_an_object() -> Case:
    outside = Held(inner=Held(items=[Held()]))
    target = outside.inner.items[0]
    return lambda x: x * outside.inner.items[0].rate, partial(setattr, target, "rate")


def in_a_tuple() -> Case:
    outside = (Held(), {"rate": 1.0})
    return lambda x: x * outside[1]["rate"], partial(outside[1].__setitem__, "rate")


def of_a_class() -> Case:
    class Config:
        rate = 1.0

    return lambda x: x * Config.rate, partial(setattr, Config, "rate")


def of_a_class_read_through_a_method_and_a_property() -> Case:
    class Model(Held):
        pass

    Model.rate = 1.0
    model = Model()
    return lambda x: model.scaled(x) / 2, partial(setattr, Model, "rate")


def in_slots() -> Case:
    outside = Slotted()
    outside.rate = 1.0
    return lambda x: x * outside.rate, partial(setattr, outside, "rate")


def read_by_a_function_in_a_list() -> Case:
    rate = {"now": 1.0}
    steps = [lambda x: x + 0, lambda x: x * rate["now"]]
    return lambda x: steps[1](steps[0](x)), partial(rate.__setitem__, "now")


def read_by_a_partial() -> Case:
    rate = {"now": 1.0}

    def scaled(x: hb.Tensor, by: int) -> hb.Tensor:
        return x * rate["now"] * by

    return partial(scaled, by=1), partial(rate.__setitem__, "now")


def among_the_defaults_of_a_helper() -> Case:
    def helper(x: hb.Tensor, by: float = 1.0) -> hb.Tensor:
        return x * by

    def change(rate: float) -> None:
        helper.__defaults__ = (rate,)

    return lambda x: helper(x), change


def in_closures_of_one_code() -> Case:
    def made(rate: dict[str, float]) -> Callable[[hb.Tensor], hb.Tensor]:
        return lambda x: x * rate["now"]

    first, second = {"now": 1.0}, {"now": 1.0}
    a, b = made(first), made(second)
    return lambda x: a(x) * 0 + b(x), partial(second.__setitem__, "now")


@pytest.mark.parametrize(
    "case",
    [
        in_a_nested_dict,
        in_a_long_list,
        in_an_object_in_an_object,
        in_a_tuple,
        of_a_class,
        of_a_class_read_through_a_method_and_a_property,
        in_slots,
        read_by_a_function_in_a_list,
        read_by_a_partial,
        among_the_defaults_of_a_helper,
        in_closures_of_one_code,
    ],
)
def test_a_number_deep_inside_what_is_captured_was_baked_in(case: Callable[[], Case]) -> None:
    function, change = case()
    compiled = hb.compile(function)
    for rate in (1.0, 1.0, 1.0, 3.0, 3.0, 5.0, 1.0):
        change(rate)
        np.testing.assert_allclose(compiled(hb.ones(2)).numpy(), [rate, rate])


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_a_function_that_does_not_repeat_itself_never_writes_twice() -> None:
    """Its first segments had committed when the new branch was traced; a rerun wrote again."""
    counter: Any = Element("counter", n=0)  # type: ignore[arg-type]  # nothing shows what it holds

    def following() -> int:
        counter.set("n", counter.get("n") + 1)
        return int(counter.get("n"))

    state = hb.Variable(0.0)

    def pure(x: hb.Tensor) -> hb.Tensor:
        y = x * following()
        return y if x.sum() > 0 else -y

    def writes(x: hb.Tensor) -> hb.Tensor:
        state.assign_add(following() * 100.0)
        return x if x.sum() > 0 else -x

    up, down = hb.asarray([1.0]), hb.asarray([-1.0])
    f = hb.compile(pure)
    f(up)
    assert f(down).item() in (2.0, 3.0)
    g = hb.compile(writes)
    g(up)
    before = state.item()
    with pytest.raises(hb.errors.TraceError, match="did not repeat itself"):
        g(down)
    assert state.item() == before * 2  # what the known segment writes, once


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_a_python_float_became_an_array_when_a_trace_gave_up() -> None:
    inner = hb.compile(lambda x, r: x * r)

    def f(x: hb.Tensor, r: float) -> Any:
        total = float(x.sum())
        return x * r, r * 2, r, r + total, isinstance(r, float), hb.exp(r), -r, [r / 2], inner(x, r)

    agree(f, lambda: (hb.ones(2), 0.5), lambda: (hb.ones(2), 2.5))


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("collected", [1.0, -1.0])
def test_when_garbage_was_collected_decided_whether_a_trace_repeated_itself(
    collected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a cycle kept alive at a guard was handed on by one trace, and not by the next."""

    class Node:
        pass

    state = hb.Variable(hb.zeros(2))

    def f(x: hb.Tensor) -> hb.Tensor:
        node: Any = Node()
        node.itself, node.kept = node, x * 3
        y = node.kept + 1
        state.assign(y)
        del node
        return y if x.sum() > 0 else -y

    compiled = hb.compile(f)
    for sign in (1.0, -1.0):
        x = hb.asarray([sign, sign])
        want = f(x)
        with monkeypatch.context() as patch:
            if sign == collected:
                alive = GraphRecorder.live_values
                patch.setattr(
                    GraphRecorder, "live_values", lambda self: [gc.collect(), *alive(self)][1:]
                )
            got = compiled(x)
        np.testing.assert_allclose(got.numpy(), want.numpy())
    assert compiled.concrete_functions[0].fallback is None


def loop_of_hb(x: hb.Tensor) -> hb.Tensor:
    w = x + 1
    return hb.fori_loop(0, 3, lambda i, c: c * w[i], x)


def scan_of_hb(x: hb.Tensor) -> hb.Tensor:
    w = x + 1
    return hb.scan(lambda c, row: (c * row + w, c), x * 2, w)[0]


def while_of_hb(x: hb.Tensor) -> hb.Tensor:
    w = x + 1
    return hb.while_loop(lambda c: c.sum() < 1, lambda c: c + w, x * 2)


def cond_of_hb(x: hb.Tensor) -> hb.Tensor:
    w = x + 1
    return hb.cond(w.sum() > 0, lambda: w[:] * 2, lambda: x * 3)


def vmap_of_hb(x: hb.Tensor) -> hb.Tensor:
    w = x + 1
    return hb.vmap(lambda q: q * w)(x * 2).sum(axis=0)


def gradient_of_a_loop(x: hb.Tensor) -> hb.Tensor:
    return hb.grad(lambda q: loop_of_hb(q).sum())(x * 2)


def checkpoint_in_a_gradient(x: hb.Tensor) -> hb.Tensor:
    w = x + 1
    return hb.grad(hb.checkpoint(lambda q: (q * w).sum()))(x * 2)


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize(
    "construct",
    [
        loop_of_hb,
        scan_of_hb,
        while_of_hb,
        cond_of_hb,
        vmap_of_hb,
        gradient_of_a_loop,
        checkpoint_in_a_gradient,
    ],
)
def test_what_a_body_used_from_outside_was_kept_at_the_next_guard(construct: Any) -> None:
    """Its recorder and the Tensors of the body refer to each other, and the recorder to it."""

    def f(x: hb.Tensor) -> hb.Tensor:
        y = construct(x)
        return y if y.sum() > 0 else -y

    compiled = hb.compile(f)
    compiled(hb.ones(3))
    root = compiled.concrete_functions[0].root
    assert root is not None
    assert root.guard is not None
    assert len(root.graph.outputs) == 2  # the decision and y


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_a_body_that_raised_lost_what_it_had_written() -> None:
    state, array = hb.Variable(0.0), hb.zeros(2)

    def step(i: int, c: hb.Tensor) -> hb.Tensor:
        state.assign_add(1.0)
        array[0] += 1.0
        return c[i]

    def fori(x: hb.Tensor) -> Any:
        return hb.fori_loop(0, 3, step, x)

    def scan(x: hb.Tensor) -> Any:
        return hb.scan(lambda c, row: (step(7, c), row), x, x)

    def loop(x: hb.Tensor) -> Any:
        return hb.while_loop(lambda c: c.sum() > 0, lambda c: step(7, c), x)

    def branch(x: hb.Tensor) -> Any:
        return hb.cond(x.sum() > 0, lambda: step(7, x), lambda: x[0])

    def both(x: hb.Tensor) -> Any:
        return hb.map(lambda row: hb.fori_loop(0, 3, step, x), x)

    for f in (fori, scan, loop, branch, both):
        seen = []
        for function in (f, hb.compile(f), hb.compile(f, fullgraph=True)):
            state.assign(0.0)
            array[:] = 0.0
            with pytest.raises((IndexError, hb.errors.ShapeError)) as raised:
                function(hb.ones((2, 2)))
            seen.append((type(raised.value), state.item(), array.numpy().tolist()))
        assert seen[0] == seen[1], f.__name__
        assert seen[0][0] is seen[2][0], f.__name__


def test_a_branch_that_is_not_taken_raised_while_it_was_traced() -> None:
    compiled = hb.compile(lambda x: hb.cond(x.sum() > 0, lambda: x * 2, lambda: x[7]))
    with pytest.warns(hb.errors.EagerFallbackWarning, match="it raises IndexingError"):
        np.testing.assert_allclose(compiled(hb.ones(2)).numpy(), [2, 2])
    with pytest.raises(IndexError):
        compiled(-hb.ones(2))


def test_the_garbage_collector_waits_for_a_trace_and_for_nothing_else() -> None:
    seen: list[bool] = []

    @hb.compile
    def f(x: Any) -> Any:
        seen.append(gc.isenabled())
        if float(x.sum()) > 5:  # eager from here on
            raise LookupError
        seen.append(gc.isenabled())
        return x

    assert gc.isenabled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        f(hb.ones(2))
        with pytest.raises(LookupError):
            f(hb.ones(9))
        assert gc.isenabled()
        gc.disable()
        try:
            f(hb.ones(3))
            assert not gc.isenabled()
        finally:
            gc.enable()
    assert seen == [False, True, False, False, False]


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_a_decision_that_is_a_python_number_was_no_number_once_a_branch_gave_up() -> None:
    def f(x: hb.Tensor, s: float) -> Any:
        switched = hb.switch((s > 1) * 1 + 0, [lambda: x.tolist()[0] * x, lambda: -x])
        chosen = hb.cond(s > 1, lambda: float(x[0]) * x, lambda: -x)
        return switched, chosen, hb.fori_loop(0, (s > 1) * 2, lambda i, c: c * float(x[1]), x)

    agree(f, lambda: (hb.ones(2) * 2, 0.5), lambda: (hb.ones(2) * 2, 1.5))


outside = hb.zeros((3, 2))
kept = hb.Variable(hb.ones((3, 2)))


def writes_an_argument(x: hb.Tensor) -> hb.Tensor:
    float(x[0, 0])
    x[1:] = x[:-1]
    return x


def writes_through_a_view(x: hb.Tensor) -> hb.Tensor:
    rows = x[1:]
    float(x[0, 0])
    rows[:] = x[:-1]
    return x * 1


def writes_twice(x: hb.Tensor) -> hb.Tensor:
    x *= 2
    float(x[0, 0])
    x[1:] *= 3
    return x.sum()


def writes_what_is_outside(x: hb.Tensor) -> hb.Tensor:
    outside[1:] = outside[:1] * x[1:]
    float(x[0, 0])
    x[1:] = outside[1:] * outside[:-1]
    return outside * 2


def assigns(x: hb.Tensor) -> hb.Tensor:
    kept.assign(x * kept)
    float(x[0, 0])
    kept.assign(x * kept * kept)
    x[1:] = kept[1:]
    return kept * 2


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
@pytest.mark.parametrize(
    "function",
    [writes_an_argument, writes_through_a_view, writes_twice, writes_what_is_outside, assigns],
)
def test_gradients_were_wrong_where_a_trace_gave_up_before_a_write(function: Any) -> None:
    """What stood for an argument in the trace had its memory then, but not its record on tapes."""

    def seen(call: Callable[[hb.Tensor], hb.Tensor]) -> Any:
        outside[:] = hb.reshape(hb.arange(6.0), (3, 2))
        kept.assign(hb.ones((3, 2)))
        x = hb.asarray([[1.0, 2.0], [0.5, -1.0], [3.0, 4.0]])
        with hb.GradientTape() as tape:
            tape.watch([x, outside])
            result = call(x)
            target = (result**2 + x**3 + outside**2).sum()
        gradients = tape.gradient(target, [x, outside, kept], unconnected_gradients="zero")
        return [g.numpy() for g in gradients], x.numpy(), result is x

    want, after, itself = seen(function)
    compiled = hb.compile(function)
    for _ in range(2):
        got, changed, same = seen(compiled)
        for a, b in zip(want, got, strict=True):
            np.testing.assert_allclose(a, b)
        np.testing.assert_allclose(after, changed)
        assert itself is same
