"""Every op gives what its eager form gives, however its inputs lie in memory and however long.

The registry drives this: shapes and strides are drawn around the examples that each op names.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hybrid as hb
from hybrid.core.dispatch import bind
from hybrid.core.op import OPS, Example, Op
from hybrid.core.spec import TensorSpec
from hybrid.errors import AxisError
from tests.ops.test_registry import inputs_of

WITH_EXAMPLES = [pytest.param(op, id=op.name) for op in OPS.values() if op.examples]
LED = [pytest.param(op, id=op.name) for op in OPS.values() if op.examples and op.lead is not None]
ELEMENTWISE = [
    pytest.param(op, id=op.name)
    for op in OPS.values()
    if op.family == "elementwise" and op.examples and not op.examples[0].attrs
]


def lying(array: np.ndarray, how: str) -> np.ndarray:
    """Return the same elements in memory that lies otherwise."""
    if not array.ndim:
        return array
    if how == "backwards":
        return array[(slice(None, None, -1),) * array.ndim].copy()[
            (slice(None, None, -1),) * array.ndim
        ]
    if how == "by columns":
        return np.asarray(array, order="F")
    if how == "with gaps":
        wide = np.zeros([2 * n + 1 for n in array.shape], array.dtype)
        part = wide[tuple([slice(1, None, 2)] * array.ndim)]
        part[...] = array
        return part
    if how == "read-only":
        array = array.copy()
        array.flags.writeable = False
    return array


LAYOUTS = st.sampled_from(["backwards", "by columns", "with gaps", "read-only", "as is"])


def results(found: Any) -> list[np.ndarray]:
    parts = found if isinstance(found, tuple | list) else (found,)
    return [x.numpy() if isinstance(x, hb.Tensor) else np.asarray(x) for x in parts]


def assert_close(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        wide = one.dtype.kind in "fcV" and one.size
        kind = np.complex128 if one.dtype.kind == "c" else np.float64
        if wide:
            rough = {1: 1e-2, 2: 1e-2, 4: 1e-4}.get(one.dtype.itemsize, 1e-9)
            rough = 1e-4 if one.dtype == np.complex64 else rough
            np.testing.assert_allclose(
                one.astype(kind), other.astype(kind), rtol=rough, atol=rough, equal_nan=True
            )
        else:
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("op", WITH_EXAMPLES)
@settings(max_examples=12)
@given(data=st.data())
def test_strides_make_no_difference(op: Op, data: st.DataObject) -> None:
    example: Example = data.draw(st.sampled_from(op.examples))
    plain = inputs_of(example)
    arrays = [lying(a, data.draw(LAYOUTS)) for a in plain]
    with np.errstate(all="ignore"):
        expected = results(op.eager(np, *plain, **example.attrs))
        found = results(bind(op, tuple(map(hb.asarray, arrays)), example.attrs))
    assert_close(found, expected)
    for array, was in zip(arrays, plain, strict=True):
        np.testing.assert_array_equal(array, was)


@pytest.mark.parametrize("op", LED)
@settings(max_examples=8)
@given(data=st.data(), size=st.sampled_from([0, 1, 3]))
def test_a_leading_axis_of_any_size_is_one_result_for_each(
    op: Op, data: st.DataObject, size: int
) -> None:
    example: Example = data.draw(st.sampled_from(op.examples))
    arrays = inputs_of(example)
    assert op.lead is not None
    attrs = op.lead(example.attrs, size, *(a.shape for a in arrays))
    if attrs is None or not arrays:
        return
    batch = [np.stack([a] * size) if size else np.zeros((0, *a.shape), a.dtype) for a in arrays]
    with np.errstate(all="ignore"):
        one = results(op.eager(np, *arrays, **example.attrs))
        found = results(bind(op, tuple(map(hb.asarray, batch)), attrs))
    expected = [np.broadcast_to(r, (size, *r.shape)) for r in one]
    assert_close(found, expected)
    specs = op.infer(*(TensorSpec(b.shape, b.dtype) for b in batch), **attrs)
    assert [s.shape for s in (specs if op.multi else (specs,))] == [f.shape for f in found]


@pytest.mark.parametrize("op", ELEMENTWISE)
@settings(max_examples=15)
@given(data=st.data())
def test_elementwise_ops_broadcast_all_shapes(op: Op, data: st.DataObject) -> None:
    """Axes of no elements and of one, and no axes, are among them."""
    example = op.examples[0]
    count = len(example.shapes)
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=count, min_side=0, max_dims=3))
    drawn = Example(shapes.input_shapes, dtypes=example.dtypes, domain=example.domain)
    arrays = inputs_of(drawn)
    whole = [np.array(a) for a in np.broadcast_arrays(*arrays)]
    layouts = [data.draw(LAYOUTS) for _ in arrays]
    with np.errstate(all="ignore"):
        expected = results(op.eager(np, *whole))
        found = results(bind(op, tuple(map(hb.asarray, map(lying, arrays, layouts))), {}))
    assert found[0].shape == shapes.result_shape
    assert_close(found, expected)


X = np.random.default_rng(0).uniform(0.1, 0.9, (2, 3, 4)).astype(np.float32)


def takes_an_axis() -> list[str]:
    """Return the public functions that take one array and an axis, all else left out."""
    found = []
    for name in hb.__all__:
        function = getattr(hb, name)
        if not inspect.isfunction(function) or "axis" not in inspect.signature(function).parameters:
            continue
        try:
            function(X, axis=1)
        except Exception:  # which asks for more than an array and an axis
            continue
        found.append(name)
    return found


@pytest.mark.parametrize("name", takes_an_axis())
def test_negative_axes_count_from_the_end(name: str) -> None:
    function = getattr(hb, name)
    ndim = 0
    while accepts(function, ndim):  # of the result, where the function makes an axis
        ndim += 1
    assert ndim >= 2
    for axis in range(ndim):
        assert_close(results(function(X, axis=axis - ndim)), results(function(X, axis=axis)))
    assert not accepts(function, -ndim - 1)


def accepts(function: Any, axis: int) -> bool:
    """Tell whether there is such an axis; what is raised otherwise names function and shape."""
    try:
        function(X, axis=axis)
    except AxisError as error:
        text = str(error)
    else:
        return True
    assert re.match(rf"\w+: axis {axis} does not exist in an array of shape \(", text)
    return False


def test_most_functions_of_an_axis_are_reached() -> None:
    assert {"sum", "sort", "cumsum", "flip", "softmax", "median", "stack"} <= set(takes_an_axis())
    assert len(takes_an_axis()) > 40
