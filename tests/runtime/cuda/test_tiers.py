"""Plans for a GPU without one: on a simulated card, and compiled, each in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybrid.kernels.cuda import toolchain
from tests.kernels.cuda.processes import run_tests

HERE = Path(__file__).parent


def test_plans_run_on_a_simulated_card() -> None:
    run_tests(HERE / "simulated", NUMBA_ENABLE_CUDASIM="1")


@pytest.mark.skipif(
    bool(toolchain.missing()), reason=f"not installed: {', '.join(toolchain.missing())}"
)
def test_the_kernels_of_plans_compile_for_a_card() -> None:
    run_tests(HERE / "compiled", HYBRID_TEST_COMPILED="1")
