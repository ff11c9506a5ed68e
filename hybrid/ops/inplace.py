"""Writing in place: ``x[index] = value``, ``x += value``, ``out=``; every alias sees it.

Eager memory is really written. In a trace, and for a tape, a write is a functional update of the
base: `view_update` follows the chain of view ops from the base to the part that is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from hybrid.core.batch import Lanes
from hybrid.core.dispatch import (
    after_trace,
    bind,
    busy,
    leaked,
    located,
    own_alias,
    refresh,
    resolve,
    spec_of,
    state,
)
from hybrid.core.graph import Value
from hybrid.core.op import OPS, Attrs, Example, Op, register
from hybrid.core.places import fill
from hybrid.core.spec import Shape, TensorSpec, broadcast_shapes, casts, fits
from hybrid.core.storage import Alias, Chain, Storage
from hybrid.core.tensor import ArrayLike, Symbol, Tensor, asarray, wrap
from hybrid.core.unknown import Unknown, is_unknown, same_shape
from hybrid.core.variable import Variable
from hybrid.errors import DTypeError, GradientError, IndexingError, ShapeError
from hybrid.ops._methods import attach
from hybrid.ops.broadcasting import broadcast_to, sum_to
from hybrid.ops.creation import full
from hybrid.ops.elementwise.operands import SCALARS
from hybrid.ops.elementwise.operands import fits as holds
from hybrid.ops.elementwise.selection import where
from hybrid.ops.indexing import Selection, index_update, native, select
from hybrid.ops.indexing.selection import key_of, selection
from hybrid.ops.movement import reshape

FrozenChain = tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]

_READ_ONLY = (
    "assignment destination is read-only: it is a broadcast view or an ndarray that does not allow "
    "writes; write to a copy of it"
)

# --- view_update ----------------------------------------------------------------------------------


def freeze(chain: Chain) -> FrozenChain:
    """Return a chain of view ops as a hashable attribute."""
    return tuple((op.name, tuple(sorted(attrs.items()))) for op, attrs in chain)


_FROZEN: dict[tuple[int, ...], tuple[Chain, Attrs]] = {}


def _attrs_for(chain: Chain) -> Attrs:
    """Return the attributes of a `view_update`: the same ones for each step of a loop in a trace.

    Equal indices have the same chain, whose attributes are kept with the answer.
    """
    key = tuple([id(attrs) for _, attrs in chain])
    known = _FROZEN.get(key)
    if known is None:
        if len(_FROZEN) >= 1024:
            _FROZEN.clear()
        known = _FROZEN[key] = chain, {"chain": freeze(chain)}
    return known[1]


def _viewed_spec(base: TensorSpec, chain: FrozenChain) -> TensorSpec:
    for name, attrs in chain:
        if name == "broadcast_to":
            raise ValueError(_READ_ONLY)
        base = OPS[name].infer(base, **dict(attrs))
    return base


def _infer_view_update(base: TensorSpec, value: TensorSpec, *, chain: FrozenChain) -> TensorSpec:
    part = _viewed_spec(base, chain)
    _check_fit(value.shape, part.shape)
    return TensorSpec(base.shape, base.dtype, base.device)


def _viewed(xp: Any, array: Any, chain: FrozenChain) -> Any:
    for name, attrs in chain:
        array = OPS[name].eager(xp, array, **dict(attrs))
    return array


def _eager_view_update(xp: Any, base: Any, value: Any, *, chain: FrozenChain) -> Any:
    out = xp.array(base, order="C")
    part = _viewed(xp, out, chain)
    if np.may_share_memory(part, out) or not part.size:
        part[...] = value
        return out
    # A reshape in the chain was a view of the original strides and is none of these: by positions.
    places = _viewed(xp, xp.arange(out.size).reshape(out.shape), chain)
    out.reshape(-1)[places] = value
    return out


def _view_of(g: Tensor, chain: FrozenChain) -> Tensor:
    for name, attrs in chain:
        g = bind(OPS[name], (g,), dict(attrs))
    return g


def _vjp_base(g: Tensor, out: Tensor, base: Tensor, value: Tensor, *, chain: FrozenChain) -> Tensor:
    return bind(VIEW_UPDATE, (g, 0), {"chain": chain})


def _vjp_value(
    g: Tensor, out: Tensor, base: Tensor, value: Tensor, *, chain: FrozenChain
) -> Tensor:
    return sum_to(_view_of(g, chain), value.shape).astype(value.dtype, copy=False)


def _batch_view_update(op: Op, size: int, lanes: Lanes, attrs: Attrs) -> Tensor | None:
    base, value = lanes
    if not (base.batched or value.batched):
        return None
    shared = asarray(base.tensor)
    whole = shared if base.batched else broadcast_to(shared, (size, *shared.shape))
    spec = TensorSpec(whole.shape[1:], whole.dtype)
    chain = []
    for name, frozen in attrs["chain"]:
        op, its = OPS[name], dict(frozen)
        led = op.lead(its, size, spec.shape) if op.lead is not None else None
        if led is None:
            return None
        chain.append((name, tuple(sorted(led.items()))))
        spec = op.infer(spec, **its)
    part = value.tensor
    if value.batched:
        new = 1 + spec.ndim - part.ndim
        part = reshape(part, (size, *(1,) * new, *part.shape[1:]))
    return bind(VIEW_UPDATE, (whole, part), {"chain": tuple(chain)})


VIEW_UPDATE = register(
    Op(
        name="view_update",
        family="inplace",
        batch=_batch_view_update,
        infer=_infer_view_update,
        eager=_eager_view_update,
        vjp=(_vjp_base, _vjp_value),
        examples=(
            Example(
                ((4, 3), (2, 3)),
                {"chain": (("slice", (("sizes", (2, 3)), ("starts", (1, 0)), ("steps", (2, 1)))),)},
            ),
            Example(
                ((2, 3), ()),
                {
                    "chain": (
                        ("permute_dims", (("axes", (1, 0)),)),
                        ("slice", (("sizes", (1, 2)), ("starts", (1, 0)), ("steps", (1, 1)))),
                        ("squeeze", (("axis", (0,)),)),
                    )
                },
            ),
        ),
        doc="A copy of the base with another value in the part that a chain of view ops shows.",
    )
)


def view_update(base: Tensor, value: ArrayLike, chain: Chain) -> Tensor:
    """Return a copy of `base` with `value` in the part that `chain` shows."""
    if not isinstance(value, int | float | complex):
        value = asarray(value).astype(base.dtype, copy=False)
    return bind(VIEW_UPDATE, (base, value), _attrs_for(chain))


# --- write ----------------------------------------------------------------------------------------


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
    target, value = resolve(target), _operand(value)
    check_write(target, spec_of(value))
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
            raise ValueError(located(_READ_ONLY))
        _before_write(target)
    yield
    for target in targets:
        _after_write(target, target._alias, None)


def deliver(value: Tensor, out: Any) -> Tensor:
    """Put a result into the array that the caller gave as ``out=``; return it as a Tensor."""
    if out is None:
        return value
    if isinstance(out, tuple):
        (out,) = out
    target = asarray(out)
    if target.shape != value.shape:
        raise ShapeError(
            located(f"out= has shape {target.shape}, the result has shape {value.shape}")
        )
    write(target, value)
    return target


def _operand(value: Any) -> Any:
    """Return a value as a Tensor, or as the plain Python scalar that it is."""
    if isinstance(value, int | float | complex) and not isinstance(value, np.generic):
        return after_trace(value)
    return asarray(value)


def check_write(target: Tensor, spec: TensorSpec) -> None:
    """Raise unless a value of `spec` can be written into `target`."""
    if not casts(spec, target.dtype):
        raise DTypeError(
            located(
                f"a value of dtype {spec.dtype.name} cannot be written into a Tensor of dtype "
                f"{target.dtype.name} without loss; convert it with astype first"
            )
        )
    if not fits(spec.shape, target.shape):
        raise ShapeError(located(_misfit(spec.shape, target.shape)))


def _misfit(shape: Shape, target: Shape) -> str:
    return f"a value of shape {shape} does not fit the part that is written, of shape {target}"


def _check_fit(shape: Shape, target: Shape) -> None:
    if not fits(shape, target):
        raise ShapeError(_misfit(shape, target))


def _write_eager(target: Tensor, value: Any) -> None:
    data = target._data
    if not data.flags.writeable:
        raise ValueError(located(_READ_ONLY))
    source = value._data if type(value) is Tensor else value
    if type(source) is Symbol:
        raise leaked(source)
    node = _node_after(target, value) if state.tapes else None
    alias = _before_write(target)
    fill("write", data, source)
    _after_write(target, alias, node)


def _before_write(target: Tensor) -> Alias | None:
    alias = target._alias
    if alias is not None:
        alias.storage.before_write()
    return alias


def _after_write(target: Tensor, alias: Alias | None, node: Any) -> None:
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
    return view_update(_base(alias.storage), _cast(value, target), alias.chain)._node


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


def _cast(value: Any, target: Tensor) -> Any:
    return value.astype(target.dtype, copy=False) if type(value) is Tensor else value


def _filled(target: Tensor, value: Any) -> Tensor:
    """Return `value` in the shape and dtype of `target`."""
    if spec_of(value).weak:
        return full(target.shape, value, dtype=target.dtype)
    value = value.astype(target.dtype, copy=False)
    return value if same_shape(value.shape, target.shape) else broadcast_to(value, target.shape)


def write_traced(target: Tensor, value: Any) -> None:
    """Make the functional update that stands for a write in a trace."""
    value = resolve(value)
    alias = target._alias
    if alias is None:
        new = _filled(target, value)
        target._data, target._node = new._data, new._node
        return
    if _is_same_view(alias, value):
        return  # `x[i] += 1` has written through the view already, and now assigns it to itself
    if state.tapes:
        join_watched(alias.storage)
    if alias.chain:
        new = view_update(_base(alias.storage), _cast(value, target), alias.chain)
    else:
        new = _filled(target, value)
    storage = alias.storage
    storage.base, storage.node = new._data, new._node
    storage.version += 1  # the target is brought up to date like its aliases, if it is read


def _is_same_view(alias: Alias, value: Any) -> bool:
    other = value._alias if type(value) is Tensor else None
    return (
        other is not None
        and other.storage is alias.storage
        and other.version == alias.storage.version
        and _same_chain(other.chain, alias.chain)
    )


def _same_chain(a: Chain, b: Chain) -> bool:
    return len(a) == len(b) and all(
        op is other and dict(attrs) == dict(others) for (op, attrs), (other, others) in zip(a, b)
    )


# --- x[index] = value -----------------------------------------------------------------------------


def setitem(x: Tensor, index: Any, value: ArrayLike) -> None:
    """Write `value` into ``x[index]``, casting as NumPy does.

    Of several values for one place (a repeated index) the last one stays.
    """
    if (not busy or state.plain) and type(x._data) is np.ndarray:
        _set_plain(x, index, value)
        return
    x, value = resolve(x), _assigned(value, x)
    if type(value) is Tensor and value.size == 1 and value.ndim:
        value = reshape(value, ())
    mask = _mask(index, x, value)
    if mask is not None:
        write(x, where(mask, value, x))
        return
    key = key_of(index) if Unknown not in map(type, x.shape) else None
    found = select(index, x.shape) if key is None else selection(key, x.shape)
    if found.arrays:
        part = found.view(x)
        value = _trimmed(value, _picked(part, found))
        arrays, axes = tuple(found.arrays), tuple(found.axes)
        write(part, index_update(part, value, arrays, axes, found.at, "set"))
        return
    if state.recorder is not None:
        state.recorder.before_write(x)  # which may end the trace
    part = found.view(x) if state.recorder is None else _unread(x, found)
    write(part, _trimmed(value, part.shape))


def _unread(x: Tensor, found: Selection) -> Tensor:
    """Return the part of a traced Tensor that is to be written, without nodes that read it."""
    if not found.chain():
        return x
    symbol = x._data
    spec = found.spec_of_view(symbol.spec)
    part = wrap(Symbol(Value(spec), symbol.recorder, None))
    alias = own_alias(x)
    part._alias = Alias(alias.storage, alias.version, (*alias.chain, *found.chain()))
    return part


def _set_plain(x: Tensor, index: Any, value: Any) -> None:
    data = x._data
    source = value if type(value) in SCALARS else _operand(value)
    if type(source) is Tensor:
        source = source._data
        if type(source) is Symbol:
            raise leaked(source)
    place = index if type(index) in (int, slice) else native(index)
    alias = None if x._link is None else _before_write(x)
    try:
        data[place] = source
    except OverflowError as error:
        raise OverflowError(located(f"setitem: {error}")) from None
    except (IndexError, ValueError) as error:
        if not data.flags.writeable:
            raise ValueError(located(_READ_ONLY)) from None
        raise _clear_error(x, index, source, error) from None
    if alias is not None or x._node is not None:
        _after_write(x, alias, None)


def _clear_error(x: Tensor, index: Any, source: Any, error: Exception) -> Exception:
    """Return the error in hybrid's words: which index, which axis, which shapes."""
    try:
        found = select(index, x.shape)
        part = found.view(x)
        if found.arrays:
            found.pick(part)
        shape = _picked(part, found)
    except (IndexingError, ShapeError) as clear:
        return clear
    if not fits(np.shape(source), shape):
        return ShapeError(located(_misfit(np.shape(source), shape)))
    return error


def _picked(part: Tensor, found: Selection) -> Shape:
    if not found.arrays:
        return part.shape
    block = broadcast_shapes(*(i.shape for i in found.arrays))
    rest = tuple(n for i, n in enumerate(part.shape) if i not in found.axes)
    return (*rest[: found.at], *block, *rest[found.at :])


def _assigned(value: Any, x: Tensor) -> Any:
    """Return the value in the dtype of `x`: an assignment casts whatever it is given."""
    value = _operand(value)
    if type(value) is Tensor:
        return value if value.dtype == x.dtype else value.astype(x.dtype)
    if type(value) is float and x.dtype.kind in "fc":
        return value  # which nothing refuses
    if is_unknown(value) and (x.dtype.kind not in "iu" or holds(value, x.dtype)):
        return value
    try:
        cast = np.array(value, dtype=x.dtype)  # refuses what NumPy refuses: 300 for uint8
    except OverflowError as error:
        raise OverflowError(located(f"setitem: {error}")) from None
    return cast.item() if x.dtype.kind in "biu" else value


def _trimmed(value: Any, shape: Shape) -> Any:
    """Drop leading axes of size 1 beyond those of `shape`, as NumPy's assignment does."""
    if type(value) is not Tensor or value.ndim <= len(shape):
        return value
    extra = value.ndim - len(shape)
    if any(n != 1 for n in value.shape[:extra]):
        raise ShapeError(located(_misfit(value.shape, shape)))
    return reshape(value, value.shape[extra:])


def _mask(index: Any, x: Tensor, value: Any) -> Tensor | None:
    """Return the mask, broadcastable to `x`, if the write is a choice between `value` and `x`.

    That is the form that a trace can hold: how many elements the mask selects plays no role.
    """
    if isinstance(index, tuple) and len(index) == 1:
        (index,) = index
    if isinstance(index, Variable):
        index = index.read()
    if not isinstance(index, Tensor | np.ndarray) or index.dtype.kind != "b" or not index.ndim:
        return None
    rest = x.shape[index.ndim :]
    if index.shape != x.shape[: index.ndim] or not fits(spec_of(value).shape, rest):
        return None
    return reshape(index, index.shape + (1,) * len(rest))


def _fill(x: Tensor, value: ArrayLike) -> None:
    """Write one value into all elements."""
    setitem(x, ..., value)


attach(__setitem__=setitem, fill=_fill)
