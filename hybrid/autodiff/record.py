"""Recording: nodes hung on the results of ops, and read again when a gradient is asked for."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np

from hybrid.autodiff.needs import Needs, needs_of
from hybrid.autodiff.nodes import (
    NONE,
    AnyNode,
    FactorsNode,
    Form,
    Mark,
    PairNode,
    PartNode,
    TapeNode,
    Tapes,
    kept,
    restored,
)
from hybrid.core import dispatch
from hybrid.core.aliases import own_alias
from hybrid.core.op import Attrs, Op
from hybrid.core.spec import TensorSpec
from hybrid.core.storage import SAVED, Alias
from hybrid.core.tensor import Tensor, wrap
from hybrid.dtypes import is_inexact

# --- recording ------------------------------------------------------------------------------------

_forms: dict[Any, Form] = {}
_tokens: dict[Any, tuple[int, dict[Any, Form]]] = {}
_FORMS_KEPT = 4096

_epochs = itertools.count(1)
_epoch = 0


def now() -> int:
    """Return a mark: forms of nodes made later have an epoch as high or higher."""
    global _epoch
    _epoch = next(_epochs)
    return _epoch


def source_node(spec: TensorSpec) -> TapeNode:
    """Return the node of a Tensor that is watched, though nothing is known of how it was made."""
    form = Form(None, {}, (), (spec,), (), (), _epoch)
    if dispatch.state.recorder is None:
        form = _with_token(form)
    return TapeNode(form, None, None, NONE)


def record(op: Op, inputs: tuple[Any, ...], attrs: Attrs, outputs: Any) -> None:
    """Hang a node on the results of an op if an open tape watches one of its inputs.

    Written for speed: it is what a tape adds to each op. One of a single Tensor finds its form by
    that of the Tensor, others by the whole of what they are applied to.
    """
    state = dispatch.state
    if len(inputs) != 1 or op.multi or op.family == "control" or state.recorder is not None:
        _record_any(state, op, inputs, attrs, outputs)
        return
    x = inputs[0]
    node = x._node if type(x) is Tensor else None
    if node is None:
        return
    if type(node) is PartNode:
        _record_any(state, op, inputs, attrs, outputs)
        return
    mark = node.mark
    wanted = state.seen_by[mark.tapes]
    if not wanted:
        return
    data, after = outputs._data, mark.form.after
    key = (op, data.shape, data.dtype, *attrs.items())
    form = after.get(key)
    if form is None or form.epoch != _epoch:
        form = _record_any(state, op, inputs, attrs, outputs)
        if form is not None:
            after[key] = form
    elif form.inexact:
        _hang(form, inputs, outputs, node, wanted)


def _record_any(
    state: Any, op: Op, inputs: tuple[Any, ...], attrs: Attrs, outputs: Any
) -> Form | None:
    """Do what `record` does for any op; return the form, if anything is recorded."""
    seen_by = state.seen_by
    wanted: Tapes = NONE
    nodes: list[AnyNode] = []
    key: list[Any] = [op, _epoch]
    for x in inputs:
        if type(x) is Tensor:
            node = x._node
            if node is None:
                key.append((x._data.shape, x._data.dtype))
                continue
            nodes.append(node)
            if type(node) is PartNode:
                key.append(spec_of_node(node))
                seen = seen_by[node.tapes]
            else:
                mark = node.mark
                key.append(mark.form.token)
                seen = seen_by[mark.tapes]
            if seen is not wanted:
                wanted = _union(wanted, seen, seen_by.open) if wanted else seen
        else:
            key.append(type(x))
    if not wanted:
        return None
    if state.recorder is not None:
        form = _form_of(op, inputs, attrs, outputs)
    elif op.family == "control":  # attrs with graphs in them, which nobody else is to keep alive
        form = _with_token(_form_of(op, inputs, attrs, outputs))
    else:
        key += attrs.items()
        if op.compute is None:  # otherwise the result follows from inputs and attrs
            key += [(x._data.shape, x._data.dtype) for x in (outputs if op.multi else (outputs,))]
        place = tuple(key)
        form = _forms.get(place) or _intern(place, _form_of(op, inputs, attrs, outputs))
    if op.multi:
        _hang_parts(form, inputs, outputs, nodes, wanted)
    elif form.inexact:
        parents = nodes[0] if len(nodes) == 1 else tuple(nodes)
        _hang(form, inputs, outputs, parents, wanted)
    return form


def _hang(form: Form, inputs: tuple[Any, ...], out: Tensor, parents: Any, wanted: Tapes) -> None:
    node: TapeNode = _new(TapeNode)
    mark = form.mark
    node.mark = mark if mark.tapes is wanted else form.marked(wanted)
    node.parents = parents
    out._node = node  # first: a result that is kept gets a Storage, which has its node
    if out._link is not None:
        _tell_memory(out, node)
    node.saved = _saved(form.kept, inputs, (out,)) if form.kept else None


_new = object.__new__


def record_one(
    taping: Any, node: AnyNode, key: Any, op: Op, inputs: tuple[Any, ...], out: Tensor
) -> None:
    """Do what `record` does for an elementwise op of one Tensor with a node, in eager code.

    Parameters
    ----------
    taping : mapping
        ``state.taping``.
    node : node
    key : object
        What tells `op`, and the inputs beside that Tensor, from others.
    op : Op
    inputs : tuple
    out : Tensor
    """
    if type(node) is PartNode:
        record(op, inputs, {}, out)
        return
    mark: Mark = node.mark  # type: ignore[union-attr]
    form = mark.form.after.get(key)
    if form is None or form.epoch != _epoch:
        record(op, inputs, {}, out)
        _remember(node, key, out)
        return
    tapes = mark.tapes
    if tapes is not taping.open:
        tapes = taping[tapes]
        if not tapes:
            return
    mark = form.mark
    made = _new(TapeNode)
    made.mark = mark if mark.tapes is tapes else form.marked(tapes)
    made.parents = node
    out._node = made
    place = form.place
    if place is None:
        made.saved = _saved(form.kept, inputs, (out,)) if form.kept else None
    elif place < 0:  # nobody else has seen it yet
        out._link = SAVED
        made.saved = out._data
    else:
        x = inputs[place]
        made.saved = x._data if type(x) is Tensor and x._link is SAVED else kept(x)


def record_two(taping: Any, op: Op, x: Tensor, y: Tensor, out: Tensor) -> None:
    """Do what `record` does for an elementwise op of two Tensors, in eager code."""
    left, right = x._node, y._node
    if left is None or right is None:
        if left is not None:
            data = y._data
            record_one(taping, left, (op, data.shape, data.dtype), op, (x, y), out)
        elif right is not None:
            data = x._data
            record_one(taping, right, (data.shape, data.dtype, op), op, (x, y), out)
        return
    whole = type(left) is not PartNode and type(right) is not PartNode
    key = (op, right.form.token)
    form = left.mark.form.after.get(key) if whole else None
    if form is None or form.epoch != _epoch:
        record(op, (x, y), {}, out)
        if whole:
            _remember(left, key, out)
        return
    tapes = taping.open
    if left.mark.tapes is not tapes and right.mark.tapes is not tapes:
        tapes = _union(taping[left.tapes], taping[right.tapes], tapes)
        if not tapes:
            return
    mark = form.mark
    if mark.tapes is not tapes:
        mark = form.marked(tapes)
    places = form.kept
    if places == _BOTH:  # products
        made: PairNode = _new(FactorsNode)
        made.saved = x._data if x._link is SAVED else kept(x)
        made.more = y._data if y._link is SAVED else kept(y)  # type: ignore[attr-defined]
    else:
        made = _new(PairNode)
        made.saved = None
    made.mark = mark
    made.parents = left
    made.other = right
    out._node = made
    if places and places != _BOTH:
        made.saved = _saved(places, (x, y), (out,))


_BOTH = (0, 1)


def _remember(node: AnyNode, key: Any, out: Tensor) -> None:
    """Let the next such op find its form by that of what it is applied to."""
    made = out._node
    if isinstance(node, TapeNode) and isinstance(made, TapeNode):
        node.form.after[key] = made.form


def _union(some: Tapes, more: Tapes, whole: Tapes) -> Tapes:
    """Return both; `whole` itself where they are all: one set for all nodes, soon compared."""
    both = some | more
    return whole if len(both) == len(whole) else both


def _saved(places: tuple[int, ...], inputs: Any, outputs: tuple[Tensor, ...]) -> Any:
    """Return what a node keeps, as :class:`TapeNode` says."""
    if len(places) == 1:
        (i,) = places
        x = inputs[i] if i >= 0 else outputs[~i]
        return kept(x) if type(x) is Tensor else x
    return tuple([kept(inputs[i] if i >= 0 else outputs[~i]) for i in places])


def _hang_parts(
    form: Form, inputs: Any, outputs: tuple[Tensor, ...], nodes: list[AnyNode], wanted: Tapes
) -> None:
    places = [i for i, spec in enumerate(form.outputs) if is_inexact(spec.dtype)]
    if not places:
        return
    parents = nodes[0] if len(nodes) == 1 else tuple(nodes)
    node = TapeNode(form, parents, None, wanted)
    for i in places:
        part = outputs[i]._node = PartNode(node, i)
        if outputs[i]._link is not None:
            _tell_memory(outputs[i], part)
    node.saved = _saved(form.kept, inputs, outputs)


def _tell_memory(result: Tensor, node: AnyNode) -> None:
    """Let memory that a result came with know its node: a trace notes there how NumPy lays it out.

    What is written to the result, or to a view of it, goes by the node of the memory.
    """
    link = result._link
    if type(link) is Alias:
        if not link.chain:
            link.storage.node = node
    elif type(link) is tuple and link[2] == ():  # a view has None: its memory is another's
        link[0].node = node


def record_from(op: Op, sources: list[AnyNode], outputs: tuple[Tensor, ...]) -> None:
    """Hang a node on results that were computed from the Tensors of `sources`."""
    seen_by = dispatch.state.seen_by
    wanted = NONE.union(*(seen_by[node.tapes] for node in sources))
    specs = tuple(map(spec_of_node, sources))
    results = tuple(x.spec for x in outputs)
    form = Form(op, {}, specs, results, tuple(range(len(sources))), (), _epoch)
    _hang_parts(form, (), outputs, sources, wanted)


def spec_of_node(node: AnyNode) -> TensorSpec:
    """Return the spec of the Tensor that a node stands for."""
    return node.form.outputs[node.index if isinstance(node, PartNode) else 0]


def _intern(key: Any, form: Form) -> Form:
    if len(_forms) >= _FORMS_KEPT:
        _forms.clear()
        for _, after in _tokens.values():
            after.clear()
    _forms[key] = _with_token(form)
    return form


def _with_token(form: Form) -> Form:
    """Give a form of eager code the token of those whose results look the same."""
    if not form.outputs:
        return form
    spec = form.outputs[0]
    if len(_tokens) >= _FORMS_KEPT:
        _tokens.clear()
    known = _tokens.setdefault((spec.shape, spec.dtype, spec.device), (form.token, form.after))
    form.token, form.after = known
    return form


def _form_of(op: Op, inputs: tuple[Any, ...], attrs: Attrs, outputs: Any) -> Form:
    results = outputs if op.multi else (outputs,)
    tracked = tuple(i for i, x in enumerate(inputs) if type(x) is Tensor and x._node is not None)
    needs: Needs = needs_of(op, len(inputs), tracked)
    places = [i for i in range(len(inputs)) if i in needs.inputs]
    if needs.output:
        places += [~i for i in range(len(results))]
    return Form(
        op,
        attrs,
        tuple(x.spec if type(x) is Tensor else None for x in inputs),
        tuple(x.spec for x in results),
        tracked,
        tuple(places),
        _epoch,
    )


# --- reading --------------------------------------------------------------------------------------


def restore(node: TapeNode) -> tuple[list[Any], list[Any]]:
    """Return inputs and results of a node; what was not kept is only a spec."""
    form = node.form
    inputs: list[Any] = list(form.inputs)
    outputs: list[Any] = list(form.outputs)
    if not form.kept:
        return inputs, outputs
    # Where nothing records, nobody asks how a value came about.
    bare = dispatch.state.plain
    sources = dict(zip(form.tracked, node.sources(), strict=True))
    for i, value in zip(form.kept, node.values(), strict=True):
        about = sources.get(i) if i >= 0 else _result_node(node, ~i)
        if type(value) is np.ndarray and about is not None:
            found = _as_it_was(value, about, bare)
        else:
            found = restored(value, None if bare else about)
        if i >= 0:
            inputs[i] = found
        else:
            outputs[~i] = found
    return inputs, outputs


def _as_it_was(array: Any, node: Any, bare: bool) -> Tensor:
    """Return the Tensor that a node stands for, of which another one holds the array."""
    contents = node.mark.contents
    tensor = wrap(array if contents is None else contents)
    if not bare:
        tensor._node = node
        tensor._link = SAVED
    return tensor


def _result_node(node: TapeNode, i: int) -> AnyNode | None:
    op = node.form.op
    assert op is not None
    if not is_inexact(node.form.outputs[i].dtype):
        return None
    return PartNode(node, i) if op.multi else node


def begin(tensor: Tensor, node: AnyNode) -> None:
    """Make `node` the start of what is recorded of a Tensor, whichever alias of it is written."""
    if tensor._link is SAVED and tensor._node is not node:
        own_alias(tensor)  # who saved it looks for its contents at the node of now
    tensor._node = node
    alias = tensor._alias
    if alias is None:
        return
    if alias.chain:
        watched = alias.storage.watched
        if not any(ref() is tensor for ref in watched):
            alias.storage.watched = (*watched, weakref.ref(tensor))
    else:
        alias.storage.node = node


def follow(tensor: Tensor) -> None:
    """Let views of a Tensor that were made before know its node, once they are read.

    A view that is watched itself has a node of its own, which it would lose: then none follows.
    """
    alias = tensor._alias
    if alias is None or alias.chain or any(ref() is not None for ref in alias.storage.watched):
        return
    alias.storage.version += 1
    alias.version = alias.storage.version


def node_of(tensor: Tensor) -> Any:
    dispatch.refresh(tensor)
    return tensor._node


def depends(node: AnyNode | None, on: AnyNode) -> bool:
    """Tell whether a node is `on`, or was recorded of it."""
    pending, seen = [node], {id(None)}
    while pending:
        one = pending.pop()
        if one is on:
            return True
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            pending += (one.node if isinstance(one, PartNode) else one).sources()
    return False


def boundary(results: Iterable[Tensor], start: int) -> list[AnyNode]:
    """Return what the record of `results` since `start` depends on: watched or made before.

    Parameters
    ----------
    results : iterable of Tensor
    start : int
        A mark from :func:`now`.

    Returns
    -------
    list of node
    """
    found: dict[int, AnyNode] = {}
    pending: list[AnyNode] = [x._node for x in results if x._node is not None]
    seen: set[int] = set()
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.form.epoch < start or (isinstance(node, TapeNode) and node.form.op is None):
            found[id(node)] = node
        else:
            pending += (node.node if isinstance(node, PartNode) else node).sources()
    return list(found.values())
