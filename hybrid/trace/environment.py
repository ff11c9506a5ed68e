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
    """One name that the trace depends on: where it is bound, and to what."""

    name: str
    read: Callable[[], Any]
    value: Any

    @property
    def changed(self) -> bool:
        """Whether the name means something else now."""
        now = self.read()
        return now is not self.value and not _same_literal(now, self.value)


def _same_literal(now: Any, before: Any) -> bool:
    kind = type(now)
    if kind is not type(before):
        return False
    if kind in (int, str, float, bytes):
        return bool(now == before)
    if kind is tuple and len(now) == len(before):  # the contents of a list, dict or object
        return all(a is b or _same_literal(a, b) for a, b in zip(now, before, strict=True))
    return False


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
            found += _contents(binding, seen)
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
        return not _same_literal(now, before)
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
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    for name, cell in cells.items():
        yield Binding(name, _cell_reader(cell), _cell_reader(cell)())
    scope = function.__globals__
    for name in _global_names(function.__code__):
        if name in scope and not isinstance(scope[name], ModuleType):
            yield Binding(name, _global_reader(scope, name), scope[name])


def _global_names(code: CodeType) -> Iterator[str]:
    names = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    yield from sorted(names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)


def _cell_reader(cell: CellType) -> Callable[[], Any]:
    def read() -> Any:
        try:
            return cell.cell_contents
        except ValueError:
            return _MISSING

    return read


def _global_reader(scope: dict[str, Any], name: str) -> Callable[[], Any]:
    return lambda: scope.get(name, _MISSING)


def _contents(binding: Binding, seen: set[int]) -> Iterator[Binding]:
    """Guard what a list or dict holds, and the attributes of the user's own objects."""
    value = binding.value
    if isinstance(value, list) and len(value) <= _LONG:
        yield Binding(f"{binding.name}[...]", lambda: tuple(value), tuple(value))
    elif isinstance(value, dict) and len(value) <= _LONG:
        yield Binding(f"{binding.name}[...]", lambda: tuple(value.items()), tuple(value.items()))
    else:
        yield from _attributes(binding.name, value, seen)


def _attributes(name: str, obj: Any, seen: set[int]) -> Iterator[Binding]:
    kind = type(obj)
    module = sys.modules.get(kind.__module__)
    home = getattr(module, "__file__", None) or ""
    plain = not isinstance(obj, type | ModuleType | FunctionType) and hasattr(obj, "__dict__")
    if not plain or id(obj) in seen or home.startswith(_INSTALLED) or kind.__module__ == "builtins":
        return
    if kind.__module__.partition(".")[0] == "hybrid" and not kind.__module__.startswith(
        "hybrid.demo"
    ):
        return
    seen.add(id(obj))
    fields = vars(obj)
    if len(fields) <= _LONG:
        yield Binding(f"{name}.*", lambda: tuple(fields.items()), tuple(fields.items()))
    for field, value in list(fields.items()):
        yield from _contents(Binding(f"{name}.{field}", lambda: None, value), seen)
