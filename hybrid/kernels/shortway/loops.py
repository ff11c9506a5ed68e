"""Inner loops of NumPy: how they are found and run, and what they are given.

NumPy takes 0.3 us to find out how to call a loop. For arrays of one dtype, in C order and of one
shape (or where one is a number) that is known beforehand. The loop leaves what it finds wrong in
the floating-point flags: where they say something the ufunc itself is called, on the same operands,
and warns or raises as the caller has asked it to. As in NumPy the lock is kept up to 500 elements,
and given up for more.
"""

LOOPS = """
declare i32 @fetestexcept(i32)
declare i32 @feclearexcept(i32)
declare double @llvm.fabs.f64(double)
declare float @llvm.fabs.f32(float)
declare double @PyFloat_AsDouble(ptr)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)

; The loop for operands of a dtype; null where there is none.
define internal ptr @loop_of(ptr %way, ptr %descr) alwaysinline {
  %which = call i64 @number_in(ptr %descr, i64 <type_num>)
  %known = icmp ult i64 %which, <dtypes>
  br i1 %known, label %look, label %no
look:
  %skip = mul i64 %which, <words_per_loop>
  %at = add i64 %skip, <loops>
  %loop = getelementptr i64, ptr %way, i64 %at
  %its = load ptr, ptr %loop
  %same = icmp eq ptr %its, %descr
  br i1 %same, label %yes, label %no
yes:
  ret ptr %loop
no:
  ret ptr null
}

; An array in C order, whose elements are not set; null after an error.
define internal ptr @new_array_of(ptr %descr, i64 %nd, ptr %sizes) {
  %single = icmp eq i64 %nd, 0
  br i1 %single, label %number, label %make
number:
  %kept = call ptr @kept_number(ptr %descr)
  %some = icmp ne ptr %kept, null
  br i1 %some, label %give, label %make
give:
  ret ptr %kept
make:
  %nd32 = trunc i64 %nd to i32
  call void @Py_IncRef(ptr %descr)
  %out = call ptr <new_array>(
    ptr <ndarray>, ptr %descr, i32 %nd32, ptr %sizes, ptr null, ptr null, i32 0, ptr null)
  ret ptr %out
}

define internal void @clear_flags() {
  %before = call i32 @fetestexcept(i32 <all_flags>)
  %dirty = icmp ne i32 %before, 0
  br i1 %dirty, label %clear, label %done
clear:
  %cleared = call i32 @feclearexcept(i32 <all_flags>)
  br label %done
done:
  ret void
}

define internal void @run_loop(ptr %loop, ptr %addresses, ptr %counts, ptr %strides) {
  %function = call ptr @word(ptr %loop, i64 1)
  %extra = call ptr @word(ptr %loop, i64 2)
  call void %function(ptr %addresses, ptr %counts, ptr %strides, ptr %extra)
  ret void
}

; Whether a loop has found nothing wrong.
define internal i1 @went_well() {
  %after = call i32 @fetestexcept(i32 <all_flags>)
  %right = icmp eq i32 %after, 0
  %error = call ptr @PyErr_Occurred()
  %quiet = icmp eq ptr %error, null
  %well = and i1 %right, %quiet
  ret i1 %well
}

; The Tensor that a loop makes of operands, whose addresses come first; null where the ufunc has to
; be called instead.
define internal ptr @looped(
  ptr %loop, i64 %nd, ptr %sizes, ptr %counts, ptr %addresses, ptr %strides, i64 %last
) {
  %descr = call ptr @word(ptr %loop, i64 3)
  %out = call ptr @new_array_of(ptr %descr, i64 %nd, ptr %sizes)
  %failed = icmp eq ptr %out, null
  br i1 %failed, label %forget, label %run
run:
  %data = call ptr @field(ptr %out, i64 <header>)
  %to = getelementptr ptr, ptr %addresses, i64 %last
  store ptr %data, ptr %to
  call void @clear_flags()
  %n = load i64, ptr %counts
  %long = icmp sgt i64 %n, 500
  br i1 %long, label %unlocked, label %locked
unlocked:
  %thread = call ptr @PyEval_SaveThread()
  call void @run_loop(ptr %loop, ptr %addresses, ptr %counts, ptr %strides)
  call void @PyEval_RestoreThread(ptr %thread)
  br label %ask
locked:
  call void @run_loop(ptr %loop, ptr %addresses, ptr %counts, ptr %strides)
  br label %ask
ask:
  %well = call i1 @went_well()
  br i1 %well, label %good, label %drop
good:
  %t = call ptr @made_alone(ptr %out)
  ret ptr %t
drop:
  call void @Py_DecRef(ptr %out)
  br label %forget
forget:
  call void @PyErr_Clear()
  ret ptr null
}

define internal i64 @size_of(ptr %x) {
  %nd = call i64 @number_in(ptr %x, i64 <nd>)
  %sizes = call ptr @field(ptr %x, i64 <sizes>)
  br label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i.up, %axis ]
  %total = phi i64 [ 1, %0 ], [ %product, %axis ]
  %more = icmp slt i64 %i, %nd
  br i1 %more, label %axis, label %done
axis:
  %size = call i64 @number(ptr %sizes, i64 %i)
  %product = mul i64 %total, %size
  %i.up = add i64 %i, 1
  br label %next
done:
  ret i64 %total
}

; Whether an array lies in C order, and aligned.
define internal i1 @lies_plainly(ptr %x) alwaysinline {
  %flags = call i64 @number_in(ptr %x, i64 <flags>)
  %both = and i64 %flags, <plain>
  %is = icmp eq i64 %both, <plain>
  ret i1 %is
}

; An operand for a loop over elements: where it is, and how far its elements are apart.
define internal void @operand(
  ptr %addresses, ptr %strides, i64 %i, ptr %address, i64 %stride
) alwaysinline {
  %to = getelementptr ptr, ptr %addresses, i64 %i
  store ptr %address, ptr %to
  %stride_to = getelementptr i64, ptr %strides, i64 %i
  store i64 %stride, ptr %stride_to
  ret void
}

define internal void @array_operand(
  ptr %addresses, ptr %strides, i64 %i, ptr %x
) alwaysinline {
  %address = call ptr @field(ptr %x, i64 <header>)
  %descr = call ptr @field(ptr %x, i64 <descr>)
  %itemsize = call i64 @number_at(ptr %descr, i64 <itemsize>)
  %nd = call i64 @number_in(ptr %x, i64 <nd>)
  %single = icmp eq i64 %nd, 0
  %stride = select i1 %single, i64 0, i64 %itemsize
  call void @operand(ptr %addresses, ptr %strides, i64 %i, ptr %address, i64 %stride)
  ret void
}

; The Tensor that the loop of a way makes of operands of one dtype, whose arrays (one of them twice)
; are a and b, the result to be like one of them; null where there is no such loop, or too many
; elements.
define internal ptr @elementwise(
  ptr %way, ptr %like, ptr %addresses, ptr %strides, i64 %last, ptr %a, ptr %b
) {
  %counts = alloca i64
  %count = call i64 @size_of(ptr %like)
  %few = icmp slt i64 %count, <large>
  br i1 %few, label %find, label %no
find:
  store i64 %count, ptr %counts
  %descr = call ptr @field(ptr %like, i64 <descr>)
  %loop = call ptr @loop_of(ptr %way, ptr %descr)
  %has = icmp ne ptr %loop, null
  br i1 %has, label %yes, label %no
yes:
  %result = call ptr @word(ptr %loop, i64 3)
  %itemsize = call i64 @number_at(ptr %result, i64 <itemsize>)
  call void @operand(ptr %addresses, ptr %strides, i64 %last, ptr null, i64 %itemsize)
  %nd = call i64 @number_in(ptr %like, i64 <nd>)
  %sizes = call ptr @field(ptr %like, i64 <sizes>)
  %long = icmp sgt i64 %count, 500
  br i1 %long, label %hold, label %run
run:
  %t = call ptr @looped(ptr %loop, i64 %nd, ptr %sizes, ptr %counts, ptr %addresses,
    ptr %strides, i64 %last)
  ret ptr %t
hold:
  ; Without the lock another thread may give a Tensor another array.
  call void @Py_IncRef(ptr %a)
  call void @Py_IncRef(ptr %b)
  %h = call ptr @looped(ptr %loop, i64 %nd, ptr %sizes, ptr %counts, ptr %addresses,
    ptr %strides, i64 %last)
  call void @Py_DecRef(ptr %a)
  call void @Py_DecRef(ptr %b)
  ret ptr %h
no:
  ret ptr null
}

; Puts a Python number where a loop finds it as an element beside those of an array; false where
; NumPy would have to tell of it, or makes something else of it.
define internal i1 @number_operand(ptr %array, ptr %number, ptr %element) {
  %descr = call ptr @field(ptr %array, i64 <descr>)
  %which = call i64 @number_in(ptr %descr, i64 <type_num>)
  %single = icmp eq i64 %which, <float32>
  %double = icmp eq i64 %which, <float64>
  %floating = or i1 %single, %double
  br i1 %floating, label %value, label %other
other:
  %int64 = icmp eq ptr %descr, <i8>
  br i1 %int64, label %integer, label %no
integer:
  %theirs = call i1 @is_a(ptr %number, ptr <numpy_int>)
  br i1 %theirs, label %take, label %of_python
take:  ; its value lies behind the header
  %word = call i64 @number_at(ptr %number, i64 <header>)
  store i64 %word, ptr %element
  ret i1 1
of_python:
  %is_int = call i1 @is_a(ptr %number, ptr <int>)
  br i1 %is_int, label %place, label %no
place:
  %known = call i1 @place_of(ptr %number, ptr %element)
  ret i1 %known
value:
  %v = call double @PyFloat_AsDouble(ptr %number)
  %size = call double @llvm.fabs.f64(double %v)
  %odd = fcmp oeq double %v, -1.0
  br i1 %odd, label %ask, label %exact
ask:
  %error = call ptr @PyErr_Occurred()
  %raised = icmp ne ptr %error, null
  br i1 %raised, label %forget, label %exact
forget:
  call void @PyErr_Clear()
  br label %no
exact:
  %int = call i1 @is_a(ptr %number, ptr <int>)
  %least = fcmp ole double %size, 0x4340000000000000
  %float = xor i1 %int, 1
  %whole = or i1 %float, %least
  br i1 %whole, label %convert, label %no
convert:
  br i1 %double, label %wide, label %narrow
wide:
  store double %v, ptr %element
  ret i1 1
narrow:
  %f = fptrunc double %v to float
  %f.size = call float @llvm.fabs.f32(float %f)
  %normal = fcmp oge float %f.size, 0x3810000000000000
  %finite = fcmp olt float %f.size, 0x7FF0000000000000
  %within = and i1 %normal, %finite
  %zero = fcmp oeq double %v, 0.0
  %fits = or i1 %within, %zero
  store float %f, ptr %element
  ret i1 %fits
no:
  ret i1 0
}

; Of two arrays of one dtype that lie plainly, the one that their result is like; null where they
; are not of one shape and neither is a single element.
define internal ptr @like_both(ptr %a, ptr %b) {
  %a.plain = call i1 @lies_plainly(ptr %a)
  %b.plain = call i1 @lies_plainly(ptr %b)
  %plain = and i1 %a.plain, %b.plain
  %a.descr = call ptr @field(ptr %a, i64 <descr>)
  %b.descr = call ptr @field(ptr %b, i64 <descr>)
  %one = icmp eq ptr %a.descr, %b.descr
  %good = and i1 %plain, %one
  br i1 %good, label %axes, label %no
axes:
  %a.nd = call i64 @number_in(ptr %a, i64 <nd>)
  %b.nd = call i64 @number_in(ptr %b, i64 <nd>)
  %as_many = icmp eq i64 %a.nd, %b.nd
  br i1 %as_many, label %compare, label %single
compare:
  %a.sizes = call ptr @field(ptr %a, i64 <sizes>)
  %b.sizes = call ptr @field(ptr %b, i64 <sizes>)
  %same = call i1 @equal(ptr %a.sizes, ptr %b.sizes, i64 %a.nd)
  br i1 %same, label %first, label %no
single:
  %b.single = icmp eq i64 %b.nd, 0
  br i1 %b.single, label %first, label %other
other:
  %a.single = icmp eq i64 %a.nd, 0
  br i1 %a.single, label %second, label %no
first:
  ret ptr %a
second:
  ret ptr %b
no:
  ret ptr null
}

; Whether a number is one that NumPy takes beside an array as hybrid does: it widens bfloat16, whose
; kind is V. Its own float64 has a dtype, which beside another of that changes nothing.
define internal i1 @weak(ptr %number, ptr %array) alwaysinline {
  %is_float = call i1 @is_a(ptr %number, ptr <float>)
  %is_int = call i1 @is_a(ptr %number, ptr <int>)
  %is_theirs = call i1 @is_a(ptr %number, ptr <numpy_float>)
  %descr = call ptr @field(ptr %array, i64 <descr>)
  %which = call i64 @number_in(ptr %descr, i64 <type_num>)
  %double = icmp eq i64 %which, <float64>
  %float_alike = and i1 %is_theirs, %double
  %is_their_int = call i1 @is_a(ptr %number, ptr <numpy_int>)
  %whole = icmp eq ptr %descr, <i8>
  %int_alike = and i1 %is_their_int, %whole
  %alike = or i1 %float_alike, %int_alike
  %of_python = or i1 %is_float, %is_int
  %is = or i1 %of_python, %alike
  %kind = call i8 @kind_of(ptr %descr)
  %known = icmp ne i8 %kind, 86
  %both = and i1 %is, %known
  ret i1 %both
}
"""
