"""The call of a compiled function in native code, where it is like one that was seen before.

Python spends 0.9 microseconds on a call of a function of one small Tensor besides what the Plan
takes: on collecting the arguments, on the key of their types and shapes, on finding the launcher,
and on making a Tensor of the result. In native code it is 0.15. What the function reads outside is
compared there too, as words of memory: a method with ten names takes 0.9, where it took 5.4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hybrid.kernels.layouts import check_layouts, offset
from hybrid.kernels.objects import load, written

Ticket = tuple[Any, ...]
"""Numbers that say what a call is compared with and what it leads to; then what they refer to."""


Known = tuple[int, Any]
TENSOR, ARRAY, KIND, ITSELF, VALUE, LIST, TUPLE, DICT, INT = range(9)
"""What is known of an argument: a Tensor or an ndarray by its layout, its type, which it is, what
is known of the items of a container, or the value of an int."""
SHORT = 1 << 30
"""Ints from here on are of several digits."""


def ticket(
    arguments: Sequence[Known],
    names: tuple[str, ...],
    counter: np.ndarray[Any, Any],
    still: Callable[[], bool] | None,
    watched: np.ndarray[Any, Any],
    run: Callable[..., Any],
    order: Sequence[int],
    same: Sequence[tuple[int, int]],
    apart: Sequence[int],
    *,
    is_plan: bool,
) -> Ticket:
    """Describe the calls that have a short way.

    Parameters
    ----------
    arguments : sequence of tuple
        For each argument `TENSOR` or `ARRAY` and an ndarray like it (dtype, shape and strides must
        be those), `KIND` and its class, `ITSELF` or `VALUE` and the object, which the ticket keeps
        alive if it is a value. `LIST` or `TUPLE` and a list of such pairs, one for each item;
        `DICT` and a dict of them, by keys that must be the same objects in the same order. `INT`
        and an int below `SHORT`, or None for any of these.
    names : tuple of str
        Of those among them, the last ones, that are given by name.
    counter : ndarray of int64
        Its one element counts the calls.
    still : callable, optional
        Tells whether the trace still holds.
    watched : ndarray of int64
        How many pairs follow of an address and the word that is there where `still` need not be
        asked; 0 where it must be.
    run : callable
        The Plan, which takes ndarrays and gives a tuple of one; or what takes the leaves as they
        are and gives what the call does.
    order : sequence of int
        Which leaves it takes: the arguments, those that are containers replaced by their items.
    same : sequence of tuple
        Pairs of leaves that are one object.
    apart : sequence of int
        Leaves of which no two are.
    is_plan : bool
    """
    held: list[Any] = []
    described = [word for x in arguments for word in _words(x, held)]
    words = [counter.ctypes.data, len(arguments) - len(names), id(names) if names else 0]
    words += [0 if still is None else id(still), id(run), watched.ctypes.data, int(is_plan)]
    words += [_leaves(arguments), len(order), len(same), len(apart)]
    words += [*order, *(i for pair in same for i in pair), *apart]
    words += described
    return np.array(words, np.int64), counter, names, still, watched, run, held


def _words(known: Known, held: list[Any]) -> list[int]:
    """Return the words of what is known of an argument; `held` gets what must be kept alive."""
    how, x = known
    if how in (TENSOR, ARRAY):
        held.append(x.dtype)
        return [how, id(x.dtype), x.ndim, *x.shape, *x.strides]
    if how in (LIST, TUPLE):
        return [how, len(x), *(word for item in x for word in _words(item, held))]
    if how == DICT:
        held.extend(x)
        items = ((id(key), *_words(item, held)) for key, item in x.items())
        return [how, len(x), *(word for words in items for word in words)]
    if how == INT:
        return [how, SHORT if x is None else x]
    held += [] if how == ITSELF else [x]
    return [how, id(x)]


def _leaves(known: Iterable[Known]) -> int:
    return sum(
        _leaves(x.values() if how == DICT else x) if how in (LIST, TUPLE, DICT) else 1
        for how, x in known
    )


def quick_call(
    kind: type, probe: Any, otherwise: Callable[..., Any], known: Mapping[str, Any]
) -> Any:
    """Compile ``__call__`` of a class whose instances may have tickets.

    Parameters
    ----------
    kind : type
    probe : object
        One of `kind`; its field ``_shortcuts`` holds an object whose field ``tickets`` holds a
        tuple of them, or None.
    otherwise : callable
        Python's ``__call__``.
    known : mapping of str to object
        As for `short_ways`; and the set ``requests``, empty where all is as usual.

    Raises
    ------
    RuntimeError
        Where objects lie in memory otherwise than expected.
    """
    from hybrid.kernels import native

    check_layouts()
    fields = {
        "shortcuts": offset(probe, "_shortcuts"),
        "tickets": offset(probe._shortcuts, "tickets"),
        "short": SHORT,
    }
    text = written(_CODE, known, fields)
    address = load(text, {**known, "otherwise": otherwise, "dict": dict})("hybrid_call")
    return native.method_of(kind, address, "__call__", otherwise, keywords=True)


# The words of a ticket: counter, number of arguments by place, names of others or 0, `still` or 0,
# `run`, `watched`, whether it is a Plan, number of leaves, of those that it takes, of pairs that
# are one object and of leaves no two of which are; those that it takes, these pairs, these leaves;
# then for each argument how it is known, and
# descr, nd, sizes, strides, or a type, an object or an int, or how many items and the same for each
# of them, of a dict with its key before. Tickets are held while they are in use: another thread may
# give the function other ones.
_CODE = """
declare i64 @PyList_Size(ptr)
declare ptr @PyList_GetItem(ptr, i64)
declare i64 @PyDict_Size(ptr)
declare i32 @PyDict_Next(ptr, ptr, ptr, ptr)

; The words behind those of an array, if it lies as they say; null if not.
define internal ptr @after(ptr %x, ptr %words) {
  %x.descr = call ptr @field(ptr %x, i64 <descr>)
  %descr = call ptr @word(ptr %words, i64 0)
  %is_descr = icmp eq ptr %x.descr, %descr
  %x.nd = call i64 @number_in(ptr %x, i64 <nd>)
  %nd = call i64 @number(ptr %words, i64 1)
  %is_nd = icmp eq i64 %x.nd, %nd
  %both = and i1 %is_descr, %is_nd
  br i1 %both, label %axes, label %no
axes:
  %x.sizes = call ptr @field(ptr %x, i64 <sizes>)
  %sizes = getelementptr i64, ptr %words, i64 2
  %same_sizes = call i1 @equal(ptr %x.sizes, ptr %sizes, i64 %nd)
  br i1 %same_sizes, label %steps, label %no
steps:
  %x.strides = call ptr @field(ptr %x, i64 <strides>)
  %strides = getelementptr i64, ptr %sizes, i64 %nd
  %same_strides = call i1 @equal(ptr %x.strides, ptr %strides, i64 %nd)
  br i1 %same_strides, label %yes, label %no
yes:
  %end = getelementptr i64, ptr %strides, i64 %nd
  ret ptr %end
no:
  ret ptr null
}

; The words behind those of an argument, if it is as they say; null if not. The leaves in it go
; where %to_at says, ndarrays instead of Tensors if %bare.
define internal ptr @known(ptr %x, ptr %words, ptr %to_at, i1 %bare) {
  %int_at = alloca i64
  %how = call i64 @number(ptr %words, i64 0)
  %rest = getelementptr i64, ptr %words, i64 1
  %thing = call ptr @word(ptr %rest, i64 0)
  %after = getelementptr i64, ptr %rest, i64 1
  switch i64 %how, label %itself [ i64 0, label %tensor i64 1, label %array i64 2, label %kind
                                   i64 5, label %list i64 6, label %tuple i64 7, label %dict
                                   i64 8, label %int ]
tensor:
  %data = call ptr @array_of(ptr %x)
  %some = icmp ne ptr %data, null
  br i1 %some, label %compare, label %no
compare:
  %given = select i1 %bare, ptr %data, ptr %x
  %end = call ptr @after(ptr %data, ptr %rest)
  br label %leaf
array:
  %is_array = call i1 @is_a(ptr %x, ptr <ndarray>)
  br i1 %is_array, label %flags, label %no
flags:
  %bits = call i64 @number_in(ptr %x, i64 <flags>)
  %aligned = and i64 %bits, 256
  %straight = icmp ne i64 %aligned, 0
  br i1 %straight, label %lies, label %no
lies:
  %end.array = call ptr @after(ptr %x, ptr %rest)
  br label %leaf
kind:
  %of_kind = call i1 @is_a(ptr %x, ptr %thing)
  br i1 %of_kind, label %leaf, label %no
itself:
  %is = icmp eq ptr %x, %thing
  br i1 %is, label %leaf, label %no
int:
  %is_int = call i1 @is_a(ptr %x, ptr <int>)
  br i1 %is_int, label %digits, label %no
digits:
  %short = call i1 @short_int(ptr %x, ptr %int_at)
  br i1 %short, label %int.value, label %no
int.value:
  %int.now = load i64, ptr %int_at
  %int.wanted = call i64 @number(ptr %rest, i64 0)
  %int.any = icmp eq i64 %int.wanted, <short>
  %int.same = icmp eq i64 %int.now, %int.wanted
  %int.good = or i1 %int.any, %int.same
  br i1 %int.good, label %leaf, label %no
leaf:
  %y = phi ptr [ %given, %compare ], [ %x, %lies ], [ %x, %kind ], [ %x, %itself ],
    [ %x, %int.value ]
  %behind = phi ptr [ %end, %compare ], [ %end.array, %lies ], [ %after, %kind ],
    [ %after, %itself ], [ %after, %int.value ]
  %to = load ptr, ptr %to_at
  store ptr %y, ptr %to
  %to.up = getelementptr ptr, ptr %to, i64 1
  store ptr %to.up, ptr %to_at
  ret ptr %behind
list:
  %is_list = call i1 @is_a(ptr %x, ptr <list>)
  br i1 %is_list, label %list.size, label %no
list.size:
  %n.list = call i64 @PyList_Size(ptr %x)
  br label %size
tuple:
  %is_tuple = call i1 @is_a(ptr %x, ptr <tuple>)
  br i1 %is_tuple, label %tuple.size, label %no
tuple.size:
  %n.tuple = call i64 @PyTuple_Size(ptr %x)
  br label %size
size:
  %n = phi i64 [ %n.list, %list.size ], [ %n.tuple, %tuple.size ]
  %wanted = call i64 @number(ptr %rest, i64 0)
  %as_many = icmp eq i64 %n, %wanted
  br i1 %as_many, label %next, label %no
next:
  %i = phi i64 [ 0, %size ], [ %i.up, %picked ]
  %at = phi ptr [ %after, %size ], [ %at.up, %picked ]
  %left = icmp slt i64 %i, %n
  br i1 %left, label %one, label %yes
one:
  %listed = icmp eq i64 %how, 5
  br i1 %listed, label %from_list, label %from_tuple
from_list:
  %item.list = call ptr @PyList_GetItem(ptr %x, i64 %i)
  br label %look
from_tuple:
  %item.tuple = call ptr @PyTuple_GetItem(ptr %x, i64 %i)
  br label %look
look:
  %item = phi ptr [ %item.list, %from_list ], [ %item.tuple, %from_tuple ]
  %at.up = call ptr @known(ptr %item, ptr %at, ptr %to_at, i1 %bare)
  %fits = icmp ne ptr %at.up, null
  br i1 %fits, label %picked, label %no
picked:
  %i.up = add i64 %i, 1
  br label %next
dict:
  %is_dict = call i1 @is_a(ptr %x, ptr <dict>)
  br i1 %is_dict, label %dict.size, label %no
dict.size:
  %n.dict = call i64 @PyDict_Size(ptr %x)
  %wanted.dict = call i64 @number(ptr %rest, i64 0)
  %as_many.dict = icmp eq i64 %n.dict, %wanted.dict
  br i1 %as_many.dict, label %items, label %no
items:
  %end.dict = call ptr @known_items(ptr %x, i64 %n.dict, ptr %after, ptr %to_at, i1 %bare)
  ret ptr %end.dict
yes:
  ret ptr %at
no:
  ret ptr null
}

; The same for the items of a dict, which has so many.
define internal ptr @known_items(ptr %x, i64 %n, ptr %words, ptr %to_at, i1 %bare) noinline {
  %place_at = alloca i64
  %key_at = alloca ptr
  %item_at = alloca ptr
  store i64 0, ptr %place_at
  br label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i.up, %same ]
  %at = phi ptr [ %words, %0 ], [ %at.up, %same ]
  %left = icmp slt i64 %i, %n
  br i1 %left, label %one, label %yes
one:
  %more = call i32 @PyDict_Next(ptr %x, ptr %place_at, ptr %key_at, ptr %item_at)
  %found = icmp ne i32 %more, 0
  br i1 %found, label %compare, label %no
compare:
  %key = load ptr, ptr %key_at
  %wanted = call ptr @word(ptr %at, i64 0)
  %is = icmp eq ptr %key, %wanted
  br i1 %is, label %look, label %no
look:
  %item = load ptr, ptr %item_at
  %rest = getelementptr i64, ptr %at, i64 1
  %at.up = call ptr @known(ptr %item, ptr %rest, ptr %to_at, i1 %bare)
  %fits = icmp ne ptr %at.up, null
  br i1 %fits, label %same, label %no
same:
  %i.up = add i64 %i, 1
  br label %next
yes:
  ret ptr %at
no:
  ret ptr null
}

; Whether arguments are given by the names that a ticket says, in that order.
define internal i1 @named(ptr %names, ptr %wanted) {
  %is = icmp eq ptr %names, %wanted
  br i1 %is, label %yes, label %other
other:
  %none = icmp eq ptr %names, null
  %none.wanted = icmp eq ptr %wanted, null
  %either = or i1 %none, %none.wanted
  br i1 %either, label %no, label %sizes
sizes:
  %n = call i64 @PyTuple_Size(ptr %names)
  %n.wanted = call i64 @PyTuple_Size(ptr %wanted)
  %as_many = icmp eq i64 %n, %n.wanted
  br i1 %as_many, label %next, label %no
next:
  %i = phi i64 [ 0, %sizes ], [ %i.up, %one ]
  %left = icmp slt i64 %i, %n
  br i1 %left, label %one, label %yes
one:
  %name = call ptr @PyTuple_GetItem(ptr %names, i64 %i)
  %name.wanted = call ptr @PyTuple_GetItem(ptr %wanted, i64 %i)
  %i.up = add i64 %i, 1
  %same = icmp eq ptr %name, %name.wanted
  br i1 %same, label %next, label %no
yes:
  ret i1 1
no:
  ret i1 0
}

; Whether all words of memory are what they were.
define internal i1 @unmoved(ptr %watched) {
  %n = call i64 @number(ptr %watched, i64 0)
  %some = icmp sgt i64 %n, 0
  br i1 %some, label %next, label %no
next:
  %i = phi i64 [ 0, %0 ], [ %i.up, %one ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %one, label %yes
one:
  %twice = shl i64 %i, 1
  %at = add i64 %twice, 1
  %at.word = add i64 %twice, 2
  %address = call ptr @word(ptr %watched, i64 %at)
  %before = call i64 @number(ptr %watched, i64 %at.word)
  %now = load i64, ptr %address
  %same = icmp eq i64 %now, %before
  %i.up = add i64 %i, 1
  br i1 %same, label %next, label %no
yes:
  ret i1 1
no:
  ret i1 0
}

; Whether of so many leaves no two are one object.
define internal i1 @differ(ptr %leaves, ptr %places, i64 %n) {
  br label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i.up, %before ]
  %left = icmp slt i64 %i, %n
  br i1 %left, label %one, label %yes
one:
  %place = call i64 @number(ptr %places, i64 %i)
  %x = call ptr @word(ptr %leaves, i64 %place)
  %i.up = add i64 %i, 1
  br label %before
before:
  %j = phi i64 [ 0, %one ], [ %j.up, %pair ]
  %more = icmp slt i64 %j, %i
  br i1 %more, label %pair, label %next
pair:
  %place.other = call i64 @number(ptr %places, i64 %j)
  %y = call ptr @word(ptr %leaves, i64 %place.other)
  %j.up = add i64 %j, 1
  %same = icmp eq ptr %x, %y
  br i1 %same, label %no, label %before
yes:
  ret i1 1
no:
  ret i1 0
}

; What a function gives; without an error it gives null where Python has to go its own way, and says
; so where no other ticket is to be tried.
define internal ptr @quick(ptr %words, ptr %args, i64 %n, ptr %names, ptr %over_at) {
  %to_at = alloca ptr
  %known = call i64 @number(ptr %words, i64 1)
  %as_many = icmp eq i64 %n, %known
  br i1 %as_many, label %names.compare, label %miss
names.compare:
  %wanted = call ptr @word(ptr %words, i64 2)
  %named = call i1 @named(ptr %names, ptr %wanted)
  br i1 %named, label %look, label %miss
look:
  %count.leaves = call i64 @number(ptr %words, i64 7)
  %leaves = alloca ptr, i64 %count.leaves
  store ptr %leaves, ptr %to_at
  %order = getelementptr i64, ptr %words, i64 11
  %m = call i64 @number(ptr %words, i64 8)
  %whether = call i64 @number(ptr %words, i64 6)
  %is_plan = icmp ne i64 %whether, 0
  %pairs = getelementptr i64, ptr %order, i64 %m
  %p = call i64 @number(ptr %words, i64 9)
  %p.words = shl i64 %p, 1
  %apart = getelementptr i64, ptr %pairs, i64 %p.words
  %n.apart = call i64 @number(ptr %words, i64 10)
  %first = getelementptr i64, ptr %apart, i64 %n.apart
  %some_named = icmp ne ptr %names, null
  br i1 %some_named, label %names.count, label %count
names.count:
  %k.names = call i64 @PyTuple_Size(ptr %names)
  br label %count
count:
  %more.names = phi i64 [ 0, %look ], [ %k.names, %names.count ]
  %total = add i64 %n, %more.names
  br label %next
next:
  %i = phi i64 [ 0, %count ], [ %i.up, %same ]
  %at = phi ptr [ %first, %count ], [ %at.up, %same ]
  %left = icmp slt i64 %i, %total
  br i1 %left, label %one, label %same.next
one:
  %x = call ptr @word(ptr %args, i64 %i)
  %at.up = call ptr @known(ptr %x, ptr %at, ptr %to_at, i1 %is_plan)
  %fits = icmp ne ptr %at.up, null
  br i1 %fits, label %same, label %miss
same:
  %i.up = add i64 %i, 1
  br label %next
same.next:
  %q = phi i64 [ 0, %next ], [ %q.up, %same.pair ]
  %same.left = icmp slt i64 %q, %p.words
  br i1 %same.left, label %same.pair, label %others
same.pair:
  %q.b = add i64 %q, 1
  %q.up = add i64 %q, 2
  %place.a = call i64 @number(ptr %pairs, i64 %q)
  %place.b = call i64 @number(ptr %pairs, i64 %q.b)
  %leaf.a = call ptr @word(ptr %leaves, i64 %place.a)
  %leaf.b = call ptr @word(ptr %leaves, i64 %place.b)
  %one_object = icmp eq ptr %leaf.a, %leaf.b
  br i1 %one_object, label %same.next, label %miss
others:
  %differ = call i1 @differ(ptr %leaves, ptr %apart, i64 %n.apart)
  br i1 %differ, label %alike, label %miss
alike:
  store i1 1, ptr %over_at
  %given = alloca ptr, i64 %m
  br label %pick
pick:
  %j = phi i64 [ 0, %alike ], [ %j.up, %picked ]
  %more = icmp slt i64 %j, %m
  br i1 %more, label %picked, label %ready
picked:
  %place = call i64 @number(ptr %order, i64 %j)
  %chosen = call ptr @word(ptr %leaves, i64 %place)
  call void @Py_IncRef(ptr %chosen)
  %put = getelementptr ptr, ptr %given, i64 %j
  store ptr %chosen, ptr %put
  %j.up = add i64 %j, 1
  br label %pick
ready:
  %still = call ptr @word(ptr %words, i64 3)
  %asks = icmp ne ptr %still, null
  br i1 %asks, label %watch, label %run
watch:
  %watched = call ptr @word(ptr %words, i64 5)
  %quiet = call i1 @unmoved(ptr %watched)
  br i1 %quiet, label %run, label %ask
ask:
  %answer = call ptr @PyObject_Vectorcall(ptr %still, ptr null, i64 0, ptr null)
  %raised = icmp eq ptr %answer, null
  br i1 %raised, label %drop, label %told
told:
  call void @Py_DecRef(ptr %answer)
  %holds = icmp eq ptr %answer, <True>
  br i1 %holds, label %run, label %drop
run:
  %call = call ptr @word(ptr %words, i64 4)
  %called = call ptr @PyObject_Vectorcall(ptr %call, ptr %given, i64 %m, ptr null)
  br label %drop
drop:
  %out = phi ptr [ null, %ask ], [ null, %told ], [ %called, %run ]
  %ran = phi i1 [ 0, %ask ], [ 0, %told ], [ 1, %run ]
  br label %drop.next
drop.next:
  %k = phi i64 [ 0, %drop ], [ %k.up, %dropped ]
  %rest = icmp slt i64 %k, %m
  br i1 %rest, label %dropped, label %done
dropped:
  %used.at = getelementptr ptr, ptr %given, i64 %k
  %used = load ptr, ptr %used.at
  call void @Py_DecRef(ptr %used)
  %k.up = add i64 %k, 1
  br label %drop.next
done:
  %nothing = icmp eq ptr %out, null
  %own = xor i1 %is_plan, 1
  %whole = and i1 %ran, %own
  %good = xor i1 %nothing, 1
  %answered = or i1 %whole, %good
  br i1 %answered, label %tell, label %lost
tell:
  %count_at = call ptr @word(ptr %words, i64 0)
  %count.before = load i64, ptr %count_at
  %count.up = add i64 %count.before, 1
  store i64 %count.up, ptr %count_at
  br i1 %is_plan, label %wrap, label %bare
bare:
  ret ptr %out
wrap:
  %result = call ptr @PyTuple_GetItem(ptr %out, i64 0)
  call void @Py_IncRef(ptr %result)
  call void @Py_DecRef(ptr %out)
  %t = call ptr @made_alone(ptr %result)
  ret ptr %t
lost:
  %error = call ptr @PyErr_Occurred()
  %failed = icmp ne ptr %error, null
  br i1 %failed, label %error.known, label %miss
error.known:
  %forgiven = call i1 @forgiven()
  br label %miss
miss:
  ret ptr null
}

define ptr @hybrid_call(ptr %self, ptr %args, i64 %n, ptr %names) {
  %over_at = alloca i1
  %shortcuts = call ptr @field(ptr %self, i64 <shortcuts>)
  %some = icmp ne ptr %shortcuts, null
  br i1 %some, label %look, label %python
look:
  %tickets = call ptr @field(ptr %shortcuts, i64 <tickets>)
  %has = call i1 @is_a(ptr %tickets, ptr <tuple>)
  %idle = call i1 @idle()
  %requests = call i64 @PySet_Size(ptr <requests>)
  %usual = icmp eq i64 %requests, 0
  %b = and i1 %idle, %usual
  %c = and i1 %has, %b
  br i1 %c, label %try, label %python
try:
  call void @Py_IncRef(ptr %tickets)
  %count = call i64 @PyTuple_Size(ptr %tickets)
  store i1 0, ptr %over_at
  br label %next
next:
  %i = phi i64 [ 0, %try ], [ %i.up, %one ]
  %r.last = phi ptr [ null, %try ], [ %r, %one ]
  %over = load i1, ptr %over_at
  %left = icmp slt i64 %i, %count
  %others = xor i1 %over, 1
  %more = and i1 %left, %others
  br i1 %more, label %one, label %tried
one:
  %ticket = call ptr @PyTuple_GetItem(ptr %tickets, i64 %i)
  %array = call ptr @PyTuple_GetItem(ptr %ticket, i64 0)
  %words = call ptr @field(ptr %array, i64 <header>)
  %r = call ptr @quick(ptr %words, ptr %args, i64 %n, ptr %names, ptr %over_at)
  %i.up = add i64 %i, 1
  br label %next
tried:
  call void @Py_DecRef(ptr %tickets)
  %good = icmp ne ptr %r.last, null
  br i1 %good, label %yes, label %unknown
unknown:
  %error = call ptr @PyErr_Occurred()
  %failed = icmp ne ptr %error, null
  br i1 %failed, label %no, label %python
yes:
  ret ptr %r.last
no:
  ret ptr null
python:
  %p = call ptr @long(ptr <otherwise>, ptr %self, ptr %args, i64 %n, ptr %names)
  ret ptr %p
}
"""
