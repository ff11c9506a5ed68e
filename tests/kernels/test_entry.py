"""What Python calls of a kernel: its arguments are checked, its phases run in turn."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from hybrid.kernels import parallel
from hybrid.kernels.entry import callable_of

RUN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


Calls = list[tuple[int, int, int]]


def recorded(phases: int, arrays: int) -> tuple[Any, Calls, list[list[int]]]:
    """A kernel whose phases note what they are called with, and the words of their packs."""
    calls: Calls = []
    packs: list[list[int]] = []

    def phase(number: int) -> Any:
        def run(pack: int, lo: int, hi: int) -> None:
            calls.append((number, lo, hi))
            packs.append(list((ctypes.c_int64 * (arrays + 2)).from_address(pack)))

        return RUN(run)

    runs = [phase(number) for number in range(phases)]
    addresses = [ctypes.cast(run, ctypes.c_void_p).value or 0 for run in runs]
    call = callable_of("recorded", arrays, addresses)
    return (call, runs), calls, packs


@pytest.mark.parametrize("cost", [0, 1_000_000])
@pytest.mark.parametrize("temporary", [0, 64])
def test_phases_run_in_turn_with_what_they_are_given(cost: int, temporary: int) -> None:
    (call, _), calls, packs = recorded(3, 2)
    arrays = [np.zeros(3), np.zeros(4)]
    geometry = np.array([cost, temporary, 5, 6, 7])
    assert call(0, geometry, *arrays) is None
    assert calls == [(0, 0, 5), (1, 0, 6), (2, 0, 7)]
    given = [geometry.ctypes.data, *(array.ctypes.data for array in arrays)]
    assert all(pack[:3] == given for pack in packs)
    assert bool(packs[0][3]) == bool(temporary)


def test_threads_share_the_items_of_a_phase() -> None:
    if not parallel.driver_address():
        pytest.skip("one processor")
    (call, _), calls, _ = recorded(2, 1)
    call(parallel.driver_address(), np.array([1_000_000, 0, 100, 3]), np.zeros(1))
    for phase, items in ((0, 100), (1, 3)):
        parts = sorted((lo, hi) for number, lo, hi in calls if number == phase)
        assert [lo for lo, _ in parts] == [0, *(hi for _, hi in parts[:-1])]
        assert parts[-1][1] == items


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (0,),
        (0, np.zeros(3, int)),
        (0, np.zeros(3, int), [1.0]),
        (0, [0, 0, 1], np.zeros(3)),
        (0, np.zeros(3, int), np.zeros(3), np.zeros(3)),
    ],
)
def test_other_arguments_are_refused(arguments: tuple[Any, ...]) -> None:
    (call, _), calls, _ = recorded(1, 1)
    with pytest.raises(TypeError):
        call(*arguments)
    assert not calls
