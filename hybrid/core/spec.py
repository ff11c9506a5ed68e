"""TensorSpec: what is known of a value that is not there yet."""

from __future__ import annotations

from math import prod

import numpy as np

from hybrid import dtypes
from hybrid.core.unknown import same, spell
from hybrid.records import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Shape, dtype and device of a value.

    Parameters
    ----------
    shape : tuple of int
        In a trace a size may be an :class:`~hybrid.core.unknown.Unknown`; in an ``input_signature``
        None says that it is for each call to decide.
    dtype : dtype
    device : str
        ``"cpu"`` or ``"cuda:0"``.
    weak : bool
        The value stands for a Python scalar: it takes the dtype of the array that it meets.

    Examples
    --------
    >>> from hybrid.dtypes import float32
    >>> str(TensorSpec((2, 3), float32))
    'f32[2,3]'
    """

    shape: Shape
    dtype: dtypes.DType
    device: str = "cpu"
    weak: bool = False

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that a contiguous array of this spec takes."""
        return self.size * self.dtype.itemsize

    def __str__(self) -> str:
        dims = ",".join(map(spell, self.shape))
        text = dtypes.short(self.dtype) + ("*" if self.weak else "")
        place = "" if self.device == "cpu" else f"@{self.device}"
        return f"{text}[{dims}]{place}"


def weak_scalar(value: complex) -> TensorSpec:
    """Return the spec of a Python scalar; NumPy bools, ints, floats map to the widest kind."""
    kind = type(value)
    found = _WEAK.get(kind)
    if found is None:
        kinds = (spec for of, spec in _WEAK.items() if isinstance(value, of))
        found = next(kinds, _WEAK[complex])
    return found


_WEAK: dict[type, TensorSpec] = {
    bool: TensorSpec((), dtypes.bool_, weak=True),
    int: TensorSpec((), dtypes.int64, weak=True),
    float: TensorSpec((), dtypes.float64, weak=True),
    complex: TensorSpec((), dtypes.complex128, weak=True),
}


PYTHON_TYPES: dict[str, type] = {"b": bool, "i": int, "f": float, "c": complex}
"""What a weak value of a kind stands for."""

_WEAK_SAMPLE: dict[str, complex] = {"b": False, "i": 0, "f": 0.0, "c": 0j}


def promote_specs(specs: tuple[TensorSpec, ...]) -> dtypes.DType:
    """Return the dtype in which values of `specs` meet."""
    return dtypes.promote(_WEAK_SAMPLE[s.dtype.kind] if s.weak else s.dtype for s in specs)


_KINDS = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}


def fits(shape: Shape, target: Shape) -> bool:
    """Tell whether an array of `shape` broadcasts to exactly `target`."""
    lead = len(target) - len(shape)
    return lead >= 0 and all(
        same(n, 1) or n in (m, 1) for n, m in zip(shape, target[lead:], strict=True)
    )


def broadcast_shapes(*shapes: Shape) -> Shape:
    """Return the shape that arrays of `shapes` broadcast to.

    Raises
    ------
    ValueError
        Where they do not.
    """
    found: Shape = ()
    for shape in shapes:
        long, short = (found, shape) if len(found) >= len(shape) else (shape, found)
        lead = len(long) - len(short)
        found = (*long[:lead], *map(_broadcast_size, long[lead:], short))
    return found


def _broadcast_size(m: int, n: int) -> int:
    # What is certain comes first: an unknown size is asked for as late as can be.
    if same(m, n) or same(n, 1):
        return m
    if same(m, 1) or m == n or m == 1:
        return n
    if n == 1:
        return m
    raise ValueError("shapes do not broadcast")


def casts(spec: TensorSpec, target: dtypes.DType) -> bool:
    """Tell whether NumPy's ``same_kind`` rule casts a value of `spec` to `target`."""
    if spec.weak:
        return _KINDS[spec.dtype.kind] <= _KINDS.get(target.kind, 2)
    return bool(np.can_cast(spec.dtype, target, "same_kind"))
