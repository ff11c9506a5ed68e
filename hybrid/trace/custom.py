"""Functions with a gradient of the user's own: custom_gradient, custom_vjp, custom_jvp.

All three come down to one thing: a function of Tensors that returns its results and a function
which takes their gradients to those of the arguments. Eagerly it becomes one entry of the tapes; in
a trace both are recorded, as one node with its derivative; inside a vmap both are mapped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import update_wrapper, wraps
from typing import Any

import numpy as np

from hybrid.autodiff.lanes import Lanes
from hybrid.autodiff.record import boundary, node_of, now, spec_of_node
from hybrid.autodiff.transforms import vjp
from hybrid.autodiff.vmap import vmap
from hybrid.core import containers, dispatch
from hybrid.core.batch import Lane
from hybrid.core.graph import Operand, Value
from hybrid.core.making import asarray
from hybrid.core.op import Op
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import Tensor, wrap
from hybrid.core.variable import Variable
from hybrid.dtypes import is_inexact
from hybrid.errors import GradientError, LeakedTensorError, ShapeError
from hybrid.ops.creation import zeros
from hybrid.records import dataclass
from hybrid.trace.control.body import BodyRecorder, tracing
from hybrid.trace.control.surroundings import traced_once
from hybrid.trace.differentiate import CUSTOM_CALL, Chosen, given_derivative
from hybrid.trace.straight import Untraceable

Pull = Callable[..., Sequence[Tensor | None]]
Joint = Callable[..., tuple[list[Tensor], Pull]]
"""Takes Tensors; returns results, and what takes their gradients to those of the arguments."""


def custom_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function a gradient of its own, written where its value is computed.

    Parameters
    ----------
    function : callable
        ``function(*args) -> (result, gradient)`` where ``gradient(*upstream)`` takes a gradient
        for each Tensor of the result and returns one for each argument (None: none).

    Returns
    -------
    callable
        Gives the result alone.

    Raises
    ------
    GradientError
        When differentiated, if it uses a watched Tensor or Variable that is no argument.

    Examples
    --------
    >>> import hybrid as hb
    >>> @hb.custom_gradient
    ... def log1pexp(x):
    ...     e = hb.exp(x)
    ...     return hb.log(1 + e), lambda upstream: upstream * (1 - 1 / (1 + e))
    >>> hb.grad(log1pexp)(hb.asarray(100.0))
    Tensor(1., dtype=float32)
    """

    @wraps(function)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        def joint(*inner: Any) -> tuple[Any, Callable[..., Any]]:
            returned = function(*inner, **kwargs)
            if not (isinstance(returned, tuple) and len(returned) == 2 and callable(returned[1])):
                raise TypeError(
                    located(
                        f"custom_gradient: {_name(function)} must return (result, gradient), the "
                        "second a function"
                    )
                )
            result, gradient = returned

            def pull(upstream: Any) -> Any:
                found = gradient(*containers.leaves_of(upstream))
                return found if isinstance(found, tuple | list) and len(inner) > 1 else [found]

            return result, pull

        return _call(function, joint, args)

    return decorated


class custom_vjp:
    """A function whose reverse-mode rule is given by ``defvjp``.

    Examples
    --------
    >>> import hybrid as hb
    >>> @hb.custom_vjp
    ... def clipped(x):
    ...     return hb.square(x)
    >>> clipped.defvjp(
    ...     lambda x: (clipped(x), x), lambda x, g: (hb.clip(2 * x * g, -1.0, 1.0),)
    ... )
    >>> hb.grad(clipped)(hb.asarray(3.0))
    Tensor(1., dtype=float32)
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._rules: tuple[Callable[..., Any], Callable[..., Any]] | None = None
        self._inside = ContextVar("inside", default=False)
        update_wrapper(self, function)

    def defvjp(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        """Set the rule.

        Parameters
        ----------
        forward : callable
            ``forward(*args) -> (result, residuals)``.
        backward : callable
            ``backward(residuals, gradient) -> tuple``: a gradient (or None) for each argument.
        """
        self._rules = forward, backward

    def __call__(self, *args: Any) -> Any:
        """Call the function."""
        if self._rules is None:
            raise GradientError(
                located(f"custom_vjp: {_name(self._function)}.defvjp was not called")
            )
        if dispatch.state.plain or self._inside.get():
            return self._function(*args)
        forward, backward = self._rules

        def joint(*inner: Any) -> tuple[Any, Callable[..., Any]]:
            with _set(self._inside):
                result, residuals = forward(*inner)
            return result, lambda gradient: backward(residuals, gradient)

        return _call(self._function, joint, args)


class custom_jvp:
    """A function whose derivative in a direction is given by ``defjvp``.

    Examples
    --------
    >>> import hybrid as hb
    >>> @hb.custom_jvp
    ... def power(x, y):
    ...     return x**y
    >>> @power.defjvp
    ... def rule(primals, tangents):
    ...     (x, y), (dx, dy) = primals, tangents
    ...     return power(x, y), y * x ** (y - 1) * dx
    >>> hb.grad(power)(hb.asarray(2.0), hb.asarray(3.0))
    Tensor(12., dtype=float32)
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._rule: Callable[..., Any] | None = None
        self._inside = ContextVar("inside", default=False)
        update_wrapper(self, function)

    def defjvp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Set the rule, ``rule(primals, tangents) -> (result, tangent)``, linear in the tangents.

        The reverse mode is its transpose.
        """
        self._rule = rule
        return rule

    def __call__(self, *args: Any) -> Any:
        """Call the function."""
        if self._rule is None:
            raise GradientError(
                located(f"custom_jvp: {_name(self._function)}.defjvp was not called")
            )
        if dispatch.state.plain or self._inside.get():
            return self._function(*args)
        rule = self._rule

        def joint(*inner: Any) -> tuple[Any, Callable[..., Any]]:
            def along(*tangents: Any) -> Any:
                with _set(self._inside):
                    return rule(inner, tangents)[1]

            def pull(gradient: Any) -> Any:
                still = containers.map_leaves(lambda x: zeros(x.shape, dtype=x.dtype), inner)
                return vjp(along, *still)[1](gradient)

            return self._function(*inner), pull

        return _call(self._function, joint, args)


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


@contextmanager
def _set(inside: ContextVar[bool]) -> Iterator[None]:
    """While a rule runs, the function that it belongs to is the plain one."""
    token = inside.set(True)
    try:
        yield
    finally:
        inside.reset(token)


# --- containers become Tensors --------------------------------------------------------------------


def _call(
    function: Callable[..., Any], joint: Callable[..., tuple[Any, Callable[..., Any]]], args: Any
) -> Any:
    """Call a function with a gradient of its own; what is no floating-point array is constant."""
    leaves, tree = containers.flatten(tuple(args))
    places = [i for i, x in enumerate(leaves) if _is_variable_part(x)]
    forms: list[Any] = []

    def of_tensors(*tensors: Tensor) -> tuple[list[Tensor], Pull]:
        given = list(leaves)
        for i, tensor in zip(places, tensors, strict=True):
            given[i] = tensor
        result, pull = joint(*containers.unflatten(tree, given))
        results, form = containers.flatten(result)
        forms.append(form)

        def pulled(*gradients: Tensor) -> list[Tensor | None]:
            return _by_place(pull(containers.unflatten(form, gradients)), tensors)

        return [asarray(x) for x in results], pulled

    def _by_place(found: Any, tensors: tuple[Tensor, ...]) -> list[Tensor | None]:
        try:
            flat = tree.flatten_up_to(tuple(found))
        except ValueError:
            raise GradientError(
                located(
                    f"the gradient of {_name(function)} must be one for each argument, in a "
                    f"container like it: {len(args)} arguments were given"
                )
            ) from None
        chosen = [flat[i] for i in places]
        for gradient, tensor in zip(chosen, tensors, strict=True):
            if gradient is not None and asarray(gradient).shape != tensor.shape:
                raise ShapeError(
                    located(
                        f"the gradient of {_name(function)} has shape {asarray(gradient).shape} "
                        f"for an argument of shape {tensor.shape}"
                    )
                )
        return [None if g is None else asarray(g) for g in chosen]

    tensors = tuple(
        x.read() if isinstance(x, Variable) else asarray(x) for x in (leaves[i] for i in places)
    )
    results = _run(_name(function), of_tensors, tensors)
    return containers.unflatten(forms[0], results)


def _is_variable_part(x: Any) -> bool:
    return isinstance(x, Tensor | Variable | np.ndarray) and is_inexact(x.dtype)


def _run(name: str, joint: Joint, tensors: tuple[Tensor, ...]) -> list[Tensor]:
    recorder = dispatch.state.recorder
    if recorder is None:
        return _eagerly(name, joint, tensors)
    if isinstance(recorder, Lanes):
        return _mapped(name, recorder, joint, tensors)
    try:
        return _traced(name, joint, tensors)
    except Untraceable as error:
        recorder.abandon(error)
    return _eagerly(name, joint, tensors)


# --- eager ----------------------------------------------------------------------------------------


def _eagerly(name: str, joint: Joint, tensors: tuple[Tensor, ...]) -> list[Tensor]:
    if not dispatch.state.tapes:
        return joint(*tensors)[0]
    own = {id(node_of(x)) for x in tensors if x._node is not None}
    start = now()
    # On the tapes: what the gradient uses of it can be differentiated again.
    results, pull = joint(*tensors)
    for used in boundary(results, start):
        if id(used) not in own:
            raise GradientError(
                located(
                    f"{name} has a gradient of its own, by its arguments only; it also uses a "
                    f"watched value of {spec_of_node(used)} from outside. Pass that as an argument"
                )
            )
    outputs = [_fresh(x) for x in results]
    dispatch.state.tapes[-1]._record(
        _entry(name, lambda *_: (results, pull)), tensors, {}, tuple(outputs)
    )
    return outputs


def _fresh(tensor: Tensor) -> Tensor:
    """Return a Tensor with the same contents that no tape knows."""
    shared = tensor._alias is not None
    return wrap(tensor._data.copy() if shared else tensor._data)


def _entry(name: str, joint: Joint) -> Op:
    """Return what stands on a tape for a call: its gradient is the one that `joint` gives."""

    def joint_vjp(
        wanted: tuple[bool, ...],
        g: tuple[Tensor | None, ...],
        out: tuple[Tensor, ...],
        *inputs: Any,
    ) -> Sequence[Tensor | None]:
        _, pull = joint(*inputs)
        return pull(*(_or_zeros(part, x.spec) for part, x in zip(g, out, strict=True)))

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("an entry of a tape is not run")

    return Op(name, "control", never, never, joint_vjp=joint_vjp, multi=True)


def _or_zeros(gradient: Tensor | None, spec: TensorSpec) -> Tensor:
    return zeros(spec.shape, dtype=spec.dtype) if gradient is None else gradient


# --- in a trace -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rule:
    """What the trace of a function with a gradient of its own has found.

    Attributes
    ----------
    split : int
        How many of the nodes compute results; the others compute gradients.
    seeds : tuple of Value
        What the gradients of results are.
    outputs, gradients : tuple of Value or Const
    places : tuple of two tuples of int
        Of the results that have gradients, and of the arguments that get one.
    """

    split: int
    seeds: tuple[Value, ...]
    outputs: tuple[Operand, ...]
    gradients: tuple[Operand, ...]
    places: tuple[tuple[int, ...], tuple[int, ...]]


def _traced(name: str, joint: Joint, tensors: tuple[Tensor, ...]) -> list[Tensor]:
    def trace() -> tuple[list[BodyRecorder], _Rule]:
        with tracing(name) as body:
            parameters = body.parameters([x.spec for x in tensors])
            results, pull = joint(*parameters)
            split = len(body.nodes)
            seeded = tuple(i for i, x in enumerate(results) if is_inexact(x.dtype))
            seeds = {i: body.parameter(results[i].spec) for i in seeded}
            found = pull(*(seeds.get(i, results[i]) for i in range(len(results))))
            connected = tuple(i for i, g in enumerate(found) if g is not None)
            outputs = tuple(map(body.operand, results))
            gradients = tuple(body.operand(_as(found[i], tensors[i].spec)) for i in connected)
            body.results = (*outputs, *gradients)
        of_seeds = tuple(seeds[i]._data.value for i in seeded)
        return [body], _Rule(split, of_seeds, outputs, gradients, (seeded, connected))

    (body,), rule = traced_once(name, (joint,), trace, certain=False)
    cells = tuple(body.cells.values())
    _check_pure(name, body)
    inputs = (*body.inputs, *(cell.value for cell in cells))
    call, derivative = given_derivative(
        name,
        body,
        rule.split,
        (inputs, rule.seeds),
        (rule.outputs, rule.gradients),
        rule.places,
    )
    own = tuple(i < len(tensors) for i in range(len(inputs)))
    given = (*tensors, *(cell.outside for cell in cells))
    attrs = {"call": call, "derivative": Chosen(own, derivative)}
    return list(dispatch.bind_all(CUSTOM_CALL, given, attrs)[: len(rule.outputs)])


def _as(gradient: Any, spec: TensorSpec) -> Tensor:
    tensor: Tensor = asarray(gradient)
    return tensor.astype(spec.dtype, copy=False)


def _check_pure(name: str, body: BodyRecorder) -> None:
    if any(cell.written for cell in body.cells.values()):
        raise Untraceable(f"{name} has a gradient of its own and writes to what is outside", None)


# --- in a vmap ------------------------------------------------------------------------------------


def _mapped(name: str, lanes: Lanes, joint: Joint, tensors: tuple[Tensor, ...]) -> list[Tensor]:
    behind = [lanes.lane(dispatch.resolve(x)) for x in tensors]
    axes = tuple(0 if lane.batched else None for lane in behind)

    def batched(*whole: Tensor) -> tuple[list[Tensor], Pull]:
        def forward(*each: Tensor) -> list[Tensor]:
            return joint(*each)[0]

        # Its own intermediate values are of this vmap; the gradient computes them once more.
        def backward(each: tuple[Tensor, ...], seeds: tuple[Tensor, ...]) -> list[Tensor | None]:
            return list(joint(*each)[1](*seeds))

        def pull(*seeds: Tensor) -> list[Tensor | None]:
            found = vmap(backward, (axes, 0), axis_size=lanes.size)(whole, seeds)
            return [
                g if g is None or axis == 0 else g.sum(axis=0)
                for g, axis in zip(found, axes, strict=True)
            ]

        return vmap(forward, axes, axis_size=lanes.size)(*whole), pull

    with lanes.outside():
        try:
            found = _run(name, batched, tuple(asarray(lane.tensor) for lane in behind))
        except LeakedTensorError as error:
            raise GradientError(
                located(
                    f"{name} has a gradient of its own, by its arguments only; it also uses a "
                    "value that each example of a vmap has for itself. Pass that as an argument"
                )
            ) from error
    outputs = [lanes.inside(Lane(x, batched=True)) for x in found]
    if dispatch.state.tapes:  # opened inside the vmap
        dispatch.state.tapes[-1]._record(_entry(name, joint), tensors, {}, tuple(outputs))
    return outputs
