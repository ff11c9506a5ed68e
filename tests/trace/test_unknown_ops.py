"""Every op of the registry takes unknown sizes: what its rule says of them holds for others."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.dispatch import bind
from hybrid.core.op import OPS, Example, Op
from tests.ops.test_registry import inputs_of

CASES = [
    pytest.param(op, next(x for x in op.examples if any(x.shapes)), id=op.name)
    for op in OPS.values()
    if not op.impure and op.family not in ("control", "random")
    if any(any(x.shapes) for x in op.examples)
]


def grown(example: Example, by: int) -> Example:
    shapes = tuple(tuple(n if n < 2 else n + by for n in shape) for shape in example.shapes)
    return replace(example, shapes=shapes)


@pytest.mark.parametrize(("op", "example"), CASES)
@pytest.mark.usefixtures("without_kernels")  # sizes are what is tested
def test_any_size_gives_the_eager_result(op: Op, example: Example) -> None:
    compiled = hb.compile(lambda *xs: bind(op, xs, example.attrs), dynamic=True)
    for by in (0, 1, 2):
        try:
            arrays = inputs_of(grown(example, by))
            op.infer(*(hb.asarray(x).spec for x in arrays), **example.attrs)
        except Exception:  # the attributes are for other sizes
            continue
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            expected: Any = bind(op, tuple(map(hb.asarray, arrays)), example.attrs)
            found: Any = compiled(*arrays)
        pairs = zip(found, expected, strict=True) if op.multi else [(found, expected)]
        for a, b in pairs:
            assert a.spec == b.spec
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-5)
