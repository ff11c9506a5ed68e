"""Laws that every op of the registry obeys, walked over its own examples."""

from __future__ import annotations

import numpy as np
import pytest

import hybrid.ops.random  # noqa: F401
from hybrid.core.op import OPS, Example, Op
from hybrid.core.spec import TensorSpec
from hybrid.dtypes import is_inexact

CASES = [
    pytest.param(op, example, id=f"{op.name}-{i}")
    for op in OPS.values()
    for i, example in enumerate(op.examples)
]


def inputs_of(example: Example) -> list[np.ndarray]:
    """Draw the inputs of an example, the same ones each time."""
    rng = np.random.default_rng(0)
    names = example.dtypes or ("float32",) * len(example.shapes)
    drawn = []
    for shape, name in zip(example.shapes, names, strict=True):
        dtype = np.dtype(name)
        low, high = example.domain
        if dtype.kind == "c":
            values = rng.uniform(low, high, shape) + 1j * rng.uniform(low, high, shape)
        elif dtype.kind == "u":
            values = rng.integers(0, 3, shape)
        elif dtype.kind in "bi":
            values = rng.integers(int(np.floor(low)), int(np.ceil(high)), shape)
        else:
            values = rng.uniform(low, high, shape)
        drawn.append(np.asarray(values).astype(dtype))
    return drawn if example.prepare is None else list(example.prepare(*drawn))


@pytest.mark.parametrize(("op", "example"), CASES)
def test_infer_says_what_eager_gives(op: Op, example: Example):
    arrays = inputs_of(example)
    before = [a.copy() for a in arrays]
    specs = [TensorSpec(a.shape, a.dtype) for a in arrays]
    results = op.eager(np, *arrays, **example.attrs)
    inferred = op.infer(*specs, **example.attrs)
    pairs = zip(inferred, results, strict=True) if op.multi else [(inferred, results)]
    for spec, result in pairs:
        assert (spec.shape, spec.dtype) == (np.shape(result), np.asarray(result).dtype)
    for array, was in zip(arrays, before):
        np.testing.assert_array_equal(array, was)
    hash(tuple(sorted(example.attrs.items(), key=lambda item: item[0])))


@pytest.mark.parametrize(("op", "example"), CASES)
def test_only_views_share_memory_with_their_inputs(op: Op, example: Example):
    if op.shows or op.multi:
        return
    arrays = inputs_of(example)
    result = np.asarray(op.eager(np, *arrays, **example.attrs))
    assert not any(np.may_share_memory(result, a) for a in arrays)


@pytest.mark.parametrize("op", OPS.values(), ids=lambda op: op.name)
def test_each_op_is_complete(op: Op):
    assert op.doc.endswith(".")
    for example in op.examples:
        arrays = inputs_of(example)
        inferred = op.infer(*(TensorSpec(a.shape, a.dtype) for a in arrays), **example.attrs)
        specs = inferred if op.multi else (inferred,)
        if any(is_inexact(spec.dtype) for spec in specs):
            has_rule = op.vjp is not None or getattr(op, "joint_vjp", None) is not None
            assert has_rule or op.no_gradient, "no rule and no reason"


ODD = (np.nan, np.inf, -np.inf, 0, 1, -1, 7, -7, 1e30)


@pytest.mark.parametrize(("op", "example"), CASES)
@pytest.mark.filterwarnings("ignore")
def test_ops_that_raise_for_what_the_elements_are_say_so(op: Op, example: Example):
    if op.raises or op.family in INTERNAL:
        return
    rng = np.random.default_rng(0)
    for _ in range(4):
        arrays = [_odd(rng, array) for array in inputs_of(example)]
        op.eager(np, *arrays, **example.attrs)


# Their indices are made by hybrid alone, and lie within bounds.
INTERNAL = ("moving", "pooling")


def _odd(rng: np.random.Generator, array: np.ndarray) -> np.ndarray:
    """Return an array of the same kind, some of whose elements are out of the ordinary."""
    if array.dtype.kind == "b":
        return rng.integers(0, 2, array.shape).astype(bool)
    whole = array.dtype.kind in "iu"
    odd = np.asarray([x for x in ODD if not whole or abs(x) <= 7])
    if array.dtype.kind == "u":
        odd = abs(odd)
    picked = np.asarray(rng.choice(odd, array.shape)).astype(array.dtype)
    return np.where(rng.random(array.shape) < 0.5, picked, array)
