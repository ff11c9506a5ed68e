"""Kernels that are compiled at once are those that are compiled one by one."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hybrid.kernels import build, cache, compiling, cpu, engine, kernel, machine, parallel
from hybrid.kernels.loopnest import canonical
from hybrid.kernels.region import Access, Pick, Region
from hybrid.kernels.spec import KernelSpec
from tests.kernels.reference import mapped, reduce

TEMPLATES = ("{0} * 3.25", "exp({0})", "sin({0}) + {0}", "pow({0}, {0})", "maximum({0}, 0.5)")


def specs(shift: float) -> list[KernelSpec]:
    made = []
    for number, template in enumerate(TEMPLATES):
        body = (mapped(f"op{number}", f"{template} - {shift}", (0,), "float32"),)
        access = Access("float32", 1, 0, (1,))
        made.append(canonical(Region((1000,), (), (access,), body, ((1, access),)))[0])
    return made


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYBRID_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(parallel, "get_num_threads", lambda: 3)
    kernel.clear()


def test_the_code_does_not_depend_on_how_many_are_compiled_at_once() -> None:
    sources = [cpu.source(spec) for spec in specs(1.0)]
    with compiling.compiled(sources) as compiled:
        together = [compiled(source) for source in sources]
    assert together == [build.build(source) for source in sources]


def test_several_are_compiled_in_threads_and_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = threading.Barrier(3, timeout=60)
    made: list[str] = []

    def object_code(text: str, reduced: bool) -> bytes:
        made.append(threading.current_thread().name)
        if len(made) <= 3:
            inside.wait()
        return compile_one(text, reduced)

    wanted = specs(2.0)
    first = kernel.kernels_for(wanted[:1])
    compile_one = machine.object_code
    monkeypatch.setattr(machine, "object_code", object_code)
    kernels = kernel.kernels_for([*wanted, *wanted[::-1]])
    assert kernels == kernels[::-1]
    assert kernels[:1] == first
    assert len(made) == 4
    assert len(set(made)) == 3
    stats = kernel.stats()
    assert (stats.compiled, stats.loaded, stats.hits) == (5, 0, 6)
    kernel.clear()
    assert all(again.from_disk for again in kernel.kernels_for(wanted))


def test_an_error_in_one_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(text: str, reduced: bool) -> bytes:
        raise RuntimeError("no code")

    wanted = specs(3.0)
    with monkeypatch.context() as patch:
        patch.setattr(machine, "object_code", refuse)
        with pytest.raises(RuntimeError, match="no code"):
            kernel.kernels_for(wanted)
    assert all(cache.read(cache.key(cpu.source(spec).text)) is None for spec in wanted)
    assert len(kernel.kernels_for(wanted)) == 5


def emitted(text: str, wanted: Sequence[bool]) -> list[bytes]:
    with ThreadPoolExecutor(len(wanted)) as pool:
        return list(pool.map(lambda reduced: machine.object_code(text, reduced), wanted))


def test_a_pass_is_left_out_by_those_only_who_leave_it_out() -> None:
    text = build.code(cpu.source(columns()))
    with_it, without = (machine.object_code(text, reduced) for reduced in (True, False))
    assert with_it != without
    wanted = [True, False, True, False, False, True] * 3
    assert emitted(text, wanted) == [with_it if reduced else without for reduced in wanted]
    own = machine._new_machine()
    assert own.emit_object(machine._optimized(text, own)) == with_it, "others have the pass"


REFUSED = """
import gc
from hybrid.kernels import machine

code = '''
define i64 @f(i1 %c) {
a:
  br i1 %c, label %b, label %d
b:
  %x = add i64 1, 2
  br label %d
d:
  %y = add i64 %x, 1
  ret i64 %y
}
'''
for _ in range(20):
    try:
        machine.object_code(code, True)
    except RuntimeError as error:
        error.itself = error  # a cycle, of which the collector chooses what it frees first
        print(error)
    gc.collect()
"""


def test_code_that_llvm_refuses_is_an_error_and_is_freed_in_any_order() -> None:
    program = [sys.executable, "-c", REFUSED]
    folder = Path(__file__).parents[2]
    ran = subprocess.run(program, cwd=folder, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("Instruction does not dominate all uses") == 20


def test_kernels_of_many_loops_take_less_effort_and_others_the_same_as_before() -> None:
    text = build.code(cpu.source(columns()))
    before = machine.object_code(text, True)
    vast = "\n".join("  br label %a" for _ in range(machine._LOOPS + 1))
    effort = machine._effort(vast, True)
    assert effort.regions < machine._effort(text, True).regions
    with machine._setting.set(effort):
        pass
    assert machine.object_code(text, True) == before


def test_a_thread_waits_for_threads_that_compile_with_another_effort() -> None:
    text = build.code(cpu.source(columns()))
    made: list[bytes] = []
    thread = threading.Thread(target=lambda: made.append(machine.object_code(text, True)))
    with machine._setting.set(machine._Effort(True, 100)):
        thread.start()
        thread.join(0.2)
        assert not made
    thread.join()
    assert made


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_does_not_wait_for_threads_of_its_parent() -> None:
    text = build.code(cpu.source(columns()))
    with machine._setting.set(machine._Effort(False)):
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            os._exit(machine.object_code(text, True) == b"")
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_does_not_wait_for_the_lock_of_llvmlite() -> None:
    source = cpu.source(specs(4.0)[0])
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        build.build(source)  # what it keeps for that is dropped in the child
        with machine.ffi.lib._lock:
            held.set()
            done.wait()

    build.build(source)
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if child == 0:
        build.build(source)
        os._exit(0)
    watch = threading.Timer(20, os.kill, (child, signal.SIGKILL))  # it may wait within the fork
    watch.start()
    status = os.waitpid(child, 0)[1]
    watch.cancel()
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0


def test_sums_of_columns_and_cheap_maps_leave_it_out_and_maps_of_functions_do_not() -> None:
    assert not cpu.source(columns()).reduced
    found = [cpu.source(spec).reduced for spec in specs(4.0)]
    assert found == [False, True, True, True, False]  # in the order of TEMPLATES


def test_gathers_and_sums_along_rows_do_not_leave_it_out() -> None:
    assert cpu.source(gathered()).reduced
    body = (reduce("sum", 0, "float32"),)
    flat, total = Access("float32", 1, 0, (1,)), Access("float32", 0, 0, (0,))
    rows = canonical(Region((3000,), (0,), (flat,), body, ((1, total),)))[0]
    assert rows.form == "rows"
    assert cpu.source(rows).reduced


def gathered() -> KernelSpec:
    values = Access("float32", 1, 0, (0,), picks=(Pick(1, 500, 1),))
    index, out = Access("int64", 1, 0, (1,)), Access("float32", 1, 0, (1,))
    body = (mapped("f", "{0} * 2.5", (0,), "float32"),)
    return canonical(Region((1000,), (), (values, index), body, ((2, out),)))[0]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="AVX-512 is x86-64's")
def test_whole_registers_are_taken_where_llvm_would_take_halves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    triple = engine.cpu()[0]
    monkeypatch.setattr(engine, "cpu", lambda: (triple, "skylake-avx512", "+avx512f,+avx512vl"))
    monkeypatch.setattr(machine, "_idle", [])
    source = cpu.source(specs(5.0)[0])
    assert "%zmm" in machine.assembly(build.code(source), source.reduced)


def columns() -> KernelSpec:
    body = (reduce("sum", 0, "float32"), mapped("f", "{0} - {1} * 2.5", (0, 1), "float32"))
    access = Access("float32", 2, 0, (300, 1))
    return canonical(Region((200, 300), (0,), (access,), body, ((2, access),)))[0]
