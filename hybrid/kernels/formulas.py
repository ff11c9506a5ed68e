"""Polynomials and tables, as intrinsics: what formulas of straight-line functions are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types as _types
from numba.core import cgutils as _cgutils

from hybrid.kernels import wide
from hybrid.kernels.emitting import llvm_call, one_type
from hybrid.kernels.intrinsics import and_, bits_float
from hybrid.kernels.scalar import for_gpu, intrinsic

types: Any = _types
cgutils: Any = _cgutils


def _table(builder: Any, symbol: str, entries: Any) -> Any:
    """A constant array of the module; on the GPU in its global memory, address space 1."""
    if not for_gpu(builder):
        return cgutils.global_constant(builder.module, symbol, entries)
    table = ir.GlobalVariable(builder.module, entries.type, symbol, addrspace=1)
    table.initializer = entries
    table.global_constant = True
    # Each PTX file has a copy of its own.
    table.linkage = "internal"
    return table


def lookup(name: str, values: np.ndarray[Any, Any]) -> Any:
    """An intrinsic ``f(i)`` that reads entry ``i`` of a constant table, without bounds check.

    In a vectorised loop the read becomes a gather. ``i`` is an int32 or int64 that the caller
    has kept inside ``[0, len(values))``; the table is a constant of the compiled module.
    """
    element = types.float64 if values.dtype == np.float64 else types.float32
    entries = tuple(float(v) for v in values)

    def typed(typingctx: Any, index: Any) -> Any:
        ty = one_type(name, index)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            llvm_type = context.get_value_type(element)
            array = ir.ArrayType(llvm_type, len(entries))
            symbol = f"hybrid_{name}"
            table = builder.module.globals.get(symbol)
            if table is None:
                table = _table(builder, symbol, array(entries))
            address = builder.gep(table, [args[0].type(0), args[0]], inbounds=True)
            return builder.load(address)

        return element(ty), codegen

    typed.__name__ = typed.__qualname__ = name
    return intrinsic(typed)


def table(name: str, values: np.ndarray[Any, Any]) -> Callable[[Any], Any]:
    """A function of an integer as wide as the numbers, whose lowest bits number an entry.

    In vectors of AVX-512 and AVX2 it is a permutation of registers, else a read; 8 to 32 entries.
    """
    symbol = f"table_{name}"
    wide.table(symbol, {4: "float", 8: "double"}[values.itemsize], (float(v) for v in values))
    last = {4: np.int32, 8: np.int64}[values.itemsize](values.size - 1)
    read = lookup(name, values)

    def entry(number: Any) -> Any:
        if wide.reads_tables(number):
            return wide.call(symbol, bits_float(number))
        return read(and_(number, last))

    return entry


# From how many coefficients on a polynomial is the sum of two: while one multiply-add waits for the
# one before, another has to be at hand, and vectors of one loop after the next fill but so much.
# atan of float64, with 19, takes 112 us for 100,000 numbers instead of 122.
_LONG = 10


def _horner(builder: Any, x: Any, constants: list[Any]) -> Any:
    value = constants[-1]
    for constant in reversed(constants[:-1]):
        value = llvm_call(builder, "llvm.fma", value, x, constant)
    return value


def _estrin(builder: Any, x: Any, constants: list[Any]) -> Any:
    power = x
    while len(constants) > 1:
        pairs = zip(constants[::2], constants[1::2], strict=False)
        summed = [llvm_call(builder, "llvm.fma", odd, power, even) for even, odd in pairs]
        constants = summed + constants[2 * len(summed) :]
        if len(constants) > 1:
            power = builder.fmul(power, power)
    return constants[0]


def polynomial(name: str, *coefficients: float) -> Any:
    """An intrinsic ``f(x)``: the polynomial with these coefficients, lowest order first.

    Horner's scheme with one fused multiply-add a coefficient; two such, of the even and of the odd
    powers, where there are many. The coefficients are rounded to the type of ``x``.
    """

    return _evaluated(name, coefficients, _in_a_chain)


def polynomial_at_once(name: str, *coefficients: float) -> Any:
    """The same by G. Estrin's scheme: more multiplications, but few that wait for another.

    For a part of a formula that is one long chain, of which few fit into a processor's window.
    """
    return _evaluated(name, coefficients, _estrin)


def polynomial_in_halves(name: str, *coefficients: float) -> Any:
    """The same as the sum of the even and of the odd powers, a multiplication more.

    For a part of a formula that other functions wait beside, each a chain of its own.
    """
    return _evaluated(name, coefficients, _in_halves)


def _in_a_chain(builder: Any, x: Any, constants: list[Any]) -> Any:
    if len(constants) < _LONG:
        return _horner(builder, x, constants)
    return _in_halves(builder, x, constants)


def _in_halves(builder: Any, x: Any, constants: list[Any]) -> Any:
    square = builder.fmul(x, x)
    even = _horner(builder, square, constants[::2])
    odd = _horner(builder, square, constants[1::2])
    return llvm_call(builder, "llvm.fma", odd, x, even)


def _evaluated(name: str, coefficients: tuple[float, ...], scheme: Callable[..., Any]) -> Any:
    def typed(typingctx: Any, x: Any) -> Any:
        ty = one_type(name, x)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            (x,) = args
            return scheme(builder, x, [x.type(c) for c in coefficients])

        return ty(ty), codegen

    typed.__name__ = typed.__qualname__ = name
    return intrinsic(typed)
