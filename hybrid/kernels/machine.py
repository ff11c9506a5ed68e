"""LLVM's code as text -> optimised machine code for this processor.

Several threads may do so at once. Each module has a context of its own, each thread what emits
code, and all shares nothing then. But llvmlite lets one thread at a time into LLVM, whatever it
does there; the two calls that take all the time go past its lock.

One of LLVM's passes is left out where a source says so: strength reduction, which looks for the
best way to count the addresses of a loop. It takes half of the time to emit code of loops over many
arrays, and finds nothing in them. Another gives up earlier in kernels of many loops: the allocator
of registers, which looks for regions between which a value moves to memory, at a cost that grows
with the loops of a kernel and with its values. Both can be set for the whole process only, so
threads that want other settings emit code in turns; between, they are as LLVM has them.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import llvmlite.binding as llvm

from hybrid.kernels import elf, engine, wide

ffi: Any = llvm.ffi


_idle: list[Any] = []
"""What emits code, where no thread does.

Not kept by thread: a forked child drops what belongs to other threads before anything of ours can
run there, and to drop these takes the lock of llvmlite, which such a thread may hold for ever.
"""


def _new_machine() -> Any:
    """Make what emits code.

    To read a constant by its address takes two instructions more than by its distance, and there
    are more constants in vector math than registers: a loop of `tanh`, `exp` and `log` has 62
    instructions instead of 100, of which the processor has more of its steps under way at once.

    LLVM takes half of a register on servers of Intel's that have AVX-512, lest the processor clock
    down for a few such instructions. Kernels are nothing else: on Skylake 1,000,000 options cost
    3.1 ms that way instead of 4.6 in float32, 13.0 instead of 19.9 in float64.
    """
    triple, name, features = engine.cpu()
    if triple.startswith("x86_64"):
        features += ",-prefer-256-bit"
    return engine.machine(name, features, 3, "small" if elf.possible() else "jitdefault")


@contextmanager
def _borrowed() -> Iterator[Any]:
    """Have what emits code for oneself."""
    try:
        machine = _idle.pop()
    except IndexError:
        machine = _new_machine()
    try:
        yield machine
    finally:
        _idle.append(machine)


class _Effort(NamedTuple):
    """How much work LLVM is to put into emitting code."""

    reduced: bool = True
    regions: int = 10_000
    """The steps after which the allocator of registers is content with the region it has."""


_LOOPS = 120
"""Branches of a kernel (every loop has two or three) from which on regions cost most of the time.

A graph of 1,000 nodes in sums along rows took 40 s to compile, and takes 18 with no less speed. The
largest counted among the benchmarks' kernels has 86.
"""


def _effort(text: str, reduced: bool) -> _Effort:
    return _Effort(reduced, 100) if text.count(" br ") > _LOOPS else _Effort(reduced)


class _Setting:
    """The effort of those who emit code now."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._now: _Effort | None = None  # whatever a parent has left

    @contextmanager
    def set(self, wanted: _Effort) -> Iterator[None]:
        """Wait for those who want it otherwise."""
        with self._changed:
            self._changed.wait_for(lambda: not self._inside or self._now == wanted)
            self._let(wanted)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                if not self._inside:
                    self._let(_Effort())
                    self._changed.notify_all()

    def _let(self, wanted: _Effort) -> None:
        if self._now != wanted:
            llvm.set_option("hybrid", f"-disable-lsr={0 if wanted.reduced else 1}")
            llvm.set_option("hybrid", f"-grow-region-complexity-budget={wanted.regions}")
            self._now = wanted


_setting = _Setting()


_at_work: set[int] = set()
"""The threads that are in LLVM past llvmlite's lock."""
_PATIENCE = 1.0
"""Seconds that a fork waits for them; a kernel takes some 50 ms."""


def _before_fork() -> None:
    """Fork between kernels rather than in the middle of one, where LLVM has locks of its own."""
    end = time.monotonic() + _PATIENCE
    while _at_work - {threading.get_ident()} and time.monotonic() < end:
        time.sleep(1e-3)


def _after_fork() -> None:
    """Forget locks that threads of the parent may have held: they do not exist in the child.

    llvmlite's is needed wherever one of its objects is collected.
    """
    global _setting
    _setting = _Setting()
    _at_work.clear()
    theirs: Any = getattr(ffi.lib, "_lock", None)
    if hasattr(theirs, "_lock"):
        theirs._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork)


def _without_lock(name: str) -> Callable[..., Any]:
    """A function of llvmlite's library, without its lock where that can be had."""
    function = getattr(ffi.lib, name)
    free: Callable[..., Any] = getattr(function, "_cfn", function)

    def call(*args: Any) -> Any:
        mine = threading.get_ident()
        _at_work.add(mine)
        try:
            return free(*args)
        finally:
            _at_work.discard(mine)

    return call


def run(passes: Any, module: Any, builder: Any) -> None:
    """Run passes over a module."""
    _without_lock("LLVMPY_RunNewModulePassManager")(passes, module, builder)


def _optimized(text: str, machine: Any) -> Any:
    context = llvm.create_context()
    module = wide.declared(text, context)
    try:
        _optimize(text, module, context, machine)
    except BaseException:
        # An error may keep both in a cycle, of which the collector could free the context first.
        module.close()
        raise
    return module


def _optimize(text: str, module: Any, context: Any, machine: Any) -> None:
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


def object_code(text: str, reduced: bool) -> bytes:
    """Compile to object code, with strength reduction or without."""
    with _borrowed() as machine, ffi.OutputString() as error:
        with _optimized(text, machine) as module, _setting.set(_effort(text, reduced)):
            emit = _without_lock("LLVMPY_TargetMachineEmitToMemory")
            memory = emit(machine, module, 1, error)
        if not memory:
            raise RuntimeError(str(error))
    try:
        start, size = ffi.lib.LLVMPY_GetBufferStart(memory), ffi.lib.LLVMPY_GetBufferSize(memory)
        return ctypes.string_at(start, size)
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(memory)


def assembly(text: str, reduced: bool) -> str:
    """Compile to assembly."""
    with (
        _borrowed() as machine,
        _optimized(text, machine) as module,
        _setting.set(_effort(text, reduced)),
    ):
        return str(machine.emit_assembly(module))
