"""``hb.compare``: one function, eager and traced, side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MethodType
from typing import Any

import numpy as np

from hybrid.core.tensor import Array
from hybrid.inspect import report
from hybrid.inspect.difference import Origin, find_origin, largest, results
from hybrid.inspect.state import State
from hybrid.inspect.timing import Timing, interleaved
from hybrid.kernels import kernel
from hybrid.records import dataclass
from hybrid.runtime.plan import Plan
from hybrid.trace.compiled_function import CompiledFunction
from hybrid.trace.concrete import ConcreteFunction
from hybrid.trace.modes import eagerly
from hybrid.trace.signature import flatten, signature_of


@dataclass(frozen=True, slots=True)
class Comparison:
    """What :func:`compare` found; prints as a table, and in a notebook with a bar chart.

    Attributes
    ----------
    name : str
        The function and the specs of its arguments.
    eager, traced : Timing
        Of one call; ``median`` and ``spread`` in seconds.
    first_call : float
        Seconds that the first traced call took: trace, passes, and kernels compiled or loaded.
    compiled, loaded : int
        Kernels that the first call compiled, and that it found on disk.
    kernels, library_calls : int
        What one traced call runs.
    temp_bytes : int
        Memory for temporaries that the Plan of a traced call lays out; what a library call (an FFT,
        a sort) makes by itself comes on top.
    donated_bytes : int
        Results written over the old contents of Variables and arguments, where nobody holds those.
    ulp : float
        The largest difference of results and written Variables, in units of the last place.
    origin : Origin, optional
        The op where the difference first appears.
    fallback : str
        Why the function runs eagerly although it is compiled; empty as a rule.
    """

    name: str
    eager: Timing
    traced: Timing
    first_call: float
    compiled: int
    loaded: int
    kernels: int
    library_calls: int
    temp_bytes: int
    donated_bytes: int
    ulp: float
    origin: Origin | None = None
    fallback: str = ""

    @property
    def speedup(self) -> float:
        """How many times faster the traced function is."""
        return self.eager.median / self.traced.median

    def __str__(self) -> str:
        return report.as_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return report.as_html(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": report.as_html(self)}


def compare(
    f: Callable[..., Any], /, *args: Any, repeat: int | None = None, **kwargs: Any
) -> Comparison:
    """Run a function eagerly and traced, and compare times and results.

    Both ways start from the same contents of all Variables and arguments, and those are put back
    afterwards. Other side effects of the function happen as often as it runs.

    Parameters
    ----------
    f : callable
        Plain or compiled. It is traced anew, so that the first call is measured too.
    *args, **kwargs
        The arguments of the call.
    repeat : int, optional
        How often each way is timed; by default as often as half a second allows.

    Returns
    -------
    Comparison

    Examples
    --------
    >>> import hybrid as hb
    >>> def norm(x):
    ...     return hb.sqrt(hb.sum(x * x))
    >>> report = hb.compare(norm, hb.ones(1000), repeat=3)
    >>> report.kernels, report.library_calls, report.ulp
    (1, 0, 0.0)
    """
    plain, compiled = _both(f)
    state = State(plain, (args, kwargs))

    def run_eagerly() -> Any:
        with eagerly():
            return plain(*args, **kwargs)

    def run_traced() -> Any:
        return compiled(*args, **kwargs)

    try:
        expected, written = _outcome(run_eagerly, state)
        before, started = kernel.stats(), time.perf_counter()
        returned = run_traced()
        first_call = time.perf_counter() - started
        after = kernel.stats()
        ulp = max(largest(expected, results(returned)), largest(written, state.changed()))
        state.narrow()
        state.restore()
        concrete = compiled.concrete_functions[-1]
        leaves = _leaves(plain, args, kwargs)
        origin = find_origin(concrete, leaves) if ulp else None
        eager, traced = interleaved((run_eagerly, run_traced), state.restore, repeat)
    finally:
        state.restore()
    plans = _plans(concrete)
    return Comparison(
        name=f"{concrete.name}{concrete.signature}",
        eager=eager,
        traced=traced,
        first_call=first_call,
        compiled=after.compiled - before.compiled,
        loaded=after.loaded - before.loaded,
        kernels=sum(len(p.kernels) for p in plans),
        library_calls=sum(len(p.library_calls) for p in plans),
        temp_bytes=max((p.temp_bytes for p in plans), default=0),
        donated_bytes=max((p.donated_bytes for p in plans), default=0),
        ulp=ulp,
        origin=origin,
        fallback="" if concrete.fallback is None else str(concrete.fallback),
    )


def _both(f: Callable[..., Any]) -> tuple[Callable[..., Any], CompiledFunction]:
    """Return the plain function and a compiled one that has not been traced yet."""
    fullgraph = False
    if isinstance(f, MethodType) and isinstance(f.__func__, CompiledFunction):
        fullgraph = f.__func__.fullgraph
        f = MethodType(f.__func__.__wrapped__, f.__self__)
    elif isinstance(f, CompiledFunction):
        fullgraph = f.fullgraph
        f = f.__wrapped__
    return f, CompiledFunction(f, fullgraph=fullgraph)


def _outcome(run: Callable[[], Any], state: State) -> tuple[list[Array], list[Array]]:
    """Run once; return copies of the results and of what was written, and undo the writing."""
    found = results(run())
    written = state.changed()
    state.restore()
    return found, written


def _leaves(
    plain: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> list[Any]:
    bound = signature_of(plain).bind(*args, **kwargs)
    bound.apply_defaults()
    leaves, _, _ = flatten(dict(bound.arguments))
    return [np.asarray(x) if isinstance(x, np.generic) else x for x in leaves]


def _plans(concrete: ConcreteFunction) -> list[Plan]:
    """Return the Plans that a call runs, one per segment."""
    return [plan for s in concrete.segments for plan in list(s.plans.values())[:1]]
