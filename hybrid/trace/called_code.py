"""What of a function's code only names what a callback calls: the callback's affair, not its own.

``hb.callback(log.append, None, x)`` runs ``log.append`` at each call, replays included. What that
reads is read then, and no trace depends on it: of ``log`` a trace knows which list it is, and not
what it holds. Where the function names it elsewhere too, it reads it itself.
"""

from __future__ import annotations

import dis
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from types import CodeType, FrameType, FunctionType, MethodType
from typing import Any

from hybrid.records import dataclass
from hybrid.trace.blame import MUTATORS
from hybrid.trace.bytecode import SILENT
from hybrid.trace.control.effects import callback
from hybrid.trace.environment import Binding
from hybrid.trace.reached import Reached

_OF_GLOBALS = ("LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME")
_PARTS = {4: "annotations", 8: "closure"}  # of a function whose default values nothing computes


@dataclass(frozen=True, slots=True)
class Names:
    """What code names itself, and what only for callbacks.

    Attributes
    ----------
    globals, attributes, variables : frozenset of str
        What it reads itself: global names, whatever has a name, variables of its own and of
        functions around it.
    called : frozenset of str
        What only says what is called back: ``self`` and ``note`` of ``self.note``.
    stored : frozenset of str
        Attributes that functions set which it makes to be called back.
    """

    globals: frozenset[str]
    attributes: frozenset[str]
    variables: frozenset[str]
    called: frozenset[str]
    stored: frozenset[str]


def own_names(code: CodeType, scope: dict[str, Any]) -> Names | None:
    """Return what code names itself; None where nothing is named only for callbacks.

    Parameters
    ----------
    code : code
    scope : dict
        Its globals.
    """
    names = _all_names(code)
    direct = frozenset(x for x in names if scope.get(x) is callback)
    if "callback" not in names and not direct:
        return None
    modules = frozenset(x for x in names if getattr(scope.get(x), "callback", None) is callback)
    return _own_names(code, modules, direct) if direct or modules else None


@lru_cache(maxsize=1024)
def _all_names(code: CodeType) -> frozenset[str]:
    return frozenset(code.co_names).union(*map(_all_names, _codes_in(code)))


def _codes_in(code: CodeType) -> Iterator[CodeType]:
    return (x for x in code.co_consts if isinstance(x, CodeType))


@lru_cache(maxsize=256)
def _own_names(code: CodeType, modules: frozenset[str], direct: frozenset[str]) -> Names | None:
    steps = [x for x in dis.get_instructions(code) if x.opname not in SILENT]
    masked = _masked(code, steps, modules, direct)
    inner = [x for x in _codes_in(code) if all(steps[i].argval is not x for i in masked)]
    deeper = [(x, _own_names(x, modules, direct)) for x in inner]
    if not masked and not any(found for _, found in deeper):
        return None
    own = [x for i, x in enumerate(steps) if i not in masked]
    named = {x.argval for x in own if x.opcode in dis.hasname}
    known = {x.argval for x in own if x.opname in _OF_GLOBALS}
    variables = _variables(code, own)
    said = (steps[i] for i in masked if steps[i].opname in _SAYS)
    called = {x.argval for x in said}
    made = [steps[i].argval for i in masked if isinstance(steps[i].argval, CodeType)]
    stored = frozenset[str]().union(*map(stored_by, made))
    for x, found in deeper:
        if found is None:
            found = Names(_globals_of(x), _all_names(x), variables_of(x), *_NOTHING)
        named |= found.attributes
        known |= found.globals
        variables |= found.variables
        called |= found.called
        stored |= found.stored
    return Names(frozenset(known), frozenset(named), variables, frozenset(called), stored)


_SAYS = ("LOAD_ATTR", "LOAD_GLOBAL", "LOAD_DEREF")
_NOTHING: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())


@lru_cache(maxsize=1024)
def _globals_of(code: CodeType) -> frozenset[str]:
    steps = dis.get_instructions(code)
    found = frozenset(x.argval for x in steps if x.opname in _OF_GLOBALS)
    return found.union(*map(_globals_of, _codes_in(code)))


def _variables(code: CodeType, steps: Iterable[dis.Instruction]) -> frozenset[str]:
    cells = {*code.co_cellvars, *code.co_freevars}  # which LOAD_FAST only hands on to a function
    kinds = ("LOAD_FAST", "LOAD_DEREF", "LOAD_CLASSDEREF")
    loads = [x for x in steps if x.opname.startswith(kinds)]
    pairs = ((x.opname, x.argval if isinstance(x.argval, tuple) else (x.argval,)) for x in loads)
    return frozenset(y for name, names in pairs for y in names if y not in cells or "DEREF" in name)


@lru_cache(maxsize=1024)
def variables_of(code: CodeType) -> frozenset[str]:
    """Return the variables that code reads, and what is defined in it."""
    return _variables(code, dis.get_instructions(code)).union(*map(variables_of, _codes_in(code)))


def _masked(
    code: CodeType,
    steps: Sequence[dis.Instruction],
    modules: frozenset[str],
    direct: frozenset[str],
) -> frozenset[int]:
    """Return the instructions that do nothing but say what is called back, without a result."""
    found: set[int] = set()
    for i, step in enumerate(steps):
        if step.opname != "LOAD_GLOBAL":
            continue
        if step.argval in direct:
            found |= _first_argument(steps, i + 1)
        elif step.argval in modules and steps[i + 1].argval == "callback":
            found |= _first_argument(steps, i + 2)
    for i, step in enumerate(steps):  # those with a name, which nothing else reads
        if step.opname != "STORE_FAST" or steps[i - 1].opname not in _MAKES:
            continue
        loads = {j for j, x in enumerate(steps) if x.argval == step.argval and j != i}
        if loads and loads <= found:
            found |= _made_at(steps, i - 1)
    return frozenset(found)


_MAKES = ("MAKE_FUNCTION", "SET_FUNCTION_ATTRIBUTE")


def _first_argument(steps: Sequence[dis.Instruction], start: int) -> set[int]:
    """Return the instructions of a first argument after which comes None; none of other forms."""
    end = start
    while end < len(steps) and steps[end].opname in ("LOAD_CLOSURE", "LOAD_FAST", "BUILD_TUPLE"):
        end += 1
    if end < len(steps) and isinstance(steps[end].argval, CodeType):
        while steps[end + 1].opname in _MAKES:
            end += 1
        found = _made_at(steps, end)
        return found if min(found, default=-1) == start and _ends(steps, end + 1) else set()
    if not steps[start].opname.startswith(("LOAD_GLOBAL", "LOAD_DEREF", "LOAD_FAST")):
        return set()
    if not isinstance(steps[start].argval, str) or "NULL" in steps[start].argrepr:
        return set()
    end = start + 1
    while steps[end].opname == "LOAD_ATTR" and "NULL" not in steps[end].argrepr:
        end += 1
    return set(range(start, end)) if _ends(steps, end) else set()


def _ends(steps: Sequence[dis.Instruction], i: int) -> bool:
    """Tell whether None follows as an argument of its own."""
    if steps[i].opname not in ("LOAD_CONST", "RETURN_CONST") or steps[i].argval is not None:
        return False
    return steps[i + 1].opname.startswith(("LOAD_", "PUSH_NULL", "PRECALL", "CALL", "KW_NAMES"))


def _made_at(steps: Sequence[dis.Instruction], end: int) -> set[int]:
    """Return the instructions that make a function, the last of which is given."""
    start, parts = end, 0
    while steps[start].opname in _MAKES:
        parts |= steps[start].arg or 0
        start -= 1
    if not isinstance(steps[start].argval, CodeType) or parts & ~sum(_PARTS):
        return set()
    for _ in range(parts.bit_count()):
        if steps[start - 1].opname == "BUILD_TUPLE":
            start -= 1 + (steps[start - 1].arg or 0)
        else:  # a tuple of constants
            start -= 1
    plain = ("LOAD_CONST", "LOAD_GLOBAL", "LOAD_FAST", "LOAD_CLOSURE", "BUILD_TUPLE", *_MAKES)
    return set(range(start, end + 1)) if all(x.opname in plain for x in steps[start:end]) else set()


@lru_cache(maxsize=1024)
def stored_by(code: CodeType) -> frozenset[str]:
    """Return the attributes that code sets, and what is defined in it."""
    steps = dis.get_instructions(code)
    found = frozenset(x.argval for x in steps if x.opname in ("STORE_ATTR", "DELETE_ATTR"))
    return found.union(*map(stored_by, _codes_in(code)))


@lru_cache(maxsize=1024)
def read_by(code: CodeType) -> frozenset[str]:
    """Return what code names that it does more with than to set it."""
    steps = dis.get_instructions(code)
    named = (x for x in steps if x.opcode in dis.hasname and x.opname != "STORE_ATTR")
    return frozenset(x.argval for x in named)


# --- what a callback changes that the function reads too ------------------------------------------


def changed_by(
    function: Any, there: Reached, own: Reached, frames: Iterable[FrameType]
) -> str | None:
    """Return the name of something that a callback may change, and that the function reads itself.

    Parameters
    ----------
    function : callable
        What is called back.
    there, own : Reached
        What it reaches, and what the function that is traced does.
    frames : iterable of frame
        Those of the function, whose variables are no one else's.
    """
    alike = {(id(b.holder), b.key) for b in there.bindings}
    holder = getattr(function, "__self__", None)  # that of `log.append`
    if isinstance(holder, _CONTAINERS) and function.__name__ in MUTATORS:
        alike.add((id(holder), None))
    writes = _Writes(there, function)
    for binding in own.bindings:
        shared = (id(binding.holder), binding.key) in alike
        whole = binding.key is not None and (id(binding.holder), None) in alike
        if (shared or whole) and writes.may_change(binding, own.names):
            return binding.name.removesuffix(".*").removesuffix("[...]")
    memory = {id(array) for _, array in there.arrays}
    named = next((name for name, array in own.arrays if id(array) in memory), None)
    if named is not None and writes.containers:
        return named
    return next((x for frame in frames for x in _changed_in(frame, alike, writes, own.names)), None)


_CONTAINERS = (list, dict, set, deque, bytearray)


def _changed_in(
    frame: FrameType, alike: set[tuple[int, str | None]], writes: _Writes, attributes: set[str]
) -> Iterator[str]:
    """Yield the variables of a frame that a callback may change, or what they hold."""
    code = frame.f_code
    own = own_names(code, frame.f_globals)
    read = variables_of(code) if own is None else own.variables
    for name, value in list(frame.f_locals.items()):
        if name not in read:
            continue
        if name in writes.cells and name in code.co_cellvars:
            yield name
        elif isinstance(value, _CONTAINERS):
            if writes.containers and (id(value), None) in alike:
                yield name
        elif (id(getattr(value, "__dict__", None)), None) in alike:
            if writes.any_attribute or not writes.attributes.isdisjoint(attributes):
                yield name


class _Writes:
    """What some code writes to."""

    def __init__(self, there: Reached, function: Any) -> None:
        codes = [x for x in there.codes if x.co_name != "__init__"]  # of objects that are there
        steps = [x for code in codes for x in _steps_of(code)]
        names = there.names | {getattr(function, "__name__", "")}
        self.cells = {x.argval for x in steps if x.opname in ("STORE_DEREF", "DELETE_DEREF")}
        self.globals = {x.argval for x in steps if x.opname in ("STORE_GLOBAL", "DELETE_GLOBAL")}
        self.attributes = {x.argval for x in steps if x.opname in ("STORE_ATTR", "DELETE_ATTR")}
        self.any_attribute = bool(names & {"setattr", "delattr", "__dict__", "vars", "__setattr__"})
        subscripts = any("_SUBSCR" in x.opname and "BINARY" not in x.opname for x in steps)
        slices = any(x.opname == "STORE_SLICE" for x in steps)
        self.containers = subscripts or slices or bool(names & MUTATORS)
        self.by_name = bool(names & {"globals", "exec", "eval"})

    def may_change(self, binding: Binding, read: set[str]) -> bool:
        """Tell whether something may be changed, of whose attributes some are read."""
        name = binding.name.rpartition(".")[2]
        if isinstance(binding.holder, FunctionType | MethodType):
            return False
        if binding.name.endswith(".*"):
            return self.any_attribute or not self.attributes.isdisjoint(read)
        if binding.name.endswith("[...]"):
            return self.containers
        if binding.key is None:
            return name in self.cells
        stored = self.globals | self.attributes
        return binding.key in stored or self.by_name or ("." in binding.name and self.any_attribute)


@lru_cache(maxsize=256)
def _steps_of(code: CodeType) -> tuple[dis.Instruction, ...]:
    own = tuple(dis.get_instructions(code))
    return own + tuple(x for inner in _codes_in(code) for x in _steps_of(inner))
