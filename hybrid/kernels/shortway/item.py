"""``x[index]`` of ints, slices, None and ``...``.

What NumPy would refuse is left to Python, which explains it.
"""

ITEM = """
declare ptr @PyObject_GetItem(ptr, ptr)
declare i32 @PySlice_Unpack(ptr, ptr, ptr, ptr)
declare i64 @PySlice_AdjustIndices(i64, ptr, ptr, i64)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

; Whether a bound of a slice is an int or None.
define internal i1 @bound(ptr %slice, i64 %offset) alwaysinline {
  %x = call ptr @field(ptr %slice, i64 %offset)
  %none = icmp eq ptr %x, <None>
  %int = call i1 @is_a(ptr %x, ptr <int>)
  %is = or i1 %none, %int
  ret i1 %is
}

define internal i1 @bounded(ptr %slice) alwaysinline {
  %start = call i1 @bound(ptr %slice, i64 <header>)
  %stop = call i1 @bound(ptr %slice, i64 <stop>)
  %step = call i1 @bound(ptr %slice, i64 <step>)
  %two = and i1 %start, %stop
  %all = and i1 %two, %step
  ret i1 %all
}

; Where a slice without a step begins on an axis, and how many it is of; false for others.
define internal i1 @run_of(ptr %slice, i64 %length, ptr %start_at, ptr %count_at) alwaysinline {
  %step = call ptr @field(ptr %slice, i64 <step>)
  %plain = icmp eq ptr %step, <None>
  br i1 %plain, label %first, label %no
first:
  %start = call ptr @field(ptr %slice, i64 <header>)
  %begun = call i1 @edge_of(ptr %start, i64 0, i64 %length, ptr %start_at)
  br i1 %begun, label %second, label %no
second:
  %stop = call ptr @field(ptr %slice, i64 <stop>)
  %ended = call i1 @edge_of(ptr %stop, i64 %length, i64 %length, ptr %count_at)
  br i1 %ended, label %yes, label %no
yes:
  %from = load i64, ptr %start_at
  %to = load i64, ptr %count_at
  %between = sub i64 %to, %from
  %some = icmp sgt i64 %between, 0
  %count = select i1 %some, i64 %between, i64 0
  store i64 %count, ptr %count_at
  ret i1 1
no:
  ret i1 0
}

; A bound of a slice on an axis of so many: at most that, from the end where it is negative.
define internal i1 @edge_of(ptr %x, i64 %without, i64 %length, ptr %to) alwaysinline {
  %none = icmp eq ptr %x, <None>
  br i1 %none, label %default, label %ask
default:
  store i64 %without, ptr %to
  ret i1 1
ask:
  %known = call i1 @place_of(ptr %x, ptr %to)
  br i1 %known, label %cut, label %no
cut:
  %given = load i64, ptr %to
  %negative = icmp slt i64 %given, 0
  %from_end = add i64 %given, %length
  %place = select i1 %negative, i64 %from_end, i64 %given
  %before = icmp slt i64 %place, 0
  %up = select i1 %before, i64 0, i64 %place
  %beyond = icmp sgt i64 %up, %length
  %in = select i1 %beyond, i64 %length, i64 %up
  store i64 %in, ptr %to
  ret i1 1
no:
  ret i1 0
}

; What the entries of an index do to axes: how many they are for and take away, how many are new,
; and how many of them are `...`; false where one is of another kind.
define internal i1 @surveyed(ptr %entries, i64 %n, ptr %used, ptr %taken, ptr %new, ptr %dots) {
  store i64 0, ptr %used
  store i64 0, ptr %taken
  store i64 0, ptr %new
  store i64 0, ptr %dots
  br label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i.up, %counted ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %entry, label %yes
entry:
  %x = call ptr @word(ptr %entries, i64 %i)
  %i.up = add i64 %i, 1
  %is_slice = call i1 @is_a(ptr %x, ptr <slice>)
  br i1 %is_slice, label %slice, label %other
slice:
  call void @counted(ptr %used)
  %bounded = call i1 @bounded(ptr %x)
  br i1 %bounded, label %counted, label %no
other:
  %is_int = call i1 @is_a(ptr %x, ptr <int>)
  br i1 %is_int, label %int, label %another
int:
  call void @counted(ptr %used)
  call void @counted(ptr %taken)
  br label %counted
another:
  %is_none = icmp eq ptr %x, <None>
  br i1 %is_none, label %none, label %last
none:
  call void @counted(ptr %new)
  br label %counted
last:
  call void @counted(ptr %dots)
  %is_dots = icmp eq ptr %x, <Ellipsis>
  br i1 %is_dots, label %counted, label %no
counted:
  br label %next
yes:
  ret i1 1
no:
  ret i1 0
}

define internal void @counted(ptr %number) alwaysinline {
  %n = load i64, ptr %number
  %up = add i64 %n, 1
  store i64 %up, ptr %number
  ret void
}

; What an index shows: sizes and strides, and where it begins; null where it is wrong.
define internal ptr @shown(
  ptr %x, ptr %entries, i64 %n, i64 %used, ptr %sizes, ptr %strides
) {
  %start_at = alloca i64
  %stop_at = alloca i64
  %step_at = alloca i64
  %x.nd = call i64 @number_in(ptr %x, i64 <nd>)
  %x.data = call ptr @field(ptr %x, i64 <header>)
  %x.sizes = call ptr @field(ptr %x, i64 <sizes>)
  %x.strides = call ptr @field(ptr %x, i64 <strides>)
  %left = sub i64 %x.nd, %used
  br label %next
next:
  %i = phi i64 [ 0, %0 ], [ %one, %inside ], [ %i.up, %put ], [ %one, %skip ]
  %axis = phi i64 [ 0, %0 ], [ %axis.up, %inside ], [ %axis.put, %put ], [ %axis, %skip ]
  %to = phi i64 [ 0, %0 ], [ %to, %inside ], [ %to.up, %put ], [ %to, %skip ]
  %data = phi ptr [ %x.data, %0 ], [ %data.int, %inside ], [ %data.put, %put ], [ %data, %skip ]
  %dots = phi i64 [ 0, %0 ], [ %dots, %inside ], [ %dots.put, %put ], [ %left, %skip ]
  ; Axes for which there is no entry: those of `...`, or those at the end.
  %is_end = icmp sge i64 %i, %n
  %rest = sub i64 %x.nd, %axis
  %whole = select i1 %is_end, i64 %rest, i64 %dots
  %some = icmp sgt i64 %whole, 0
  br i1 %some, label %copy, label %maybe
copy:
  %size = call i64 @number(ptr %x.sizes, i64 %axis)
  %stride = call i64 @number(ptr %x.strides, i64 %axis)
  %copy.axis = add i64 %axis, 1
  %less = sub i64 %whole, 1
  %copy.dots = select i1 %is_end, i64 0, i64 %less
  br label %put
maybe:
  br i1 %is_end, label %done, label %entry
entry:
  %e = call ptr @word(ptr %entries, i64 %i)
  %one = add i64 %i, 1
  %axis.up = add i64 %axis, 1
  %is_slice = call i1 @is_a(ptr %e, ptr <slice>)
  br i1 %is_slice, label %slice, label %other
slice:
  %here = call i64 @number(ptr %x.sizes, i64 %axis)
  %apart = call i64 @number(ptr %x.strides, i64 %axis)
  %usual = call i1 @run_of(ptr %e, i64 %here, ptr %start_at, ptr %stop_at)
  br i1 %usual, label %run, label %unpack
run:
  %run.start = load i64, ptr %start_at
  %run.count = load i64, ptr %stop_at
  br label %shift
unpack:
  %wrong = call i32 @PySlice_Unpack(ptr %e, ptr %start_at, ptr %stop_at, ptr %step_at)
  %bad = icmp ne i32 %wrong, 0
  br i1 %bad, label %forget, label %adjust
adjust:
  %step = load i64, ptr %step_at
  %far.count = call i64 @PySlice_AdjustIndices(i64 %here, ptr %start_at, ptr %stop_at, i64 %step)
  %far.start = load i64, ptr %start_at
  br label %shift
shift:
  %count = phi i64 [ %run.count, %run ], [ %far.count, %adjust ]
  %start = phi i64 [ %run.start, %run ], [ %far.start, %adjust ]
  %pace = phi i64 [ 1, %run ], [ %step, %adjust ]
  %empty = icmp sle i64 %count, 0
  %from = select i1 %empty, i64 0, i64 %start
  %by = select i1 %empty, i64 1, i64 %pace
  %skipped = mul i64 %from, %apart
  %slice.data = getelementptr i8, ptr %data, i64 %skipped
  %slice.stride = mul i64 %apart, %by
  br label %put
other:
  %is_int = call i1 @is_a(ptr %e, ptr <int>)
  br i1 %is_int, label %int, label %another
int:
  %known = call i1 @place_of(ptr %e, ptr %start_at)
  br i1 %known, label %place, label %no
place:
  %given = load i64, ptr %start_at
  %length = call i64 @number(ptr %x.sizes, i64 %axis)
  %stride.int = call i64 @number(ptr %x.strides, i64 %axis)
  %negative = icmp slt i64 %given, 0
  %from_end = add i64 %given, %length
  %index = select i1 %negative, i64 %from_end, i64 %given
  %far = mul i64 %index, %stride.int
  %data.int = getelementptr i8, ptr %data, i64 %far
  %within = icmp ult i64 %index, %length
  br i1 %within, label %inside, label %no
inside:
  br label %next
another:
  %is_none = icmp eq ptr %e, <None>
  br i1 %is_none, label %new, label %skip
new:
  br label %put
skip:
  br label %next
put:
  %i.up = phi i64 [ %i, %copy ], [ %one, %shift ], [ %one, %new ]
  %axis.put = phi i64 [ %copy.axis, %copy ], [ %axis.up, %shift ], [ %axis, %new ]
  %data.put = phi ptr [ %data, %copy ], [ %slice.data, %shift ], [ %data, %new ]
  %dots.put = phi i64 [ %copy.dots, %copy ], [ 0, %shift ], [ 0, %new ]
  %size.put = phi i64 [ %size, %copy ], [ %count, %shift ], [ 1, %new ]
  %stride.put = phi i64 [ %stride, %copy ], [ %slice.stride, %shift ], [ 0, %new ]
  %size.to = getelementptr i64, ptr %sizes, i64 %to
  store i64 %size.put, ptr %size.to
  %stride.to = getelementptr i64, ptr %strides, i64 %to
  store i64 %stride.put, ptr %stride.to
  %to.up = add i64 %to, 1
  br label %next
forget:
  call void @PyErr_Clear()
  br label %no
no:
  ret ptr null
done:
  ret ptr %data
}

; A Tensor of one element of x, alone with it.
define internal ptr @element(ptr %x, ptr %from) {
  %descr = call ptr @field(ptr %x, i64 <descr>)
  %itemsize = call i64 @number_at(ptr %descr, i64 <itemsize>)
  call void @Py_IncRef(ptr %x)
  %out = call ptr @new_array_of(ptr %descr, i64 0, ptr null)
  %failed = icmp eq ptr %out, null
  br i1 %failed, label %no, label %yes
yes:
  %to = call ptr @field(ptr %out, i64 <header>)
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %itemsize, i1 false)
  call void @Py_DecRef(ptr %x)
  %t = call ptr @made_alone(ptr %out)
  ret ptr %t
no:
  call void @Py_DecRef(ptr %x)
  ret ptr null
}

; The ndarray of a Tensor, or an ndarray itself; null of anything else.
define internal ptr @ndarray_of(ptr %x) {
  %own = call ptr @array_of(ptr %x)
  %some = icmp ne ptr %own, null
  br i1 %some, label %yes, label %other
yes:
  ret ptr %own
other:
  %is = call i1 @is_a(ptr %x, ptr <ndarray>)
  %it = select i1 %is, ptr %x, ptr null
  ret ptr %it
}

define internal ptr @item(ptr %self, ptr %index, ptr %way) {
  %single = alloca ptr
  %n_at = alloca i64
  %used_at = alloca i64
  %taken_at = alloca i64
  %new_at = alloca i64
  %dots_at = alloca i64
  %sizes = alloca [32 x i64]
  %strides = alloca [32 x i64]
  %x = call ptr @plain_array(ptr %self)
  %some = icmp ne ptr %x, null
  br i1 %some, label %look, label %python
look:
  store ptr %index, ptr %single
  %entries = call ptr @entries_of(ptr %single, i64 1, ptr %n_at)
  %n = load i64, ptr %n_at
  %basic = call i1 @surveyed(ptr %entries, i64 %n, ptr %used_at, ptr %taken_at, ptr %new_at,
    ptr %dots_at)
  br i1 %basic, label %count, label %places
places:
  ; An array of places or a mask is given to NumPy as the ndarray that it is.
  %where = call ptr @ndarray_of(ptr %index)
  %are = icmp ne ptr %where, null
  br i1 %are, label %axes, label %python
axes:
  %where.nd = call i64 @number_in(ptr %where, i64 <nd>)
  %any = icmp sgt i64 %where.nd, 0
  br i1 %any, label %take, label %python
take:
  call void @Py_IncRef(ptr %x)
  call void @Py_IncRef(ptr %where)
  %found = call ptr @PyObject_GetItem(ptr %x, ptr %where)
  call void @Py_DecRef(ptr %x)
  call void @Py_DecRef(ptr %where)
  %well = icmp ne ptr %found, null
  br i1 %well, label %wrap, label %explain
wrap:
  %taken.t = call ptr @made_alone(ptr %found)
  ret ptr %taken.t
explain:
  %forgiven = call i1 @forgiven()
  br i1 %forgiven, label %python, label %no
no:
  ret ptr null
count:
  %used = load i64, ptr %used_at
  %taken = load i64, ptr %taken_at
  %new = load i64, ptr %new_at
  %dots = load i64, ptr %dots_at
  %x.nd = call i64 @number_in(ptr %x, i64 <nd>)
  %fewer = sub i64 %x.nd, %taken
  %nd = add i64 %fewer, %new
  %enough = icmp sle i64 %used, %x.nd
  %few = icmp sle i64 %nd, 32
  %one = icmp sle i64 %dots, 1
  %a = and i1 %enough, %few
  %b = and i1 %a, %one
  br i1 %b, label %show, label %python
show:
  %data = call ptr @shown(ptr %x, ptr %entries, i64 %n, i64 %used, ptr %sizes, ptr %strides)
  %right = icmp ne ptr %data, null
  br i1 %right, label %which, label %python
which:
  %no_axes = icmp eq i64 %nd, 0
  %no_dots = icmp eq i64 %dots, 0
  %number = and i1 %no_axes, %no_dots
  br i1 %number, label %element, label %view
element:
  %e = call ptr @element(ptr %x, ptr %data)
  ret ptr %e
view:
  call void @Py_IncRef(ptr %x)
  %part = call ptr @view_of(ptr %x, ptr %data, i64 %nd, ptr %sizes, ptr %strides)
  %function = call ptr @word(ptr %way, i64 0)
  %x.sizes = call ptr @field(ptr %x, i64 <sizes>)
  %t = call ptr @tied(ptr %self, ptr %part, ptr %function, ptr %index, i64 %x.nd, ptr %x.sizes)
  call void @Py_DecRef(ptr %x)
  ret ptr %t
python:
  ret ptr <undone>
}
"""
