"""The call of a compiled function in native code, where it is like one that was seen before.

Python spends 0.9 microseconds on a call of a function of one small Tensor besides what the Plan
takes: on collecting the arguments, on the key of their types and shapes, on finding the launcher,
and on making a Tensor of the result. In native code it is 0.15. What the function reads outside is
compared there too, as words of memory: a method with ten names takes 0.9, where it took 5.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hybrid.kernels.known import KNOWN
from hybrid.kernels.layouts import check_layouts, offset
from hybrid.kernels.objects import load, written
from hybrid.kernels.ticket import SHORT


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
        As for `short_ways`; the set ``requests``, empty where all is as usual; and ``unknown``,
        which what a ticket runs gives where Python has to go its own way.

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
    text = written(KNOWN + _CODE, known, fields)
    address = load(text, {**known, "otherwise": otherwise, "dict": dict})("hybrid_call")
    return native.method_of(kind, address, "__call__", otherwise, keywords=True)


# The words of a ticket: counter, number of arguments by place, names of others or 0, `still` or 0,
# `run`, `watched`, whether it is a Plan, number of leaves, of those that it takes, of pairs that
# are one object and of leaves no two of which are; those that it takes, these pairs, these leaves;
# then the arguments, as `hybrid.kernels.known` has them. Tickets are held while they are in use:
# another thread may give the function other ones.
_CODE = """
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
  %is_open = icmp eq ptr %out, <unknown>
  br i1 %is_open, label %forget, label %settled
forget:
  call void @Py_DecRef(ptr %out)
  br label %miss
settled:
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
