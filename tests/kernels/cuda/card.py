"""Runs regions on a real card, or on a driver that records what it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid.kernels.cuda import launch, toolchain
from hybrid.kernels.cuda.kernel import Prepared, prepare
from hybrid.kernels.region import Region

Array = np.ndarray[Any, Any]


def run(context: launch.Context, region: Region, arrays: Sequence[Array]) -> Prepared:
    """Run a region on copies of its operands; outputs are last, and are copied back."""
    prepared = prepare(region)
    addresses = {id(array): launch.allocate(context, array.nbytes) for array in arrays}
    temporaries = [
        launch.allocate(context, count * np.dtype(dtype).itemsize)
        for dtype, count in prepared.temporaries
    ]
    code = toolchain.binary(prepared.source, context.architecture).cubin
    functions = launch.load(context, code, prepared.source.phases)
    for array in arrays:
        launch.upload(context, addresses[id(array)], array.ctypes.data, array.nbytes)
    pointers = [addresses[id(array)] for array in arrays]
    sizes = [array.itemsize for array in arrays]
    launch.run(context, launch.steps(prepared, functions, pointers, sizes, temporaries))
    for array in arrays[len(region.inputs) :]:
        launch.download(context, array.ctypes.data, addresses[id(array)], array.nbytes)
    for address in (*addresses.values(), *temporaries):
        launch.release(context, address)
    return prepared
