"""Callables around an Op: public functions, and the operators of Tensor and Variable."""

from __future__ import annotations

import operator as python
from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.dispatch import after_trace, bind, busy, state
from hybrid.core.heard import heard
from hybrid.core.op import OPS, VARIANTS, Op
from hybrid.core.operands import spec_of
from hybrid.core.picked import Picked
from hybrid.core.scalars import is_scalar
from hybrid.core.source import located
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.core.unknown import same_shape
from hybrid.core.variable import Variable, forward_operator
from hybrid.errors import DTypeError, ShapeError
from hybrid.kernels.shortway import Way
from hybrid.ops import _shortways
from hybrid.ops.elementwise.large import LARGE, large
from hybrid.ops.elementwise.operands import (
    DIRECT,
    OF_NUMPY,
    SCALARS,
    check_integers,
    is_known,
    is_weak,
    not_taken,
    operand,
    strong,
    weakly,
    with_lists,
)
from hybrid.ops.elementwise.picked import in_place
from hybrid.ops.elementwise.pythonic import follow_python
from hybrid.ops.elementwise.taped import binary_on_tape, unary_on_tape

_array = np.ndarray
_square = np.square
_NO_ATTRS: dict[str, Any] = {}
_COMPARISONS = frozenset(("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"))

Operator = Callable[..., Any]


# --- public functions -----------------------------------------------------------------------------


def unary_call(op: Op, ufunc: Callable[..., Any] | None) -> Callable[[ArrayLike], Tensor]:
    """Return the public function of one array; `ufunc` is what it may call directly."""

    short: Callable[[Any], Tensor | None] | None = None

    def function(x: ArrayLike, /, out: Any = None) -> Tensor:
        if out is not None:
            return into(out, function(x))
        if short is not None and (done := short(x)) is not None:
            return done
        if ufunc is None or type(x) is not Tensor:
            return _bind(op, *strong(x))
        if not busy or (taping := state.taping) is None:
            try:
                data = x._data
                data = heard()(ufunc, data) if data.size < LARGE else large(ufunc, data)
            except Exception:
                return _bind(op, *strong(x))
            return _shortways.made(data)
        if taping is not False:
            taped = unary_on_tape(taping, op, ufunc, x)
            if taped is not None:
                return taped
        elif (recorder := state.recorder) is not None:
            traced: Tensor | None = recorder.record_one(op, x)
            if traced is not None:
                return traced
        return _bind(op, *strong(x))

    def put(native: dict[str, Any]) -> None:
        nonlocal short
        short = native[op.name]

    if ufunc is not None:
        _shortways.offer(Way(op.name, "function", ufunc), put)
    return function


def binary_call(op: Op, ufunc: Callable[..., Any]) -> Callable[[ArrayLike, ArrayLike], Tensor]:
    """Return the public function of two arrays."""
    short: Callable[[Any, Any], Tensor | None] | None = None

    def function(x1: ArrayLike, x2: ArrayLike, /, out: Any = None) -> Tensor:
        if out is not None:
            return into(out, function(x1, x2))
        if short is not None and (done := short(x1, x2)) is not None:
            return done
        if not busy or (taping := state.taping) is None:
            left = x1._data if type(x1) is Tensor else _raw(x1, x2)
            right = x2._data if type(x2) is Tensor else _raw(x2, x1)
            if left is not None and right is not None:
                try:
                    small = (left if type(left) is _array else right).size < LARGE
                    data = heard()(ufunc, left, right) if small else large(ufunc, left, right)
                except Exception:
                    return _bind(op, *strong(x1, x2))
                return _shortways.made(data)
        elif taping is False:
            recorder = state.recorder
            if recorder is not None:
                traced: Tensor | None = recorder.record_two(op, x1, x2)
                if traced is not None:
                    return traced
        elif type(x1) is Tensor or type(x2) is Tensor:
            taped = binary_on_tape(taping, op, ufunc, x1, x2)
            if taped is not None:
                return taped
        return _bind(op, *check_integers(op, *strong(x1, x2)))

    def put(native: dict[str, Any]) -> None:
        nonlocal short
        short = native[op.name]

    _shortways.offer(Way(op.name, "function of two", ufunc), put)
    return function


def into(out: Any, value: Tensor) -> Tensor:
    """Put a result into what was given as ``out=``; see :func:`hybrid.ops.inplace.deliver`."""
    from hybrid.ops.inplace import deliver

    return deliver(value, out)


def _raw(x: Any, other: Any) -> Any:
    """Return `x`, which is no Tensor, if a ufunc may take it as it is beside `other`, or None."""
    if type(x) in DIRECT:
        # NumPy widens bfloat16, whose kind is V, where it meets a Python scalar.
        return x if type(other) is Tensor and other._data.dtype.kind != "V" else None
    if type(x) in OF_NUMPY:
        if type(other) is not Tensor or other._data.dtype.kind == "V":
            return None
        x = weakly(x, other)  # large arrays take that in several threads
        return x if type(x) is float else np.asarray(x)
    return x if type(x) is _array and x.dtype in dtypes.SUPPORTED else None


_WITH_VARIANTS: set[Op] = set()


def variant(op: Op, kind: str, other: Op) -> None:
    """Let `other` stand in for `op` where all inputs are of `kind`."""
    VARIANTS[op, kind] = other
    _WITH_VARIANTS.add(op)


_IN_PYTHON: dict[Op, Callable[..., Any]] = {}
"""Python's own form of the operators, for what stood for Python scalars."""


def _operate(op: Op, *operands: Any) -> Any:
    if state.recorder is None and any(map(is_weak, operands)):
        operands = tuple(map(after_trace, operands))
        if all(type(x) in SCALARS for x in operands):
            return _IN_PYTHON[op](*operands)
    return _bind(op, *operands)


def _bind(op: Op, *operands: Any) -> Tensor:
    known_as = op
    if op in _WITH_VARIANTS:
        kinds = {spec_of(x).dtype.kind for x in operands}
        for kind, covered in (("b", {"b"}), ("i", {"b", "i", "u"})):
            if kinds <= covered and (op, kind) in VARIANTS:
                op = VARIANTS[op, kind]
                break
    try:
        result: Tensor = bind(op, operands, {})
    except OverflowError as error:
        raise OverflowError(str(error).replace(op.name, known_as.name, 1)) from None
    return result


# --- operators ------------------------------------------------------------------------------------


def attach_unary(name: str, op: Op, ufunc: Callable[..., Any] | None) -> None:
    """Attach operator `name` to Tensor and Variable."""

    def operator(self: Tensor) -> Any:
        if ufunc is None:
            return _operate(op, self)
        if not busy or (taping := state.taping) is None:
            try:
                data = self._data
                data = heard()(ufunc, data) if data.size < LARGE else large(ufunc, data)
            except Exception:
                return _operate(op, self)
            return _shortways.made(data)
        if taping is not False:
            taped = unary_on_tape(taping, op, ufunc, self)
            if taped is not None:
                return taped
        elif (recorder := state.recorder) is not None:
            traced = recorder.record_one(op, self)
            if traced is not None:
                return traced
        return _operate(op, self)

    _attach(name, operator)
    if ufunc is not None:
        _shortways.on_tensor(Way(name, "unary", ufunc, operator))
    _IN_PYTHON[op] = getattr(python, name)


def attach_binary(name: str, op: Op, ufunc: Callable[..., Any]) -> None:
    """Attach operator `name` to Tensor and Variable, with its reflected and in-place forms.

    Comparisons have neither: Python reflects them by itself.
    """
    forward = _forward(op, ufunc)
    _attach(name, forward)
    _IN_PYTHON[op] = getattr(python, name)
    if name in _COMPARISONS:
        _shortways.on_tensor(Way(name, "comparison", ufunc, forward))
        return
    plain = name.strip("_")
    reflected = _reflected(op, ufunc)
    _attach(f"__r{plain}__", reflected)
    if name != "__pow__":  # which looks at the exponent first, in Python
        _shortways.on_tensor(Way(name, "binary", ufunc, forward, reflected))
    attach_inplace(f"__i{plain}__", op, ufunc, forward)


def _forward(op: Op, ufunc: Callable[..., Any]) -> Operator:
    def operator(self: Tensor, other: Any) -> Any:
        if not busy or (taping := state.taping) is None:
            right = other._data if type(other) is Tensor else _raw(other, self)
            if right is not None:
                try:
                    left = self._data
                    small = left.size < LARGE
                    data = heard()(ufunc, left, right) if small else large(ufunc, left, right)
                except Exception:
                    return _operate(op, *_beside(self, other))
                return _shortways.made(data)
        elif taping is False:
            recorder = state.recorder
            if recorder is not None:
                traced = recorder.record_two(op, self, other)
                if traced is not None:
                    return traced
        else:
            taped = binary_on_tape(taping, op, ufunc, self, other)
            if taped is not None:
                return taped
        if not is_known(other):
            return _beside_no_array(op.name, self, other)
        special = follow_python(op.name, self, other)
        if special is not None:
            return special
        return _operate(op, *check_integers(op, *_beside(self, other)))

    return operator


def _beside(x: Any, other: Any) -> tuple[Any, ...]:
    return tuple(map(operand, with_lists(x, other)))


def _beside_no_array(name: str, x: Any, other: Any) -> Any:
    """Compare with None and texts as NumPy does, element by element: none is equal to them."""
    if name not in ("equal", "not_equal") or not (other is None or isinstance(other, str)):
        return not_taken(name, other)
    if is_weak(x):
        return name == "not_equal"
    return bind(OPS["full"], (name == "not_equal",), {"shape": x.shape, "dtype": dtypes.bool_})


def _reflected(op: Op, ufunc: Callable[..., Any]) -> Operator:
    def operator(self: Tensor, other: Any) -> Any:
        if not busy or (taping := state.taping) is None:
            left = _raw(other, self)
            if left is not None:
                try:
                    right = self._data
                    small = right.size < LARGE
                    data = heard()(ufunc, left, right) if small else large(ufunc, left, right)
                except Exception:
                    return _operate(op, *_beside(other, self))
                return _shortways.made(data)
        elif taping is False:
            recorder = state.recorder
            if recorder is not None:
                traced = recorder.record_two(op, other, self)
                if traced is not None:
                    return traced
        else:
            taped = binary_on_tape(taping, op, ufunc, other, self)
            if taped is not None:
                return taped
        if not is_known(other):
            return not_taken(op.name, other)
        special = follow_python(op.name, other, self)
        if special is not None:
            return special
        return _operate(op, *check_integers(op, *_beside(other, self)))

    return operator


def attach_inplace(name: str, op: Op, ufunc: Callable[..., Any] | None, forward: Operator) -> None:
    """Attach in-place operator `name`: a write, as in NumPy, that every alias sees.

    A scalar is rebound, as NumPy's are.
    """

    def operator(self: Tensor, other: Any) -> Any:
        # Alone with its memory and unknown to any tape: nobody needs to hear of the write.
        if (
            (not busy or state.taping is None)
            and self._link is None
            and self._node is None
            and ufunc is not None
            and self._data.ndim
        ):
            right = other._data if type(other) is Tensor else _raw(other, self)
            if right is not None:
                try:
                    heard()(ufunc, self._data, right, out=self._data)
                    return self
                except (TypeError, ValueError, OverflowError):  # raised before anything is written
                    pass
        elif (
            ufunc is not None
            and (not busy or state.plain)
            and type(self._data) is _array
            and self._data.ndim
        ):
            right = other._data if type(other) is Tensor else _raw(other, self)
            if right is not None and _operate_in_place(ufunc, self, right):
                return self
        if type(self._link) is Picked and in_place(self, forward, other):
            return self
        rebound = is_weak(self) or (not self.ndim and _is_scalar(self))
        result = forward(self, other)
        if result is NotImplemented or rebound:
            return result
        write_back(op.name, self, result)
        return self

    def assign(self: Variable, other: Any) -> Any:
        result = forward(self.read(), other)
        if result is NotImplemented:
            return result
        self.assign(result)
        return self

    operator.__name__ = operator.__qualname__ = assign.__name__ = name
    setattr(Tensor, name, operator)
    setattr(Variable, name, assign)
    if isinstance(ufunc, np.ufunc) and name != "__ipow__":
        _shortways.on_tensor(Way(name, "in place", ufunc, operator))


def _is_scalar(x: Tensor) -> bool:
    return is_scalar(x) if state.recorder is None else bool(state.recorder.is_scalar(x))


def _operate_in_place(ufunc: Callable[..., Any], target: Tensor, right: Any) -> bool:
    """Let a ufunc write to memory that others see; whether it took the operands as they are."""
    from hybrid.ops.inplace import announce, settle

    alias = announce(target)
    try:
        heard()(ufunc, target._data, right, out=target._data)
    except (TypeError, ValueError, OverflowError):
        return False
    finally:  # a FloatingPointError comes after the write
        settle(target, alias, None)
    return True


def write_back(name: str, target: Tensor, value: Tensor) -> None:
    """Write the result of `name` into `target`, which keeps its shape and dtype.

    Raises
    ------
    ShapeError, DTypeError
        Where the result does not fit.
    """
    from hybrid.ops.inplace import write

    if not same_shape(value.shape, target.shape):
        raise ShapeError(
            located(
                f"{name}: the result has shape {value.shape}, it cannot be written into a Tensor "
                f"of shape {target.shape}; x = x + y makes a new Tensor"
            )
        )
    if value.dtype != target.dtype:
        if not _same_kind(value.dtype, target.dtype):
            raise DTypeError(
                located(
                    f"{name}: a result of dtype {value.dtype.name} cannot be written into a Tensor "
                    f"of dtype {target.dtype.name}; x = x + y makes a new Tensor"
                )
            )
        value = value.astype(target.dtype)
    write(target, value)


def _same_kind(source: dtypes.DType, target: dtypes.DType) -> bool:
    if dtypes.is_float(source) and dtypes.is_float(target):
        return True  # bfloat16 included, of which NumPy does not know that it is floating-point
    return np.can_cast(source, target, "same_kind")


def _attach(name: str, operator: Operator) -> None:
    operator.__name__ = operator.__qualname__ = name
    setattr(Tensor, name, operator)
    forward_operator(name)


def attach_divmod(function: Callable[[Any, Any], tuple[Tensor, Tensor]]) -> None:
    """Let Python's ``divmod`` use `function`."""

    def operator(self: Tensor, other: Any) -> Any:
        return _divmod(function, self, other) if is_known(other) else NotImplemented

    def reflected(self: Tensor, other: Any) -> Any:
        return _divmod(function, other, self) if is_known(other) else NotImplemented

    _attach("__divmod__", operator)
    _attach("__rdivmod__", reflected)


def _divmod(function: Callable[[Any, Any], tuple[Tensor, Tensor]], x: Any, y: Any) -> Any:
    if is_weak(x) and is_weak(y):  # Python scalars, which their operators leave as such
        return follow_python("divmod", x, y) or (x // y, x % y)
    return function(x, y)


# --- powers with constant exponents ---------------------------------------------------------------


def reroute_power(op: Op, shortcuts: dict[float, Callable[[Tensor], Tensor]]) -> None:
    """Let ``x ** 2`` and the like use the cheaper function, as NumPy does.

    Parameters
    ----------
    op : Op
        What computes all other powers.
    shortcuts : dict
        From exponent to function. All but the int 2 are for floating-point and complex bases.
    """
    general = Tensor.__pow__

    def operator(self: Tensor, other: Any) -> Any:
        if type(other) is int and other == 2 and (not busy or state.taping is None):
            try:
                data = _square(self._data)
            except TypeError:  # of what a trace left behind, explained below
                return general(self, other)
            return _shortways.made(data)
        function = shortcuts.get(other) if type(other) in DIRECT else None
        if function is not None:
            kind = self._data.dtype.kind
            whole = type(other) is int and other == 2 and kind in "iub"
            if (kind in "fcV" or whole) and not is_weak(self):
                return function(self)
        return general(self, other)

    _attach("__pow__", operator)
    attach_inplace("__ipow__", op, None, operator)
