"""Products of small matrices or vectors by NumPy's loop of `matmul`, which is given their sizes."""

PRODUCTS = """
; The sizes of a product of two vectors, not long and in C order: as NumPy has it, of a row by a
; column, of which the loop sees how far their numbers are apart, and nothing else.
define internal i1 @product_of_vectors(ptr %a, ptr %b, ptr %counts) {
  %a.plain = call i1 @lies_plainly(ptr %a)
  %b.plain = call i1 @lies_plainly(ptr %b)
  %plain = and i1 %a.plain, %b.plain
  %a.nd = call i64 @number_in(ptr %a, i64 <nd>)
  %b.nd = call i64 @number_in(ptr %b, i64 <nd>)
  %a.vector = icmp eq i64 %a.nd, 1
  %b.vector = icmp eq i64 %b.nd, 1
  %vectors = and i1 %a.vector, %b.vector
  %good = and i1 %plain, %vectors
  br i1 %good, label %sizes, label %no
sizes:
  %a.sizes = call ptr @field(ptr %a, i64 <sizes>)
  %b.sizes = call ptr @field(ptr %b, i64 <sizes>)
  %k = call i64 @number(ptr %a.sizes, i64 0)
  %k.too = call i64 @number(ptr %b.sizes, i64 0)
  %meet = icmp eq i64 %k, %k.too
  %less = sub i64 %k, 1
  %few = icmp ult i64 %less, 4096
  %go = and i1 %meet, %few
  br i1 %go, label %yes, label %no
yes:
  call void @count_put(ptr %counts, i64 1, i64 %k, i64 1)
  ret i1 1
no:
  ret i1 0
}

define internal void @count_put(ptr %counts, i64 %n, i64 %k, i64 %m) alwaysinline {
  store i64 1, ptr %counts
  %n.to = getelementptr i64, ptr %counts, i64 1
  store i64 %n, ptr %n.to
  %k.to = getelementptr i64, ptr %counts, i64 2
  store i64 %k, ptr %k.to
  %m.to = getelementptr i64, ptr %counts, i64 3
  store i64 %m, ptr %m.to
  ret void
}

; The sizes of a small product of two matrices in C order, (n, k) and (k, m), none of which is 1:
; of such an axis NumPy may pass on another stride, on which the choice of its algorithm depends.
define internal i1 @small_product(ptr %a, ptr %b, ptr %counts) {
  %a.plain = call i1 @lies_plainly(ptr %a)
  %b.plain = call i1 @lies_plainly(ptr %b)
  %a.nd = call i64 @number_in(ptr %a, i64 <nd>)
  %b.nd = call i64 @number_in(ptr %b, i64 <nd>)
  %a.matrix = icmp eq i64 %a.nd, 2
  %b.matrix = icmp eq i64 %b.nd, 2
  %plain = and i1 %a.plain, %b.plain
  %matrices = and i1 %a.matrix, %b.matrix
  %good = and i1 %plain, %matrices
  br i1 %good, label %sizes, label %no
sizes:
  %a.sizes = call ptr @field(ptr %a, i64 <sizes>)
  %b.sizes = call ptr @field(ptr %b, i64 <sizes>)
  %n = call i64 @number(ptr %a.sizes, i64 0)
  %k = call i64 @number(ptr %a.sizes, i64 1)
  %k.too = call i64 @number(ptr %b.sizes, i64 0)
  %m = call i64 @number(ptr %b.sizes, i64 1)
  %meet = icmp eq i64 %k, %k.too
  %less1 = sub i64 %n, 2
  %less2 = sub i64 %k, 2
  %less3 = sub i64 %m, 2
  %few1 = icmp ult i64 %less1, 4094
  %few2 = icmp ult i64 %less2, 4094
  %few3 = icmp ult i64 %less3, 4094
  %nk = mul i64 %n, %k
  %nkm = mul i64 %nk, %m
  %small = icmp sle i64 %nkm, 4096
  %s1 = and i1 %meet, %few1
  %s2 = and i1 %few2, %few3
  %s3 = and i1 %s1, %s2
  %s4 = and i1 %s3, %small
  br i1 %s4, label %yes, label %no
yes:
  call void @count_put(ptr %counts, i64 %n, i64 %k, i64 %m)
  ret i1 1
no:
  ret i1 0
}

; The strides of a matrix in C order, among those of a product.
define internal void @matrix_operand(
  ptr %strides, i64 %i, i64 %columns, i64 %itemsize
) alwaysinline {
  %outer = getelementptr i64, ptr %strides, i64 %i
  store i64 0, ptr %outer
  %twice = mul i64 %i, 2
  %at = add i64 %twice, 3
  %rows.to = getelementptr i64, ptr %strides, i64 %at
  %row = mul i64 %columns, %itemsize
  store i64 %row, ptr %rows.to
  %columns.to = getelementptr i64, ptr %rows.to, i64 1
  store i64 %itemsize, ptr %columns.to
  ret void
}

define internal ptr @product(ptr %x, ptr %y, ptr %way) {
  %addresses = alloca [3 x ptr]
  %counts = alloca [4 x i64]
  %strides = alloca [9 x i64]
  %shape = alloca [2 x i64]
  %a = call ptr @array_of(ptr %x)
  %b = call ptr @array_of(ptr %y)
  %a.is = icmp ne ptr %a, null
  %b.is = icmp ne ptr %b, null
  %two = and i1 %a.is, %b.is
  %idle = call i1 @idle()
  %go = and i1 %two, %idle
  br i1 %go, label %compare, label %python
compare:
  %descr = call ptr @field(ptr %a, i64 <descr>)
  %b.descr = call ptr @field(ptr %b, i64 <descr>)
  %one = icmp eq ptr %descr, %b.descr
  %kind = call i8 @kind_of(ptr %descr)
  %real = icmp eq i8 %kind, 102
  %complex = icmp eq i8 %kind, 99
  %inexact = or i1 %real, %complex
  %good = and i1 %one, %inexact
  br i1 %good, label %look, label %python
look:
  %loop = call ptr @loop_of(ptr %way, ptr %descr)
  %has = icmp ne ptr %loop, null
  br i1 %has, label %size, label %python ; float16 is computed in float32
size:
  %small = call i1 @small_product(ptr %a, ptr %b, ptr %counts)
  br i1 %small, label %short, label %vectors
vectors:
  %inner = call i1 @product_of_vectors(ptr %a, ptr %b, ptr %counts)
  br i1 %inner, label %short, label %general
short:
  %axes = phi i64 [ 2, %size ], [ 0, %vectors ]
  %n = call i64 @number(ptr %counts, i64 1)
  %k = call i64 @number(ptr %counts, i64 2)
  %m = call i64 @number(ptr %counts, i64 3)
  %itemsize = call i64 @number_at(ptr %descr, i64 <itemsize>)
  call void @array_operand(ptr %addresses, ptr %strides, i64 0, ptr %a)
  call void @array_operand(ptr %addresses, ptr %strides, i64 1, ptr %b)
  call void @matrix_operand(ptr %strides, i64 0, i64 %k, i64 %itemsize)
  call void @matrix_operand(ptr %strides, i64 1, i64 %m, i64 %itemsize)
  call void @matrix_operand(ptr %strides, i64 2, i64 %m, i64 %itemsize)
  store i64 %n, ptr %shape
  %m.to = getelementptr i64, ptr %shape, i64 1
  store i64 %m, ptr %m.to
  %t = call ptr @looped(ptr %loop, i64 %axes, ptr %shape, ptr %counts, ptr %addresses,
    ptr %strides, i64 2)
  %done = icmp ne ptr %t, null
  br i1 %done, label %yes, label %general
yes:
  ret ptr %t
general:
  %r = call ptr @by_ufunc(ptr %way, ptr %a, ptr %b, i64 2)
  ret ptr %r
python:
  ret ptr <undone>
}

define ptr @function_of_a_product(ptr %self, ptr %args, i64 %n) {
  %way = call ptr @field(ptr %self, i64 <header>)
  %x = call ptr @word(ptr %args, i64 0)
  %y = call ptr @word(ptr %args, i64 1)
  %r = call ptr @product(ptr %x, ptr %y, ptr %way)
  %t = call ptr @or_none(ptr %r)
  ret ptr %t
}
"""
