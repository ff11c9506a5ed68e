"""Values that wait for a later pass where a result will lie.

What a function gave in one sweep over a row is wanted by a later one. It waits in the row of the
result that this one stores, if there is such a row: each element is read just before it is stored
over. So the lines of the result come while functions are computed, one after the other as they are
stored to, which the processor foresees. ``softmax`` of 1,000 rows of 1,000 float32 takes 455 ns a
row so, 560 where a scratch row keeps the values and the lines of the result are asked for at once.
"""

from __future__ import annotations

import functools
from collections.abc import Set

from hybrid.kernels.spec import (
    Dataflow,
    KernelSpec,
    arguments,
    dataflow,
    inner_closure,
    is_heavy,
    pass_roots,
)


@functools.lru_cache(maxsize=4096)
def lent_rows(spec: KernelSpec) -> dict[int, int]:
    """The values that wait in rows of results, with the numbers of these.

    A result may be the memory of an input. So no input may be read once values wait, and those that
    are read in the same pass must be what a value is computed from: nothing but the data tells that
    one is read before the other is stored. Where there are moments, a pass reads a sample first.
    """
    flow = dataflow(spec)
    if spec.form != "rows" or spec.split or spec.moments:
        return {}
    passes = [inner_closure(spec, flow.outer, _roots(spec, flow, n)) for n in range(flow.passes)]
    wanted = flow.saved or _worth_a_row(spec, flow, passes)
    if not wanted:
        return {}
    saving = next(number for number, values in enumerate(passes) if wanted & set(values))
    saved = wanted & set(passes[saving])
    if _reads_after(spec, flow, saving, saved):
        return {}
    inputs = set(range(len(spec.inputs)))
    free = [index for index in flow.inner_outputs if spec.outputs[index][1].inner == "1"]
    found: dict[int, int] = {}
    for value in sorted(saved):
        own = set(inner_closure(spec, flow.outer, {value}))
        if not (inputs & set(passes[saving]) <= own and inputs <= _behind(spec, {value}, set())):
            continue
        for index in free:
            if spec.outputs[index][1].dtype == spec.body[value - len(inputs)].dtype:
                found[value] = index
                free.remove(index)
                break
    return found


def _worth_a_row(spec: KernelSpec, flow: Dataflow, passes: list[list[int]]) -> frozenset[int]:
    """What the last pass wants of one that computes functions, though it is no function itself.

    Not to read the input again is little, but the lines of the result come meanwhile.
    """
    for number in range(max(flow.store_pass, 0)):
        instrs = {
            value: spec.body[value - len(spec.inputs)]
            for value in passes[number]
            if value >= len(spec.inputs)
        }
        if any(map(is_heavy, instrs.values())):
            before = set().union(*passes[:number])
            both = instrs.keys() & set(passes[flow.store_pass]) - before
            return frozenset(sorted(both)[-1:])
    return frozenset()


def _roots(spec: KernelSpec, flow: Dataflow, number: int) -> set[int]:
    return pass_roots(spec, flow.reduces, flow.inner_outputs, flow.store_pass, number)


def _reads_after(spec: KernelSpec, flow: Dataflow, saving: int, saved: Set[int]) -> bool:
    """Whether an input is read after a pass that saves values."""
    wanted = {spec.outputs[index][0] for index in flow.outer_outputs}
    for number in range(saving + 1, flow.passes):
        wanted |= _roots(spec, flow, number)
    count = len(spec.inputs)
    reduced = {n for n, instr in enumerate(spec.body, count) if instr.kind == "reduce"}
    return any(value < count for value in _behind(spec, wanted, saved | reduced))


def _behind(spec: KernelSpec, values: Set[int], known: Set[int]) -> set[int]:
    """``values`` and what they are computed from, as far as what is `known`."""
    found, pending = set[int](), [value for value in values if value not in known]
    while pending:
        value = pending.pop()
        found.add(value)
        if value >= len(spec.inputs):
            new = arguments(spec.body[value - len(spec.inputs)])
            pending += [x for x in new if x not in known and x not in found]
    return found
