"""What a call costs the host once its Plan is a graph."""

from __future__ import annotations

from benchmarks.gpu_host import SAMPLES, calls


def test_a_call_in_a_loop_asks_a_card_for_one_replay_and_nothing_else() -> None:
    asked, samples = calls(nodes=15, repeat=3)
    assert asked == ["replay"] * 3 * SAMPLES
    assert len(samples) == SAMPLES
