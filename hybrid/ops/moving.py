"""Parts of arrays that move from step to step of a loop: ``x[i]``, ``y[:, i] = v``.

A chain of view ops shows the part for counters of 0; each counter moves the starts of its slices.
The `rolling` pass makes these ops of steps whose slices differ by a constant. The part lies within
the array at each step, as it did in the steps that were traced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hybrid.core.dispatch import bind
from hybrid.core.op import OPS, Example, Op, Steps, register
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import Tensor
from hybrid.errors import DTypeError
from hybrid.ops.broadcasting import sum_to
from hybrid.ops.creation import zeros
from hybrid.ops.view_update import VIEW_UPDATE

Moves = tuple[tuple[tuple[int, ...], ...], ...]
"""For each counter, and each op of the chain: how far the starts of a slice move; () for others."""


def moved(chain: Steps, moves: Moves, counters: Sequence[Any]) -> Steps:
    """Return the chain of view ops that shows the part for these counters."""
    by = [int(x) for x in counters]
    found = []
    for place, (name, frozen) in enumerate(chain):
        attrs = dict(frozen)
        for count, move in zip(by, moves, strict=True):
            if move[place]:
                pairs = zip(attrs["starts"], move[place], strict=True)
                attrs["starts"] = tuple(start + count * m for start, m in pairs)
        found.append((name, tuple(sorted(attrs.items()))))
    return tuple(found)


def window(xp: Any, x: Any, *counters: Any, chain: Steps, moves: Moves) -> Any:
    """Return the part of an ndarray; a view."""
    for name, attrs in moved(chain, moves, counters):
        x = OPS[name].eager(xp, x, **dict(attrs))
    return x


def _check(counters: tuple[TensorSpec, ...], moves: Moves) -> None:
    if len(counters) != len(moves) or any(c.shape or c.dtype.kind != "i" for c in counters):
        raise DTypeError(f"{len(moves)} whole numbers say where the part is, not {counters}")


def _infer_view(x: TensorSpec, *counters: TensorSpec, chain: Steps, moves: Moves) -> TensorSpec:
    _check(counters, moves)
    for name, attrs in chain:
        x = OPS[name].infer(x, **dict(attrs))
    return TensorSpec(x.shape, x.dtype)


def _vjp_view(i: int, g: Tensor, out: Tensor, x: Tensor, *counters: Tensor, **attrs: Any) -> Any:
    if i:
        return None
    return bind(MOVING_UPDATE, (zeros(x.shape, g.dtype), g, *counters), attrs)


MOVING_VIEW = register(
    Op(
        name="moving_view",
        family="moving",
        infer=_infer_view,
        eager=lambda xp, x, *counters, chain, moves: xp.array(
            window(xp, x, *counters, chain=chain, moves=moves)
        ),
        vjp=_vjp_view,
        examples=(
            Example(
                ((5, 4), ()),
                {
                    "chain": (
                        ("slice", (("sizes", (1, 2)), ("starts", (2, 1)), ("steps", (1, 1)))),
                        ("squeeze", (("axis", (0,)),)),
                    ),
                    "moves": (((1, 0), ()),),
                },
                dtypes=("float32", "int64"),
            ),
        ),
        doc="The part that a chain of view ops shows, of which counters move the slices.",
    )
)


def _infer_update(
    base: TensorSpec, value: TensorSpec, *counters: TensorSpec, chain: Steps, moves: Moves
) -> TensorSpec:
    _check(counters, moves)
    found: TensorSpec = VIEW_UPDATE.infer(base, value, chain=chain)
    return found


def _eager_update(
    xp: Any, base: Any, value: Any, *counters: Any, chain: Steps, moves: Moves
) -> Any:
    return VIEW_UPDATE.eager(xp, base, value, chain=moved(chain, moves, counters))


def _vjp_update(
    i: int, g: Tensor, out: Tensor, base: Tensor, value: Tensor, *counters: Tensor, **attrs: Any
) -> Any:
    if i == 0:
        return bind(MOVING_UPDATE, (g, 0, *counters), attrs)
    if i == 1:
        part = bind(MOVING_VIEW, (g, *counters), attrs)
        return sum_to(part, value.shape).astype(value.dtype, copy=False)
    return None


MOVING_UPDATE = register(
    Op(
        name="moving_update",
        family="moving",
        infer=_infer_update,
        eager=_eager_update,
        vjp=_vjp_update,
        examples=(
            Example(
                ((5, 4), (2,), (), ()),
                {
                    "chain": (
                        ("slice", (("sizes", (2, 1)), ("starts", (2, 2)), ("steps", (-1, 1)))),
                        ("squeeze", (("axis", (1,)),)),
                    ),
                    "moves": (((1, 0), ()), ((0, -1), ())),
                },
                dtypes=("float32", "float32", "int64", "int64"),
                domain=(0.0, 2.0),
            ),
        ),
        doc="A copy of the base with another value in a part whose slices counters move.",
    )
)
