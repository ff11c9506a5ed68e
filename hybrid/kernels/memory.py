"""How generated kernels reach memory: operands and scratch; with them, casts and extrema.

A kernel body gets one pointer, to a packed list of addresses. ``operand(slot, dtype)`` makes a
function that takes the address in that slot as a typed pointer; ``load`` and ``store`` index it.
Going through bare pointers instead of numba arrays shows LLVM unit strides, keeps the generated
code free of reference counts, and makes a kernel independent of the rank of its arrays.

Operands carry what is known about aliasing: LLVM's loop vectoriser gives up beyond a few run-time
overlap checks and, where memory is reused in place, such checks fail and leave the scalar loop.
So every load names its operand's alias scope, and a store is declared clear of all others. An
output may be the memory of an input only if the stored value depends on that input, element by
element: then the order of the two accesses is fixed by the data. Leaving out a single pair brings
the checks back for all: Adam's update of 8192 elements in place took 19 us with them, 2.5 without.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models, register_default
from numba.extending import intrinsic
from numba.np.numpy_support import from_dtype

_INDEX = ir.IntType(64)
_BYTE = ir.IntType(8)
_ADDRESS = _BYTE.as_pointer()


class Operand(types.Type):
    """The numba type of a pointer to elements of one operand."""

    def __init__(self, dtype: types.Type, scope: str, clear_of: tuple[str, ...]) -> None:
        self.dtype = dtype
        self.scope = scope
        self.clear_of = clear_of
        super().__init__(name=f"Operand({dtype}, {scope!r}, {clear_of})")


@register_default(Operand)
class _OperandModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Operand) -> None:
        element = dmm.lookup(fe_type.dtype).get_data_type()
        super().__init__(dmm, fe_type, element.as_pointer())


def numba_type(dtype: str) -> types.Type:
    """The numba scalar type of a dtype name."""
    return from_dtype(np.dtype(dtype))


def operand(slot: int, dtype: str, scope: str = "", clear_of: tuple[str, ...] = ()) -> Any:
    """A function that gives the pointer in ``slot`` of the packed argument list."""
    result = Operand(numba_type(dtype), scope, clear_of)

    @intrinsic
    def pointer(typingctx: Any, args: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            data = context.get_data_type(result.dtype).as_pointer()
            table = builder.bitcast(values[0], data.as_pointer())
            return builder.load(builder.gep(table, [_INDEX(slot)]))

        return result(types.voidptr), codegen

    return pointer


def scratch(dtype: str, scope: str = "", clear_of: tuple[str, ...] = ()) -> Any:
    """A function that allocates ``count`` elements; ``release`` frees them."""
    result = Operand(numba_type(dtype), scope, clear_of)
    width = np.dtype(dtype).itemsize

    @intrinsic
    def allocate(typingctx: Any, count: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(_ADDRESS, [_INDEX]), "malloc"
            )
            # An empty request may give a null pointer; one element more never does.
            size = builder.mul(builder.add(values[0], _INDEX(1)), _INDEX(width))
            memory = builder.call(function, [size])
            return builder.bitcast(memory, context.get_data_type(result.dtype).as_pointer())

        return result(types.int64), codegen

    return allocate


@intrinsic
def release(typingctx: Any, pointer: Any) -> Any:
    """Free what a ``scratch`` function gave."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [_ADDRESS]), "free"
        )
        builder.call(function, [builder.bitcast(values[0], _ADDRESS)])
        return context.get_dummy_value()

    return types.none(pointer), codegen


@intrinsic
def advance(typingctx: Any, pointer: Any, count: Any) -> Any:
    """The pointer ``count`` elements further on."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.gep(values[0], [values[1]])

    return pointer(pointer, types.int64), codegen


def _scopes(module: Any, names: tuple[str, ...]) -> Any:
    domain = module.add_metadata(["hybrid"])
    return module.add_metadata([module.add_metadata([name, domain]) for name in names])


def _describe(instruction: Any, module: Any, pointer: Operand) -> None:
    if pointer.scope:
        instruction.set_metadata("alias.scope", _scopes(module, (pointer.scope,)))
    if pointer.clear_of:
        instruction.set_metadata("noalias", _scopes(module, pointer.clear_of))


@intrinsic
def load(typingctx: Any, pointer: Any, index: Any) -> Any:
    """Element ``index`` of an operand."""
    if not isinstance(pointer, Operand):
        return None

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        value = builder.load(builder.gep(values[0], [values[1]], inbounds=True))
        _describe(value, builder.module, pointer)
        if pointer.dtype == types.boolean:
            return builder.icmp_unsigned("!=", value, value.type(0))
        return value

    return pointer.dtype(pointer, types.int64), codegen


@intrinsic
def store(typingctx: Any, pointer: Any, index: Any, value: Any) -> Any:
    """Write element ``index`` of an operand."""
    if not isinstance(pointer, Operand):
        return None

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = context.data_model_manager[pointer.dtype].as_data(builder, values[2])
        written = builder.store(data, builder.gep(values[0], [values[1]], inbounds=True))
        _describe(written, builder.module, pointer)
        return context.get_dummy_value()

    return types.none(pointer, types.int64, pointer.dtype), codegen


# --- casts, as C compilers for x86-64 (and so NumPy's loops) do them ------------------------


def _float_to_integer(builder: Any, value: Any, to: types.Integer, llvm_type: Any) -> Any:
    """Out of range and NaN give what the processor's truncating conversion gives.

    Narrow integers go through int32, uint32 through int64, both by dropping the upper bits;
    the upper half of uint64 is converted after subtracting 2**63.
    """
    if to == types.uint64:
        limit = value.type(2.0**63)
        large = builder.fptosi(builder.fsub(value, limit), llvm_type)
        large = builder.xor(large, llvm_type(-(2**63)))
        is_large = builder.fcmp_ordered(">=", value, limit)
        return builder.select(is_large, large, builder.fptosi(value, llvm_type))
    if to == types.uint32:
        return builder.trunc(builder.fptosi(value, ir.IntType(64)), llvm_type)
    if to.bitwidth < 32:
        return builder.trunc(builder.fptosi(value, ir.IntType(32)), llvm_type)
    return builder.fptosi(value, llvm_type)


def _convert(builder: Any, value: Any, source: Any, to: Any, llvm_type: Any) -> Any:
    if source == to:
        return value
    if to == types.boolean:
        if isinstance(source, types.Float):
            return builder.fcmp_unordered("!=", value, value.type(0))
        return builder.icmp_unsigned("!=", value, value.type(0))
    if isinstance(source, types.Float):
        if isinstance(to, types.Integer):
            return _float_to_integer(builder, value, to, llvm_type)
        wider = to.bitwidth > source.bitwidth
        return (builder.fpext if wider else builder.fptrunc)(value, llvm_type)
    signed = isinstance(source, types.Integer) and source.signed
    if isinstance(to, types.Float):
        return (builder.sitofp if signed else builder.uitofp)(value, llvm_type)
    if llvm_type.width <= value.type.width:
        return builder.trunc(value, llvm_type) if llvm_type.width < value.type.width else value
    return (builder.sext if signed else builder.zext)(value, llvm_type)


def cast_to(dtype: str) -> Any:
    """A function that converts a scalar to ``dtype`` as ``ndarray.astype`` does."""
    result = numba_type(dtype)

    @intrinsic
    def cast(typingctx: Any, value: Any) -> Any:
        source = types.unliteral(value)

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            llvm_type = context.get_value_type(result)
            return _convert(builder, values[0], source, result, llvm_type)

        return result(source), codegen

    return cast


# --- the steps of maxima and minima ---------------------------------------------------------


def _extremum(name: str) -> Any:
    """NaN wins; which zero wins is left open, which makes the vector code twice as fast."""

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


max_step = _extremum("maximum")
min_step = _extremum("minimum")
