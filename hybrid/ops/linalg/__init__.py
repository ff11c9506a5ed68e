"""Linear algebra: products of matrices and tensors, and norms."""

from __future__ import annotations

from hybrid.ops.linalg.contraction import einsum
from hybrid.ops.linalg.norms import norm, vector_norm
from hybrid.ops.linalg.products import dot, matmul, outer, tensordot, vecdot

__all__ = [
    "dot",
    "einsum",
    "matmul",
    "norm",
    "outer",
    "tensordot",
    "vecdot",
    "vector_norm",
]
