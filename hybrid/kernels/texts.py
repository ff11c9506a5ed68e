"""The text of a kernel, whoever wrote it, and its name."""

from __future__ import annotations

from hybrid.kernels.digest import digest
from hybrid.records import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """Generated text of a kernel.

    Attributes
    ----------
    name
        Words of the body and a hash of the text: no two kernels share a name.
    text
        A Python module; the names it imports by use are those of ``build.namespace``.
    phases
        Names of its functions, in the order in which they run.
    arrays
        Number of input and output arrays.
    reduced
        Whether LLVM is to reduce strengths in its loops.
    """

    name: str
    text: str
    phases: tuple[str, ...]
    arrays: int
    reduced: bool = True


def named(kind: str, text: str) -> str:
    """The name of a kernel: what it is, and a hash of its text."""
    return f"k_{kind}_{digest(text.encode()).hex()[:12]}"
