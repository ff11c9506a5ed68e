"""How an op's module gives Tensor its methods and properties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hybrid.core.elsewhere import KEYWORDS
from hybrid.core.making import asarray
from hybrid.core.source import located
from hybrid.core.tensor import Tensor


def as_numpy(function: Callable[..., Any], x: Any, /, *args: Any, **options: Any) -> Tensor:
    """Call NumPy's function on a Tensor, which leads back to hybrid's: for seldom used options.

    So ``out=``, ``where=`` and ``initial=`` mean what they mean there, in every mode.
    """
    for name in KEYWORDS.keys() & options.keys():
        text = f"{function.__name__}() got an unexpected keyword argument {name!r}; here it is"
        raise TypeError(located(f"{text} {KEYWORDS[name]}"))
    given = {name: value for name, value in options.items() if value is not None}
    found: Tensor = function(asarray(x), *args, **given)
    return found


def attach(**functions: Any) -> None:
    """Make `functions` methods of Tensor, or descriptors its attributes."""
    for name, function in functions.items():
        setattr(Tensor, name, function)


def attach_properties(**functions: Callable[[Any], Any]) -> None:
    """Make `functions` properties of Tensor."""
    for name, function in functions.items():
        summary = (function.__doc__ or "").partition("\n")[0]
        setattr(Tensor, name, property(function, doc=summary))
