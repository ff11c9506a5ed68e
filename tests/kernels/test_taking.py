"""Rows at places: NumPy's bit for bit, whatever the rows and the threads."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest

from hybrid.kernels import build, spec, taking


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint32", "complex64"])
@pytest.mark.parametrize("row", [(1,), (3,), (16,), (32,), (7, 5), (100,)])
def test_rows_are_copied_bit_for_bit(row: tuple[int, ...], dtype: str) -> None:
    rng = np.random.default_rng(0)
    base = np.frombuffer(rng.bytes(11 * int(np.prod(row)) * np.dtype(dtype).itemsize), dtype)
    base = base.reshape(11, *row)
    index = rng.integers(-11, 11, (40, 3))
    alone, shared = np.zeros((2, 40, 3, *row), dtype)
    taking.take_rows(base, index, alone)
    with mock.patch.object(taking, "_PART", spec.PARALLEL_NS):
        taking.take_rows(base, index, shared)
    assert alone.tobytes() == shared.tobytes() == base[index].tobytes()


@pytest.mark.parametrize("index_dtype", ["uint8", "int32", "int64"])
def test_indices_of_any_integers_are_taken(index_dtype: str) -> None:
    base = np.arange(24.0).reshape(6, 4)
    index = np.random.default_rng(1).integers(0, 6, 100).astype(index_dtype)[::2]
    out = np.zeros((50, 4))
    taking.take_rows(base, index, out)
    np.testing.assert_array_equal(out, base[index])


@pytest.mark.parametrize("width", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_compiling_prints_nothing(
    dtype: str, width: int, capfd: pytest.CaptureFixture[str]
) -> None:
    build.build(taking._source(dtype, width))  # past the cache
    assert capfd.readouterr() == ("", "")
