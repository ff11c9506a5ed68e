"""What a Plan asks of a GPU. ``nvidia`` answers with cuda.core, CuPy and cuBLAS, tests with NumPy.

An array of a card is whatever its place's module makes: memory of the card with shape and strides.
Addresses are integers; a Plan is told the memories that it works in at each call.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from hybrid.core.layout import Layout
from hybrid.core.places import Place
from hybrid.kernels.cuda.products import Gemm
from hybrid.kernels.cuda.source import Source


class NotCaptured(Exception):
    """Work cannot be captured as a graph; the message says why. Never reaches the user."""


class Card(Protocol):
    """A GPU with one stream, which all work goes to in order; nothing waits unless it says so."""

    @property
    def place(self) -> Place:
        """Where its arrays are: those of the place's module."""

    def turn(self) -> AbstractContextManager[Any]:
        """Held while one Plan puts its work on the stream; the same thread may take it again."""

    @property
    def threads(self) -> int:
        """Threads of a block of generated kernels."""

    def load(self, source: Source) -> tuple[Any, ...]:
        """The entry points of a kernel, one for each phase: compiled, or from disk."""

    def empty(self, nbytes: int) -> Any:
        """New memory, aligned to 256 bytes; it may stand where an array does below.

        Raises
        ------
        OutOfMemoryError
            If there is not enough.
        """

    def address(self, array: Any) -> int:
        """Where the first element of an array lies."""

    def view(self, array: Any, offset: int, layout: Layout, dtype: Any) -> Any:
        """An array in the memory of another, ``offset`` bytes from its first element on.

        The layout's own offset is counted besides.
        """

    def upload(self, address: int, data: bytes) -> None:
        """Copy bytes of the host to the card; they may change as soon as this returns."""

    def launch(self, function: Any, blocks: int, threads: int, arguments: tuple[int, ...]) -> None:
        """Start a kernel; arguments are addresses and numbers of 64 bits."""

    def library(self, work: Callable[[], None]) -> None:
        """Let functions of the place's module work on this card, in order with all other work."""

    def multiply(self, gemm: Gemm, first: int, second: int, out: int) -> None:
        """Multiply the matrices at three addresses."""

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """A function that replays as one graph what `work` asks of this card.

        `work` runs once, and nothing of it is computed then. Memory that it takes stays taken.

        Raises
        ------
        NotCaptured
            If it asks for something that no graph can hold.
        """


_known: dict[Place, Card] = {}


def card_at(place: Place) -> Card:
    """The card at a place, made ready when it is first asked for.

    Raises
    ------
    DeviceError
        If packages are missing.
    """
    found = _known.get(place)
    if found is None:
        from hybrid.kernels.cuda.nvidia import open_card

        found = _known.setdefault(place, open_card(place))
    return found
