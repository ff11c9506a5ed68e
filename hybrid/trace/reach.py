"""What a function can reach besides its arguments: globals, closure cells, attributes, helpers.

Helpers are followed through the user's own code; installed packages are taken as fixed.
"""

from __future__ import annotations

import abc
import builtins
import decimal
import dis
import logging
import os
import queue
import random
import sys
import threading
import weakref
from array import array
from collections import deque
from collections.abc import (
    Callable,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Sequence,
    ValuesView,
)
from contextvars import ContextVar
from functools import cached_property, lru_cache, partial, partialmethod, singledispatchmethod
from itertools import chain
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MappingProxyType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    NoneType,
)
from typing import Any

import numpy as np

from hybrid.core.number import Number
from hybrid.core.source import is_framework, is_installed
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor
from hybrid.core.variable import Variable
from hybrid.trace.called_code import Names, own_names, read_by, stored_by
from hybrid.trace.environment import STAND_INS, Bases, Binding, Builtins, Kind, Space, is_inserted
from hybrid.trace.holders import (
    InContext,
    Items,
    Own,
    PerThread,
    Referent,
    Slots,
    Viewed,
    remembered,
)
from hybrid.trace.lookups import modules_imported, names_looked_up, takes_any_module
from hybrid.trace.owners import UsersModules, is_elsewhere, is_iterator, users_own
from hybrid.trace.reached import Reached
from hybrid.trace.settings import Setting, settings_asked, subclasses_of

# What holds nothing that a program could change; arrays are looked at by themselves.
_SCALARS = frozenset({int, float, complex, bool, str, bytes, NoneType, Variable})
# Modules of Python's library whose objects hold what a program puts there.
_HOLDERS = frozenset(
    {
        "types",
        "argparse",
        "collections",
        "threading",
        "weakref",
        "_weakrefset",
        "configparser",
        "queue",
    }
)
_LOAD_GLOBAL, _WIDER = dis.opmap["LOAD_GLOBAL"], dis.opmap["EXTENDED_ARG"]
# The body of a class inside of a function reads globals by LOAD_NAME.
_OTHERS_OF_GLOBALS = frozenset(
    dis.opmap[name] for name in ("STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME")
)
# Code with one of these names may read any attribute.
_DYNAMIC = frozenset({"getattr", "vars", "__dict__", "hasattr", "attrgetter"})
_OF_LOGGERS = frozenset({"level", "disabled", "manager"})
# What stands in a class under a special name: Python makes a static method of `__new__` by itself.
_METHODS = (FunctionType, staticmethod, classmethod, property, partialmethod)
_OF_PYTHON = frozenset({"__builtins__"})  # in each module
_ENVIRON = frozenset({"environ", "getenv", "environb"})


def numpys_generators() -> tuple[type, ...]:
    """Return the types of NumPy's random generators, where anybody has them."""
    numbers = sys.modules.get("numpy.random")
    return () if numbers is None else (numbers.Generator, numbers.RandomState)


def reach(
    function: Callable[..., Any],
    objects: list[tuple[str, Any]],
    carried: Sequence[tuple[Any, Any]] = (),
) -> Reached:
    """Return what `function` reads from outside, and the attributes of `objects`.

    Parameters
    ----------
    function : callable
    objects : list of (name, object)
        Arguments that the trace knows as Python objects, ``self`` above all.
    carried : sequence of (holder, key)
        What it is given as numbers, on which no trace depends as Python: see `carried`.
    """
    walk = _Walk({id(obj) for _, obj in objects}, {(id(holder), key) for holder, key in carried})
    for name, obj in objects:
        walk.visit(name, obj, named=True)
    walk.visit(getattr(function, "__name__", "function"), function)
    walk.finish()
    return walk.reached


def _users(code: CodeType) -> bool:
    return not is_framework(code) and not is_installed(code)


def _bound(name: str, holder: Any, key: str | None) -> Binding:
    return Binding(name, holder, key, Binding(name, holder, key, None).read())


@lru_cache(maxsize=4096)
def _global_names(code: CodeType) -> tuple[str, ...]:
    """Return the globals that code, and what is defined in it, reads and writes.

    The bytes are looked at as they are: ``dis`` takes fifteen times as long, which was most of the
    seconds that a trace took that can reach all modules of a large program.
    """
    found, steps, names, wide = set(), code.co_code, code.co_names, 0
    for step, number in zip(steps[::2], steps[1::2]):
        if step == _WIDER:
            wide = (wide | number) << 8
            continue
        if step == _LOAD_GLOBAL:
            found.add(names[(wide | number) >> 1])  # the last bit says that a NULL is pushed too
        elif step in _OTHERS_OF_GLOBALS:
            found.add(names[wide | number])
        wide = 0
    inner = (_global_names(x) for x in code.co_consts if isinstance(x, CodeType))
    return (*sorted(found), *chain.from_iterable(inner))


class _Walk:
    """Finds whatever a function can reach, through containers, objects, classes and helpers.

    Of an object that it holds, only attributes that some code names are followed further; each code
    that is found may name more.
    """

    def __init__(self, weakly: set[int], carried: set[tuple[int, Any]]) -> None:
        self.reached = Reached()
        self._carried = carried
        self._weakly = weakly  # arguments and the like, which a trace must not keep alive
        self._seen: dict[int, Any] = {}  # holds the objects, so that no identity is used twice
        self._holders: list[tuple[str, Any, dict[str, Any], bool, set[str]]] = []
        self._pending: list[tuple[str, Any]] = []
        self._spaces: dict[int, tuple[str, Any]] = {}  # by the identity of what holds the names
        self._called: set[str] = set()  # attributes that say what is called back
        self._said: set[tuple[int, str]] = set()  # those that were found
        self._stored: set[str] = set()  # and those that this sets

    def visit(self, name: str, value: Any, *, named: bool = False) -> None:
        """Look at `value` and what it holds; its attributes are all read if it is `named`."""
        value = STAND_INS.get(id(value), value)
        if type(value) in _SCALARS or id(value) in self._seen:
            return
        self.reached.elsewhere |= is_elsewhere(value)
        self._seen[id(value)] = value
        match value:
            case np.ndarray():
                self.reached.arrays.append((name, value))
                # Python may set it in place, under the views of a Plan.
                self.reached.bindings.append(
                    Binding(f"the shape of {name}", value, "shape", value.shape)
                )
            case Number():
                self.reached.traced.append((name, value.tensor))
            case Tensor():
                traced = type(value._data) is Symbol
                (self.reached.traced if traced else self.reached.arrays).append((name, value))
            case random.Random():
                self.reached.stateful.append((name, value))
            case _ if isinstance(value, numpys_generators()):
                self.reached.stateful.append((name, value))
            case queue.SimpleQueue():
                self.reached.names.add("SimpleQueue")  # so that calls of it are noticed
            case threading.local():
                self._bind(f"{name}.*", PerThread(value), None)
                for key, held in vars(value).items():
                    self._later(f"{name}.{key}", held)
            case ContextVar():
                self._bind(f"{name}.get()", InContext(value), None)
                self._later(f"{name}.get()", value.get(None))
            case weakref.ref():
                self._bind(f"{name}()", Referent(value), None)
                self._weakly.add(id(value()))
                self._later(f"{name}()", value())
            case memoryview():
                self.reached.names.add("memoryview")  # whoever has it reads with it
                self._later(name, value.obj)
            case BuiltinFunctionType():
                self.reached.names.add(value.__name__)  # by whatever name it was imported
                if isinstance(value.__self__, list | dict | set | deque):  # that of `get = d.get`
                    self._later(name, value.__self__)
            case MethodWrapperType():
                self._later(name, value.__self__)
            case FunctionType():
                self._function(name, value)
            case MethodType():
                self._later(name, value.__func__)
                self._later("self" if name == value.__name__ else name, value.__self__)
            case partial() | partialmethod():
                self._later(name, value.func)
                self._later(name, value.args)
                self._later(name, value.keywords)
            case property():
                self._later(name, value.fget)
            case classmethod() | staticmethod():
                self._later(name, value.__func__)
            case cached_property():
                self._later(name, value.func)
            case singledispatchmethod():
                self._later(name, value.dispatcher)
            case ModuleType():
                if users_own(value.__name__):
                    self._space(name, vars(value))
                    self._holders.append((name, value, vars(value), False, set()))
            case decimal.Decimal():
                self.reached.names.add("Decimal")
            case logging.Logger():
                if not self.reached.names.isdisjoint(_OF_LOGGERS):
                    self.reached.names.add("getEffectiveLevel")
            case type():
                if value is decimal.Decimal:
                    self.reached.names.add("Decimal")
                self._class(value)
            case _:
                self._container(name, value)
                self._object(name, value, named)

    def finish(self) -> None:
        """Follow everything that was found until nothing is new."""
        self._follow()
        if takes_any_module(self.reached.names):
            self._any_module()
            self._follow()
        names = self.reached.names
        asked = None if names & _DYNAMIC else names
        if asked is not None and not self.reached.elsewhere:
            self._leave_out(self._stored - names)
        if self._carried:
            self._leave_out(set())
        spaces = {key: (name, Space(x, asked)) for key, (name, x) in self._spaces.items()}
        self.reached.spaces.extend(spaces.values())
        for name, obj, fields, _, _ in self._holders:
            # A subclass may get one, or a module; code asks a function whether it has one.
            missed = isinstance(obj, type | ModuleType) or "AttributeError" in names
            if id(fields) in spaces and (missed or asked is None):
                self._bind(name, spaces[id(fields)][1], None)
        if names & _ENVIRON:
            self._bind("os.environ", os.environ._data, None)  # type: ignore[attr-defined]
        if "__subclasses__" in names:
            for _, kind in self.reached.classes:
                self._bind(f"{kind.__name__}.__subclasses__()", Setting(subclasses_of(kind)), None)
        for name, setting in settings_asked(names):
            self._bind(name, setting, None)

    def _leave_out(self, unread: set[str]) -> None:
        """Let no trace depend on attributes that only callbacks set and read, nor on numbers that
        it is given.
        """
        bindings, kept = self.reached.bindings, []
        for binding in bindings:
            fields = binding.holder
            if (id(fields), binding.key) in self._carried and binding.name[-1:] not in "*]":
                continue
            apart = type(fields) is dict and binding.name.endswith((".*", "[...]"))
            out = {key for number, key in self._carried if number == id(fields)} if apart else set()
            if apart and binding.name.endswith(".*"):
                out |= unread & fields.keys()
            if not out:
                kept.append(binding)
                continue
            name = binding.name.removesuffix(".*").removesuffix("[...]")
            held = [key for key in fields if key not in out]
            kept += [_bound(_of(binding.name, key), fields, key) for key in held]
            asked = self.reached.names if binding.name.endswith(".*") else None
            kept.append(_bound(name, Space(fields, asked), None))
        bindings[:] = kept

    def _follow(self) -> None:
        while True:
            while self._pending:
                self.visit(*self._pending.pop())
            for name, obj, fields, everything, done in self._holders:
                known = self.reached.names
                names = set(fields) if everything or known & _DYNAMIC else known
                for key in sorted((names & fields.keys()) - done - _OF_PYTHON):
                    done.add(key)
                    if isinstance(obj, type | ModuleType | FunctionType) or "__wrapped__" in fields:
                        self._bind(f"{name}.{key}", fields, key)
                    self._later(f"{name}.{key}", fields[key])
                for key in (self._called & fields.keys()) - names - done:
                    if (id(fields), key) in self._said:
                        continue
                    self._said.add((id(fields), key))
                    self._bind(f"{name}.{key}", fields, key)
                    self._only_called(key, fields[key])
            if not self._pending:
                return

    def _later(self, name: str, value: Any) -> None:
        self._pending.append((name, value))

    def _bind(self, name: str, holder: Any, key: str | None) -> None:
        self.reached.bindings.append(_bound(name, holder, key))

    def _function(self, name: str, function: FunctionType) -> None:
        code = function.__code__
        if not _users(code):
            self._held(function)
            return
        self.reached.codes.append(code)
        scope, unbound = function.__globals__, []
        own = own_names(code, scope)
        self.reached.names.update(_attribute_names(code) if own is None else own.attributes)
        if own is not None:
            self._called |= own.called
            self._stored |= own.stored
        for free, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            if own is not None and free not in own.variables | own.called:
                continue
            self._bind(free, cell, None)
            itself = own is None or free in own.variables
            (self._later if itself else self._only_called)(free, self.reached.bindings[-1].value)
        self._space("", scope)
        for used, itself in self._names_in(code, scope, own).items():
            if used in scope and not is_inserted(scope[used]):
                self._bind(used, scope, used)
                (self._later if itself else self._only_called)(used, scope[used])
            elif hasattr(builtins, used):
                self.reached.builtins.append((scope, used, code))
                unbound.append(used)
            else:
                self._bind(used, scope, used)
        if unbound:
            self._bind(", ".join(sorted({*unbound})), Builtins(scope, unbound), None)
        self._own(name, function)
        self._space(name, function.__dict__)
        self._holders.append((name, function, function.__dict__, False, set()))

    def _only_called(self, name: str, value: Any) -> None:
        """Take note of what code names only to be called back, and read no further."""
        code = getattr(getattr(value, "__func__", value), "__code__", None)
        if isinstance(code, CodeType):
            self._stored |= stored_by(code)

    def _names_in(
        self, code: CodeType, scope: dict[str, Any], own: Names | None
    ) -> dict[str, bool]:
        """Return the globals that code names, and whether it reads them itself.

        The modules that it imports are followed.
        """
        for module in modules_imported(code, scope):
            if module in sys.modules and users_own(module):
                self._bind(f"sys.modules[{module!r}]", sys.modules, module)
                self._later(module, sys.modules[module])
        looked_up = names_looked_up(code)
        if looked_up is None:
            self._bind("globals()", Space(scope, None), None)
            looked_up = frozenset(key for key in scope if not key.startswith("__"))
        found = dict.fromkeys(_global_names(code), True)
        if own is not None:
            found = {x: x in own.globals for x in found if x in own.globals | own.called}
        return found | dict.fromkeys(sorted(looked_up), True)

    def _any_module(self) -> None:
        """Follow all modules of the user's, since any of them may be looked up by a text."""
        self._bind("sys.modules", Space(sys.modules, UsersModules()), None)
        for name, module in list(sys.modules.items()):
            if users_own(name):
                self._later(name, module)

    def _space(self, name: str, fields: Any) -> None:
        self._spaces.setdefault(id(fields), (name, fields))

    def _held(self, function: FunctionType) -> None:
        """Follow the functions that one of hybrid's or of a package was made of: ``hb.grad(f)``."""
        if "registry" in function.__dict__:  # of functools.singledispatch
            self.reached.dispatching.append(function)
            self._later(f"{function.__name__}.registry", function.__dict__["registry"])
        for free, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
            held = Binding(free, cell, None, None).read()
            for value in held if isinstance(held, list | tuple) else (held,):
                if callable(value) and not isinstance(value, type):
                    self._later(getattr(value, "__name__", free), value)

    def _own(self, name: str, function: FunctionType) -> None:
        """Guard the code of a function, which an editor may replace in place, and its defaults."""
        if id(function) in self._weakly:
            self._bind(f"the code of {name}", Own(function), None)
        else:
            self._bind(f"the code of {name}", function, "__code__")
            self._bind(f"the defaults of {name}", function, "__defaults__")
            if function.__kwdefaults__:
                self._bind(f"the defaults of {name}", function, "__kwdefaults__")
                self._bind(f"the defaults of {name}", function.__kwdefaults__, None)
        named = function.__kwdefaults__ or {}
        for value in (*(function.__defaults__ or ()), *named.values()):
            self._later(f"a default of {name}", value)

    def _class(self, kind: type) -> None:
        self._later(type(kind).__name__, type(kind))
        if isinstance(kind, abc.ABCMeta) and users_own(kind.__module__):
            self.reached.names.add("ABC")
        if any(users_own(base.__module__) for base in kind.__mro__[1:]):
            self._bind(f"the bases of {kind.__name__}", Bases(kind), None)
        for base in kind.__mro__:
            if users_own(base.__module__) and (base is kind or id(base) not in self._seen):
                self._seen[id(base)] = base
                fields: Any = vars(base)
                self.reached.classes.append((fields, base))
                self._space(base.__name__, fields)
                self._holders.append((base.__name__, base, fields, False, set()))
                for key, value in fields.items():
                    if key.startswith("__") and isinstance(value, _METHODS):
                        self._bind(f"{base.__name__}.{key}", fields, key)
                        self._later(f"{base.__name__}.{key}", value)

    def _container(self, name: str, value: Any) -> None:
        if isinstance(value, list | dict | set | deque):
            self._bind(f"{name}[...]", value, None)
            held: Iterable[Any] = value.items() if isinstance(value, dict) else enumerate(value)
        elif isinstance(value, MappingProxyType):
            self._bind(f"{name}[...]", Items(value), None)
            held = enumerate(value.values())
        elif isinstance(value, KeysView | ValuesView | ItemsView):
            self._bind(f"{name}[...]", Viewed(value), None)
            held = enumerate(value)
        elif isinstance(value, tuple | frozenset):
            held = enumerate(value)
        elif isinstance(value, bytearray | array):
            self._bind(f"{name}[...]", value, None)
            return
        else:
            return
        for key, item in held:
            if type(item) not in _SCALARS:
                self._later(f"{name}[{key!r}]", item)

    def _object(self, name: str, obj: Any, named: bool) -> None:
        kind = type(obj)
        if is_iterator(obj):
            self.reached.stateful.append((name, obj))
        if not users_own(kind.__module__) and kind.__module__ not in _HOLDERS:
            inner = getattr(obj, "__wrapped__", None)  # a compiled function, functools.lru_cache
            if inner is not None:
                self._later(name, inner)
                if hasattr(obj, "cache_parameters") and isinstance(inner, FunctionType):
                    self.reached.cached.add(inner.__code__)
                    self.reached.remembered.add(f"{name}()")
                    for value in remembered(obj):
                        self._later(f"{name}()", value)
                self._space(name, vars(obj))
                self._holders.append((name, obj, vars(obj), False, set()))
            return
        if users_own(kind.__module__):
            self._later(kind.__name__, kind)
            if id(obj) not in self._weakly:  # of arguments the signature knows the class
                self._bind(f"the class of {name}", Kind(obj), None)
        fields = getattr(obj, "__dict__", None)
        if type(fields) is dict:
            self._bind(f"{name}.*", fields, None)
            everything = named or kind.__module__ in _HOLDERS
            self._holders.append((name, obj, fields, everything, set()))
        slots = Slots(obj)
        if slots.names:
            self._bind(f"{name}.*", slots, None)
            for slot, value in zip(slots.names, self.reached.bindings[-1].value, strict=True):
                self._later(f"{name}.{slot}", value)


def _of(name: str, key: Any) -> str:
    """Return the name of an attribute, or of an item, of what all attributes or items are."""
    return f"{name[:-1]}{key}" if name.endswith("*") else f"{name.removesuffix('[...]')}[{key!r}]"


def _attribute_names(code: CodeType) -> Iterator[str]:
    # What only __init__ names, it makes: no other code reads it.
    yield from read_by(code) if code.co_name == "__init__" else code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _attribute_names(constant)
