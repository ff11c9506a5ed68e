"""Random programs run as they do in a session that has run for a while: by native short ways."""

from __future__ import annotations

import os

import pytest

from hybrid.ops import _shortways


@pytest.fixture(autouse=True, scope="session")
def native_ways() -> None:
    """Load what operators become after some thousand calls."""
    _shortways.install()


@pytest.fixture(autouse=True)
def kernels_if_asked_for(request: pytest.FixtureRequest) -> None:
    """Interpret optimised graphs, unless ``HYBRID_FUZZ_KERNELS`` asks for kernels."""
    if not os.environ.get("HYBRID_FUZZ_KERNELS"):
        request.getfixturevalue("without_kernels")
