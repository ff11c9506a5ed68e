"""What moves elements about, repeats them or puts others around them agrees with NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.making import asarray
from hybrid.core.op import OPS
from hybrid.ops.rearranging import PAD_MODES

X = np.arange(24.0).reshape(2, 3, 4)

SAME_AS_NUMPY = [
    (hb.roll, np.roll, (X, (1, -5), (0, 2))),
    (hb.roll, np.roll, (X, 5)),
    (hb.tile, np.tile, (X, (2, 1, 1, 3))),
    (hb.tile, np.tile, (X, 2)),
    (hb.repeat, np.repeat, (X, 2, 1)),
    (hb.repeat, np.repeat, (X, 3)),
    (hb.repeat, np.repeat, (X, [2, 0, 1], 1)),
    (hb.diff, np.diff, (X, 2, 1)),
    (hb.diff, np.diff, (np.array([True, False]),)),
    *((hb.pad, np.pad, (X, ((1, 0), (2, 1), (0, 3)), mode)) for mode in PAD_MODES),
    (hb.pad, np.pad, (X, 1)),
    (hb.pad, np.pad, (X, (1, 2))),
]


@pytest.mark.parametrize(("ours", "numpys", "args"), SAME_AS_NUMPY)
def test_values_are_numpys(ours, numpys, args):
    np.testing.assert_array_equal(ours(*args).numpy(), numpys(*args), strict=True)


def test_repeat_takes_its_counts_from_a_tensor():
    counts = asarray([2, 0, 1])
    np.testing.assert_array_equal(
        hb.repeat(X, counts, axis=1).numpy(), np.repeat(X, [2, 0, 1], axis=1)
    )
    np.testing.assert_array_equal(hb.repeat(X, asarray(2), axis=0).numpy(), np.repeat(X, 2, axis=0))
    f = hb.compile(lambda t, n: hb.repeat(t, n, axis=1))
    with pytest.warns(hb.errors.EagerFallbackWarning):
        np.testing.assert_array_equal(f(X, counts).numpy(), np.repeat(X, [2, 0, 1], axis=1))


@pytest.mark.parametrize(
    "ends", [{"prepend": 0}, {"append": 0.5}, {"prepend": X[:, :2], "append": X[:, :1] + 1}]
)
@pytest.mark.parametrize("n", [0, 1, 2])
def test_diff_puts_something_before_and_after(ends, n):
    for x in (X, X.astype(int)):
        eager = lambda t: hb.diff(t, n, 1, **ends)
        expected = np.diff(x, n, 1, **ends)
        for result in (eager(x), hb.compile(eager)(x)):
            np.testing.assert_array_equal(np.asarray(result), expected)
            assert n == 0 or result.dtype == expected.dtype
    with pytest.raises(ValueError, match="n is -1"):
        hb.diff(X, n=-1)


@pytest.mark.parametrize("mode", PAD_MODES)
def test_gradient_of_pad_counts_the_copies(mode):
    x, width = asarray(X[0]), ((1, 2), (0, 3))
    attrs = {"width": width, "mode": mode, "value": 0}
    out = hb.pad(x, width, mode)
    weights = np.random.default_rng(0).normal(size=out.shape)
    found = OPS["pad"].vjp[0](asarray(weights), out, x, **attrs).numpy()
    expected = np.zeros(X[0].size)
    if mode == "constant":
        source = np.pad(np.arange(12).reshape(3, 4), width, constant_values=-1)
    else:
        source = np.pad(np.arange(12).reshape(3, 4), width, mode)
    np.add.at(expected, source[source >= 0], weights[source >= 0])
    np.testing.assert_allclose(found, expected.reshape(3, 4))


PADDED = [
    {0: 1}, {-1: (1, 2)}, {0: 1, -2: 2}, {}, {1: (0, 3), 0: 2}, ((1,), (2,)), ((1, 2),), [1], 2,
]  # fmt: skip


@pytest.mark.parametrize("mode", ["constant", "edge", "empty", "mean", "linear_ramp"])
@pytest.mark.parametrize("width", PADDED, ids=str)
def test_pad_takes_widths_as_numpy_does(width: Any, mode: Any) -> None:
    x = np.arange(6.0).reshape(2, 3)
    expected = np.pad(x, width, mode)
    for found in (
        np.pad(hb.asarray(x), width, mode),
        hb.compile(lambda x: np.pad(x, width, mode))(x),
    ):
        assert found.shape == expected.shape
        if mode != "empty":
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("width", "error"),
    [(((1,), (1, 2)), ValueError), ({0: (1, 2, 3)}, ValueError), ({2: 1}, IndexError)],
)
def test_pad_refuses_widths_that_fit_no_axis(width: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="pad"):
        np.pad(hb.ones((2, 3)), width)


def test_an_unknown_mode_of_pad_is_refused():
    with pytest.raises(ValueError, match="mode 'odd' is not one of"):
        hb.pad(X, 1, "odd")
