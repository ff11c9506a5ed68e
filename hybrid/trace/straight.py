"""What may be asked of a trace while Python runs, and the answers of one straight line of code.

Such a line is the body of a loop or a branch, an op's expansion, a gradient: there is no value yet
that Python could have, no Variable, and nothing outside that it may write. Traces of calls answer
otherwise.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from hybrid.core.asking import asked
from hybrid.core.op import Attrs, Op
from hybrid.core.scalars import is_scalar
from hybrid.core.source import SourceLine, located, user_line, wants_array
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor
from hybrid.errors import TraceError


class Untraceable(BaseException):  # no `except Exception` of the user's may catch it
    """A body of structured control flow that only eager code can run, and why."""

    def __init__(self, why: str, line: SourceLine | None) -> None:
        super().__init__(why)
        self.why = why
        self.line = line


class StraightLine:
    """Answers for code between two questions of Python's, which it must not ask here."""

    decides = False
    """Whether Python may ask for traced values: that makes a segment end."""
    tells_identity = False
    """Whether code may tell a bool from what stands for it: see :mod:`hybrid.core.identity`."""
    acted = False
    """Whether a node since the last cut acts."""
    _unknown_value = "a value that is not known yet"
    """What it is called in the error where Python asks for one all the same."""

    def reaches(self, holder: Any) -> bool:
        """Tell whether what changes in a container is a matter of the code around the trace."""
        return True

    def called_back(self) -> AbstractContextManager[None]:
        """Return what is around a callback that runs in the middle of the trace."""
        return nullcontext()

    def before_callback(self, function: Any) -> None:
        """Stop where a callback may change what the function reads as Python."""

    def stream(self, file: Any) -> str | None:
        """Return the name in `sys` of what a file is in every run, if it is one that has any."""
        return None

    def warns_as_around(self, kind: type) -> bool:
        """Tell whether a warning would be filtered as around the call, and raises nothing."""
        return True

    def abandon(self, error: Untraceable) -> None:
        """Refuse: the body of a loop or a branch cannot be traced, and there is no eager code."""
        raise error.__cause__ or TraceError(located(error.why))

    def give_up(self, why: str, line: SourceLine | None = None) -> None:
        """Leave it to eager code, where there is some."""
        self.abandon(Untraceable(why, line or user_line()))

    def ask_around(self, opened_in: Any) -> None:
        """Leave it to eager code where a tape of the code around is asked, which sees nothing here.

        `opened_in` is the trace in which the tape was opened, not this one.
        """
        self.give_up("a tape that was opened around it is asked for a gradient before it is closed")

    def concretize(self, symbol: Symbol, kind: type) -> Any:
        """Refuse: there is no value here yet."""
        raise TraceError(located(f"{asked(kind)}: it is {self._unknown_value}"))

    def materialize(self, tensor: Tensor, why: str) -> Any:
        """Refuse: there is no value here yet."""
        raise TraceError(located(f"{why or wants_array()} of {self._unknown_value}"))

    def note_read(self, array: Any) -> None:
        """Take what Python reads of an array from outside for a constant."""

    def note_made(self, tensor: Tensor) -> None:
        """Note that an array was made from nothing, which Python may ask for."""

    def note_bare(self, tensor: Tensor) -> None:
        """Note a Tensor that shows the memory of an ndarray, which NumPy reads unasked."""

    def written_since(self, tensor: Tensor) -> Tensor | None:
        """Nothing outside is written here."""
        return None

    def before_effects(self, op: Op, attrs: Attrs) -> None:
        """Nothing outside is written here, so that there is nothing to commit."""

    def is_scalar(self, tensor: Tensor) -> bool:
        """Tell whether ``+=`` rebinds what has no axes, or writes it."""
        return is_scalar(tensor)

    def kind_of(self, tensor: Tensor) -> type | None:
        """Return the class that a Tensor of the trace has in eager code; None if nobody knows."""
        return Tensor

    def note_converted(self, tensor: Tensor) -> None:
        """Note that ``hb.asarray`` has given a Tensor as it was."""

    def after_write(self, target: Tensor) -> None:
        """All aliases follow by themselves."""

    def read_variable(self, variable: Any) -> Tensor:
        """Capture a Variable by reference."""
        raise TraceError("a Variable cannot be read here")

    def assign_variable(self, variable: Any, value: Any) -> None:
        """Refuse: a pure function writes nothing."""
        raise TraceError("a Variable cannot be written here")

    def created(self, variable: Any) -> None:
        """Refuse: a pure function makes no Variables."""
        raise TraceError("a Variable cannot be made here")

    def initial_value(self, tensor: Tensor) -> Tensor:
        """Refuse: a pure function makes no Variables."""
        raise TraceError("a Variable cannot be made here")
