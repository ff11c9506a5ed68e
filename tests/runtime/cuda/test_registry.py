"""Every op is computed on a card by kernels that the simulator runs, or CuPy's for a reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid.core.dispatch import bind
from hybrid.core.layout import contiguous
from hybrid.core.op import OPS, Op
from hybrid.core.spec import TensorSpec
from hybrid.kernels.cuda.source import Source
from hybrid.runtime.cuda.calls import Library
from hybrid.runtime.cuda.plan import plan_for_card
from hybrid.trace.passes import optimize, reading
from tests.kernels.cuda.regions import inputs_of
from tests.trace.passes.graphs import traced

PAGE = Path(__file__).parents[3] / "docs" / "gpu.md"


class Listening:
    """A card as far as making a Plan asks it."""

    threads = 16

    def load(self, source: Source) -> tuple[str, ...]:
        return source.phases


def library_calls(op: Op) -> Iterator[str]:
    """The ops that CuPy computes in a Plan of one op."""
    example = op.examples[0]
    arrays = [np.asarray(x) for x in inputs_of(op, example)]
    specs = [TensorSpec(x.shape, x.dtype, "cuda:0") for x in arrays]
    graph = optimize(traced(lambda *xs: bind(op, xs, example.attrs), *specs))
    layouts = tuple(contiguous(x.shape) for x in arrays)
    card: Any = Listening()
    plan = plan_for_card(graph, layouts, card, frozenset())
    program = plan.run.for_alignment(frozenset()).program  # type: ignore[attr-defined]
    return (call.node.op.name for call in program.calls if isinstance(call, Library))


def reasons() -> dict[str, str]:
    """Why CuPy computes what it does: by family, or by op."""
    table = PAGE.read_text(encoding="utf-8").partition("| computed by CuPy | why |")[2]
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", table.partition("\n\n")[0], re.MULTILINE)
    names = [(name, why) for listed, why in rows for name in listed.split(",")]
    return {name.strip(" `"): why for name, why in names if "---" not in why}


ALONE = [op for op in OPS.values() if op.examples and not op.bodies]


@pytest.mark.parametrize("op", ALONE, ids=lambda op: op.name)
def test_kernels_or_a_reason(op: Op, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LEAST", 1)
    monkeypatch.setattr(reading, "LEAST_ROW", 0)
    known = reasons()
    for name in library_calls(op):
        assert name in known or OPS[name].family in known, f"{name} of {OPS[name].family}"


def test_reasons_are_given_for_what_there_is() -> None:
    families = {op.family for op in OPS.values()}
    assert set(reasons()) <= families | set(OPS)
