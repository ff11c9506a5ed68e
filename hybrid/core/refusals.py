"""What ops raise: the words of their rules, at the user's line; and Tensors that left a trace."""

from __future__ import annotations

import gc
from collections import deque
from types import CellType
from typing import Any

from hybrid.core.op import Attrs, Op, too_large
from hybrid.core.operands import spec_of
from hybrid.core.source import located, user_line
from hybrid.core.state import state
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor
from hybrid.errors import HybridError, LeakedTensorError


def explained(op: Op, inputs: tuple[Any, ...], attrs: Attrs, error: Exception) -> Exception:
    """Return the error to raise: the op's own words where its rule refuses the inputs."""
    if not isinstance(error, HybridError) or state.recorder is not None:
        try:  # in a trace as well: there the rule was asked about numbers as they stand in graphs
            specs = op.infer(*(spec_of(x) for x in inputs), **attrs)
        except HybridError as clear:
            error = clear
        else:
            error = too_large(op, specs if op.multi else (specs,)) or error
    if isinstance(error, HybridError):
        if "\n  at " in str(error):
            return error
        return type(error)(located(str(error)))
    if isinstance(error, OverflowError):
        return too_wide(op, [x for x in inputs if isinstance(x, int)], error)
    line = user_line()
    if line is not None:
        error.add_note(f"in hb.{op.name} at {line.describe()}")
    return error


def too_wide(op: Op, ints: list[int], error: Exception) -> OverflowError:
    """Return the error for Python ints that the dtype of the arrays beside them cannot hold."""
    holds = [
        name
        for name, lowest, highest in (("int64", -(2**63), 2**63 - 1), ("uint64", 0, 2**64 - 1))
        if all(lowest <= n <= highest for n in ints)
    ]
    if holds:
        hint = f"convert the array to a wider dtype first, x.astype(hb.{holds[0]})"
    else:
        hint = "no dtype of integers holds it: use floats, x.astype(hb.float64)"
    return OverflowError(located(f"{op.name}: {error}; {hint}"))


def leaked(symbol: Symbol) -> HybridError:
    """Return the error for a traced value that is used outside its trace."""
    made = f"It was made at {symbol.line.describe()}." if symbol.line else ""
    home = getattr(symbol.recorder, "home", None)
    if home is not None:
        return LeakedTensorError(located(f"this Tensor ({symbol.spec}) belongs to {home}. {made}"))
    if getattr(symbol.recorder, "open", False):
        return LeakedTensorError(
            located(
                f"this Tensor ({symbol.spec}) belongs to a trace that is under way, and has no "
                "value yet where nothing is traced, as in another thread. Start threads outside of "
                "compiled functions and let these call compiled functions, or hand over x.numpy(), "
                f"from where on the function runs eagerly. {made}"
            )
        )
    keeper = _keeper(symbol)
    kept = f" It is kept {keeper}." if keeper else ""
    return LeakedTensorError(
        located(
            f"this Tensor ({symbol.spec}) belongs to a trace that has ended: it was kept in a "
            f"global, a closure or a container while a compiled function ran. {made}{kept} "
            "Return it from the function instead, or keep it in an hb.Variable."
        )
    )


def _keeper(symbol: Symbol) -> str:
    """Say what holds the Tensor of a Symbol, as far as the garbage collector knows."""
    tensors = [x for x in gc.get_referrers(symbol) if type(x) is Tensor]
    for holder in gc.get_referrers(*tensors):
        kind = type(holder)
        if kind is dict:
            owners = [x for x in gc.get_referrers(holder) if getattr(x, "__dict__", None) is holder]
            name = next((k for k, v in holder.items() if any(v is t for t in tensors)), None)
            owner = f"of a {type(owners[0]).__name__}" if owners else "of a dict"
            return f"under {name!r} {owner}"
        if kind in (set, frozenset, deque) or (kind is list and holder is not tensors):
            return f"in a {kind.__name__}"
        if kind is CellType:
            return "in a closure"
    return ""
