"""How an op's module gives Tensor its methods and properties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hybrid.core.tensor import Tensor


def attach(**functions: Any) -> None:
    """Make `functions` methods of Tensor, or descriptors its attributes."""
    for name, function in functions.items():
        setattr(Tensor, name, function)


def attach_properties(**functions: Callable[[Any], Any]) -> None:
    """Make `functions` properties of Tensor."""
    for name, function in functions.items():
        summary = (function.__doc__ or "").partition("\n")[0]
        setattr(Tensor, name, property(function, doc=summary))
