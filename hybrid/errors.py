"""The exceptions and warnings a user can meet.

Each derives from the type that a NumPy user expects, so that existing ``except`` clauses keep
working, and from :class:`HybridError`. Messages say what was asked, what was found, where in the
user's code, and what to do.
"""

from __future__ import annotations

import numpy as np

__all__ = [
    "ArrayTypeWarning",
    "AssertionFailed",
    "AxisError",
    "CacheWarning",
    "DTypeError",
    "DeviceError",
    "EagerFallbackWarning",
    "GradientError",
    "GradientWarning",
    "GraphError",
    "HybridError",
    "HybridWarning",
    "IndexingError",
    "LeakedTensorError",
    "LinAlgError",
    "OutOfMemoryError",
    "RetraceWarning",
    "ShapeError",
    "SideEffectWarning",
    "TraceError",
]


class HybridError(Exception):
    """Anything that hybrid raises on purpose."""


class ShapeError(HybridError, ValueError):
    """Shapes that do not fit the operation."""


class DTypeError(HybridError, TypeError):
    """A dtype that the operation or the library does not support."""


class AxisError(HybridError, ValueError, IndexError):
    """An axis that the array does not have."""


class IndexingError(HybridError, IndexError):
    """An index that does not fit the array."""


class LinAlgError(HybridError, np.linalg.LinAlgError):
    """A matrix that the operation cannot take: not square, singular, not positive definite."""


class TraceError(HybridError, RuntimeError):
    """Code that cannot be traced, where the caller asked for a graph or nothing."""


class LeakedTensorError(HybridError, RuntimeError):
    """A traced Tensor that was used after its trace had ended."""


class GradientError(HybridError, ValueError):
    """A gradient that does not exist or can no longer be computed."""


class DeviceError(HybridError, RuntimeError, ValueError):
    """A device that is not there, cannot do what was asked, or is not the one it should be."""


class OutOfMemoryError(DeviceError, MemoryError):
    """The memory of a GPU does not suffice; the message says how many bytes were needed."""


class AssertionFailed(HybridError, AssertionError):
    """A condition given to ``hb.assert_`` that does not hold."""


class GraphError(HybridError, RuntimeError):
    """A FuncGraph that breaks its own rules: a mistake in a pass, not in the user's code."""


class HybridWarning(UserWarning):
    """Anything that hybrid warns about."""


class CacheWarning(HybridWarning):
    """The kernel cache cannot be used as asked; results are not affected."""


class RetraceWarning(HybridWarning):
    """A function is traced again and again; its speed suffers, its results do not."""


class EagerFallbackWarning(HybridWarning):
    """A compiled function runs eagerly because its code cannot be traced further."""


class SideEffectWarning(HybridWarning):
    """A compiled function changes a container outside while it is traced; replays do not."""


class ArrayTypeWarning(HybridWarning):
    """A branch asks whether a computed array is an ndarray: compiled, it is a Tensor."""


class GradientWarning(HybridWarning):
    """Numbers of a watched Tensor go where no tape follows; a gradient lacks what comes of them."""


def __dir__() -> list[str]:
    return __all__
