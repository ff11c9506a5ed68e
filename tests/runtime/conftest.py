"""Fixtures of the runtime's tests."""

from __future__ import annotations

import pytest

from tests.runtime.regions import numpy_kernel


@pytest.fixture
def numpy_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run regions with NumPy: nothing is compiled, and a wrong region gives a wrong result."""
    monkeypatch.setattr(
        "hybrid.runtime.plan.load_kernels",
        lambda regions, written: tuple(map(numpy_kernel, regions)),
    )
