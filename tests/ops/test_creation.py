"""Creation functions agree with NumPy; floats are float32 unless a dtype is given."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hybrid as hb
from hybrid.core.making import asarray
from hybrid.errors import DTypeError, ShapeError


@pytest.mark.parametrize("shape", [(), 3, (2, 3), (0, 2)])
def test_constants(shape):
    for ours, value in ((hb.zeros, 0), (hb.ones, 1), (hb.empty, 0)):
        np.testing.assert_array_equal(
            ours(shape).numpy(), np.full(shape, value, np.float32), strict=True
        )
        assert ours(shape, dtype="int8").dtype == np.int8


@pytest.mark.parametrize(
    ("value", "dtype"), [(1, "int64"), (0.5, "float32"), (True, "bool"), (1j, "complex64")]
)
def test_full_takes_the_default_dtype_of_a_python_scalar(value, dtype):
    found = hb.full((2,), value)
    assert found.dtype == dtype
    assert found.tolist() == [value, value]


def test_full_broadcasts_an_array():
    np.testing.assert_array_equal(hb.full((2, 2), [1, 2]).numpy(), [[1, 2], [1, 2]])
    with pytest.raises(ShapeError, match="full: a value of shape"):
        hb.full((2, 2), [1, 2, 3])


def test_like():
    x = np.zeros((2, 3), np.int16)
    assert hb.ones_like(x).spec == asarray(np.ones_like(x)).spec
    assert hb.zeros_like(x, dtype="float32").dtype == np.float32
    assert hb.full_like(x, 7).tolist() == [[7] * 3] * 2
    assert hb.empty_like(asarray(x), shape=(1,)).shape == (1,)
    assert hb.zeros_like(1.5).dtype == np.float32


@pytest.mark.parametrize(
    "args", [(5,), (2, 8, 3), (8, 2, -4), (3, 3), (0, -5), (0, 7, 7), (0, 8, 7)]
)
def test_arange_of_ints(args):
    np.testing.assert_array_equal(hb.arange(*args).numpy(), np.arange(*args), strict=True)
    np.testing.assert_array_equal(
        hb.arange(*args, dtype="int8").numpy(), np.arange(*args, dtype=np.int8), strict=True
    )


@pytest.mark.parametrize("args", [(1.0, 2.0, 0.1), (0.5,), (1, 0, -0.3), (0, 1, 1e-3)])
def test_arange_of_floats(args):
    found = hb.arange(*args)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.numpy(), np.arange(*args), rtol=1e-6, atol=1e-7)


def test_ranges_between_tensors_are_those_between_their_values():
    ends = hb.asarray(0.3), hb.asarray(2.7)
    for name, more in (("arange", {}), ("linspace", {"num": 7}), ("linspace", {"endpoint": False})):
        function = getattr(hb, name)
        np.testing.assert_array_equal(
            function(*ends, **more).numpy(), function(*map(float, ends), **more).numpy()
        )
    wide = hb.linspace(hb.asarray(0.3, dtype="float64"), 2.7, 4)
    np.testing.assert_array_equal(wide.numpy(), np.linspace(0.3, 2.7, 4), strict=True)
    rows = hb.linspace(hb.asarray([0.0, 1.0]), hb.asarray([[2.0], [3.0]]), 3)
    expected = np.linspace(np.array([0, 1], "f4"), np.array([[2], [3]], "f4"), 3)
    np.testing.assert_array_equal(rows.numpy(), expected, strict=True)
    assert hb.linspace(hb.asarray(0), 5, 4, dtype="int32").tolist() == [0, 1, 3, 5]
    assert hb.linspace(hb.asarray(1.0), 1j, 3).tolist() == [1, 0.5 + 0.5j, 1j]
    with pytest.raises(ValueError, match="arange: the step is 0"):
        hb.arange(ends[0], 1.0, hb.asarray(0.0))


def test_gradients_reach_the_ends_of_a_range():
    a, b = hb.asarray(0.5), hb.asarray(2.0)
    with hb.GradientTape() as tape:
        tape.watch(a)
        tape.watch(b)
        y = (hb.linspace(a, b, 4) * hb.asarray([1.0, 2.0, 3.0, 4.0])).sum() + hb.arange(a, b).sum()
    got = tape.gradient(y, [a, b])
    np.testing.assert_allclose([float(g) for g in got], [1 + 4 / 3 + 1 + 2, 2 / 3 + 2 + 4])


numbers = st.one_of(
    st.integers(-(2**60), 2**60), st.floats(allow_nan=False), st.floats(-1, 1), st.just(0)
)


@given(numbers, numbers, st.integers(0, 40), st.booleans(), st.sampled_from(["f2", "f4", "f8"]))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_evenly_spaced_numbers_have_the_bits_of_numpys(
    first: Any, last: Any, count: int, endpoint: bool, dtype: str
) -> None:
    found = hb.linspace(first, last, count, endpoint=endpoint, dtype=dtype).numpy()
    wanted = np.linspace(first, last, count, endpoint=endpoint, dtype=dtype)
    assert (found.dtype, found.tobytes()) == (wanted.dtype, wanted.tobytes())


def test_linspace_eye_tri():
    np.testing.assert_array_equal(hb.linspace(0, 1, 7).numpy(), np.linspace(0, 1, 7, dtype="f4"))
    assert hb.linspace(0, 1, 4, endpoint=False).tolist() == [0, 0.25, 0.5, 0.75]
    np.testing.assert_array_equal(hb.eye(2, 3, k=1).numpy(), np.eye(2, 3, 1))
    np.testing.assert_array_equal(hb.identity(2).numpy(), np.eye(2))
    np.testing.assert_array_equal(hb.tri(3, 4, 1).numpy(), np.tri(3, 4, 1))


@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("sizes", [(2,), (2, 3), (2, 3, 4)])
def test_meshgrid(indexing, sizes):
    axes = [np.arange(n) for n in sizes]
    expected = np.meshgrid(*axes, indexing=indexing)
    for ours, numpys in zip(hb.meshgrid(*axes, indexing=indexing), expected, strict=True):
        np.testing.assert_array_equal(ours.numpy(), numpys)


def test_errors():
    with pytest.raises(ShapeError, match=r"zeros: shape \(-1,\) has a negative size"):
        hb.zeros(-1)
    with pytest.raises(DTypeError, match="dtype <U1 is not supported"):
        hb.zeros(1, "U1")
    with pytest.raises(ValueError, match="arange: the step is 0"):
        hb.arange(0, 1, 0)
    with pytest.raises(ValueError, match="neither 'xy' nor 'ij'"):
        hb.meshgrid([1], indexing="yx")


# --- lists in which Tensors are -------------------------------------------------------------------

OF_PARTS = {
    "asarray": lambda x: hb.asarray([x[0], x[1] * 2]),
    "nested": lambda x: hb.asarray([[x[0], 1.0], (2.0, x[1])]),
    "rows": lambda x: hb.asarray([x, x * 2]),
    "beside_an_int": lambda x: hb.array((x[0] * x[1], 3)),
    "converted": lambda x: hb.asarray([x[0], x[1]], dtype=hb.float64),
    "operand": lambda x: x * [x[0], x[1]],
    "reflected": lambda x: [x[0], x[1]] @ x,
    "argument": lambda x: hb.where([True, False], [x[0], x[1]], 0.0),
    "rows_of_concat": lambda x: hb.concat([[x[0]], [x[1]]]),
    "filled": lambda x: hb.full((2, 2), [x[0], x[1]]),
    "library": lambda x: hb.linalg.norm([x[0], x[1]]),
}


@pytest.mark.parametrize("name", OF_PARTS)
def test_a_list_of_tensors_stays_on_the_tape_and_in_the_trace(name: str) -> None:
    def f(x: Any) -> Any:
        return OF_PARTS[name](x).sum()

    at = hb.asarray([1.5, -2.0], dtype=hb.float64)
    step = 1e-6
    slopes = [(f(at + step * e).item() - f(at - step * e).item()) / (2 * step) for e in hb.eye(2)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        traced = hb.compile(f, fullgraph=True)
        np.testing.assert_allclose(traced(at).numpy(), f(at).numpy(), rtol=1e-12)
    for function in (f, traced):
        with hb.GradientTape() as tape:
            tape.watch(at)
            y = function(at)
        np.testing.assert_allclose(tape.gradient(y, at).numpy(), slopes, rtol=1e-6)


def test_dtypes_in_a_list_of_tensors_meet_as_beside_tensors() -> None:
    single, double, whole = hb.ones((), dtype="f4"), hb.ones((), dtype="f8"), hb.asarray(2)
    assert hb.asarray([single, 0.1]).dtype == hb.float32
    assert hb.asarray([double, 0.1]).tolist() == [1.0, 0.1]  # not rounded on the way
    assert hb.asarray([whole, 0.5]).dtype == (whole + hb.asarray(0.5)).dtype
    assert hb.asarray([whole, True]).dtype == hb.int64
    assert hb.asarray([hb.Variable(2.0), [single]][:1]).tolist() == [2.0]
    with pytest.raises(ValueError, match="differ"):
        hb.asarray([hb.ones(2), single])
    with pytest.raises(ValueError, match="copy"):
        hb.asarray([single], copy=False)


@pytest.mark.parametrize("traced", [False, True])
def test_a_shape_may_be_an_int_of_a_tensor_and_must_be_ints(traced: bool) -> None:
    run = hb.compile if traced else lambda f: f
    sizes = hb.asarray([3, 2])
    assert run(lambda n: hb.zeros(n[0]))(sizes).shape == (3,)
    assert run(lambda n: hb.ones((n[1], n[0])))(sizes).shape == (2, 3)
    for wrong in (hb.asarray([1.0, 2.0]), 2.5, (2.0, 3), "ab"):
        with pytest.raises(TypeError, match="zeros: a shape is an int or several, not"):
            run(lambda shape: hb.zeros(shape))(wrong)


def test_what_is_no_array_is_refused_by_its_type() -> None:
    for wrong in (None, {}, object()):
        with pytest.raises(DTypeError, match=f"given as {type(wrong).__name__}, is not supported"):
            hb.exp(wrong)
