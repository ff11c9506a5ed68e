"""Memory shared with other libraries, both ways: DLPack, NumPy's protocols, buffers."""

from __future__ import annotations

import array
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import hybrid as hb
from hybrid import dtypes

ALL = sorted(dtypes.SUPPORTED, key=lambda d: d.name)


class Producer:
    """An array of another library, as seen through DLPack alone."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def __dlpack__(self, **options: Any) -> Any:
        return self.data.__dlpack__(**options)


class OldProducer(Producer):
    """One that knows nothing of DLPack 1.0."""

    def __dlpack__(self) -> Any:  # type: ignore[override]
        return self.data.__dlpack__()


@pytest.mark.parametrize("dtype", ALL, ids=lambda d: d.name)
@pytest.mark.parametrize("take", [hb.from_dlpack, hb.asarray])
def test_dlpack_shares_the_memory_of_every_dtype(dtype: Any, take: Any) -> None:
    x = hb.asarray(np.arange(6).astype(dtype).reshape(2, 3))
    y = take(Producer(x))
    assert y.dtype == x.dtype
    assert np.shares_memory(x.numpy(), y.numpy())
    y[1, 2] = 1
    assert x[1, 2].item() == 1
    z = hb.from_dlpack(Producer(x), copy=True)
    assert not np.shares_memory(x.numpy(), z.numpy())
    np.testing.assert_array_equal(x.numpy(), z.numpy())


def test_dlpack_keeps_strides() -> None:
    base = np.arange(24.0).reshape(4, 6)
    np.testing.assert_array_equal(
        hb.from_dlpack(Producer(hb.asarray(base)[::2, 1::2])), base[::2, 1::2]
    )
    halves = base.astype(ml_dtypes.bfloat16)
    taken = hb.from_dlpack(Producer(hb.asarray(halves).T[1:]))
    np.testing.assert_array_equal(taken.numpy(), halves.T[1:])


def test_dlpack_of_old_producers_is_read_only() -> None:
    x = hb.from_dlpack(OldProducer(hb.zeros(3)))
    with pytest.raises(ValueError, match="read-only"):
        x[0] = 1


def test_dlpack_refuses_what_it_cannot_give() -> None:
    x = hb.zeros(2)
    assert x.__dlpack_device__() == (1, 0)
    with pytest.raises(BufferError):
        x.__dlpack__(dl_device=(2, 0))
    with pytest.raises(RuntimeError, match="stream"):
        x.__dlpack__(stream=1)
    read_only = hb.broadcast_to(x, (3, 2))
    with pytest.raises(BufferError, match="readonly"):
        read_only.__dlpack__()
    read_only.__dlpack__(max_version=(1, 0))
    with pytest.raises(ValueError, match="from_dlpack: there is no device 'gpu'"):
        hb.from_dlpack(x, device="gpu")


def test_from_dlpack_of_a_tensor_is_the_tensor() -> None:
    x = hb.zeros(2)
    assert hb.from_dlpack(x) is x
    assert hb.from_dlpack(x, copy=True) is not x
    f = hb.compile(lambda t: hb.from_dlpack(t) + 1)
    assert f(x).tolist() == [1, 1]


def test_to_device() -> None:
    x = hb.zeros(2)
    assert x.to_device(x.device) is x
    with pytest.raises(ValueError, match="to_device: there is no device 'tpu'"):
        x.to_device("tpu")
    with pytest.raises(ValueError, match="no streams"):
        x.to_device("cpu", stream=1)


@pytest.mark.parametrize(
    "make",
    [
        lambda **device: hb.zeros(2, **device),
        lambda **device: hb.full(2, 1, **device),
        lambda **device: hb.arange(2, **device),
        lambda **device: hb.linspace(0, 1, 2, **device),
        lambda **device: hb.eye(2, **device),
        lambda **device: hb.asarray([1, 2], **device),
        lambda **device: hb.ones_like(hb.zeros(2), **device),
        lambda **device: hb.astype(hb.zeros(2), "int8", **device),
    ],
)
def test_devices_are_checked(make: Any) -> None:
    assert make(device="cpu").device == "cpu"
    with pytest.raises(ValueError, match="there is no device 'tpu:7' here, only cpu"):
        make(device="tpu:7")
    with pytest.raises(hb.errors.DeviceError, match="no Tensor can be on 'cuda:7'"):
        make(device="cuda:7")


# --- asarray(copy=) -------------------------------------------------------------------------------


def test_copy_false_never_copies() -> None:
    a = np.arange(3.0)
    assert np.shares_memory(hb.asarray(a, copy=False).numpy(), a)
    assert np.shares_memory(hb.asarray(Producer(a), copy=False).numpy(), a)
    t = hb.asarray(a)
    assert hb.asarray(t, copy=False) is t
    assert hb.asarray(t, dtype="float64", copy=False) is t
    assert np.shares_memory(np.asarray(t, copy=False), a)
    swapped = np.arange(3, dtype=">f4")
    for refused in (
        lambda: hb.asarray(t, dtype="float32", copy=False),
        lambda: hb.asarray(a, dtype="float32", copy=False),
        lambda: hb.asarray([1.0], copy=False),
        lambda: hb.asarray(1.0, copy=False),
        lambda: hb.asarray(swapped, copy=False),
        lambda: np.asarray(t, dtype="float32", copy=False),
    ):
        with pytest.raises(ValueError, match="copy"):
            refused()


def test_copy_true_always_copies() -> None:
    a = np.arange(3.0)
    for source in (a, hb.asarray(a), Producer(a), memoryview(a)):
        found = hb.asarray(source, copy=True)
        assert found.tolist() == [0, 1, 2]
        assert not np.shares_memory(found.numpy(), a)
    assert not np.shares_memory(np.array(hb.asarray(a), copy=True), a)


def test_buffers_keep_their_dtype_and_memory() -> None:
    numbers = array.array("d", [1.0, 2.0])
    x = hb.asarray(numbers)
    assert x.dtype == np.float64
    numbers[0] = 7.0
    assert x.tolist() == [7, 2]
    assert hb.asarray(memoryview(np.zeros(2, np.complex128))).dtype == np.complex128


def test_torch_shares_memory_both_ways() -> None:
    torch = pytest.importorskip("torch")
    for dtype in (torch.float32, torch.bfloat16, torch.int16, torch.bool, torch.complex64):
        t = torch.ones(3, dtype=dtype)
        for x in (hb.asarray(t), hb.from_dlpack(t)):
            x[0] = 0
            assert t[0] == 0
            back = torch.from_dlpack(x)
            assert back.dtype == dtype
            back[0] = 1
            assert x[0].item() == 1
