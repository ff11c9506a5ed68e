"""Histograms in several dimensions."""

from __future__ import annotations

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import ShapeError

X = np.random.default_rng(0).normal(size=(40, 3))
U, V = X[:, 0], X[:, 1]

CALLS = {
    "plane": lambda u, v: np.histogram2d(u, v),
    "edges": lambda u, v: np.histogram2d(u, v, [-2.0, 0.0, 0.5, 3.0]),
    "edges of integers": lambda u, v: np.histogram2d(np.round(u * 3), v, [[-2, 0, 4], 3]),
    "both, density": lambda u, v: np.histogram2d(u, v, [2, [0, 1, 2]], density=True),
    "range": lambda u, v: np.histogram2d(u, v, 4, [(0, 1), (-1, 2)], weights=u * u),
    "half a range": lambda u, v: np.histogramdd([u, v], 4, [(0, 1), None])[0],
    "at both ends": lambda u, v: np.histogram2d(np.clip(u, -1, 1), v, [[-1, 0, 1], 2])[0],
    "one axis": lambda u, v: np.histogramdd(u)[0],
    "rows": lambda u, v: np.histogramdd(np.stack([u, v, u], 1), (2, 3, 4), density=True)[0],
    "nothing": lambda u, v: np.histogram2d(u[:0], v[:0], 2)[0],
    "single precision": lambda u, v: np.histogram2d(u.astype("f4"), v.astype("f4"), 3)[0],
}


@pytest.mark.parametrize(
    "made", [lambda f: f, hb.compile(fullgraph=True)], ids=["eager", "compiled"]
)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_counts_and_edges_are_numpys(call, made):
    for sign in (1, -1):
        expected = call(sign * U, V)
        found = made(call)(hb.asarray(sign * U), hb.asarray(V))
        pairs = [(found, expected)] if type(expected) is np.ndarray else zip(found, expected)
        for ours, theirs in pairs:
            assert ours.dtype == theirs.dtype
            np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-14)


def test_weights_have_gradients():
    def f(w):
        return (hb.histogram2d(U, V, 3, weights=w)[0] ** 2).sum()

    w = hb.asarray(np.abs(U))
    step = np.zeros(40)
    step[4] = 1e-6
    slope = (float(f(w + step)) - float(f(w - step))) / 2e-6
    np.testing.assert_allclose(hb.grad(f)(w).numpy()[4], slope, rtol=1e-6)


@pytest.mark.parametrize("made", [lambda f: f, hb.compile], ids=["eager", "compiled"])
@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda u: np.histogram2d(u, u[1:]), ShapeError, r"x of shape \(40,\) and y of \(39,\)"),
        (lambda u: np.histogramdd([u, u], [2, 3, 4]), ShapeError, "3 bins for points of 2"),
        (lambda u: np.histogramdd([u, u], 2, [(0, 1)]), ShapeError, "1 range for points of 2"),
        (lambda u: np.histogram2d(u, u, [[3.0, 1.0], 2]), ValueError, "monotonic"),
        (lambda u: np.histogram2d(u, u, [np.array([3, 1, 0]), 2]), ValueError, "monotonic"),
        (lambda u: np.histogram2d(u, u, 0), ValueError, "bins is 0"),
    ],
)
def test_what_is_no_grid_is_refused(made, call, error, text):
    with pytest.raises(error, match=text):
        made(call)(hb.asarray(U))
    with pytest.raises(ValueError):
        call(U)
