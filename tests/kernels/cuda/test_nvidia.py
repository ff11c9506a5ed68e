"""What is asked of cuda.core, CuPy and cuBLAS; stand-ins for them write it down."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.layout import Layout
from hybrid.core.places import Place
from hybrid.errors import DeviceError, OutOfMemoryError
from hybrid.kernels.cuda import blas, toolchain
from hybrid.kernels.cuda.card import NotCaptured
from hybrid.kernels.cuda.kernel import prepare
from hybrid.kernels.cuda.nvidia import Nvidia
from hybrid.kernels.cuda.products import Factor, Gemm
from tests.kernels.reference import make_region, reduce


class Recorder:
    """Keeps a list of calls: anything may be asked of it, and answers with itself."""

    def __init__(self, log: list[Any], name: str = "", **answers: Any) -> None:
        self._log, self._name, self._answers = log, name, answers

    def __getattr__(self, name: str) -> Any:
        if name in self._answers:
            return self._answers[name]
        return Recorder(self._log, f"{self._name}.{name}".lstrip("."))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._log.append((self._name, args, kwargs))
        return Recorder(self._log, self._name)


class Memory:
    """What stands for CuPy's MemoryPointer."""

    def __init__(self, ptr: int) -> None:
        self.ptr = ptr

    def __add__(self, offset: int) -> Memory:
        return Memory(self.ptr + offset)


class Made:
    """A card of stand-ins, and what was asked of them."""

    def __init__(self, free: int = 1 << 40) -> None:
        self.log: list[Any] = []
        self.pools: list[str] = []

        def alloc(size: int) -> Memory:
            if size > free:
                raise MemoryError
            self.log.append(("alloc", (size,), {}))
            return Memory(4096 * len(self.log))

        @contextlib.contextmanager
        def using_allocator(malloc: Any) -> Any:
            self.pools.append("in")
            yield
            self.pools.append("out")

        runtime = Recorder(self.log, "runtime", memGetInfo=lambda: (free, 2 * free))
        cuda = SimpleNamespace(
            MemoryPointer=Memory,
            MemoryPool=lambda: SimpleNamespace(malloc=None),
            alloc=alloc,
            using_allocator=using_allocator,
            runtime=runtime,
        )
        xp = SimpleNamespace(cuda=cuda, ndarray=lambda *args: SimpleNamespace(args=args))
        nothing: Any = None
        place = Place(
            name="cuda:1",
            xp=xp,
            put=nothing,
            get=nothing,
            move=nothing,
            adopt=nothing,
            current=contextlib.nullcontext,
            wait=lambda: None,
            stopwatch=nothing,
            stream=77,
        )
        self.cublas = Recorder(self.log, "cublas")
        self.core = Recorder(self.log)
        self.card = Nvidia(place, (9, 0), self.core, _succeeding(self.cublas))

    def names(self) -> list[str]:
        return [name for name, _, _ in self.log]

    def asked(self, name: str) -> Any:
        return [(args, kwargs) for found, args, kwargs in self.log if found == name]


def _succeeding(cublas: Recorder) -> Any:
    """A library whose functions return 0."""

    class Library:
        def __getattr__(self, name: str) -> Any:
            return lambda *args: getattr(cublas, name)(*args) and 0

    return Library()


@pytest.fixture
def made() -> Made:
    return Made()


def test_the_card_works_on_the_stream_of_its_place(made: Made) -> None:
    assert made.names() == ["Device", "Device.set_current", "Stream.from_handle"]
    assert made.asked("Device") == [((1,), {})]
    assert made.asked("Stream.from_handle") == [((77,), {})]


def test_a_kernel_is_loaded_by_its_entry_points_and_launched(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.zeros(1 << 20, np.float32)
    region, _ = make_region(
        x.shape, (0,), [(x, x)], [reduce("sum", 0, "float32")], [(1, "float32", True)]
    )
    source = prepare(region).source
    monkeypatch.setattr(toolchain, "binary", lambda *_: toolchain.Binary(b"code"))
    functions = made.card.load(source)
    assert made.asked("ObjectCode.from_cubin") == [((b"code",), {})]
    entries = [args[0] for args, _ in made.asked("ObjectCode.from_cubin.get_kernel")]
    assert entries == list(source.phases)
    for _ in range(2):
        made.card.launch(functions[0], 7, 256, (4096, 8192, 5))
    assert made.asked("LaunchConfig") == [((), {"grid": 7, "block": 256})]
    (args, _), _ = made.asked("launch")
    assert args[2] is functions[0]
    assert args[3:] == (4096, 8192, 5)


def test_views_lie_where_the_layout_says(made: Made) -> None:
    layout = Layout((2, 3), (-3, 1), 3)
    found = made.card.view(Memory(1000), 16, layout, np.dtype("float32"))
    shape, dtype, memory, strides = found.args
    assert (shape, dtype, memory.ptr, strides) == ((2, 3), np.dtype("float32"), 1028, (-12, 4))
    array = SimpleNamespace(data=Memory(500))
    assert made.card.address(array) == 500
    assert made.card.address(Memory(8)) == 8


def test_bytes_are_copied_in_order_with_all_work(made: Made) -> None:
    made.card.upload(4096, b"abc")
    made.card.copy(1, 2, 30)
    (up, _), (over, _) = made.asked("runtime.memcpyAsync")
    assert (up[0], *up[2:]) == (4096, 3, 1, 77)
    assert over == (1, 2, 30, 3, 77)


def test_memory_that_is_not_there_is_told_in_bytes() -> None:
    with pytest.raises(OutOfMemoryError, match=r"5,000 bytes were asked for, 1,000 of 2,000"):
        Made(free=1000).card.empty(5000)
    assert Made().card.empty(0).ptr % 4096 == 0


def test_a_graph_is_captured_with_memory_of_its_own(made: Made) -> None:
    del made.log[:]
    replay = made.card.capture(lambda: made.pools.append("work"))
    assert made.pools == ["in", "work", "out"]
    assert [name.rpartition(".")[2] for name in made.names()] == [
        "create_graph_builder",
        "begin_building",
        "end_building",
        "complete",
        "close",
    ]
    assert made.log[1][1] == ("relaxed",)
    del made.log[:]
    replay()
    replay()
    assert [name.rpartition(".")[2] for name in made.names()] == ["launch", "launch"]


def test_what_cannot_be_captured_ends_the_capture(made: Made) -> None:
    def work() -> None:
        raise RuntimeError("a library waits\nfor the card")

    with pytest.raises(NotCaptured, match=r"^a library waits$"):
        made.card.capture(work)
    ends = [name.rpartition(".")[2] for name in made.names()]
    assert ends[-2:] == ["end_building", "close"]


GEMM = Gemm("float32", 5, 3, 4, 2, Factor(True, 4, 20), Factor(False, 4, 12), Factor(False, 5, 15))


def value(x: Any) -> Any:
    return getattr(x, "value", x)


def test_products_are_one_call_of_cublas(made: Made) -> None:
    made.card.multiply(GEMM, 256, 512, 768)
    made.card.multiply(GEMM, 256, 512, 768)
    names = [name for name in made.names() if name.startswith("cublas")]
    assert names == [
        "cublas.cublasCreate_v2",
        "cublas.cublasSetStream_v2",
        "cublas.cublasSetWorkspace_v2",
        "cublas.cublasGemmStridedBatchedEx",
        "cublas.cublasGemmStridedBatchedEx",
    ]
    assert made.asked("alloc")[-1][0] == (blas.WORKSPACE,)
    (args, _), _ = made.asked("cublas.cublasGemmStridedBatchedEx")
    plain = [value(x) for x in args]
    assert plain[1:6] == [1, 0, 5, 3, 4]
    assert plain[7:15] == [256, 0, 4, 20, 512, 0, 4, 12]
    assert plain[16:] == [768, 0, 5, 15, 2, 68, -1]
    alpha, beta = (ctypes.cast(args[i], ctypes.POINTER(ctypes.c_float)).contents for i in (6, 15))
    assert (alpha.value, beta.value) == (1.0, 0.0)


def test_operands_are_rounded_to_tf32_only_where_that_was_asked_for(made: Made) -> None:
    hb.set_matmul_precision("tf32")
    try:
        made.card.multiply(GEMM, 256, 512, 768)
    finally:
        hb.set_matmul_precision("float32")
    made.card.multiply(GEMM, 256, 512, 768)
    kinds = [value(args[-2]) for args, _ in made.asked("cublas.cublasGemmStridedBatchedEx")]
    assert kinds == [77, 68]
    with pytest.raises(ValueError, match="'float32' and 'tf32', not 'half'"):
        hb.set_matmul_precision("half")


def test_an_error_of_cublas_is_told(made: Made) -> None:
    class Failing:
        def __getattr__(self, name: str) -> Any:
            return lambda *args: 13

    with pytest.raises(DeviceError, match="cuBLAS does not create: status 13"):
        blas.Blas(1, 2, Failing())


@pytest.mark.skipif("cuda-core" in toolchain.missing(), reason="cuda-core is not installed")
def test_cuda_core_has_what_is_asked_of_it() -> None:
    core = importlib.import_module("cuda.core")
    graph = importlib.import_module("cuda.core.graph")
    names = {
        core: ["Device", "Stream", "ObjectCode", "LaunchConfig", "launch"],
        core.Device: ["set_current"],
        core.Stream: ["from_handle", "create_graph_builder", "sync"],
        core.ObjectCode: ["from_cubin", "get_kernel"],
        graph.GraphBuilder: ["begin_building", "end_building", "complete", "close"],
        graph.Graph: ["launch"],
    }
    lacking = [(x, name) for x, found in names.items() for name in found if not hasattr(x, name)]
    assert not lacking
    config = core.LaunchConfig(grid=7, block=256)
    assert (config.grid, config.block) == ((7, 1, 1), (256, 1, 1))
