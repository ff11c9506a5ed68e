"""A graph over unknown sizes becomes a graph for the sizes of a call, and that one a Plan.

Nothing of the user's Python runs for it: sizes are put in the place of formulas. Where a template
serves (:mod:`hybrid.trace.templates`), the Plan is made of it; otherwise by passes and lowering.
Kernels are generic in sizes, so that none is compiled either way.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from hybrid.core.graph import FuncGraph
from hybrid.core.layout import Layout
from hybrid.core.substitute import specialise
from hybrid.records import dataclass
from hybrid.runtime.arguments import layout_of, strides_of
from hybrid.runtime.plan import Plan, make_plan
from hybrid.trace import passes
from hybrid.trace.background import PendingPlan, Planner
from hybrid.trace.same_graphs import SameGraphs
from hybrid.trace.templates import Template, Templates

MAX_LAYOUTS = 64  # of the arguments, for which a graph keeps its Plans


@dataclass(eq=False, slots=True, weakref_slot=True)
class Sized:
    """A graph whose sizes are all known, with its Plans and, once asked for, its derivative.

    Attributes
    ----------
    traced : FuncGraph
        Its sizes may be unknown, where there are templates.
    result : Result, optional
        How the function's result is put together, for a last segment.
    planner : Planner, optional
        Makes Plans in the background.
    replaced : mapping of int to int
        The parameter whose contents outside an output replaces.
    templates : Templates, optional
        Plans but for the sizes, where these are unknown in the trace.
    key : tuple of int
        The sizes.
    same : SameGraphs, optional
        Graphs of the function, of which one may be like this one.
    """

    traced: FuncGraph
    result: Any
    planner: Planner | None = None
    replaced: Mapping[int, int] = field(default_factory=dict)
    templates: Templates | None = None
    key: tuple[int, ...] = ()
    same: SameGraphs[Sized] | None = None
    plans: dict[Any, Plan] = field(default_factory=dict)
    differentiable: Any = None
    _graph: FuncGraph | None = None
    _optimized: FuncGraph | None = None

    @property
    def graph(self) -> FuncGraph:
        """The graph for these sizes."""
        if self._graph is None:
            general = self.templates
            values = {} if general is None else dict(zip(general.inputs, self.key, strict=True))
            self._graph = specialise(self.traced, values) if values else self.traced
        return self._graph

    @property
    def optimized(self) -> FuncGraph:
        """The graph after all passes; what the Plans are made of."""
        if self._optimized is None:
            found = self.templates.optimized(self.key) if self.templates is not None else None
            self._optimized = passes.optimize(self.graph) if found is None else found
        return self._optimized

    def plan_for(self, arrays: Sequence[Any]) -> Plan:
        """Return the Plan for parameters that lie in memory as `arrays` do."""
        key = strides_of(arrays)
        plan = self.plans.get(key)
        if plan is None:
            layouts = tuple(map(layout_of, arrays))
            while len(self.plans) >= MAX_LAYOUTS:
                self.plans.pop(next(iter(self.plans)), None)
            if self.planner is None:
                plan = self._make(layouts, key)
            else:
                make = functools.partial(self._make, layouts, key)
                plan = self.planner.plan(self.graph, make, self.plans, key)
            plan = self.plans.setdefault(key, plan)
        return plan

    def plan_by(self, template: Template) -> None:
        """Keep the Plan that a template gives for these sizes."""
        assert self.templates is not None
        values = dict(zip(self.templates.inputs, self.key, strict=True))
        strides = template.strides(values)
        if strides not in self.plans:
            self.plans[strides] = template.draft.plan(values)

    def template_for(self, arrays: Sequence[Any]) -> Template | None:
        """Return what serves other sizes too, for parameters that lie in memory as `arrays` do."""
        general = self.templates
        return None if general is None else general.find(self.key, tuple(map(layout_of, arrays)))

    def _make(self, layouts: tuple[Layout, ...], key: Any) -> Plan:
        if self.templates is not None:
            found = self.templates.plan(self.key, layouts)
            if found is not None:
                return found
        elif self.same is not None:
            first = self.same.first(self.graph, tuple(sorted(self.replaced.items())), self)
            found = None if first is self else first.plans.get(key)
            if found is not None and type(found) is not PendingPlan:
                return found
        return make_plan(self.optimized, layouts, self.replaced)
