"""Names that ndarrays or Python's numbers have, and Tensors do not: each says what to do instead.

A ``__getattr__`` would say it too, but Python 3.11 looks up every attribute of a class that has one
by name, its slots included: 44 ns instead of 14, three to ten times in each op.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.core.elsewhere import METHODS
from hybrid.core.spec import PYTHON_TYPES
from hybrid.core.symbol import Symbol


# An attribute that there is not, unless the Tensor stands for a Python scalar that has it. What is
# said of it instead is its docstring, for ``help``.
class Absent:
    __slots__ = ("__doc__", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.__doc__ = f"Not there{_instead(name)}."

    def __get__(self, tensor: Any, owner: type) -> Any:
        if tensor is None:
            raise AttributeError(f"type object {owner.__name__!r} has no attribute {self.name!r}")
        data = tensor._data
        if type(data) is Symbol and data.spec.weak:
            if hasattr(PYTHON_TYPES[data.dtype.kind], self.name):
                return getattr(tensor._concrete(self.name).item(), self.name)
        text = f"a Tensor has no attribute {self.name!r}{_instead(self.name)}"
        raise AttributeError(text, name=self.name, obj=tensor)


def _instead(name: str) -> str:
    if name in METHODS:
        return f"; here it is {METHODS[name]}"
    if hasattr(np.ndarray, name):
        return f"; that of the ndarray with its elements is x.numpy().{name}"
    return ""


def leave_out(kind: type) -> None:
    """Give a class what tells of the names that it lacks; what is attached later replaces it."""
    names = set(METHODS).union(*map(dir, (np.ndarray, *PYTHON_TYPES.values())))
    for name in names.difference(dir(kind)):
        if not name.startswith("_"):
            setattr(kind, name, Absent(name))


def present(instance: Any) -> list[str]:
    """Return the names of the attributes that there are, for ``dir``."""
    kind = type(instance)
    names = object.__dir__(instance)
    return [name for name in names if not isinstance(kind.__dict__.get(name), Absent)]
