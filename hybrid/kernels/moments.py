"""Sums of deviations that are added up in the sweep that finds their centre.

``sum((x - c) ** 2)`` with a `c` that a sum over the same elements gives would take a second sweep
over them. Shifted data need one: with ``d = x - s`` for a shift `s` near the mean, a block of `n`
elements with ``a = sum(d)`` has the mean ``s + a / n`` and the squared deviations
``sum(d * d) - a * a / n`` from it. The shift of the first block is the mean of some elements, of a
later block the mean of the one before: where that is far from a block's mean, the distance is part
of the result itself, so that little is lost. Blocks are put together by Chan's formula, and so is
what is wanted of `c` made of the whole (Chan, Golub, LeVeque: Algorithms for computing the sample
variance, 1983).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from hybrid.kernels.region import Instr
from hybrid.records import dataclass

# Elements of which the mean is the first shift, and from how many on a sum is added up so.
SAMPLE = 64
LEAST = 512


@dataclass(frozen=True, slots=True)
class Moment:
    """Two reductions, as numbers of values like `x` and `centre`.

    `squares` adds up ``(x - centre) ** 2``, those of `plain` (there may be none) ``x - centre``.
    `total`, if it is not None, is the sum of `x` that only the centre reads.
    """

    squares: int
    plain: tuple[int, ...]
    x: int
    centre: int
    total: int | None = None

    @property
    def values(self) -> tuple[int, ...]:
        """The reductions."""
        return (self.squares, *self.plain)


def find_moments(
    inputs: int,
    body: Sequence[Instr],
    outputs: Collection[int],
    outer: frozenset[int],
    level: Sequence[int],
) -> tuple[Moment, ...]:
    """The sums of a region that can be had one sweep earlier: before their centre is known."""
    squares: dict[tuple[int, int], int] = {}
    plain: dict[tuple[int, int], tuple[int, ...]] = {}
    for number, instr in enumerate(body, inputs):
        if instr.kind != "reduce" or instr.expr != "sum" or not instr.dtype.startswith("float"):
            continue
        root = _squared(instr.args[0], inputs, body, instr.dtype)
        pair = _difference(instr.args[0] if root is None else root, inputs, body, instr.dtype)
        if pair is None:
            continue
        x, centre = pair
        if x in outer or centre not in outer or level[centre] != level[x] + 1:
            continue
        if x >= inputs and body[x - inputs].dtype != instr.dtype:
            continue
        if root is None:
            plain[pair] = (*plain.get(pair, ()), number)
        else:
            squares.setdefault(pair, number)
    found = (
        Moment(number, plain.get((x, centre), ()), x, centre)
        for (x, centre), number in squares.items()
    )
    return tuple(replace(moment, total=_total(moment, inputs, body, outputs)) for moment in found)


def _total(
    moment: Moment, inputs: int, body: Sequence[Instr], outputs: Collection[int]
) -> int | None:
    """The sum of the elements that those of deviations give, if all that reads it is them.

    With an infinity among the elements it is NaN, as the deviations are either way.
    """
    users: dict[int, list[int]] = {}
    for number, instr in enumerate(body, inputs):
        for arg in instr.args:
            if isinstance(arg, int):
                users.setdefault(arg, []).append(number)
    centre = body[moment.centre - inputs] if moment.centre >= inputs else None
    if centre is None or centre.expr != "{0} / {1}" or not isinstance(centre.args[0], int):
        return None
    total, dtype = centre.args[0], body[moment.squares - inputs].dtype
    found = body[total - inputs] if total >= inputs else None
    if found is None or (found.kind, found.expr, found.args) != ("reduce", "sum", (moment.x,)):
        return None
    if {found.dtype, centre.dtype} != {dtype}:
        return None
    deviations = users[moment.centre]
    if any(_difference(x, inputs, body, dtype) != (moment.x, moment.centre) for x in deviations):
        return None
    readers = {reader for value in deviations for reader in users.get(value, ())}
    squared = readers - set(moment.plain)
    if any(_squared(x, inputs, body, dtype) not in deviations for x in squared):
        return None
    ends = {moment.squares, *moment.plain}
    chain = [(total, {moment.centre}), (moment.centre, set(deviations))]
    chain += [(value, readers) for value in deviations] + [(value, ends) for value in squared]
    alone = all(
        value not in outputs and readers >= set(users.get(value, ())) for value, readers in chain
    )
    return total if alone else None


def _squared(arg: object, inputs: int, body: Sequence[Instr], dtype: str) -> object:
    """What a value is the square of, None if it is none."""
    instr = _instruction(arg, inputs, body, dtype)
    if instr is None:
        return None
    alike = instr.expr == "{0} * {1}" and instr.args[0] == instr.args[1]
    return instr.args[0] if alike or instr.expr in ("square({0})", "{0} * {0}") else None


def _difference(
    arg: object, inputs: int, body: Sequence[Instr], dtype: str
) -> tuple[int, int] | None:
    """The two values that a value is the difference of."""
    instr = _instruction(arg, inputs, body, dtype)
    if instr is None or instr.expr != "{0} - {1}":
        return None
    x, centre = instr.args
    return (x, centre) if isinstance(x, int) and isinstance(centre, int) else None


def _instruction(arg: object, inputs: int, body: Sequence[Instr], dtype: str) -> Instr | None:
    if not isinstance(arg, int) or arg < inputs:
        return None
    instr = body[arg - inputs]
    return instr if instr.kind == "map" and instr.dtype == dtype else None
