"""Python's and NumPy's objects, looked at by native code: their fields, and how an ndarray lies."""

# Names in ``<>`` are offsets of fields, `hybrid.kernels.layouts.FIELDS`.
READING = """
define internal ptr @field(ptr %x, i64 %offset) alwaysinline {
  %at = getelementptr i8, ptr %x, i64 %offset
  %value = load ptr, ptr %at
  ret ptr %value
}

define internal i64 @number_in(ptr %x, i64 %offset) alwaysinline {
  %at = getelementptr i8, ptr %x, i64 %offset
  %value = load i32, ptr %at
  %wide = sext i32 %value to i64
  ret i64 %wide
}

define internal i64 @number_at(ptr %x, i64 %offset) alwaysinline {
  %at = getelementptr i8, ptr %x, i64 %offset
  %value = load i64, ptr %at
  ret i64 %value
}

define internal i8 @kind_of(ptr %dtype) alwaysinline {
  %at = getelementptr i8, ptr %dtype, i64 <kind>
  %kind = load i8, ptr %at
  ret i8 %kind
}

define internal ptr @word(ptr %words, i64 %i) alwaysinline {
  %at = getelementptr i64, ptr %words, i64 %i
  %value = load ptr, ptr %at
  ret ptr %value
}

define internal i64 @number(ptr %words, i64 %i) alwaysinline {
  %at = getelementptr i64, ptr %words, i64 %i
  %value = load i64, ptr %at
  ret i64 %value
}

define internal i1 @is_a(ptr %x, ptr %type) alwaysinline {
  %own = call ptr @field(ptr %x, i64 <type>)
  %is = icmp eq ptr %own, %type
  ret i1 %is
}

; Whether so many pairs of numbers are equal.
define internal i1 @equal(ptr %a, ptr %b, i64 %n) alwaysinline {
  br label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i.up, %pair ]
  %left = icmp slt i64 %i, %n
  br i1 %left, label %pair, label %yes
pair:
  %x = call i64 @number(ptr %a, i64 %i)
  %y = call i64 @number(ptr %b, i64 %i)
  %i.up = add i64 %i, 1
  %same = icmp eq i64 %x, %y
  br i1 %same, label %next, label %no
yes:
  ret i1 1
no:
  ret i1 0
}

; Whether the elements of an ndarray are where loads may be whole.
define internal i1 @is_aligned(ptr %x) alwaysinline {
  %flags = call i64 @number_in(ptr %x, i64 <flags>)
  %bit = and i64 %flags, 256
  %is = icmp ne i64 %bit, 0
  ret i1 %is
}

; The words behind those of an ndarray (descr, nd, sizes, strides), if it lies as they say; null if
; not.
define internal ptr @lies_as(ptr %x, ptr %words) alwaysinline {
  %x.descr = call ptr @field(ptr %x, i64 <descr>)
  %descr = call ptr @word(ptr %words, i64 0)
  %is_descr = icmp eq ptr %x.descr, %descr
  %x.nd = call i64 @number_in(ptr %x, i64 <nd>)
  %nd = call i64 @number(ptr %words, i64 1)
  %is_nd = icmp eq i64 %x.nd, %nd
  %both = and i1 %is_descr, %is_nd
  br i1 %both, label %axes, label %no
axes:
  %x.sizes = call ptr @field(ptr %x, i64 <sizes>)
  %sizes = getelementptr i64, ptr %words, i64 2
  %same_sizes = call i1 @equal(ptr %x.sizes, ptr %sizes, i64 %nd)
  br i1 %same_sizes, label %steps, label %no
steps:
  %x.strides = call ptr @field(ptr %x, i64 <strides>)
  %strides = getelementptr i64, ptr %sizes, i64 %nd
  %same_strides = call i1 @equal(ptr %x.strides, ptr %strides, i64 %nd)
  br i1 %same_strides, label %yes, label %no
yes:
  %end = getelementptr i64, ptr %strides, i64 %nd
  ret ptr %end
no:
  ret ptr null
}
"""
