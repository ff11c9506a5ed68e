"""How errors are shown that nobody catches: without hybrid's frames, with a word on other names.

It is done when Python, or IPython, is about to show an error: code that works pays nothing. A name
that there is not must stay an ``AttributeError`` of Python's own, or each look-up of one that there
is would take three times as long.
"""

from __future__ import annotations

import ast
import re
import sys
import threading
from collections.abc import Callable
from types import ModuleType, TracebackType
from typing import Any

from hybrid.core.elsewhere import FUNCTIONS, KEYWORDS, OPTIONS, PARTS
from hybrid.core.folding import fold_all, is_told
from hybrid.core.source import is_framework, written
from hybrid.core.tensor import Tensor

_ROOT = __name__.partition(".")[0]
_ONE_LIST = re.compile(r"(concat(?:enate)?|stack|[hvd]stack|column_stack)\(\) takes .* positional")
_UNKNOWN = re.compile(r"(?:Generator\.)?(\w+)\(\) got an unexpected keyword argument '(\w+)'")


def install() -> None:
    """Stand before what shows errors: Python's hooks, and the shell of a notebook if any."""
    before = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        try:
            prepare(error)
        finally:
            before(kind, error, error.__traceback__ or trace)

    sys.excepthook = show
    threading.excepthook = _in_threads(threading.excepthook)
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None and not shell.custom_exceptions:
        shell.set_custom_exc((Exception,), _in_shell)


def _in_threads(before: Callable[[Any], object]) -> Callable[[Any], object]:
    def show(told: Any) -> None:
        error, trace = told.exc_value, told.exc_traceback
        try:
            if error is not None:
                prepare(error)
                trace = error.__traceback__ or trace
        finally:
            before(threading.ExceptHookArgs((told.exc_type, error, trace, told.thread)))

    return show


def _in_shell(
    shell: Any, kind: type[BaseException], error: Exception, trace: Any, tb_offset: Any = None
) -> None:
    prepare(error)
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset, running_compiled_code=True)


def prepare(error: BaseException) -> None:
    """Make an error ready to be shown.

    Parameters
    ----------
    error : BaseException
        Changed in place. What is neither hybrid's nor about it stays as it is, and so does a
        mistake in hybrid itself, of which every frame is wanted.
    """
    text, about = None, False
    if type(error) is AttributeError:
        about = type(error.obj) is Tensor or _is_module(error.obj)
        text = _missing(error.obj, error.name) if about else None
    elif type(error) is TypeError:
        text = _unexpected(str(error), error.__traceback__)
    if text is not None and text not in getattr(error, "__notes__", ()):
        error.add_note(text)
    if about or text is not None or is_told(error):
        fold_all(error)


def _is_module(owner: Any) -> bool:
    return type(owner) is ModuleType and f"{owner.__name__}.".startswith(f"{_ROOT}.")


def _missing(owner: Any, name: str | None) -> str | None:
    """Say what a name is here that a module of hybrid's lacks."""
    if type(owner) is Tensor:  # which has said so
        return None
    within = "" if owner.__name__ == _ROOT else f"{owner.__name__.rpartition('.')[2]}."
    here = FUNCTIONS.get(f"{within}{name}")
    return None if here is None else f"in hybrid hb.{within}{name} is {here}"


def _unexpected(text: str, trace: TracebackType | None) -> str | None:
    """Say what an argument is called here, or that an attribute is no method."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return None
    if text.endswith("object is not callable"):
        call = written(trace.tb_frame.f_code, trace.tb_lasti)
        part = call.func.attr if type(call) is ast.Call and type(call.func) is ast.Attribute else ""
        return f"{part} of a Tensor is no method: it is {PARTS[part]}" if part in PARTS else None
    several = _ONE_LIST.match(text)
    if several is not None and _is_ours(trace.tb_frame.f_globals, several[1]):
        return f"the arrays are given as one list: hb.{several[1]}([x, y])"
    found = _UNKNOWN.match(text)
    if found is None:
        return None
    function, name = found.groups()
    if not (is_framework(trace.tb_frame.f_code) or _is_ours(trace.tb_frame.f_globals, function)):
        return None
    here = (OPTIONS if function == "compile" else KEYWORDS).get(name)
    return None if here is None else f"in hybrid {name} is {here}"


def _is_ours(names: dict[str, Any], function: str) -> bool:
    """Tell whether a function's name is one of ``hb``, and stands for no other one in a module."""
    spaces = map(sys.modules.get, (_ROOT, *(f"{_ROOT}.ops.{n}" for n in ("linalg", "random"))))
    own = getattr(names.get(function), "__module__", None) or _ROOT
    return own.partition(".")[0] == _ROOT and any(
        function in getattr(space, "__all__", ()) for space in spaces
    )
