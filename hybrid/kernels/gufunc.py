"""NumPy's inner loops, for loops in native code: what they compute there is NumPy's, bit for bit.

A generalised ufunc such as ``matmul`` holds a C function for each dtype, which releases no lock and
makes no Python objects. NumPy's C API says where they are (PyUFuncObject in ``ufuncobject.h``).
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from hybrid.core.layout import Layout

_KINDS = "biufc"  # loops of other dtypes may call Python


class _Head(ctypes.Structure):
    """The beginning of a PyUFuncObject."""

    _fields_ = (
        ("object", ctypes.c_byte * object.__basicsize__),
        ("nin", ctypes.c_int),
        ("nout", ctypes.c_int),
        ("nargs", ctypes.c_int),
        ("identity", ctypes.c_int),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("ntypes", ctypes.c_int),
        ("reserved", ctypes.c_int),
        ("name", ctypes.c_char_p),
    )


def inner_loop(ufunc: np.ufunc, dtype: np.dtype[np.generic]) -> tuple[int, int] | None:
    """Return the addresses of the loop for arrays all of `dtype`, and of the data it is given.

    None where NumPy has no such loop, or does not hold it as is known here.
    """
    types = f"{dtype.char * ufunc.nin}->{dtype.char * ufunc.nout}"
    return loop_of(ufunc, types) if dtype.kind in _KINDS and dtype.isnative else None


def loop_of(ufunc: np.ufunc, types: str) -> tuple[int, int] | None:
    """Return the same of the loop for `types`, which is one of ``ufunc.types``."""
    if types not in ufunc.types:
        return None
    head = _Head.from_address(id(ufunc))
    found = head.nin, head.nout, head.nargs, head.ntypes
    if found != (ufunc.nin, ufunc.nout, ufunc.nargs, ufunc.ntypes):
        return None
    if head.name != ufunc.__name__.encode():
        return None
    number = ufunc.types.index(types)
    function = head.functions[number]
    data = head.data[number] if head.data else None
    return None if function is None else (function, data or 0)


def matmul_numbers(
    one: Layout, other: Layout, out: Layout, itemsize: int
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return the dimensions and strides with which ``matmul``'s loop computes a product.

    None where more than one axis lies before those of the matrices.
    """
    layouts = one, other, out
    lead = max(len(one.shape), len(other.shape), 2) - 2
    if lead > 1:
        return None
    has_rows, has_columns = len(one.shape) > 1, len(other.shape) > 1
    axes = (has_rows, True), (True, has_columns), (has_rows, has_columns)
    outer, inner = [], []
    for layout, present in zip(layouts, axes, strict=True):
        # As in NumPy the stride of an axis of size 1, or of one that is missing, is 0.
        axis = len(layout.shape) - sum(present)
        outer.append(_stride(layout, 0) * itemsize if axis else 0)
        for there in present:
            inner.append(_stride(layout, axis) * itemsize if there else 0)
            axis += there
    rows = one.shape[-2] if has_rows else 1
    columns = other.shape[-1] if has_columns else 1
    return (out.shape[0] if lead else 1, rows, one.shape[-1], columns), (*outer, *inner)


def matrix_numbers(
    layouts: Sequence[Layout], itemsize: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the dimensions and strides for a loop of linear algebra over one example.

    Parameters
    ----------
    layouts : sequence of Layout
        Of its arguments and its result; the first is a square matrix, as its signature begins.
    itemsize : int
    """
    rows, result = layouts[0].shape[0], layouts[-1].shape
    square = len(layouts) == 2 or len(result) == 1
    dimensions = (1, rows) if square else (1, rows, result[1])
    strides = (stride * itemsize for layout in layouts for stride in layout.strides)
    return dimensions, (*(0 for _ in layouts), *strides)


def _stride(layout: Layout, axis: int) -> int:
    return 0 if layout.shape[axis] == 1 else layout.strides[axis]
