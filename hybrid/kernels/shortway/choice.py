"""Choice between elements, and the places of extremes, of small arrays."""

CHOICE = """
; Takes an operand of a choice: a number, or an array of one dtype, of the shape of a mask or of no
; axes.
define internal i1 @choice(
  ptr %x, ptr %mask, ptr %like, ptr %addresses, ptr %strides, i64 %i, ptr %element
) {
  %a = call ptr @array_of(ptr %x)
  %is = icmp ne ptr %a, null
  br i1 %is, label %array, label %number
array:
  %plain = call i1 @lies_plainly(ptr %a)
  %descr = call ptr @field(ptr %a, i64 <descr>)
  %wanted = call ptr @field(ptr %like, i64 <descr>)
  %one = icmp eq ptr %descr, %wanted
  %good = and i1 %plain, %one
  br i1 %good, label %axes, label %no
axes:
  %nd = call i64 @number_in(ptr %a, i64 <nd>)
  %mask.nd = call i64 @number_in(ptr %mask, i64 <nd>)
  %single = icmp eq i64 %nd, 0
  br i1 %single, label %put, label %as_many
as_many:
  %same = icmp eq i64 %nd, %mask.nd
  br i1 %same, label %compare, label %no
compare:
  %sizes = call ptr @field(ptr %a, i64 <sizes>)
  %mask.sizes = call ptr @field(ptr %mask, i64 <sizes>)
  %equal = call i1 @equal(ptr %sizes, ptr %mask.sizes, i64 %nd)
  br i1 %equal, label %put, label %no
put:
  call void @array_operand(ptr %addresses, ptr %strides, i64 %i, ptr %a)
  ret i1 1
number:
  %is_weak = call i1 @weak(ptr %x, ptr %like)
  br i1 %is_weak, label %convert, label %no
convert:
  %fits = call i1 @number_operand(ptr %like, ptr %x, ptr %element)
  call void @operand(ptr %addresses, ptr %strides, i64 %i, ptr %element, i64 0)
  ret i1 %fits
no:
  ret i1 0
}

define ptr @function_of_a_choice(ptr %self, ptr %args, i64 %n) {
  %addresses = alloca [2 x ptr]
  %strides = alloca [2 x i64]
  %element = alloca double
  %condition = call ptr @word(ptr %args, i64 0)
  %x = call ptr @word(ptr %args, i64 1)
  %y = call ptr @word(ptr %args, i64 2)
  %mask = call ptr @plain_array(ptr %condition)
  %a = call ptr @array_of(ptr %x)
  %b = call ptr @array_of(ptr %y)
  %a.is = icmp ne ptr %a, null
  %like = select i1 %a.is, ptr %a, ptr %b
  %some = icmp ne ptr %mask, null
  %any = icmp ne ptr %like, null
  %go = and i1 %some, %any
  br i1 %go, label %look, label %python
look:
  %plain = call i1 @lies_plainly(ptr %mask)
  %mask.descr = call ptr @field(ptr %mask, i64 <descr>)
  %bools = icmp eq ptr %mask.descr, <b1>
  %count = call i64 @size_of(ptr %mask)
  %few = icmp ult i64 %count, 501
  %ab = and i1 %plain, %bools
  %good = and i1 %ab, %few
  br i1 %good, label %first, label %python
first:
  %x.fits = call i1 @choice(ptr %x, ptr %mask, ptr %like, ptr %addresses, ptr %strides, i64 0,
    ptr %element)
  br i1 %x.fits, label %second, label %python
second:
  %y.fits = call i1 @choice(ptr %y, ptr %mask, ptr %like, ptr %addresses, ptr %strides, i64 1,
    ptr %element)
  br i1 %y.fits, label %make, label %python
make:
  %descr = call ptr @field(ptr %like, i64 <descr>)
  %nd = call i64 @number_in(ptr %mask, i64 <nd>)
  %sizes = call ptr @field(ptr %mask, i64 <sizes>)
  %bytes = call i64 @number_at(ptr %descr, i64 <itemsize>)
  %out = call ptr @new_array_of(ptr %descr, i64 %nd, ptr %sizes)
  %failed = icmp eq ptr %out, null
  br i1 %failed, label %forget, label %start
start:
  %to = call ptr @field(ptr %out, i64 <header>)
  %bits = call ptr @field(ptr %mask, i64 <header>)
  %from.x = call ptr @word(ptr %addresses, i64 0)
  %from.y = call ptr @word(ptr %addresses, i64 1)
  %apart.x = call i64 @number(ptr %strides, i64 0)
  %apart.y = call i64 @number(ptr %strides, i64 1)
  br label %next
next:
  %i = phi i64 [ 0, %start ], [ %i.up, %one ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %one, label %done
one:
  %bit.at = getelementptr i8, ptr %bits, i64 %i
  %bit = load i8, ptr %bit.at
  %set = icmp ne i8 %bit, 0
  %far.x = mul i64 %i, %apart.x
  %far.y = mul i64 %i, %apart.y
  %x.at = getelementptr i8, ptr %from.x, i64 %far.x
  %y.at = getelementptr i8, ptr %from.y, i64 %far.y
  %it = select i1 %set, ptr %x.at, ptr %y.at
  %far = mul i64 %i, %bytes
  %at = getelementptr i8, ptr %to, i64 %far
  call void @filled(ptr %at, i64 1, i64 0, ptr %it, i64 0, i64 %bytes)
  %i.up = add i64 %i, 1
  br label %next
done:
  %t = call ptr @made_alone(ptr %out)
  ret ptr %t
forget:
  call void @PyErr_Clear()
  br label %python
python:
  %none = call ptr @or_none(ptr <undone>)
  ret ptr %none
}

; Where the extreme is along an axis, or among all elements: NumPy's own function, without the
; number that its method makes of an array of one.
define internal ptr @place_of_extreme(ptr %args, ptr %function) {
  %t = call ptr @word(ptr %args, i64 0)
  %given = call ptr @word(ptr %args, i64 1)
  %keepdims = call ptr @word(ptr %args, i64 2)
  %x = call ptr @plain_array(ptr %t)
  %some = icmp ne ptr %x, null
  %dropped = icmp eq ptr %keepdims, <False>
  %go = and i1 %some, %dropped
  br i1 %go, label %look, label %python
look:
  %nd = call i64 @number_in(ptr %x, i64 <nd>)
  %axis = call i64 @axis_of(ptr %given, i64 %nd)
  %known = icmp ne i64 %axis, -2
  br i1 %known, label %call, label %python
call:
  %all = icmp eq i64 %axis, -1
  %axis32 = trunc i64 %axis to i32
  %which = select i1 %all, i32 -2147483648, i32 %axis32
  call void @Py_IncRef(ptr %x)
  %found = call ptr %function(ptr %x, i32 %which, ptr null)
  call void @Py_DecRef(ptr %x)
  %failed = icmp eq ptr %found, null
  br i1 %failed, label %explain, label %make
make:
  %r = call ptr @made_alone(ptr %found)
  ret ptr %r
explain:
  %forgiven = call i1 @forgiven()
  br i1 %forgiven, label %python, label %no
python:
  %none = call ptr @or_none(ptr <undone>)
  ret ptr %none
no:
  ret ptr null
}

define ptr @function_of_the_largest(ptr %self, ptr %args, i64 %n) {
  %r = call ptr @place_of_extreme(ptr %args, ptr <argmax>)
  ret ptr %r
}

define ptr @function_of_the_smallest(ptr %self, ptr %args, i64 %n) {
  %r = call ptr @place_of_extreme(ptr %args, ptr <argmin>)
  ret ptr %r
}
"""
