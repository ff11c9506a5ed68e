"""``hybrid info`` and the command line around it."""

from __future__ import annotations

from pathlib import Path

import pytest

import hybrid as hb
from hybrid.__main__ import main
from hybrid.core.op import OPS
from hybrid.inspect.info import cache_usage, info


def test_info_names_versions_cache_and_ops(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"hybrid {hb.__version__}\n")
    for name in ("python", "numpy", "numba", "cpu", "cache"):
        assert f"\n{name} " in text
    fusable = sum(op.fusable for op in OPS.values())
    assert fusable >= 99
    assert f"{len(OPS)}, {fusable} of them fuse into kernels" in info()


def test_cache_usage_counts_entries(tmp_path: Path) -> None:
    assert cache_usage(tmp_path / "missing") == (0, 0)
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab" / "abc.kernel").write_bytes(b"12345")
    (tmp_path / "ab" / ".abd.part").write_bytes(b"123")
    assert cache_usage(tmp_path) == (1, 5)


def test_without_a_command_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "print versions" in capsys.readouterr().out
