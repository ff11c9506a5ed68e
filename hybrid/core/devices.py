"""Devices: where the elements of a Tensor can be, and where new ones are made."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from hybrid.core import by_cupy, cards
from hybrid.core.places import Place
from hybrid.core.source import located
from hybrid.core.state import state
from hybrid.errors import DeviceError

CPU: Final = "cpu"

_lock = threading.Lock()
_opened: dict[str, Place] = {}


def devices() -> tuple[str, ...]:
    """Return the names of the devices on which Tensors can be."""
    usable = [f"cuda:{i}" for i in range(len(cards.found().cards)) if not by_cupy.problem(i)]
    return CPU, *dict.fromkeys((*usable, *_opened))


def as_device(name: str, device: Any) -> str:
    """Return the name of a device, which is there; None is the one where Tensors are made.

    Raises
    ------
    DeviceError
        For an NVIDIA GPU that cannot be used, with the reason.
    ValueError
        Naming the function, for any other device.
    """
    if device is None:
        return state.device
    if device == CPU:
        return CPU
    ordinal = _ordinal(device)
    if ordinal is None:
        text = f"{name}: there is no device {device!r} here, only {', '.join(devices())}"
        raise ValueError(located(text))
    found = f"cuda:{ordinal}"
    if found not in _opened:
        reason = by_cupy.problem(ordinal)
        if reason:
            raise DeviceError(f"{name}: no Tensor can be on {device!r}: {reason}")
    return found


def _ordinal(device: Any) -> int | None:
    """Return the number of an NVIDIA GPU; None for anything else."""
    kind, _, number = device.partition(":") if isinstance(device, str) else ("", "", "")
    if kind != "cuda" or (number and not number.isdecimal()) or device.endswith(":"):
        return None
    return int(number or 0)


def place(device: str) -> Place | None:
    """Return the place of a device by the name that `as_device` gave; None for the CPU."""
    if device == CPU:
        return None
    found = _opened.get(device)
    if found is None:
        with _lock:
            ordinal = _ordinal(device)
            assert ordinal is not None
            found = _opened.setdefault(device, by_cupy.open_card(ordinal))
    return found


def stopwatches() -> tuple[Callable[[], float], ...]:
    """Return for each card in use what tells, by its own clock, the seconds of work since now."""
    return tuple(found.stopwatch() for found in _opened.values())


class DeviceScope:
    """Where Tensors are made inside a ``with`` statement; see :func:`device`."""

    __slots__ = ("_before", "_fallback", "name")

    def __init__(self, name: str, fallback: str = "") -> None:
        self.name = name
        self._fallback = fallback
        self._before: list[tuple[str, str]] = []

    def __enter__(self) -> str:
        self._before.append((state.device, state.fallback))
        state.move(self.name, self._fallback)
        return self.name

    def __exit__(self, *_: object) -> None:
        state.move(*self._before.pop())


def device(name: str, *, fallback: str | None = None) -> DeviceScope:
    """Make Tensors on a device, inside a ``with`` statement and in this thread.

    What has inputs is computed where they are, whatever the scope: inputs on different devices are
    an error, but for numbers and arrays of no axes. What has none (creation functions, random
    numbers, :func:`asarray` of what is no Tensor, Variables) is made on the device.

    Parameters
    ----------
    name : str
        ``"cpu"``, ``"cuda"`` (the first NVIDIA GPU) or ``"cuda:1"``.
    fallback : str, optional
        ``"cpu"``: an op that has no form for the GPU is computed on the CPU, and its result copied
        back. Left out: it is an error, since the copies may take longer than everything else.

    Returns
    -------
    context manager
        ``with hb.device("cuda") as name:`` gives the full name of the device.

    Raises
    ------
    DeviceError
        For an NVIDIA GPU that cannot be used, with the reason.

    Examples
    --------
    >>> import hybrid as hb
    >>> with hb.device("cpu"):
    ...     hb.zeros(2).device
    'cpu'
    """
    if fallback not in (None, CPU):
        raise ValueError(f"device: fallback can be 'cpu', not {fallback!r}")
    return DeviceScope(as_device("device", name), fallback or "")


def synchronize(device: str | None = None) -> None:
    """Wait until all work that was asked of a GPU is done.

    Work on a GPU is only asked for: functions return before it is done. Whatever shows values
    (``numpy()``, ``item()``, ``print``) waits by itself; measuring time does not.

    Parameters
    ----------
    device : str, optional
        Left out: every GPU that was used.

    Examples
    --------
    >>> import hybrid as hb
    >>> hb.synchronize()
    """
    names = list(_opened) if device is None else [as_device("synchronize", device)]
    for name in names:
        found = place(name)
        if found is not None:
            with found.current():
                found.wait()
