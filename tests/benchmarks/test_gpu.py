"""What the GPU benchmark measures is what its peers compute; without a card it says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hybrid as hb
from benchmarks import gpu, gpu_peers
from hybrid.core import cards
from hybrid.kernels.cuda.spec import refused
from tests.kernels.cuda.processes import run_tests
from tests.kernels.reference import evaluate


@pytest.mark.parametrize("name", gpu.CASES)
def test_the_regions_of_gpu_cases_compute_what_their_peers_do(name: str) -> None:
    case, x = gpu.CASES[name], np.linspace(-1, 1, 3 * gpu.ROW, dtype=np.float32).reshape(3, -1)
    region = gpu.region_of(case, 3)
    assert refused(region) == ""
    (found,) = evaluate(region, [x])
    columns, rows = x.sum(0), x.sum(1)
    mean, variance = x.mean(1, keepdims=True), x.var(1, keepdims=True)
    powers = np.exp(x - x.max(1, keepdims=True))
    wanted = {
        "elementwise": np.tanh(x) * np.exp(-x) + x,
        "sum of rows": rows,
        "sum of columns": columns,
        "sum of all": x.sum(),
        "scan of rows": np.cumsum(x, axis=1),
        "scan of columns": np.cumsum(x, axis=0),
        "softmax": powers / powers.sum(1, keepdims=True),
        "layer norm": (x - mean) / np.sqrt(variance + 1e-5),
    }
    np.testing.assert_allclose(found.squeeze(), wanted[name], rtol=1e-4, atol=1e-3)


def test_without_a_card_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cards, "found", lambda: cards.Found("", (), "no driver"))
    monkeypatch.setattr("sys.argv", ["benchmarks.gpu"])
    assert gpu.main() == 1
    assert capsys.readouterr().out == "nothing to measure: no driver\n"


def test_the_training_step_and_the_replay_are_measured_on_any_device() -> None:
    assert gpu_peers.hybrid_step(1, "cpu") > 0
    assert gpu.replay_time(repeat=2, device="cpu") > 0


def test_the_plan_whose_replay_is_timed_has_fifteen_nodes() -> None:
    f = hb.compile(gpu.chain(15))
    concrete = f.get_concrete_function(hb.ones((16, 16)))
    (segment,) = concrete.segments
    assert len(segment.optimized.nodes) == 15


def test_all_of_it_runs_on_a_simulated_card() -> None:
    run_tests(Path(__file__).parent / "simulated", NUMBA_ENABLE_CUDASIM="1")
