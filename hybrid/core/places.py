"""Places besides the CPU's memory where arrays can be, and the arrays that are there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any

import numpy as np

from hybrid.core.spec import Shape, TensorSpec
from hybrid.dtypes import DType
from hybrid.errors import DeviceError
from hybrid.records import dataclass

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False, slots=True)
class Place:
    """A card: the array module that computes there, and the way there and back.

    Attributes
    ----------
    name : str
        ``"cuda:0"``.
    xp : module
        What eager forms get in place of NumPy.
    put : callable
        ``put(ndarray)`` gives an array of `xp` with the same elements.
    get : callable
        ``get(array)`` waits for an array and gives an ndarray with the same elements.
    move : callable
        ``move(array)`` copies an array of another card to this one.
    adopt : callable
        ``adopt(producer)`` gives an array in the memory of an object with DLPack.
    current : callable
        ``with current():`` work goes to this card, in order with all other work.
    wait : callable
        Returns once all work that was asked for is done.
    stopwatch : callable
        ``stopwatch()`` begins to measure; what it returns waits for the work that was asked for
        meanwhile, and gives the seconds that it took by the card's clock.
    stream : int
        The driver's handle of the queue that work goes to.
    """

    name: str
    xp: Any
    put: Callable[[Array], Any]
    get: Callable[[Any], Array]
    move: Callable[[Any], Any]
    adopt: Callable[[Any], Any]
    current: Callable[[], AbstractContextManager[Any]]
    wait: Callable[[], None]
    stopwatch: Callable[[], Callable[[], float]]
    stream: int = 0


class DeviceArray:
    """An array on a card, as the Tensors that hold it do.

    It refuses NumPy, so that code that knows ndarrays only fails where it would compute nonsense,
    and leaves the Tensor to :func:`hybrid.core.dispatch.bind`.

    Attributes
    ----------
    array
        The array of the place's module: CuPy's.
    place : Place
    """

    __slots__ = ("__weakref__", "array", "place")

    __array_ufunc__ = None

    def __init__(self, array: Any, place: Place) -> None:
        self.array = array
        self.place = place

    @property
    def shape(self) -> Shape:
        """Sizes of the axes."""
        return self.array.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> DType:
        """The dtype."""
        return self.array.dtype  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.array.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.array.size  # type: ignore[no-any-return]

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.size * self.dtype.itemsize

    @property
    def strides(self) -> tuple[int, ...]:
        """Bytes from one element to the next, by axis."""
        return self.array.strides  # type: ignore[no-any-return]

    @property
    def flags(self) -> SimpleNamespace:
        """Whether it can be written, not where several elements share an address; C's order."""
        repeats = any(n > 1 and not s for n, s in zip(self.shape, self.strides, strict=True))
        whole = bool(self.array.flags.c_contiguous)
        return SimpleNamespace(writeable=not repeats, c_contiguous=whole)

    @property
    def base(self) -> Any:
        """The array whose memory it is a view of; None for one with memory of its own."""
        return self.array.base

    @property
    def device(self) -> str:
        """The name of the place."""
        return self.place.name

    @property
    def spec(self) -> TensorSpec:
        """Shape, dtype and device in one."""
        return TensorSpec(self.array.shape, self.array.dtype, self.place.name)

    def get(self) -> Array:
        """Return the elements as an ndarray of their own."""
        with self.place.current():
            return self.place.get(self.array)

    def tobytes(self) -> bytes:
        """Return the elements as bytes, in C order."""
        return self.get().tobytes()

    def copy(self) -> DeviceArray:
        """Return the same elements in memory of their own."""
        with self.place.current():
            return DeviceArray(self.array.copy(), self.place)

    def __getitem__(self, row: int) -> DeviceArray:
        with self.place.current():
            return DeviceArray(self.array[row], self.place)

    def __setitem__(self, row: int, value: Any) -> None:
        fill("a row", self[row], value)

    @property
    def address(self) -> int:
        """Where the first element lies."""
        return self.array.__cuda_array_interface__["data"][0]  # type: ignore[no-any-return]

    def item(self) -> Any:
        """Wait for the only element, and return it as a Python scalar."""
        return self.get().item()

    def __bool__(self) -> bool:
        return bool(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __float__(self) -> float:
        return float(self.get())

    def __complex__(self) -> complex:
        return complex(self.get())

    def shares_memory(self, other: Any) -> bool:
        """Tell whether both may show the same bytes."""
        if type(other) is not DeviceArray or other.place is not self.place:
            return False
        return bool(self.place.xp.may_share_memory(self.array, other.array))

    def __array__(self, *_: Any, **__: Any) -> Array:
        raise TypeError(f"an array on {self.place.name} is no ndarray; get() copies it to the CPU")

    def __array_function__(self, *_: Any) -> Any:
        return NotImplemented


def share_memory(a: Any, b: Any) -> bool:
    """Tell whether two ndarrays or DeviceArrays may share memory; never wrongly no."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.may_share_memory(a, b)
    return type(a) is DeviceArray and a.shares_memory(b)


def held(x: Any) -> Any:
    """Return an array as Tensors hold it."""
    return x if type(x) is DeviceArray else np.asarray(x)


def on_cpu(x: Any) -> Any:
    """Return the ndarray of the same elements; what is no DeviceArray as it is."""
    return x.get() if type(x) is DeviceArray else x


def like(data: Any) -> Any:
    """Return an array of the same kind, shape and dtype, with contents of any sort."""
    if type(data) is not DeviceArray:
        return np.empty(data.shape, data.dtype)
    with data.place.current():
        return DeviceArray(data.place.xp.empty(data.shape, data.dtype), data.place)


def empty(spec: TensorSpec, place: Place | None) -> Any:
    """Return an array of a spec at a place, with contents of any sort; None is the CPU."""
    if place is None:
        return np.empty(spec.shape, spec.dtype)
    with place.current():
        return DeviceArray(place.xp.empty(spec.shape, spec.dtype), place)


def fill(name: str, target: Any, source: Any) -> None:
    """Write what broadcasts to `target` into it, casting as C does.

    Parameters
    ----------
    name : str
        What writes, for the error.
    target : ndarray or DeviceArray
    source : ndarray, DeviceArray or Python scalar
        On the same device; an ndarray of no axes comes along.

    Raises
    ------
    DeviceError
        Where they are on different devices.
    """
    if type(target) is DeviceArray:
        if isinstance(source, np.ndarray) and not source.ndim:
            source = source[()]
        if not isinstance(source, np.ndarray):
            if type(source) is not DeviceArray or source.place is target.place:
                with target.place.current():
                    target.array[...] = source.array if type(source) is DeviceArray else source
                return
    elif type(source) is not DeviceArray:
        np.copyto(target, apart(source, target), casting="unsafe")
        return
    raise DeviceError(
        f"{name}: a value on {source.device} cannot be written into an array on {target.device}; "
        f"x.to_device({target.device!r}) moves it"
    )


def apart(source: Any, target: Any) -> Any:
    """Return what is to be assigned to an ndarray: a copy, where NumPy would read what it wrote.

    NumPy copies what overlaps by itself but from vector to vector, and then reads ``x[1]`` in
    ``x[:, 2] = x[1]`` while it changes.
    """
    if (
        type(source) is np.ndarray
        and source.ndim == target.ndim == 1
        and source.strides != target.strides
        and np.may_share_memory(source, target)
    ):
        return source.copy()
    return source


def put(array: Array, place: Place) -> DeviceArray:
    """Copy an ndarray to a card."""
    with place.current():
        return DeviceArray(place.put(array), place)


def data_to(data: Any, place: Place | None) -> Any:
    """Return what a Tensor holds, an ndarray or a DeviceArray, at a place; None is the CPU."""
    if place is None:
        return data.get() if type(data) is DeviceArray else data
    if type(data) is not DeviceArray:
        return put(data, place)
    if data.place is place:
        return data
    with place.current():
        return DeviceArray(place.move(data.array), place)
