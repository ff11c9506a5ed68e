"""Arithmetic among Python scalars in a trace, where Python raises and arrays do not.

``1.0 / 0.0`` is an error in Python and an infinity in NumPy. What stands for a Python scalar in a
trace follows Python: whether an operation would raise is a decision on traced values, so that
``except ZeroDivisionError`` works. Where there are no such decisions (``fullgraph=True``, bodies of
loops) an op does the same at each run.
"""

from __future__ import annotations

import builtins
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid.core.dispatch import bind, bind_all, state
from hybrid.core.number import told_by
from hybrid.core.op import OPS, Op, register
from hybrid.core.tensor import Tensor
from hybrid.errors import DTypeError
from hybrid.ops.elementwise.operands import is_weak

_PYTHON: dict[str, Callable[[Any, Any], Any]] = {
    "divide": operator.truediv,
    "floor_divide": operator.floordiv,
    "remainder": operator.mod,
    "divmod": builtins.divmod,
    "pow": operator.pow,
}


def follow_python(name: str, x: Any, y: Any) -> Any:
    """Raise, or return another kind of number, where Python does; None where nothing is special.

    Parameters
    ----------
    name : str
        Of the op, or ``"divmod"``.
    x, y : Tensor or Python scalar
    """
    if state.recorder is None or name not in _PYTHON or not (is_weak(x) and is_weak(y)):
        return None
    if type(x) is not Tensor and type(y) is not Tensor:
        return None
    if name != "pow" and type(y) is not Tensor and y != 0:
        return None
    if not state.recorder.decides:
        bind_all(_CHECK, (x, y), {"operation": name})
        return None
    answers = state.recorder.harmless
    asked = name, told_by(x), told_by(y)
    if asked in answers:
        return None
    if not _is_special(name, x, y):
        answers.add(asked)
        return None
    if name != "pow":  # a division by zero, with Python's own words
        return _PYTHON[name](_like(x, 1), _like(y, 0))
    return _PYTHON[name](_number(x), _number(y))


def _like(x: Any, value: int) -> Any:
    kind = x.dtype.kind if type(x) is Tensor else np.asarray(x).dtype.kind
    return {"f": float, "c": complex}.get(kind, int)(value)


def _is_special(name: str, x: Any, y: Any) -> bool:
    if name != "pow":
        return bool(y == 0)
    raised = bind(OPS["pow"], (x, y), {})
    finite = (abs(x) < np.inf) & (abs(y) < np.inf)
    return bool(((x < 0) & (y % 1 != 0)) | (finite & (abs(raised) == np.inf)))


def _number(x: Any) -> Any:
    return x.item() if type(x) is Tensor else x


def _eager_check(xp: Any, x: Any, y: Any, *, operation: str) -> tuple[()]:
    if isinstance(_PYTHON[operation](np.asarray(x).item(), np.asarray(y).item()), complex):
        raise DTypeError("pow: a negative float to a broken power is complex")
    return ()


_CHECK = register(
    Op(
        name="check_python",
        family="control",
        infer=lambda x, y, *, operation: (),
        eager=_eager_check,
        raises=True,
        multi=True,
        impure=True,
        no_gradient="it has no results",
        doc="Raise where Python raises for scalars and arrays have infinities.",
    )
)
