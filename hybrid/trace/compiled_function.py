"""The CompiledFunction: from a call to the trace that answers it."""

from __future__ import annotations

import contextlib
import copy
import functools
import sys
import types
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

from hybrid.core import defaults, dispatch
from hybrid.core.folding import fold
from hybrid.core.making import asarray
from hybrid.core.refusals import leaked
from hybrid.core.source import located
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor
from hybrid.core.tracelog import timed
from hybrid.errors import TraceError
from hybrid.kernels.quick import quick_call
from hybrid.ops._shortways import known_objects
from hybrid.trace import modes, report
from hybrid.trace.any_size_launcher import UNKNOWN
from hybrid.trace.arguments import Call
from hybrid.trace.carried import Carrying, Moved
from hybrid.trace.carrier import Carrier
from hybrid.trace.concrete import ConcreteFunction
from hybrid.trace.fleeting import Fleeting
from hybrid.trace.generalise import Generaliser, as_specs
from hybrid.trace.launcher import Launcher
from hybrid.trace.mutation import READ_OTHERWISE, other_names
from hybrid.trace.replaying import in_python, once, refused_eagerly, replay, resumed
from hybrid.trace.segment import Failed
from hybrid.trace.signature import (
    Identity,
    Signature,
    by_place,
    defaults_of,
    describe,
    flatten,
    is_dlpack,
    signature_of,
)
from hybrid.trace.sources import start
from hybrid.trace.tickets import Order
from hybrid.trace.tracer import EagerFrom
from hybrid.trace.tracing import NumberRefused, Subject
from hybrid.trace.untraced import reason_against

RETRACES_BEFORE_WARNING = 8
_FORMS = 64  # of calls with names, of one function, that are remembered


class CacheInfo(NamedTuple):
    """Counters of a compiled function."""

    hits: int
    misses: int
    currsize: int


class CompiledFunction:
    """A Python function that is traced once per signature and replayed as fused kernels.

    Made by :func:`compile`.

    Attributes
    ----------
    name : str
        That of the function.
    fullgraph : bool
        Whether what cannot be traced raises.
    """

    # What users put on it is all that its dict holds: code may read that, and traces depend on it.
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_carrier",
        "_defaults",
        "_fleeting",
        "_generaliser",
        "_hits",
        "_misses",
        "_moved",
        "_only_moved",
        "_options",
        "_shortcuts",  # where native code finds it
        "_signature",
        "_subject",
        "_traces",
        "fullgraph",
        "name",
    )

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
        self._options: dict[str, Any] = {
            "fullgraph": fullgraph,
            "dynamic": dynamic,
            "input_signature": input_signature,
            "background": background,
        }
        self._subject = Subject(function, fullgraph=fullgraph, background=background)
        self._shortcuts = self._subject.shortcuts
        self._traces = self._subject.traces
        self.name = self._subject.name
        self.fullgraph = fullgraph
        self._signature = signature_of(function)
        self._defaults = defaults_of(function)
        self._generaliser = Generaliser(dynamic, as_specs(input_signature))
        self._by_place: dict[tuple[Any, ...], Order] = {}
        self._fleeting = Fleeting()
        self._hits = 0
        self._misses = 0
        self._carrier: Carrier | None = None
        self._moved = Moved()
        self._only_moved = False

    # --- calling ----------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._carrier is not None and not modes.functions_run_eagerly():
                result = self._carrier.answer(args, kwargs)
                self._look_after(self._carrier)
                if result is not UNKNOWN:
                    return result
            given, placed = (args, kwargs), None
            if kwargs and (placed := self._by_place.get((len(args), *kwargs))) is not None:
                args, kwargs = placed((*args, *kwargs.values())), {}
            short = self._shortcuts
            plain = not dispatch.busy or dispatch.state.plain
            if not kwargs and (plain or dispatch.state.unseen):
                usual = plain and not defaults.requests
                key = short.key(args) if usual else short.special_key(args)
                launcher = short.launchers.get(key)
                while launcher is not None:
                    if launcher.valid() and launcher.clear(args):
                        self._hits += 1
                        if usual:
                            self._again(given, placed, launcher)
                        return launcher.run(args)  # HYBRID_DEBUG=1 shows hybrid's frames
                    launcher = launcher.following
                if usual and short.any_size and key is not None:
                    result = short.any_size.launch(key, args)
                    if result is not UNKNOWN:
                        self._hits += 1
                        return result
            if short.nested and plain and not modes.functions_run_eagerly():
                again = functools.partial(self._again, given, placed)
                result = short.nested.launch(args, kwargs, again)
                if result is not UNKNOWN:
                    self._hits += 1
                    return result
            return self._call(args, kwargs)  # HYBRID_DEBUG=1 shows hybrid's frames
        except Exception as error:
            fold(error)
            raise

    def _again(
        self,
        given: tuple[tuple[Any, ...], dict[str, Any]],
        placed: Order | None,
        launcher: Launcher,
        order: Order | None = None,
    ) -> None:
        """Note that a launcher answers, for :meth:`Shortcuts.again`."""
        if not defaults.requests and self._shortcuts.again(launcher, *given, placed, order):
            _answer_natively(self)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if modes.functions_run_eagerly() or dispatch.state.recorder is not None:
            return self.__wrapped__(*args, **kwargs)
        if self._subject.wanted:
            self._carry()
            return self(*args, **kwargs)
        call, tree, names = self._bind(args, kwargs)
        if kwargs and len(self._by_place) < _FORMS:
            placed = by_place(self.__wrapped__, self._signature, len(args), [*kwargs])
            if placed is not None:
                self._by_place[len(args), *kwargs] = placed
                args, kwargs = placed((*args, *kwargs.values())), {}
        _refuse_leaked(call.leaves)
        spelled = names()
        against = reason_against(spelled, call.leaves)
        if against is not None:
            self._refuse(*against)
            return self.__wrapped__(*args, **kwargs)
        signature = self._describe(call, tree, spelled)
        concrete = self._find(signature, call.leaves)
        if self._is_read_otherwise(call, concrete):
            return self.__wrapped__(*call.bound.args, **call.bound.kwargs)  # containers as they are
        if concrete is None:
            with self._subject.lock:
                concrete = self._find(signature, call.leaves)
                if concrete is None and self._is_fleeting(signature, call):
                    return self._subject.run_eagerly(call, tree)
                if concrete is None and self._numbers_move(signature, call):
                    return self(*args, **kwargs)
                if concrete is None:
                    result, concrete = self._first(signature, call)
                    self._remember(concrete, call, args, kwargs)
                    return result
        self._hits += 1
        conditions = concrete.conditions
        if concrete.fallback is not None or concrete.root is None:
            self._remember(concrete, call, args, kwargs)
            return self._subject.run_eagerly(call, tree)
        if not concrete.holds(call.leaves):  # another thread has added conditions meanwhile
            return self._call(args, kwargs)
        if concrete.entangled(call.leaves):
            return once(self._subject, concrete.again(), call)
        launcher = self._remember(concrete, call, args, kwargs)
        if launcher is not None and launcher.clear(args):
            return launcher.run(args)
        return replay(self._subject, concrete, call, conditions)

    def _carry(self) -> bool:
        """Hand numbers that the function sets outside to it from now on, as arguments."""
        with self._subject.lock:
            before = () if self._carrier is None else self._carrier.carrying.places
            wanted = {x.name: x for x in before} | self._subject.wanted
            self._subject.wanted.clear()
            self._subject.chances -= 1
            make = functools.partial(CompiledFunction, **self._options)
            self._carrier = Carrier(tuple(wanted.values()), self.__wrapped__, make)
        return True

    def _numbers_move(self, signature: Signature, call: Call) -> bool:
        """Tell whether numbers outside that change again and again are arguments from now on."""
        if self._subject.chances <= 0 or self.fullgraph:
            return False  # fullgraph=True: int(self.rate) can be traced of a constant only
        old = [x for x in self._traces.of(signature) if x.holds(call.leaves)]
        changed = [binding for x in old[:1] for binding in x.bindings if binding.changed]
        carrying = self._subject.carrying
        function = self.__wrapped__ if carrying is None else carrying.function
        places = self._moved.again(function, changed, call.bound)
        self._subject.wanted |= {place.name: place for place in places}
        if carrying is not None:
            return False  # who hands numbers to this function hands it those too, from now on
        self._only_moved = bool(places)
        return self._only_moved

    def _carry_for(self, carrying: Carrying) -> None:
        """Be a function that is given numbers from outside ahead of its arguments."""
        self._subject.carrying = carrying
        self._signature = carrying.signature
        self._generaliser.open_ints = len(carrying.places)
        self._subject.allow_no_variables()

    def _look_after(self, carrier: Carrier) -> None:
        """Hand further numbers to the function; none where each value has it traced anew."""
        more = carrier.inner._subject.wanted
        if more and self._subject.chances > 0:
            self._subject.wanted |= more
            self._carry()
        elif carrier.worn or (self._only_moved and carrier.gave_up):
            self._carrier, self._subject.chances = None, 0

    def _bind(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Call, Any, Callable[[], tuple[str, ...]]]:
        if defaults_of(self.__wrapped__) != self._defaults:
            self._signature = signature_of(self.__wrapped__)
            self._defaults = defaults_of(self.__wrapped__)
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError:
            self.__wrapped__(*args, **kwargs)  # Python says it better, with the function's name
            raise
        bound.apply_defaults()
        for name, x in bound.arguments.items():
            bound.arguments[name] = dispatch.after_trace(x)
        leaves, tree, names = flatten(dict(bound.arguments))
        leaves = [asarray(x) if is_dlpack(x) else dispatch.after_trace(x) for x in leaves]
        return Call(bound, leaves), tree, names

    def _refuse(self, where: str, why: str) -> None:
        """Warn of a call that is given what no trace can be made of."""
        if self.fullgraph:
            raise TraceError(located(f"{self.name}: fullgraph=True, but {why}"))
        if where not in self._subject.warned:
            self._subject.warned.add(where)
            report.warn_eager(self.name, where, EagerFrom(why, None))

    def _is_read_otherwise(self, call: Call, concrete: ConcreteFunction | None) -> bool:
        """Tell whether the function changes a container that it is given and reads by another name.

        Its copy would be changed in a trace, and what the other name shows would not.
        """
        for known in self._traces if concrete is None else (concrete,):
            others = other_names(known.bindings, known.containers_changed, call.given)
            if others:
                why = READ_OTHERWISE.format(others[0])
                self._refuse("where it is given such a container", why)
                return True
        return False

    def _is_fleeting(self, signature: Signature, call: Call) -> bool:
        """Tell whether to run eagerly, and warn, since each call brings an object of its own."""
        if self.fullgraph:
            return False
        if not self._fleeting.runs_eagerly(signature, call.leaves, self._answered()):
            return False
        method = getattr(type(call.given[0]), self.name, None) is self
        found = self._fleeting.worth_telling(signature, call.leaves, method)
        if found and found not in self._subject.warned:
            self._subject.warned.add(found)
            report.warn_of_fleeting(self.name, found)
        return True

    def _describe(self, call: Call, tree: Any, names: tuple[str, ...]) -> Signature:
        signature = describe(call.leaves, tree, names, call.given)
        return self._generaliser.declared(self.name, signature, call.leaves)

    def _find(self, exact: Signature, leaves: list[Any]) -> ConcreteFunction | None:
        """Return the trace for just this signature, or one for more."""
        found = self._traces.find(exact, leaves)
        if found is None:
            general = self._generaliser.general(exact)
            found = self._traces.find(general, leaves) if general is not exact else None
            sized = self._generaliser.sized(exact)
            if found is None and sized is not exact:
                found = self._traces.find(sized, leaves)
        return found

    def _first(self, exact: Signature, call: Call) -> tuple[Any, ConcreteFunction]:
        """Trace a call that no trace answers."""
        subject, reasons = self._subject, self._subject.reasons
        opened = self._generaliser.learn(exact)
        signature, known = self._generaliser.for_trace(exact)
        opened = [known] if known else opened
        again = self._misses > 0
        why = report.why(signature, call.leaves, self._traces, opened, again=again)
        concrete = ConcreteFunction(self.name, signature, why, number=self._misses)
        self._anchor(concrete, call.leaves)
        self._misses += 1
        reasons.append(concrete.reason)
        if self._misses == RETRACES_BEFORE_WARNING + 1:
            report.warn_of_retraces(self.name, self._misses, list(reasons))
        environment = start(call.leaves)
        failed: Failed | None = None
        refused: NumberRefused | None = None
        try:
            with timed("trace", f"{self.name}{signature}, because {why}"):
                result, repeatable = subject.trace(concrete, call, [], environment)
        except Failed as error:
            failed = error
        except NumberRefused as error:
            refused = error
        if refused is not None:
            if signature == exact:
                result = refused_eagerly(subject, concrete, call, refused)
                if self._traces.keep(concrete):
                    self._shortcuts.forget_all()
                return result, concrete
            self._generaliser.note_refused(signature)
            self._misses -= 1
            reasons.pop()
            return self._first(exact, call)
        if any(c.fixes is not None and c.fixes.axis is not None for c in concrete.conditions):
            self._generaliser.note_fixed(signature)
        if failed is not None:
            return in_python(subject, concrete, call, environment, failed), concrete
        if concrete.fallback is not None:
            self._fleeting.fell_back(exact)
        if repeatable:  # a call that made Variables is not like the next one
            if self._traces.keep(concrete):
                self._shortcuts.forget_all()
        return result, concrete

    def _remember(
        self, concrete: ConcreteFunction, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Launcher | None:
        """Make the next such call cheap; under a tape, segments run on Tensors."""
        if dispatch.state.tapes:
            return None
        resume = functools.partial(resumed, self._subject, concrete, call.bound.signature)
        function = self._subject.function
        return self._shortcuts.remember(concrete, call, args, kwargs, resume, function)

    # --- looking ----------------------------------------------------------------------------------

    def get_concrete_function(self, *args: Any, **kwargs: Any) -> ConcreteFunction:
        """Return the trace for these arguments, tracing (and running) the function if need be.

        Parameters
        ----------
        *args, **kwargs
            As in a call.
        """
        if self._carrier is not None:
            numbers = self._carrier.numbers(args, kwargs)
            return self._carrier.inner.get_concrete_function(*numbers, *args, **kwargs)
        call, tree, names = self._bind(args, kwargs)
        signature = self._describe(call, tree, names())
        if self._find(signature, call.leaves) is None:
            self._call(args, kwargs)
        found = self._find(signature, call.leaves)
        assert found is not None
        return found

    @property
    def concrete_functions(self) -> tuple[ConcreteFunction, ...]:
        """All traces, oldest first."""
        later = () if self._carrier is None else self._carrier.inner.concrete_functions
        return (*self._traces, *later)

    def cache_info(self) -> CacheInfo:
        """Return how many calls were replayed (hits) and traced (misses), and the traces kept."""
        return CacheInfo(self._answered(), self._traced, len(self.concrete_functions))

    def _answered(self) -> int:
        later = 0 if self._carrier is None else self._carrier.inner._answered()
        return self._hits + int(self._shortcuts.answered[0]) + later

    @property
    def _traced(self) -> int:
        """How many calls were traced."""
        return self._misses + (0 if self._carrier is None else self._carrier.inner._traced)

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
        if self._carrier is not None:
            return self._carrier.inner.wait(timeout)
        planner = self._subject.planner
        return planner is None or planner.wait(timeout)

    def cache_clear(self) -> None:
        """Forget all traces; compiled kernels stay."""
        with self._subject.lock:
            self._traces.clear()
            self._generaliser.forget()
            self._fleeting.clear()
            self._shortcuts.forget_all()
            self._subject.reasons.clear()
            self._hits = self._misses = 0
            self._carrier = None
            self._subject.wanted.clear()
            self._shortcuts.answered[0] = 0

    def explain(self) -> str:
        """Say in words what was traced, why again, and what runs eagerly."""
        return report.explain(self.name, self._answered(), self._traced, self.concrete_functions)

    def _anchor(self, concrete: ConcreteFunction, leaves: list[Any]) -> None:
        """Let a trace die with the objects that it knows by identity."""
        for leaf, key in zip(leaves, concrete.signature.leaves, strict=True):
            if isinstance(key, Identity):
                try:
                    weakref.finalize(leaf, self._evict, concrete.signature).atexit = False
                except TypeError:
                    concrete.anchors.append(leaf)

    def _evict(self, signature: Signature) -> None:
        self._shortcuts.forget(self._traces.drop(signature))

    def __reduce__(self) -> Any:
        # By name, where it has taken the place of its function there.
        name: str = getattr(self.__wrapped__, "__qualname__", self.name)
        found: Any = sys.modules.get(self.__module__)
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is self:
            return name
        return functools.partial(CompiledFunction, **self._options), (self.__wrapped__,)

    def __copy__(self) -> CompiledFunction:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> CompiledFunction:
        # As Python does: a function is what it is, a method goes over to the object's copy.
        function = copy.deepcopy(self.__wrapped__, memo)
        if function is self.__wrapped__:
            return self
        if id(self) in memo:  # it is an attribute of the object whose method it is
            return cast(CompiledFunction, memo[id(self)])
        copied = memo[id(self)] = CompiledFunction(function, **self._options)
        own = {name: x for name, x in vars(self).items() if name not in vars(copied)}
        vars(copied).update(copy.deepcopy(own, memo))
        return copied

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<compiled function {self.name}>"


def _answer_natively(function: CompiledFunction) -> None:
    """Put native code in front of Python's way of a call, where it can be."""
    global _tried
    if _tried:
        return
    _tried = True
    known = {**known_objects(), "requests": defaults.asked, "unknown": UNKNOWN}
    with contextlib.suppress(RuntimeError):  # an interpreter of another kind
        method = quick_call(CompiledFunction, function, _PYTHON_CALL, known)
        CompiledFunction.__call__ = method  # type: ignore[method-assign]


_PYTHON_CALL = CompiledFunction.__call__
_tried = False


def _refuse_leaked(leaves: Sequence[Any]) -> None:
    for leaf in leaves:
        if type(leaf) is Tensor and type(leaf._data) is Symbol:
            raise leaked(leaf._data)
