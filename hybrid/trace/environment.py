"""What a function reads besides its arguments: globals, closure cells, attributes of objects.

They are Python values that the trace has baked in, so they are guarded by identity: rebinding a
global, redefining a helper in a notebook cell or setting ``self.rate`` makes the next call trace
again. Helpers are followed through the user's own code; installed packages are taken as fixed.
"""

from __future__ import annotations

import dis
import site
import sys
import sysconfig
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import is_
from types import (
    CellType,
    CodeType,
    FunctionType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    NoneType,
)
from typing import Any

import numpy as np

from hybrid.core.source import is_framework
from hybrid.core.tensor import Tensor
from hybrid.core.variable import Variable

_INSTALLED = tuple(
    {sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), *site.getsitepackages()}
)
_MISSING = object()
# What holds nothing that a program could change.
_LEAVES = frozenset({int, float, complex, bool, str, bytes, NoneType, np.ndarray, Tensor, Variable})
# Code with one of these names may read any attribute.
_DYNAMIC = frozenset({"getattr", "vars", "__dict__", "hasattr", "attrgetter"})


@dataclass(frozen=True, slots=True)
class Binding:
    """One name that the trace depends on.

    Attributes
    ----------
    name : str
        As a person would write it.
    holder : dict, list or cell
        What is looked into.
    key : str, optional
        The name in a dict of globals; None for a cell, and for the contents of a container.
    value : object
        What was found; for the contents of a container a tuple of them, keys first.
    """

    name: str
    holder: Any
    key: str | None
    value: Any

    def read(self) -> Any:
        """Return what the name means now."""
        holder = self.holder
        if self.key is not None:
            return holder.get(self.key, _MISSING)
        if type(holder) is CellType:
            try:
                return holder.cell_contents
            except ValueError:
                return _MISSING
        return (*holder, *holder.values()) if isinstance(holder, dict) else tuple(holder)

    @property
    def changed(self) -> bool:
        """Whether the name means something else now."""
        now = self.read()
        return now is not self.value and not _same(now, self.value)


def _same(now: Any, before: Any) -> bool:
    """Compare numbers and texts by value, the contents of containers one by one."""
    kind = type(now)
    if kind is not type(before):
        return False
    if kind in (int, str, float, bytes):
        return bool(now == before)
    if kind is tuple and len(now) == len(before):
        return all(map(is_, now, before)) or all(
            a is b or _same(a, b) for a, b in zip(now, before, strict=True)
        )
    return False


def unchanged(found: tuple[Binding, ...]) -> Callable[[], bool]:
    """Return a function that tells, as fast as Python can, whether all names mean the same."""
    if not found:
        return lambda: True
    scope: dict[str, Any] = {"same": _same, "missing": _MISSING}
    tests = []
    for i, binding in enumerate(found):
        scope |= {f"h{i}": binding.holder, f"v{i}": binding.value, f"b{i}": binding}
        if binding.key is not None:
            now = f"h{i}.get({binding.key!r}, missing)"
        elif type(binding.holder) is CellType:
            now = f"b{i}.read()"
        elif isinstance(binding.holder, dict):
            now = f"(*h{i}, *h{i}.values())"
        else:
            now = f"tuple(h{i})"
        by_identity = binding.key is not None or type(binding.holder) is CellType
        first = f"(x := {now}) is v{i} or same(x, v{i})" if by_identity else f"same({now}, v{i})"
        tests.append(f"({first})")
    exec(f"def valid():\n    return {' and '.join(tests)}\n", scope)
    valid: Callable[[], bool] = scope["valid"]
    return valid


def bindings(function: Callable[..., Any], objects: list[tuple[str, Any]]) -> tuple[Binding, ...]:
    """Return what `function` reads from outside, and the attributes of `objects`.

    Parameters
    ----------
    function : callable
    objects : list of (name, object)
        Arguments that are known by identity only, ``self`` above all.
    """
    walk = _Walk()
    for name, obj in objects:
        walk.visit(name, obj, named=True)
    walk.visit(getattr(function, "__name__", "function"), function)
    walk.finish()
    return tuple(walk.found)


def changed_by_itself(before: tuple[Binding, ...]) -> str | None:
    """Return a number or text that a function has changed while it was traced, and also reads.

    Each call would find another value there, which a replay could not follow. Containers that it
    fills and objects that it stores are another matter: they are taken as they are afterwards.
    """
    for binding in before:
        if binding.changed and _literal_changed(binding.value, binding.read()):
            return binding.name
    return None


def _literal_changed(before: Any, now: Any) -> bool:
    if isinstance(now, Tensor) and now is not before:
        return True  # a value of the trace is kept outside, where the next call reads it
    literal = (int, float, complex, str, bytes)
    if isinstance(before, literal) and isinstance(now, literal):
        return not _same(now, before)
    if isinstance(before, tuple) and isinstance(now, tuple) and len(before) == len(now):
        return any(_literal_changed(a, b) for a, b in zip(before, now, strict=True))
    return False


def _users(code: CodeType) -> bool:
    name = code.co_filename
    return not is_framework(code) and not name.startswith(_INSTALLED)


def _bound(name: str, holder: Any, key: str | None) -> Binding:
    return Binding(name, holder, key, Binding(name, holder, key, None).read())


def _global_names(code: CodeType) -> Iterator[str]:
    names = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    yield from sorted(names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)


class _Walk:
    """Finds whatever a function can reach, through containers, objects, classes and helpers.

    Of an object that it holds, only attributes that some code names are followed further; each code
    that is found may name more.
    """

    def __init__(self) -> None:
        self.found: list[Binding] = []
        self._seen: dict[int, Any] = {}  # holds the objects, so that no identity is used twice
        self._names: set[str] = set()
        self._holders: list[tuple[str, Any, dict[str, Any], bool, set[str]]] = []
        self._pending: list[tuple[str, Any]] = []

    def visit(self, name: str, value: Any, *, named: bool = False) -> None:
        """Look at `value` and what it holds; its attributes are all read if it is `named`."""
        if type(value) in _LEAVES or id(value) in self._seen:
            return
        self._seen[id(value)] = value
        match value:
            case FunctionType():
                self._function(name, value)
            case MethodType():
                self._later(name, value.__func__)
                self._later(name, value.__self__)
            case partial():
                self._later(name, value.func)
                self._later(name, value.args)
                self._later(name, value.keywords)
            case property():
                self._later(name, value.fget)
            case classmethod() | staticmethod():
                self._later(name, value.__func__)
            case ModuleType():
                if _users_own(value.__name__):
                    self._holders.append((name, value, vars(value), False, set()))
            case type():
                self._class(value)
            case _:
                self._container(name, value)
                self._object(name, value, named)

    def finish(self) -> None:
        """Follow everything that was found until nothing is new."""
        while self._pending:
            while self._pending:
                self.visit(*self._pending.pop())
            for name, obj, fields, everything, done in self._holders:
                names = set(fields) if everything or self._names & _DYNAMIC else self._names
                for field in sorted((names & fields.keys()) - done):
                    done.add(field)
                    if isinstance(obj, type | ModuleType):
                        self._bind(f"{name}.{field}", fields, field)
                    self._later(f"{name}.{field}", fields[field])

    def _later(self, name: str, value: Any) -> None:
        self._pending.append((name, value))

    def _bind(self, name: str, holder: Any, key: str | None) -> None:
        self.found.append(_bound(name, holder, key))

    def _function(self, name: str, function: FunctionType) -> None:
        code = function.__code__
        if not _users(code):
            return
        self._names.update(_attribute_names(code))
        for free, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self._bind(free, cell, None)
            self._later(free, self.found[-1].value)
        scope = function.__globals__
        for used in _global_names(code):
            if used in scope:
                self._bind(used, scope, used)
                self._later(used, scope[used])
        if function.__defaults__ or function.__kwdefaults__:
            self._bind(f"the defaults of {name}", _Defaults(function), None)
            for value in self.found[-1].value:
                self._later(f"a default of {name}", value)

    def _class(self, kind: type) -> None:
        for base in kind.__mro__:
            if _users_own(base.__module__) and (base is kind or id(base) not in self._seen):
                self._seen[id(base)] = base
                fields: Any = vars(base)
                self._holders.append((base.__name__, base, fields, False, set()))
                for field, value in fields.items():
                    if field.startswith("__") and isinstance(value, FunctionType):
                        self._later(f"{base.__name__}.{field}", value)

    def _container(self, name: str, value: Any) -> None:
        if isinstance(value, list | dict | set | deque):
            self._bind(f"{name}[...]", value, None)
            held = value.items() if isinstance(value, dict) else enumerate(value)
        elif isinstance(value, tuple | frozenset):
            held = enumerate(value)
        else:
            return
        for key, item in held:
            if type(item) not in _LEAVES:
                self._later(f"{name}[{key!r}]", item)

    def _object(self, name: str, obj: Any, named: bool) -> None:
        kind = type(obj)
        if not _users_own(kind.__module__):
            inner = getattr(obj, "__wrapped__", None)  # a compiled function, functools.lru_cache
            if inner is not None:
                self._later(name, inner)
            return
        self._later(kind.__name__, kind)
        fields = getattr(obj, "__dict__", None)
        if type(fields) is dict:
            self._bind(f"{name}.*", fields, None)
            self._holders.append((name, obj, fields, named, set()))
        slots = _Slots(obj)
        if slots.names:
            self._bind(f"{name}.*", slots, None)
            for value in self.found[-1].value:
                self._later(f"{name}.*", value)


class _Defaults:
    """The default values of a function, as a container that can be looked into."""

    def __init__(self, function: FunctionType) -> None:
        self.function = function

    def __iter__(self) -> Iterator[Any]:
        yield from self.function.__defaults__ or ()
        yield from (self.function.__kwdefaults__ or {}).values()


class _Slots:
    """The attributes of an object that are in ``__slots__``."""

    def __init__(self, obj: Any) -> None:
        self.obj = obj
        members = {k: v for base in type(obj).__mro__ for k, v in vars(base).items()}
        self.names = [k for k, v in members.items() if isinstance(v, MemberDescriptorType)]

    def __iter__(self) -> Iterator[Any]:
        return (getattr(self.obj, name, _MISSING) for name in self.names)


def _attribute_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _attribute_names(constant)


def _users_own(module_name: str) -> bool:
    module = sys.modules.get(module_name)
    home = getattr(module, "__file__", None) or ""
    package, _, rest = module_name.partition(".")
    framework = package == "hybrid" and not rest.startswith("demo")
    frozen = package in sys.builtin_module_names or package in sys.stdlib_module_names
    installed = frozen and package != "__main__"
    return not framework and not installed and not home.startswith(_INSTALLED)
