"""Whether the arguments of a call are those that a ticket tells of, in native code.

For each argument a ticket has words: how it is known (`hybrid.kernels.ticket`), then descr, nd,
sizes, strides; or a type, an object or an int; or how many items, and the same for each of them, of
a dict with its key before. The class of a named tuple comes before the number of its items.
"""

KNOWN = """
declare i64 @PyList_Size(ptr)
declare ptr @PyList_GetItem(ptr, i64)
declare i64 @PyDict_Size(ptr)
declare i32 @PyDict_Next(ptr, ptr, ptr, ptr)

; The words behind those of an argument, if it is as they say; null if not. The leaves in it go
; where %to_at says, ndarrays instead of Tensors if %bare.
define internal ptr @known(ptr %x, ptr %words, ptr %to_at, i1 %bare) {
  %int_at = alloca i64
  %how = call i64 @number(ptr %words, i64 0)
  %rest = getelementptr i64, ptr %words, i64 1
  %thing = call ptr @word(ptr %rest, i64 0)
  %after = getelementptr i64, ptr %rest, i64 1
  switch i64 %how, label %itself [ i64 0, label %tensor i64 1, label %array i64 2, label %kind
                                   i64 5, label %list i64 6, label %tuple i64 7, label %dict
                                   i64 8, label %int i64 9, label %named ]
tensor:
  %data = call ptr @array_of(ptr %x)
  %some = icmp ne ptr %data, null
  br i1 %some, label %compare, label %no
compare:
  %given = select i1 %bare, ptr %data, ptr %x
  %end = call ptr @lies_as(ptr %data, ptr %rest)
  br label %leaf
array:
  %is_array = call i1 @is_a(ptr %x, ptr <ndarray>)
  br i1 %is_array, label %flags, label %no
flags:
  %straight = call i1 @is_aligned(ptr %x)
  br i1 %straight, label %lies, label %no
lies:
  %end.array = call ptr @lies_as(ptr %x, ptr %rest)
  br label %leaf
kind:
  %of_kind = call i1 @is_a(ptr %x, ptr %thing)
  br i1 %of_kind, label %leaf, label %no
itself:
  %is = icmp eq ptr %x, %thing
  br i1 %is, label %leaf, label %no
int:
  %is_int = call i1 @is_a(ptr %x, ptr <int>)
  br i1 %is_int, label %digits, label %no
digits:
  %short = call i1 @short_int(ptr %x, ptr %int_at)
  br i1 %short, label %int.value, label %no
int.value:
  %int.now = load i64, ptr %int_at
  %int.wanted = call i64 @number(ptr %rest, i64 0)
  %int.any = icmp eq i64 %int.wanted, <short>
  %int.same = icmp eq i64 %int.now, %int.wanted
  %int.good = or i1 %int.any, %int.same
  br i1 %int.good, label %leaf, label %no
leaf:
  %y = phi ptr [ %given, %compare ], [ %x, %lies ], [ %x, %kind ], [ %x, %itself ],
    [ %x, %int.value ]
  %behind = phi ptr [ %end, %compare ], [ %end.array, %lies ], [ %after, %kind ],
    [ %after, %itself ], [ %after, %int.value ]
  %to = load ptr, ptr %to_at
  store ptr %y, ptr %to
  %to.up = getelementptr ptr, ptr %to, i64 1
  store ptr %to.up, ptr %to_at
  ret ptr %behind
list:
  %is_list = call i1 @is_a(ptr %x, ptr <list>)
  br i1 %is_list, label %list.size, label %no
list.size:
  %n.list = call i64 @PyList_Size(ptr %x)
  br label %size
tuple:
  %is_tuple = call i1 @is_a(ptr %x, ptr <tuple>)
  br i1 %is_tuple, label %tuple.size, label %no
tuple.size:
  %n.tuple = call i64 @PyTuple_Size(ptr %x)
  br label %size
named:
  %is_named = call i1 @is_a(ptr %x, ptr %thing)
  br i1 %is_named, label %named.size, label %no
named.size:
  %n.named = call i64 @PyTuple_Size(ptr %x)
  %items.named = getelementptr i64, ptr %after, i64 1
  br label %size
size:
  %n = phi i64 [ %n.list, %list.size ], [ %n.tuple, %tuple.size ], [ %n.named, %named.size ]
  %size_at = phi ptr [ %rest, %list.size ], [ %rest, %tuple.size ], [ %after, %named.size ]
  %first = phi ptr [ %after, %list.size ], [ %after, %tuple.size ], [ %items.named, %named.size ]
  %wanted = call i64 @number(ptr %size_at, i64 0)
  %as_many = icmp eq i64 %n, %wanted
  br i1 %as_many, label %next, label %no
next:
  %i = phi i64 [ 0, %size ], [ %i.up, %picked ]
  %at = phi ptr [ %first, %size ], [ %at.up, %picked ]
  %left = icmp slt i64 %i, %n
  br i1 %left, label %one, label %yes
one:
  %listed = icmp eq i64 %how, 5
  br i1 %listed, label %from_list, label %from_tuple
from_list:
  %item.list = call ptr @PyList_GetItem(ptr %x, i64 %i)
  br label %look
from_tuple:
  %item.tuple = call ptr @PyTuple_GetItem(ptr %x, i64 %i)
  br label %look
look:
  %item = phi ptr [ %item.list, %from_list ], [ %item.tuple, %from_tuple ]
  %at.up = call ptr @known(ptr %item, ptr %at, ptr %to_at, i1 %bare)
  %fits = icmp ne ptr %at.up, null
  br i1 %fits, label %picked, label %no
picked:
  %i.up = add i64 %i, 1
  br label %next
dict:
  %is_dict = call i1 @is_a(ptr %x, ptr <dict>)
  br i1 %is_dict, label %dict.size, label %no
dict.size:
  %n.dict = call i64 @PyDict_Size(ptr %x)
  %wanted.dict = call i64 @number(ptr %rest, i64 0)
  %as_many.dict = icmp eq i64 %n.dict, %wanted.dict
  br i1 %as_many.dict, label %items, label %no
items:
  %end.dict = call ptr @known_items(ptr %x, i64 %n.dict, ptr %after, ptr %to_at, i1 %bare)
  ret ptr %end.dict
yes:
  ret ptr %at
no:
  ret ptr null
}

; The same for the items of a dict, which has so many.
define internal ptr @known_items(ptr %x, i64 %n, ptr %words, ptr %to_at, i1 %bare) noinline {
  %place_at = alloca i64
  %key_at = alloca ptr
  %item_at = alloca ptr
  store i64 0, ptr %place_at
  br label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i.up, %same ]
  %at = phi ptr [ %words, %0 ], [ %at.up, %same ]
  %left = icmp slt i64 %i, %n
  br i1 %left, label %one, label %yes
one:
  %more = call i32 @PyDict_Next(ptr %x, ptr %place_at, ptr %key_at, ptr %item_at)
  %found = icmp ne i32 %more, 0
  br i1 %found, label %compare, label %no
compare:
  %key = load ptr, ptr %key_at
  %wanted = call ptr @word(ptr %at, i64 0)
  %is = icmp eq ptr %key, %wanted
  br i1 %is, label %look, label %no
look:
  %item = load ptr, ptr %item_at
  %rest = getelementptr i64, ptr %at, i64 1
  %at.up = call ptr @known(ptr %item, ptr %rest, ptr %to_at, i1 %bare)
  %fits = icmp ne ptr %at.up, null
  br i1 %fits, label %same, label %no
same:
  %i.up = add i64 %i, 1
  br label %next
yes:
  ret ptr %at
no:
  ret ptr null
}

; Whether arguments are given by the names that a ticket says, in that order.
define internal i1 @named(ptr %names, ptr %wanted) {
  %is = icmp eq ptr %names, %wanted
  br i1 %is, label %yes, label %other
other:
  %none = icmp eq ptr %names, null
  %none.wanted = icmp eq ptr %wanted, null
  %either = or i1 %none, %none.wanted
  br i1 %either, label %no, label %sizes
sizes:
  %n = call i64 @PyTuple_Size(ptr %names)
  %n.wanted = call i64 @PyTuple_Size(ptr %wanted)
  %as_many = icmp eq i64 %n, %n.wanted
  br i1 %as_many, label %next, label %no
next:
  %i = phi i64 [ 0, %sizes ], [ %i.up, %one ]
  %left = icmp slt i64 %i, %n
  br i1 %left, label %one, label %yes
one:
  %name = call ptr @PyTuple_GetItem(ptr %names, i64 %i)
  %name.wanted = call ptr @PyTuple_GetItem(ptr %wanted, i64 %i)
  %i.up = add i64 %i, 1
  %same = icmp eq ptr %name, %name.wanted
  br i1 %same, label %next, label %no
yes:
  ret i1 1
no:
  ret i1 0
}

; Whether all words of memory are what they were.
define internal i1 @unmoved(ptr %watched) {
  %n = call i64 @number(ptr %watched, i64 0)
  %some = icmp sgt i64 %n, 0
  br i1 %some, label %next, label %no
next:
  %i = phi i64 [ 0, %0 ], [ %i.up, %one ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %one, label %yes
one:
  %twice = shl i64 %i, 1
  %at = add i64 %twice, 1
  %at.word = add i64 %twice, 2
  %address = call ptr @word(ptr %watched, i64 %at)
  %before = call i64 @number(ptr %watched, i64 %at.word)
  %now = load i64, ptr %address
  %same = icmp eq i64 %now, %before
  %i.up = add i64 %i, 1
  br i1 %same, label %next, label %no
yes:
  ret i1 1
no:
  ret i1 0
}

; Whether of so many leaves no two are one object.
define internal i1 @differ(ptr %leaves, ptr %places, i64 %n) {
  br label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i.up, %before ]
  %left = icmp slt i64 %i, %n
  br i1 %left, label %one, label %yes
one:
  %place = call i64 @number(ptr %places, i64 %i)
  %x = call ptr @word(ptr %leaves, i64 %place)
  %i.up = add i64 %i, 1
  br label %before
before:
  %j = phi i64 [ 0, %one ], [ %j.up, %pair ]
  %more = icmp slt i64 %j, %i
  br i1 %more, label %pair, label %next
pair:
  %place.other = call i64 @number(ptr %places, i64 %j)
  %y = call ptr @word(ptr %leaves, i64 %place.other)
  %j.up = add i64 %j, 1
  %same = icmp eq ptr %x, %y
  br i1 %same, label %no, label %before
yes:
  ret i1 1
no:
  ret i1 0
}
"""
