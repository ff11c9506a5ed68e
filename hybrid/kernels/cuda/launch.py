"""GPU kernels on a card: load machine code, launch, capture launches as one graph, replay it.

The driver is called by ctypes. What is launched again and again is a captured graph, which costs
one call however many kernels it has.

No card was at hand when this was written: the tests know it from a driver that records its calls.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hybrid.core import cards
from hybrid.errors import DeviceError
from hybrid.kernels.cuda import toolchain
from hybrid.kernels.cuda.kernel import Prepared

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING
_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
_OUT_OF_MEMORY = 2  # CUDA_ERROR_OUT_OF_MEMORY


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """A card that is ready for work, and the stream that all work goes to in order.

    Attributes
    ----------
    driver
        The driver's library.
    stream
        The driver's handle.
    architecture
        What kernels are compiled for.
    """

    driver: Any
    stream: Any
    architecture: toolchain.Architecture


@dataclass(frozen=True, slots=True)
class Step:
    """A launch: function, blocks, threads, and the arguments as C has them."""

    function: int
    blocks: int
    threads: int
    arguments: tuple[Any, ...]


def check(driver: Any, status: int, what: str) -> None:
    """Raise a DeviceError with the driver's own words, unless all went well."""
    if status:
        text = ctypes.c_char_p()
        driver.cuGetErrorString(status, ctypes.byref(text))
        said = text.value.decode() if text.value else f"error {status}"
        raise DeviceError(f"{what}: {said}")


def open_card(ordinal: int = 0, driver: Any = None) -> Context:
    """Make a card ready for this thread.

    Raises
    ------
    DeviceError
        If there is no driver or no such card.
    """
    if driver is None:
        if cards.found().problem:
            raise DeviceError(f"kernels cannot be launched: {cards.found().problem}")
        driver = cards.library()
    known = cards.ask(driver).cards
    if not 0 <= ordinal < len(known):
        raise DeviceError(f"there is no GPU {ordinal}, only {len(known)} of them")
    device, context, stream = ctypes.c_int(0), ctypes.c_void_p(0), ctypes.c_void_p(0)
    check(driver, driver.cuDeviceGet(ctypes.byref(device), ordinal), "opening a GPU")
    # The primary context is the one that CuPy and torch use too.
    retained = driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)
    check(driver, retained, "opening a GPU")
    check(driver, driver.cuCtxSetCurrent(context), "opening a GPU")
    made = driver.cuStreamCreate(ctypes.byref(stream), _NON_BLOCKING)
    check(driver, made, "making a stream")
    return Context(driver, stream, known[ordinal].capability)


# --- memory ---------------------------------------------------------------------------------


def allocate(context: Context, size: int) -> int:
    """The address of new memory of `size` bytes, a multiple of 256.

    Raises
    ------
    DeviceError
        If there is not enough; the message says how much was asked for and how much was free.
    """
    driver, address = context.driver, ctypes.c_uint64(0)
    status = driver.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(max(size, 1)))
    if status == _OUT_OF_MEMORY:
        free, total = ctypes.c_size_t(0), ctypes.c_size_t(0)
        driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
        raise DeviceError(
            f"the GPU is out of memory: {size:,} bytes were asked for, "
            f"{free.value:,} of {total.value:,} were free"
        )
    check(driver, status, f"allocating {size:,} bytes")
    return address.value


def release(context: Context, address: int) -> None:
    """Give memory back, once all work that was asked for is done."""
    synchronize(context)
    check(context.driver, context.driver.cuMemFree_v2(ctypes.c_uint64(address)), "freeing memory")


def upload(context: Context, address: int, source: int, size: int) -> None:
    """Copy bytes at an address of the host to the card, in order with all other work."""
    arguments = ctypes.c_uint64(address), ctypes.c_void_p(source), ctypes.c_size_t(size)
    status = context.driver.cuMemcpyHtoDAsync_v2(*arguments, context.stream)
    check(context.driver, status, "copying to the GPU")


def download(context: Context, target: int, address: int, size: int) -> None:
    """Copy bytes to the host, and wait for them."""
    arguments = ctypes.c_void_p(target), ctypes.c_uint64(address), ctypes.c_size_t(size)
    status = context.driver.cuMemcpyDtoHAsync_v2(*arguments, context.stream)
    check(context.driver, status, "copying from the GPU")
    synchronize(context)


def copy(context: Context, target: int, source: int, size: int) -> None:
    """Copy bytes from one address of the card to another."""
    arguments = ctypes.c_uint64(target), ctypes.c_uint64(source), ctypes.c_size_t(size)
    status = context.driver.cuMemcpyDtoDAsync_v2(*arguments, context.stream)
    check(context.driver, status, "copying on the GPU")


def synchronize(context: Context) -> None:
    """Wait for all work that was asked for."""
    check(context.driver, context.driver.cuStreamSynchronize(context.stream), "waiting for the GPU")


# --- launches -------------------------------------------------------------------------------


def load(context: Context, code: bytes, entries: Sequence[str]) -> tuple[int, ...]:
    """The functions of a cubin, which stays loaded."""
    driver, module = context.driver, ctypes.c_void_p(0)
    check(driver, driver.cuModuleLoadData(ctypes.byref(module), code), "loading a kernel")
    found = []
    for entry in entries:
        function = ctypes.c_void_p(0)
        status = driver.cuModuleGetFunction(ctypes.byref(function), module, entry.encode())
        check(driver, status, f"loading {entry}")
        assert function.value is not None
        found.append(function.value)
    return tuple(found)


def steps(
    prepared: Prepared,
    functions: Sequence[int],
    pointers: Sequence[int],
    itemsizes: Sequence[int],
    temporaries: Sequence[int],
) -> tuple[Step, ...]:
    """The launches that run a region on operands at the given addresses, outputs last."""
    moved = [
        address + offset * size
        for address, offset, size in zip(pointers, prepared.offsets, itemsizes, strict=True)
    ]
    if any(address % prepared.alignment for address in moved):
        raise DeviceError(
            f"an operand does not begin at a multiple of {prepared.alignment} bytes; "
            "prepare the region with aligned=False"
        )
    arguments = (
        *(ctypes.c_uint64(address) for address in (*moved, *temporaries)),
        *(ctypes.c_int64(number) for number in prepared.numbers),
    )
    pairs = zip(prepared.launches, functions, strict=True)
    threads = prepared.source.threads
    return tuple(
        Step(function, launch.blocks, threads, arguments)
        for launch, function in pairs
        if launch.blocks
    )


def run(context: Context, launches: Sequence[Step]) -> None:
    """Launch one after another; returns before they are done."""
    for step in launches:
        packed = (ctypes.c_void_p * len(step.arguments))(
            *(ctypes.cast(ctypes.byref(value), ctypes.c_void_p) for value in step.arguments)
        )
        grid, block = (step.blocks, 1, 1), (step.threads, 1, 1)
        status = context.driver.cuLaunchKernel(
            ctypes.c_void_p(step.function), *grid, *block, 0, context.stream, packed, None
        )
        check(context.driver, status, "launching a kernel")


def capture(context: Context, launches: Sequence[Step]) -> Callable[[], None]:
    """A function that replays the launches as one graph.

    The addresses are those of now: what changes between replays is copied there before.
    """
    driver = context.driver
    graph, made = ctypes.c_void_p(0), ctypes.c_void_p(0)
    begun = driver.cuStreamBeginCapture_v2(context.stream, _THREAD_LOCAL)
    check(driver, begun, "capturing launches")
    try:
        run(context, launches)
    finally:
        ended = driver.cuStreamEndCapture(context.stream, ctypes.byref(graph))
    check(driver, ended, "capturing launches")
    check(
        driver, driver.cuGraphInstantiateWithFlags(ctypes.byref(made), graph, 0), "making a graph"
    )
    driver.cuGraphDestroy(graph)

    def replay() -> None:
        check(driver, driver.cuGraphLaunch(made, context.stream), "replaying a graph")

    return replay


def milliseconds(context: Context, work: Callable[[], None]) -> float:
    """How long the card takes for what `work` asks of it, by its own clock."""
    driver = context.driver
    events = ctypes.c_void_p(0), ctypes.c_void_p(0)
    for event in events:
        check(driver, driver.cuEventCreate(ctypes.byref(event), 0), "measuring time")
    driver.cuEventRecord(events[0], context.stream)
    work()
    driver.cuEventRecord(events[1], context.stream)
    check(driver, driver.cuEventSynchronize(events[1]), "measuring time")
    elapsed = ctypes.c_float(0)
    driver.cuEventElapsedTime(ctypes.byref(elapsed), *events)
    for event in events:
        driver.cuEventDestroy_v2(event)
    return elapsed.value
