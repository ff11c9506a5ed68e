"""The arrays of a driver under construction: which name each has, and what makes it."""

from __future__ import annotations

import numpy as np

from hybrid.core import recycle
from hybrid.core.any_size import AnySize
from hybrid.core.graph import Const, Node
from hybrid.core.layout import Layout, contiguous
from hybrid.runtime.driver_text import Text
from hybrid.runtime.memory import MemoryPlan
from hybrid.runtime.steps import Place, Return, Root, Schedule, tells_scalars
from hybrid.runtime.view_text import view_expression


class Arrays(Text):
    """The text with a schedule's arrays: made, viewed or allocated where they are first named."""

    def __init__(self, schedule: Schedule, memory: MemoryPlan, space: AnySize) -> None:
        super().__init__(space)
        self.schedule = schedule
        self.memory = memory
        self.names: dict[Root, str] = {}
        self.parameters: dict[Root, str] = {}
        self.views: dict[tuple[Root, Layout], str] = {}
        self.workspace: dict[tuple[int, Layout, str], str] = {}
        self.held: dict[Root, list[str]] = {}

    def _name_parameters(self) -> None:
        inputs = self.schedule.inputs
        for root in self.schedule.parameters:
            n = root.number
            self.parameters[root] = f"x{n}" if n < inputs else f"c{n - inputs}"
            if not root.spec.weak:
                self.names[root] = self.parameters[root]

    def _converted_scalar(self, root: Root) -> str:
        name = self.names.get(root)
        if name is None:
            name = self.names[root] = self._fresh_name("s")
            asarray = self._helper("asarray", np.asarray)
            dtype = self._dtype(root.spec.dtype)
            self._line(f"{name} = {asarray}({self.parameters[root]}, {dtype})")
        return name

    def _array(self, root: Root) -> tuple[str, Layout]:
        """Name the ndarray of a root and say how its elements lie; makes the ndarray if need be."""
        if root.origin == "parameter" and root.spec.weak:
            return self._converted_scalar(root), root.layout
        fresh = self.memory.fresh.get(root)
        if fresh is not None:
            return self._output(root, fresh)
        if root.planned:
            return self._temporary(root, root.layout), root.layout
        return self.names[root], root.layout

    def _output(self, root: Root, output: Return, rather: str = "") -> tuple[str, Layout]:
        place = output.source
        assert isinstance(place, Place)
        # Allocated in the shape in which it is returned, if that is how its elements follow.
        plain = place.layout == contiguous(place.layout.shape)
        layout = place.layout if plain else place.root.layout
        owner = place.root
        name = self.names.get(owner)
        if name is None:
            name = self.names[owner] = self._fresh_name("o")
            large = owner.spec.nbytes >= recycle.LARGE
            empty = self._helper("empty", recycle.empty if large else np.empty)
            shape = self.space.text(layout.shape)
            self._line(f"{name} = {rather}{empty}({shape}, {self._dtype(owner.spec.dtype)})")
        return name, layout

    def _temporary(self, root: Root, layout: Layout) -> str:
        key = self.memory.offsets[root], layout, root.spec.dtype.name
        if key not in self.workspace:
            self.workspace[key] = self._fresh_name("t")
        return self.workspace[key]

    def _view(self, place: Place) -> str:
        """Name an ndarray of a value: what library functions are called with."""
        root = place.root
        if root.planned and root not in self.memory.fresh:
            return self._temporary(root, place.layout)
        name, layout = self._array(root)
        if place.layout == layout:
            return name
        key = root, place.layout
        if key not in self.views:
            text = view_expression(name, layout, place.layout, self.space.text)
            text = text or self._replayed(name, place)
            self.views[key] = self._fresh_name("v")
            self.held.setdefault(root, []).append(self.views[key])
            self._line(f"{self.views[key]} = {text}")
        return self.views[key]

    def _replayed(self, name: str, place: Place) -> str:
        """View an array by the view ops themselves."""
        _, layout = self._array(place.root)
        text = name
        if layout.shape != place.root.layout.shape:
            text = f"{name}.reshape({self.space.text(place.root.layout.shape)})"
        for node in place.chain:
            text = self._eager_call(node, [text])
        return text

    def _argument(self, arg: Place | Const, node: Node) -> str:
        if isinstance(arg, Const):
            return self._literal_array(arg)
        # Ops that are not elementwise may tell Python scalars from arrays, as they do in eager
        # code; elementwise ones were promoted when the graph was made.
        if arg.root.spec.weak and not arg.chain and tells_scalars(node):
            return self.parameters.get(arg.root) or self._view(arg)
        return self._view(arg)

    def _literal_array(self, const: Const) -> str:
        value = np.array(const.value, const.dtype)
        value.setflags(write=False)
        return self._constant("q", value)

    def _eager_call(self, node: Node, args: list[str]) -> str:
        op = node.op
        if op.prepare is not None:
            prepared = self._prepared(node)
            return f"{prepared}({', '.join(args)})"
        function = self._helper(f"hb_{op.name}", op.eager)
        parts = [self._helper("np", np), *args]
        for key, value in node.attrs.items():
            text = self._attr(value)
            parts.append(f"{key}={text if text is not None else self._constant('q', value)}")
        return f"{function}({', '.join(parts)})"
