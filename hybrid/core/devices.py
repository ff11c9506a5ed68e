"""Devices: where the elements of a Tensor can be."""

from __future__ import annotations

from typing import Any, Final

CPU: Final = "cpu"
DEVICES: Final[tuple[str, ...]] = (CPU,)


def as_device(name: str, device: Any) -> str:
    """Return `device` as one of the devices there are; None is the default one.

    Raises
    ------
    ValueError
        Naming the function, for any other device.
    """
    if device is None or device in DEVICES:
        return device or CPU
    raise ValueError(f"{name}: there is no device {device!r} here, only {', '.join(DEVICES)}")
