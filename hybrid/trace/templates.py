"""Templates: Plans but for the sizes, so that a new size costs no passes and no planning.

The passes and the planner run once over a graph of unknown sizes, which they take for those of the
present call (:mod:`hybrid.core.any_size`). What they decided holds under conditions on the sizes.
For other sizes under which these hold, numbers are put in: shapes, strides, offsets in the arena,
the geometry of kernels. It is the very Plan that planning for these sizes would give.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import field

from hybrid.core import formula
from hybrid.core.any_size import AnySize
from hybrid.core.conditions import Condition
from hybrid.core.formula import Input
from hybrid.core.graph import FuncGraph
from hybrid.core.layout import Layout, contiguous
from hybrid.core.substitute import specialise, substitute, unknowns_in
from hybrid.core.tracelog import is_read, timed
from hybrid.records import dataclass
from hybrid.runtime.plan import Draft, Plan, make_draft, on_cards, summary
from hybrid.trace import passes

MAX_TEMPLATES = 8  # of one graph: for other sizes, and for arrays that lie otherwise
MAX_REFUSED = 2  # attempts that come to nothing, after which a graph is planned for each size

Key = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A Plan for all sizes under which some conditions hold.

    Attributes
    ----------
    graph : FuncGraph
        Optimised; of unknown sizes.
    draft : Draft
    lying : tuple
        For each parameter its layout where that does not depend on sizes; None for one that is
        contiguous.
    conditions : tuple of Condition
    holds : callable
        Tells of the sizes whether all conditions hold.
    """

    graph: FuncGraph
    draft: Draft
    lying: tuple[Layout | None, ...]
    conditions: tuple[Condition, ...]
    holds: Callable[[Key], bool]

    def strides(self, sizes: Mapping[Input, int]) -> tuple[tuple[int, ...] | None, ...]:
        """Return what `strides_of` gives for the parameters of a call with some sizes."""
        found: list[tuple[int, ...] | None] = []
        for value, lying in zip(self.graph.parameters, self.lying, strict=True):
            layout = lying or contiguous(substitute(value.spec.shape, sizes))
            itemsize = value.spec.dtype.itemsize
            found.append(None if value.spec.weak else tuple(s * itemsize for s in layout.strides))
        return tuple(found)


@dataclass(slots=True)
class Templates:
    """The templates of one graph.

    Parameters
    ----------
    graph : FuncGraph
        As traced.
    inputs : tuple of Input
        The sizes that it depends on.
    replaced : mapping of int to int
        The parameter whose contents outside an output replaces.
    fixed : set of Condition
        Under which the graph was traced for one size of an axis only: that is a number then.
    """

    graph: FuncGraph
    inputs: tuple[Input, ...]
    replaced: Mapping[int, int]
    fixed: Set[Condition] = frozenset()
    refused: list[str] = field(default_factory=list)
    _kept: tuple[Template, ...] = ()
    _open: tuple[bool, ...] | None = None

    def plan(self, key: Key, layouts: Sequence[Layout]) -> Plan | None:
        """Return the Plan for sizes and layouts of parameters; None where no template serves.

        `refused` says why, then.
        """
        found = self.find(key, layouts)
        if found is None:
            if not self.worth_trying(key):
                return None
            found = self._make(key, layouts)
            if found is None:
                return None
            self._kept = (*self._kept[1 - MAX_TEMPLATES :], found)
        with timed("plan") as entry:
            plan = found.draft.plan(dict(zip(self.inputs, key, strict=True)))
            entry.text = f"{summary(plan)}, by a template" if is_read() else ""
        return plan

    def optimized(self, key: Key) -> FuncGraph | None:
        """Return the graph after all passes for some sizes, if a template knows it."""
        found = next((t for t in self._kept if t.holds(key)), None)
        values = dict(zip(self.inputs, key, strict=True))
        return None if found is None else specialise(found.graph, values)

    @property
    def conditions(self) -> tuple[tuple[Condition, ...], ...]:
        """Under which conditions the templates hold."""
        return tuple(template.conditions for template in self._kept)

    def worth_trying(self, key: Key) -> bool:
        """Tell whether to make a template."""
        given = {c.fixes for c in self.fixed}
        pairs = [(x, n) for x, n in zip(self.inputs, key, strict=True) if x not in given]
        worth = all(n > 1 for x, n in pairs if x.axis is not None)
        return bool(pairs) and worth and len(self.refused) < MAX_REFUSED

    def find(self, key: Key, layouts: Sequence[Layout]) -> Template | None:
        """Return the template that serves these, if there is one already."""
        lying = self._lying(layouts) if self._kept else None
        for template in reversed(self._kept):
            if template.lying == lying and template.holds(key):
                return template
        return None

    def _lying(self, layouts: Sequence[Layout]) -> tuple[Layout | None, ...] | None:
        """Say how parameters lie, whatever their sizes; None where that cannot be said."""
        if self._open is None:
            parameters = self.graph.parameters
            self._open = tuple(bool(unknowns_in(v.spec.shape)) for v in parameters)
        found: list[Layout | None] = []
        for layout, is_open in zip(layouts, self._open, strict=True):
            if is_open and layout != contiguous(layout.shape):
                return None
            found.append(None if is_open else layout)
        return tuple(found)

    def _make(self, key: Key, layouts: Sequence[Layout]) -> Template | None:
        lying = self._lying(layouts)
        if lying is None or on_cards(self.graph):
            return None
        space = AnySize()
        try:
            given = {c.fixes for c in self.fixed}
            sizes = dict(zip(self.inputs, key, strict=True))
            values = space.stand_for({x: n for x, n in sizes.items() if x not in given})
            graph = passes.optimize(specialise(self.graph, {**sizes, **values}))
            shapes = [value.spec.shape for value in graph.parameters]
            strided = tuple(x or contiguous(shape) for x, shape in zip(lying, shapes, strict=True))
            draft = make_draft(graph, strided, self.replaced, space)
        except Exception as error:  # planning for these sizes shows whether it is one
            self.refused.append(f"{type(error).__name__}: {error}")
            return None
        finally:
            space.open = False
        if space.fixed:
            self.refused.append(space.fixed)
            return None
        conditions = (*self.fixed, *space.conditions)
        places = {x: f"sizes[{i}]" for i, x in enumerate(self.inputs)}
        tests = [f"({c.text(places.__getitem__)})" for c in conditions] or ["True"]
        holds = formula.reader(tests, " and ", "sizes")
        return Template(graph, draft, lying, conditions, holds)
