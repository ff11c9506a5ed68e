"""Recording: nodes hung on the results of ops, and read again when a gradient is asked for."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterable
from typing import Any

from hybrid.autodiff.needs import Needs, needs_of
from hybrid.autodiff.nodes import NONE, AnyNode, Form, PartNode, Saved, TapeNode, Tapes
from hybrid.core import dispatch
from hybrid.core.op import Attrs, Op
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import Tensor
from hybrid.dtypes import is_inexact

# --- recording ------------------------------------------------------------------------------------

_forms: dict[Any, Form] = {}
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
    return TapeNode(Form(None, {}, (), (spec,), (), (), _epoch), None, None, NONE)


def seen_by(node: AnyNode, open_tapes: Tapes) -> Tapes:
    """Return which of the open tapes recorded or watch a node."""
    if node.tapes is open_tapes:
        return open_tapes
    return frozenset([i if i >= 0 else ~i for i in node.tapes]) & open_tapes


def record(op: Op, inputs: tuple[Any, ...], attrs: Attrs, outputs: Any) -> None:
    """Hang a node on the results of an op if an open tape watches one of its inputs."""
    state = dispatch.state
    open_tapes = state.tape_ids
    wanted: Tapes = NONE
    nodes: list[AnyNode] = []
    key: list[Any] = [op, _epoch]
    for x in inputs:
        if type(x) is Tensor:
            data = x._data
            key += (data.shape, data.dtype)
            node = x._node
            if node is not None:
                nodes.append(node)
                key.append(None)
                if node.tapes is open_tapes:
                    wanted = open_tapes
                elif wanted is not open_tapes:
                    wanted |= seen_by(node, open_tapes)
        else:
            key.append(type(x))
    if not wanted:
        return
    if len(wanted) == len(open_tapes):
        wanted = open_tapes  # one set for all nodes, which is found by identity above
    if attrs or op.compute is None or state.recorder is not None:
        form = _form_of(op, inputs, attrs, outputs)
    else:  # shape and dtype of the result follow from those of the inputs
        found = _forms.get(tuple(key))
        if found is None:
            found = _intern(tuple(key), _form_of(op, inputs, attrs, outputs))
        form = found
    if op.multi:
        _hang_parts(form, inputs, outputs, nodes, wanted)
    elif form.outputs[0].dtype.kind in "fcV":
        parents = nodes[0] if len(nodes) == 1 else tuple(nodes)
        kept = form.kept
        saved: Any = None
        if kept:
            values = [_kept(inputs[i] if i >= 0 else outputs) for i in kept]
            saved = values[0] if len(values) == 1 else tuple(values)
        outputs._node = TapeNode(form, parents, saved, wanted)


def _hang_parts(
    form: Form, inputs: Any, outputs: tuple[Tensor, ...], nodes: list[AnyNode], wanted: Tapes
) -> None:
    places = [i for i, spec in enumerate(form.outputs) if is_inexact(spec.dtype)]
    if not places:
        return
    values = tuple(_kept(inputs[i] if i >= 0 else outputs[~i]) for i in form.kept)
    saved = values[0] if len(values) == 1 else values
    node = TapeNode(form, nodes[0] if len(nodes) == 1 else tuple(nodes), saved, wanted)
    for i in places:
        outputs[i]._node = PartNode(node, i)


def record_from(op: Op, sources: list[AnyNode], outputs: tuple[Tensor, ...]) -> None:
    """Hang a node on results that were computed from the Tensors of `sources`."""
    open_tapes = dispatch.state.tape_ids
    wanted = NONE.union(*(seen_by(node, open_tapes) for node in sources))
    specs = tuple(map(spec_of_node, sources))
    results = tuple(x.spec for x in outputs)
    form = Form(op, {}, specs, results, tuple(range(len(sources))), (), _epoch)
    _hang_parts(form, (), outputs, sources, wanted)


def spec_of_node(node: AnyNode) -> TensorSpec:
    """Return the spec of the Tensor that a node stands for."""
    return node.form.outputs[node.index if isinstance(node, PartNode) else 0]


def _kept(x: Any) -> Any:
    return Saved(x) if type(x) is Tensor else x


def _intern(key: Any, form: Form) -> Form:
    if len(_forms) >= _FORMS_KEPT:
        _forms.clear()
    _forms[key] = form
    return form


def _form_of(op: Op, inputs: tuple[Any, ...], attrs: Attrs, outputs: Any) -> Form:
    results = outputs if op.multi else (outputs,)
    tracked = tuple(i for i, x in enumerate(inputs) if type(x) is Tensor and x._node is not None)
    needs: Needs = needs_of(op, len(inputs), tracked)
    kept = [i for i in range(len(inputs)) if i in needs.inputs]
    if needs.output:
        kept += [~i for i in range(len(results))]
    return Form(
        op,
        attrs,
        tuple(x.spec if type(x) is Tensor else None for x in inputs),
        tuple(x.spec for x in results),
        tracked,
        tuple(kept),
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
    sources = dict(zip(form.tracked, node.sources(), strict=True))
    for i, value in zip(form.kept, node.values(), strict=True):
        if i >= 0:
            inputs[i] = value.restore(sources.get(i)) if type(value) is Saved else value
        else:
            outputs[~i] = value.restore(_result_node(node, ~i))
    return inputs, outputs


def _result_node(node: TapeNode, i: int) -> AnyNode | None:
    op = node.form.op
    assert op is not None
    if not is_inexact(node.form.outputs[i].dtype):
        return None
    return PartNode(node, i) if op.multi else node


def begin(tensor: Tensor, node: AnyNode) -> None:
    """Make `node` the start of what is recorded of a Tensor, whichever alias of it is written."""
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


def node_of(tensor: Tensor) -> Any:
    dispatch.refresh(tensor)
    return tensor._node


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
        if node.form.epoch < start or (type(node) is TapeNode and node.form.op is None):
            found[id(node)] = node
        else:
            pending += (node.node if isinstance(node, PartNode) else node).sources()
    return list(found.values())
