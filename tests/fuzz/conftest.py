"""Random programs run as they do in a session that has run for a while: by native short ways."""

from __future__ import annotations

import pytest

from hybrid.ops import _shortways


@pytest.fixture(autouse=True, scope="session")
def native_ways() -> None:
    """Load what operators become after some thousand calls."""
    _shortways.install()
