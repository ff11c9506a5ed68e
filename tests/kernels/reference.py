"""Regions run by NumPy, and small ways to write regions down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid.core.layout import Layout
from hybrid.kernels.kernel import Kernel, kernel_of
from hybrid.kernels.region import Access, Instr, Literal, Region, unsupported

Array = np.ndarray[Any, Any]


def layout_of(x: Array) -> Layout:
    """Return how an array lies in memory that begins with its first element."""
    return Layout(x.shape, tuple(step // x.itemsize for step in x.strides))


_FUNCTIONS: dict[str, Any] = {
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "maximum": np.maximum,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "select": np.where,
    "floor_divide": np.floor_divide,
    "not_": np.logical_not,
}
_REDUCTIONS: dict[str, Any] = {
    "sum": np.sum,
    "prod": np.prod,
    "max": np.max,
    "min": np.min,
    "any": np.any,
    "all": np.all,
}


_SCANS: dict[str, Any] = {
    "sum": np.add,
    "prod": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
}


def scan(kind: str, arg: int, dtype: str) -> Instr:
    return Instr("scan", kind, kind, (arg,), dtype)


def reduce(kind: str, arg: int, dtype: str) -> Instr:
    return Instr("reduce", kind, kind, (arg,), dtype)


def mapped(op: str, expr: str, args: tuple[int | Literal, ...], dtype: str) -> Instr:
    return Instr("map", op, expr, args, dtype)


def softmax(dtype: str) -> tuple[Instr, ...]:
    return (
        reduce("max", 0, dtype),
        mapped("subtract", "{0} - {1}", (0, 1), dtype),
        mapped("exp", "exp({0})", (2,), dtype),
        reduce("sum", 3, dtype),
        mapped("divide", "{0} / {1}", (3, 4), dtype),
    )


def layer_norm(dtype: str, count: int) -> tuple[Instr, ...]:
    n = Literal(float(count), dtype)
    return (
        reduce("sum", 0, dtype),
        mapped("divide", "{0} / {1}", (1, n), dtype),
        mapped("subtract", "{0} - {1}", (0, 2), dtype),
        mapped("square", "{0} * {0}", (3,), dtype),
        reduce("sum", 4, dtype),
        mapped("rsqrt", "rsqrt({0} / {1} + 0.001)", (5, n), dtype),
        mapped("multiply", "{0} * {1}", (3, 6), dtype),
    )


class Memory:
    """Exposes a stretch of an array's memory with other strides, whatever its own shape."""

    def __init__(self, array: Array, access: Access, space: tuple[int, ...]) -> None:
        self.keep = array
        width = array.itemsize
        self.__array_interface__ = {
            "version": 3,
            "typestr": array.dtype.str,
            "shape": space,
            "strides": tuple(stride * width for stride in access.strides),
            "data": (array.ctypes.data + access.offset * width, False),
        }


def access_of(view: Array, base: Array, space: tuple[int, ...]) -> Access:
    """How ``view``, broadcast to ``space``, lies in the memory of ``base``."""
    wide = np.broadcast_to(view, space)
    start = view.ctypes.data - base.ctypes.data if view.size else 0
    strides = tuple(stride // base.itemsize for stride in wide.strides)
    return Access(base.dtype.name, base.ndim, start // base.itemsize, strides)


def result_of(
    space: tuple[int, ...], axes: tuple[int, ...], dtype: str, reduced: bool
) -> tuple[Array, Access]:
    """A new array for an output, and how the kernel is to see it."""
    shape = tuple(1 if reduced and i in axes else n for i, n in enumerate(space))
    array = np.full(shape, 77, dtype)
    access = (
        access_of(array, array, space)
        if array.size
        else Access(dtype, array.ndim, 0, tuple(0 for _ in space))
    )
    return array, access


def evaluate(region: Region, arrays: Sequence[Array]) -> list[Array]:
    """What the outputs of a region should be; float reductions in float64."""
    values: list[Any] = [
        np.asarray(Memory(array, access, region.space))
        for array, access in zip(arrays, region.inputs, strict=False)
    ]
    for instr in region.body:
        args = [
            values[arg] if isinstance(arg, int) else np.dtype(arg.dtype).type(arg.value)
            for arg in instr.args
        ]
        with np.errstate(all="ignore"):
            values.append(np.asarray(_instruction(instr, args, region)).astype(instr.dtype))
    wanted = []
    for value, access in region.outputs:
        # A value of the kept axes is stored once for each of their points.
        once = tuple(
            slice(0, 1) if axis in region.axes and access.strides[axis] == 0 else slice(None)
            for axis in range(len(region.space))
        )
        wanted.append(np.broadcast_to(values[value], _kept(values[value], region))[once])
    return [
        array.astype(access.dtype)
        for array, (_, access) in zip(wanted, region.outputs, strict=True)
    ]


def _kept(value: Array, region: Region) -> tuple[int, ...]:
    """The region's space, with 1 on the axes that the value was reduced over."""
    return tuple(
        1 if axis in region.axes and value.shape[axis] == 1 else size
        for axis, size in enumerate(region.space)
    )


def _instruction(instr: Instr, args: list[Any], region: Region) -> Any:
    if instr.kind == "cast":
        return args[0].astype(instr.dtype)
    if instr.kind == "map":
        expr = instr.expr
        names = dict(_FUNCTIONS)
        for index, arg in enumerate(args):
            expr = expr.replace(f"{{{index}}}", f"_{index}")
            names[f"_{index}"] = arg
        return eval(expr, names)
    wide = np.broadcast_to(args[0], region.space)
    if instr.kind == "scan":
        return _SCANS[instr.expr].accumulate(wide, axis=region.axes[0], dtype=instr.dtype)
    options: dict[str, Any] = {"axis": region.axes, "keepdims": True}
    dtype = np.dtype(instr.dtype)
    if instr.expr in ("sum", "prod"):
        options["dtype"] = np.float64 if dtype.kind == "f" else dtype
    elif instr.expr in ("max", "min"):
        lowest, highest = (
            (-np.inf, np.inf) if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        )
        options["initial"] = lowest if instr.expr == "max" else highest
    return _REDUCTIONS[instr.expr](wide, **options)


def make_region(
    space: tuple[int, ...],
    axes: tuple[int, ...],
    views: Sequence[tuple[Array, Array]],
    body: Sequence[Instr],
    outputs: Sequence[tuple[int, str, bool]],
) -> tuple[Region, list[Array]]:
    """A region over (view, base) pairs; outputs are (value, dtype, reduced)."""
    made = [result_of(space, axes, dtype, reduced) for _, dtype, reduced in outputs]
    inputs = tuple(access_of(view, base, space) for view, base in views)
    stored = tuple(
        (value, access) for (value, _, _), (_, access) in zip(outputs, made, strict=True)
    )
    return Region(space, axes, inputs, tuple(body), stored), [array for array, _ in made]


def check(
    space: tuple[int, ...],
    axes: tuple[int, ...],
    inputs: Sequence[Array],
    body: Sequence[Instr],
    outputs: Sequence[tuple[int, str, bool]],
    rtol: float = 0.0,
    par: int = 0,
    bases: Sequence[Array] | None = None,
) -> tuple[Kernel, list[Array]]:
    """Run a region and compare each output with NumPy."""
    bases = inputs if bases is None else bases
    region, results = make_region(space, axes, list(zip(inputs, bases, strict=True)), body, outputs)
    assert unsupported(region) == ""
    kernel, geometry = kernel_of(region)
    kernel.call(par, geometry, *bases, *results)
    # Around zero the error of a sum is relative to what was added up.
    atol = rtol * max(10.0, 2 * np.prod([space[axis] for axis in axes]) ** 0.5)
    for got, want in zip(results, evaluate(region, bases), strict=True):
        np.testing.assert_allclose(got.reshape(want.shape), want, rtol=rtol, atol=atol)
    return kernel, results
