"""What is not plain: Python's functions, and the ufuncs themselves."""

CALLS = """
declare i32 @PyType_IsSubtype(ptr, ptr)

; None of a function, which has no Python function of its own.
define internal ptr @python_of_one(ptr %x, ptr %way) noinline {
  %otherwise = call ptr @word(ptr %way, i64 1)
  %none = icmp eq ptr %otherwise, null
  br i1 %none, label %nothing, label %call
call:
  %r = call ptr @long(ptr %otherwise, ptr %x, ptr null, i64 0, ptr null)
  ret ptr %r
nothing:
  call void @Py_IncRef(ptr <None>)
  ret ptr <None>
}

; Python calls an operator with its operands in their order, of which the second may be the Tensor.
define internal ptr @python_of_two(ptr %x, ptr %y, ptr %way) noinline {
  %given = alloca ptr
  %forward = call ptr @word(ptr %way, i64 1)
  %reflected = call ptr @word(ptr %way, i64 2)
  %none = icmp eq ptr %forward, null
  br i1 %none, label %nothing, label %ask
ask:
  %type = call ptr @field(ptr %x, i64 <type>)
  %mine = call i32 @PyType_IsSubtype(ptr %type, ptr <Tensor>)
  %first = icmp ne i32 %mine, 0
  br i1 %first, label %forwards, label %swapped
forwards:
  store ptr %y, ptr %given
  %f = call ptr @long(ptr %forward, ptr %x, ptr %given, i64 1, ptr null)
  ret ptr %f
swapped:
  %has = icmp ne ptr %reflected, null
  br i1 %has, label %backwards, label %unknown
backwards:
  store ptr %x, ptr %given
  %r = call ptr @long(ptr %reflected, ptr %y, ptr %given, i64 1, ptr null)
  ret ptr %r
unknown:
  call void @Py_IncRef(ptr <NotImplemented>)
  ret ptr <NotImplemented>
nothing:
  call void @Py_IncRef(ptr <None>)
  ret ptr <None>
}

; A Tensor alone with what a call gives, an array or a scalar; null where it failed. The operands
; are held meanwhile: another thread may give a Tensor another array.
define internal ptr @called(ptr %way, ptr %x, ptr %y, i64 %n) noinline {
  %given = alloca [2 x ptr]
  %call = call ptr @word(ptr %way, i64 0)
  store ptr %x, ptr %given
  %second = getelementptr ptr, ptr %given, i64 1
  store ptr %y, ptr %second
  %two = icmp eq i64 %n, 2
  %also = select i1 %two, ptr %y, ptr %x
  call void @Py_IncRef(ptr %x)
  call void @Py_IncRef(ptr %also)
  %found = call ptr @PyObject_Vectorcall(ptr %call, ptr %given, i64 %n, ptr null)
  call void @Py_DecRef(ptr %x)
  call void @Py_DecRef(ptr %also)
  %failed = icmp eq ptr %found, null
  br i1 %failed, label %no, label %look
look:
  %is = call i1 @is_a(ptr %found, ptr <ndarray>)
  br i1 %is, label %array, label %scalar
scalar:
  store ptr %found, ptr %given
  %converted = call ptr @PyObject_Vectorcall(ptr <asarray>, ptr %given, i64 1, ptr null)
  call void @Py_DecRef(ptr %found)
  %lost = icmp eq ptr %converted, null
  br i1 %lost, label %no, label %array
array:
  %data = phi ptr [ %found, %look ], [ %converted, %scalar ]
  %t = call ptr @made_alone(ptr %data)
  ret ptr %t
no:
  ret ptr null
}

; The ufunc of a way for arrays, of which x and y are the operands; where that raises, and Python
; may go on, its function explains it. Null after an error, which may be there already.
define internal ptr @by_ufunc(
  ptr %way, ptr %x, ptr %y, ptr %left, ptr %right, i64 %n
) noinline {
  %error = call ptr @PyErr_Occurred()
  %none = icmp eq ptr %error, null
  br i1 %none, label %call, label %no
call:
  %r = call ptr @called(ptr %way, ptr %left, ptr %right, i64 %n)
  %made = icmp ne ptr %r, null
  br i1 %made, label %give, label %explain
give:
  ret ptr %r
explain:
  %forgiven = call i1 @forgiven()
  br i1 %forgiven, label %python, label %no
python:
  %single = icmp eq i64 %n, 1
  br i1 %single, label %one, label %two
one:
  %p1 = call ptr @python_of_one(ptr %x, ptr %way)
  ret ptr %p1
two:
  %p2 = call ptr @python_of_two(ptr %x, ptr %y, ptr %way)
  ret ptr %p2
no:
  ret ptr null
}
"""
