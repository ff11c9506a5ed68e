"""Which traces a compiled function keeps."""

from __future__ import annotations

import gc

import numpy as np

import hybrid as hb
from hybrid.trace.concrete import ConcreteFunction
from hybrid.trace.traces import MAX_SIGNATURES


def test_traces_out_of_use_are_forgotten_and_those_in_use_are_not() -> None:
    @hb.compile
    def measure(x: hb.Tensor, name: str) -> hb.Tensor:
        return x + len(name)

    x = hb.ones(3)
    names = [f"name {i:05}" for i in range(2 * MAX_SIGNATURES)]
    measure(x, "hot")
    for name in names:
        measure(x, name)
        np.testing.assert_array_equal(measure(x, "hot"), 4)
    info = measure.cache_info()
    assert info.misses == 1 + len(names)
    assert info.currsize <= MAX_SIGNATURES
    gc.collect()
    alive = [x for x in gc.get_objects() if type(x) is ConcreteFunction and x.name == "measure"]
    assert len(alive) <= MAX_SIGNATURES
    np.testing.assert_array_equal(measure(x, names[0]), 11)
    assert measure.cache_info().misses == 2 + len(names)
