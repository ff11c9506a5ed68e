"""A real card: every op, its views and gradients, moves and errors. ``pytest -m gpu`` runs it."""

from __future__ import annotations

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.devices import place
from hybrid.core.op import Example, Op
from hybrid.core.placed import run
from hybrid.core.places import DeviceArray, put
from hybrid.errors import OutOfMemoryError
from tests.gpu.test_eager_forms import GRADIENTS, gradient, not_on_a_card
from tests.ops.test_registry import CASES, inputs_of

pytestmark = pytest.mark.gpu

A = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize(("op", "example"), CASES)
def test_an_eager_form_gives_on_the_card_what_it_gives_on_the_cpu(op: Op, example: Example):
    if not_on_a_card(op, example):
        pytest.skip("the CPU's")
    arrays = inputs_of(example)
    want = op.eager(np, *(a.copy() for a in arrays), **example.attrs)
    with hb.device("cuda"):
        found = run(op, [put(a, place("cuda:0")) for a in arrays], example.attrs)
    for a, b in zip(found if op.multi else (found,), want if op.multi else (want,), strict=True):
        array = a.get() if type(a) is DeviceArray else a
        assert (array.shape, array.dtype) == (np.shape(b), np.asarray(b).dtype)
        exact = array.dtype.kind not in "fcV"
        wide = (np.asarray(x, "c16" if array.dtype.kind == "c" else "f8") for x in (array, b))
        np.testing.assert_allclose(*wide, rtol=0 if exact else 1e-4, atol=0 if exact else 1e-5)


@pytest.mark.parametrize(("op", "example"), GRADIENTS)
def test_a_gradient_gives_on_the_card_what_it_gives_on_the_cpu(op: Op, example: Example):
    pairs = zip(gradient(op, example, "cuda:0"), gradient(op, example, "cpu"), strict=True)
    for there, here in pairs:
        assert (there is None) == (here is None)
        if here is not None:
            np.testing.assert_allclose(there.numpy(), here.numpy(), rtol=1e-3, atol=1e-4)


def test_views_and_writes_share_the_memory_of_the_card():
    x = hb.asarray(A.copy(), device="cuda")
    row, turned = x[1], x.T
    row += 1
    turned[2, 1] = 20
    x[x > 10] = 0
    assert x.tolist() == [[0, 1, 2], [4, 5, 0]]
    assert row.tolist() == [4, 5, 0]


def test_the_last_of_several_values_for_one_place_stays():
    x = hb.zeros(3, device="cuda")
    x[hb.asarray([0, 2, 0, 2], device="cuda")] = hb.asarray([1.0, 2.0, 3.0, 4.0], device="cuda")
    assert x.tolist() == [3, 0, 4]


def test_mistakes_are_told():
    x = hb.asarray(A, device="cuda")
    with pytest.raises(IndexError):
        hb.take(x, [7], axis=1)
    with pytest.raises(hb.errors.LinAlgError):
        hb.linalg.inv(hb.zeros((2, 2), device="cuda"))
    with pytest.raises(hb.errors.LinAlgError):
        hb.linalg.cholesky(-hb.eye(2, device="cuda"))
    with pytest.raises(hb.errors.DeviceError):
        x + hb.ones(3)
    with pytest.raises(OutOfMemoryError, match="takes"):
        hb.zeros(2**45, dtype="uint8", device="cuda")


def test_memory_is_shared_with_cupy_and_random_numbers_are_the_cpus():
    cupy = pytest.importorskip("cupy")
    theirs = cupy.arange(4.0)
    x = hb.asarray(theirs)
    x[0] = 7
    hb.synchronize()
    assert float(theirs[0]) == 7
    assert cupy.from_dlpack(x).data.ptr == theirs.data.ptr
    here, there = hb.random.Generator(1), hb.random.Generator(1)
    with hb.device("cuda"):
        found = there.normal(1000)
    np.testing.assert_array_equal(found.numpy(), here.normal(1000).numpy())


def test_bfloat16_and_several_devices_in_a_compiled_function():
    x = hb.asarray(A, device="cuda").astype("bfloat16")
    f = hb.compile(lambda x: (hb.exp(x) * 2).to_device("cpu") + 1)
    found = f(x)
    assert found.device == "cpu"
    wanted = f(x.to_device("cpu"))
    np.testing.assert_allclose(*(t.astype("float32").numpy() for t in (found, wanted)), rtol=1e-2)
