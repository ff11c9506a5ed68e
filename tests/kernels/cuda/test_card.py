"""On a real card: every op that fuses, and the forms of kernels at sizes that fill it."""

from __future__ import annotations

import numpy as np
import pytest

from hybrid.core.op import Op
from hybrid.kernels.cuda.card import Card
from hybrid.kernels.kernel import kernel_of
from hybrid.kernels.region import Instr
from tests.kernels.cuda.card import first_card, run
from tests.kernels.cuda.regions import FUSABLE, cases_of
from tests.kernels.reference import evaluate, layer_norm, make_region, mapped, reduce, softmax

pytestmark = pytest.mark.gpu
F32 = "float32"


@pytest.fixture(scope="module")
def card() -> Card:
    return first_card()


@pytest.mark.parametrize("op", [op for op in FUSABLE if op.examples], ids=lambda op: op.name)
def test_op(card: Card, op: Op) -> None:
    for case in cases_of(op, op.examples[0]):
        kernel, geometry = kernel_of(case.region)
        on_cpu = [np.zeros_like(array) for array in case.outputs]
        kernel.call(0, geometry, *case.inputs, *on_cpu)
        run(card, case.region, case.arrays)
        for got, want in zip(case.outputs, on_cpu, strict=True):
            if op.elementwise:
                np.testing.assert_array_equal(got, want)
            else:
                np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-6)


FORMS: dict[str, tuple[tuple[int, ...], tuple[int, ...], list[Instr], bool]] = {
    "map": ((1_000_003,), (), [mapped("add", "tanh({0}) + {0}", (0,), F32)], False),
    "rows": ((3000, 1000), (1,), [reduce("sum", 0, F32)], True),
    "columns": ((3000, 1000), (0,), [reduce("sum", 0, F32)], True),
    "everything": ((3_000_001,), (0,), [reduce("sum", 0, F32)], True),
    "softmax": ((3000, 1000), (1,), list(softmax(F32)), False),
    "softmax of columns": ((1000, 300), (0,), list(softmax(F32)), False),
    "layer norm": ((3000, 1000), (1,), list(layer_norm(F32, 1000)), False),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms(card: Card, name: str) -> None:
    space, axes, body, reduced = FORMS[name]
    x = np.random.default_rng(0).standard_normal(space).astype(F32)
    region, (out,) = make_region(space, axes, [(x, x)], body, [(len(body), F32, reduced)])
    run(card, region, [x, out])
    (want,) = evaluate(region, [x])
    np.testing.assert_allclose(out.reshape(want.shape), want, rtol=1e-5, atol=1e-3)
    again = np.zeros_like(out)
    run(card, region, [x, again])
    assert out.tobytes() == again.tobytes()


@pytest.mark.parametrize("dtype", [F32, "float64", "int8"])
def test_transposing_copies(card: Card, dtype: str) -> None:
    base = (np.random.default_rng(0).standard_normal((1001, 777)) * 9).astype(dtype)
    region, (out,) = make_region((777, 1001), (), [(base.T, base)], [], [(0, dtype, False)])
    run(card, region, [base, out])
    np.testing.assert_array_equal(out, base.T)
