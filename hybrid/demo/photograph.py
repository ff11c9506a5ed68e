"""A filter that makes a drawing of a photograph: colours, a 5x5 blur, edges."""

from __future__ import annotations

import hybrid as hb

Array = hb.Tensor

BINOMIAL = (1, 4, 6, 4, 1)  # the weights of a blur along one axis, in 16ths


def luminance(image: Array) -> Array:
    """Return the brightness of an image with red, green and blue from 0 to 1 (Rec. 709).

    Numbers in a file stand for about the square root of an amount of light.
    """
    red, green, blue = (image[:, :, i] ** 2 for i in range(3))
    return hb.sqrt(0.2126 * red + 0.7152 * green + 0.0722 * blue)


def blur(image: Array) -> Array:
    """Return the weighted mean of 5x5 pixels around each, without the outermost two."""
    height, width = image.shape[0] - 4, image.shape[1] - 4
    total = hb.zeros((height, width))
    for i, a in enumerate(BINOMIAL):
        for j, b in enumerate(BINOMIAL):
            total += a * b / 256 * image[i : i + height, j : j + width]
    return total


def edges(image: Array) -> Array:
    """Return how steeply the brightness changes at each pixel, by Sobel's operator."""
    above, here, below = image[:-2], image[1:-1], image[2:]
    across = above + 2 * here + below
    dx = across[:, 2:] - across[:, :-2]
    dy = below[:, :-2] + 2 * below[:, 1:-1] + below[:, 2:]
    dy = dy - (above[:, :-2] + 2 * above[:, 1:-1] + above[:, 2:])
    return hb.sqrt(dx * dx + dy * dy)


def drawing(photograph: Array) -> Array:
    """Turn a photograph (height, width, 3; 0 to 255) into pen lines on a wash of its colours."""
    image = hb.astype(photograph, hb.float32) / 255
    smooth = blur(luminance(image))
    lines = hb.exp(-((2.5 * edges(smooth)) ** 2))
    grey = smooth[1:-1, 1:-1]
    wash = 0.2 * grey[:, :, None] + 0.8 * image[3:-3, 3:-3]
    return (0.2 + 0.8 * wash) * lines[:, :, None]
