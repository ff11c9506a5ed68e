"""Operators that write into their left operand: ``x += value``."""

INPLACE = """
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
  ret ptr <undone>
no:
  ret ptr null
}
"""
