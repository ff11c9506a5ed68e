"""What is not plain to a loop: the ufuncs themselves."""

CALLS = """
declare ptr @PyEval_GetGlobals()
declare i32 @PyContextVar_Get(ptr, ptr, ptr)
declare ptr @PyContext_Copy(ptr)
declare i32 @PyContext_Enter(ptr)
declare i32 @PyContext_Exit(ptr)
declare ptr @PyDict_GetItem(ptr, ptr)
declare i64 @PyUnicode_Tailmatch(ptr, ptr, i64, i64, i32)

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

; The same in a context in which NumPy warns at the user's line, as `heard` of hybrid.core has it
; called; null where that is left to Python, or after an error.
define internal ptr @called_heard(ptr %way, ptr %x, ptr %y, i64 %n) noinline {
  %now.at = alloca ptr
  %got = call i32 @PyContextVar_Get(ptr <asked>, ptr null, ptr %now.at)
  %known = call ptr @field(ptr <heard>, i64 <header>)
  %wanted = call ptr @word(ptr %known, i64 0)
  %shared = call ptr @word(ptr %known, i64 1)
  %bad = icmp ne i32 %got, 0
  br i1 %bad, label %no, label %compare
compare:
  %now = load ptr, ptr %now.at
  call void @Py_DecRef(ptr %now)
  %same = icmp eq ptr %now, %wanted
  %has = icmp ne ptr %shared, null
  %go = and i1 %same, %has
  br i1 %go, label %copy, label %no
copy:
  %context = call ptr @PyContext_Copy(ptr %shared)
  %failed = icmp eq ptr %context, null
  br i1 %failed, label %no, label %enter
enter:
  %entered = call i32 @PyContext_Enter(ptr %context)
  %r = call ptr @called(ptr %way, ptr %x, ptr %y, i64 %n)
  %left = call i32 @PyContext_Exit(ptr %context)
  call void @Py_DecRef(ptr %context)
  ret ptr %r
no:
  ret ptr null
}

; Whether an error or a warning that is raised now is the user's: his code is what runs.
define internal i1 @in_users_frame() noinline {
  %names = call ptr @PyEval_GetGlobals()
  %some = icmp ne ptr %names, null
  br i1 %some, label %look, label %no
look:
  %name = call ptr @PyDict_GetItem(ptr %names, ptr <__name__>)
  %known = icmp ne ptr %name, null
  br i1 %known, label %kind, label %yes
kind:
  %text = call i1 @is_a(ptr %name, ptr <str>)
  br i1 %text, label %compare, label %yes
compare:
  %ours = call i64 @PyUnicode_Tailmatch(
    ptr %name, ptr <package>, i64 0, i64 9223372036854775807, i32 -1)
  %users = icmp eq i64 %ours, 0
  ret i1 %users
yes:
  ret i1 1
no:
  ret i1 0
}

; What the ufunc of a way gives for arrays. Where that raises, and Python may go on, its function
; explains it. Null after an error, which may be there already. A function, and an operator in
; hybrid's own code, has warnings name the user's line.
define internal ptr @by_ufunc(ptr %way, ptr %x, ptr %y, i64 %n) noinline {
  %error = call ptr @PyErr_Occurred()
  %none = icmp eq ptr %error, null
  br i1 %none, label %who, label %no
who:
  %otherwise = call ptr @word(ptr %way, i64 1)
  %function = icmp eq ptr %otherwise, null
  br i1 %function, label %heard, label %where
heard:
  %h = call ptr @called_heard(ptr %way, ptr %x, ptr %y, i64 %n)
  %done = icmp ne ptr %h, null
  br i1 %done, label %give_heard, label %missing
give_heard:
  ret ptr %h
missing:
  %raised = call ptr @PyErr_Occurred()
  %quiet = icmp eq ptr %raised, null
  br i1 %quiet, label %python, label %explain
where:
  %users = call i1 @in_users_frame()
  br i1 %users, label %call, label %python
call:
  %r = call ptr @called(ptr %way, ptr %x, ptr %y, i64 %n)
  %made = icmp ne ptr %r, null
  br i1 %made, label %give, label %explain
give:
  ret ptr %r
explain:
  %forgiven = call i1 @forgiven()
  br i1 %forgiven, label %python, label %no
python:
  ret ptr <undone>
no:
  ret ptr null
}
"""
