"""The short way to a Plan for calls with containers or keyword arguments.

Such a call is flattened as it comes, by optree in C++; a key of its structure and leaves finds the
launcher, and a function made once for the structure puts the leaves in the order of the parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import BoundArguments
from typing import Any

import numpy as np

from hybrid.core import containers
from hybrid.core.making import asarray
from hybrid.core.spec import TensorSpec
from hybrid.core.state import state
from hybrid.trace.any_size_launcher import UNKNOWN, AnySizeLaunchers
from hybrid.trace.concrete import ConcreteFunction
from hybrid.trace.keys import fast_key, key_without
from hybrid.trace.launcher import VARIANTS, Launcher, chain_of
from hybrid.trace.segment import Segment
from hybrid.trace.signature import Signature, flatten
from hybrid.trace.steps import Resume
from hybrid.trace.tickets import Order

MAX_LAUNCHERS = 256
Again = Callable[[Launcher, Order], Any]
Plainly = Callable[[tuple[Any, ...], dict[str, Any]], Any]


class Nested:
    """Launchers by the structure and the leaves of calls."""

    def __init__(self) -> None:
        self._known: dict[Any, tuple[Order, Launcher]] = {}
        self._any_size: dict[Any, tuple[Order, AnySizeLaunchers]] = {}
        self._plainly: dict[Any, tuple[ConcreteFunction, Plainly]] = {}
        self._open: dict[Any, frozenset[int]] = {}  # ints that are inputs of a trace, by structure

    def __bool__(self) -> bool:
        return bool(self._known or self._plainly)

    def __contains__(self, launcher: Launcher) -> bool:
        return any(launcher in chain_of(x) for _, x in self._known.values())

    def launch(self, args: tuple[Any, ...], kwargs: dict[str, Any], again: Again) -> Any:
        """Run the trace for these arguments; `UNKNOWN` where none is known.

        Parameters
        ----------
        args, kwargs
        again : callable
            ``again(launcher, order)`` is told that a launcher answers, and what order it takes the
            leaves in.
        """
        leaves, tree = containers.flatten((args, kwargs))
        key = (tree, self._key(tree, leaves), state.defaults, state.device)
        found = self._known.get(key)
        if found is None:
            eager = self._plainly.get(key)
            if eager is not None:
                return eager[1](args, kwargs)
            general = self._any_size.get((tree, state.defaults, state.device))
            if general is None:
                return UNKNOWN
            order, launchers = general
            return launchers.launch(key, order(leaves))
        order, first = found
        given = order(leaves)
        for launcher in chain_of(first):
            if launcher.valid() and launcher.clear(given):
                again(launcher, order)
                return launcher.run(given)
        return UNKNOWN

    def remember(
        self,
        concrete: ConcreteFunction,
        leaves: list[Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        bind: Callable[..., BoundArguments],
    ) -> None:
        """Make the next call with such arguments cheap.

        Only for traces that leave containers alone: others have to see the arguments as they were
        given. Where a guard has a new value, the call begins anew, for which nothing may
        have been written before a guard.
        """
        if not _fits(concrete) or not all(map(_as_is, leaves)):
            return
        raw, tree = containers.flatten((args, kwargs))
        if fast_key(tuple(raw)) is None:
            return
        while len(self._known) >= MAX_LAUNCHERS:
            self._known.pop(next(iter(self._known)), None)
        order = _order(tree, len(raw), bind)
        self._leave_open(tree, raw, order, concrete.signature)
        here = state.defaults, state.device
        key = (tree, self._key(tree, raw), *here)
        _, before = self._known.get(key, (None, None))
        others = [*chain_of(before)]
        if any(x.concrete is concrete for x in others):
            return
        following = others[0] if 0 < len(others) < VARIANTS else None
        resume = Resume(_from_the_start, _from_the_start, may_follow)
        launcher = Launcher(concrete, leaves, len(leaves), resume, following)
        self._known[key] = order, launcher
        if launcher.template is not None:
            while len(self._any_size) >= MAX_LAUNCHERS:
                self._any_size.pop(next(iter(self._any_size)), None)
            _, general = self._any_size.setdefault((tree, *here), (order, AnySizeLaunchers()))
            general.remember(launcher, leaves, len(leaves), _from_the_start)

    def _key(self, tree: Any, leaves: list[Any]) -> Any:
        places = self._open.get(tree)
        return fast_key(tuple(leaves)) if places is None else key_without(places)(tuple(leaves))

    def _leave_open(self, tree: Any, raw: list[Any], order: Order, signature: Signature) -> None:
        """Let keys of such calls be without ints that are inputs of a trace."""
        marks = order([_Marker(i) for i in range(len(raw))])
        pairs = zip(marks, signature.leaves, strict=True)
        numbers = [x.number for x, key in pairs if type(x) is _Marker and type(key) is TensorSpec]
        places = {i for i in numbers if type(raw[i]) is int}
        before = self._open.get(tree, frozenset())
        if places <= before:
            return
        for key in [key for key in [*self._known] if key[0] == tree]:
            self._known.pop(key, None)
        for key in [key for key in [*self._plainly] if key[0] == tree]:
            self._plainly.pop(key, None)
        while len(self._open) >= MAX_LAUNCHERS:
            self._open.pop(next(iter(self._open)), None)
        self._open[tree] = before | places

    def remember_plainly(
        self,
        concrete: ConcreteFunction,
        leaves: list[Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        run: Plainly,
    ) -> None:
        """Make the next call cheap that runs eagerly: it needs no signature."""
        raw, tree = containers.flatten((args, kwargs))
        values = self._key(tree, raw)
        if values is None or not all(map(_as_is, leaves)):
            return
        while len(self._plainly) >= MAX_LAUNCHERS:
            self._plainly.pop(next(iter(self._plainly)), None)
        self._plainly[tree, values, state.defaults, state.device] = concrete, run

    def reconsider(self, concrete: ConcreteFunction) -> bool:
        """Forget the launchers of a trace that has grown, if these can answer no more.

        Returns
        -------
        bool
            Whether there were any.
        """
        if _fits(concrete) or not any(x[1].concrete is concrete for x in [*self._known.values()]):
            return False
        self.forget((concrete,))
        return True

    def forget(self, concretes: Sequence[ConcreteFunction]) -> None:
        """Forget the launchers of some traces."""
        for key, (_, launcher) in list(self._known.items()):
            if any(x.concrete in concretes for x in chain_of(launcher)):
                self._known.pop(key, None)
        for key, (concrete, _) in list(self._plainly.items()):
            if concrete in concretes:
                self._plainly.pop(key, None)
        for _, general in list(self._any_size.values()):
            general.forget(concretes)

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()
        self._any_size.clear()
        self._plainly.clear()
        self._open.clear()


def _fits(concrete: ConcreteFunction) -> bool:
    return (
        concrete.root is not None
        and concrete.fallback is None
        and not concrete.signature.same
        and all(map(may_follow, concrete.segments))
    )


def may_follow(segment: Segment) -> bool:
    """Tell whether a call may begin anew after a segment, or has come to its end there."""
    if any(x.axis is None for x in segment.inputs):
        return False
    if segment.result is not None:
        return not segment.result.changed
    loop = None if segment.repeat is None else segment.repeat.loop
    return not segment.acts and (loop is None or not (loop.acts or loop.inputs))


def _as_is(leaf: Any) -> bool:
    """Tell whether kernels take a leaf as it is: not a misaligned or byte-swapped ndarray."""
    return type(leaf) is not np.ndarray or asarray(leaf)._data is leaf


def _from_the_start(*_: Any) -> Any:
    return UNKNOWN


class _Marker:
    """Stands for a leaf, to learn where binding puts it."""

    def __init__(self, number: int) -> None:
        self.number = number


def _order(tree: Any, count: int, bind: Callable[..., BoundArguments]) -> Order:
    """Return a function from the leaves of a call to those of its bound arguments."""
    args, kwargs = containers.unflatten(tree, [_Marker(i) for i in range(count)])
    bound = bind(*args, **kwargs)
    bound.apply_defaults()
    leaves, _, _ = flatten(dict(bound.arguments))
    scope: dict[str, Any] = {}
    parts = []
    for i, leaf in enumerate(leaves):
        if isinstance(leaf, _Marker):
            parts.append(f"leaves[{leaf.number}]")
        else:  # a default value
            scope[f"d{i}"] = leaf
            parts.append(f"d{i}")
    order: Order = eval(f"lambda leaves: ({''.join(f'{part}, ' for part in parts)})", scope)
    return order
