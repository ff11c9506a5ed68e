"""What an index means: a view (slice, squeeze, expand_dims), then index arrays on it."""

from __future__ import annotations

import operator
from dataclasses import field
from functools import lru_cache
from typing import Any

import numpy as np

from hybrid.core.asking import has_contents
from hybrid.core.dispatch import bind
from hybrid.core.op import Attrs, Op
from hybrid.core.source import located
from hybrid.core.spec import Shape, TensorSpec
from hybrid.core.storage import Chain
from hybrid.core.tensor import Tensor
from hybrid.core.unknown import is_unknown, same
from hybrid.core.variable import Variable
from hybrid.dtypes import DType
from hybrid.errors import IndexingError
from hybrid.ops.indexing.gather import out_of_bounds, pick
from hybrid.ops.searching import nonzero
from hybrid.ops.slicing import SLICE, slice_bounds
from hybrid.ops.unit_axes import EXPAND_DIMS, SQUEEZE
from hybrid.records import dataclass


@dataclass(slots=True)
class Selection:
    """An index in normal form: a view (slice, drop, insert), then index arrays on it.

    `starts`, `sizes` and `steps` speak of the axes of the array; `drop` of the same axes, `insert`
    of those of the view, `axes` and `at` as in the `gather` op; `sources` are the same axes in the
    array itself, whose shape is `shape`, or -1 for an axis that True or False has put in. `single`
    says that the result is one element that ints alone have chosen, which NumPy returns as a copy.
    """

    starts: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    drop: list[int] = field(default_factory=list)
    insert: list[int] = field(default_factory=list)
    arrays: list[Any] = field(default_factory=list)
    axes: list[int] = field(default_factory=list)
    at: int = 0
    shape: Shape = ()
    steps_of_view: Chain | None = None
    specs: dict[tuple[DType, str], TensorSpec] = field(default_factory=dict)
    sources: list[int] = field(default_factory=list)
    single: bool = True

    def chain(self) -> Chain:
        """Return the view ops of the part of the index that is a view."""
        if self.steps_of_view is not None:
            return self.steps_of_view
        steps: list[tuple[Op, Attrs]] = []
        whole = all(map(same, self.sizes, self.shape))
        if not whole or any(step != 1 for step in self.steps):
            attrs = {"starts": self.starts, "sizes": self.sizes, "steps": self.steps}
            steps.append((SLICE, {k: tuple(v) for k, v in attrs.items()}))
        if self.drop:
            steps.append((SQUEEZE, {"axis": tuple(self.drop)}))
        if self.insert:
            steps.append((EXPAND_DIMS, {"axis": tuple(self.insert)}))
        self.steps_of_view = tuple(steps)
        return self.steps_of_view

    def view(self, x: Tensor) -> Tensor:
        """Apply the part of the index that is a view; `x` itself where there is none."""
        for op, attrs in self.chain():
            x = bind(op, (x,), attrs)
        return x

    def spec_of_view(self, spec: TensorSpec) -> TensorSpec:
        """Return the spec of what the view ops show of a Tensor of `spec`."""
        key = spec.dtype, spec.device
        found = self.specs.get(key)
        if found is None:
            found = self.specs[key] = TensorSpec(self.shape_of_view(), *key)
        return found

    def shape_of_view(self) -> Shape:
        """Return the shape of what the view ops show."""
        shape = [n for axis, n in enumerate(self.sizes) if axis not in self.drop]
        for axis in self.insert:
            shape.insert(axis, 1)
        return tuple(shape)

    def pick(self, view: Tensor) -> Tensor:
        """Apply the index arrays to the view."""
        try:
            return pick(view, tuple(self.arrays), tuple(self.axes), self.at)
        except IndexingError as error:
            concrete = [_known(a) for a in self.arrays]
            # True and False, whose source is -1, are never out of bounds.
            of_axes = [(a, i) for a, i in zip(concrete, self.sources, strict=True) if i >= 0]
            arrays, axes = zip(*of_axes, strict=True)
            clear = out_of_bounds(self.shape, arrays, axes)
            raise (IndexingError(located(str(clear))) if clear else error) from None


def select(index: Any, shape: Shape) -> Selection:
    """Bring an index for an array of `shape` into normal form."""
    entries = _without_ellipsis(_entries(index), shape)
    advanced = any(_is_array(e) or _is_bool(e) for e in entries)
    found = Selection(shape=shape)
    placed: list[bool] = []  # for each entry whether NumPy counts it as an index array
    before_arrays = 0
    dims = 0  # axes of the view so far
    for entry in entries:
        is_advanced = False
        if entry is None:
            found.insert.append(dims)
            dims += 1
            found.single = False
        elif _is_bool(entry):  # as NumPy: an index array on a new axis, with one element or none
            is_advanced = True
            if True not in placed:
                before_arrays = dims
            found.insert.append(dims)
            found.sources.append(-1)
            found.axes.append(dims)
            found.arrays.append(np.zeros(int(entry), np.int64))
            dims += 1
            found.single = False
        elif isinstance(entry, slice):
            _take_slice(found, entry, shape)
            dims += 1
            found.single = False
        elif entry is Ellipsis:
            found.single = False
        elif _is_array(entry):
            is_advanced = True
            if True not in placed:
                before_arrays = dims
            for array in _index_arrays(entry, shape, len(found.starts)):
                found.sources.append(len(found.starts))
                found.axes.append(dims)
                found.arrays.append(array)
                _take_slice(found, slice(None), shape)
                dims += 1
            found.single = False
        else:
            if advanced and True not in placed:
                before_arrays = dims
            is_advanced = advanced
            _take_integer(found, entry, shape)
        placed.append(is_advanced)
    if found.arrays:
        found.at = before_arrays if _adjacent(placed) else 0
    return found


def _entries(index: Any) -> list[Any]:
    entries = list(index) if isinstance(index, tuple) else [index]
    return [_entry(e) for e in entries]


def _entry(entry: Any) -> Any:
    if isinstance(entry, Variable):
        entry = entry.read()
    if isinstance(entry, list | range):
        entry = np.asarray(_lowered(entry)) if len(entry) else np.zeros(0, np.int64)
    if isinstance(entry, np.generic) and entry.dtype.kind in "iu":
        return int(entry)
    if isinstance(entry, Tensor | np.ndarray):
        if entry.dtype.kind == "b" and not entry.ndim:
            return bool(entry)
        if entry.dtype.kind not in "biu":
            raise IndexingError(
                located(f"index arrays hold integers or booleans, not {entry.dtype.name}")
            )
        return entry
    if entry is None or entry is Ellipsis or isinstance(entry, bool | np.bool | int | slice):
        return entry
    try:
        return operator.index(entry)
    except TypeError:
        raise IndexingError(
            located(
                "an index is made of ints, slices, None, ..., integer or boolean arrays, "
                f"not {type(entry).__name__}"
            )
        ) from None


def _lowered(entry: Any) -> Any:
    if isinstance(entry, list | tuple):
        return [_lowered(e) for e in entry]
    return entry.item() if isinstance(entry, Tensor) else entry


def _known(array: Any) -> Any:
    """Return the contents of an index array; nothing of one that stands for a value of a trace."""
    if not isinstance(array, Tensor):
        return np.asarray(array)
    return array.numpy() if has_contents(array) else np.zeros(0)


def _is_array(entry: Any) -> bool:
    return isinstance(entry, Tensor | np.ndarray)


def _is_bool(entry: Any) -> bool:
    return isinstance(entry, bool | np.bool)


def _width(entry: Any) -> int:
    """Return how many axes an entry is for."""
    if entry is None or entry is Ellipsis or _is_bool(entry):
        return 0
    return int(entry.ndim) if _is_array(entry) and entry.dtype.kind == "b" else 1


def _without_ellipsis(entries: list[Any], shape: Shape) -> list[Any]:
    """Spell the ellipsis out in full slices, and those that are left out at the end."""
    count = sum(map(_width, entries))
    if count > len(shape):
        raise IndexingError(
            located(f"the index names {count} axes, an array of shape {shape} has {len(shape)}")
        )
    rest = [slice(None)] * (len(shape) - count)
    places = [i for i, e in enumerate(entries) if e is Ellipsis]
    if len(places) > 1:
        raise IndexingError(located("an index can hold only one ellipsis ('...')"))
    if not places:
        return entries + rest
    # The ellipsis itself stays as a mark: it makes the result a view even if it stands for nothing.
    return [*entries[: places[0] + 1], *rest, *entries[places[0] + 1 :]]


def _take_slice(found: Selection, entry: slice, shape: Shape) -> None:
    start, size, step = slice_bounds(entry, shape[len(found.starts)])
    unknown = is_unknown(size)  # then nobody asks whether there is an element at all
    found.starts.append(start if unknown or size else 0)
    found.sizes.append(size)
    found.steps.append(step if unknown or size > 1 else 1)


def _take_integer(found: Selection, entry: int, shape: Shape) -> None:
    axis = len(found.starts)
    n = shape[axis]
    if not -n <= entry < n:
        raise IndexingError(
            located(
                f"index {entry} is out of bounds for axis {axis} of shape {shape}, "
                f"which has size {n}"
            )
        )
    found.drop.append(axis)
    found.starts.append(entry + n if entry < 0 else entry)
    found.sizes.append(1)
    found.steps.append(1)


def _index_arrays(entry: Any, shape: Shape, axis: int) -> tuple[Any, ...]:
    if entry.dtype.kind != "b":
        return (entry,)
    covered = shape[axis : axis + entry.ndim]
    if entry.shape != covered:
        raise IndexingError(
            located(
                f"a boolean mask of shape {entry.shape} does not fit axes {axis} to "
                f"{axis + entry.ndim - 1} of shape {shape}"
            )
        )
    rows = nonzero(entry)
    if type(entry) is Tensor:
        return rows
    # As an index array of NumPy's, it comes along to the device.
    return tuple(row._data if type(row._data) is np.ndarray else row for row in rows)


def _adjacent(placed: list[bool]) -> bool:
    first = placed.index(True)
    last = len(placed) - 1 - placed[::-1].index(True)
    return all(placed[first : last + 1])


Key = tuple[Any, ...]


def key_of(index: Any) -> Key | None:
    """Return a hashable form of an index of ints, slices, None and ``...``; None for any other."""
    key = []
    for entry in index if type(index) is tuple else (index,):
        kind = type(entry)
        if kind is slice:
            start, stop, step = entry.start, entry.stop, entry.step
            for bound in (start, stop, step):
                if bound is not None and type(bound) is not int:
                    return None
            key.append((start, stop, step))
        elif kind is int or entry is None or entry is Ellipsis:
            key.append(entry)
        else:
            return None
    return tuple(key)


@lru_cache(maxsize=4096)
def selection(key: Key, shape: Shape) -> Selection:
    """Return :func:`select` of the index that has this key; not to be changed."""
    return select(tuple(slice(*e) if type(e) is tuple else e for e in key), shape)


def native(index: Any) -> Any:
    """Return an index with Tensors as ndarrays, for NumPy."""
    if type(index) is tuple:
        return tuple(native(i) for i in index)
    if isinstance(index, Variable):
        index = index.read()
    if isinstance(index, list):
        return [native(i) for i in index]
    return index.numpy() if type(index) is Tensor else index
