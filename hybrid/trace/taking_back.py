"""What Python has changed outside of a function, put back before the function runs once more."""

from __future__ import annotations

import random
from array import array
from collections import OrderedDict, deque
from collections.abc import Sequence
from types import CellType, FunctionType, MappingProxyType
from typing import Any

from hybrid.trace.environment import MISSING, Binding, dict_of
from hybrid.trace.holders import InContext, PerThread, Slots
from hybrid.trace.reach import numpys_generators


def put_back(binding: Binding, classes: Sequence[tuple[Any, type]]) -> None:
    """Let a name mean again what it meant, or a container hold what it held.

    Parameters
    ----------
    binding : Binding
        As it was before; its value is `MISSING` for a name that meant nothing.
    classes : sequence of (mappingproxy, class)
        Whose attributes the read-only dicts that are looked into are.
    """
    holder, value = binding.holder, binding.value
    match holder:
        case FunctionType():
            setattr(holder, binding.key or "", value)
        case CellType() if value is MISSING:
            del holder.cell_contents
        case CellType():
            holder.cell_contents = value
        case MappingProxyType():
            kind = next(kind for fields, kind in classes if fields is holder)
            if value is MISSING:
                delattr(kind, binding.key or "")
            else:
                setattr(kind, binding.key or "", value)
        case dict() if binding.key is not None and value is MISSING:
            holder.pop(binding.key, None)
        case dict() if binding.key is not None:
            holder[binding.key] = value
        case dict():
            _put_items_back(holder, dict_of(value))
        case PerThread():
            _put_items_back(vars(holder.obj), dict_of(value))
        case InContext() if value[0] is not MISSING:
            holder.variable.set(value[0])
        case Slots():
            _put_slots_back(holder, value)
        case _:
            _put_elements_back(holder, value)


def _put_items_back(holder: dict[Any, Any], before: dict[Any, Any]) -> None:
    """Let a dict have the items that it had; what is as it was is not touched meanwhile."""
    # A class of the user's may do more on assignment; an OrderedDict has to know of it.
    kind: type[dict[Any, Any]] = OrderedDict if isinstance(holder, OrderedDict) else dict
    for key in [key for key in holder if key not in before]:
        kind.__delitem__(holder, key)
    for key, value in before.items():
        if holder.get(key, MISSING) is not value:
            kind.__setitem__(holder, key, value)
    if list(holder) != list(before):
        kind.clear(holder)
        kind.update(holder, before)


def _put_slots_back(slots: Slots, before: tuple[Any, ...]) -> None:
    for name, value, now in zip(slots.names, before, slots, strict=True):
        if value is MISSING and now is not MISSING:
            object.__delattr__(slots.obj, name)
        elif value is not now:
            object.__setattr__(slots.obj, name, value)


def _put_elements_back(holder: Any, before: tuple[Any, ...]) -> None:
    match holder:
        case list():
            list.__setitem__(holder, slice(None), before)
        case deque():
            deque.clear(holder)
            deque.extend(holder, before)
        case set():
            set.clear(holder)
            set.update(holder, before)
        case bytearray():
            holder[:] = bytes(before)
        case array():
            holder[:] = array(holder.typecode, before)


def drawn_from(generator: Any) -> Any:
    """Return the state of a generator of random numbers, for :func:`draw_again`; None of others."""
    if isinstance(generator, random.Random) and not isinstance(generator, random.SystemRandom):
        return generator.getstate()
    if not isinstance(generator, numpys_generators()):
        return None
    of_numpy: Any = generator
    legacy = hasattr(generator, "get_state")
    return of_numpy.get_state(legacy=False) if legacy else of_numpy.bit_generator.state


def draw_again(generator: Any, state: Any) -> None:
    """Let a generator of random numbers give again what it gave after a state."""
    if isinstance(generator, random.Random):
        generator.setstate(state)
    elif hasattr(generator, "set_state"):
        generator.set_state(state)
    else:
        generator.bit_generator.state = state
