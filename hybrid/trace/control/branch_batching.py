"""Branches in a vmap: where the examples disagree, each branch is computed for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid.core import dispatch
from hybrid.core.batch import Lane
from hybrid.core.graph import FuncGraph, has_effects
from hybrid.core.op import Attrs, Op
from hybrid.core.tensor import Tensor
from hybrid.trace.control.batched import applied, batched_graph, lent, selected, stream_of
from hybrid.trace.control.branch_gradient import recorded


def batch(op: Op, size: Any, lanes: Sequence[Lane], attrs: Attrs) -> tuple[Lane, ...] | None:
    """Return the results of a switch for all examples.

    One by one, which is None, where the examples disagree and a branch has effects.
    """
    index, *given = lanes
    branches: tuple[FuncGraph, ...] = attrs["branches"]
    if index.batched:
        if any(has_effects(node) for branch in branches for node in branch.nodes):
            return None
        return _chosen_by_each(index.tensor, branches, given, size)
    flags = tuple(lane.batched for lane in given)
    forced = tuple(
        map(any, zip(*(batched_graph(branch, flags, size)[1] for branch in branches), strict=True))
    )
    whole = tuple(batched_graph(branch, flags, size, forced)[0] for branch in branches)
    own = recorded(branches=whole) if dispatch.state.tapes else {"branches": whole}
    out = dispatch.bind_all(op, (index.tensor, *(x.tensor for x in given)), own)
    return tuple(Lane(x, batched=flag) for x, flag in zip(out, forced, strict=False))


def _chosen_by_each(
    index: Tensor, branches: tuple[FuncGraph, ...], given: Sequence[Lane], size: Any
) -> tuple[Lane, ...]:
    last = len(branches) - 1
    number = index.astype("int64") if index.dtype.kind == "b" else index
    taken = _taken(number, last)
    found: list[Lane] = []
    for i in taken:
        branch = branches[i]
        if len(taken) == 1:
            return tuple(applied(branch, given, size))
        mask = number <= 0 if i == 0 else number >= last if i == last else number == i
        # What the examples compute that do not take the branch may be anything.
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            results = applied(branch, lent(branch, mask, given, size), size)
        if not found:
            found = results
            continue
        streams = [_is_stream(branches, n) for n in range(len(results))]
        found = [
            selected(mask, new, old, stream=stream, size=size)
            for new, old, stream in zip(results, found, streams, strict=True)
        ]
    return tuple(found)


def _taken(number: Tensor, last: int) -> Sequence[int]:
    """Return the branches that some example takes, as far as that is known."""
    if dispatch.state.recorder is not None or not number.size:
        return range(last + 1)
    return [int(i) for i in np.unique(np.clip(number.numpy(), 0, last))]


def _is_stream(branches: Sequence[FuncGraph], output: int) -> bool:
    """Tell whether a result is the state of one generator, in whatever branch."""
    roots = {stream_of(branch, output) for branch in branches}
    return len(roots) == 1 and None not in roots
