"""Tensors that show memory of others.

The array of a view is made as NumPy makes it: the dtype and the memory of `x`, other sizes and
strides.
"""

VIEWS = """
declare ptr @PyTuple_New(i64)
declare ptr @PyLong_FromSsize_t(i64)
declare i64 @PyLong_AsSsize_t(ptr)

; An array that shows memory of x; null after an error.
define internal ptr @view_of(
  ptr %x, ptr %data, i64 %nd, ptr %sizes, ptr %strides
) {
  %kept = call ptr @kept_view(ptr %x, ptr %data, i64 %nd, ptr %sizes, ptr %strides)
  %some = icmp ne ptr %kept, null
  br i1 %some, label %give, label %make
give:
  ret ptr %kept
make:
  %descr = call ptr @field(ptr %x, i64 <descr>)
  %nd32 = trunc i64 %nd to i32
  %flags = call i64 @number_in(ptr %x, i64 <flags>)
  %flags32 = trunc i64 %flags to i32
  call void @Py_IncRef(ptr %descr)
  %view = call ptr <new_array>(
    ptr <ndarray>, ptr %descr, i32 %nd32, ptr %sizes, ptr %strides, ptr %data, i32 %flags32,
    ptr null)
  %failed = icmp eq ptr %view, null
  br i1 %failed, label %no, label %hold
hold:
  call void @Py_IncRef(ptr %x)
  %set = call i32 <set_base>(ptr %view, ptr %x)
  %good = icmp eq i32 %set, 0
  br i1 %good, label %yes, label %drop
yes:
  ret ptr %view
drop:
  call void @Py_DecRef(ptr %view)
  br label %no
no:
  ret ptr null
}

define internal void @item_of_tuple(ptr %tuple, i64 %i, ptr %x) alwaysinline {
  %items = getelementptr i8, ptr %tuple, i64 <items>
  %to = getelementptr ptr, ptr %items, i64 %i
  store ptr %x, ptr %to
  ret void
}

define internal void @shared_item(ptr %tuple, i64 %i, ptr %x) alwaysinline {
  call void @Py_IncRef(ptr %x)
  call void @item_of_tuple(ptr %tuple, i64 %i, ptr %x)
  ret void
}

; What a Tensor is told of that was alone with its memory, and is none any more: (storage, 0, ()).
; Null after an error.
define internal ptr @hung(ptr %self) noinline {
  %storage = call ptr @PyType_GenericAlloc(ptr <Storage>, i64 0)
  %none = icmp eq ptr %storage, null
  br i1 %none, label %no, label %fill
fill:
  %data = call ptr @field(ptr %self, i64 <data>)
  %node = call ptr @field(ptr %self, i64 <node>)
  call void @set_field(ptr %storage, i64 <base_of>, ptr %data)
  call void @set_field(ptr %storage, i64 <node_of>, ptr %node)
  call void @set_field(ptr %storage, i64 <version>, ptr <zero>)
  call void @set_field(ptr %storage, i64 <watched>, ptr <nothing>)
  call void @set_field(ptr %storage, i64 <snapshot>, ptr <None>)
  call void @set_field(ptr %storage, i64 <keeper>, ptr <None>)
  call void @set_field(ptr %storage, i64 <order>, ptr <None>)
  %link = call ptr @PyTuple_New(i64 3)
  %no_link = icmp eq ptr %link, null
  br i1 %no_link, label %drop, label %hang
hang:
  call void @item_of_tuple(ptr %link, i64 0, ptr %storage)
  call void @shared_item(ptr %link, i64 1, ptr <zero>)
  call void @shared_item(ptr %link, i64 2, ptr <nothing>)
  ret ptr %link
drop:
  call void @Py_DecRef(ptr %storage)
  br label %no
no:
  ret ptr null
}

define internal void @set_field(ptr %x, i64 %offset, ptr %value) alwaysinline {
  %at = getelementptr i8, ptr %x, i64 %offset
  call void @Py_IncRef(ptr %value)
  store ptr %value, ptr %at
  ret void
}

; What hangs on memory of self, as `seen` of hybrid.core writes it: (storage, version, None, parent,
; function, *index, *sizes), where the index may be left out. Null after an error.
define internal ptr @link_to(
  ptr %self, ptr %function, ptr %index, i64 %nd, ptr %sizes
) {
  %given = alloca ptr
  %old = call ptr @field(ptr %self, i64 <link>)
  %view = call i1 @is_a(ptr %old, ptr <tuple>)
  br i1 %view, label %pending, label %other
other:
  %has = call i1 @is_a(ptr %old, ptr <Alias>)
  br i1 %has, label %known, label %first_view
first_view:
  %alone = icmp eq ptr %old, <None>
  br i1 %alone, label %make, label %ask
make:
  %own = call ptr @hung(ptr %self)
  %failed_own = icmp eq ptr %own, null
  br i1 %failed_own, label %no, label %put_own
put_own:
  ; What was allocated may have let others run, who hung something on it.
  %link_at = getelementptr i8, ptr %self, i64 <link>
  %now = load ptr, ptr %link_at
  %still = icmp eq ptr %now, <None>
  br i1 %still, label %keep_own, label %drop_own
keep_own:
  store ptr %own, ptr %link_at
  call void @Py_DecRef(ptr <None>)
  br label %pending
drop_own:
  call void @Py_DecRef(ptr %own)
  br label %ask
pending:
  %late = phi ptr [ %old, %0 ], [ %own, %keep_own ]
  %late.items = getelementptr i8, ptr %late, i64 <items>
  %late.storage = load ptr, ptr %late.items
  call void @Py_IncRef(ptr %late)
  br label %hang
known:
  %known.storage = call ptr @field(ptr %old, i64 <storage>)
  call void @Py_IncRef(ptr %old)
  br label %hang
ask:
  store ptr %self, ptr %given
  %new = call ptr @PyObject_Vectorcall(ptr <own_alias>, ptr %given, i64 1, ptr null)
  %none = icmp eq ptr %new, null
  br i1 %none, label %no, label %answered
answered:
  %new.storage = call ptr @field(ptr %new, i64 <storage>)
  br label %hang
hang:
  %parent = phi ptr [ %old, %known ], [ %late, %pending ], [ %new, %answered ]
  %storage = phi ptr [ %known.storage, %known ], [ %late.storage, %pending ],
    [ %new.storage, %answered ]
  %indexed = icmp ne ptr %index, null
  %first = select i1 %indexed, i64 6, i64 5
  %n = add i64 %first, %nd
  %link = call ptr @PyTuple_New(i64 %n)
  %no_link = icmp eq ptr %link, null
  br i1 %no_link, label %drop_parent, label %fill
fill:
  %version = call ptr @field(ptr %storage, i64 <version>)
  call void @shared_item(ptr %link, i64 0, ptr %storage)
  call void @shared_item(ptr %link, i64 1, ptr %version)
  call void @shared_item(ptr %link, i64 2, ptr <None>)
  call void @item_of_tuple(ptr %link, i64 3, ptr %parent)
  call void @shared_item(ptr %link, i64 4, ptr %function)
  br i1 %indexed, label %note, label %next
note:
  call void @shared_item(ptr %link, i64 5, ptr %index)
  br label %next
next:
  %i = phi i64 [ 0, %fill ], [ 0, %note ], [ %i.up, %put ]
  %more = icmp slt i64 %i, %nd
  br i1 %more, label %size, label %done
size:
  %value = call i64 @number(ptr %sizes, i64 %i)
  %int = call ptr @PyLong_FromSsize_t(i64 %value)
  %failed = icmp eq ptr %int, null
  br i1 %failed, label %drop_link, label %put
put:
  %at = add i64 %first, %i
  call void @item_of_tuple(ptr %link, i64 %at, ptr %int)
  %i.up = add i64 %i, 1
  br label %next
done:
  ret ptr %link
drop_link:
  call void @Py_DecRef(ptr %link)
  br label %no
drop_parent:
  call void @Py_DecRef(ptr %parent)
  br label %no
no:
  ret ptr null
}

; A Tensor of `view`, which is taken over and may be null after an error, that hangs on self.
define internal ptr @tied(
  ptr %self, ptr %view, ptr %function, ptr %index, i64 %nd, ptr %sizes
) {
  %has = icmp ne ptr %view, null
  br i1 %has, label %hang, label %no
hang:
  %link = call ptr @link_to(ptr %self, ptr %function, ptr %index, i64 %nd, ptr %sizes)
  %linked = icmp ne ptr %link, null
  br i1 %linked, label %make, label %drop
make:
  %t = call ptr @made(ptr %view, ptr %link)
  ret ptr %t
drop:
  call void @Py_DecRef(ptr %view)
  br label %no
no:
  ret ptr null
}

; What stands in brackets: the entries of a tuple that alone is given, else what is given.
define internal ptr @entries_of(ptr %given, i64 %n, ptr %count) {
  store i64 %n, ptr %count
  %only = icmp eq i64 %n, 1
  br i1 %only, label %look, label %plain
look:
  %first = call ptr @word(ptr %given, i64 0)
  %packed = call i1 @is_a(ptr %first, ptr <tuple>)
  br i1 %packed, label %tuple, label %plain
tuple:
  %many = call i64 @PyTuple_Size(ptr %first)
  store i64 %many, ptr %count
  %items = getelementptr i8, ptr %first, i64 <items>
  ret ptr %items
plain:
  ret ptr %given
}

; An int as a number; false where it is none that an axis could have.
define internal i1 @place_of(ptr %int, ptr %to) alwaysinline {
  %short = call i1 @short_int(ptr %int, ptr %to)
  br i1 %short, label %good, label %long
long:
  %place = call i64 @PyLong_AsSsize_t(ptr %int)
  store i64 %place, ptr %to
  %odd = icmp eq i64 %place, -1
  br i1 %odd, label %ask, label %good
ask:
  %error = call ptr @PyErr_Occurred()
  %none = icmp eq ptr %error, null
  br i1 %none, label %good, label %forget
good:
  ret i1 1
forget:
  call void @PyErr_Clear()
  ret i1 0
}
"""
