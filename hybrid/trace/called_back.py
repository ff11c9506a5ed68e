"""What callbacks change outside in the middle of a trace: it is theirs.

`hb.callback` runs its function at each call, replays included. So what that has changed is no
effect of the function that is traced, and stays where this runs once more.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

from hybrid.trace.environment import Binding, dict_of, same_value
from hybrid.trace.holders import PerThread
from hybrid.trace.reached import Reached


class Look:
    """The names and containers that a function reaches, as a callback finds them.

    Parameters
    ----------
    reached : Reached
        As it was before the trace.
    """

    def __init__(self, reached: Reached) -> None:
        self._reached = reached
        self._held = [binding.read() for binding in reached.bindings]
        self._come = [space.come() for _, space in reached.spaces]

    def take(self) -> list[Binding]:
        """Let all that has changed since have been so before the trace.

        Returns
        -------
        list of Binding
            What has changed, as the callback found it.
        """
        changed: list[Binding] = []
        bindings = self._reached.bindings
        for i, (binding, held) in enumerate(zip(bindings, self._held, strict=True)):
            now = binding.read()
            if now is held or same_value(now, held):
                continue
            changed.append(replace(binding, value=held))
            bindings[i] = replace(
                binding, value=_with(binding.holder, binding.value, held=held, now=now)
            )
        for (_, space), come in zip(self._reached.spaces, self._come, strict=True):
            space.know(set(space.come()).difference(come))
        return changed


def _with(holder: Any, before: Any, *, held: Any, now: Any) -> Any:
    """Return what was there before the trace with what a callback has changed since `held`."""
    if before is held or same_value(before, held):
        return now
    if not isinstance(before, tuple):
        return before
    if isinstance(holder, dict | PerThread):
        first, last, items = (dict_of(x) for x in (held, now, before))
        items |= {k: v for k, v in last.items() if k not in first or first[k] is not v}
        kept = {k: v for k, v in items.items() if k in last or k not in first}
        return (*kept, *kept.values())
    if isinstance(holder, list | deque) and same_value(now[: len(held)], held):
        return before + now[len(held) :]
    if isinstance(holder, set):
        return (*before, *set(now).difference(held))
    return before
