"""``import hybrid`` brings what eager code needs; the rest comes when it is first used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LATER = {
    *("numba", "llvmlite"),  # for the first kernel
    *("scipy", "opt_einsum"),  # for the functions that are theirs
    *("rich", "matplotlib", "tqdm", "platformdirs"),  # for reports and the demo
    *("pandas", "sklearn", "torch", "jax"),  # libraries that take Tensors
    *("numpy.ma", "importlib.metadata", "xml", "ssl", "http", "email", "tempfile"),
}


def test_import_leaves_to_later_what_eager_code_does_not_need() -> None:
    code = "import sys; site = set(sys.modules); import hybrid; print(*set(sys.modules) - site)"
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=root, capture_output=True, text=True
    )
    assert "hybrid" in (loaded := set(done.stdout.split()))
    assert LATER & loaded == set()
