"""GPU kernels on a card: ``python -m benchmarks.gpu [--megabytes 64 1024]``.

Each kernel's rate of moving memory, each byte of its operands counted once, beside that of a copy
by the driver. Peers are measured where they are installed: torch, eager and compiled.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from hybrid.core import cards
from hybrid.kernels.cuda import launch, toolchain
from hybrid.kernels.cuda.kernel import prepare
from hybrid.kernels.region import Access, Instr, Literal, Region, region_bytes

F32 = "float32"
SAMPLES = 20
ROW = 1024


def _map(op: str, expr: str, *args: int | Literal) -> Instr:
    return Instr("map", op, expr, args, F32)


def _reduce(kind: str, arg: int) -> Instr:
    return Instr("reduce", kind, kind, (arg,), F32)


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
    """A kernel over a matrix, what it reduces, and the same by torch."""

    body: tuple[Instr, ...]
    axes: tuple[int, ...]
    reduced: bool
    torch: Callable[[Any, Any], Any]


CASES = {
    "elementwise": Case(
        (_map("mix", "tanh({0}) * exp(-{0}) + {0}", 0),),
        (),
        False,
        lambda torch, x: torch.tanh(x) * torch.exp(-x) + x,
    ),
    "sum of rows": Case((_reduce("sum", 0),), (1,), True, lambda torch, x: x.sum(1)),
    "sum of columns": Case((_reduce("sum", 0),), (0,), True, lambda torch, x: x.sum(0)),
    "sum of all": Case((_reduce("sum", 0),), (0, 1), True, lambda torch, x: x.sum()),
    "softmax": Case(_SOFTMAX, (1,), False, lambda torch, x: torch.softmax(x, 1)),
    "layer norm": Case(
        _LAYER_NORM, (1,), False, lambda torch, x: torch.nn.functional.layer_norm(x, x.shape[1:])
    ),
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


def fastest(context: launch.Context, work: Callable[[], None]) -> float:
    """The median of the card's milliseconds, after a warm-up."""
    work()
    return float(np.median([launch.milliseconds(context, work) for _ in range(SAMPLES)]))


def kernel_rate(context: launch.Context, region: Region, size: int) -> float:
    """GB/s of a region's kernel, replayed as a graph, with operands of at most ``size`` bytes."""
    prepared = prepare(region)
    operands = [launch.allocate(context, size) for _ in range(2)]
    temporaries = [
        launch.allocate(context, count * np.dtype(dtype).itemsize)
        for dtype, count in prepared.temporaries
    ]
    code = toolchain.binary(prepared.source, context.architecture).cubin
    functions = launch.load(context, code, prepared.source.phases)
    steps = launch.steps(prepared, functions, operands, [4, 4], temporaries)
    elapsed = fastest(context, launch.capture(context, steps))
    for address in (*operands, *temporaries):
        launch.release(context, address)
    return region_bytes(region) / elapsed / 1e6


def copy_rate(context: launch.Context, size: int) -> float:
    """GB/s of a copy by the driver: read and written bytes."""
    source, target = (launch.allocate(context, size) for _ in range(2))

    def work() -> None:
        launch.copy(context, target, source, size)

    elapsed = fastest(context, work)
    for address in (source, target):
        launch.release(context, address)
    return 2 * size / elapsed / 1e6


def torch_rates(case: Case, rows: int, moved: int) -> dict[str, float]:
    """GB/s of torch, eager and compiled, where it is installed for GPUs."""
    try:
        import torch
    except ModuleNotFoundError:
        return {}
    if not torch.cuda.is_available():
        return {}
    x = torch.randn(rows, ROW, device="cuda")

    def written(y: Any) -> Any:
        return case.torch(torch, y)

    rates = {}
    for name, function in {"torch": written, "torch.compile": torch.compile(written)}.items():
        times = []
        for _ in range(SAMPLES + 3):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            function(x)
            end.record()
            end.synchronize()
            times.append(begin.elapsed_time(end))
        rates[name] = moved / float(np.median(times[3:])) / 1e6
    return rates


def main() -> int:
    """Print the table; 1 where there is no card."""
    parser = argparse.ArgumentParser("python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[64, 1024])
    sizes = parser.parse_args().megabytes
    found = cards.found()
    if found.problem:
        print(f"nothing to measure: {found.problem}")
        return 1
    context = launch.open_card()
    print(
        f"{found.cards[0].name}, the driver serves CUDA {found.driver}; GB/s, median of {SAMPLES}"
    )
    for megabytes in sizes:
        size = megabytes << 20
        rows, ceiling = size // (4 * ROW), copy_rate(context, size)
        print(f"{megabytes} MiB: copy {ceiling:.0f}")
        for name, case in CASES.items():
            region = region_of(case, rows)
            rate = kernel_rate(context, region, size)
            peers = torch_rates(case, rows, region_bytes(region))
            others = "".join(f", {peer} {value:.0f}" for peer, value in peers.items())
            print(f"  {name:<15} {rate:6.0f} = {rate / ceiling:4.0%} of the copy{others}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
