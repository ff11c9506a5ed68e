"""vmap: a function of one example, applied to a whole batch at once.

Inside, Tensors have the shape of one example; see :mod:`hybrid.autodiff.lanes` for what stands
behind each. The ops run eagerly, are recorded in a trace or on a tape as any others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from hybrid.autodiff.batching import filled
from hybrid.autodiff.lanes import Lanes
from hybrid.core import containers, dispatch
from hybrid.core.making import asarray
from hybrid.core.operands import PYTHON_SCALARS
from hybrid.core.source import located
from hybrid.core.unknown import same
from hybrid.core.variable import Variable
from hybrid.errors import ShapeError, TraceError
from hybrid.ops.permuting import moveaxis


def vmap(
    function: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0, axis_size: int | None = None
) -> Callable[..., Any]:
    """Map a function of one example over batches.

    Parameters
    ----------
    function : callable
        Takes and returns Tensors, or nested containers of them, for one example.
    in_axes : int, None or nested container of them
        For each positional argument (or leaf of it) the axis that holds the examples; None hands
        the argument to every example. Keyword arguments are mapped over axis 0.
    out_axes : int, None or nested container of them
        Where the results get the axis; None for a result that all examples share.
    axis_size : int, optional
        How many examples there are, where no argument tells.

    Returns
    -------
    callable
        With the arguments of `function`. What it writes into its arguments is written; random
        numbers are drawn for each example.

    Raises
    ------
    ShapeError
        If arguments disagree about the number of examples.
    TraceError
        If Python needs a value that differs between examples (``if``, ``float``).

    Examples
    --------
    >>> import hybrid as hb
    >>> rows = hb.reshape(hb.arange(6.0), (2, 3))
    >>> hb.vmap(lambda row, scale: (row * scale).sum(), in_axes=(0, None))(rows, 10.0)
    Tensor([ 30., 120.], dtype=float32)
    """

    @wraps(function)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        leaves, tree = containers.flatten((args, kwargs))
        named = containers.paths((args, kwargs))
        axes = _axes_of(in_axes, args, kwargs)
        batches = [_fronted(*each) for each in zip(leaves, axes, named, strict=True)]
        lanes = Lanes(_batch_size(batches, axes, axis_size, named))
        given = [
            x if axis is None else lanes.argument(x) for x, axis in zip(batches, axes, strict=True)
        ]
        with dispatch.scope(recorder=lanes, tapes=()):
            inner_args, inner_kwargs = containers.unflatten(tree, given)
            try:
                result = function(*inner_args, **inner_kwargs)
            except ValueError as error:
                if isinstance(error.__cause__, TraceError):  # NumPy puts words of its own around
                    raise error.__cause__ from None
                raise
            answer = _collected(lanes, result, out_axes)
            lanes.deliver_writes()
        lanes.close()
        return answer

    return mapped


def _axes_of(in_axes: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[int | None]:
    """Return one axis for each leaf of the arguments."""
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    try:
        spread = containers.broadcast_prefix(in_axes, args)
    except ValueError as error:
        text = f"vmap: in_axes={in_axes!r} does not nest as the {len(args)} arguments do"
        raise ValueError(located(text)) from error
    return containers.leaves_of((spread, containers.broadcast_prefix(0, kwargs)))


def _written(path: tuple[Any, ...]) -> str:
    """Write where a leaf of the arguments is: ``argument 0['w']``."""
    part, name, *rest = path
    root = f"argument {name}" if part == 0 else str(name)
    return root + "".join(f"[{key!r}]" for key in rest)


def _fronted(x: Any, axis: int | None, path: tuple[Any, ...]) -> Any:
    """Return an argument with its examples along the first axis."""
    if axis is None:
        return x
    if isinstance(x, PYTHON_SCALARS) or not hasattr(x, "shape"):
        known = isinstance(x, (*PYTHON_SCALARS, str)) or x is None
        what = repr(x) if known else f"of type {type(x).__name__}"
        way_out = "give None for it in in_axes"
        if type(x).__dictoffset__:
            way_out += ", or hb.register_container its class for what it holds"
        raise TypeError(
            located(f"vmap: {_written(path)} is {what}, which has no axis to map over; {way_out}")
        )
    tensor = x.read() if isinstance(x, Variable) else asarray(x)
    if not -tensor.ndim <= axis < tensor.ndim:
        raise ShapeError(
            located(f"vmap: {_written(path)} has shape {tensor.shape}, which has no axis {axis}")
        )
    return tensor if axis == 0 else moveaxis(tensor, axis, 0)


def _batch_size(
    batches: list[Any], axes: list[int | None], given: int | None, named: list[tuple[Any, ...]]
) -> int:
    sizes = {
        _written(path): x.shape[0]
        for x, axis, path in zip(batches, axes, named, strict=True)
        if axis is not None
    }
    if given is not None:
        sizes["axis_size"] = given
    if not sizes:
        raise ValueError(located("vmap: no argument has an axis to map over; say axis_size"))
    size, *others = sizes.values()
    if not all(same(size, other) or size == other for other in others):
        text = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise ShapeError(located(f"vmap: the numbers of examples differ: {text}"))
    found: int = size
    return found


def _collected(lanes: Lanes, result: Any, out_axes: Any) -> Any:
    """Return what the mapped function gave, with the batch where the caller wants it."""
    leaves, tree = containers.flatten(result)
    if isinstance(out_axes, list):
        out_axes = tuple(out_axes)
    try:
        axes = containers.leaves_of(containers.broadcast_prefix(out_axes, result))
    except ValueError as error:
        text = f"vmap: out_axes={out_axes!r} does not nest as the result does"
        raise ValueError(located(text)) from error
    return containers.unflatten(
        tree, [_returned(lanes, x, axis) for x, axis in zip(leaves, axes, strict=True)]
    )


def _returned(lanes: Lanes, x: Any, axis: int | None) -> Any:
    if x is None or isinstance(x, str):
        return x
    lane = lanes.lane(dispatch.resolve(x))
    with lanes.outside():
        if axis is None:
            if lane.batched:
                raise ValueError(
                    located("vmap: out_axes is None for a result that differs between examples")
                )
            return lane.tensor
        full = filled(lane, lanes.size)
        if not -full.ndim <= axis < full.ndim:
            text = f"vmap: out_axes asks for axis {axis} of a result of shape {full.shape}"
            raise ShapeError(located(f"{text}, the examples included"))
        return full if axis == 0 else moveaxis(full, 0, axis)
