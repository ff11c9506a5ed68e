"""Elementwise operators and functions: the inner loop of a ufunc, or the ufunc itself."""

OPERATORS = """
define internal ptr @unary(ptr %self, ptr %way) {
  %addresses = alloca [2 x ptr]
  %strides = alloca [2 x i64]
  %x = call ptr @plain_array(ptr %self)
  %some = icmp ne ptr %x, null
  br i1 %some, label %look, label %python
look:
  %plain = call i1 @lies_plainly(ptr %x)
  br i1 %plain, label %loop, label %general
loop:
  call void @array_operand(ptr %addresses, ptr %strides, i64 0, ptr %x)
  %t = call ptr @elementwise(ptr %way, ptr %x, ptr %addresses, ptr %strides, i64 1,
    ptr %x, ptr %x)
  %good = icmp ne ptr %t, null
  br i1 %good, label %done, label %general
done:
  ret ptr %t
general:
  %count = call i64 @size_of(ptr %x)
  %small = icmp slt i64 %count, <large>
  br i1 %small, label %ufunc, label %python
ufunc:
  %r = call ptr @by_ufunc(ptr %way, ptr %x, ptr null, i64 1)
  ret ptr %r
python:
  ret ptr <undone>
}

define internal ptr @binary(ptr %x, ptr %y, ptr %way) {
  %addresses = alloca [3 x ptr]
  %strides = alloca [3 x i64]
  %element = alloca double
  %a = call ptr @array_of(ptr %x)
  %b = call ptr @array_of(ptr %y)
  %a.is = icmp ne ptr %a, null
  %b.is = icmp ne ptr %b, null
  %array = select i1 %a.is, ptr %a, ptr %b
  %number = select i1 %a.is, ptr %y, ptr %x
  %left = select i1 %a.is, ptr %a, ptr %x
  %right = select i1 %b.is, ptr %b, ptr %y
  %any = or i1 %a.is, %b.is
  %idle = call i1 @idle()
  %go = and i1 %any, %idle
  br i1 %go, label %look, label %python
look:
  %two = and i1 %a.is, %b.is
  br i1 %two, label %arrays, label %beside
arrays:
  %like = call ptr @like_both(ptr %a, ptr %b)
  %fit = icmp ne ptr %like, null
  br i1 %fit, label %both, label %general
both:
  call void @array_operand(ptr %addresses, ptr %strides, i64 0, ptr %a)
  call void @array_operand(ptr %addresses, ptr %strides, i64 1, ptr %b)
  br label %loop
beside:
  %is_weak = call i1 @weak(ptr %number, ptr %array)
  br i1 %is_weak, label %convert, label %python
convert:
  %plain = call i1 @lies_plainly(ptr %array)
  br i1 %plain, label %value, label %general
value:
  %fits = call i1 @number_operand(ptr %array, ptr %number, ptr %element)
  br i1 %fits, label %one, label %general
one:
  %place = select i1 %a.is, i64 0, i64 1
  %rest = sub i64 1, %place
  call void @array_operand(ptr %addresses, ptr %strides, i64 %place, ptr %array)
  call void @operand(ptr %addresses, ptr %strides, i64 %rest, ptr %element, i64 0)
  br label %loop
loop:
  %shape = phi ptr [ %like, %both ], [ %array, %one ]
  %held = phi ptr [ %a, %both ], [ %array, %one ]
  %held.too = phi ptr [ %b, %both ], [ %array, %one ]
  %t = call ptr @elementwise(ptr %way, ptr %shape, ptr %addresses, ptr %strides, i64 2,
    ptr %held, ptr %held.too)
  %good = icmp ne ptr %t, null
  br i1 %good, label %done, label %general
done:
  ret ptr %t
general:
  %count = call i64 @size_of(ptr %array)
  %small = icmp slt i64 %count, <large>
  br i1 %small, label %ufunc, label %python
ufunc:
  %r = call ptr @by_ufunc(ptr %way, ptr %left, ptr %right, i64 2)
  ret ptr %r
python:
  ret ptr <undone>
}

; The words of these are the elements of their `self`.
define ptr @function_of_one(ptr %self, ptr %args, i64 %n) {
  %way = call ptr @field(ptr %self, i64 <header>)
  %x = call ptr @word(ptr %args, i64 0)
  %r = call ptr @unary(ptr %x, ptr %way)
  %t = call ptr @or_none(ptr %r)
  ret ptr %t
}

define ptr @function_of_two(ptr %self, ptr %args, i64 %n) {
  %way = call ptr @field(ptr %self, i64 <header>)
  %x = call ptr @word(ptr %args, i64 0)
  %y = call ptr @word(ptr %args, i64 1)
  %r = call ptr @binary(ptr %x, ptr %y, ptr %way)
  %t = call ptr @or_none(ptr %r)
  ret ptr %t
}
"""
