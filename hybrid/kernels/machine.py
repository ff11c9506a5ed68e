"""LLVM's code as text -> optimised machine code for this processor.

Several threads may do so at once. Each module has a context of its own, each thread what emits
code, and all shares nothing then. But llvmlite lets one thread at a time into LLVM, whatever it
does there; the two calls that take all the time go past its lock.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm

from hybrid.kernels import engine, wide

ffi: Any = llvm.ffi


class _OfThread(threading.local):
    """What a thread emits code with."""

    def __init__(self) -> None:
        _, name, features = engine.cpu()
        self.machine = engine.machine(name, features, effort=3)


_own = _OfThread()


def _without_lock(name: str) -> Callable[..., Any]:
    """A function of llvmlite's library, without its lock where that can be had."""
    function = getattr(ffi.lib, name)
    free: Callable[..., Any] = getattr(function, "_cfn", function)
    return free


def run(passes: Any, module: Any, builder: Any) -> None:
    """Run passes over a module."""
    _without_lock("LLVMPY_RunNewModulePassManager")(passes, module, builder)


def _optimized(text: str) -> Any:
    machine = _own.machine
    context = llvm.create_context()
    module = wide.declared(text, context)
    module.data_layout = str(machine.target_data)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    options.loop_interleaving = True
    options.loop_unrolling = True
    # It costs time and finds nothing in loops that are written element by element.
    options.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, options)
    run(builder.getModulePassManager(), module, builder)
    inlining = wide.define(text, module, context)
    if inlining is not None:
        run(inlining, module, builder)
    return module


def object_code(text: str) -> bytes:
    """Compile to object code."""
    module = _optimized(text)
    with ffi.OutputString() as error:
        emit = _without_lock("LLVMPY_TargetMachineEmitToMemory")
        memory = emit(_own.machine, module, 1, error)
        if not memory:
            raise RuntimeError(str(error))
    try:
        start, size = ffi.lib.LLVMPY_GetBufferStart(memory), ffi.lib.LLVMPY_GetBufferSize(memory)
        return ctypes.string_at(start, size)
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(memory)


def assembly(text: str) -> str:
    """Compile to assembly."""
    return str(_own.machine.emit_assembly(_optimized(text)))
