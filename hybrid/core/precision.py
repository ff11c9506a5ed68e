"""How exactly products of float32 matrices are computed on a GPU."""

from __future__ import annotations

FLOAT32, TF32 = "float32", "tf32"
_chosen = FLOAT32


def current() -> str:
    """Return what was asked for: ``"float32"`` or ``"tf32"``."""
    return _chosen


def set_matmul_precision(precision: str) -> None:
    """Say whether GPUs may round float32 operands of matrix products to TF32.

    Parameters
    ----------
    precision : str
        ``"float32"``, the default: products of float32 numbers as they are. ``"tf32"``: tensor
        cores may round operands to 11 bits of mantissa, sums stay float32; several times faster.
        Other dtypes, and products on the CPU, are the same with both.

    Raises
    ------
    ValueError
        For any other precision.

    Examples
    --------
    >>> import hybrid as hb
    >>> hb.set_matmul_precision("float32")
    """
    global _chosen
    if precision not in (FLOAT32, TF32):
        raise ValueError(
            f"set_matmul_precision: there is {FLOAT32!r} and {TF32!r}, not {precision!r}"
        )
    _chosen = precision
