"""Words of memory that tell whether Python's objects are as they were, for native code to compare.

A pair is an address and the word that is to be found there. They are compared in order, and an
address may be one that only holds where the words before are found. What a name means in a
dictionary is told by where it keeps its keys, by the version of these, which the interpreter counts
up for its own look-ups, and by the word of the value; all that a dictionary holds by its version.

The interpreter is asked by experiment whether it does so: `usable` says no for one that does not.
"""

from __future__ import annotations

import ctypes
import functools
import gc
from collections.abc import Mapping
from types import CellType, FunctionType
from typing import Any

import numpy as np

from hybrid.kernels.layouts import FIELDS, check_layouts, offset

Pairs = list[tuple[int, int]]

_WORD = ctypes.sizeof(ctypes.c_void_p)
_HEADER = FIELDS["header"]
_VERSION, _KEYS, _VALUES = _HEADER + _WORD, _HEADER + 2 * _WORD, _HEADER + 3 * _WORD
_KEYS_VERSION, _KEYS_COUNT, _INDICES = _WORD, 3 * _WORD, 4 * _WORD
"""In PyDictObject and in PyDictKeysObject; the version of keys lies beside their sizes."""
_PLENTY = 100_000  # names in one dictionary: more are not looked through


def _word(address: int) -> int:
    return ctypes.c_uint64.from_address(address).value


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


def _at(address: int) -> tuple[int, int]:
    return address, _signed(_word(address))


def of_dict(mapping: Mapping[Any, Any]) -> Pairs:
    """Return what tells that a dictionary holds what it does."""
    return [_at(id(_dict_of(mapping)) + _VERSION)]


def of_keys(namespace: Mapping[str, Any]) -> Pairs:
    """Return what tells that globals, or what a class holds, have the names that they have."""
    names = _dict_of(namespace)
    keys = _counted_keys(names) if "__builtins__" in names else 0
    if not keys:
        return of_dict(names)
    return [_at(id(names) + _KEYS), _at(keys + _KEYS_VERSION)]


def of_name(namespace: Mapping[str, Any], name: str) -> Pairs:
    """Return what tells that a name means what it does, or that there is none."""
    pairs = of_keys(namespace)
    names = _dict_of(namespace)
    if len(pairs) == 1 or name not in names:
        return pairs
    keys, value = _word(id(names) + _KEYS), id(names[name])
    indices = 1 << (_word(keys + _KEYS_VERSION) >> 8 & 0xFF)
    first = keys + _INDICES + indices
    count = _word(keys + _KEYS_COUNT)
    # A name and what it means, one after the other: thousands of them in microseconds.
    entries = np.ctypeslib.as_array((ctypes.c_uint64 * (2 * count)).from_address(first))
    for i in np.flatnonzero(entries[1::2] == value):
        held = int(entries[2 * i])
        if held and ctypes.cast(held, ctypes.py_object).value == name:
            return [*pairs, _at(first + (2 * int(i) + 1) * _WORD)]
    return of_dict(names)


def of_cell(cell: CellType) -> Pairs:
    """Return what tells that a cell holds what it does."""
    return [_at(id(cell) + _HEADER)]


def of_list(items: list[Any]) -> Pairs:
    """Return what tells that a list holds what it does."""
    start = id(items) + _HEADER
    data = _word(start + _WORD)
    held = [_at(data + i * _WORD) for i in range(len(items))]
    return [_at(start), _at(start + _WORD), *held]


def of_function(function: FunctionType, attribute: str) -> Pairs | None:
    """Return what tells that code or defaults of a function are what they are; None of others."""
    at = _function_fields().get(attribute)
    return None if at is None else [_at(id(function) + at)]


def of_bases(kind: type) -> Pairs:
    """Return what tells that a class inherits from those that it does."""
    return [_at(id(kind) + offset(kind, "__mro__"))]


def of_class(x: Any) -> Pairs:
    """Return what tells that an object is of the class that it is."""
    return [_at(id(x) + FIELDS["type"])]


def _dict_of(mapping: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the dict that the read-only attributes of a class show; another dict as it is."""
    found: dict[Any, Any] = mapping if type(mapping) is dict else gc.get_referents(mapping)[0]
    return found


@functools.cache
def _function_fields() -> dict[str, int]:
    def probe(a: Any = 1.5, *, b: Any = 2.5) -> None: ...

    return {name: offset(probe, name) for name in ("__code__", "__defaults__", "__kwdefaults__")}


def _counted_keys(names: dict[str, Any]) -> int:
    """Return the address of the keys of globals, once they have a version; 0 for none."""
    if len(names) > _PLENTY or _word(id(names) + _VALUES) or "__name__" not in names:
        return 0
    keys = _word(id(names) + _KEYS)
    if not _word(keys + _KEYS_VERSION) >> 32:
        # A look-up that runs often enough makes the interpreter count them. Code of its own, that
        # has not been through this.
        look = FunctionType(_look.__code__.replace(), names)
        for _ in range(_OFTEN):
            look()
    return keys if _word(keys + _KEYS_VERSION) >> 32 else 0


_OFTEN = 64


def _look() -> Any:
    return __name__


@functools.cache
def usable() -> bool:
    """Tell whether this interpreter keeps what is read here, and counts as is expected."""
    try:
        check_layouts()
        return all(check() for check in (_keys_are_counted, _dicts_are_counted, _fields_are_there))
    except RuntimeError:
        return False


def _keys_are_counted() -> bool:
    names: dict[str, Any] = {"__name__": "x", "__builtins__": {}, "a": object()}
    before, meant = of_keys(names), of_name(names, "a")
    if len(before) != 2 or len(meant) != 3:
        return False
    names["__name__"] = "y"
    if of_keys(names) != before or of_name(names, "a") != meant:
        return False
    names["a"] = object()
    if of_keys(names) != before or of_name(names, "a") == meant:
        return False
    seen = [before]
    for change in (
        lambda: names.update(b=1),
        lambda: names.pop("b"),
        lambda: names.__setitem__("c", 2),
        lambda: names.__delitem__("c"),
        lambda: names.setdefault("d", 3),
        lambda: names.popitem(),
    ):
        change()
        now = of_keys(names)
        if len(now) != 2 or now in seen:
            return False
        seen.append(now)
    return True


def _dicts_are_counted() -> bool:
    class Held:
        pass

    held = Held()
    held.a = 1  # type: ignore[attr-defined]
    own, of_kind = vars(held), vars(Held)
    seen = [of_dict(own)]

    def put() -> None:  # as code does that has run often, in a way of its own
        for i in range(_OFTEN):
            held.a = i  # type: ignore[attr-defined]
            seen.append(of_dict(own))

    put()
    own["b"] = 2
    seen.append(of_dict(own))
    del held.b  # type: ignore[attr-defined]
    seen.append(of_dict(own))
    kinds = [of_dict(of_kind)]
    for i in range(_OFTEN):
        Held.b = i  # type: ignore[attr-defined]
        kinds.append(of_dict(of_kind))
    del Held.b  # type: ignore[attr-defined]
    kinds.append(of_dict(of_kind))
    return all(len({x[0] for x in found}) == len(found) for found in (seen, kinds))


def _fields_are_there() -> bool:
    held = object()
    cell, items = CellType(held), [held, None]
    probe = [word for _, word in of_list(items)]
    fields = _function_fields()
    return (
        of_cell(cell)[0][1] == id(held)
        and probe[0] == 2
        and probe[2:] == [id(held), id(None)]
        and len(fields) == 3
        and of_bases(CellType)[0][1] == id(CellType.__mro__)
        and of_class(cell)[0][1] == id(CellType)
    )
