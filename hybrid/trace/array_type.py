"""What ``np.ndarray`` means while a function is traced: arguments are what the call was given.

An ndarray among the arguments is a Tensor in the trace, so that a branch on ``isinstance(x,
np.ndarray)`` would go the other way than in eager code. So the name stands for a class whose
instances are ndarrays and the Tensors that stand for such arguments, or for views of them; that
becomes a condition of the trace, since a call with a Tensor may replay it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.core.state import state
from hybrid.core.tensor import Tensor
from hybrid.core.watched import Watched


def stands_for_array(x: Any) -> bool:
    """Tell whether a Tensor of the trace at hand is an ndarray in eager code."""
    if type(x) is not Tensor or state.recorder is None:
        return False
    found: bool = state.recorder.is_array(x)
    return found


class _TypeOfArrays(type):
    """What makes `ARRAY` mean `numpy.ndarray`, wherever a class is looked for."""

    def __new__(cls, name: str, bases: tuple[type, ...], fields: dict[str, Any]) -> Any:
        if not bases:
            return super().__new__(cls, name, bases, fields)
        plain = tuple(np.ndarray if x is ARRAY else x for x in bases)
        return type(name, plain, fields)

    def __call__(cls, *args: Any, **options: Any) -> Any:
        return np.ndarray(*args, **options)

    def __instancecheck__(cls, obj: Any) -> bool:
        return isinstance(obj, np.ndarray) or stands_for_array(obj)

    def __subclasscheck__(cls, kind: Any) -> bool:
        return kind is ARRAY or issubclass(kind, np.ndarray)

    def __getattr__(cls, name: str) -> Any:
        return getattr(np.ndarray, name)

    def __getitem__(cls, parameters: Any) -> Any:
        return np.ndarray[parameters]

    def __eq__(cls, other: object) -> bool:
        return other is np.ndarray or other is ARRAY

    def __hash__(cls) -> int:
        return hash(np.ndarray)

    def __repr__(cls) -> str:
        return repr(np.ndarray)


ARRAY: Any = _TypeOfArrays("ndarray", (), {"__doc__": np.ndarray.__doc__})
ARRAY.__module__ = "numpy"


def as_named(kind: type, x: Any) -> Any:
    """Return the type of `x`, which is `kind`, as names of NumPy mean it in a trace."""
    if kind is np.ndarray or kind is Watched or (kind is Tensor and stands_for_array(x)):
        return ARRAY
    return kind
