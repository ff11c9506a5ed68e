"""Whether all that a trace has read outside means what it did: a test that each call runs.

It is source, made for the bindings at hand, so that it takes as long as Python must.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain, repeat
from operator import is_
from types import CellType, FunctionType
from typing import Any

import numpy as np

from hybrid.core.source import run_generated
from hybrid.trace.environment import MISSING, Bases, Binding, Builtins, Contents, Kind, Space

Scope = dict[str, Any]
"""What the names in the source stand for."""

_FEW = 8
"""How many objects are looked at one by one: a loop in C takes 0.2 us to begin."""


def unbound() -> bool:
    """Tell of a function that reads no names that they mean the same."""
    return True


def unchanged(found: tuple[Binding, ...]) -> Callable[[], bool]:
    """Return a function that tells, as fast as Python can, whether all names mean the same.

    All that is held by containers is compared in one loop in C: a model of 1000 layers has
    thousands of attributes. Only where something is another object, values are compared.
    """
    if not found:
        return unbound
    scope: Scope = {"missing": MISSING, "all": all, "map": map, "is_": is_, "len": len}
    tests = [test for i, binding in enumerate(found) if (test := _by_itself(i, binding, scope))]
    tests += _of_contents([b for b in found if _is_container(b)], scope)
    tests += _of_kinds([b for b in found if type(b.holder) is Kind], scope)
    of_names, look_anew = _of_names([b.holder for b in found if type(b.holder) is Space], scope)

    def same() -> bool:
        if any(binding.changed for binding in found):
            return False
        look_anew()  # nobody names what has come
        return True

    scope["same"] = same
    # A cell may have been emptied, a container may change in another thread.
    test = " and ".join((*tests, *of_names))
    run_generated(
        "def valid():\n    try:\n"
        f"        return ({test}) or same()\n"
        "    except (ValueError, RuntimeError):\n        return same()\n",
        "launcher",
        scope,
    )
    valid: Callable[[], bool] = scope["valid"]
    return valid


def _is_container(binding: Binding) -> bool:
    return binding.key is None and isinstance(binding.holder, dict | list | set | deque)


def _by_itself(i: int, binding: Binding, scope: Scope) -> str:
    """Return the test of one name; nothing of what is looked at together with others."""
    holder, key = binding.holder, binding.key
    if type(holder) in (Space, Kind) or _is_container(binding):
        return ""
    scope |= {f"h{i}": holder, f"v{i}": binding.value}
    if isinstance(holder, FunctionType):
        return f"h{i}.{key} is v{i}"
    if type(holder) is Builtins:
        scope |= {f"h{i}": holder.scope.keys(), f"v{i}": holder.names}
        return f"h{i}.isdisjoint(v{i})"
    if type(holder) is Bases:
        scope |= {f"h{i}": holder.kind, f"v{i}": holder.kind.__mro__}
        return f"h{i}.__mro__ is v{i}"
    if type(holder) is Contents:
        return f"h{i}.same()"
    if isinstance(holder, np.ndarray):
        return f"h{i}.shape == v{i}"
    if key is not None:
        return f"h{i}.get({key!r}, missing) is v{i}"
    if type(holder) is CellType:
        return f"h{i}.cell_contents is v{i}"
    scope[f"b{i}"] = binding
    return f"not b{i}.changed"


def _of_contents(bindings: Sequence[Binding], scope: Scope) -> list[str]:
    """Return the test of what containers hold: how much, and each object."""
    if not bindings:
        return []
    holders = [b.holder for b in bindings]
    views = [v for h in holders for v in ((h, h.values()) if isinstance(h, dict) else (h,))]
    lengths = [len(b.value) // (2 if isinstance(b.holder, dict) else 1) for b in bindings]
    scope |= {"holders": holders, "lengths": lengths}
    scope |= {"views": views, "flat": chain.from_iterable}
    scope["values"] = [x for b in bindings for x in b.value]
    return ["[*map(len, holders)] == lengths and all(map(is_, flat(views), values))"]


def _of_kinds(bindings: Sequence[Binding], scope: Scope) -> list[str]:
    """Return the tests that objects are of the classes of which they were."""
    objects = [b.holder.obj for b in bindings]
    kinds = [kind for b in bindings for kind in b.value]
    scope |= {"objects": objects, "kinds": kinds, "type": type}
    if len(objects) > _FEW:
        return ["all(map(is_, map(type, objects), kinds))"]
    scope |= {f"o{i}": obj for i, obj in enumerate(objects)}
    scope |= {f"k{i}": kind for i, kind in enumerate(kinds)}
    return [f"type(o{i}) is k{i}" for i in range(len(objects))]


def _of_names(spaces: Sequence[Space], scope: Scope) -> tuple[list[str], Callable[[], None]]:
    """Return the tests that no name has come to be, and what takes those for known that have."""
    fields, sizes = [x.fields for x in spaces], [x.size for x in spaces]
    losing = [x for x in spaces if x.may_lose]
    dicts, last = [_dict_of(x.fields) for x in losing], [x.last for x in losing]
    tests = []
    if spaces:
        scope |= {"spaces": fields, "sizes": sizes}
        tests.append("[*map(len, spaces)] == sizes")
    if losing:  # 0.15 us each: whatever has come is the last one
        scope |= {"dicts": dicts, "last": last, "next": next, "back": dict.__reversed__}
        tests.append("[*map(next, map(back, dicts))] == last")

    def look_anew() -> None:
        sizes[:] = map(len, fields)
        last[:] = map(next, map(dict.__reversed__, dicts), repeat(None))

    return tests, look_anew


def _dict_of(fields: Any) -> dict[str, Any]:
    """Return the dict that the read-only attributes of a class show; another dict as it is."""
    found: dict[str, Any] = fields if type(fields) is dict else gc.get_referents(fields)[0]
    return found
