"""Reductions of blocks: large arrays are read once, and results are as exact as in two sweeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hybrid as hb
from hybrid.ops.reduction import blocks
from hybrid.trace.passes import expand
from tests.trace.passes.graphs import names, spec, traced

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "var": hb.var,
    "std": hb.std,
    "softmax": hb.softmax,
    "log_softmax": hb.log_softmax,
    "logsumexp": hb.logsumexp,
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take a cache for small, so that arrays of a few elements are cut into blocks."""
    monkeypatch.setattr(blocks, "CACHE", 512)
    monkeypatch.setattr(blocks, "BLOCK", 512)
    monkeypatch.setattr(blocks, "LEAST", 2)
    monkeypatch.setattr(blocks, "FEW", 2)
    expand._parts.cache_clear()
    yield
    expand._parts.cache_clear()


def is_blocked(function: Callable[..., Any], *arrays: hb.Tensor) -> bool:
    graph = traced(function, *(x.spec for x in arrays))
    return "reshape" in names(expand.run(graph))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    st.sampled_from(sorted(FUNCTIONS)),
    st.sampled_from([(640,), (6, 400), (400, 6), (4, 8, 30), (90, 2, 3), (7, 11)]),
    st.sampled_from(["float32", "float64", "float16", "int16"]),
    st.sampled_from(["plain", "nan", "inf", "-inf", "all -inf", "both"]),
    st.data(),
)
@pytest.mark.usefixtures("small")
def test_blocks_give_what_eager_code_gives(
    name: str, shape: tuple[int, ...], dtype: str, special: str, data: st.DataObject
) -> None:
    axes = data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    values = rng.standard_normal(shape) * 3
    if dtype.startswith("float"):
        rows = values.reshape(-1)
        rows[: {"plain": 0, "all -inf": rows.size}.get(special, rows.size // 2)] = {
            "nan": np.nan,
            "inf": np.inf,
            "both": np.inf,
        }.get(special, -np.inf)
        if special == "both":
            rows[-1] = -np.inf
    x = hb.asarray(values.astype(dtype))
    function = lambda x: FUNCTIONS[name](x, axis=tuple(axes))
    with np.errstate(all="ignore"):
        found, wanted = hb.compile(function)(x), function(x)
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    close = {"float64": 1e-12, "float16": 2e-3}.get(dtype, 2e-6)
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=close, atol=close)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@pytest.mark.parametrize(("axis", "shape"), [(0, (64, 48)), (1, (6, 640)), ((0, 1), (20, 30))])
def test_every_function_of_two_sweeps_is_blocked(name: str, axis: Any, shape: Any) -> None:
    assert is_blocked(lambda x: FUNCTIONS[name](x, axis=axis), hb.ones(shape))


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e5, -1e7])
@pytest.mark.parametrize("kind", ["noise", "trend", "first", "last"])
@pytest.mark.parametrize("axis", [0, None])
def test_variances_are_as_exact_as_in_two_sweeps(offset: float, kind: str, axis: Any) -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((3000, 256)) + offset
    if kind == "trend":
        values += np.linspace(0, 1000, 3000)[:, None]
    elif kind != "noise":
        values[0 if kind == "first" else -1] += 1e6
    x = hb.asarray(values.astype("float32"))
    function = lambda x: hb.var(x, axis=axis)
    assert is_blocked(function, x)
    exact = x.numpy().astype("float64").var(axis=axis)
    error = np.abs(hb.compile(function)(x).numpy() / exact - 1).max()
    two_sweeps = np.abs(function(x).numpy() / exact - 1).max()
    assert error <= two_sweeps + 4e-6


def test_a_variance_of_equal_numbers_is_zero_not_less() -> None:
    x = hb.full((3000, 256), np.float32(1e5) / 3)
    found = hb.compile(lambda x: hb.std(x, axis=0))(x).numpy()
    assert (found >= 0).all()
    assert (found <= hb.std(x, axis=0).numpy() + 1e-6).all()


def test_a_mean_beside_a_variance_shares_its_sums() -> None:
    from hybrid.trace.passes import optimize

    graph = traced(lambda x: (hb.mean(x), hb.var(x)), spec(1000, 1000))
    large = [n for n in optimize(graph).nodes if any(v.spec.size == 1_000_000 for v in n.inputs)]
    assert [n.op.name for n in large if n.op.view is None] == ["fused"]


def test_a_mean_alone_stays_whole() -> None:
    assert not is_blocked(hb.mean, hb.ones((1000, 1000)))


def test_what_a_kernel_computes_is_not_stored_for_the_sake_of_blocks() -> None:
    x = hb.ones((1000, 1000))
    assert is_blocked(hb.var, x)
    assert not is_blocked(lambda x: hb.var(hb.exp(x)), x)
    assert is_blocked(lambda x: hb.var(x.T), x)


def test_what_a_cache_holds_stays_whole() -> None:
    assert not is_blocked(lambda x: hb.softmax(x, axis=1), hb.ones((1000, 1000)))


@pytest.mark.usefixtures("small")
def test_a_prime_number_of_elements_stays_whole() -> None:
    assert not is_blocked(hb.var, hb.ones(1009))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_gradients_are_those_of_eager_code(name: str) -> None:
    x = hb.asarray(np.random.default_rng(1).standard_normal((8, 48)))
    gradient = hb.grad(lambda x: (FUNCTIONS[name](x, axis=1) ** 2).sum())
    np.testing.assert_allclose(hb.compile(gradient)(x).numpy(), gradient(x).numpy(), rtol=1e-10)
