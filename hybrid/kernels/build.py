"""Source -> object code, by LLVM.

A kernel's module has two kinds of functions:

``NAME_call``
    the METH_FASTCALL entry point (see ``native.py``).
``NAME_PHASE_run``
    the phases of the source, ``void (args, lo, hi)``, which the parallel driver calls from its
    threads.

So a kernel costs one serial compile and yet runs both ways.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from hybrid.kernels import (
    casts,
    complexes,
    engine,
    extrema,
    half,
    intrinsics,
    machine,
    memory,
    normals,
    philox,
    planes,
    search,
    stream,
    tiles,
    translate,
    vectormath,
    wide,
)
from hybrid.kernels.cpu import Source
from hybrid.kernels.expression import SUFFIX
from hybrid.kernels.region import COMPLEX
from hybrid.kernels.scalar import straight_line

_BYTE = ir.IntType(8)
_ADDRESS = _BYTE.as_pointer()
_INT = ir.IntType(64)
_WORD = _INT.as_pointer()
_OBJECTS = _ADDRESS.as_pointer()
# Nanoseconds of work from which on the GIL is given up: that costs about 50 itself.
_RELEASE_NS = 5_000
# CPython's object header, then the first fields of PyArrayObject: the data pointer.
_DATA_OFFSET = object.__basicsize__
_TYPE_OFFSET = object.__basicsize__ - 8
# Names of the templates that intrinsics.py spells differently.
_ALIASES = {"abs": "absolute"}
# What the source calls by its own name.
_INTRINSICS = (
    "add",
    "add_reassoc",
    "add_square",
    "and_",
    "difference",
    "from_end",
    "minimum",
    "mul",
    "mul_reassoc",
    "not_",
    "or_",
    "select",
    "sub",
    "xor",
)


_NORMALS: dict[str, Callable[[Any, Any, str], Any]] = {
    "normal_radius": normals.radius,
    "normal_cosine": lambda m, u, dtype: normals.cosine_sine(m, u, dtype)[0],
    "normal_sine": lambda m, u, dtype: normals.cosine_sine(m, u, dtype)[1],
}


@functools.cache
def _of_normals(name: str, dtype: str) -> Any:
    written = _NORMALS[name]
    return straight_line(lambda u: written(intrinsics, u, dtype), name, dtype)


def function(name: str, dtype: str) -> Any:
    """The scalar function of a template: from the vector math, else an intrinsic."""
    if name in _NORMALS:
        return _of_normals(name, dtype)
    if dtype in COMPLEX:
        return complexes.FUNCTIONS[name]
    if name in vectormath.NAMES and dtype in ("float32", "float64"):
        return vectormath.function(name, dtype)
    return getattr(half, name, None) or getattr(intrinsics, _ALIASES.get(name, name))


def scalar_namespace() -> dict[str, Any]:
    """The names of scalar functions and types that generated source may use, on any target."""
    names: dict[str, Any] = {"function": function, "cast_to": casts.cast_to}
    for name in _INTRINSICS:
        names[name] = getattr(intrinsics, name)
    for dtype in SUFFIX:
        if dtype != "bool" and dtype not in half.WIDEN:
            names[dtype] = getattr(np, dtype)
    return names


def namespace() -> dict[str, Any]:
    """The names that generated source may use."""
    return scalar_namespace() | {
        "operand": memory.operand,
        "scratch": memory.scratch,
        "load": memory.load,
        "load_where": memory.load_where,
        "store": memory.store,
        "advance": memory.advance,
        "registers": memory.registers,
        "release": memory.release,
        "stream": stream.stream,
        "streamed": stream.streamed,
        "max_number": extrema.max_number,
        "max_step": extrema.max_step,
        "min_number": extrema.min_number,
        "min_step": extrema.min_step,
        "unless_nan": extrema.unless_nan,
        "watch_step": extrema.watch_step,
        "draw_block": philox.draw_block,
        "fill_planes": planes.fill_planes,
        "first_extreme": search.first_extreme,
        "dot_tile": tiles.dot_tile,
        # Of ints, for sizes.
        "min": intrinsics.minimum,
        "max": intrinsics.maximum,
        "outer_tile": tiles.outer_tile,
        "product_tile": tiles.product_tile,
        "turned_tile": tiles.turned_tile,
        "word_uint32": philox.word_uint32,
        "word_uint64": philox.word_uint64,
    }


def entry_name(name: str) -> str:
    """Symbol of a kernel's entry point."""
    return f"{name}_call"


def build(source: Source) -> bytes:
    """Compile a kernel to object code."""
    return machine.object_code(code(source), source.reduced)


def assembly(source: Source) -> str:
    """The assembly of a kernel, for people and tests."""
    return machine.assembly(code(source), source.reduced)


def code(source: Source) -> str:
    """A kernel in LLVM's language, not optimised."""
    filename = f"<hybrid {source.name}>"
    tree = ast.parse(source.text, filename)
    definitions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    tree.body = [node for node in tree.body if not isinstance(node, ast.FunctionDef)]
    names = namespace()
    exec(compile(tree, filename, "exec"), names)
    module = wide.Module(source.name)
    module.triple = engine.cpu()[0]
    runs = [translate.phase(module, node, names, f"{node.name}_run") for node in definitions]
    _Entry(module, source).write(runs)
    return str(module)


class _Entry:
    """Writes the entry point ``PyObject *call(self, args, nargs)``."""

    def __init__(self, module: Any, source: Source) -> None:
        self.module = module
        self.count = source.arrays + 2
        kind = ir.FunctionType(_ADDRESS, [_ADDRESS, _OBJECTS, _INT])
        self.function = ir.Function(module, kind, entry_name(source.name))
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))

    def _external(self, name: str, result: Any, *args: Any, variadic: bool = False) -> Any:
        kind = ir.FunctionType(result, args, var_arg=variadic)
        return self.module.globals.get(name) or ir.Function(self.module, kind, name)

    def _word(self, address: Any, offset: int) -> Any:
        """The word ``offset`` bytes after an address."""
        builder = self.builder
        place = builder.gep(address, [_INT(offset)])
        return builder.load(builder.bitcast(place, _OBJECTS))

    def write(self, runs: list[Any]) -> None:
        builder = self.builder
        kind, arguments, given = self.function.args
        bad = self.function.append_basic_block("bad")
        no_memory = self.function.append_basic_block("no_memory")
        self._unless(builder.icmp_signed("==", given, _INT(self.count)), bad)
        objects = [builder.load(builder.gep(arguments, [_INT(i)])) for i in range(self.count)]
        matching: Any = ir.IntType(1)(1)
        for item in objects[1:]:
            same = builder.icmp_unsigned("==", self._word(item, _TYPE_OFFSET), kind)
            matching = builder.and_(matching, same)
        self._unless(matching, bad)
        as_long = self._external("PyLong_AsLongLong", _INT, _ADDRESS)
        driver = builder.call(as_long, [objects[0]])
        pack = builder.alloca(_ADDRESS, size=self.count)
        for slot, item in enumerate(objects[1:]):
            builder.store(self._word(item, _DATA_OFFSET), builder.gep(pack, [_INT(slot)]))
        geometry = builder.bitcast(builder.load(pack), _WORD)
        temporary = self._temporary(geometry, no_memory)
        builder.store(temporary, builder.gep(pack, [_INT(self.count - 1)]))
        self._run(geometry, driver, builder.bitcast(pack, _ADDRESS), runs)
        builder.call(self._external("free", ir.VoidType(), _ADDRESS), [temporary])
        build_value = self._external("Py_BuildValue", _ADDRESS, _ADDRESS, variadic=True)
        empty = ir.GlobalVariable(self.module, ir.ArrayType(_BYTE, 1), ".hybrid.empty")
        empty.initializer = ir.Constant(empty.value_type, bytearray(b"\0"))
        empty.linkage, empty.global_constant = "internal", True
        builder.ret(builder.call(build_value, [builder.bitcast(empty, _ADDRESS)]))
        self._fail(bad, "PyErr_BadArgument")
        self._fail(no_memory, "PyErr_NoMemory")

    def _unless(self, condition: Any, otherwise: Any) -> None:
        go_on = self.function.append_basic_block("go_on")
        self.builder.cbranch(condition, go_on, otherwise)
        self.builder.position_at_end(go_on)

    def _fail(self, block: Any, name: str) -> None:
        self.builder.position_at_end(block)
        self.builder.call(self._external(name, ir.IntType(32)), [])
        self.builder.ret(_ADDRESS(None))

    def _temporary(self, geometry: Any, no_memory: Any) -> Any:
        """Memory for partial results, null where none is needed."""
        builder = self.builder
        size = builder.load(builder.gep(geometry, [_INT(1)]))
        wanted = builder.icmp_signed(">", size, _INT(0))
        before = builder.block
        with builder.if_then(wanted):
            malloc = self._external("malloc", _ADDRESS, _INT)
            memory_ = builder.call(malloc, [size])
            after = builder.block
        pointer = builder.phi(_ADDRESS)
        pointer.add_incoming(_ADDRESS(None), before)
        pointer.add_incoming(memory_, after)
        missing = builder.icmp_unsigned("==", pointer, _ADDRESS(None))
        self._unless(builder.not_(builder.and_(wanted, missing)), no_memory)
        return pointer

    def _run(self, geometry: Any, driver: Any, pack: Any, runs: list[Any]) -> None:
        """The phases, serial or through the driver, without the GIL if they take long."""
        builder = self.builder
        cost = builder.load(geometry)
        long = builder.icmp_signed(">", cost, _INT(_RELEASE_NS))
        state = builder.alloca(_ADDRESS)
        save = self._external("PyEval_SaveThread", _ADDRESS)
        restore = self._external("PyEval_RestoreThread", ir.VoidType(), _ADDRESS)
        with builder.if_then(long):
            builder.store(builder.call(save, []), state)
        kind = ir.FunctionType(ir.VoidType(), [_ADDRESS, _ADDRESS, _INT])
        serial = builder.icmp_signed("==", driver, _INT(0))
        for number, run in enumerate(runs):
            work = builder.load(builder.gep(geometry, [_INT(2 + number)]))
            with builder.if_else(serial) as (then, otherwise):
                with then:
                    builder.call(run, [pack, _INT(0), work])
                with otherwise:
                    call = builder.inttoptr(driver, kind.as_pointer())
                    builder.call(call, [builder.bitcast(run, _ADDRESS), pack, work])
        with builder.if_then(long):
            builder.call(restore, [builder.load(state)])
