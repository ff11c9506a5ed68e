"""Normal numbers from uniform ones, with the same bits on every machine.

G. E. P. Box and M. E. Muller, "A note on the generation of random normal deviates" (1958): of two
uniform numbers one gives a radius, the other an angle. The libraries' logarithms and cosines differ
in the last place from machine to machine. Here they are written with additions, products, one
division and one square root, which IEEE 754 rounds alike everywhere, and without fused operations,
which NumPy does not have.

Each function is given `m`, what it does with bits by: ``arrays`` for ndarrays, the module of
intrinsics for the scalars of kernels. The polynomials are those of Sun's fdlibm, and in float32
those of the vector math.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from hybrid.records import dataclass


@dataclass(frozen=True, slots=True)
class _Kind:
    """Constants of a dtype, as numbers and as words; coefficients have the lowest power first."""

    number: Any
    word: Any
    fraction: int  # bits
    mantissa: Any
    sqrt_half: Any
    ln2: tuple[Any, Any]
    log: tuple[Any, ...]
    sine: tuple[Any, ...]
    cosine: tuple[Any, ...]
    half: Any
    one: Any
    two: Any
    four: Any
    quarter_turn: Any
    magic: Any  # adding it rounds to an integer, which the low bits then show
    zero_word: Any
    one_word: Any
    two_word: Any


def _kind(
    number: Any,
    word: Any,
    fraction: int,
    sqrt_half: int,
    ln2: tuple[float, float],
    *polynomials: tuple[float, ...],
) -> _Kind:
    log, sine, cosine = (tuple(map(number, found)) for found in polynomials)
    return _Kind(
        number,
        word,
        fraction,
        word((1 << fraction) - 1),
        word(sqrt_half),
        (number(ln2[0]), number(ln2[1])),
        log,
        sine,
        cosine,
        *map(number, (0.5, 1, 2, 4, np.pi / 2, 1.5 * 2.0**fraction)),
        *map(word, (0, 1, 2)),
    )


_KINDS = {
    "float32": _kind(
        np.float32,
        np.int32,
        23,
        0x3F3504F3,
        (6.9313812256e-01, 9.0580006145e-06),
        (0.66666662693, 0.40000972152, 0.28498786688, 0.24279078841),
        (-0.16666654, 0.008332106, -0.00019507883),
        (0.041666646, -0.0013887307, 2.4431882e-05),
    ),
    "float64": _kind(
        np.float64,
        np.int64,
        52,
        0x3FE6A09E667F3BCD,
        (6.93147180369123816490e-01, 1.90821492927058770002e-10),
        (
            6.666666666666735130e-01,
            3.999999999940941908e-01,
            2.857142874366239149e-01,
            2.222219843214978396e-01,
            1.818357216161805012e-01,
            1.531383769920937332e-01,
            1.479819860511658591e-01,
        ),
        (
            -1.66666666666666324348e-01,
            8.33333333332248946124e-03,
            -1.98412698298579493134e-04,
            2.75573137070700676789e-06,
            -2.50507602534068634195e-08,
            1.58969099521155010221e-10,
        ),
        (
            4.16666666666666019037e-02,
            -1.38888888888741095749e-03,
            2.48015872894767294178e-05,
            -2.75573143513906633035e-07,
            2.08757232129817482790e-09,
            -1.13596475577881948265e-11,
        ),
    ),
}


def _polynomial(x: Any, coefficients: tuple[Any, ...]) -> Any:
    total = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        total = total * x + coefficient
    return total


def radius(m: Any, u: Any, dtype: str) -> Any:
    """``sqrt(-2 * log(u))`` for a normal number u of (0, 1]."""
    c = _KINDS[dtype]
    # u = (1 + f) * 2**k with 1 + f between sqrt(1/2) and sqrt(2)
    bits = m.sub(m.float_bits(u), c.sqrt_half)
    f = m.bits_float(m.add(m.and_(bits, c.mantissa), c.sqrt_half)) - c.one
    k = m.float_of_int(m.sar(bits, c.fraction))
    s = f / (f + c.two)
    z = s * s
    half = c.half * f * f
    tail = s * (half + z * _polynomial(z, c.log)) + k * c.ln2[1]
    log = ((tail - half) + f) + k * c.ln2[0]
    return m.sqrt(-c.two * log)


def cosine_sine(m: Any, u: Any, dtype: str) -> tuple[Any, Any]:
    """Cosine and sine of u turns, for u of (0, 1]."""
    c = _KINDS[dtype]
    quarters = c.four * u
    shifted = quarters + c.magic
    n = m.float_bits(shifted)
    a = (quarters - (shifted - c.magic)) * c.quarter_turn
    z = a * a
    half = c.half * z
    near = c.one - half
    lost = (c.one - near) - half
    cosine = near + (lost + z * z * _polynomial(z, c.cosine))
    sine = a + a * z * _polynomial(z, c.sine)
    even = m.and_(n, c.one_word) == c.zero_word
    first, second = m.select(even, cosine, sine), m.select(even, sine, cosine)
    return _signed(m, first, m.add(n, c.one_word), c), _signed(m, second, n, c)


def _signed(m: Any, x: Any, quadrant: Any, c: _Kind) -> Any:
    """Negative in the third and the fourth quadrant."""
    sign = m.shl(m.and_(quadrant, c.two_word), 8 * c.word().itemsize - 2)
    return m.bits_float(m.xor(m.float_bits(x), sign))


def _float_bits(x: Any) -> Any:
    return x.view(f"i{x.itemsize}")


def _bits_float(x: Any) -> Any:
    return x.view(f"f{x.itemsize}")


arrays = SimpleNamespace(
    add=np.add,
    sub=np.subtract,
    and_=np.bitwise_and,
    xor=np.bitwise_xor,
    shl=np.left_shift,
    sar=np.right_shift,
    float_bits=_float_bits,
    bits_float=_bits_float,
    float_of_int=lambda x: x.astype(f"f{x.itemsize}"),
    select=np.where,
    sqrt=np.sqrt,
)
"""What ndarrays' bits are handled by; as the intrinsics of kernels, which have the same names."""

# Pairs that are computed at once: what there is of them then stays in the caches.
_BLOCK = 16384


def box_muller(radii: Any, angles: Any) -> Any:
    """Normal ndarray of twice as many numbers: those of the cosines, then those of the sines."""
    count, dtype = len(radii), radii.dtype.name
    out = np.empty(2 * count, radii.dtype)
    for begin in range(0, count, _BLOCK):
        block = slice(begin, begin + _BLOCK)
        distance = radius(arrays, radii[block], dtype)
        cosine, sine = cosine_sine(arrays, angles[block], dtype)
        np.multiply(distance, cosine, out=out[:count][block])
        np.multiply(distance, sine, out=out[count:][block])
    return out
