"""Small Tensors of their own: filled with a number, with those of a list, copies."""

CREATION = """
; A Tensor of a shape (an int, or a tuple of them), a dtype and one number in each of its places, of
; which there are few.
define ptr @function_of_a_shape(ptr %self, ptr %args, i64 %n) {
  %sizes = alloca [32 x i64]
  %count_at = alloca i64
  %element = alloca double
  %given = call ptr @word(ptr %args, i64 0)
  %descr = call ptr @word(ptr %args, i64 1)
  %number = call ptr @word(ptr %args, i64 2)
  %idle = call i1 @idle()
  %entries = call ptr @entries_of(ptr %args, i64 1, ptr %count_at)
  %nd = load i64, ptr %count_at
  %less = sub i64 %nd, 1
  %few = icmp ult i64 %less, 32
  %go = and i1 %idle, %few
  br i1 %go, label %measure, label %python
measure:
  %total = call i64 @product_of(ptr %entries, i64 %nd, ptr %sizes)
  %some = icmp ult i64 %total, 501
  br i1 %some, label %make, label %python
make:
  %out = call ptr @new_array_of(ptr %descr, i64 %nd, ptr %sizes)
  %failed = icmp eq ptr %out, null
  br i1 %failed, label %forget, label %which
which:
  %data = call ptr @field(ptr %out, i64 <header>)
  %bytes = call i64 @number_at(ptr %descr, i64 <itemsize>)
  %nothing = icmp eq ptr %number, <zero>
  br i1 %nothing, label %clear, label %convert
clear:
  %all = mul i64 %total, %bytes
  call void @llvm.memset.p0.i64(ptr %data, i8 0, i64 %all, i1 false)
  br label %done
convert:
  %is_weak = call i1 @weak(ptr %number, ptr %out)
  br i1 %is_weak, label %value, label %drop
value:
  %fits = call i1 @number_operand(ptr %out, ptr %number, ptr %element)
  br i1 %fits, label %fill, label %drop
fill:
  call void @filled(ptr %data, i64 %total, i64 %bytes, ptr %element, i64 0, i64 %bytes)
  br label %done
done:
  %t = call ptr @made_alone(ptr %out)
  ret ptr %t
drop:
  call void @Py_DecRef(ptr %out)
  br label %python
forget:
  call void @PyErr_Clear()
  br label %python
python:
  %none = call ptr @or_none(ptr <undone>)
  ret ptr %none
}

; A copy of few elements in C order, with the axes that there are, or with one.
define internal ptr @copied(ptr %self, ptr %args, i64 %n, ptr %names, ptr %way) {
  %t = call ptr @copy_of(ptr %self, i64 %n, ptr %names, i1 0)
  ret ptr %t
}

define internal ptr @flattened(ptr %self, ptr %args, i64 %n, ptr %names, ptr %way) {
  %t = call ptr @copy_of(ptr %self, i64 %n, ptr %names, i1 1)
  ret ptr %t
}

define internal ptr @copy_of(ptr %self, i64 %n, ptr %names, i1 %flat) {
  %total_at = alloca i64
  %x = call ptr @plain_array(ptr %self)
  %some = icmp ne ptr %x, null
  %bare = icmp eq ptr %names, null
  %none = icmp eq i64 %n, 0
  %unasked = and i1 %bare, %none
  %go = and i1 %some, %unasked
  br i1 %go, label %look, label %python
look:
  %plain = call i1 @lies_plainly(ptr %x)
  %total = call i64 @size_of(ptr %x)
  %few = icmp ult i64 %total, 501
  %good = and i1 %plain, %few
  br i1 %good, label %make, label %python
make:
  %descr = call ptr @field(ptr %x, i64 <descr>)
  %x.nd = call i64 @number_in(ptr %x, i64 <nd>)
  %x.sizes = call ptr @field(ptr %x, i64 <sizes>)
  %bytes = call i64 @number_at(ptr %descr, i64 <itemsize>)
  %all = mul i64 %total, %bytes
  store i64 %total, ptr %total_at
  %nd = select i1 %flat, i64 1, i64 %x.nd
  %sizes = select i1 %flat, ptr %total_at, ptr %x.sizes
  call void @Py_IncRef(ptr %x)
  %out = call ptr @new_array_of(ptr %descr, i64 %nd, ptr %sizes)
  %failed = icmp eq ptr %out, null
  br i1 %failed, label %no, label %fill
fill:
  %to = call ptr @field(ptr %out, i64 <header>)
  %from = call ptr @field(ptr %x, i64 <header>)
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %all, i1 false)
  call void @Py_DecRef(ptr %x)
  %t = call ptr @made_alone(ptr %out)
  ret ptr %t
no:
  call void @Py_DecRef(ptr %x)
  ret ptr null
python:
  ret ptr <undone>
}

; The sizes that ints say, and their product: of what is no size, or of many, a large number.
define internal i64 @product_of(ptr %entries, i64 %n, ptr %sizes) {
  %at = alloca i64
  br label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i.up, %put ]
  %so_far = phi i64 [ 1, %0 ], [ %product, %put ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %entry, label %done
entry:
  %x = call ptr @word(ptr %entries, i64 %i)
  %int = call i1 @is_a(ptr %x, ptr <int>)
  br i1 %int, label %value, label %no
value:
  %known = call i1 @short_int(ptr %x, ptr %at)
  br i1 %known, label %look, label %no
look:
  %size = load i64, ptr %at
  %to = getelementptr i64, ptr %sizes, i64 %i
  store i64 %size, ptr %to
  %product = mul i64 %so_far, %size
  %i.up = add i64 %i, 1
  %fine = icmp ult i64 %size, 501
  %few = icmp ult i64 %product, 501
  %both = and i1 %fine, %few
  br i1 %both, label %put, label %no
put:
  br label %next
done:
  ret i64 %so_far
no:
  ret i64 -1
}

; What a list holds, and how many; null for all else.
define internal ptr @items_of(ptr %list, ptr %count_at) alwaysinline {
  %is = call i1 @is_a(ptr %list, ptr <list>)
  br i1 %is, label %yes, label %no
yes:
  %count = call i64 @number_at(ptr %list, i64 <header>)
  store i64 %count, ptr %count_at
  %items = call ptr @field(ptr %list, i64 <items>)
  ret ptr %items
no:
  ret ptr null
}

; Of so many objects: 1 where all are floats or ints, 2 where all are ints, 0 otherwise.
define internal i64 @kind_of_numbers(ptr %items, i64 %n) {
  br label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i.up, %more ]
  %so_far = phi i64 [ 2, %0 ], [ %now, %more ]
  %left = icmp slt i64 %i, %n
  br i1 %left, label %look, label %done
look:
  %x = call ptr @word(ptr %items, i64 %i)
  %i.up = add i64 %i, 1
  %is_float = call i1 @is_a(ptr %x, ptr <float>)
  %is_int = call i1 @is_a(ptr %x, ptr <int>)
  %is = or i1 %is_float, %is_int
  %now = select i1 %is_float, i64 1, i64 %so_far
  br i1 %is, label %more, label %no
more:
  br label %next
done:
  ret i64 %so_far
no:
  ret i64 0
}

; Puts numbers into an array, from a place on; false where one is not exactly as NumPy makes it.
define internal i1 @numbers_put(ptr %out, i64 %from, ptr %items, i64 %n) {
  %element = alloca double
  %descr = call ptr @field(ptr %out, i64 <descr>)
  %bytes = call i64 @number_at(ptr %descr, i64 <itemsize>)
  %data = call ptr @field(ptr %out, i64 <header>)
  br label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i.up, %put ]
  %left = icmp slt i64 %i, %n
  br i1 %left, label %one, label %done
one:
  %x = call ptr @word(ptr %items, i64 %i)
  %fits = call i1 @number_operand(ptr %out, ptr %x, ptr %element)
  br i1 %fits, label %put, label %no
put:
  %place = add i64 %from, %i
  %far = mul i64 %place, %bytes
  %to = getelementptr i8, ptr %data, i64 %far
  call void @filled(ptr %to, i64 1, i64 0, ptr %element, i64 0, i64 %bytes)
  %i.up = add i64 %i, 1
  br label %next
done:
  ret i1 1
no:
  ret i1 0
}

; A Tensor of a list of few Python numbers, or of lists of as many; of one dtype where there is a
; float among them, of int64 where there is none.
define ptr @function_of_numbers(ptr %self, ptr %args, i64 %n) {
  %sizes = alloca [2 x i64]
  %count_at = alloca i64
  %given = call ptr @word(ptr %args, i64 0)
  %floats = call ptr @word(ptr %args, i64 1)
  %columns.to = getelementptr i64, ptr %sizes, i64 1
  %items = call ptr @items_of(ptr %given, ptr %count_at)
  %is = icmp ne ptr %items, null
  %idle = call i1 @idle()
  %go = and i1 %is, %idle
  br i1 %go, label %measure, label %python
measure:
  %rows = load i64, ptr %count_at
  store i64 %rows, ptr %sizes
  %less = sub i64 %rows, 1
  %few = icmp ult i64 %less, 500
  br i1 %few, label %first, label %python
first:
  %one = call ptr @word(ptr %items, i64 0)
  %inner = call ptr @items_of(ptr %one, ptr %count_at)
  %nested = icmp ne ptr %inner, null
  br i1 %nested, label %table, label %row
row:
  %row.kind = call i64 @kind_of_numbers(ptr %items, i64 %rows)
  br label %choose
table:
  %columns = load i64, ptr %count_at
  store i64 %columns, ptr %columns.to
  %columns.less = sub i64 %columns, 1
  %columns.few = icmp ult i64 %columns.less, 500
  %places = mul i64 %rows, %columns
  %all.few = icmp ult i64 %places, 501
  %both = and i1 %columns.few, %all.few
  br i1 %both, label %look, label %python
look:
  %i = phi i64 [ 0, %table ], [ %i.up, %alike ]
  %least = phi i64 [ 2, %table ], [ %lower, %alike ]
  %more = icmp slt i64 %i, %rows
  br i1 %more, label %inner_row, label %choose
inner_row:
  %list = call ptr @word(ptr %items, i64 %i)
  %i.up = add i64 %i, 1
  %its = call ptr @items_of(ptr %list, ptr %count_at)
  %its.is = icmp ne ptr %its, null
  br i1 %its.is, label %compare, label %python
compare:
  %its.count = load i64, ptr %count_at
  %as_many = icmp eq i64 %its.count, %columns
  br i1 %as_many, label %kinds, label %python
kinds:
  %kind = call i64 @kind_of_numbers(ptr %its, i64 %columns)
  %is_lower = icmp slt i64 %kind, %least
  %lower = select i1 %is_lower, i64 %kind, i64 %least
  br label %alike
alike:
  br label %look
choose:
  %which = phi i64 [ %row.kind, %row ], [ %least, %look ]
  %descr = phi ptr [ %floats, %row ], [ %floats, %look ]
  %whole = icmp eq i64 %which, 2
  %chosen = select i1 %whole, ptr <i8>, ptr %descr
  %numbers = icmp ne i64 %which, 0
  br i1 %numbers, label %make, label %python
make:
  %wide = zext i1 %nested to i64
  %nd = add i64 %wide, 1
  %out = call ptr @new_array_of(ptr %chosen, i64 %nd, ptr %sizes)
  %failed = icmp eq ptr %out, null
  br i1 %failed, label %forget, label %fill
fill:
  br i1 %nested, label %rows_of, label %only
only:
  %row.put = call i1 @numbers_put(ptr %out, i64 0, ptr %items, i64 %rows)
  br i1 %row.put, label %done, label %drop
rows_of:
  %width = load i64, ptr %columns.to
  br label %next
next:
  %j = phi i64 [ 0, %rows_of ], [ %j.up, %put ]
  %left = icmp slt i64 %j, %rows
  br i1 %left, label %one_row, label %done
one_row:
  %list.j = call ptr @word(ptr %items, i64 %j)
  %items.j = call ptr @items_of(ptr %list.j, ptr %count_at)
  %from = mul i64 %j, %width
  %put.j = call i1 @numbers_put(ptr %out, i64 %from, ptr %items.j, i64 %width)
  %j.up = add i64 %j, 1
  br i1 %put.j, label %put, label %drop
put:
  br label %next
done:
  %t = call ptr @made_alone(ptr %out)
  ret ptr %t
drop:
  call void @Py_DecRef(ptr %out)
  br label %python
forget:
  call void @PyErr_Clear()
  br label %python
python:
  %none = call ptr @or_none(ptr <undone>)
  ret ptr %none
}
"""
