"""The short ways of eager operators in native code: what is plain is done here, the rest in Python.

An operator on small arrays is dominated by Python: ``x + y`` takes NumPy 0.3 microseconds, a Python
function around NumPy's ufunc twice that. What it does where nothing records it and the operands are
Tensors on the CPU takes 0.08 in native code: it looks at types, calls the same ufunc and makes a
Tensor around what that returns. Whatever is not plain (tapes and traces, other operands, an error)
is left to the Python function that the short way stands in front of.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hybrid.kernels.objects import address_text, assemble, check_layouts, offset
from hybrid.records import dataclass


@dataclass(frozen=True, slots=True)
class Way:
    """An operator with a short way.

    Parameters
    ----------
    name : str
    kind : str
        ``"unary"``, ``"binary"``, ``"reflected"`` (``__radd__``), ``"product"`` (binary, of arrays
        of one floating-point dtype), ``"item"`` (``x[index]``), ``"reshape"``, ``"function"``
        or ``"function of two"`` (of so many arguments and no method; it gives None where the way is
        not plain).
    call : callable
        What does it to ndarrays: a ufunc. It gives one, or a NumPy scalar. Of ``"item"``:
        ``call(index, shape)`` gives the view ops that lead to what the index shows, of
        ``"reshape"`` it is ``call(shape)``.
    otherwise : callable
        The Python function for what is not plain.
    """

    name: str
    kind: str
    call: Callable[..., Any]
    otherwise: Callable[..., Any] | None = None


def short_ways(ways: Sequence[Way], known: Mapping[str, Any]) -> list[Any]:
    """Compile short ways.

    Parameters
    ----------
    ways : sequence of Way
    known : mapping of str to object
        ``Tensor``, a ``tensor`` whose fields ``_data``, ``_link`` and ``_node`` are set, an
        ``alias`` and its class ``Alias``; the set ``busy``, empty where nothing is recorded; the
        function ``own_alias`` that makes what a view hangs on; ``large``, the number of elements
        from which on elementwise functions are left to Python.

    Returns
    -------
    list
        One for each way, to be set as an attribute of Tensor, or to be called.

    Raises
    ------
    RuntimeError
        Where objects lie in memory otherwise than expected.
    """
    from hybrid.kernels import engine, native

    check_layouts()
    alias = known["alias"]
    fields = {"storage": offset(alias, "storage"), "version": offset(alias.storage, "version")}
    native.keep(known, ways)
    common = engine.load_assembly(assemble(_CODE, known, fields))
    entries = {name: common(name) for name in _ENTRIES}
    # One for each way, which only says what is called: not worth the time of an optimiser.
    stubs = "".join(_stub(i, way, entries) for i, way in enumerate(ways))
    address_of = engine.load_assembly(stubs, effort=0)
    made = []
    for i, way in enumerate(ways):
        address = address_of(f"way{i}")
        if way.kind in ("function", "function of two"):
            definition, create = native.method(address, way.name)
            made.append(create(ctypes.addressof(definition), None, None))
        else:
            keywords = way.kind == "reshape"
            like = way.otherwise or way.call
            made.append(
                native.method_of(known["Tensor"], address, way.name, like, keywords=keywords)
            )
    return made


def _stub(number: int, way: Way, entries: Mapping[str, int]) -> str:
    lines = [f"define ptr @way{number}(ptr %self, ptr %args, i64 %n, ptr %names) {{"]
    target, given = "binary", ["ptr %self", "ptr %args"]
    if way.kind == "function":
        lines.append("  %x = load ptr, ptr %args")
        target, given = "unary", ["ptr %x"]
    elif way.kind == "function of two":
        lines += ["  %x = load ptr, ptr %args", "  %rest = getelementptr ptr, ptr %args, i64 1"]
        given = ["ptr %x", "ptr %rest"]
    elif way.kind == "unary":
        target, given = "unary", ["ptr %self"]
    elif way.kind == "item":
        target = "item"
    elif way.kind == "reshape":
        target, given = "reshape", [*given, "i64 %n", "ptr %names"]
    given += [f"ptr {address_text(way.call)}"]
    given += ["ptr null" if way.otherwise is None else f"ptr {address_text(way.otherwise)}"]
    if target == "binary":
        given += [f"i1 {int(way.kind == 'reflected')}", f"i1 {int(way.kind == 'product')}"]
    lines.append(f"  %r = call ptr inttoptr (i64 {entries[target]} to ptr)({', '.join(given)})")
    return "\n".join([*lines, "  ret ptr %r", "}\n"])


_ENTRIES = ("unary", "binary", "item", "reshape")

# Python calls operators with as many operands as they take, so that nobody counts them here. An
# array is held while NumPy works on it: another thread may give its Tensor another one.
_CODE = """
; A Tensor alone with what NumPy returned, an array or a scalar.
define internal ptr @wrapped(ptr %found) {
  %is = call i1 @is_a(ptr %found, ptr <ndarray>)
  br i1 %is, label %array, label %scalar
scalar:
  %given = alloca ptr
  store ptr %found, ptr %given
  %converted = call ptr @PyObject_Vectorcall(ptr <asarray>, ptr %given, i64 1, ptr null)
  call void @Py_DecRef(ptr %found)
  %failed = icmp eq ptr %converted, null
  br i1 %failed, label %no, label %array
array:
  %data = phi ptr [ %found, %0 ], [ %converted, %scalar ]
  call void @Py_IncRef(ptr <None>)
  %t = call ptr @made(ptr %data, ptr <None>)
  ret ptr %t
no:
  ret ptr null
}

; What a failed call leads to: the Python function, which explains it; null where it must not go on.
define internal ptr @instead(ptr %otherwise, ptr %self, ptr %other, i64 %n) {
  %ours = call i32 @PyErr_ExceptionMatches(ptr <Exception>)
  %go = icmp ne i32 %ours, 0
  br i1 %go, label %yes, label %no
yes:
  call void @PyErr_Clear()
  %r = call ptr @python(ptr %otherwise, ptr %self, ptr %other, i64 %n)
  ret ptr %r
no:
  ret ptr null
}

define internal ptr @python(ptr %otherwise, ptr %self, ptr %other, i64 %n) {
  %none = icmp eq ptr %otherwise, null
  br i1 %none, label %nothing, label %function
function:
  %given = alloca [2 x ptr]
  store ptr %self, ptr %given
  %second = getelementptr ptr, ptr %given, i64 1
  store ptr %other, ptr %second
  %r = call ptr @PyObject_Vectorcall(ptr %otherwise, ptr %given, i64 %n, ptr null)
  ret ptr %r
nothing:
  call void @Py_IncRef(ptr <None>)
  ret ptr <None>
}

define ptr @unary(ptr %self, ptr %call, ptr %otherwise) {
  %x = call ptr @array_of(ptr %self)
  %idle = call i1 @idle()
  %some = icmp ne ptr %x, null
  %plain = and i1 %some, %idle
  br i1 %plain, label %look, label %long
look:
  %small = call i1 @small(ptr %x)
  br i1 %small, label %short, label %long
long:
  %p = call ptr @python(ptr %otherwise, ptr %self, ptr null, i64 1)
  ret ptr %p
short:
  %given = alloca ptr
  store ptr %x, ptr %given
  call void @Py_IncRef(ptr %x)
  %found = call ptr @PyObject_Vectorcall(ptr %call, ptr %given, i64 1, ptr null)
  call void @Py_DecRef(ptr %x)
  %failed = icmp eq ptr %found, null
  br i1 %failed, label %explain, label %wrap
wrap:
  %t = call ptr @wrapped(ptr %found)
  ret ptr %t
explain:
  %e = call ptr @instead(ptr %otherwise, ptr %self, ptr null, i64 1)
  ret ptr %e
}

; Whether a number is one that NumPy takes beside an array as hybrid does: it widens bfloat16, whose
; kind is V.
define internal i1 @weak(ptr %number, i8 %kind) alwaysinline {
  %is_float = call i1 @is_a(ptr %number, ptr <float>)
  %is_int = call i1 @is_a(ptr %number, ptr <int>)
  %is = or i1 %is_float, %is_int
  %known = icmp ne i8 %kind, 86
  %both = and i1 %is, %known
  ret i1 %both
}

define ptr @binary(
  ptr %self, ptr %args, ptr %call, ptr %otherwise, i1 %swap, i1 %same
) {
  %other = load ptr, ptr %args
  %x = call ptr @array_of(ptr %self)
  %idle = call i1 @idle()
  %some = icmp ne ptr %x, null
  %plain = and i1 %some, %idle
  br i1 %plain, label %first, label %long
long:
  %p = call ptr @python(ptr %otherwise, ptr %self, ptr %other, i64 2)
  ret ptr %p
first:
  %descr = call ptr @field(ptr %x, i64 <descr>)
  %kind_at = getelementptr i8, ptr %descr, i64 <kind>
  %kind = load i8, ptr %kind_at
  %array = call ptr @array_of(ptr %other)
  %tensor = icmp ne ptr %array, null
  %y = select i1 %tensor, ptr %array, ptr %other
  %small = call i1 @small(ptr %x)
  br i1 %same, label %alike, label %divisible
divisible:
  br i1 %small, label %any, label %long
any:
  %number = call i1 @weak(ptr %other, i8 %kind)
  %takes = or i1 %tensor, %number
  br i1 %takes, label %short, label %long
alike:
  br i1 %tensor, label %compare, label %long
compare:
  %y.descr = call ptr @field(ptr %array, i64 <descr>)
  %one = icmp eq ptr %descr, %y.descr
  %real = icmp eq i8 %kind, 102
  %complex = icmp eq i8 %kind, 99
  %inexact = or i1 %real, %complex
  %good = and i1 %one, %inexact
  br i1 %good, label %short, label %long
short:
  %given = alloca [2 x ptr]
  %left = select i1 %swap, ptr %y, ptr %x
  %right = select i1 %swap, ptr %x, ptr %y
  store ptr %left, ptr %given
  %second = getelementptr ptr, ptr %given, i64 1
  store ptr %right, ptr %second
  call void @Py_IncRef(ptr %x)
  call void @Py_IncRef(ptr %y)
  %found = call ptr @PyObject_Vectorcall(ptr %call, ptr %given, i64 2, ptr null)
  call void @Py_DecRef(ptr %x)
  call void @Py_DecRef(ptr %y)
  %failed = icmp eq ptr %found, null
  br i1 %failed, label %explain, label %wrap
wrap:
  %t = call ptr @wrapped(ptr %found)
  ret ptr %t
explain:
  %e = call ptr @instead(ptr %otherwise, ptr %self, ptr %other, i64 2)
  ret ptr %e
}

; Whether a bound of a slice is an int or None.
define internal i1 @bound(ptr %slice, i64 %offset) alwaysinline {
  %x = call ptr @field(ptr %slice, i64 %offset)
  %none = icmp eq ptr %x, <None>
  %int = call i1 @is_a(ptr %x, ptr <int>)
  %is = or i1 %none, %int
  ret i1 %is
}

; Whether one entry of an index is an int, None, ... or a slice of ints.
define internal i1 @basic(ptr %x) {
  %int = call i1 @is_a(ptr %x, ptr <int>)
  %none = icmp eq ptr %x, <None>
  %dots = icmp eq ptr %x, <Ellipsis>
  %a = or i1 %int, %none
  %b = or i1 %a, %dots
  br i1 %b, label %yes, label %more
more:
  %slice = call i1 @is_a(ptr %x, ptr <slice>)
  br i1 %slice, label %bounds, label %no
bounds:
  %stop_at = add i64 <header>, 8
  %step_at = add i64 <header>, 16
  %start = call i1 @bound(ptr %x, i64 <header>)
  %stop = call i1 @bound(ptr %x, i64 %stop_at)
  %step = call i1 @bound(ptr %x, i64 %step_at)
  %two = and i1 %start, %stop
  %all = and i1 %two, %step
  ret i1 %all
yes:
  ret i1 1
no:
  ret i1 0
}

define internal i1 @all_basic(ptr %index) {
  %is = call i1 @is_a(ptr %index, ptr <tuple>)
  br i1 %is, label %tuple, label %single
single:
  %one = call i1 @basic(ptr %index)
  ret i1 %one
tuple:
  %n = call i64 @PyTuple_Size(ptr %index)
  br label %next
next:
  %i = phi i64 [ 0, %tuple ], [ %i.up, %entry ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %entry, label %yes
entry:
  %x = call ptr @PyTuple_GetItem(ptr %index, i64 %i)
  %i.up = add i64 %i, 1
  %good = call i1 @basic(ptr %x)
  br i1 %good, label %next, label %no
yes:
  ret i1 1
no:
  ret i1 0
}

; x[index]. A view hangs on the Storage of x as `seen` of the dispatch writes it.
define ptr @item(ptr %self, ptr %args, ptr %steps.of, ptr %otherwise) {
  %index = load ptr, ptr %args
  %x = call ptr @array_of(ptr %self)
  %idle = call i1 @idle()
  %some = icmp ne ptr %x, null
  %plain = and i1 %some, %idle
  br i1 %plain, label %first, label %long
first:
  %basic = call i1 @all_basic(ptr %index)
  br i1 %basic, label %short, label %long
long:
  %p = call ptr @python(ptr %otherwise, ptr %self, ptr %index, i64 2)
  ret ptr %p
short:
  call void @Py_IncRef(ptr %x)
  %part = call ptr @PyObject_GetItem(ptr %x, ptr %index)
  %failed = icmp eq ptr %part, null
  br i1 %failed, label %explain, label %found
explain:
  call void @Py_DecRef(ptr %x)
  %e = call ptr @instead(ptr %otherwise, ptr %self, ptr %index, i64 2)
  ret ptr %e
found:
  %view = call i1 @is_a(ptr %part, ptr <ndarray>)
  br i1 %view, label %hang, label %scalar
scalar:
  call void @Py_DecRef(ptr %x)
  %s = call ptr @wrapped(ptr %part)
  ret ptr %s
hang:
  %shape = call ptr @PyObject_GetAttr(ptr %x, ptr <shape>)
  call void @Py_DecRef(ptr %x)
  %no_shape = icmp eq ptr %shape, null
  br i1 %no_shape, label %lost, label %later
later:
  %steps = call ptr (i64, ...) @PyTuple_Pack(i64 3, ptr %steps.of, ptr %index, ptr %shape)
  call void @Py_DecRef(ptr %shape)
  %no_steps = icmp eq ptr %steps, null
  br i1 %no_steps, label %lost, label %tie
tie:
  %t = call ptr @tied(ptr %self, ptr %part, ptr %steps)
  ret ptr %t
lost:
  call void @Py_DecRef(ptr %part)
  ret ptr null
}

; x.reshape(*sizes). The array is a view where its base is that of x or x itself, and alone where it
; has none; what else there may be is Python's.
define ptr @reshape(
  ptr %self, ptr %args, i64 %n, ptr %names, ptr %steps.of, ptr %otherwise
) {
  %x = call ptr @array_of(ptr %self)
  %idle = call i1 @idle()
  %some = icmp ne ptr %x, null
  %bare = icmp eq ptr %names, null
  %sized = icmp ne i64 %n, 0
  %a = and i1 %some, %idle
  %b = and i1 %bare, %sized
  %plain = and i1 %a, %b
  br i1 %plain, label %short, label %python
python:
  %p = call ptr @long(ptr %otherwise, ptr %self, ptr %args, i64 %n, ptr %names)
  ret ptr %p
short:
  call void @Py_IncRef(ptr %x)
  %found = call ptr @long(ptr <numpys_reshape>, ptr %x, ptr %args, i64 %n, ptr null)
  %x.base = call ptr @field(ptr %x, i64 <base>)
  call void @Py_DecRef(ptr %x)
  %failed = icmp eq ptr %found, null
  br i1 %failed, label %error, label %look
error:
  %ours = call i32 @PyErr_ExceptionMatches(ptr <Exception>)
  %go_on = icmp ne i32 %ours, 0
  br i1 %go_on, label %explain, label %no
explain:
  call void @PyErr_Clear()
  br label %python
look:
  %base = call ptr @field(ptr %found, i64 <base>)
  %alone = icmp eq ptr %base, null
  br i1 %alone, label %copy, label %shared
copy:
  call void @Py_IncRef(ptr <None>)
  %c = call ptr @made(ptr %found, ptr <None>)
  ret ptr %c
shared:
  %own = icmp eq ptr %base, %x
  %same = icmp eq ptr %base, %x.base
  %view = or i1 %own, %same
  br i1 %view, label %hang, label %unclear
unclear:
  call void @Py_DecRef(ptr %found)
  br label %python
hang:
  %shape = call ptr @PyObject_GetAttr(ptr %found, ptr <shape>)
  %no_shape = icmp eq ptr %shape, null
  br i1 %no_shape, label %lost, label %later
later:
  %steps = call ptr (i64, ...) @PyTuple_Pack(i64 2, ptr %steps.of, ptr %shape)
  call void @Py_DecRef(ptr %shape)
  %no_steps = icmp eq ptr %steps, null
  br i1 %no_steps, label %lost, label %tie
tie:
  %t = call ptr @tied(ptr %self, ptr %found, ptr %steps)
  ret ptr %t
lost:
  call void @Py_DecRef(ptr %found)
  ret ptr null
no:
  ret ptr null
}

; A view of the memory of self; `part` and `steps` are taken over.
define internal ptr @tied(ptr %self, ptr %part, ptr %steps) {
  %old = call ptr @field(ptr %self, i64 <link>)
  %has = call i1 @is_a(ptr %old, ptr <Alias>)
  br i1 %has, label %known, label %ask
known:
  call void @Py_IncRef(ptr %old)
  br label %hang
ask:
  %given = alloca ptr
  store ptr %self, ptr %given
  %new = call ptr @PyObject_Vectorcall(ptr <own_alias>, ptr %given, i64 1, ptr null)
  %none = icmp eq ptr %new, null
  br i1 %none, label %lost, label %hang
hang:
  %alias = phi ptr [ %old, %known ], [ %new, %ask ]
  %storage = call ptr @field(ptr %alias, i64 <storage>)
  %version = call ptr @field(ptr %storage, i64 <version>)
  %link = call ptr (i64, ...) @PyTuple_Pack(
    i64 5, ptr %storage, ptr %version, ptr <None>, ptr %alias, ptr %steps)
  call void @Py_DecRef(ptr %alias)
  %no_link = icmp eq ptr %link, null
  br i1 %no_link, label %lost, label %make
make:
  call void @Py_DecRef(ptr %steps)
  %t = call ptr @made(ptr %part, ptr %link)
  ret ptr %t
lost:
  call void @Py_DecRef(ptr %steps)
  call void @Py_DecRef(ptr %part)
  ret ptr null
}
"""
