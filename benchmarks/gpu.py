"""GPU kernels, products and Plans on a card: ``python -m benchmarks.gpu [--megabytes 64 1024]``.

In one run: the rate of moving memory of each form of kernel, each byte of its operands counted
once, beside that of a copy; the rate of products beside that of cuBLAS on large matrices; the
host's time for a replay; a training step. Peers are measured where they are installed: torch,
eager and compiled, and JAX.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

import hybrid as hb
from benchmarks import gpu_peers as peers
from hybrid.core import cards, devices
from hybrid.kernels.cuda import products
from hybrid.kernels.cuda.card import card_at
from hybrid.kernels.cuda.kernel import prepare
from hybrid.kernels.cuda.nvidia import Nvidia
from hybrid.kernels.region import Access, Instr, Literal, Region, region_bytes

F32 = "float32"
SAMPLES = 20
ROW = 1024
SIDE = 8192  # of the matrices whose product is the ceiling


def _map(op: str, expr: str, *args: int | Literal) -> Instr:
    return Instr("map", op, expr, args, F32)


def _reduce(kind: str, arg: int) -> Instr:
    return Instr("reduce", kind, kind, (arg,), F32)


_SCAN = Instr("scan", "cumsum", "sum", (0,), F32)
_COUNT = Literal(float(ROW), F32)
_SOFTMAX = (
    _reduce("max", 0),
    _map("subtract", "{0} - {1}", 0, 1),
    _map("exp", "exp({0})", 2),
    _reduce("sum", 3),
    _map("divide", "{0} / {1}", 3, 4),
)
_LAYER_NORM = (
    _reduce("sum", 0),
    _map("divide", "{0} / {1}", 1, _COUNT),
    _map("subtract", "{0} - {1}", 0, 2),
    _map("square", "{0} * {0}", 3),
    _reduce("sum", 4),
    _map("rsqrt", "rsqrt({0} / {1} + 0.00001)", 5, _COUNT),
    _map("multiply", "{0} * {1}", 3, 6),
)


@dataclass(frozen=True, slots=True)
class Case:
    """A kernel over a matrix, what it reduces, and the same by peers, which have NumPy's names."""

    body: tuple[Instr, ...]
    axes: tuple[int, ...]
    reduced: bool
    peer: Callable[[Any, Any], Any]


CASES = {
    "elementwise": Case(
        (_map("mix", "tanh({0}) * exp(-{0}) + {0}", 0),),
        (),
        False,
        lambda m, x: m.tanh(x) * m.exp(-x) + x,
    ),
    "sum of rows": Case((_reduce("sum", 0),), (1,), True, lambda m, x: x.sum(1)),
    "sum of columns": Case((_reduce("sum", 0),), (0,), True, lambda m, x: x.sum(0)),
    "sum of all": Case((_reduce("sum", 0),), (0, 1), True, lambda m, x: x.sum()),
    "scan of rows": Case((_SCAN,), (1,), False, lambda m, x: x.cumsum(1)),
    "scan of columns": Case((_SCAN,), (0,), False, lambda m, x: x.cumsum(0)),
    "softmax": Case(_SOFTMAX, (1,), False, lambda m, x: peers.softmax(m, x)),
    "layer norm": Case(_LAYER_NORM, (1,), False, lambda m, x: peers.layer_norm(m, x)),
}


def region_of(case: Case, rows: int) -> Region:
    """The Region of a case over a matrix of ``rows`` rows."""
    space = (rows, ROW)
    x = Access(F32, 2, 0, (ROW, 1))
    kept = [0 if axis in case.axes and case.reduced else n for axis, n in enumerate(space)]
    strides = tuple(prod(n or 1 for n in kept[axis + 1 :]) if kept[axis] else 0 for axis in (0, 1))
    return Region(
        space, case.axes, (x,), case.body, ((len(case.body), Access(F32, 2, 0, strides)),)
    )


def fastest(card: Nvidia, work: Callable[[], None]) -> float:
    """The median of the card's milliseconds, after a warm-up."""

    def once() -> float:
        elapsed = card.place.stopwatch()
        work()
        return elapsed() * 1e3

    once()
    return float(np.median([once() for _ in range(SAMPLES)]))


# --- ceilings -------------------------------------------------------------------------------


def copy_rate(card: Nvidia, size: int) -> float:
    """GB/s of a copy by the driver: read and written bytes."""
    source, target = (card.empty(size) for _ in range(2))

    def work() -> None:
        card.copy(card.address(target), card.address(source), size)

    return 2 * size / fastest(card, work) / 1e6


def product_rate(card: Nvidia, dtype: str, side: int) -> float:
    """TFLOP/s of cuBLAS on square matrices."""
    whole = products.Factor(False, side)
    gemm = products.Gemm(dtype, side, side, side, 1, whole, whole, whole)
    memory = [card.empty(side * side * np.dtype(dtype).itemsize) for _ in range(3)]
    first, second, out = (card.address(x) for x in memory)

    def work() -> None:
        card.multiply(gemm, first, second, out)

    return 2 * side**3 / fastest(card, work) / 1e9


def product_rates(card: Nvidia, side: int) -> Iterator[tuple[str, float]]:
    """The rate of each dtype, and of float32 with operands rounded."""
    for dtype in ("float64", F32, "bfloat16", "float16"):
        yield dtype, product_rate(card, dtype, side)
    hb.set_matmul_precision("tf32")
    try:
        yield "tf32", product_rate(card, F32, side)
    finally:
        hb.set_matmul_precision("float32")


# --- kernels and Plans ----------------------------------------------------------------------


def kernel_rate(card: Nvidia, region: Region, size: int) -> float:
    """GB/s of a region's kernel, replayed as a graph, with operands of at most ``size`` bytes."""
    prepared = prepare(region, threads=card.threads)
    memory = [card.empty(size) for _ in range(2)]
    memory += [
        card.empty(count * np.dtype(dtype).itemsize) for dtype, count in prepared.temporaries
    ]
    arguments = (*(card.address(x) for x in memory), *prepared.numbers)
    pairs = list(zip(card.load(prepared.source), prepared.launches, strict=True))

    def work() -> None:
        for function, phase in pairs:
            card.launch(function, phase.blocks, prepared.source.threads, arguments)

    return region_bytes(region) / fastest(card, card.capture(work)) / 1e6


def chain(nodes: int) -> Callable[[Any], Any]:
    """A function of so many kernels and products, in turns."""

    def function(x: Any) -> Any:
        for _ in range(nodes // 2):
            x = hb.tanh(x) @ x
        return hb.exp(x)

    return function


def replay_time(nodes: int = 15, repeat: int = 1000, device: str = "cuda") -> float:
    """Microseconds of the host for a call whose Plan has so many nodes."""

    f, x = hb.compile(chain(nodes)), hb.asarray(np.eye(16, dtype=np.float32), device=device)
    for _ in range(10):
        f(x)
    hb.synchronize()
    start = time.perf_counter()
    for _ in range(repeat):
        f(x)
    elapsed = time.perf_counter() - start
    hb.synchronize()
    return elapsed / repeat * 1e6


def main() -> int:
    """Print the tables; 1 where there is no card."""
    parser = argparse.ArgumentParser("python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[64, 1024])
    sizes = parser.parse_args().megabytes
    found = cards.found()
    if found.problem:
        print(f"nothing to measure: {found.problem}")
        return 1
    place = devices.place("cuda:0")
    assert place is not None
    card = card_at(place)
    assert isinstance(card, Nvidia)
    date, name = time.strftime("%Y-%m-%d"), found.cards[0].name
    print(f"{date}, {name}, the driver serves CUDA {found.driver}; median of {SAMPLES}")
    print(", ".join(f"{package} {version}" for package, version in peers.versions()))
    print_all(card, [megabytes << 20 for megabytes in sizes])
    return 0


def print_all(card: Nvidia, sizes: Sequence[int], side: int = SIDE, repeat: int = 1000) -> None:
    """Measure; ``sizes`` are bytes of operands, ``side`` that of matrices."""
    with card.turn():
        rates = product_rates(card, side)
        print("TFLOP/s of cuBLAS:", ", ".join(f"{dtype} {rate:.0f}" for dtype, rate in rates))
        for size in sizes:
            _print_kernels(card, size)
    print(f"host time of a call with 15 nodes: {replay_time(repeat=repeat):.1f} us")
    times = peers.training_steps(SAMPLES)
    print("training step, ms:", ", ".join(f"{peer} {t:.3f}" for peer, t in times.items()))


def _print_kernels(card: Nvidia, size: int) -> None:
    rows, ceiling = size // (4 * ROW), copy_rate(card, size)
    print(f"{size >> 20} MiB, GB/s: copy {ceiling:.0f}")
    for name, case in CASES.items():
        region = region_of(case, rows)
        rate, moved = kernel_rate(card, region, size), region_bytes(region)
        rates = peers.rates(case.peer, (rows, ROW), moved, SAMPLES)
        others = "".join(f", {peer} {value:.0f}" for peer, value in rates.items())
        print(f"  {name:<15} {rate:6.0f} = {rate / ceiling:4.0%} of the copy{others}")


if __name__ == "__main__":
    raise SystemExit(main())
