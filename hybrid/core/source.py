"""Where in the user's code something happened."""

from __future__ import annotations

import ast
import dis
import linecache
import os
import site
import sys
import warnings
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any

from hybrid.records import dataclass

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
INSTALLED = tuple({os.path.dirname(os.__file__), *site.getsitepackages()})


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of a Python file, cell or prompt."""

    filename: str
    lineno: int
    function: str

    @property
    def text(self) -> str:
        """The line itself, without indentation; empty when the source is not at hand."""
        return linecache.getline(self.filename, self.lineno).strip()

    def __str__(self) -> str:
        cell = _notebook_cell(self.filename)
        return f"{cell or os.path.basename(self.filename)}:{self.lineno}"

    def describe(self) -> str:
        """Name file, line, function and text, for error messages."""
        text = f": {self.text}" if self.text else ""
        place = _notebook_cell(self.filename) or self.filename
        return f"{place}:{self.lineno} in {self.function}{text}"


def _notebook_cell(filename: str) -> str | None:
    """Return ``cell 3`` for the file name that a notebook gives to its third cell."""
    if "ipykernel_" not in filename:
        return None
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    numbers = getattr(getattr(shell, "compile", None), "_filename_map", {})
    number = numbers.get(filename)
    return None if number is None else f"cell {number}"


def is_framework(code: CodeType) -> bool:
    """Tell whether `code` belongs to hybrid itself (the demo is a user of it)."""
    return _OF_FRAMEWORK[code.co_filename]


class _Known(dict[str, bool]):
    """What is known of file names, asked for some ten frames at each node of a trace."""

    def __missing__(self, filename: str) -> bool:
        found = filename.startswith(_PACKAGE) and not filename.startswith(_PACKAGE + "demo")
        if len(self) < 4096:
            self[filename] = found
        return found


_OF_FRAMEWORK = _Known()


def run_generated(source: str, name: str, scope: dict[str, Any]) -> None:
    """Run generated code as the framework's own, which tracebacks leave out."""
    exec(_compiled(source, name), scope)


@lru_cache(maxsize=512)  # what is made for other sizes of a function has the same text
def _compiled(source: str, name: str) -> CodeType:
    return compile(source, f"{_PACKAGE}<{name}>", "exec")


def is_installed(code: CodeType) -> bool:
    """Tell whether code is of Python's library or of an installed package."""
    return is_of_package(code.co_filename)


@lru_cache(maxsize=4096)
def is_of_package(filename: str) -> bool:
    """Tell whether a file is of Python's library or of an installed package."""
    if filename.startswith("<frozen "):  # os, abc and what imports modules are in the interpreter
        return True
    return filename.startswith(INSTALLED) and not _OF_FRAMEWORK[filename]


def user_frame(depth: int = 0) -> FrameType | None:
    """Return the innermost frame that is neither hybrid's own nor an installed package's.

    Parameters
    ----------
    depth : int
        How many frames around the caller's own are hybrid's for certain, and need no look.
    """
    start = sys._getframe(1 + depth)
    while start.f_back is not None and _OF_FRAMEWORK[start.f_code.co_filename]:
        start = start.f_back
    frame: FrameType | None = start
    while frame is not None and is_of_package(frame.f_code.co_filename):
        frame = frame.f_back
        while frame is not None and _OF_FRAMEWORK[frame.f_code.co_filename]:
            frame = frame.f_back
    # Nothing but packages: the one that called.
    return start if frame is None and not is_framework(start.f_code) else frame


def warn_user(message: str, category: type[Warning]) -> None:
    """Warn at the user's line, whatever frames of hybrid lie between."""
    frame = user_frame()
    if frame is None:
        warnings.warn(message, category, stacklevel=2)
        return
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(
        message,
        category,
        frame.f_code.co_filename,
        frame.f_lineno,
        module=frame.f_globals.get("__name__") or "<unknown>",  # of None Python says nothing
        registry=registry,
    )


def user_line(depth: int = 0) -> SourceLine | None:
    """Return the user's line that is being executed; see :func:`user_frame`."""
    frame = user_frame(1 + depth)
    if frame is None:
        return None
    code, at = frame.f_code, frame.f_lasti
    known = _LINES.get((id(code), at))
    if known is None:
        if len(_LINES) >= 4096:
            _LINES.clear()
        line = SourceLine(code.co_filename, frame.f_lineno, code.co_name)
        known = _LINES[id(code), at] = code, line
    return known[1]


# By instruction: the number of a line takes Python the longer the further down it is in a function.
# A code object has no cheap hash, and is kept, so that no other one gets its id.
_LINES: dict[tuple[int, int], tuple[CodeType, SourceLine]] = {}


def located(message: str) -> str:
    """Append the user's line to a message."""
    line = user_line()
    return f"{message}\n  at {line.describe()}" if line else message


def written_array() -> str | None:
    """Say what a traced value is being written into, if the user's line assigns to an index.

    Only an ndarray asks for contents then; a Tensor would take the value as it is.
    """
    frame = user_frame()
    if frame is None:
        return None
    code = frame.f_code
    if dis.opname[code.co_code[frame.f_lasti]] not in ("STORE_SUBSCR", "STORE_SLICE"):
        return None
    line, end_line, column, end_column = list(code.co_positions())[frame.f_lasti // 2]
    text = linecache.getline(code.co_filename, line or 0).encode()[column or 0 : end_column]
    target = _parsed(text.decode(errors="replace")) if line == end_line else None
    if not isinstance(target, ast.Subscript) or not isinstance(target.value, ast.Name):
        return (
            "writing into an ndarray (hb.asarray(...) makes it a Tensor, which takes it as it is)"
        )
    name = target.value.id
    made = _assignment(code, name)
    if made is None:
        return f"writing into the ndarray {name} (first say {name} = hb.asarray({name}))"
    before = linecache.getline(code.co_filename, made).strip()
    value = before.partition("=")[2].strip()
    now = f"{name} = hb.asarray({value})"
    return f"writing into the ndarray {name} (in line {made} say {now} instead of {before})"


def wants_array() -> str:
    """Say who asks a traced value for its contents: what the user's line calls, as it says it."""
    name = _called()
    return f"{name}, which wants an array," if name else "a NumPy function that wants an array"


def _called() -> str | None:
    frame = user_frame()
    found = None if frame is None else written(frame.f_code, frame.f_lasti)
    return ast.unparse(found.func) if isinstance(found, ast.Call) else None


def written(code: CodeType, at: int) -> ast.expr | None:
    """Return the expression that an instruction was compiled from, where its source is at hand."""
    line, end_line, column, end_column = list(code.co_positions())[at // 2]
    if line is None or end_line is None:
        return None
    lines = [linecache.getline(code.co_filename, i) for i in range(line, end_line + 1)]
    text = b"".join(part.encode() for part in lines[:-1]) + lines[-1].encode()[:end_column]
    return _parsed(text[column or 0 :].decode(errors="replace"))


def _parsed(expression: str) -> ast.expr | None:
    try:
        return ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError):
        return None


def _assignment(code: CodeType, name: str) -> int | None:
    """Return the only line that is a plain assignment to a local variable."""
    stores = [i for i in dis.get_instructions(code) if i.opname == "STORE_FAST"]
    lines = {i.positions.lineno for i in stores if i.argval == name and i.positions}
    if len(lines) != 1:
        return None
    (line,) = lines
    text = linecache.getline(code.co_filename, line or 0).strip()
    return line if text.partition("=")[0].strip() == name and text.count(";") == 0 else None
