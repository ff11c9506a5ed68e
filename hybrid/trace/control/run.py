"""How a Plan runs the bodies of a node: in native code, or each by a Plan of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hybrid.core.graph import FuncGraph
from hybrid.core.layout import Layout
from hybrid.core.places import DeviceArray
from hybrid.core.tensor import Array
from hybrid.runtime.arguments import layout_of, strides_of
from hybrid.runtime.native_loop import NativeLoop
from hybrid.runtime.native_program import At, LoopShape, make_program
from hybrid.runtime.native_scalars import ScalarLoop, recurrence_of
from hybrid.runtime.plan import make_plan
from hybrid.trace.control.parts import written

Run = Callable[..., tuple[Array, ...]]


def as_array(x: Any) -> Any:
    """Return what a body's Plan takes: a number as an array of no axes."""
    return x if isinstance(x, DeviceArray) else np.asarray(x)


def on_card(arrays: Sequence[Any]) -> bool:
    """Tell whether any of some arrays is on a card."""
    return any(isinstance(x, DeviceArray) for x in arrays)


class Body:
    """A graph with its Plans, one for each way its parameters can lie in memory."""

    __slots__ = ("_plans", "graph", "weak")

    def __init__(self, graph: FuncGraph) -> None:
        self.graph = graph
        self.weak = tuple(i for i, v in enumerate(graph.inputs) if v.spec.weak)
        self._plans: dict[Any, Run] = {}

    def plan(self, arrays: Sequence[Array]) -> Run:
        """Return the function of the Plan for parameters that lie as `arrays` do."""
        key = strides_of(arrays)
        run = self._plans.get(key)
        if run is None:
            run = make_plan(self.graph, tuple(map(layout_of, arrays))).run
            self._plans[key] = run
        return run

    def __call__(self, *arrays: Any) -> tuple[Array, ...]:
        arrays = tuple(map(as_array, arrays))
        return self.plan(arrays)(*(self.scalars(list(arrays)) if self.weak else arrays))

    def scalars(self, arrays: list[Any]) -> list[Any]:
        """Replace what the graph takes for Python numbers by such."""
        for i in self.weak:
            arrays[i] = arrays[i].item()
        return arrays


class NativeLoops:
    """The native loops of a node, one for each way its operands can lie; None where there is none.

    Parameters
    ----------
    body : FuncGraph
    ask : FuncGraph, optional
    carries, xs : int
    """

    __slots__ = ("_loops", "ask", "body", "carries", "xs")

    def __init__(self, body: FuncGraph, ask: FuncGraph | None, carries: int, xs: int) -> None:
        self.body = body
        self.ask = ask
        self.carries = carries
        self.xs = xs
        self._loops: dict[Any, NativeLoop | ScalarLoop | None] = {}

    def find(self, arrays: Sequence[Array]) -> NativeLoop | ScalarLoop | None:
        """Return the loop for operands that lie as `arrays` do."""
        key = tuple([a.strides for a in arrays[self.carries :]])
        if key not in self._loops:
            self._loops[key] = self._make(arrays)
        found = self._loops[key]
        return None if found is None or found.retired else found

    def _make(self, arrays: Sequence[Array]) -> NativeLoop | ScalarLoop | None:
        n, last = self.carries, self.carries + self.xs
        first = [np.empty(v.spec.shape, v.spec.dtype) for v in self.body.inputs[:n]]
        layouts = [layout_of(a) for a in first]
        layouts += [_of_row(a) for a in arrays[n:last]] + [layout_of(a) for a in arrays[last:]]
        ys = self.body.outputs[n:]
        targets = [*(At("out", i) for i in range(n)), *(At("y", i) for i in range(len(ys)))]
        if self.ask is not None and len(self.ask.outputs) > 1:
            return None
        shape = LoopShape(
            tuple(v.spec for v in self.body.inputs[:n]),
            tuple(a.strides[0] for a in arrays[n:last]),
            tuple(x.spec for x in ys),
        )
        graph = written(self.body)
        if all(a.strides[0] % a.itemsize == 0 for a in arrays[n:last]):
            few = recurrence_of((graph, self.ask), tuple(layouts), (n, self.xs))
            if few is not None:
                return ScalarLoop(shape, few)
        body = make_program(graph, tuple(layouts), (n, self.xs), targets, written)
        if body is None:
            return None
        ask = None
        if self.ask is not None:
            ask = make_program(self.ask, tuple(layouts), (n, self.xs), [At("flag", 0)])
            if ask is None:
                return None
        return NativeLoop(shape, body, ask)


def _of_row(array: Array) -> Layout:
    whole = layout_of(array)
    return Layout(whole.shape[1:], whole.strides[1:])
