"""What is told about a compiled function: why it was traced, why again, why it runs eagerly."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hybrid.core.conditions import Condition
from hybrid.core.source import warn_user
from hybrid.core.tracelog import counted
from hybrid.errors import EagerFallbackWarning, RetraceWarning, SideEffectWarning
from hybrid.runtime.plan import Plan, format_bytes
from hybrid.trace.background import PendingPlan
from hybrid.trace.concrete import ConcreteFunction
from hybrid.trace.effects import Effect
from hybrid.trace.segment import Segment
from hybrid.trace.signature import Identity, Signature, difference
from hybrid.trace.templates import Templates
from hybrid.trace.tracer import EagerFrom
from hybrid.trace.traces import Traces

MOST_CONDITIONS = 2  # that are written out for a Plan that serves many sizes
MOST_OF_A_TRACE = 8  # a function that calls itself on halves of its argument has hundreds


def explain(name: str, hits: int, misses: int, concretes: Sequence[ConcreteFunction]) -> str:
    """Say in words what was traced, why again, and what runs eagerly."""
    kept = len(concretes)
    made = counted(misses, "trace")
    dropped = f" ({kept} kept)" if kept != misses else ""
    lines = [f"{name}: {made}{dropped}, {counted(hits, 'call')} replayed"]
    for number, concrete in enumerate(concretes, 1):
        lines.append(f"{number}. {name}{concrete.signature}")
        lines.append(f"   traced because {concrete.reason}")
        if concrete.conditions:
            lines.append(f"   holds where {_shortest(concrete.conditions)}")
        segments = concrete.segments
        nodes = counted(sum(len(s.graph.nodes) for s in segments), "node")
        lines.append(f"   {nodes} in {counted(len(segments), 'segment')}")
        lines += [f"   {text}" for text in _loops(segments)]
        plans = [list(s.plans.values())[-1] for s in segments if s.plans]
        if plans:
            lines.append(f"   {_work(plans)}")
        lines += [f"   {text}" for s in segments if s.templates for text in _sizes(s.templates)]
        if concrete.fallback is not None:
            lines.append(f"   runs eagerly: {concrete.fallback}")
        elif names := concrete.changed():
            lines.append(f"   out of date: {', '.join(names)} changed; the next call retraces")
    return "\n".join(lines)


def _shortest(conditions: Sequence[Condition]) -> str:
    """Write out conditions in their order: those of the shortest texts, where they are many."""
    texts = [str(c) for c in conditions]
    shown = sorted(sorted(range(len(texts)), key=lambda i: len(texts[i]))[:MOST_OF_A_TRACE])
    more = len(texts) - len(shown)
    text = ", ".join(texts[i] for i in shown)
    return text + (f" and {counted(more, 'condition')} more" if more else "")


def _loops(segments: Sequence[Segment]) -> list[str]:
    """Say which loops of Python's run in native code."""
    repeats = [s.repeat for s in segments if s.repeat is not None]
    free = sum(not x.grows for x in repeats)
    lines = [f"{counted(free, 'segment')} repeated as a loop while Python says so"] if free else []
    ways = sum(s.cycle is not None for s in segments)
    if ways:
        lines.append(f"{counted(ways, 'way')} through several questions gone as a loop")
    for repeat in repeats:
        if repeat.bound is not None and repeat.grows:
            lines.append(f"a loop of up to {counted(repeat.bound.most, 'step')}, as Python took it")
    return lines


def _sizes(templates: Templates) -> list[str]:
    """Say for which sizes there are Plans already, and why others are planned anew."""
    found: Counter[str] = Counter()
    for conditions in templates.conditions:
        shown = [str(c) for c in conditions[:MOST_CONDITIONS]]
        more = len(conditions) - len(shown)
        text = ", ".join(shown) + (f" and {counted(more, 'condition')} more" if more else "")
        found[f"sizes where {text}" if text else "all sizes"] += 1
    lines = [
        f"planned {'once' if times == 1 else f'{times} times'} for {sizes}"
        for sizes, times in found.items()
    ]
    if templates.refused and not templates.conditions:
        lines.append(f"planned anew for each size: a Plan depends on {templates.refused[-1]}")
    return lines


def _work(plans: Sequence[Plan]) -> str:
    """Say what the Plans of the latest sizes and layouts do, and the memory they need for it."""
    if any(isinstance(plan, PendingPlan) for plan in plans):
        return "being compiled in the background; its ops run one by one"
    kernels = counted(sum(len(plan.kernels) for plan in plans), "kernel")
    calls = counted(sum(len(plan.library_calls) for plan in plans), "library call")
    most = max(plans, key=lambda plan: plan.temp_bytes)
    memory = format_bytes(most.temp_bytes)
    if most.naive_bytes != most.temp_bytes:
        memory += f" (without reuse {format_bytes(most.naive_bytes)})"
    donated = max(plan.donated_bytes for plan in plans)
    if donated:
        memory += f", donated {format_bytes(donated)}"
    return f"{kernels}, {calls}, temporaries {memory}"


def why(
    signature: Signature,
    leaves: Sequence[Any],
    traces: Traces,
    generalised: Sequence[str],
    *,
    again: bool,
) -> str:
    """Say why a call with this signature is traced.

    Parameters
    ----------
    signature, leaves, traces
    generalised : sequence of str
        What is left open now.
    again : bool
        Whether the function was traced before.
    """
    variants = traces.of(signature)
    for old in variants:
        if old.holds(leaves):
            return "what it reads from outside changed: " + ", ".join(old.changed())
    if generalised:
        return "; ".join(generalised)
    if variants:
        broken = [c for c in variants[0].conditions if not c.holds(leaves)]
        return f"another trace holds only where {_shortest(broken)}"
    if not len(traces):
        objects = [n for n, x in zip(signature.names, signature.leaves) if isinstance(x, Identity)]
        if again and objects:
            return f"another object came as {', '.join(objects)}, and that of before is gone"
        return "it was called for the first time"
    known = [concrete.signature for concrete in traces]
    nearest: list[str] = min((difference(signature, old) for old in reversed(known)), key=len)
    return "; ".join(nearest)


def warn_of_retraces(name: str, traces: int, reasons: Sequence[str]) -> None:
    """Warn of many traces, with the reasons of the latest."""
    text = "\n  ".join(dict.fromkeys(reasons[1 - traces :]))
    warn_user(f"{name} was traced {traces} times, because\n  {text}", RetraceWarning)


def warn_eager(name: str, how_long: str, why: EagerFrom | None) -> None:
    """Warn that a function runs eagerly, with the reason and the line."""
    where = f"\n  at {why.line.describe()}" if why is not None and why.line else ""
    reason = why.why if why is not None else "it cannot be traced"
    text = f"{name} runs eagerly {how_long}: {reason}{where}\n  {_advice(reason)}"
    warn_user(text, EagerFallbackWarning)


def _advice(reason: str) -> str:
    """Return what to do about a reason to run eagerly."""
    found = (advice for pattern, advice in _ADVICE if re.search(pattern, reason))
    return next(found, _ANY_ADVICE)


_ADVICE = (
    (
        r"^(the body of|where )",  # which say it themselves
        "What cannot be traced can also stay outside of the compiled function.",
    ),
    (
        r"^(str|repr|format)\(\)|^text|pprint|^it (prints|writes|logs|warns|tells)",
        "hb.print shows values at every run of a trace; or return them, and show them outside.",
    ),
    (
        r"^(float|int|complex|bool|\w*item|tolist|hex)\b.*needs a concrete value",
        "Compute with Tensors as they are (hb.where, array operations), or return the value and "
        "convert it outside.",
    ),
    (
        r"^it returns an? (async_)?(generator|coroutine)",
        "Decorate the functions that compute inside of it, which return Tensors.",
    ),
    (
        r"^it returns ",
        "Return Tensors in tuples, lists, dicts (as values) or objects of a class of your own.",
    ),
    (
        r"draws random numbers",
        "Draw from hb.random, or pass such numbers in as an argument.",
    ),
    (
        r"starts a thread",
        "Start threads outside, and let these call compiled functions.",
    ),
    (
        r"^it calls ",
        "Do that outside, and pass in what it gives as an argument.",
    ),
    (
        r"uses up the iterator|is an iterator",
        "Pass a list or an array instead.",
    ),
    (
        r"^a callback changes ",
        "Return such a value from the callback, as its result, and use that.",
    ),
    (
        r"^it changes |keeps a Tensor",
        "Return what is new, or keep it in an hb.Variable.",
    ),
)
_ANY_ADVICE = (
    "Use hb.where and array operations, keep such values out of the compiled function, or compile "
    "a smaller part of it."
)


def warn_of_fleeting(name: str, what: str) -> None:
    """Warn that calls run eagerly since each of them brings an object of its own."""
    warn_user(
        f"{name} runs eagerly where each call brings another object ({what}): a trace holds for "
        "one object, and one that comes again is traced\n"
        "  hb.register_container makes inputs of what objects of a class hold; random numbers of "
        "hb.random are traced.",
        EagerFallbackWarning,
    )


def warn_of_effect(name: str, effect: Effect) -> None:
    """Warn of a change outside that replays do not repeat."""
    where = f"\n  at {effect.line.describe()}" if effect.line else ""
    warn_user(
        f"{name}: {effect.why}; calls that replay the trace do not change it again{where}\n"
        "  Return what it adds, keep it in an hb.Variable, or do it outside.",
        SideEffectWarning,
    )


def warn_of_caught(name: str, error: Exception) -> None:
    """Warn of an error in compiled code that eager code does without: the function catches it."""
    text = str(error).split("\n")[0]
    warn_user(
        f"{name} ran eagerly this time: compiled code came to {type(error).__name__}: {text}\n"
        "  Compiled code is left where an op raises; where that is frequent, test for it before.",
        EagerFallbackWarning,
    )
