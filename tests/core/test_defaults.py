"""The default dtype in eager code: what it decides, what it leaves alone, for whom it holds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import hybrid as hb
from hybrid.core import containers, defaults, dispatch
from hybrid.core.op import Example, Op
from hybrid.dtypes import is_inexact
from hybrid.errors import DTypeError
from tests.ops.test_numpy_functions import CALLS
from tests.ops.test_registry import CASES, inputs_of

FLOATS = ("float16", "bfloat16", "float32", "float64")

WITHOUT_A_DTYPE: dict[str, Callable[[], Any]] = {
    "a float": lambda: hb.asarray(1.5),
    "a list of floats": lambda: hb.asarray([[1.0, 2.0]]),
    "a list of Tensors and floats": lambda: hb.asarray([hb.asarray(1.0), 2.0]),
    "an empty list": lambda: hb.asarray([]),
    "a Variable": lambda: hb.Variable([1.0, 2.0]),
    "zeros": lambda: hb.zeros(2),
    "ones": lambda: hb.ones((2, 2)),
    "empty": lambda: hb.empty(2),
    "full": lambda: hb.full(2, 0.5),
    "eye": lambda: hb.eye(2),
    "identity": lambda: hb.identity(2),
    "tri": lambda: hb.tri(2),
    "arange": lambda: hb.arange(0.0, 2.0, 0.5),
    "arange between Tensors": lambda: hb.arange(hb.asarray(0.0), 2.0),
    "linspace": lambda: hb.linspace(0, 1, 3),
    "linspace between Tensors": lambda: hb.linspace(hb.asarray(0.0), 1.0, 3),
    "a function of a float": lambda: hb.sin(0.5),
    "uniform": lambda: hb.random.uniform(3),
    "normal": lambda: hb.random.normal((2, 2)),
    "one_hot": lambda: hb.one_hot([0, 1], 2),
    "fftfreq": lambda: hb.fft.fftfreq(4),
    "the steps of fori_loop": lambda: hb.fori_loop(0, 2, lambda i, c: c * 0.5, 1.0),
    "a branch": lambda: hb.cond(True, lambda: 1.0, lambda: 2.0),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("what", WITHOUT_A_DTYPE)
def test_what_has_no_dtype_takes_the_default(what: str, dtype: str) -> None:
    with hb.default_dtype(dtype):
        assert WITHOUT_A_DTYPE[what]().dtype == np.dtype(dtype)
    assert WITHOUT_A_DTYPE[what]().dtype == np.float32


@pytest.mark.parametrize("dtype", FLOATS)
def test_what_has_a_dtype_keeps_it(dtype: str) -> None:
    single, half = hb.ones(2, hb.float32), hb.ones(2, hb.float16)
    with hb.default_dtype(dtype):
        assert (single * 2.0).dtype == np.float32  # Python scalars beside arrays stay weak
        assert (half + 1.0).dtype == np.float16
        assert hb.asarray(np.ones(2)).dtype == np.float64
        assert hb.asarray([np.float32(1.0)]).dtype == np.float32
        assert hb.zeros_like(single).dtype == np.float32
        assert hb.full(2, single[0]).dtype == np.float32
        assert hb.zeros(2, hb.float32).dtype == np.float32
        assert hb.asarray([1, 2]).dtype == np.int64
        assert hb.asarray(True).dtype == np.bool_
        assert hb.arange(3).dtype == np.int64


def test_complex_numbers_are_as_wide_as_floats() -> None:
    assert hb.asarray(1j).dtype == np.complex64
    with hb.default_dtype("float64"):
        assert hb.asarray([1.0, 1j]).dtype == np.complex128
        assert hb.linspace(0, 1j, 3).dtype == np.complex128
    with hb.default_dtype("float16"):
        assert hb.asarray(1j).dtype == np.complex64


def test_the_namespace_says_what_the_default_is() -> None:
    with hb.default_dtype("float64"):
        found = hb.__array_namespace_info__().default_dtypes()
        assert found["real floating"] == np.float64
        assert found["complex floating"] == np.complex128
        assert hb.result_type(1.0, 2) == np.float64


def test_set_and_get_and_every_spelling() -> None:
    try:
        for dtype in ("float64", np.float64, hb.float64, float):
            hb.set_default_dtype(dtype)
            assert hb.get_default_dtype() == np.float64
        assert defaults.requests == 1
        hb.set_default_dtype(hb.bfloat16)
        assert hb.zeros(1).dtype == ml_dtypes.bfloat16
    finally:
        hb.set_default_dtype(hb.float32)
    assert defaults.requests == 0


@pytest.mark.parametrize("wrong", [None, "int32", int, np.complex64, "nothing", object(), ">f4x"])
def test_other_dtypes_are_refused_and_nothing_changes(wrong: object) -> None:
    with pytest.raises(DTypeError, match=r"set_default_dtype: .* is not one of float16"):
        hb.set_default_dtype(wrong)
    with pytest.raises(DTypeError, match="default_dtype: "), hb.default_dtype(wrong):
        pass
    assert hb.get_default_dtype() == np.float32
    assert defaults.requests == 0


def test_a_block_ends_with_what_was_before_even_by_an_error() -> None:
    with hb.default_dtype("float64"):
        with pytest.raises(KeyError), hb.default_dtype("float16"):
            raise KeyError
        assert hb.get_default_dtype() == np.float64
    assert hb.get_default_dtype() == np.float32
    assert defaults.requests == 0


def test_setting_it_in_a_block_lasts_until_the_end_of_the_block() -> None:
    with hb.default_dtype("float64"):
        hb.set_default_dtype("float16")
        assert hb.zeros(1).dtype == np.float16
    assert hb.zeros(1).dtype == np.float32


def _in_a_thread(function: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def test_a_block_holds_in_its_own_thread_and_setting_for_all_others() -> None:
    with hb.default_dtype("float64"):
        assert _in_a_thread(lambda: hb.zeros(1).dtype) == np.float32
        try:
            _in_a_thread(lambda: hb.set_default_dtype("float16"))
            assert hb.zeros(1).dtype == np.float64
            assert _in_a_thread(lambda: hb.zeros(1).dtype) == np.float16
        finally:
            _in_a_thread(lambda: hb.set_default_dtype("float32"))


def _with_gradients(op: Op, example: Example) -> list[Any]:
    arrays = [hb.asarray(a) for a in inputs_of(example)]
    watched = [a for a in arrays if is_inexact(a.dtype)]
    with hb.GradientTape() as tape:
        tape.watch(watched)
        found = dispatch.bind(op, tuple(arrays), example.attrs)
        results = list(found) if op.multi else [found]
        losses = [x.real.sum() for x in results if is_inexact(x.dtype)]
        loss = sum(losses[1:], losses[0]) if losses else None
    if loss is None or not watched or op.no_gradient or op.acts:
        return results
    return results + tape.gradient(loss, watched)


@pytest.mark.parametrize(("op", "example"), CASES)
def test_no_op_and_no_gradient_depends_on_the_default(op: Op, example: Example) -> None:
    before = _with_gradients(op, example)
    with hb.default_dtype("float64"):
        after = _with_gradients(op, example)
    for one, other in zip(before, after, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one.numpy(), other.numpy())


LISTS = {"polyval", "trapezoid over places"}  # one argument is a list of Python floats


@pytest.mark.parametrize("name", sorted(set(CALLS) - LISTS))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # a division by zero on purpose
def test_no_function_of_arrays_depends_on_the_default(name: str) -> None:
    call = CALLS[name]
    arrays = [hb.asarray(a) for a in call.__defaults__]
    given = [a.astype(np.float32) if a.dtype == np.float64 else a for a in arrays]
    before = containers.leaves_of(call(*given))
    with hb.default_dtype("float64"):
        after = containers.leaves_of(call(*given))
    for one, other in zip(map(np.asarray, before), map(np.asarray, after), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
