"""Source -> object code, by LLVM.

A kernel's module has the phases of the source, ``NAME_PHASE_run``, ``void (args, lo, hi)``, which
the entry point (:mod:`hybrid.kernels.entry`) calls, or the parallel driver from its threads. So a
kernel costs one serial compile and yet runs both ways.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid.kernels import (
    blocks,
    casts,
    complexes,
    engine,
    extrema,
    half,
    intrinsics,
    line_blocks,
    line_tiles,
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
from hybrid.kernels.expression import SUFFIX
from hybrid.kernels.region import COMPLEX
from hybrid.kernels.scalar import straight_line
from hybrid.kernels.texts import Source

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
        "either": memory.either,
        "registers": memory.registers,
        "release": memory.release,
        "asking": blocks.asking,
        "asking_both": blocks.asking_both,
        "asking_to_write": blocks.asking_to_write,
        "edge": stream.edge,
        "elsewhere": blocks.elsewhere,
        "fetch_to_write": blocks.fetch_to_write,
        "fetcher": blocks.fetcher,
        "padded": blocks.padded,
        "put_back": blocks.put_back,
        "sender": stream.sender,
        "until_line": stream.until_line,
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
        "block_transform": line_blocks.block_transform,
        "line_transform": line_tiles.line_transform,
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
    for node in definitions:
        translate.phase(module, node, names, f"{node.name}_run")
    return str(module)
