"""A compiled function as plain Python: with Tensors for ndarrays, as in a trace."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hybrid.core import containers
from hybrid.core.making import asarray
from hybrid.core.tensor import Tensor
from hybrid.trace.mutation import Copies, deliver, given_containers
from hybrid.trace.signature import is_numpys


def run_plainly(
    function: Callable[..., Any], bound: inspect.BoundArguments, leaves: Sequence[Any], tree: Any
) -> Any:
    """Call a function eagerly; what it is given and gives is what it would be in a trace.

    Parameters
    ----------
    function : callable
    bound : BoundArguments
        As the caller gave them.
    leaves : sequence
    tree : PyTreeSpec
        The same, flattened.
    """
    if not any(map(is_numpys, leaves)):
        return function(*bound.args, **bound.kwargs)
    given = [asarray(x) if is_numpys(x) else x for x in leaves]
    values = containers.unflatten(tree, given)
    call = inspect.BoundArguments(bound.signature, OrderedDict(zip(bound.arguments, values)))
    original = {id(t): x for t, x in zip(given, leaves) if t is not x}

    def back(found: Any) -> Any:
        return containers.map_items(lambda x: original.get(id(x), x), found, ())

    copies = Copies(values)
    own = given_containers(tuple(bound.arguments.values()))
    try:
        returned = function(*call.args, **call.kwargs)
    finally:
        for tensor, leaf in zip(given, leaves):
            write_back(tensor, leaf)
        changes = [(number, back(contents)) for number, contents in copies.changes()]
        deliver(changes, tuple(bound.arguments.values()))
    whole = {i: own[mark.number] for i, mark in copies.handed_on(returned).items()}
    if whole:
        found = original | whole
        return containers.map_items(lambda x: found.get(id(x), x), returned, whole)
    handed_on = any(id(x) in original for x in containers.leaves_of(returned))
    return back(returned) if handed_on else returned


def run_as_given(
    function: Callable[..., Any],
    bind: Callable[..., inspect.BoundArguments],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Call a function eagerly with what a caller gave it."""
    bound = bind(*args, **kwargs)
    bound.apply_defaults()
    leaves, tree = containers.flatten(tuple(bound.arguments.values()))
    return run_plainly(function, bound, leaves, tree)


def write_back(tensor: Any, leaf: Any) -> None:
    """Let the caller's ndarray have what was written to a Tensor that had to be a copy of it."""
    if type(leaf) is np.ndarray and type(tensor) is Tensor and leaf.flags.writeable:
        if not np.may_share_memory(leaf, tensor._data):
            np.copyto(leaf, tensor._data)
