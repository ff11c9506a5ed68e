"""What lies where along one spatial axis: results, weights and planes."""

from __future__ import annotations

from itertools import product

from hybrid.core.spec import Shape
from hybrid.records import dataclass


@dataclass(frozen=True, slots=True)
class Axis:
    """How the results of one part lie along a spatial axis, and what each weight meets.

    Result i lies at ``to + i * out_step``. Weight ``taken[k]`` meets element ``i + distances[k]``
    of the plane of ``residues[k]``, whose element j is ``first + residue + j * step`` of the image.
    """

    count: int
    to: int
    out_step: int
    taken: Shape
    residues: Shape
    distances: Shape
    first: int
    step: int

    @property
    def span(self) -> int:
        """How many elements a plane has more than there are results."""
        return max(self.distances, default=0)


def forward_axis(count: int, kernel: int, stride: int, before: int, dilation: int) -> Axis:
    """Describe the axis of a convolution with `count` results."""
    met = [k * dilation for k in range(kernel)]
    residues, distances = tuple(m % stride for m in met), tuple(m // stride for m in met)
    return Axis(count, 0, 1, tuple(range(kernel)), residues, distances, -before, stride)


def backward_axes(size: int, kernel: int, stride: int, before: int, dilation: int) -> list[Axis]:
    """Describe the parts of a gradient by an input with `size` elements.

    Element ``stride * j + residue - before`` got from weight k, if ``k * dilation`` leaves the same
    residue, what lies ``k * dilation // stride`` before place j.
    """
    axes = []
    for residue in range(stride):
        low = -((residue - before) // stride)
        high = (size - 1 + before - residue) // stride
        if low > high:
            continue
        taken = tuple(k for k in range(kernel) if k * dilation % stride == residue)
        back = [k * dilation // stride for k in taken]
        last = max(back, default=0)
        distances = tuple(last - b for b in back)
        to = stride * low + residue - before
        nothing = (0,) * len(taken)
        axes.append(Axis(high - low + 1, to, stride, taken, nothing, distances, low - last, 1))
    return axes


def planes_of(rows: Axis, columns: Axis) -> list[tuple[int, int]]:
    """Return the residues of rows and columns that some weight meets."""
    return list(product(sorted(set(rows.residues)), sorted(set(columns.residues))))


def table_of(
    rows: Axis, columns: Axis, channels: int, plane_rows: int, plane_columns: int
) -> list[int]:
    """Return what each weight meets, counted from the first element of the first plane."""
    planes = planes_of(rows, columns)
    return [
        ((c * len(planes) + planes.index((a, b))) * plane_rows + y) * plane_columns + x
        for c in range(channels)
        for a, y in zip(rows.residues, rows.distances)
        for b, x in zip(columns.residues, columns.distances)
    ]
