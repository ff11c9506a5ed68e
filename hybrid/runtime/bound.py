"""Driver: the compiled text of a Plan, and the function that it is for the sizes of a call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from itertools import count
from types import FunctionType
from typing import Any

import numpy as np

from hybrid.core.formula import Input
from hybrid.core.graph import Node
from hybrid.records import dataclass
from hybrid.runtime.driver_calls import Array, Explanation

Run = Callable[..., tuple[Array, ...]]
Sizes = Mapping[Input, int]
Late = Callable[[Sizes], Any]

_FOLDER = os.path.dirname(os.path.abspath(__file__))
_serial = count()


@dataclass(frozen=True, slots=True)
class Driver:
    """The text that runs a Plan, for all sizes.

    Attributes
    ----------
    source : str
    run : function
        What was compiled. What depends on sizes are parameters with defaults: another size is
        another tuple of these.
    inputs : tuple of Input
        The sizes.
    geometries : callable
        Gives those of the kernels, as tuples of numbers, for the sizes one by one.
    late : tuple of callable
        The other things that depend on sizes.
    once : tuple of callable
        The same where it is for one call: its memory is used again for other sizes.
    """

    source: str
    run: FunctionType
    inputs: tuple[Input, ...] = ()
    geometries: Callable[..., tuple[Any, ...]] = lambda *sizes: ()
    late: tuple[Late, ...] = ()
    once: tuple[Late, ...] = ()

    def run_for(self, *values: int) -> Run:
        """Return the function for sizes, given in the order of `inputs`.

        It takes one ndarray, or Python scalar where the spec is weak, per parameter; and ``give``,
        where there are donations: it is called just before these parameters would be overwritten,
        and says of each whether it may be.
        """
        return self._bound(values, self.late)

    def run_once_for(self, *values: int) -> Run:
        """Return a function for a single call."""
        return self._bound(values, self.once)

    def _bound(self, values: tuple[int, ...], late: tuple[Late, ...]) -> Run:
        run = self.run
        if not values or run.__defaults__ is None:
            return run
        more = [np.array(numbers, np.int64) for numbers in self.geometries(*values)]
        if late:
            sizes = dict(zip(self.inputs, values, strict=True))
            more += [make(sizes) for make in late]
        given = run.__defaults__[: -len(values) - len(more)]
        return FunctionType(run.__code__, run.__globals__, run.__name__, (*given, *values, *more))


def compiled(
    name: str,
    source: str,
    namespace: dict[str, Any],
    nodes: Mapping[int, Node],
    inputs: tuple[Input, ...],
) -> FunctionType:
    """Compile the text of a driver.

    Parameters
    ----------
    name, source : str
    namespace : dict
        What it refers to.
    nodes : dict from int to Node
        The node that a line was written for.
    inputs : tuple of Input
        The sizes, in the order in which it tells them where there is an error.
    """
    # In hybrid's own folder, so that looking for the user's line skips it (`is_framework`); the
    # text is found through the loader, which lives no longer than the function.
    filename = os.path.join(_FOLDER, f"{name}-{next(_serial)}.py")
    scope = {
        **namespace,
        "explained": Explanation(filename, nodes, inputs),
        "__name__": f"hybrid.runtime.{name}",
        "__loader__": _Loader(source),
    }
    exec(compile(source, filename, "exec"), scope)
    run = scope.pop(name)
    assert isinstance(run, FunctionType)
    return run


class _Loader:
    """Gives linecache the text of a driver."""

    def __init__(self, source: str) -> None:
        self.source = source

    def get_source(self, name: str) -> str:
        """Return the text, whatever the name."""
        return self.source
