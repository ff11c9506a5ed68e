"""The short ways of one function: from the types and shapes of a call straight to its trace."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hybrid.core import dispatch
from hybrid.core.devices import CPU
from hybrid.core.spec import TensorSpec
from hybrid.core.state import USUAL
from hybrid.core.tensor import Tensor
from hybrid.kernels.ticket import Ticket
from hybrid.trace import modes
from hybrid.trace.any_size_launcher import AnySizeLaunchers
from hybrid.trace.arguments import Call
from hybrid.trace.concrete import ConcreteFunction
from hybrid.trace.keys import fast_key, is_flat, key_of_tensors, key_without
from hybrid.trace.launcher import VARIANTS, Launcher, chain_of, is_pure
from hybrid.trace.nested import Nested
from hybrid.trace.plain import run_as_given
from hybrid.trace.plain_launcher import PlainLauncher
from hybrid.trace.signature import Signature
from hybrid.trace.steps import Resume
from hybrid.trace.tickets import Order, ticket_of
from hybrid.trace.traces import Traces

WORTH_COMPILING = 500
"""Answers of a launcher before native code takes over: once for a process, that is compiled, which
takes 20 milliseconds."""
LAUNCHERS = 256  # at most, for one function
TICKETS = 8
"""Kinds of calls of one function that native code answers: layers of a class, sizes of batches."""


class Shortcuts:
    """What a call asks first.

    Parameters
    ----------
    traces : Traces
        Those that are in use.

    Attributes
    ----------
    launchers : dict
        By the keys of calls with positional arguments that hold no containers.
    key : callable
        ``key(args)`` gives such a key; None where there is none.
    any_size : AnySizeLaunchers
        For calls with such arguments, of sizes that have no launcher.
    nested : Nested
        For the other calls.
    tickets : tuple of tuple, optional
        What native code is told of the calls that it answers by itself: those that launchers
        answered again and again, the latest first.
    answered : ndarray
        How many they were.
    """

    __slots__ = (
        "_open",
        "_traces",
        "answered",
        "any_size",
        "key",
        "launchers",
        "nested",
        "tickets",
    )

    def __init__(self, traces: Traces) -> None:
        self._traces = traces
        self.tickets: tuple[Ticket, ...] | None = None
        self.answered = np.zeros(1, np.int64)
        self._open: frozenset[int] = frozenset()
        self.launchers: dict[Any, Launcher] = {}
        self.key: Callable[[tuple[Any, ...]], Any] = fast_key
        self.any_size = AnySizeLaunchers()
        self.nested = Nested()

    def again(
        self,
        launcher: Launcher,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        placed: Order | None,
        order: Order | None,
    ) -> bool:
        """Note that a launcher answers a usual call; tell whether native code is to answer now.

        Parameters
        ----------
        launcher : Launcher
        args, kwargs
            The arguments as they were given.
        placed, order : callable, optional
            As :func:`ticket_of` has them.
        """
        launcher.times += 1
        if launcher.times % WORTH_COMPILING or isinstance(launcher, PlainLauncher):
            return False
        # One that was made before knows other objects than those that are given now.
        form = len(args), *kwargs
        before = launcher.tickets.get(form, ())
        if before is None:
            return False
        mine = ticket_of(launcher, self.answered, args, kwargs, placed, order)
        launcher.tickets[form] = mine
        if mine is None:
            return False
        others = [x for x in self.tickets or () if x is not before]
        self.tickets = (mine, *others[: TICKETS - 1])
        known = any(launcher in chain_of(x) for x in self.launchers.values())
        if not (known or launcher in self.nested):
            self.tickets = None  # another thread has forgotten it meanwhile
        return self.tickets is not None

    def special_key(self, args: tuple[Any, ...]) -> Any:
        """Return the key of a launcher where not all is as usual, in whatever thread."""
        if modes.functions_run_eagerly():
            return None
        key, state = self.key(args), dispatch.state
        here = state.defaults, state.device
        return key if here == (USUAL, CPU) or key is None else (here, key)

    def remember(
        self,
        concrete: ConcreteFunction,
        call: Call,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        resume: Callable[[int], Resume],
        function: Callable[..., Any],
    ) -> Launcher | None:
        """Make the next call with such arguments cheap; return what answers it, if that is new.

        Parameters
        ----------
        concrete : ConcreteFunction
            What answers it.
        call : Call
            The leaves may end in default values.
        args, kwargs
            The arguments as the caller gave them.
        resume : callable
            ``resume(given)``: for a call of which so many leaves are not default values.
        function : callable
            What is called where it runs eagerly.
        """
        if concrete not in self._traces:
            return None
        if concrete.fallback is not None:
            self._remember_plainly(concrete, call, args, kwargs, function)
            return None
        if concrete.root is None:
            return None
        signature, leaves = call.bound.signature, call.leaves
        if kwargs or not is_flat(concrete.signature, leaves, args, signature.parameters):
            self.nested.remember(concrete, leaves, args, kwargs, signature.bind)
            return None
        shared = concrete.signature.aliases
        if shared and (not is_pure(concrete) or any(max(g) >= len(args) for g in shared)):
            return None
        self._leave_open(concrete.signature, args)
        if self.key is fast_key and {*map(type, args)} == {Tensor}:
            self.key = key_of_tensors(len(args))
        key = self.special_key(args)
        if key is None:
            return None
        self._make_room()
        others = [x for x in chain_of(self.launchers.get(key)) if x.concrete in self._traces]
        if any(x.concrete is concrete for x in others):
            return None
        following = others[0] if 0 < len(others) < VARIANTS else None
        given = len(args)
        resumed = resume(given)
        made = Launcher(concrete, leaves, given, resumed, following)
        self.launchers[key] = made
        if (concrete.signature.defaults, concrete.signature.device) == (USUAL, CPU):
            self.any_size.remember(made, leaves, given, resumed.recover)
        return made

    def _remember_plainly(
        self,
        concrete: ConcreteFunction,
        call: Call,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        function: Callable[..., Any],
    ) -> None:
        """Make the next call that runs eagerly cheap."""
        signature, leaves = call.bound.signature, call.leaves
        if kwargs or not is_flat(concrete.signature, leaves, args, signature.parameters):
            run = functools.partial(run_as_given, function, signature.bind)
            self.nested.remember_plainly(concrete, leaves, args, kwargs, run)
            return
        if self._open or any(isinstance(x, np.ndarray | np.generic) for x in leaves[len(args) :]):
            return
        key = self.special_key(args)
        if key is not None and self.launchers.get(key) is None:
            self._make_room()
            self.launchers[key] = PlainLauncher(function, concrete, args)

    def _make_room(self) -> None:
        while len(self.launchers) >= LAUNCHERS:
            self.launchers.pop(next(iter(self.launchers)), None)
            self.tickets = None

    def _leave_open(self, signature: Signature, args: tuple[Any, ...]) -> None:
        """Let the keys of launchers be without ints that are inputs of a trace."""
        pairs = enumerate(zip(args, signature.leaves, strict=False))
        places = {i for i, (x, key) in pairs if type(x) is int and isinstance(key, TensorSpec)}
        if not places <= self._open:
            self._open |= places
            self.key = key_without(self._open)
            self.forget_all()

    def reconsider(self, concrete: ConcreteFunction) -> None:
        """Forget what can answer no more for a trace that has grown."""
        if self.nested.reconsider(concrete):
            self.tickets = None

    def forget(self, concretes: Sequence[ConcreteFunction]) -> None:
        """Forget the short ways to some traces."""
        self.any_size.forget(concretes)
        self.nested.forget(concretes)
        for key, launcher in list(self.launchers.items()):
            if any(x.concrete in concretes for x in chain_of(launcher)):
                self.launchers.pop(key, None)
        self.tickets = None

    def forget_all(self) -> None:
        """Forget everything."""
        self.launchers.clear()
        self.any_size.clear()
        self.nested.clear()
        self.tickets = None
