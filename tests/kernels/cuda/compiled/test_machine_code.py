"""Kernels become machine code of a card: no spills, wide loads, no arithmetic wider than asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from hybrid.core.layout import contiguous
from hybrid.core.op import Op
from hybrid.kernels import cache as kept
from hybrid.kernels.cuda import handwritten, random, toolchain
from hybrid.kernels.cuda.kernel import prepare
from hybrid.kernels.cuda.toolchain import HOPPER
from hybrid.kernels.region import Access, Instr, Literal, Pick, Region, Window
from hybrid.kernels.spec import called_functions
from tests.kernels.cuda.regions import FUSABLE, cases_of
from tests.kernels.reference import layer_norm, make_region, mapped, reduce, softmax

F32 = "float32"
# These compute float32 in float64: the digits that cancel, or products that must be exact.
WIDER = frozenset(("cbrt", "cos", "erfc", "hypot", "logaddexp", "pow", "sin", "tan"))


def compiled(region: Region) -> tuple[str, str]:
    """PTX and the assembler's log of all phases of a region's kernel."""
    source = prepare(region).source
    texts = toolchain.ptx(source, HOPPER)
    log = toolchain.link(texts, HOPPER).log
    assert len(re.findall("Compiling entry function", log)) == len(source.phases)
    return "\n".join(texts), log


def assert_lean(ptx: str, log: str) -> None:
    """Nothing lives on the stack and nothing is called."""
    assert set(re.findall(r"(\d+) bytes (?:stack frame|spill stores|spill loads)", log)) == {"0"}
    assert not re.search(r"^\s*call", ptx, re.MULTILINE)


def region_of(
    space: tuple[int, ...],
    axes: tuple[int, ...],
    body: list[Instr] | tuple[Instr, ...],
    value: int,
    count: int = 1,
    reduced: bool = False,
) -> Region:
    x = np.zeros(space, F32)
    return make_region(space, axes, [(x, x)] * count, body, [(value, F32, reduced)])[0]


def is_plain(region: Region) -> bool:
    """Whether a region is a map whose operands are read as they lie."""
    placed = (a.picks or a.windows or a.is_position or a.words for a in region.inputs)
    return not region.axes and not any(placed) and {i.kind for i in region.body} <= {"map", "cast"}


def uses_float64(region: Region) -> bool:
    dtypes = {access.dtype for access in region.inputs}
    dtypes |= {access.dtype for _, access in region.outputs}
    calls = {name for i in region.body for name in called_functions(i.expr or "0")}
    return "float64" in dtypes or bool(calls & WIDER)


def side_by_side(regions: list[Region]) -> Region:
    """One map that computes what several over the same space do."""
    inputs = [access for region in regions for access in region.inputs]
    body: list[Instr] = []
    outputs: list[tuple[int, Access]] = []
    before = 0
    for region in regions:
        # Inputs come first, then what instructions give.
        own = len(region.inputs)
        numbers = [*range(before, before + own)]
        numbers += range(len(inputs) + len(body), len(inputs) + len(body) + len(region.body))
        for i in region.body:
            args = tuple(a if isinstance(a, Literal) else numbers[a] for a in i.args)
            body.append(replace(i, args=args))
        outputs += [(numbers[value], access) for value, access in region.outputs]
        before += own
    return Region(regions[0].space, (), tuple(inputs), tuple(body), tuple(outputs))


def kernels_of(ops: list[Op]) -> Iterator[Region]:
    """The kernels of ops: maps share one, since three quarters of its time go to what is around."""
    alike: dict[Any, list[Region]] = {}
    for op in ops:
        for case in cases_of(op, op.examples[0]):
            if is_plain(case.region):
                kind = case.region.space, uses_float64(case.region)
                alike.setdefault(kind, []).append(case.region)
            else:
                yield case.region
    yield from map(side_by_side, alike.values())


WITH_EXAMPLES = [op for op in FUSABLE if op.examples]
BATCHES = [WITH_EXAMPLES[i : i + 8] for i in range(0, len(WITH_EXAMPLES), 8)]


@pytest.mark.parametrize("ops", BATCHES, ids=lambda ops: " ".join(op.name for op in ops))
def test_ops(ops: list[Op]) -> None:
    for region in kernels_of(ops):
        ptx, log = compiled(region)
        assert_lean(ptx, log)
        if not uses_float64(region):
            assert ".f64" not in ptx


MAPS = {
    "copy": [mapped("negative", "-{0}", (0,), F32)],
    "heavy": [mapped("mix", "tanh({0} * {1} + {0}) * exp(-{1}) + log({0} + 1)", (0, 1), F32)],
}


@pytest.mark.parametrize("name", MAPS)
def test_maps_move_sixteen_bytes_at_once(name: str) -> None:
    count = 2 if name == "heavy" else 1
    ptx, log = compiled(region_of((1 << 20,), (), MAPS[name], count, count))
    assert_lean(ptx, log)
    # The compiler unrolls the loop; the tail takes single elements.
    loads = len(re.findall(r"ld\.global\.v4\.[fu]32", ptx))
    stores = len(re.findall(r"st\.global\.v4\.[fu]32", ptx))
    assert loads == count * stores > 0
    assert len(re.findall(r"ld\.global\.[fu]32", ptx)) == count
    assert ".f64" not in ptx


@pytest.mark.parametrize(
    ("dtype", "load"),
    [
        ("bool", r"ld\.global\.v4\.u32"),
        ("int8", r"ld\.global\.v4\.u32"),
        ("float16", r"ld\.global\.v4\.u32"),
        ("bfloat16", r"ld\.global\.v4\.u32"),
        ("float64", r"ld\.global\.v2\.[fu]64"),
        ("int64", r"ld\.global\.v2\.u64"),
    ],
)
def test_any_dtype_moves_sixteen_bytes_at_once(dtype: str, load: str) -> None:
    access = Access(dtype, 1, 0, (1,))
    expr = "not_({0})" if dtype == "bool" else "{0} + {0}"
    body = (mapped("op", expr, (0,), dtype),)
    ptx, log = compiled(Region((4096,), (), (access,), body, ((1, access),)))
    assert_lean(ptx, log)
    assert re.search(load, ptx)
    assert re.search(load.replace("ld", "st"), ptx)
    if dtype.endswith("16"):
        assert "f16" in ptx or dtype == "bfloat16"


def test_nothing_is_contracted_behind_the_back_of_the_scalar_functions() -> None:
    """a * b + c is rounded twice, as on the CPU; a fused multiply-add is one that was asked for."""
    ptx, _ = compiled(region_of((4096,), (), [mapped("mix", "{0} * {1} + {0}", (0, 1), F32)], 2, 2))
    assert "fma" not in ptx
    assert "mul.rn.f32" in ptx


def test_positions_are_divided_by_constants_without_a_division() -> None:
    x = np.zeros((64, 10, 30), F32)
    row = np.zeros((64, 1, 30), F32)
    body = [mapped("add", "{0} + {1}", (0, 1), F32)]
    region, _ = make_region(x.shape, (), [(x, x), (row, row)], body, [(2, F32, False)])
    ptx, _ = compiled(region)
    # One at the beginning, for the number of steps of the unrolled loop.
    assert len(re.findall(r"\bdiv\.[us]64", ptx)) <= 1
    assert "rem." not in ptx


@pytest.mark.parametrize(
    ("space", "axes"),
    [((4096, 1024), (1,)), ((1 << 22,), (0,)), ((4096, 1024), (0,)), ((100_000, 10), (1,))],
)
def test_reductions(space: tuple[int, ...], axes: tuple[int, ...]) -> None:
    ptx, log = compiled(region_of(space, axes, [reduce("sum", 0, F32)], 1, reduced=True))
    assert_lean(ptx, log)
    assert ".f64" not in ptx
    assert ("shfl.sync.bfly" in ptx) == (axes != (0,) or len(space) == 1)
    if space[-1] % 4 == 0 and axes[0] == len(space) - 1:
        assert "ld.global.v4" in ptx


@pytest.mark.parametrize("body", ["softmax", "layer_norm"])
def test_normalisations_in_one_kernel(body: str) -> None:
    instrs = softmax(F32) if body == "softmax" else layer_norm(F32, 1024)
    region = region_of((4096, 1024), (1,), instrs, len(instrs))
    assert len(prepare(region).launches) == 1
    ptx, log = compiled(region)
    assert_lean(ptx, log)
    assert "ld.global.v4" in ptx
    assert "st.global.v4" in ptx
    # 65,536 registers of a multiprocessor are enough for at least two blocks of 256 threads.
    assert max(map(int, re.findall(r"Used (\d+) registers", log))) <= 128


def test_machine_code_is_kept_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    source = prepare(region_of((512,), (), MAPS["copy"], 1)).source
    first = toolchain.binary(source, HOPPER)
    assert first.cubin[:4] == b"\x7fELF"
    assert all(entry.encode() in first.cubin for entry in source.phases)

    def compiles(*args: object) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr(toolchain, "build", compiles)
    assert toolchain.binary(source, HOPPER).cubin == first.cubin
    with pytest.raises(AssertionError, match="compiled again"):
        toolchain.binary(source, (8, 0))
    monkeypatch.setattr(toolchain, "versions", lambda: (("numba-cuda", "another"),))
    with pytest.raises(AssertionError, match="compiled again"):
        toolchain.binary(source, HOPPER)


def test_a_damaged_entry_is_compiled_anew() -> None:
    source = prepare(region_of((512,), (), [mapped("sub", "{0} - 2", (0,), F32)], 1)).source
    first = toolchain.binary(source, HOPPER)
    for path in kept.folder().glob("*/*.kernel"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    again = toolchain.binary(source, HOPPER)
    assert again.log
    assert len(again.cubin) == len(first.cubin)


@pytest.mark.parametrize("architecture", [(8, 0), (8, 9), (10, 0)])
def test_other_cards(architecture: tuple[int, int]) -> None:
    source = prepare(region_of((64, 128), (1,), softmax(F32), 5)).source
    assert toolchain.build(source, architecture).cubin[:4] == b"\x7fELF"


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", [F32, "int64"])
def test_scans(axis: int, dtype: str) -> None:
    x = np.zeros((1024, 1024), dtype)
    body = [Instr("scan", "cumsum", "sum", (0,), dtype)]
    region, _ = make_region(x.shape, (axis,), [(x, x)], body, [(1, dtype, False)])
    ptx, log = compiled(region)
    assert_lean(ptx, log)
    assert ("shfl.sync.up" in ptx) == (axis == 1)
    assert ("ld.global.v" in ptx) == (axis == 1)


@pytest.mark.parametrize(
    ("space", "axis", "dtype"),
    [((1 << 24,), 0, F32), ((4, 1 << 20), 1, "float16"), ((1 << 16, 64), 0, F32)],
)
def test_scans_of_few_long_rows_are_shared_among_blocks(
    space: tuple[int, ...], axis: int, dtype: str
) -> None:
    x = np.broadcast_to(np.zeros((), dtype), space)
    across = Access(dtype, len(space), 0, contiguous(space).strides)
    body = (Instr("scan", "cumsum", "sum", (0,), F32),)
    region = Region(space, (axis,), (across,), body, ((1, across),))
    prepared = prepare(region)
    assert len(prepared.launches) == 3
    assert sum(count * 4 for _, count in prepared.temporaries) < x.nbytes / 16
    ptx, log = compiled(region)
    assert_lean(ptx, log)
    assert ".f64" not in ptx
    if axis == len(space) - 1:
        assert "ld.global.v4" in ptx
        assert "st.global.v4" in ptx


@pytest.mark.parametrize("dtype", [F32, "float16", "float64", "bool"])
def test_transposing_copies_go_through_shared_memory(dtype: str) -> None:
    base = np.zeros((4096, 2048), dtype)
    region, _ = make_region(base.T.shape, (), [(base.T, base)], [], [(0, dtype, False)])
    ptx, log = compiled(region)
    assert_lean(ptx, log)
    assert "st.shared" in ptx
    assert "ld.shared" in ptx
    assert "bar.sync" in ptx


def test_gathered_rows_are_read_sixteen_bytes_at_once() -> None:
    rows, index = Access(F32, 2, 0, (0, 1), (Pick(1, 100, 1024),)), Access("int64", 1, 0, (1, 0))
    out = Access(F32, 2, 0, (1024, 1))
    body = (mapped("square", "{0} * {0}", (0,), F32),)
    ptx, log = compiled(Region((4096, 1024), (), (rows, index), body, ((2, out),)))
    assert_lean(ptx, log)
    assert "ld.global.v4" in ptx
    assert "st.global.v4" in ptx


def test_blocks_side_by_side_are_chosen_by_the_place() -> None:
    place = Access("int64", 0, 0, (0, 1), is_position=True)
    block = Access(F32, 2, -3, (250, 1), windows=(Window(1, 3, 253),))
    out = Access(F32, 2, 0, (256, 1))
    body = (
        Instr("inside", "inside", "", (0,), "bool"),
        mapped("where", "select({0}, {1}, {2})", (2, 0, Literal(7.0, F32)), F32),
    )
    ptx, log = compiled(Region((4096, 256), (), (block, place), body, ((3, out),)))
    assert_lean(ptx, log)
    assert "st.global.v4" in ptx


HANDWRITTEN = {
    "words": random.bits().source,
    "short words": random.words().source,
    "uniform float32": random.uniform("float32", -1.0, 1.0).source,
    "uniform float64": random.uniform("float64", 0.0, 1.0).source,
    "uniform bfloat16": random.uniform("bfloat16", 0.0, 1.0).source,
    "normal float32": random.normal("float32", 1.0, 2.0).source,
    "normal float64": random.normal("float64", 0.0, 1.0).source,
    "whole numbers": random.integers("int32", -3, 10).source,
    "the next state": random.advance(),
    "add": handwritten.add_stretches(F32, 64),
    "add float64": handwritten.add_stretches("float64", 1),
    "add halves": handwritten.add_stretches("float16", 1),
    "join": handwritten.join_stretches(F32, 64),
    "join halves": handwritten.join_stretches("bfloat16", 3),
}


@cache
def handwritten_ptx(name: str) -> list[str]:
    return toolchain.ptx(HANDWRITTEN[name], HOPPER)


@pytest.mark.parametrize("name", HANDWRITTEN)
def test_kernels_written_by_hand(name: str) -> None:
    texts = handwritten_ptx(name)
    assert_lean("\n".join(texts), toolchain.link(texts, HOPPER).log)
    assert (".f64" in texts[0]) == ("float64" in name)


@pytest.mark.parametrize("dtype", [F32, "float64"])
def test_normal_numbers_are_rounded_as_on_the_cpu(dtype: str) -> None:
    """No product is fused with a sum, and quotients and roots are rounded correctly."""
    (ptx,) = handwritten_ptx(f"normal {dtype}")
    suffix = "f32" if dtype == F32 else "f64"
    assert "fma" not in ptx
    assert "approx" not in ptx
    assert ".ftz" not in ptx
    for name in ("div.rn", "sqrt.rn", "mul.rn", "add.rn"):
        assert f"{name}.{suffix}" in ptx
