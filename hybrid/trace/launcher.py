"""Launcher: the short way from a call to its Plan, for the calls that were seen before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid.core.tensor import Tensor, wrap
from hybrid.core.variable import Variable
from hybrid.trace.concrete import ConcreteFunction
from hybrid.trace.environment import Binding
from hybrid.trace.segment import FromEnvironment, Segment, contents, start
from hybrid.trace.signature import Signature, is_array


class Launcher:
    """A replay without any look-up: the Plan of a one-segment trace, bound to its captures."""

    __slots__ = ("concrete", "run", "valid")

    def __init__(self, concrete: ConcreteFunction, segment: Segment, leaves: list[Any]) -> None:
        self.concrete = concrete
        environment = start(leaves)
        environment.extend(contents(source) for source in segment.captured)
        plan = segment.plan_for([environment[i] for i in segment.parameters])
        self.run = _launcher(segment, plan.run, leaves)
        self.valid = _validity(concrete.bindings)


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
    first = inputs + len(sources)
    scope: dict[str, Any] = {f"c{i}": s for i, s in enumerate(sources)}
    scope |= {"plan": plan, "wrap": wrap, "new": object.__new__, "Tensor": Tensor}
    lines = ["def run(args):", f"    out = plan({call})"]
    assert segment.result is not None
    if not segment.writes and _is_one_tensor(segment, first):
        lines += [
            "    t = new(Tensor)",
            "    t._data = out[0]",
            "    t._alias = t._node = None",
            "    return t",
        ]
    else:
        scope |= {"segment": segment, "build": segment.result.build}
        captured = ", ".join(fetch[inputs:])
        lines.append(f"    env = [{', '.join(fetch[:inputs] + fetch[inputs:])}, *out]")
        del captured
        if segment.writes:
            lines.append("    segment.commit(env, args)")
        lines.append("    return build(env, args)")
    exec("\n".join(lines), scope)
    run: Callable[[tuple[Any, ...]], Any] = scope["run"]
    return run


def _is_one_tensor(segment: Segment, first: int) -> bool:
    result = segment.result
    assert result is not None
    return (
        len(result.leaves) == 1
        and result.tree.num_nodes == 1
        and result.leaves[0] == FromEnvironment(first, False)
    )


def _validity(outside: tuple[Binding, ...]) -> Callable[[], bool]:
    if not outside:
        return lambda: True
    return lambda: not any(b.changed for b in outside)


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
