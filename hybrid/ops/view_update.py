"""The op of writes through views: the base as it is once a part of it is another value."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.core.batch import Lanes
from hybrid.core.dispatch import (
    bind,
)
from hybrid.core.heard import converts
from hybrid.core.layout import Layout
from hybrid.core.making import asarray
from hybrid.core.op import OPS, Attrs, Example, Op, register
from hybrid.core.spec import Shape, TensorSpec, fits
from hybrid.core.storage import Chain
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import ShapeError
from hybrid.ops.broadcasting import broadcast_to, sum_to
from hybrid.ops.reshaping import reshape

FrozenChain = tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]

READ_ONLY = (
    "assignment destination is read-only: it is a broadcast view or an ndarray that does not allow "
    "writes; write to a copy of it"
)


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
            raise ValueError(READ_ONLY)
        base = OPS[name].infer(base, **dict(attrs))
    return base


def _infer_view_update(base: TensorSpec, value: TensorSpec, *, chain: FrozenChain) -> TensorSpec:
    part = _viewed_spec(base, chain)
    check_fit(value.shape, part.shape)
    return TensorSpec(base.shape, base.dtype, base.device)


def _viewed(xp: Any, array: Any, chain: FrozenChain) -> Any:
    for name, attrs in chain:
        array = OPS[name].eager(xp, array, **dict(attrs))
    return array


@converts
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
        warns=True,
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
    for at, (op, _) in enumerate(chain):
        if op.put is not None:
            return _through_part(base, value, chain, at)
    if type(value) is Tensor:
        if value.dtype != base.dtype and not value.spec.weak:
            value = value.astype(base.dtype, copy=False)
    elif type(value) is not float and not isinstance(value, int | float | complex):
        value = asarray(value).astype(base.dtype, copy=False)
    return bind(VIEW_UPDATE, (base, value), _attrs_for(chain))


def _through_part(base: Tensor, value: ArrayLike, chain: Chain, at: int) -> Tensor:
    """Return a copy of `base` in whose elements a part is another, by what ``chain[at]`` shows."""
    whole = base
    for op, attrs in chain[:at]:
        whole = bind(op, (whole,), attrs)
    op, attrs = chain[at]
    assert op.put is not None
    if chain[at + 1 :]:
        value = view_update(bind(op, (whole,), attrs), value, chain[at + 1 :])
    if op.shown is not Layout.halved:  # which casts and broadcasts nothing
        spec = op.infer(whole.spec, **attrs)
        array = asarray(value) if isinstance(value, Tensor) else asarray(value, dtype=spec.dtype)
        value = broadcast_to(array.astype(spec.dtype, copy=False), spec.shape)
    new = bind(op.put, (whole, value), attrs)
    return view_update(base, new, chain[:at]) if at else new


def misfit(shape: Shape, target: Shape) -> str:
    return f"a value of shape {shape} does not fit the part that is written, of shape {target}"


def check_fit(shape: Shape, target: Shape) -> None:
    if not fits(shape, target):
        raise ShapeError(misfit(shape, target))
