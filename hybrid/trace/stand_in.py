"""What names mean while a function is traced: NumPy makes Tensors, arrays are watched.

``out = np.zeros(n)`` is an ndarray, into which no traced value can be written. So the names that a
function and its helpers have for NumPy, or for one of the functions that make arrays, mean a
stand-in for as long as the trace takes. An ndarray from outside cannot tell when Python reads its
contents, which makes constants of them; so a view of it that can stands in its place
(:mod:`hybrid.core.watched`). The built-in ``len`` gives nothing but plain ints, which would fix an
unknown size; so for the time of a trace the globals of code that names it have one that can give
more, and a ``range`` that lets Python leave out steps of a loop (:mod:`hybrid.trace.skipping`). In
threads that trace nothing, stand-ins do what they stand for, and guards take them for that. A
function that imports NumPy by itself asks ``builtins.__import__``, which answers the users' own
code with the stand-in meanwhile.
"""

from __future__ import annotations

import builtins
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from types import BuiltinFunctionType, CellType, FunctionType, ModuleType
from typing import Any

import numpy as np

from hybrid.core.dispatch import after_trace
from hybrid.core.number import Number, as_numpy_would, each
from hybrid.core.source import is_framework, is_installed
from hybrid.core.state import state
from hybrid.core.tensor import Tensor
from hybrid.core.unknown import Unknown
from hybrid.core.watched import ASK_NOTHING, Watched, current, holds_tensors, plain, watched
from hybrid.ops.joining import joined
from hybrid.ops.protocols.concatenators import CONCATENATORS
from hybrid.ops.protocols.making import MAKERS, by_numpy_itself, gathered
from hybrid.trace.array_type import ARRAY, as_named, is_instance, is_scalar
from hybrid.trace.bytecode import only_calls
from hybrid.trace.counting import Range
from hybrid.trace.environment import INSERTED, STAND_INS, Binding
from hybrid.trace.holders import Slots
from hybrid.trace.printing import PRINT
from hybrid.trace.reached import Named
from hybrid.trace.telling import TELLING, logs_told

_FUNCTIONS = (FunctionType, BuiltinFunctionType, type(np.sum))


class _Module(ModuleType):
    """NumPy or a part of it, but for the functions that make arrays or read what is watched."""

    def __init__(self, module: ModuleType, **others: Any) -> None:
        super().__init__(module.__name__, module.__doc__)
        self.__dict__.update(others, _module=module)

    # numba knows modules by what they are equal to, when it compiles a function during a trace.
    def __eq__(self, other: object) -> bool:
        return other is self._module or other is self

    def __hash__(self) -> int:
        return hash(self._module)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        if type(found) is np.ufunc:
            self.__dict__[name] = ufunc = _Ufunc(found)
            return ufunc
        if type(found) not in _FUNCTIONS:
            return _STANDING[id(found)] if found in _PARTS else found
        self.__dict__[name] = reading = _reading(found)
        return reading


def _reading(func: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of NumPy as one that tells of every array that it reads.

    By itself NumPy asks only some of the arguments: in ``np.take(a, indices)`` not the second, and
    in ``np.sum([a, b])`` none of the elements. A new array that the user's function writes into
    later is a Tensor, which takes traced values.
    """

    @wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        if state.recorder is None or func in ASK_NOTHING:
            return func(*args, **kwargs)
        args, kwargs = current((args, kwargs))
        if holds_tensors((args, kwargs)):
            return func(*map(gathered, args), **{key: gathered(x) for key, x in kwargs.items()})
        return by_numpy_itself(func, args, kwargs)

    return call


class _Ufunc:
    """A ufunc of NumPy that looks for traced values in lists, too: it asks none of the elements."""

    def __init__(self, ufunc: np.ufunc) -> None:
        self.__wrapped__ = ufunc

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return np.ufunc

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*map(_joined, args), **kwargs)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.__wrapped__, name)
        if type(found) is not BuiltinFunctionType or name == "at":
            return found  # a tuple that `at` is given is an index
        return lambda *args, **kwargs: found(*map(_joined, args), **kwargs)

    # numba knows ufuncs by what they are equal to, when it compiles a function during a trace.
    def __eq__(self, other: object) -> bool:
        return other is self.__wrapped__ or other is self

    def __hash__(self) -> int:
        return hash(self.__wrapped__)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def __reduce__(self) -> Any:
        return _of_numpy, (self.__wrapped__.__name__,)


def _of_numpy(name: str) -> Any:
    return getattr(np, name)


def _joined(x: Any) -> Any:
    """Return a list with traced values as one array, anything else as it is."""
    if not isinstance(x, list | tuple) or state.recorder is None:
        return x
    x = current(x)
    return joined(each(x, as_numpy_would)) if holds_tensors(x) else x


_PARTS: tuple[Any, ...] = (np.linalg, np.fft)
_makers = {func.__name__: maker for func, maker in MAKERS.items()}
_ORIGINALS = (
    (_Module(np, ndarray=ARRAY, isscalar=is_scalar, **_makers, **CONCATENATORS), np),
    *((_Module(part), part) for part in _PARTS),
    (ARRAY, np.ndarray),
    (is_scalar, np.isscalar),
    *((maker, func) for func, maker in MAKERS.items()),
    *((ours, getattr(np, name)) for name, ours in CONCATENATORS.items()),
    (PRINT, print),
    *TELLING,
)
_STANDING: dict[int, Any] = {id(original): stand_in for stand_in, original in _ORIGINALS}
STAND_INS.update({id(stand_in): original for stand_in, original in _ORIGINALS})


def _length(x: Any, /) -> Any:
    """Return ``len(x)``; the size of the first axis as it is known in a trace."""
    return x.shape[0] if type(x) is Tensor and x.ndim else len(x)


class _TypeOfTypes(type):
    """What makes `_Type` mean `type`, wherever a class is looked for."""

    def __call__(cls, *args: Any, **options: Any) -> Any:
        if len(args) == 1 and not options:
            found = args[0].__class__ if type(args[0]) in _NUMBERS else type(args[0])
            return _Type if found is type else as_named(found, args[0])
        return type(*args, **options)

    def __instancecheck__(cls, obj: Any) -> bool:
        return isinstance(obj, type)

    def __subclasscheck__(cls, kind: Any) -> bool:
        return issubclass(kind, type)

    def __eq__(cls, other: object) -> bool:
        return other is type or other is _Type

    def __hash__(cls) -> int:
        return hash(type)


class _Type(type, metaclass=_TypeOfTypes):
    """`type`, for which the stand-in of a Python number is of the type of the number."""


_NUMBERS = frozenset((Number, Unknown))
_INSERTS: dict[str, Any] = {
    "len": _length, "type": _Type, "range": Range, "print": PRINT, "isinstance": is_instance,
}  # fmt: skip
_ONLY_CALLED = (
    "range",
    "isinstance",
)  # in whose place nothing stands in code that does more with it
INSERTED.update({id(function): function for function in _INSERTS.values()})

_lock = threading.Lock()
_users: dict[tuple[int, str | None], int] = {}  # how many traces want a place to hold stand-ins
_made: dict[int, Any] = {}  # stand-ins of arrays and of tuples, by what they stand for

_imports: list[Callable[..., Any]] = []  # one for each trace under way


@contextmanager
def _numpy_imported_as_stand_in() -> Iterator[None]:
    """Let ``import numpy`` in a function that is traced mean the stand-in, in a ``with`` block."""
    with _lock:
        if not _imports:
            builtins.__import__ = _importing(builtins.__import__)
        _imports.append(_imports[0] if _imports else builtins.__import__)
    try:
        yield
    finally:
        with _lock:
            ours = _imports.pop()
            if not _imports and builtins.__import__ is ours:
                builtins.__import__ = ours.by_python  # type: ignore[attr-defined]


def _importing(by_python: Callable[..., Any]) -> Callable[..., Any]:
    """Return an ``__import__`` that gives users' functions in a trace the stand-in for NumPy."""

    def importing(*args: Any, **kwargs: Any) -> Any:
        found = by_python(*args, **kwargs)
        if id(found) not in _STANDING or state.recorder is None:
            return found
        code = sys._getframe(1).f_code
        if code.co_name == "<module>" or is_installed(code) or is_framework(code):
            return found  # names of modules outlive the trace
        return _STANDING[id(found)]

    importing.by_python = by_python  # type: ignore[attr-defined]
    return importing


Insert = tuple[dict[str, Any], str]
"""A dict of globals, and the name of a built-in function that it is given a stand-in of."""


def wherever_named(builtins: Sequence[Named]) -> list[Insert]:
    """Return where built-in functions are named whose stand-ins any code may be given."""
    found = ((scope, name) for scope, name, _ in builtins if name in _INSERTS)
    return [(scope, name) for scope, name in found if name not in _ONLY_CALLED]


def where_only_called(builtins: Sequence[Named]) -> list[Insert]:
    """Return the same, and where code does nothing but call those with which more can be done.

    For globals that no installed package looks at: numba refuses a ``range`` of another's.
    """
    others = {
        (id(scope), name)
        for scope, name, code in builtins
        if name in _ONLY_CALLED and not only_calls(code, name)
    }
    found = [(scope, name) for scope, name, _ in builtins if name in _INSERTS]
    return [(scope, name) for scope, name in found if (id(scope), name) not in others]


Place = tuple[Any, str | None]
"""A dict of globals and a name in it; or a cell or container and None, for all that it holds."""


@contextmanager
def stood_in(
    bindings: Sequence[Binding],
    inserts: Iterable[Insert],
) -> Iterator[frozenset[int]]:
    """Let names mean the stand-ins within a ``with`` block.

    Parameters
    ----------
    bindings : sequence of Binding
        What the function and its helpers read.
    inserts : iterable of (globals, name)
        Where they name built-in functions: :func:`wherever_named` or :func:`where_only_called`.

    Yields
    ------
    frozenset of int
        The arrays, by identity, that are watched.
    """
    places = {(id(b.holder), b.key): (b.holder, b.key) for b in bindings if _can_rebind(b)}
    inserted: dict[tuple[int, str | None], Insert]
    inserted = {(id(scope), name): (scope, name) for scope, name in inserts}
    seen: set[int] = set()
    taken: list[Any] = []
    try:
        with _lock:
            for key, (scope, name) in inserted.items():
                _users[key] = _users.get(key, 0) + 1
                taken.append(key)
                scope.setdefault(name, _INSERTS[name])
            for key, place in places.items():
                _users[key] = _users.get(key, 0) + 1
                taken.append(key)
                _put(place, lambda x: _stand_in(x, seen))
        with _numpy_imported_as_stand_in(), logs_told():
            yield frozenset(seen)
    finally:
        with _lock:
            for key in taken:
                _users[key] -= 1
                if not _users[key]:
                    del _users[key]
                    _put_back(inserted.get(key), places.get(key))
            if not _users:
                for stand_in in _made.values():
                    del STAND_INS[id(stand_in)]
                _made.clear()


def ints_left(changed: Iterable[Binding]) -> None:
    """Let what has changed outside hold the ints of this call where something stands for them."""
    for binding in changed:
        if _can_rebind(binding):
            _put((binding.holder, binding.key), lambda x: x.hint if type(x) is Unknown else x)


def numbers_left(changed: Iterable[Binding]) -> None:
    """Let what has changed outside hold the floats of this call, once its trace has ended."""
    for binding in changed:
        if _can_rebind(binding):
            _put(
                (binding.holder, binding.key), lambda x: after_trace(x) if type(x) is Number else x
            )


def _put_back(insert: Insert | None, place: Place | None) -> None:
    """Let a place hold what it held before."""
    if place is not None:
        _put(place, _restored)
    if insert is not None:
        scope, name = insert
        if scope.get(name) is _INSERTS[name]:
            del scope[name]


def _can_rebind(binding: Binding) -> bool:
    if binding.key is not None:
        return type(binding.holder) is dict
    return isinstance(binding.holder, CellType | dict | list | deque | Slots)


def _put(place: Place, change: Any) -> None:
    """Replace what a place holds; only what changes is touched."""
    for key, value in _held(place):
        new = change(value)
        if new is not value:
            with suppress(AttributeError):  # a member of a class in C that nobody can set
                _set(place[0], key, new)


def _held(place: Place) -> list[tuple[Any, Any]]:
    holder, name = place
    if name is not None:
        return [(name, holder[name])] if name in holder else []
    if type(holder) is CellType:
        try:
            return [(None, holder.cell_contents)]
        except ValueError:
            return []
    if isinstance(holder, dict):
        return list(holder.items())
    return list(zip(holder.names, holder)) if isinstance(holder, Slots) else list(enumerate(holder))


def _set(holder: Any, key: Any, value: Any) -> None:
    if type(holder) is CellType:
        holder.cell_contents = value
    elif isinstance(holder, Slots):
        object.__setattr__(holder.obj, key, value)
    elif isinstance(holder, dict):
        dict.__setitem__(holder, key, value)  # a class of the user's may do more on assignment
    elif isinstance(holder, list):
        list.__setitem__(holder, key, value)
    else:
        holder[key] = value


def _stand_in(value: Any, seen: set[int]) -> Any:
    """Return what stands for `value` in a trace; note in `seen` the arrays that are watched."""
    kind = type(value)
    if kind is Watched:
        seen.add(id(value.original))
    elif kind is np.ndarray:
        seen.add(id(value))
        return _kept(value, _made[id(value)] if id(value) in _made else watched(value))
    elif isinstance(value, tuple):
        parts = [_stand_in(x, seen) for x in value]
        if any(new is not old for new, old in zip(parts, value, strict=True)):
            made = _made.get(id(value))
            return _kept(value, made or (kind(parts) if kind is tuple else kind(*parts)))
    else:
        return _STANDING.get(id(value), value)
    return value


def _kept(value: Any, stand_in: Any) -> Any:
    _made[id(value)] = stand_in
    STAND_INS[id(stand_in)] = value
    return stand_in


def _restored(value: Any) -> Any:
    if type(value) is Watched:
        return plain(value)
    return STAND_INS.get(id(value), value)
