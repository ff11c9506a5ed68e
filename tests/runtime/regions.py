"""Regions run with NumPy: kernels for tests that are about Plans, not about compiled code."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.kernels.region import Access, Instr, Literal, Region
from hybrid.runtime.load import LoadedKernel

FUNCTIONS: dict[str, Any] = {
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "select": np.where,
    "floor": np.floor,
}
REDUCE: dict[str, Any] = {
    "sum": np.add.reduce,
    "prod": np.multiply.reduce,
    "max": np.maximum.reduce,
    "min": np.minimum.reduce,
    "any": np.logical_or.reduce,
    "all": np.logical_and.reduce,
}


def numpy_kernel(region: Region) -> LoadedKernel:
    """Take the place of ``hybrid.runtime.load.load_kernel``."""
    return LoadedKernel(lambda parallel, geometry, *arrays: run_region(region, arrays), None)


def run_region(region: Region, arrays: tuple[Any, ...]) -> None:
    """Run a Region on arrays: one for each input, then one for each output."""
    count = len(region.inputs)
    values = [
        elements(a, access, region.space).copy()
        for a, access in zip(arrays[:count], region.inputs, strict=True)
    ]
    for instr in region.body:
        values.append(_compute(instr, region, values))
    for array, (value, access) in zip(arrays[count:], region.outputs, strict=True):
        target = elements(array, access, region.space)
        target[...] = np.broadcast_to(values[value], region.space)


def elements(array: Any, access: Access, space: tuple[int, ...]) -> Any:
    """An operand, as a view with the shape of the space."""
    assert array.dtype.name == access.dtype
    width = array.dtype.itemsize

    class Memory:
        __array_interface__ = {
            "version": 3,
            "shape": space,
            "typestr": array.dtype.str,
            "data": (array.ctypes.data + access.offset * width, False),
            "strides": tuple(s * width for s in access.strides),
        }

    return np.asarray(Memory())


def _compute(instr: Instr, region: Region, values: list[Any]) -> Any:
    args = [
        np.dtype(arg.dtype).type(arg.value) if isinstance(arg, Literal) else values[arg]
        for arg in instr.args
    ]
    with np.errstate(all="ignore"):
        if instr.kind == "cast":
            result = args[0].astype(instr.dtype)
        elif instr.kind == "reduce":
            full = np.broadcast_to(args[0], region.space)
            result = REDUCE[instr.expr](full, axis=region.axes, keepdims=True)
        else:
            names = {f"_{i}": arg for i, arg in enumerate(args)}
            text = instr.expr.replace("{", "_").replace("}", "")
            result = eval(text, {**FUNCTIONS, **names})
    return np.asarray(result, instr.dtype)
