"""float16 and bfloat16: what is added up is rounded once, in every mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.ops import _shortways
from tests.modes import MODES

HALVES = [hb.float16, hb.bfloat16]

REDUCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "sum": (lambda x: hb.sum(x, axis=1), lambda x: x.sum(1)),
    "sum of columns": (lambda x: hb.sum(x, axis=0), lambda x: x.sum(0)),
    "mean": (lambda x: hb.mean(x, axis=1), lambda x: x.mean(1)),
    "mean of columns": (lambda x: hb.mean(x, axis=0), lambda x: x.mean(0)),
    "var": (lambda x: hb.var(x, axis=1), lambda x: x.var(1)),
    "std": (lambda x: hb.std(x, axis=0, correction=1), lambda x: x.std(0, ddof=1)),
    "prod": (lambda x: hb.prod(x[:, :9], axis=1), lambda x: x[:, :9].prod(1)),
    "cumsum": (lambda x: hb.cumsum(x, axis=1), lambda x: x.cumsum(1)),
    "cumprod": (lambda x: hb.cumprod(x[:, :9], axis=1), lambda x: x[:, :9].cumprod(1)),
    "norm": (lambda x: hb.vector_norm(x, axis=1), lambda x: np.linalg.norm(x, axis=1)),
    "matmul": (lambda x: x @ x.T, lambda x: x @ x.T),
    "einsum": (lambda x: hb.einsum("ij,kj->ik", x, x), lambda x: x @ x.T),
    "logsumexp": (lambda x: hb.logsumexp(x, axis=1), lambda x: np.log(np.exp(x).sum(1))),
}


@MODES
@pytest.mark.parametrize("dtype", HALVES, ids=lambda d: d.name)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_are_rounded_once(name: str, dtype: Any, mode: Any) -> None:
    function, reference = REDUCTIONS[name]
    x = hb.asarray(np.random.default_rng(0).uniform(0.5, 1.5, (40, 2000)).astype(dtype))
    exact = reference(x.numpy().astype(np.float64))
    found = mode(function, x)
    assert found.dtype == dtype
    eps = float(hb.finfo(dtype).eps)
    np.testing.assert_allclose(found.numpy().astype(np.float64), exact, rtol=0.75 * eps)


@MODES
@pytest.mark.parametrize("dtype", HALVES, ids=lambda d: d.name)
def test_what_fits_does_not_overflow_on_the_way(dtype: Any, mode: Any) -> None:
    x = hb.full(900, 100, dtype=dtype)
    assert mode(hb.mean, x).item() == 100
    assert mode(hb.var, x).item() == 0
    assert mode(hb.std, x).item() == 0
    assert mode(hb.vector_norm, x).item() == hb.asarray(3000.0).astype(dtype).item()
    assert mode(hb.sum, hb.ones(3000, dtype)).item() == hb.asarray(3000.0).astype(dtype).item()


PRODUCTS: dict[str, Callable[..., Any]] = {
    "matrices": lambda x, y: x @ y.T,
    "vectors": lambda x, y: x[0] @ y[1],
    "a vector": lambda x, y: x @ y[0],
    "a batch": lambda x, y: x.reshape(4, 10, 200) @ y.reshape(4, 10, 200).mT,
    "vecdot": lambda x, y: hb.vecdot(x, y),
    "einsum of rows": lambda x, y: hb.einsum("ij,ij->i", x, y),
    "einsum of a batch": lambda x, y: hb.einsum(
        "bij,bkj->bki", x.reshape(4, 10, 200), y.reshape(4, 10, 200)
    ),
    "tensordot": lambda x, y: hb.tensordot(x, y, ((1,), (1,))),
    "beside other ops": lambda x, y: (x * 2) @ (y + 1).T - 1,
    "in a loop": lambda x, y: hb.scan(lambda c, row: ((c @ y.T @ y) * 0.001 + row, c), x[0], x)[0],
    "its gradient": lambda x, y: hb.grad(lambda x: (x @ y.T).sum())(x),
}


@pytest.mark.parametrize("dtype", HALVES, ids=lambda d: d.name)
@pytest.mark.parametrize("name", PRODUCTS)
def test_products_have_the_same_bits_in_both_modes(name: str, dtype: Any) -> None:
    draw = np.random.default_rng(1)
    x, y = (hb.asarray(draw.normal(size=(40, 200)).astype(dtype)) for _ in range(2))
    found, expected = hb.compile(PRODUCTS[name])(x, y), PRODUCTS[name](x, y)
    assert found.dtype == expected.dtype == dtype
    assert found.numpy().tobytes() == expected.numpy().tobytes()


@MODES
@pytest.mark.parametrize("dtype", HALVES, ids=lambda d: d.name)
@pytest.mark.parametrize("product", [hb.vecdot, hb.matmul, lambda x, y: hb.einsum("i,i->", x, y)])
def test_a_product_that_cancels_is_not_rounded_on_the_way(
    product: Any, dtype: Any, mode: Any
) -> None:
    x = hb.asarray(np.array([1 + 2**-7, 1], dtype))
    y = hb.asarray(np.array([1 + 2**-7, -1 - 2**-6], dtype))
    assert mode(product, x, y).item() == 2**-14


def test_the_short_way_of_products_leaves_float16_alone() -> None:
    draw = np.random.default_rng(1)
    x = hb.asarray(draw.normal(size=(60, 200)).astype(np.float16))
    wide = x.astype(hb.float32)
    expected = (wide @ wide.T).astype(hb.float16)
    _shortways.install()
    assert (x @ x.T).numpy().tobytes() == expected.numpy().tobytes()
