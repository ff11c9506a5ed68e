"""Indexing: ``x[index]`` with NumPy's rules, gathering and functional updates.

A basic index (ints, slices, None, ``...``) becomes at most three view ops: slice, squeeze,
expand_dims. Index arrays become one `gather` behind them. A boolean mask stands for the index
arrays that :func:`nonzero` gives.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.dispatch import bind, located, own_alias, state
from hybrid.core.op import Attrs, Example, Op, register
from hybrid.core.spec import Shape, TensorSpec
from hybrid.core.storage import Alias, Chain
from hybrid.core.tensor import ArrayLike, Symbol, Tensor, asarray, wrap
from hybrid.core.variable import Variable
from hybrid.errors import IndexingError, ShapeError
from hybrid.ops._axes import Axes, one_axis
from hybrid.ops._methods import attach
from hybrid.ops.creation import arange, zeros
from hybrid.ops.elementwise.selection import where
from hybrid.ops.movement import EXPAND_DIMS, SLICE, SQUEEZE, ravel, reshape, sum_to

# --- gather ---------------------------------------------------------------------------------------


def _picked_shape(base: TensorSpec, index: tuple[Any, ...], axes: Axes, at: int) -> Shape:
    """Return the shape of ``base[index]``: the axes of the indices stand at place `at`."""
    try:
        block = np.broadcast_shapes(*(i.shape for i in index))
    except ValueError:
        text = ", ".join(str(i.shape) for i in index)
        raise ShapeError(f"index arrays of shapes {text} do not broadcast") from None
    rest = tuple(n for i, n in enumerate(base.shape) if i not in axes)
    return (*rest[:at], *block, *rest[at:])


def _check_index(name: str, index: tuple[TensorSpec, ...]) -> None:
    for spec in index:
        if spec.dtype.kind not in "iu":
            raise IndexingError(f"{name}: index arrays hold integers, not {spec.dtype.name}")


def _infer_gather(base: TensorSpec, *index: TensorSpec, axes: Axes, at: int) -> TensorSpec:
    _check_index("gather", index)
    return TensorSpec(_picked_shape(base, index, axes, at), base.dtype, base.device)


def _numpy_index(ndim: int, index: tuple[Any, ...], axes: Axes) -> tuple[tuple[Any, ...], int]:
    """Return the index tuple for NumPy, and where NumPy puts the axes of the indices."""
    full: list[Any] = [slice(None)] * ndim
    for axis, array in zip(axes, index):
        full[axis] = array
    adjacent = all(b - a == 1 for a, b in pairwise(axes))
    return tuple(full), axes[0] if adjacent else 0


def _move_block(xp: Any, x: Any, count: int, source: int, target: int) -> Any:
    if source == target or not count:
        return x
    return xp.moveaxis(x, range(source, source + count), range(target, target + count))


def out_of_bounds(shape: Shape, index: tuple[Any, ...], axes: Axes) -> IndexingError | None:
    """Return the error that names the first index outside its axis."""
    for axis, array in zip(axes, index):
        n = shape[axis]
        values = np.asarray(array)
        wrong = values[(values < -n) | (values >= n)]
        if wrong.size:
            return IndexingError(
                f"index {wrong.flat[0]} is out of bounds for axis {axis} of shape {shape}, "
                f"which has size {n}"
            )
    return None


def _eager_gather(xp: Any, base: Any, *index: Any, axes: Axes, at: int) -> Any:
    native, place = _numpy_index(base.ndim, index, axes)
    try:
        picked = base[native]
    except IndexError as error:
        raise out_of_bounds(base.shape, index, axes) or error from None
    count = max((np.ndim(i) for i in index), default=0)
    return _move_block(xp, xp.asarray(picked), count, place, at)


def _vjp_gather(
    i: int, g: Tensor, out: Tensor, base: Tensor, *index: Tensor, axes: Axes, at: int
) -> Tensor | None:
    if i:
        return None
    return index_update(zeros(base.shape, g.dtype), g, index, axes, at, "add")


GATHER = register(
    Op(
        name="gather",
        family="indexing",
        infer=_infer_gather,
        eager=_eager_gather,
        vjp=_vjp_gather,
        examples=(
            Example(((4, 3), ()), {"axes": (0,), "at": 0}, ("float32", "int64")),
            Example(((3, 4), (2,)), {"axes": (1,), "at": 1}, ("float32", "int64")),
            Example(
                ((4, 4), (2, 1), (3,)), {"axes": (0, 1), "at": 0}, ("float32", "int64", "int64")
            ),
            Example(
                ((4, 3, 4), (5,), (5,)), {"axes": (0, 2), "at": 0}, ("float32", "int64", "int64")
            ),
        ),
        doc="Elements at index arrays on some axes; their own axes stand at place `at`.",
    )
)


def gather(base: Tensor, index: tuple[ArrayLike, ...], axes: Axes, at: int) -> Tensor:
    """Bind the `gather` op: index arrays on `axes`, their own axes put at place `at`."""
    return bind(GATHER, (base, *map(_index_array, index)), {"axes": axes, "at": at})


def _index_array(index: Any) -> Tensor:
    tensor = asarray(index)
    # An empty list is float32 by the rule for Python sequences.
    return tensor if tensor.size or tensor.dtype.kind in "iu" else tensor.astype(dtypes.int64)


# --- index_update ---------------------------------------------------------------------------------


def _infer_update(
    base: TensorSpec, value: TensorSpec, *index: TensorSpec, axes: Axes, at: int, mode: str
) -> TensorSpec:
    _check_index("index_update", index)
    shape = _picked_shape(base, index, axes, at)
    lead = len(shape) - value.ndim
    if lead < 0 or not all(n in (1, m) for n, m in zip(value.shape, shape[lead:])):
        raise ShapeError(
            f"a value of shape {value.shape} does not fit the indexed part, of shape {shape}"
        )
    return TensorSpec(base.shape, base.dtype, base.device)


def _eager_update(
    xp: Any, base: Any, value: Any, *index: Any, axes: Axes, at: int, mode: str
) -> Any:
    out = xp.array(base)
    native, place = _numpy_index(base.ndim, index, axes)
    value = xp.asarray(value)
    if place != at and value.ndim:
        spec = TensorSpec(base.shape, base.dtype)
        value = xp.broadcast_to(value, _picked_shape(spec, index, axes, at))
        value = _move_block(xp, value, max(np.ndim(i) for i in index), at, place)
    try:
        if mode == "add":
            xp.add.at(out, native, value.astype(out.dtype, copy=False))
        else:
            out[native] = value
    except IndexError as error:
        raise out_of_bounds(base.shape, index, axes) or error from None
    return out


def _vjp_update(
    i: int,
    g: Tensor,
    out: Tensor,
    base: Tensor,
    value: Tensor,
    *index: Tensor,
    axes: Axes,
    at: int,
    mode: str,
) -> Tensor | None:
    if i == 0:
        return g if mode == "add" else index_update(g, 0, index, axes, at, "set")
    if i > 1:
        return None
    picked = gather(g, index, axes, at)
    if mode == "set" and any(t.size > 1 for t in index):
        # Of several values for one place the last one stays; the others have no gradient.
        order = reshape(arange(picked.size), picked.shape)
        placed = index_update(zeros(base.shape, dtypes.int64), order, index, axes, at, "set")
        picked = where(gather(placed, index, axes, at) == order, picked, 0)
    return sum_to(picked, value.shape).astype(value.dtype, copy=False)


INDEX_UPDATE = register(
    Op(
        name="index_update",
        family="indexing",
        infer=_infer_update,
        eager=_eager_update,
        vjp=_vjp_update,
        examples=(
            Example(
                ((4, 3), (2, 3), (2,)),
                {"axes": (0,), "at": 0, "mode": "add"},
                ("float32", "float32", "int64"),
            ),
            Example(
                ((3, 4), (), (2,)),
                {"axes": (1,), "at": 1, "mode": "set"},
                ("float32", "float32", "int64"),
            ),
        ),
        doc="A copy of the base with other values at index arrays, or with values added there.",
    )
)


def index_update(
    base: Tensor, value: ArrayLike, index: tuple[ArrayLike, ...], axes: Axes, at: int, mode: str
) -> Tensor:
    """Bind the `index_update` op: mode ``"set"`` or ``"add"``; the rest as for :func:`gather`."""
    if not isinstance(value, int | float | complex):
        value = asarray(value).astype(base.dtype, copy=False)
    attrs = {"axes": axes, "at": at, "mode": mode}
    return bind(INDEX_UPDATE, (base, value, *map(_index_array, index)), attrs)


# --- what an index means --------------------------------------------------------------------------


@dataclass(slots=True)
class Selection:
    """An index in normal form: a view (slice, drop, insert), then index arrays on it.

    `starts`, `sizes` and `steps` speak of the axes of the array; `drop` of the same axes, `insert`
    of those of the view, `axes` and `at` as in the `gather` op; `sources` are the same axes in the
    array itself, whose shape is `shape`. `single` says that the result is one element that ints
    alone have chosen, which NumPy returns as a copy.
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
    sources: list[int] = field(default_factory=list)
    single: bool = True
    copies: bool = False

    def chain(self) -> Chain:
        """Return the view ops of the part of the index that is a view."""
        if self.steps_of_view is not None:
            return self.steps_of_view
        steps: list[tuple[Op, Attrs]] = []
        if tuple(self.sizes) != self.shape or any(step != 1 for step in self.steps):
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

    def pick(self, view: Tensor) -> Tensor:
        """Apply the index arrays to the view."""
        try:
            return gather(view, tuple(self.arrays), tuple(self.axes), self.at)
        except IndexingError as error:
            concrete = [np.zeros(0) if _is_traced(a) else np.asarray(a) for a in self.arrays]
            clear = out_of_bounds(self.shape, tuple(concrete), tuple(self.sources))
            raise (IndexingError(located(str(clear))) if clear else error) from None


def select(index: Any, shape: Shape) -> Selection:
    """Bring an index for an array of `shape` into normal form."""
    entries = _without_ellipsis(_entries(index), shape)
    advanced = any(_is_array(e) for e in entries)
    found = Selection(shape=shape)
    placed: list[bool] = []  # for each entry whether NumPy counts it as an index array
    before_arrays = 0
    dims = 0  # axes of the view so far
    for entry in entries:
        is_advanced = False
        if entry is None or isinstance(entry, bool | np.bool):
            found.insert.append(dims)
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
    return _with_booleans(found, entries)


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


def _is_traced(array: Any) -> bool:
    return isinstance(array, Tensor) and type(array._data) is Symbol


def _is_array(entry: Any) -> bool:
    return isinstance(entry, Tensor | np.ndarray)


def _width(entry: Any) -> int:
    """Return how many axes an entry is for."""
    if entry is None or entry is Ellipsis or isinstance(entry, bool | np.bool):
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
    start, stop, step = entry.indices(shape[len(found.starts)])
    size = len(range(start, stop, step))
    found.starts.append(start if size else 0)
    found.sizes.append(size)
    found.steps.append(step if size > 1 else 1)


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
    found.starts.append(entry % n)
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
    return nonzero(entry)


def _adjacent(placed: list[bool]) -> bool:
    first = placed.index(True)
    last = len(placed) - 1 - placed[::-1].index(True)
    return all(placed[first : last + 1])


def _with_booleans(found: Selection, entries: list[Any]) -> Selection:
    booleans = [e for e in entries if isinstance(e, bool | np.bool)]
    if not booleans:
        return found
    if found.arrays or len(booleans) > 1:
        raise IndexingError(located("True and False cannot be mixed with other index arrays"))
    found.copies = True
    if not booleans[0]:  # nothing is selected: index arrays without elements on the new axis
        place = found.insert[sum(e is None for e in entries[: entries.index(booleans[0])])]
        found.arrays, found.axes, found.at = [np.zeros(0, np.int64)], [place], place
    return found


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


def _view_of_memory(x: Tensor, index: Any) -> Tensor | None:
    """Return ``x[index]`` by NumPy alone, for eager code and no tape; None where that cannot be."""
    data = x._data
    if type(data) is Symbol:
        return None
    key = key_of(index)
    try:
        if key is None:
            return wrap(np.asarray(data[native(index)])) if _certainly_copies(index) else None
        part = data[index]
    except (IndexError, ValueError):
        return None  # for the long way to explain
    if type(part) is not np.ndarray:
        return wrap(np.asarray(part))
    found = selection(key, data.shape)
    view = wrap(part)
    alias = own_alias(x)
    chain = (*alias.chain, *found.chain())
    view._alias = Alias(alias.storage, chain, alias.storage.version)
    return view


def native(index: Any) -> Any:
    """Return an index with Tensors as ndarrays, for NumPy."""
    if type(index) is tuple:
        return tuple(native(i) for i in index)
    if isinstance(index, Variable):
        index = index.read()
    if isinstance(index, list):
        return [native(i) for i in index]
    return index.numpy() if type(index) is Tensor else index


def _certainly_copies(index: Any) -> bool:
    entries = index if type(index) is tuple else (index,)
    return any(
        type(e) is list or (isinstance(e, Tensor | np.ndarray) and e.ndim > 0) for e in entries
    )


# --- reading --------------------------------------------------------------------------------------


def getitem(x: Tensor, index: Any) -> Tensor:
    """Return ``x[index]``: a view for a basic index, a copy otherwise, as NumPy does."""
    if state.plain:
        short = _view_of_memory(x, index)
        if short is not None:
            return short
    key = key_of(index)
    found = select(_settled(index, x), x.shape) if key is None else selection(key, x.shape)
    view = found.view(x)
    if found.arrays:
        return found.pick(view)
    if found.single or found.copies:
        return _apart(view)
    return view


def _settled(index: Any, x: Tensor) -> Any:
    """Ask for the values of those traced Python ints in an index that make a view.

    With an int ``x[i]`` is a view; `gather` with a traced index would be a copy, and writes to
    either would no longer be seen in the other. A single element is a copy anyway.
    """
    entries = index if isinstance(index, tuple) else (index,)
    weak = [isinstance(e, Tensor) and e.dtype.kind in "iu" and e.spec.weak for e in entries]
    if True not in weak or (len(entries) == x.ndim and all(map(_is_integer, entries))):
        return index
    return tuple(int(e) if is_weak else e for e, is_weak in zip(entries, weak))


def _is_integer(entry: Any) -> bool:
    if isinstance(entry, Tensor):
        return not entry.ndim and entry.dtype.kind in "iu"
    return isinstance(entry, int | np.integer) and not isinstance(entry, bool)


def _apart(view: Tensor) -> Tensor:
    """Return the contents of a view with no ties to the array that it is a view of.

    NumPy's ``x[0]`` of one axis is a number, which a later write to ``x`` leaves alone.
    """
    data = view._data
    alone = wrap(data.copy() if isinstance(data, np.ndarray) else data)
    alone._node = view._node
    if state.recorder is not None:
        state.recorder.track(alone)
    return alone


def take(x: ArrayLike, /, indices: ArrayLike, axis: int | None = None) -> Tensor:
    """Take elements of one axis by their indices.

    Parameters
    ----------
    x : array-like
    indices : array-like of int
        Negative ones count from the end.
    axis : int, optional
        Left out: `x` is raveled.

    Returns
    -------
    Tensor

    Raises
    ------
    IndexingError
        For an index outside the axis.

    Examples
    --------
    >>> take([10, 20, 30], [2, 0])
    Tensor([30, 10], dtype=int64)
    """
    x = asarray(x)
    if axis is None:
        x, axis = ravel(x), 0
    axis = one_axis("take", axis, x.shape)
    return gather(x, (indices,), (axis,), axis)


def take_along_axis(x: ArrayLike, /, indices: ArrayLike, axis: int = -1) -> Tensor:
    """Take for each place of `indices` the element of `x` with that index along `axis`.

    Parameters
    ----------
    x : array-like
    indices : array-like of int
        With as many axes as `x`; the other axes broadcast.
    axis : int

    Returns
    -------
    Tensor

    Examples
    --------
    >>> take_along_axis([[3, 1], [2, 4]], [[1], [0]], axis=1)
    Tensor([[1],
            [2]], dtype=int64)
    """
    x, index = asarray(x), _index_array(indices)
    axis = one_axis("take_along_axis", axis, x.shape)
    return gather(x, _grid(x.shape, index, axis), tuple(range(x.ndim)), 0)


def _grid(shape: Shape, index: Tensor, axis: int) -> tuple[Tensor, ...]:
    if index.ndim != len(shape):
        raise ShapeError(
            located(
                f"take_along_axis: indices of shape {index.shape} must have as many axes as "
                f"the array of shape {shape}"
            )
        )
    lying = [[n if j == i else 1 for j in range(len(shape))] for i, n in enumerate(shape)]
    return tuple(index if i == axis else reshape(arange(n), lying[i]) for i, n in enumerate(shape))


def nonzero(x: ArrayLike, /) -> tuple[Tensor, ...]:
    """Return the indices of the elements that are not zero, one Tensor per axis.

    How many there are depends on the data: in a trace this ends tracing, with a warning.
    """
    data = asarray(x)._concrete("nonzero, whose result has as many elements as the data say")
    if not data.ndim:
        raise ShapeError(located("nonzero: a Tensor without axes has no indices"))
    return tuple(wrap(i) for i in np.nonzero(data))


def argwhere(x: ArrayLike, /) -> Tensor:
    """Return the indices of the elements that are not zero, one row per element."""
    from hybrid.ops.rearranging import stack

    return stack(nonzero(x), axis=-1)


# --- functional updates ---------------------------------------------------------------------------


class At:
    """``x.at[index]``: copies of `x` with other contents at `index`; `x` stays as it is.

    Examples
    --------
    >>> asarray([1, 2, 3]).at[1:].add(10)
    Tensor([ 1, 12, 13], dtype=int64)
    """

    __slots__ = ("_index", "_x")

    def __init__(self, x: Tensor, index: Any = ...) -> None:
        self._x = x
        self._index = index

    def __getitem__(self, index: Any) -> At:
        return At(self._x, index)

    def get(self) -> Tensor:
        """Return ``x[index]``."""
        return getitem(self._x, self._index)

    def set(self, value: ArrayLike) -> Tensor:
        """Return a copy with `value` at the index; of repeated indices the last one wins."""
        return self._updated(value, "set")

    def add(self, value: ArrayLike) -> Tensor:
        """Return a copy with `value` added at the index; repeated indices add up."""
        return self._updated(value, "add")

    def _updated(self, value: ArrayLike, mode: str) -> Tensor:
        from hybrid.ops.inplace import updated

        return updated(self._x, self._index, value, mode)


# --- order ----------------------------------------------------------------------------------------


def _eager_argsort(xp: Any, x: Any, *, axis: int, descending: bool, stable: bool) -> Any:
    if not descending:
        return xp.argsort(x, axis=axis, stable=stable)
    # Sorted backwards from the back, so that equal elements keep their order.
    n = x.shape[axis]
    return n - 1 - xp.flip(xp.argsort(xp.flip(x, axis), axis=axis, stable=stable), axis)


ARGSORT = register(
    Op(
        name="argsort",
        family="indexing",
        infer=lambda x, *, axis, descending, stable: TensorSpec(x.shape, dtypes.int64, x.device),
        eager=_eager_argsort,
        examples=(
            Example(((3, 4),), {"axis": 1, "descending": False, "stable": True}),
            Example(((3, 4),), {"axis": 0, "descending": True, "stable": True}),
        ),
        doc="The indices that sort along an axis.",
    )
)


def argsort(
    x: ArrayLike, /, *, axis: int = -1, descending: bool = False, stable: bool = True
) -> Tensor:
    """Return the indices that sort `x` along an axis.

    Parameters
    ----------
    x : array-like
    axis : int
    descending : bool
    stable : bool
        Whether equal elements keep their order.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> argsort([3, 1, 2])
    Tensor([1, 2, 0], dtype=int64)
    """
    x = asarray(x)
    where = one_axis("argsort", axis, x.shape)
    return bind(ARGSORT, (x,), {"axis": where, "descending": descending, "stable": stable})


def sort(
    x: ArrayLike, /, *, axis: int = -1, descending: bool = False, stable: bool = True
) -> Tensor:
    """Return a sorted copy along an axis; arguments as of :func:`argsort`."""
    x = asarray(x)
    return take_along_axis(
        x, argsort(x, axis=axis, descending=descending, stable=stable), axis=axis
    )


SEARCHSORTED = register(
    Op(
        name="searchsorted",
        family="indexing",
        infer=lambda a, v, *, side: TensorSpec(v.shape, dtypes.int64, a.device),
        eager=lambda xp, a, v, *, side: xp.searchsorted(a, v, side=side),
        examples=(Example(((0,), (2, 3)), {"side": "left"}),),
        doc="Where values belong in a sorted array.",
    )
)


def searchsorted(x1: ArrayLike, x2: ArrayLike, /, *, side: str = "left") -> Tensor:
    """Return where to insert the elements of `x2` so that `x1` stays sorted.

    Parameters
    ----------
    x1 : array-like
        Of one axis, sorted.
    x2 : array-like
    side : str
        ``"left"`` or ``"right"`` of equal elements.

    Returns
    -------
    Tensor
    """
    a = asarray(x1)
    if a.ndim != 1:
        raise ShapeError(located(f"searchsorted: the sorted array has one axis, not {a.shape}"))
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side {side!r} is neither 'left' nor 'right'")
    return bind(SEARCHSORTED, (a, asarray(x2)), {"side": side})


attach(__getitem__=getitem, take=take, nonzero=nonzero, argsort=argsort)
