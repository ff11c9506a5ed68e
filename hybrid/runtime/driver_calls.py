"""What a driver calls besides kernels and library functions."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

import numpy as np

from hybrid.core.formula import Input
from hybrid.core.graph import Node
from hybrid.core.layout import Layout
from hybrid.core.op import too_large
from hybrid.core.substitute import substitute
from hybrid.dtypes import DType
from hybrid.errors import GraphError, HybridError
from hybrid.runtime.memory import ALIGNMENT
from hybrid.runtime.steps import describe
from hybrid.runtime.workspaces import SharedPools

Array = np.ndarray[Any, np.dtype[Any]]


def new_workspace(nbytes: int, views: list[tuple[int, Layout, DType]]) -> tuple[Array, ...]:
    """Allocate an arena and the arrays in it; each keeps the arena alive.

    Parameters
    ----------
    nbytes : int
    views : list of (byte offset, Layout, dtype)
    """
    return arrays_in(np.empty(nbytes + ALIGNMENT, np.uint8), views)


def arrays_in(raw: Array, views: list[tuple[int, Layout, DType]]) -> tuple[Array, ...]:
    """Return the arrays of a workspace in some memory; the first of its bytes are for alignment."""
    shift = -raw.ctypes.data % ALIGNMENT
    return tuple(
        np.ndarray(
            layout.shape,
            dtype,
            raw,
            shift + at + layout.offset * dtype.itemsize,
            tuple(stride * dtype.itemsize for stride in layout.strides),
        )
        for at, layout, dtype in views
    )


class Borrowed:
    """Stands for the pool of a driver during a single call: its workspace lies in shared memory.

    Parameters
    ----------
    pools : SharedPools
    nbytes : int
    views : list of (byte offset, Layout, dtype)
    """

    __slots__ = ("_home", "_nbytes", "_pools", "_raw", "_views")

    def __init__(
        self, pools: SharedPools, nbytes: int, views: list[tuple[int, Layout, DType]]
    ) -> None:
        self._pools = pools
        self._nbytes = nbytes
        self._views = views

    def pop(self) -> tuple[Array, ...]:
        """Take the workspace."""
        self._raw, self._home = self._pools.take(self._nbytes + ALIGNMENT)
        return arrays_in(self._raw, self._views)

    def append(self, workspace: tuple[Array, ...]) -> None:
        """Give it back."""
        self._home.append((self._raw,))


def adopt_result(
    result: Any, shape: tuple[int, ...], dtype: DType, order: Any, *sources: Array
) -> Array:
    """Check what a library function returned; copy it if it lies in `sources` or is read-only."""
    array = np.asarray(result, dtype, order=order)
    if array.shape != shape:
        raise GraphError(f"a result of shape {shape} was promised, this one has {array.shape}")
    if array.base is None:
        # An array with memory of its own is at most one of the arguments itself.
        for source in sources:
            if source is array:
                return array.copy()
        return array
    if not array.flags.writeable or any(np.may_share_memory(array, s) for s in sources):
        return array.copy()
    return array


class Explanation:
    """Says which of the user's lines an error in a driver comes from."""

    def __init__(self, filename: str, nodes: Mapping[int, Node], inputs: tuple[Input, ...]) -> None:
        self.filename = filename
        self.nodes = nodes
        self.inputs = inputs

    def __call__(self, error: Exception, *values: int) -> Exception:
        """Return the error to raise, for these sizes: `error` with the user's line."""
        node = self.nodes.get(self._line(error.__traceback__))
        if node is None or node.line is None:
            return error
        where = node.line.describe()
        if isinstance(error, ValueError | MemoryError):
            sizes = dict(zip(self.inputs, values, strict=True))
            specs = [substitute(v.spec, sizes) for v in node.outputs]
            error = too_large(node.op, specs) or error
        if isinstance(error, HybridError):
            if "\n  at " in str(error):
                return error
            return type(error)(f"{error}\n  at {where}").with_traceback(error.__traceback__)
        name = describe(node)
        prefix = "" if node.op.name == "fused" else "hb."
        error.add_note(f"in {prefix}{name} at {where}")
        return error

    def _line(self, trace: TracebackType | None) -> int:
        """Return the line of the driver itself, the innermost if it called itself."""
        found = -1
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == self.filename:
                found = trace.tb_lineno
            trace = trace.tb_next
        return found
