"""Which cards and packages there are, and what the user is told where some are not."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core import by_cupy, cards
from hybrid.errors import DeviceError
from hybrid.inspect.info import info
from hybrid.kernels.cuda import toolchain
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


def split_sum() -> Region:
    x = np.zeros(1 << 20, np.float32)
    return make_region(
        x.shape, (0,), [(x, x)], [reduce("sum", 0, "float32")], [(1, "float32", True)]
    )[0]


def test_the_driver_says_which_cards_there_are() -> None:
    found = cards.ask(RecordingDriver(2))
    assert found.driver == "13.2"
    assert found.cards == (cards.Card("NVIDIA H200", (9, 0), 139 << 30),) * 2
    assert not found.problem
    assert cards.ask(RecordingDriver(0)).problem == "the NVIDIA driver finds no GPU"
    assert "error 999" in cards.ask(RecordingDriver(cuInit=999)).problem


def told() -> str:
    """What `hybrid info` prints, with single blanks."""
    return re.sub(" +", " ", info())


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
        assert "gpu no NVIDIA driver is installed" in told()
    finally:
        cards.found.cache_clear()


def test_with_a_card_but_without_cupy_the_user_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "library", RecordingDriver)
    monkeypatch.setattr(by_cupy, "_broken", lambda: "CuPy cannot be imported")
    cards.found.cache_clear()
    try:
        with pytest.raises(DeviceError, match="CuPy"):
            hb.ones(3).to_device("cuda")
        assert "NVIDIA H200 (sm_90, " in told()
    finally:
        cards.found.cache_clear()


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "missing", lambda: ("numba-cuda", "nvidia-nvvm"))
    source = prepare(split_sum()).source
    with pytest.raises(DeviceError, match=r"need numba-cuda, nvidia-nvvm, .*'hybrid\[cuda\]'"):
        toolchain.binary(source, (9, 0))
    assert "gpu tools not installed: numba-cuda, nvidia-nvvm" in told()
