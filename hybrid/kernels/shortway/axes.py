"""Views of axes in another order, or without those of size 1."""

AXES = """
; The axes that ints say, from the front, each once; false where they are no permutation.
define internal i1 @permutation_of(ptr %entries, i64 %nd, ptr %axes) {
  br label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i.up, %put ]
  %seen = phi i64 [ 0, %0 ], [ %seen.now, %put ]
  %more = icmp slt i64 %i, %nd
  br i1 %more, label %entry, label %yes
entry:
  %x = call ptr @word(ptr %entries, i64 %i)
  %place = call i64 @axis_of(ptr %x, i64 %nd)
  %within = icmp ult i64 %place, %nd
  br i1 %within, label %mark, label %no
mark:
  %bit = shl i64 1, %place
  %before = and i64 %seen, %bit
  %new = icmp eq i64 %before, 0
  %seen.now = or i64 %seen, %bit
  %to = getelementptr i64, ptr %axes, i64 %i
  store i64 %place, ptr %to
  %i.up = add i64 %i, 1
  br i1 %new, label %put, label %no
put:
  br label %next
yes:
  ret i1 1
no:
  ret i1 0
}

; Whether a method is given nothing, or None alone.
define internal i1 @unasked(ptr %args, i64 %n) {
  switch i64 %n, label %no [ i64 0, label %yes
                             i64 1, label %look ]
look:
  %first = call ptr @word(ptr %args, i64 0)
  %none = icmp eq ptr %first, <None>
  ret i1 %none
yes:
  ret i1 1
no:
  ret i1 0
}

; The axes in the order that is given, or the other way round. The view ops are told which.
define internal ptr @turned(ptr %self, ptr %args, i64 %n, ptr %names, ptr %way) {
  %sizes = alloca [64 x i64]
  %strides = alloca [64 x i64]
  %axes = alloca [64 x i64]
  %count_at = alloca i64
  %x = call ptr @plain_array(ptr %self)
  %some = icmp ne ptr %x, null
  %bare = icmp eq ptr %names, null
  %go = and i1 %some, %bare
  br i1 %go, label %start, label %python
start:
  %nd = call i64 @number_in(ptr %x, i64 <nd>)
  %x.sizes = call ptr @field(ptr %x, i64 <sizes>)
  %x.strides = call ptr @field(ptr %x, i64 <strides>)
  %nothing = call i1 @unasked(ptr %args, i64 %n)
  br i1 %nothing, label %reverse, label %given
given:
  %entries = call ptr @entries_of(ptr %args, i64 %n, ptr %count_at)
  %count = load i64, ptr %count_at
  %as_many = icmp eq i64 %count, %nd
  br i1 %as_many, label %permute, label %python
permute:
  %right = call i1 @permutation_of(ptr %entries, i64 %nd, ptr %axes)
  br i1 %right, label %next, label %python
reverse:
  %r = phi i64 [ 0, %start ], [ %r.up, %turn ]
  %r.more = icmp slt i64 %r, %nd
  br i1 %r.more, label %turn, label %next
turn:
  %r.up = add i64 %r, 1
  %r.from = sub i64 %nd, %r.up
  %r.to = getelementptr i64, ptr %axes, i64 %r
  store i64 %r.from, ptr %r.to
  br label %reverse
next:
  %i = phi i64 [ 0, %permute ], [ 0, %reverse ], [ %i.up, %put ]
  %more = icmp slt i64 %i, %nd
  br i1 %more, label %put, label %view
put:
  %i.up = add i64 %i, 1
  %from = call i64 @number(ptr %axes, i64 %i)
  %size = call i64 @number(ptr %x.sizes, i64 %from)
  %stride = call i64 @number(ptr %x.strides, i64 %from)
  %size.to = getelementptr i64, ptr %sizes, i64 %i
  %stride.to = getelementptr i64, ptr %strides, i64 %i
  store i64 %size, ptr %size.to
  store i64 %stride, ptr %stride.to
  br label %next
view:
  %t = call ptr @view_along(ptr %self, ptr %x, ptr %way, i64 %nd, ptr %sizes, ptr %strides,
    i64 %nd, ptr %axes)
  ret ptr %t
python:
  ret ptr <undone>
}

; Without the axes of size 1. The view ops are told the sizes that there were.
define internal ptr @squeezed(ptr %self, ptr %args, i64 %n, ptr %names, ptr %way) {
  %sizes = alloca [64 x i64]
  %strides = alloca [64 x i64]
  %x = call ptr @plain_array(ptr %self)
  %some = icmp ne ptr %x, null
  %bare = icmp eq ptr %names, null
  %go = and i1 %some, %bare
  br i1 %go, label %ask, label %python
ask:
  %nothing = call i1 @unasked(ptr %args, i64 %n)
  br i1 %nothing, label %start, label %python
start:
  %nd = call i64 @number_in(ptr %x, i64 <nd>)
  %x.sizes = call ptr @field(ptr %x, i64 <sizes>)
  %x.strides = call ptr @field(ptr %x, i64 <strides>)
  br label %next
next:
  %i = phi i64 [ 0, %start ], [ %i.up, %put ]
  %to = phi i64 [ 0, %start ], [ %to.up, %put ]
  %more = icmp slt i64 %i, %nd
  br i1 %more, label %put, label %view
put:
  %size = call i64 @number(ptr %x.sizes, i64 %i)
  %stride = call i64 @number(ptr %x.strides, i64 %i)
  %size.to = getelementptr i64, ptr %sizes, i64 %to
  %stride.to = getelementptr i64, ptr %strides, i64 %to
  store i64 %size, ptr %size.to
  store i64 %stride, ptr %stride.to
  %stays = icmp ne i64 %size, 1
  %step = zext i1 %stays to i64
  %to.up = add i64 %to, %step
  %i.up = add i64 %i, 1
  br label %next
view:
  %t = call ptr @view_along(ptr %self, ptr %x, ptr %way, i64 %to, ptr %sizes, ptr %strides,
    i64 %nd, ptr %x.sizes)
  ret ptr %t
python:
  ret ptr <undone>
}

; A Tensor that shows the array of self from its start on, by view ops that are told numbers.
define internal ptr @view_along(
  ptr %self, ptr %x, ptr %way, i64 %nd, ptr %sizes, ptr %strides, i64 %n, ptr %numbers
) {
  %data = call ptr @field(ptr %x, i64 <header>)
  call void @Py_IncRef(ptr %x)
  %part = call ptr @view_of(ptr %x, ptr %data, i64 %nd, ptr %sizes, ptr %strides)
  %function = call ptr @word(ptr %way, i64 0)
  %t = call ptr @tied(ptr %self, ptr %part, ptr %function, ptr null, i64 %n, ptr %numbers)
  call void @Py_DecRef(ptr %x)
  ret ptr %t
}

; The functions are given what the methods are, and the Tensor first.
define ptr @function_of_axes(ptr %self, ptr %args, i64 %n) {
  %way = call ptr @field(ptr %self, i64 <header>)
  %x = call ptr @word(ptr %args, i64 0)
  %rest = getelementptr ptr, ptr %args, i64 1
  %less = sub i64 %n, 1
  %r = call ptr @turned(ptr %x, ptr %rest, i64 %less, ptr null, ptr %way)
  %t = call ptr @or_none(ptr %r)
  ret ptr %t
}

define ptr @function_of_unit_axes(ptr %self, ptr %args, i64 %n) {
  %way = call ptr @field(ptr %self, i64 <header>)
  %x = call ptr @word(ptr %args, i64 0)
  %rest = getelementptr ptr, ptr %args, i64 1
  %less = sub i64 %n, 1
  %r = call ptr @squeezed(ptr %x, ptr %rest, i64 %less, ptr null, ptr %way)
  %t = call ptr @or_none(ptr %r)
  ret ptr %t
}
"""
