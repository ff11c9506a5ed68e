"""Where the largest element of each window is, as NumPy finds it in the window alone."""

from __future__ import annotations

import numpy as np
import pytest

from hybrid.kernels import pooling


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize(
    ("window", "stride"),
    [((2, 2), (2, 2)), ((3, 3), (2, 1)), ((1, 2), (1, 3)), ((4, 3), (2, 2)), ((1, 1), (2, 2))],
)
def test_the_first_of_the_largest_is_found(
    window: tuple[int, int], stride: tuple[int, int], padding: int
) -> None:
    padding = min(padding, *(n - 1 for n in window))
    rng = np.random.default_rng(0)
    values = np.array([0, -0.0, 1, 2, np.nan, np.inf, -np.inf], np.float32)
    x = rng.choice(values, (3, 11, 38), p=[0.2, 0.2, 0.2, 0.2, 0.05, 0.05, 0.1])
    places = tuple(
        (n + 2 * padding - size) // step + 1
        for n, size, step in zip(x.shape[1:], window, stride, strict=True)
    )
    found = pooling.argmax(x, places, window, stride, ((padding, padding),) * 2)
    for image, (i, j) in ((image, at) for image in range(3) for at in np.ndindex(places)):
        top, left = i * stride[0] - padding, j * stride[1] - padding
        rows = range(max(top, 0), min(top + window[0], 11))
        columns = range(max(left, 0), min(left + window[1], 38))
        inside = [(y, x) for y in rows for x in columns]
        y, z = inside[int(np.argmax([x[image][at] for at in inside]))]
        assert found[image, i, j] == y * 38 + z
