"""Rolling: what a Python loop recorded step by step becomes one loop node again.

A trace unrolls the loops of Python. Where it then repeats itself, the same nodes connected in the
same way, one `scan` whose body is one repetition takes their place: it is compiled once and runs in
native code. The arithmetic and its order stay the same, and so do the results, bit for bit.

What a step reads is a literal or a value from before the loop, the same at each step; a result of
the step itself; or a result of an earlier step, which is then carried. Where slices move evenly
from step to step, the loop counts its steps; literals that differ are a row of an array. Nodes are
compared with the step before, never with a pattern, so that the time this takes grows with their
number only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate

from hybrid.core.graph import (
    Builder,
    Const,
    FuncGraph,
    Node,
    Operand,
    Value,
)
from hybrid.trace.passes import dead_code
from hybrid.trace.passes.likeness import EXACT, MOVING, Likeness, codes
from hybrid.trace.passes.loops import Loop, Past, Position, Step, emit
from hybrid.trace.passes.places import Places
from hybrid.trace.passes.repeats import periods
from hybrid.trace.passes.shortening import SHOWN, Shortened, depth_of, shortened

TIMES = 8
"""A loop of fewer steps stays unrolled."""
FEW, MANY = 64, 512
"""What is rolled has at least FEW nodes; MANY if all of a step fuses with the next one.

A chain of elementwise ops is one kernel and one way through memory when it is unrolled, which is
worth more than a short compilation; a step that writes, multiplies matrices or reduces has kernels
of its own either way. Steps with loops in them are always worth it.
"""
BACK = 4
"""How many steps back a value may have been made."""
NESTS = 3
"""How deep loops in loops are rolled."""


def run(graph: FuncGraph) -> FuncGraph:
    """Roll the repetitions of a graph into loops, inner ones first."""
    deep = max(map(depth_of, graph.nodes), default=0)
    if not deep and not _may_repeat(graph):
        return graph
    live = dead_code.run(graph)
    rolled = live
    for depth in range(1, deep + 1):
        rolled = _joined(rolled, depth)
    for _ in range(NESTS):
        for like in (EXACT, MOVING):
            new = _rolled(rolled, like)
            if new is not rolled:
                break
        else:
            break
        rolled = new
    return graph if rolled is live else rolled


def _may_repeat(graph: FuncGraph) -> bool:
    """Tell soon whether enough nodes are of ops that come often enough, or a loop is among them."""
    count = Counter(node.op for node in graph.nodes)
    often = sum(n for n in count.values() if n >= TIMES)
    return often >= FEW or (often >= TIMES and any(op.bodies for op in count))


def _joined(graph: FuncGraph, depth: int) -> FuncGraph:
    """Let loops whose steps were not recorded have the steps before and after them as well."""
    rolled = {n: _with_rolled_body(n) for n in graph.nodes if depth_of(n) == depth}
    graph = replace(graph, nodes=tuple(rolled.get(n, n) for n in graph.nodes))
    chosen = [n for n in rolled.values() if n.attrs["length"] > SHOWN]
    while chosen:
        short, parts = shortened(graph, chosen)
        loops, places = _loops(short, EXACT, parts)
        found = {
            part.loop
            for part in parts
            if any(part.within(x.start, x.stop, x.period) for x in loops)
        }
        if places and len(found) == len(chosen):
            return _emitted(short, places, loops)
        chosen = [n for n in chosen if n in found]
    return graph


def _with_rolled_body(node: Node) -> Node:
    body: FuncGraph = dead_code.run(node.attrs["body"])
    return replace(node, attrs={**node.attrs, "body": run(body)})


# --- finding loops --------------------------------------------------------------------------------


def _rolled(graph: FuncGraph, like: Likeness) -> FuncGraph:
    loops, places = _loops(graph, like, ())
    return _emitted(graph, places, loops) if places and loops else graph


def _loops(
    graph: FuncGraph, like: Likeness, parts: Sequence[Shortened]
) -> tuple[list[Loop], Places | None]:
    """Find the loops in a graph, parts of which are shown as fewer steps than there are."""
    places: Places | None = None
    # Other results of early steps are better made one by one than stacked and taken apart again.
    stacked = {x for n in graph.nodes if n.op.name == "stack" for x in n.inputs}
    loops: list[Loop] = []

    def free() -> int:
        return len(graph.nodes) - sum(loop.stop - loop.start for loop in loops)

    for start, stop, period in periods(codes(graph, like), TIMES, free):
        if any(start < loop.stop and loop.start < stop for loop in loops):
            continue
        done = start
        places = Places.of(graph, like) if places is None else places
        for begin, end in _regular(places, start, stop, period):
            loop = _loop(places, stacked, (max(begin, done), end), done, period, parts)
            if loop is not None:
                loops.append(loop)
                done = loop.stop
    return loops, places


def _emitted(graph: FuncGraph, places: Places, loops: list[Loop]) -> FuncGraph:
    """Return a graph with loops in the place of their steps."""
    builder, done = Builder(), 0
    for loop in sorted(loops, key=lambda loop: loop.start):
        builder.nodes += graph.nodes[done : loop.start]
        emit(builder, places, loop)
        done = loop.stop
    builder.nodes += graph.nodes[done:]
    return replace(graph, nodes=tuple(builder.nodes))


def _regular(places: Places, start: int, stop: int, period: int) -> list[tuple[int, int]]:
    """Return the parts of a run all of whose operands repeat too, and whose slices move evenly."""
    found = []
    begin = start
    broken = set(places.broken(start, stop, period))
    steady = range(start, stop - 2 * period)
    uneven = {i for i in steady if places.numbers[i] and not places.is_steady(i, period)}
    for i in sorted(broken | uneven):
        found.append((begin, i + (period if i in broken else 2 * period)))
        begin = i + 1
    found.append((begin, stop))
    return [(a, b) for a, b in found if b - a >= TIMES * period]


def _loop(
    places: Places,
    stacked: set[Operand],
    regular: tuple[int, int],
    low: int,
    period: int,
    parts: Sequence[Shortened],
) -> Loop | None:
    """Return the loop in a regular run: with few carries, and from its very first step on."""
    start, stop = regular
    missing = sum(part.missing for part in parts if part.within(start, stop, period))
    if missing + stop - start < enough(places.nodes[start : start + period]):
        return None
    start += _cut(places, start, stop, period, (low - start) % period)
    stop -= (stop - start) % period
    if stop - start < TIMES * period:
        return None
    step = _step(places, stop - period, period)
    pasts = {past for row in step for past in row if past is not None}
    if any(past.back > BACK for past in pasts):
        return None
    early: set[Position] = set()
    for position, v in _read_later(places, (start, stop - BACK * period), start, stop, period):
        if v not in stacked:
            return None
        early.add(position)
    after = _after(places, early, stop, period)
    first: dict[Past, Value] = {}
    for past in pasts:
        for back in range(1, past.back + 1):
            made = places.nodes[start + past.node - back * period]
            first[replace(past, back=back)] = made.outputs[past.output]
    while start - period >= low:
        earlier = _earlier(places, start - period, period, step, first)
        before = start - period
        late = _read_later(places, (before, start), before, stop, period)
        if earlier is None or any(position not in early for position, _ in late):
            break
        start, first = before, earlier
    rows: dict[Position, list[tuple[int, Value]]] = {position: [] for position in sorted(early)}
    for i in range(start, stop) if early else ():
        for j, v in enumerate(places.nodes[i].outputs):
            position = (i - start) % period, j
            if position in early and places.last_read(v) >= stop:
                rows[position].append(((i - start) // period, v))
    missing = sum(part.missing for part in parts if part.within(start, stop, period))
    if rows and missing:
        return None
    loop = Loop(start, stop, period, step, first, after, rows, missing // period)
    handed_on = {(past.node, past.output) for past in loop.carries()} | early
    results = (places.nodes[stop - period + i].outputs[j] for i, j in handed_on)
    return None if any(v.spec.weak for v in results) else loop


def _step(places: Places, begin: int, period: int) -> Step:
    """Return what the step at `begin`, which is not the first, reads of earlier ones."""
    found: Step = []
    for i in range(begin, begin + period):
        before = places.nodes[i - period].inputs
        pairs = zip(places.nodes[i].inputs, before, strict=True)
        found.append(tuple(None if x is y else _past(places, x, begin, period) for x, y in pairs))
    return found


def _past(places: Places, x: Operand, begin: int, period: int) -> Past | None:
    made = places.made(x)
    if made is None or made[0] >= begin:
        return None
    back = -((made[0] - begin) // period)
    return Past(made[0] - begin + back * period, made[1], back)


def _after(places: Places, early: set[Position], stop: int, period: int) -> dict[Past, Value]:
    """Return what the last steps make that is read after the loop, but for what is stacked."""
    found: dict[Past, Value] = {}
    for i in range(stop - BACK * period, stop):
        for j, v in enumerate(places.nodes[i].outputs):
            if places.last_read(v) >= stop and ((i - stop) % period, j) not in early:
                found[Past((i - stop) % period, j, -((i - stop) // period))] = v
    return found


def _read_later(
    places: Places,
    part: tuple[int, int],
    start: int,
    stop: int,
    period: int,
) -> Iterator[tuple[Position, Value]]:
    """Yield which results of some nodes of a loop from `start` to `stop` are read after it."""
    for i, j, v in places.read_from(part, stop):
        yield ((i - start) % period, j), v


def _earlier(
    places: Places, begin: int, period: int, step: Step, first: dict[Past, Value]
) -> dict[Past, Value] | None:
    """Return what the past is before the step at `begin`, if the loop can begin with it.

    What is read of the past there may be anything that was made before, such as an argument.
    """
    found: dict[Past, Value] = {}
    if not all(places.is_steady(i, period) for i in range(begin, begin + period)):
        return None
    for known, value in first.items():
        if known.back > 1:
            found[replace(known, back=known.back - 1)] = value
        elif places.nodes[begin + known.node].outputs[known.output] is not value:
            return None
    for i, row in zip(range(begin, begin + period), step, strict=True):
        pairs = zip(places.nodes[i].inputs, places.nodes[i + period].inputs, row, strict=True)
        for x, y, past in pairs:
            if past is None:
                if not places.follows(x, y, period):
                    return None
            elif (
                isinstance(x, Const)
                or (places.made(x) or (-1, 0))[0] >= begin
                or found.setdefault(past, x) is not x
            ):
                return None
    return found


def enough(step: Sequence[Node]) -> int:
    """Return how many nodes a loop of such steps must save; see FEW."""
    if all(node.op.scalar is not None or node.op.view is not None for node in step):
        return MANY
    return 0 if any(node.op.bodies for node in step) else FEW


def _cut(places: Places, start: int, stop: int, period: int, likely: int) -> int:
    """Return where in a run its steps should begin: where the fewest bytes are carried.

    Of several such places it is the one that is `likely`, where the repetition itself begins.
    """
    middle = start + (stop - start) // period // 2 * period
    change = [0] * (2 * period + 1)
    for i in range(middle - period, middle + period):
        for v in places.nodes[i].outputs:
            begin = max(i + 1 - middle, 0)
            read = places.last_read(v)
            end = min((i if read < 0 else read) - middle, 2 * period - 1)
            if end >= begin and begin < period:
                change[begin] += v.spec.nbytes
                change[end + 1] -= v.spec.nbytes
    carried = list(accumulate(change[:period]))
    least = min(carried)
    return likely if carried[likely] == least else carried.index(least)
