"""Dataclasses whose methods are made when they are first used.

The standard library writes and compiles five or six functions for each dataclass, 0.6 ms in all:
for the 160 of this package a third of what it takes to import it. Most of them are not used before
the first function is compiled, and many never. So the decorator here makes the class with its
slots, and functions that compare any fields; ``__init__`` is compiled when it has been called a
few times, which takes as long as 25 calls of one that looks names up; and the standard library does
the rest where it is asked for: to print one, or to replace a field.
"""

from __future__ import annotations

import dataclasses
import inspect
import threading
import weakref
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(
        *,
        frozen: bool = False,
        eq: bool = True,
        repr: bool = True,
        slots: bool = False,
        weakref_slot: bool = False,
    ) -> Callable[[type], type]:
        """Make a dataclass, as ``dataclasses.dataclass`` does with the same options.

        Examples
        --------
        >>> @dataclass(frozen=True, slots=True)
        ... class Point:
        ...     x: int
        ...     y: int = 0
        >>> Point(1)
        Point(x=1, y=0)
        >>> Point(1) == Point(1, 0), {Point(1): "a"}[Point(1)]
        (True, 'a')
        """

        def decorate(cls: type) -> type:
            options = {"frozen": frozen, "eq": eq, "repr": repr}
            if not slots:
                return dataclasses.dataclass(**options)(cls)
            names = tuple(inspect.get_annotations(cls))
            made = _slotted(cls, names, weakref_slot)
            own = {name: cls.__dict__.get(name, dataclasses.MISSING) for name in names}
            fields: dict[str, Any] = {}
            for base in made.__mro__[:0:-1]:
                fields |= _FIELDS.get(base) or base.__dict__.get("__dataclass_fields__", {})
            _FIELDS[made] = fields = fields | own
            methods: dict[str, Any] = {"__init__": _init(made, fields, frozen=frozen)}
            if eq:
                methods |= _comparison(tuple(fields), hashed=frozen)
            if frozen:
                methods |= _FROZEN
            _defer(cls, made, dataclasses.dataclass(**options), "__repr__" if repr else "")
            for name, method in methods.items():
                if name not in cls.__dict__:
                    setattr(made, name, method)
            return made

        return decorate


_FIELDS: weakref.WeakKeyDictionary[type, dict[str, Any]] = weakref.WeakKeyDictionary()
"""Of each class the fields with their defaults."""
_KNOWN = ("__dataclass_fields__", "__dataclass_params__", "__match_args__")
_CALLS = 25
_lock = threading.RLock()


def _slotted(cls: type, names: tuple[str, ...], weakref_slot: bool) -> type:
    """Return the class anew, with slots in place of the defaults of its fields."""
    namespace = {k: v for k, v in cls.__dict__.items() if k not in names}
    namespace.pop("__dict__", None)
    namespace.pop("__weakref__", None)
    namespace["__slots__"] = names + ("__weakref__",) * weakref_slot
    namespace["__qualname__"] = cls.__qualname__
    return type(cls)(cls.__name__, cls.__bases__, namespace)


def _init(made: type, fields: dict[str, Any], *, frozen: bool) -> Callable[..., None]:
    """Return the first ``__init__``, which puts the compiled one in its place."""
    special = {name: x for name, x in fields.items() if isinstance(x, dataclasses.Field)}
    plain = all(field.init for field in special.values())
    defaults = fields | {name: field.default for name, field in special.items()}
    factories = {
        name: field.default_factory
        for name, field in special.items()
        if field.default_factory is not dataclasses.MISSING
    }
    names = tuple(fields)
    count = len(names)
    missing = (name for name, default in defaults.items() if default is dataclasses.MISSING)
    needed = frozenset(missing) - factories.keys()
    put: Callable[[Any, str, Any], None] = object.__setattr__ if frozen else setattr
    after = getattr(made, "__post_init__", None)
    left = _CALLS

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        nonlocal left
        left -= 1
        if plain and left > 0 and len(args) + len(kwargs) <= count:
            given = dict(zip(names, args)) | kwargs
            if len(given) == len(args) + len(kwargs) and needed <= given.keys() <= fields.keys():
                for name in names:
                    if name in given:
                        put(self, name, given[name])
                    else:
                        make = factories.get(name)
                        put(self, name, defaults[name] if make is None else make())
                if after is not None:
                    after(self)
                return
        init = _compiled_init(made, fields, frozen=frozen)
        setattr(made, "__init__", init)  # noqa: B010
        init(self, *args, **kwargs)  # raises what is wrong, too

    return __init__


def _compiled_init(made: type, fields: dict[str, Any], *, frozen: bool) -> Callable[..., None]:
    """Return the ``__init__`` that the standard library would write."""
    scope: dict[str, Any] = {"_put": object.__setattr__, "_missing": dataclasses.MISSING}
    parameters, body = ["self"], ["pass"]
    for name, default in fields.items():
        value, factory, is_given = name, None, True
        if isinstance(default, dataclasses.Field):
            factory, is_given, default = default.default_factory, default.init, default.default
        has_factory = factory not in (None, dataclasses.MISSING)
        scope[f"_of_{name}"] = factory if has_factory else default
        if has_factory:
            made_anew = f"_of_{name}()"
            value = f"{made_anew} if {name} is _missing else {name}" if is_given else made_anew
        elif not is_given:
            value = f"_of_{name}"
        if is_given:
            optional = "=_missing" if has_factory else f"=_of_{name}"
            needed = not has_factory and default is dataclasses.MISSING
            parameters.append(name if needed else name + optional)
        body.append(f"_put(self, {name!r}, {value})" if frozen else f"self.{name} = {value}")
    if hasattr(made, "__post_init__"):
        body.append("self.__post_init__()")
    lines = "\n ".join((f"def __init__({', '.join(parameters)}):", *body))
    exec(lines, scope)
    init: Callable[..., None] = scope["__init__"]
    init.__qualname__ = f"{made.__qualname__}.__init__"
    return init


def _comparison(names: tuple[str, ...], *, hashed: bool) -> dict[str, Any]:
    """Return the methods that compare all fields."""
    if len(names) > 1:
        key: Callable[[Any], Any] = attrgetter(*names)
    else:

        def key(self: Any) -> Any:
            return tuple([getattr(self, name) for name in names])

    def __eq__(self: Any, other: object) -> Any:
        return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: Any) -> int:
        return hash(key(self))

    return {"__eq__": __eq__, "__hash__": __hash__ if hashed else None}


def _defer(cls: type, made: type, standard: Callable[[type], type], printed: str) -> None:
    """Let the standard library do the rest once it is asked for: on the class as it was written."""
    pending = [name for name in (*_KNOWN, printed) if name and name not in cls.__dict__]

    def complete() -> None:
        with _lock:
            if pending:
                standard(cls)
                for name in pending:
                    setattr(made, name, cls.__dict__[name])
                pending.clear()

    def describe() -> None:
        setattr(made, "__dataclass_fields__", _described(made))  # noqa: B010

    made.__dataclass_fields__ = _Known("__dataclass_fields__", describe)  # type: ignore[attr-defined]
    for name in _KNOWN[1:]:
        setattr(made, name, _Known(name, complete))
    if printed in pending:

        def __repr__(self: Any) -> str:
            complete()
            return repr(self)

        setattr(made, "__repr__", __repr__)  # noqa: B010


def _described(made: type) -> dict[str, Any]:
    """Return the fields as the standard library describes them: what replacing one asks for.

    Its decorator does no more here, and so takes a tenth of the time.
    """
    annotations: dict[str, Any] = {}
    for base in made.__mro__[::-1]:
        annotations |= inspect.get_annotations(base)
    fields = _FIELDS[made]
    written = {name: value for name, value in fields.items() if value is not dataclasses.MISSING}
    written["__annotations__"] = {name: annotations[name] for name in fields}
    written["__module__"] = made.__module__
    written["__doc__"] = made.__doc__ or made.__name__  # else one is made, of the signature
    alike: type = type(made.__name__, (), written)
    dataclasses.dataclass(init=False, repr=False, eq=False, match_args=False)(alike)
    found: dict[str, Any] = alike.__dict__["__dataclass_fields__"]
    return found


class _Known:
    """What is known of a dataclass, found when it is asked for."""

    def __init__(self, name: str, complete: Callable[[], None]) -> None:
        self._name = name
        self._complete = complete

    def __get__(self, _: object, owner: type) -> Any:
        self._complete()
        return getattr(owner, self._name)


def _refuse_to_set(self: Any, name: str, value: Any) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, name) for name in _FIELDS[type(self)]]


def _restore(self: Any, state: list[Any]) -> None:
    for name, value in zip(_FIELDS[type(self)], state, strict=True):
        object.__setattr__(self, name, value)


_FROZEN: dict[str, Any] = {
    "__setattr__": _refuse_to_set,
    "__delattr__": _refuse_to_delete,
    "__getstate__": _state,
    "__setstate__": _restore,
}
