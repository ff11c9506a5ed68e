"""The decorator of every vector math function."""

from __future__ import annotations

from typing import Any

from numba import njit

# forceinline: a function that LLVM declines to inline turns the whole loop into scalar code.
# error_model="numpy": with Python's model a division tests for zero with a branch.
inline: Any = njit(forceinline=True, error_model="numpy")
