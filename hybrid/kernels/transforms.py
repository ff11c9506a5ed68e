"""Fourier transforms of many lines, shared among the threads of kernels, into given memory.

Kernels do several lines at once (``lines.py``), or the parts of long ones (``long_lines.py``).
NumPy's inner loops do lines of sizes with large factors, with the factor that SciPy computes. In
either way the bits are those of ``scipy.fft``. SciPy's transforms give new memory each time, which
the system has to clear page by page: of a real transform of 2**18 numbers by its passes that takes
half of the time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hybrid.kernels import parallel
from hybrid.kernels.gufunc import loop_of
from hybrid.kernels.handwritten import Array
from hybrid.kernels.products import can_limit, multiply

if TYPE_CHECKING:
    from hybrid.kernels.lines import LineKernel
    from hybrid.kernels.long_lines import LongKernel

# Elements of an input that are worth more than SciPy's shorter way to the same loop.
_MANY = 1 << 14
# Memory that does not follow evenly is transformed slab by slab, if these are few.
_SLABS = 64

Strides = tuple[int, ...]
Axes = tuple[int, ...]
# In how many slabs lines lie evenly; the kernel, or the numbers for NumPy's loop, of each.
_Plan: TypeAlias = "tuple[int, LineKernel | LongKernel | Array]"


@functools.cache
def _loop(name: str, types: str) -> tuple[int, int] | None:
    """The address of an inner loop of NumPy's, and of the data it is given."""
    try:
        module = import_module("numpy.fft._pocketfft_umath")
    except ImportError:
        return None
    ufunc = getattr(module, name, None)
    return loop_of(ufunc, types) if isinstance(ufunc, np.ufunc) else None


def factor(norm: str, inverse: bool, count: int) -> float:
    """Return what a transform over `count` elements is multiplied by."""
    if norm == "ortho":
        return float(1 / np.sqrt(np.longdouble(count)))
    return float(1 / np.longdouble(count)) if (norm == "backward") == inverse else 1.0


def takes(size: int, dtype: np.dtype[Any]) -> bool:
    """Whether an array is of a dtype and a size that are transformed here."""
    return size >= _MANY and dtype.char in "fdFD" and dtype.isnative and can_limit()


def complex_into(x: Array, out: Array, axes: Axes, inverse: bool, norm: str) -> bool:
    """Transform complex numbers along axes.

    Parameters
    ----------
    x, out : ndarray
        Of one shape and dtype; `out` is not part of `x`.
    axes : tuple of int
    inverse : bool
    norm : str
        As in ``numpy.fft``.

    Returns
    -------
    bool
        False if it cannot be done here, `out` is as before then.
    """
    name = "ifft" if inverse else "fft"
    types = {"D": "Dd->D", "F": "Ff->F"}.get(x.dtype.char, "")
    if not axes or not types:
        return False
    plans = [_numbers(name, types, *_lie(x if not i else out, out), a) for i, a in enumerate(axes)]
    if any(plan is None for plan in plans):
        return False
    scale = factor(norm, inverse, prod(x.shape[axis] for axis in axes))
    for i, plan in enumerate(plans):
        assert plan is not None
        _run(plan, x if not i else out, out, axes[i], scale if not i else 1.0)
    return True


def real_into(x: Array, out: Array, axis: int, norm: str) -> bool:
    """Transform real numbers to half of a spectrum; returns as `complex_into`."""
    scale = factor(norm, False, x.shape[axis])
    types = {"d": "dd->D", "f": "ff->F"}.get(x.dtype.char, "")
    return _one(f"rfft_n_{'odd' if x.shape[axis] % 2 else 'even'}", types, x, out, axis, scale)


def half_into(x: Array, out: Array, axis: int, norm: str) -> bool:
    """Transform half of a spectrum to real numbers; returns as `complex_into`."""
    scale = factor(norm, True, out.shape[axis])
    types = {"D": "Dd->d", "F": "Ff->f"}.get(x.dtype.char, "")
    return _one("irfft", types, x, out, axis, scale)


def _one(name: str, types: str, x: Array, out: Array, axis: int, scale: float) -> bool:
    plan = _numbers(name, types, *_lie(x, out), axis) if types else None
    if plan is None:
        return False
    _run(plan, x, out, axis, scale)
    return True


def _lie(x: Array, out: Array) -> tuple[Strides, Strides, Strides, Strides]:
    return x.shape, x.strides, out.shape, out.strides


def _run(plan: _Plan, x: Array, out: Array, axis: int, scale: float) -> None:
    slabs, numbers = plan
    transform = _by_loop(numbers) if isinstance(numbers, np.ndarray) else numbers
    if slabs == 1:
        transform(x, out, scale)
        return
    for place in np.ndindex(x.shape[:axis]):
        transform(x[place], out[place], scale)


def _by_loop(numbers: Array) -> Callable[[Array, Array, float], None]:
    """What has NumPy's inner loop transform the lines of an array."""
    call = multiply()
    return lambda x, out, scale: call(numbers, x, np.array(scale, x.real.dtype), out)


@functools.lru_cache(maxsize=1024)
def _numbers(
    name: str,
    types: str,
    shape: Strides,
    strides: Strides,
    out_shape: Strides,
    out_strides: Strides,
    axis: int,
) -> _Plan | None:
    """In how many slabs the lines lie evenly, and what transforms each."""
    found = _loop(name, types)
    others = [i for i in range(len(shape)) if i != axis]
    slabs = 1
    merged = _merged(shape, strides, out_strides, others)
    if merged is None:
        slabs = prod(shape[:axis])
        merged = _merged(shape, strides, out_strides, others[axis:])
    if found is None or merged is None or slabs > _SLABS or 0 in shape:
        return None
    count, step, out_step = merged
    every = step, strides[axis], out_step, out_strides[axis]
    kernel = _kernel(name, types, (shape[axis], out_shape[axis]), count, every)
    if kernel is not None:
        return slabs, kernel
    driver = parallel.driver_address() if count > 1 else 0
    head = driver, count, *found, 0, 1, step, 0, out_step, 1, 0, 0, 0
    dimensions = count, shape[axis], out_shape[axis], 0
    steps = step, 0, out_step, strides[axis], out_strides[axis], 0, 0, 0, 0
    return slabs, np.array([*head, *dimensions, *steps], np.int64)


def _kernel(
    name: str, types: str, sizes: tuple[int, int], count: int, steps: tuple[int, int, int, int]
) -> LineKernel | LongKernel | None:
    """What transforms several lines at once, or long ones, where that is known and worth it."""
    from hybrid.kernels.lines import line_kernel
    from hybrid.kernels.long_lines import long_kernel

    dtype = np.dtype(types[1])
    kind = {"fft": "complex", "ifft": "complex", "irfft": "backward"}.get(name, "forward")
    size = sizes[0 if kind != "backward" else 1]
    if any(step % dtype.itemsize for step in steps):
        return None
    numbers = [step // dtype.itemsize for step in steps]
    given = kind, dtype.name, size, count, numbers, name == "ifft"
    return line_kernel(*given) or long_kernel(*given)


def _merged(
    shape: Strides, strides: Strides, out_strides: Strides, axes: list[int]
) -> tuple[int, int, int] | None:
    """Some axes as one: its size and the two strides; None if they do not follow evenly."""
    axes = [i for i in axes if shape[i] != 1]
    for i, j in pairwise(axes):
        if strides[i] != strides[j] * shape[j] or out_strides[i] != out_strides[j] * shape[j]:
            return None
    if not axes:
        return 1, 0, 0
    return prod(shape[i] for i in axes), strides[axes[-1]], out_strides[axes[-1]]
