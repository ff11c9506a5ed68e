"""The page of ops is that of the registry, and what it says of an op is so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hybrid as hb
from hybrid import dtypes
from hybrid.core.op import OPS, Op
from hybrid.inspect.ops_page import accepted, ops_page, taken

PAGE = Path(__file__).parents[2] / "docs" / "ops.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == ops_page(), "run: make docs"


def test_every_op_and_every_function_has_a_row() -> None:
    text = ops_page()
    for name in OPS:
        assert text.count(f"| `{name}` |") == 1
    for name in ("matmul", "asarray", "isdtype", "compile", "where"):
        assert f"| `{name}(" in text
    for function in ("zeros", "softmax"):
        first = getattr(hb, function).__doc__.strip().partition("\n")[0]
        assert first in text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("exp", "any"),
        ("floor", "real or bool"),
        ("bitwise_and", "bits"),
        ("negative", "numeric"),
        ("matmul", "any"),
        ("where", "any"),
        ("cholesky", "c64, c128, f32, f64"),
    ],
)
def test_dtypes_are_named_by_group(name: str, words: str) -> None:
    assert accepted(OPS[name]) == words


def values(spec: hb.TensorSpec, seed: int) -> np.ndarray:
    """Numbers that every op takes for values and for indices; square matrices are definite."""
    numbers = np.random.default_rng(seed).integers(0, 2, spec.shape).astype(spec.dtype)
    if spec.ndim >= 2 and spec.shape[-1] == spec.shape[-2]:
        numbers = numbers * 0 + 3 * np.eye(spec.shape[-1]).astype(spec.dtype)
    return numbers.astype(spec.dtype)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "op", [op for op in OPS.values() if op.examples and op.family != "random"], ids=lambda o: o.name
)
def test_what_the_rule_takes_runs_and_has_the_dtype_it_says(op: Op) -> None:
    example = op.examples[0]
    for dtype in dtypes.SUPPORTED:
        specs = taken(op, example, dtype)
        if specs is None:
            continue
        wanted = op.infer(*specs, **example.attrs)
        found = op.eager(np, *map(values, specs, range(len(specs))), **example.attrs)
        for spec, array in zip(*((wanted, found) if op.multi else ((wanted,), (found,)))):
            assert (np.shape(array), np.asarray(array).dtype) == (spec.shape, spec.dtype), dtype
