"""Threads for kernels: a pool of native threads that divide a kernel's work items.

A kernel takes the address of the pool's driver as its first argument, and the driver calls the
kernel's trampoline ``void run(args, lo, hi)`` from several threads. The items are cut into a few
chunks for each thread; the caller and whatever threads are awake take chunks until none is left, so
a thread that the operating system does not schedule delays nobody. (Numba's ``prange`` cuts work
evenly beforehand and waits for all threads: on a busy machine one call then took 12 milliseconds
instead of 0.1. It also needs numba in every process.)

One caller at a time has the pool; who finds it busy does its work alone: several Python threads
that call kernels make no more native threads. The child of a fork has no threads and one processor
to expect, as its siblings run beside it; it starts some when it sets their number. Results do not
depend on any of this. Threads wait spinning for about 50 microseconds, then sleep on a lock of
CPython's portable thread interface, so that they are out of the way of BLAS, whose threads run
between those of kernels, not beside them.
"""

from __future__ import annotations

import ctypes
import operator
import os
import platform
import sys
import threading
from typing import Any

from hybrid.records import dataclass

# The caller is one thread more.
_MAX_WORKERS = 255
_CHUNKS_PER_THREAD = 4
_SPINS = 2000
# What gives the processor to another thread.
YIELD = "SwitchToThread" if sys.platform == "win32" else "sched_yield"


@dataclass(frozen=True, slots=True)
class _Pool:
    """The pool's code: addresses of its functions, and its variables."""

    drive: int
    worker: int
    reset: int
    locks: ctypes.Array[ctypes.c_void_p]
    threads: ctypes.c_int64


_lock = threading.Lock()
_pool: _Pool | None = None
_running = False
# The limit that was set; None until then.
_limit: int | None = None


def available() -> int:
    """Processors that this process may use, at most what HYBRID_NUM_THREADS says."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limit = os.environ.get("HYBRID_NUM_THREADS", "")
    if limit and not (limit.isdigit() and int(limit)):
        raise ValueError(f"HYBRID_NUM_THREADS is {limit!r}; it must be a number from 1")
    return max(1, min(int(limit) if limit else usable or 1, _MAX_WORKERS + 1))


def get_num_threads() -> int:
    """Return how many threads a kernel may use.

    Returns
    -------
    int
        What `set_num_threads` set; else ``HYBRID_NUM_THREADS``, or the number of processors that
        this process may use; 1 in a forked child.

    Examples
    --------
    >>> import hybrid as hb
    >>> hb.get_num_threads() >= 1
    True
    """
    return _limit or available()


def several() -> bool:
    """Whether kernels run in more than one thread now.

    The system is asked for its processors only until there are threads: that takes 2.7 us, of the
    100 that an elementwise function of a million numbers takes.
    """
    if _pool is not None and _running:
        return _pool.threads.value > 1
    return get_num_threads() > 1


def set_num_threads(count: int) -> None:
    """Let kernels and BLAS use at most `count` threads; results of kernels do not depend on it.

    Takes effect at once, for functions that are compiled already too. Any Python thread may call
    it; the limit is the process's. A forked child starts with 1.

    Parameters
    ----------
    count : int
        From 1 to the number of processors, or to ``HYBRID_NUM_THREADS`` if that is less.

    Raises
    ------
    ValueError
        If there cannot be as many.

    Examples
    --------
    >>> import hybrid as hb
    >>> before = hb.get_num_threads()
    >>> hb.set_num_threads(1)
    >>> hb.get_num_threads()
    1
    >>> hb.set_num_threads(before)
    """
    global _limit
    count = operator.index(count)
    if not 1 <= count <= available():
        raise ValueError(f"{count} threads asked for, 1 to {available()} can be had")
    # SciPy brings a BLAS of its own, which can be limited from when it is loaded.
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_limits

    with _lock:
        _limit = count
        threadpool_limits(count, user_api="blas")
        if _pool is not None:
            _start(_pool)


def driver_address() -> int:
    """The address of the parallel driver, to be passed to kernels; 0 if there is one processor.

    The first call starts the threads.
    """
    global _pool
    if _pool is None or not _running:
        if available() == 1:
            return 0
        with _lock:
            _pool = _pool or _load()
            _start(_pool)
    return _pool.drive


def threads_address() -> int:
    """The address of the number of threads that a kernel may use now, an int64."""
    global _pool
    with _lock:
        _pool = _pool or _load()
    return ctypes.addressof(_pool.threads)


def _after_fork() -> None:
    global _lock, _running, _limit
    _lock = threading.Lock()
    _running, _limit = False, 1
    if _pool is not None:
        _pool.threads.value = 1
        # What a thread of the parent may have been in the middle of.
        ctypes.CFUNCTYPE(None)(_pool.reset)()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _load() -> _Pool:
    """Load the pool's code."""
    from hybrid.kernels import assembly

    address = assembly.load(_code())
    return _Pool(
        drive=address("hybrid_drive"),
        worker=address("hybrid_worker"),
        reset=address("hybrid_reset"),
        locks=(ctypes.c_void_p * _MAX_WORKERS).from_address(address("hybrid_locks")),
        threads=ctypes.c_int64.from_address(address("hybrid_threads")),
    )


def _start(pool: _Pool) -> None:
    """Set the limit; start threads if there are none and more than one is wanted."""
    global _running
    limit = get_num_threads()
    if limit > 1 and not _running:
        api: Any = ctypes.pythonapi
        api.PyThread_allocate_lock.restype = ctypes.c_void_p
        api.PyThread_acquire_lock.argtypes = (ctypes.c_void_p, ctypes.c_int)
        api.PyThread_start_new_thread.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
        api.PyThread_start_new_thread.restype = ctypes.c_ulong
        for index in range(available() - 1):
            pool.locks[index] = api.PyThread_allocate_lock()
            api.PyThread_acquire_lock(pool.locks[index], 0)
            api.PyThread_start_new_thread(pool.worker, index)
        _running = True
    pool.threads.value = limit


def _code() -> str:
    """The pool in LLVM's assembly language."""
    pause = "call void @llvm.x86.sse2.pause()"
    declared = "declare void @llvm.x86.sse2.pause()"
    if platform.machine().lower() not in ("x86_64", "amd64"):
        pause, declared = "fence seq_cst", ""
    text = _POOL
    for name, value in (
        ("PAUSE", pause),
        ("DECLARED", declared),
        ("YIELD", YIELD),
        ("WORKERS", str(_MAX_WORKERS)),
        ("SPINS", str(_SPINS)),
        ("CHUNKS", str(_CHUNKS_PER_THREAD)),
    ):
        text = text.replace(f"<{name}>", value)
    return text


# @job holds a generation in its upper half and the number of chunks not yet taken in the lower.
# A thread takes a chunk by exchanging the whole word, so one that comes late can neither take a
# chunk twice nor mistake a new job for an old one. A job's fields change only after @pending, its
# unfinished chunks, has come to 0. A worker announces in @asleep that it will wait for its lock;
# whoever turns the 1 into 0 releases the lock, or proceeds without it.
_POOL = """
@hybrid_threads = global i64 1
@hybrid_locks = global [<WORKERS> x ptr] zeroinitializer
@asleep = internal global [<WORKERS> x i64] zeroinitializer
@busy = internal global i64 0
@job = internal global i64 0
@pending = internal global i64 0
@run = internal global ptr null
@args = internal global ptr null
@work = internal global i64 0
@chunks = internal global i64 0

declare i32 @PyThread_acquire_lock(ptr, i32)
declare void @PyThread_release_lock(ptr)
declare i32 @<YIELD>()
<DECLARED>

; In a forked child: no job, nobody waits.
define void @hybrid_reset() {
  store [<WORKERS> x i64] zeroinitializer, ptr @asleep
  store i64 0, ptr @busy
  store i64 0, ptr @job
  store i64 0, ptr @pending
  ret void
}

; Do chunks until all are taken.
define internal void @take() {
entry:
  br label %next
next:
  %job = load atomic i64, ptr @job seq_cst, align 8
  %left = and i64 %job, 4294967295
  %none = icmp eq i64 %left, 0
  br i1 %none, label %done, label %try
try:
  %less = sub i64 %job, 1
  %pair = cmpxchg ptr @job, i64 %job, i64 %less seq_cst seq_cst
  %won = extractvalue { i64, i1 } %pair, 1
  br i1 %won, label %chunk, label %next
chunk:
  %run = load ptr, ptr @run
  %args = load ptr, ptr @args
  %work = load i64, ptr @work
  %chunks = load i64, ptr @chunks
  %number = sub i64 %chunks, %left
  %after = add i64 %number, 1
  %lo_product = mul i64 %number, %work
  %hi_product = mul i64 %after, %work
  %lo = udiv i64 %lo_product, %chunks
  %hi = udiv i64 %hi_product, %chunks
  call void %run(ptr %args, i64 %lo, i64 %hi)
  %before = atomicrmw sub ptr @pending, i64 1 seq_cst
  br label %next
done:
  ret void
}

; Whether worker %index has something to do.
define internal i1 @wanted(i64 %index) {
  %job = load atomic i64, ptr @job seq_cst, align 8
  %left = and i64 %job, 4294967295
  %some = icmp ne i64 %left, 0
  %threads = load atomic i64, ptr @hybrid_threads seq_cst, align 8
  %number = add i64 %index, 1
  %allowed = icmp slt i64 %number, %threads
  %both = and i1 %some, %allowed
  ret i1 %both
}

define void @hybrid_worker(ptr %argument) {
entry:
  %index = ptrtoint ptr %argument to i64
  %lock_at = getelementptr ptr, ptr @hybrid_locks, i64 %index
  %lock = load ptr, ptr %lock_at
  %asleep = getelementptr i64, ptr @asleep, i64 %index
  br label %idle
idle:
  br label %spin
spin:
  %count = phi i64 [ 0, %idle ], [ %count_up, %spin_on ]
  %ready = call i1 @wanted(i64 %index)
  br i1 %ready, label %go, label %spin_on
spin_on:
  <PAUSE>
  %count_up = add i64 %count, 1
  %more = icmp slt i64 %count_up, <SPINS>
  br i1 %more, label %spin, label %sleep
sleep:
  store atomic i64 1, ptr %asleep seq_cst, align 8
  %late = call i1 @wanted(i64 %index)
  br i1 %late, label %cancel, label %wait
cancel:
  %announced = atomicrmw xchg ptr %asleep, i64 0 seq_cst
  %own = icmp eq i64 %announced, 1
  br i1 %own, label %go, label %wait
wait:
  %taken = call i32 @PyThread_acquire_lock(ptr %lock, i32 1)
  br label %go
go:
  call void @take()
  br label %idle
}

define void @hybrid_drive(ptr %run, ptr %args, i64 %work) {
entry:
  %threads = load atomic i64, ptr @hybrid_threads seq_cst, align 8
  %many = icmp sgt i64 %threads, 1
  %divisible = icmp sgt i64 %work, 1
  %worth = and i1 %many, %divisible
  br i1 %worth, label %enter, label %alone
enter:
  %pair = cmpxchg ptr @busy, i64 0, i64 1 seq_cst seq_cst
  %entered = extractvalue { i64, i1 } %pair, 1
  br i1 %entered, label %publish, label %alone
alone:
  call void %run(ptr %args, i64 0, i64 %work)
  ret void
publish:
  %wish = mul i64 %threads, <CHUNKS>
  %fewer = icmp slt i64 %work, %wish
  %chunks = select i1 %fewer, i64 %work, i64 %wish
  store ptr %run, ptr @run
  store ptr %args, ptr @args
  store i64 %work, ptr @work
  store i64 %chunks, ptr @chunks
  store atomic i64 %chunks, ptr @pending seq_cst, align 8
  %old = load atomic i64, ptr @job seq_cst, align 8
  %generation = and i64 %old, -4294967296
  %next_generation = add i64 %generation, 4294967296
  %job = or i64 %next_generation, %chunks
  store atomic i64 %job, ptr @job seq_cst, align 8
  %helpers = sub i64 %threads, 1
  br label %wake
wake:
  %index = phi i64 [ 0, %publish ], [ %index_up, %wake_next ]
  %all = icmp sge i64 %index, %helpers
  br i1 %all, label %help, label %wake_one
wake_one:
  %asleep = getelementptr i64, ptr @asleep, i64 %index
  %slept = atomicrmw xchg ptr %asleep, i64 0 seq_cst
  %sleeping = icmp eq i64 %slept, 1
  br i1 %sleeping, label %release, label %wake_next
release:
  %lock_at = getelementptr ptr, ptr @hybrid_locks, i64 %index
  %lock = load ptr, ptr %lock_at
  call void @PyThread_release_lock(ptr %lock)
  br label %wake_next
wake_next:
  %index_up = add i64 %index, 1
  br label %wake
help:
  call void @take()
  br label %finish
finish:
  %spins = phi i64 [ 0, %help ], [ %spins_up, %pause ], [ %spins_up, %give_way ]
  %pending = load atomic i64, ptr @pending seq_cst, align 8
  %finished = icmp eq i64 %pending, 0
  br i1 %finished, label %leave, label %wait
wait:
  %spins_up = add i64 %spins, 1
  %long = icmp sgt i64 %spins, <SPINS>
  br i1 %long, label %give_way, label %pause
pause:
  <PAUSE>
  br label %finish
give_way:
  %yielded = call i32 @<YIELD>()
  br label %finish
leave:
  store atomic i64 0, ptr @busy seq_cst, align 8
  ret void
}
"""
