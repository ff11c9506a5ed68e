"""``x[mask] *= 2`` in a trace: in-place operators on what a mask selects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hybrid.core.dispatch import state
from hybrid.core.picked import Picked, is_same
from hybrid.core.spec import casts
from hybrid.core.tensor import Tensor
from hybrid.core.unknown import same_shape


def in_place(target: Tensor, forward: Callable[..., Any], other: Any) -> bool:
    """Operate on the whole array that a Tensor is selected from.

    Parameters
    ----------
    target : Tensor
        That hangs on an array by a mask; whoever else holds it sees the result.
    forward : callable
        The operator that makes a new Tensor.
    other : object

    Returns
    -------
    bool
        False where the operator is to have the elements themselves, or to say what is wrong.
    """
    link = target._link
    if type(link) is not Picked or link.whole._data.recorder is not state.recorder:
        return False
    result = forward(target, other)
    made = result._link if type(result) is Tensor else None
    if target._link is not link or type(made) is not Picked:
        return False
    before, whole = link.whole, made.whole
    if not is_same(link, made.mask, made.lead) or not same_shape(whole.shape, before.shape):
        return False
    if whole.dtype != before.dtype:
        if not casts(whole.spec, before.dtype):
            return False
        whole = whole.astype(before.dtype)
    target._link = Picked(whole, link.mask, link.lead, link.select)
    return True
