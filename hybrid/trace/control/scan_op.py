"""The op `scan`: a body that runs once for each row of some arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hybrid.core import devices, dispatch
from hybrid.core.graph import FuncGraph
from hybrid.core.interpret import interpret
from hybrid.core.op import Op, register
from hybrid.core.places import empty
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import Array, Tensor
from hybrid.errors import GraphError
from hybrid.records import dataclass
from hybrid.runtime.native_loop import NativeLoop
from hybrid.runtime.native_scalars import ScalarLoop
from hybrid.trace.control.narrow import live_carries, narrowed, needs
from hybrid.trace.control.run import Body, NativeLoops, as_array, on_card
from hybrid.trace.control.scan_batching import batch
from hybrid.trace.control.scan_gradient import recorded, vjp


@dataclass(frozen=True, slots=True)
class Course:
    """The attrs of a scan.

    Attributes
    ----------
    body : FuncGraph
        Takes the carries, a row of each of the `xs`, and the constants; returns the carries and
        what is to be stacked.
    carries, xs : int
        How many there are.
    length : int
        The number of steps.
    reverse : bool
        From the last row to the first.
    kept : int
        How many of the stacked results are there for the gradient only.
    """

    body: FuncGraph
    carries: int
    xs: int
    length: int
    reverse: bool
    kept: int = 0

    def __iter__(self) -> Iterator[int]:
        """Return the rows in the order in which they are taken."""
        order = range(self.length)
        return iter(order[::-1] if self.reverse else order)

    def loop(self, run: Callable[..., Sequence[Array]], arrays: tuple[Any, ...]) -> Any:
        """Call `run`, which computes the body, step by step."""
        n = self.carries
        carry: Sequence[Any] = arrays[:n]
        rows, constants = arrays[n : n + self.xs], arrays[n + self.xs :]
        outputs = (x.spec for x in self.body.outputs[n:])
        stacked = (replace(s, shape=(self.length, *s.shape)) for s in outputs)
        ys = [empty(s, devices.place(s.device)) for s in stacked]
        for i in self:
            found = run(*carry, *[x[i] for x in rows], *constants)
            carry = found[:n]
            for y, row in zip(ys, found[n:], strict=True):
                y[i] = row
        return (*carry, *ys)

    def native(
        self, loop: NativeLoop | ScalarLoop, arrays: list[Array]
    ) -> tuple[Array, ...] | None:
        """Run the loop in native code; None where it may have failed."""
        n, last = self.carries, self.carries + self.xs
        outputs = [x.spec for x in self.body.outputs[n:]]
        ys = [np.empty((self.length, *s.shape), s.dtype) for s in outputs]
        course = self.length, self.reverse
        found = loop.run(arrays[:n], arrays[n:last], arrays[last:], ys, course)
        return None if found is None else (*found, *ys)


def _infer(*specs: TensorSpec, **attrs: Any) -> tuple[TensorSpec, ...]:
    course = Course(**attrs)
    body, n = course.body, course.carries
    rows = [replace(s, shape=s.shape[1:]) for s in specs[n : n + course.xs]]
    given = [(s.shape, s.dtype) for s in (*specs[:n], *rows, *specs[n + course.xs :])]
    taken = [(v.spec.shape, v.spec.dtype) for v in body.inputs]
    results = [replace(x.spec, weak=False) for x in body.outputs]
    if taken != given or [(s.shape, s.dtype) for s in results[:n]] != taken[:n]:
        raise GraphError(f"scan: the body takes {taken} but is given {given}")
    stacked = (replace(s, shape=(course.length, *s.shape)) for s in results[n:])
    return (*results[:n], *stacked)


def _eager(xp: Any, *arrays: Any, **attrs: Any) -> Any:
    course = Course(**attrs)

    def run(*given: Any) -> Any:
        return interpret(course.body, map(xp.asarray, given), xp)

    return course.loop(run, arrays)


def _prepare(specs: tuple[TensorSpec, ...], **attrs: Any) -> Any:
    course = Course(**attrs)
    compiled = Body(course.body)
    loops = NativeLoops(course.body, None, course.carries, course.xs)

    def run(*arrays: Any) -> Any:
        native, given = None, list(map(as_array, arrays))
        if course.length and not on_card(given):
            native = loops.find(given)
        if native is None:
            return course.loop(compiled, arrays)
        found = course.native(native, given)
        if found is None:
            found = course.loop(compiled, arrays)
            native.retired = True
        return found

    return run


def _narrow(used: tuple[bool, ...], **attrs: Any) -> Any:
    course = Course(**attrs)
    body, n = course.body, course.carries
    ys = used[n:]
    live = live_carries([(body, ys)], used[:n], n)
    inputs = (*live, *needs(body, (*live, *ys))[n:])
    outputs = (*live, *ys)
    if all(inputs) and all(outputs):
        return None
    few = {
        "body": narrowed(body, inputs, outputs),
        "carries": sum(live),
        "xs": sum(inputs[n : n + course.xs]),
        "length": course.length,
        "reverse": course.reverse,
    }
    return inputs, outputs, few


def _vjp(
    wanted: tuple[bool, ...], g: Any, out: tuple[Tensor, ...], *inputs: Tensor, **attrs: Any
) -> Any:
    return vjp(SCAN, wanted, g, out, inputs, attrs)


SCAN = register(
    Op(
        name="scan",
        family="control",
        infer=_infer,
        eager=_eager,
        prepare=_prepare,
        bodies=("body",),
        narrow=_narrow,
        joint_vjp=_vjp,
        recorded=recorded,
        batch=batch,
        multi=True,
        doc="Run a graph for each row of some arrays, handing values from step to step.",
    )
)


def bind_scan(
    body: FuncGraph,
    carry: tuple[Tensor, ...],
    rows: tuple[Tensor, ...],
    constants: tuple[Tensor, ...],
    course: tuple[int, bool],
) -> tuple[Tensor, ...]:
    """Apply the op; `course` is the length and whether it goes backwards."""
    attrs: dict[str, Any] = {
        "body": body,
        "carries": len(carry),
        "xs": len(rows),
        "length": course[0],
        "reverse": course[1],
    }
    if dispatch.state.tapes:
        attrs = dict(recorded(**attrs))
    return dispatch.bind_all(SCAN, (*carry, *rows, *constants), attrs)
