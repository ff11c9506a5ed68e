"""GradientTape: reverse-mode differentiation of whatever runs while it is open.

The record is not a list that a tape owns: each Tensor made from a watched one carries a
:class:`TapeNode` that points to the nodes of its inputs. What no Tensor reaches any more is freed
by itself. Nodes are shared by all the tapes that are open, each node naming the tapes that recorded
it. In a trace the Tensors are traced ones, and a gradient is just more nodes of the graph.
"""

from __future__ import annotations

import heapq
import itertools
import weakref
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Literal

import numpy as np

from hybrid.core import containers, dispatch
from hybrid.core.op import Attrs, Op
from hybrid.core.spec import TensorSpec
from hybrid.core.storage import Chain, Snapshot
from hybrid.core.tensor import Symbol, Tensor, asarray, wrap
from hybrid.core.variable import Variable
from hybrid.dtypes import is_inexact
from hybrid.errors import GradientError, ShapeError

_sequence = itertools.count()
_tape_ids = itertools.count()

Tapes = frozenset[int]
_NONE: Tapes = frozenset()


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
        self.watchers: Tapes = _NONE
        self.sequence = next(_sequence)


class PartNode:
    """One result of a node whose op has several."""

    __slots__ = ("index", "node", "watchers")

    def __init__(self, node: TapeNode, index: int) -> None:
        self.node = node
        self.index = index
        self.watchers: Tapes = _NONE

    @property
    def tapes(self) -> Tapes:
        """The tapes that recorded the node."""
        return self.node.tapes

    @property
    def sequence(self) -> float:
        """Just after the node itself, so that its parts are visited first."""
        return self.node.sequence + 0.5


AnyNode = TapeNode | PartNode


class GradientTape:
    """Records operations on watched Tensors, to differentiate them afterwards.

    Parameters
    ----------
    persistent : bool
        Allow more than one call of :meth:`gradient`.
    watch_accessed_variables : bool
        Watch every trainable Variable that is read while the tape is open.

    Examples
    --------
    >>> import hybrid as hb
    >>> x = hb.asarray(3.0)
    >>> with hb.GradientTape() as tape:
    ...     tape.watch(x)
    ...     y = x * x
    >>> tape.gradient(y, x)
    Tensor(6., dtype=float32)
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self.persistent = persistent
        self.watch_accessed_variables = watch_accessed_variables
        self._id = next(_tape_ids)
        self._used = False
        self._open = False
        self._variables: dict[Variable, list[AnyNode]] = {}
        # By identity: Tensors compare elementwise, which no dictionary of them would survive.
        self._watched: dict[int, tuple[weakref.ref[Tensor], AnyNode]] = {}

    # --- recording --------------------------------------------------------------------------------

    def __enter__(self) -> GradientTape:
        if self._open:
            raise GradientError("this tape is open already; open a second GradientTape instead")
        self._open = True
        state = dispatch.state
        state.update(state.recorder, (*state.tapes, self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open = False
        state = dispatch.state
        state.update(state.recorder, tuple(t for t in state.tapes if t is not self))

    def watch(self, tensors: Any) -> None:
        """Record what is done with `tensors` from now on.

        Parameters
        ----------
        tensors : Tensor, Variable or nested container of them
            Floating-point or complex.
        """
        for leaf in containers.leaves_of(tensors):
            tensor = self._watchable(leaf)
            node = _node_of(tensor)
            if node is None:
                node = TapeNode(None, {}, (), (), _NONE)
                _begin(tensor, node)
            node.watchers |= {self._id}
            self._watched[id(tensor)] = weakref.ref(tensor), node
            if isinstance(leaf, Variable):
                self._note(leaf, node)

    def _watchable(self, leaf: Any) -> Tensor:
        if isinstance(leaf, np.ndarray):
            leaf = asarray(leaf)
        if not isinstance(leaf, Tensor | Variable):
            raise TypeError(f"watch takes Tensors and Variables, not {type(leaf).__name__}")
        if not is_inexact(leaf.dtype):
            raise GradientError(
                dispatch.located(
                    f"watch: a Tensor of dtype {leaf.dtype} has no gradient; "
                    "convert it to a floating-point dtype first"
                )
            )
        tensor: Tensor = dispatch.resolve(leaf)
        return tensor

    def _note(self, variable: Variable, node: AnyNode) -> None:
        nodes = self._variables.setdefault(variable, [])
        if all(node is not n for n in nodes):
            nodes.append(node)

    def accessed(self, variable: Variable, tensor: Tensor) -> None:
        """Watch a Variable that is read (called by the dispatch)."""
        if not (self.watch_accessed_variables and variable.trainable and is_inexact(tensor.dtype)):
            return
        dispatch.refresh(tensor)
        node = tensor._node
        if node is None:
            node = TapeNode(None, {}, (), (), _NONE)
            _begin(tensor, node)
        if self._id not in node.watchers:
            node.watchers |= {self._id}
        self._note(variable, node)

    def record(self, op: Op, inputs: tuple[Any, ...], attrs: Attrs, outputs: Any) -> None:
        """Note an op for all open tapes that watch one of its inputs (called by the dispatch)."""
        wanted = _NONE
        for x in inputs:
            if type(x) is Tensor and x._node is not None:
                wanted |= x._node.tapes | x._node.watchers
        if not wanted:
            return
        wanted &= {tape._id for tape in dispatch.state.tapes}
        if not wanted:
            return
        results = outputs if op.multi else (outputs,)
        if not any(is_inexact(t.dtype) for t in results):
            return
        parents = tuple(x._node if type(x) is Tensor else None for x in inputs)
        saved = tuple(Saved(x) if type(x) is Tensor else x for x in inputs)
        node = TapeNode(op, attrs, saved, parents, wanted)
        for i, tensor in enumerate(results):
            tensor._node = PartNode(node, i) if op.multi else node
        node.outputs = tuple(map(_own_output, results))

    # --- differentiating --------------------------------------------------------------------------

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: Literal["none", "zero"] = "none",
    ) -> Any:
        """Differentiate `target` by `sources`.

        Parameters
        ----------
        target : Tensor or nested container of Tensors
            Several targets, or targets with several elements, are summed.
        sources : Tensor, Variable or nested container of them
        output_gradients : like `target`, optional
            The gradient by each target; ones where not given.
        unconnected_gradients : {"none", "zero"}
            What to return for a source on which no target depends.

        Returns
        -------
        Tensor, None or container like `sources`

        Raises
        ------
        GradientError
            If the tape was used up, or a source or target has no gradient by its dtype.
        """
        if self._used:
            raise GradientError(
                dispatch.located(
                    "gradient: this tape is used up; it gives one gradient. "
                    "Make it with GradientTape(persistent=True) to ask for more"
                )
            )
        with dispatch.scope(tapes=self._others()):
            found = self._backward(target, sources, output_gradients)
            result = _answer(sources, found, unconnected_gradients)
        if not self.persistent:
            self._used = True
            self._variables = {}
        return result

    def _others(self) -> tuple[Any, ...]:
        return tuple(t for t in dispatch.state.tapes if t is not self)

    def _backward(self, target: Any, sources: Any, output_gradients: Any) -> list[Tensor | None]:
        seeds = self._seeds(target, output_gradients)
        wanted = [self._source_nodes(leaf) for leaf in containers.leaves_of(sources)]
        keep = {node for nodes in wanted for node in nodes}
        totals = self._propagate(seeds, keep)
        return [_total([totals[n] for n in nodes if n in totals]) for nodes in wanted]

    def _seeds(self, target: Any, output_gradients: Any) -> list[tuple[AnyNode, Tensor]]:
        targets, tree = containers.flatten(target)
        if output_gradients is None:
            given = [None] * len(targets)
        else:
            try:
                given = tree.flatten_up_to(output_gradients)
            except ValueError as error:
                raise GradientError(
                    f"gradient: output_gradients must nest as the targets do: {error}"
                ) from None
        seeds = []
        for tensor, seed in zip(targets, given, strict=True):
            tensor = dispatch.resolve(tensor) if isinstance(tensor, Tensor | Variable) else tensor
            if not isinstance(tensor, Tensor) or not is_inexact(tensor.dtype):
                kind = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
                raise GradientError(
                    dispatch.located(f"gradient: a target of type {kind} has no gradient")
                )
            with dispatch.scope(tapes=(*dispatch.state.tapes, self)):
                dispatch.refresh(tensor)
            if tensor._node is not None:
                seeds.append((tensor._node, _seed(tensor, seed)))
        return seeds

    def _source_nodes(self, leaf: Any) -> list[AnyNode]:
        if isinstance(leaf, np.ndarray):
            leaf = asarray(leaf)
        if not isinstance(leaf, Tensor | Variable):
            raise TypeError(f"gradient: sources are Tensors, not {type(leaf).__name__}")
        if not is_inexact(leaf.dtype):
            raise GradientError(
                dispatch.located(
                    f"gradient: a source of dtype {leaf.dtype} has no gradient; "
                    "differentiate by a floating-point Tensor"
                )
            )
        if isinstance(leaf, Variable):
            return self._variables.get(leaf, [])
        leaf = dispatch.resolve(leaf)
        known = self._watched.get(id(leaf))
        if known is not None and known[0]() is leaf:
            return [known[1]]
        node = _node_of(leaf)
        return [] if node is None else [node]

    def _propagate(
        self, seeds: list[tuple[AnyNode, Tensor]], keep: set[AnyNode]
    ) -> dict[AnyNode, Tensor]:
        """Walk the nodes from last to first, adding up the gradient of each."""
        totals: dict[AnyNode, Any] = {}
        heap: list[tuple[float, int, AnyNode]] = []

        def add(node: AnyNode, gradient: Any) -> None:
            if node in totals:
                totals[node] = totals[node] + gradient
            else:
                totals[node] = gradient
                heapq.heappush(heap, (-node.sequence, id(node), node))

        for node, seed in seeds:
            add(node, seed)
        parts: dict[TapeNode, dict[int, Tensor]] = {}
        while heap:
            node = heapq.heappop(heap)[2]
            gradient = totals[node] if node in keep else totals.pop(node, None)
            if isinstance(node, PartNode):
                if node.node not in parts:
                    parts[node.node] = {}
                    heapq.heappush(heap, (-node.node.sequence, id(node.node), node.node))
                into = parts[node.node]
                old = into.get(node.index)
                into[node.index] = gradient if old is None else old + gradient
                continue
            if node.op is None or self._id not in node.tapes:
                continue
            if node.op.multi:
                gradient = _gather_parts(node, parts.pop(node), fill=node.op.joint_vjp is None)
            for parent, part in self._through(node, gradient):
                add(parent, part)
            if not self.persistent and len(node.tapes) == 1:
                node.op, node.inputs, node.parents, node.outputs = None, (), (), ()
        return totals

    def _through(self, node: TapeNode, gradient: Any) -> Iterable[tuple[AnyNode, Tensor]]:
        op = node.op
        assert op is not None
        wanted = tuple(
            p is not None and (self._id in p.tapes or self._id in p.watchers) for p in node.parents
        )
        inputs = tuple(x.restore() if type(x) is Saved else x for x in node.inputs)
        outputs = tuple(_restore_output(node, i) for i in range(len(node.outputs)))
        out: Any = outputs if op.multi else outputs[0]
        if op.joint_vjp is not None:
            gradients = op.joint_vjp(wanted, gradient, out, *inputs, **node.attrs)
        else:
            gradients = tuple(
                _apply_rule(op, i, gradient, out, inputs, node.attrs) if want else None
                for i, want in enumerate(wanted)
            )
        for parent, want, part, x in zip(node.parents, wanted, gradients, inputs, strict=True):
            if want and part is not None:
                yield parent, _fit(part, x.spec)


def _begin(tensor: Tensor, node: TapeNode) -> None:
    """Make `node` the start of what is recorded of a Tensor, whichever alias of it is written."""
    tensor._node = node
    alias = tensor._alias
    if alias is None:
        return
    if alias.chain:
        alias.storage.watched.append(weakref.ref(tensor))
    else:
        alias.storage.node = node


def _node_of(tensor: Tensor) -> Any:
    dispatch.refresh(tensor)
    return tensor._node


def _own_output(tensor: Tensor) -> Saved:
    saved = Saved(tensor)
    saved.node = None  # the node itself: stored here it would be a reference cycle
    return saved


def _restore_output(node: TapeNode, i: int) -> Tensor:
    tensor = node.outputs[i].restore()
    assert node.op is not None
    tensor._node = PartNode(node, i) if node.op.multi else node
    return tensor


def _apply_rule(
    op: Op, i: int, gradient: Any, out: Any, inputs: tuple[Any, ...], attrs: Attrs
) -> Any:
    if op.vjp is None:
        if op.no_gradient:
            return None
        raise GradientError(f"{op.name} has no gradient rule")
    if not isinstance(op.vjp, tuple):
        return op.vjp(i, gradient, out, *inputs, **attrs)
    rule = op.vjp[i]
    return None if rule is None else rule(gradient, out, *inputs, **attrs)


def _gather_parts(
    node: TapeNode, parts: dict[int, Tensor], *, fill: bool
) -> tuple[Tensor | None, ...]:
    """Return a gradient for each result; zeros (or None, unless `fill`) where none arrived."""
    from hybrid.ops.creation import zeros

    specs = [saved.data for saved in node.outputs]
    return tuple(
        parts.get(i) if i in parts or not fill else zeros(data.shape, dtype=data.dtype)
        for i, data in enumerate(specs)
    )


def _seed(tensor: Tensor, seed: Any) -> Tensor:
    from hybrid.ops.creation import ones
    from hybrid.ops.movement import broadcast_to

    if seed is None:
        return ones(tensor.shape, dtype=tensor.dtype)
    seed = asarray(seed)
    try:
        return broadcast_to(seed.astype(tensor.dtype), tensor.shape)
    except ShapeError:
        raise GradientError(
            f"gradient: an output_gradient of shape {seed.shape} for a target of "
            f"shape {tensor.shape}"
        ) from None


def _fit(computed: Any, spec: TensorSpec) -> Tensor:
    """Undo broadcasting and promotion: give a gradient the shape and dtype of its input."""
    gradient: Tensor = asarray(computed)
    shape = gradient.shape
    if shape != spec.shape:
        lead = len(shape) - len(spec.shape)
        if lead >= 0:
            axes = tuple(range(lead)) + tuple(
                lead + i for i, n in enumerate(spec.shape) if n == 1 and shape[lead + i] != 1
            )
            gradient = gradient.sum(axis=axes, keepdims=True) if axes else gradient
            gradient = gradient.reshape(gradient.shape[lead:]) if lead else gradient
        if gradient.shape != spec.shape:
            from hybrid.ops.movement import broadcast_to

            gradient = broadcast_to(gradient, spec.shape)
    if gradient.dtype != spec.dtype:
        if gradient.dtype.kind == "c" and spec.dtype.kind != "c":
            from hybrid.core.op import OPS

            gradient = dispatch.bind(OPS["real"], (gradient,), {})
        gradient = gradient.astype(spec.dtype)
    return gradient


def _total(gradients: list[Tensor]) -> Tensor | None:
    total: Tensor | None = None
    for gradient in gradients:
        total = gradient if total is None else total + gradient
    return total


def _answer(sources: Any, found: list[Tensor | None], unconnected: str) -> Any:
    from hybrid.ops.creation import zeros

    if unconnected not in ("none", "zero"):
        raise ValueError(
            f'gradient: unconnected_gradients is "none" or "zero", not {unconnected!r}'
        )
    leaves, tree = containers.flatten(sources)
    if unconnected == "zero":
        found = [
            zeros(x.shape, dtype=x.dtype) if g is None else g
            for g, x in zip(found, leaves, strict=True)
        ]
    return containers.unflatten(tree, found)
