"""Writing in place: what ``x[index] = value``, ``x += value`` and ``out=`` do; every alias sees it.

Eager memory is really written. In a trace, and for a tape, a write is a functional update of the
base: `view_update` follows the chain of view ops from the base to the part that is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from hybrid.core.aliases import aliases, own_alias
from hybrid.core.dispatch import after_trace, refresh, resolve, state
from hybrid.core.lost import warn_of_array
from hybrid.core.making import asarray
from hybrid.core.number import Number, in_graph, in_python
from hybrid.core.operands import spec_of
from hybrid.core.places import fill
from hybrid.core.refusals import leaked
from hybrid.core.source import located
from hybrid.core.spec import Shape, TensorSpec, casts, fits
from hybrid.core.storage import Alias, Chain, Storage
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import ArrayLike, Tensor, wrap
from hybrid.core.unknown import same_shape
from hybrid.dtypes import DType
from hybrid.errors import DTypeError, GradientError, ShapeError
from hybrid.ops.broadcasting import broadcast_to
from hybrid.ops.creation import full
from hybrid.ops.elementwise.operands import together
from hybrid.ops.view_update import READ_ONLY, misfit, view_update


def write(target: Tensor, value: ArrayLike) -> None:
    """Replace the contents of `target`; every alias of its memory sees it.

    Parameters
    ----------
    target : Tensor
    value : array-like
        Broadcast to the shape of `target`; its dtype must be one that NumPy's ``same_kind`` rule
        casts to that of `target`.

    Raises
    ------
    ShapeError, DTypeError
        Where the value does not fit.
    ValueError
        Where the memory is read-only.
    """
    target = resolve(target)
    value = plain_value(value, target)
    check_write(target.spec, spec_of(value))
    if state.recorder is not None:
        state.recorder.before_write(target)  # which may end the trace
    if state.recorder is not None:
        write_traced(target, value)
        state.recorder.after_write(target)
    elif type(target._data) is Symbol:
        raise leaked(target._data)
    else:
        _write_eager(target, value)


@contextmanager
def writing(*targets: Tensor) -> Iterator[None]:
    """Let the body of a ``with`` statement write to the memory of `targets` by itself.

    For eager code outside tapes. Whoever saved the contents gets them first.

    Raises
    ------
    ValueError
        Where the memory is read-only.
    """
    for target in targets:
        if type(target._data) is Symbol:
            raise leaked(target._data)
        if not target._data.flags.writeable:
            raise ValueError(located(READ_ONLY))
        announce(target)
    yield
    for target in targets:
        settle(target, target._alias, None)


def assign(view: Tensor, value: ArrayLike) -> None:
    """Write to a view that an attribute shows, unless it is what was assigned to it.

    ``z.real += 1`` writes through the view, and then assigns it to the attribute.
    """
    if type(value) is Tensor and aliases(view, value):
        mine, its = view._alias, value._alias
        if mine is None or its is None or same_chain(mine.chain, its.chain):
            return
    write(view, value)


def check_shape_of_out(shape: Shape, target: Shape) -> None:
    """Raise ShapeError unless a result of `shape` is what ``out=`` has room for."""
    if not same_shape(shape, target):
        raise ShapeError(located(f"out= has shape {target}, the result has shape {shape}"))


def deliver(value: Tensor, out: Any) -> Tensor:
    """Put a result into the array that the caller gave as ``out=``; return it as a Tensor."""
    if out is None:
        return value
    if isinstance(out, tuple):
        (out,) = out
    target = asarray(out)
    check_shape_of_out(value.shape, target.shape)
    warn_of_array(value, out)
    write(target, value)
    return target


def plain_value(value: Any, target: Tensor) -> Any:
    """Return what is written to `target` as a Tensor, or as the plain Python scalar that it is."""
    if type(value) is Number:  # ints may refuse it
        return in_python(value) if target.dtype.kind in "iu" else in_graph(value)
    if isinstance(value, int | float | complex) and not isinstance(value, np.generic):
        return after_trace(value)
    return together(value, target)[0]


def check_write(target: TensorSpec, spec: TensorSpec) -> None:
    """Raise unless a value of `spec` can be written into what has the spec `target`."""
    if not casts(spec, target.dtype):
        raise DTypeError(
            located(
                f"a value of dtype {spec.dtype.name} cannot be written into a Tensor of dtype "
                f"{target.dtype.name} without loss; convert it with astype first"
            )
        )
    if not fits(spec.shape, target.shape):
        raise ShapeError(located(misfit(spec.shape, target.shape)))


def _write_eager(target: Tensor, value: Any) -> None:
    if not target._data.flags.writeable:
        raise ValueError(located(READ_ONLY))
    source = value._data if type(value) is Tensor else value
    if type(source) is Symbol:
        raise leaked(source)
    node = _node_after(target, value) if state.tapes else None
    alias = announce(target)
    fill("write", target._data, source)
    settle(target, alias, node)


def announce(target: Tensor) -> Alias | None:
    alias = target._alias
    if alias is not None:
        alias.storage.before_write()
    return alias


def settle(target: Tensor, alias: Alias | None, node: Any) -> None:
    """Make `node`, that of the whole base, what aliases find when they are next read on a tape."""
    if node is None and target._node is not None and target._node.stays:
        node = target._node
        if alias is not None:
            alias.storage.version += 1
            alias.version = alias.storage.version
        return
    if alias is None:
        target._node = node
        return
    storage = alias.storage
    storage.node = node
    storage.version += 1
    if node is None:
        target._node = None
        alias.version = storage.version
    else:
        refresh(target)


def _node_after(target: Tensor, value: Any) -> Any:
    """Return the tape's node for the base of `target` once `value` is written."""
    refresh(target)
    if target._node is not None and target._node.stays:
        raise GradientError(
            located(
                "a Tensor with requires_grad=True is written in place while its use is recorded; "
                "write under hb.no_grad(), or to a copy"
            )
        )
    tracked = type(value) is Tensor and value._node is not None
    alias = target._alias
    if alias is not None:
        join_watched(alias.storage)
    if alias is None or not alias.chain:
        return _filled(target, value)._node if tracked else None
    if not tracked and alias.storage.node is None:
        return None
    return view_update(_base(alias.storage), _cast(value, target.dtype), alias.chain)._node


def join_watched(storage: Storage) -> None:
    """Make the record of the base depend on the views that a tape watches."""
    views, storage.watched = [ref() for ref in storage.watched], ()
    for view in views:
        if view is not None and view._alias.version == storage.version:
            storage.node = view_update(_base(storage), view, view._alias.chain)._node


def _base(storage: Storage) -> Tensor:
    """Return a Tensor of the whole Storage."""
    base = wrap(storage.base)
    base._node = storage.node
    base._alias = Alias(storage, storage.version, ())
    return base


def _cast(value: Any, dtype: DType) -> Any:
    if type(value) is not Tensor or (value.dtype == dtype and not value.spec.weak):
        return value
    return value.astype(dtype, copy=False)


def _filled(target: Tensor, value: Any) -> Tensor:
    """Return `value` in the shape and dtype of `target`."""
    if spec_of(value).weak:
        return full(target.shape, value, dtype=target.dtype, device=target.device)
    value = value.astype(target.dtype, copy=False)
    return value if same_shape(value.shape, target.shape) else broadcast_to(value, target.shape)


def write_traced(target: Tensor, value: Any) -> None:
    """Make the functional update that stands for a write in a trace."""
    value = resolve(value)
    alias = target._alias
    if alias is None:
        new = _filled(target, value)
        new._data.given |= target._data.given
        target._data, target._node = new._data, new._node
        return
    if _is_same_view(alias.storage, alias.chain, value):
        return
    if state.tapes:
        join_watched(alias.storage)
    if alias.chain:
        new = view_update(_base(alias.storage), _cast(value, target.dtype), alias.chain)
    else:
        new = _filled(target, value)
    _become(alias.storage, new)


def write_part(x: Tensor, steps: Chain, spec: TensorSpec, value: Any) -> None:
    """Write into a part of a traced Tensor, without nodes that read it.

    Parameters
    ----------
    x : Tensor
        Up to date, of the trace at hand, which knows that it is about to be written.
    steps : chain of view ops
        What leads to the part.
    spec : TensorSpec
        That of the part.
    value : Tensor or Python scalar
    """
    if type(value) is Tensor:
        value = resolve(value)
    same_dtype = type(value) is Tensor and value._data.dtype is spec.dtype
    # Where nothing is cast the rule of `view_update` looks at the shapes, once for all alike.
    if not same_dtype and (type(value) is not float or spec.dtype.kind not in "fc"):
        check_write(spec, spec_of(value))
    alias = own_alias(x)
    storage, chain = alias.storage, alias.chain + steps
    if not _is_same_view(storage, chain, value):
        if state.tapes:
            join_watched(storage)
        new = view_update(_base(storage), _cast(value, spec.dtype), chain)
        _become(storage, new)
        if not alias.chain and not state.silent:  # what `refresh` would do at the next op
            x._data, x._node, alias.version = new._data, new._node, storage.version
    state.recorder.after_write(x)


def _become(storage: Storage, new: Tensor) -> None:
    """Let a Storage have other contents; its aliases are brought up to date if they are read."""
    new._data.given |= storage.base.given  # it lies where the old contents did
    storage.base, storage.node = new._data, new._node
    storage.version += 1


def _is_same_view(storage: Storage, chain: Chain, value: Any) -> bool:
    """Tell whether a value is what it is to be written to.

    ``x[i] += 1`` writes through the view, and then assigns it to itself.
    """
    other = value._alias if type(value) is Tensor and value._link is not None else None
    return (
        other is not None
        and other.storage is storage
        and other.version == storage.version
        and same_chain(other.chain, chain)
    )


def same_chain(a: Chain, b: Chain) -> bool:
    return len(a) == len(b) and all(
        op is other and dict(attrs) == dict(others) for (op, attrs), (other, others) in zip(a, b)
    )
