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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import is_
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from hybrid.core.source import is_framework

_INSTALLED = tuple(
    {sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), *site.getsitepackages()}
)
_MISSING = object()
_LONG = 64


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
    found: list[Binding] = []
    seen: set[int] = set()
    for name, obj in objects:
        found += _attributes(name, obj, seen)
    pending = [_function_of(function)]
    while pending:
        current = pending.pop()
        if current is None or id(current.__code__) in seen or not _users(current.__code__):
            continue
        seen.add(id(current.__code__))
        for binding in _names(current):
            found.append(binding)
            found += _contents(binding.name, binding.value, seen)
            pending.append(_function_of(binding.value))
    return tuple(found)


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
    literal = (int, float, complex, str, bytes)
    if isinstance(before, literal) and isinstance(now, literal):
        return not _same(now, before)
    if isinstance(before, tuple) and isinstance(now, tuple) and len(before) == len(now):
        return any(_literal_changed(a, b) for a, b in zip(before, now, strict=True))
    return False


def _function_of(value: Any) -> FunctionType | None:
    value = getattr(value, "__wrapped__", value)
    if isinstance(value, MethodType):
        value = value.__func__
    return value if isinstance(value, FunctionType) else None


def _users(code: CodeType) -> bool:
    name = code.co_filename
    return not is_framework(code) and not name.startswith(_INSTALLED)


def _names(function: FunctionType) -> Iterator[Binding]:
    names = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    for name, cell in names:
        yield _bound(name, cell, None)
    scope = function.__globals__
    for name in _global_names(function.__code__):
        if name in scope and not isinstance(scope[name], ModuleType):
            yield _bound(name, scope, name)


def _bound(name: str, holder: Any, key: str | None) -> Binding:
    return Binding(name, holder, key, Binding(name, holder, key, None).read())


def _global_names(code: CodeType) -> Iterator[str]:
    names = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    yield from sorted(names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)


def _contents(name: str, value: Any, seen: set[int]) -> Iterator[Binding]:
    """Guard what a list or dict holds, and the attributes of the user's own objects."""
    if isinstance(value, list | dict):
        if len(value) <= _LONG:
            yield _bound(f"{name}[...]", value, None)
    else:
        yield from _attributes(name, value, seen)


def _attributes(name: str, obj: Any, seen: set[int]) -> Iterator[Binding]:
    kind = type(obj)
    plain = not isinstance(obj, type | ModuleType | FunctionType) and hasattr(obj, "__dict__")
    if not plain or id(obj) in seen or not _users_own(kind):
        return
    seen.add(id(obj))
    fields = vars(obj)
    if len(fields) <= _LONG:
        yield _bound(f"{name}.*", fields, None)
    for field, value in list(fields.items()):
        yield from _contents(f"{name}.{field}", value, seen)


def _users_own(kind: type) -> bool:
    module = sys.modules.get(kind.__module__)
    home = getattr(module, "__file__", None) or ""
    package, _, rest = kind.__module__.partition(".")
    framework = package == "hybrid" and not rest.startswith("demo")
    return not framework and package != "builtins" and not home.startswith(_INSTALLED)
