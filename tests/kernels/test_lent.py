"""What a later pass wants waits in the row of a result only where nothing can be lost by that."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hybrid.kernels import cpu, wide
from hybrid.kernels.kernel import kernel_of
from hybrid.kernels.lent import lent_rows
from hybrid.kernels.loopnest import canonical
from hybrid.kernels.region import Access, Instr, Region
from tests.kernels.reference import check, make_region, mapped, reduce, softmax

F32 = "float32"
SHAPE = (30, 200)

# Of x (0) and y (1): exp((x - max(x)) * y), its sum, and their quotient.
WEIGHTS = (
    reduce("max", 0, F32),
    mapped("subtract", "{0} - {1}", (0, 2), F32),
    mapped("multiply", "{0} * {1}", (3, 1), F32),
    mapped("exp", "exp({0})", (4,), F32),
)
SHARES = (*WEIGHTS, reduce("sum", 5, F32), mapped("divide", "{0} / {1}", (5, 6), F32))
# y is read again.
LATER = (*SHARES, mapped("multiply", "{0} * {1}", (7, 1), F32))
# Of y the weights are not made.
APART = (
    reduce("max", 0, F32),
    mapped("subtract", "{0} - {1}", (0, 2), F32),
    mapped("exp", "exp({0})", (3,), F32),
    reduce("sum", 4, F32),
    reduce("max", 1, F32),
    mapped("divide", "{0} / {1}", (4, 5), F32),
    mapped("multiply", "{0} * {1}", (7, 6), F32),
)
# Of the sum of y they are; the pass that computes them reads y for something else.
BESIDE = (
    reduce("max", 1, F32),
    mapped("subtract", "{0} - {1}", (0, 2), F32),
    mapped("exp", "exp({0})", (3,), F32),
    mapped("multiply", "{0} * {1}", (1, 2), F32),
    reduce("sum", 4, F32),
    reduce("sum", 5, F32),
    mapped("divide", "{0} / {1}", (4, 6), F32),
    mapped("multiply", "{0} * {1}", (8, 7), F32),
)
# A function of a later pass waits for the last one beside them, and reads y.
TWICE = (
    *SHARES,
    mapped("add", "{0} + {1}", (7, 1), F32),
    mapped("tanh", "tanh({0})", (8,), F32),
    reduce("sum", 9, F32),
    mapped("multiply", "{0} * {1}", (9, 10), F32),
    mapped("add", "{0} + {1}", (11, 5), F32),
)


def normal(shape: tuple[int, ...] = SHAPE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(F32)


def lent(region: Region) -> dict[int, int]:
    return lent_rows(canonical(region)[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("columns", [60, 1000, 5000])
def test_softmax_needs_no_row_of_its_own_and_is_itself_in_place(dtype: str, columns: int) -> None:
    x = normal((5, columns)).astype(dtype)
    outputs = [(5, dtype, False)]
    kernel, (result,) = check(x.shape, (1,), [x], softmax(dtype), outputs, 1e-5)
    region, _ = make_region(x.shape, (1,), [(x, x)], softmax(dtype), outputs)
    assert lent(region) == {3: 0}
    assert "scratch" not in kernel.source
    kernel.call(0, kernel_of(region)[1], x, x)
    np.testing.assert_array_equal(x, result)


@pytest.mark.parametrize("body", [LATER, APART, BESIDE, TWICE])
def test_no_value_waits_where_another_input_may_be(body: tuple[Instr, ...]) -> None:
    x, y = normal(), normal(seed=1)
    outputs = [(1 + len(body), F32, False)]
    kernel, (result,) = check(SHAPE, (1,), [x, y], body, outputs, 1e-5)
    region, _ = make_region(SHAPE, (1,), [(x, x), (y, y)], body, outputs)
    assert lent(region) == {}
    kernel.call(0, kernel_of(region)[1], x, y, y)
    np.testing.assert_array_equal(y, result)


def log_softmax(dtype: str) -> tuple[Instr, ...]:
    return (
        *softmax(dtype)[:4],
        mapped("log", "log({0})", (4,), dtype),
        mapped("subtract", "{0} - {1}", (2, 5), dtype),
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_exponentials_are_of_waits_for_a_log_softmax(dtype: str) -> None:
    x = normal((5, 1000)).astype(dtype)
    outputs = [(6, dtype, False)]
    kernel, (result,) = check(x.shape, (1,), [x], log_softmax(dtype), outputs, 1e-5)
    assert lent_rows(kernel.spec) == {2: 0}
    region, _ = make_region(x.shape, (1,), [(x, x)], log_softmax(dtype), outputs)
    kernel.call(0, kernel_of(region)[1], x, x)
    np.testing.assert_array_equal(x, result)


def test_what_is_no_function_does_not_wait_where_a_pass_computes_none_or_reads_on() -> None:
    x = normal()
    deviations = (
        reduce("max", 0, F32),
        mapped("subtract", "{0} - {1}", (0, 1), F32),
        reduce("sum", 2, F32),
        mapped("multiply", "{0} * {1}", (2, 3), F32),
    )
    region, _ = make_region(SHAPE, (1,), [(x, x)], deviations, [(4, F32, False)])
    assert lent(region) == {}
    again = (*log_softmax(F32), mapped("multiply", "{0} * {1}", (6, 0), F32))
    kernel, (result,) = check(SHAPE, (1,), [x], again, [(7, F32, False)], 1e-5)
    assert lent_rows(kernel.spec) == {}
    region, _ = make_region(SHAPE, (1,), [(x, x)], again, [(7, F32, False)])
    kernel.call(0, kernel_of(region)[1], x, x)
    np.testing.assert_array_equal(x, result)


def test_a_mask_that_the_weights_are_made_with_lets_them_wait() -> None:
    x, mask = normal(), np.random.default_rng(1).random(SHAPE) < 0.5
    body = (
        mapped("where", "select({0}, {1}, {2})", (1, 0, 0), F32),
        reduce("max", 2, F32),
        mapped("subtract", "{0} - {1}", (2, 3), F32),
        mapped("exp", "exp({0})", (4,), F32),
        reduce("sum", 5, F32),
        mapped("divide", "{0} / {1}", (5, 6), F32),
    )
    region, _ = make_region(SHAPE, (1,), [(x, x), (mask, mask)], body, [(7, F32, False)])
    assert lent(region) == {5: 0}
    check(SHAPE, (1,), [x, mask], body, [(7, F32, False)], 1e-5)


def test_a_result_of_another_dtype_or_with_gaps_lends_nothing() -> None:
    x = normal()
    narrow, _ = make_region(SHAPE, (1,), [(x, x)], softmax(F32), [(5, "float16", False)])
    assert lent(narrow) == {}
    gaps = Access(F32, 2 * x.size, 0, (2 * SHAPE[1], 2))
    strided = Region(SHAPE, (1,), narrow.inputs, narrow.body, ((5, gaps),))
    assert lent(strided) == {}


def test_of_two_results_one_lends_its_row_and_the_other_is_asked_for() -> None:
    x = normal()
    body = (*softmax(F32), mapped("multiply", "{0} * {1}", (3, 4), F32))
    outputs = [(6, F32, False), (5, F32, False)]
    kernel, _ = check(SHAPE, (1,), [x], body, outputs, 1e-5)
    assert lent_rows(kernel.spec) == {3: 0}
    text = cpu.source(kernel.spec).text
    assert "fetch_to_write(out1" in text
    assert "fetch_to_write(out0" not in text


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("columns", [7, 64, 1000, 9000])
def test_the_next_rows_are_asked_for_by_vectors_that_compute_functions(
    dtype: str, columns: int
) -> None:
    x = normal((4, columns)).astype(dtype)
    kernel, _ = check(x.shape, (1,), [x], softmax(dtype), [(5, dtype, False)], 1e-5)
    text = cpu.source(kernel.spec).text
    assert text.count("asking_both(load(in0") == text.count("asking") == 1
    if not wide._has("+avx2"):
        pytest.skip("not an x86 processor with AVX2")
    # Each vector of the loop asks for its line, of the input and of the result.
    assert len(re.findall(r"prefetcht0\t", kernel.assembly())) >= 2
    assert len(re.findall(r"prefetchw\t", kernel.assembly())) >= 2
    # What moves on is one number, not a vector of them. Without AVX-512 exponents are added too.
    assert not wide._has_avx512() or "vpaddq" not in kernel.assembly()


def test_rows_of_other_dtypes_or_with_gaps_are_not_asked_for() -> None:
    x = normal()
    region, _ = make_region(SHAPE, (1,), [(x, x)], softmax(F32), [(5, F32, False)])
    gaps = Access(F32, 2 * x.size, 0, (2 * SHAPE[1], 2))
    strided = Region(SHAPE, (1,), (gaps,), region.body, ((5, gaps),))
    assert "asking" not in cpu.source(canonical(strided)[0]).text
    half, _ = make_region(
        SHAPE, (1,), [(x.astype("float16"),) * 2], softmax(F32), [(5, F32, False)]
    )
    assert "asking(load" not in cpu.source(canonical(half)[0]).text


def test_a_row_of_which_a_sample_is_read_first_is_not_lent() -> None:
    x = normal((30, 2000))
    body = (
        mapped("exp", "exp({0})", (0,), F32),
        reduce("sum", 1, F32),
        mapped("multiply", "{0} * 0.0005", (2,), F32),
        mapped("subtract", "{0} - {1}", (1, 3), F32),
        mapped("multiply", "{0} * {0}", (4,), F32),
        reduce("sum", 5, F32),
        mapped("divide", "{0} / {1}", (4, 6), F32),
    )
    outputs = [(7, F32, False)]
    kernel, (result,) = check(x.shape, (1,), [x], body, outputs, 1e-4)
    assert kernel.spec.moments
    assert lent_rows(kernel.spec) == {}
    region, _ = make_region(x.shape, (1,), [(x, x)], body, outputs)
    kernel.call(0, kernel_of(region)[1], x, x)
    np.testing.assert_array_equal(x, result)
