"""What kernels written by hand share: text with numbers put in, geometry, loading, calling."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from hybrid.kernels.limits import lanes_of
from hybrid.kernels.spec import PARALLEL_NS, Geometry, as_geometry
from hybrid.kernels.texts import Source, named

Array = np.ndarray[Any, np.dtype[Any]]


# Copies `inner` rows of a panel, `block` columns of a matrix from the place `first` on, to the
# place `to` in ``packed``: from rows by vectors, from columns by squares that are turned over.
# Loops are ``items``: LLVM would write the squares out several times, and take four times as long.
_PACK = """
        if column_step == 1:
            for k in items(0, inner):
                for j in lanes(0, {block}, {lanes}):
                    store(packed, to + k * {block} + j, load({matrix}, first + k * row_step + j))
        else:
            turned = select((row_step == 1) & (inner >= {lanes}), inner, 0)
            for part in items(0, (turned + {lanes} - 1) // {lanes}):
                k = min(part * {lanes}, inner - {lanes})
                for v in items(0, {vectors}):
                    at = first + v * {lanes} * column_step + k
                    turn({matrix}, at, column_step, packed, to + k * {block} + v * {lanes}, {block})
            for k in items(turned, inner):
                for j in items(0, {block}):
                    value = load({matrix}, first + k * row_step + j * column_step)
                    store(packed, to + k * {block} + j, value)
"""


def source_of(
    kind: str,
    text: str,
    phases: tuple[str, ...],
    slots: tuple[str, ...],
    arrays: int,
    **values: Any,
) -> Source:
    """Put values into the text of a kernel, name it by what it is, read its geometry.

    ``{unpack}`` becomes the statements that read the geometry, as far as a phase needs it.
    """
    first = 2 + len(phases)
    text = text.replace("{unpack}", "UNPACK").format(name="KERNEL", **values)
    head, *bodies = text.split("\n\n\n")
    for number, body in enumerate(bodies):
        words = set(re.findall(r"\w+", body))
        reads = [
            f"    {slot} = load(geometry, {i})"
            for i, slot in enumerate(slots, first)
            if slot in words
        ]
        bodies[number] = body.replace("UNPACK", "\n".join(reads))
    text = "\n\n\n".join([head, *bodies])
    name = named(kind, text)
    functions = tuple(f"{name}_{phase}" for phase in phases)
    return Source(name, text.replace("KERNEL", name), functions, arrays)


def tiled_source(
    kind: str,
    text: str,
    slots: tuple[str, ...],
    arrays: int,
    dtype: str,
    tile: tuple[int, int],
    phases: tuple[str, ...] = ("pack", "run"),
    **values: Any,
) -> Source:
    """Return a kernel that adds up blocks of registers; before that, most pack an operand.

    `tile` is the rows of a block and the vectors in each; the text calls them ``rows_`` and
    ``vectors``, the elements of a vector ``lanes`` and those of a row ``block``. ``{pack_x}``
    becomes the statements that copy a panel of the matrix ``x``.
    """
    rows, vectors = tile
    lanes = lanes_of(dtype)
    numbers = {"rows_": rows, "vectors": vectors, "lanes": lanes, "block": vectors * lanes}
    for name in re.findall(r"{pack_(\w+)}", text):
        values[f"pack_{name}"] = _PACK.strip("\n").format(matrix=name, **numbers)
    return source_of(kind, text, phases, slots, arrays, dtype=dtype, **numbers, **values)


def geometry(
    cost: int, temporary: int, items: Iterable[int], slots: Iterable[str], values: Mapping[str, int]
) -> Geometry:
    """Return the numbers that a kernel is called with."""
    return as_geometry([cost, temporary, *items, *(values[slot] for slot in slots)])


def run(source: Source, numbers: Geometry, *arrays: Array) -> None:
    """Call a kernel, with threads where that is worth it."""
    from hybrid.kernels import parallel

    call = loaded(source)[0]
    call(parallel.driver_address() if numbers[0] >= PARALLEL_NS else 0, numbers, *arrays)


def loaded(source: Source) -> tuple[Callable[..., None], tuple[int, ...]]:
    """The entry point of a kernel and its trampolines, loaded when they are first asked for."""
    from hybrid.kernels import kernel

    return kernel.load(source)[:2]
