"""Devices: where the elements of a Tensor can be."""

from __future__ import annotations

from typing import Any, Final

from hybrid.core import cards
from hybrid.errors import DeviceError

CPU: Final = "cpu"
DEVICES: Final[tuple[str, ...]] = (CPU,)


def as_device(name: str, device: Any) -> str:
    """Return `device` as one of the devices there are; None is the default one.

    Raises
    ------
    DeviceError
        For an NVIDIA GPU, with the reason.
    ValueError
        Naming the function, for any other device.
    """
    if device is None or device in DEVICES:
        return device or CPU
    if isinstance(device, str) and device.partition(":")[0] == "cuda":
        # What is wrong with the machine first: it would remain so with all of hybrid built.
        lacking = "hybrid compiles kernels for GPUs, but keeps no Tensors there yet"
        reason = cards.found().problem or lacking
        raise DeviceError(f"{name}: no Tensor can be on {device!r}: {reason}")
    raise ValueError(f"{name}: there is no device {device!r} here, only {', '.join(DEVICES)}")
