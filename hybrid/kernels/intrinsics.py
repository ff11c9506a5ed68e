"""Branch-free scalar building blocks of generated kernels.

Every function here is a numba ``@intrinsic``: it emits a handful of LLVM instructions at the
place of the call, for any scalar type that makes sense, and never a branch, so that a loop
that calls it stays vectorisable. Binary functions want both operands of exactly the same
type: the code generator has made every promotion explicit by then.

Numba's own operators are avoided where they do more than asked: ``int32 + int32`` is an
``int64`` in numba, ``a // b`` tests for zero with a branch, ``max`` ignores NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core.errors import TypingError

from hybrid.kernels.casts import convert
from hybrid.kernels.emitting import (
    Emit,
    binary,
    cgutils,
    is_float,
    is_signed,
    libdevice,
    llvm_call,
    one_type,
    plain_types,
    types,
    unary,
)
from hybrid.kernels.scalar import for_gpu, intrinsic

_INT_OF_FLOAT = {types.float32: types.int32, types.float64: types.int64}
_FLOAT_OF_INT = {types.int32: types.float32, types.int64: types.float64}


# --- floating point: rounding and signs; integers and booleans pass through ----------------


def _float_only(name: str, builder: Any, ty: Any, *args: Any) -> Any:
    return llvm_call(builder, name, *args) if is_float(ty) else args[0]


def _unary_llvm(name: str) -> Any:
    return unary(name, lambda builder, ty, x: _float_only(f"llvm.{name}", builder, ty, x))


rint = _unary_llvm("rint")
floor = _unary_llvm("floor")
ceil = _unary_llvm("ceil")
trunc = _unary_llvm("trunc")


def _emit_float_call(name: str) -> Emit:
    def emit(builder: Any, ty: Any, *args: Any) -> Any:
        if not is_float(ty):
            raise TypingError(f"{name}: a floating-point number is expected, not {ty}")
        return llvm_call(builder, name, *args)

    return emit


sqrt = unary("sqrt", _emit_float_call("llvm.sqrt"))
copysign = binary("copysign", _emit_float_call("llvm.copysign"))


def _emit_absolute(builder: Any, ty: Any, x: Any) -> Any:
    if is_float(ty):
        return llvm_call(builder, "llvm.fabs", x)
    if not is_signed(ty):
        return x
    return builder.select(builder.icmp_signed("<", x, x.type(0)), builder.neg(x), x)


absolute = fabs = unary("absolute", _emit_absolute)


# The parts of real numbers; complexes.py has those of complex ones.
real = unary("real", lambda builder, ty, x: x)
imag = unary("imag", lambda builder, ty, x: x.type(0))
conj = unary("conj", lambda builder, ty, x: x)


def _emit_sign(builder: Any, ty: Any, x: Any) -> Any:
    zero, one = x.type(0), x.type(1)
    if is_float(ty):
        # sign(-0.0) is 0.0 and sign(nan) is nan, as in NumPy.
        positive = builder.fcmp_ordered(">", x, zero)
        negative = builder.fcmp_ordered("<", x, zero)
        other = builder.select(builder.fcmp_ordered("==", x, zero), zero, x)
        return builder.select(positive, one, builder.select(negative, x.type(-1), other))
    if not is_signed(ty):
        return builder.select(builder.icmp_unsigned("!=", x, zero), one, zero)
    nonzero = builder.zext(builder.icmp_signed(">", x, zero), x.type)
    return builder.or_(builder.ashr(x, x.type(x.type.width - 1)), nonzero)


sign = unary("sign", _emit_sign)


# --- floating point: classes ---------------------------------------------------------------


def _emit_isnan(builder: Any, ty: Any, x: Any) -> Any:
    return builder.fcmp_unordered("uno", x, x) if is_float(ty) else cgutils.false_bit


def _emit_isinf(builder: Any, ty: Any, x: Any) -> Any:
    if not is_float(ty):
        return cgutils.false_bit
    return builder.fcmp_ordered("==", llvm_call(builder, "llvm.fabs", x), x.type(np.inf))


def _emit_isfinite(builder: Any, ty: Any, x: Any) -> Any:
    if not is_float(ty):
        return cgutils.true_bit
    return builder.fcmp_ordered("<", llvm_call(builder, "llvm.fabs", x), x.type(np.inf))


isnan = unary("isnan", _emit_isnan, types.boolean)
isinf = unary("isinf", _emit_isinf, types.boolean)
isfinite = unary("isfinite", _emit_isfinite, types.boolean)


# --- choice ----------------------------------------------------------------------------------


@intrinsic
def select(typingctx: Any, condition: Any, a: Any, b: Any) -> Any:
    """``a`` where ``condition`` holds, else ``b``; both are evaluated, their types are equal."""
    ty = one_type("select", a, b)
    if plain_types("select", condition) != (types.boolean,):
        raise TypingError(f"select: the condition is a boolean, not {condition}")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(*args)

    return ty(types.boolean, ty, ty), codegen


def _emit_extremum(greater: bool, reduction: bool) -> Emit:
    symbol = ">" if greater else "<"

    def emit(builder: Any, ty: Any, a: Any, b: Any) -> Any:
        if not is_float(ty):
            compare = builder.icmp_signed if is_signed(ty) else builder.icmp_unsigned
            return builder.select(compare(symbol, a, b), a, b)
        if reduction:
            return llvm_call(builder, "llvm.maximum" if greater else "llvm.minimum", a, b)
        # (a > b ? a : b) is exactly x86's max: one instruction, b where either is NaN.
        chosen = builder.select(builder.fcmp_ordered(symbol, a, b), a, b)
        return builder.select(builder.fcmp_unordered("uno", a, a), a, chosen)

    return emit


maximum = binary("maximum", _emit_extremum(greater=True, reduction=False))
minimum = binary("minimum", _emit_extremum(greater=False, reduction=False))
# The accumulations of reductions: LLVM vectorises a loop over `llvm.maximum`, but not over the
# cheaper compare-and-select form above, whose answer could depend on the order of the NaNs.
max_reassoc = binary("max_reassoc", _emit_extremum(greater=True, reduction=True))
min_reassoc = binary("min_reassoc", _emit_extremum(greater=False, reduction=True))


def _emit_not(builder: Any, ty: Any, x: Any) -> Any:
    return builder.not_(x)


not_ = unary("not_", _emit_not)


# --- arithmetic that keeps the type of its operands -----------------------------------------


@intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c`` with one rounding."""
    ty = one_type("fma", a, b, c)
    if not is_float(ty):
        raise TypingError(f"fma: floating-point numbers are expected, not {ty}")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return llvm_call(builder, "llvm.fma", *args)

    return ty(ty, ty, ty), codegen


def _emit_arithmetic(floating: str, integer: str, flags: tuple[str, ...] = ()) -> Emit:
    def emit(builder: Any, ty: Any, a: Any, b: Any) -> Any:
        if is_float(ty):
            return getattr(builder, floating)(a, b, flags=flags)
        return getattr(builder, integer)(a, b)

    return emit


add = binary("add", _emit_arithmetic("fadd", "add"))
sub = binary("sub", _emit_arithmetic("fsub", "sub"))
mul = binary("mul", _emit_arithmetic("fmul", "mul"))
# `reassoc` allows a loop that accumulates with these to keep several partial sums.
add_reassoc = binary("add_reassoc", _emit_arithmetic("fadd", "add", ("reassoc",)))


def _emit_add_square(builder: Any, ty: Any, a: Any, b: Any) -> Any:
    if not is_float(ty):
        raise TypingError(f"add_square: floating-point numbers are expected, not {ty}")
    square = builder.fmul(b, b, flags=("contract",))
    return builder.fadd(a, square, flags=("reassoc", "contract"))


# ``a + b * b``, the product not rounded.
add_square = binary("add_square", _emit_add_square)


def _emit_difference(builder: Any, ty: Any, a: Any, b: Any) -> Any:
    if not is_float(ty):
        raise TypingError(f"difference: floating-point numbers are expected, not {ty}")
    # LLVM does not look behind the fence; a loop finds the number in a register.
    one = llvm_call(builder, "llvm.arithmetic.fence", a.type(1.0))
    product = builder.fmul(a, one, flags=("contract",))
    return builder.fsub(product, b, flags=("contract",))


# ``a - b``, as ``a * 1 - b``, to the bit. Zen adds in two of its pipes and multiply-adds in two
# others: a loop with three additions and one multiply-add a vector has two of each so.
difference = binary("difference", _emit_difference)
mul_reassoc = binary("mul_reassoc", _emit_arithmetic("fmul", "mul", ("reassoc",)))


def _emit_divide(builder: Any, ty: Any, a: Any, b: Any) -> Any:
    if not is_float(ty):
        raise TypingError(f"divide: floating-point numbers are expected, not {ty}")
    return builder.fdiv(a, b)


divide = binary("divide", _emit_divide)
reciprocal = unary("reciprocal", lambda builder, ty, x: _emit_divide(builder, ty, x.type(1), x))

and_ = binary("and_", lambda builder, ty, a, b: builder.and_(a, b))
or_ = binary("or_", lambda builder, ty, a, b: builder.or_(a, b))
xor = binary("xor", lambda builder, ty, a, b: builder.xor(a, b))


def _emit_high_word(builder: Any, ty: Any, a: Any, b: Any) -> Any:
    if ty != types.uint64:
        raise TypingError(f"high_word: uint64 is expected, not {ty}")
    if for_gpu(builder):
        return libdevice(builder, "umul64hi", a, b)
    wide = ir.IntType(128)
    product = builder.mul(builder.zext(a, wide), builder.zext(b, wide))
    return builder.trunc(builder.lshr(product, wide(64)), a.type)


# The upper 64 bits of a product of 128.
high_word = binary("high_word", _emit_high_word)


# --- floor division and remainder -----------------------------------------------------------


def _integer_quotient(builder: Any, ty: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Floored quotient and remainder; both are 0 where ``b`` is 0, and INT_MIN // -1 wraps."""
    zero, one = a.type(0), a.type(1)
    by_zero = builder.icmp_unsigned("==", b, zero)
    if not is_signed(ty):
        divisor = builder.select(by_zero, one, b)
        quotient = builder.udiv(a, divisor)
        remainder_ = builder.sub(a, builder.mul(quotient, divisor))
    else:
        lowest = a.type(-(1 << (a.type.width - 1)))
        overflows = builder.and_(
            builder.icmp_signed("==", a, lowest), builder.icmp_signed("==", b, a.type(-1))
        )
        divisor = builder.select(builder.or_(by_zero, overflows), one, b)
        quotient = builder.sdiv(a, divisor)
        remainder_ = builder.sub(a, builder.mul(quotient, divisor))
        signs_differ = builder.icmp_signed("<", builder.xor(remainder_, divisor), zero)
        adjust = builder.and_(builder.icmp_signed("!=", remainder_, zero), signs_differ)
        quotient = builder.sub(quotient, builder.zext(adjust, a.type))
        remainder_ = builder.add(remainder_, builder.select(adjust, divisor, zero))
    return builder.select(by_zero, zero, quotient), builder.select(by_zero, zero, remainder_)


def _float_quotient(builder: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Floored quotient and remainder in NumPy's (and Python's) sense.

    The remainder is exact up to the final addition of ``b``; the quotient is recovered from
    it, since floor(a / b) may be off by one after the division has been rounded.
    """
    zero, one, half = a.type(0), a.type(1), a.type(0.5)
    by_zero = builder.fcmp_ordered("==", b, zero)
    ratio = builder.fdiv(a, b)
    # On the GPU frem is a - trunc(a / b) * b, rounded three times.
    mod = libdevice(builder, "fmod", a, b) if for_gpu(builder) else builder.frem(a, b)
    quotient = builder.fdiv(builder.fsub(a, mod), b)
    has_rest = builder.fcmp_unordered("!=", mod, zero)
    signs_differ = builder.xor(
        builder.fcmp_ordered("<", b, zero), builder.fcmp_ordered("<", mod, zero)
    )
    adjust = builder.and_(has_rest, signs_differ)
    shifted = builder.select(adjust, builder.fadd(mod, b), mod)
    shifted = builder.select(has_rest, shifted, llvm_call(builder, "llvm.copysign", zero, b))
    quotient = builder.select(adjust, builder.fsub(quotient, one), quotient)
    floored = llvm_call(builder, "llvm.floor", quotient)
    rounded_up = builder.fcmp_ordered(">", builder.fsub(quotient, floored), half)
    floored = builder.select(rounded_up, builder.fadd(floored, one), floored)
    floored = builder.select(
        builder.fcmp_unordered("!=", quotient, zero),
        floored,
        llvm_call(builder, "llvm.copysign", zero, ratio),
    )
    return builder.select(by_zero, ratio, floored), builder.select(by_zero, mod, shifted)


def _emit_quotient(part: int) -> Emit:
    def emit(builder: Any, ty: Any, a: Any, b: Any) -> Any:
        if is_float(ty):
            return _float_quotient(builder, a, b)[part]
        return _integer_quotient(builder, ty, a, b)[part]

    return emit


floor_divide = binary("floor_divide", _emit_quotient(0))
remainder = binary("remainder", _emit_quotient(1))


# --- indices -------------------------------------------------------------------------------


def _emit_from_end(builder: Any, ty: Any, index: Any, size: Any) -> Any:
    return builder.select(
        builder.icmp_signed("<", index, index.type(0)), builder.add(index, size), index
    )


# The place that an index means in an axis: a negative one counts from the end.
from_end = binary("from_end", _emit_from_end)


# --- shifts --------------------------------------------------------------------------------


def _emit_left_shift(builder: Any, ty: Any, a: Any, b: Any) -> Any:
    """Zero for a shift by the width or more, and for a negative one, as in NumPy."""
    width = a.type(a.type.width)
    inside = builder.icmp_unsigned("<", b, width)
    amount = builder.select(inside, b, a.type(0))
    return builder.select(inside, builder.shl(a, amount), a.type(0))


def _emit_right_shift(builder: Any, ty: Any, a: Any, b: Any) -> Any:
    """Copies of the sign (zeros if unsigned) for a shift by the width or more."""
    width = a.type.width
    inside = builder.icmp_unsigned("<", b, a.type(width))
    if is_signed(ty):
        return builder.ashr(a, builder.select(inside, b, a.type(width - 1)))
    amount = builder.select(inside, b, a.type(0))
    return builder.select(inside, builder.lshr(a, amount), a.type(0))


left_shift = binary("left_shift", _emit_left_shift)
right_shift = binary("right_shift", _emit_right_shift)


def _constant_shift(name: str, method: str) -> Any:
    """Shift by an amount that the caller knows to be smaller than the width."""

    def typed(typingctx: Any, x: Any, amount: Any) -> Any:
        ty, amount_ty = plain_types(name, x, amount)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            by = convert(builder, args[1], amount_ty, ty, args[0].type)
            return getattr(builder, method)(args[0], by)

        return ty(ty, amount_ty), codegen

    typed.__name__ = typed.__qualname__ = name
    return intrinsic(typed)


shl = _constant_shift("shl", "shl")
sar = _constant_shift("sar", "ashr")
shr = _constant_shift("shr", "lshr")


# --- bit patterns ----------------------------------------------------------------------------


@intrinsic
def float_bits(typingctx: Any, x: Any) -> Any:
    """The bit pattern of a float32 or float64 as a signed integer of the same width."""
    ty = one_type("float_bits", x)
    integer = _INT_OF_FLOAT[ty]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(integer))

    return integer(ty), codegen


@intrinsic
def bits_float(typingctx: Any, bits: Any) -> Any:
    """The float32 or float64 whose bit pattern is the given int32 or int64."""
    ty = one_type("bits_float", bits)
    floating = _FLOAT_OF_INT[ty]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(floating))

    return floating(ty), codegen


@intrinsic
def float_of_int(typingctx: Any, n: Any) -> Any:
    """A signed integer converted to the floating type of its width."""
    ty = one_type("float_of_int", n)
    floating = _FLOAT_OF_INT[ty]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.sitofp(args[0], context.get_value_type(floating))

    return floating(ty), codegen


@intrinsic
def like(typingctx: Any, x: Any, value: Any) -> Any:
    """The number ``value`` in the type of ``x`` (Python's literals are float64 in numba)."""
    ty, value_ty = plain_types("like", x, value)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return convert(builder, args[1], value_ty, ty, args[0].type)

    return ty(ty, value_ty), codegen
