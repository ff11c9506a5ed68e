"""Driver: the compiled text of a Plan, which becomes a function for the sizes of a call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from itertools import count
from types import CodeType, FunctionType
from typing import Any

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
    name, source : str
    code : CodeType
    namespace : dict
        What it refers to, whatever the sizes.
    late : dict
        What it refers to, as functions of the sizes.
    names : dict
        How it calls the sizes themselves.
    filename : str
    nodes : dict from int to Node
        The node that a line was written for.
    """

    name: str
    source: str
    code: CodeType
    namespace: Mapping[str, Any]
    late: Mapping[str, Late]
    names: Mapping[Input, str]
    filename: str
    nodes: Mapping[int, Node]

    def run_for(self, sizes: Sizes) -> Run:
        """Return the function for these sizes.

        It takes one ndarray, or Python scalar where the spec is weak, per parameter; and ``give``,
        where there are donations: it is called just before these parameters would be overwritten,
        and says of each whether it may be.
        """
        namespace: dict[str, Any] = {
            **self.namespace,
            **{name: sizes[x] for x, name in self.names.items()},
            **{name: make(sizes) for name, make in self.late.items()},
            "explained": Explanation(self.filename, self.nodes, sizes),
        }
        exec(self.code, namespace)
        run = namespace[self.name]
        assert isinstance(run, FunctionType)
        return run


def driver_of(
    name: str,
    source: str,
    namespace: dict[str, Any],
    late: Mapping[str, Late],
    names: Mapping[Input, str],
    nodes: Mapping[int, Node],
) -> Driver:
    """Compile the text of a driver; see there for what is what."""
    # In hybrid's own folder, so that looking for the user's line skips it (`is_framework`); the
    # text is found through the loader, which lives no longer than the function.
    filename = os.path.join(_FOLDER, f"{name}-{next(_serial)}.py")
    code = compile(source, filename, "exec")
    whole = {**namespace, "__name__": f"hybrid.runtime.{name}", "__loader__": _Loader(source)}
    return Driver(name, source, code, whole, late, names, filename, nodes)


class _Loader:
    """Gives linecache the text of a driver."""

    def __init__(self, source: str) -> None:
        self.source = source

    def get_source(self, name: str) -> str:
        """Return the text, whatever the name."""
        return self.source
