"""Cards by CuPy, the one module that knows it: storage on its pool, one stream, its functions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import util
from typing import Any

import numpy as np

from hybrid.core import cards
from hybrid.core.gaps import Filled
from hybrid.core.places import Array, Place

_INSTALL = "pip install 'hybrid[cuda]'"


def problem(ordinal: int) -> str:
    """Say why no Tensor can be on a card; nothing where one can."""
    found = cards.found()
    if found.problem:
        return found.problem
    if ordinal >= len(found.cards):
        names = ", ".join(f"cuda:{i}" for i in range(len(found.cards)))
        return f"the NVIDIA driver finds {len(found.cards)} GPU, {names}"
    if util.find_spec("cupy") is None:
        return f"CuPy is not installed: {_INSTALL}"
    return _broken()


@functools.cache
def _broken() -> str:
    try:
        import cupy  # noqa: F401
    except Exception as error:  # a wheel for another CUDA raises what it likes
        return f"CuPy cannot be imported ({error}): {_INSTALL}"
    return ""


def open_card(ordinal: int) -> Place:
    """Make a card ready for arrays."""
    import cupy
    import cupyx

    card = cupy.cuda.Device(ordinal)
    with card:
        # Not the default stream, which can be neither captured nor kept from waiting for others.
        stream = cupy.cuda.Stream(non_blocking=True)

    class Current:
        """Work goes to the card; a class, since a generator takes the host twice the time."""

        __slots__ = ("_careful",)

        def __enter__(self) -> None:
            # Without it LAPACK's failures would give NaN, or worse, without a word.
            self._careful = cupyx.errstate(linalg="raise")
            card.__enter__()
            stream.__enter__()
            self._careful.__enter__()

        def __exit__(self, *error: Any) -> None:
            self._careful.__exit__(*error)
            stream.__exit__(*error)
            card.__exit__(*error)

    def put(array: Array) -> Any:
        # Memory of the host that is not pinned is staged before the call returns.
        return cupy.asarray(np.ascontiguousarray(array).reshape(array.shape))

    def get(array: Any) -> Array:
        found: Array = cupy.asnumpy(array)  # waits for the stream
        return found

    def move(array: Any) -> Any:
        array.device.synchronize()
        return cupy.array(array)  # CuPy copies from card to card

    def stopwatch() -> Callable[[], float]:
        begin, end = cupy.cuda.Event(), cupy.cuda.Event()
        begin.record(stream)

        def elapsed() -> float:
            end.record(stream)
            end.synchronize()
            return cupy.cuda.get_elapsed_time(begin, end) * 1e-3  # type: ignore[no-any-return]

        return elapsed

    return Place(
        name=f"cuda:{ordinal}",
        xp=Filled(cupy),
        put=put,
        get=get,
        move=move,
        adopt=cupy.from_dlpack,
        current=Current,
        wait=stream.synchronize,
        stopwatch=stopwatch,
        stream=stream.ptr,
    )
