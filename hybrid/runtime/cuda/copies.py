"""Copies from one view to another: the kernel of one, and whether it may read what it writes."""

from __future__ import annotations

from hybrid.core.spec import Shape
from hybrid.kernels.region import Access, Instr, Region
from hybrid.runtime.cuda.calls import View


def copying(source: View, target: View) -> Region:
    """The region that copies one view to another of its shape."""
    have, want = source.dtype.name, target.dtype.name
    shape = target.layout.shape
    body = () if have == want else (Instr("cast", want, "", (0,), want),)
    read, stored = _access(source, shape), _access(target, shape)
    return Region(shape, (), (read,), body, ((len(body), stored),))


def _access(view: View, shape: Shape) -> Access:
    layout = view.layout.expand(shape)
    pairs = zip(layout.shape, layout.strides, strict=True)
    strides = tuple(stride if size != 1 else 0 for size, stride in pairs)
    return Access(view.dtype.name, len(shape), layout.offset, strides)


def meet(a: View, b: View) -> bool:
    """Tell whether different views may show the same bytes."""
    (first, last), (begin, end) = (_bytes(view) for view in (a, b))
    apart = a.address.memory != b.address.memory or last <= begin or end <= first
    return not apart and (a.address, a.layout, a.dtype) != (b.address, b.layout, b.dtype)


def _bytes(view: View) -> tuple[int, int]:
    """From where to where a view that shows something reaches in its memory."""
    steps = [(n - 1) * stride for n, stride in zip(view.layout.shape, view.layout.strides)]
    low, high = sum(s for s in steps if s < 0), sum(s for s in steps if s > 0) + 1
    size, start = view.dtype.itemsize, view.address.offset
    return start + (view.layout.offset + low) * size, start + (view.layout.offset + high) * size
