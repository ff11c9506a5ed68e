"""What the bytecode of a function tells of its lists and dicts: which it only fills."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Mapping
from functools import lru_cache
from types import CodeType, MappingProxyType

from hybrid.trace.bytecode import LOOKS, SILENT, reached, steps_of

# How many values an instruction takes from the stack, of those that may stand between a list and
# the return of it.
_TAKES = {
    "LOAD_FAST": 0,
    "LOAD_CONST": 0,
    "LOAD_SMALL_INT": 0,
    "LOAD_GLOBAL": 0,
    "LOAD_DEREF": 0,
    "PUSH_NULL": 0,
    "KW_NAMES": 0,
    "LOAD_METHOD": 1,
    "LOAD_ATTR": 1,
    "UNARY_NEGATIVE": 1,
    "BINARY_OP": 2,
    "BINARY_SUBSCR": 2,
    "COMPARE_OP": 2,
}
_BUILDS = {"BUILD_TUPLE": 0, "BUILD_LIST": 0, "BUILD_MAP": 0, "BUILD_CONST_KEY_MAP": 1}
_OF = {"appends": "BUILD_LIST", "reads": "BUILD_LIST", "sets": "BUILD_MAP"}
_MOST = 8  # of the last items of a list that may be read
_CALLS = ("PRECALL", "CALL", "CALL_KW")


@lru_cache(maxsize=256)
def filled(code: CodeType) -> Mapping[str, int]:
    """Return the variables that hold a list or dict which is only filled, in a loop, and returned.

    They are bound once, to what ``[...]`` or ``{}`` makes; each time they are read it is for
    ``name.append(...)`` of a list, ``name[...] = ...`` of a dict or for what the function returns.
    The last items of a list may be read as well, by ``name[-1]`` or ``name[-2]``: with each
    variable comes how many of them are.
    """
    if LOOKS & {*code.co_names} or code.co_flags & (
        inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
    ):
        return MappingProxyType({})
    names = {*code.co_varnames} - {*code.co_cellvars}
    given = code.co_argcount + code.co_kwonlyargcount
    given += bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    names -= {*code.co_varnames[:given]}
    found = {name: _last_read(code, name) for name in sorted(names)}
    return MappingProxyType({name: last for name, last in found.items() if last is not None})


@lru_cache(maxsize=256)
def is_only_returned(code: CodeType, name: str) -> bool:
    """Tell whether a variable is read only for what the function returns, an int added or not."""
    if name in code.co_cellvars:
        return False
    steps = [x for x in steps_of(code) if x.opname not in SILENT]
    for at, step in enumerate(steps):
        names = step.argval if isinstance(step.argval, tuple) else (step.argval,)
        if "_FAST" not in step.opname or name not in names or step.opname == "STORE_FAST":
            continue
        if step.opname != "LOAD_FAST":
            return False
        following = steps[at + 1 :]
        if [x.opname for x in following[:2]] == ["LOAD_CONST", "BINARY_OP"]:
            if type(following[0].argval) is int and following[1].argrepr in ("+", "-"):
                following = following[2:]
        ends = [i for i, x in enumerate(following) if x.opname == "RETURN_VALUE"]
        if _use(following) != "returned" or "BUILD_MAP" in [x.opname for x in following[: ends[0]]]:
            return False  # it may be a key
    return True


def _last_read(code: CodeType, name: str) -> int | None:
    """Return how many of the last items of a variable are read; None if it is not only filled."""
    steps = steps_of(code)
    plain = [(i, x) for i, x in enumerate(steps) if x.opname not in SILENT]
    bound, in_loop, last = 0, False, 0
    kinds = set()
    for at, (i, step) in enumerate(plain):
        names = step.argval if isinstance(step.argval, tuple) else (step.argval,)
        if "_FAST" not in step.opname or name not in names:
            continue
        if step.opname == "STORE_FAST":
            kind = _made([x for _, x in plain], at)
            if kind is None or i in reached(steps, i, set()):
                return None
            kinds.add(kind)
            bound += 1
            continue
        if not step.opname.startswith("LOAD_FAST") or step.opname == "LOAD_FAST_AND_CLEAR":
            return None
        if len(names) > 1 and (names[-1] != name or names.count(name) > 1):
            return None  # two variables at once, this one below the other
        following = [x for _, x in plain[at + 1 :]]
        use = _use(following)
        if use is None:
            return None
        if use == "reads":
            last = max(last, -following[0].argval)
        if use in _OF:
            kinds.add(_OF[use])
        in_loop |= use in ("appends", "sets") and i in reached(steps, i, set())
    return last if bound == 1 and in_loop and len(kinds) == 1 else None


def _made(steps: list[dis.Instruction], at: int) -> str | None:
    """Return by what that which is stored was made just before: ``a = []``, ``a, b = [], {}``."""
    first = last = at
    while first and steps[first - 1].opname == "STORE_FAST":
        first -= 1
    while last + 1 < len(steps) and steps[last + 1].opname == "STORE_FAST":
        last += 1
    swapped = steps[first - 1].opname == "SWAP"
    made = first - swapped
    count = last + 1 - first
    names = [step.opname for step in steps[made - count : made]] if made >= count else []
    if not names or not {*names} <= {"BUILD_LIST", "BUILD_MAP"}:
        return None
    return names[at - first] if swapped else names[first - at - 1]


def _lets_go_of_a_loop(following: list[dis.Instruction]) -> bool:
    """Tell whether what is below on the stack is dropped, as by a ``return`` in a loop."""
    swapped = [(x.opname, x.arg) for x in following[:2]]
    return bool(swapped) and swapped[0] == ("SWAP", 2) and swapped[-1][0] == "POP_TOP"


def _use(following: list[dis.Instruction]) -> str | None:
    """Return what becomes of the value on the stack; None for all that is not looked for.

    That is `appends`, `sets` (an item of it), `reads` (one of its last items) and `returned`.
    """
    if not following:
        return None
    first = following[0]
    method = first.opname == "LOAD_METHOD" or (
        first.opname == "LOAD_ATTR" and "NULL" in first.argrepr
    )
    if method and first.argval == "append":
        return "appends"
    if first.opname == "LOAD_CONST" and type(first.argval) is int and -_MOST <= first.argval < 0:
        second = following[1]
        if second.opname == "BINARY_SUBSCR" or second.argrepr == "[]":
            return "reads"
    above = 0  # values on top of it
    for i, step in enumerate(following):
        name = step.opname
        if name == "RETURN_VALUE":
            return "returned" if above == 0 else None
        if above == 0 and _lets_go_of_a_loop(following[i - (name == "POP_TOP") :]):
            continue
        if name == "STORE_SUBSCR":
            return "sets" if above == 1 and step is not first else None
        if name in _BUILDS:
            takes = (step.arg or 0) * (2 if name == "BUILD_MAP" else 1) + _BUILDS[name]
            above = max(above - takes, -1) + 1 if takes > above else above + 1 - takes
            continue
        takes = (step.arg or 0) + 2 if name in _CALLS else _TAKES.get(name, above + 1)
        if takes > above:
            return None
        above += dis.stack_effect(step.opcode, step.arg, jump=False)
    return None
