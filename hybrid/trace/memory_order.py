"""How memory that a trace stands for would lie in eager code.

A Plan makes arrays in C order. NumPy keeps the order of what it computes from: of ``a.T * 2`` the
first axis is the contiguous one. Whether ``reshape`` gives a view of it or a copy depends on that,
and so does what a later write reaches. How memory lies is settled when it is made, whatever is
written to it later; so it is kept with the Storage, and not with the value that it holds.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from hybrid.core.layout import Layout, contiguous
from hybrid.core.op import Attrs, Op
from hybrid.core.spec import Shape, TensorSpec
from hybrid.core.storage import Chain, layout_through
from hybrid.core.unknown import is_unknown, known
from hybrid.records import dataclass
from hybrid.runtime.arguments import layout_of


class Order:
    """How the memory of a Storage lies, where there is more to say than that it is in C order.

    Attributes
    ----------
    layout : Layout or None
        None until somebody asks, where it follows from `made`.
    made : Made or Like, optional
    asked : bool
        Whether there was a question that memory in another order would answer otherwise, and how
        it lies follows from how arguments do.
    """

    __slots__ = ("asked", "layout", "made")

    def __init__(self, layout: Layout | None, made: Made | Like | None = None) -> None:
        self.layout = layout
        self.made = made
        self.asked = False

    def found(self) -> Layout:
        """Return the layout."""
        waiting = [self]  # a loop, and no recursion: chains are long
        while waiting:
            order = waiting[-1]
            if order.layout is None:
                assert order.made is not None
                missing = [x for x in order.made.orders if x.layout is None]
                if missing:
                    waiting += missing
                    continue
                order.layout = order.made.layout()
                order.made = None
            waiting.pop()
        assert self.layout is not None
        return self.layout


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """An array that an op was given: what leads to it from memory that lies in an order."""

    order: Order
    chain: Chain
    spec: TensorSpec

    def layout(self) -> Layout:
        """Return how it lies, once that is known of the memory."""
        found = layout_through(self.chain, self.order.found())
        assert found is not None
        return found


@dataclass(frozen=True, eq=False, slots=True)
class Made:
    """A result of an op: how it lies follows from how its operands do, Parts and numbers."""

    op: Op
    attrs: Attrs
    operands: tuple[Any, ...]
    number: int
    spec: TensorSpec

    @property
    def orders(self) -> list[Order]:
        """How the memory of the operands lies."""
        return [x.order for x in self.operands if type(x) is Part]

    def layout(self) -> Layout:
        """Return how NumPy lays it out; the orders of the operands are known."""
        shape = self.spec.shape
        if self.op.elementwise:
            return kept([x.layout() for x in self.operands if type(x) is Part], shape)
        given = [_like(x) if type(x) is Part else x for x in self.operands]
        attrs = {key: known_all(x) for key, x in self.attrs.items()}
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                found = self.op.eager(np, *given, **attrs)
        except Exception:  # these elements are not what it takes
            return contiguous(shape)
        made = np.asarray(found[self.number] if self.op.multi else found)
        if any(map(is_unknown, shape)):
            return _packed(shape, made.strides)
        return layout_of(made)


@dataclass(frozen=True, eq=False, slots=True)
class Like:
    """A new array that NumPy lays out by the order of another one: ``"K"``, ``"A"`` or ``"C"``."""

    part: Part
    order: Any
    shape: Shape

    @property
    def orders(self) -> list[Order]:
        """How the memory of the other array lies."""
        return [self.part.order]

    def layout(self) -> Layout:
        """Return how NumPy lays it out; the order of the other is known."""
        found = self.part.layout()
        byte = np.empty(1, np.int8)  # of which no more than the strides is looked at
        like = np.lib.stride_tricks.as_strided(
            byte, known_all(found.shape), known_all(found.strides)
        )
        order = self.order
        if order == "A":
            order = "F" if like.flags.fnc else "C"
        # Of few elements, so that no memory is needed to ask.
        made = np.empty_like(like, order=order, shape=_few(self.shape))
        return _packed(self.shape, made.strides)


def _few(shape: Shape) -> tuple[int, ...]:
    return tuple(min(known(n), 2) for n in shape)


def known_all(x: Any) -> Any:
    """Return a number, or those of a tuple, as they are in this call."""
    return tuple(map(known_all, x)) if type(x) is tuple else known(x)


def _like(part: Part) -> np.ndarray[Any, Any]:
    """Return an array of any contents that lies as an operand does."""
    layout = part.layout()
    shape, strides = known_all(layout.shape), known_all(layout.strides)
    reach = [(n - 1) * s for n, s in zip(shape, strides, strict=True)] if 0 not in shape else []
    first = -sum(r for r in reach if r < 0)
    dtype = part.spec.dtype
    size = first + sum(r for r in reach if r > 0) + 1
    memory = np.zeros(size, dtype)
    if dtype.kind in "fc":
        memory[...] = np.random.default_rng(0).random(size)
    step = tuple(s * dtype.itemsize for s in strides)
    return np.lib.stride_tricks.as_strided(memory[first:], shape, step)


def kept(layouts: Sequence[Layout], shape: Shape) -> Layout:
    """Return how NumPy lays out what a ufunc makes of arrays that lie so: its order ``"K"``.

    Which axis goes before which is decided by strides, and by which sizes are 1.
    """
    byte = np.empty(1, np.int8)  # of which no more than the strides is looked at
    arrays = [
        np.lib.stride_tricks.as_strided(
            byte, [min(n, 2) for n in known_all(x.shape)], known_all(x.strides)
        )
        for x in layouts
    ]
    options: Any = [["readonly"]] * len(arrays) + [["writeonly", "allocate"]]
    made = np.nditer([*arrays, None], ["zerosize_ok"], options, order="K").operands[-1]
    return _packed(shape, made.strides)


def _packed(shape: Shape, strides: Sequence[int]) -> Layout:
    """Return the layout without gaps in which axes follow one another as in `strides`."""
    axes = _axes(strides)
    back = tuple(sorted(range(len(shape)), key=lambda i: axes[i]))
    return contiguous(tuple(shape[axis] for axis in axes)).transpose(back)


def _axes(strides: Sequence[int]) -> list[int]:
    """Return the axes as they follow one another in memory, the outermost first."""
    return sorted(range(len(strides)), key=lambda axis: -abs(strides[axis]))


def laid_out(array: np.ndarray[Any, Any], layout: Layout | None) -> np.ndarray[Any, Any]:
    """Return an array of the same elements that lies without gaps, its axes as in `layout`.

    That is `array` itself where it lies so; None is C order.
    """
    if layout is None or in_order(layout):
        return np.ascontiguousarray(array) if array.ndim else array
    axes = _axes(known_all(layout.strides))
    return np.ascontiguousarray(array.transpose(axes)).transpose(np.argsort(axes))


def in_order(layout: Layout) -> bool:
    """Tell whether no axis of a layout is stepped through faster than one behind it."""
    steps = [
        abs(known(s))
        for n, s in zip(layout.shape, layout.strides, strict=True)
        if known(n) != 1 and known(s) != 0
    ]
    return all(a >= b for a, b in pairwise(steps))


def always_view(op: Op, shape: Shape, attrs: Attrs) -> bool:
    """Tell whether an op gives a view however its argument lies in memory."""
    if op.view is None:
        return True
    sizes = known_all(shape)
    # Where a size is not known it is not asked for; as 0 or 1 it would answer for itself only.
    if any(map(is_unknown, shape)) and not set(sizes).isdisjoint((0, 1)):
        return False
    turned = contiguous(sizes[::-1]).transpose(tuple(reversed(range(len(sizes)))))
    return op.view(turned, **{key: known_all(attr) for key, attr in attrs.items()}) is not None
