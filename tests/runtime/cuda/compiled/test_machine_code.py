"""The kernels of whole Plans become machine code of a card that keeps to registers."""

from __future__ import annotations

import re
import threading
from typing import Any

import numpy as np
import pytest

from hybrid.core.layout import contiguous
from hybrid.core.spec import TensorSpec
from hybrid.kernels.cuda import toolchain
from hybrid.kernels.cuda.source import Source
from hybrid.kernels.cuda.toolchain import HOPPER
from hybrid.runtime.cuda.plan import plan_for_card
from hybrid.trace.passes import optimize
from tests.runtime.cuda.programs import PROGRAMS
from tests.trace.passes.graphs import traced


class Compiler:
    """A card as far as making a Plan asks it: it compiles kernels, and keeps the linker's words."""

    threads = 256
    xp = np

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.logs: list[str] = []

    def load(self, source: Source) -> tuple[Any, ...]:
        self.logs.append(toolchain.build(source, HOPPER).log)
        return source.phases


@pytest.mark.parametrize("name", ["training step", "layer norm", "stencil"])
def test_programs(name: str) -> None:
    program, card = PROGRAMS[name], Compiler()
    # Large enough for split reductions and tiles.
    shapes = [tuple(64 * n for n in shape) for shape in program.shapes]
    graph = traced(program.function, *(TensorSpec(s, np.dtype("float32")) for s in shapes))
    layouts = tuple(map(contiguous, shapes))
    plan_for_card(optimize(graph), layouts, card, frozenset())  # type: ignore[arg-type]
    assert card.logs
    for log in card.logs:
        used = re.findall(r"(\d+) bytes (?:stack frame|spill stores|spill loads)", log)
        assert set(used) == {"0"}, log
