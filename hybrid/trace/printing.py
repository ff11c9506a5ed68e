"""What ``print`` means while a function is traced: a text that is printed at every run.

Text that Python prints while it is traced would be missing in the calls that replay the trace. So
what names the built-in function has a stand-in meanwhile, which makes the text as it would be and
records that it be printed; unknown ints are fields of it. Contents of traced values end the trace
as the text is made. What a function prints into a StringIO of its own is printed there at once.
"""

from __future__ import annotations

import builtins
import io
import re
from types import BuiltinFunctionType
from typing import Any

from hybrid.core.state import state
from hybrid.core.unknown import Unknown
from hybrid.trace.control.effects import print_text
from hybrid.trace.telling import plain_file

_ADDRESS = re.compile(" at 0x[0-9a-fA-F]+>")


class _Print:
    """``print`` that a trace records; outside of a trace it is that of Python."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return BuiltinFunctionType

    def __call__(self, *args: Any, **options: Any) -> None:
        trace = None if state.recorder is None else state.recorder.trace
        if trace is None:
            return builtins.print(*args, **options)
        file, flush = plain_file(options.pop("file", None)), options.pop("flush", False)
        numbers = tuple(x for x in args if type(x) is Unknown)
        words = ["{}" if type(x) is Unknown else _plain(str(x)) for x in args]  # may end the trace
        made = io.StringIO()
        builtins.print(*words, file=made, **{key: _plain(x) for key, x in options.items()})
        text = made.getvalue()
        if trace.open and _ADDRESS.search(text):
            state.recorder.give_up("it prints an address, which is another at each call")
        if trace.open and (stream := trace.stream(file)) is not None:
            return print_text(text, numbers, stream, flush=bool(flush))
        if trace.open and file is not None and not isinstance(file, io.StringIO):
            state.recorder.give_up("it prints to a file")
        builtins.print(text.format(*numbers), end="", file=file, flush=flush)

    # numba knows functions by what they are equal to, when it compiles one during a trace.
    def __eq__(self, other: object) -> bool:
        return other is builtins.print or other is self

    def __hash__(self) -> int:
        return hash(builtins.print)

    def __getattr__(self, name: str) -> Any:
        return getattr(builtins.print, name)

    def __repr__(self) -> str:
        return repr(builtins.print)

    def __reduce__(self) -> str:
        return "PRINT"


def _plain(text: Any) -> Any:
    """Return a text, or what `print` refuses for one, such that no brace makes a field."""
    return text.replace("{", "{{").replace("}", "}}") if isinstance(text, str) else text


PRINT = _Print()
