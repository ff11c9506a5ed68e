"""What Python can see of tapes in the middle of a traced function: their records, node by node.

Two records are the same where their ops are, applied to each other's results in the same way; the
values that they keep are where Tensors would be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from hybrid.autodiff.nodes import AnyNode, PartNode, Saved
from hybrid.autodiff.tape import GradientTape
from hybrid.core.storage import Snapshot
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor


class Hidden(Exception):
    """A record holds something whose changes would not show."""


def is_over(tape: GradientTape) -> bool:
    """Tell whether a tape gives no gradient any more."""
    return tape._used and not tape._open


def watched(tape: GradientTape) -> list[Tensor]:
    """Return the Tensors that a tape watches, and that live."""
    return [t for ref, _ in tape._watched.values() if (t := ref()) is not None]


def about(tape: GradientTape) -> tuple[Any, ...]:
    """Return what else decides what a tape does.

    Raises
    ------
    Hidden
        Where it is open.
    """
    if tape._open:
        raise Hidden
    return tape.persistent, tape.watch_accessed_variables, tape._used, tape._ended


def records(
    tapes: Iterable[GradientTape],
    tensors: Iterable[Tensor],
    number: Callable[[Any], tuple[int, bool]],
) -> Iterator[tuple[str, Any]]:
    """Yield what tapes know, from the Tensors that can be seen back to what they watch.

    Each is a value that is kept (``"value"``, a Symbol), an object that is to be the same one
    (``"same"``), or what is to be equal (``"equal"``).

    Parameters
    ----------
    tapes, tensors : iterable
        That can be seen.
    number : callable
        Numbers objects, and tells whether one was seen before.

    Raises
    ------
    Hidden
        Where a record holds something whose changes would not show.
    """
    live = {tape._id: i for i, tape in enumerate(tapes) if not is_over(tape)}
    if not live:
        return
    roots: list[AnyNode | None] = []
    for x in tensors:
        roots += [x._node, None if x._alias is None else x._alias.storage.node]
    for tape in tapes:
        if is_over(tape):
            continue
        for variable, nodes in tape._variables.items():
            yield "same", variable
            yield "equal", len(nodes)
            roots += nodes
        roots += [node for ref, node in tape._watched.values() if ref() is not None]
    yield from _walk(roots, live, number)


def _walk(
    roots: list[AnyNode | None], live: dict[int, int], number: Callable[[Any], tuple[int, bool]]
) -> Iterator[tuple[str, Any]]:
    pending = roots[::-1]
    while pending:
        node = pending.pop()
        tapes = () if node is None else _seen_by(node, live)
        if node is None or not tapes:
            yield "equal", None
            continue
        at, known = number(node)
        if known:
            yield "equal", at
            continue
        if isinstance(node, PartNode):
            yield "equal", (at, tapes, node.index)
            pending.append(node.node)
            continue
        form = node.form
        if node.mark.contents is not None:
            raise Hidden
        specs = tuple(map(str, (*form.inputs, "", *form.outputs)))
        yield "same", form.op
        yield "equal", (type(node).__name__, at, tapes, specs, form.tracked, form.kept)
        for name, value in sorted(form.attrs.items()):
            yield "equal", name
            yield ("equal", repr(value)) if _is_plain(value) else ("same", value)
        yield from map(_kept, node.values())
        pending += reversed(node.sources())


def _seen_by(node: AnyNode, live: dict[int, int]) -> tuple[tuple[int, bool], ...]:
    """Return which of some tapes recorded a node, and which watch it."""
    recorded = node.tapes | node.node.tapes if isinstance(node, PartNode) else node.tapes
    pairs = ((i, i >= 0) if i >= 0 else (~i, False) for i in recorded)
    return tuple(sorted((live[i], made) for i, made in pairs if i in live))


def _is_plain(x: Any) -> bool:
    """Tell whether the text of a value says all of it."""
    if isinstance(x, tuple):
        return all(map(_is_plain, x))
    return x is None or type(x) in (bool, int, float, complex, str) or isinstance(x, np.dtype)


def _kept(value: Any) -> tuple[str, Any]:
    if type(value) is Saved and type(value.data) is Symbol and value.data.array is None:
        return "value", value.data
    if type(value) is Snapshot and value.array is None:
        return "same", value.data
    if _is_plain(value):
        return "equal", (type(value), repr(value))
    raise Hidden
