"""Function transforms: a function goes in, one that computes a derivative of it comes out.

They are a thin layer over the tape, so they see what it sees: they nest, go inside compiled
functions and around them, and respect writes in place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from hybrid.autodiff.tape import GradientTape, answer, no_target
from hybrid.core import containers, dispatch
from hybrid.core.lost import warn_of_nothing
from hybrid.core.making import asarray
from hybrid.core.source import is_framework, located
from hybrid.core.tensor import Tensor
from hybrid.core.variable import Variable
from hybrid.dtypes import is_inexact
from hybrid.errors import DTypeError, GradientError, ShapeError
from hybrid.ops.broadcasting import broadcast_to
from hybrid.ops.creation import ones
from hybrid.ops.reshaping import reshape

ArgNums = int | Sequence[int]


def value_and_grad(
    function: Callable[..., Any], argnums: ArgNums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Return a function that gives the value of `function` and its gradient.

    Parameters
    ----------
    function : callable
        Returns a real number: a Tensor of one element.
    argnums : int or sequence of int
        The positional arguments to differentiate by; each may be a nested container.
    has_aux : bool
        `function` returns ``(value, aux)``; `aux` is handed on as it is.

    Returns
    -------
    callable
        Gives ``(value, gradient)``, or ``((value, aux), gradient)``. The gradient is like the
        argument, a tuple of such for several; zeros where the value does not depend on it.

    Raises
    ------
    GradientError
        If the value is no real number, or an argument has no gradient by its dtype.

    Examples
    --------
    >>> import hybrid as hb
    >>> hb.value_and_grad(lambda x: x**3)(hb.asarray(2.0))
    (Tensor(8., dtype=float32), Tensor(12., dtype=float32))
    """

    @wraps(function)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        inner, sources = _sources(args, argnums)
        with GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            result = function(*inner, **kwargs)
            value, aux = _parted(result, has_aux)
            value = _real_number(value)
        gradients = _with_zeros(function, tape, sources, tape.gradient(value, sources))
        return (value, aux) if has_aux else value, _by_argument(gradients, argnums)

    return differentiated


def grad(
    function: Callable[..., Any], argnums: ArgNums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Return a function that gives the gradient of `function`; see :func:`value_and_grad`.

    Examples
    --------
    >>> import hybrid as hb
    >>> hb.grad(hb.grad(lambda x: x**3))(hb.asarray(2.0))
    Tensor(12., dtype=float32)
    """
    both = value_and_grad(function, argnums, has_aux)

    @wraps(function)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, gradients = both(*args, **kwargs)
        return (gradients, value[1]) if has_aux else gradients

    return gradient


def vjp(function: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """Run a function and return how gradients come back through it.

    Parameters
    ----------
    function : callable
    *primals
        Its arguments, nested containers allowed.
    has_aux : bool
        `function` returns ``(result, aux)``; only the first is differentiated.

    Returns
    -------
    result
        What `function` returns.
    pull : callable
        Takes a gradient like `result` and gives a tuple of gradients, one per primal. It may be
        called any number of times.
    aux
        Only with `has_aux`.

    Examples
    --------
    >>> import hybrid as hb
    >>> y, pull = hb.vjp(lambda x: x * x, hb.asarray([1.0, 2.0]))
    >>> pull(hb.asarray([1.0, 10.0]))
    (Tensor([ 2., 40.], dtype=float32),)
    """
    inner, sources = _sources(primals, tuple(range(len(primals))))
    with GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(sources)
        result, aux = _parted(function(*inner), has_aux)

    def pull(gradient: Any) -> tuple[Any, ...]:
        found = tape.gradient(result, sources, gradient)
        return tuple(_with_zeros(function, tape, sources, found))

    return (result, pull, aux) if has_aux else (result, pull)


def linearize(function: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """Run a function and return its derivative at that point, a linear function of the tangents.

    Parameters
    ----------
    function : callable
        Of Tensors, or nested containers of them; so is its result.
    *primals
        Its arguments.

    Returns
    -------
    result
    push : callable
        Takes one tangent per primal and gives the tangent of the result; it may be called any
        number of times and does not run `function` again.

    Notes
    -----
    The derivative is the transpose of the reverse mode: ``pull`` is linear, and the gradient of a
    linear function is its transpose. So every op with a gradient has a forward derivative.

    Examples
    --------
    >>> import hybrid as hb
    >>> y, push = hb.linearize(hb.square, hb.asarray(3.0))
    >>> push(hb.asarray(2.0))
    Tensor(12., dtype=float32)
    """
    result, pull = vjp(function, *primals)
    for x in containers.leaves_of(result):
        if not isinstance(x, Tensor | Variable):
            raise no_target("linearize, jvp: what the function returns", x)
    # Of ones, though of a linear function any will do: the rules of eigenvectors ask which are 0.
    seeds = containers.map_leaves(lambda x: ones(x.shape, dtype=x.dtype, device=x.device), result)
    with GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(seeds)
        pulled = pull(seeds)

    def push(*tangents: Any) -> Any:
        given = _tangents(primals, tangents)
        return tape.gradient(pulled, seeds, given, unconnected_gradients="zero")

    return result, push


def jvp(
    function: Callable[..., Any],
    primals: Sequence[Any],
    tangents: Sequence[Any],
) -> tuple[Any, Any]:
    """Return the value of a function and its derivative in a direction.

    Parameters
    ----------
    function : callable
    primals : sequence
        The arguments.
    tangents : sequence
        For each argument the direction, of the same structure and shapes.

    Returns
    -------
    result, tangent
        What `function` returns, and the derivative, of the same structure.

    Examples
    --------
    >>> import hybrid as hb
    >>> hb.jvp(hb.sin, (hb.asarray(0.0),), (hb.asarray(2.0),))
    (Tensor(0., dtype=float32), Tensor(2., dtype=float32))
    """
    _same_length("jvp", primals, tangents)
    result, push = linearize(function, *primals)
    return result, push(*tangents)


def hvp(
    function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Any, ...]:
    """Return the product of the Hessian of `function` with a vector, without the Hessian.

    Parameters
    ----------
    function : callable
        Returns a real number.
    primals, tangents : sequence
        The arguments, and the vector in parts like them.

    Returns
    -------
    tuple
        One part per argument.

    Examples
    --------
    >>> import hybrid as hb
    >>> x = hb.asarray([1.0, 2.0])
    >>> hb.hvp(lambda x: (x**3).sum(), (x,), (hb.ones(2),))
    (Tensor([ 6., 12.], dtype=float32),)
    """
    _same_length("hvp", primals, tangents)
    # The Hessian is its own transpose: what comes back through the gradient is the product.
    _, pull = vjp(grad(function, tuple(range(len(primals)))), *primals)
    return tuple(pull(_tangents(primals, tangents)))


# --- arguments and results ------------------------------------------------------------------------


def _sources(args: Sequence[Any], argnums: ArgNums) -> tuple[list[Any], list[Any]]:
    """Return the arguments to call the function with, and the parts to differentiate by."""
    inner = list(args)
    chosen = _numbers(argnums)
    for n in chosen:
        if not -len(args) <= n < len(args):
            count = len(args)
            raise ValueError(
                f"argnums={argnums}: the function is called with {count} positional "
                f"argument{'s' if count != 1 else ''}, counted from 0"
            )
        inner[n] = containers.map_leaves(_own, inner[n])
    return inner, [inner[n] for n in chosen]


def _numbers(argnums: ArgNums) -> tuple[int, ...]:
    return (argnums,) if isinstance(argnums, int) else tuple(argnums)


def _own(x: Any) -> Tensor:
    """Return a Tensor of its own for an argument: one Tensor may be passed in several places."""
    of = type(x)  # asking a number of a trace for its attributes would end that
    if of.__dictoffset__ and not (hasattr(of, "shape") or hasattr(of, "__float__")):
        kind = of.__name__
        text = f"grad takes Tensors and containers of them, not {kind}"
        raise TypeError(located(f"{text}; hb.register_container says what it holds"))
    tensor = x.read() if isinstance(x, Variable) else asarray(x)
    if not is_inexact(tensor.dtype):
        raise GradientError(
            located(
                f"an argument of dtype {tensor.dtype.name} has no gradient; convert it to a "
                "floating-point dtype, or leave it out of argnums"
            )
        )
    own = reshape(tensor, tensor.shape)
    if dispatch.state.recorder is not None:
        dispatch.state.recorder.note_own(own)
    return own


def _with_zeros(
    function: Callable[..., Any], tape: GradientTape, sources: Any, gradients: Any
) -> Any:
    """Return gradients with zeros where there is none; warn where numbers were taken for all."""
    found = containers.leaves_of(gradients)
    if tape.taken is not None and all(g is None for g in found):
        code = getattr(function, "__code__", None)
        if code is None or not is_framework(code):  # a hessian's own has been told of by then
            warn_of_nothing(getattr(function, "__name__", type(function).__name__), tape.taken)
    return answer(sources, found, "zero")


def _parted(result: Any, has_aux: bool) -> tuple[Any, Any]:
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        raise TypeError(located(f"has_aux: (result, aux) is expected, not {type(result).__name__}"))
    return result


def _real_number(value: Any) -> Tensor:
    if value is None:
        raise GradientError(
            located("grad: the function returns None; it is to return one real number")
        )
    if isinstance(value, dict) or (isinstance(value, tuple | list) and len(value) != 1):
        raise GradientError(
            located(
                f"grad: the function returns a {type(value).__name__}; a gradient is of one real "
                "number. To give more beside it, return (loss, more) and set has_aux=True"
            )
        )
    try:
        tensor = value.read() if isinstance(value, Variable) else asarray(value)
    except DTypeError:
        text = (
            f"grad: the function returns a {type(value).__name__}; it is to return one real number"
        )
        raise GradientError(located(text)) from None
    if tensor.size != 1 or tensor.dtype.kind in "biuc":
        raise GradientError(
            located(
                f"grad: the function returns {tensor.dtype.name}{list(tensor.shape)}; a gradient "
                "is of one real number. Sum it, or take hb.jacobian or hb.vjp"
            )
        )
    return tensor


def _by_argument(gradients: list[Any], argnums: ArgNums) -> Any:
    return gradients[0] if isinstance(argnums, int) else tuple(gradients)


def _same_length(name: str, primals: Sequence[Any], tangents: Sequence[Any]) -> None:
    if isinstance(primals, Tensor) or isinstance(tangents, Tensor):
        raise TypeError(f"{name}: primals and tangents are tuples, one entry per argument")
    if len(primals) != len(tangents):
        raise ValueError(f"{name}: {len(primals)} primals but {len(tangents)} tangents")


def _tangents(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, ...]:
    """Return tangents as Tensors of the dtypes and shapes of the primals."""
    points, tree = containers.flatten(tuple(primals))
    try:
        given = tree.flatten_up_to(tuple(tangents))
    except ValueError as error:
        raise ValueError("the tangents must nest as the primals do") from error
    pairs = zip(points, given, strict=True)
    fitted = [None if p is None else _tangent(asarray(p), asarray(t)) for p, t in pairs]
    return tuple(containers.unflatten(tree, fitted))


def _tangent(primal: Tensor, tangent: Tensor) -> Tensor:
    if tangent.shape not in (primal.shape, ()):
        raise ShapeError(
            located(f"a tangent of shape {tangent.shape} for an argument of shape {primal.shape}")
        )
    return broadcast_to(tangent.astype(primal.dtype, copy=False), primal.shape)
