"""``hb.compile`` and the CompiledFunction: from a call to the trace that answers it."""

from __future__ import annotations

import functools
import inspect
import os
import sys
import threading
import types
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, overload

from hybrid.core import containers, defaults, dispatch
from hybrid.core.devices import CPU
from hybrid.core.folding import fold
from hybrid.core.spec import TensorSpec
from hybrid.core.state import USUAL
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor, asarray
from hybrid.core.tracelog import timed
from hybrid.core.variable import Variable
from hybrid.errors import TraceError
from hybrid.trace import modes, report
from hybrid.trace.arguments import traced_leaves
from hybrid.trace.background import Planner, is_of_compiler
from hybrid.trace.concrete import ConcreteFunction
from hybrid.trace.differentiate import run_under
from hybrid.trace.effects import Watch
from hybrid.trace.garbage import garbage_kept
from hybrid.trace.generalise import Generaliser, as_specs
from hybrid.trace.launcher import (
    Launcher,
    chain_of,
    fast_key,
    is_flat,
    is_pure,
    key_of_tensors,
    key_without,
)
from hybrid.trace.mutation import Copies, deliver, joined
from hybrid.trace.nested import UNKNOWN, Nested
from hybrid.trace.plain import run_plainly
from hybrid.trace.reach import is_iterator
from hybrid.trace.repeats import Questions
from hybrid.trace.segment import Environment, Failed, Segment, start
from hybrid.trace.signature import (
    Identity,
    Signature,
    defaults_of,
    describe,
    flatten,
    is_dlpack,
    signature_of,
)
from hybrid.trace.stand_in import stood_in
from hybrid.trace.steps import Resume
from hybrid.trace.tracer import EagerFrom, Tracer, Unstable
from hybrid.trace.traces import Traces

RETRACES_BEFORE_WARNING = 8
LAUNCHERS = 256  # at most, for one function
VARIANTS = 8  # of them at most, for calls that differ in ints only


class CacheInfo(NamedTuple):
    """Counters of a compiled function."""

    hits: int
    misses: int
    currsize: int


_compiled: weakref.WeakSet[CompiledFunction] = weakref.WeakSet()


def _after_fork() -> None:
    """Forget locks that a thread of the parent may have held: it does not exist in the child."""
    for function in list(_compiled):
        function._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class CompiledFunction:
    """A Python function that is traced once per signature and replayed as fused kernels.

    Made by :func:`compile`.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        fullgraph: bool = False,
        dynamic: bool | None = None,
        input_signature: Sequence[Any] | None = None,
        background: bool = False,
    ) -> None:
        functools.update_wrapper(self, function)
        self.__wrapped__ = function
        self.fullgraph = fullgraph
        self._signature = signature_of(function)
        self._defaults = defaults_of(function)
        self.name = getattr(function, "__name__", type(function).__name__)
        self._traces = Traces()
        self._generaliser = Generaliser(dynamic, as_specs(input_signature))
        self._launchers: dict[Any, Launcher] = {}
        self._open: frozenset[int] = frozenset()
        self._key: Callable[[tuple[Any, ...]], Any] = fast_key
        self._nested = Nested()
        self._reasons: deque[str] = deque(maxlen=100)
        self._lock = threading.RLock()
        _compiled.add(self)
        self._made_variables = False
        self._warned: set[str] = set()
        self._hits = 0
        self._misses = 0
        self._planner = Planner(self._forget_all_launchers) if background else None

    # --- calling ----------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            plain = not dispatch.busy or dispatch.state.plain
            if not kwargs and (plain or dispatch.state.unseen):
                usual = plain and not defaults.requests
                key = self._key(args) if usual else self._special_key(args)
                launcher = self._launchers.get(key)
                while launcher is not None:
                    if launcher.valid() and launcher.clear(args):
                        self._hits += 1
                        return launcher.run(args)  # HYBRID_DEBUG=1 shows hybrid's frames
                    launcher = launcher.following
            if self._nested and plain and not modes.functions_run_eagerly():
                result = self._nested.launch(args, kwargs)
                if result is not UNKNOWN:
                    self._hits += 1
                    return result
            return self._call(args, kwargs)  # HYBRID_DEBUG=1 shows hybrid's frames
        except Exception as error:
            fold(error)
            raise

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if modes.functions_run_eagerly() or dispatch.state.recorder is not None:
            return self.__wrapped__(*args, **kwargs)
        arguments, leaves, tree, names = self._bind(args, kwargs)
        if any(type(x) is Tensor and type(x._data) is Symbol for x in leaves):
            leaked = next(x for x in leaves if type(x) is Tensor and type(x._data) is Symbol)
            raise dispatch.leaked(leaked._data)
        signature = self._describe(leaves, tree, names(), arguments)
        if any(isinstance(x, Identity) for x in signature.leaves):
            used_up = next((n for n, x in zip(signature.names, leaves) if is_iterator(x)), None)
            if used_up is not None:
                self._refuse_iterator(used_up)
                return run_plainly(self.__wrapped__, arguments, leaves, tree)
        concrete = self._find(signature, leaves)
        if concrete is None:
            with self._lock:
                concrete = self._find(signature, leaves)
                if concrete is None:
                    result, concrete = self._first(signature, arguments, leaves)
                    self._remember(concrete, leaves, args, kwargs)
                    return result
        self._hits += 1
        if concrete.fallback is not None or concrete.root is None:
            return run_plainly(self.__wrapped__, arguments, leaves, tree)
        if concrete.entangled(leaves):
            return self._once(concrete.again(), arguments, leaves)
        self._remember(concrete, leaves, args, kwargs)
        return self._replay(concrete, leaves, lambda: arguments)

    def _special_key(self, args: tuple[Any, ...]) -> Any:
        """Return the key of a launcher where not all is as usual, in whatever thread."""
        if modes.functions_run_eagerly():
            return None
        key, state = self._key(args), dispatch.state
        here = state.defaults, state.device
        return key if here == (USUAL, CPU) or key is None else (here, key)

    def _bind(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[inspect.BoundArguments, list[Any], Any, Callable[[], tuple[str, ...]]]:
        if defaults_of(self.__wrapped__) != self._defaults:
            self._signature = signature_of(self.__wrapped__)
            self._defaults = defaults_of(self.__wrapped__)
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        leaves, tree, names = flatten(dict(bound.arguments))
        leaves = [asarray(x) if is_dlpack(x) else dispatch.after_trace(x) for x in leaves]
        return bound, leaves, tree, names

    def _refuse_iterator(self, name: str) -> None:
        """Warn of a call that is given an iterator, which no trace could use up again."""
        why = f"the argument {name} is an iterator, which a call uses up; pass a list"
        if self.fullgraph:
            raise TraceError(dispatch.located(f"{self.name}: fullgraph=True, but {why}"))
        if "iterator" not in self._warned:
            self._warned.add("iterator")
            report.warn_eager(self.name, "where it is given an iterator", EagerFrom(why, None))

    def _describe(
        self,
        leaves: list[Any],
        tree: Any,
        names: tuple[str, ...],
        bound: inspect.BoundArguments,
    ) -> Signature:
        signature = describe(leaves, tree, names, tuple(bound.arguments.values()))
        return self._generaliser.declared(self.name, signature, leaves)

    def _find(self, exact: Signature, leaves: list[Any]) -> ConcreteFunction | None:
        """Return the trace for just this signature, or one for more."""
        found = self._traces.find(exact, leaves)
        if found is None:
            general = self._generaliser.general(exact)
            found = self._traces.find(general, leaves) if general is not exact else None
        return found

    # --- tracing ----------------------------------------------------------------------------------

    def _first(
        self, exact: Signature, bound: inspect.BoundArguments, leaves: list[Any]
    ) -> tuple[Any, ConcreteFunction]:
        opened = self._generaliser.learn(exact)
        signature = self._generaliser.general(exact)
        why = report.why(signature, leaves, self._traces, opened)
        concrete = ConcreteFunction(self.name, signature, why, number=self._misses)
        self._anchor(concrete, leaves)
        self._misses += 1
        self._reasons.append(concrete.reason)
        if self._misses == RETRACES_BEFORE_WARNING + 1:
            report.warn_of_retraces(self.name, self._misses, list(self._reasons))
        environment = start(leaves)
        failed: Failed | None = None
        try:
            with timed("trace", f"{self.name}{signature}, because {why}"):
                result, repeatable = self._trace(concrete, bound, leaves, [], environment)
        except Failed as error:
            failed = error
        if failed is not None:
            return self._in_python(concrete, bound, leaves, environment, failed), concrete
        if repeatable:  # a call that made Variables is not like the next one
            if self._traces.keep(concrete):
                self._forget_all_launchers()
        return result, concrete

    def _trace(
        self,
        concrete: ConcreteFunction,
        bound: inspect.BoundArguments,
        leaves: list[Any],
        known: list[tuple[Segment, Any]],
        environment: Environment,
        resumes: str | None = None,
    ) -> tuple[Any, bool]:
        """Trace a call, running it by the way; return its result and whether to keep the trace."""
        objects = [
            (name, leaf)
            for name, leaf, key in zip(
                concrete.signature.names, leaves, concrete.signature.leaves, strict=True
            )
            if isinstance(key, Identity) and not isinstance(leaf, Variable)
        ]
        watch = Watch(self.__wrapped__, objects)
        tapes, held = dispatch.state.tapes, dispatch.state.defaults
        tracer = Tracer(
            self.name,
            leaves,
            known,
            environment,
            fullgraph=self.fullgraph,
            first=not len(self._traces) and not self._made_variables and not known,
            run=functools.partial(run_under, tapes) if tapes else Segment.run,
            tapes=tapes,
            planner=self._planner,
            resumes=resumes,
            questions=None if tapes else self._questions(watch, objects, lambda: tracer.written),
        )
        traced = traced_leaves(tracer, leaves, concrete.signature)
        values = containers.unflatten(concrete.signature.tree, traced)
        if concrete.signature.same:
            values = joined(values, concrete.signature.same)
        call = inspect.BoundArguments(
            self._signature, OrderedDict(zip(bound.arguments, values, strict=True))
        )
        copies = Copies(values)
        try:
            # `tapes=()`: tapes around the call see the segments, not what happens inside them.
            with tracer.garbage, dispatch.scope(recorder=tracer, tapes=()):
                tracer.garbage.enter_context(garbage_kept())
                try:
                    with watch.calls(), stood_in(watch.bindings, watch.builtins) as stands:
                        for array in watch.unwatched(stands):
                            tracer.note_read(array)
                        returned = self.__wrapped__(*call.args, **call.kwargs)
                    now = watch.after()
                    if tracer.open and (effect := watch.decisive(now, tracer.written)) is not None:
                        tracer.give_up(effect.why, effect.line)
                except (Unstable, Failed):
                    raise  # what this trace holds was committed by the segments run before
                except BaseException as error:
                    now = watch.after()
                    changes = copies.changes()
                    carried = any(isinstance(x, Tensor) for x in error.args)
                    kept = bool(changes or now.traced or carried)
                    tracer.flush(kept=kept and isinstance(error, Exception))
                    deliver(changes, tuple(bound.arguments.values()))
                    raise
                changes = copies.changes()
                if changes:
                    returned = (returned, *(contents for _, contents in changes))
                result = tracer.finish(returned, tuple(number for number, _ in changes))
            tracer.write_back()
            made = result.deliver(environment, leaves, tuple(bound.arguments.values()))
        finally:
            tracer.close()
        concrete.traces += 1
        concrete.depend(tracer.unknowns.conditions)
        if not known or known[0][0] is concrete.root:
            if tracer.graft():
                self._forget_launchers((concrete,))
        concrete.layout_matters |= tracer.layout_matters
        concrete.root = tracer.root
        # As the function left it: what it fills while it is traced is not a change from outside.
        concrete.read |= tracer.contents_read(now.arrays)
        concrete.bindings = (*now.bindings, *concrete.read.values())
        self._made_variables |= tracer.made_variables
        if tracer.entangled:
            report.warn_eager(self.name, "this time", tracer.gave_up)
        elif tracer.gave_up is not None and resumes is None:
            self._fall_back(concrete, tracer.gave_up)
        elif not tracer.made_variables and "effect" not in self._warned:
            effect = watch.incidental()
            if effect is not None:
                self._warned.add("effect")
                report.warn_of_effect(self.name, effect)
        # What is of this one call is not kept: Variables made, memory that happens to be shared,
        # defaults that another thread has changed meanwhile.
        usual = not tracer.made_variables and not tracer.entangled
        kept = usual and (dispatch.state.defaults is held or tracer.gave_up is not None)
        return made, kept and not concrete.entangled(leaves)

    def _questions(
        self, watch: Watch, objects: list[tuple[str, Any]], written: Callable[[], Sequence[Any]]
    ) -> Questions:
        """Return what finds loops among the guards of a trace, while nothing outside changes."""

        def untouched() -> bool:
            effect = watch.decisive(watch.after(), written())
            return effect is None and watch.incidental() is None

        home = CompiledFunction._trace.__code__
        return Questions(home, [obj for _, obj in objects], untouched)

    def _once(
        self, concrete: ConcreteFunction, bound: inspect.BoundArguments, leaves: list[Any]
    ) -> Any:
        """Trace for a single call."""
        environment = start(leaves)
        with self._lock:
            try:
                return self._trace(concrete, bound, leaves, [], environment)[0]
            except Failed as error:
                failed = error
        return self._in_python(concrete, bound, leaves, environment, failed)

    # --- errors -----------------------------------------------------------------------------------

    def _in_python(
        self,
        concrete: ConcreteFunction,
        bound: inspect.BoundArguments,
        leaves: list[Any],
        environment: Environment,
        failed: Failed,
    ) -> Any:
        """Do eagerly what has failed in a Plan, from where its segment began.

        There the error is raised where and when it is in eager code: what was written before it
        stays, and the function may catch it.
        """
        if is_of_compiler(failed.error) or (failed.path and self.fullgraph):
            raise failed.error
        if failed.path:
            why = f"compiled code came to {type(failed.error).__name__}"
            try:
                result, _ = self._trace(
                    concrete.again(), bound, leaves, failed.path, environment, why
                )
            except Unstable:
                raise failed.error from None
        else:
            result = run_plainly(self.__wrapped__, bound, leaves, concrete.signature.tree)
        if "caught" not in self._warned:
            self._warned.add("caught")
            report.warn_of_caught(self.name, failed.error)
        return result

    # --- replaying --------------------------------------------------------------------------------

    def _replay(
        self,
        concrete: ConcreteFunction,
        leaves: Sequence[Any],
        bound: Callable[[], inspect.BoundArguments],
    ) -> Any:
        """Run the segments on the way that the guards' values lead; trace where it is new."""
        tapes = dispatch.state.tapes
        run = functools.partial(run_under, tapes) if tapes else Segment.run
        environment = start(leaves)
        path: list[tuple[Segment, Any]] = []
        segment, conditions = concrete.root, concrete.conditions
        assert segment is not None
        if not concrete.holds(leaves):  # another thread has added conditions since it was found
            again = bound()
            return self._call(again.args, again.kwargs)
        while True:
            try:
                run(segment, environment, leaves)
                value = None if segment.guard is None else segment.decide(environment, leaves)
            except Failed as error:
                failed = error
                break
            if segment.result is not None:
                result = segment.sized(leaves).result
                given = tuple(bound().arguments.values()) if result.changed else ()
                return result.deliver(environment, leaves, given)
            path.append((segment, value))
            following = segment.children.get(value)
            # What was traced meanwhile may hold for other sizes only.
            if following is None or concrete.conditions is not conditions:
                return self._branch(concrete, bound(), list(leaves), path, environment)
            segment = following
        failed.path = path
        return self._in_python(concrete, bound(), list(leaves), environment, failed)

    def _branch(
        self,
        concrete: ConcreteFunction,
        bound: inspect.BoundArguments,
        leaves: list[Any],
        path: list[tuple[Segment, Any]],
        environment: Environment,
    ) -> Any:
        """Trace the path that begins at a guard's value not met before."""
        with self._lock:
            segment, value = path[-1]
            conditions, read = concrete.conditions, len(concrete.read)
            reason = segment.reason_for(value)
            self._reasons.append(reason)
            failed: Failed | None = None
            try:
                # Where another thread has narrowed the tree, this call is none of it any more.
                tree = concrete if concrete.holds(leaves) else concrete.again()
                with timed("trace", f"{self.name}{concrete.signature}, because {reason}"):
                    result, _ = self._trace(tree, bound, leaves, path, environment)
            except Failed as error:
                failed = error
            except Unstable:
                why = "the function did not repeat itself when it was traced again"
                self._fall_back(concrete, EagerFrom(why, None))
                if any(segment.acts for segment, _ in path):
                    raise TraceError(
                        dispatch.located(
                            f"{self.name}: {why}, and it has acted already, on Variables, arrays "
                            "or by hb.print; call it again, which runs it eagerly"
                        )
                    ) from None
                return run_plainly(self.__wrapped__, bound, leaves, concrete.signature.tree)
            if failed is not None:
                return self._in_python(concrete, bound, leaves, environment, failed)
            if concrete.conditions is not conditions or len(concrete.read) > read:
                self._forget_launchers((concrete,))
            why = segment.unsettled
            if why and concrete.fallback is None:
                nodes = segment.graph.nodes
                self._fall_back(concrete, EagerFrom(why, nodes[-1].line if nodes else None))
            return result

    def _fall_back(self, concrete: ConcreteFunction, why: EagerFrom) -> None:
        """Run this signature eagerly from the next call on, and say so once."""
        concrete.fallback = why
        self._forget_launchers((concrete,))
        report.warn_eager(self.name, "from now on", why)

    # --- the fast way -----------------------------------------------------------------------------

    def _remember(
        self,
        concrete: ConcreteFunction,
        leaves: list[Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        """Make the next call with such arguments cheap; `leaves` may end in default values."""
        if dispatch.state.tapes:  # under a tape, segments run on Tensors
            return
        root = concrete.root
        known = concrete in self._traces
        if root is None or concrete.fallback is not None or not known:
            return
        parameters = self._signature.parameters
        if kwargs or not is_flat(concrete.signature, leaves, args, parameters):
            self._nested.remember(concrete, leaves, args, kwargs, self._signature.bind)
            return
        shared = concrete.signature.aliases
        if shared and (not is_pure(concrete) or any(max(g) >= len(args) for g in shared)):
            return
        self._leave_open(concrete.signature, args)
        if self._key is fast_key and {*map(type, args)} == {Tensor}:
            self._key = key_of_tensors(len(args))
        key = self._special_key(args)
        if key is None:
            return
        while len(self._launchers) >= LAUNCHERS:
            self._launchers.pop(next(iter(self._launchers)), None)
        others = [x for x in chain_of(self._launchers.get(key)) if x.concrete in self._traces]
        if all(x.concrete is not concrete for x in others):
            resume = Resume(
                functools.partial(self._resume, concrete, len(args)),
                functools.partial(self._recover, concrete, len(args)),
            )
            following = others[0] if 0 < len(others) < VARIANTS else None
            self._launchers[key] = Launcher(concrete, leaves, len(args), resume, following)

    def _leave_open(self, signature: Signature, args: tuple[Any, ...]) -> None:
        """Let the keys of launchers be without ints that are inputs of a trace."""
        pairs = enumerate(zip(args, signature.leaves, strict=False))
        places = {i for i, (x, key) in pairs if type(x) is int and isinstance(key, TensorSpec)}
        if not places <= self._open:
            self._open |= places
            self._key = key_without(self._open)
            self._forget_all_launchers()

    def _resume(
        self,
        concrete: ConcreteFunction,
        given: int,
        last: Segment,
        environment: Environment,
        args: tuple[Any, ...],
    ) -> Any:
        """Trace on from a guard with a new value, where generated steps have run the segments."""
        path = self._way(concrete, environment, last)
        path.append((last, last.guard_value(environment)))
        bound = self._bound(args[:given])
        return self._branch(concrete, bound, list(args), path, environment)

    def _recover(
        self,
        concrete: ConcreteFunction,
        given: int,
        segment: Segment | None,
        environment: Environment,
        args: tuple[Any, ...],
        failed: Failed,
    ) -> Any:
        """Do in Python what has failed in a segment, where generated steps have run those before.

        `segment` is None where there is but one.
        """
        if segment is None:
            environment = start(args)
        else:
            failed.path = self._way(concrete, environment, segment)
        bound = self._bound(args[:given])
        return self._in_python(concrete, bound, list(args), environment, failed)

    def _way(
        self, concrete: ConcreteFunction, environment: Environment, last: Segment
    ) -> list[tuple[Segment, Any]]:
        """Return the segments that generated steps have run before `last`, with guards' values."""
        path: list[tuple[Segment, Any]] = []
        segment = concrete.root
        while segment is not last:
            assert segment is not None
            path.append((segment, segment.guard_value(environment)))
            segment = segment.children.get(path[-1][1])
        return path

    def _bound(self, args: tuple[Any, ...]) -> inspect.BoundArguments:
        bound = self._signature.bind(*args)
        bound.apply_defaults()
        return bound

    # --- looking ----------------------------------------------------------------------------------

    def get_concrete_function(self, *args: Any, **kwargs: Any) -> ConcreteFunction:
        """Return the trace for these arguments, tracing (and running) the function if need be.

        Parameters
        ----------
        *args, **kwargs
            As in a call.
        """
        arguments, leaves, tree, names = self._bind(args, kwargs)
        signature = self._describe(leaves, tree, names(), arguments)
        if self._find(signature, leaves) is None:
            self._call(args, kwargs)
        found = self._find(signature, leaves)
        assert found is not None
        return found

    @property
    def concrete_functions(self) -> tuple[ConcreteFunction, ...]:
        """All traces, oldest first."""
        return tuple(self._traces)

    def cache_info(self) -> CacheInfo:
        """Return how many calls were replayed (hits) and traced (misses), and the traces kept."""
        return CacheInfo(self._hits, self._misses, len(self._traces))

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until what is compiled in the background is ready, with ``background=True``.

        Parameters
        ----------
        timeout : float, optional
            Seconds; as long as it takes, if left out.

        Returns
        -------
        bool
            Whether all calls made so far would run compiled now.

        Raises
        ------
        Exception
            What the compiler raised.
        """
        return self._planner is None or self._planner.wait(timeout)

    def cache_clear(self) -> None:
        """Forget all traces; compiled kernels stay."""
        with self._lock:
            self._traces.clear()
            self._generaliser.forget()
            self._forget_all_launchers()
            self._reasons.clear()
            self._hits = self._misses = 0

    def explain(self) -> str:
        """Say in words what was traced, why again, and what runs eagerly."""
        return report.explain(self.name, self._hits, self._misses, self.concrete_functions)

    def _anchor(self, concrete: ConcreteFunction, leaves: list[Any]) -> None:
        """Let a trace die with the objects that it knows by identity."""
        for leaf, key in zip(leaves, concrete.signature.leaves, strict=True):
            if isinstance(key, Identity):
                try:
                    weakref.finalize(leaf, self._evict, concrete.signature).atexit = False
                except TypeError:
                    concrete.anchors.append(leaf)

    def _evict(self, signature: Signature) -> None:
        self._forget_launchers(self._traces.drop(signature))

    def _forget_all_launchers(self) -> None:
        self._launchers.clear()
        self._nested.clear()

    def _forget_launchers(self, concretes: Sequence[ConcreteFunction]) -> None:
        self._nested.forget(concretes)
        for key, launcher in list(self._launchers.items()):
            if any(x.concrete in concretes for x in chain_of(launcher)):
                self._launchers.pop(key, None)

    def __reduce__(self) -> Any:
        # By name, where it has taken the place of its function there.
        name: str = getattr(self.__wrapped__, "__qualname__", self.name)
        found: Any = sys.modules.get(self.__module__)
        for part in name.split("."):
            found = getattr(found, part, None)
        return name if found is self else (CompiledFunction, (self.__wrapped__,))

    def __copy__(self) -> CompiledFunction:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> CompiledFunction:
        return self

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<compiled function {self.name}>"


@overload
def compile(function: Callable[..., Any], /) -> CompiledFunction: ...
@overload
def compile(
    function: Callable[..., Any],
    /,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    input_signature: Sequence[Any] | None = None,
    background: bool = False,
) -> CompiledFunction: ...
@overload
def compile(
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    input_signature: Sequence[Any] | None = None,
    background: bool = False,
) -> Callable[[Callable[..., Any]], CompiledFunction]: ...
def compile(
    function: Callable[..., Any] | None = None,
    /,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    input_signature: Sequence[Any] | None = None,
    background: bool = False,
) -> Any:
    """Trace a function and run it as fused kernels.

    The function is traced once per shape and dtype of its arguments; later calls replay the trace
    without running any Python of it. Python control flow on traced values is followed: each way
    through the function is traced when it is first taken.

    Parameters
    ----------
    function : callable
    fullgraph : bool
        Raise :class:`hybrid.errors.TraceError` where the function cannot become one graph.
    dynamic : bool, optional
        Whether sizes of arguments are unknown in a trace, so that it serves calls of any size. Left
        out, an axis becomes unknown by itself when it comes with a third size; False keeps one
        trace for each size, True leaves all of them open from the first trace on.
    input_signature : sequence, optional
        A :class:`hybrid.TensorSpec` (or a container of them) for each of the leading parameters;
        None in a shape is an unknown size. Other arguments are refused with TypeError or
        ValueError.
    background : bool
        Do not let calls wait for the compiler: until the kernels are there, the ops of the trace
        run one by one, as in eager code. An error of the compiler is raised by the next call, and
        by :meth:`CompiledFunction.wait`. Bodies of loops, and functions called under a tape of the
        caller's, are compiled at once.

    Returns
    -------
    CompiledFunction
        Or a decorator, when called with options only.

    Examples
    --------
    >>> import hybrid as hb
    >>> @hb.compile
    ... def f(x):
    ...     return hb.tanh(x) * 2
    >>> f(hb.asarray([0.0, 0.0]))
    Tensor([0., 0.], dtype=float32)
    """
    options: dict[str, Any] = {
        "fullgraph": fullgraph,
        "dynamic": dynamic,
        "input_signature": input_signature,
        "background": background,
    }
    if function is None:
        return functools.partial(CompiledFunction, **options)
    if isinstance(function, classmethod | staticmethod):  # the decorators in the other order
        return type(function)(CompiledFunction(function.__func__, **options))
    if isinstance(function, CompiledFunction):
        function = function.__wrapped__
    if not callable(function):
        raise TypeError(f"compile: {function!r} is not a function; options are given by name")
    return CompiledFunction(function, **options)
