"""What can be seen of a random program: its calls, results, errors, gradients and side effects."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import linecache
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

import hybrid as hb
from tests.fuzz.programs import Program

ROWS, COLUMNS = 3, 4
HELPER = "def helper(q, a):\n    return q * 0.5 - a if q[0, 0] > 0 else q + a"


@dataclass
class Config:
    """An argument that is a dataclass."""

    m: Any
    rate: float


Values = dict[str, Any]


def inputs(seed: int, program: Program) -> list[Values]:
    """Return what each of a few calls reads; some calls come twice."""
    drawn = np.random.default_rng(seed)

    def values(scale: float, shift: float, rows: int, dtype: str) -> Values:
        def matrix() -> np.ndarray[Any, Any]:
            found = drawn.normal(size=(rows, COLUMNS)) * scale + shift
            return np.round(found, 3).astype(dtype)

        def number() -> float:
            return float(np.round(drawn.normal(), 3))

        return {
            "x": matrix(),
            "y": matrix(),
            "k": drawn.integers(-3, 6, (rows, COLUMNS)),
            "s": number(),
            "n": int(drawn.integers(1, 7)),
            "d": {"m": matrix(), "r": [matrix()[0]]},
            "c": Config(matrix(), number()),
            "many": list(matrix()),
            "bias": matrix(),
            "rate": float(drawn.integers(1, 3)),
            "self": {"m": matrix(), "rate": float(drawn.integers(1, 3))},
            "by": number(),
        }

    rows = [3, 4, 5, 3, 7] if program.sizes else [ROWS] * 5
    kinds = ["float64", "float32", "float64", "float64", "float32"]
    kinds = kinds if program.dtypes else ["float64"] * 5
    spread = [(1, 0), (0.5, 1), (2, -1), (1, 0), (1, 0.5)]
    different = [values(*each, r, kind) for each, r, kind in zip(spread, rows, kinds, strict=True)]
    return [different[i] for i in (0, 1, 0, 2, 3, 1, 2, 4)]


def as_tensors(x: Any) -> Any:
    """Return containers with Tensors of their own memory for the ndarrays."""
    if isinstance(x, tuple | list):
        return type(x)(map(as_tensors, x))
    if isinstance(x, dict):
        return {k: as_tensors(v) for k, v in x.items()}
    if isinstance(x, Config):
        return Config(as_tensors(x.m), x.rate)
    return hb.asarray(x, copy=True) if isinstance(x, np.ndarray) else x


def plain(x: Any) -> Any:
    """Return results as copies that do not change any more."""
    if isinstance(x, tuple | list):
        return [type(x).__name__, *map(plain, x)]
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, Config):
        return plain(vars(x))
    return np.array(x) if isinstance(x, hb.Tensor | hb.Variable | np.generic) else x


def same(a: Any, b: Any, close: float) -> bool:
    """Compare the types, dtypes and values of results; floats up to an error."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(same(*each, close) for each in zip(a, b, strict=True))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k], close) for k in a)
    if isinstance(a, np.ndarray):
        alike = a.dtype == b.dtype and a.shape == b.shape
        return alike and np.allclose(a, b, rtol=close, atol=close, equal_nan=True)
    return a == b if not isinstance(a, float) else bool(np.isclose(a, b, close, equal_nan=True))


def differentiable(x: Any) -> Iterator[hb.Tensor]:
    """Yield the Tensors of floats in a result."""
    if isinstance(x, Config):
        x = vars(x)
    if isinstance(x, list | tuple | dict):
        for part in x.values() if isinstance(x, dict) else x:
            yield from differentiable(part)
    elif isinstance(x, hb.Tensor) and x.dtype.kind == "f":
        yield x


def behaviour(
    program: Program, source: str, seed: int, compiled: Callable[[Any], Any]
) -> list[Values]:
    """Return all that can be seen of the calls."""
    v, w = hb.Variable(np.arange(COLUMNS) / 4), hb.Variable(1.0, dtype=hb.float64)
    scope: Values = {"hb": hb, "np": np, "v": v, "w": w, "box": {"v": v}, "pair": (w, v)}
    scope["Config"] = Config
    scope |= {module.__name__: module for module in (contextlib, dataclasses, functools)}
    exec(HELPER, scope)
    if program.nested:
        scope["helper"] = compiled(scope["helper"])
    name = f"<fuzz {seed}>"
    linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
    exec(compile(source, name, "exec"), scope)
    function = compiled(scope["f"])
    model = type("Model", (SimpleNamespace,), {"f": function, "__hash__": object.__hash__})()
    hb.random.seed(seed)
    drawn = random.Random(seed)
    seen: list[Values] = []
    for values in inputs(seed, program):
        own = as_tensors(values)
        vars(model).update(own["self"])
        scope.update({k: x for k, x in own.items() if k not in program.parameters})
        args, kwargs = arguments(program, own, drawn)
        called = partial(model.f if program.method else function, *args, **kwargs)
        sources = [own["x"], own["y"], own["bias"], own["c"].m, v, w]
        gradients = None
        try:
            if program.taped:
                result, gradients = with_gradients(called, sources)
            else:
                result = called()
            result = plain(result)
        except Exception as error:
            result = ["raised", type(error).__name__]
        state = {"result": result, "reached": own, "v": v, "w": w, "gradients": gradients}
        seen.append({name: plain(x) for name, x in state.items()})
    return seen


def arguments(program: Program, values: Values, drawn: random.Random) -> tuple[list[Any], Values]:
    """Return the arguments of a call: positional ones first, others by name or left out."""
    args = [values[name] for name in program.parameters]
    kwargs: Values = {}
    if program.defaults:
        while len(args) > 1 and drawn.random() < 0.4:
            name, value = program.parameters[len(args) - 1], args.pop()
            if name not in ("s", "n") or drawn.random() < 0.5:
                kwargs[name] = value
        if drawn.random() < 0.3:
            kwargs["by"] = values["by"]
    if program.consumed and drawn.random() < 0.5:
        rows = (row * 1 for row in values["many"])
        place = program.parameters.index("many")
        if place < len(args):
            args[place] = rows
        else:
            kwargs["many"] = rows
    return args, kwargs


def with_gradients(called: Callable[[], Any], sources: list[Any]) -> tuple[Any, Any]:
    """Return a result, and the gradients of the sum of all that it holds.

    A graph knows of dependences that eager code, which took one branch only, does not know of: its
    gradient is 0 where that of eager code is None.
    """
    with hb.GradientTape() as tape:
        tape.watch([x for x in sources if isinstance(x, hb.Tensor)])
        result = called()
        target = sum((hb.tanh(x).sum() for x in differentiable(result)), hb.asarray(0.0))
    return result, tape.gradient(target, sources, unconnected_gradients="zero")
