"""Fourier transforms: a low-pass filter of a signal, and of an image."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Array, Case, Function, formula, uniform

SIGNAL, KEPT = 2**18, 1 / 16
SIDE = 512


def low_pass(xp: Any) -> Function:
    def filtered(x: Any) -> Any:
        spectrum = xp.fft.rfft(x)
        kept = xp.arange(spectrum.shape[0]) < KEPT * spectrum.shape[0]
        return xp.fft.irfft(xp.where(kept, spectrum, 0.0), x.shape[0])

    return filtered


def image_and_mask(size: int) -> tuple[Array, ...]:
    rng = np.random.default_rng(0)
    far = np.fft.fftfreq(size)[:, None] ** 2 + np.fft.rfftfreq(size) ** 2
    return rng.uniform(0.0, 1.0, (size, size)), np.exp(-200 * far)


def blurred(xp: Any) -> Function:
    return lambda x, mask: xp.fft.irfft2(xp.fft.rfft2(x) * mask)


CASES = (
    Case(
        f"FFT low-pass filter 2^{SIGNAL.bit_length() - 1}",
        uniform(1, "float64"),
        SIGNAL,
        formula(low_pass),
        atol=1e-12,
        traffic=2 * 8 * SIGNAL,
        tiny=64,
    ),
    Case(
        f"FFT blur {SIDE}x{SIDE}",
        image_and_mask,
        SIDE,
        formula(blurred),
        atol=1e-12,
        traffic=2 * 8 * SIDE**2,
        tiny=16,
    ),
)
