"""Loops that end when their data say so, and counted ones: ``hb.while_loop``, ``hb.fori_loop``."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hybrid.core import dispatch
from hybrid.core.graph import FuncGraph
from hybrid.core.interpret import interpret
from hybrid.core.making import asarray
from hybrid.core.number import of_tensor
from hybrid.core.op import Op, register
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import Array, Tensor
from hybrid.errors import DTypeError, GraphError, ShapeError
from hybrid.ops.copying import copy
from hybrid.ops.creation import full
from hybrid.trace.control.body import (
    BodyRecorder,
    audible,
    given_back,
    graph_of,
    outside_of,
    tracing,
)
from hybrid.trace.control.narrow import live_carries, narrowed, needs
from hybrid.trace.control.nests import defined_at, describe, flatten, is_number, owned, strong
from hybrid.trace.control.rows import by_rows
from hybrid.trace.control.run import Body, NativeLoops, as_array, on_card
from hybrid.trace.control.scan import Given
from hybrid.trace.control.scan_op import bind_scan
from hybrid.trace.control.surroundings import traced_once
from hybrid.trace.control.while_batching import batch
from hybrid.trace.control.while_gradient import vjp
from hybrid.trace.straight import Untraceable

# --- the op ---------------------------------------------------------------------------------------


def _infer(
    *specs: TensorSpec, cond: FuncGraph, body: FuncGraph, carries: int
) -> tuple[TensorSpec, ...]:
    given = [(s.shape, s.dtype) for s in specs]
    for graph in (cond, body):
        taken = [(v.spec.shape, v.spec.dtype) for v in graph.inputs]
        if taken != given:
            raise GraphError(f"while_loop: {graph.name} takes {taken} but is given {given}")
    results = [replace(x.spec, weak=False) for x in body.outputs]
    if [(s.shape, s.dtype) for s in results] != given[:carries]:
        raise GraphError("while_loop: the carry changes")
    return tuple(results)


def _loop(
    cond: Callable[..., Sequence[Array]],
    body: Callable[..., Sequence[Array]],
    arrays: Sequence[Any],
    carries: int,
) -> tuple[Array, ...]:
    carry, constants = arrays[:carries], arrays[carries:]
    while True:
        found = cond(*carry, *constants)
        if len(found) > 1:  # asking wrote to something outside, which is part of the carry
            carry = found[1:]
        if not found[0]:
            return tuple(carry)
        carry = body(*carry, *constants)


def _eager(xp: Any, *arrays: Any, cond: FuncGraph, body: FuncGraph, carries: int) -> Any:
    def runs(graph: FuncGraph) -> Callable[..., Sequence[Array]]:
        return lambda *given: interpret(graph, map(xp.asarray, given), xp)

    return _loop(runs(cond), runs(body), arrays, carries)


def _prepare(
    specs: tuple[TensorSpec, ...], *, cond: FuncGraph, body: FuncGraph, carries: int
) -> Any:
    ask, step = Body(cond), Body(body)
    loops = NativeLoops(body, cond, carries, 0)

    def run(*arrays: Any) -> tuple[Array, ...]:
        given = list(map(as_array, arrays))
        native = None if on_card(given) else loops.find(given)
        if native is None:
            return _loop(ask, step, arrays, carries)
        found = native.run(given[:carries], (), given[carries:], (), (None, False))
        if found is None:
            found = _loop(ask, step, arrays, carries)
            native.retired = True
        return found

    return run


def _narrow(used: tuple[bool, ...], *, cond: FuncGraph, body: FuncGraph, carries: int) -> Any:
    if len(cond.outputs) > 1:
        return None
    live = live_carries([(body, ()), (cond, (True,))], used, carries)
    asked, done = needs(cond, (True,)), needs(body, live)
    rest = (a or b for a, b in zip(asked[carries:], done[carries:], strict=True))
    inputs = (*live, *rest)
    if all(inputs):
        return None
    attrs = {
        "cond": narrowed(cond, inputs, (True,)),
        "body": narrowed(body, inputs, live),
        "carries": sum(live),
    }
    return inputs, live, attrs


WHILE = register(
    Op(
        name="while_loop",
        family="control",
        infer=_infer,
        eager=_eager,
        prepare=_prepare,
        bodies=("cond", "body"),
        narrow=_narrow,
        joint_vjp=vjp,
        batch=batch,
        multi=True,
        doc="Run a graph on its own results for as long as another one gives True.",
    )
)

# --- while_loop -----------------------------------------------------------------------------------


def while_loop(cond_fn: Callable[[Any], Any], body_fn: Callable[[Any], Any], init: Any) -> Any:
    """Run a function on its own result while a condition holds.

    It is ``while cond_fn(carry): carry = body_fn(carry)``. In a compiled function the graph has
    one node, however many steps there are.

    Parameters
    ----------
    cond_fn : callable
        ``cond_fn(carry)`` gives a boolean without axes.
    body_fn : callable
        ``body_fn(carry)`` gives a carry of the same structure, shapes and dtypes. Both functions
        use, and write, what is outside by reference; the carry is new at each step.
    init : Tensor or nested container
        The first carry; a number becomes a Tensor as by :func:`asarray`.

    Returns
    -------
    Tensor or container like `init`

    Raises
    ------
    ShapeError, DTypeError
        Where the carry changes, or the condition is no single boolean.

    Examples
    --------
    Newton's method for a square root:

    >>> import hybrid as hb
    >>> @hb.compile(fullgraph=True)
    ... def root(a):
    ...     far = lambda x: abs(x * x - a) > 1e-5 * a
    ...     return hb.while_loop(far, lambda x: (x + a / x) / 2, a)
    >>> root(hb.asarray(9.0))
    Tensor(3., dtype=float32)
    """
    leaves, nest = flatten("while_loop", "init", init)
    given = Given("while_loop", body_fn, [strong(x) for x in leaves], nest)
    recorder = dispatch.state.recorder
    if recorder is not None:
        try:
            return _while_traced(given, cond_fn)
        except Untraceable as error:
            recorder.abandon(error)
    return _while_eagerly(given, cond_fn)


def _while_eagerly(given: Given, cond_fn: Callable[[Any], Any]) -> Any:
    carry = [copy(x) for x in given.leaves]
    while bool(_condition(cond_fn, cond_fn(given.nest.build(carry)))):
        following = given.function(given.nest.build(carry))
        del carry
        carry = given.carry(following)
        del following
        carry = owned(carry)
    return given.nest.build(carry)


def _condition(cond_fn: Callable[[Any], Any], returned: Any) -> Tensor:
    pred = strong(returned if is_number(returned) else asarray(returned))
    if pred.shape or pred.dtype.kind != "b":
        kind = ShapeError if pred.shape else DTypeError
        where = defined_at(cond_fn)
        raise kind(
            located(
                f"while_loop: the condition {where} gives {describe(pred.spec)}, not one boolean"
            )
        )
    return pred


def _while_traced(given: Given, cond_fn: Callable[[Any], Any]) -> Any:
    def trace() -> tuple[list[BodyRecorder], None]:
        with tracing("while_loop") as asking:
            carry = given.nest.build(asking.parameters(given.specs))
            asking.returns([_condition(cond_fn, cond_fn(carry))])
        with tracing("while_loop") as body:
            carry = given.nest.build(body.parameters(given.specs))
            body.returns(given.carry(given.function(carry)))
        return [asking, body], None

    functions = (cond_fn, given.function)
    (asking, body), _ = traced_once("while_loop", functions, trace, certain=False)
    outside = outside_of([asking, body])
    count = len(given.leaves)
    changed = any(cell.written for cell in asking.cells.values())
    if changed:
        (pred,) = asking.results
        asking.results = tuple(asking.inputs)
        ask = graph_of(asking, "cond", outside, state_at=count)
        ask = replace(ask, outputs=(pred, *ask.outputs))
    else:
        ask = graph_of(asking, "cond", outside, state_at=count)
        ask = replace(ask, outputs=asking.results)
    name = getattr(given.function, "__name__", "body")
    step = graph_of(body, name, outside, state_at=count)
    operands = (
        *given.leaves,
        *outside.operands(outside.written),
        *outside.operands(outside.read),
    )
    attrs = {"cond": ask, "body": step, "carries": count + len(outside.written)}
    with audible():
        out = dispatch.bind_all(WHILE, operands, attrs)
        outside.commit(out[count:])
    return given.nest.build(given_back(out[:count]))


# --- fori_loop ------------------------------------------------------------------------------------


def fori_loop(lower: Any, upper: Any, body_fn: Callable[[Any, Any], Any], init: Any) -> Any:
    """Run a function once for each whole number of a range, on its own result.

    It is ``for i in range(lower, upper): carry = body_fn(i, carry)``. In a compiled function the
    graph has one node; where both ends are Python ints, its gradient is a loop of known length.

    Parameters
    ----------
    lower, upper : int or Tensor
        The first number, and that before which to stop.
    body_fn : callable
        ``body_fn(i, carry)`` gives a carry of the same structure, shapes and dtypes; `i` is a
        Python int in eager code, and in a trace stands for one.
    init : Tensor or nested container
        The first carry; a number becomes a Tensor as by :func:`asarray`.

    Returns
    -------
    Tensor or container like `init`

    Raises
    ------
    ShapeError, DTypeError
        Where the carry changes; the message names the leaf.

    Examples
    --------
    >>> import hybrid as hb
    >>> @hb.compile
    ... def power(x):
    ...     return hb.fori_loop(0, 10, lambda i, y: y * x, 1.0)
    >>> power(hb.asarray(2.0))
    Tensor(1024., dtype=float32)
    """
    ends = [_end("lower", lower), _end("upper", upper)]
    leaves, nest = flatten("fori_loop", "init", init)
    given = Given("fori_loop", body_fn, [strong(x) for x in leaves], nest)
    recorder = dispatch.state.recorder
    if recorder is not None:
        try:
            return _fori_traced(given, ends)
        except Untraceable as error:
            recorder.abandon(error)
    carry = [copy(x) for x in given.leaves]
    for i in range(*map(int, ends)):
        following = body_fn(i, nest.build(carry))
        del carry
        carry = given.carry(following)
        del following
        carry = owned(carry)
    return nest.build(carry)


def _end(what: str, x: Any) -> Any:
    if isinstance(x, Tensor) or not hasattr(type(x), "__index__"):
        tensor = asarray(x)
        if tensor.shape or tensor.dtype.kind not in "iu":
            message = f"fori_loop: {what} is {describe(tensor.spec)}, not a whole number"
            raise DTypeError(located(message))
        return tensor
    return operator.index(x)


_INDEX = TensorSpec((), np.dtype("int64"), weak=True)


def _fori_traced(given: Given, ends: list[Any]) -> Any:
    def trace() -> tuple[list[BodyRecorder], None]:
        with tracing("fori_loop") as body:
            index, *carry = body.parameters([_INDEX, *given.specs])
            leaves = given.carry(given.function(of_tensor(index), given.nest.build(carry)))
            body.returns([strong(index + 1), *leaves])
        return [body], None

    fixed = all(isinstance(end, int) and not isinstance(end, Tensor) for end in ends)
    certain = fixed and ends[0] < ends[1]
    (body,), _ = traced_once("fori_loop", (given.function,), trace, certain=certain)
    outside = outside_of([body])
    count = 1 + len(given.leaves)
    step = graph_of(body, getattr(given.function, "__name__", "body"), outside, state_at=count)
    written, read = outside.operands(outside.written), outside.operands(outside.read)
    first = ends[0].astype("int64") if isinstance(ends[0], Tensor) else full((), ends[0])
    start = (first, *given.leaves, *written)
    with audible():
        if fixed:
            course = range(ends[0], max(ends))
            step, rows = by_rows(step, read, len(start), course)
            out = bind_scan(step, start, rows, read, (len(course), False))
        else:
            out = _bounded(step, start, read, ends[1])
        outside.commit(out[count : count + len(written)])
    return given.nest.build(given_back(out[1:count]))


def _bounded(
    step: FuncGraph, start: tuple[Tensor, ...], read: tuple[Tensor, ...], upper: Any
) -> tuple[Tensor, ...]:
    """Apply the body while the first value of the carry is below `upper`."""
    end = upper.astype("int64") if isinstance(upper, Tensor) else full((), upper)
    with tracing("fori_loop") as asking:
        index, *_, last = asking.parameters([x.spec for x in (*start, *read, end)])
        asking.returns([index < last])
    inputs = tuple(asking.inputs)
    ask = FuncGraph("cond", inputs, (), tuple(asking.nodes), asking.results)
    body = replace(step, inputs=(*step.inputs, inputs[-1]))
    attrs = {"cond": ask, "body": body, "carries": len(start)}
    return dispatch.bind_all(WHILE, (*start, *read, end), attrs)
