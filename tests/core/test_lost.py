"""A tape says where numbers go that it cannot follow; what asks for constants gets them."""

from __future__ import annotations

import cmath
import functools
import inspect
import io
import json
import logging
import math
import operator
import statistics
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import hybrid as hb
from hybrid.errors import GradientWarning

Function = Callable[[Any, Any], Any]

LOG = logging.getLogger("of a test")
AXES = Figure().subplots()
GENERATOR = np.random.default_rng(0)
ROWS = np.linspace(1.0, 3.0, 3)


def assign_slice(x: Any, out: Any) -> None:
    out[1:] = x[:-1] ** 2


def assign_element(x: Any, out: Any) -> None:
    out[0] = x[1] * 2


def assign_mask(x: Any, out: Any) -> None:
    out[out == 0] = x


def assign_list(x: Any, out: Any) -> None:
    out[:] = [x[0], x[1], 1.0]


def assign_through_a_view(x: Any, out: Any) -> None:
    view = out[1:]
    view[:] = x[1:]


def assign_what_a_variable_holds(x: Any, out: Any) -> None:
    out[:] = hb.Variable(np.ones(3))


def assign_flat(x: Any, out: Any) -> None:
    out.flat = x * 2


def add_to_an_element(x: Any, out: Any) -> None:
    out[0] += x[1] * 2


def add_to_a_slice(x: Any, out: Any) -> None:
    out[1:] += x[1:]


def add_in_place(x: Any, out: Any) -> None:
    out += x * 2


def assign_an_alias_written_before(x: Any, out: Any) -> None:
    base = hb.zeros(3, dtype="float64")
    view = base[1:]
    base[:] = x
    out[1:] = view


WRITES: list[Function] = [
    *(assign_slice, assign_element, assign_mask, assign_list, assign_through_a_view),
    *(assign_what_a_variable_holds, assign_flat, add_to_an_element, add_to_a_slice, add_in_place),
    assign_an_alias_written_before,
    lambda x, out: np.add(x, x, out=out),
    lambda x, out: np.add.at(out, [0, 0], x[:2]),
    lambda x, out: np.sum(x, out=np.zeros(())),
    lambda x, out: np.cumsum(x, out=out),
    lambda x, out: np.take(x, [0, 1, 2], out=out),
    lambda x, out: np.clip(x, 0, 1, out=out),
    lambda x, out: np.copyto(out, x),
    lambda x, out: np.put(out, [0, 1], x[:2]),
    lambda x, out: np.place(out, [True, False, False], x[:1]),
    lambda x, out: np.putmask(out, [True, False, False], x),
    lambda x, out: np.put_along_axis(out, np.array([0]), x[:1], 0),
    lambda x, out: np.full_like(out, x[0]),
    lambda x, out: out.put([0, 1], x[:2]),
    lambda x, out: out.fill(x[0]),
    lambda x, out: np.fill_diagonal(np.zeros((3, 3)), x),
    lambda x, out: hb.add(x, x, out=out),
]
CALLS: list[Function] = [
    lambda x, out: np.array([x[0], x[1], 1.0]),
    lambda x, out: np.array([[np.cos(x[0]), -np.sin(x[0])], [np.sin(x[0]), np.cos(x[0])]]),
    lambda x, out: np.array([x, x]),
    lambda x, out: np.asarray([x, x]),
    lambda x, out: np.asarray(list(x)),
    lambda x, out: ROWS.dot(x),
    lambda x, out: np.eye(3).dot(x),
    lambda x, out: np.full(3, x[0]),
    lambda x, out: np.arange(x[0], x[1], 0.5),
    lambda x, out: np.diag([x[0], x[1]]),
    lambda x, out: np.mean([x[0], x[1]]),
    lambda x, out: np.r_[x, 1.0],
    lambda x, out: np.vectorize(lambda a: a * a)(x),
    lambda x, out: np.fromiter((a * 2 for a in x), float),
    lambda x, out: GENERATOR.normal(x),
    lambda x, out: math.sqrt(x[0]),
    lambda x, out: math.fsum(x),
    lambda x, out: cmath.exp(x[0]),
    lambda x, out: statistics.fmean(x),
]


def handed_to_a_function(x: Any, out: Any) -> Any:
    return float_of(np.asarray(x))


def float_of(array: Any) -> float:
    return float(array.sum())


def made_of_a_variable(x: Any, out: Any) -> Any:
    return np.asarray(hb.Variable(np.ones(3)))


def kept_in_a_list(x: Any, out: Any) -> Any:
    parts = []
    for row in x:
        parts.append(np.asarray(row))
    return sum(parts)


def logged(x: Any, out: Any) -> None:
    logging.getLogger("of a test").debug("at %s", np.asarray(x))
    LOG.debug("at %s", np.asarray(x))


def drawn(x: Any, out: Any) -> None:
    json.dump(np.asarray(x).tolist(), io.StringIO())
    AXES.plot(np.asarray(x))


CONVERSIONS: list[Function] = [
    lambda x, out: np.asarray(x),
    lambda x, out: np.array(x),
    lambda x, out: np.array(x, dtype=np.float32),
    lambda x, out: np.asanyarray(x),
    lambda x, out: np.ascontiguousarray(x),
    lambda x, out: np.asfortranarray(x),
    lambda x, out: np.require(x, requirements="C"),
    lambda x, out: np.asarray_chkfinite(x),
    lambda x, out: x.__array__(),
    lambda x, out: (x * np.asarray(x)).sum(),
    lambda x, out: [value * value for value in np.asarray(x)],
    lambda x, out: np.sin(np.asarray(x)).sum(),
    lambda x, out: np.linalg.norm(np.asarray(x)),
    lambda x, out: functools.reduce(operator.mul, np.asarray(x)),
    lambda x, out: sum(np.asarray(x)),
    *(handed_to_a_function, kept_in_a_list, made_of_a_variable),
]
SHOWN: list[Function] = [
    lambda x, out: np.asarray(x) > 1,
    lambda x, out: 1 if np.asarray(x).max() > 3 else 2,
    lambda x, out: f"{np.asarray(x)} and {np.asarray(x)[0]:.3f}",
    lambda x, out: print(np.asarray(x), file=io.StringIO()),
    lambda x, out: print(float_of(np.asarray(x)), file=io.StringIO()),
    lambda x, out: (str(np.asarray(x)), len(np.asarray(x)), np.asarray(x).shape),
    lambda x, out: (np.argmax(np.asarray(x)), np.isfinite(np.asarray(x)).all()),
    lambda x, out: np.testing.assert_allclose(np.asarray(x), np.array(x)),
    *(logged, drawn),
]
ANYTHING = [f for f in WRITES + CALLS + CONVERSIONS if "variable" not in f.__name__]
CONSTANTS: list[Function] = [
    lambda x, out: float(x[0]),
    lambda x, out: complex(x[0]),
    lambda x, out: np.float64(x[0]),
    lambda x, out: out.__setitem__(0, x[0].item()),
    lambda x, out: out.put([0], x[:1].numpy()),
    lambda x, out: np.array([x[0].item(), float(x[1])]),
    lambda x, out: np.array([x.detach(), x.detach()]),
    lambda x, out: np.argmax([x[0], x[1]]),
    lambda x, out: (np.shape(x), np.ndim(x), np.size(x), np.isfinite(x), np.argsort(x)),
    lambda x, out: (f"{x} {x[0]:.3f}", str(x), repr(x)),
    lambda x, out: json.dumps([float(v) for v in x]),
    lambda x, out: np.savetxt(io.StringIO(), x),
    lambda x, out: np.testing.assert_allclose(x, x),
    lambda x, out: (np.stack([x, x]), np.dot(ROWS, x), ROWS @ x, np.concatenate([ROWS, x])),
    lambda x, out: (hb.asarray([x[0], x[1]]), round(x[0]), x[0] > 1, max(x[0], x[1])),
    lambda x, out: (math.sqrt(x.shape[0]), math.isnan(x[0]), math.floor(x[0])),
    lambda x, out: ROWS.searchsorted(x.numpy()),
]


def told(function: Function, x: Any) -> list[str]:
    """Return the warnings of a function that is given a Tensor and an ndarray."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function(x, np.zeros(3))
    assert all(w.filename == __file__ for w in caught)
    return [str(w.message) for w in caught if w.category is GradientWarning]


def text_of(function: Function) -> str:
    return inspect.getsource(function).strip().rstrip(",")


def watched() -> tuple[hb.GradientTape, Any]:
    x = hb.asarray([1.0, 2.0, 3.0], dtype="float64")
    tape = hb.GradientTape()
    tape.watch(x)
    return tape, x


@pytest.mark.parametrize("function", WRITES, ids=text_of)
def test_a_write_into_an_ndarray_is_told_at_the_users_line(function: Function) -> None:
    tape, x = watched()
    with tape:
        found = told(function, x)
    assert found
    assert "ndarray" in found[0] or "NumPy's" in found[0]
    assert f"{__file__}:" in found[0]


@pytest.mark.parametrize("function", CALLS, ids=text_of)
def test_a_function_that_computes_with_numbers_is_told(function: Function) -> None:
    tape, x = watched()
    with tape:
        assert told(function, x)


@pytest.mark.parametrize("function", CONVERSIONS, ids=text_of)
def test_an_ndarray_that_is_made_of_a_tensor_is_told(function: Function) -> None:
    tape, x = watched()
    with tape:
        assert told(function, x)


@pytest.mark.parametrize("function", SHOWN, ids=text_of)
def test_an_ndarray_that_is_shown_or_compared_goes_without_a_word(function: Function) -> None:
    tape, x = watched()
    with tape:
        assert told(function, x) == []


def squares(x: Any) -> Any:
    x = np.asarray(x)
    return (x * x).sum()


def test_where_the_modes_differ_in_a_gradient_the_line_is_told() -> None:
    x = hb.asarray([1.0, 2.0, 3.0], dtype="float64")
    with pytest.warns(GradientWarning, match=r"np.asarray makes of a Tensor") as caught:
        np.testing.assert_array_equal(hb.grad(squares)(x), [0.0, 0.0, 0.0])
    assert [w.lineno for w in caught] == [squares.__code__.co_firstlineno + 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(hb.compile(hb.grad(squares))(x), [2.0, 4.0, 6.0])


@pytest.mark.parametrize("function", CONSTANTS, ids=text_of)
def test_what_is_asked_for_by_name_is_a_constant_without_a_word(function: Function) -> None:
    tape, x = watched()
    with tape:
        assert told(function, x) == []


@pytest.mark.parametrize("function", ANYTHING)
def test_without_a_tape_that_watches_nothing_is_told(function: Function) -> None:
    tape, x = watched()
    assert told(function, x) == []  # closed
    with hb.GradientTape():
        assert told(function, x) == []  # another one
    with tape, hb.no_grad():
        assert told(function, x) == []
    with tape:
        assert told(function, x.detach()) == []


def test_the_warning_says_what_to_write_and_that_gives_the_gradient() -> None:
    def lost(x: Any) -> Any:
        out = np.zeros(3)
        out[1:] = x[:-1] ** 2
        return (out * x).sum()

    def whole(x: Any) -> Any:
        out = hb.asarray(np.zeros(3))
        out[1:] = x[:-1] ** 2
        return (out * x).sum()

    x = hb.asarray([1.0, 2.0, 3.0], dtype="float64")
    with pytest.warns(GradientWarning, match=r"say out = hb.asarray\(np.zeros\(3\)\) instead"):
        hb.grad(lost)(x)
    np.testing.assert_array_equal(hb.grad(whole)(x), [4.0, 13.0, 4.0])
    np.testing.assert_array_equal(hb.compile(hb.grad(lost))(x), [4.0, 13.0, 4.0])


def test_a_tensor_that_requires_a_gradient_is_told_of_too() -> None:
    x = hb.asarray([1.0, 2.0], requires_grad=True)
    history = np.zeros(2)
    with pytest.warns(GradientWarning, match="ndarray history"):
        history[0] = x.sum()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history[1] = x.sum().item()


def test_a_warning_can_be_made_an_error() -> None:
    tape, x = watched()
    with tape, warnings.catch_warnings():
        warnings.simplefilter("error", GradientWarning)
        with pytest.raises(GradientWarning, match=r"math.exp, .*np.exp takes Tensors"):
            math.exp(x[0])


def test_code_without_a_file_is_told_of_its_writes() -> None:
    tape, x = watched()
    code = compile("out[1:] = x[1:]", "<nowhere>", "exec")
    with tape, pytest.warns(GradientWarning, match="writing into an ndarray"):
        exec(code, {"out": np.zeros(3), "x": x})
