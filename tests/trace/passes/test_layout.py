"""Where transposes sink below elementwise ops, and where they stay for a kernel to read."""

from __future__ import annotations

import numpy as np

import hybrid as hb
from hybrid.core.graph import verify
from hybrid.trace.passes import dead_code, layout, optimize
from tests.trace.passes.graphs import assert_same, bodies, names, sample, spec, traced


def after(function, *specs):
    graph = traced(function, *specs)
    new = verify(dead_code.run(layout.run(graph)))
    assert_same(graph, new, sample(graph))
    return new


def unmoved(function, *specs):
    graph = traced(function, *specs)
    return layout.run(graph) is graph


def test_a_product_is_given_the_transpose_itself():
    graph = after(lambda x, y: hb.exp(x.T) @ y, spec(4, 3), spec(4, 5))
    assert names(graph) == ["exp", "permute_dims", "matmul"]
    assert graph.nodes[0].output.spec.shape == (4, 3)


def test_chains_move_as_a_whole():
    graph = after(lambda x, y, z: (hb.exp(x.T) * y.T + 1.0) @ z, *[spec(4, 3)] * 2, spec(4, 5))
    assert names(graph) == ["exp", "multiply", "add", "permute_dims", "matmul"]


def test_axes_of_size_one_broadcast_as_before():
    graph = after(lambda x, y: x.T - y.T, spec(4, 3), spec(1, 3))
    assert names(graph) == ["subtract", "permute_dims"]
    graph = after(lambda x, y: hb.where(x.mT > 0, x.mT, y.mT), spec(2, 4, 3), spec(1, 4, 1))
    assert names(graph)[-1] == "permute_dims"


def test_a_kernel_reads_transposes_in_place():
    assert unmoved(lambda x: hb.exp(x.T).sum(axis=0), spec(4, 3))
    assert unmoved(lambda x, y: hb.exp(x.T) + y, spec(4, 3), spec(3, 4))
    assert unmoved(lambda x: hb.cumsum(hb.exp(x.T), axis=0), spec(4, 3))
    graph = traced(lambda x: hb.exp(x.T).sum(axis=0), spec(4, 3))
    assert len(bodies(optimize(graph))) == 1


def test_different_transposes_stay():
    def f(x, y):
        return hb.permute_dims(x, (1, 2, 0)) + hb.permute_dims(y, (2, 0, 1))

    assert unmoved(f, spec(3, 3, 3), spec(3, 3, 3))


def test_results_lie_as_numpys_do():
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    found = hb.compile(lambda x: hb.square(x.T))(x).numpy()
    np.testing.assert_array_equal(found, np.square(x.T))
    assert found.strides == np.square(x.T).strides
