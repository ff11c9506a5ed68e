"""What the bytecode of a function tells: where it asks, where it loops, what it reads later."""

from __future__ import annotations

import dis
from collections.abc import Collection
from functools import lru_cache
from types import CodeType

_ENDS = ("RETURN", "RAISE", "RERAISE")
LOOKS = frozenset({"locals", "vars", "dir", "eval", "exec"})  # these read variables by name

SILENT = ("CACHE", "EXTENDED_ARG", "PRECALL", "NOP")
_VALUE = "value"
_IMPORT = dis.opmap["IMPORT_NAME"]
_STORES = ("STORE_FAST", "STORE_FAST_LOAD_FAST")


def counts(code: CodeType, at: int, shown: Collection[int] = ()) -> bool:
    """Tell whether an instruction is in a ``for`` loop whose iterator cannot be seen."""
    return any(loop not in shown for loop in _loops_around(code, at))


def decides(code: CodeType, at: int) -> bool:
    """Tell whether an instruction is one by which Python itself asks for a truth value."""
    return at in _questions_of(code)


@lru_cache(maxsize=256)
def once_a_step(code: CodeType, at: int) -> bool:
    """Tell whether a question in a ``for`` loop is asked exactly once in each of its steps."""
    around = _loops_around(code, at)
    if len(around) != 1 or code.co_exceptiontable:
        return False
    steps = steps_of(code)
    head, asks = _number(steps, around[0]), _number(steps, at)
    from_head = reached(steps, head, {head, asks})
    return head not in from_head and asks not in reached(steps, asks, {head, asks})


@lru_cache(maxsize=256)
def asks_alone(code: CodeType, at: int) -> bool:
    """Tell whether nothing waits on the stack for an answer, but iterators and what ends blocks."""
    steps = steps_of(code)
    found: dict[int, tuple[str, ...]] = {}
    pending: list[tuple[int, tuple[str, ...]]] = [(0, ())]
    while pending:
        number, stack = pending.pop()
        if number in found:
            continue
        found[number] = stack
        step = steps[number]
        if step.offset == at:
            return stack[:-1].count(_VALUE) == 0
        for following in _following(steps, number):
            jumps = following != number + 1
            change = dis.stack_effect(step.opcode, step.arg, jump=jumps)
            kept = stack[: len(stack) + min(change, 0)]
            if step.opname == "GET_ITER":
                kept = (*kept[:-1], "iterator")
            elif step.opname == "BEFORE_WITH":
                kept = (*kept[:-1], "exit")
            pending.append((following, kept + (_VALUE,) * max(change, 0)))
    return False


@lru_cache(maxsize=256)
def computes_with(code: CodeType, name: str) -> bool:
    """Tell whether a variable is read for more than to be compared with literals, as ``k % 9``."""
    plain = [step for step in steps_of(code) if step.opname not in SILENT]
    for i, step in enumerate(plain):
        if name not in _touched(step)[0]:
            continue
        if step.opname != "LOAD_FAST":
            return True
        following = plain[i + 1 :]
        while [x.opname for x in following[:2]] == ["LOAD_CONST", "BINARY_OP"]:
            following = following[2:]
        if [x.opname for x in following[:2]] != ["LOAD_CONST", "COMPARE_OP"]:
            return True
    return False


@lru_cache(maxsize=256)
def indexed_by(code: CodeType) -> frozenset[tuple[str, str]]:
    """Return which variables are an index, and of what: another variable, or nothing that shows."""
    plain = [step for step in steps_of(code) if step.opname not in SILENT]
    found = set()
    for i, step in enumerate(plain):
        subscript = "_SUBSCR" in step.opname or step.argrepr == "[]"
        if subscript and plain[i - 1].opname.startswith("LOAD_FAST"):
            loads = [x.argval for x in plain[max(i - 2, 0) : i] if x.opname.startswith("LOAD_FAST")]
            names = ["", *(y for x in loads for y in (x if isinstance(x, tuple) else (x,)))]
            found.add((names[-1], names[-2]))
    return frozenset(found)


def reached(steps: list[dis.Instruction], start: int, ends: set[int]) -> set[int]:
    """Return the instructions that may follow one, as far as any of `ends`."""
    found: set[int] = set()
    pending = _following(steps, start)
    while pending:
        number = pending.pop()
        if number not in found:
            found.add(number)
            if number not in ends:
                pending += _following(steps, number)
    return found


@lru_cache(maxsize=256)
def read_after(
    code: CodeType, at: int, answer: bool, shown: frozenset[int] = frozenset()
) -> frozenset[str] | None:
    """Return the variables that may be read once a question was answered.

    Parameters
    ----------
    code : code
    at : int
        The instruction that asks.
    answer : bool
    shown : frozenset of int
        The ``for`` loops whose iterators are Tensors, as it were.

    Returns
    -------
    frozenset of str, optional
        Local variables whose contents then may matter. None where a loop may go on whose iterator
        cannot be seen, and where the bytecode does not tell.
    """
    if code.co_exceptiontable or LOOKS & {*code.co_names}:
        return None  # any instruction may lead to a handler
    steps = steps_of(code)
    live = _live(code)[_after(steps, at, answer)]
    if live & (set(_loops_around(code, at)) - shown):
        return None
    names = {x for x in live if isinstance(x, str)}
    return frozenset((*names, *code.co_cellvars, *code.co_freevars))


def loop_over(code: CodeType, at: int) -> tuple[int, str, bool] | None:
    """Return where a ``for`` loop over what a call gives begins, its variable, and if that is read.

    Parameters
    ----------
    code : code
    at : int
        The instruction that calls.
    """
    return _loops_over_calls(code).get(at)


@lru_cache(maxsize=256)
def _loops_over_calls(code: CodeType) -> dict[int, tuple[int, str, bool]]:
    """Return ``for`` loops, their variables, and if those are read, by the calls they are over."""
    if LOOKS & {*code.co_names}:
        return {}
    steps = [(i, step) for i, step in enumerate(steps_of(code)) if step.opname not in SILENT]
    found = {}
    for (_, call), (_, made), (_, loop), (i, stored) in zip(
        steps, steps[1:], steps[2:], steps[3:], strict=False
    ):
        named = [call.opname, made.opname, loop.opname]
        if named != ["CALL", "GET_ITER", "FOR_ITER"] or not stored.opname.startswith("STORE_FAST"):
            continue
        names = stored.argval if isinstance(stored.argval, tuple) else (stored.argval,)
        read = _live(code)[i + 1] | _touched(stored)[0]
        if code.co_exceptiontable:  # any instruction may lead to a handler
            read = frozenset[str | int]().union(*(_touched(step)[0] for _, step in steps))
        if stored.opname in _STORES:
            found[call.offset] = loop.offset, names[0], names[0] in read
    return found


@lru_cache(maxsize=4096)
def imports(code: CodeType) -> frozenset[str]:
    """Return the packages that code, and what is defined in it, imports."""
    some = _IMPORT in code.co_code[::2]  # told soon; taking code apart takes 0.2 ms
    named = [x for x in steps_of(code) if x.opname == "IMPORT_NAME"] if some else []
    inner = [imports(x) for x in code.co_consts if isinstance(x, CodeType)]
    return frozenset(str(x.argval).partition(".")[0] for x in named).union(*inner)


@lru_cache(maxsize=4096)
def only_calls(code: CodeType, name: str) -> bool:
    """Tell whether code, and what is defined in it, does nothing with a global but to call it."""
    if name in code.co_names:
        for step in steps_of(code):
            if step.argval == name and step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                if "NULL" not in step.argrepr:
                    return False
    return all(only_calls(x, name) for x in code.co_consts if isinstance(x, CodeType))


@lru_cache(maxsize=4096)
def line_that_matches(code: CodeType, name: str) -> int | None:
    """Return the first line of code with a pattern ``case name():``, the name a module's or not."""
    if name in code.co_names:
        line = code.co_firstlineno
        steps = steps_of(code)
        for loaded, _, step in zip(steps, steps[1:], steps[2:]):
            line = loaded.starts_line or line
            if step.opname == "MATCH_CLASS" and loaded.argval == name:
                return line
    inner = (line_that_matches(x, name) for x in code.co_consts if isinstance(x, CodeType))
    return next((line for line in inner if line is not None), None)


@lru_cache(maxsize=256)
def steps_of(code: CodeType) -> list[dis.Instruction]:
    """Return the instructions of a function."""
    return list(dis.get_instructions(code))


@lru_cache(maxsize=256)
def _loops_of(code: CodeType) -> list[tuple[int, int]]:
    """Return from where to where the bodies of ``for`` loops reach."""
    return [(step.offset, step.argval) for step in steps_of(code) if step.opname == "FOR_ITER"]


def _loops_around(code: CodeType, at: int) -> list[int]:
    return [start for start, stop in _loops_of(code) if start < at < stop]


@lru_cache(maxsize=256)
def _questions_of(code: CodeType) -> frozenset[int]:
    return frozenset(step.offset for step in steps_of(code) if _asks(step))


def _asks(step: dis.Instruction) -> bool:
    if step.opname == "COMPARE_OP":  # since Python 3.13 a comparison may ask by itself
        return step.argrepr.startswith("bool")
    return step.opname.startswith(("POP_JUMP", "JUMP_IF", "UNARY_NOT", "TO_BOOL"))


def _after(steps: list[dis.Instruction], at: int, answer: bool) -> int:
    """Return the number of the instruction that an answer leads to."""
    number = next(i for i, step in enumerate(steps) if step.offset == at)
    while steps[number].opname in ("TO_BOOL", "COMPARE_OP", "UNARY_NOT"):
        answer = answer is not (steps[number].opname == "UNARY_NOT")
        number += 1
    step = steps[number]
    for ending, jumps in (("IF_TRUE", answer), ("IF_FALSE", not answer)):
        if ending in step.opname:
            return _number(steps, step.argval) if jumps else number + 1
    return number


def _number(steps: list[dis.Instruction], offset: int) -> int:
    return next(i for i, step in enumerate(steps) if step.offset >= offset)


@lru_cache(maxsize=256)
def _live(code: CodeType) -> list[frozenset[str | int]]:
    """Return what is read from each instruction on before it is written anew.

    A ``for`` loop reads its iterator, which goes by the number of the instruction here.
    """
    steps = steps_of(code)
    following = [_following(steps, i) for i in range(len(steps))]
    live: list[frozenset[str | int]] = [frozenset()] * len(steps)
    changed = True
    while changed:
        changed = False
        for i in reversed(range(len(steps))):
            reads, writes = _touched(steps[i])
            after = frozenset[str | int]().union(*(live[j] for j in following[i]))
            now = reads | (after - writes)
            changed |= now != live[i]
            live[i] = now
    return live


def _following(steps: list[dis.Instruction], number: int) -> list[int]:
    step = steps[number]
    if step.opname.startswith(_ENDS):
        return []
    jumps = step.opcode in dis.hasjrel or step.opcode in dis.hasjabs
    found = [_number(steps, step.argval)] if jumps else []
    if not step.opname.startswith(("JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_ABSOLUTE")):
        found.append(number + 1)
    return [i for i in found if i < len(steps)]


def _touched(step: dis.Instruction) -> tuple[frozenset[str | int], frozenset[str | int]]:
    """Return what an instruction reads and what it writes first."""
    if step.opname == "FOR_ITER":
        return frozenset({step.offset}), frozenset()
    if not any(kind in step.opname for kind in ("_FAST", "_DEREF", "_CLOSURE", "CLASSDEREF")):
        return frozenset(), frozenset()
    names = step.argval if isinstance(step.argval, tuple) else (step.argval,)
    match step.opname:
        case "STORE_FAST" | "STORE_FAST_STORE_FAST":
            return frozenset(), frozenset(names)
        case "STORE_FAST_LOAD_FAST":
            return frozenset(names[1:]) - {names[0]}, frozenset(names[:1])
    return frozenset(names), frozenset()
