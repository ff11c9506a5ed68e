"""Scalars: numbers by themselves, which ``x += 1`` rebinds, as NumPy's do; arrays are written.

What NumPy computes without axes (``x.sum()``, ``x[0]``, their sums) is a scalar: no name for it
sees what is added to another. Only where somebody has asked for an array without axes, by
``zeros(())`` or ``asarray(1.0)``, or handed one over, is there memory that ``+=`` writes, and every
alias sees it. A Tensor without axes is a scalar unless its Storage says otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_MISSING = object()


def is_scalar(x: Any) -> bool:
    """Tell whether an array-like without axes is a number by itself, and no array."""
    link = getattr(x, "_link", _MISSING)
    if link is _MISSING:
        return isinstance(x, np.generic)
    if x.ndim:
        return False
    storage = link[0] if type(link) is tuple else getattr(link, "storage", None)
    return storage is None or not (storage.is_array or storage.base.ndim)
