"""Tensors on a card: where they are made, how they move, what meets what, views and writes."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest

import hybrid as hb
from hybrid.core import by_cupy, cards
from hybrid.errors import DeviceError, OutOfMemoryError
from hybrid.kernels.cuda import drawing
from tests.gpu.fake import MODULE, FakeArray

A = np.arange(6, dtype=np.float32).reshape(2, 3)


def on_card(array: np.ndarray = A, device: str = "cuda") -> hb.Tensor:
    return hb.asarray(array.copy(), device=device)


# --- where Tensors are made -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: hb.zeros(2),
        lambda: hb.ones((2, 2)),
        lambda: hb.full(2, 0.5),
        lambda: hb.arange(3),
        lambda: hb.linspace(0, 1, 3),
        lambda: hb.eye(2),
        lambda: hb.asarray([1.0, 2.0]),
        lambda: hb.asarray([[hb.ones(2)], [hb.ones(2)]]),
        lambda: hb.asarray(A),
        lambda: hb.Variable([1.0]),
        lambda: hb.random.normal(3),
        lambda: hb.random.permutation(3),
        lambda: hb.fft.fftfreq(4),
    ],
)
def test_the_scope_says_where_tensors_are_made(make):
    assert make().device == "cpu"
    with hb.device("cuda:1") as name:
        assert name == "cuda:1"
        made = make()
        assert made.device == made.spec.device == "cuda:1"
        with hb.device("cpu"):
            assert make().device == "cpu"
        assert make().device == "cuda:1"
    assert make().device == "cpu"


def test_the_scope_is_of_one_thread_and_ends_with_an_error():
    seen = []
    with hb.device("cuda"):
        thread = threading.Thread(target=lambda: seen.append(hb.zeros(1).device))
        thread.start()
        thread.join()
    assert seen == ["cpu"]
    with pytest.raises(ZeroDivisionError), hb.device("cuda"):
        1 / 0
    assert hb.zeros(1).device == "cpu"


@pytest.mark.parametrize(
    "make",
    [
        lambda **device: hb.zeros(2, **device),
        lambda **device: hb.full(2, hb.ones(()), **device),
        lambda **device: hb.arange(2, **device),
        lambda **device: hb.linspace(0, 1, 2, **device),
        lambda **device: hb.eye(2, **device),
        lambda **device: hb.asarray([1, 2], **device),
        lambda **device: hb.asarray(hb.ones(2), **device),
        lambda **device: hb.ones_like(hb.zeros(2), **device),
        lambda **device: hb.astype(hb.zeros(2), "int8", **device),
        lambda **device: hb.fft.rfftfreq(4, **device),
        lambda **device: hb.from_dlpack(np.zeros(2), **device),
    ],
)
def test_the_argument_device_says_it_too(make):
    assert make(device="cuda").device == "cuda:0"
    with hb.device("cuda:1"):
        assert make(device="cuda").device == "cuda:0"
        assert make(device="cpu").device == "cpu"


def test_what_is_like_a_tensor_is_where_it_is():
    x = on_card()
    assert hb.zeros_like(x).device == "cuda:0"
    with hb.device("cuda:1"):
        assert hb.ones_like(x).device == "cuda:0"
        assert hb.zeros_like(hb.asarray(A, device="cpu")).device == "cpu"


def test_the_namespace_knows_the_devices():
    info = hb.__array_namespace_info__()
    assert info.devices() == ["cpu", "cuda:0", "cuda:1"]
    assert info.default_device() == "cpu"
    with hb.device("cuda"):
        assert info.default_device() == "cuda:0"


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cuda:-1", "cpu:0", 0])
def test_other_names_are_no_devices(name):
    with pytest.raises(ValueError, match=r"there is no device .* here, only cpu, cuda:0, cuda:1"):
        hb.zeros(1, device=name)


# --- moving ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float16", "bfloat16", "complex128"])
def test_moving_keeps_the_elements(dtype):
    x = hb.asarray(A).astype(dtype)
    y = x.to_device("cuda")
    z = y.to_device("cuda:1")
    assert (y.device, z.device, y.dtype) == ("cuda:0", "cuda:1", x.dtype)
    for t in (y, z, z.to_device("cpu")):
        np.testing.assert_array_equal(t.numpy(), x.numpy())
    assert y.to_device("cuda:0") is y
    y[0] = 0
    assert x.numpy()[0, 1] == z.numpy()[0, 1] == 1


def test_views_move_as_what_they_show():
    x = hb.asarray(A).T[1:]
    np.testing.assert_array_equal(x.to_device("cuda").numpy(), A.T[1:])
    np.testing.assert_array_equal(on_card().T[1:].to_device("cpu").numpy(), A.T[1:])


def test_copies_and_pickles_stay_on_the_card():
    x = on_card()
    for y in (copy.deepcopy(x), copy.copy(x), pickle.loads(pickle.dumps(x)), x.copy()):
        assert y.device == "cuda:0"
        y[0] = 0
        np.testing.assert_array_equal(x.numpy(), A)


def test_values_are_shown_where_they_are_asked_for():
    x = on_card()
    assert x.tolist() == A.tolist()
    assert (x[1, 2].item(), float(x[0, 1]), bool(x[0, 1])) == (5.0, 1.0, True)
    assert repr(x[0]) == "Tensor([0., 1., 2.], dtype=float32, device='cuda:0')"
    assert [float(t) for t in x[0]] == [0.0, 1.0, 2.0]


def test_numpy_gets_no_tensor_of_a_card_without_being_asked():
    with pytest.raises(DeviceError, match=r"given a Tensor on cuda:0: x.numpy\(\) or"):
        np.asarray(on_card())
    assert np.add(on_card(), 1).device == "cuda:0"


def test_dlpack_shares_the_memory_of_a_card():
    theirs = FakeArray(A.copy())
    x = hb.asarray(theirs)
    assert x.device == "cuda:0"
    x[0, 0] = 7
    assert theirs[0, 0].item() == 7
    assert hb.from_dlpack(theirs, copy=True)._data.array is not theirs
    assert hb.from_dlpack(theirs, device="cpu").device == "cpu"
    assert x.__dlpack_device__() == (2, 0)
    assert hb.zeros(1, device="cuda:1").__dlpack_device__() == (2, 1)
    assert MODULE.asarray(x._data.array) is not None
    capsule = x.__dlpack__(dl_device=(1, 0))
    assert "dltensor" in repr(capsule)
    with pytest.raises(BufferError, match="cannot be given to device"):
        x.__dlpack__(dl_device=(2, 1))


# --- what meets what ------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [lambda: hb.ones(3), lambda: np.ones(3), lambda: [1.0, 2.0, 3.0]])
def test_arrays_on_different_devices_are_refused(other):
    with pytest.raises(
        DeviceError, match=r"(?s)add: .*different devices, cuda:0 and cpu.*test_devices"
    ):
        on_card() + other()
    with pytest.raises(DeviceError, match="cuda:0 and cuda:1"):
        on_card() + on_card(device="cuda:1")
    with pytest.raises(DeviceError, match=r"written.*to_device\('cuda:0'\)"):
        on_card()[0] = hb.ones(3)


@pytest.mark.parametrize("number", [2, 2.0, np.float32(2), np.array(2, "f4"), hb.full((), 2.0)])
def test_numbers_come_along(number):
    for found in (on_card() * number, number * on_card(), hb.multiply(on_card(), number)):
        assert (found.device, found.dtype) == ("cuda:0", hb.float32)
        np.testing.assert_array_equal(found.numpy(), A * 2)
    x = on_card()
    x[0] = number
    assert x[0].tolist() == [2.0, 2.0, 2.0]


def test_an_op_that_the_card_does_not_know_says_so_and_runs_on_the_cpu_when_asked():
    x = hb.asarray([[3], [1], [3]])
    there = x.to_device("cuda")
    with pytest.raises(DeviceError, match=r"unique: it cannot be computed on cuda:0 .*fallback"):
        hb.unique(there, axis=0)
    with hb.device("cuda", fallback="cpu"):
        found = hb.unique(there, axis=0)
    assert found.device == "cuda:0"
    assert found.tolist() == [[1], [3]]
    with pytest.raises(ValueError, match="fallback can be 'cpu'"):
        hb.device("cuda", fallback="tpu")


@pytest.mark.parametrize("equal_nan", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "int64", "bfloat16", "bool"])
def test_distinct_elements_are_found_on_the_card(dtype, equal_nan):
    values = np.array([[3, 1, 3], [2, 1, 0]]).astype(dtype)
    if hb.dtypes.is_float(values.dtype):
        values[0, 1] = values[1, 1] = np.nan
    here, there = hb.asarray(values), hb.asarray(values, device="cuda")
    for found, want in zip(
        [*hb.unique(there, True, True, True, equal_nan=equal_nan), hb.unique_values(there)],
        [*hb.unique(here, True, True, True, equal_nan=equal_nan), hb.unique_values(here)],
    ):
        assert (found.device, found.dtype) == ("cuda:0", want.dtype)
        np.testing.assert_array_equal(
            found.astype("float64").numpy(), want.astype("float64").numpy()
        )
    assert hb.unique(there[:0]).tolist() == []


def test_mistakes_are_explained_as_on_the_cpu():
    with pytest.raises(hb.errors.ShapeError, match=r"add: shapes \(2, 3\) and \(2,\)"):
        on_card() + on_card(A[:, 0])
    with pytest.raises(hb.errors.DTypeError, match="bitwise_and"):
        hb.bitwise_and(on_card(), 1)
    with pytest.raises(hb.errors.LinAlgError):
        hb.linalg.inv(on_card())


def test_a_full_card_says_how_much_was_needed(monkeypatch):
    def full(*_):
        raise MemoryError("Out of memory allocating 24 bytes")

    monkeypatch.setitem(MODULE.__dict__, "exp", full)
    with pytest.raises(OutOfMemoryError, match=r"exp: cuda:0 is out of memory.* takes 24 bytes"):
        hb.exp(on_card())
    with pytest.raises(MemoryError):
        hb.exp(on_card())


# --- views and writes -----------------------------------------------------------------------------


def test_views_share_the_memory_of_the_card():
    x = on_card()
    row, part, turned, flat = x[1], x[:, 1:], x.T, x.reshape(-1)
    row += 1
    part[0, 0] = 10
    turned[2, 1] = 20
    flat[0] = -1
    want = np.array([[-1, 10, 2], [4, 5, 20]], np.float32)
    for view, shown in ((x, want), (row, want[1]), (turned, want.T), (part, want[:, 1:])):
        np.testing.assert_array_equal(view.numpy(), shown)
    x[x > 9] = 0
    x[hb.asarray([0], device="cuda")] = 3
    np.testing.assert_array_equal(row.numpy(), [4, 5, 0])
    assert flat.tolist() == [3, 3, 3, 4, 5, 0]


def test_single_elements_are_copies():
    x = on_card()
    first = x[0, 0]
    x[0, 0] = 9
    assert first.item() == 0


def test_broadcast_views_cannot_be_written():
    with pytest.raises(ValueError, match="read-only"):
        hb.broadcast_to(on_card(A[0]), (2, 3))[0] = 1


def test_out_and_variables():
    x, out = on_card(), hb.zeros((2, 3), device="cuda")
    assert hb.exp(x, out=out) is out
    np.testing.assert_allclose(out.numpy(), np.exp(A), rtol=1e-6)
    v = hb.Variable(x)
    x[0] = 100
    v.assign_add(1.0)
    v.assign(v * 2)
    assert v.device == "cuda:0"
    np.testing.assert_array_equal(v.numpy(), (A + 1) * 2)
    with pytest.raises(DeviceError, match=r"on cpu.*on cuda:0"):
        v.assign(A)


# --- random numbers -------------------------------------------------------------------------------


def test_random_numbers_are_those_of_the_cpu():
    here, there = hb.random.Generator(5), hb.random.Generator(5)
    want = [here.normal(5), here.uniform((2, 3)), here.integers(9, shape=4), here.permutation(7)]
    with hb.device("cuda"):
        other = hb.random.Generator(0)
        other.seed(5)
        for generator in (there, other):
            found = [
                generator.normal(5),
                generator.uniform((2, 3)),
                generator.integers(9, shape=4),
                generator.permutation(7),
            ]
            for a, b in zip(found, want):
                assert a.device == "cuda:0"
                np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert hb.random.permutation(on_card()).device == "cuda:0"


def test_random_numbers_are_drawn_where_they_are_wanted(monkeypatch):
    places = []
    on_card = drawing.drawn
    monkeypatch.setattr(
        drawing, "drawn", lambda place, *args: places.append(place.name) or on_card(place, *args)
    )
    generator = hb.random.Generator(5)
    generator.uniform(3)
    generator.split()
    assert places == []
    with hb.device("cuda:1"):
        generator.uniform(3)
        generator.permutation(3)
        generator.split()
        assert generator.bernoulli(0.5, 3).device == "cuda:1"
        assert generator.state.device == "cpu"
    assert places == ["cuda:1"] * 3


# --- gradients ------------------------------------------------------------------------------------


def test_gradients_are_where_the_values_are():
    def loss(x):
        shifted = hb.concat([x, hb.zeros_like(x)]) if x.shape[0] == 2 else x
        return (hb.softmax(shifted, axis=1) * hb.exp(shifted * 0.1)).sum() + hb.var(x[0])

    want = hb.grad(loss)(hb.asarray(A))
    found = hb.grad(loss)(on_card())
    assert found.device == "cuda:0"
    np.testing.assert_allclose(found.numpy(), want.numpy(), rtol=1e-6)


def test_gradients_go_back_the_way_that_values_moved():
    x = hb.asarray(A)
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = hb.exp(x).to_device("cuda")
        z = (y[0] * y[1]).sum().to_device("cpu") + x.sum()
    gradient = tape.gradient(z, x)
    assert gradient.device == "cpu"
    e = np.exp(A)
    np.testing.assert_allclose(gradient.numpy(), e[::-1] * e + 1, rtol=1e-5)


def test_a_form_of_the_cpu_is_not_taken_for_one_of_the_card():
    """Both devices, alternately: what a tape keeps of shapes and dtypes must not mix them up."""
    for _ in range(2):
        for device in ("cpu", "cuda", "cuda:1"):
            x = hb.asarray(A, device=device, requires_grad=True)
            (x.mean() * x.max() + hb.where(x > 2, x, 0).sum()).backward()
            assert x.grad.device == x.device


def test_what_a_tape_saved_is_kept_from_writes():
    x = on_card()
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = (x * x).sum()
        x[0] = 100
    np.testing.assert_array_equal(tape.gradient(y, x).numpy(), 2 * A)


# --- no card --------------------------------------------------------------------------------------


def test_a_machine_without_a_card_says_what_is_missing(monkeypatch):
    with pytest.raises(DeviceError, match=r"zeros: no Tensor can be on 'cuda:7': \w+"):
        hb.zeros(1, device="cuda:7")
    card = cards.Card("a card", (9, 0), 2**30)
    monkeypatch.setattr(cards, "found", lambda: cards.Found("13.0", (card,), ""))
    assert by_cupy.problem(7) == "the NVIDIA driver finds 1 GPU, cuda:0"
    monkeypatch.setattr(by_cupy.util, "find_spec", lambda name: None)
    assert by_cupy.problem(0) == "CuPy is not installed: pip install 'hybrid[cuda]'"
    monkeypatch.setattr(cards, "found", lambda: cards.Found("", (), "no driver"))
    assert by_cupy.problem(0) == "no driver"
    hb.synchronize()
    hb.synchronize("cuda")
