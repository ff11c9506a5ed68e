"""What a tape cannot follow: numbers of a watched Tensor that go where none of hybrid's ops is.

NumPy's own arrays, and functions that compute with Python's numbers, ask a Tensor for its contents.
Where they go on with them in place of the Tensor, a gradient would lack a part without a word. What
was asked for by name (``x.numpy()``, ``float(x)``) is meant to be a constant. ``np.asarray(x)`` is
not: functions that are written for NumPy begin with it, and in a trace it keeps the gradient. Of it
nothing is said only where the same expression shows or compares what it gives.
"""

from __future__ import annotations

import ast
import builtins
import dis
import linecache
import sys
from functools import lru_cache
from types import CodeType, FrameType, ModuleType
from typing import Any

import numpy as np

from hybrid.core.source import (
    SourceLine,
    is_framework,
    is_installed,
    is_of_package,
    located,
    user_line,
    warn_user,
    written_array,
)
from hybrid.core.state import state
from hybrid.errors import GradientWarning

_Place = tuple[int | None, int | None, int | None, int | None]

_CALLS = frozenset(("CALL", "CALL_KW", "CALL_FUNCTION_EX"))
_CACHE = dis.opmap.get("CACHE", -1)
_POP_TOP = dis.opmap["POP_TOP"]
_STORES = frozenset(("STORE_SUBSCR", "STORE_SLICE", "STORE_ATTR"))
_PYTHONS = frozenset(("math", "cmath"))
_OWN = {"numpy": "NumPy's", "scipy": "SciPy's", "statistics": "Python's"}
_WRITERS = frozenset(("fill", "put"))
_METHODS = frozenset(("choose", "dot"))
_MAKERS = frozenset(("array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray"))
_MADE = frozenset((*_MAKERS, "__array__"))
_ABOUT = frozenset(("dtype", "flags", "itemsize", "nbytes", "ndim", "shape", "size", "strides"))
_TELLING = frozenset(("bool", "format", "hash", "id", "isinstance", "len", "print", "repr", "str"))
_LEVELS = frozenset(("critical", "debug", "error", "exception", "info", "warning"))
_SHOWING = ("numpy.testing", "numpy.lib._npyio_impl", "numpy.lib.npyio", "numpy._core.arrayprint")
_SHOWN = """
    all allclose any argmax argmin argpartition argsort array_equal array_equiv can_cast ceil
    count_nonzero digitize floor isclose iscomplexobj isfinite isin isinf isnan isreal isrealobj
    lexsort may_share_memory memmap ndim nonzero result_type save savetxt savez
    searchsorted shape shares_memory size trunc
"""
_NO_SLOPE = frozenset(_SHOWN.split())
_BY_NAME = frozenset(("numpy()", "item()", "tolist()", "float()", "complex()"))


def is_followed(tensor: Any) -> bool:
    """Tell whether `tensor` is one and an open tape watches what is done with it in eager code."""
    from hybrid.core.dispatch import refresh
    from hybrid.core.tensor import Tensor

    if state.recorder is not None or type(tensor) is not Tensor:
        return False

    refresh(tensor)
    node = tensor._node
    return node is not None and bool(state.seen_by[node.tapes])


def note_taken(tensor: Any, how: str) -> None:
    """Let open tapes know where the numbers of what they follow were asked for by name.

    That is said where nothing is left of a gradient: see `warn_of_nothing`.
    """
    if how in _BY_NAME and is_followed(tensor):
        for tape in state.tapes:
            if tape.taken is None:
                tape.taken = how, user_line()


def warn_of_nothing(name: str, taken: tuple[str, SourceLine | None]) -> None:
    """Warn of a gradient that is 0 because the numbers of what it is by were taken.

    Parameters
    ----------
    name : str
        Of the function.
    taken : tuple of str and SourceLine
        How that was done, and where.
    """
    how, line = taken
    text = (
        f"the gradient of {name} is 0: it goes on with the numbers that {how} gave, which no tape "
        "follows. Compute with Tensors all the way, and take numbers of the result"
    )
    where = "" if line is None else f"\n  at {line.describe()}"
    warn_user(f"{text}{where}", GradientWarning)


def warn_of_array(value: Any, array: Any) -> None:
    """Warn where an op of hybrid writes what a tape follows into an ndarray.

    Parameters
    ----------
    value : Tensor
    array : object
        What was given as ``out=``, or stands left of ``+=``.
    """
    if state.tapes and isinstance(array, np.ndarray) and is_followed(value):
        _warn("writing into an ndarray (array = hb.asarray(array) makes it a Tensor)")


def warn_of_numbers(tensor: Any, number: bool, copies: bool = False) -> None:
    """Warn where code that knows no Tensor computes with the numbers of one that a tape follows.

    Called by the methods of a Tensor that NumPy and Python call.

    Parameters
    ----------
    tensor : Tensor
    number : bool
        Whether a single one is asked for.
    copies : bool
        Whether a copy is, as ``np.array(x)`` does of what it is given itself.
    """
    if not is_followed(tensor):
        return
    frame = sys._getframe(2)
    while frame.f_globals.get("__name__") == "hybrid.core.variable" and frame.f_back is not None:
        frame = frame.f_back
    space = str(frame.f_globals.get("__name__", ""))
    package = space.partition(".")[0]
    if is_framework(frame.f_code):
        return  # which knows what it does
    if package in _OWN:
        caller = frame
        while caller.f_back is not None and _is_own(caller):
            caller = caller.f_back
        if is_installed(caller.f_code):
            return  # of another package, which draws or prints
        name = _called(caller.f_code, caller.f_lasti)[0]
        if not space.startswith(_SHOWING) and name.rpartition(".")[2] not in _NO_SLOPE:
            _warn(f"{name or 'a function'}, which is {_OWN[package]} own and computes with numbers")
        return
    doing = _doing(frame)
    if doing in _STORES:
        _warn(written_array() or "writing into an ndarray")
    elif doing in _CALLS and not is_installed(frame.f_code):
        text = _computed(frame, number, copies)
        if text:
            _warn(text)


def _doing(frame: FrameType) -> str:
    """Return the name of the instruction that a frame is in."""
    code, at = frame.f_code.co_code, frame.f_lasti
    while code[at] == _CACHE:  # where Python calls Python it is past the call's own entry
        at -= 2
    return dis.opname[code[at]]


def _is_own(frame: FrameType) -> bool:
    """Tell whether a frame is of a package that computes with numbers, or of hybrid."""
    space = str(frame.f_globals.get("__name__", ""))
    return space.partition(".")[0] in _OWN or is_framework(frame.f_code)


def _warn(what: str) -> None:
    text = (
        f"a tape sees nothing of {what}: gradients lack what comes of it. "
        "Where a constant is meant, write x.detach() or x.numpy()"
    )
    warn_user(located(text), GradientWarning)


def _computed(frame: FrameType, number: bool, copies: bool) -> str:
    """Say what the call that a frame is in computes of contents; "" where it only takes them."""
    name, callee, first = _called(frame.f_code, frame.f_lasti)
    function = _value(callee, frame)
    last = name.rpartition(".")[2]
    space = _module_of(function)
    if isinstance(function, type) or last in _NO_SLOPE:
        return ""
    if space in _PYTHONS:
        also = f" (np.{last} takes Tensors)" if hasattr(np, last) else ""
        return f"{name}, which takes Python's numbers only{also}"
    if last in _MADE and (function is None or space.startswith("numpy")):
        whole = not number and (copies or last != "array") and not _is_sequence(first, frame)
        if whole and _is_shown(frame):
            return ""
        of = "a Tensor" if whole else "a list"
        return f"the ndarray that {name} makes of {of} (hb.asarray keeps it)"
    if last in _WRITERS:
        return "writing into an ndarray (hb.asarray makes it a Tensor)"
    package = "numpy" if last in _METHODS and function is None else space.partition(".")[0]
    if package in _OWN:
        also = f" (np.{last} takes Tensors)" if last in _METHODS else ""
        return f"{name}, which is {_OWN[package]} own and computes with numbers{also}"
    return ""


def _module_of(function: Any) -> str:
    """Return the module of a function; of a method in C, that of the object's class."""
    found = getattr(function, "__module__", None)
    if not isinstance(found, str):
        found = getattr(type(getattr(function, "__self__", None)), "__module__", "")
    return str(found)


def _is_shown(frame: FrameType) -> bool:
    """Tell whether what a call gives is compared, made text of or asked about around the call.

    So it is, too, where it goes to an installed package whose answer nobody takes: that draws it.
    """
    around = _around(frame.f_code, frame.f_lasti)
    return any(_tells(expression, dropped, frame) for expression, dropped in around)


def _tells(expression: ast.expr, dropped: bool, frame: FrameType) -> bool:
    if isinstance(expression, ast.Attribute):
        return expression.attr in _ABOUT
    if not isinstance(expression, ast.Call):
        return isinstance(expression, ast.Compare | ast.JoinedStr)
    callee = expression.func
    name = getattr(callee, "id", "") or getattr(callee, "attr", "")
    if name in _TELLING or name in _NO_SLOPE or (dropped and name in _LEVELS):
        return True
    owner = _value(callee, frame)
    if owner is None and isinstance(callee, ast.Attribute):
        owner = type(_value(callee.value, frame))
    space = owner.__module__ if isinstance(owner, type) else _module_of(owner)
    file = getattr(sys.modules.get(space), "__file__", None) or ""
    drawn = dropped and space.partition(".")[0] not in _OWN and is_of_package(file)
    return drawn or space.startswith(_SHOWING)


@lru_cache(maxsize=1024)
def _around(code: CodeType, at: int) -> tuple[tuple[ast.expr, bool], ...]:
    """Return the expressions that an instruction is part of, and whether their value is dropped."""
    places = list(code.co_positions())
    inner = places[at // 2]
    dropped = {p for p, op in zip(places, code.co_code[::2], strict=True) if op == _POP_TOP}
    outer = {p for p in places if p != inner and _encloses(p, inner)}
    parsed = [(_parsed(code, place), place in dropped) for place in outer]
    return tuple((expression, gone) for expression, gone in parsed if expression is not None)


def _encloses(outer: _Place, inner: _Place) -> bool:
    line, end_line, start, stop = (number or 0 for number in outer)
    first, last, left, right = (number or 0 for number in inner)
    return (line, start) <= (first, left) and (last, right) <= (end_line, stop)


@lru_cache(maxsize=1024)
def _called(code: CodeType, at: int) -> tuple[str, ast.expr | None, ast.expr | None]:
    """Return what an instruction calls, by name and as source, and its first argument."""
    call = _parsed(code, list(code.co_positions())[at // 2])
    if not isinstance(call, ast.Call):
        return "", None, None
    return ast.unparse(call.func), call.func, (*call.args, None)[0]


def _parsed(code: CodeType, place: _Place) -> ast.expr | None:
    """Return the expression that stands at a place of the source; None if it is none."""
    line, end_line, start, stop = place
    numbers = range(line or 0, (end_line or -1) + 1)
    lines = [linecache.getline(code.co_filename, i).encode() for i in numbers]
    if not lines:
        return None
    lines[-1] = lines[-1][:stop]
    lines[0] = lines[0][start or 0 :]
    try:
        return ast.parse(b"(" + b"".join(lines) + b")", mode="eval").body
    except (SyntaxError, ValueError):
        return None


def _value(expression: ast.expr | None, frame: FrameType) -> Any:
    """Return what a name or an attribute stands for, without running any code; None if unknown."""
    if isinstance(expression, ast.Name):
        for space in (frame.f_locals, frame.f_globals, vars(builtins)):
            if expression.id in space:
                return space[expression.id]
    elif isinstance(expression, ast.Attribute):
        of = _value(expression.value, frame)
        if isinstance(of, ModuleType | np.ndarray | np.random.Generator | np.random.RandomState):
            return getattr(of, expression.attr, None)
        return getattr(of, "__dict__", {}).get(expression.attr)
    return None


def _is_sequence(expression: ast.expr | None, frame: FrameType) -> bool:
    kinds = ast.List | ast.Tuple | ast.ListComp
    return isinstance(expression, kinds) or isinstance(_value(expression, frame), list | tuple)
