"""The GPU benchmark from end to end, on a card that the host plays."""

from __future__ import annotations

import pytest

from benchmarks import gpu, gpu_peers
from hybrid.core import devices
from hybrid.kernels.cuda import card as cards
from hybrid.kernels.cuda.nvidia import Nvidia
from tests.gpu.fake import fake_cards
from tests.runtime.cuda.fake import FakeCard


class CopyingCard(FakeCard, Nvidia):
    """One that copies as the driver does."""

    def copy(self, target: int, source: int, nbytes: int) -> None:
        self._block(target)[:nbytes] = self._block(source)[:nbytes]


def test_every_line_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "SAMPLES", 1)
    monkeypatch.setattr(gpu_peers, "BATCH", 4)
    monkeypatch.setattr(gpu_peers, "SIZES", (6, 5, 3))
    with fake_cards():
        place = devices.place("cuda:0")
        assert place is not None
        card = CopyingCard(place=place)
        monkeypatch.setitem(cards._known, place, card)
        gpu.print_all(card, [4 * gpu.ROW], side=8, repeat=1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("TFLOP/s of cuBLAS: float64 ")
    assert lines[1].startswith("0 MiB, GB/s: copy ")
    assert [line.strip().split("  ")[0] for line in lines[2:-2]] == list(gpu.CASES)
    assert lines[-2].startswith("host time of a call with 15 nodes: ")
    assert lines[-1].startswith("training step, ms: hybrid ")
    assert {"launch", "multiply", "replay", "capture"} <= set(card.log)
