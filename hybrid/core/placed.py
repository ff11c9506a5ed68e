"""Running ops where their inputs are: the eager forms, on a card, with its array module."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.devices import CPU, place
from hybrid.core.op import Attrs, Op
from hybrid.core.places import DeviceArray, Place, put
from hybrid.core.spec import TensorSpec, weak_scalar
from hybrid.core.state import state
from hybrid.errors import DeviceError, HybridError, OutOfMemoryError

# What array modules raise for what they do not have.
_LACKING = (AttributeError, ImportError, NotImplementedError, TypeError)


def together(name: str, devices: Iterable[tuple[str, int]]) -> str | None:
    """Return the one device on which the inputs of an op are; None where there are none.

    Parameters
    ----------
    name : str
        Of the op.
    devices : iterable of pairs
        Of each input that is an array its device and its number of axes. A value without axes on
        the CPU goes where the others are.

    Raises
    ------
    DeviceError
        Where they are on several.
    """
    pairs = list(devices)
    found = dict.fromkeys(d for d, ndim in pairs if ndim or d != CPU)
    if len(found) > 1:
        *others, last = found
        raise DeviceError(
            f"{name}: the inputs are on different devices, {', '.join(others)} and {last}; "
            f"x.to_device({others[0]!r}) moves one"
        )
    return next(iter(found), CPU if pairs else None)


def run(op: Op, datas: Sequence[Any], attrs: Attrs) -> Any:
    """Apply the eager form of an op to what Tensors hold, and return what Tensors hold.

    Parameters
    ----------
    op : Op
    datas : sequence
        ndarrays, DeviceArrays and Python scalars.
    attrs : mapping

    Returns
    -------
    ndarray or DeviceArray
        Or a tuple of them, if the op has several results.

    Raises
    ------
    DeviceError
        Where the inputs are on different devices, or the card cannot compute it.
    OutOfMemoryError
        Where the memory of the card does not suffice.
    """
    arrays = [(x.device, x.ndim) for x in datas if isinstance(x, np.ndarray | DeviceArray)]
    found = place(together(op.name, arrays) or state.device)
    if found is None:
        result = op.eager(np, *datas, **attrs)
        return tuple(map(np.asarray, result)) if op.multi else np.asarray(result)
    return run_at(found, op, datas, attrs)


def run_at(found: Place, op: Op, datas: Sequence[Any], attrs: Attrs) -> Any:
    """Apply the eager form of an op on a card; as :func:`run`, wherever its inputs are."""
    if op.anywhere:
        return op.eager(np, *datas, **attrs)
    if op.prepare is not None:
        return op.prepare(tuple(map(_spec, datas)), **attrs)(*datas)
    try:
        with found.current():
            return _on_card(op, [_lent(x, found) for x in datas], attrs, found)
    except MemoryError as error:
        raise OutOfMemoryError(_too_much(op, datas, attrs, found, error)) from error
    except HybridError:
        raise
    except Exception as error:
        if state.fallback:
            return _on_cpu(op, datas, attrs, found)
        _refuse(op, datas, attrs)
        if isinstance(error, _LACKING):
            raise DeviceError(_lacking(op, found, error)) from error
        raise


def _lent(x: Any, found: Place) -> Any:
    """Return the array behind `x` at a place: what has no axes comes along."""
    if type(x) is DeviceArray:
        return x.array
    return found.put(x) if isinstance(x, np.ndarray) else x


def _on_card(op: Op, arrays: list[Any], attrs: Attrs, found: Place) -> Any:
    # CuPy has bfloat16 in most places only; the CPU computes it in float32 and rounds once, too.
    narrow = op.view is None and any(getattr(x, "dtype", None) == dtypes.bfloat16 for x in arrays)
    given = [_widened(x) for x in arrays] if narrow else arrays
    if op.by_kernel is not None:
        result = op.by_kernel(found, *given, **attrs)
    else:
        result = op.eager(found.xp, *given, **attrs)
    specs: Sequence[TensorSpec | None] = (None,) * (len(result) if op.multi else 1)
    if narrow or any(isinstance(r, np.ndarray) for r in (result if op.multi else (result,))):
        inferred = op.infer(*map(_spec, arrays), **attrs)
        specs = inferred if op.multi else (inferred,)
    if op.multi:
        return tuple(_taken(op, r, s, found) for r, s in zip(result, specs, strict=True))
    return _taken(op, result, specs[0], found)


def _widened(x: Any) -> Any:
    return x.astype(dtypes.float32) if getattr(x, "dtype", None) == dtypes.bfloat16 else x


def _taken(op: Op, result: Any, spec: TensorSpec | None, found: Place) -> Any:
    """Return a result of an eager form as a Tensor holds it."""
    if type(result) is DeviceArray:
        return result
    if isinstance(result, np.ndarray):
        if spec is None or spec.device == CPU:
            return result
        raise TypeError("its eager form leaves the card")
    array = found.xp.asarray(result)
    if spec is not None and array.dtype != spec.dtype:
        array = array.astype(spec.dtype)
    return DeviceArray(array, found)


def _on_cpu(op: Op, datas: Sequence[Any], attrs: Attrs, found: Place) -> Any:
    """Compute on the CPU, because it was asked for, and move the results back."""
    result = op.eager(np, *(x.get() if type(x) is DeviceArray else x for x in datas), **attrs)
    if op.multi:
        return tuple(put(np.asarray(r), found) for r in result)
    return put(np.asarray(result), found)


# --- errors ---------------------------------------------------------------------------------------


def _spec(x: Any) -> TensorSpec:
    if isinstance(x, bool | int | float | complex) and not isinstance(x, np.generic):
        return weak_scalar(x)
    return x.spec if type(x) is DeviceArray else TensorSpec(x.shape, x.dtype)


def _refuse(op: Op, datas: Sequence[Any], attrs: Attrs) -> None:
    """Raise what the op itself has against its inputs."""
    op.infer(*map(_spec, datas), **attrs)


def _lacking(op: Op, found: Place, error: Exception) -> str:
    reason = str(error).partition("\n")[0] or type(error).__name__
    return (
        f"{op.name}: it cannot be computed on {found.name} ({reason}); move its inputs with "
        f"x.to_device('cpu'), or let such ops run there: with hb.device({found.name!r}, "
        "fallback='cpu')"
    )


def _too_much(op: Op, datas: Sequence[Any], attrs: Attrs, found: Place, error: Exception) -> str:
    inferred = op.infer(*map(_spec, datas), **attrs)
    results = inferred if op.multi else (inferred,)
    return (
        f"{op.name}: {found.name} is out of memory. The result takes "
        f"{sum(s.nbytes for s in results):,} bytes, the inputs "
        f"{sum(_spec(x).nbytes for x in datas):,}. {error}"
    )
