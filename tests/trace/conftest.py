"""What tests of tracing share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hybrid.core import dispatch


@pytest.fixture
def no_tape_around() -> Iterator[None]:
    """An array of another test that wants a gradient keeps a tape open: loops go step by step."""
    with dispatch.scope(recorder=None, tapes=()):
        yield
