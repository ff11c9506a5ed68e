"""The next row's extreme comes along with functions only where no NaN can be lost by that."""

from __future__ import annotations

import numpy as np
import pytest

import hybrid as hb
from hybrid.kernels import parallel
from hybrid.kernels.ahead import ahead_of
from hybrid.kernels.kernel import kernel_of
from hybrid.kernels.region import Instr
from tests.kernels.reference import make_region, mapped, reduce, softmax

F32 = "float32"
SOFTMAX = softmax(F32)
EXPONENTIALS = SOFTMAX[:4]
SUM = 4
# log(sum) + max
LOGSUMEXP = (
    *EXPONENTIALS,
    mapped("log", "log({0})", (SUM,), F32),
    mapped("add", "{0} + {1}", (5, 1), F32),
)
# Of infinite maxima zero is subtracted; the sum has what is NaN all the same.
FINITE = (
    reduce("max", 0, F32),
    mapped("where", "select({0} < 1e30, {0}, 0.0)", (1,), F32),
    mapped("subtract", "{0} - {1}", (0, 2), F32),
    mapped("exp", "exp({0})", (3,), F32),
    reduce("sum", 4, F32),
    mapped("divide", "{0} / {1}", (4, 5), F32),
)
# The sum is of what a NaN does not get through.
STOPPED = (
    reduce("max", 0, F32),
    mapped("subtract", "{0} - {1}", (0, 1), F32),
    mapped("select", "select({0} < 0.0, exp({0}), 1.0)", (2,), F32),
    reduce("sum", 3, F32),
    mapped("divide", "{0} / {1}", (3, 4), F32),
)


def ahead(body: tuple[Instr, ...], outputs: list[tuple[int, bool]], columns: int = 70) -> bool:
    x = np.zeros((6, columns), np.float32)
    wanted = [(value, F32, outer) for value, outer in outputs]
    region, _ = make_region(x.shape, (1,), [(x, x)], body, wanted)
    return ahead_of(kernel_of(region)[0].spec) is not None


def test_a_maximum_is_looked_for_ahead_where_a_nan_spreads_by_the_sum() -> None:
    assert ahead(SOFTMAX, [(5, False)])
    assert ahead(LOGSUMEXP, [(6, True)])
    assert ahead(FINITE, [(6, False)])


def test_it_is_not_where_a_result_would_be_without_its_nan() -> None:
    assert not ahead(STOPPED, [(5, False)])
    assert not ahead(SOFTMAX, [(5, False), (1, True)])  # the maximum is a result
    assert not ahead(EXPONENTIALS, [(3, False)])  # nothing brings all elements together
    assert not ahead(SOFTMAX[:1], [(1, True)])


def expected(x: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        weights = np.exp(x - x.max(1, keepdims=True))
        return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("columns", [1, 7, 60, 1000, 2500])
def test_each_row_has_its_own_maximum_and_its_own_nan(columns: int, dtype: str) -> None:
    rng = np.random.default_rng(columns)
    x = rng.standard_normal((23, columns)).astype(dtype)
    x += 200 * rng.standard_normal((23, 1)).astype(dtype)  # another maximum overflows
    for row, value in ((0, np.nan), (5, np.nan), (9, np.inf), (12, -np.inf), (22, np.nan)):
        x[row, columns // 2] = value
    x[15] = np.nan
    x[17] = -np.inf
    found = hb.compile(lambda x: hb.softmax(x, axis=1))(x).numpy()
    np.testing.assert_allclose(found, expected(x), rtol=1e-4 if dtype == F32 else 1e-12)


@pytest.mark.parametrize("rows", [1, 2, 3, 500])
def test_rows_divided_among_threads_and_in_place_are_the_same(rows: int) -> None:
    x = np.random.default_rng(rows).standard_normal((rows, 300)).astype(F32)
    region, (out,) = make_region(x.shape, (1,), [(x, x)], SOFTMAX, [(5, F32, False)])
    kernel, geometry = kernel_of(region)
    kernel.call(0, geometry, x, out)
    np.testing.assert_allclose(out.reshape(x.shape), expected(x), rtol=1e-5)
    for driver in (0, parallel.driver_address()):
        memory = x.copy()
        kernel.call(driver, geometry, memory, memory)
        np.testing.assert_array_equal(memory, out.reshape(x.shape))


def test_nothing_is_read_of_no_rows() -> None:
    assert hb.compile(lambda x: hb.softmax(x, axis=1))(np.ones((0, 5), np.float32)).shape == (0, 5)
