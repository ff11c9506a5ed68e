"""How a Plan runs the bodies of a node: each by a Plan of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hybrid.core.graph import FuncGraph
from hybrid.core.tensor import Array
from hybrid.runtime.plan import make_plan
from hybrid.trace.sized import layout_of

Run = Callable[..., tuple[Array, ...]]


class Body:
    """A graph with its Plans, one for each way its parameters can lie in memory."""

    __slots__ = ("_plans", "graph", "weak")

    def __init__(self, graph: FuncGraph) -> None:
        self.graph = graph
        self.weak = tuple(i for i, v in enumerate(graph.inputs) if v.spec.weak)
        self._plans: dict[Any, Run] = {}

    def plan(self, arrays: Sequence[Array]) -> Run:
        """Return the function of the Plan for parameters that lie as `arrays` do."""
        key = tuple([a.strides for a in arrays])
        run = self._plans.get(key)
        if run is None:
            run = make_plan(self.graph, tuple(map(layout_of, arrays))).run
            self._plans[key] = run
        return run

    def __call__(self, *arrays: Any) -> tuple[Array, ...]:
        arrays = tuple(map(np.asarray, arrays))
        return self.plan(arrays)(*(self.scalars(list(arrays)) if self.weak else arrays))

    def scalars(self, arrays: list[Any]) -> list[Any]:
        """Replace what the graph takes for Python numbers by such."""
        for i in self.weak:
            arrays[i] = arrays[i].item()
        return arrays
