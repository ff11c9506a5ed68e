"""The distance between two floating-point results, counted in representable numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.making import as_ndarray
from hybrid.core.tensor import Array
from hybrid.errors import DTypeError, ShapeError

_INTEGER = {2: np.int16, 4: np.int32, 8: np.int64}


def ulp_distance(a: Any, b: Any) -> Array:
    """Return how many representable numbers lie between `a` and `b`, element by element.

    Two NaNs are no distance apart, a NaN and a number are infinitely far apart, and so is an
    infinity from a number of the other sign only by way of all the numbers between. Complex numbers
    are as far apart as the farther of their parts; integers and bools by their difference.

    Parameters
    ----------
    a, b : array-like
        Of one shape and dtype.

    Returns
    -------
    ndarray of float64

    Examples
    --------
    >>> import numpy as np
    >>> one = np.float32([1.0, 1.0, np.nan])
    >>> ulp_distance(one, np.nextafter(one, np.float32([2.0, 1.0, 0.0])))
    array([1., 0., 0.])
    """
    x, y = as_ndarray(a, None), as_ndarray(b, None)
    if x.shape != y.shape:
        raise ShapeError(f"ulp_distance: the shapes {x.shape} and {y.shape} differ")
    if x.dtype != y.dtype:
        raise DTypeError(f"ulp_distance: the dtypes {x.dtype} and {y.dtype} differ")
    if x.dtype.kind == "c":
        real = ulp_distance(x.real, y.real)
        return np.asarray(np.maximum(real, ulp_distance(x.imag, y.imag)))
    if not dtypes.is_float(x.dtype):
        return _difference(x, y)
    distance = _difference(_ordered(x), _ordered(y))
    nan = np.isnan(x), np.isnan(y)
    distance = np.where(nan[0] & nan[1], 0.0, np.where(nan[0] ^ nan[1], np.inf, distance))
    return np.asarray(distance)


def max_ulp(a: Any, b: Any) -> float:
    """Return the largest distance of two arrays; 0 for empty ones.

    Parameters
    ----------
    a, b : array-like
        Of one shape and dtype.
    """
    distance = ulp_distance(a, b)
    return float(distance.max()) if distance.size else 0.0


def _ordered(x: Array) -> Array:
    """Map floats to integers so that neighbours are neighbours; both zeros are 0."""
    bits = np.ascontiguousarray(x).view(_INTEGER[x.dtype.itemsize]).reshape(x.shape)
    lowest = np.iinfo(bits.dtype).min
    with np.errstate(over="ignore"):
        return np.asarray(np.where(bits < 0, lowest - bits, bits))


def _difference(x: Array, y: Array) -> Array:
    """Subtract integers without overflow."""
    wide = np.uint64 if x.dtype.kind in "bu" else np.int64
    low, high = np.minimum(x, y).astype(wide), np.maximum(x, y).astype(wide)
    with np.errstate(over="ignore"):  # modulo 2**64 the difference of two int64 is right
        return np.asarray((high.view(np.uint64) - low.view(np.uint64)).astype(np.float64))
