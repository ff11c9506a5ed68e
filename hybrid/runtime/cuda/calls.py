"""What a Plan asks of a card, call after call, given the memories that a run works in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hybrid.core import placed
from hybrid.core.graph import Const, Node
from hybrid.core.layout import Layout
from hybrid.core.places import DeviceArray, data_to, fill, held
from hybrid.dtypes import DType
from hybrid.kernels.cuda.card import Card
from hybrid.kernels.cuda.products import Gemm
from hybrid.records import dataclass

Array = Any


@dataclass(frozen=True, slots=True)
class Address:
    """A place in one of the memories of a run: which, and how many bytes from its begin."""

    memory: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """An array in one of the memories of a run."""

    address: Address
    layout: Layout
    dtype: DType


@dataclass(frozen=True, slots=True)
class Scalar:
    """A parameter that is on the host, taken as such: a Python number."""

    parameter: int


@dataclass(frozen=True, slots=True)
class Memories:
    """What a run works in.

    Parameters
    ----------
    card : Card
    arrays : list
        For each memory an array that begins there.
    addresses : list of int
        Where those lie.
    host : dict from int to number or ndarray
        Parameters that are on the host, and come along.
    """

    card: Card
    arrays: Sequence[Array]
    addresses: Sequence[int]
    host: dict[int, Any]

    def at(self, address: Address) -> int:
        """The number that a kernel is given for a place."""
        return self.addresses[address.memory] + address.offset

    def view(self, view: View) -> Array:
        """The array of a view."""
        array, offset = self.arrays[view.address.memory], view.address.offset
        return self.card.view(array, offset, view.layout, view.dtype)


@dataclass(frozen=True, slots=True)
class Launch:
    """One phase of a kernel."""

    name: str
    function: Any
    blocks: int
    threads: int
    addresses: tuple[Address, ...]
    numbers: tuple[int, ...]

    def issue(self, memories: Memories) -> None:
        """Start it."""
        table = memories.addresses
        pointers = [table[place.memory] + place.offset for place in self.addresses]
        arguments = (*pointers, *self.numbers)
        memories.card.launch(self.function, self.blocks, self.threads, arguments)

    def __str__(self) -> str:
        return f"launch {self.name}, {self.blocks} blocks of {self.threads}"


@dataclass(frozen=True, slots=True)
class Multiply:
    """A product of matrices by cuBLAS."""

    gemm: Gemm
    first: Address
    second: Address
    out: Address

    def issue(self, memories: Memories) -> None:
        """Start it."""
        at = memories.at
        memories.card.multiply(self.gemm, at(self.first), at(self.second), at(self.out))

    def __str__(self) -> str:
        g = self.gemm
        return f"multiply {g.dtype} {g.n}x{g.k} by {g.k}x{g.m}, {g.batch} times"


@dataclass(frozen=True, slots=True)
class Library:
    """The eager form of an op, whose results are copied to where the Plan wants them.

    An op with bodies is `prepared` instead: it runs them by Plans of their own.
    """

    node: Node
    args: tuple[View | Scalar | Const, ...]
    outputs: tuple[View, ...]
    prepared: Callable[..., Any] | None = None

    def issue(self, memories: Memories) -> None:
        """Call it."""
        memories.card.library(lambda: self._call(memories))

    def _call(self, memories: Memories) -> None:
        place, op = memories.card.place, self.node.op
        args = [self._argument(arg, memories) for arg in self.args]
        if self.prepared is not None:
            found = self.prepared(*args)
        else:
            found = placed.run_at(place, op, args, self.node.attrs)
        for result, output in zip(found if op.multi else (found,), self.outputs, strict=True):
            # A counter of a loop stays on the CPU, and so do its values that are kept.
            target = DeviceArray(memories.view(output), place)
            fill(op.name, target, data_to(held(result), place))

    def _argument(self, arg: View | Scalar | Const, memories: Memories) -> Any:
        if isinstance(arg, View):
            return DeviceArray(memories.view(arg), memories.card.place)
        if isinstance(arg, Scalar):
            return memories.host[arg.parameter]
        return np.array(arg.value, arg.dtype)

    def __str__(self) -> str:
        return f"call {self.node.op.name}"


@dataclass(frozen=True, slots=True)
class Copy:
    """A number or an array copied to an array, where no kernel does it."""

    source: View | Const
    target: View

    def issue(self, memories: Memories) -> None:
        """Do it."""
        memories.card.library(lambda: self._copy(memories))

    def _copy(self, memories: Memories) -> None:
        source, place = self.source, memories.card.place
        target = DeviceArray(memories.view(self.target), place)
        if isinstance(source, Const):
            fill("copy", target, np.array(source.value, source.dtype))
        else:
            fill("copy", target, DeviceArray(memories.view(source), place))

    def __str__(self) -> str:
        return f"copy {self.source}" if isinstance(self.source, Const) else "copy"


Call = Launch | Multiply | Library | Copy
