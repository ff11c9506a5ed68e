"""How much work of a convolution goes together: what was measured."""

from __future__ import annotations

Padding = tuple[tuple[int, int], ...]

# Bytes of planes that one item of work fills: they are read again for each block of channels.
PLANES = 1 << 19
# Items of work from which on work is not cut any finer.
ITEMS = 8
