"""Who hears of a write: whoever shares the memory, by the version of its Storage.

Where a tape has saved what is overwritten, or watches it, Python is asked.
"""

TOLD = """
; Whether none but those who share memory with a Tensor must hear of a write to it, and by what: the
; link of the Tensor and its Storage, which is null where it is alone.
define internal i1 @is_free(ptr %self, ptr %storage_at) {
  %node = call ptr @field(ptr %self, i64 <node>)
  %link = call ptr @field(ptr %self, i64 <link>)
  %unwatched = icmp eq ptr %node, <None>
  store ptr null, ptr %storage_at
  br i1 %unwatched, label %look, label %no
look:
  %alone = icmp eq ptr %link, <None>
  br i1 %alone, label %yes, label %shared
shared:
  %pending = call i1 @is_a(ptr %link, ptr <tuple>)
  br i1 %pending, label %tuple, label %other
tuple:
  %first = call ptr @field(ptr %link, i64 <items>)
  br label %ask
other:
  %known = call i1 @is_a(ptr %link, ptr <Alias>)
  br i1 %known, label %alias, label %no
alias:
  %its = call ptr @field(ptr %link, i64 <storage>)
  br label %ask
ask:
  %storage = phi ptr [ %first, %tuple ], [ %its, %alias ]
  store ptr %storage, ptr %storage_at
  %is = call i1 @is_a(ptr %storage, ptr <Storage>)
  br i1 %is, label %fields, label %no
fields:
  %recorded = call ptr @field(ptr %storage, i64 <node_of>)
  %saved = call ptr @field(ptr %storage, i64 <snapshot>)
  %keeper = call ptr @field(ptr %storage, i64 <keeper>)
  %watched = call ptr @field(ptr %storage, i64 <watched>)
  %a = icmp eq ptr %recorded, <None>
  %b = icmp eq ptr %saved, <None>
  %c = icmp eq ptr %keeper, <None>
  %d = icmp eq ptr %watched, <nothing>
  %ab = and i1 %a, %b
  %cd = and i1 %c, %d
  %all = and i1 %ab, %cd
  ret i1 %all
yes:
  ret i1 1
no:
  ret i1 0
}

define internal void @replace(ptr %x, i64 %offset, ptr %value) alwaysinline {
  %at = getelementptr i8, ptr %x, i64 %offset
  %old = load ptr, ptr %at
  call void @Py_IncRef(ptr %value)
  store ptr %value, ptr %at
  call void @Py_DecRef(ptr %old)
  ret void
}

; A link at another version. Null after an error.
define internal ptr @link_at(ptr %link, ptr %version) {
  %n = call i64 @PyTuple_Size(ptr %link)
  %new = call ptr @PyTuple_New(i64 %n)
  %failed = icmp eq ptr %new, null
  br i1 %failed, label %done, label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i.up, %put ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %put, label %done
put:
  %items = getelementptr i8, ptr %link, i64 <items>
  %old = call ptr @word(ptr %items, i64 %i)
  %is_version = icmp eq i64 %i, 1
  %item = select i1 %is_version, ptr %version, ptr %old
  call void @shared_item(ptr %new, i64 %i, ptr %item)
  %i.up = add i64 %i, 1
  br label %next
done:
  ret ptr %new
}

; Lets those who share its memory know that a Tensor was written to, which itself is up to date;
; false after an error.
define internal i1 @told(ptr %self, ptr %storage) {
  %at = alloca i64
  %alone = icmp eq ptr %storage, null
  br i1 %alone, label %yes, label %count
count:
  %version = call ptr @field(ptr %storage, i64 <version>)
  %known = call i1 @place_of(ptr %version, ptr %at)
  %number = load i64, ptr %at
  %up = add i64 %number, 1
  %new = call ptr @PyLong_FromSsize_t(i64 %up)
  %failed = icmp eq ptr %new, null
  br i1 %failed, label %no, label %link
link:
  call void @replace(ptr %storage, i64 <version>, ptr %new)
  %old = call ptr @field(ptr %self, i64 <link>)
  %is_tuple = call i1 @is_a(ptr %old, ptr <tuple>)
  br i1 %is_tuple, label %tuple, label %other
tuple:
  %newer = call ptr @link_at(ptr %old, ptr %new)
  %lost = icmp eq ptr %newer, null
  br i1 %lost, label %drop, label %put
put:
  call void @replace(ptr %self, i64 <link>, ptr %newer)
  call void @Py_DecRef(ptr %newer)
  br label %done
other:
  %is_alias = call i1 @is_a(ptr %old, ptr <Alias>)
  br i1 %is_alias, label %alias, label %done
alias:
  call void @replace(ptr %old, i64 <seen_version>, ptr %new)
  br label %done
done:
  call void @Py_DecRef(ptr %new)
  br label %yes
yes:
  ret i1 1
drop:
  call void @Py_DecRef(ptr %new)
  br label %no
no:
  ret i1 0
}

define internal i1 @writeable(ptr %x) alwaysinline {
  %flags = call i64 @number_in(ptr %x, i64 <flags>)
  %both = and i64 %flags, 1280
  %is = icmp eq i64 %both, 1280
  ret i1 %is
}
"""
