"""Calls that a trace answers: its segments one after the other, as the guards' values lead.

Where a value is new, the function is traced on from there; where a Plan raises an error, it is done
in Python from there.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

from hybrid.core import dispatch
from hybrid.core.source import located
from hybrid.core.tracelog import note, timed
from hybrid.errors import TraceError
from hybrid.trace import report
from hybrid.trace.arguments import Call
from hybrid.trace.background import is_of_compiler
from hybrid.trace.concrete import ConcreteFunction
from hybrid.trace.cutting import Unstable
from hybrid.trace.differentiate import run_under
from hybrid.trace.following import MAX_WIDTH
from hybrid.trace.launcher import is_pure
from hybrid.trace.meeting import follow, way_to
from hybrid.trace.segment import Failed, Segment
from hybrid.trace.sources import Environment, start
from hybrid.trace.steps import Resume
from hybrid.trace.tracer import EagerFrom
from hybrid.trace.tracing import NumberRefused, Subject

Path = list[tuple[Segment, Any]]


def replay(subject: Subject, concrete: ConcreteFunction, call: Call, conditions: Any) -> Any:
    """Run the segments on the way that the guards' values lead; trace where it is new.

    Parameters
    ----------
    subject : Subject
    concrete : ConcreteFunction
    call : Call
    conditions : tuple of Condition
        Those of `concrete` that hold for this call.
    """
    tapes = dispatch.state.tapes
    run = functools.partial(run_under, tapes) if tapes else Segment.run
    environment = start(call.leaves)
    segment = concrete.root
    assert segment is not None
    while True:
        try:
            run(segment, environment, call.leaves)
            at = segment.arrive(environment)
            value = None if at.guard is None else at.decide(environment, call.leaves)
        except Failed as error:
            failed = error
            break
        if segment.result is not None:
            return segment.sized(call.leaves).result.deliver(environment, call.leaves, call.given)
        following = follow(at, value)
        # What was traced meanwhile may hold for other sizes only.
        if following is None or concrete.conditions is not conditions:
            path = [*way_to(at), (at, value)]
            return branch(subject, concrete, call, path, environment)
        segment = following
    failed.path = failed.path or way_to(segment)
    return in_python(subject, concrete, call, environment, failed)


def once(subject: Subject, concrete: ConcreteFunction, call: Call) -> Any:
    """Trace for a single call."""
    environment = start(call.leaves)
    refused: NumberRefused | None = None
    with subject.lock:
        try:
            return subject.trace(concrete, call, [], environment)[0]
        except Failed as error:
            failed = error
        except NumberRefused as error:
            refused = error
    if refused is not None:
        return refused_eagerly(subject, concrete, call, refused)
    return in_python(subject, concrete, call, environment, failed)


def refused_eagerly(
    subject: Subject, concrete: ConcreteFunction, call: Call, refused: NumberRefused
) -> Any:
    """Run eagerly what has come to an error in a trace; keep to it where it is none then."""
    if subject.fullgraph:
        raise refused.error
    result = subject.run_eagerly(call, concrete.signature.tree)
    subject.fall_back(concrete, refused.why)
    return result


def branch(
    subject: Subject, concrete: ConcreteFunction, call: Call, path: Path, environment: Environment
) -> Any:
    """Trace the path that begins at a guard's value not met before."""
    segment, value = path[-1]
    if value in segment.raised and not any(x.acts for x in concrete.segments):
        return _raised_before(subject, concrete, call, segment, value)
    with subject.lock:
        before = _looked_at(concrete)
        reason = segment.reason_for(value)
        subject.reasons.append(reason)
        failed: Failed | None = None
        refused: NumberRefused | None = None
        try:
            # Where another thread has narrowed the tree, this call is none of it any more.
            tree = concrete if concrete.holds(call.leaves) else concrete.again()
            with timed("trace", f"{subject.name}{concrete.signature}, because {reason}"):
                result, _ = subject.trace(tree, call, path, environment)
        except Failed as error:
            failed = error
        except Unstable:
            return _not_repeated(subject, concrete, call, path)
        except NumberRefused as error:
            refused = error
        except TraceError:
            raise
        except Exception:
            if len(segment.raised) < MAX_WIDTH:
                segment.raised.add(value)
            raise
        if refused is not None:
            return refused_eagerly(subject, concrete, call, refused)
        if failed is not None:
            return in_python(subject, concrete, call, environment, failed)
        if _looked_at(concrete) != before:
            subject.shortcuts.forget((concrete,))
        subject.shortcuts.reconsider(concrete)
        why = segment.unsettled
        if why and concrete.fallback is None:
            nodes = segment.graph.nodes
            subject.fall_back(concrete, EagerFrom(why, nodes[-1].line if nodes else None))
        return result


def _looked_at(concrete: ConcreteFunction) -> tuple[Any, ...]:
    """Return what says which calls short ways may answer: what they look at before they run."""
    pure = is_pure(concrete)  # memory that no way writes may be shared
    return concrete.conditions, len(concrete.read), concrete.layout_matters, pure


def _raised_before(
    subject: Subject, concrete: ConcreteFunction, call: Call, segment: Segment, value: Any
) -> Any:
    """Run in plain Python what will raise an error of the user's, with nothing to write before.

    A trace keeps nothing of such a call. Where it raises none this time, it is traced next time.
    """
    note("eager", f"the function raised an error after {value!r} before")
    result = subject.run_eagerly(call, concrete.signature.tree)
    segment.raised.discard(value)
    return result


def _not_repeated(subject: Subject, concrete: ConcreteFunction, call: Call, path: Path) -> Any:
    """Run eagerly what took another way when it was traced again; refuse what acts twice then."""
    why = "the function did not repeat itself when it was traced again"
    subject.fall_back(concrete, EagerFrom(why, None))
    if any(segment.acts for segment, _ in path):
        raise TraceError(
            located(
                f"{subject.name}: {why}, and it has acted already, on Variables, arrays "
                "or by hb.print; call it again, which runs it eagerly"
            )
        ) from None
    return subject.run_eagerly(call, concrete.signature.tree)


def in_python(
    subject: Subject,
    concrete: ConcreteFunction,
    call: Call,
    environment: Environment,
    failed: Failed,
) -> Any:
    """Do eagerly what has failed in a Plan, from where its segment began.

    There the error is raised where and when it is in eager code: what was written before it
    stays, and the function may catch it.
    """
    if is_of_compiler(failed.error) or (failed.path and subject.fullgraph):
        raise failed.error
    if failed.path:
        why = f"compiled code came to {type(failed.error).__name__}"
        try:
            result, _ = subject.trace(concrete.again(), call, failed.path, environment, why)
        except Unstable:
            raise failed.error from None
    else:
        result = subject.run_eagerly(call, concrete.signature.tree)
    if "caught" not in subject.warned:
        subject.warned.add("caught")
        report.warn_of_caught(subject.name, failed.error)
    return result


def resumed(
    subject: Subject, concrete: ConcreteFunction, signature: inspect.Signature, given: int
) -> Resume:
    """Return what generated steps call where they come to an end.

    Parameters
    ----------
    subject : Subject
    concrete : ConcreteFunction
    signature : inspect.Signature
        Of the function.
    given : int
        How many leaves of a call are not default values.
    """

    def call_of(args: tuple[Any, ...]) -> Call:
        bound = signature.bind(*args[:given])
        bound.apply_defaults()
        return Call(bound, list(args))

    def trace(last: Segment, environment: Environment, args: tuple[Any, ...]) -> Any:
        value = last.way(environment)
        path = [*way_to(last), (last, value)]
        return branch(subject, concrete, call_of(args), path, environment)

    def recover(
        segment: Segment | None, environment: Environment, args: tuple[Any, ...], failed: Failed
    ) -> Any:
        if segment is None:
            environment = start(args)
        else:
            failed.path = failed.path or way_to(segment)
        return in_python(subject, concrete, call_of(args), environment, failed)

    return Resume(trace, recover)
