"""Let einops take Tensors: ``einops.rearrange(x, "b h w -> b (h w)")``, eager and traced.

einops finds the libraries that it works with among the subclasses of its AbstractBackend. It is
small and imports none of them, so that it is imported here where it is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from einops._backends import AbstractBackend

from hybrid import dtypes
from hybrid.core.making import asarray
from hybrid.core.tensor import Array, Tensor
from hybrid.core.variable import Variable
from hybrid.ops.joining import concat, stack
from hybrid.ops.rearranging import tile
from hybrid.ops.unit_axes import expand_dims


class HybridBackend(AbstractBackend):
    """What einops does with Tensors; what is not here it does with their methods."""

    framework_name = "hybrid"

    def is_appropriate_type(self, tensor: Any) -> bool:
        """Tell whether einops should come here."""
        return isinstance(tensor, Tensor | Variable)

    def from_numpy(self, x: Array) -> Tensor:
        """Return a Tensor."""
        return asarray(x)

    def to_numpy(self, x: Tensor) -> Array:
        """Return an ndarray."""
        return x.numpy()

    def arange(self, start: int, stop: int) -> Tensor:
        """Return a range."""
        return asarray(np.arange(start, stop))

    def stack_on_zeroth_dimension(self, tensors: Sequence[Tensor]) -> Tensor:
        """Join along a new first axis."""
        return stack(tensors)

    def tile(self, x: Tensor, repeats: tuple[int, ...]) -> Tensor:
        """Repeat the whole array."""
        return tile(x, repeats)

    def concat(self, tensors: Sequence[Tensor], axis: int) -> Tensor:
        """Join along an axis."""
        return concat(tensors, axis=axis)

    def add_axis(self, x: Tensor, new_position: int) -> Tensor:
        """Put an axis of size 1."""
        return expand_dims(x, axis=new_position)

    def is_float_type(self, x: Tensor) -> bool:
        """Tell whether a mean makes sense."""
        return dtypes.is_float(x.dtype)

    def einsum(self, pattern: str, *x: Tensor) -> Tensor:
        """Contract."""
        from hybrid.ops.linalg.contraction import einsum

        return einsum(pattern, *x)
