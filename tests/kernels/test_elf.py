"""Object code put into memory by hand runs as LLVM would run it, or is left to LLVM."""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest

from hybrid.kernels import elf, engine, kernel, native, processor
from tests.kernels.reference import check, mapped

pytestmark = pytest.mark.skipif(not elf.possible(), reason="LLVM loads all code here")

# Code, constants, variables with and without a first value, a table of jumps, a call of C's, and
# the addresses of a function here and of one there.
CODE = """
@known = constant [4 x i64] [i64 10, i64 20, i64 30, i64 40]
@count = global i64 5
@empty = global [3 x i64] zeroinitializer
declare i64 @labs(i64)

define i64 @pick(i64 %i) {
  %at = getelementptr [4 x i64], ptr @known, i64 0, i64 %i
  %found = load i64, ptr %at
  %counted = load i64, ptr @count
  %more = add i64 %counted, 1
  store i64 %more, ptr @count
  %zero = load i64, ptr @empty
  %sum = add i64 %found, %zero
  %less = sub i64 %counted, %sum
  %size = call i64 @labs(i64 %less)
  ret i64 %size
}

define ptr @address(i64 %i) {
  %here = icmp eq i64 %i, 0
  %found = select i1 %here, ptr @pick, ptr @labs
  ret ptr %found
}

define double @constant(i64 %i) {
  switch i64 %i, label %e [i64 0, label %a
                           i64 1, label %b
                           i64 2, label %c
                           i64 3, label %d]
a:
  ret double 1.5
b:
  ret double 0.1
c:
  ret double 7.25
d:
  ret double -3.0
e:
  ret double 0.7
}
"""


def answers(address: Callable[[str], int]) -> list[float]:
    pick = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(address("pick"))
    constant = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int64)(address("constant"))
    counted = ctypes.c_int64.from_address(address("count"))
    function = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int64)(address("address"))
    absolute = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(function(1))
    assert function(0) == address("pick")
    results = [*map(pick, range(4)), *map(constant, range(5)), counted.value]
    return [*results, absolute(-3)]


@pytest.fixture(scope="module", params=["jitdefault", "small"])
def code(request: pytest.FixtureRequest) -> bytes:
    emitter = engine.machine(model=request.param)
    return bytes(emitter.emit_object(llvm.parse_assembly(CODE)))


def test_code_runs_as_when_llvm_loads_it(code: bytes) -> None:
    found = elf.load(code)
    assert found is not None
    expected = [5, 14, 23, 32, 1.5, 0.1, 7.25, -3.0, 0.7, 9, 3]
    assert answers(found.__getitem__) == answers(engine.load_object(code)) == expected
    assert answers(elf.load(code).__getitem__) == expected, "its variables are its own"


def test_code_cannot_be_written_and_variables_cannot_run(code: bytes) -> None:
    rights = {}
    found = elf.load(code)
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        rights |= {n: line.split()[1] for n, at in found.items() if start <= at < end}
    assert {n: r[:3] for n, r in rights.items()} == {
        **dict.fromkeys(("pick", "address", "constant"), "r-x"),
        **dict.fromkeys(("count", "empty"), "rw-"),
        "known": "r--",
    }


def changed(code: bytes, at: int, form: str, value: int) -> bytes:
    copy = bytearray(code)
    struct.pack_into(form, copy, at, value)
    return bytes(copy)


def first_relocation(code: bytes) -> int:
    """Where the first relocation of the code section lies in the file."""
    table, count = struct.unpack_from("<Q", code, 40)[0], struct.unpack_from("<H", code, 60)[0]
    for number in range(count):
        _, kind, _, _, at, _, _, info, _, _ = elf._SECTION.unpack_from(code, table + 64 * number)
        if kind == 4 and elf._SECTION.unpack_from(code, table + 64 * info)[2] & 4:
            return at
    raise AssertionError("there is none")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda code: b"",
        lambda code: code[:50],
        lambda code: code[: len(code) // 2],
        lambda code: b"\x7fELF\x01" + code[5:],  # of 32 bits
        lambda code: changed(code, 18, "<H", 183),  # of another processor
        lambda code: changed(code, 16, "<H", 3),  # a shared library
        lambda code: code.replace(b"labs", b"lab5"),  # nobody has it
        lambda code: changed(code, first_relocation(code) + 8, "<I", 3),  # another relocation
        lambda code: changed(code, first_relocation(code), "<Q", 1 << 20),  # beyond its section
    ],
)
def test_what_is_not_known_is_left_to_llvm(code: bytes, spoil: Callable[[bytes], bytes]) -> None:
    spoiled = spoil(code)
    assert spoiled != code
    assert elf.load(spoiled) is None


def test_where_the_system_forbids_it_llvm_loads(
    code: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elf, "_mprotect", lambda: lambda *_: -1)
    assert elf.load(code) is None
    assert elf.instructions(b"\xc3") is None
    assert answers(native.load_object(code))[-2] == 9


def test_kernels_that_llvm_loads_run_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYBRID_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(elf, "load", lambda *_: None)
    kernel.clear()
    x = np.arange(50, dtype=np.float32)
    check((50,), (), [x], [mapped("fma", "{0} * 3 + 8", (0,), "float32")], [(1, "float32", False)])


def test_all_processors_here_have_one_identity() -> None:
    program = "from hybrid.kernels import processor; print(processor.identity().hex())"
    found = set()
    for number in sorted(os.sched_getaffinity(0))[:2]:
        found.add(
            subprocess.run(
                [sys.executable, "-c", program],
                capture_output=True,
                text=True,
                check=True,
                preexec_fn=lambda number=number: os.sched_setaffinity(0, {number}),
                cwd=Path(__file__).parents[2],
            ).stdout.strip()
        )
    assert found == {processor.identity().hex()}


def test_a_processor_has_the_features_that_llvm_finds() -> None:
    named = set(engine.cpu()[2].split(","))
    assert processor.features() == {f for f in processor._FEATURES if f"+{f}" in named}


def test_without_its_own_answers_a_processor_is_what_llvm_calls_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processor, "_asked", lambda: ({}, 0))
    assert processor.features() <= processor.features.__wrapped__()
    assert processor.identity.__wrapped__() == "\0".join(engine.cpu()).encode()


def test_threads_inside_kernels_do_not_hinder_the_end_of_a_process() -> None:
    program = """
import threading, time
import numpy as np
import hybrid as hb
hb.set_num_threads(1)
f = hb.compile(lambda x: hb.tanh(x) * 2.0)
x = hb.asarray(np.ones(200_000, np.float32))
f(x)
def forever():
    while True:
        f(x)
for _ in range(3):
    threading.Thread(target=forever, daemon=True).start()
time.sleep(0.05)
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])
