"""A product that is divided among the threads of kernels is the product."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

import hybrid as hb
from hybrid.kernels import parallel, products
from tests.kernels.reference import layout_of

Array = np.ndarray[Any, Any]

pytestmark = pytest.mark.skipif(products._openblas() is None, reason="NumPy has another BLAS")


def numbers_of(a: Array, b: Array, out: Array) -> Any:
    return products.product_numbers(layout_of(a), layout_of(b), layout_of(out), out.dtype)


def assert_divided(a: Array, b: Array, blocks: int = 2) -> None:
    want = np.matmul(a, b)
    out = np.full_like(want, 7, order="C")
    numbers = numbers_of(a, b, out)
    assert numbers is not None
    assert numbers[1] >= min(blocks, parallel.available())
    products.multiply()(numbers, a, b, out)
    if want.dtype.kind in "iu":
        assert np.array_equal(out, want)
    else:
        scale = np.abs(a).max() * np.abs(b).max() * a.shape[-1]
        assert np.abs(out - want).max() <= 4 * np.finfo(want.dtype).eps * scale


@pytest.fixture(autouse=True)
def _three_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut as for three processors, whatever there are: blocks are then of unequal size."""
    monkeypatch.setattr(parallel, "available", lambda: 3)
    monkeypatch.setattr(parallel, "_start", lambda pool: None)


@settings(max_examples=25)
@given(
    st.sampled_from([(300, 40, 200), (200, 40, 300), (100, 260, 101), (131, 2048, 1)]),
    st.sampled_from(["f4", "f8", "c8", "i4"]),
    st.sampled_from(["CC", "CF", "FC", "FF"]),
    st.integers(0, 99),
)
def test_matrices_of_any_strides_are_multiplied(
    sizes: tuple[int, int, int], dtype: str, orders: str, seed: int
) -> None:
    rows, inner, columns = sizes
    rng = np.random.default_rng(seed)
    a = np.array(rng.standard_normal((rows, inner)) * 9, dtype, order=orders[0])
    b = np.array(rng.standard_normal((inner, columns)) * 9, dtype, order=orders[1])
    assert_divided(a, b)


@settings(max_examples=10)
@given(
    st.sampled_from([((7,), (7,)), ((2, 5), (2, 5)), ((2, 5), ()), ((), (2, 5)), ((3, 1), (3, 4))]),
    st.booleans(),
)
def test_batches_are_cut_between_their_matrices(
    batches: tuple[tuple[int, ...], tuple[int, ...]], swapped: bool
) -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((*batches[0], 40, 50), dtype=np.float32)
    b = rng.standard_normal((*batches[1], 50, 60), dtype=np.float32)
    if swapped:
        b = np.ascontiguousarray(b.swapaxes(-1, -2)).swapaxes(-1, -2)
    assert_divided(a, b)


@settings(max_examples=20)
@given(
    st.sampled_from([(4, 3), (3, 5), (1, 6), (7, 1), (2, 2)]),
    st.sampled_from(["f4", "f8", "c8", "i4"]),
    st.sampled_from(["heads", "turned", "both", "broadcast"]),
)
def test_batches_of_two_axes_that_no_single_step_goes_through_are_divided(
    batch: tuple[int, int], dtype: str, which: str
) -> None:
    rng = np.random.default_rng(0)
    outer, heads = batch
    x, y = (9 * rng.standard_normal((2, outer, 72, heads, 60))).astype(dtype)
    a, b = x.swapaxes(1, 2), y.swapaxes(1, 2).swapaxes(2, 3)
    if which == "turned":
        a, b = b, a
    elif which == "both":
        a, b = a[::-1], b[:, ::-1]
    elif which == "broadcast":
        b = b[:, :1]
    assert_divided(a, b)


def test_batches_of_more_steps_than_two_are_left() -> None:
    x = np.ones((3, 60, 3, 60, 3)).transpose(4, 2, 0, 1, 3)
    assert numbers_of(x, x, np.matmul(x, x)) is None


def test_vectors_are_multiplied() -> None:
    rng = np.random.default_rng(0)
    a, v = rng.standard_normal((700, 400)), rng.standard_normal(400)
    assert_divided(a, v)
    assert_divided(v, a.T)


def test_small_and_empty_products_are_left() -> None:
    small, empty = np.ones((60, 60)), np.ones((0, 600))
    assert numbers_of(small, small, small) is None
    assert numbers_of(empty, np.ones((600, 600)), empty) is None


def test_arguments_are_checked() -> None:
    x = np.ones((100, 100))
    with pytest.raises(TypeError):
        products.multiply()(numbers_of(x, x, x), x, x)
    with pytest.raises(TypeError):
        products.multiply()(numbers_of(x, x, x), x, x, [1.0])


def blas_threads() -> list[int]:
    return [x["num_threads"] for x in threadpool_info() if "numpy" in x["filepath"]]


def test_many_callers_leave_the_threads_of_blas_as_they_were() -> None:
    x = np.random.default_rng(0).standard_normal((128, 128))
    want, before, wrong = x @ x, blas_threads(), []

    def work() -> None:
        out = np.zeros_like(x)
        for _ in range(30):
            products.multiply()(numbers_of(x, x, out), x, x, out)
            if not np.allclose(out, want):
                wrong.append(out)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert blas_threads() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_multiplies() -> None:
    code = """
import os, numpy as np, hybrid as hb
x = np.random.default_rng(0).standard_normal((256, 256), dtype=np.float32)
f = hb.compile(lambda a: a @ a + 1)
want = f(x).numpy()
child = os.fork()
if not child:
    os._exit(0 if np.allclose(f(x).numpy(), want) else 1)
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_heads_of_attention_are_numpys_whatever_sizes_follow() -> None:
    heads = 4

    def split(x: Any) -> Any:
        batch, length, width = x.shape
        return x.reshape(batch, length, heads, width // heads).transpose((0, 2, 1, 3))

    def attend(q: Any, k: Any) -> Any:
        return split(q) @ split(k).mT @ split(k)

    compiled, rng = hb.compile(attend), np.random.default_rng(0)
    for batch in (2, 8, 1, 5):
        for length in (16, 128, 77):
            q, k = rng.standard_normal((2, batch, length, 64))
            want = split(q) @ split(k).swapaxes(-1, -2) @ split(k)
            assert np.abs(compiled(hb.asarray(q), hb.asarray(k)).numpy() - want).max() < 1e-9
