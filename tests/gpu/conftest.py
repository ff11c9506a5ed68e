"""Cards for these tests: fake ones, but for the tests marked ``gpu``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gpu.fake import fake_cards


@pytest.fixture(autouse=True)
def _cards(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.node.get_closest_marker("gpu"):
        yield
        return
    with fake_cards():
        yield
