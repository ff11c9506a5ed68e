"""Cards for these tests: fake ones, but for the tests marked ``gpu``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hybrid.kernels.cuda import drawing, scattering
from tests.gpu.fake import add_rows, drawn, fake_cards


@pytest.fixture(autouse=True)
def _cards(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.node.get_closest_marker("gpu"):
        yield
        return
    # Kernels need the simulator, in a process of its own; here NumPy draws and adds.
    monkeypatch.setattr(drawing, "drawn", drawn)
    monkeypatch.setattr(scattering, "add_rows", add_rows)
    with fake_cards():
        yield
