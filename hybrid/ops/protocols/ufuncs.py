"""``__array_ufunc__``: NumPy's ufuncs and their methods, on Tensors (NEP 13).

Where nothing records the call, NumPy's own loop runs on the memory of the Tensors: all that a ufunc
offers works there. In a trace and on a tape a call becomes hybrid's op of the ufunc, a reduction
hybrid's reduction; what has no counterpart is left to NumPy on the concrete values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.defaults import default_dtype
from hybrid.core.devices import CPU
from hybrid.core.dispatch import busy, resolve, state
from hybrid.core.heard import heard
from hybrid.core.making import asarray
from hybrid.core.number import in_graph
from hybrid.core.own_rules import answers_ufuncs
from hybrid.core.source import located
from hybrid.core.tensor import Tensor, wrap
from hybrid.core.variable import Variable
from hybrid.dtypes import DType
from hybrid.errors import HybridError
from hybrid.ops import creation, elementwise, joining, reduction, unit_axes
from hybrid.ops._axes import all_axes
from hybrid.ops.elementwise.declare import UFUNCS, key_of
from hybrid.ops.elementwise.operands import KNOWN, OF_NUMPY, SCALARS, hold_lists, with_lists
from hybrid.ops.elementwise.selection import where as choose
from hybrid.ops.inplace import check_write, writing
from hybrid.ops.products import matmul, vecdot
from hybrid.ops.protocols.by_numpy import by_numpy, put_into, spread, written_by_numpy
from hybrid.ops.protocols.special import of_scipy
from hybrid.ops.updating import At

Function = Callable[..., Any]

UFUNCS[np.matmul] = matmul
UFUNCS[np.vecdot] = vecdot
UFUNCS[np.matvec] = lambda a, x: matmul(a, asarray(x)[..., None])[..., 0]
UFUNCS[np.vecmat] = lambda x, a: matmul(_conjugated(asarray(x))[..., None, :], a)[..., 0, :]

_REDUCE: dict[np.ufunc, Function] = {
    np.add: reduction.sum,
    np.multiply: reduction.prod,
    np.maximum: reduction.max,
    np.minimum: reduction.min,
    np.logical_or: reduction.any,
    np.logical_and: reduction.all,
}
_ACCUMULATE: dict[np.ufunc, Function] = {
    np.add: reduction.cumsum,
    np.multiply: reduction.cumprod,
    np.maximum: reduction.cummax,
    np.minimum: reduction.cummin,
}

_UPDATES: dict[np.ufunc, Function] = {
    np.add: At.add,
    np.subtract: At.subtract,
    np.multiply: At.multiply,
    np.minimum: At.min,
    np.maximum: At.max,
}

_NEVER_CHOSEN: dict[np.ufunc, float] = {
    **dict.fromkeys((np.maximum, np.fmax), -np.inf),
    **dict.fromkeys((np.minimum, np.fmin), np.inf),
}
_ASSOCIATIVE = frozenset(
    (np.fmax, np.fmin, np.logical_or, np.logical_and, np.logical_xor)
    + (np.bitwise_or, np.bitwise_and, np.bitwise_xor, np.logaddexp, np.logaddexp2, np.hypot)
    + (np.gcd, np.lcm)
)
"""May be applied to halves, and to growing spans: that is how a trace reduces with them."""


_PLAIN = OF_NUMPY | {Tensor, np.ndarray, int, float}
"""Operands of which NumPy makes what hybrid's functions make of them."""


def _conjugated(x: Tensor) -> Tensor:
    return UFUNCS[np.conjugate](x) if x.dtype.kind == "c" else x


def __array_ufunc__(self: Any, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
    """Answer for `ufunc` where one of its operands is a Tensor."""
    if method == "__call__" and not options and _PLAIN.issuperset(map(type, inputs)):
        function = _counterpart(ufunc)
        if function is not None:
            return function(*inputs)
    if method in ("__call__", "outer") and hold_lists(inputs):
        with default_dtype(dtypes.float64):  # as NumPy makes arrays of lists
            inputs = with_lists(*inputs)
    if method == "__call__" and not options:  # what ndarray's own operators ask for
        function = _counterpart(ufunc)
        if function is not None and all(map(_takes, inputs)):
            return function(*inputs)
    out = options.pop("out", None)
    targets = out if isinstance(out, tuple) else (out,)
    if not all(_takes(x) for x in (*inputs, *targets) if x is not None):
        if method == "__call__":
            return NotImplemented
    if method == "at":
        return _at(ufunc, *inputs)
    variable = any(isinstance(t, Variable) for t in targets)
    if (not busy or state.plain) and not variable and _in_memory(*inputs, *targets):
        try:
            return _plainly(ufunc, method, inputs, options, targets)
        except (TypeError, ValueError) as error:
            raise _explained(error, ufunc, method, inputs, options, targets) from None
    result = _recorded(ufunc, method, inputs, options, targets)
    if out is None:
        return result
    results = result if isinstance(result, tuple) else (result,)
    put = spread if method in ("__call__", "outer") else put_into
    written = tuple(put(r, t) for r, t in zip(results, targets, strict=True))
    return written if isinstance(result, tuple) else written[0]


def _counterpart(ufunc: np.ufunc) -> Function | None:
    return UFUNCS.get(ufunc) or of_scipy(ufunc)


def _function(ufunc: np.ufunc) -> Function:
    function = _counterpart(ufunc)
    assert function is not None, "asked before"
    return function


def _takes(x: Any) -> bool:
    return isinstance(x, KNOWN) and not answers_ufuncs(type(x))


# --- where nothing records ------------------------------------------------------------------------


def _plainly(
    ufunc: np.ufunc,
    method: str,
    inputs: tuple[Any, ...],
    options: dict[str, Any],
    targets: tuple[Any, ...],
) -> Any:
    """Let NumPy's loop read and write the memory of the Tensors."""
    arrays = [_memory(x) for x in inputs]
    options = {key: _memory(value) for key, value in options.items()}
    if all(t is None for t in targets):
        return _wrapped(heard()(_loop_of(ufunc, method), *arrays, **options))
    with writing(*(asarray(t) for t in targets if _is_ours(t))):
        result = heard()(
            _loop_of(ufunc, method), *arrays, **options, out=tuple(map(_memory, targets))
        )
    results = result if isinstance(result, tuple) else (result,)
    given = tuple(_wrapped(r) if t is None else t for r, t in zip(results, targets, strict=True))
    return given if isinstance(result, tuple) else given[0]


def _loop_of(ufunc: np.ufunc, method: str) -> Any:
    return ufunc if method == "__call__" else getattr(ufunc, method)


def _explained(error: Exception, *call: Any) -> Exception:
    """Return what hybrid's own form of the call raises, which names shapes and dtypes."""
    try:
        result = _recorded(*call)
        for part, target in zip(result if isinstance(result, tuple) else (result,), call[-1]):
            if target is not None:
                check_write(asarray(target).spec, part.spec)
    except HybridError as clear:
        return clear
    except Exception:
        return error
    return error


def _in_memory(*values: Any) -> bool:
    """Tell whether NumPy can read and write them all: what is on a card it cannot."""
    return all(x.device == CPU for x in values if isinstance(x, Tensor | Variable))


def _memory(x: Any) -> Any:
    return x.numpy() if isinstance(x, Tensor | Variable) else x


def _is_ours(x: Any) -> bool:
    return isinstance(x, Tensor) or (isinstance(x, np.ndarray) and x.dtype in dtypes.SUPPORTED)


def _wrapped(result: Any) -> Any:
    if isinstance(result, tuple):
        return tuple(map(_wrapped, result))
    return wrap(np.asarray(result)) if result.dtype in dtypes.SUPPORTED else result


# --- recorded -------------------------------------------------------------------------------------


def _recorded(
    ufunc: np.ufunc,
    method: str,
    inputs: tuple[Any, ...],
    options: dict[str, Any],
    targets: tuple[Any, ...],
) -> Any:
    """Compute with hybrid's ops, or let NumPy do it on the concrete values."""
    if method in _METHODS and _counterpart(ufunc) is not None:
        result = _METHODS[method](ufunc, *inputs, targets=targets, **options)
        if result is not NotImplemented:
            return result
    return by_numpy(getattr(ufunc, method), inputs, options)


def _called(
    ufunc: np.ufunc,
    *inputs: Any,
    targets: tuple[Any, ...] = (None,),
    where: Any = True,
    dtype: Any = None,
    signature: Any = None,
    casting: Any = "same_kind",
    order: str = "K",  # of memory, which means nothing to Tensors
    subok: bool = True,
    **unknown: Any,
) -> Any:
    if unknown or (dtype is not None and signature is not None):
        return NotImplemented  # NumPy says what is wrong
    inputs = tuple(_operand(x) for x in inputs)
    wanted = None
    if dtype is not None or signature is not None or casting != "same_kind":
        loop = _loop(ufunc, inputs, dtype if signature is None else signature, casting)
        inputs = tuple(_cast(x, d) for x, d in zip(inputs, loop, strict=False))
        wanted = loop[ufunc.nin :]
    results = _function(ufunc)(*inputs)
    parts = results if isinstance(results, tuple) else (results,)
    if wanted is not None:
        parts = tuple(r.astype(d, copy=False) for r, d in zip(parts, wanted, strict=True))
    if where is not True:
        targets = targets if len(targets) == len(parts) else (None,) * len(parts)
        parts = tuple(_masked(where, r, t) for r, t in zip(parts, targets, strict=True))
    elif casting == "unsafe":
        parts = tuple(
            r if t is None else r.astype(t.dtype, copy=False)
            for r, t in zip(parts, targets, strict=True)
        )
    return parts if isinstance(results, tuple) else parts[0]


def _operand(x: Any) -> Any:
    x = in_graph(x)
    return x if type(x) in SCALARS or type(x) is Tensor else asarray(x)


def _loop(ufunc: np.ufunc, inputs: Any, given: Any, casting: Any) -> tuple[DType, ...]:
    """Return the dtypes of the loop that ``dtype=`` or ``signature=`` asks for."""
    keys = [type(x) if type(x) in SCALARS else key_of(x) for x in inputs]
    keys = [np.dtype(bool) if key is bool else key for key in keys]
    if given is None:
        signature: Any = (None,) * ufunc.nargs
    elif isinstance(given, tuple):
        signature = tuple(None if d is None else np.dtype(d) for d in given)
    elif isinstance(given, str) and "->" in given:
        signature = tuple(np.dtype(c) for c in given.replace("->", ""))
    else:
        signature = (None,) * ufunc.nin + (np.dtype(given),) * ufunc.nout
    return tuple(
        ufunc.resolve_dtypes((*keys, *(None,) * ufunc.nout), signature=signature, casting=casting)
    )


def _cast(x: Any, dtype: DType) -> Any:
    return asarray(x, dtype) if type(x) in SCALARS else x.astype(dtype, copy=False)


def _masked(mask: Any, result: Tensor, target: Any) -> Tensor:
    """Keep the target's contents where the mask is false; without one, zeros."""
    if target is None:
        return choose(mask, result, creation.zeros((), result.dtype))
    return choose(mask, result, asarray(target).astype(result.dtype, copy=False))


# --- reduce ---------------------------------------------------------------------------------------


def _reduced(
    ufunc: np.ufunc,
    x: Any,
    axis: Any = 0,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = np._NoValue,
    where: Any = True,
    *,
    targets: tuple[Any, ...] = (None,),
) -> Any:
    x = asarray(x)
    if out is not None or initial is None:
        return NotImplemented
    if not x.ndim and axis in (0, -1):
        axis = None  # NumPy takes a number for an array of one element here
    if dtype is not None:
        x = x.astype(dtype, copy=False)
    if where is not True:
        neutral = ufunc.identity if ufunc.identity is not None else initial
        if neutral is np._NoValue:
            return NotImplemented
        if dtypes.is_inexact(x.dtype):
            # That what is left out has no share in the gradient of what ties with `initial`.
            neutral = _NEVER_CHOSEN.get(ufunc, neutral)
        x = choose(where, x, asarray(neutral, x.dtype))
    function = _REDUCE.get(ufunc)
    if initial is not np._NoValue and ufunc.identity is None:
        # What has no elements is what it starts with.
        empty = [a for a in all_axes("reduce", axis, x.shape) if not x.shape[a]]
        if empty:
            shape = tuple(1 if a in empty else n for a, n in enumerate(x.shape))
            x = creation.full(shape, asarray(initial, x.dtype), dtype=x.dtype, device=x.device)
    if function is not None:
        result = function(x, axis=axis, keepdims=keepdims)
    elif ufunc in _ASSOCIATIVE and x.size:
        result = _by_halves(ufunc, x, axis, keepdims)
    else:
        return NotImplemented
    if dtype is not None and result.dtype != np.dtype(dtype):
        result = result.astype(dtype)
    if initial is np._NoValue:
        return result
    return _function(ufunc)(result, asarray(initial, result.dtype))


def _by_halves(ufunc: np.ufunc, x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    """Reduce with an associative function: halves onto halves."""
    function = _function(ufunc)
    axes = all_axes("reduce", axis, x.shape)
    x = _in_dtype_of(ufunc, x)
    if ufunc is np.hypot:  # of a single element and of 0
        x = elementwise.abs(x)
    for a in axes:
        while (n := x.shape[a]) > 1:
            half = n // 2
            first, second = _part(x, a, 0, half), _part(x, a, half, 2 * half)
            folded = function(first, second)
            x = folded if n == 2 * half else joining.concat([folded, _part(x, a, n - 1, n)], axis=a)
    return x if keepdims else unit_axes.squeeze(x, axes)


def _in_dtype_of(ufunc: np.ufunc, x: Tensor) -> Tensor:
    """Return `x` in the dtype of results, which a single element takes too."""
    nothing = _part(x, 0, 0, 0) if x.ndim else x
    return x.astype(_function(ufunc)(nothing, nothing).dtype, copy=False)


def _part(x: Tensor, axis: int, start: int, stop: int) -> Tensor:
    return x[(slice(None),) * axis + (slice(start, stop),)]


# --- accumulate, outer, at ------------------------------------------------------------------------


def _accumulated(
    ufunc: np.ufunc,
    x: Any,
    axis: int = 0,
    dtype: Any = None,
    out: Any = None,
    *,
    targets: tuple[Any, ...] = (None,),
) -> Any:
    if out is not None:
        return NotImplemented
    x = asarray(x)
    if not x.ndim:
        raise TypeError(located(f"{ufunc.__name__}.accumulate: an array of shape () has no axis"))
    if ufunc in _ACCUMULATE:
        return _ACCUMULATE[ufunc](x, axis=axis, dtype=dtype)
    if ufunc not in _ASSOCIATIVE or dtype is not None:
        return NotImplemented
    axis, shift = axis % x.ndim, 1
    x = _in_dtype_of(ufunc, x)
    size = x.shape[axis]
    while shift < size:  # each round doubles the span that an element has seen
        grown = _function(ufunc)(_part(x, axis, 0, size - shift), _part(x, axis, shift, size))
        x = joining.concat([_part(x, axis, 0, shift), grown], axis=axis)
        shift *= 2
    return x


def _outer(ufunc: np.ufunc, x: Any, y: Any, **options: Any) -> Any:
    x, y = asarray(x), asarray(y)
    return _called(ufunc, x.reshape(x.shape + (1,) * y.ndim), y, **options)


def _at(ufunc: np.ufunc, target: Any, index: Any, *values: Any) -> None:
    """Apply `ufunc` in place at indices, repeated ones as often as they are named."""
    if not isinstance(target, Tensor | np.ndarray):
        raise TypeError(f"np.{ufunc.__name__}.at writes into its first argument, an array")
    x = asarray(target) if _is_ours(target) else target
    if (not busy or state.plain) and type(x) is Tensor and x.device == CPU:
        try:
            with writing(x):
                ufunc.at(x.numpy(), _memory(index), *map(_memory, values))
        except IndexError:
            _ = x[index]  # which says what is wrong
            raise
    elif ufunc in _UPDATES and type(x) is Tensor:
        put_into(_UPDATES[ufunc](At(x, index), resolve(values[0])), target)
    else:
        written_by_numpy(ufunc.at, x, (index, *values), {})


def _reduced_at(
    ufunc: np.ufunc,
    x: Any,
    indices: Any,
    axis: int = 0,
    dtype: Any = None,
    out: Any = None,
    *,
    targets: tuple[Any, ...] = (None,),
) -> Any:
    if ufunc not in _REDUCE or out is not None or isinstance(indices, Tensor | Variable):
        return NotImplemented
    x = asarray(x) if dtype is None else asarray(x).astype(dtype, copy=False)
    if not x.ndim:
        raise TypeError(located(f"{ufunc.__name__}.reduceat: an array of shape () has no axis"))
    from hybrid.ops.protocols.compositions import reduced_at  # with all that they compose

    return reduced_at(_REDUCE[ufunc], x, indices, axis)


_METHODS: dict[str, Function] = {
    "__call__": _called,
    "reduce": _reduced,
    "reduceat": _reduced_at,
    "accumulate": _accumulated,
    "outer": _outer,
}
