"""An ndarray from outside a trace that tells when Python reads its contents.

What an op takes of it is captured by reference, and read anew at each call. What Python takes
(``W[0]``, ``W.sum()``, ``np.exp(W)``, ``if W.any()``) is a constant of the trace: then the trace
holds for these contents only, and remembers them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid.core.number import Number, items
from hybrid.core.state import state
from hybrid.dtypes import SUPPORTED

if TYPE_CHECKING:
    from hybrid.core.tensor import Tensor

Array = np.ndarray[Any, np.dtype[Any]]

# Attributes that tell nothing of the contents. A view is watched too.
_OUTWARD_NAMES = """
    shape dtype ndim size nbytes itemsize strides T mT transpose swapaxes squeeze view
    reshape ravel real imag diagonal original root __class__ __dict__ __doc__ __module__
    __array_ufunc__ __array_function__ __array_finalize__ __array_priority__ __array_wrap__
    __dlpack_device__ __setattr__ __init_subclass__ __getitem__ __setitem__ __len__
"""
_OUTWARD = frozenset(_OUTWARD_NAMES.split())
# Functions that ask for shapes and the like.
ASK_NOTHING: frozenset[Any] = frozenset(
    {np.shape, np.ndim, np.size, np.may_share_memory, np.shares_memory, np.result_type}
    | {np.zeros_like, np.ones_like, np.empty_like, np.iscomplexobj, np.isrealobj, np.can_cast}
)


class Watched(np.ndarray[Any, np.dtype[Any]]):
    """A view of an ndarray, or a view of that, which stands for it while a function is traced.

    Attributes
    ----------
    original : ndarray, optional
        What it stands for; None for a view of that.
    root : ndarray, optional
        The array from outside whose contents it shows.
    """

    original: Array | None
    root: Array | None

    def __array_finalize__(self, obj: Any) -> None:
        self.original = None
        self.root = vars(obj).get("root") if type(obj) is Watched else None
        if (
            self.root is not None and np.ndarray.__getattribute__(self, "flags").owndata
        ):  # a copy of what is there now
            _note(self)
            self.root = None

    def __getattribute__(self, name: str) -> Any:
        if name not in _OUTWARD:
            if (written := _written(self)) is not None:
                return getattr(written, name)
            _note(self)
            return getattr(plain(self), name)
        return super().__getattribute__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name not in ("root", "original") and self.original is not None:
            setattr(self.original, name, value)

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        out: tuple[Any, ...] = kwargs.get("out") or ()
        if holds_tensors((*args, *out)):
            return NotImplemented  # a Tensor answers
        now = current((args, out))
        if holds_tensors(now):
            args, kwargs["out"] = now[0], now[1] or None
            found = getattr(ufunc, method)(*args, **kwargs)
            return out[0] if len(out) == 1 else out or found
        if out:
            kwargs["out"] = tuple(map(plain, out))
        _note_all(args)
        result = getattr(ufunc, method)(*map(plain, args), **kwargs)
        return out[0] if len(out) == 1 else out or result

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if not all(issubclass(kind, np.ndarray) for kind in types):
            return NotImplemented
        if func not in ASK_NOTHING:
            now = current((args, kwargs))
            if holds_tensors(now):
                from hybrid.core.tensor import Tensor

                # NumPy asks only some of the arguments: called again it might ask this one again.
                ours = next(x for x in items(now) if _is_ours(x))
                return Tensor.__array_function__(ours, func, (Tensor,), *now)
            _note_all((args, kwargs))
        return super().__array_function__(func, types, _plain_all(args), _plain_all(kwargs))

    def __getitem__(self, index: Any) -> Any:
        from hybrid.core.making import asarray

        if holds_tensors(index) or _written(self) is not None:
            return asarray(self)[index]
        found = plain(self)[noted(index)]
        if isinstance(found, np.ndarray) and np.may_share_memory(found, plain(self)):
            return _watched_view(found, self.root)
        _note(self)
        return found

    def __setitem__(self, index: Any, value: Any) -> None:
        if (written := _written(self)) is not None:
            written[index] = value
        else:
            plain(self)[noted(index)] = plain(value)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))


def watched(array: Array) -> Watched:
    """Return what stands for an ndarray from outside."""
    stand_in = _watched_view(array, array)
    stand_in.original = array
    return stand_in


def _watched_view(array: Array, root: Array | None) -> Watched:
    view = np.ndarray.view(array, Watched)
    view.root = root
    return view


def plain(x: Any) -> Any:
    """Return the ndarray for which `x` stands; other objects as they are."""
    if type(x) is not Watched:
        return x
    return np.ndarray.view(x, np.ndarray) if x.original is None else x.original


def _written(x: Watched) -> Tensor | None:
    """Return the Tensor of an array that the trace has written to: its memory shows that later."""
    from hybrid.core.making import asarray

    if state.recorder is None or x.root is None or x.root.dtype not in SUPPORTED:
        return None
    tensor = asarray(x)
    return None if state.recorder.written_since(tensor) is None else tensor


def current(x: Any, numbers: Callable[[Number], Any] | None = None) -> Any:
    """Return arguments with Tensors for the arrays that the trace has written to.

    Numbers in them are what `numbers` makes of them, if it is given.
    """
    kind = type(x)
    if kind is dict:
        return {key: current(value, numbers) for key, value in x.items()}
    if kind is list or kind is tuple:
        return kind([current(item, numbers) for item in x])
    if kind is Number and numbers is not None:
        return numbers(x)
    if kind is not Watched or (written := _written(x)) is None:
        return x
    return written


def _note(x: Watched) -> None:
    if state.recorder is not None and x.root is not None:
        state.recorder.note_read(x.root)


def noted(x: Any) -> Any:
    """Return arguments for code in C: ndarrays in place of what stands for them, which is read."""
    _note_all(x)
    return _plain_all(x)


def _note_all(x: Any) -> None:
    for item in items(x):
        if type(item) is Watched:
            _note(item)


def _plain_all(x: Any) -> Any:
    if isinstance(x, dict):
        return {key: _plain_all(value) for key, value in x.items()}
    if type(x) in (list, tuple):
        return type(x)(_plain_all(item) for item in x)
    return plain(x)


def holds_tensors(x: Any) -> bool:
    """Tell whether Tensors or Variables are in arguments, which then answer for the call."""
    return any(map(_is_ours, items(x)))


def _is_ours(x: Any) -> bool:
    from hybrid.core.tensor import Tensor
    from hybrid.core.variable import Variable

    return type(x) in (Tensor, Number) or isinstance(x, Variable)


def _reading(name: str) -> Callable[..., Any]:
    def method(self: Watched, *args: Any) -> Any:
        if (written := _written(self)) is not None:
            return getattr(type(written), name)(written, *args)
        _note(self)
        return getattr(np.ndarray, name)(plain(self), *args)

    return method


# Looked up on the type, where __getattribute__ is not asked.
for _name in (
    *("__float__", "__int__", "__complex__", "__bool__", "__index__", "__contains__"),
    *("__repr__", "__str__", "__format__", "__reduce__", "__reduce_ex__", "__copy__"),
    *("__deepcopy__", "__array__", "__dlpack__"),
):
    setattr(Watched, _name, _reading(_name))
