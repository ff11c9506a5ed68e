"""Variables, tapes, and calls that break off: what a trace leaves behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core import dispatch
from hybrid.errors import TraceError
from tests.trace.agreement import agree, compiled_throughout


def ones() -> hb.Tensor:
    return hb.ones(2)


# --- Variables ------------------------------------------------------------------------------------


def test_a_variable_made_at_the_second_call_is_refused_with_the_line() -> None:
    made: list[hb.Variable] = []
    calls = hb.Variable(0, dtype=hb.int64)

    @hb.compile
    def f(x: hb.Tensor, make: bool) -> hb.Tensor:
        calls.assign_add(1)
        if make:
            made.append(hb.Variable(x))  # too late
        return x

    f(ones(), False)
    with pytest.raises(TraceError, match="too late"):
        f(ones(), True)
    assert f(ones(), False).tolist() == [1, 1]
    assert dispatch.state.recorder is None


class Model:
    def __init__(self) -> None:
        self.parts = [hb.Variable([1.0, 2.0]), hb.Variable([3.0, 4.0])]
        self.named = {"bias": hb.Variable([0.5, 0.5])}


def read_after_written(m: Model, x: hb.Tensor) -> Any:
    m.parts[0].assign(x * 3)
    first = m.parts[0].read()
    m.parts[0].assign_add(first)
    return first, m.parts[0].read() + 1


def written_in_one_branch(m: Model, x: hb.Tensor) -> Any:
    before = m.parts[1].read()
    if x.sum() > 0:
        m.parts[1].assign_sub(x)
        m.named["bias"].assign(before)
    return before, m.parts[1].read() * 2


def assigned_twice(m: Model, x: hb.Tensor) -> Any:
    m.parts[0].assign(x)
    m.parts[0].assign(x * 2)
    m.parts[0].assign(m.parts[0] + m.parts[0])


def held_in_a_list(m: Model, x: hb.Tensor) -> Any:
    for part in m.parts:
        part.assign_add(x)
    m.parts[0].assign(m.parts[1])
    return sum(part * 2 for part in m.parts) + m.named["bias"]


def written_in_place(m: Model, x: hb.Tensor) -> Any:
    view = m.parts[0].read()
    m.parts[0].assign(x)
    return view * 1


def written_in_a_loop(m: Model, x: hb.Tensor) -> Any:
    while m.parts[0].sum() < 50:
        m.parts[0].assign(m.parts[0] * 2)
        if m.parts[0].max() > 30:
            break
    return m.parts[0].read()


@pytest.mark.parametrize(
    "function",
    [
        read_after_written,
        written_in_one_branch,
        assigned_twice,
        held_in_a_list,
        written_in_place,
        written_in_a_loop,
    ],
)
def test_variables_are_what_eager_code_makes_them(function: Callable[..., Any]) -> None:
    traced = hb.compile(function)
    mine, its = Model(), Model()
    with compiled_throughout():
        for sign in (1, -1, 1, 1, -1):
            got, want = traced(mine, ones() * sign), function(its, ones() * sign)
            got, want = [r if isinstance(r, tuple) else (r,) for r in (got, want)]
            for g, w in zip(got, want):
                np.testing.assert_array_equal(np.asarray(g), np.asarray(w))
            for a, b in zip([*mine.parts, mine.named["bias"]], [*its.parts, its.named["bias"]]):
                np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_one_variable_as_two_arguments_and_captured() -> None:
    v = hb.Variable(1.0)

    @hb.compile
    def f(a: hb.Variable, b: hb.Variable) -> hb.Tensor:
        a.assign_add(1.0)
        b.assign(b * 3)
        return v.read() + a + b

    other = hb.Variable(10.0)
    for _ in range(2):
        v.assign(1.0)
        assert f(v, v).item() == 18
        v.assign(1.0)
        other.assign(10.0)
        assert f(v, other).item() == 2 + 2 + 30
        v.assign(1.0)
        assert f(other, v).item() == 3 + 31 + 3


# --- tapes ----------------------------------------------------------------------------------------


def test_the_same_signature_with_and_without_a_tape() -> None:
    v = hb.Variable([1.0, 2.0])

    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        y = (x * v).sum()
        if y > 0:
            v.assign_add(x)
            return y * 2
        return y * y

    def gradient(x: hb.Tensor) -> list[float]:
        with hb.GradientTape() as tape:
            tape.watch(x)
            y = f(x)
        found: list[float] = tape.gradient(y, x).tolist()
        return found

    for _ in range(2):
        for order in ([f, gradient], [gradient, f]):
            for call in order:
                for x in (ones(), -ones()):
                    v.assign([1.0, 2.0])
                    result = call(x)
                    if call is f:
                        assert result.item() == (6 if x.sum() > 0 else 9)
                    else:
                        assert result == ([2, 4] if x.sum() > 0 else [-6, -12])
    assert f.cache_info().misses == 1


def test_a_tape_opened_before_and_closed_inside() -> None:
    x = hb.asarray([1.0, 2.0])

    def run(compiling: Callable[[Any], Any]) -> list[Any]:
        tape = hb.GradientTape()
        tape.__enter__()
        tape.watch(x)
        y = x * x

        def inside(t: hb.Tensor) -> hb.Tensor:
            z = t * 3
            tape.__exit__(None, None, None)
            return z * 5

        result = compiling(inside)(y)
        return [tape.gradient(y, x).tolist(), result.tolist(), dispatch.state.tapes]

    try:
        mine = run(hb.compile)
    except TraceError:
        mine = None  # a clear error will do
    finally:
        dispatch.state.update(None, ())
    if mine is not None:
        assert mine == run(lambda f: f)


def test_tapes_inside_and_around_and_persistent() -> None:
    @hb.compile
    def f(x: hb.Tensor) -> tuple[hb.Tensor, hb.Tensor]:
        with hb.GradientTape(persistent=True) as tape:
            tape.watch(x)
            y = x**3
            z = y * x
        return tape.gradient(y, x), tape.gradient(z, x)

    for _ in range(2):
        x = hb.asarray([1.0, 2.0])
        with hb.GradientTape() as outer:
            outer.watch(x)
            first, second = f(x)
        np.testing.assert_allclose(outer.gradient((first, second), x).numpy(), [18, 60])


# --- calls that break off -------------------------------------------------------------------------


class Stop(Exception):
    pass


@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt, MemoryError, GeneratorExit, SystemExit])
@pytest.mark.parametrize("when", ["trace", "branch", "compile", "run"])
def test_a_call_that_breaks_off_leaves_everything_clean(
    error: type[BaseException], when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hybrid.trace import segment, sized

    breaks = True
    v = hb.Variable(0.0)

    def breaking(*_: Any, **__: Any) -> Any:
        raise error

    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        v.assign_add(1.0)
        y = x * 2
        if when == "trace" and breaks:
            raise error
        if x.sum() > 0:
            return y
        if when == "branch" and breaks:
            raise error
        return -y

    if when == "branch":
        assert f(ones()).tolist() == [2, 2]
    with monkeypatch.context() as patch:
        if when == "compile":
            patch.setattr(sized, "make_plan", breaking)
        if when == "run":
            patch.setattr(segment.Segment, "commit", breaking)
        with pytest.raises(error):
            f(-ones())
    breaks = False
    assert (dispatch.state.recorder, dispatch.state.tapes) == (None, ())
    assert dispatch.state.plain
    v.assign(0.0)
    for i in range(3):
        assert f(-ones()).tolist() == [2, 2]
        assert f(ones()).tolist() == [2, 2]
        assert v.item() == 2 * (i + 1)


def test_an_exception_between_guards_keeps_what_was_written() -> None:
    v = hb.Variable(0.0)

    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        v.assign_add(1.0)
        if x.sum() > 0:
            v.assign_add(10.0)
            raise Stop
        return x

    for i in range(1, 4):
        with pytest.raises(Stop):
            f(ones())
        assert v.item() == 11 * i
    f(-ones())
    assert v.item() == 34
    with pytest.raises(Stop):
        f(ones())
    assert v.item() == 45


def test_exceptions_carry_tensors_with_contents() -> None:
    class WithValue(Exception):
        pass

    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        raise WithValue(x * 2)

    for _ in range(2):
        with pytest.raises(WithValue) as caught:
            f(ones())
        assert caught.value.args[0].tolist() == [2, 2]


def test_try_except_finally_and_with_on_traced_values() -> None:
    log: list[str] = []

    class Context:
        def __enter__(self) -> Context:
            log.append("in")
            return self

        def __exit__(self, kind: Any, *_: Any) -> bool:
            log.append("out")
            return kind is Stop

    def f(x: hb.Tensor) -> Any:
        result = x
        with Context():
            try:
                if x.sum() > 0:
                    raise Stop
                result = result * 2
            except ValueError:
                result = result * 100
            else:
                result = result + 1
            finally:
                result = result - 5
        return result

    traced = hb.compile(f)
    for sign in (1, -1, 1, -1):
        log.clear()
        np.testing.assert_array_equal(traced(ones() * sign).numpy(), f(ones() * sign).numpy())


# --- what Variables are for -----------------------------------------------------------------------


class Momentum:
    """An optimiser that makes its slots when it first sees a Variable."""

    def __init__(self) -> None:
        self.slots: dict[int, hb.Variable] = {}

    def step(self, variables: list[hb.Variable], gradients: list[hb.Tensor]) -> None:
        for i, (variable, gradient) in enumerate(zip(variables, gradients, strict=True)):
            if i not in self.slots:
                self.slots[i] = hb.Variable(np.zeros(variable.shape), variable.dtype)
            self.slots[i].assign(self.slots[i] * 0.9 + gradient)
            variable.assign_sub(0.1 * self.slots[i])


def test_an_optimiser_makes_its_slots_in_the_first_call() -> None:
    def trained(compiled: Any) -> list[Any]:
        weights = [hb.Variable([1.0, 2.0]), hb.Variable(0.5)]
        optimiser = Momentum()

        def train(x: hb.Tensor) -> hb.Tensor:
            with hb.GradientTape() as tape:
                loss = ((x * weights[0] + weights[1]) ** 2).sum()
            optimiser.step(weights, tape.gradient(loss, weights))
            return loss

        step = compiled(train)
        losses = [step(hb.asarray([0.5, -1.0])) for _ in range(5)]
        held = [*weights, *optimiser.slots.values()]
        return [np.asarray(v.read()) for v in held] + [np.asarray(x) for x in losses]

    for got, wanted in zip(trained(hb.compile), trained(lambda f: f), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_two_threads_count_in_one_variable_each_seeing_whole_values() -> None:
    pair = hb.Variable([0.0, 0.0])

    @hb.compile
    def both(amount: hb.Tensor) -> hb.Tensor:
        pair.assign(hb.stack([amount, -amount]))
        return pair.sum()

    wrong: list[Any] = []

    def work(amount: float) -> None:
        x = hb.asarray(amount)
        for _ in range(300):
            now = pair.read().numpy()
            if both(x).item() != 0.0 or now[0] != -now[1]:
                wrong.append(now)

    threads = [threading.Thread(target=work, args=(float(n),)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_generators_split_off_draw_the_same_numbers_in_whatever_thread() -> None:
    def draws(in_threads: bool) -> list[Any]:
        children = hb.random.Generator(7).split(4)
        found: dict[int, Any] = {}

        @hb.compile
        def draw(generator: Any) -> hb.Tensor:
            return generator.normal(3) + generator.uniform(3)

        def work(number: int) -> None:
            found[number] = [np.asarray(draw(children[number])) for _ in range(5)]

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            if in_threads:
                thread.start()
            else:
                thread.run()
        for thread in threads if in_threads else ():
            thread.join()
        return [x for n in range(4) for x in found[n]]

    np.testing.assert_array_equal(draws(in_threads=True), draws(in_threads=False))


def test_a_compiled_function_is_called_from_a_callback_a_gradient_rule_and_a_vmap() -> None:
    inner = hb.compile(lambda x: hb.tanh(x) * 2)

    @hb.custom_gradient
    def ruled(x: hb.Tensor) -> Any:
        return inner(x), lambda g: g * inner(x)

    def f(x: hb.Tensor) -> Any:
        called = hb.callback(lambda a: inner(a).numpy(), x, x)
        return called, hb.grad(lambda x: ruled(x).sum())(x), hb.vmap(inner)(x)

    with compiled_throughout():
        agree(f, lambda: (hb.asarray([0.5, 1.0]),), lambda: (hb.asarray([0.25, -1.0]),))
