"""A run of a Plan on a card: launch after launch, or as a graph captured before.

A captured graph holds addresses. Arguments and results of a call lie where the caller and the pool
of memory put them, so there is a graph for each set of addresses, made when the set is met a second
time: a loop meets the same few again and again, since the pool hands out what was given back. Other
ways were weighed. Copying arguments into memory of the graph moves each byte twice more, at the
bandwidth that most kernels are bound by; telling the graph new addresses takes a call of the driver
for each node, as long as launching it, and cannot be done for the nodes of libraries. A call with
addresses not met before is a list of launches.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hybrid.core import precision
from hybrid.errors import OutOfMemoryError
from hybrid.kernels.cuda.card import Card, NotCaptured
from hybrid.runtime.cuda.calls import Memories
from hybrid.runtime.cuda.lowering import Program
from hybrid.runtime.plan import format_bytes

# Sets of addresses that are remembered, those met last, and graphs among them.
MOST_MET = 64
MOST_GRAPHS = 16
# To capture takes as long as many launches. After the first graphs it must have been worth it.
REPLAYS_EACH = 8

Replay = Callable[[], None]
Key = tuple[Any, ...]


class Runner:
    """Runs a program; the memory of its temporaries and its graphs stay with it.

    Parameters
    ----------
    name : str
        Of the Plan, for messages.
    program : Program
    card : Card
    """

    def __init__(self, name: str, program: Program, card: Card) -> None:
        self.name = name
        self.program = program
        self.card = card
        self.uncapturable = program.uncapturable
        self.graphs: OrderedDict[Key, Replay] = OrderedDict()
        self._met: OrderedDict[Key, None] = OrderedDict()
        self._captures = self._replays = 0
        self._own: tuple[Any, ...] = ()
        self._own_addresses: tuple[int, ...] = ()
        self._shown = tuple((x.view.layout, x.view.dtype) for x in program.results)

    def __call__(self, arguments: Sequence[Any], given: Sequence[int]) -> tuple[Any, ...]:
        """Put the work of one call on the card's stream; returns before it is done.

        Parameters
        ----------
        arguments : sequence
        given : sequence of int
            Where they lie; 0 for those on the host.
        """
        program, card = self.program, self.card
        with card.turn():
            if not self._own:
                self._own = self._allocated()
                self._own_addresses = tuple(map(card.address, self._own))
            results = self._empty_results()
            if program.host:
                self._send(arguments, self._own_addresses[1])
            # In a loop this is all that is done for each call: no other objects are made.
            addresses = (*given, *self._own_addresses, *map(card.address, results))
            fixed = tuple([arguments[number] for number in program.fixed])
            key = (precision.current(), addresses, fixed)
            replay = self.graphs.get(key)
            if replay is None:
                self._meet(key, self._memories(arguments, addresses, results))
            else:
                self.graphs.move_to_end(key)
                self._replays += 1
                replay()
            view, pairs = card.view, zip(results, self._shown, strict=True)
            return tuple([view(x, 0, layout, dtype) for x, (layout, dtype) in pairs])

    def _memories(
        self, arguments: Sequence[Any], addresses: Sequence[int], results: Sequence[Any]
    ) -> Memories:
        host = {x.parameter: arguments[x.parameter] for x in self.program.host}
        constants, sent, arena = self._own
        arrays = [sent if i in host else x for i, x in enumerate(arguments)]
        arrays += [constants, sent, arena, *results]
        return Memories(self.card, arrays, addresses, host)

    def _meet(self, key: Key, memories: Memories) -> None:
        """Launch what has no graph, or capture one where that is worth it."""
        if self.uncapturable or not self.program.calls:
            return self._launch(memories)
        affordable = self._captures < MOST_GRAPHS + self._replays // REPLAYS_EACH
        if not self._again(key) or not affordable:
            return self._launch(memories)
        self._captures += 1
        try:
            replay = self.card.capture(lambda: self._launch(memories))
        except NotCaptured as reason:
            self.uncapturable = str(reason)
            self._met.clear()
            return self._launch(memories)
        self.graphs[key] = replay
        if len(self.graphs) > MOST_GRAPHS:
            self.graphs.popitem(last=False)
        self._replays += 1
        replay()

    def _launch(self, memories: Memories) -> None:
        try:
            for call in self.program.calls:
                call.issue(memories)
        except OutOfMemoryError as error:
            raise self._too_little(error) from None

    def _again(self, key: Key) -> bool:
        """Tell whether a set of addresses was met before."""
        if self._met.pop(key, self) is None:
            return True
        self._met[key] = None
        if len(self._met) > MOST_MET:
            self._met.popitem(last=False)
        return False

    def _send(self, arguments: Sequence[Any], address: int) -> None:
        parts = (
            np.asarray(arguments[x.parameter], x.dtype).tobytes().ljust(x.nbytes, b"\0")
            for x in self.program.host
        )
        self.card.upload(address, b"".join(parts))

    def _allocated(self) -> tuple[Any, ...]:
        program = self.program
        sent = sum(x.nbytes for x in program.host)
        sizes = (len(program.constants), sent, program.arena)
        found = tuple(self._empty(size) for size in sizes)
        if program.constants:
            self.card.upload(self.card.address(found[0]), program.constants)
        return found

    def _empty_results(self) -> Sequence[Any]:
        return [self._empty(result.nbytes) for result in self.program.results]

    def _empty(self, nbytes: int) -> Any:
        try:
            return self.card.empty(nbytes)
        except OutOfMemoryError as error:
            raise self._too_little(error) from None

    def _too_little(self, error: OutOfMemoryError) -> OutOfMemoryError:
        return OutOfMemoryError(f"{self.name}: {error}; {self.needs()}")

    def needs(self) -> str:
        """Say how much memory a run takes besides its arguments."""
        program = self.program
        results = sum(result.nbytes for result in program.results)
        return (
            f"the Plan needs {format_bytes(program.arena)} for temporaries, "
            f"{format_bytes(results)} for results and {format_bytes(len(program.constants))} "
            "for constants, besides its arguments"
        )
