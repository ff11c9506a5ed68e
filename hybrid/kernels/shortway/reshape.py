"""``x.reshape`` of ints, where `x` lies in C order, which is a view."""

RESHAPE = """
; The sizes that ints say, of which one may be -1, of so many elements; false where they do not fit.
define internal i1 @sizes_of(ptr %entries, i64 %n, i64 %total, ptr %sizes) {
  %at = alloca i64
  br label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i.up, %put ]
  %known = phi i64 [ 1, %0 ], [ %product, %put ]
  %open = phi i64 [ -1, %0 ], [ %open.now, %put ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %entry, label %all
entry:
  %x = call ptr @word(ptr %entries, i64 %i)
  %int = call i1 @is_a(ptr %x, ptr <int>)
  br i1 %int, label %value, label %no
value:
  %number = call i1 @place_of(ptr %x, ptr %at)
  br i1 %number, label %look, label %no
look:
  %size = load i64, ptr %at
  %is_open = icmp eq i64 %size, -1
  br i1 %is_open, label %first, label %given
first:
  %none = icmp eq i64 %open, -1
  br i1 %none, label %put, label %no
given:
  %less = sub i64 %size, 1
  %fits = icmp ult i64 %less, %total
  br i1 %fits, label %put, label %no
put:
  %factor = phi i64 [ 1, %first ], [ %size, %given ]
  %open.now = phi i64 [ %i, %first ], [ %open, %given ]
  %product = mul i64 %known, %factor
  %to = getelementptr i64, ptr %sizes, i64 %i
  store i64 %factor, ptr %to
  %i.up = add i64 %i, 1
  %within = icmp ule i64 %product, %total
  br i1 %within, label %next, label %no
all:
  %closed = icmp eq i64 %open, -1
  br i1 %closed, label %compare, label %divide
compare:
  %same = icmp eq i64 %known, %total
  ret i1 %same
divide:
  %rest = urem i64 %total, %known
  %even = icmp eq i64 %rest, 0
  %found = udiv i64 %total, %known
  %open.to = getelementptr i64, ptr %sizes, i64 %open
  store i64 %found, ptr %open.to
  ret i1 %even
no:
  ret i1 0
}

; How far elements in C order are apart along each axis.
define internal void @in_order(ptr %sizes, i64 %nd, i64 %itemsize, ptr %strides) {
  br label %next
next:
  %left = phi i64 [ %nd, %0 ], [ %i, %put ]
  %apart = phi i64 [ %itemsize, %0 ], [ %product, %put ]
  %more = icmp sgt i64 %left, 0
  br i1 %more, label %put, label %done
put:
  %i = sub i64 %left, 1
  %to = getelementptr i64, ptr %strides, i64 %i
  store i64 %apart, ptr %to
  %size = call i64 @number(ptr %sizes, i64 %i)
  %product = mul i64 %apart, %size
  br label %next
done:
  ret void
}

define internal ptr @reshape(ptr %self, ptr %args, i64 %n, ptr %names, ptr %way) {
  %sizes = alloca [32 x i64]
  %strides = alloca [32 x i64]
  %count = alloca i64
  %x = call ptr @plain_array(ptr %self)
  %some = icmp ne ptr %x, null
  %bare = icmp eq ptr %names, null
  %given = icmp sgt i64 %n, 0
  %a = and i1 %bare, %given
  %b = and i1 %a, %some
  br i1 %b, label %look, label %python
look:
  %plain = call i1 @lies_plainly(ptr %x)
  %total = call i64 @size_of(ptr %x)
  ; So that products of two sizes are numbers; of no elements -1 may be anything.
  %less = sub i64 %total, 1
  %usual = icmp ult i64 %less, 2147483647
  %good = and i1 %plain, %usual
  br i1 %good, label %which, label %python
which:
  %entries = call ptr @entries_of(ptr %args, i64 %n, ptr %count)
  %nd = load i64, ptr %count
  %few = icmp ule i64 %nd, 32
  br i1 %few, label %measure, label %python
measure:
  %fit = call i1 @sizes_of(ptr %entries, i64 %nd, i64 %total, ptr %sizes)
  br i1 %fit, label %view, label %python
view:
  %data = call ptr @field(ptr %x, i64 <header>)
  %descr = call ptr @field(ptr %x, i64 <descr>)
  %itemsize = call i64 @number_at(ptr %descr, i64 <itemsize>)
  call void @in_order(ptr %sizes, i64 %nd, i64 %itemsize, ptr %strides)
  %part = call ptr @view_of(ptr %x, ptr %data, i64 %nd, ptr %sizes, ptr %strides)
  %function = call ptr @word(ptr %way, i64 0)
  %t = call ptr @tied(ptr %self, ptr %part, ptr %function, ptr null, i64 %nd, ptr %sizes)
  ret ptr %t
python:
  ret ptr <undone>
}

; The elements as one axis, where they lie in C order.
define internal ptr @raveled(ptr %self, ptr %args, i64 %n, ptr %names, ptr %way) {
  %size = alloca i64
  %stride = alloca i64
  %x = call ptr @plain_array(ptr %self)
  %some = icmp ne ptr %x, null
  %bare = icmp eq ptr %names, null
  %none = icmp eq i64 %n, 0
  %a = and i1 %bare, %none
  %b = and i1 %a, %some
  br i1 %b, label %look, label %python
look:
  %plain = call i1 @lies_plainly(ptr %x)
  %total = call i64 @size_of(ptr %x)
  %any = icmp sgt i64 %total, 0
  %good = and i1 %plain, %any
  br i1 %good, label %view, label %python
view:
  %data = call ptr @field(ptr %x, i64 <header>)
  %descr = call ptr @field(ptr %x, i64 <descr>)
  %itemsize = call i64 @number_at(ptr %descr, i64 <itemsize>)
  store i64 %total, ptr %size
  store i64 %itemsize, ptr %stride
  %part = call ptr @view_of(ptr %x, ptr %data, i64 1, ptr %size, ptr %stride)
  %function = call ptr @word(ptr %way, i64 0)
  %t = call ptr @tied(ptr %self, ptr %part, ptr %function, ptr null, i64 1, ptr %size)
  ret ptr %t
python:
  ret ptr <undone>
}
"""
