"""The layout rules of views say where NumPy puts the elements."""

from __future__ import annotations

import numpy as np
import pytest

from hybrid.core.layout import contiguous
from hybrid.core.op import OPS

X = np.arange(24.0).reshape(2, 3, 4)


def strides_of(array, base):
    start = array.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    return tuple(s // array.itemsize for s in array.strides), start // array.itemsize


VIEWS = [op for op in OPS.values() if op.view is not None]


@pytest.mark.parametrize("op", VIEWS, ids=lambda op: op.name)
def test_view_rule_is_where_numpy_puts_the_elements(op):
    for example in op.examples:
        base = np.zeros(example.shapes[0])
        view = op.eager(np, base, **example.attrs)
        layout = op.view(contiguous(base.shape), **example.attrs)
        assert layout.shape == view.shape
        if view.size == 0:
            continue
        strides, offset = strides_of(view, base)
        assert layout.offset == offset
        for size, ours, numpys in zip(view.shape, layout.strides, strides):
            assert size == 1 or ours == numpys
