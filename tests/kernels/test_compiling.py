"""Kernels that are compiled at once are those that are compiled one by one."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hybrid.kernels import build, cache, compiling, cpu, kernel, machine, parallel
from hybrid.kernels.loopnest import canonical
from hybrid.kernels.region import Access, Region
from hybrid.kernels.spec import KernelSpec
from tests.kernels.reference import mapped

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

    def object_code(text: str) -> bytes:
        made.append(threading.current_thread().name)
        if len(made) <= 3:
            inside.wait()
        return compile_one(text)

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
    def refuse(text: str) -> bytes:
        raise RuntimeError("no code")

    wanted = specs(3.0)
    with monkeypatch.context() as patch:
        patch.setattr(machine, "object_code", refuse)
        with pytest.raises(RuntimeError, match="no code"):
            kernel.kernels_for(wanted)
    assert all(cache.read(cache.key(cpu.source(spec).text)) is None for spec in wanted)
    assert len(kernel.kernels_for(wanted)) == 5
