"""Sums, products, extremes, any and all of small arrays: NumPy's loop, as ``reduce`` calls it.

A result starts as NumPy has it start, as the identity or as the first elements, and the loop adds
to it in place: a whole row at once along the last axis (or along all), where the loop for sums adds
pairwise, and row by row along the first of two. The same calls in the same order, the same bits.
"""

REDUCTIONS = """
; How often a loop is called and for how many elements, and how far operands move from call to call;
; `axis` counts from the front, and is -1 for all. False where that is left to Python.
define internal i1 @planned(ptr %x, i64 %axis, ptr %calls, ptr %count) {
  %nd = call i64 @number_in(ptr %x, i64 <nd>)
  %sizes = call ptr @field(ptr %x, i64 <sizes>)
  %total = call i64 @size_of(ptr %x)
  %less = sub i64 %total, 1
  %few = icmp ult i64 %less, 500
  br i1 %few, label %which, label %no
which:
  %all = icmp eq i64 %axis, -1
  %single = icmp eq i64 %nd, 1
  %one_call = or i1 %all, %single
  br i1 %one_call, label %once, label %many
once:
  store i64 1, ptr %calls
  store i64 %total, ptr %count
  ret i1 1
many:
  %two = icmp eq i64 %nd, 2
  br i1 %two, label %rows, label %no
rows:
  ; NumPy leaves out axes of size 1, and takes what is left as one.
  %n = call i64 @number(ptr %sizes, i64 0)
  %m = call i64 @number(ptr %sizes, i64 1)
  store i64 %n, ptr %calls
  store i64 %m, ptr %count
  %n.some = icmp sgt i64 %n, 1
  %m.some = icmp sgt i64 %m, 1
  %both = and i1 %n.some, %m.some
  ret i1 %both
no:
  ret i1 0
}

; An axis that was given as None or an int, from the front; -1 for all, -2 for what Python is asked.
define internal i64 @axis_of(ptr %given, i64 %nd) {
  %at = alloca i64
  %none = icmp eq ptr %given, <None>
  br i1 %none, label %all, label %look
all:
  ret i64 -1
look:
  %int = call i1 @is_a(ptr %given, ptr <int>)
  br i1 %int, label %value, label %no
value:
  %known = call i1 @place_of(ptr %given, ptr %at)
  br i1 %known, label %check, label %no
check:
  %axis = load i64, ptr %at
  %negative = icmp slt i64 %axis, 0
  %from_end = add i64 %axis, %nd
  %place = select i1 %negative, i64 %from_end, i64 %axis
  %within = icmp ult i64 %place, %nd
  br i1 %within, label %yes, label %no
yes:
  ret i64 %place
no:
  ret i64 -2
}

; Puts what results start as into `out`: `n` times the identity, or elements `apart` bytes apart.
define internal void @started(
  ptr %out, i64 %n, i64 %itemsize, ptr %from, i64 %apart
) {
  br label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i.up, %one ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %one, label %done
one:
  %far = mul i64 %i, %itemsize
  %to = getelementptr i8, ptr %out, i64 %far
  %skip = mul i64 %i, %apart
  %it = getelementptr i8, ptr %from, i64 %skip
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %it, i64 %itemsize, i1 false)
  %i.up = add i64 %i, 1
  br label %next
done:
  ret void
}

; The sizes of x, with 1 for the axes that are reduced.
define internal void @sizes_kept(ptr %x, i64 %axis, ptr %sizes) {
  %nd = call i64 @number_in(ptr %x, i64 <nd>)
  %own = call ptr @field(ptr %x, i64 <sizes>)
  %all = icmp eq i64 %axis, -1
  br label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i.up, %put ]
  %more = icmp slt i64 %i, %nd
  br i1 %more, label %put, label %done
put:
  %size = call i64 @number(ptr %own, i64 %i)
  %it = icmp eq i64 %i, %axis
  %gone = or i1 %all, %it
  %now = select i1 %gone, i64 1, i64 %size
  %to = getelementptr i64, ptr %sizes, i64 %i
  store i64 %now, ptr %to
  %i.up = add i64 %i, 1
  br label %next
done:
  ret void
}

define ptr @reduction(ptr %self, ptr %args, i64 %n) {
  %addresses = alloca [3 x ptr]
  %strides = alloca [3 x i64]
  %calls_at = alloca i64
  %count_at = alloca i64
  %kept_at = alloca [64 x i64]
  %way = call ptr @field(ptr %self, i64 <header>)
  %t = call ptr @word(ptr %args, i64 0)
  %given = call ptr @word(ptr %args, i64 1)
  %keepdims = call ptr @word(ptr %args, i64 2)
  %x = call ptr @plain_array(ptr %t)
  %some = icmp ne ptr %x, null
  %dropped = icmp eq ptr %keepdims, <False>
  %kept = icmp eq ptr %keepdims, <True>
  %said = or i1 %dropped, %kept
  %go = and i1 %some, %said
  br i1 %go, label %look, label %python
look:
  %plain = call i1 @lies_plainly(ptr %x)
  br i1 %plain, label %find, label %python
find:
  %nd = call i64 @number_in(ptr %x, i64 <nd>)
  %descr = call ptr @field(ptr %x, i64 <descr>)
  %loop = call ptr @loop_of(ptr %way, ptr %descr)
  %axis = call i64 @axis_of(ptr %given, i64 %nd)
  %has = icmp ne ptr %loop, null
  %known = icmp ne i64 %axis, -2
  %both = and i1 %has, %known
  br i1 %both, label %plan, label %python
plan:
  %good = call i1 @planned(ptr %x, i64 %axis, ptr %calls_at, ptr %count_at)
  br i1 %good, label %make, label %python
make:
  %rows = load i64, ptr %calls_at
  %columns = load i64, ptr %count_at
  %itemsize = call i64 @number_at(ptr %descr, i64 <itemsize>)
  %row = mul i64 %columns, %itemsize
  %from = call ptr @field(ptr %x, i64 <header>)
  ; Down the rows of two axes; else along each row.
  %first = icmp eq i64 %axis, 0
  %several = icmp sgt i64 %rows, 1
  %down = and i1 %first, %several
  %results = select i1 %down, i64 %columns, i64 %rows
  store i64 %results, ptr %calls_at
  %wide = zext i1 %several to i64
  call void @sizes_kept(ptr %x, i64 %axis, ptr %kept_at)
  %out.nd = select i1 %kept, i64 %nd, i64 %wide
  %out.sizes = select i1 %kept, ptr %kept_at, ptr %calls_at
  %out = call ptr @new_array_of(ptr %descr, i64 %out.nd, ptr %out.sizes)
  %failed = icmp eq ptr %out, null
  br i1 %failed, label %forget, label %start
start:
  %to = call ptr @field(ptr %out, i64 <header>)
  %identity = call ptr @word(ptr %loop, i64 4)
  %none = icmp eq ptr %identity, null
  %between = select i1 %down, i64 %itemsize, i64 %row
  %begin = select i1 %none, ptr %from, ptr %identity
  %apart = select i1 %none, i64 %between, i64 0
  call void @started(ptr %to, i64 %results, i64 %itemsize, ptr %begin, i64 %apart)
  %taken = zext i1 %none to i64
  %off = select i1 %down, i64 %row, i64 %itemsize
  %skipped = mul i64 %off, %taken
  %data = getelementptr i8, ptr %from, i64 %skipped
  %row.taken = select i1 %down, i64 %taken, i64 0
  %element.taken = select i1 %down, i64 0, i64 %taken
  %calls = sub i64 %rows, %row.taken
  %count = sub i64 %columns, %element.taken
  store i64 %count, ptr %count_at
  %stride = select i1 %down, i64 %itemsize, i64 0
  %step = select i1 %down, i64 0, i64 %itemsize
  %any = icmp sgt i64 %count, 0
  %todo = select i1 %any, i64 %calls, i64 0
  call void @clear_flags()
  br label %next
next:
  %i = phi i64 [ 0, %start ], [ %i.up, %run ]
  %more = icmp slt i64 %i, %todo
  br i1 %more, label %run, label %ask
run:
  %out.far = mul i64 %i, %step
  %out.at = getelementptr i8, ptr %to, i64 %out.far
  %in.far = mul i64 %i, %row
  %in.at = getelementptr i8, ptr %data, i64 %in.far
  call void @operand(ptr %addresses, ptr %strides, i64 0, ptr %out.at, i64 %stride)
  call void @operand(ptr %addresses, ptr %strides, i64 1, ptr %in.at, i64 %itemsize)
  call void @operand(ptr %addresses, ptr %strides, i64 2, ptr %out.at, i64 %stride)
  call void @run_loop(ptr %loop, ptr %addresses, ptr %count_at, ptr %strides)
  %i.up = add i64 %i, 1
  br label %next
ask:
  %well = call i1 @went_well()
  br i1 %well, label %yes, label %drop
yes:
  %r = call ptr @made_alone(ptr %out)
  ret ptr %r
drop:
  call void @Py_DecRef(ptr %out)
  br label %forget
forget:
  call void @PyErr_Clear()
  br label %python
python:
  %none_too = call ptr @or_none(ptr <undone>)
  ret ptr %none_too
}
"""
