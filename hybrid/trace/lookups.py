"""What code looks up by names that it makes itself: ``globals()["k"]``, ``eval``, ``import``.

Of ``globals()[...]`` with a text that stands in the code that name is known; of anything else
that reads globals by name, each may be meant. What a function imports is looked up at each call.
"""

from __future__ import annotations

import dis
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType
from typing import Any

from hybrid.trace.bytecode import SILENT

# Names by which code has its globals in a way that does not show which of them it reads.
_ANY = frozenset({"eval", "exec", "__globals__", "f_globals"})
_MODULES = frozenset({"import_module", "__import__", "getmodule"})
_PASSED = frozenset((*SILENT, "PUSH_NULL"))
_IMPORT = dis.opmap["IMPORT_NAME"]


@lru_cache(maxsize=4096)
def names_looked_up(code: CodeType) -> frozenset[str] | None:
    """Return the globals that code, and what is defined in it, reads by text; None for any."""
    if not _ANY.isdisjoint(code.co_names):
        return None
    found: frozenset[str] = frozenset()
    if "globals" in code.co_names:
        keys = _keys(code)
        if keys is None:
            return None
        found = keys
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            more = names_looked_up(inner)
            if more is None:
                return None
            found |= more
    return found


def _keys(code: CodeType) -> frozenset[str] | None:
    """Return the texts in ``globals()["k"]`` and ``globals().get("k", ...)``; None for others."""
    steps = [x for x in dis.get_instructions(code) if x.opname not in _PASSED]
    found = []
    for i, step in enumerate(steps):
        if step.argval == "globals" and step.opname.startswith("LOAD"):
            call, *after = steps[i + 1 : i + 4]
            if not call.opname.startswith("CALL") or call.arg or not after:
                return None
            if after[0].opname in ("LOAD_METHOD", "LOAD_ATTR") and after[0].argval == "get":
                del after[0]
            key = steps[i - 1] if after[0].opname == "CONTAINS_OP" else after[0]
            if key.opname != "LOAD_CONST" or type(key.argval) is not str:
                return None
            found.append(key.argval)
    return frozenset(found)


@lru_cache(maxsize=4096)
def _imports(code: CodeType) -> tuple[tuple[str, int], ...]:
    """Return the modules that code, and what is defined in it, imports, and how far up."""
    found: list[tuple[str, int]] = []
    some = _IMPORT in code.co_code[::2]  # told soon; taking code apart takes 0.2 ms
    steps = [x for x in dis.get_instructions(code) if x.opname not in SILENT] if some else []
    for level, _, step in zip(steps, steps[1:], steps[2:], strict=False):
        if step.opname == "IMPORT_NAME":
            found.append((step.argval, level.argval))
    inner = (_imports(x) for x in code.co_consts if isinstance(x, CodeType))
    return (*found, *(pair for pairs in inner for pair in pairs))


def modules_imported(code: CodeType, scope: dict[str, Any]) -> Iterator[str]:
    """Yield the names of the modules that code imports when it runs, those around them first."""
    for name, level in _imports(code):
        if level:
            package = (scope.get("__package__") or "").split(".")
            name = ".".join([*package[: len(package) - level + 1], *([name] if name else [])])
        parts = name.split(".")
        yield from (".".join(parts[: i + 1]) for i in range(len(parts)))


def takes_any_module(names: set[str]) -> bool:
    """Tell whether code with such names may look for modules by text."""
    return not names.isdisjoint(_MODULES) or {"sys", "modules"} <= names
