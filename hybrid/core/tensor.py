"""Tensor: one class for eager values and for values inside a trace.

`_data` is an ndarray in eager code and a :class:`Symbol` in a trace. Operators and methods are
attached by the ops that implement them (``hybrid.ops``), so that each op stays in one place.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import repeat
from operator import getitem
from sys import getrefcount
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import numpy as np

from hybrid import dtypes
from hybrid.core import dlpack, lost
from hybrid.core.absent import leave_out, present
from hybrid.core.described import Described
from hybrid.core.devices import CPU, as_device
from hybrid.core.places import DeviceArray
from hybrid.core.source import located, written_array
from hybrid.core.spec import PYTHON_TYPES
from hybrid.core.state import busy, state
from hybrid.core.storage import SAVED, Alias, Snapshot, Storage
from hybrid.core.symbol import Symbol
from hybrid.errors import DeviceError

if TYPE_CHECKING:
    from hybrid.core.variable import Variable

Array = np.ndarray[Any, np.dtype[Any]]
Scalar = bool | int | float | complex

_OWN_REFERENCES = 3
"""To the array, or the node, of a Tensor that nothing else knows: its own, that of its new Storage,
and the question. What has more may be needed by a tape."""


class Tensor(Described):
    """An n-dimensional array with NumPy's semantics, views and in-place writes included.

    Made by :func:`hybrid.asarray`, by the creation functions and by every operation.

    Examples
    --------
    >>> import hybrid as hb
    >>> x = hb.asarray([[1.0, 2.0], [3.0, 4.0]])
    >>> (x @ x).sum()
    Tensor(54., dtype=float32)
    """

    __slots__ = ("__weakref__", "_data", "_link", "_node")

    _data: Any
    # An Alias, or what to make it of when it is asked for: its fields, or what a tape has saved.
    _link: Alias | tuple[Any, ...] | Snapshot | None
    _node: Any

    __array_priority__ = 1000

    def __init__(self, *_: object, **__: object) -> None:
        raise TypeError("a Tensor is made with hb.asarray(...), hb.zeros(...) and the like")

    @property
    def _alias(self) -> Alias | None:
        """How it hangs on the Storage of its memory; None for a Tensor alone with it."""
        link = self._link
        if type(link) is tuple:
            link = self._link = Alias(*link)
        elif type(link) is Snapshot:
            storage = Storage(self._data, self._node)
            if link is not SAVED:
                storage._snapshot = weakref.ref(link)
            elif getrefcount(self._data) > _OWN_REFERENCES and (
                getrefcount(self._node) > _OWN_REFERENCES or self._node.holds(self._data)
            ):
                storage.keeper = self._node
            link = self._link = Alias(storage, 0, ())
        return cast("Alias | None", link)

    @_alias.setter
    def _alias(self, alias: Alias) -> None:
        self._link = alias

    # --- what it is -------------------------------------------------------------------------------

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        # A Python scalar that was passed to a compiled function stays one to `isinstance`, so that
        # `isinstance(rate, float)` takes the same branch in both modes.
        data = self._data
        if type(data) is Symbol and data.spec.weak:
            return PYTHON_TYPES[data.dtype.kind]
        return Tensor

    def to_device(self, device: str, /, stream: Any = None) -> Tensor:
        """Return a Tensor of the same elements on a device: this one, where it is there already.

        Parameters
        ----------
        device : str
            ``"cpu"``, ``"cuda"``, ``"cuda:1"``.
        stream : None
            A CPU has none, and a GPU does all work in one.

        Returns
        -------
        Tensor
            Gradients go the way back.

        Raises
        ------
        DeviceError
            For a GPU that cannot be used, with the reason.

        Examples
        --------
        >>> import hybrid as hb
        >>> hb.ones(2).to_device("cpu").device
        'cpu'
        """
        wanted = as_device("to_device", device)
        if stream is not None:
            raise ValueError(f"to_device: {device} has no streams, stream must be None")
        return self if self.device == wanted else moved(self, wanted)

    # --- concrete values --------------------------------------------------------------------------

    def numpy(self) -> Array:
        """Return the elements as an ndarray that shares memory with the Tensor.

        Of a Tensor on a GPU it is a copy, made once the GPU has computed it. In a trace this ends
        tracing: the call goes on eagerly, with one warning.

        Examples
        --------
        >>> import hybrid as hb
        >>> hb.asarray([1.0, 2.0]).numpy()
        array([1., 2.], dtype=float32)
        """
        return self._concrete("numpy()")

    def item(self, *place: Any) -> Scalar:
        """Return an element as a Python scalar.

        Parameters
        ----------
        *place : int
            Its indices, one by one or as a tuple, or its number in C order; of a Tensor of one
            element they may be left out.

        Raises
        ------
        IndexError
            For an index outside its axis.
        ValueError
            Where the indices are not as many as the axes.

        Examples
        --------
        >>> import hybrid as hb
        >>> hb.asarray([2.5]).item()
        2.5
        >>> x = hb.asarray([[1.0, 2.0], [3.0, 4.0]])
        >>> x.item(1, 0), x.item(3)
        (3.0, 4.0)
        """
        data = self._data
        if not busy and type(data) is _array and (place or data.size == 1):
            try:
                return cast(Scalar, data.item(*place))
            except (IndexError, TypeError, ValueError):
                pass  # explained below
        if place:
            return self._element(*place).item()
        if self.size != 1:
            text = f"item() needs a Tensor of one element, this one has shape {self.shape}"
            raise ValueError(located(text))
        if type(self._data) is Symbol and self.dtype.kind in "biu":
            kind = bool if self.dtype.kind == "b" else int
            return cast(Scalar, self._data.recorder.concretize(self._symbol(), kind))
        return cast(Scalar, self._concrete("item()").item())

    def _element(self, *place: Any) -> Tensor:
        if len(place) == 1 and type(place[0]) is tuple:
            (place,) = place
        elif len(place) == 1 and self.ndim != 1:
            return self.reshape(-1)[place[0]]
        if len(place) != self.ndim:
            text = f"item() needs an index for each axis of shape {self.shape}, not {place}"
            raise ValueError(located(text))
        return self[place]

    def tolist(self) -> Any:
        """Return the elements as nested lists of Python scalars.

        Examples
        --------
        >>> import hybrid as hb
        >>> hb.asarray([[1, 2], [3, 4]]).tolist()
        [[1, 2], [3, 4]]
        """
        return self._concrete("tolist()").tolist()

    def tobytes(self, order: Literal["C", "F", "A", "K"] = "C") -> bytes:
        r"""Return the elements as bytes, in C order or another one of NumPy's.

        Parameters
        ----------
        order : {"C", "F", "A", "K"}

        Returns
        -------
        bytes

        Examples
        --------
        >>> import hybrid as hb
        >>> hb.asarray([1, 2], dtype="int8").tobytes()
        b'\x01\x02'
        """
        return self._concrete("tobytes()").tobytes(order)

    def __bytes__(self) -> bytes:
        return self.tobytes()

    def _concrete(self, why: str = "") -> Array:
        """Return the contents; `why` is what ends a trace, left out what the user's line calls."""
        data = self._data
        if not busy and type(data) is _array:
            return cast(Array, data)
        if type(data) is not Symbol:
            new = None if state.recorder is None else state.recorder.written_since(self)
            if new is not None:
                inside = state.recorder.shadow(self)
                if inside is not self:  # which is known, or ends the trace
                    return cast(Tensor, inside)._concrete(why)
            if state.recorder is not None:
                state.recorder.note_read(self._data)
            elif state.tapes:
                lost.note_taken(self, why)
            data = data.get() if type(data) is DeviceArray else data
        elif data.array is not None and data.spec.weak:
            return data.array  # it stood for a Python scalar, and still does
        else:
            written = written_array()  # an ndarray takes traced values by asking for their contents
            return data.recorder.materialize(self, why if written is None else written)
        return cast(Array, data)

    def _symbol(self) -> Symbol:
        from hybrid.core.dispatch import refresh

        refresh(self)
        return cast(Symbol, self._data)

    def __bool__(self) -> bool:
        return bool(self._scalar(bool))

    def __int__(self) -> int:
        return int(self._scalar(int))

    def __index__(self) -> int:
        if self.dtype.kind not in "iu" or self.ndim:
            text = f"only an integer Tensor of no axes can be used as an index, not {self.spec}"
            raise TypeError(located(text))
        return int(self._scalar(int))

    def __float__(self) -> float:
        if state.tapes:
            lost.warn_of_numbers(self, True)
        return float(self._scalar(float))

    def __complex__(self) -> complex:
        if state.tapes:
            lost.warn_of_numbers(self, True)
        return complex(self._scalar(complex))

    def __round__(self, ndigits: int | None = None) -> Any:
        if self.spec.weak:  # a Python scalar rounds to a Python scalar
            return round(float(self), ndigits)
        if ndigits:
            scale = 10.0**ndigits
            return (self * scale).round() / scale
        return self.round()

    def _scalar(self, kind: type) -> Any:
        data = self._data
        if not busy and type(data) is _array and data.size == 1:
            value = data.item()
            if type(value) in _AS_THEY_ARE:
                return value
        if self.size != 1:
            raise _ambiguous(self, kind)
        if kind in (int, float) and self.dtype.kind == "c":
            raise TypeError(f"{kind.__name__}() of a complex Tensor: take its real or imag first")
        if type(data) is Symbol:
            exact = kind is bool or (kind is int and self.dtype.kind in "biu")
            if exact:
                return data.recorder.concretize(self._symbol(), kind)
        data = self._concrete(f"{kind.__name__}()")
        value = data.reshape(())[()]
        # ml_dtypes turns an infinity into some int without a word.
        return float(value) if kind is int and self.dtype == dtypes.bfloat16 else value

    # --- protocols --------------------------------------------------------------------------------

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self.device != CPU and type(self._data) is DeviceArray:
            raise _not_on_the_cpu(self)
        data = self._concrete()
        if state.tapes:
            lost.warn_of_numbers(self, False, bool(copy))
        return np.array(data, dtype=dtype, copy=copy)

    def __array_namespace__(self, /, *, api_version: str | None = None) -> ModuleType:
        """Return the module whose functions take this Tensor: ``hybrid``.

        Raises
        ------
        ValueError
            For versions of the Array API standard that hybrid does not follow.
        """
        if api_version is not None and api_version not in _API_VERSIONS:
            known = ", ".join(_API_VERSIONS)
            raise ValueError(f"hybrid follows the Array API {known}, not {api_version!r}")
        return import_module("hybrid")

    def __dlpack__(
        self,
        /,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: dlpack.Device | None = None,
        copy: bool | None = None,
    ) -> Any:
        """Return a DLPack capsule that shares the memory; see ``hybrid.core.dlpack.export``."""
        if type(self._data) is DeviceArray:
            return dlpack.lend(self._data, stream, max_version, dl_device, copy)
        return dlpack.export(self._concrete("__dlpack__"), stream, max_version, dl_device, copy)

    def __dlpack_device__(self) -> dlpack.Device:
        """Return DLPack's numbers of the device."""
        return dlpack.number(self.device)

    def __dir__(self) -> list[str]:
        return present(self)

    def __hash__(self) -> int:
        return id(self)

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape:
            raise TypeError(located("iteration over a 0-d Tensor: x.item() is its value"))
        if not busy:
            return map(getitem, repeat(self), range(self.shape[0]))
        return (self[i] for i in range(self.shape[0]))

    def __repr__(self) -> str:
        data = self._data
        if type(data) is Symbol:
            return str(self) if data.spec.weak else f"Tensor(traced {data.spec})"
        if state.recorder is not None:
            if state.recorder.written_since(self) is not None:
                return f"Tensor(traced {self.spec})"
            state.recorder.note_read(data)
        return self._text(data)

    def _text(self, data: Any) -> str:
        shown = data.get() if type(data) is DeviceArray else data
        text = np.array2string(shown, separator=", ", prefix="Tensor(", threshold=200)
        where = f", device={data.device!r}" if shown is not data else ""
        return f"Tensor({text}, dtype={self.dtype.name}{where})"

    def __str__(self) -> str:
        # Text made from a value depends on it: in a trace this ends tracing, repr() does not.
        return self._as_text(str, "str()")

    def _as_text(self, text: Callable[[Any], str], why: str) -> str:
        is_number = type(self._data) is Symbol and self._data.spec.weak
        contents = self._concrete(why)
        if is_number:
            return text(contents.item())
        return self._text(self._data if type(self._data) is DeviceArray else contents)

    def __format__(self, spec: str) -> str:
        if not spec:
            return self._as_text(str, "format()")
        self._concrete("format()")
        if self.size != 1:
            text = f"format: {spec!r} is for one number, this Tensor has shape {self.shape}"
            raise TypeError(located(f"{text}; np.array2string(x.numpy(), precision=2) writes many"))
        return format(self.item(), spec)

    def __copy__(self) -> Tensor:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self._concrete("pickling"), self.device)


if TYPE_CHECKING:
    ArrayLike: TypeAlias = (
        Tensor | Variable | Array | np.generic | Scalar | list[Any] | tuple[Any, ...]
    )
else:
    ArrayLike = Any


_API_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")


def _unpickled(array: Array, device: str) -> Tensor:
    from hybrid.core.making import asarray

    return asarray(array, device=device)


def moved(tensor: Tensor, device: str) -> Tensor:
    """Return a Tensor of the same elements on another device, in sight of traces and tapes."""
    from hybrid.core.dispatch import bind
    from hybrid.core.op import OPS

    return bind(OPS["to_device"], (tensor,), {"device": device})


def _not_on_the_cpu(tensor: Tensor) -> Exception:
    text = (
        f"a function that knows NumPy's arrays only was given a Tensor on {tensor.device}: "
        "x.numpy() or x.to_device('cpu') copies it"
    )
    return DeviceError(located(text))


def _ambiguous(tensor: Tensor, kind: type) -> Exception:
    if kind is bool:
        hint = "use hb.any(x) or hb.all(x)"
        text = f"the truth value of a Tensor of shape {tensor.shape} is ambiguous: {hint}"
        return ValueError(located(text))
    text = f"{kind.__name__}() needs a Tensor of one element, this one has shape {tensor.shape}"
    return TypeError(located(text))


leave_out(Tensor)

_new = object.__new__
_array = np.ndarray
_AS_THEY_ARE = frozenset((bool, int, float))


def wrap(data: Any) -> Tensor:
    """Make a Tensor around an ndarray or Symbol without any check."""
    tensor = _new(Tensor)
    tensor._data = data
    tensor._link = None
    tensor._node = None
    return tensor
