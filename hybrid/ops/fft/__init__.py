"""Discrete Fourier transforms: ``hb.fft``, the extension of the Array API standard and NumPy's.

The transforms are scipy.fft's, which keeps single precision (float32 gives complex64).
"""

from __future__ import annotations

from hybrid.ops.fft.frequencies import fftfreq, fftshift, ifftshift, rfftfreq
from hybrid.ops.fft.real import hfft, ihfft, irfft, rfft
from hybrid.ops.fft.real_axes import irfft2, irfftn, rfft2, rfftn
from hybrid.ops.fft.transforms import fft, fft2, fftn, ifft, ifft2, ifftn

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]


def __dir__() -> list[str]:
    return __all__
