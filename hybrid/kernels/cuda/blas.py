"""cuBLAS by ctypes: the one function that multiplies batches of matrices into given memory.

CuPy would multiply too, but refuses to be captured while it does, and allocates the result itself.
"""

from __future__ import annotations

import ctypes
from typing import Any

from hybrid.core import precision
from hybrid.errors import DeviceError
from hybrid.kernels.cuda.products import Gemm

# From cuBLAS's headers: cudaDataType, cublasComputeType_t, cublasOperation_t.
_TYPES = {
    "float32": 0,
    "float64": 1,
    "float16": 2,
    "complex64": 4,
    "complex128": 5,
    "bfloat16": 14,
}
_COMPUTE_32F, _COMPUTE_64F, _COMPUTE_32F_FAST_TF32 = 68, 70, 77
_AS_IT_IS, _TRANSPOSED = 0, 1
_DEFAULT_ALGORITHM = -1
# What NVIDIA advises for Hopper. cuBLAS's own would be allocated while a graph is captured.
WORKSPACE = 32 << 20


def library() -> Any:
    """Load cuBLAS, where it is installed.

    Raises
    ------
    DeviceError
        Where it is not.
    """
    from cuda import pathfinder

    try:
        found = pathfinder.load_nvidia_dynamic_lib("cublas")
    except pathfinder.DynamicLibNotFoundError as error:
        raise DeviceError(
            "matrix products on NVIDIA GPUs need nvidia-cublas, which is not installed: "
            "pip install 'hybrid[cuda]'"
        ) from error
    return ctypes.CDLL(found.abs_path)


class Blas:
    """A handle of cuBLAS that works on one stream.

    Parameters
    ----------
    stream : int
        The driver's handle.
    workspace : int
        Address of ``WORKSPACE`` bytes on the card, kept by the caller.
    cublas : optional
        The library; found where left out.
    """

    def __init__(self, stream: int, workspace: int, cublas: Any = None) -> None:
        self._cublas = library() if cublas is None else cublas
        self._handle = ctypes.c_void_p(0)
        self._check("create", self._cublas.cublasCreate_v2(ctypes.byref(self._handle)))
        set_stream = self._cublas.cublasSetStream_v2(self._handle, ctypes.c_void_p(stream))
        self._check("set the stream", set_stream)
        # After the stream: setting that resets the workspace.
        memory = ctypes.c_void_p(workspace), ctypes.c_size_t(WORKSPACE)
        set_workspace = self._cublas.cublasSetWorkspace_v2(self._handle, *memory)
        self._check("set the workspace", set_workspace)
        # alpha and beta; a real one begins as the complex one does.
        self._one = {name: _number(name, 1.0) for name in _TYPES}
        self._zero = {name: _number(name, 0.0) for name in _TYPES}

    def multiply(self, gemm: Gemm, first: int, second: int, out: int) -> None:
        """Multiply the matrices at three addresses of the card."""
        dtype = gemm.dtype
        kind = ctypes.c_int(_TYPES[dtype])
        operations = (
            ctypes.c_int(_TRANSPOSED if side.transposed else _AS_IT_IS)
            for side in (gemm.first, gemm.second)
        )
        sizes = (ctypes.c_int(n) for n in (gemm.m, gemm.n, gemm.k))
        sides = zip((first, second, out), (gemm.first, gemm.second, gemm.out), strict=True)
        operands = [
            (
                ctypes.c_void_p(address),
                kind,
                ctypes.c_int(side.leading),
                ctypes.c_longlong(side.step),
            )
            for address, side in sides
        ]
        status = self._cublas.cublasGemmStridedBatchedEx(
            self._handle,
            *operations,
            *sizes,
            ctypes.byref(self._one[dtype]),
            *operands[0],
            *operands[1],
            ctypes.byref(self._zero[dtype]),
            *operands[2],
            ctypes.c_int(gemm.batch),
            ctypes.c_int(_compute(dtype)),
            ctypes.c_int(_DEFAULT_ALGORITHM),
        )
        self._check("multiply", status)

    def _check(self, what: str, status: int) -> None:
        if status:
            raise DeviceError(f"cuBLAS does not {what}: status {status}")


def _number(dtype: str, value: float) -> Any:
    """A number in the dtype that sums are kept in."""
    kind = ctypes.c_double if dtype in ("float64", "complex128") else ctypes.c_float
    return (kind * 2)(value, 0.0) if dtype.startswith("complex") else kind(value)


def _compute(dtype: str) -> int:
    """How sums are kept: never in 16 bits; float32 as operands are, unless TF32 was asked for."""
    if dtype in ("float64", "complex128"):
        return _COMPUTE_64F
    fast = dtype in ("float32", "complex64") and precision.current() == precision.TF32
    return _COMPUTE_32F_FAST_TF32 if fast else _COMPUTE_32F
