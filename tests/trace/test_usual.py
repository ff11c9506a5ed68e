"""The short ways through the recorder must record what the long way does."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import hybrid as hb
from hybrid.core import dispatch
from hybrid.core.graph import FuncGraph
from hybrid.core.spec import TensorSpec, weak_scalar
from hybrid.trace.recorder import GraphRecorder

OPERATORS = (
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv),
    *(operator.mod, operator.pow, operator.lt, operator.eq, operator.ge),
    *(operator.and_, operator.xor, operator.lshift, hb.maximum, hb.arctan2, np.add),
)
FUNCTIONS = operator.neg, operator.abs, operator.invert, hb.tanh, hb.sqrt, hb.reciprocal, np.sign
DTYPES = "bool", "int8", "int64", "bfloat16", "float32", "float64", "complex64"
NUMBERS = 2, 2.0, -3, 0.0, -0.0, True, 1j, 300


def tried(function, *args):
    """Return what a call gives, or what it raises."""
    try:
        return function(*args)
    except Exception as error:
        return type(error)


def program(x, y):
    found = []
    for f in OPERATORS:
        for other in (y, *NUMBERS):
            for _ in range(2):  # the second is the first that can be recorded as before
                found += [tried(f, x, other), tried(f, other, x)]
    for f in FUNCTIONS:
        found += [tried(f, x) for _ in range(2)]
    return found


def graph_of(function, *specs):
    """Return the nodes of a trace, with their lines, and what is known of their results."""
    recorder = GraphRecorder()
    arguments = [recorder.parameter(spec) for spec in specs]
    with dispatch.scope(recorder=recorder, tapes=()):
        results = [t for t in function(*arguments) if isinstance(t, hb.Tensor)]
    inputs = tuple(x._data.value for x in arguments)
    outputs = tuple(map(recorder.operand, results))
    known = [(x._data.given, str(x._data.line)) for x in results if type(x) is hb.Tensor]
    return str(FuncGraph("f", inputs, (), tuple(recorder.nodes), outputs)), known


@pytest.fixture
def the_long_way(monkeypatch):
    def switch():
        monkeypatch.setattr(GraphRecorder, "record_one", lambda *_: None)
        monkeypatch.setattr(GraphRecorder, "record_two", lambda *_: None)

    return switch


@pytest.mark.parametrize("other", ["same", "float32"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_operators_record_the_same_nodes_at_the_same_lines(dtype, other, the_long_way):
    spec = TensorSpec((2, 3), getattr(hb, dtype))
    specs = spec, spec if other == "same" else TensorSpec((3,), getattr(hb, other))
    short = graph_of(program, *specs)
    the_long_way()
    assert short == graph_of(program, *specs)


@pytest.mark.parametrize("number", [2, 2.5, True, np.float32(2)])
def test_scalars_record_the_same_nodes(number, the_long_way):
    specs = weak_scalar(number), TensorSpec((3,), hb.float32)
    short = graph_of(program, *specs)
    the_long_way()
    assert short == graph_of(program, *specs)


def test_most_nodes_take_the_short_way(monkeypatch):
    long = []
    record = GraphRecorder.record
    monkeypatch.setattr(GraphRecorder, "record", lambda *a: long.append(a[1].name) or record(*a))

    def f(x):
        for _ in range(50):
            x = hb.tanh(x * 0.5 + x) - 1
        return x

    hb.compile(f)(hb.ones(3))
    assert len(long) < 20


def test_a_view_is_read_anew_after_a_write():
    def f(x):
        x = x * 1.0
        view, found = x[1:], []
        for _ in range(3):
            found.append(view + view)
            x[1:] = 2.0 * x[:-1]
            found.append(-view)
        return found

    x = hb.asarray([1.0, 2.0, 3.0, 4.0])
    for eager, traced in zip(f(x), hb.compile(f)(x), strict=True):
        assert np.array_equal(eager.numpy(), traced.numpy())


@pytest.mark.parametrize("part", [hb.real, hb.imag, np.real])
def test_a_part_of_complex_numbers_is_a_view_the_second_time_too(part):
    def f(x):
        x = x * 1.0
        parts = [part(x), part(x), part(x)]
        for i, y in enumerate(parts):
            y[i] = 7.0
        return x, parts[0]

    x = hb.asarray([1 + 2j, 3 + 4j, 5 + 6j])
    for eager, traced in zip(f(x), hb.compile(f)(x), strict=True):
        assert np.array_equal(eager.numpy(), traced.numpy())


def test_gradients_pass_and_stop_as_in_eager_code():
    def f(x):
        with hb.GradientTape() as tape:
            tape.watch(x)
            y = x
            for i in range(4):
                if i % 2:
                    y = y * x + x
                else:
                    with hb.no_grad():
                        z = y * x + x
                    y = y * z + x
        return tape.gradient(y, x)

    x = hb.asarray([1.0, 2.0, 3.0])
    assert np.allclose(f(x).numpy(), hb.compile(f)(x).numpy(), rtol=1e-6)


def test_what_acts_keeps_its_place(capsys):
    @hb.compile
    def f(x):
        for i in range(3):
            x = x * 2.0
            hb.print(i, x)
        return x

    f(hb.ones(()))
    f(hb.ones(()))
    assert capsys.readouterr().out.split() == ["0", "2.0", "1", "4.0", "2", "8.0"] * 2


def test_errstate_that_raises_is_noticed_between_two_divisions():
    def f(x):
        x = x / 2.0
        x = x / 2.0
        with np.errstate(divide="raise"):
            return x / 0.0

    with pytest.raises(FloatingPointError):
        hb.compile(f)(hb.ones(2))


def test_memory_in_another_order_stays_so():
    def f(x):
        y = x.T * 2.0
        y = y * 2.0
        flat = y.reshape(-1)  # a copy: eager code would make no view of memory in this order
        y[0] = 7.0
        return y, flat

    x = hb.asarray(np.arange(6.0, dtype="f4").reshape(2, 3))
    for eager, traced in zip(f(x), hb.compile(f)(x), strict=True):
        assert np.array_equal(eager.numpy(), traced.numpy())


def test_numbers_that_do_not_fit_are_refused_the_second_time_too():
    def f(x):
        x = x + 3
        x = x + 3
        return x + 300

    x = hb.asarray([1, 2], dtype=hb.int8)
    for run in (f, hb.compile(f)):
        with pytest.raises(OverflowError):
            run(x)


def test_an_op_that_was_recorded_by_itself_does_not_stand_for_its_variants():
    from hybrid.core.dispatch import bind
    from hybrid.core.op import OPS

    def f(x):
        for name in ("add", "pow"):
            bind(OPS[name], (x, x), {})
        return [x + x, x**x]

    for x in (hb.asarray([True, True]), hb.asarray([2, 3])):
        for eager, traced in zip(f(x), hb.compile(f)(x), strict=True):
            assert eager.dtype == traced.dtype
            assert np.array_equal(eager.numpy(), traced.numpy())


def test_vmap_inside_a_trace_batches_what_was_recorded_before():
    def f(x):
        y = x * 2.0 + x
        return y + hb.vmap(lambda row: row * 2.0 + row)(x)

    x = hb.ones((2, 3))
    assert np.array_equal(hb.compile(f)(x).numpy(), f(x).numpy())
