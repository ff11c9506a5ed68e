"""Collected only in the process of test_tiers.py, which has NVIDIA's compiler to itself."""

from __future__ import annotations

import os

if os.environ.get("HYBRID_TEST_COMPILED") != "1":
    collect_ignore_glob = ["test_*.py"]
