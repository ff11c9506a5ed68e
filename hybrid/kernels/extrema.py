"""The steps of maxima and minima, in which a NaN wins.

Which zero wins is left open, which makes the vector code twice as fast. A step that lets a NaN win
compares, and then chooses: one waits for the other, at each element of a row and when the lanes of
a vector are put together. Along rows it is faster to look for both side by side: the largest
of the numbers, by the processor's instruction, and the largest of their bits without sign, which
tell whether there was a NaN. Rows of 1,000 float32 take 47.6 ns instead of 60.8.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from hybrid.kernels.scalar import intrinsic

_BITS = {types.float32: types.int32, types.float64: types.int64}
# The bits of infinity: those of NaNs, without sign, are more.
_INFINITE = {types.float32: 0x7F800000, types.float64: 0x7FF0000000000000}


def _extremum(name: str) -> Any:
    """The step for numbers of any type; a NaN wins."""

    @intrinsic
    def accumulate(typingctx: Any, a: Any, b: Any) -> Any:
        if a != b:
            return None

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            llvm_type = values[0].type
            if isinstance(a, types.Float):
                kind = ir.FunctionType(llvm_type, [llvm_type] * 2)
                function = builder.module.declare_intrinsic(f"llvm.{name}", [llvm_type], kind)
                return builder.call(function, values, fastmath=("nsz",))
            compare = builder.icmp_signed if a.signed else builder.icmp_unsigned
            first = compare(">" if name == "maximum" else "<", values[0], values[1])
            return builder.select(first, values[0], values[1])

        return a(a, b), codegen

    return accumulate


def _extremum_of_numbers(sign: str) -> Any:
    """The step for floats among which there is no NaN; with one the result must not be used."""

    @intrinsic
    def accumulate(typingctx: Any, a: Any, b: Any) -> Any:
        if a != b or a not in _BITS:
            return None

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            flags = ("nnan", "nsz")
            first = builder.fcmp_ordered(sign, *values, flags=flags)
            return builder.select(first, *values, flags=flags)

        return a(a, b), codegen

    return accumulate


max_step = _extremum("maximum")
min_step = _extremum("minimum")
max_number = _extremum_of_numbers(">")
min_number = _extremum_of_numbers("<")


@intrinsic
def watch_step(typingctx: Any, bits: Any, x: Any) -> Any:
    """The larger of some bits and those of a float without its sign."""
    if _BITS.get(x) != bits:
        return None

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = values[0].type
        found = builder.and_(builder.bitcast(values[1], kind), kind(2 ** (bits.bitwidth - 1) - 1))
        return builder.select(builder.icmp_signed(">", values[0], found), values[0], found)

    return bits(bits, x), codegen


@intrinsic
def unless_nan(typingctx: Any, bits: Any, x: Any) -> Any:
    """A float, or NaN where the bits that were watched are those of one."""
    if _BITS.get(x) != bits:
        return None

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        one = builder.icmp_signed(">", values[0], values[0].type(_INFINITE[x]))
        return builder.select(one, values[1].type(float("nan")), values[1])

    return x(bits, x), codegen
