"""Launcher: the short way from a call to its Plan, for the calls that were seen before."""

from __future__ import annotations

from collections.abc import Callable
from operator import is_
from typing import Any

import numpy as np

from hybrid.core.formula import ROUNDING, Input, input_formula, read, text
from hybrid.core.tensor import Tensor, asarray
from hybrid.core.variable import Variable
from hybrid.trace.concrete import ConcreteFunction
from hybrid.trace.environment import unchanged
from hybrid.trace.segment import (
    Derived,
    FromEnvironment,
    Local,
    Result,
    Segment,
    commit,
    contents,
    start,
)
from hybrid.trace.sharing import identical
from hybrid.trace.signature import Signature, is_array

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
    replay : callable
        Takes the arguments; for traces of several segments.
    """

    __slots__ = ("clear", "concrete", "run", "valid")

    def __init__(
        self, concrete: ConcreteFunction, leaves: list[Any], given: int, replay: Replay
    ) -> None:
        self.concrete = concrete
        self.valid = unchanged(concrete.bindings)
        self.clear = _apart(concrete, leaves[given:])
        segment = concrete.root
        assert segment is not None
        if segment.result is None:
            self.run = replay
            return
        environment = start(leaves)
        environment.extend(contents(source, leaves) for source in segment.captured)
        sized = segment.sized(leaves)
        plan = sized.plan_for([environment[i] for i in segment.parameters])
        self.run = _launcher(segment, sized.result, plan.run, leaves, given)


def _apart(concrete: ConcreteFunction, rest: list[Any]) -> Callable[[tuple[Any, ...]], bool]:
    """Return a function that tells whether arguments share no memory that is written in place."""
    if all(write.rebind for segment in concrete.segments for write in segment.writes):
        return lambda args: True
    return lambda args: not identical(args) and not concrete.entangled([*args, *rest])


def _launcher(
    segment: Segment, result: Result, plan: Callable[..., Any], leaves: list[Any], given: int
) -> Replay:
    """Generate the function that goes from arguments to results without any decision."""
    scope: dict[str, Any] = {"plan": plan, "new": object.__new__, "Tensor": Tensor} | ROUNDING
    fetch = []
    for i, leaf in enumerate(leaves):
        if is_array(leaf):
            name = f"args[{i}]" if i < given else f"d{i}"
            scope[f"d{i}"] = leaf if i >= given else None
            fetch.append(f"{name}._data" if type(leaf) is Tensor else name)
    for i, source in enumerate(segment.captured):
        if type(source) is Derived:
            fetch.append(text(source.formula, lambda x: _place(x, leaves, given)))
            continue
        scope[f"c{i}"] = source
        attribute = {Variable: "_tensor._data", Local: "contents"}.get(type(source), "_data")
        fetch.append(f"c{i}.{attribute}")
    first = len(fetch)
    call = ", ".join(fetch[i] for i in segment.parameters)
    lines = ["def run(args):", f"    out = plan({call})"]
    rest = [write for write in segment.writes if not write.rebind]
    simple = not rest and _is_one_tensor(result, first)
    if not simple:
        # Before the writes: a result may be what a Variable held until now.
        lines.append(f"    env = [{', '.join((*fetch, '*out'))}]")
    for i, write in enumerate(w for w in segment.writes if w.rebind):
        scope[f"w{i}"] = write.target
        lines += [*_new_tensor(f"out[{write.index - first}]"), f"    w{i}._tensor = t"]
    if simple:
        lines += [*_new_tensor("out[0]"), "    return t"]
    else:
        scope |= {"build": result.build, "commit": commit, "rest": rest}
        scope["defaults"] = tuple(leaves[given:])
        arguments = "args" if given == len(leaves) else "(*args, *defaults)"
        if rest:
            lines += ["    for write in rest:", f"        commit(write, env, {arguments})"]
        lines.append(f"    return build(env, {arguments})")
    exec("\n".join(lines), scope)
    run: Replay = scope["run"]
    return run


def _place(unknown: Input, leaves: list[Any], given: int) -> str:
    """Write where an unknown number is: among the arguments, or known from a default value."""
    return unknown.place if unknown.leaf < given else str(read(input_formula(unknown))(leaves))


def _new_tensor(data: str) -> list[str]:
    """Write what `wrap` does, without the call."""
    return [
        "    t = new(Tensor)",
        f"    t._data = {data}",
        "    t._alias = t._node = None",
    ]


def _is_one_tensor(result: Result, first: int) -> bool:
    return (
        len(result.leaves) == 1
        and result.tree.num_nodes == 1
        and result.leaves[0] == FromEnvironment(first, False)
    )


def fast_key(args: tuple[Any, ...]) -> Any:
    """Return a key that is cheap to make and at least as fine as the signature; None for none."""
    key: list[Any] = []
    for x in args:
        kind = type(x)
        if kind is Tensor:
            data = x._data
            key += (kind, data.dtype, data.shape, data.strides)
        elif kind is np.ndarray:
            # The launcher hands the ndarray itself to the kernels, which want it aligned.
            key += (kind, x.dtype, x.shape, x.strides, x.flags.aligned)
        elif kind is float or kind is complex:
            key.append(kind)
        elif kind is int or kind is bool or kind is str or x is None:
            key += (kind, x)
        elif kind.__hash__ is _BY_IDENTITY:
            # A model, a Variable: its trace, and with it this key, dies with it.
            key += (kind, id(x))
        else:
            return None
    return tuple(key)


_BY_IDENTITY: Any = object.__hash__


def is_flat(signature: Signature, leaves: list[Any], args: tuple[Any, ...]) -> bool:
    """Tell whether the leaves are the arguments as given, in order, and then default values.

    An ndarray that has to be converted (misaligned, byte-swapped) is not taken as given.
    """
    given = len(args) <= len(leaves) and all(map(is_, leaves, args))
    if any(type(x) is np.ndarray and asarray(x)._data is not x for x in leaves):
        return False
    distinct = len(set(map(id, leaves))) == len(leaves)
    return bool(signature.tree.num_nodes == len(leaves) + 1 and given and distinct)
