"""The methods of quantiles: where one lies among sorted elements, and what between two counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hybrid import dtypes
from hybrid.records import dataclass


@dataclass(frozen=True, slots=True)
class Method:
    """Where a quantile lies among `n` sorted elements.

    Parameters
    ----------
    place : callable
        ``place(xp, n, q)`` gives the place as a floating-point number, the first element at 0.
    weight : callable
        ``weight(xp, fraction)`` says how much the upper neighbour of a place counts.
    slope : callable
        ``slope(n)`` is the derivative of the place by `q` as far as the weight follows it.
    exact : bool
        The result is one of the elements.
    """

    place: Callable[[Any, Any, Any], Any]
    weight: Callable[[Any, Any], Any] = lambda xp, fraction: fraction
    slope: Callable[[Any], Any] = lambda n: n * 0.0
    exact: bool = False


def _continuous(alpha: float, beta: float) -> Method:
    return Method(
        lambda xp, n, q: n * q + (alpha + q * (1 - alpha - beta)) - 1,
        slope=lambda n: n + (1 - alpha - beta),
    )


def _exact(place: Callable[[Any, Any, Any], Any]) -> Method:
    return Method(place, exact=True)


def _closest(xp: Any, n: Any, q: Any) -> Any:
    place = n * q - 1.5
    low = xp.floor(place)
    return xp.where((place == low) & (low % 2 == 1), low, low + 1)


# The names and formulas of numpy.quantile: Hyndman and Fan, "Sample Quantiles in Statistical
# Packages" (1996), and four more.
METHODS: dict[str, Method] = {
    "linear": Method(lambda xp, n, q: (n - 1) * q, slope=lambda n: n - 1.0),
    "inverted_cdf": _exact(lambda xp, n, q: xp.ceil(n * q - 1)),
    "averaged_inverted_cdf": Method(
        lambda xp, n, q: n * q - 1, lambda xp, fraction: xp.where(fraction == 0, 0.5, 1.0)
    ),
    "closest_observation": _exact(_closest),
    "interpolated_inverted_cdf": _continuous(0, 1),
    "hazen": _continuous(0.5, 0.5),
    "weibull": _continuous(0, 0),
    "median_unbiased": _continuous(1 / 3, 1 / 3),
    "normal_unbiased": _continuous(3 / 8, 3 / 8),
    "lower": _exact(lambda xp, n, q: xp.floor((n - 1) * q)),
    "higher": _exact(lambda xp, n, q: xp.ceil((n - 1) * q)),
    "nearest": _exact(lambda xp, n, q: xp.rint((n - 1) * q)),
    "midpoint": Method(
        lambda xp, n, q: (n - 1) * q, lambda xp, fraction: xp.where(fraction == 0, 0.0, 0.5)
    ),
}


def neighbours(xp: Any, method: str, n: Any, q: Any) -> tuple[Any, Any, Any]:
    """Return the indices of the neighbours of the place of `q`, and the weight of the upper one."""
    rule = METHODS[method]
    place = rule.place(xp, n, q)
    low = xp.floor(place)
    top = xp.maximum(n - 1, 0)
    weight = rule.weight(xp, place - low)
    lower = xp.minimum(xp.maximum(low, 0), top)
    upper = lower if rule.exact else xp.minimum(xp.maximum(low + 1, 0), top)
    return lower.astype(dtypes.int64), upper.astype(dtypes.int64), weight
