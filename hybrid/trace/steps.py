"""A tree of segments as generated functions: what a launcher runs where Python asks for values.

One function a segment: it runs the Plan, commits, and calls the next one by the value at the guard.
They are made when a way is first taken; a value not met before goes back to the tracer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from hybrid.core.source import run_generated
from hybrid.core.tensor import Tensor
from hybrid.core.variable import Variable
from hybrid.errors import OutOfMemoryError
from hybrid.trace.concrete import ConcreteFunction
from hybrid.trace.meeting import follow
from hybrid.trace.returned_text import returned_text
from hybrid.trace.rounds import rounds
from hybrid.trace.segment import Failed, Segment
from hybrid.trace.signature import array_text, is_array
from hybrid.trace.sources import Derived, Environment, Local, commit, contents

Step = Callable[[Environment, tuple[Any, ...]], Any]


class Resume(NamedTuple):
    """What generated steps call where they come to an end.

    Attributes
    ----------
    trace : callable
        ``trace(segment, environment, args)`` after a segment whose guard has a new value.
    recover : callable
        ``recover(segment, environment, args, failed)`` where a segment has failed.
    may_follow : callable, optional
        Tells whether a segment may be run that hangs under a guard; the call is left to `trace`
        before one that may not.
    """

    trace: Callable[[Segment, Environment, tuple[Any, ...]], Any]
    recover: Callable[[Segment | None, Environment, tuple[Any, ...], Failed], Any]
    may_follow: Callable[[Segment], bool] | None = None


def tree_of_steps(
    concrete: ConcreteFunction, leaves: Sequence[Any], given: int, resume: Resume
) -> Callable[[tuple[Any, ...]], Any]:
    """Return the function that takes arguments through the tree.

    Parameters
    ----------
    concrete : ConcreteFunction
    leaves : sequence
        Arguments that lie in memory as those of all later calls; default values last.
    given : int
        How many of them are not default values.
    resume : Resume
    """
    defaults = tuple(leaves[given:])
    fetch = [array_text(leaf, f"args[{i}]") for i, leaf in enumerate(leaves) if is_array(leaf)]
    scope: dict[str, Any] = {"defaults": defaults, "array": np.asarray}
    assert concrete.root is not None
    scope["first"] = _step(concrete, concrete.root, resume)
    whole = "    args += defaults\n" if defaults else ""
    source = f"def run(args):\n{whole}    return first([{', '.join(fetch)}], args)\n"
    run_generated(source, "launcher", scope)
    run: Callable[[tuple[Any, ...]], Any] = scope["run"]
    return run


def _step(concrete: ConcreteFunction, segment: Segment, resume: Resume) -> Step:
    """Return the function of a segment; it is generated at its first call, which shows layouts."""
    made: list[Step] = []

    def first(env: Environment, args: tuple[Any, ...]) -> Any:
        if not made:
            made.append(_generated(concrete, segment, resume, env, args))
        return made[0](env, args)

    return first


def _generated(
    concrete: ConcreteFunction,
    segment: Segment,
    resume: Resume,
    env: Environment,
    args: tuple[Any, ...],
) -> Step:
    if segment.meeting is not None:
        return rounds(concrete, segment, resume)
    if segment.inputs:
        return _as_it_comes(concrete, segment, resume)
    sized = segment.sized(args)
    filled = [*env, *(contents(source, args) for source in segment.captured)]
    plan = sized.plan_for([filled[i] for i in segment.parameters])
    scope: dict[str, Any] = {"plan": plan.run, "commit": commit, "new": object.__new__}
    lines = ["def step(env, args):"]
    for i, source in enumerate(segment.captured):
        scope[f"c{i}"] = source
        if type(source) is Derived:
            scope[f"c{i}"] = source.read
            lines.append(f"    env.append(c{i}(args))")
        else:
            attribute = {Variable: "_tensor._data", Local: "contents"}.get(type(source), "_data")
            lines.append(f"    env.append(c{i}.{attribute})")
    run = f"env += plan({', '.join(f'env[{i}]' for i in segment.parameters)})"
    after = []
    for i, write in enumerate(segment.writes):
        scope[f"w{i}"] = write
        after.append(f"commit(w{i}, env, args)")
    for i, fill in enumerate(segment.fills):
        scope[f"f{i}"] = fill.run
        after.append(f"f{i}(env)")
    if segment.result is not None:
        scope |= {"build": sized.result.build, "Tensor": Tensor}
        made = returned_text(sized.result, lambda i: f"env[{i}]", "args", scope)
        lines_made, text = made or ([], "build(env, args)")
        after += [*lines_made, f"return {text}"]
    else:
        # Without a guard: there a trace broke off, which is taken up again.
        kind, index = segment.guard or (None, 0)
        scope |= {"kind": kind, "following": _following(concrete, segment, resume)}
        if segment.repeat is None:
            value = f"kind(env[{index}])" if kind else "None"
            after.append(f"return following[{value}](env, args)")
        else:
            scope |= {"decide": segment.decide, "Failed": Failed}
            after += ["try: value = decide(env, args)"]
            after += ["except Failed as error: failed = error"]
            after += ["else: return following[value](env, args)"]
    scope |= {"failure": segment.failure, "recover": resume.recover, "segment": segment}
    if segment.redoable:
        scope["OutOfMemoryError"] = OutOfMemoryError
        lines += ["    try:", f"        {run}"]
        lines += ["    except OutOfMemoryError: raise"]
        lines += ["    except Exception as error:", "        failed = failure(error, env)"]
        lines += ["    else:", *(f"        {line}" for line in after)]
    else:
        lines += [f"    {line}" for line in (run, *after)]
    if segment.redoable or segment.repeat is not None:
        lines.append("    return recover(segment, env, args, failed)")
    run_generated("\n".join(lines), "step", scope)
    step: Step = scope["step"]
    return step


def _as_it_comes(concrete: ConcreteFunction, segment: Segment, resume: Resume) -> Step:
    """Return the step of a segment whose Plan depends on sizes."""
    following = _following(concrete, segment, resume)

    def step(env: Environment, args: tuple[Any, ...]) -> Any:
        try:
            segment.run(env, args)
            value = None if segment.guard is None else segment.decide(env, args)
        except Failed as error:
            failed = error
        else:
            if segment.result is not None:
                return segment.sized(args).result.build(env, args)
            return following[value](env, args)
        return resume.recover(segment, env, args, failed)

    return step


def _following(concrete: ConcreteFunction, segment: Segment, resume: Resume) -> dict[Any, Step]:
    conditions = concrete.conditions

    def unknown(env: Environment, args: tuple[Any, ...]) -> Any:
        return resume.trace(segment, env, args)

    class Steps(dict[Any, Step]):
        def __missing__(self, value: Any) -> Step:
            child = follow(segment, value)
            # What was traced meanwhile may hold for other sizes only.
            if child is None or concrete.conditions is not conditions:
                return unknown
            if resume.may_follow is not None and not resume.may_follow(child):
                return unknown
            self[value] = step = _step(concrete, child, resume)
            return step

    return Steps()
