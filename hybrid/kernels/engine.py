"""LLVM in this process: what processor it sees, and its loader of code.

Importing it brings llvmlite along, which takes 20 ms: only what compiles needs it, and what loads
code that :mod:`hybrid.kernels.elf` does not.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable, Mapping
from typing import Any

import llvmlite.binding as llvm

_lock = threading.Lock()


@functools.cache
def _initialize() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


@functools.cache
def cpu() -> tuple[str, str, str]:
    """Platform, name and features of this processor, as LLVM names them."""
    _initialize()
    features = llvm.get_host_cpu_features()
    return llvm.get_process_triple(), llvm.get_host_cpu_name(), features.flatten()


def machine(name: str = "", features: str = "", effort: int = 2, model: str = "jitdefault") -> Any:
    """What emits code to load anywhere, for any processor of this kind or a named one.

    Of the code `model` "small" all parts lie together, so that it says how far away they are, and
    not where.
    """
    _initialize()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    # MCJIT, which loads the code, relocates statically on x86.
    reloc = "static" if target.name.startswith("x86") else "default"
    return target.create_target_machine(
        cpu=name,
        features=features,
        opt=effort,
        reloc="pic" if model == "small" else reloc,
        codemodel=model,
        jit=True,
    )


def object_code(text: str) -> bytes:
    """Object code of LLVM assembly that needs no optimising, for any processor of this kind.

    Functions that are marked so are inlined.
    """
    module = llvm.parse_assembly(text)
    module.verify()
    emitter = machine()
    builder = llvm.create_pass_builder(emitter, llvm.create_pipeline_tuning_options(speed_level=0))
    builder.getModulePassManager().run(module, builder)
    return bytes(emitter.emit_object(module))


def load_object(code: bytes, given: Mapping[str, int] = {}) -> Callable[[str], int]:
    """Load object code; what gives the address of a symbol in it. It may refer to what is given.

    It lives as long as the process.
    """
    with _lock:
        for name, address in given.items():
            llvm.add_symbol(name, address)
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine())
        # One reference too many: code must not be freed when the interpreter takes down its
        # modules, since callables and threads may still be inside it.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(engine))
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
    return lambda symbol: int(engine.get_global_value_address(symbol))
