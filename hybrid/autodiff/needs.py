"""Which values a gradient rule uses, read off its code: a tape keeps no others.

A rule is ``rule(g, out, x, y)``. What its code never loads it does not need; where it only asks for
``x.shape`` or ``x.dtype``, a spec serves as well. What cannot be read (a callable that is no Python
function, arguments taken as ``*inputs`` and used) counts as used.
"""

from __future__ import annotations

import dis
from collections.abc import Callable
from functools import cache
from inspect import CO_VARARGS
from types import CodeType
from typing import Any

from hybrid.core.op import Op
from hybrid.records import dataclass

_OF_SPEC = frozenset(("shape", "dtype", "ndim", "size"))


@dataclass(frozen=True, slots=True)
class Needs:
    """The inputs whose values gradients use, and whether they use those of the results."""

    inputs: frozenset[int]
    output: bool


_NOTHING = Needs(frozenset(), False)


def needs_of(op: Op, count: int, wanted: tuple[int, ...]) -> Needs:
    """Return what the gradients of `op`, applied to `count` inputs, by those `wanted` use."""
    if op.joint_vjp is not None:
        return _uses(op.joint_vjp, 2, count)
    if op.vjp is None:
        return _NOTHING
    if not isinstance(op.vjp, tuple):
        return _uses(op.vjp, 2, count)
    found = [_uses(rule, 1, count) for i in wanted if (rule := op.vjp[i]) is not None]
    if op.chosen is not None:
        found.append(_uses(op.chosen, 0, count))
    inputs = frozenset[int]().union(*(needs.inputs for needs in found))
    return Needs(inputs, any(needs.output for needs in found))


def _uses(rule: Callable[..., Any], before: int, count: int) -> Needs:
    """Return what `rule` uses, which has `before` parameters before the result."""
    code = getattr(rule, "__code__", None)
    if code is None:
        return Needs(frozenset(range(count)), True)
    if hasattr(rule, "__self__"):
        before += 1
    used, rest = _parameters(code)

    def uses(i: int) -> bool:
        return i in used if i < code.co_argcount else rest

    return Needs(frozenset(i for i in range(count) if uses(before + 1 + i)), uses(before))


@cache
def _parameters(code: CodeType) -> tuple[frozenset[int], bool]:
    """Return the positions of the parameters whose values code uses, and whether ``*rest`` is."""
    loaded = set(code.co_cellvars)
    steps = list(dis.get_instructions(code))
    for step, after in zip(steps, [*steps[1:], None], strict=True):
        if "LOAD_FAST" not in step.opname:
            continue
        names = step.argval if isinstance(step.argval, tuple) else (step.argval,)
        asks = after is not None and after.opname == "LOAD_ATTR" and after.argval in _OF_SPEC
        loaded.update(names[:-1] if asks else names)
    names = code.co_varnames
    rest = bool(code.co_flags & CO_VARARGS) and (
        names[code.co_argcount + code.co_kwonlyargcount] in loaded
    )
    return frozenset(i for i in range(code.co_argcount) if names[i] in loaded), rest
