"""``hb.draw``: the graph of a function as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hybrid.core.asking import name_of
from hybrid.core.graph import FuncGraph
from hybrid.core.spec import TensorSpec
from hybrid.core.tracelog import counted
from hybrid.core.variable import Variable
from hybrid.errors import TraceError
from hybrid.inspect.picture import Panel, panel
from hybrid.inspect.svg import as_dot, as_svg
from hybrid.records import dataclass
from hybrid.trace.compiled_function import CompiledFunction
from hybrid.trace.concrete import ConcreteFunction
from hybrid.trace.looping import Repeat
from hybrid.trace.segment import Segment


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture of one or more graphs; a notebook shows it.

    Attributes
    ----------
    panels : tuple of Panel
        One per segment of the function.
    """

    panels: tuple[Panel, ...]

    @property
    def dot(self) -> str:
        """The text for graphviz."""
        return as_dot(self.panels)

    @property
    def svg(self) -> str:
        """The picture as an SVG document."""
        return as_svg(self.panels)

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        boxes = sum(len(p.boxes) for p in self.panels)
        return f"<drawing of {self.panels[0].title}: {boxes} boxes>"

    def save(self, path: str | Path) -> Path:
        """Write the picture to a file.

        Parameters
        ----------
        path : path
            Ending in ``.svg`` or ``.dot``.
        """
        path = Path(path)
        if path.suffix not in (".svg", ".dot"):
            raise ValueError(f"draw: a drawing is saved as .svg or .dot, not as {path.name!r}")
        path.write_text(self.svg if path.suffix == ".svg" else self.dot, encoding="utf-8")
        return path


def draw(
    f: CompiledFunction | ConcreteFunction | FuncGraph, /, *, optimized: bool = False
) -> Drawing:
    """Draw what was traced, without any system program.

    Parameters
    ----------
    f : CompiledFunction, ConcreteFunction or FuncGraph
        Of a compiled function, its newest trace.
    optimized : bool
        Draw what runs rather than what was traced: each fused region is one box that lists its
        ops.

    Returns
    -------
    Drawing

    Examples
    --------
    >>> import hybrid as hb
    >>> @hb.compile
    ... def f(x):
    ...     return hb.tanh(x) * 2
    >>> _ = f(hb.ones(3))
    >>> hb.draw(f)
    <drawing of f: 4 boxes>
    >>> hb.draw(f, optimized=True)
    <drawing of f: 3 boxes>
    """
    if isinstance(f, FuncGraph):
        return Drawing((panel(_optimized(f) if optimized else f),))
    if isinstance(f, CompiledFunction):
        if not f.concrete_functions:
            raise TraceError(f"draw: {f.name} has not been traced yet; call it once before")
        f = f.concrete_functions[-1]
    if f.root is None:
        raise TraceError(f"draw: {f.name} has no graph, it runs eagerly: {f.fallback}")
    return Drawing(tuple(_panels(f, f.root, optimized)))


def _optimized(graph: FuncGraph) -> FuncGraph:
    from hybrid.trace import passes

    return passes.optimize(graph)


def _panels(concrete: ConcreteFunction, root: Segment, optimized: bool) -> Iterator[Panel]:
    leaves = zip(concrete.signature.names, concrete.signature.leaves, strict=True)
    names = [name for name, leaf in leaves if isinstance(leaf, TensorSpec)]
    pending = [(root, concrete.name, names)]
    while pending:
        segment, title, known = pending.pop()
        # What a segment adds to the environment of the call: its captures, then its outputs.
        known = [*known, *(_captured(x) for x in segment.captured)]
        first = len(known)
        plain = len(segment.graph.outputs) - len(segment.writes)
        outputs = [f"value {first + i}" for i in range(plain)] + [
            f"write {_target(w.target, names)}" for w in segment.writes
        ]
        guard = ""
        if segment.guard is not None:
            kind, index = segment.guard
            guard = name_of(kind)
            if first <= index < first + plain:
                outputs[index - first] = guard
        elif segment.result is not None:
            outputs[:plain] = ["return"] * plain
        graph = segment.optimized if optimized else segment.graph
        parameters = [known[i] for i in segment.parameters]
        idle = "" if graph.nodes or graph.outputs else ": nothing to compute"
        if segment.twin is None:
            yield panel(graph, title + idle, parameters, outputs)
        if segment.repeat is not None:
            yield _repeated(segment.repeat, title, guard, [*known, *outputs], optimized)
            if segment.repeat.bound is not None:
                outputs.append("steps")
        known = [*known, *outputs]
        if segment.meeting is not None:
            segment.meeting.move(known)
        for value, child in reversed(segment.children.items()):
            pending.append((child, f"{title}, {guard} is {value}", known))


def _repeated(repeat: Repeat, title: str, guard: str, known: list[str], optimized: bool) -> Panel:
    loop, bound = repeat.loop, repeat.bound
    inputs = [known[i] for i in loop.parameters]
    results = [known[i] for i in (*repeat.results, *repeat.late)]
    again = f"{title}, repeated while {guard} is {repeat.answer}"
    if bound is not None:
        inputs += ["0", f"{bound.most}"]
        results.append("steps")
        again += f", at most {counted(bound.most, 'time')}"
    return panel(loop.optimized if optimized else loop.graph, again, inputs, results)


def _captured(source: object) -> str:
    name = source.name if isinstance(source, Variable) else ""
    return name or type(source).__name__


def _target(target: object, names: list[str]) -> str:
    return names[target] if isinstance(target, int) and target < len(names) else _captured(target)
