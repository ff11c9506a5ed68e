"""Kernels on disk: nothing is compiled twice, nothing damaged is trusted."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from hybrid.errors import CacheWarning
from hybrid.inspect.info import info
from hybrid.kernels import cache, kernel
from tests.kernels.reference import check, mapped

F32 = "float32"

PROGRAM = """
import sys
from tests.kernels.test_cache import run_one
run_one()
from hybrid.kernels import elf, kernel
stats = kernel.stats()
print(stats.compiled, stats.loaded, "numba" in sys.modules)
if stats.loaded and elf.possible():
    assert "llvmlite" not in sys.modules
"""


def run_one() -> kernel.Kernel:
    x = np.arange(50, dtype=F32)
    body = [mapped("fma", "{0} * 3 + 7", (0,), F32)]
    made, _ = check((50,), (), [x], body, [(1, F32, False)])
    return made


def in_new_process(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "HYBRID_CACHE_DIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def answer(process: subprocess.Popen[str]) -> str:
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return printed.strip()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    run_one()  # what calls kernels is loaded once in a process
    monkeypatch.setenv("HYBRID_CACHE_DIR", str(tmp_path))
    kernel.clear()
    return tmp_path


def entries(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.kernel"))


def test_a_second_process_compiles_nothing_and_needs_no_compiler(tmp_path: Path) -> None:
    assert answer(in_new_process(tmp_path)) == "1 0 True"
    assert answer(in_new_process(tmp_path)) == "0 1 False"


def test_two_processes_at_once(tmp_path: Path) -> None:
    processes = [in_new_process(tmp_path) for _ in range(2)]
    for process in processes:
        assert answer(process) in ("1 0 True", "0 1 False")
    assert len(entries(tmp_path)) == 2  # the kernel, and what calls it
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other"])
def test_a_damaged_entry_is_compiled_again(folder: Path, damage: str) -> None:
    run_one()
    (entry,) = entries(folder)
    whole = entry.read_bytes()
    flipped = bytearray(whole)
    flipped[-100] ^= 1
    entry.write_bytes(
        {"cut": whole[:-7], "flip": bytes(flipped), "empty": b"", "other": b"not ours"}[damage]
    )
    kernel.clear()
    assert not run_one().from_disk
    assert cache.read(entry.stem) is not None
    kernel.clear()
    assert run_one().from_disk


def test_a_folder_that_cannot_be_written_warns_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("HYBRID_CACHE_DIR", str(blocked / "cache"))
    kernel.clear()
    with pytest.warns(CacheWarning, match="HYBRID_CACHE_DIR"):
        run_one()
    kernel.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run_one()


def test_a_user_without_a_home_is_warned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_user(*names: str, **options: object) -> str:
        raise RuntimeError

    monkeypatch.delenv("HYBRID_CACHE_DIR")
    monkeypatch.setattr(platformdirs, "user_cache_dir", no_such_user)
    kernel.clear()
    with pytest.warns(CacheWarning, match="no home folder"):
        run_one()
    assert "no home folder" in info()
    kernel.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run_one()


def test_stats_count(folder: Path) -> None:
    run_one()
    run_one()
    stats = kernel.stats()
    assert (stats.compiled, stats.loaded, stats.hits) == (1, 0, 1)
    assert stats.compile_seconds > 0
