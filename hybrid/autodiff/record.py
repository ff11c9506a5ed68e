"""What a tape knows: nodes that hang on Tensors, and the values that gradients will need.

The record is not a list that a tape owns: each Tensor made from a watched one carries a
:class:`TapeNode` that points to the nodes of its inputs. What no Tensor reaches any more is freed
by itself. Nodes are shared by all the tapes that are open, each node naming the tapes that recorded
it.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from hybrid.core import dispatch
from hybrid.core.op import Attrs, Op
from hybrid.core.storage import Chain, Snapshot
from hybrid.core.tensor import Symbol, Tensor, wrap
from hybrid.dtypes import is_inexact

_sequence = itertools.count()

Tapes = frozenset[int]
NONE: Tapes = frozenset()


class Saved:
    """An input or output as it was when the op ran, whatever is written to its memory later."""

    __slots__ = ("chain", "data", "node", "snapshot")

    def __init__(self, tensor: Tensor) -> None:
        self.data = tensor._data
        self.node = tensor._node
        self.snapshot: Snapshot | None = None
        self.chain: Chain = ()
        if type(self.data) is not Symbol:
            alias = dispatch.own_alias(tensor)
            self.snapshot = alias.storage.snapshot()
            self.chain = alias.chain

    def restore(self) -> Tensor:
        """Return the saved contents as a Tensor that still knows where it came from."""
        data = self.data
        if type(data) is Symbol:
            data = data if data.array is None else data.array
        elif self.snapshot is not None and self.snapshot.array is not None:
            data = self.snapshot.array
            for op, attrs in self.chain:
                data = op.eager(np, data, **attrs)
        tensor = wrap(data)
        tensor._node = self.node
        return tensor


class TapeNode:
    """One recorded application of an op, or (with `op` None) a watched Tensor."""

    __slots__ = (
        "attrs", "inputs", "op", "outputs", "parents", "sequence", "tapes", "watchers"
    )  # fmt: skip

    def __init__(
        self,
        op: Op | None,
        attrs: Attrs,
        inputs: tuple[Any, ...],
        parents: tuple[Any, ...],
        tapes: Tapes,
    ) -> None:
        self.op = op
        self.attrs = attrs
        self.inputs = inputs
        self.parents = parents
        self.outputs: tuple[Saved, ...] = ()
        self.tapes = tapes
        self.watchers: Tapes = NONE
        self.sequence = next(_sequence)

    @property
    def stays(self) -> bool:
        """Whether a write in place that is not recorded leaves the node where it is."""
        return False


class PartNode:
    """One result of a node whose op has several."""

    __slots__ = ("index", "node", "watchers")

    def __init__(self, node: TapeNode, index: int) -> None:
        self.node = node
        self.index = index
        self.watchers: Tapes = NONE

    stays = False

    @property
    def tapes(self) -> Tapes:
        """The tapes that recorded the node."""
        return self.node.tapes

    @property
    def sequence(self) -> float:
        """Just after the node itself, so that its parts are visited first."""
        return self.node.sequence + 0.5


AnyNode = TapeNode | PartNode


def begin(tensor: Tensor, node: TapeNode) -> None:
    """Make `node` the start of what is recorded of a Tensor, whichever alias of it is written."""
    tensor._node = node
    alias = tensor._alias
    if alias is None:
        return
    if alias.chain:
        alias.storage.watched.append(weakref.ref(tensor))
    else:
        alias.storage.node = node


def node_of(tensor: Tensor) -> Any:
    dispatch.refresh(tensor)
    return tensor._node


def own_output(tensor: Tensor) -> Saved:
    saved = Saved(tensor)
    saved.node = None  # the node itself: stored here it would be a reference cycle
    return saved


def restore_output(node: TapeNode, i: int) -> Tensor:
    tensor = node.outputs[i].restore()
    assert node.op is not None
    if is_inexact(tensor.dtype):
        tensor._node = PartNode(node, i) if node.op.multi else node
    return tensor


def now() -> int:
    """Return a mark: nodes made later have a higher sequence."""
    return next(_sequence)


def boundary(results: Iterable[Tensor], start: int) -> list[Tensor]:
    """Return what the record of `results` since `start` depends on: watched or made before.

    Parameters
    ----------
    results : iterable of Tensor
    start : int
        A mark from :func:`now`.

    Returns
    -------
    list of Tensor
        One for each node, with the contents that were used.
    """
    found: dict[int, Tensor] = {}
    seen: set[int] = set()
    pending: list[AnyNode] = []

    def visit(node: AnyNode, tensor: Callable[[], Tensor]) -> None:
        if node.sequence < start or (type(node) is TapeNode and node.op is None):
            found.setdefault(id(node), tensor())
        elif id(node) not in seen:
            seen.add(id(node))
            pending.append(node)

    for result in results:
        if result._node is not None:
            visit(result._node, lambda result=result: result)  # type: ignore[misc]
    while pending:
        last = pending.pop()
        node = last.node if isinstance(last, PartNode) else last
        for parent, saved in zip(node.parents, node.inputs, strict=True):
            if parent is not None:
                visit(parent, saved.restore)
    return list(found.values())
