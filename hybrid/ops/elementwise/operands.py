"""What elementwise functions and operators accept, and what becomes of it."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.defaults import default_dtype
from hybrid.core.dispatch import state
from hybrid.core.making import asarray
from hybrid.core.number import Number, in_graph
from hybrid.core.op import Op
from hybrid.core.own_rules import has_own_rules
from hybrid.core.refusals import too_wide
from hybrid.core.source import located
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor
from hybrid.core.unknown import Unknown, known
from hybrid.core.variable import Variable
from hybrid.dtypes import DType

SCALARS = frozenset((bool, int, float, complex))
"""The exact types of Python scalars; NumPy's own scalars derive from some of them."""

DIRECT = frozenset((int, float))
"""The types of numbers that NumPy takes beside an array as they are, weakly."""

OF_NUMPY = frozenset(
    dtype.type for dtype in dtypes.SUPPORTED if issubclass(dtype.type, np.number | np.bool_)
)
"""The types of NumPy's own scalars, which have a dtype."""

KNOWN = (Tensor, Variable, np.ndarray, np.generic, int, float, complex, list, tuple)
"""What operators take on the other side; anything else is asked by Python what it can do itself."""


def is_known(x: Any) -> bool:
    """Tell whether an operator takes `x` on the other side; matrices have operators themselves."""
    # Masked arrays are refused where they are read, with the way out.
    return isinstance(x, KNOWN) and (
        not isinstance(x, np.ndarray) or not has_own_rules(type(x)) or hasattr(x, "filled")
    )


def not_taken(name: str, other: Any) -> Any:
    """Return NotImplemented, so that Python asks the other operand.

    Raises
    ------
    TypeError
        For Tensors of other libraries, of which Python would say 'Tensor' and 'Tensor' only, and of
        ``==`` that they are not the same object.
    """
    kind = type(other)
    if hasattr(kind, "__dlpack__") and any(base.__name__ == "Tensor" for base in kind.__mro__):
        theirs = f"{kind.__module__}.{kind.__qualname__}"
        hint = "hb.asarray(x) shows its memory as a Tensor of hybrid's"
        raise TypeError(located(f"{name} of a hybrid.Tensor and a {theirs}: {hint}"))
    return NotImplemented


_DOUBLE = frozenset((dtypes.float64, dtypes.complex128))
_NO_LISTS = SCALARS | {Tensor, Variable, np.ndarray, Number, Unknown}


def operand(x: Any) -> Any:
    """Turn `x` into what ``bind`` takes: a Tensor or a Python scalar."""
    if type(x) is Tensor or type(x) in SCALARS or type(x) is Variable:
        return x
    if type(x) is Unknown:
        return x if x.open else x.hint
    if type(x) is Number:
        return in_graph(x)
    if type(x) is np.ndarray and state.plain and x.dtype in dtypes.SUPPORTED:
        return x
    return asarray(x)


def together(*arrays: Any) -> tuple[Tensor, ...]:
    """Turn the arguments of one call into Tensors, lists beside double precision into double."""
    return tuple(map(asarray, with_lists(*arrays)))


def each_of(name: str, arrays: Any) -> tuple[Tensor, ...]:
    """Turn the arrays of an argument that is a list of them into Tensors, as `together` does."""
    if not isinstance(arrays, Iterable):
        given = f"{type(arrays).__name__} {arrays!r}"
        raise TypeError(located(f"{name}: expected a list or tuple of arrays, not the {given}"))
    return together(*arrays)


def weakly(x: Any, other: Tensor) -> Any:
    """Return a float64 of NumPy's beside a Tensor of that dtype as the Python number that it is."""
    return float(x) if type(x) is np.float64 and other._data.dtype is dtypes.float64 else x


def hold_lists(inputs: tuple[Any, ...]) -> bool:
    """Tell whether a list or tuple is among arguments."""
    # The usual types in one call of C: the path of every function of NumPy's on Tensors.
    if _NO_LISTS.issuperset(map(type, inputs)):
        return False
    return any(isinstance(x, list | tuple) for x in inputs)


def with_lists(*inputs: Any) -> tuple[Any, ...]:
    """Turn lists among the arguments of one call into Tensors.

    Beside double precision they are in double precision: rounded to the default dtype first, their
    numbers would not be those that the user wrote.
    """
    if not hold_lists(inputs):
        return inputs
    double = any(getattr(x, "dtype", None) in _DOUBLE and not is_weak(x) for x in inputs)
    with default_dtype(dtypes.float64 if double else state.defaults.floats):
        return tuple(asarray(x) if isinstance(x, list | tuple) else x for x in inputs)


def strong(*inputs: Any) -> tuple[Any, ...]:
    """Turn the arguments of a public function into what ``bind`` takes.

    Python scalars among arrays stay what they are and take the dtype of the arrays. Where there is
    nothing but Python scalars the first one becomes a Tensor, of the dtype that ``asarray`` gives.
    """
    operands = tuple(map(operand, with_lists(*inputs)))
    if not all(map(is_weak, operands)):
        return operands
    kinds = [_kind(x) for x in operands]
    dtype = state.defaults.dtypes[max(kinds, key="bifc".index)]
    first = operands[0]
    first = first.astype(dtype) if type(first) is Tensor else asarray(first, dtype)
    return (first, *operands[1:])


def is_weak(x: Any) -> bool:
    """Tell whether `x` is a Python scalar, or stands for one in a trace."""
    if type(x) is Tensor:
        return type(x._data) is Symbol and x._data.spec.weak
    return type(x) in SCALARS or type(x) in (Unknown, Number)


def _kind(x: Any) -> str:
    if type(x) is Tensor:
        return x.dtype.kind
    x = known(x)
    return {bool: "b", int: "i", float: "f"}.get(type(x), "c")


def fits(value: int, dtype: DType) -> bool:
    """Tell whether an integer dtype can hold `value`."""
    least, most = _bounds(dtype)
    return least <= value <= most


@cache
def _bounds(dtype: DType) -> tuple[int, int]:
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def check_integers(op: Op, x: Any, y: Any) -> tuple[Any, Any]:
    """Treat Python ints that do not fit the other operand's dtype in a trace as eager code does.

    Arithmetic raises OverflowError. Comparisons are defined: there an infinity of the same sign
    compares as the int does.
    """
    if state.recorder is None:
        return x, y
    x, y = _as_it_fits(x, y), _as_it_fits(y, x)
    if type(known(y)) is int and type(x) is Tensor:
        return x, _checked(op, y, x.dtype, flipped=False)
    if type(known(x)) is int and type(y) is Tensor:
        return _checked(op, x, y.dtype, flipped=True), y
    return x, y


def _as_it_fits(x: Any, y: Any) -> Any:
    """Return an int that Python counts with as Python has it, where the other dtype is not int64.

    That may not hold it, which is an error in eager code.
    """
    if type(y) is not Tensor or y.dtype.kind not in "iu" or y.dtype == dtypes.int64:
        return x
    if type(x) is not Tensor or x.dtype.kind != "i" or not is_weak(x) or is_weak(y):
        return x
    return int(x) if state.recorder.decides else x


def _checked(op: Op, value: int, dtype: DType, *, flipped: bool) -> int | float:
    if dtype.kind not in "iu" or fits(value, dtype):
        return value
    nothing = np.empty(0, dtype)
    value = operator.index(value)
    try:
        result = op.eager(np, value, nothing) if flipped else op.eager(np, nothing, value)
    except OverflowError as error:
        raise too_wide(op, [value], error) from None
    return float("inf" if value > 0 else "-inf") if result.dtype == dtypes.bool_ else value
