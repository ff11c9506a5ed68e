"""What a tape knows: nodes that hang on Tensors, and the values that gradients will need.

The record is not a list that a tape owns: each Tensor made from a watched one carries a
:class:`TapeNode` that points to the nodes of its inputs. What no Tensor reaches any more is freed
by itself. Nodes are shared by all the tapes that are open, each node naming the tapes that recorded
it.

A node is small, for there is one for each op: what applications of one op to Tensors of the same
shapes and dtypes have in common stands in a :class:`Form`, made once, and with the tapes in a
:class:`Mark`; of the inputs and results
only those are kept that a gradient will use (:mod:`hybrid.autodiff.needs`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid.core import dispatch
from hybrid.core.aliases import own_alias
from hybrid.core.op import Attrs, Op, Rule
from hybrid.core.placed import run
from hybrid.core.spec import TensorSpec
from hybrid.core.storage import SAVED, Chain, Snapshot
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor, wrap
from hybrid.dtypes import is_inexact

Tapes = frozenset[int]
NONE: Tapes = frozenset()
Rules = tuple[tuple[Rule | None, TensorSpec], ...]


class Saved:
    """An input or output as it was when the op ran, whatever is written to its memory later."""

    __slots__ = ("chain", "data", "snapshot")

    def __init__(self, tensor: Tensor) -> None:
        self.data = tensor._data
        self.snapshot: Snapshot | None = None
        self.chain: Chain = ()
        if type(self.data) is not Symbol:
            alias = own_alias(tensor)
            self.snapshot = alias.storage.snapshot()
            self.chain = alias.chain

    def restore(self, node: Any = None) -> Tensor:
        """Return the saved contents as a Tensor; `node` says where it came from."""
        data = self.data
        if type(data) is Tensor:  # what a trace saved that gave up
            from hybrid.autodiff.joining import joined

            data, node = data._data, joined(node, data._node)
        elif type(data) is Symbol:
            data = data if data.array is None else data.array
        elif self.snapshot is not None and self.snapshot.array is not None:
            data = self.snapshot.array
            for op, attrs in self.chain:
                data = run(op, (data,), attrs)
        tensor = wrap(data)
        tensor._node = node
        if self.snapshot is not None:
            _share(tensor, self.snapshot, self.chain)
        return tensor


def _share(tensor: Tensor, snapshot: Snapshot, chain: Chain) -> None:
    """Let tapes that record a gradient keep what it was given as it was, whatever is written."""
    if snapshot.array is None and not dispatch.state.plain:
        tensor._link = snapshot.alias(tensor._node, chain)


def kept(x: Any) -> Any:
    """Return what keeps `x` as it is now: itself, where it is no Tensor.

    That is the array itself of a Tensor with a node, which is alone with its memory: should that be
    overwritten, the node is given the contents.
    """
    if type(x) is not Tensor:
        return x
    data = x._data
    link: Any = x._link
    if (link is None or link is SAVED) and type(data) is np.ndarray and type(x._node) in KEEPERS:
        x._link = SAVED
        return data
    if link is SAVED:
        return Saved(x)
    if link is None and type(data) is np.ndarray:
        made = _new(Snapshot)
        made.data = data
        made.array = None
        x._link = made
        return made
    if type(link) is Snapshot:  # nothing else shows this memory
        return link
    if type(data) is not np.ndarray:
        return Saved(x)
    storage, chain = (link[0], link[2]) if type(link) is tuple else (link.storage, link._chain)
    if chain != () or storage.base is not data:
        return Saved(x)
    return storage.snapshot()  # of whole memory, one for all who keep it


_new = object.__new__


def restored(value: Any, node: Any) -> Any:
    """Return what was kept, a Tensor with `node` where it was one."""
    if type(value) is Snapshot:
        tensor = wrap(value.contents)
        tensor._node = node
        _share(tensor, value, ())
        return tensor
    return value.restore(node) if type(value) is Saved else value


class Form:
    """What the applications of an op to inputs of the same shapes and dtypes have in common.

    Parameters
    ----------
    op : Op or None
        None for a Tensor that is watched.
    attrs : mapping
    inputs, outputs : tuple of TensorSpec
        None for what is no Tensor.
    tracked : tuple of int
        The inputs that have a node: the parents of the node, in this order.
    kept : tuple of int
        The inputs whose values a node of this form keeps; ``~i`` is the result number i.
    epoch : int
        See :func:`hybrid.autodiff.record.now`.

    Attributes
    ----------
    device : str
        Where the (first) result is, and its gradient.
    place : int or None
        Of what is kept, where that is one value.
    inexact : bool
        Whether the (first) result can have a gradient.
    rules : tuple of (rule or None, TensorSpec), or None
        How each tracked input gets its gradient, and what it is to look like, where nothing else is
        to be done.
    token : int
        The same for all forms of eager code whose (first) results have one shape, dtype and device.
    after : dict
        The forms of what was applied to the result, by op and other input; as the token is, one for
        all such forms.
    """

    __slots__ = (
        "_released",
        "after",
        "attrs",
        "device",
        "epoch",
        "inexact",
        "inputs",
        "kept",
        "mark",
        "op",
        "outputs",
        "place",
        "rules",
        "token",
        "tracked",
    )

    def __init__(
        self,
        op: Op | None,
        attrs: Attrs,
        inputs: tuple[TensorSpec | None, ...],
        outputs: tuple[TensorSpec, ...],
        tracked: tuple[int, ...],
        kept: tuple[int, ...],
        epoch: int,
    ) -> None:
        self.op = op
        self.attrs = attrs
        self.inputs = inputs
        self.outputs = outputs
        self.tracked = tracked
        self.kept = kept
        self.place = kept[0] if len(kept) == 1 else None
        self.epoch = epoch
        self.device = outputs[0].device if outputs else "cpu"
        self.inexact = bool(outputs) and is_inexact(outputs[0].dtype)
        self.rules = _rules(op, inputs, tracked)
        self.token = next(_tokens)
        self.after: dict[Any, Form] = {}
        self._released: Form | None = None
        self.mark = Mark(self, NONE)

    def marked(self, tapes: Tapes) -> Mark:
        """Return what the nodes of this form have that these tapes recorded; one for many."""
        mark = self.mark
        if mark.tapes is not tapes:
            mark = self.mark = Mark(self, tapes)
        return mark

    @property
    def released(self) -> Form:
        """What remains of the form of a node that has forgotten how it was made."""
        if self._released is None:
            self._released = Form(None, {}, (), self.outputs, (), (), self.epoch)
        return self._released


class Mark:
    """What the nodes of one form that the same tapes recorded have in common.

    `contents` is there for a single node only: the contents of the Tensor that it stands for, once
    they were overwritten.
    """

    __slots__ = ("contents", "form", "tapes")

    def __init__(self, form: Form, tapes: Tapes, contents: Any = None) -> None:
        self.form = form
        self.tapes = tapes
        self.contents = contents


_tokens = itertools.count()


def _rules(
    op: Op | None, inputs: tuple[TensorSpec | None, ...], tracked: tuple[int, ...]
) -> Rules | None:
    if op is None or op.multi or op.joint_vjp is not None or op.chosen is not None:
        return None
    if not isinstance(op.vjp, tuple):
        return None
    found = []
    for i in tracked:
        spec = inputs[i]
        assert spec is not None
        found.append((op.vjp[i], spec))
    return tuple(found)


class TapeNode:
    """One recorded application of an op, or a watched Tensor.

    `tapes` holds the numbers of the tapes that recorded it, and as ``~number`` of those that watch
    it. `parents` and `saved` are what the form says: nothing (None), one, or a tuple of several.
    An array among what is saved is that of the parent in its place, or of the result: overwritten,
    its contents are in the mark of that node.
    """

    __slots__ = ("mark", "parents", "saved")

    def __init__(self, form: Form, parents: Any, saved: Any, tapes: Tapes) -> None:
        self.mark = form.marked(tapes)
        self.parents = parents
        self.saved = saved

    @property
    def form(self) -> Form:
        """The form of the node."""
        return self.mark.form

    @property
    def tapes(self) -> Tapes:
        """The tapes that recorded or watch it."""
        return self.mark.tapes

    @tapes.setter
    def tapes(self, tapes: Tapes) -> None:
        self.mark = Mark(self.mark.form, tapes, self.mark.contents)

    @property
    def stays(self) -> bool:
        """Whether a write in place that is not recorded leaves the node where it is."""
        return False

    def holds(self, array: Any) -> bool:
        """Tell whether the node itself has saved that array."""
        return self.saved is array or type(self.saved) is tuple

    def keep(self, contents: Any) -> None:
        """Take the contents of the Tensor, which are about to be overwritten."""
        mark = self.mark
        if mark.contents is None:
            self.mark = Mark(mark.form, mark.tapes, contents)

    def sources(self) -> Sequence[AnyNode]:
        """Return the nodes of the inputs that have one."""
        n = len(self.mark.form.tracked)
        return self.parents if n > 1 else (self.parents,) if n else ()

    def values(self) -> Sequence[Any]:
        """Return what is kept."""
        n = len(self.mark.form.kept)
        return self.saved if n > 1 else (self.saved,) if n else ()

    def release(self) -> None:
        """Forget how it was made."""
        self.mark = Mark(self.mark.form.released, self.mark.tapes, self.mark.contents)
        self.parents = self.saved = None


class PairNode(TapeNode):
    """A node of two parents, which needs no tuple for them."""

    __slots__ = ("other",)

    other: Any

    def sources(self) -> Sequence[AnyNode]:
        """Return the nodes of both inputs."""
        return (self.parents, self.other) if self.mark.form.tracked else ()

    def release(self) -> None:
        """Forget how it was made."""
        super().release()
        self.other = None


class FactorsNode(PairNode):
    """A node of two parents that keeps two values."""

    __slots__ = ("more",)

    more: Any

    def values(self) -> Sequence[Any]:
        """Return what is kept."""
        return (self.saved, self.more) if self.mark.form.kept else ()

    def release(self) -> None:
        """Forget how it was made."""
        super().release()
        self.more = None


KEEPERS = frozenset((TapeNode, PairNode, FactorsNode))
"""The types of nodes that stand for one value of a Tensor: not the leaves of define-by-run."""


class PartNode:
    """One result of a node whose op has several."""

    __slots__ = ("index", "node", "tapes")

    def __init__(self, node: TapeNode, index: int) -> None:
        self.node = node
        self.index = index
        self.tapes = node.tapes

    stays = False

    @property
    def form(self) -> Form:
        """The form of the node."""
        return self.node.form


AnyNode = TapeNode | PartNode
