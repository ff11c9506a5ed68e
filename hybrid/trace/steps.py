"""A tree of segments as generated functions: what a launcher runs where Python asks for values.

One function a segment: it runs the Plan, commits, and calls the next one by the value at the guard.
They are made when a way is first taken; a value not met before goes back to the tracer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hybrid.core.source import run_generated
from hybrid.core.tensor import Tensor
from hybrid.core.variable import Variable
from hybrid.trace.concrete import ConcreteFunction
from hybrid.trace.segment import Derived, Environment, Local, Segment, commit, contents
from hybrid.trace.signature import is_array

Step = Callable[[Environment, tuple[Any, ...]], Any]
Resume = Callable[[Segment, Environment, tuple[Any, ...]], Any]


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
    resume : callable
        Takes the last segment that ran, the environment and the arguments, where a guard had a new
        value.
    """
    defaults = tuple(leaves[given:])
    fetch = [
        f"args[{i}]._data" if type(leaf) is Tensor else f"args[{i}]"
        for i, leaf in enumerate(leaves)
        if is_array(leaf)
    ]
    scope: dict[str, Any] = {"defaults": defaults}
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
    if segment.inputs:  # the Plan depends on the sizes of each call
        return _sized_each_time(concrete, segment, resume)
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
    if segment.history:
        scope["unwind"] = segment.unwind
        lines += ["    try:", f"        {run}"]
        lines += ["    except Exception:", "        unwind(env, args)", "        raise"]
    else:
        lines.append(f"    {run}")
    for i, write in enumerate(segment.writes):
        scope[f"w{i}"] = write
        lines.append(f"    commit(w{i}, env, args)")
    if segment.result is not None:
        scope["build"] = sized.result.build
        lines.append("    return build(env, args)")
    else:
        # Without a guard: there a trace broke off, which is taken up again.
        kind, index = segment.guard or (None, 0)
        scope |= {"kind": kind, "following": _following(concrete, segment, resume)}
        value = f"kind(env[{index}])" if kind else "None"
        if segment.repeat is not None:
            scope["decide"], value = segment.decide, "decide(env, args)"
        lines.append(f"    return following[{value}](env, args)")
    run_generated("\n".join(lines), "step", scope)
    step: Step = scope["step"]
    return step


def _sized_each_time(concrete: ConcreteFunction, segment: Segment, resume: Resume) -> Step:
    following = _following(concrete, segment, resume)

    def step(env: Environment, args: tuple[Any, ...]) -> Any:
        segment.run(env, args)
        if segment.result is not None:
            return segment.sized(args).result.build(env, args)
        return following[segment.decide(env, args)](env, args)

    return step


def _following(concrete: ConcreteFunction, segment: Segment, resume: Resume) -> dict[Any, Step]:
    conditions = concrete.conditions

    def unknown(env: Environment, args: tuple[Any, ...]) -> Any:
        return resume(segment, env, args)

    class Steps(dict[Any, Step]):
        def __missing__(self, value: Any) -> Step:
            child = segment.children.get(value)
            # What was traced meanwhile may hold for other sizes only.
            if child is None or concrete.conditions is not conditions:
                return unknown
            self[value] = step = _step(concrete, child, resume)
            return step

    return Steps()
