"""Every point with every other: n-body forces, pairwise distances, a step of k-means."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Array, Case, Compile, Function, Program, formula

BODIES, SOFTENING = 1000, 1e-2
POINTS, WIDTH = 1000, 32
SAMPLES, FEATURES, CLUSTERS = 20_000, 16, 32


def bodies(size: int) -> tuple[Array, ...]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((size, 3)), rng.uniform(0.5, 1.5, size)


def forces(xp: Any) -> Function:
    def accelerations(x: Any, mass: Any) -> Any:
        offset = x[None, :, :] - x[:, None, :]
        square = xp.sum(offset * offset, axis=-1) + SOFTENING
        weight = mass / (square * xp.sqrt(square))
        return xp.sum(offset * weight[:, :, None], axis=1)

    return accelerations


def cloud(size: int) -> tuple[Array, ...]:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((size, WIDTH), dtype=np.float32),)


def by_broadcasting(xp: Any) -> Function:
    def distances(x: Any) -> Any:
        offset = x[:, None, :] - x[None, :, :]
        return xp.sqrt(xp.sum(offset * offset, axis=-1))

    return distances


def by_product(xp: Any) -> Function:
    def squares(x: Any) -> Any:
        length = xp.sum(x * x, axis=1)
        return xp.maximum(
            length[:, None] + length[None, :] - 2.0 * (x @ x.T), xp.zeros_like(x[0, 0])
        )

    return squares


def clustered(size: int) -> tuple[Array, ...]:
    rng = np.random.default_rng(0)
    centres = 4 * rng.standard_normal((CLUSTERS, FEATURES), dtype=np.float32)
    own = np.arange(size) % CLUSTERS
    samples = centres[own] + rng.standard_normal((size, FEATURES), dtype=np.float32)
    return samples, centres + np.float32(0.1)


def kmeans(xp: Any, sums: Any) -> Function:
    """Return the step; ``sums(values, places)`` adds up the rows of each cluster."""

    def step(x: Any, centres: Any) -> Any:
        square = xp.sum(centres * centres, axis=1) - 2 * (x @ centres.T)
        nearest = xp.argmin(square, axis=1)
        return sums(x, nearest) / sums(xp.ones_like(x[:, :1]), nearest)

    return step


def numpy_kmeans(np: Any, compile: Compile) -> Function:
    def sums(values: Array, places: Array) -> Array:
        total = np.zeros((CLUSTERS, values.shape[1]), values.dtype)
        np.add.at(total, places, values)
        return total  # type: ignore[no-any-return]

    return kmeans(np, sums)


def hybrid_kmeans(hb: Any, compile: Compile) -> Function:
    return compile(kmeans(hb, lambda values, places: hb.segment_sum(values, places, CLUSTERS)))


def torch_kmeans(torch: Any, compile: Compile) -> Function:
    def sums(values: Any, places: Any) -> Any:
        return torch.zeros(CLUSTERS, values.shape[1]).index_add(0, places, values)

    return compile(kmeans(torch, sums))


def jax_kmeans(jax: Any, compile: Compile) -> Function:
    def sums(values: Any, places: Any) -> Any:
        return jax.ops.segment_sum(values, places, CLUSTERS)

    return compile(kmeans(jax.numpy, sums))


KMEANS: dict[str, Program] = {
    "numpy": numpy_kmeans,
    "hybrid": hybrid_kmeans,
    "torch": torch_kmeans,
    "jax": jax_kmeans,
}

CASES = (
    Case(f"n-body forces, {BODIES} bodies", bodies, BODIES, formula(forces), rtol=1e-9, tiny=20),
    Case(
        f"pairwise distances {POINTS}x{WIDTH}, by broadcasting",
        cloud,
        POINTS,
        formula(by_broadcasting),
        traffic=4 * POINTS * (POINTS + WIDTH),
        tiny=20,
    ),
    Case(
        f"pairwise squares {POINTS}x{WIDTH}, by a product",
        cloud,
        POINTS,
        formula(by_product),
        # Where points are near, large numbers cancel.
        rtol=1e-4,
        atol=1e-4,
        traffic=4 * POINTS * (POINTS + WIDTH),
        flops=2 * POINTS * POINTS * WIDTH,
        tiny=20,
    ),
    Case(
        f"k-means step {SAMPLES}x{FEATURES}, {CLUSTERS} clusters",
        clustered,
        SAMPLES,
        KMEANS,
        rtol=1e-3,
        atol=1e-4,
        traffic=2 * 4 * SAMPLES * FEATURES,
        flops=2 * SAMPLES * FEATURES * CLUSTERS,
        tiny=200,
    ),
)
