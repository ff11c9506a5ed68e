"""Linear algebra: ``hb.linalg``, the extension of the Array API standard and more of NumPy's.

Products of any tensors (``einsum``, ``kron``, ...) are in the main namespace.
"""

from __future__ import annotations

from hybrid.errors import LinAlgError
from hybrid.ops.linalg.determinants import SlogdetResult, det, slogdet
from hybrid.ops.linalg.factors import QRResult, cholesky, qr
from hybrid.ops.linalg.leastsquares import LstsqResult, lstsq, matrix_rank, pinv
from hybrid.ops.linalg.matrices import (
    cross,
    diagonal,
    expm,
    matrix_power,
    multi_dot,
    outer,
    trace,
)
from hybrid.ops.linalg.norms import cond, matrix_norm, norm, vector_norm
from hybrid.ops.linalg.solving import inv, solve, solve_triangular
from hybrid.ops.linalg.spectral import EighResult, SVDResult, eigh, eigvalsh, svd, svdvals
from hybrid.ops.linalg.tensor_systems import tensorinv, tensorsolve
from hybrid.ops.permuting import matrix_transpose
from hybrid.ops.products import matmul, vecdot
from hybrid.ops.tensor_products import tensordot

__all__ = [
    "EighResult",
    "LinAlgError",
    "LstsqResult",
    "QRResult",
    "SVDResult",
    "SlogdetResult",
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "expm",
    "inv",
    "lstsq",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensordot",
    "tensorinv",
    "tensorsolve",
    "trace",
    "vecdot",
    "vector_norm",
]


def __dir__() -> list[str]:
    return __all__
