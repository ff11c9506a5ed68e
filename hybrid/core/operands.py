"""What ops take: Tensors, Variables, ndarrays, numbers of NumPy and of Python."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.core.making import asarray
from hybrid.core.number import in_graph
from hybrid.core.spec import TensorSpec, weak_scalar
from hybrid.core.tensor import Tensor

PYTHON_SCALARS = (bool, int, float, complex)


def spec_of(x: Any) -> TensorSpec:
    """Return the spec of anything that an op takes."""
    x = in_graph(x)
    if type(x) is Tensor:
        return x.spec
    if isinstance(x, PYTHON_SCALARS) and not isinstance(x, np.generic):
        return weak_scalar(x)
    if isinstance(x, np.ndarray | np.generic):
        return TensorSpec(x.shape, x.dtype)
    return asarray(x).spec
