"""Which line of a function did it: found in its code, after the fact."""

from __future__ import annotations

import dis
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from types import CodeType

from hybrid.core.source import SourceLine

_LOADS = frozenset(
    {"LOAD_GLOBAL", "LOAD_DEREF", "LOAD_FAST", "LOAD_NAME", "LOAD_ATTR", "LOAD_METHOD"}
)
_STORES = frozenset({"STORE_GLOBAL", "STORE_DEREF", "STORE_ATTR", "STORE_NAME", "DELETE_ATTR"})
_MUTATING = """
    append extend insert pop popitem popleft appendleft extendleft remove clear update setdefault
    add discard sort reverse rotate fill put partition resize put_nowait __setitem__ __delitem__
    __setattr__
"""
MUTATORS = frozenset(_MUTATING.split())
_WRITERS = MUTATORS | {
    *("at", "copyto", "fill_diagonal", "flat", "itemset", "out", "place", "put_along_axis"),
    *("putmask", "shuffle"),
}
_ADDERS = frozenset(("append", "appendleft", "extend", "add"))
"""Methods that add to a container, and tell nothing of it."""


def line_that_changes(codes: Sequence[CodeType], name: str) -> SourceLine | None:
    """Return the line that writes to `name`: ``kept``, ``table['a'][...]``, ``self.count``.

    Parameters
    ----------
    codes : sequence of CodeType
        The user's functions.
    name : str
        As :class:`~hybrid.trace.environment.Binding` spells it.

    Returns
    -------
    SourceLine or None
        A line that names it, where none is seen to write to it.
    """
    wanted = _identifiers(name)
    # An object that is there has been made already.
    for code, number, ops in _lines(sorted(codes, key=lambda code: code.co_name == "__init__")):
        named = any(op.opname in _LOADS | _STORES and op.argval in wanted for op in ops)
        writes = any(
            op.opname in ("STORE_SUBSCR", "DELETE_SUBSCR")
            or (op.opname in _STORES and op.argval in wanted)
            or (op.opname in ("LOAD_METHOD", "LOAD_ATTR") and op.argval in MUTATORS)
            or (op.opname == "BINARY_OP" and op.argrepr.endswith("="))
            for op in ops
        )
        if named and writes:
            return SourceLine(code.co_filename, number, code.co_name)
    return line_that_names(codes, name)


@lru_cache(maxsize=1024)
def may_write(code: CodeType) -> bool:
    """Tell whether code may write into an array: by an index, in place, or by what it calls."""
    for op in dis.get_instructions(code):
        in_place = op.opname == "BINARY_OP" and op.argrepr.endswith("=")
        if in_place or op.opname in ("STORE_SUBSCR", "STORE_SLICE"):
            return True
    given = {x for names in code.co_consts if isinstance(names, tuple) for x in names}
    named = {*code.co_names, *(x for x in given if isinstance(x, str))}
    inner = (x for x in code.co_consts if isinstance(x, CodeType))
    return not named.isdisjoint(_WRITERS) or any(map(may_write, inner))


def is_only_filled(codes: Sequence[CodeType], name: str) -> bool:
    """Tell whether all that code does with a list or set is to add to it: ``log.append(x.shape)``.

    Parameters
    ----------
    codes : sequence of CodeType
        The user's functions.
    name : str
        As :class:`~hybrid.trace.environment.Binding` spells it. Where no code of the user's
        names it, a library has changed it, and knows what for.
    """
    wanted = _identifiers(name)
    found = False
    for code, _, ops in _lines(codes):
        if code.co_name == "__init__":
            continue  # of an object that is there
        for op, following in zip(ops, (*ops[1:], None)):
            if op.opname in _LOADS and op.argval in wanted:
                if following is None or following.argval not in _ADDERS:
                    return False
                found = True
    return found


def line_that_names(codes: Sequence[CodeType], name: str) -> SourceLine | None:
    """Return the first line that reads `name`."""
    wanted = _identifiers(name)
    for code, number, ops in _lines(codes):
        if any(op.opname in _LOADS and op.argval in wanted for op in ops):
            return SourceLine(code.co_filename, number, code.co_name)
    return None


def _identifiers(name: str) -> set[str]:
    """Return the last identifier outside of brackets: that of what is changed."""
    found = re.findall(r"[A-Za-z_]\w*", re.sub(r"\[.*?\]", "", name))
    return set(found[-1:])


def _lines(codes: Sequence[CodeType]) -> Iterator[tuple[CodeType, int, list[dis.Instruction]]]:
    for code in codes:
        number = code.co_firstlineno
        ops: list[dis.Instruction] = []
        for op in dis.get_instructions(code):
            if op.starts_line is not None and op.starts_line != number:
                yield code, number, ops
                number, ops = op.starts_line, []
            ops.append(op)
        yield code, number, ops
        yield from _lines([c for c in code.co_consts if isinstance(c, CodeType)])
