"""Every op that fuses gives in the simulator what its kernel on the CPU gives."""

from __future__ import annotations

import numpy as np
import pytest

from hybrid.core.op import Op
from hybrid.kernels.kernel import kernel_of
from hybrid.kernels.spec import called_functions
from tests.kernels.cuda.regions import FUSABLE, Case, cases_of, graph_of, inputs_of
from tests.kernels.cuda.simulator import run


def assert_as_on_the_cpu(case: Case, exact: bool) -> None:
    """Elementwise results have the same bits as the CPU's; sums are added in another order."""
    kernel, geometry = kernel_of(case.region)
    on_cpu = [np.zeros_like(array) for array in case.outputs]
    kernel.call(0, geometry, *case.inputs, *on_cpu)
    run(case.region, case.arrays)
    for got, want in zip(case.outputs, on_cpu, strict=True):
        if exact:
            np.testing.assert_array_equal(got, want)
            np.testing.assert_array_equal(np.signbit(got), np.signbit(want))
        else:
            np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("op", [op for op in FUSABLE if op.examples], ids=lambda op: op.name)
def test_op(op: Op) -> None:
    cases = list(cases_of(op, op.examples[0]))
    for case in cases:
        assert_as_on_the_cpu(case, exact=op.elementwise)
    if not cases:
        arrays = inputs_of(op, op.examples[0])
        left = graph_of(op, op.examples[0], arrays).nodes
        assert not any(node.op.scalar or node.op.reduce for node in left), left


def test_ops_without_examples_are_made_of_operators_that_others_test() -> None:
    bare = [op for op in FUSABLE if not op.examples]
    assert all(op.scalar and not called_functions(op.scalar) for op in bare), bare
