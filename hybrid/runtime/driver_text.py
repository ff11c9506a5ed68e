"""The text of a driver under construction: lines, and the names that they refer to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from hybrid.core.any_size import AnySize
from hybrid.core.graph import Node
from hybrid.core.substitute import substitute, unknowns_in
from hybrid.core.unknown import Unknown
from hybrid.dtypes import DType
from hybrid.runtime.bound import Late, Sizes


class Text:
    """Lines of Python, each with the node that it is for, and values under names of their own."""

    def __init__(self, space: AnySize) -> None:
        self.space = space
        self.lines: list[str] = []
        self.nodes: dict[int, Node] = {}
        self.depth = 0
        self.namespace: dict[str, Any] = {}
        self.geometries: dict[str, tuple[Any, ...]] = {}
        self.late: dict[str, Late] = {}
        self.counts: dict[str, int] = {}

    # --- lines ------------------------------------------------------------------------------------

    def _line(self, text: str, node: Node | None = None) -> None:
        if node is not None:
            self.nodes[len(self.lines)] = node
            text += f"  # {node.line}" if node.line else ""
        self.lines.append("    " * self.depth + text)

    @contextmanager
    def _indented(self) -> Iterator[None]:
        self.depth += 1
        yield
        self.depth -= 1

    def _captured(self, write: Callable[[], None]) -> tuple[list[str], dict[int, Node]]:
        write()
        captured = self.lines, self.nodes
        self.lines, self.nodes = [], {}
        return captured

    def _append(self, captured: tuple[list[str], dict[int, Node]]) -> None:
        lines, nodes = captured
        # Lines of source are numbered from 1.
        start = len(self.lines) + 1
        self.nodes = {start + number: node for number, node in nodes.items()}
        self.lines += lines

    # --- names ------------------------------------------------------------------------------------

    @property
    def names_of_late(self) -> tuple[str, ...]:
        """What depends on sizes, these first."""
        return (*self.space.names.values(), *self.geometries, *self.late)

    def _fresh_name(self, letter: str) -> str:
        number = self.counts.get(letter, 0)
        self.counts[letter] = number + 1
        return f"{letter}{number}"

    def _constant(self, letter: str, value: Any) -> str:
        if self.space.names and unknowns_in(value):
            return self._late(letter, lambda sizes: substitute(value, sizes))
        name = self._fresh_name(letter)
        self.namespace[name] = value
        return name

    def _late(self, letter: str, make: Late) -> str:
        name = self._fresh_name(letter)
        self.late[name] = make
        return name

    def _prepared(self, node: Node) -> str:
        """Name the function that an op has prepared for what it is applied to."""
        prepare = node.op.prepare
        assert prepare is not None
        key = tuple(x.spec for x in node.inputs), node.attrs

        def prepared(sizes: Sizes) -> Any:
            specs, attrs = substitute(key, sizes)
            return prepare(specs, **attrs)

        if self.space.names and unknowns_in(key):
            return self._late(f"hb_{node.op.name}", prepared)
        return self._helper(f"hb_{node.op.name}", prepare(key[0], **key[1]))

    def _helper(self, name: str, value: Any) -> str:
        """Give `value` a name in the driver; ops that are not registered may share theirs."""
        name = unique = "".join(c if c.isalnum() else "_" for c in name)
        number = 1
        while self.namespace.setdefault(unique, value) is not value:
            number += 1
            unique = f"{name}_{number}"
        return unique

    def _dtype(self, dtype: DType) -> str:
        return self._helper(dtype.name, np.dtype(dtype.name))

    def _geometry(self, numbers: Any) -> str:
        if not isinstance(numbers, list):
            return self._constant("g", numbers)
        name = self._fresh_name("g")
        self.geometries[name] = tuple(numbers)
        return name

    def _attr(self, value: Any) -> str | None:
        """Write an attr as Python text, where that is short and exact."""
        if isinstance(value, np.dtype):
            return self._dtype(value)
        if type(value) is tuple:
            parts = [self._attr(x) for x in value]
            if None in parts:
                return None
            return f"({', '.join(map(str, parts))}{',' if len(parts) == 1 else ''})"
        if type(value) is Unknown:
            return self.space.text(value)
        plain = value is None or type(value) in (bool, int, str)
        return repr(value) if plain else None
