"""Other libraries take Tensors: einops, array_api_compat, pandas, matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib

matplotlib.use("Agg")

import einops
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import hybrid as hb
from hybrid.autodiff.tape import GradientTape

X = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)

EINOPS: dict[str, Callable[[Any], Any]] = {
    "rearrange": lambda x: einops.rearrange(x, "a b c -> c (a b)"),
    "rearrange apart": lambda x: einops.rearrange(x, "a b (c d) -> d a (b c)", d=2),
    "rearrange a list": lambda x: einops.rearrange([x, x + 1], "n a b c -> a (n b) c"),
    "reduce": lambda x: einops.reduce(x, "a b c -> a c", "mean"),
    "reduce in blocks": lambda x: einops.reduce(x, "a b (c d) -> b c", "max", d=2),
    "repeat": lambda x: einops.repeat(x, "a b c -> a (r b) c", r=3),
    "einsum": lambda x: einops.einsum(x, x, "a b c, a b d -> c d"),
    "pack": lambda x: einops.pack([x, x[:, 0]], "a * c")[0],
    "unpack": lambda x: einops.unpack(x, [[1], [2]], "a * c")[1],
}


@pytest.mark.parametrize("name", EINOPS)
def test_einops_takes_tensors_eager_traced_and_on_a_tape(name: str) -> None:
    function = EINOPS[name]
    expected = function(X)
    for mode in (function, hb.compile(function, fullgraph=True)):
        found = mode(hb.asarray(X))
        assert type(found) is hb.Tensor
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    x = hb.asarray(X)
    with GradientTape() as tape:
        tape.watch(x)
        total = hb.sum(function(x))
    assert tape.gradient(total, x).shape == x.shape


def test_array_api_compat_finds_the_namespace() -> None:
    compat = pytest.importorskip("array_api_compat")
    assert compat.array_namespace(hb.ones(2), hb.zeros(3)) is hb
    assert compat.is_array_api_obj(hb.ones(2))


def test_pandas_takes_and_gives_tensors() -> None:
    column, table = hb.asarray(X[0, 0]), hb.asarray(X[0])
    assert pd.Series(column).tolist() == X[0, 0].tolist()
    assert pd.Series(column).dtype == np.float32
    frame = pd.DataFrame(table, columns=list("abcd"))
    np.testing.assert_array_equal(frame.to_numpy(), X[0])
    frame = pd.DataFrame({"a": column, "b": [1, 2, 3, 4]}).assign(c=column * 2)
    assert frame["c"].tolist() == (X[0, 0] * 2).tolist()
    np.testing.assert_array_equal((pd.Series(X[0, 0]) + column).to_numpy(), X[0, 0] * 2)
    np.testing.assert_array_equal(hb.asarray(frame["c"]).numpy(), X[0, 0] * 2)
    np.testing.assert_array_equal(hb.asarray(frame).numpy(), frame.to_numpy())


def test_matplotlib_draws_tensors() -> None:
    t, picture = hb.arange(5), hb.asarray(X[0])
    figure, axes = plt.subplots()
    try:
        (line,) = axes.plot(t, t**2, label="squares")
        np.testing.assert_array_equal(np.asarray(line.get_ydata()), np.arange(5) ** 2)
        axes.scatter(t, t, c=t, s=t + 1)
        axes.bar(t, t)
        axes.errorbar(t, t, yerr=hb.ones(5))
        axes.fill_between(t, t, t + 1)
        axes.contour(picture)
        counts = axes.hist(hb.asarray(X.ravel()), bins=4)[0]
        assert np.asarray(counts).sum() == X.size
        assert axes.imshow(picture).get_array().shape == (3, 4)
        axes.set_xlim(t[0], t[-1])
        figure.canvas.draw()
    finally:
        plt.close(figure)


def test_sparse_matrices_multiply_by_themselves() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    x = np.arange(6.0).reshape(2, 3)
    for kind in (sparse.csr_array, sparse.coo_matrix):
        a = kind(np.diag([1.0, 2.0, 3.0]))
        assert np.array_equal(hb.asarray(x) @ a, x @ a)
        assert np.array_equal(a @ hb.asarray(x.T), a @ x.T)
