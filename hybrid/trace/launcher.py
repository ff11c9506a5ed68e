"""Launcher: the short way from a call to its Plan, for the calls that were seen before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid.core.tensor import Tensor
from hybrid.core.variable import Variable
from hybrid.trace.concrete import ConcreteFunction
from hybrid.trace.environment import unchanged
from hybrid.trace.segment import FromEnvironment, Result, Segment, commit, contents, start
from hybrid.trace.sharing import identical
from hybrid.trace.signature import Signature, is_array


class Launcher:
    """A replay without any look-up: the Plan of a one-segment trace, bound to its captures."""

    __slots__ = ("clear", "concrete", "run", "valid")

    def __init__(self, concrete: ConcreteFunction, segment: Segment, leaves: list[Any]) -> None:
        self.concrete = concrete
        environment = start(leaves)
        environment.extend(contents(source) for source in segment.captured)
        plan = segment.plan_for([environment[i] for i in segment.parameters])
        self.run = _launcher(segment, plan.run, leaves)
        self.valid = unchanged(concrete.bindings)
        self.clear = _apart(concrete, segment)


def _apart(concrete: ConcreteFunction, segment: Segment) -> Callable[[tuple[Any, ...]], bool]:
    """Return a function that tells whether arguments share no memory that is written in place."""
    if all(write.rebind for write in segment.writes):
        return lambda args: True
    return lambda args: not identical(args) and not concrete.entangled(args)


def _launcher(
    segment: Segment, plan: Callable[..., Any], leaves: list[Any]
) -> Callable[[tuple[Any, ...]], Any]:
    """Generate the function that goes from arguments to results without any decision."""
    fetch = []
    for i, leaf in enumerate(leaves):
        if is_array(leaf):
            fetch.append(f"args[{i}]._data" if type(leaf) is Tensor else f"args[{i}]")
    inputs = len(fetch)
    sources = segment.captured
    for i, source in enumerate(sources):
        cell = f"c{i}._tensor._data" if type(source) is Variable else f"c{i}._data"
        fetch.append(cell)
    call = ", ".join(fetch[i] for i in segment.parameters)
    scope: dict[str, Any] = {f"c{i}": s for i, s in enumerate(sources)}
    scope |= {"plan": plan, "new": object.__new__, "Tensor": Tensor}
    lines = ["def run(args):", f"    out = plan({call})"]
    result = segment.result
    assert result is not None
    first = inputs + len(sources)
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
        if rest:
            lines += ["    for write in rest:", "        commit(write, env, args)"]
        lines.append("    return build(env, args)")
    exec("\n".join(lines), scope)
    run: Callable[[tuple[Any, ...]], Any] = scope["run"]
    return run


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
            key += (kind, x.dtype, x.shape, x.strides)
        elif kind is float or kind is complex:
            key.append(kind)
        elif kind is int or kind is bool or kind is str or x is None:
            key += (kind, x)
        else:
            return None
    return tuple(key)


def is_flat(signature: Signature, leaves: list[Any]) -> bool:
    """Tell whether the arguments are the leaves themselves, in order."""
    distinct = len(set(map(id, leaves))) == len(leaves)
    return bool(signature.tree.num_nodes == len(leaves) + 1 and distinct)
