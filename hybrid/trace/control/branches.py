"""Branches: ``hb.cond`` and ``hb.switch``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from hybrid.core import dispatch
from hybrid.core.graph import FuncGraph
from hybrid.core.interpret import interpret
from hybrid.core.making import asarray
from hybrid.core.op import Op, register
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import DTypeError, GraphError, ShapeError
from hybrid.trace.control.body import (
    BodyRecorder,
    audible,
    given_back,
    graph_of,
    outside_of,
    tracing,
)
from hybrid.trace.control.branch_batching import batch
from hybrid.trace.control.branch_gradient import recorded, vjp
from hybrid.trace.control.narrow import narrowed, needs
from hybrid.trace.control.nests import Nest, check_same, defined_at, flatten, owned, strong
from hybrid.trace.control.run import Body
from hybrid.trace.control.surroundings import traced_once
from hybrid.trace.straight import Untraceable

# --- the op ---------------------------------------------------------------------------------------


def _infer(
    index: TensorSpec, *specs: TensorSpec, branches: tuple[FuncGraph, ...], kept: int = 0
) -> tuple[TensorSpec, ...]:
    given = [(s.shape, s.dtype) for s in specs]
    for branch in branches:
        taken = [(v.spec.shape, v.spec.dtype) for v in branch.inputs]
        if taken != given:
            raise GraphError(f"switch: {branch.name} takes {taken} but is given {given}")
    return tuple(replace(x.spec, weak=False) for x in branches[0].outputs)


def _choose(index: Any, count: int) -> int:
    return min(max(int(index), 0), count - 1)


def _eager(
    xp: Any, index: Any, *arrays: Any, branches: tuple[FuncGraph, ...], kept: int = 0
) -> Any:
    return interpret(branches[_choose(index, len(branches))], map(xp.asarray, arrays), xp)


def _prepare(
    specs: tuple[TensorSpec, ...], *, branches: tuple[FuncGraph, ...], kept: int = 0
) -> Any:
    bodies = tuple(map(Body, branches))

    def run(index: Any, *arrays: Any) -> Any:
        return bodies[_choose(index, len(bodies))](*arrays)

    return run


def _narrow(used: tuple[bool, ...], *, branches: tuple[FuncGraph, ...], kept: int = 0) -> Any:
    needed = tuple(map(any, zip(*(needs(branch, used) for branch in branches), strict=True)))
    if all(needed) and all(used):
        return None
    few = tuple(narrowed(branch, needed, used) for branch in branches)
    return (True, *needed), used, {"branches": few}


def _vjp(
    wanted: tuple[bool, ...], g: Any, out: tuple[Tensor, ...], *inputs: Tensor, **attrs: Any
) -> Any:
    return vjp(SWITCH, wanted, g, out, inputs, attrs)


SWITCH = register(
    Op(
        name="switch",
        family="control",
        infer=_infer,
        eager=_eager,
        prepare=_prepare,
        bodies=("branches",),
        narrow=_narrow,
        joint_vjp=_vjp,
        recorded=recorded,
        batch=batch,
        multi=True,
        doc="Run one of several graphs: that of the index, clamped; False is the first.",
    )
)

# --- cond and switch ------------------------------------------------------------------------------


def cond(
    pred: ArrayLike,
    true_fn: Callable[..., Any],
    false_fn: Callable[..., Any],
    /,
    *operands: Any,
) -> Any:
    """Run one of two functions.

    Eager code runs the one that `pred` chooses. In a compiled function both are traced and the
    graph holds both, so that no value of `pred` traces again; only one runs. They must return
    containers of the same structure, shapes and dtypes.

    Parameters
    ----------
    pred : array-like
        A boolean without axes; a number is True unless it is 0.
    true_fn, false_fn : callable
        Called with `operands`. Tensors and Variables are theirs by reference, written to as well.
    *operands
        Handed on as they are.

    Returns
    -------
    Tensor or container of Tensors
        New Tensors, whatever the function returned; a number becomes a Tensor.

    Raises
    ------
    ShapeError, DTypeError
        In a trace, where the two results differ: the message names the leaf.

    Examples
    --------
    >>> import hybrid as hb
    >>> @hb.compile(fullgraph=True)
    ... def root(x):
    ...     return hb.cond(x > 0, hb.sqrt, lambda x: x * 0, x)
    >>> root(hb.asarray(4.0)), root(hb.asarray(-4.0))
    (Tensor(2., dtype=float32), Tensor(-0., dtype=float32))
    """
    chosen = _scalar("cond", "pred", pred)
    if chosen.dtype.kind != "b":
        chosen = chosen != 0
    sides = ("from the true branch, ", "from the false branch, ")
    found = _run("cond", chosen, (false_fn, true_fn), operands, sides[::-1])
    return found


def switch(index: ArrayLike, branches: Sequence[Callable[..., Any]], /, *operands: Any) -> Any:
    """Run one of several functions.

    Parameters
    ----------
    index : array-like
        A whole number without axes. As in JAX it is clamped: what is below 0 runs the first
        function, what is too large the last.
    branches : sequence of callable
        Called with `operands`; see :func:`cond` for what holds for them and for their results.
    *operands
        Handed on as they are.

    Returns
    -------
    Tensor or container of Tensors

    Examples
    --------
    >>> import hybrid as hb
    >>> steps = [lambda x: x, lambda x: x * 10, lambda x: -x]
    >>> hb.switch(hb.asarray(1), steps, hb.asarray([1.0, 2.0]))
    Tensor([10., 20.], dtype=float32)
    >>> hb.switch(7, steps, hb.asarray([1.0, 2.0]))
    Tensor([-1., -2.], dtype=float32)
    """
    if not branches:
        raise ValueError(located("switch: there is no branch to run"))
    chosen = _scalar("switch", "index", index)
    if chosen.dtype.kind not in "iu":
        raise DTypeError(located(f"switch: index is {chosen.spec}, not a whole number"))
    sides = tuple(f"from branch {i}, " for i in range(len(branches)))
    return _run("switch", chosen, tuple(branches), operands, sides)


_HINT = (
    "; all branches return the same structure, shapes and dtypes: convert what one returns with "
    "astype or broadcast_to, or decide with Python's if"
)


def _scalar(construct: str, what: str, x: Any) -> Tensor:
    tensor = asarray(x)
    if tensor.size != 1:
        raise ShapeError(
            located(f"{construct}: {what} has shape {tensor.shape}, it must have one element")
        )
    return tensor.reshape(()) if tensor.ndim else tensor


def _run(
    construct: str,
    index: Tensor,
    functions: tuple[Callable[..., Any], ...],
    operands: tuple[Any, ...],
    sides: tuple[str, ...],
) -> Any:
    for function in functions:
        if not callable(function):
            raise TypeError(
                located(
                    f"{construct}: a branch is a function, not a {type(function).__name__}; "
                    "hb.where chooses between values"
                )
            )
    recorder = dispatch.state.recorder
    if recorder is not None:
        try:
            return _traced(construct, index, functions, operands, sides)
        except Untraceable as error:
            recorder.abandon(error)
    function = functions[_choose(int(index), len(functions))]
    leaves, nest = flatten(construct, "result", function(*operands))
    return nest.build(owned(leaves))


def _traced(
    construct: str,
    index: Tensor,
    functions: tuple[Callable[..., Any], ...],
    operands: tuple[Any, ...],
    sides: tuple[str, ...],
) -> Any:
    def trace() -> tuple[list[BodyRecorder], list[tuple[Nest, list[TensorSpec]]]]:
        bodies, found = [], []
        for function in functions:
            with tracing(construct) as body:
                leaves, nest = flatten(construct, "result", function(*operands))
                results = [strong(x) for x in leaves]
                body.returns(results)
            bodies.append(body)
            found.append((nest, [t.spec for t in results]))
        return bodies, found

    bodies, found = traced_once(construct, functions, trace, certain=False)
    # The true branch is named first.
    ends = [partial(_origin, side, f) for side, f in zip(sides, functions, strict=True)]
    order = range(len(functions)) if construct == "switch" else (1, 0)
    first = order[0]
    for other in order[1:]:
        two = (ends[first], ends[other])
        check_same(construct, "result", found[first], found[other], two, _HINT)
    outside = outside_of(bodies)
    count = len(found[0][1])
    branches = tuple(
        graph_of(body, _name(f, i), outside, state_at=count)
        for i, (body, f) in enumerate(zip(bodies, functions, strict=True))
    )
    given = outside.operands((*outside.written, *outside.read))
    attrs = recorded(branches=branches) if dispatch.state.tapes else {"branches": branches}
    with audible():
        out = dispatch.bind_all(SWITCH, (index, *given), attrs)
        outside.commit(out[count : count + len(outside.written)])
    return found[0][0].build(given_back(out[:count]))


def _origin(side: str, function: Callable[..., Any]) -> str:
    return side + defined_at(function)


def _name(function: Callable[..., Any], number: int) -> str:
    name: str = getattr(function, "__name__", f"branch{number}")
    return name
