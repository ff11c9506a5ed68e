"""Writes into Tensors in place: ``x[index] = value`` and ``x += value``.

Whoever shares the memory hears of it by the version of its Storage. Where a tape has saved what is
overwritten, or watches it, Python is asked; so it is where NumPy would tell of what it does.
"""

WRITES = """
declare i32 @PyObject_SetItem(ptr, ptr, ptr)
declare void @PyErr_SetObject(ptr, ptr)

; Whether none but those who share memory with a Tensor must hear of a write to it, and by what: the
; link of the Tensor and its Storage, which is null where it is alone.
define internal i1 @is_free(ptr %self, ptr %storage_at) {
  %node = call ptr @field(ptr %self, i64 <node>)
  %link = call ptr @field(ptr %self, i64 <link>)
  %unwatched = icmp eq ptr %node, <None>
  store ptr null, ptr %storage_at
  br i1 %unwatched, label %look, label %no
look:
  %alone = icmp eq ptr %link, <None>
  br i1 %alone, label %yes, label %shared
shared:
  %pending = call i1 @is_a(ptr %link, ptr <tuple>)
  br i1 %pending, label %tuple, label %other
tuple:
  %first = call ptr @field(ptr %link, i64 <items>)
  br label %ask
other:
  %known = call i1 @is_a(ptr %link, ptr <Alias>)
  br i1 %known, label %alias, label %no
alias:
  %its = call ptr @field(ptr %link, i64 <storage>)
  br label %ask
ask:
  %storage = phi ptr [ %first, %tuple ], [ %its, %alias ]
  store ptr %storage, ptr %storage_at
  %is = call i1 @is_a(ptr %storage, ptr <Storage>)
  br i1 %is, label %fields, label %no
fields:
  %recorded = call ptr @field(ptr %storage, i64 <node_of>)
  %saved = call ptr @field(ptr %storage, i64 <snapshot>)
  %keeper = call ptr @field(ptr %storage, i64 <keeper>)
  %watched = call ptr @field(ptr %storage, i64 <watched>)
  %a = icmp eq ptr %recorded, <None>
  %b = icmp eq ptr %saved, <None>
  %c = icmp eq ptr %keeper, <None>
  %d = icmp eq ptr %watched, <nothing>
  %ab = and i1 %a, %b
  %cd = and i1 %c, %d
  %all = and i1 %ab, %cd
  ret i1 %all
yes:
  ret i1 1
no:
  ret i1 0
}

define internal void @replace(ptr %x, i64 %offset, ptr %value) alwaysinline {
  %at = getelementptr i8, ptr %x, i64 %offset
  %old = load ptr, ptr %at
  call void @Py_IncRef(ptr %value)
  store ptr %value, ptr %at
  call void @Py_DecRef(ptr %old)
  ret void
}

; A link at another version. Null after an error.
define internal ptr @link_at(ptr %link, ptr %version) {
  %n = call i64 @PyTuple_Size(ptr %link)
  %new = call ptr @PyTuple_New(i64 %n)
  %failed = icmp eq ptr %new, null
  br i1 %failed, label %done, label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i.up, %put ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %put, label %done
put:
  %items = getelementptr i8, ptr %link, i64 <items>
  %old = call ptr @word(ptr %items, i64 %i)
  %is_version = icmp eq i64 %i, 1
  %item = select i1 %is_version, ptr %version, ptr %old
  call void @shared_item(ptr %new, i64 %i, ptr %item)
  %i.up = add i64 %i, 1
  br label %next
done:
  ret ptr %new
}

; Lets those who share its memory know that a Tensor was written to, which itself is up to date;
; false after an error.
define internal i1 @told(ptr %self, ptr %storage) {
  %at = alloca i64
  %alone = icmp eq ptr %storage, null
  br i1 %alone, label %yes, label %count
count:
  %version = call ptr @field(ptr %storage, i64 <version>)
  %known = call i1 @place_of(ptr %version, ptr %at)
  %number = load i64, ptr %at
  %up = add i64 %number, 1
  %new = call ptr @PyLong_FromSsize_t(i64 %up)
  %failed = icmp eq ptr %new, null
  br i1 %failed, label %no, label %link
link:
  call void @replace(ptr %storage, i64 <version>, ptr %new)
  %old = call ptr @field(ptr %self, i64 <link>)
  %is_tuple = call i1 @is_a(ptr %old, ptr <tuple>)
  br i1 %is_tuple, label %tuple, label %other
tuple:
  %newer = call ptr @link_at(ptr %old, ptr %new)
  %lost = icmp eq ptr %newer, null
  br i1 %lost, label %drop, label %put
put:
  call void @replace(ptr %self, i64 <link>, ptr %newer)
  call void @Py_DecRef(ptr %newer)
  br label %done
other:
  %is_alias = call i1 @is_a(ptr %old, ptr <Alias>)
  br i1 %is_alias, label %alias, label %done
alias:
  call void @replace(ptr %old, i64 <seen_version>, ptr %new)
  br label %done
done:
  call void @Py_DecRef(ptr %new)
  br label %yes
yes:
  ret i1 1
drop:
  call void @Py_DecRef(ptr %new)
  br label %no
no:
  ret i1 0
}

define internal i1 @writeable(ptr %x) alwaysinline {
  %flags = call i64 @number_in(ptr %x, i64 <flags>)
  %both = and i64 %flags, 1280
  %is = icmp eq i64 %both, 1280
  ret i1 %is
}

; Puts an element of a number of bytes into places that are a stride apart.
define internal void @filled(ptr %to, i64 %n, i64 %stride, ptr %from, i64 %step, i64 %bytes) {
  %wide = icmp eq i64 %bytes, 8
  %narrow = icmp eq i64 %bytes, 4
  br label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i.up, %put ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %one, label %done
one:
  %far = mul i64 %i, %stride
  %off = mul i64 %i, %step
  %at = getelementptr i8, ptr %to, i64 %far
  %it = getelementptr i8, ptr %from, i64 %off
  %i.up = add i64 %i, 1
  br i1 %wide, label %eight, label %less
eight:
  %v8 = load i64, ptr %it, align 1
  store i64 %v8, ptr %at, align 1
  br label %put
less:
  br i1 %narrow, label %four, label %any
four:
  %v4 = load i32, ptr %it, align 1
  store i32 %v4, ptr %at, align 1
  br label %put
any:
  call void @llvm.memcpy.p0.p0.i64(ptr %at, ptr %it, i64 %bytes, i1 false)
  br label %put
put:
  br label %next
done:
  ret void
}

; Writes what is given to a part of x without NumPy: a number, an element, or what lies there
; already, which `x[index] += value` assigns. False for all else.
define internal i1 @wrote(
  ptr %x, ptr %number, ptr %source, ptr %entries, i64 %n, i64 %used, i64 %nd
) {
  %sizes = alloca [32 x i64]
  %strides = alloca [32 x i64]
  %element = alloca double
  %ready = call i1 @writeable(ptr %x)
  %few = icmp sle i64 %nd, 32
  %fine = and i1 %ready, %few
  br i1 %fine, label %show, label %no
show:
  %to = call ptr @shown(ptr %x, ptr %entries, i64 %n, i64 %used, ptr %sizes, ptr %strides)
  %right = icmp ne ptr %to, null
  br i1 %right, label %which, label %no
which:
  %descr = call ptr @field(ptr %x, i64 <descr>)
  %bytes = call i64 @number_at(ptr %descr, i64 <itemsize>)
  %is_single = icmp eq i64 %nd, 0
  %is_array = icmp ne ptr %source, null
  br i1 %is_array, label %array, label %value
value:
  %is_row = icmp eq i64 %nd, 1
  %size = load i64, ptr %sizes
  %apart = load i64, ptr %strides
  %count = select i1 %is_single, i64 1, i64 %size
  %short = icmp sle i64 %count, 500
  %usual = or i1 %is_single, %is_row
  %both = and i1 %short, %usual
  br i1 %both, label %convert, label %no
convert:
  %known = call i1 @number_operand(ptr %x, ptr %number, ptr %element)
  br i1 %known, label %fill, label %no
fill:
  call void @filled(ptr %to, i64 %count, i64 %apart, ptr %element, i64 0, i64 %bytes)
  ret i1 1
array:
  %from = call ptr @field(ptr %source, i64 <header>)
  %its.nd = call i64 @number_in(ptr %source, i64 <nd>)
  %as_many = icmp eq i64 %its.nd, %nd
  br i1 %as_many, label %compare, label %no
compare:
  br i1 %is_single, label %copy, label %same
copy:
  call void @filled(ptr %to, i64 1, i64 0, ptr %from, i64 0, i64 %bytes)
  ret i1 1
same:
  %its.sizes = call ptr @field(ptr %source, i64 <sizes>)
  %its.strides = call ptr @field(ptr %source, i64 <strides>)
  %here = icmp eq ptr %from, %to
  %like = call i1 @equal(ptr %sizes, ptr %its.sizes, i64 %nd)
  %turned = call i1 @equal(ptr %strides, ptr %its.strides, i64 %nd)
  %a = and i1 %here, %like
  %b = and i1 %a, %turned
  ret i1 %b
no:
  ret i1 0
}

define internal i32 @set_item(ptr %self, ptr %index, ptr %value, ptr %way) {
  %single = alloca ptr
  %n_at = alloca i64
  %used_at = alloca i64
  %taken_at = alloca i64
  %new_at = alloca i64
  %dots_at = alloca i64
  %storage_at = alloca ptr
  %both = alloca [2 x ptr]
  %deleted = icmp eq ptr %value, null
  br i1 %deleted, label %refuse, label %begin
refuse:
  call void @PyErr_SetObject(ptr <AttributeError>, ptr <__delitem__>)
  ret i32 -1
begin:
  %x = call ptr @plain_array(ptr %self)
  %some = icmp ne ptr %x, null
  br i1 %some, label %free, label %python
free:
  %go = call i1 @is_free(ptr %self, ptr %storage_at)
  %storage = load ptr, ptr %storage_at
  br i1 %go, label %kind, label %python
kind:
  %is_float = call i1 @is_a(ptr %value, ptr <float>)
  br i1 %is_float, label %measure, label %maybe_int
measure:
  ; What NumPy converts to any dtype without a word.
  %v = call double @PyFloat_AsDouble(ptr %value)
  %size = call double @llvm.fabs.f64(double %v)
  %sure = fcmp olt double %size, 1.0e+04
  br i1 %sure, label %where, label %python
maybe_int:
  %is_int = call i1 @is_a(ptr %value, ptr <int>)
  br i1 %is_int, label %where, label %tensor
tensor:
  %source = call ptr @array_of(ptr %value)
  %is_array = icmp ne ptr %source, null
  br i1 %is_array, label %alike, label %python
alike:
  %x.descr = call ptr @field(ptr %x, i64 <descr>)
  %s.descr = call ptr @field(ptr %source, i64 <descr>)
  %one_dtype = icmp eq ptr %x.descr, %s.descr
  br i1 %one_dtype, label %where, label %python
where:
  %array = phi ptr [ null, %measure ], [ null, %maybe_int ], [ %source, %alike ]
  %known = icmp ne ptr %array, null
  store ptr %index, ptr %single
  %entries = call ptr @entries_of(ptr %single, i64 1, ptr %n_at)
  %n = load i64, ptr %n_at
  %basic = call i1 @surveyed(ptr %entries, i64 %n, ptr %used_at, ptr %taken_at, ptr %new_at,
    ptr %dots_at)
  br i1 %basic, label %count, label %places
count:
  %used = load i64, ptr %used_at
  %taken = load i64, ptr %taken_at
  %new = load i64, ptr %new_at
  %dots = load i64, ptr %dots_at
  %x.nd = call i64 @number_in(ptr %x, i64 <nd>)
  %fewer = sub i64 %x.nd, %taken
  %nd = add i64 %fewer, %new
  %enough = icmp sle i64 %used, %x.nd
  %once = icmp sle i64 %dots, 1
  %right = and i1 %enough, %once
  br i1 %right, label %write, label %python
write:
  %done = call i1 @wrote(ptr %x, ptr %value, ptr %array, ptr %entries, i64 %n, i64 %used, i64 %nd)
  br i1 %done, label %tell, label %general
places:
  ; An array of places or a mask is given to NumPy as the ndarray that it is.
  %at = call ptr @array_of(ptr %index)
  %are = icmp ne ptr %at, null
  br i1 %are, label %axes, label %python
axes:
  %at.nd = call i64 @number_in(ptr %at, i64 <nd>)
  %any = icmp sgt i64 %at.nd, 0
  br i1 %any, label %general, label %python
general:
  %key = phi ptr [ %index, %write ], [ %at, %axes ]
  br i1 %known, label %overlap, label %set
overlap:
  ; Vectors of one memory are Python's: see `apart`.
  %base = call ptr @field(ptr %array, i64 <base>)
  %x.base = call ptr @field(ptr %x, i64 <base>)
  %owner = icmp eq ptr %base, null
  %of_x = icmp eq ptr %base, %x
  %of_base = icmp eq ptr %base, %x.base
  %of_one = or i1 %of_x, %of_base
  %not_owner = xor i1 %owner, 1
  %near = and i1 %of_one, %not_owner
  br i1 %near, label %python, label %set
set:
  %given = select i1 %known, ptr %array, ptr %value
  call void @Py_IncRef(ptr %x)
  call void @Py_IncRef(ptr %key)
  call void @Py_IncRef(ptr %given)
  %wrong = call i32 @PyObject_SetItem(ptr %x, ptr %key, ptr %given)
  call void @Py_DecRef(ptr %x)
  call void @Py_DecRef(ptr %key)
  call void @Py_DecRef(ptr %given)
  %well = icmp eq i32 %wrong, 0
  br i1 %well, label %again, label %explain
again:
  ; Others may have run meanwhile: one may have made a view, or watch it.
  %still = call i1 @is_free(ptr %self, ptr %storage_at)
  %now = load ptr, ptr %storage_at
  br i1 %still, label %tell, label %python
tell:
  %to = phi ptr [ %storage, %write ], [ %now, %again ]
  %told = call i1 @told(ptr %self, ptr %to)
  %r = select i1 %told, i32 0, i32 -1
  ret i32 %r
explain:
  %forgiven = call i1 @forgiven()
  br i1 %forgiven, label %python, label %no
python:
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

; The elements of an array for a loop over one axis, and how far they are apart; -1 where they do
; not lie on one, or are too many.
define internal i64 @along(ptr %x, ptr %stride_at) {
  %nd = call i64 @number_in(ptr %x, i64 <nd>)
  %count = call i64 @size_of(ptr %x)
  %few = icmp sle i64 %count, 500
  br i1 %few, label %look, label %no
look:
  %plain = call i1 @lies_plainly(ptr %x)
  br i1 %plain, label %dense, label %row
dense:
  %descr = call ptr @field(ptr %x, i64 <descr>)
  %itemsize = call i64 @number_at(ptr %descr, i64 <itemsize>)
  store i64 %itemsize, ptr %stride_at
  ret i64 %count
row:
  %is_row = icmp eq i64 %nd, 1
  br i1 %is_row, label %apart, label %no
apart:
  %strides = call ptr @field(ptr %x, i64 <strides>)
  %stride = load i64, ptr %strides
  store i64 %stride, ptr %stride_at
  ret i64 %count
no:
  ret i64 -1
}

; The loop writes elsewhere first: what it finds wrong is NumPy's to tell, of what was there before.
define internal ptr @in_place(ptr %self, ptr %y, ptr %way) {
  %addresses = alloca [3 x ptr]
  %strides = alloca [3 x i64]
  %element = alloca double
  %stride_at = alloca i64
  %count_at = alloca i64
  %storage_at = alloca ptr
  %made = alloca [8000 x i8], align 16
  %x = call ptr @plain_array(ptr %self)
  %some = icmp ne ptr %x, null
  br i1 %some, label %axes, label %python
axes:
  %nd = call i64 @number_in(ptr %x, i64 <nd>)
  %arrays = icmp sgt i64 %nd, 0
  br i1 %arrays, label %free, label %scalar
scalar:
  ; A number by itself is made anew.
  %link = call ptr @field(ptr %self, i64 <link>)
  %alone = icmp eq ptr %link, <None>
  br i1 %alone, label %new, label %python
new:
  %n = call ptr @binary(ptr %self, ptr %y, ptr %way)
  ret ptr %n
free:
  %go = call i1 @is_free(ptr %self, ptr %storage_at)
  %ready = call i1 @writeable(ptr %x)
  %both = and i1 %go, %ready
  br i1 %both, label %find, label %python
find:
  %descr = call ptr @field(ptr %x, i64 <descr>)
  %loop = call ptr @loop_of(ptr %way, ptr %descr)
  %has = icmp ne ptr %loop, null
  br i1 %has, label %result, label %python
result:
  %out = call ptr @word(ptr %loop, i64 3)
  %kept = icmp eq ptr %out, %descr
  %count = call i64 @along(ptr %x, ptr %stride_at)
  %known = icmp sge i64 %count, 0
  %fine = and i1 %kept, %known
  br i1 %fine, label %other, label %python
other:
  %bytes = call i64 @number_at(ptr %descr, i64 <itemsize>)
  %stride = load i64, ptr %stride_at
  %data = call ptr @field(ptr %x, i64 <header>)
  call void @operand(ptr %addresses, ptr %strides, i64 0, ptr %data, i64 %stride)
  call void @operand(ptr %addresses, ptr %strides, i64 2, ptr %made, i64 %bytes)
  store i64 %count, ptr %count_at
  %b = call ptr @array_of(ptr %y)
  %is_array = icmp ne ptr %b, null
  br i1 %is_array, label %array, label %number
array:
  %like = call ptr @like_both(ptr %x, ptr %b)
  %fits = icmp eq ptr %like, %x
  br i1 %fits, label %beside, label %python
beside:
  call void @array_operand(ptr %addresses, ptr %strides, i64 1, ptr %b)
  br label %run
number:
  %is_weak = call i1 @weak(ptr %y, ptr %x)
  br i1 %is_weak, label %convert, label %python
convert:
  %exact = call i1 @number_operand(ptr %x, ptr %y, ptr %element)
  br i1 %exact, label %one, label %python
one:
  call void @operand(ptr %addresses, ptr %strides, i64 1, ptr %element, i64 0)
  br label %run
run:
  call void @clear_flags()
  call void @run_loop(ptr %loop, ptr %addresses, ptr %count_at, ptr %strides)
  %well = call i1 @went_well()
  br i1 %well, label %put, label %forget
put:
  call void @filled(ptr %data, i64 %count, i64 %stride, ptr %made, i64 %bytes, i64 %bytes)
  %storage = load ptr, ptr %storage_at
  %told = call i1 @told(ptr %self, ptr %storage)
  br i1 %told, label %give, label %no
give:
  call void @Py_IncRef(ptr %self)
  ret ptr %self
forget:
  call void @PyErr_Clear()
  br label %python
python:
  %p = call ptr @python_of_two(ptr %self, ptr %y, ptr %way)
  ret ptr %p
no:
  ret ptr null
}
"""
