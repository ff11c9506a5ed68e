"""Whether arrays are equal, or nearly so; what kind of numbers they hold."""

from __future__ import annotations

from hybrid import dtypes
from hybrid.core.making import asarray
from hybrid.core.spec import fits
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.ops._methods import attach
from hybrid.ops.copying import laid
from hybrid.ops.creation import zeros
from hybrid.ops.elementwise import abs, imag, isfinite, isinf, isnan, signbit
from hybrid.ops.elementwise.operands import together
from hybrid.ops.reduction import all, any


def isclose(
    a: ArrayLike, b: ArrayLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Tell for each element whether ``abs(a - b) <= atol + rtol * abs(b)``.

    Infinities are close to themselves, and NaN to nothing but, if `equal_nan` is set, NaN.

    Parameters
    ----------
    a, b : array-like
        Of shapes that broadcast.
    rtol, atol : float
    equal_nan : bool

    Returns
    -------
    Tensor
        Of booleans.

    Examples
    --------
    >>> isclose([1.0, 2.0], [1.0 + 1e-7, 2.1])
    Tensor([ True, False], dtype=bool)
    """
    x, y = _number(a), _number(b)
    near = (abs(x - y) <= atol + rtol * abs(y)) & isfinite(y) | (x == y)
    return near | isnan(x) & isnan(y) if equal_nan else near


def _number(x: ArrayLike) -> Tensor:
    x = asarray(x)
    return x.astype(dtypes.float64) if x.dtype.kind in "biu" else x


def allclose(
    a: ArrayLike, b: ArrayLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Tell whether all elements are close; see :func:`isclose`. In a trace this is a guard.

    Parameters
    ----------
    a, b : array-like
        Of shapes that broadcast.
    rtol, atol : float
        ``abs(a - b) <= atol + rtol * abs(b)`` is close.
    equal_nan : bool
        NaN equals NaN.

    Returns
    -------
    bool

    Examples
    --------
    >>> allclose([1.0, 2.0], [1.0, 2.0 + 1e-7])
    True
    """
    return bool(all(isclose(a, b, rtol, atol, equal_nan)))


def array_equal(a1: ArrayLike, a2: ArrayLike, equal_nan: bool = False) -> bool:
    """Tell whether shapes and elements are equal. In a trace this is a guard.

    Parameters
    ----------
    a1, a2 : array-like
    equal_nan : bool
        NaN equals NaN.

    Returns
    -------
    bool

    Examples
    --------
    >>> array_equal([1, 2], [1, 2]), array_equal([1, 2], [[1, 2]])
    (True, False)
    """
    x, y = together(a1, a2)
    if x.shape != y.shape:
        return False
    equal = x == y
    return bool(all(equal | isnan(x) & isnan(y) if equal_nan else equal))


def array_equiv(a1: ArrayLike, a2: ArrayLike) -> bool:
    """Tell whether the arrays, broadcast to each other, are equal. In a trace this is a guard.

    Parameters
    ----------
    a1, a2 : array-like

    Returns
    -------
    bool

    Examples
    --------
    >>> array_equiv([1, 1], 1)
    True
    """
    x, y = together(a1, a2)
    if not (fits(x.shape, y.shape) or fits(y.shape, x.shape)):
        return False
    return bool(all(x == y))


def contains(x: Tensor, value: object) -> bool:
    """Tell whether an element is equal to `value`: ``value in x``. In a trace this is a guard."""
    return bool(any(asarray(x == value)))


attach(__contains__=contains)


def isneginf(x: ArrayLike, /) -> Tensor:
    """Tell for each element whether it is the negative infinity.

    Parameters
    ----------
    x : array-like

    Returns
    -------
    Tensor of bool

    Examples
    --------
    >>> import math
    >>> isneginf([-math.inf, 1.0])
    Tensor([ True, False], dtype=bool)
    """
    x = asarray(x)
    return isinf(x) & signbit(x)


def isposinf(x: ArrayLike, /) -> Tensor:
    """Tell for each element whether it is the positive infinity.

    Parameters
    ----------
    x : array-like

    Returns
    -------
    Tensor of bool

    Examples
    --------
    >>> import math
    >>> isposinf([math.inf, 1.0])
    Tensor([ True, False], dtype=bool)
    """
    x = asarray(x)
    return isinf(x) & ~signbit(x)


def iscomplex(x: ArrayLike, /) -> Tensor:
    """Tell for each element whether its imaginary part is not 0.

    Parameters
    ----------
    x : array-like

    Returns
    -------
    Tensor of bool

    Examples
    --------
    >>> iscomplex([1 + 1j, 2.0])
    Tensor([ True, False], dtype=bool)
    """
    x = asarray(x)
    if x.dtype.kind == "c":
        return imag(x) != 0
    return zeros(x.shape, dtypes.bool_, device=x.device)


def isreal(x: ArrayLike, /) -> Tensor:
    """Tell for each element whether its imaginary part is 0.

    Parameters
    ----------
    x : array-like

    Returns
    -------
    Tensor of bool

    Examples
    --------
    >>> isreal([1 + 1j, 2.0])
    Tensor([False,  True], dtype=bool)
    """
    x = asarray(x)
    found = imag(x) == 0
    return found if x.dtype.kind == "c" else laid(found, x, "A")
