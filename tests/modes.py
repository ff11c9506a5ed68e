"""The ways in which a function can be run; each must give the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import hybrid as hb
from hybrid import dtypes
from hybrid.trace.recorder import trace_pure


def eager(function: Callable[..., Any], *arrays: Any) -> Any:
    return function(*arrays)


def compiled(function: Callable[..., Any], *arrays: Any) -> Any:
    return hb.compile(function)(*arrays)


def taped(function: Callable[..., Any], *arrays: Any) -> Any:
    with hb.GradientTape() as tape:
        tape.watch([x for x in arrays if dtypes.is_inexact(x.dtype)])
        return function(*arrays)


def traced(function: Callable[..., Any], *arrays: Any) -> Any:
    """Return the specs of the results, in which the recorder must agree with the others."""
    several = True

    def as_tuple(*xs: Any) -> tuple[Any, ...]:
        nonlocal several
        results = function(*xs)
        several = isinstance(results, list)
        return tuple(results) if several else (results,)

    graph, _ = trace_pure("traced", as_tuple, [x.spec for x in arrays])
    specs = [value.spec for value in graph.outputs]
    return specs if several else specs[0]


def modes(*functions: Callable[..., Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("mode", functions, ids=lambda mode: mode.__name__)


MODES = modes(eager, compiled, taped)
DTYPE_MODES = modes(eager, traced, taped)
