"""How a way ends that has not done it: Python is asked, in one place for all ways of a kind.

A way gives ``<undone>`` then, or -2 where Python is given a number. A function has no Python
function of its own: it gives None, and whoever called it goes on.
"""

from __future__ import annotations

UNDONE = {"ptr": "<undone>", "i32": "-2", "i64": "-2"}
"""By the type of what a way gives; -1 tells Python of an error."""

METHOD = "ptr %self, ptr %args, i64 %n, ptr %names"
"""The parameters of a method that takes keywords."""

_ASKED = {
    ("ptr", "ptr %self"): "python_of_one",
    ("i32", "ptr %self"): "python_of_truth",
    ("i64", "ptr %self"): "python_of_length",
    ("ptr", "ptr %x, ptr %y"): "python_of_two",
    ("ptr", METHOD): "python_of_method",
    ("i32", "ptr %self, ptr %index, ptr %value"): "python_of_setting",
}
"""What asks Python, by what it gives and takes."""


def ending(result: str, parameters: str, target: str, way: str) -> str:
    """Return the code that gives what a function in native code gives, or else Python's."""
    python = _ASKED[result, parameters]
    return f"""
  %r = call {result} @{target}({parameters}, ptr {way})
  %open = icmp eq {result} %r, {UNDONE[result]}
  br i1 %open, label %python, label %done
python:
  %p = call {result} @{python}({parameters}, ptr {way})
  ret {result} %p
done:
  ret {result} %r
}}
"""


ENDINGS = """
declare i32 @PyType_IsSubtype(ptr, ptr)
declare i64 @PyNumber_AsSsize_t(ptr, ptr)

define internal ptr @python_of_one(ptr %self, ptr %way) noinline {
  %otherwise = call ptr @word(ptr %way, i64 1)
  %r = call ptr @long(ptr %otherwise, ptr %self, ptr null, i64 0, ptr null)
  ret ptr %r
}

define internal i32 @python_of_truth(ptr %self, ptr %way) noinline {
  %p = call ptr @python_of_one(ptr %self, ptr %way)
  %failed = icmp eq ptr %p, null
  br i1 %failed, label %no, label %answered
answered:
  call void @Py_DecRef(ptr %p)
  %true = icmp eq ptr %p, <True>
  %r = zext i1 %true to i32
  ret i32 %r
no:
  ret i32 -1
}

define internal i64 @python_of_length(ptr %self, ptr %way) noinline {
  %p = call ptr @python_of_one(ptr %self, ptr %way)
  %failed = icmp eq ptr %p, null
  br i1 %failed, label %no, label %convert
convert:
  %r = call i64 @PyNumber_AsSsize_t(ptr %p, ptr null)  ; a size that only a call knows is no int
  call void @Py_DecRef(ptr %p)
  ret i64 %r
no:
  ret i64 -1
}

; Python calls an operator with its operands in their order, of which the second may be the Tensor.
define internal ptr @python_of_two(ptr %x, ptr %y, ptr %way) noinline {
  %given = alloca ptr
  %type = call ptr @field(ptr %x, i64 <type>)
  %mine = call i32 @PyType_IsSubtype(ptr %type, ptr <Tensor>)
  %first = icmp ne i32 %mine, 0
  br i1 %first, label %forwards, label %swapped
forwards:
  %forward = call ptr @word(ptr %way, i64 1)
  store ptr %y, ptr %given
  %f = call ptr @long(ptr %forward, ptr %x, ptr %given, i64 1, ptr null)
  ret ptr %f
swapped:
  %reflected = call ptr @word(ptr %way, i64 2)
  %has = icmp ne ptr %reflected, null
  br i1 %has, label %backwards, label %unknown
backwards:
  store ptr %x, ptr %given
  %r = call ptr @long(ptr %reflected, ptr %y, ptr %given, i64 1, ptr null)
  ret ptr %r
unknown:
  call void @Py_IncRef(ptr <NotImplemented>)
  ret ptr <NotImplemented>
}

define internal ptr @python_of_method(
  ptr %self, ptr %args, i64 %n, ptr %names, ptr %way
) noinline {
  %otherwise = call ptr @word(ptr %way, i64 1)
  %r = call ptr @long(ptr %otherwise, ptr %self, ptr %args, i64 %n, ptr %names)
  ret ptr %r
}

define internal i32 @python_of_setting(ptr %self, ptr %index, ptr %value, ptr %way) noinline {
  %both = alloca [2 x ptr]
  %otherwise = call ptr @word(ptr %way, i64 1)
  %second = getelementptr ptr, ptr %both, i64 1
  store ptr %index, ptr %both
  store ptr %value, ptr %second
  %p = call ptr @long(ptr %otherwise, ptr %self, ptr %both, i64 2, ptr null)
  %failed = icmp eq ptr %p, null
  br i1 %failed, label %no, label %yes
yes:
  call void @Py_DecRef(ptr %p)
  ret i32 0
no:
  ret i32 -1
}

; What a function gives: None where its way has not done it.
define internal ptr @or_none(ptr %r) alwaysinline {
  %open = icmp eq ptr %r, <undone>
  br i1 %open, label %none, label %done
none:
  call void @Py_IncRef(ptr <None>)
  ret ptr <None>
done:
  ret ptr %r
}
"""
