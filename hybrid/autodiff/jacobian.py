"""Jacobians and Hessians: the derivative of every result by every argument."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from itertools import accumulate
from typing import Any, Literal

from hybrid.autodiff.transforms import ArgNums, grad, linearize, vjp
from hybrid.autodiff.vmap import vmap
from hybrid.core import containers
from hybrid.core.making import asarray
from hybrid.core.source import located
from hybrid.core.tensor import Tensor
from hybrid.dtypes import is_inexact
from hybrid.errors import GradientError
from hybrid.ops.permuting import moveaxis
from hybrid.ops.reshaping import reshape
from hybrid.ops.slicing import split
from hybrid.ops.unit_matrices import eye

Mode = Literal["auto", "forward", "reverse"]


def jacobian(
    function: Callable[..., Any], argnums: ArgNums = 0, mode: Mode = "auto"
) -> Callable[..., Any]:
    """Return a function that gives the Jacobian of `function`.

    Parameters
    ----------
    function : callable
    argnums : int or sequence of int
        The positional arguments to differentiate by; each may be a nested container.
    mode : {"auto", "forward", "reverse"}
        One pass per element of the arguments, or one per element of the result, all passes of
        a mode at once as a batch. "auto" takes whichever are fewer.

    Returns
    -------
    callable
        For each leaf of the result a container like the argument (a tuple for several), of Tensors
        of shape ``(*result.shape, *argument.shape)``.

    Raises
    ------
    GradientError
        If a result or an argument is not real floating-point.

    Examples
    --------
    >>> import hybrid as hb
    >>> hb.jacobian(lambda x: x * x)(hb.asarray([1.0, 2.0]))
    Tensor([[2., 0.],
            [0., 4.]], dtype=float32)
    """
    if mode not in ("auto", "forward", "reverse"):
        raise ValueError(f'jacobian: mode is "auto", "forward" or "reverse", not {mode!r}')

    @wraps(function)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)

        def by_chosen(*chosen: Any) -> Any:
            given = list(args)
            for n, x in zip(numbers, chosen, strict=True):
                given[n] = x
            return function(*given, **kwargs)

        blocks, tree, given = _blocks(by_chosen, tuple(args[n] for n in numbers), mode)
        rows = [containers.unflatten(given, row) for row in blocks]
        one = isinstance(argnums, int)
        return containers.unflatten(tree, [row[0] if one else row for row in rows])

    return differentiated


def hessian(function: Callable[..., Any], argnums: ArgNums = 0) -> Callable[..., Any]:
    """Return a function that gives the Hessian of `function`, which returns a real number.

    Parameters
    ----------
    function : callable
    argnums : int or sequence of int
        For several, the result is a tuple of tuples: second derivatives by each pair.

    Examples
    --------
    >>> import hybrid as hb
    >>> hb.hessian(lambda x: (x**3).sum())(hb.asarray([1.0, 2.0]))
    Tensor([[ 6.,  0.],
            [ 0., 12.]], dtype=float32)
    """
    return jacobian(grad(function, argnums), argnums, mode="reverse")


# --- both modes -----------------------------------------------------------------------------------

Blocks = list[list[Tensor]]
"""For each leaf of the result, for each leaf of the arguments, the Jacobian."""


def _blocks(
    function: Callable[..., Any], args: tuple[Any, ...], mode: Mode
) -> tuple[Blocks, Any, Any]:
    """Return the blocks, and the structures of the result and of the arguments."""
    result, pull = vjp(function, *args)
    results, tree = containers.flatten(result)
    results = [_real(x) for x in results]
    points, given = containers.flatten(args)
    points = [_real(x) for x in points]
    if mode == "auto":
        forward = sum(x.size for x in points) < sum(x.size for x in results)
        mode = "forward" if forward else "reverse"
    if mode == "reverse":
        found = vmap(pull)(containers.unflatten(tree, _units(results)))
        return _by_result(containers.leaves_of(found), results, points), tree, given
    _, push = linearize(function, *args)
    found = vmap(push)(*containers.unflatten(given, _units(points)))
    return _by_point(containers.leaves_of(found), results, points), tree, given


def _units(leaves: list[Tensor]) -> list[Tensor]:
    """Return all unit vectors of what the leaves hold together, as batches of leaves."""
    total = sum(x.size for x in leaves)
    found, start = [], 0
    for x in leaves:
        block = eye(total, x.size, k=-start, dtype=x.dtype, device=x.device)
        found.append(reshape(block, (total, *x.shape)))
        start += x.size
    return found


def _rows(batch: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    """Divide a batch of all unit vectors by the leaf that each belongs to."""
    ends = list(accumulate(x.size for x in leaves))
    return split(batch, ends[:-1], axis=0)


def _by_result(pulled: list[Tensor], results: list[Tensor], points: list[Tensor]) -> Blocks:
    columns = [_rows(batch, results) for batch in pulled]
    return [
        [
            reshape(column[i], (*leaf.shape, *x.shape))
            for column, x in zip(columns, points, strict=True)
        ]
        for i, leaf in enumerate(results)
    ]


def _by_point(pushed: list[Tensor], results: list[Tensor], points: list[Tensor]) -> Blocks:
    return [
        [
            reshape(moveaxis(part, 0, -1), (*leaf.shape, *x.shape))
            for part, x in zip(_rows(batch, points), points, strict=True)
        ]
        for batch, leaf in zip(pushed, results, strict=True)
    ]


def _real(x: Any) -> Tensor:
    tensor = asarray(x)
    if not is_inexact(tensor.dtype) or tensor.dtype.kind == "c":
        raise GradientError(
            located(
                f"jacobian: {tensor.dtype.name}{list(tensor.shape)} is not real floating-point; "
                "take real and imaginary parts apart, or leave it out"
            )
        )
    return tensor
