"""What is asked of the driver, in which order; and what the user is told where it refuses."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core import cards
from hybrid.errors import DeviceError
from hybrid.inspect.info import info
from hybrid.kernels.cuda import launch, toolchain
from hybrid.kernels.cuda.kernel import prepare
from hybrid.kernels.region import Region
from tests.kernels.reference import make_region, reduce

Call = tuple[str, tuple[Any, ...]]


class RecordingDriver:
    """A driver of ``count`` cards that does nothing but fill in results and keep a list."""

    def __init__(self, count: int = 1, **failing: int) -> None:
        self.calls: list[Call] = []
        self.count = count
        self.failing = failing

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any) -> int:
            self.calls.append((name, args))
            fill = getattr(type(self), f"_{name}", None)
            if fill is not None:
                fill(self, *args)
            return self.failing.get(name, 0)

        return call

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def _cuDriverGetVersion(self, out: Any) -> None:
        out._obj.value = 13020

    def _cuDeviceGetCount(self, out: Any) -> None:
        out._obj.value = self.count

    def _cuDeviceGetName(self, out: Any, size: int, device: Any) -> None:
        out.value = b"NVIDIA H200"

    def _cuDeviceTotalMem_v2(self, out: Any, device: Any) -> None:
        out._obj.value = 139 << 30

    def _cuDeviceGetAttribute(self, out: Any, attribute: int, device: Any) -> None:
        out._obj.value = {75: 9, 76: 0}[attribute]

    def _cuModuleGetFunction(self, out: Any, module: Any, name: bytes) -> None:
        out._obj.value = 1000 + len(self.calls)

    def _cuMemAlloc_v2(self, out: Any, size: Any) -> None:
        out._obj.value = 4096 * len(self.calls)

    def _cuMemGetInfo_v2(self, free: Any, total: Any) -> None:
        free._obj.value, total._obj.value = 1000, 2000

    def _cuGetErrorString(self, status: int, out: Any) -> None:
        out._obj.value = f"an error of number {status}".encode()


def split_sum() -> Region:
    x = np.zeros(1 << 20, np.float32)
    return make_region(
        x.shape, (0,), [(x, x)], [reduce("sum", 0, "float32")], [(1, "float32", True)]
    )[0]


def test_a_card_is_opened_with_a_stream_of_its_own() -> None:
    driver = RecordingDriver()
    context = launch.open_card(driver=driver)
    assert context.architecture == (9, 0)
    assert driver.names()[-4:] == [
        "cuDeviceGet",
        "cuDevicePrimaryCtxRetain",
        "cuCtxSetCurrent",
        "cuStreamCreate",
    ]
    with pytest.raises(DeviceError, match="no GPU 3, only 1"):
        launch.open_card(3, driver)


def test_the_launches_of_a_region_get_pointers_then_numbers() -> None:
    driver = RecordingDriver()
    context = launch.open_card(driver=driver)
    prepared = prepare(split_sum())
    functions = launch.load(context, b"code", prepared.source.phases)
    made = launch.steps(prepared, functions, [1 << 20, 2 << 20], [4, 4], [3 << 20, 4 << 20])
    del driver.calls[:]
    launch.run(context, made)
    assert driver.names() == ["cuLaunchKernel"] * 2
    for (_, args), step, planned in zip(driver.calls, made, prepared.launches, strict=True):
        assert args[0].value == step.function
        assert args[1:7] == (planned.blocks, 1, 1, prepared.source.threads, 1, 1)
        packed = args[9]
        assert len(packed) == len(prepared.source.parameters) + prepared.source.numbers
        words = [ctypes.cast(p, ctypes.POINTER(ctypes.c_uint64)).contents.value for p in packed]
        assert words == [1 << 20, 2 << 20, 3 << 20, 4 << 20, *prepared.numbers]


def test_a_graph_is_captured_once_and_replayed_by_one_call() -> None:
    driver = RecordingDriver()
    context = launch.open_card(driver=driver)
    prepared = prepare(split_sum())
    functions = launch.load(context, b"code", prepared.source.phases)
    made = launch.steps(prepared, functions, [0, 4096], [4, 4], [8192, 12288])
    del driver.calls[:]
    replay = launch.capture(context, made)
    assert driver.names() == [
        "cuStreamBeginCapture_v2",
        "cuLaunchKernel",
        "cuLaunchKernel",
        "cuStreamEndCapture",
        "cuGraphInstantiateWithFlags",
        "cuGraphDestroy",
    ]
    del driver.calls[:]
    replay()
    replay()
    assert driver.names() == ["cuGraphLaunch", "cuGraphLaunch"]


def test_a_capture_ends_even_if_a_launch_fails() -> None:
    driver = RecordingDriver(cuLaunchKernel=700)
    context = launch.open_card(driver=driver)
    with pytest.raises(DeviceError, match="launching a kernel: an error of number 700"):
        launch.capture(context, [launch.Step(1, 1, 1, ())])
    assert "cuStreamEndCapture" in driver.names()


def test_operands_that_are_not_aligned_are_refused() -> None:
    prepared = prepare(split_sum())
    with pytest.raises(DeviceError, match="multiple of 16 bytes"):
        launch.steps(prepared, (1, 2), [4, 4096], [4, 4], [8192, 12288])


def test_memory_that_is_not_there_is_told_in_bytes() -> None:
    context = launch.open_card(driver=RecordingDriver(cuMemAlloc_v2=2))
    with pytest.raises(DeviceError, match=r"5,000 bytes were asked for, 1,000 of 2,000 were free"):
        launch.allocate(context, 5000)


# --- what there is --------------------------------------------------------------------------


def test_the_driver_says_which_cards_there_are() -> None:
    found = cards.ask(RecordingDriver(2))
    assert found.driver == "13.2"
    assert found.cards == (cards.Card("NVIDIA H200", (9, 0), 139 << 30),) * 2
    assert not found.problem
    assert cards.ask(RecordingDriver(0)).problem == "the NVIDIA driver finds no GPU"
    assert "error 999" in cards.ask(RecordingDriver(cuInit=999)).problem


def no_driver() -> Any:
    raise OSError("libcuda.so.1: cannot open shared object file")


def test_without_a_driver_the_user_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "library", no_driver)
    cards.found.cache_clear()
    try:
        message = r"to_device: no Tensor can be on 'cuda': no NVIDIA driver is installed"
        with pytest.raises(DeviceError, match=message):
            hb.ones(3).to_device("cuda")
        with pytest.raises(DeviceError, match="no Tensor can be on 'cuda:1'"):
            hb.zeros(3, device="cuda:1")
        with pytest.raises(DeviceError, match="cannot be launched: no NVIDIA driver"):
            launch.open_card()
        assert "gpu        no NVIDIA driver is installed" in info()
    finally:
        cards.found.cache_clear()


def test_with_a_card_the_user_is_told_what_hybrid_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "library", RecordingDriver)
    cards.found.cache_clear()
    try:
        with pytest.raises(DeviceError, match="keeps no Tensors there yet"):
            hb.ones(3).to_device("cuda")
        assert "NVIDIA H200 (sm_90, " in info()
    finally:
        cards.found.cache_clear()


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "missing", lambda: ("numba-cuda", "nvidia-nvvm"))
    source = prepare(split_sum()).source
    with pytest.raises(DeviceError, match=r"need numba-cuda, nvidia-nvvm, .*'hybrid\[cuda\]'"):
        toolchain.binary(source, (9, 0))
    assert "gpu tools  not installed: numba-cuda, nvidia-nvvm" in info()
