"""The call of a compiled function in native code, where it is like one that was seen before.

Python spends 0.9 microseconds on a call of a function of one small Tensor besides what the Plan
takes: on collecting the arguments, on the key of their types and shapes, on finding the launcher,
and on making a Tensor of the result. In native code it is 0.15. What the function reads outside is
compared there too, as words of memory: a method with ten names takes 0.9, where it took 5.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hybrid.kernels.layouts import check_layouts, offset
from hybrid.kernels.objects import load, written

Ticket = tuple[Any, ...]
"""Numbers that say what a call is compared with and what it leads to; then what they refer to."""


TENSOR, ARRAY, KIND, ITSELF, VALUE = range(5)
"""What is known of an argument: a Tensor or an ndarray by its layout, its type, or which it is."""


def ticket(
    arguments: Sequence[tuple[int, Any]],
    counter: np.ndarray[Any, Any],
    still: Callable[[], bool] | None,
    watched: np.ndarray[Any, Any],
    run: Callable[..., Any],
    order: Sequence[int] | None,
) -> Ticket:
    """Describe the calls that have a short way.

    Parameters
    ----------
    arguments : sequence of tuple
        For each argument `TENSOR` or `ARRAY` and an ndarray like it (dtype, shape and strides must
        be those), `KIND` and its class, `ITSELF` or `VALUE` and the object, which the ticket keeps
        alive if it is a value.
    counter : ndarray of int64
        Its one element counts the calls.
    still : callable, optional
        Tells whether the trace still holds.
    watched : ndarray of int64
        How many pairs follow of an address and the word that is there where `still` need not be
        asked; 0 where it must be.
    run : callable
        The Plan, which takes ndarrays and gives a tuple of one; or, without `order`, what takes the
        arguments as they are and gives what the call does.
    order : sequence of int, optional
        Which arguments the Plan takes.
    """
    words = [counter.ctypes.data, len(arguments), 0 if still is None else id(still), id(run)]
    words += [watched.ctypes.data, *([-1] if order is None else [len(order), *order])]
    held: list[Any] = []
    for how, x in arguments:
        words.append(how)
        if how in (TENSOR, ARRAY):
            words += [id(x.dtype), x.ndim, *x.shape, *x.strides]
            held.append(x.dtype)
        else:
            words.append(id(x))
            held += [] if how == ITSELF else [x]
    return np.array(words, np.int64), counter, still, watched, run, held


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
    }
    text = written(_CODE, known, fields)
    address = load(text, {**known, "otherwise": otherwise, "True": True})("hybrid_call")
    return native.method_of(kind, address, "__call__", otherwise, keywords=True)


# The words of a ticket: counter, number of arguments, `still` or 0, `run`, `watched`, number of
# parameters or -1, the parameters, then for each argument how it is known, and descr, nd, sizes,
# strides, or a type or an object. Tickets are held while they are in use: another thread may give
# the function other ones.
_CODE = """
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

; The words behind those of an argument, if it is as they say; null if not.
define internal ptr @known(ptr %x, ptr %words, ptr %operand_at) {
  %how = call i64 @number(ptr %words, i64 0)
  %rest = getelementptr i64, ptr %words, i64 1
  %thing = call ptr @word(ptr %rest, i64 0)
  %after = getelementptr i64, ptr %rest, i64 1
  store ptr %x, ptr %operand_at
  switch i64 %how, label %itself [ i64 0, label %tensor i64 1, label %array i64 2, label %kind ]
tensor:
  %data = call ptr @array_of(ptr %x)
  %some = icmp ne ptr %data, null
  br i1 %some, label %compare, label %no
compare:
  store ptr %data, ptr %operand_at
  %end = call ptr @after(ptr %data, ptr %rest)
  ret ptr %end
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
  ret ptr %end.array
kind:
  %of_kind = call i1 @is_a(ptr %x, ptr %thing)
  br i1 %of_kind, label %yes, label %no
itself:
  %is = icmp eq ptr %x, %thing
  br i1 %is, label %yes, label %no
yes:
  ret ptr %after
no:
  ret ptr null
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

; What a function gives; without an error it gives null where Python has to go its own way, and says
; so where no other ticket is to be tried.
define internal ptr @quick(ptr %words, ptr %args, i64 %n, ptr %over_at) {
  %known = call i64 @number(ptr %words, i64 1)
  %as_many = icmp eq i64 %n, %known
  br i1 %as_many, label %look, label %miss
look:
  %arrays = alloca ptr, i64 %n
  %order = getelementptr i64, ptr %words, i64 6
  %m = call i64 @number(ptr %words, i64 5)
  %is_plan = icmp sge i64 %m, 0
  %places = select i1 %is_plan, i64 %m, i64 0
  %first = getelementptr i64, ptr %order, i64 %places
  br label %next
next:
  %i = phi i64 [ 0, %look ], [ %i.up, %same ]
  %at = phi ptr [ %first, %look ], [ %at.up, %same ]
  %left = icmp slt i64 %i, %n
  br i1 %left, label %one, label %alike
one:
  %x = call ptr @word(ptr %args, i64 %i)
  %to = getelementptr ptr, ptr %arrays, i64 %i
  %at.up = call ptr @known(ptr %x, ptr %at, ptr %to)
  %fits = icmp ne ptr %at.up, null
  br i1 %fits, label %same, label %miss
same:
  %i.up = add i64 %i, 1
  br label %next
alike:
  store i1 1, ptr %over_at
  %still = call ptr @word(ptr %words, i64 2)
  %asks = icmp ne ptr %still, null
  br i1 %asks, label %watch, label %run
watch:
  %watched = call ptr @word(ptr %words, i64 4)
  %quiet = call i1 @unmoved(ptr %watched)
  br i1 %quiet, label %run, label %ask
ask:
  %answer = call ptr @PyObject_Vectorcall(ptr %still, ptr null, i64 0, ptr null)
  %raised = icmp eq ptr %answer, null
  br i1 %raised, label %error, label %told
told:
  call void @Py_DecRef(ptr %answer)
  %holds = icmp eq ptr %answer, <True>
  br i1 %holds, label %run, label %miss
run:
  %count_at = call ptr @word(ptr %words, i64 0)
  %count = load i64, ptr %count_at
  %count.up = add i64 %count, 1
  %call = call ptr @word(ptr %words, i64 3)
  br i1 %is_plan, label %plan, label %whole
whole:
  store i64 %count.up, ptr %count_at
  %whole.r = call ptr @PyObject_Vectorcall(ptr %call, ptr %args, i64 %n, ptr null)
  ret ptr %whole.r
plan:
  %given = alloca ptr, i64 %m
  br label %pick
pick:
  %j = phi i64 [ 0, %plan ], [ %j.up, %picked ]
  %more = icmp slt i64 %j, %m
  br i1 %more, label %picked, label %go
picked:
  %place = call i64 @number(ptr %order, i64 %j)
  %chosen = call ptr @word(ptr %arrays, i64 %place)
  call void @Py_IncRef(ptr %chosen)
  %put = getelementptr ptr, ptr %given, i64 %j
  store ptr %chosen, ptr %put
  %j.up = add i64 %j, 1
  br label %pick
go:
  %out = call ptr @PyObject_Vectorcall(ptr %call, ptr %given, i64 %m, ptr null)
  br label %drop
drop:
  %k = phi i64 [ 0, %go ], [ %k.up, %dropped ]
  %rest = icmp slt i64 %k, %m
  br i1 %rest, label %dropped, label %done
dropped:
  %used = call ptr @word(ptr %given, i64 %k)
  call void @Py_DecRef(ptr %used)
  %k.up = add i64 %k, 1
  br label %drop
done:
  %failed = icmp eq ptr %out, null
  br i1 %failed, label %error, label %wrap
error:
  %forgiven = call i1 @forgiven()
  br label %miss
wrap:
  store i64 %count.up, ptr %count_at
  %result = call ptr @PyTuple_GetItem(ptr %out, i64 0)
  call void @Py_IncRef(ptr %result)
  call void @Py_DecRef(ptr %out)
  %t = call ptr @made_alone(ptr %result)
  ret ptr %t
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
  %plain = icmp eq ptr %names, null
  %idle = call i1 @idle()
  %requests = call i64 @PySet_Size(ptr <requests>)
  %usual = icmp eq i64 %requests, 0
  %a = and i1 %has, %plain
  %b = and i1 %idle, %usual
  %c = and i1 %a, %b
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
  %r = call ptr @quick(ptr %words, ptr %args, i64 %n, ptr %over_at)
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
