"""GPU source -> machine code, without a GPU: numba-cuda gives PTX, NVIDIA's linker a cubin.

The one module that knows these tools, so that others can take their place. Numba's dispatcher is
not used: it costs 15 to 40 microseconds a launch. Code is kept as cubins: a toolkit that is newer
than the driver writes PTX which the driver refuses.

Multiplications and additions are not contracted (``fma=False``): the scalar functions are those of
the CPU, and so give the same bits.
"""

from __future__ import annotations

import contextlib
import functools
import linecache
import re
from collections.abc import Iterator
from importlib import metadata, util
from typing import Any

from hybrid.errors import DeviceError
from hybrid.kernels import cache
from hybrid.kernels.cuda.source import Source
from hybrid.records import dataclass

# What must be installed, by the name to import and the name to install.
_PACKAGES = {
    "numba_cuda": "numba-cuda",
    "cuda.core": "cuda-core",
    "cuda.bindings": "cuda-bindings",
    "cuda.pathfinder": "cuda-pathfinder",
}
_LIBRARIES = {
    "nvvm": "nvidia-nvvm",
    "nvrtc": "nvidia-cuda-nvrtc",
    "nvJitLink": "nvidia-nvjitlink",
}

Architecture = tuple[int, int]
HOPPER: Architecture = (9, 0)


@dataclass(frozen=True, slots=True)
class Binary:
    """Machine code of a kernel.

    Attributes
    ----------
    cubin
        The linked code; its entry points have the names of the source's phases.
    log
        What the assembler says of registers, stack and spills; empty if it came from the cache.
    """

    cubin: bytes
    log: str = ""


def _importable(name: str) -> bool:
    try:
        return util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@functools.cache
def missing() -> tuple[str, ...]:
    """The packages that compiling for a GPU wants and that are not installed."""
    absent = [package for name, package in _PACKAGES.items() if not _importable(name)]
    if absent:
        return tuple(absent)
    from cuda import pathfinder

    for name, package in _LIBRARIES.items():
        try:
            pathfinder.load_nvidia_dynamic_lib(name)
        except pathfinder.DynamicLibNotFoundError:
            absent.append(package)
    return tuple(absent)


def require() -> None:
    """Raise a DeviceError that names the extra, unless all packages are there."""
    if missing():
        raise DeviceError(
            f"kernels for NVIDIA GPUs need {', '.join(missing())}, which "
            f"{'is' if len(missing()) == 1 else 'are'} not installed: pip install 'hybrid[cuda]'"
        )


@functools.cache
def versions() -> tuple[tuple[str, str], ...]:
    """Installed versions of what compiled code depends on; "not installed" where absent."""

    def version(name: str) -> str:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return "not installed"

    return tuple((name, version(name)) for name in (*_PACKAGES.values(), *_LIBRARIES.values()))


def binary(source: Source, architecture: Architecture) -> Binary:
    """The machine code of a kernel: from disk, or compiled now.

    Raises
    ------
    DeviceError
        If packages are missing.
    """
    require()
    facts = " ".join(f"{name}={version}" for name, version in versions())
    signature = f"{source.parameters} {source.numbers} {source.threads}"
    key = cache.key(f"cuda {architecture} {facts}\n{signature}\n{source.text}")
    found = cache.read(key)
    if found is not None:
        return Binary(found)
    made = build(source, architecture)
    cache.write(key, made.cubin)
    return made


def build(source: Source, architecture: Architecture) -> Binary:
    """Compile a kernel, whatever is on disk."""
    return link(ptx(source, architecture), architecture)


def ptx(source: Source, architecture: Architecture) -> tuple[str, ...]:
    """The PTX of each phase."""
    require()
    from hybrid.kernels.cuda import device

    filename = f"<hybrid {source.name}>"
    lines = source.text.splitlines(keepends=True)
    linecache.cache[filename] = (len(source.text), None, lines, filename)
    names = device.namespace()
    exec(compile(source.text, filename, "exec"), names)
    pointers = tuple(device.pointer_type(dtype) for dtype in source.parameters)
    arguments = (*pointers, *(device.index_type() for _ in range(source.numbers)))
    return tuple(
        _lower(names[phase], phase, arguments, architecture, source.threads)
        for phase in source.phases
    )


def _lower(
    function: Any,
    name: str,
    arguments: tuple[Any, ...],
    architecture: Architecture,
    threads: int,
) -> str:
    """One function as PTX, with an entry point of the given name."""
    from numba.core import types
    from numba.cuda import compiler
    from numba.cuda.cudadrv import nvvm

    # `cuda.compile` is these same calls, but cannot be told not to contract.
    with _targeting(architecture):
        result = compiler.compile_cuda(
            function,
            types.void,
            arguments,
            nvvm_options={"opt": 3, "fma": False},
            cc=architecture,
        )
        library, mangled = result.library, result.fndesc.llvm_func_name
        kernel = library.get_function(mangled)
        library._entry_name = mangled
        compiler.kernel_fixup(kernel, False)
        nvvm.set_launch_bounds(kernel, threads)
        text: str = library.get_asm_str(cc=architecture)
    return re.sub(rf"\b{re.escape(mangled)}(?=\b|_param)", name, text)


@contextlib.contextmanager
def _targeting(architecture: Architecture) -> Iterator[None]:
    """Let numba-cuda lower the functions that a kernel calls for this architecture.

    It asks the current card, which need not be the one compiled for, nor be there at all.
    """
    from numba.core.compiler_lock import global_compiler_lock
    from numba.cuda import dispatcher

    class Target:
        compute_capability = architecture

    with global_compiler_lock:
        before = dispatcher.get_current_device
        dispatcher.get_current_device = lambda: Target
        try:
            yield
        finally:
            dispatcher.get_current_device = before


def link(texts: tuple[str, ...], architecture: Architecture) -> Binary:
    """The machine code of all phases, in one file."""
    from cuda.core import Linker, LinkerOptions, ObjectCode

    options = LinkerOptions(arch="sm_{}{}".format(*architecture), ptxas_options=["-v"])
    linker = Linker(*(ObjectCode.from_ptx(text.encode()) for text in texts), options=options)
    cubin = linker.link("cubin")
    return Binary(bytes(cubin.code), linker.get_info_log().rstrip("\0"))
