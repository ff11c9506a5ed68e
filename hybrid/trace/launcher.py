"""Launcher: the short way from a call to its Plan, for the calls that were seen before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from types import FunctionType
from typing import Any

import numpy as np

from hybrid.core.conditions import Condition
from hybrid.core.formula import NAMES, Input, input_formula, inputs_of, read, text
from hybrid.core.source import run_generated
from hybrid.core.tensor import Tensor
from hybrid.core.variable import Variable
from hybrid.errors import OutOfMemoryError
from hybrid.kernels.ticket import Ticket
from hybrid.runtime.donation import Donation
from hybrid.runtime.plan import Plan
from hybrid.trace.concrete import ConcreteFunction
from hybrid.trace.donating import Loan
from hybrid.trace.results import FromEnvironment, Result, SharedView
from hybrid.trace.returned_text import new_tensor, returned_text
from hybrid.trace.segment import Failed, Segment
from hybrid.trace.sharing import memory_of
from hybrid.trace.signature import Literal, array_text, is_array
from hybrid.trace.sources import Derived, Local, Write, commit, contents, overwrite_all, start
from hybrid.trace.steps import Resume, tree_of_steps
from hybrid.trace.templates import Template

VARIANTS = 8
"""At most, for calls with one key: they differ in ints, or in which arguments are one array."""
Replay = Callable[[tuple[Any, ...]], Any]


class Launcher:
    """A call without look-ups: for one segment its Plan, bound to its captures.

    Parameters
    ----------
    concrete : ConcreteFunction
    leaves : list
        The arguments of the call that is remembered, default values last.
    given : int
        How many of them were given.
    resume : Resume
    following : Launcher, optional
        Another one for calls with the same key, where ints that are no part of it decide.

    Attributes
    ----------
    apart : list of int
        Which of the arguments are arrays of which no two are one.
    clear : callable
        Tells what the key leaves open; `CLEAR` where that is nothing.
    simple : bool
        Whether that is nothing but the values of ints, and which arguments are one array.
    direct : tuple, optional
        The Plan and which leaves it takes, where a call does no more than that.
    times : int
        How often it has answered in Python.
    tickets : dict
        What native code is told of it, if it can be, by how many arguments were given by place and
        the names of the others.
    template : Template, optional
        What serves its sizes and others.
    """

    __slots__ = (
        "apart",
        "clear",
        "concrete",
        "direct",
        "following",
        "run",
        "simple",
        "template",
        "tickets",
        "times",
        "valid",
    )

    def __init__(
        self,
        concrete: ConcreteFunction,
        leaves: list[Any],
        given: int,
        resume: Resume,
        following: Launcher | None = None,
    ) -> None:
        self.concrete = concrete
        self.following = following
        self.times = 0
        self.tickets: dict[tuple[Any, ...], Ticket | None] = {}
        self.direct: tuple[Callable[..., Any], Sequence[int]] | None = None
        self.template: Template | None = None
        self.valid = concrete.unchanged()
        self.apart = _apart(concrete, leaves[:given])
        self.clear = _clear_of(concrete, leaves, given, self.apart)
        self.simple = not _conditions(concrete) and is_pure(concrete)
        segment = concrete.root
        assert segment is not None
        if segment.result is None or any(x.axis is None for x in segment.inputs):
            # Step by step; with another int it may be another Plan.
            self.run = tree_of_steps(concrete, leaves, given, resume)
            return
        environment = start(leaves)
        environment.extend(contents(source, leaves) for source in segment.captured)
        sized = segment.sized(leaves)
        arrays = [environment[i] for i in segment.parameters]
        plan = sized.plan_for(arrays)
        self.template = sized.template_for(arrays)
        self.run = _launcher(segment, sized.result, plan, leaves, given, resume.recover)
        arrays_at = [i for i, leaf in enumerate(leaves) if is_array(leaf)]
        if given == len(leaves) and _is_its_plan(segment, sized.result, plan, len(arrays_at)):
            self.direct = plan.run, [arrays_at[i] for i in segment.parameters]


def _is_its_plan(segment: Segment, result: Result, plan: Plan, first: int) -> bool:
    """Tell whether a call is nothing but the Plan, which may be run again if it fails."""
    bare = not (segment.captured or segment.writes or plan.donations)
    return bare and segment.redoable and _is_one_tensor(result, first)


def chain_of(launcher: Launcher | None) -> Iterator[Launcher]:
    """Yield a launcher and those that follow it."""
    while launcher is not None:
        yield launcher
        launcher = launcher.following


def CLEAR(args: tuple[Any, ...]) -> bool:
    """Tell of a call whose key leaves nothing open that it may be answered."""
    return True


def _clear_of(
    concrete: ConcreteFunction, leaves: list[Any], given: int, apart: list[int]
) -> Callable[[tuple[Any, ...]], bool]:
    """Return a function that tells what the key leaves open: whether the trace holds for the ints,
    whether the same arguments are one array, and whether memory that is written in place is shared.
    """
    tests = [
        f"({condition.text(lambda x: place_of(x, leaves, given))})"
        for condition in _conditions(concrete)
    ]
    for i, key in enumerate(concrete.signature.leaves[:given]):
        if isinstance(key, Literal) and key.kind is int:
            tests.append(f"args[{i}] == {key.value}")
    scope: dict[str, Any] = {"entangled": concrete.entangled} | NAMES
    for first, *others in concrete.signature.aliases:
        tests += [f"args[{first}] is args[{i}]" for i in others]
    if not is_pure(concrete):
        scope["rest"] = rest = leaves[given:]
        arrays = [i for i, x in enumerate(leaves[:given]) if memory_of(x) is not None]
        if len(arrays) > 1:
            scope["arrays"] = itemgetter(*arrays)
            tests.append(f"len({{*map(id, arrays(args))}}) == {len(arrays)}")
        tests.append("not entangled([*args, *rest])" if rest else "not entangled(args)")
    elif len(apart) == 2:
        tests.append(f"args[{apart[0]}] is not args[{apart[1]}]")
    elif apart:
        names = ", ".join(f"id(args[{i}])" for i in apart)
        tests.append(f"len({{{names}}}) == {len(apart)}")
    if not tests:
        return CLEAR
    run_generated(f"clear = lambda args: {' and '.join(tests)}", "launcher", scope)
    clear: Callable[[tuple[Any, ...]], bool] = scope["clear"]
    return clear


def _apart(concrete: ConcreteFunction, leaves: list[Any]) -> list[int]:
    """Return which arrays among the leaves are several ones: ``x is y`` was no in the trace."""
    again = {i for _, *others in concrete.signature.aliases for i in others}
    arrays = (i for i, x in enumerate(leaves) if isinstance(x, Tensor | np.ndarray))
    found = [i for i in arrays if i not in again]
    return found if len(found) > 1 else []


def _conditions(concrete: ConcreteFunction) -> list[Condition]:
    """Return the conditions that ints decide, which are no part of a key."""
    found = concrete.conditions
    return [c for c in found if any(x.axis is None for x in inputs_of(c.formula))]


def is_pure(concrete: ConcreteFunction) -> bool:
    """Tell whether nothing is written in place: then it matters little what shares memory."""
    return all(map(_only_rebinds, concrete.segments))


def _launcher(
    segment: Segment,
    result: Result,
    plan: Plan,
    leaves: list[Any],
    given: int,
    recover: Callable[..., Any],
) -> Replay:
    """Return the function that goes from arguments to results without any decision.

    What is generated for one size serves the others, where nothing in it is theirs.
    """
    shared = given == len(leaves) and not plan.donations
    key = (given, *map(type, leaves))
    run = segment.launchers.get(key) if shared else None
    if run is None:
        run = generated(segment, plan.donations, leaves, given)
        if shared:
            segment.launchers[key] = run
    # `recover` holds the trace, which would hold itself if this were kept with the rest.
    defaults = plan.run, result.build, recover
    return FunctionType(run.__code__, run.__globals__, "run", defaults)


def generated(
    segment: Segment, donations: tuple[Donation, ...], leaves: list[Any], given: int
) -> FunctionType:
    """Return ``run(args, plan, build, recover)``, which serves all sizes.

    Parameters
    ----------
    segment : Segment
    donations : tuple of Donation
        Of the Plan.
    leaves : list
        The arguments of a call, default values last.
    given : int
        How many of them were given.
    """
    result = segment.result
    assert result is not None
    scope: dict[str, Any] = {"Tensor": Tensor, "new": object.__new__, "array": np.asarray} | NAMES
    fetch = []
    for i, leaf in enumerate(leaves):
        if is_array(leaf):
            name = f"args[{i}]" if i < given else f"d{i}"
            scope[f"d{i}"] = leaf if i >= given else None
            fetch.append(array_text(leaf, name))
    for i, source in enumerate(segment.captured):
        if type(source) is Derived:
            fetch.append(text(source.formula, lambda x: place_of(x, leaves, given)))
            continue
        scope[f"c{i}"] = source
        attribute = {Variable: "_tensor._data", Local: "contents"}.get(type(source), "_data")
        fetch.append(f"c{i}.{attribute}")
    first = len(fetch)
    call = ", ".join(fetch[i] for i in segment.parameters)
    scope["defaults"] = tuple(leaves[given:])
    arguments = "args" if given == len(leaves) else "(*args, *defaults)"
    returned = {x.index for x in result.leaves if isinstance(x, FromEnvironment | SharedView)}
    # Where a result is what was there before, it has to be copied from there.
    in_order = not _only_rebinds(segment) and min(returned, default=first) < first
    after = _after(segment, result, first, given, in_order, arguments, scope)
    if not after or not after[-1].startswith("return "):
        # Before the writes: a result may be what a Variable held until now.
        kept = (x if in_order or i in returned else "None" for i, x in enumerate(fetch))
        after.insert(0, f"env = [{', '.join((*kept, '*out'))}]")
        after.append(f"return build(env, {arguments})")
    lent = [] if in_order else _lent(segment, donations, returned, first, given)
    if lent:
        scope["Loan"] = Loan
        call += f"{', ' if call else ''}give=loan"
    if segment.redoable:
        scope |= {"Failed": Failed, "OutOfMemoryError": OutOfMemoryError}
        lines = ["try:", f"    out = plan({call})"]
        lines += ["except OutOfMemoryError: raise", "except Exception as error:"]
        lines += ["    if loan.begun: raise"] * bool(lent) + ["    failed = Failed(error)"]
        lines += ["else:", *(f"    {line}" for line in after)]
        lines.append(f"return recover(None, [], {arguments}, failed)")
    else:
        lines = [f"out = plan({call})", *after]
    if lent:
        lines = ["try:", *(f"    {line}" for line in lines), "finally:", "    loan.end()"]
        lines.insert(0, f"loan = Loan(({', '.join(lent)},))")
    lines = ["def run(args, plan, build, recover):", *(f"    {line}" for line in lines)]
    run_generated("\n".join(lines), "launcher", scope)
    run: FunctionType = scope.pop("run")
    return run


def _only_rebinds(segment: Segment) -> bool:
    return all(write.rebind for write in segment.writes)


def _after(
    segment: Segment,
    result: Result,
    first: int,
    given: int,
    in_order: bool,
    arguments: str,
    scope: dict[str, Any],
) -> list[str]:
    """Write what follows the Plan: the writes, and the result where it is one Tensor."""
    lines = []
    for i, write in enumerate(w for w in segment.writes if w.rebind):
        scope[f"w{i}"] = write.target
        lines += [*new_tensor("t", f"out[{write.index - first}]"), f"w{i}._tensor = t"]
    rest = [write for write in segment.writes if not write.rebind]
    if in_order:
        scope |= {"commit": commit, "rest": rest}
        arguments = "(*args, *defaults)"
        return [*lines, "for write in rest:", f"    commit(write, env, {arguments})"]
    scope["overwrite_all"] = overwrite_all
    pairs = []
    for i, write in enumerate(rest):
        scope[f"r{i}"] = write.target
        pairs += [_target(write, i, given), f"out[{write.index - first}]"]
    if pairs:
        lines.append(f"overwrite_all({', '.join(pairs)})")
    if segment.result_is_sized:  # other objects for other sizes
        return lines
    made = returned_text(
        result, lambda i: f"out[{i - first}]" if i >= first else None, arguments, scope
    )
    if made is not None:
        lines += [*made[0], f"return {made[1]}"]
    return lines


def _target(write: Write, number: int, given: int) -> str:
    """Write what is written in place."""
    if type(write.target) is int:
        return f"args[{write.target}]" if write.target < given else f"d{write.target}"
    return f"r{number}._tensor" if isinstance(write.target, Variable) else f"r{number}"


def _lent(
    segment: Segment,
    donations: tuple[Donation, ...],
    returned: set[int],
    first: int,
    given: int,
) -> list[str]:
    """Write what a Plan may overwrite, one for each of its donations."""
    texts = {}
    for rebind in (True, False):
        for i, write in enumerate(w for w in segment.writes if w.rebind is rebind):
            texts[write.index - first] = f"w{i}" if rebind else _target(write, i, given)
    found = []
    for donation in donations:
        old = segment.parameters[donation.parameter.number]
        found.append("None" if old in returned else texts[donation.output])
    return [] if set(found) == {"None"} else found


def place_of(unknown: Input, leaves: list[Any], given: int) -> str:
    """Write where an unknown number is: among the arguments, or known from a default value."""
    return unknown.place if unknown.leaf < given else str(read(input_formula(unknown))(leaves))


def _is_one_tensor(result: Result, first: int) -> bool:
    return (
        len(result.leaves) == 1
        and result.tree.num_nodes == 1
        and result.leaves[0] == FromEnvironment(first, False)
    )
