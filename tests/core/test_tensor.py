"""The Tensor as an object: what it is made of, what it looks like, what it refuses."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import DTypeError


def test_asarray_keeps_the_dtype_and_the_memory_of_an_ndarray() -> None:
    a = np.arange(6, dtype=np.int16).reshape(2, 3)
    x = hb.asarray(a)
    assert x.dtype == np.int16
    a[0, 0] = 42
    assert x[0, 0].item() == 42
    assert np.shares_memory(x.numpy(), a)
    assert not np.shares_memory(hb.asarray(a, copy=True).numpy(), a)
    assert hb.asarray(a) is x  # the same memory, the same Tensor


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1.5, "float32"),
        ([1, 2], "int64"),
        (True, "bool"),
        ([[1.0, 2.0]], "float32"),
        (1j, "complex64"),
        (np.float64(1.5), "float64"),
        ([np.float64(1.5)], "float64"),
        (np.arange(3.0), "float64"),
        ([], "float32"),
    ],
)
def test_python_floats_become_float32_and_numpy_keeps_its_dtype(value: object, dtype: str) -> None:
    assert hb.asarray(value).dtype == np.dtype(dtype)


@pytest.mark.parametrize("value", [["a"], [object()], np.array(["2020-01-01"], "datetime64[D]")])
def test_unsupported_dtypes_are_named(value: object) -> None:
    with pytest.raises(DTypeError, match="not supported"):
        hb.asarray(value)


def test_byte_swapped_and_misaligned_arrays_are_made_native() -> None:
    swapped = np.arange(3, dtype=">f4")
    np.testing.assert_array_equal(hb.asarray(swapped).numpy(), [0, 1, 2])
    raw = np.zeros(17, np.uint8)[1:].view(np.float64)
    assert hb.asarray(raw).numpy().flags.aligned


def test_subclasses_of_ndarray_become_plain_and_masks_are_not_lost() -> None:
    base = np.arange(4.0).view(np.recarray)
    x = hb.asarray(base)
    assert type(x.numpy()) is np.ndarray
    assert np.shares_memory(x.numpy(), base)
    with pytest.raises(DTypeError, match="mask"):
        hb.asarray(np.ma.masked_array([1.0, 2.0], [True, False]))


def test_it_reads_well() -> None:
    x = hb.asarray(np.arange(4.0).reshape(2, 2))
    assert repr(x) == "Tensor([[0., 1.],\n        [2., 3.]], dtype=float64)"
    assert repr(hb.asarray(3)) == "Tensor(3, dtype=int64)"
    assert f"{hb.asarray(0.125):.2f}" == "0.12"
    with pytest.raises(TypeError, match=r"'.2f' is for one number, this Tensor has shape \(2,\)"):
        f"{hb.ones(2):.2f}"
    assert repr(hb.Variable([1.0], name="w")) == "Variable(w: [1.], dtype=float32)"


def test_attributes_and_conversions() -> None:
    x = hb.asarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    assert (x.shape, x.ndim, x.size, x.nbytes, x.device, len(x)) == ((2, 3), 2, 6, 24, "cpu", 2)
    np.testing.assert_array_equal(x.T.numpy(), x.numpy().T)
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert [row.tolist() for row in x] == x.tolist()
    assert (float(x[0, 1]), int(x[1, 2]), bool(x[0, 0])) == (1.0, 5, False)
    with pytest.raises(ValueError, match=r"ambiguous.*any"):
        bool(x)
    with pytest.raises(ValueError, match="one element"):
        x.item()
    with pytest.raises(TypeError, match="index"):
        [1, 2, 3][x[0, 0]]
    assert [1, 2, 3][hb.asarray(1)] == 2


def test_numpy_and_dlpack_take_it_without_a_copy() -> None:
    x = hb.asarray(np.arange(3.0))
    assert np.shares_memory(np.asarray(x), x.numpy())
    assert np.shares_memory(np.from_dlpack(x), x.numpy())
    assert np.asarray(x, dtype=np.float32).dtype == np.float32


def test_copies_and_pickles_are_independent() -> None:
    x = hb.asarray(np.arange(3.0))
    v = hb.Variable([1.0, 2.0])
    for y in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        y[0] = 9
    assert x[0].item() == 0
    w = copy.deepcopy(v)
    w.assign_add([1.0, 1.0])
    np.testing.assert_array_equal(v.numpy(), [1, 2])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(w)).numpy(), [2, 3])


def test_a_tensor_is_not_made_by_its_class() -> None:
    with pytest.raises(TypeError, match="asarray"):
        hb.Tensor([1.0])


def test_variables_keep_shape_and_dtype() -> None:
    v = hb.Variable([1.0, 2.0], name="v")
    v.assign(3)
    np.testing.assert_array_equal(v.numpy(), [3, 3])
    with pytest.raises(ValueError, match=r"v has shape \(2,\), the new value \(3,\)"):
        v.assign([1.0, 2.0, 3.0])
    with pytest.raises(TypeError):
        v.assign(hb.asarray([1j, 2j]))
    assert (v + 1).dtype == np.float32
    assert v.shape == (2,)


def test_assigning_copies_and_reading_does_not_follow_later_assignments() -> None:
    v, t = hb.Variable([1.0, 2.0]), hb.asarray([5.0, 6.0])
    old = v.read()
    v.assign(t)
    t[0] = 0
    np.testing.assert_array_equal(v.numpy(), [5, 6])
    np.testing.assert_array_equal(old.numpy(), [1, 2])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_python_numbers_made_of_what_they_cannot_hold(dtype: str) -> None:
    make = lambda value: hb.full((), value, dtype=getattr(hb, dtype))
    with pytest.raises(OverflowError):
        int(make(np.inf))
    with pytest.raises(ValueError, match="NaN"):
        int(make(np.nan))
    assert int(make(-2.5)) == -2
    assert float(make(-0.0)) == 0
    for kind in (int, float):
        with pytest.raises(TypeError, match=f"{kind.__name__}.. of a complex Tensor"):
            kind(hb.asarray(1j))
    assert complex(make(2)) == 2


def test_the_namespace_of_a_tensor() -> None:
    x = hb.zeros(2)
    assert x.__array_namespace__() is hb
    assert x.__array_namespace__(api_version=hb.__array_api_version__) is hb
    with pytest.raises(ValueError, match=r"2024\.12, not '2030\.01'"):
        x.__array_namespace__(api_version="2030.01")


def test_bytes_are_those_of_the_elements() -> None:
    a = np.arange(6, dtype=np.int16).reshape(2, 3).T
    assert bytes(hb.asarray(a)) == bytes(a) == a.tobytes()


@pytest.mark.parametrize("place", [(0,), (5,), (-1,), (1, 2), (0, -3), ((1, 0),), (np.int64(4),)])
@pytest.mark.parametrize("compiled", [False, True])
def test_item_takes_the_place_of_an_element(place, compiled):
    a = np.arange(6).reshape(2, 3)

    def at(x):
        return x.item(*place) + 0 * x

    got = (hb.compile(at) if compiled else at)(hb.asarray(a))
    assert int(got[0, 0]) == a.item(*place)
    with hb.GradientTape():
        assert hb.asarray(a).item(*place) == a.item(*place)
    assert type(hb.asarray(a).item(*place)) is int


@pytest.mark.parametrize("place", [(6,), (0, 3), (1, 2, 3), (0.5,), ("a",), ((0, 1, 2),), ()])
def test_item_refuses_a_place_that_is_none(place):
    a = np.arange(6).reshape(2, 3)
    with pytest.raises((IndexError, ValueError, TypeError)):
        a.item(*place)
    with pytest.raises((IndexError, ValueError, TypeError)) as error:
        hb.asarray(a).item(*place)
    assert "test_tensor" in str(error.value)


OBJECTS = [
    *(1, -3, True, 2.5, 1e300, float("nan"), 2j, 1 << 62, 1 << 63, [1, 2], [1.0, 2], [True, False]),
    *([True, 1], [[1.0, 2.0], [3.0, 4.0]], [[1], [2, 3]], [], [[]], [[1, 2], 3], (1.0, 2.0)),
    *([np.float64(1.5)], [1.5, np.float64(2)], ["a"], [None], [1 << 63, 1], [1 << 70], [1e39]),
    *([[[1.0]], [[2.0]]], [[True], [False]], [2j, 1.0], np.float64(2.5), b"ab", "ab", None),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("obj", OBJECTS, ids=repr)
@pytest.mark.parametrize("make", [hb.asarray, hb.array])
def test_plain_eager_code_makes_the_tensors_that_it_makes_beside_a_tape(make, obj):
    def outcome():
        try:
            found = make(obj)
        except Exception as error:
            return type(error), str(error).splitlines()[0]
        return found.dtype, found.shape, found.numpy().tobytes()

    got = outcome()
    with hb.GradientTape():
        wanted = outcome()
    assert got == wanted


def test_numbers_that_overflow_the_default_dtype_warn_at_the_users_line():
    for wrong in (1e300, [1e300, 1.0]):
        with pytest.warns(RuntimeWarning, match="overflow") as caught:
            assert np.isinf(hb.asarray(wrong).numpy()).any()
        assert caught[0].filename == __file__


@pytest.mark.parametrize("args", [(5,), (2, 9), (9, 2, -3), (0,), (3, 0), (0, 10, 3), (1 << 62, 5)])
def test_ranges_of_ints_are_those_that_are_made_beside_a_tape(args):
    got = hb.arange(*args)
    with hb.GradientTape():
        wanted = hb.arange(*args)
    assert (got.dtype, got.tolist()) == (wanted.dtype, wanted.tolist())


NOT_OF_A_VARIABLE = {
    *("__annotations__", "__copy__", "__delitem__", "__bytes__"),
    *("__dlpack__", "__dlpack_device__", "__array_namespace__"),
}


def test_a_variable_has_the_operators_of_its_contents():
    """It lacked ``@``: Tensors beside it multiplied by it, two Variables did not."""
    special = {name for name in vars(hb.Tensor) if name.startswith("__")}
    assert {name for name in special if not hasattr(hb.Variable, name)} <= NOT_OF_A_VARIABLE
    v, w = hb.Variable([[1.0, 2.0], [3.0, 4.0]]), hb.Variable([[0.5, 1.5], [1.0, 1.0]])
    one, other = v.numpy(), w.numpy()
    for product in (v @ w, hb.asarray(one) @ w, v @ hb.asarray(other), one @ w, v @ other):
        np.testing.assert_array_equal(product.numpy(), one @ other)
    assert 4.0 in v
    assert 5.0 not in v
    assert round(hb.Variable(2.6)).item() == 3


@pytest.mark.parametrize("compiled", [False, True])
def test_elements_of_a_variable_can_be_assigned(compiled: bool):
    v = hb.Variable([1.0, 2.0, 3.0])

    def write(x: hb.Tensor) -> hb.Tensor:
        before = v.read()
        v[1:] = x
        v[0] += 10
        return before

    before = (hb.compile(write) if compiled else write)(hb.asarray([5.0, 6.0]))
    assert before.tolist() == [1, 2, 3]
    assert v.tolist() == [11, 5, 6]
    with pytest.raises(hb.errors.IndexingError):
        v[3] = 1


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("how", ["assign", "assign_add", "assign_sub"])
def test_a_gradient_that_is_none_is_told_where_a_variable_takes_it(how: str, compiled: bool):
    v = hb.Variable(1.0)

    def step(x: hb.Tensor) -> None:
        with hb.GradientTape() as tape:
            loss = (x * x).sum()
        getattr(v, how)(tape.gradient(loss, v))

    with pytest.raises(TypeError, match=rf"{how}: the value is None(.|\n)*getattr\(v, how\)"):
        (hb.compile(step) if compiled else step)(hb.ones(2))
