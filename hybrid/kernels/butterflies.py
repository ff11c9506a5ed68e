"""The arithmetic of Fourier transforms: what each pass does with a few numbers of a line.

Numbers are anything with operators, such as vectors that hold a number of several lines each. The
steps and their order are those of FFTPACK (P. N. Swarztrauber, 1982) as SciPy and NumPy compute
them, so that the bits are theirs. Complex numbers are pairs; a backward transform is a forward one
whose real and imaginary parts have changed places, which changes no bit.

A pass over complex numbers makes `radix` results of as many operands; they are multiplied by roots
of unity, but the first, and but those of each group's first place. A pass over real numbers has
operands of three kinds: the first of a group and, where groups are even, the last, which are real,
and pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Pair = tuple[Any, Any]
Pairs = Sequence[Pair]

COMPLEX_RADICES = (8, 4, 2, 3, 5)
REAL_RADICES = (4, 2, 3, 5)

_ROOT_HALF = 0.707106781186547524400844362104849
_ROOT_2 = 1.414213562373095048801688724209698
_COS_3, _SIN_3 = -0.5, 0.8660254037844386467637231707529362
_COS_5 = 0.3090169943749474241022934171828191, -0.8090169943749474241022934171828191
_SIN_5 = 0.9510565162951535721164393333793821, 0.5877852522924731291687059546390728


def plus(a: Pair, b: Pair) -> Pair:
    """``a + b``."""
    return a[0] + b[0], a[1] + b[1]


def minus(a: Pair, b: Pair) -> Pair:
    """``a - b``."""
    return a[0] - b[0], a[1] - b[1]


def turned(a: Pair, w: Pair) -> Pair:
    """`a` times the conjugate of `w`."""
    return a[0] * w[0] + a[1] * w[1], a[1] * w[0] - a[0] * w[1]


def _quarter(a: Pair) -> Pair:
    """`a` times -i."""
    return a[1], -a[0]


def _eighth(a: Pair) -> Pair:
    return _ROOT_HALF * (a[0] + a[1]), _ROOT_HALF * (a[1] - a[0])


def _three_eighths(a: Pair) -> Pair:
    return _ROOT_HALF * (a[1] - a[0]), _ROOT_HALF * (-a[0] - a[1])


# --- complex numbers ------------------------------------------------------------------------------


def _by_2(x: Pairs) -> Pairs:
    return plus(x[0], x[1]), minus(x[0], x[1])


def _by_3(x: Pairs) -> Pairs:
    both, apart = plus(x[1], x[2]), minus(x[1], x[2])
    near = x[0][0] + both[0] * _COS_3, x[0][1] + both[1] * _COS_3
    far = -(apart[1] * -_SIN_3), apart[0] * -_SIN_3
    return plus(x[0], both), plus(near, far), minus(near, far)


def _by_4(x: Pairs) -> Pairs:
    even, odd = plus(x[0], x[2]), plus(x[1], x[3])
    a, b = minus(x[0], x[2]), _quarter(minus(x[1], x[3]))
    return plus(even, odd), plus(a, b), minus(even, odd), minus(a, b)


def _by_5(x: Pairs) -> Pairs:
    t1, t4 = plus(x[1], x[4]), minus(x[1], x[4])
    t2, t3 = plus(x[2], x[3]), minus(x[2], x[3])
    (c1, c2), (s1, s2) = _COS_5, (-_SIN_5[0], -_SIN_5[1])
    whole = tuple(x[0][p] + t1[p] + t2[p] for p in (0, 1))
    a = tuple(x[0][p] + c1 * t1[p] + c2 * t2[p] for p in (0, 1))
    b = -(s1 * t4[1] + s2 * t3[1]), s1 * t4[0] + s2 * t3[0]
    c = tuple(x[0][p] + c2 * t1[p] + c1 * t2[p] for p in (0, 1))
    d = -(s2 * t4[1] - s1 * t3[1]), s2 * t4[0] - s1 * t3[0]
    return whole, plus(a, b), plus(c, d), minus(c, d), minus(a, b)


def _by_8(x: Pairs) -> Pairs:
    a1, a5 = plus(x[1], x[5]), minus(x[1], x[5])
    a3, a7 = plus(x[3], x[7]), _quarter(minus(x[3], x[7]))
    a1, a3 = plus(a1, a3), _quarter(minus(a1, a3))
    a5, a7 = _eighth(plus(a5, a7)), _three_eighths(minus(a5, a7))
    a0, a4 = plus(x[0], x[4]), minus(x[0], x[4])
    a2, a6 = plus(x[2], x[6]), _quarter(minus(x[2], x[6]))
    a0, a2 = plus(a0, a2), minus(a0, a2)
    a4, a6 = plus(a4, a6), minus(a4, a6)
    first = plus(a0, a1), plus(a4, a5), plus(a2, a3), plus(a6, a7)
    return *first, minus(a0, a1), minus(a4, a5), minus(a2, a3), minus(a6, a7)


BY: dict[int, Callable[[Pairs], Pairs]] = {2: _by_2, 3: _by_3, 4: _by_4, 5: _by_5, 8: _by_8}
"""The results of a pass over complex numbers, before they are multiplied by roots of unity."""


# --- real numbers ---------------------------------------------------------------------------------
#
# Forward, the results of each are those of the line ``ch[place, number]``: of the first operands at
# place 0 of even numbers and at the last of odd ones, of the last operands the other way round. Of
# pairs, even numbers are at the place of the operands and odd ones as far from the end.

Reals = Sequence[Any]


def _first_2(x: Reals) -> Reals:
    return x[0] + x[1], x[0] - x[1]


def _last_2(x: Reals) -> Reals:
    return x[0], -x[1]


def _pairs_2(x: Pairs) -> Pairs:
    a, b = x
    return (a[0] + b[0], b[1] + a[1]), (a[0] - b[0], b[1] - a[1])


def _first_3(x: Reals) -> Reals:
    both = x[1] + x[2]
    return x[0] + both, x[0] + _COS_3 * both, _SIN_3 * (x[2] - x[1])


def _pairs_3(x: Pairs) -> Pairs:
    a, d2, d3 = x
    c = d2[0] + d3[0], d2[1] + d3[1]
    t2 = a[0] + _COS_3 * c[0], a[1] + _COS_3 * c[1]
    t3 = _SIN_3 * (d2[1] - d3[1]), _SIN_3 * (d3[0] - d2[0])
    return (
        (a[0] + c[0], a[1] + c[1]),
        (t2[0] - t3[0], t3[1] - t2[1]),
        (t2[0] + t3[0], t3[1] + t2[1]),
    )


def _first_4(x: Reals) -> Reals:
    odd, even = x[3] + x[1], x[0] + x[2]
    return even + odd, x[0] - x[2], x[3] - x[1], even - odd


def _last_4(x: Reals) -> Reals:
    i, r = -_ROOT_HALF * (x[1] + x[3]), _ROOT_HALF * (x[1] - x[3])
    return x[0] + r, i - x[2], x[0] - r, i + x[2]


def _pairs_4(x: Pairs) -> Pairs:
    a, c2, c3, c4 = x
    r1, r4 = c4[0] + c2[0], c4[0] - c2[0]
    i1, i4 = c2[1] + c4[1], c2[1] - c4[1]
    r2, r3 = a[0] + c3[0], a[0] - c3[0]
    i2, i3 = a[1] + c3[1], a[1] - c3[1]
    return (r2 + r1, i1 + i2), (r3 - i4, r4 - i3), (r3 + i4, r4 + i3), (r2 - r1, i1 - i2)


def _first_5(x: Reals) -> Reals:
    (c1, c2), (s1, s2) = _COS_5, _SIN_5
    r2, i5, r3, i4 = x[4] + x[1], x[4] - x[1], x[3] + x[2], x[3] - x[2]
    return (
        x[0] + r2 + r3,
        x[0] + c1 * r2 + c2 * r3,
        s1 * i5 + s2 * i4,
        x[0] + c2 * r2 + c1 * r3,
        s2 * i5 - s1 * i4,
    )


def _pairs_5(x: Pairs) -> Pairs:
    (c1, c2), (s1, s2) = _COS_5, _SIN_5
    a, d2, d3, d4, d5 = x
    cr2, ci5 = d5[0] + d2[0], d5[0] - d2[0]
    ci2, cr5 = d2[1] + d5[1], d2[1] - d5[1]
    cr3, ci4 = d4[0] + d3[0], d4[0] - d3[0]
    ci3, cr4 = d3[1] + d4[1], d3[1] - d4[1]
    r2, i2 = a[0] + c1 * cr2 + c2 * cr3, a[1] + c1 * ci2 + c2 * ci3
    r3, i3 = a[0] + c2 * cr2 + c1 * cr3, a[1] + c2 * ci2 + c1 * ci3
    r5, r4 = cr5 * s1 + cr4 * s2, cr5 * s2 - cr4 * s1
    i5, i4 = ci5 * s1 + ci4 * s2, ci5 * s2 - ci4 * s1
    return (
        (a[0] + cr2 + cr3, a[1] + ci2 + ci3),
        (r2 - r5, i5 - i2),
        (r2 + r5, i5 + i2),
        (r3 - r4, i4 - i3),
        (r3 + r4, i4 + i3),
    )


def _back_first_2(x: Reals) -> Reals:
    return x[0] + x[1], x[0] - x[1]


def _back_last_2(x: Reals) -> Reals:
    return 2.0 * x[0], -2.0 * x[1]


def _back_pairs_2(x: Pairs) -> Pairs:
    a, b = x
    return (a[0] + b[0], a[1] - b[1]), (a[0] - b[0], a[1] + b[1])


def _back_first_3(x: Reals) -> Reals:
    r = 2.0 * x[1]
    c, i = x[0] + _COS_3 * r, 2.0 * _SIN_3 * x[2]
    return x[0] + r, c - i, c + i


def _back_pairs_3(x: Pairs) -> Pairs:
    a, b, c = x
    t = c[0] + b[0], c[1] - b[1]
    c2 = a[0] + _COS_3 * t[0], a[1] + _COS_3 * t[1]
    c3 = _SIN_3 * (c[0] - b[0]), _SIN_3 * (c[1] + b[1])
    return (
        (a[0] + t[0], a[1] + t[1]),
        (c2[0] - c3[1], c2[1] + c3[0]),
        (c2[0] + c3[1], c2[1] - c3[0]),
    )


def _back_first_4(x: Reals) -> Reals:
    r2, r1 = x[0] + x[3], x[0] - x[3]
    r3, r4 = 2.0 * x[1], 2.0 * x[2]
    return r2 + r3, r1 - r4, r2 - r3, r1 + r4


def _back_last_4(x: Reals) -> Reals:
    i1, i2 = x[3] + x[1], x[3] - x[1]
    r2, r1 = x[0] + x[2], x[0] - x[2]
    return r2 + r2, _ROOT_2 * (r1 - i1), i2 + i2, -_ROOT_2 * (r1 + i1)


def _back_pairs_4(x: Pairs) -> Pairs:
    a, b, c, d = x
    r2, r1 = a[0] + d[0], a[0] - d[0]
    i1, i2 = a[1] + d[1], a[1] - d[1]
    r4, i3 = c[1] + b[1], c[1] - b[1]
    r3, i4 = c[0] + b[0], c[0] - b[0]
    return (r2 + r3, i2 + i3), (r1 - r4, i1 + i4), (r2 - r3, i2 - i3), (r1 + r4, i1 - i4)


def _back_first_5(x: Reals) -> Reals:
    (c1, c2), (s1, s2) = _COS_5, _SIN_5
    i5, i4, r2, r3 = x[2] + x[2], x[4] + x[4], x[1] + x[1], x[3] + x[3]
    cr2, cr3 = x[0] + c1 * r2 + c2 * r3, x[0] + c2 * r2 + c1 * r3
    ci5, ci4 = i5 * s1 + i4 * s2, i5 * s2 - i4 * s1
    return x[0] + r2 + r3, cr2 - ci5, cr3 - ci4, cr3 + ci4, cr2 + ci5


def _back_pairs_5(x: Pairs) -> Pairs:
    (c1, c2), (s1, s2) = _COS_5, _SIN_5
    a, b, c, d, e = x
    r2, r5, i5, i2 = c[0] + b[0], c[0] - b[0], c[1] + b[1], c[1] - b[1]
    r3, r4, i4, i3 = e[0] + d[0], e[0] - d[0], e[1] + d[1], e[1] - d[1]
    cr2, ci2 = a[0] + c1 * r2 + c2 * r3, a[1] + c1 * i2 + c2 * i3
    cr3, ci3 = a[0] + c2 * r2 + c1 * r3, a[1] + c2 * i2 + c1 * i3
    cr5, cr4 = r5 * s1 + r4 * s2, r5 * s2 - r4 * s1
    ci5, ci4 = i5 * s1 + i4 * s2, i5 * s2 - i4 * s1
    return (
        (a[0] + r2 + r3, a[1] + i2 + i3),
        (cr2 - ci5, ci2 + cr5),
        (cr3 - ci4, ci3 + cr4),
        (cr3 + ci4, ci3 - cr4),
        (cr2 + ci5, ci2 - cr5),
    )


Real = Callable[[Reals], Reals]
Paired = Callable[[Pairs], Pairs]

FORWARD: dict[int, tuple[Real, Real | None, Paired]] = {
    2: (_first_2, _last_2, _pairs_2),
    3: (_first_3, None, _pairs_3),
    4: (_first_4, _last_4, _pairs_4),
    5: (_first_5, None, _pairs_5),
}
"""What a pass makes of the first operands, of the last, and of pairs."""

BACKWARD: dict[int, tuple[Real, Real | None, Paired]] = {
    2: (_back_first_2, _back_last_2, _back_pairs_2),
    3: (_back_first_3, None, _back_pairs_3),
    4: (_back_first_4, _back_last_4, _back_pairs_4),
    5: (_back_first_5, None, _back_pairs_5),
}
