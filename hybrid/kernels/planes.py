"""Padded copies of images, as convolution kernels read them."""

from __future__ import annotations

from typing import Any

from hybrid.kernels.intrinsics import maximum, minimum
from hybrid.kernels.memory import load, store
from hybrid.kernels.translate import inlined


@inlined
def fill_planes(
    filled: Any,
    image: Any,
    source: Any,
    channels: Any,
    height: Any,
    width: Any,
    plane: Any,
    planes: Any,
    top: Any,
    first_row: Any,
    first_column: Any,
    step_row: Any,
    step_column: Any,
    rows: Any,
    columns: Any,
    zero: Any,
) -> None:
    """Copy `channels` channels that start at element `source` of `image` into planes.

    There are `planes` of them for each channel, of ``rows * columns`` elements. The table `plane`
    says of each at which row and column it starts; element (i, j) is the image's at row
    ``(top + i) * step_row + first_row + its row`` and, likewise, column; outside it is zero.
    """
    size = rows * columns
    for channel in range(channels):
        begin = source + channel * height * width
        for p in range(planes):
            to = (channel * planes + p) * size
            column = load(plane, 2 * p + 1) + first_column
            low = minimum(maximum((step_column - 1 - column) // step_column, 0), columns)
            high = maximum(minimum((width - 1 - column) // step_column + 1, columns), low)
            for i in range(rows):
                row = (top + i) * step_row + load(plane, 2 * p) + first_row
                start = to + i * columns
                if (row < 0) | (row >= height):
                    for j in range(columns):
                        store(filled, start + j, zero)
                else:
                    first = begin + row * width + column
                    for j in range(low):
                        store(filled, start + j, zero)
                    if step_column == 1:
                        for j in range(low, high):
                            store(filled, start + j, load(image, first + j))
                    else:
                        for j in range(low, high):
                            store(filled, start + j, load(image, first + j * step_column))
                    for j in range(high, columns):
                        store(filled, start + j, zero)
