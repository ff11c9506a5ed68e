"""The gradient of a while loop: the loop once more, on a tape that keeps every step.

How many steps there are is known at the run only, so that no graph of fixed shapes can hold what
they leave behind. So the gradient is one op: it runs the loop with a stack that grows (the record
of a tape) and walks back along it. The bodies are compiled. Its own gradient, to any order, is the
same op around itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hybrid.autodiff.backward import Chosen
from hybrid.autodiff.batching import filled
from hybrid.autodiff.tape import GradientTape
from hybrid.core import dispatch
from hybrid.core.batch import Lane
from hybrid.core.graph import FuncGraph
from hybrid.core.making import asarray
from hybrid.core.op import Attrs, Op, register
from hybrid.core.operands import spec_of
from hybrid.core.places import held
from hybrid.core.spec import TensorSpec
from hybrid.core.substitute import OfGraphs
from hybrid.core.tensor import Tensor, wrap
from hybrid.dtypes import bool_, is_inexact
from hybrid.ops.creation import zeros_like
from hybrid.records import dataclass
from hybrid.trace.control.pullback import refuse_witnesses, silent
from hybrid.trace.control.while_batching import course
from hybrid.trace.derivative import GraphCall
from hybrid.trace.differentiate import CALL


@dataclass(frozen=True, eq=False, slots=True)
class Loop(OfGraphs):
    """A while loop as a function of Tensors."""

    cond: GraphCall
    body: GraphCall
    carries: int

    def __call__(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        carry, constants = tuple(inputs[: self.carries]), tuple(inputs[self.carries :])
        while True:
            found = dispatch.bind_all(CALL, (*carry, *constants), {"call": self.cond})
            carry = found[1:] or carry
            if not found[0]._data:
                return carry
            carry = dispatch.bind_all(CALL, (*carry, *constants), {"call": self.body})

    def __str__(self) -> str:
        return f"while_loop {self.body.graph.name}"

    def batched(self, lanes: Sequence[Lane], size: Any) -> tuple[Loop, list[Lane]] | None:
        """Return the loop over all examples, and what it is given."""
        cond, body, carries = self.cond.graph, self.body.graph, self.carries
        lanes = [_spread(x, size) if i < carries else x for i, x in enumerate(lanes)]
        loop = course(cond, body, [lane.batched for lane in lanes], carries, size)
        if loop is None:
            return None
        given = loop.operands(lanes, carries, size)
        flags = list(loop.batched)
        if loop.asked is not None:
            flags.insert(carries, True)
            carries += 1
        over = Loop(GraphCall(loop.cond), GraphCall(loop.body), carries)
        return over, [Lane(x, batched=f) for x, f in zip(given, flags, strict=True)]


@dataclass(frozen=True, eq=False, slots=True)
class Pulled(OfGraphs):
    """The gradient of a function of Tensors by its wanted inputs, given those by its results.

    Behind it comes for each whether there is one: a loop of no steps uses its carries only.
    """

    function: Any
    wanted: tuple[int, ...]
    seeded: tuple[int, ...]

    def __call__(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        count = len(inputs) - len(self.seeded)
        given, seeds = list(inputs[:count]), list(inputs[count:])
        with GradientTape(watch_accessed_variables=False) as tape:
            sources = [given[i] for i in self.wanted]
            tape.watch(sources)
            out = self.function(given)
        found = tape.gradient([out[i] for i in self.seeded], sources, output_gradients=seeds)
        pairs = list(zip(found, sources, strict=True))
        return (
            *(part if part is not None else zeros_like(x) for part, x in pairs),
            *(asarray(part is not None, device=x.device) for part, x in pairs),
        )

    def __str__(self) -> str:
        return f"gradient of {self.function}"

    def batched(self, lanes: Sequence[Lane], size: Any) -> tuple[Pulled, list[Lane]] | None:
        """Return the gradient for all examples, and what it is given.

        Each example has gradients of its own, also by what all share.
        """
        count = len(lanes) - len(self.seeded)
        own = {*self.wanted, *range(count, len(lanes))}
        full = [_spread(x, size) if i in own else x for i, x in enumerate(lanes)]
        found = self.function.batched(full[:count], size)
        if found is None:
            return None
        function, given = found
        more = len(given) - count  # behind the carries
        wanted = tuple(i if i < self.carries else i + more for i in self.wanted)
        return Pulled(function, wanted, self.seeded), [*given, *full[count:]]

    @property
    def carries(self) -> int:
        """How many of the inputs are the carries of the loop."""
        carries: int = self.function.carries
        return carries


def _spread(lane: Lane, size: Any) -> Lane:
    """Give each example a value of its own of what has a gradient."""
    if not is_inexact(spec_of(lane.tensor).dtype):
        return lane
    return Lane(filled(lane, size), batched=True)


def _infer(*specs: TensorSpec, of: Pulled) -> tuple[TensorSpec, ...]:
    gradients = [replace(specs[i], weak=False) for i in of.wanted]
    return (*gradients, *(TensorSpec((), bool_, s.device) for s in gradients))


def _eager(xp: Any, *arrays: Any, of: Pulled) -> Any:
    with dispatch.scope(recorder=None, tapes=()):
        return tuple(t._data for t in of([wrap(held(a)) for a in arrays]))


def _batch(op: Op, size: Any, lanes: Sequence[Lane], attrs: Attrs) -> tuple[Lane, ...] | None:
    found = attrs["of"].batched(lanes, size)
    if found is None:
        return None
    of, given = found
    out = dispatch.bind_all(op, tuple(lane.tensor for lane in given), {"of": of})
    count = len(of.wanted)
    return tuple(Lane(x, batched=i < count) for i, x in enumerate(out))


def _vjp(
    wanted: tuple[bool, ...],
    g: tuple[Tensor | None, ...],
    out: tuple[Tensor, ...],
    *inputs: Tensor,
    of: Any,
) -> tuple[Chosen | None, ...]:
    seeded = tuple(i for i, part in enumerate(g) if part is not None)
    return pull(of, wanted, g, seeded, inputs)


GRADIENT = register(
    Op(
        name="while_gradient",
        family="control",
        infer=_infer,
        eager=_eager,
        joint_vjp=_vjp,
        batch=_batch,
        multi=True,
        anywhere=True,
        doc="The gradient of a while loop, which it runs again.",
    )
)


def pull(
    function: Any,
    wanted: tuple[bool, ...],
    g: tuple[Tensor | None, ...],
    seeded: tuple[int, ...],
    inputs: tuple[Tensor, ...],
) -> tuple[Chosen | None, ...]:
    """Return the gradients of `function` by its wanted inputs."""
    numbers = tuple(i for i, want in enumerate(wanted) if want)
    seeds = tuple(g[i] for i in seeded)
    attrs = {"of": Pulled(function, numbers, seeded)}
    found = dispatch.bind_all(GRADIENT, (*inputs, *seeds), attrs)
    found_for = zip(numbers, found[: len(numbers)], found[len(numbers) :], strict=True)
    by_input = {i: Chosen(gradient, there, True) for i, gradient, there in found_for}
    return tuple(by_input.get(i) for i in range(len(inputs)))


def vjp(
    wanted: tuple[bool, ...],
    g: tuple[Tensor | None, ...],
    out: tuple[Tensor, ...],
    *inputs: Tensor,
    cond: FuncGraph,
    body: FuncGraph,
    carries: int,
) -> tuple[Chosen | None, ...]:
    """Return the gradients of a while loop by its wanted inputs."""
    refuse_witnesses(cond)
    refuse_witnesses(body)
    seeded = tuple(i for i, part in enumerate(g) if part is not None and is_inexact(out[i].dtype))
    loop = Loop(GraphCall(silent(cond)), GraphCall(silent(body)), carries)
    return pull(loop, wanted, g, seeded, inputs)
