"""What native code is told of ways, and how they become methods and slots of Tensor.

It comes when ways are loaded or compiled: the texts of their code take 6 ms to import.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hybrid.kernels import assembly, native
from hybrid.kernels.innerloops import FLAGS, inner_loops
from hybrid.kernels.layouts import check_layouts, offset
from hybrid.kernels.objects import load, written
from hybrid.kernels.shortway.axes import AXES
from hybrid.kernels.shortway.calls import CALLS
from hybrid.kernels.shortway.choice import CHOICE
from hybrid.kernels.shortway.creation import CREATION
from hybrid.kernels.shortway.described import DESCRIBED
from hybrid.kernels.shortway.endings import ENDINGS, METHOD, ending
from hybrid.kernels.shortway.inplace import INPLACE
from hybrid.kernels.shortway.item import ITEM
from hybrid.kernels.shortway.loops import LOOPS
from hybrid.kernels.shortway.operators import OPERATORS
from hybrid.kernels.shortway.products import PRODUCTS
from hybrid.kernels.shortway.reductions import REDUCTIONS
from hybrid.kernels.shortway.reshape import RESHAPE
from hybrid.kernels.shortway.told import TOLD
from hybrid.kernels.shortway.views import VIEWS
from hybrid.kernels.shortway.way import Way
from hybrid.kernels.shortway.writes import WRITES
from hybrid.kernels.spare import SPARED, check_slots, keep_spare

Words = np.ndarray[Any, np.dtype[np.int64]]

_TEXTS = (
    *(SPARED, ENDINGS, CALLS, LOOPS, OPERATORS, PRODUCTS, VIEWS, ITEM, RESHAPE, REDUCTIONS),
    *(AXES, TOLD, WRITES, INPLACE, DESCRIBED, CREATION, CHOICE),
)
_COMPARISONS = ("__lt__", "__le__", "__eq__", "__ne__", "__gt__", "__ge__")  # as Python counts them
_SHARED = {
    "comparison": "comparison",
    "function": "function_of_one",
    "function of two": "function_of_two",
    "function of a product": "function_of_a_product",
    "function of an axis": "reduction",
    "function of axes": "function_of_axes",
    "function of unit axes": "function_of_unit_axes",
    "function of a shape": "function_of_a_shape",
    "function of numbers": "function_of_numbers",
    "function of a choice": "function_of_a_choice",
    "function of the largest": "function_of_the_largest",
    "function of the smallest": "function_of_the_smallest",
}
"""Entries that serve all ways of a kind."""

# What each kind of way is written as: the parameters, and the function that they are passed on to.
_ENTRIES = {
    "unary": ("ptr %self", "unary"),
    "binary": ("ptr %x, ptr %y", "binary"),
    "product": ("ptr %x, ptr %y", "product"),
    "in place": ("ptr %x, ptr %y", "in_place"),
    "item": ("ptr %x, ptr %y", "item"),
    "set item": ("ptr %self, ptr %index, ptr %value", "set_item"),
    "reshape": (METHOD, "reshape"),
    "transpose": (METHOD, "turned"),
    "squeeze": (METHOD, "squeezed"),
    "copy": (METHOD, "copied"),
    "ravel": (METHOD, "raveled"),
    "flatten": (METHOD, "flattened"),
    "float": ("ptr %self", "as_float"),
    "int": ("ptr %self", "as_int"),
    "bool": ("ptr %self", "as_bool"),
    "length": ("ptr %self", "length"),
    **{name: ("ptr %self", name) for name in ("shape", "ndim", "size", "dtype")},
}
_RESULTS = {"set item": "i32", "bool": "i32", "length": "i64"}
"""What a slot of Python's gives that gives no object."""
_PROPERTIES = frozenset(("shape", "ndim", "size", "dtype"))

# Where native code finds the fields of a Storage.
_STORED = {
    "base_of": "base",
    "node_of": "node",
    "version": "version",
    "watched": "watched",
    "snapshot": "_snapshot",
    "keeper": "keeper",
    "order": "order",
}

# The words of a way: what is called, the Python function, that for swapped operands; from _LOOPS
# on, for each number of a dtype: the dtype of the operands, the loop, its data, that of the result,
# and of a reduction what it starts with, if that is not the first element.
_LOOPS, _WORDS_PER_LOOP = 3, 5
_CHARS = "?bBhHiIlLqQfdgFD"
"""Of the dtypes that have loops here, by their numbers."""


def _words(way: Way) -> Words:
    """What native code is told of a way."""
    parts = (way.call, way.otherwise, way.reflected)
    words = [0 if part is None else id(part) for part in parts]
    found = _folds if way.kind == "function of an axis" else _loops
    loops = found(way.call) if isinstance(way.call, np.ufunc) else {}
    for number in range(len(_CHARS)):
        words += loops.get(number, (0,) * _WORDS_PER_LOOP)
    return np.array(words, np.int64)


@functools.cache
def _loops(ufunc: np.ufunc) -> dict[int, tuple[int, ...]]:
    """The words of the loops for operands of one dtype, by the number of that."""
    found: dict[int, tuple[int, ...]] = {}
    for loop in inner_loops(ufunc):
        given, result = loop.types.split("->")
        if len(set(given)) == len(result) == 1 and given[0] in _CHARS and result in _CHARS:
            dtype, out = np.dtype(given[0]), np.dtype(result)
            native.keep(dtype, out)
            found.setdefault(dtype.num, (id(dtype), loop.function, loop.data, id(out), 0))
    return found


@functools.cache
def _folds(ufunc: np.ufunc) -> dict[int, tuple[int, ...]]:
    """The words of the loops that ``ufunc.reduce`` calls for an array as it is."""
    found: dict[int, tuple[int, ...]] = {}
    for number, words in _loops(ufunc).items():
        one = np.ones(1, _CHARS[number])
        if ufunc.reduce(one).dtype == one.dtype and words[3] == words[0]:
            start = None if ufunc.identity is None else np.array(ufunc.identity, one.dtype)
            native.keep(start)
            found[number] = (*words[:-1], 0 if start is None else start.ctypes.data)
    return found


def kept(ways: Sequence[Way], known: Mapping[str, Any]) -> bool:
    """Whether short ways lie on disk, compiled; all is as for `short_ways`."""
    return assembly.kept(_written(ways, known))


def short_ways(ways: Sequence[Way], known: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Compile short ways.

    Parameters
    ----------
    ways : sequence of Way
    known : mapping of str to object
        ``Tensor``, a ``tensor`` whose fields ``_data``, ``_link`` and ``_node`` are set, an
        ``alias`` and its class ``Alias``, and ``Storage``, which it hangs on; the set ``busy``,
        empty where nothing is recorded; the function ``own_alias`` that makes what a view of a
        snapshot hangs on; ``large``, the number of elements from which on elementwise functions
        are left to Python.

    Returns
    -------
    list of dict
        For each way what is to be set as attributes of Tensor, or to be called, by names.

    Raises
    ------
    RuntimeError
        Where objects lie in memory otherwise than expected.
    """
    text = _written(ways, known)
    words = [_words(way) for way in ways]
    native.keep(ways, words)
    addresses = {f"way{i}": words[i].ctypes.data for i, way in enumerate(ways) if _is_named(way)}
    check_slots(known["Tensor"])
    address_of = load(text, known, addresses)
    keep_spare(known["Tensor"], address_of)
    made = []
    for i, way in enumerate(ways):
        address = address_of(_SHARED.get(way.kind, f"way{i}"))
        made.append(_attributes(way, address, words[i], known["Tensor"]))
    return made


def _is_named(way: Way) -> bool:
    """Whether its words are named in code; a function brings them along."""
    return way.kind in _ENTRIES or way.kind == "comparison"


def _written(ways: Sequence[Way], known: Mapping[str, Any]) -> str:
    check_layouts()
    alias = known["alias"]
    numbers: dict[str, int | str] = {
        "undone": "inttoptr (i64 1 to ptr)",
        "storage": offset(alias, "storage"),
        "seen_version": offset(alias, "version"),
        **{name: offset(alias.storage, field) for name, field in _STORED.items()},
        "all_flags": sum((FLAGS or {}).values()),
        "loops": _LOOPS,
        "words_per_loop": _WORDS_PER_LOOP,
        "dtypes": len(_CHARS),
        "float32": np.dtype(np.float32).num,
        "float64": np.dtype(np.float64).num,
    }
    entries = map(_entry, range(len(ways)), ways)
    return written("".join([*_TEXTS, *entries, _comparisons(ways)]), known, numbers)


def _entry(number: int, way: Way) -> str:
    if way.kind not in _ENTRIES:
        return ""
    parameters, target = _ENTRIES[way.kind]
    result = _RESULTS.get(way.kind, "ptr")
    return f"""
define {result} @way{number}({parameters}) {{
{ending(result, parameters, target, f"<way{number}>")}"""


def _comparisons(ways: Sequence[Way]) -> str:
    """Python has one slot for six operators, of which it gives the number."""
    numbers = {way.name: i for i, way in enumerate(ways) if way.kind == "comparison"}
    if not numbers:
        return ""
    cases = [(i, numbers[name]) for i, name in enumerate(_COMPARISONS)]
    table = " ".join(f"i32 {i}, label %case{i}" for i, _ in cases)
    blocks = "".join(f"case{i}:\n  br label %go\n" for i, _ in cases)
    chosen = ", ".join(f"[ <way{number}>, %case{i} ]" for i, number in cases)
    return f"""
define ptr @comparison(ptr %x, ptr %y, i32 %which) {{
  switch i32 %which, label %case0 [ {table} ]
{blocks}go:
  %way = phi ptr {chosen}
{ending("ptr", "ptr %x, ptr %y", "binary", "%way")}"""


def _attributes(way: Way, address: int, words: Words, kind: type) -> dict[str, Any]:
    if way.otherwise is None:  # a function, whose `self` are its words
        definition, create = native.method(address, way.name)
        return {way.name: create(ctypes.addressof(definition), words, None)}
    if way.kind in ("reshape", "ravel", "flatten", "transpose", "squeeze", "copy"):
        method = native.method_of(kind, address, way.name, way.otherwise, keywords=True)
        return {way.name: method}
    if way.kind in _PROPERTIES:
        return {way.name: native.getter_of(kind, address, way.name, way.otherwise)}
    if way.name == "__iadd__":
        # Of its two slots Python takes what the second gives as it is: NotImplemented too.
        return {way.name: native.method_of_one(kind, address, way.name, way.otherwise)}
    made = {way.name: native.slot_of(kind, address, way.name, way.otherwise)}
    if way.kind == "set item" and way.call is not None:
        # Of one slot: beside a deletion in Python all would be looked up by name, 100 ns.
        made["__delitem__"] = native.slot_of(kind, address, "__delitem__", way.call)
    if way.reflected is not None:
        swapped = f"__r{way.name.strip('_')}__"
        made[swapped] = native.slot_of(kind, address, swapped, way.reflected)
    return made
