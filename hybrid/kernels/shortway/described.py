"""What a Tensor tells of itself: its shape, its dtype, its value as a Python number."""

DESCRIBED = """
declare ptr @PyFloat_FromDouble(double)
declare ptr @PyLong_FromDouble(double)

define internal ptr @shape(ptr %self, ptr %way) {
  %x = call ptr @array_of(ptr %self)
  %some = icmp ne ptr %x, null
  br i1 %some, label %make, label %python
make:
  %nd = call i64 @number_in(ptr %x, i64 <nd>)
  %sizes = call ptr @field(ptr %x, i64 <sizes>)
  %tuple = call ptr @PyTuple_New(i64 %nd)
  %failed = icmp eq ptr %tuple, null
  br i1 %failed, label %done, label %next
next:
  %i = phi i64 [ 0, %make ], [ %i.up, %put ]
  %more = icmp slt i64 %i, %nd
  br i1 %more, label %axis, label %done
axis:
  %size = call i64 @number(ptr %sizes, i64 %i)
  %int = call ptr @PyLong_FromSsize_t(i64 %size)
  %lost = icmp eq ptr %int, null
  br i1 %lost, label %drop, label %put
put:
  call void @item_of_tuple(ptr %tuple, i64 %i, ptr %int)
  %i.up = add i64 %i, 1
  br label %next
done:
  ret ptr %tuple
drop:
  call void @Py_DecRef(ptr %tuple)
  ret ptr null
python:
  ret ptr <undone>
}

define internal ptr @ndim(ptr %self, ptr %way) {
  %x = call ptr @array_of(ptr %self)
  %some = icmp ne ptr %x, null
  br i1 %some, label %make, label %python
make:
  %nd = call i64 @number_in(ptr %x, i64 <nd>)
  %r = call ptr @PyLong_FromSsize_t(i64 %nd)
  ret ptr %r
python:
  ret ptr <undone>
}

define internal ptr @size(ptr %self, ptr %way) {
  %x = call ptr @array_of(ptr %self)
  %some = icmp ne ptr %x, null
  br i1 %some, label %make, label %python
make:
  %n = call i64 @size_of(ptr %x)
  %r = call ptr @PyLong_FromSsize_t(i64 %n)
  ret ptr %r
python:
  ret ptr <undone>
}

define internal ptr @dtype(ptr %self, ptr %way) {
  %x = call ptr @array_of(ptr %self)
  %some = icmp ne ptr %x, null
  br i1 %some, label %make, label %python
make:
  %descr = call ptr @field(ptr %x, i64 <descr>)
  call void @Py_IncRef(ptr %descr)
  ret ptr %descr
python:
  ret ptr <undone>
}

define internal i64 @length(ptr %self, ptr %way) {
  %x = call ptr @array_of(ptr %self)
  %some = icmp ne ptr %x, null
  br i1 %some, label %look, label %python
look:
  %nd = call i64 @number_in(ptr %x, i64 <nd>)
  %any = icmp sgt i64 %nd, 0
  br i1 %any, label %yes, label %python
yes:
  %sizes = call ptr @field(ptr %x, i64 <sizes>)
  %n = load i64, ptr %sizes
  ret i64 %n
python:
  ret i64 -2
}

; The only element of a Tensor that nobody watches: 1 for a float64, 2 for a float32, which is made
; one, 3 for an int64, 4 for a boolean; 0 for all else.
define internal i64 @only(ptr %self, ptr %float_at, ptr %int_at) {
  %x = call ptr @plain_array(ptr %self)
  %some = icmp ne ptr %x, null
  br i1 %some, label %look, label %no
look:
  %n = call i64 @size_of(ptr %x)
  %one = icmp eq i64 %n, 1
  %good = call i1 @is_aligned(ptr %x)
  %go = and i1 %one, %good
  br i1 %go, label %which, label %no
which:
  %data = call ptr @field(ptr %x, i64 <header>)
  %descr = call ptr @field(ptr %x, i64 <descr>)
  %is_f8 = icmp eq ptr %descr, <f8>
  br i1 %is_f8, label %f8, label %not_f8
f8:
  %v8 = load double, ptr %data
  store double %v8, ptr %float_at
  ret i64 1
not_f8:
  %is_f4 = icmp eq ptr %descr, <f4>
  br i1 %is_f4, label %f4, label %not_f4
f4:
  %v4 = load float, ptr %data
  %wide = fpext float %v4 to double
  store double %wide, ptr %float_at
  ret i64 2
not_f4:
  %is_i8 = icmp eq ptr %descr, <i8>
  br i1 %is_i8, label %i8, label %not_i8
i8:
  %vi = load i64, ptr %data
  store i64 %vi, ptr %int_at
  ret i64 3
not_i8:
  %is_bool = icmp eq ptr %descr, <b1>
  br i1 %is_bool, label %bool, label %no
bool:
  %vb = load i8, ptr %data
  %bit = icmp ne i8 %vb, 0
  %byte = zext i1 %bit to i64
  store i64 %byte, ptr %int_at
  ret i64 4
no:
  ret i64 0
}

define internal ptr @as_float(ptr %self, ptr %way) {
  %float_at = alloca double
  %int_at = alloca i64
  %kind = call i64 @only(ptr %self, ptr %float_at, ptr %int_at)
  switch i64 %kind, label %integer [ i64 0, label %python i64 1, label %float i64 2, label %float ]
float:
  %v = load double, ptr %float_at
  %f = call ptr @PyFloat_FromDouble(double %v)
  ret ptr %f
integer:
  %i = load i64, ptr %int_at
  %d = sitofp i64 %i to double
  %g = call ptr @PyFloat_FromDouble(double %d)
  ret ptr %g
python:
  ret ptr <undone>
}

define internal ptr @as_int(ptr %self, ptr %way) {
  %float_at = alloca double
  %int_at = alloca i64
  %kind = call i64 @only(ptr %self, ptr %float_at, ptr %int_at)
  switch i64 %kind, label %integer [ i64 0, label %python i64 1, label %float i64 2, label %float ]
float:
  %v = load double, ptr %float_at
  %f = call ptr @PyLong_FromDouble(double %v)
  ret ptr %f
integer:
  %i = load i64, ptr %int_at
  %g = call ptr @PyLong_FromSsize_t(i64 %i)
  ret ptr %g
python:
  ret ptr <undone>
}

define internal i32 @as_bool(ptr %self, ptr %way) {
  %float_at = alloca double
  %int_at = alloca i64
  %kind = call i64 @only(ptr %self, ptr %float_at, ptr %int_at)
  switch i64 %kind, label %integer [ i64 0, label %python i64 1, label %float i64 2, label %float ]
float:
  %v = load double, ptr %float_at
  %f = fcmp une double %v, 0.0
  %f.is = zext i1 %f to i32
  ret i32 %f.is
integer:
  %i = load i64, ptr %int_at
  %g = icmp ne i64 %i, 0
  %g.is = zext i1 %g to i32
  ret i32 %g.is
python:
  ret i32 -2
}
"""
