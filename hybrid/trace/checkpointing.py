"""checkpoint: keep the arguments of a function instead of its intermediate values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import numpy as np

from hybrid.autodiff.backward import propagate
from hybrid.autodiff.nodes import AnyNode, Saved
from hybrid.autodiff.record import boundary, now, record_from
from hybrid.autodiff.tape import GradientTape
from hybrid.core import containers, dispatch
from hybrid.core.defaults import in_force
from hybrid.core.graph import has_effects
from hybrid.core.making import asarray
from hybrid.core.op import Op
from hybrid.core.source import located
from hybrid.core.tensor import Tensor
from hybrid.core.variable import Variable
from hybrid.dtypes import is_inexact
from hybrid.errors import GradientError
from hybrid.ops.copying import copy
from hybrid.trace.control.body import BodyRecorder, graph_of, outside_of, tracing
from hybrid.trace.control.nests import Nest, flatten, strong
from hybrid.trace.control.surroundings import traced_once
from hybrid.trace.derivative import GraphCall
from hybrid.trace.differentiate import CALL
from hybrid.trace.recorder import GraphRecorder
from hybrid.trace.straight import Untraceable


def checkpoint(function: Callable[..., Any]) -> Callable[..., Any]:
    """Trade time for memory: the gradient runs the function once more.

    Of a chain of n steps cut into about sqrt(n) functions, each under a checkpoint, a gradient
    keeps O(sqrt(n)) values instead of n (Griewank and Walther, "Algorithm 799: revolve", 2000, go
    further).

    Parameters
    ----------
    function : callable
        Takes and returns Tensors, or nested containers. It may read Variables and draw random
        numbers: the second run sees what the first one saw, and changes nothing. Python side
        effects happen in both runs.

    Returns
    -------
    callable
        Does what `function` does.

    Examples
    --------
    >>> import hybrid as hb
    >>> block = hb.checkpoint(lambda x: hb.tanh(hb.exp(x)))
    >>> hb.grad(block)(hb.asarray(0.0))
    Tensor(0.41997433, dtype=float32)
    """

    @wraps(function)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        recorder = dispatch.state.recorder
        if isinstance(recorder, GraphRecorder):
            try:
                return _traced(function, args, kwargs)
            except Untraceable as error:
                recorder.abandon(error)
        if not dispatch.state.tapes:
            return function(*args, **kwargs)
        return _Call(function, args, kwargs).first()

    return checkpointed


# --- eager ----------------------------------------------------------------------------------------


class _Call:
    """One call of a checkpointed function, which can be repeated."""

    def __init__(self, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.function = function
        self.defaults = dispatch.state.defaults
        self.given, self.tree = containers.flatten((args, kwargs))
        self.saved = [Saved(x) if type(x) is Tensor else x for x in self.given]
        self.nodes = [x._node if type(x) is Tensor else None for x in self.given]
        self.seen: dict[Variable, Tensor] = {}
        self.used: list[AnyNode] = []

    def run(self, leaves: list[Any]) -> list[Any]:
        """Call the function with some arguments; return the leaves of the result."""
        args, kwargs = containers.unflatten(self.tree, leaves)
        found, self.form = containers.flatten(self.function(*args, **kwargs))
        return found

    def first(self) -> Any:
        """Run the function; make one entry on the tapes of it."""
        start, tapes = now(), dispatch.state.tapes
        with dispatch.scope(tapes=(_Seen(self.seen), *tapes)):
            leaves = self.run(self.given)
            _bring_up_to_date(leaves)
        del self.given
        self._check_arguments()
        places = [i for i, x in enumerate(leaves) if _has_gradient(x)]
        natural = tuple(leaves[i] for i in places)
        used = boundary(natural, start)
        if used:
            # New Tensors: the record of what happened inside ends with the old ones.
            with dispatch.scope(tapes=()):
                outputs = tuple(copy(x) for x in natural)
            self.used = used
            op = Op("checkpoint", "control", _never, _never, joint_vjp=self._again, multi=True)
            record_from(op, used, outputs)
            for i, output in zip(places, outputs, strict=True):
                leaves[i] = output
        return containers.unflatten(self.form, leaves)

    def _check_arguments(self) -> None:
        tokens = [x.snapshot for x in self.saved if type(x) is Saved]
        for token in tokens:
            if token is not None and token.array is not None:
                raise GradientError(
                    located(
                        f"checkpoint: {self.function.__name__} writes to an argument in place, "
                        "which running it again would repeat; write to a copy"
                    )
                )

    def _again(
        self,
        wanted: tuple[bool, ...],
        g: tuple[Tensor | None, ...],
        out: tuple[Tensor, ...],
        *_: Any,
    ) -> list[Tensor | None]:
        """Run the function again, recorded this time, and take its gradient."""
        tape = GradientTape(watch_accessed_variables=False)
        for node in self.used:
            tape._see(node)
        held = [
            x.restore(node) if type(x) is Saved else x
            for x, node in zip(self.saved, self.nodes, strict=True)
        ]
        with tape, _as_seen(self.seen), in_force(self.defaults):
            leaves = self.run(held)
            _bring_up_to_date(leaves)
        results = [x for x in leaves if _has_gradient(x)]
        seeds = [
            (x._node, part)
            for x, part in zip(results, g, strict=True)
            if x._node is not None and part is not None
        ]
        totals = propagate(tape._id, seeds, set(self.used), release=True)
        return [totals.get(node) for node in self.used]


def _never(*_: Any, **__: Any) -> Any:
    raise AssertionError("an entry of a tape is not run")


def _bring_up_to_date(leaves: list[Any]) -> None:
    """Let results that were written in place know the record of the writes, while it goes on."""
    for x in leaves:
        if isinstance(x, Tensor):
            dispatch.refresh(x)


def _has_gradient(x: Any) -> bool:
    return isinstance(x, Tensor) and is_inexact(x.dtype)


class _Seen:
    """Stands among the tapes, to learn what Variables hold when a function first meets them."""

    _ended = False

    def __init__(self, seen: dict[Variable, Tensor]) -> None:
        self._id = -1
        self.seen = seen

    def _record(self, op: Op, inputs: tuple[Any, ...], attrs: Any, outputs: Any) -> None:
        """The tapes behind it record."""

    def _record_one(self, *args: Any) -> None:
        """Nothing, where the tape behind it is asked for a gradient."""

    def _record_two(self, *args: Any) -> None:
        """Nothing either."""

    def _accessed(self, variable: Variable, tensor: Tensor) -> None:
        """Note the contents of a Variable that is read."""
        self.seen.setdefault(variable, tensor)

    def _assigned(self, variable: Variable) -> None:
        """Note the contents of a Variable that is about to be assigned."""
        self.seen.setdefault(variable, variable._tensor)


@contextmanager
def _as_seen(seen: dict[Variable, Tensor]) -> Iterator[None]:
    """Let Variables hold for a while what a function saw in them."""
    present = {variable: variable._tensor for variable in seen}
    try:
        for variable, tensor in seen.items():
            variable._tensor = tensor
        yield
    finally:
        for variable, tensor in present.items():
            variable._tensor = tensor


# --- in a trace -----------------------------------------------------------------------------------


def _traced(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Make the function one node: without a gradient of its own, it runs again for one."""
    leaves, tree = containers.flatten((args, kwargs))
    places = [i for i, x in enumerate(leaves) if isinstance(x, Tensor | np.ndarray)]
    tensors = [asarray(leaves[i]) for i in places]
    given = [leaves[i] for i in places]

    def trace() -> tuple[list[BodyRecorder], Nest]:
        with tracing("checkpoint") as body:
            parameters = body.parameters([x.spec for x in tensors])
            body.hand(parameters, given)
            for i, x in zip(places, parameters, strict=True):
                leaves[i] = x
            inner_args, inner_kwargs = containers.unflatten(tree, leaves)
            found, nest = flatten("checkpoint", "result", function(*inner_args, **inner_kwargs))
            body.returns([strong(x) for x in found])
            if any(has_effects(node) for node in body.nodes):
                raise body.untraceable("what it prints or calls would happen again in the gradient")
        return [body], nest

    (body,), nest = traced_once("checkpoint", (function,), trace)
    outside = outside_of([body])
    name = getattr(function, "__name__", "checkpoint")
    call = GraphCall(graph_of(body, name, outside, state_at=0))
    operands = (*outside.operands(outside.written), *tensors, *outside.operands(outside.read))
    out = dispatch.bind_all(CALL, operands, {"call": call})
    count = len(outside.written)
    outside.commit(out[:count])
    return nest.build(out[count:])
