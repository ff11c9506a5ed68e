"""The short ways of one function: from the types and shapes of a call straight to its trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hybrid.core import dispatch
from hybrid.core.devices import CPU
from hybrid.core.spec import TensorSpec
from hybrid.core.state import USUAL
from hybrid.core.tensor import Tensor
from hybrid.trace import modes
from hybrid.trace.arguments import Call
from hybrid.trace.concrete import ConcreteFunction
from hybrid.trace.launcher import (
    Launcher,
    chain_of,
    fast_key,
    is_flat,
    is_pure,
    key_of_tensors,
    key_without,
)
from hybrid.trace.nested import Nested
from hybrid.trace.signature import Signature
from hybrid.trace.steps import Resume
from hybrid.trace.traces import Traces

LAUNCHERS = 256  # at most, for one function
VARIANTS = 8  # of them at most, for calls that differ in ints only


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
    nested : Nested
        For the other calls.
    """

    __slots__ = ("_open", "_traces", "key", "launchers", "nested")

    def __init__(self, traces: Traces) -> None:
        self._traces = traces
        self._open: frozenset[int] = frozenset()
        self.launchers: dict[Any, Launcher] = {}
        self.key: Callable[[tuple[Any, ...]], Any] = fast_key
        self.nested = Nested()

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
    ) -> None:
        """Make the next call with such arguments cheap.

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
        """
        root = concrete.root
        if root is None or concrete.fallback is not None or concrete not in self._traces:
            return
        signature, leaves = call.bound.signature, call.leaves
        if kwargs or not is_flat(concrete.signature, leaves, args, signature.parameters):
            self.nested.remember(concrete, leaves, args, kwargs, signature.bind)
            return
        shared = concrete.signature.aliases
        if shared and (not is_pure(concrete) or any(max(g) >= len(args) for g in shared)):
            return
        self._leave_open(concrete.signature, args)
        if self.key is fast_key and {*map(type, args)} == {Tensor}:
            self.key = key_of_tensors(len(args))
        key = self.special_key(args)
        if key is None:
            return
        while len(self.launchers) >= LAUNCHERS:
            self.launchers.pop(next(iter(self.launchers)), None)
        others = [x for x in chain_of(self.launchers.get(key)) if x.concrete in self._traces]
        if all(x.concrete is not concrete for x in others):
            following = others[0] if 0 < len(others) < VARIANTS else None
            given = len(args)
            self.launchers[key] = Launcher(concrete, leaves, given, resume(given), following)

    def _leave_open(self, signature: Signature, args: tuple[Any, ...]) -> None:
        """Let the keys of launchers be without ints that are inputs of a trace."""
        pairs = enumerate(zip(args, signature.leaves, strict=False))
        places = {i for i, (x, key) in pairs if type(x) is int and isinstance(key, TensorSpec)}
        if not places <= self._open:
            self._open |= places
            self.key = key_without(self._open)
            self.forget_all()

    def forget(self, concretes: Sequence[ConcreteFunction]) -> None:
        """Forget the short ways to some traces."""
        self.nested.forget(concretes)
        for key, launcher in list(self.launchers.items()):
            if any(x.concrete in concretes for x in chain_of(launcher)):
                self.launchers.pop(key, None)

    def forget_all(self) -> None:
        """Forget everything."""
        self.launchers.clear()
        self.nested.clear()
