"""Define-by-run style, a thin layer over the tape: ``requires_grad``, ``backward()``, ``grad``.

One tape is open in a thread from the first Tensor on that requires a gradient, and until nothing is
left that leads back to such a Tensor. What it records hangs on Tensors like any other record.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hybrid.autodiff.backward import propagate
from hybrid.autodiff.joining import around
from hybrid.autodiff.nodes import PartNode, TapeNode
from hybrid.autodiff.record import begin, node_of, source_node
from hybrid.autodiff.tape import GradientTape
from hybrid.core import dispatch, making
from hybrid.core.aliases import as_array
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor
from hybrid.dtypes import is_inexact
from hybrid.errors import GradientError, ShapeError
from hybrid.ops._methods import attach
from hybrid.ops.broadcasting import broadcast_to
from hybrid.ops.creation import ones
from hybrid.ops.reshaping import reshape

_TAPE = GradientTape(persistent=True, watch_accessed_variables=False)


class LeafNode(TapeNode):
    """The start of a record: a Tensor that requires a gradient, and what has arrived there."""

    __slots__ = ("__weakref__", "grad")

    def __init__(self, spec: TensorSpec) -> None:
        start = source_node(spec)
        super().__init__(start.form, None, None, frozenset((~_TAPE._id,)))
        self.grad: Tensor | None = None

    @property
    def stays(self) -> bool:
        """An optimiser writes to it under `no_grad`."""
        return True


class _Leaves:
    """Contains all leaves: where the backward pass leaves what it brings."""

    def __contains__(self, node: object) -> bool:
        return isinstance(node, LeafNode)


def asarray(
    obj: Any,
    /,
    dtype: Any = None,
    *,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Turn `obj` into a Tensor.

    Parameters
    ----------
    obj : Tensor, Variable, ndarray, anything with DLPack, scalar or nested sequence
        An ndarray keeps its dtype and shares its memory with the Tensor. Python floats become
        float32, Python complex numbers complex64, unless :func:`hybrid.set_default_dtype` says
        otherwise; ints become int64.
    dtype : dtype, optional
        What to convert to.
    device : str, optional
        Where the Tensor is to be: ``"cpu"``.
    copy : bool, optional
        True always copies, False never (and raises where it would have to), None copies if needed.
    requires_grad : bool
        What is computed from the Tensor is recorded, until :func:`no_grad`; ``backward()`` of a
        result adds its gradient to the ``grad`` of this Tensor.

    Returns
    -------
    Tensor

    Raises
    ------
    DTypeError
        For dtypes that hybrid does not support (strings, objects, dates, long double).
    GradientError
        Where a gradient is required of whole numbers or booleans.
    ValueError
        Where ``copy=False`` and a copy is needed.

    Examples
    --------
    >>> asarray([1.0, 2.0])
    Tensor([1., 2.], dtype=float32)
    """
    tensor = making.asarray(obj, dtype, device=device, copy=copy)
    tensor = making.own(tensor)
    if tensor is obj and dispatch.state.recorder is not None:
        dispatch.state.recorder.note_converted(tensor)
    if not tensor.ndim and not isinstance(obj, Tensor):
        as_array(tensor)
    return _require(detach(tensor)) if requires_grad else tensor


def _require(tensor: Tensor) -> Tensor:
    if not is_inexact(tensor.dtype):
        raise GradientError(
            located(
                f"requires_grad: a Tensor of dtype {tensor.dtype.name} has no gradient; "
                "give it a floating-point dtype"
            )
        )
    if type(tensor._data) is Symbol:
        raise GradientError(
            located(
                "requires_grad inside a compiled function: use hb.grad or hb.GradientTape there, "
                "or call the compiled function on a Tensor that requires a gradient"
            )
        )
    leaf = LeafNode(tensor.spec)
    weakref.finalize(leaf, _close_if_idle).atexit = False
    _leaves.add(leaf)  # last: what refers last to an object learns first that it is gone
    begin(tensor, leaf)
    dispatch.record_always(_TAPE)
    return tensor


_leaves: weakref.WeakSet[LeafNode] = weakref.WeakSet()


def _close_if_idle() -> None:
    """Record no longer once nothing is left that could want it: calls are cheaper without."""
    if not _leaves and _TAPE in dispatch.state.always:
        dispatch.record_no_longer(_TAPE)


def detach(x: Tensor) -> Tensor:
    """Return a Tensor of the same memory whose record ends there.

    Examples
    --------
    >>> x = asarray([1.0, 2.0], requires_grad=True)
    >>> detach(x * 2).requires_grad
    False
    """
    with dispatch.scope(tapes=(), silent=True):
        alone = reshape(x, x.shape)
    alone._node = None
    return alone


@contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing inside the block, on no tape; also a decorator.

    Examples
    --------
    >>> import hybrid as hb
    >>> x = hb.asarray(3.0, requires_grad=True)
    >>> with hb.no_grad():
    ...     y = x * x
    >>> y.requires_grad
    False
    """
    with dispatch.scope(tapes=(), silent=True):
        yield


def _requires_grad(self: Tensor) -> bool:
    """Whether what is computed from the Tensor is recorded for ``backward()``."""
    node = node_of(self)
    return node is not None and (_TAPE._id in node.tapes or ~_TAPE._id in node.tapes)


def _set_requires_grad(self: Tensor, value: bool) -> None:
    if value:
        if not _requires_grad(self):
            _require(self)
    elif _leaf_of(self) is not None:
        begin(self, source_node(self.spec))
    elif _requires_grad(self):
        raise GradientError(located("requires_grad = False: this Tensor is a result; use detach()"))


def _grad(self: Tensor) -> Tensor | None:
    """The gradient that ``backward()`` has added up here; None before the first."""
    leaf = _leaf_of(self)
    return None if leaf is None else leaf.grad


def _leaf_of(tensor: Tensor) -> LeafNode | None:
    """Return where the gradient adds up, behind the tapes of traces that have given up."""
    node = around(tensor._node)
    return node if isinstance(node, LeafNode) else None


def _set_grad(self: Tensor, value: Any) -> None:
    leaf = _leaf_of(self)
    if leaf is None:
        raise GradientError(located("grad: this Tensor does not require a gradient"))
    if value is not None:
        value = making.asarray(value)
        if value.shape != self.shape:
            raise ShapeError(
                located(f"grad: shape {value.shape} for a Tensor of shape {self.shape}")
            )
    leaf.grad = value


def backward(self: Tensor, gradient: Any = None, retain_graph: bool = False) -> None:
    """Add the gradient of this Tensor to the ``grad`` of all that require one.

    Parameters
    ----------
    gradient : array-like, optional
        The gradient by this Tensor; 1 where it is one number.
    retain_graph : bool
        Keep the record, so that ``backward()`` may be called again.

    Raises
    ------
    GradientError
        If nothing that requires a gradient led to this Tensor, if it has several elements and no
        `gradient` is given, or if its record was used up by an earlier call.

    Examples
    --------
    >>> import hybrid as hb
    >>> x = hb.asarray([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    Tensor([2., 4.], dtype=float32)
    """
    node = node_of(self)
    if node is None or not _requires_grad(self):
        raise GradientError(
            located(
                "backward: this Tensor does not depend on one with requires_grad=True, or was "
                "computed in another thread, under no_grad or inside a compiled function"
            )
        )
    if gradient is None and self.size != 1:
        raise GradientError(
            located(
                f"backward: a Tensor of shape {self.shape} is not one number; sum it, or give the "
                "gradient by it"
            )
        )
    seed = (
        ones(self.shape, dtype=self.dtype, device=self.device)
        if gradient is None
        else _fitted(gradient, self)
    )
    with dispatch.scope(tapes=tuple(t for t in dispatch.state.tapes if t is not _TAPE)):
        _check_record(node)
        totals = propagate(_TAPE._id, [(node, seed)], _Leaves(), release=not retain_graph)
        for leaf, found in totals.items():
            assert isinstance(leaf, LeafNode)
            leaf.grad = found if leaf.grad is None else leaf.grad + found


def _fitted(gradient: Any, target: Tensor) -> Tensor:
    given = making.asarray(gradient).astype(target.dtype, copy=False)
    try:
        return broadcast_to(given, target.shape)
    except ShapeError:
        raise GradientError(
            located(
                f"backward: a gradient of shape {given.shape} for a Tensor of shape {target.shape}"
            )
        ) from None


def _check_record(start: Any) -> None:
    """Raise where a part of the record was released by an earlier pass."""
    pending, seen = [start], set()
    while pending:
        node = pending.pop()
        node = node.node if isinstance(node, PartNode) else node
        if id(node) in seen or isinstance(node, LeafNode):
            continue
        seen.add(id(node))
        if node.form.op is None and _TAPE._id in node.tapes:
            raise GradientError(
                located(
                    "backward: a part of the record was used up by an earlier backward(); call "
                    "that with retain_graph=True"
                )
            )
        pending += node.sources()


def _detach_method(self: Tensor) -> Tensor:
    return detach(self)


def _requires_grad_(self: Tensor, requires_grad: bool = True) -> Tensor:
    """Set ``requires_grad`` and return the Tensor.

    Parameters
    ----------
    requires_grad : bool

    Returns
    -------
    Tensor
        The same one.

    Examples
    --------
    >>> import hybrid as hb
    >>> hb.ones(2).requires_grad_().requires_grad
    True
    """
    _set_requires_grad(self, requires_grad)
    return self


_requires_grad_.__name__ = "requires_grad_"
_detach_method.__name__ = "detach"
_detach_method.__doc__ = detach.__doc__
attach(backward=backward, detach=_detach_method, requires_grad_=_requires_grad_)
attach(requires_grad=property(_requires_grad, _set_requires_grad), grad=property(_grad, _set_grad))
