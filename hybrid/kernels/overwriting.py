"""Results written over the arrays that they replace, in native code.

In Python it takes 1.3 us for each: is it a Tensor, does a tape hold its contents, is there anything
to cast or to broadcast. Where all is plain, here it takes 0.02.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hybrid.kernels import native
from hybrid.kernels.layouts import check_layouts
from hybrid.kernels.objects import PLAIN, load, written

_WRITEABLE = 0x400

_CODE = """
declare ptr @PyLong_FromLong(i64)
declare ptr @memmove(ptr, ptr, i64)

; The ndarray of a Tensor that is alone with it, or an ndarray itself; else null.
define internal ptr @alone(ptr %x) alwaysinline {
  %is_array = call i1 @is_a(ptr %x, ptr <ndarray>)
  br i1 %is_array, label %array, label %other
other:
  %is_tensor = call i1 @is_a(ptr %x, ptr <Tensor>)
  br i1 %is_tensor, label %tensor, label %no
tensor:
  %link = call ptr @field(ptr %x, i64 <link>)
  %free = icmp eq ptr %link, <None>
  br i1 %free, label %own, label %no
own:
  %data = call ptr @array_of(ptr %x)
  ret ptr %data
array:
  ret ptr %x
no:
  ret ptr null
}

define ptr @hybrid_overwrite(ptr %self, ptr %args, i64 %count) {
  br label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i.up, %done ]
  %j = add i64 %i, 1
  %left = icmp slt i64 %j, %count
  br i1 %left, label %pair, label %answer
pair:
  %target = call ptr @word(ptr %args, i64 %i)
  %x = call ptr @alone(ptr %target)
  %y = call ptr @word(ptr %args, i64 %j)
  %plain_target = icmp ne ptr %x, null
  %plain_value = call i1 @is_a(ptr %y, ptr <ndarray>)
  %both = and i1 %plain_target, %plain_value
  br i1 %both, label %compare, label %answer
compare:
  %it = icmp eq ptr %x, %y
  br i1 %it, label %done, label %flags
flags:
  %x.flags = call i64 @number_in(ptr %x, i64 <flags>)
  %y.flags = call i64 @number_in(ptr %y, i64 <flags>)
  %x.set = and i64 %x.flags, <open>
  %y.set = and i64 %y.flags, <plain>
  %x.open = icmp eq i64 %x.set, <open>
  %y.plain = icmp eq i64 %y.set, <plain>
  %x.descr = call ptr @field(ptr %x, i64 <descr>)
  %y.descr = call ptr @field(ptr %y, i64 <descr>)
  %same_dtype = icmp eq ptr %x.descr, %y.descr
  %x.nd = call i64 @number_in(ptr %x, i64 <nd>)
  %y.nd = call i64 @number_in(ptr %y, i64 <nd>)
  %same_nd = icmp eq i64 %x.nd, %y.nd
  %kind = call i8 @kind_of(ptr %x.descr)
  %numbers = icmp ne i8 %kind, <object>
  %a = and i1 %x.open, %y.plain
  %b = and i1 %same_dtype, %same_nd
  %c = and i1 %a, %b
  %d = and i1 %c, %numbers
  br i1 %d, label %sizes, label %answer
sizes:
  %x.sizes = call ptr @field(ptr %x, i64 <sizes>)
  %y.sizes = call ptr @field(ptr %y, i64 <sizes>)
  %same_sizes = call i1 @equal(ptr %x.sizes, ptr %y.sizes, i64 %x.nd)
  br i1 %same_sizes, label %measure, label %answer
measure:
  %itemsize = call i64 @number_at(ptr %x.descr, i64 <itemsize>)
  br label %axis
axis:
  %k = phi i64 [ 0, %measure ], [ %k.up, %more ]
  %bytes = phi i64 [ %itemsize, %measure ], [ %bytes.up, %more ]
  %some = icmp slt i64 %k, %x.nd
  br i1 %some, label %more, label %copy
more:
  %size = call i64 @number(ptr %x.sizes, i64 %k)
  %bytes.up = mul i64 %bytes, %size
  %k.up = add i64 %k, 1
  br label %axis
copy:
  %to = call ptr @field(ptr %x, i64 <header>)
  %from = call ptr @field(ptr %y, i64 <header>)
  %moved = call ptr @memmove(ptr %to, ptr %from, i64 %bytes)
  br label %done
done:
  %i.up = add i64 %i, 2
  br label %next
answer:
  %answered = call ptr @PyLong_FromLong(i64 %i)
  ret ptr %answered
}
"""


def overwriting(known: Mapping[str, Any]) -> Callable[..., int]:
    """Compile a function of targets, each with its value behind it.

    It writes them one after the other, up to the first that takes more than copying, and tells how
    many of its arguments it is done with.

    Parameters
    ----------
    known : mapping of str to object
        As for `quick_call`.

    Raises
    ------
    RuntimeError
        Where objects lie in memory otherwise than expected.
    """
    check_layouts()
    numbers = {"open": PLAIN | _WRITEABLE, "object": ord("O")}
    address = load(written(_CODE, known, numbers), known)("hybrid_overwrite")
    found: Any = native.function_of(address, "overwrite", None)
    overwrite: Callable[..., int] = found
    return overwrite
