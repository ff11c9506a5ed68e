"""GPU kernels without a GPU, in processes of their own.

In one, numba's simulator runs generated source; in the other NVIDIA's compiler makes machine code
of it. Neither may share a process with the other, nor with tests that use numba on the CPU alone.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hybrid.kernels.cuda import toolchain
from tests.kernels.cuda.processes import ROOT, run_tests

HERE = Path(__file__).parent


def test_the_cpu_path_knows_nothing_of_cuda() -> None:
    program = """
import sys, numpy as np, hybrid as hb
hb.compile(lambda x: hb.exp(x) + 1)(np.ones(3, np.float32))
from hybrid.kernels import build
loaded = [name for name in sys.modules if name.startswith(("numba.cuda", "cupy", "cuda."))]
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_the_simulator_gives_what_the_cpu_gives() -> None:
    run_tests(HERE / "simulated", NUMBA_ENABLE_CUDASIM="1")


@pytest.mark.skipif(
    bool(toolchain.missing()), reason=f"not installed: {', '.join(toolchain.missing())}"
)
def test_kernels_compile_for_a_card() -> None:
    run_tests(HERE / "compiled", HYBRID_TEST_COMPILED="1")
