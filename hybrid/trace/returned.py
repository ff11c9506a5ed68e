"""What a traced function returns: which leaf is an argument, a view, a capture, a new value."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from hybrid.core import dispatch, formula
from hybrid.core.graph import Value
from hybrid.core.making import asarray
from hybrid.core.op import OPS
from hybrid.core.places import DeviceArray
from hybrid.core.storage import Chain
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor, wrap
from hybrid.core.unknown import Unknown
from hybrid.dtypes import SUPPORTED
from hybrid.trace.outside import OutsideRecorder
from hybrid.trace.results import Fixed, FromArgument, FromFilled, FromFormula, Kept, Leaf, Same
from hybrid.trace.segment import Segment
from hybrid.trace.sources import Environment


def shared_storages(leaves: list[Any]) -> set[int]:
    """Return the Storages (by identity) of which several results are aliases."""
    tensors = {id(x): x for x in leaves if type(x) is Tensor and type(x._data) is Symbol}
    storages = [id(x._alias.storage) for x in tensors.values() if x._alias is not None]
    return {s for s in storages if storages.count(s) > 1}


def keep_apart(outside: OutsideRecorder, leaves: list[Any]) -> None:
    """Let results be copies that hold what another array holds: ``b[...] = a`` is no node.

    One value is one array once it is computed, which would be written through both.
    """
    from_outside = [tensor for _, tensor, _ in (*outside.inputs, *outside.shadows.values())]
    from_outside += [tensor for _, tensor, _, _ in outside.variables.values()]
    held = {id(_holder(tensor)) for tensor in from_outside}
    taken = {outside.value_of(tensor) for tensor in from_outside}
    taken |= {value for _, _, value in (*outside.inputs, *outside.shadows.values())}
    for x in leaves:
        if type(x) is not Tensor or type(x._data) is not Symbol or x._data.spec.weak:
            continue
        holder = _holder(x)
        if id(holder) in held:
            continue
        held.add(id(holder))
        symbol = holder._data if type(holder) is Tensor else holder.base
        if symbol.value in taken:
            source = wrap(symbol)
            symbol = dispatch.bind(OPS["copy"], (source,), {})._data
            if source._data.value in outside.silenced:
                outside.silenced.add(symbol.value)
            if type(holder) is Tensor:
                holder._data = symbol
            else:
                holder.base = symbol
                holder.version += 1
        taken.add(symbol.value)


def _holder(tensor: Tensor) -> Any:
    return tensor if tensor._alias is None else tensor._alias.storage


def capture_results(outside: OutsideRecorder, leaves: list[Any]) -> None:
    """Capture what is returned as it is: it is from outside, or was made by the function."""
    for x in leaves:
        if type(x) is np.ndarray and x.dtype in SUPPORTED and x.dtype.isnative:
            outside.shadow(asarray(x))
        elif type(x) is Tensor and type(x._data) is not Symbol:
            outside.shadow(x)


def local_arrays(
    outside: OutsideRecorder,
    path: list[Segment],
    environment: Environment,
    returned: Any,
    leaves: list[Any],
) -> dict[int, Value]:
    """Return the captures that only this trace still knows: the function made them itself.

    What they are worth was taken when they were first used; the memory dies with this call.
    """
    found: dict[int, Value] = {}
    for source, tensor, _ in outside.shadows.values():
        array = source._data
        # Captures, shadows and this frame (twice) know the Tensor, and the segments; so do the
        # leaves, and what they come from: containers, or the three frames that pass it on.
        known = 4 + sum(s is source for seg in path for s in seg.captured)
        known += sum(w.target is source for seg in path for w in seg.writes)
        known += 4 if returned is source else 2 * sum(x is source for x in leaves)
        # The Tensor and this frame know the array, and the environment.
        held = 3 + sum(x is array for x in environment)
        held += 4 if returned is array else 2 * sum(x is array for x in leaves)
        alone = sys.getrefcount(source) <= known and sys.getrefcount(array) <= held
        if alone and array.base is None and source._alias is None:
            found[id(source)] = outside.captures[id(source)][1]
        del tensor
    return found


def result_leaf(
    outside: OutsideRecorder,
    x: Any,
    earlier: list[Any],
    shared: set[int],
    wanted: list[Value],
    local: dict[int, Value],
) -> Value | tuple[Value, Chain, bool] | Leaf:
    for j, other in enumerate(earlier):
        if other is x and isinstance(x, Tensor | np.ndarray):
            return Same(j)
    if type(x) is FromFilled:
        return x
    if type(x) is Kept:
        return Fixed(x.container)
    data = x._data if type(x) is Tensor else x
    memory = isinstance(data, np.ndarray | DeviceArray)
    known = outside.shadows.get(id(data)) if memory else None
    if known is not None and id(known[0]) in local:
        x = known[1]
    if type(x) is Unknown and x.open:
        return FromFormula(formula.read(x.formula))
    if type(x) is not Tensor or type(x._data) is not Symbol:
        return Fixed(x)
    silent = x._data.value in outside.silenced
    for leaf, tensor, committed in outside.inputs:
        if isinstance(outside.arguments[leaf], np.generic):
            # It cannot be written: what was written to it is a new value.
            if x is tensor and outside.value_of(tensor) is committed:
                return FromArgument(leaf)
            continue
        if x is tensor:
            return FromArgument(leaf)
        mine, its = x._alias, tensor._alias
        if mine and its and mine.storage is its.storage and not its.chain:
            return FromArgument(leaf, mine.chain, silent)
    for source, tensor, _ in outside.shadows.values():
        if id(source) not in local:
            mine, its = x._alias, tensor._alias
            if x is tensor:
                return Fixed(source)
            if mine and its and mine.storage is its.storage and not its.chain:
                return Fixed(source, mine.chain, silent)
    if x._alias is not None and id(x._alias.storage) in shared:
        value = x._alias.storage.base.value
        wanted.append(value)
        return value, x._alias.chain, silent
    value = outside.lift(x)
    wanted.append(value)
    return value
