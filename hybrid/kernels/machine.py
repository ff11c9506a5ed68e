"""LLVM's code as text -> optimised machine code for this processor."""

from __future__ import annotations

import functools
from typing import Any

import llvmlite.binding as llvm

from hybrid.kernels import engine, wide


@functools.cache
def _machine() -> Any:
    _, name, features = engine.cpu()
    return engine.machine(name, features, effort=3)


def _optimized(text: str) -> Any:
    machine = _machine()
    module = wide.declared(text)
    module.data_layout = str(machine.target_data)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    options.loop_interleaving = True
    options.loop_unrolling = True
    # It costs time and finds nothing in loops that are written element by element.
    options.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    wide.define(text, module, builder)
    return module


def object_code(text: str) -> bytes:
    """Compile to object code."""
    return bytes(_machine().emit_object(_optimized(text)))


def assembly(text: str) -> str:
    """Compile to assembly."""
    return str(_machine().emit_assembly(_optimized(text)))
