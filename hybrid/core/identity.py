"""Whether code can tell an object from one that is equal to it: by ``is``, ``match``, ``id``."""

from __future__ import annotations

import dis
from functools import lru_cache
from types import CodeType

NAMES = frozenset({"id", "is_", "is_not"})
"""Functions by which code can tell, of Python's own."""


@lru_cache(maxsize=4096)
def tells_identity(code: CodeType) -> bool:
    """Tell whether `code`, or a function in it, asks for an identity other than that of None."""
    if not NAMES.isdisjoint(code.co_names):
        return True
    before = None
    for step in dis.get_instructions(code):
        if step.opname == "IS_OP" and not _is_none(before):
            return True
        before = step
    return any(tells_identity(x) for x in code.co_consts if isinstance(x, CodeType))


def _is_none(step: dis.Instruction | None) -> bool:
    return step is not None and step.opname == "LOAD_CONST" and step.argval in (None, ...)
