"""Loops over a few numbers: each element is followed through a step, which becomes a line of code.

So the arrays of a step need no memory, and kernels that read what others have written are one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid.core.graph import Const, FuncGraph
from hybrid.core.layout import Layout
from hybrid.runtime.native_program import LONGEST_NS, LoopShape
from hybrid.runtime.native_writes import literal_of
from hybrid.runtime.schedule import schedule
from hybrid.runtime.steps import (
    KernelStep,
    Later,
    LibraryStep,
    Place,
    Root,
    Schedule,
    WriteStep,
)

if TYPE_CHECKING:
    from hybrid.kernels.recurrence import Line, Recurrence
    from hybrid.kernels.region import Access, Instr, Literal, Region

Array = np.ndarray[Any, np.dtype[Any]]

# Instructions of a step at most. A Kalman filter of four states has 719: 500 steps take 84 us
# instead of 900 by kernels, and as long to compile.
MOST = 1000
_NS = 1.0  # for an instruction
_MATMUL: np.ufunc = np.matmul
_NUMBERS = {
    "sum": "{0} + {1}",
    "prod": "{0} * {1}",
    "max": "maximum({0}, {1})",
    "min": "minimum({0}, {1})",
}
_BOOLEAN = dict.fromkeys(("sum", "max", "any"), "{0} | {1}")
_BOOLEAN |= dict.fromkeys(("prod", "min", "all"), "{0} & {1}")


class ScalarLoop:
    """A loop in native code over a few numbers; it is called as a `NativeLoop` is."""

    def __init__(self, shape: LoopShape, loop: Recurrence) -> None:
        from hybrid.kernels.handwritten import loaded
        from hybrid.kernels.recurrence import source

        self.shape = shape
        self.retired = False
        self._asks = loop.ask is not None
        lines = [loop.step] if loop.ask is None else [loop.step, loop.ask]
        self._cost = 5 + _NS * sum(len(line.values) for line in lines)
        self._chunk = max(1, int(LONGEST_NS / self._cost))
        self._call = loaded(source(loop))[0]
        self._nothing = np.empty(0, np.uint8)

    def run(
        self,
        carry: Sequence[Array],
        rows: Sequence[Array],
        constants: Sequence[Array],
        ys: Sequence[Array],
        course: tuple[int | None, bool],
    ) -> tuple[Array, ...]:
        """Run all steps and return the last carry; `course` is their number and the direction."""
        length, reverse = course
        pairs = zip(self.shape.carries, carry, strict=True)
        buffers = [np.array(value, spec.dtype, order="C") for spec, value in pairs]
        sign = -1 if reverse else 1
        distances = [sign * (x.strides[0] // x.itemsize) for x in rows]
        distances += [sign * prod(y.shape[1:]) for y in ys]
        count = np.zeros((), np.int64)
        asked = [count] if self._asks else []
        done = 0
        while length is None or done < length:
            limit = self._chunk if length is None else min(self._chunk, length - done)
            geometry = np.array([int(limit * self._cost), 0, limit, *distances], np.int64)
            at = done if length is None or not reverse else length - 1 - done
            walked = [x[at:] for x in rows], [y[at:] for y in ys]
            self._call(0, geometry, *buffers, *walked[0], *constants, *walked[1], *asked)
            steps = int(count) if self._asks else limit
            done += steps
            if steps < limit:
                break
        return tuple(buffers)


def recurrence_of(
    graphs: tuple[FuncGraph, FuncGraph | None],
    layouts: tuple[Layout, ...],
    counts: tuple[int, int],
) -> Recurrence | None:
    """Return the loop of a body and a question; None where it is more than a few numbers.

    Parameters
    ----------
    graphs : (FuncGraph, FuncGraph or None)
        The body, and what says whether to go on.
    layouts : tuple of Layout
        Of their parameters.
    counts : (int, int)
        How many of these are carries, and rows.
    """
    from hybrid.kernels.recurrence import Recurrence
    from hybrid.kernels.region import DTYPES

    body, ask = graphs
    carries, rows = counts
    specs = [v.spec for v in body.parameters]
    ys = body.outputs[carries:]
    specs_all = [*specs, *(x.spec for x in ys)]
    if any(s.size == 0 or s.dtype.name not in DTYPES for s in specs_all):
        return None
    if sum(s.size for s in specs[:carries]) + sum(x.spec.size for x in ys) > MOST:
        return None
    step = _Elements(counts).line(body, layouts)
    question = None if ask is None else _Elements(counts).line(ask, layouts)
    if step is None or (ask is not None and question is None):
        return None
    return Recurrence(
        tuple((s.dtype.name, s.size) for s in specs[:carries]),
        tuple((x.spec.dtype.name, x.spec.size) for x in ys),
        tuple(s.dtype.name for s in specs[carries : carries + rows]),
        tuple(s.dtype.name for s in specs[carries + rows :]),
        step,
        question,
    )


class _Elements:
    """The elements of all arrays of a step: numbers of values, or literals."""

    def __init__(self, counts: tuple[int, int]) -> None:
        self.counts = counts
        self.values: list[Any] = []
        self.arrays: dict[Root, dict[int, int | Literal]] = {}
        self.kinds: dict[Root, tuple[str, int]] = {}

    def line(self, graph: FuncGraph, layouts: tuple[Layout, ...]) -> Line | None:
        """Return the line of a graph; None where it has more than a few elementwise ops."""
        from hybrid.kernels.recurrence import Line

        order = schedule(graph, layouts)
        if not self._begin(order):
            return None
        for step in order.steps:
            done = False
            if isinstance(step, KernelStep):
                done = self._kernel(step)
            elif isinstance(step, WriteStep):
                done = self._write(step)
            elif isinstance(step, LibraryStep):
                done = self._product(step)
            if not done or len(self.values) > MOST:
                return None
        results = tuple(tuple(self._all(output.source).ravel()) for output in order.returns)
        return Line(tuple(self.values), results)

    def _begin(self, order: Schedule) -> bool:
        from hybrid.kernels.region import Literal

        carries, rows = self.counts
        for i, root in enumerate(order.parameters):
            kind = "carry" if i < carries else "row" if i < carries + rows else "constant"
            first = {"carry": 0, "row": carries, "constant": carries + rows}[kind]
            self.kinds[root], self.arrays[root] = (kind, i - first), {}
        for root, array in order.constants:
            if isinstance(array, Later) or array.size > MOST:
                return False
            name = root.spec.dtype.name
            self.arrays[root] = {
                at: Literal(x, name) for at, x in enumerate(np.ravel(array).tolist())
            }
        return True

    def _all(self, source: Place | Const) -> Any:
        """Return the elements of a value."""
        from hybrid.kernels.region import Literal

        if isinstance(source, Const):
            number = np.array(source.value, source.dtype)
            return _filled((), Literal(number.item(), number.dtype.name))
        return self._at(source.root, source.layout)

    def _at(self, root: Root, layout: Layout) -> Any:
        found = _filled(layout.shape, None)
        for point in np.ndindex(*layout.shape):
            found[point] = self._element(root, _offset(layout, point))
        return found

    def _element(self, root: Root, offset: int) -> int | Literal:
        from hybrid.kernels.recurrence import Read

        array = self.arrays[root]
        if offset not in array:
            kind, number = self.kinds[root]
            array[offset] = self._value(Read(kind, number, offset, root.spec.dtype.name))
        return array[offset]

    def _value(self, value: Any) -> int:
        self.values.append(value)
        return len(self.values) - 1

    def _put(self, root: Root, layout: Layout, elements: Any) -> None:
        array = self.arrays.setdefault(root, {})
        spread = np.broadcast_to(elements, layout.shape)
        for point in np.ndindex(*layout.shape):
            array[_offset(layout, point)] = spread.item(point)

    def _write(self, step: WriteStep) -> bool:
        from hybrid.kernels.region import Literal

        root, source = step.target.root, step.source
        if prod(step.target.layout.shape) > MOST:
            return False
        if isinstance(source, Const):
            number = literal_of(source, root)
            elements = _filled((), Literal(number.item(), number.dtype.name))
        elif source.root.spec.dtype == root.spec.dtype:
            elements = self._all(source)
        else:
            return False
        self._put(root, step.target.layout, elements)
        return True

    def _product(self, step: LibraryStep) -> bool:
        """Multiply matrices."""
        places = [x for x in step.args if isinstance(x, Place)]
        if step.into is not _MATMUL or len(places) != 2:
            return False
        (root,), name = step.outputs, step.outputs[0].spec.dtype.name
        shapes = [place.layout.shape for place in places]
        if max(map(len, shapes)) > 2 or not name.startswith("float"):
            return False
        if max(2 * root.spec.size * shapes[0][-1], *map(prod, shapes)) > MOST:
            return False
        one, other = (self._at(place.root, place.layout) for place in places)
        one = one if one.ndim == 2 else one[None]
        other = other if other.ndim == 2 else other[:, None]
        found = _filled((one.shape[0], other.shape[1]), None)
        for i, j in np.ndindex(*found.shape):
            pairs = zip(one[i], other[:, j], strict=True)
            terms = [self._op("multiply", "{0} * {1}", pair, name) for pair in pairs]
            found[i, j] = self._folded("add", "{0} + {1}", terms, name)
        self._put(root, root.layout, found.reshape(root.spec.shape))
        return True

    def _op(self, op: str, expr: str, args: tuple[Any, ...], dtype: str) -> int:
        from hybrid.kernels.region import Instr

        return self._value(Instr("map", op, expr, args, dtype))

    def _folded(self, op: str, expr: str, terms: list[Any], dtype: str) -> Any:
        """Combine neighbours until one is left: few wait for each other, and few round alike."""
        while len(terms) > 1:
            pairs = zip(terms[::2], terms[1::2], strict=False)
            rest = terms[len(terms) & ~1 :]
            terms = [self._op(op, expr, pair, dtype) for pair in pairs] + rest
        return terms[0]

    def _kernel(self, step: KernelStep) -> bool:
        region = step.region
        if not all(map(_is_plain, (*region.inputs, *(a for _, a in region.outputs)))):
            return False
        if any(i.kind not in ("map", "cast", "reduce") for i in region.body):
            return False
        if prod(region.space) > MOST:
            return False
        found = [
            self._at(root, _layout(access, region.space))
            for root, access in zip(step.inputs, region.inputs, strict=True)
        ]
        for instr in region.body:
            if instr.kind == "reduce":
                if not self._is_of(instr.args[0], found, instr.dtype):
                    return False
                found.append(self._reduced(instr, found, region))
            else:
                found.append(self._mapped(instr, found))
            if len(self.values) > MOST:
                return False
        for root, (value, access) in zip(step.outputs, region.outputs, strict=True):
            layout = _layout(access, region.space)
            self._put(root, layout, found[value])
        return True

    def _is_of(self, arg: int | Literal, found: list[Any], dtype: str) -> bool:
        """Tell whether an argument has elements of a dtype."""
        if not isinstance(arg, int):
            return False
        element = found[arg].flat[0]
        known: str = (self.values[element] if isinstance(element, int) else element).dtype
        return known == dtype

    def _mapped(self, instr: Instr, found: list[Any]) -> Any:
        """Apply an instruction to elements, once to those that are broadcast."""
        args = [found[arg] if isinstance(arg, int) else _filled((), arg) for arg in instr.args]
        shape = np.broadcast_shapes(*(arg.shape for arg in args))
        spread = [np.broadcast_to(arg, shape) for arg in args]
        result = _filled(shape, None)
        for point in np.ndindex(*shape):
            given = tuple(arg.item(point) for arg in spread)
            result[point] = self._value(replace(instr, args=given))
        return result

    def _reduced(self, instr: Instr, found: list[Any], region: Region) -> Any:
        """Reduce elements along the axes of the region, which become axes of one."""
        (arg,) = instr.args
        assert isinstance(arg, int)
        source = found[arg]
        axes = region.axes
        shape = [n if a in axes else source.shape[a] for a, n in enumerate(region.space)]
        source = np.broadcast_to(source, shape)
        kept = [1 if a in axes else n for a, n in enumerate(shape)]
        result = _filled(tuple(kept), None)
        table = _BOOLEAN if instr.dtype == "bool" else _NUMBERS
        for point in np.ndindex(*kept):
            place = tuple(slice(None) if a in axes else i for a, i in enumerate(point))
            terms = source[place].ravel().tolist()
            result[point] = self._folded(instr.op, table[instr.expr], terms, instr.dtype)
        return result


def _filled(shape: tuple[int, ...], value: Any) -> Any:
    found = np.empty(shape, object)
    found[...] = value
    return found


def _offset(layout: Layout, point: tuple[int, ...]) -> int:
    return layout.offset + sum(i * s for i, s in zip(point, layout.strides, strict=True))


def _layout(access: Access, space: tuple[int, ...]) -> Layout:
    """Return how the elements of an operand lie, each of them once."""
    shape = tuple(n if s else 1 for n, s in zip(space, access.strides, strict=True))
    return Layout(shape, access.strides, access.offset)


def _is_plain(access: Access) -> bool:
    from hybrid.kernels.region import DTYPES

    special = access.picks or access.windows or access.is_position or access.words
    return not special and access.dtype in DTYPES
