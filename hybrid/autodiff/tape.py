"""GradientTape: reverse-mode differentiation of whatever runs while it is open.

In a trace the Tensors are traced ones, and a gradient is just more nodes of the graph.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from types import TracebackType
from typing import Any, Literal

import numpy as np

from hybrid.autodiff.backward import propagate
from hybrid.autodiff.nodes import AnyNode
from hybrid.autodiff.record import (
    begin,
    follow,
    node_of,
    record,
    record_one,
    record_two,
    source_node,
)
from hybrid.core import containers, dispatch
from hybrid.core.making import asarray
from hybrid.core.operands import PYTHON_SCALARS
from hybrid.core.picked import Picked, picked_as
from hybrid.core.source import SourceLine, located
from hybrid.core.tensor import Tensor
from hybrid.core.variable import Variable
from hybrid.dtypes import is_inexact
from hybrid.errors import GradientError, ShapeError
from hybrid.ops.broadcasting import broadcast_to
from hybrid.ops.creation import ones, zeros
from hybrid.ops.permuting import moveaxis
from hybrid.ops.reshaping import reshape
from hybrid.ops.unit_matrices import eye

_tape_ids = itertools.count()
_living: set[int] = set()
"""The numbers of the tapes that somebody holds."""
_FEW = 8  # numbers on a node among which those of tapes that are gone are not looked for


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
        _living.add(self._id)
        self._used = False
        self._open = False
        self._ended = False  # opened, and closed again
        self._opened_in: Any = None
        self.taken: tuple[str, SourceLine | None] | None = None  # numbers, how and where
        self._variables: dict[Variable, list[AnyNode]] = {}
        # By identity: Tensors compare elementwise, which no dictionary of them would survive.
        self._watched: dict[int, tuple[weakref.ref[Tensor], AnyNode]] = {}

    def __del__(self, living: set[int] = _living) -> None:
        living.discard(getattr(self, "_id", -1))

    # --- recording --------------------------------------------------------------------------------

    def __enter__(self) -> GradientTape:
        if self._open:
            raise GradientError("this tape is open already; open a second GradientTape instead")
        self._open = True
        self._ended = False
        state = dispatch.state
        self._opened_in = state.recorder
        state.update(state.recorder, (*state.tapes, self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open = False
        self._ended = True
        self._opened_in = None
        state = dispatch.state
        state.update(state.recorder, tuple(t for t in state.tapes if t is not self))

    def watch(self, tensors: Any) -> None:
        """Record what is done with `tensors` from now on.

        Parameters
        ----------
        tensors : Tensor, Variable or nested container of them
            Floating-point or complex. Views of one of them that were made before follow it, but
            for those of which one is watched itself.

        Raises
        ------
        GradientError
            For integers and booleans, and in eager code for NumPy's arrays, which bear no record.
        """
        for leaf in containers.leaves_of(tensors):
            if leaf is None:
                continue
            tensor = self._watchable(leaf)
            node = node_of(tensor)
            if node is None:
                node = source_node(tensor.spec)
            begin(tensor, node)
            follow(tensor)
            self._see(node)
            self._watched[id(tensor)] = weakref.ref(tensor), node
            if isinstance(leaf, Variable):
                self._note(leaf, node)

    def _see(self, node: AnyNode) -> None:
        """Put the number of this tape, which watches, on a node.

        What lives through a loop is watched by a tape for each of its steps: those that nobody
        holds any more can ask for nothing.
        """
        tapes = node.tapes
        if len(tapes) > _FEW:
            tapes = frozenset(i for i in tapes if (i if i >= 0 else ~i) in _living)
        node.tapes = tapes | {~self._id}

    def _watchable(self, leaf: Any) -> Tensor:
        if isinstance(leaf, np.ndarray):
            leaf = _adopted("watch", leaf)
        if not isinstance(leaf, Tensor | Variable):
            kind = type(leaf).__name__
            way_out = (
                "; hb.register_container says what it holds" if type(leaf).__dictoffset__ else ""
            )
            raise TypeError(located(f"watch takes Tensors and Variables, not {kind}{way_out}"))
        if not is_inexact(leaf.dtype):
            raise GradientError(
                located(
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

    def _accessed(self, variable: Variable, tensor: Tensor) -> None:
        """Watch a Variable that is read (called by the dispatch)."""
        if not (self.watch_accessed_variables and variable.trainable and is_inexact(tensor.dtype)):
            return
        dispatch.refresh(tensor)
        node = tensor._node
        if node is None:
            node = source_node(tensor.spec)
            begin(tensor, node)
        if ~self._id not in node.tapes:
            self._see(node)
        self._note(variable, node)

    def _assigned(self, variable: Variable) -> None:
        """What is assigned carries its own record (called by the dispatch)."""

    # An op for all open tapes that watch one of its inputs; two short ways for eager code.
    _record = staticmethod(record)
    _record_one = staticmethod(record_one)
    _record_two = staticmethod(record_two)

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Let what runs inside the block go unrecorded by this tape.

        Examples
        --------
        >>> import hybrid as hb
        >>> x = hb.Variable(3.0)
        >>> with hb.GradientTape() as tape:
        ...     y = x * x
        ...     with tape.stop_recording():
        ...         seen = (y * 10).item()
        >>> tape.gradient(y, x)
        Tensor(6., dtype=float32)
        """
        if not self._open:
            raise GradientError("stop_recording: this tape is not open")
        state = dispatch.state
        if state.recorder is not None and self not in state.tapes:
            # The trace is also for calls without this tape.
            state.recorder.give_up("stop_recording of a tape around the call")
        with dispatch.scope(tapes=self._others()):
            yield

    def reset(self) -> None:
        """Forget all that was recorded and watched so far."""
        _living.discard(self._id)
        self._id = next(_tape_ids)  # what carries the old number is no longer this tape's
        _living.add(self._id)
        dispatch.state.update(dispatch.state.recorder, dispatch.state.tapes)
        self._used = False
        self._variables = {}
        self._watched = {}
        self.taken = None

    def watched_variables(self) -> tuple[Variable, ...]:
        """Return the Variables that were watched, in the order of their first use."""
        return tuple(self._variables)

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
                located(
                    "gradient: this tape is used up; it gives one gradient. "
                    "Make it with GradientTape(persistent=True) to ask for more"
                )
            )
        recorder = dispatch.state.recorder
        if self._open and recorder is not None and recorder is not self._opened_in:
            recorder.ask_around(self._opened_in)  # the tape sees nothing of what happens in there
        with dispatch.scope(tapes=self._others()):
            found = self._backward(target, sources, output_gradients)
            result = answer(sources, found, unconnected_gradients)
        if not self.persistent:
            self._used = True
            self._variables = {}
        return result

    def jacobian(
        self,
        target: Tensor,
        sources: Any,
        unconnected_gradients: Literal["none", "zero"] = "none",
    ) -> Any:
        """Differentiate every element of `target` by `sources`, all at once as a batch.

        Parameters
        ----------
        target : Tensor
        sources : Tensor, Variable or nested container of them
        unconnected_gradients : {"none", "zero"}

        Returns
        -------
        Tensor, None or container like `sources`
            Of shape ``(*target.shape, *source.shape)``.
        """
        shape = target.shape
        one = eye(target.size, dtype=target.dtype, device=target.device)
        basis = reshape(one, (target.size, *shape))
        found = self._pulled(target, sources, basis, unconnected_gradients)
        return containers.map_leaves(lambda g: reshape(g, (*shape, *g.shape[1:])), found)

    def batch_jacobian(
        self,
        target: Tensor,
        source: Any,
        unconnected_gradients: Literal["none", "zero"] = "none",
    ) -> Any:
        """Differentiate each example of `target` by the same example of `source`.

        Parameters
        ----------
        target, source : Tensor
            The first axis of both counts examples, and example i of `target` depends on example i
            of `source` only.
        unconnected_gradients : {"none", "zero"}

        Returns
        -------
        Tensor or None
            Of shape ``(batch, *target.shape[1:], *source.shape[1:])``.
        """
        if not target.ndim or not source.ndim or target.shape[0] != source.shape[0]:
            raise ShapeError(
                located(
                    f"batch_jacobian: target of shape {target.shape} and source of shape "
                    f"{source.shape} have no first axis in common"
                )
            )
        batch, *rest = target.shape
        each = prod(rest)
        one = eye(each, dtype=target.dtype, device=target.device)
        units = reshape(one, (each, 1, *rest))
        found = self._pulled(target, source, units, unconnected_gradients)
        if found is None:
            return None
        return moveaxis(reshape(found, (*rest, batch, *source.shape[1:])), len(rest), 0)

    def _pulled(
        self, target: Tensor, sources: Any, seeds: Tensor, unconnected: Literal["none", "zero"]
    ) -> Any:
        """Return the gradients for a batch of output gradients."""
        from hybrid.autodiff.vmap import vmap

        persistent, self.persistent = self.persistent, True
        try:
            return vmap(lambda seed: self.gradient(target, sources, seed, unconnected))(seeds)
        finally:
            self.persistent = persistent
            self._used = not persistent

    def _others(self) -> tuple[Any, ...]:
        return tuple(t for t in dispatch.state.tapes if t is not self)

    def _backward(self, target: Any, sources: Any, output_gradients: Any) -> list[Tensor | None]:
        seeds = self._seeds(target, output_gradients)
        wanted = [self._source_nodes(leaf) for leaf in containers.leaves_of(sources)]
        picked = {node: found for nodes in wanted for node in nodes if (found := picked_as(node))}
        keep = {_node_of(node, picked) for nodes in wanted for node in nodes}
        totals = propagate(self._id, seeds, keep, release=not self.persistent)
        return [_total(list(_found(nodes, totals, picked))) for nodes in wanted]

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
            # What is brought up to date now, as a view or what a mask selects, is on this tape.
            with dispatch.scope(tapes=(*dispatch.state.tapes, self)):
                if isinstance(tensor, Tensor | Variable):
                    tensor = dispatch.resolve(tensor)
                if not isinstance(tensor, Tensor) or not is_inexact(tensor.dtype):
                    raise no_target("gradient: the target", tensor)
                dispatch.refresh(tensor)
            node = tensor._node
            if node is not None:
                seeds.append((node, _seed(tensor, seed)))
            elif self._open and dispatch.state.recorder is not self._opened_in:
                raise GradientError(located(_OPENED_AROUND))
        return seeds

    def _source_nodes(self, leaf: Any) -> list[AnyNode]:
        if leaf is None:
            return []
        if isinstance(leaf, np.ndarray):
            leaf = _adopted("gradient", leaf)
        if not isinstance(leaf, Tensor | Variable):
            raise TypeError(f"gradient: sources are Tensors, not {type(leaf).__name__}")
        if not is_inexact(leaf.dtype):
            raise GradientError(
                located(
                    f"gradient: a source of dtype {leaf.dtype} has no gradient; "
                    "differentiate by a floating-point Tensor"
                )
            )
        if isinstance(leaf, Variable):
            return self._variables.get(leaf, [])
        known = self._watched.get(id(leaf))  # watched outside of the trace or vmap we are in
        if known is not None and known[0]() is leaf:
            return [known[1]]
        if type(leaf._link) is Picked:
            with dispatch.scope(tapes=(*dispatch.state.tapes, self)):
                dispatch.refresh(leaf)
        leaf = dispatch.resolve(leaf)
        known = self._watched.get(id(leaf))
        if known is not None and known[0]() is leaf:
            return [known[1]]
        node = node_of(leaf)
        return [] if node is None else [node]


_OPENED_AROUND = (
    "gradient: the target is made in a vmap, and this tape was opened around it: it knows nothing "
    "of single examples. Open a tape in the function that vmap is given, or use hb.grad there"
)


def _adopted(what: str, array: np.ndarray[Any, Any]) -> Tensor:
    """Return the Tensor that stands for an ndarray in a trace; in eager code none does."""
    if dispatch.state.recorder is None:
        raise GradientError(
            located(
                f"{what}: NumPy's ndarray of shape {array.shape} bears no record of what is done "
                "with it: make a Tensor of it by hb.asarray, and watch and compute with that"
            )
        )
    return asarray(array)


def _seed(tensor: Tensor, seed: Any) -> Tensor:
    if seed is None:
        return ones(tensor.shape, dtype=tensor.dtype, device=tensor.device)
    seed = asarray(seed)
    try:
        return broadcast_to(seed.astype(tensor.dtype), tensor.shape)
    except ShapeError:
        raise GradientError(
            located(
                f"gradient: an output_gradient of shape {seed.shape} for a target of "
                f"shape {tensor.shape}"
            )
        ) from None


def _node_of(node: AnyNode, picked: dict[AnyNode, Picked]) -> AnyNode:
    return picked[node].whole._node if node in picked else node


def _found(
    nodes: list[AnyNode], totals: dict[AnyNode, Tensor], picked: dict[AnyNode, Picked]
) -> Iterator[Tensor]:
    """Yield the gradients at nodes; of what a mask selects, those elements of the whole array's."""
    for node in nodes:
        total = totals.get(_node_of(node, picked))
        if total is not None:
            of = picked.get(node)
            yield total if of is None else of.select(total, of.mask, of.lead)


def _total(gradients: list[Tensor]) -> Tensor | None:
    total: Tensor | None = None
    for gradient in gradients:
        total = gradient if total is None else total + gradient
    return total


def answer(sources: Any, found: list[Tensor | None], unconnected: str) -> Any:
    """Return gradients as the sources nest; where there is none, None or zeros."""
    if unconnected not in ("none", "zero"):
        raise ValueError(
            f'gradient: unconnected_gradients is "none" or "zero", not {unconnected!r}'
        )
    leaves, tree = containers.flatten(sources)
    if unconnected == "zero":
        found = [
            zeros(x.shape, dtype=x.dtype, device=x.device) if g is None and x is not None else g
            for g, x in zip(found, leaves, strict=True)
        ]
    return containers.unflatten(tree, found)


def no_target(what: str, x: Any) -> GradientError:
    """Return the error for what has no gradient, with what to do."""
    if isinstance(x, Tensor):
        text = f"{what} is of dtype {x.dtype.name}, which has no gradient"
    elif isinstance(x, np.ndarray | np.generic):
        text = (
            f"{what} is NumPy's {type(x).__name__}, of which no tape knows how it was computed: "
            "begin with hb.asarray, and compute with Tensors"
        )
    elif isinstance(x, PYTHON_SCALARS):
        text = (
            f"{what} is a {type(x).__name__}, of which no tape knows how it was computed: leave "
            "out float(), int(), .item() and .tolist() on the way to it"
        )
    else:
        text = f"{what} is of type {type(x).__name__}, which has no gradient"
    return GradientError(located(text))
