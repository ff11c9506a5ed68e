"""What scheduling knows while it walks a graph: the place of each value, and the steps so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid.core.graph import Const, FuncGraph, Node, Operand, Value
from hybrid.core.layout import Layout, contiguous
from hybrid.core.spec import TensorSpec
from hybrid.records import dataclass
from hybrid.runtime.steps import Later, Place, Root, Step

if TYPE_CHECKING:
    from hybrid.kernels.region import Region

Into = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Target:
    """What the order of work depends on of the device that does it.

    Parameters
    ----------
    refused : callable
        Says of a Region why no kernel can be made of it, or nothing.
    into : callable
        Gives for a node the library function that computes it into an array that it is given.
    plans_results : bool
        Whether the Plan provides the memory of all that library functions return.
    windows : bool
        Whether a part of an array whose place a number decides can be an array of its own.
    """

    refused: Callable[[Region], str]
    into: Callable[[Node], Into | None]
    plans_results: bool
    windows: bool


@dataclass(slots=True)
class Building:
    """The state of a schedule under construction.

    Parameters
    ----------
    last_use : dict from Value to int
        The last node that takes a value; the number of nodes for what the graph returns.
    target : Target
    donated : int
        How many of the first parameters may be written to, once their old values are dead.
    ends : dict from Root to int
        The last node that takes a value which lies in an array.
    """

    last_use: dict[Value, int]
    target: Target
    donated: int = 0
    places: dict[Value, Place] = field(default_factory=dict)
    ends: dict[Root, int] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    planned: list[Root] = field(default_factory=list)
    made: int = 0
    constants: list[tuple[Root, np.ndarray[Any, Any] | Later]] = field(default_factory=list)
    results: int = 0
    windows: int = 0

    def dies(self, root: Root, number: int) -> bool:
        """Tell whether nothing reads the array of `root` after a node."""
        return self.ends.get(root, -1) <= number

    def is_donated(self, root: Root) -> bool:
        """Tell whether an array is a parameter that may be written to."""
        return root.origin == "parameter" and root.number < self.donated

    def owns(self, place: Place) -> bool:
        """Tell whether a value is the whole of an array that the schedule may write to."""
        root = place.root
        mine = root.origin in ("planned", "result") or self.is_donated(root)
        return mine and place.layout == root.layout

    def place(self, operand: Operand) -> Place | Const:
        """Return where an operand lies."""
        return operand if isinstance(operand, Const) else self.places[operand]

    def plan(self, spec: TensorSpec) -> Root:
        """Make an array whose memory the Plan provides, written by the next step."""
        root = Root("planned", self.made, spec, contiguous(spec.shape), len(self.steps))
        self.planned.append(root)
        self.made += 1  # not len(planned): an array that is given up must not hand its number on
        return root

    def result(self, spec: TensorSpec) -> Root:
        """Make an array that a library function provides in the next step."""
        self.results += 1
        layout = contiguous(spec.shape)
        return Root("result", self.results - 1, spec, layout, len(self.steps))

    def window(self, spec: TensorSpec, layout: Layout, base: Root) -> Root:
        """Make an array that the next step finds in the memory of `base`."""
        self.windows += 1
        number, start = self.windows - 1, len(self.steps)
        return Root("window", number, spec, replace(layout, offset=0), start, base)

    def define(self, values: tuple[Value, ...], roots: tuple[Root, ...]) -> None:
        """Say that values are the whole of arrays."""
        for value, root in zip(values, roots, strict=True):
            self.put(value, Place(root, root.layout))

    def put(self, value: Value, place: Place) -> None:
        """Say where a value lies."""
        self.places[value] = place
        owner = place.root.owner
        self.ends[owner] = max(self.ends.get(owner, -1), self.last_use.get(value, -1))


def last_uses(graph: FuncGraph) -> dict[Value, int]:
    """Return the number of the last node that takes each value."""
    last: dict[Value, int] = {}
    for number, node in enumerate(graph.nodes):
        last |= {operand: number for operand in node.inputs if isinstance(operand, Value)}
    end = len(graph.nodes)
    return last | {operand: end for operand in graph.outputs if isinstance(operand, Value)}
