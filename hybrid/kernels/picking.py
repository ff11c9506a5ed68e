"""Single elements at index arrays: read, added to, set; and whether indices are inside of axes.

NumPy takes 10 to 30 microseconds to find out how to index with two arrays, whatever they hold: the
losses and slopes of 128 examples, one of each row, were a third of a small training step. Elements
are taken in the order of the indices, so that results are NumPy's bit for bit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from math import prod

import numpy as np

from hybrid.core.layout import Layout
from hybrid.core.spec import Shape, TensorSpec
from hybrid.kernels.handwritten import Array, geometry, source_of
from hybrid.kernels.spec import Geometry
from hybrid.kernels.texts import Source
from hybrid.records import dataclass

_DTYPES = frozenset(("float32", "float64", "int32", "int64"))
# More index arrays are NumPy's.
_MOST = 4
# Nanoseconds for an element.
_ELEMENT = 2

_MOVES = {
    "gather": "store(other, other_first + i * other_step, load(array, at))",
    "add": "store(array, at, add(load(array, at), load(other, other_first + i * other_step)))",
    "set": "store(array, at, load(other, other_first + i * other_step))",
}

# What is outside is counted first; then nothing is moved. The loops are ``items``: as vectors they
# would take twice as long to compile, and no less to wait for memory.
_TEXT = """# {mode} {dtype} at {count} index arrays
geometry_pointer = operand(0, "int64", "geometry")
{pointers}


def {name}_run(args, lo, hi):
    geometry = geometry_pointer(args)
{taken}
{unpack}
    outside = 0
    for i in items(0, number):
{checks}
    store(found, 0, outside)
{moves}
"""

_CHECK = """        index_{k} = load(indices_{k}, first_{k} + i * step_{k})
        outside = outside + select((index_{k} < -size_{k}) | (index_{k} >= size_{k}), 1, 0)"""


@dataclass(frozen=True, slots=True)
class Picking:
    """An op with single elements, one for each place of index arrays: what an ``Op.into`` may give.

    Called, it does the same without a kernel.

    Attributes
    ----------
    mode
        ``"gather"``, ``"add"``, ``"set"``: with the elements of an array all of whose axes are
        indexed; ``"check"`` looks at the indices only.
    dtype
        Of the array and the elements.
    shape
        The sizes of the axes that are indexed.
    otherwise
        Takes the inputs of the op, and ``out=``.
    """

    mode: str
    dtype: str
    shape: tuple[int, ...]
    otherwise: Callable[..., None]

    def __call__(self, *inputs: Array, out: Array) -> None:
        """Compute the op without a kernel."""
        self.otherwise(*inputs, out=out)

    @property
    def source(self) -> Source:
        """The kernel: takes the array and the elements if it moves any, indices, and one int64.

        In the last it leaves how many indices are outside; unless that is none, nothing is moved.
        """
        return _source(self.mode, self.dtype, len(self.shape))

    def geometry(
        self,
        block: Shape,
        index: tuple[Layout, ...],
        array: Layout | None = None,
        other: Layout | None = None,
    ) -> Geometry | None:
        """Return the numbers that the kernel is called with; None where something lies otherwise.

        Parameters
        ----------
        block : tuple of int
            The shape of the broadcast indices.
        index : tuple of Layout
        array, other : Layout, optional
            How the array lies, and the elements that are read or written.
        """
        number = prod(block)
        values = {"number": number, "array_first": 0, "other_first": 0, "other_step": 0}
        rows = {f"_{k}": layout for k, layout in enumerate(index)}
        if other is not None:
            rows["other_"] = other
        for name, layout in rows.items():
            row = layout.expand(block).reshape((number,))
            if row is None:
                return None
            first, step = f"first{name}", f"step{name}"
            if name == "other_":
                first, step = "other_first", "other_step"
            values |= {first: row.offset, step: row.strides[0]}
        for k, size in enumerate(self.shape):
            values |= {f"size_{k}": size, f"stride_{k}": 0 if array is None else array.strides[k]}
        if array is not None:
            values["array_first"] = array.offset
        slots = _slots(len(self.shape))
        return geometry(number * _ELEMENT, 0, [1], slots, values)


def numbers_of(geometry: Geometry, k: int) -> tuple[int, int, int, int]:
    """How many indices there are; of array `k` where they begin, their step, and the axis' size."""
    numbers = geometry[3:].tolist()
    return numbers[0], *numbers[4 + 4 * k : 7 + 4 * k]


def _slots(count: int) -> tuple[str, ...]:
    each = (f"{name}_{k}" for k in range(count) for name in ("first", "step", "size", "stride"))
    return ("number", "array_first", "other_first", "other_step", *each)


@functools.cache
def _source(mode: str, dtype: str, count: int) -> Source:
    axes = range(count)
    names, kinds = [f"indices_{k}" for k in axes] + ["found"], ["int64"] * (count + 1)
    moves = []
    if mode != "check":
        names, kinds = ["array", "other", *names], [dtype, dtype, *kinds]
        found = (f"load(indices_{k}, first_{k} + i * step_{k}), size_{k}" for k in axes)
        place = " + ".join(f"from_end({x}) * stride_{k}" for k, x in enumerate(found))
        moves = ["if outside == 0:", "    for i in items(0, number):"]
        moves += [f"        at = array_first + {place}", f"        {_MOVES[mode]}"]
    pointers = [
        f'{name}_pointer = operand({number}, "{kind}", "{name}")'
        for number, (name, kind) in enumerate(zip(names, kinds, strict=True), 1)
    ]
    return source_of(
        f"pick_{mode}",
        _TEXT,
        ("run",),
        _slots(count),
        len(names),
        mode=mode,
        dtype=dtype,
        count=count,
        pointers="\n".join(pointers),
        taken="\n".join(f"    {name} = {name}_pointer(args)" for name in names),
        checks="\n".join(_CHECK.format(k=k) for k in axes),
        moves="\n".join(f"    {line}" for line in moves),
    )


def are_plain(*specs: TensorSpec) -> bool:
    """Whether kernels take index arrays of these specs: int64, and no Python scalars."""
    return all(spec.dtype == np.int64 and not spec.weak for spec in specs)


def takes(base: TensorSpec, index: tuple[TensorSpec, ...], axes: tuple[int, ...]) -> bool:
    """Whether there is a kernel for arrays and indices of these specs."""
    known = base.dtype.name in _DTYPES and 0 < base.ndim <= _MOST
    return known and axes == tuple(range(base.ndim)) and are_plain(*index)
