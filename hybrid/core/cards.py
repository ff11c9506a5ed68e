"""Which NVIDIA GPUs there are: the driver itself is asked, which needs no package."""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import Any

from hybrid.records import dataclass

_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76  # CUdevice_attribute


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU: its name, compute capability and bytes of memory."""

    name: str
    capability: tuple[int, int]
    memory: int


@dataclass(frozen=True, slots=True)
class Found:
    """What the driver says.

    Attributes
    ----------
    driver : str
        The newest CUDA version that it serves; empty without a driver.
    cards : tuple of Card
    problem : str
        Why no card can be used; empty where one can.
    """

    driver: str
    cards: tuple[Card, ...]
    problem: str


def library() -> Any:
    """Return the driver's library; OSError where there is none."""
    return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")


@functools.cache
def found() -> Found:
    """Ask the driver once."""
    try:
        driver = library()
    except OSError:
        return Found("", (), "no NVIDIA driver is installed")
    return ask(driver)


def ask(driver: Any) -> Found:
    """Ask a driver for its version and its cards."""
    number = ctypes.c_int(0)
    driver.cuDriverGetVersion(ctypes.byref(number))
    version = f"{number.value // 1000}.{number.value % 1000 // 10}"
    status = driver.cuInit(0)
    if status:
        return Found(version, (), f"the NVIDIA driver does not start (error {status})")
    count = ctypes.c_int(0)
    driver.cuDeviceGetCount(ctypes.byref(count))
    cards = tuple(_card(driver, ordinal) for ordinal in range(count.value))
    return Found(version, cards, "" if cards else "the NVIDIA driver finds no GPU")


def _card(driver: Any, ordinal: int) -> Card:
    device, memory = ctypes.c_int(0), ctypes.c_size_t(0)
    name = ctypes.create_string_buffer(100)
    driver.cuDeviceGet(ctypes.byref(device), ordinal)
    driver.cuDeviceGetName(name, len(name), device)
    driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    major, minor = ctypes.c_int(0), ctypes.c_int(0)
    driver.cuDeviceGetAttribute(ctypes.byref(major), _CAPABILITY_MAJOR, device)
    driver.cuDeviceGetAttribute(ctypes.byref(minor), _CAPABILITY_MINOR, device)
    return Card(name.value.decode(), (major.value, minor.value), memory.value)
