"""Writes of values to parts of Tensors: ``x[index] = value``.

Where NumPy would tell of what it does Python is asked.
"""

WRITES = """
declare i32 @PyObject_SetItem(ptr, ptr, ptr)

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
  %deleted = icmp eq ptr %value, null
  br i1 %deleted, label %refuse, label %begin
refuse:
  %delete = call ptr @word(ptr %way, i64 0)
  store ptr %index, ptr %single
  %gone = call ptr @long(ptr %delete, ptr %self, ptr %single, i64 1, ptr null)
  %raised = icmp eq ptr %gone, null
  br i1 %raised, label %no, label %deleted_it
deleted_it:
  call void @Py_DecRef(ptr %gone)
  ret i32 0
begin:
  %x = call ptr @plain_array(ptr %self)
  %some = icmp ne ptr %x, null
  br i1 %some, label %free, label %python
free:
  %go = call i1 @is_free(ptr %self, ptr %storage_at)
  %storage = load ptr, ptr %storage_at
  br i1 %go, label %kind, label %python
kind:
  %of_python = call i1 @is_a(ptr %value, ptr <float>)
  %of_numpy = call i1 @is_a(ptr %value, ptr <numpy_float>)
  %is_float = or i1 %of_python, %of_numpy
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
  %source = call ptr @ndarray_of(ptr %value)
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
  %at = call ptr @ndarray_of(ptr %index)
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
  ret i32 -2
no:
  ret i32 -1
}
"""
