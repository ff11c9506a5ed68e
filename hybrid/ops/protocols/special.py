"""SciPy's special functions on Tensors: ``scipy.special.expit(x)`` is hybrid's ``sigmoid``.

They are ufuncs as NumPy's are, so that a Tensor answers for them in the same way. Those that are
listed are computed by hybrid's ops, traced, fused and with gradients; the others by SciPy, on the
concrete values. SciPy's module is not imported for it: whoever has its ufunc has done so.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from math import inf, nan, sqrt
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.making import asarray
from hybrid.core.tensor import Tensor
from hybrid.ops.elementwise import (
    abs,
    atanh,
    cbrt,
    digamma,
    erf,
    erfc,
    erfinv,
    exp2,
    expm1,
    isnan,
    lgamma,
    log,
    log1p,
    sigmoid,
    softplus,
    where,
)
from hybrid.ops.elementwise.operands import SCALARS
from hybrid.ops.protocols.by_numpy import by_numpy

Function = Callable[..., Any]


def of_scipy(ufunc: np.ufunc) -> Function | None:
    """Return what computes a ufunc of ``scipy.special``; None for other ufuncs."""
    if ufunc not in _FOUND:
        ours = _OURS.get(ufunc.__name__)
        theirs = getattr(sys.modules.get("scipy.special"), ufunc.__name__, None)
        if ours is None or theirs is not ufunc:
            return None
        _FOUND[ufunc] = _promoting(ufunc, ours)
    return _FOUND[ufunc]


_FOUND: dict[np.ufunc, Function] = {}


def _promoting(ufunc: np.ufunc, ours: Function) -> Function:
    """Compute in dtypes that SciPy has loops of: float32, float64, and its own for complex ones."""

    def function(*operands: Any) -> Any:
        found = tuple(x if type(x) in SCALARS else asarray(x) for x in operands)
        keys = [type(x) if type(x) in SCALARS else x.dtype for x in found]
        if not _LOOPS.issuperset(keys):
            loop = ufunc.resolve_dtypes((*keys, *(None,) * ufunc.nout))
            if loop[0] not in _LOOPS:
                return by_numpy(ufunc, operands, {})
            found = tuple(asarray(x, dtype=d) for x, d in zip(found, loop, strict=False))
        return ours(*found)

    return function


_LOOPS = frozenset((dtypes.float32, dtypes.float64, float))


def _logit(p: Any) -> Tensor:
    p = asarray(p)
    # Near 1/2 a quotient would leave nothing of the distance; elsewhere 2 p - 1 would.
    near = abs(p - 0.5) <= 0.25
    inner = 2.0 * atanh(2.0 * where(near, p, 0.5) - 1.0)
    outer = where(near, 0.25, p)
    return where(near, inner, log(outer / (1.0 - outer)))


def _xlogy(x: Any, y: Any) -> Any:
    x, y = asarray(x), asarray(y)
    # 0 times what is infinite or none; elsewhere the product has the gradient, of 0 as well.
    nothing = (x == 0) & ~isnan(y) & ~((y > 0) & (y < inf))
    return x * log(where(nothing, 1.0, y))


def _xlog1py(x: Any, y: Any) -> Any:
    x, y = asarray(x), asarray(y)
    nothing = (x == 0) & ~isnan(y) & ~((y > -1) & (y < inf))
    return x * log1p(where(nothing, 0.0, y))


def _entr(x: Any) -> Tensor:
    return where(x < 0, -inf, -_xlogy(x, where(x < 0, 1.0, x)))


def _rel_entr(x: Any, y: Any) -> Tensor:
    return _divergence(x, y, lambda x, y: x * _log_ratio(x, y), 0.0)


def _kl_div(x: Any, y: Any) -> Tensor:
    return _divergence(x, y, lambda x, y: x * _log_ratio(x, y) - x + y, y)


def _divergence(x: Any, y: Any, between: Function, at_zero: Any) -> Tensor:
    x, y = asarray(x), asarray(y)
    positive = (x > 0) & (y > 0)
    found = between(where(positive, x, 1.0), where(positive, y, 1.0))
    elsewhere = where(isnan(x) | isnan(y), nan, inf)
    return where(positive, found, where((x == 0) & (y >= 0), at_zero, elsewhere))


def _log_ratio(x: Tensor, y: Tensor) -> Tensor:
    ratio = x / y
    near = (ratio > 0.5) & (ratio < 2)
    least = float(np.finfo(ratio.dtype).tiny)
    fits = (ratio > least) & (ratio < inf)
    close = log1p(where(near, (x - y) / y, 0.0))
    return where(near, close, where(fits, log(where(fits, ratio, 1.0)), log(x) - log(y)))


_OURS: dict[str, Function] = {
    "cbrt": cbrt,
    "entr": _entr,
    "erf": erf,
    "erfc": erfc,
    "erfinv": erfinv,
    "exp10": lambda x: 10.0**x,
    "exp2": exp2,
    "expit": sigmoid,
    "expm1": expm1,
    "gammaln": lgamma,
    "kl_div": _kl_div,
    "log1p": log1p,
    "log_expit": lambda x: -softplus(-x),
    "logit": _logit,
    "ndtr": lambda x: 0.5 * erfc(-sqrt(0.5) * x),
    "psi": digamma,
    "rel_entr": _rel_entr,
    "xlog1py": _xlog1py,
    "xlogy": _xlogy,
}
