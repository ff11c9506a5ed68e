"""Collected only where the simulator stands in for the card: in the process of test_gpu.py."""

from __future__ import annotations

import os

if os.environ.get("NUMBA_ENABLE_CUDASIM") != "1":
    collect_ignore_glob = ["test_*.py"]
