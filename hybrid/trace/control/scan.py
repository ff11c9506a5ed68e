"""Loops whose number of steps is known: ``hb.scan`` and ``hb.map``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hybrid.core import dispatch
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import Tensor
from hybrid.core.unknown import as_size
from hybrid.core.variable import Variable
from hybrid.errors import ShapeError
from hybrid.ops.copying import copy
from hybrid.ops.creation import zeros
from hybrid.ops.joining import stack
from hybrid.records import dataclass
from hybrid.trace.control.body import (
    BodyRecorder,
    Outside,
    audible,
    given_back,
    graph_of,
    outside_of,
    tracing,
)
from hybrid.trace.control.nests import Nest, check_same, defined_at, flatten, like, owned, strong
from hybrid.trace.control.scan_op import bind_scan
from hybrid.trace.control.surroundings import traced_once, undone
from hybrid.trace.recorder import GraphRecorder
from hybrid.trace.straight import Untraceable

# --- scan and map ---------------------------------------------------------------------------------


def scan(
    f: Callable[..., Any],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Carry values along the rows of arrays, and stack what each step gives.

    It is ``for x in xs: carry, y = f(carry, x)``, with the `y` stacked. In a compiled function the
    body is traced once and the graph has one node, however many rows there are.

    Parameters
    ----------
    f : callable
        ``f(carry, x) -> (carry, y)``. The carry keeps its structure, shapes and dtypes; `y` may
        be None or any container. Both are new arrays at each step: what `f` writes to them in
        place stays in the step. Tensors and Variables from outside are used, and written, by
        reference.
    init : Tensor or nested container
        The first carry; a number becomes a Tensor as by :func:`asarray`.
    xs : Tensor or nested container, optional
        Arrays with the same number of rows; None for none.
    length : int, optional
        The number of steps, where there is no `xs`.
    reverse : bool
        Take the rows from last to first; `ys` are in the order of `xs` all the same.

    Returns
    -------
    carry
        The last one.
    ys
        Results, stacked along a new first axis.

    Raises
    ------
    ShapeError, DTypeError
        Where the carry changes, or the arrays differ in length; the message names the leaf.

    Examples
    --------
    Compound interest, year by year:

    >>> import hybrid as hb
    >>> @hb.compile
    ... def balances(deposits, rate):
    ...     def year(balance, deposit):
    ...         balance = balance * (1 + rate) + deposit
    ...         return balance, balance
    ...     return hb.scan(year, 0.0, deposits)
    >>> last, all_years = balances(hb.asarray([100.0, 100.0, 100.0]), 0.5)
    >>> all_years
    Tensor([100., 250., 475.], dtype=float32)
    """
    return _scan("scan", f, (init, xs), length, reverse)


def _scan(
    construct: str,
    f: Callable[..., Any],
    carried: tuple[Any, Any],
    length: int | None,
    reverse: bool,
) -> tuple[Any, Any]:
    init, xs = carried
    leaves, nest = flatten(construct, "init", init)
    rows, row_nest = flatten(construct, "xs", xs)
    given = Given(construct, f, [strong(x) for x in leaves], nest)
    tensors = [strong(x) for x in rows]
    count = _count(construct, tensors, row_nest, length)
    step = Rows(tensors, row_nest, count, bool(reverse))
    recorder = dispatch.state.recorder
    if recorder is not None:
        try:
            return scan_traced(given, step)
        except Untraceable as error:
            recorder.abandon(error)
    return _scan_eagerly(given, step)


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """Apply a function to each row of some arrays, one after the other, and stack the results.

    Parameters
    ----------
    f : callable
        ``f(x) -> y``.
    xs : Tensor or nested container
        Arrays with the same number of rows.

    Returns
    -------
    Tensor or container of Tensors

    Raises
    ------
    ShapeError, DTypeError
        Where the arrays differ in length, or the results from row to row.

    Examples
    --------
    >>> import hybrid as hb
    >>> hb.map(lambda row: hb.sort(row)[-1], hb.asarray([[3.0, 1.0], [2.0, 5.0]]))
    Tensor([3., 5.], dtype=float32)
    """

    def step(_: None, x: Any) -> tuple[None, Any]:
        return None, f(x)

    step.__wrapped__ = f  # type: ignore[attr-defined]
    return _scan("map", step, (None, xs), None, False)[1]


def _count(construct: str, tensors: list[Tensor], nest: Nest, length: int | None) -> int:
    for name, x in zip(nest.names("xs"), tensors, strict=True):
        if not x.ndim:
            raise ShapeError(located(f"{construct}: {name} has no axes, so that it has no rows"))
    known = {} if length is None else {"length": as_size(length)}
    known |= {n: x.shape[0] for n, x in zip(nest.names("xs"), tensors, strict=True)}
    if not known:
        hint = (
            "length says how many steps there are" if construct == "scan" else "nothing is mapped"
        )
        raise ValueError(located(f"{construct}: without xs, {hint}"))
    count = next(iter(known.values()))
    if any(rows != count for rows in known.values()):
        text = ", ".join(f"{name}: {rows}" for name, rows in known.items())
        raise ShapeError(located(f"{construct}: the numbers of rows differ ({text})"))
    if count < 0:
        raise ValueError(located(f"{construct}: length is {count}"))
    return count


_HINT = (
    "; the carry keeps its structure, shapes and dtypes: begin with hb.asarray(..., dtype=...), "
    "or convert what the body returns with astype"
)


def _going_in() -> str:
    return "going in"


def _at_first() -> str:
    return "at the first step"


@dataclass(frozen=True, slots=True)
class Given:
    """The body of a loop and the carry that it begins with."""

    construct: str
    function: Callable[..., Any]
    leaves: list[Tensor]
    nest: Nest

    @property
    def specs(self) -> list[TensorSpec]:
        """Of the carry."""
        return [x.spec for x in self.leaves]

    def carry(self, container: Any) -> list[Any]:
        """Return the leaves of the next carry, checked; a number takes the dtype of its place."""
        leaves, nest = flatten(self.construct, "carry", container)
        if nest == self.nest:
            leaves = [like(x, spec) for x, spec in zip(leaves, self.specs, strict=True)]
        else:
            leaves = [strong(x) for x in leaves]
        found = nest, [x.spec for x in leaves]
        before = self.nest, self.specs
        check_same(self.construct, "carry", before, found, (_going_in, self._coming_out), _HINT)
        return leaves

    def _coming_out(self) -> str:
        return f"coming out of the body {defined_at(self.function)}"


@dataclass(frozen=True, slots=True)
class Rows:
    """What a scan goes along."""

    leaves: list[Tensor]
    nest: Nest
    length: int
    reverse: bool


def split_result(given: Given, returned: Any) -> tuple[Any, Any]:
    """Return carry and `y` of what the body of a scan returned."""
    if not isinstance(returned, tuple) or len(returned) != 2:
        where = defined_at(given.function)
        raise TypeError(
            located(f"{given.construct}: the body {where} must return a pair (carry, y)")
        )
    carry, y = returned
    return carry, y


# --- eager ----------------------------------------------------------------------------------------


def _scan_eagerly(given: Given, rows: Rows) -> tuple[Any, Any]:
    if not rows.length:
        return _nothing(given, rows)
    carry = [copy(x) for x in given.leaves]
    xs = [copy(x) for x in rows.leaves]  # as they were, whatever the body writes to them
    ys: list[list[Tensor]] = []
    first: tuple[Nest, list[TensorSpec]] | None = None

    def later() -> str:
        return f"at a later step of {defined_at(given.function)}"

    for i in range(rows.length)[:: -1 if rows.reverse else 1]:
        x = rows.nest.build([leaf[i] for leaf in xs])
        following, y = split_result(given, given.function(given.nest.build(carry), x))
        del carry, x
        leaves, y_nest = flatten(given.construct, "y", y)
        del y
        ys.append(owned(leaves))
        carry = given.carry(following)
        del following
        carry = owned(carry)
        found = y_nest, [t.spec for t in ys[-1]]
        first = first or found
        check_same(given.construct, "y", first, found, (_at_first, later))
    if rows.reverse:
        ys.reverse()
    assert first is not None
    stacked = [stack(column) for column in zip(*ys, strict=True)]
    return given.nest.build(carry), first[0].build(stacked)


class Sketch(GraphRecorder):
    """A trace that never runs, around a body of which only the specs are wanted."""

    def read_variable(self, variable: Variable) -> Tensor:
        """Return what stands for the contents."""
        return self.tensor(self.capture(variable, variable.spec), None)

    def reaches(self, holder: Any) -> bool:
        """Let nothing remain of what the body changes."""
        return False


def _nothing(given: Given, rows: Rows) -> tuple[Any, Any]:
    """Return the result of no steps; what `y` would be is found by a trace."""
    sketch = Sketch()
    with dispatch.scope(recorder=sketch, tapes=()):
        try:
            with undone(given.function):
                _, nest, specs = trace_step(given, rows)
        except Untraceable as error:
            sketch.abandon(error)
            raise
    empty = [zeros((0, *s.shape), dtype=s.dtype) for s in specs]
    return given.nest.build([copy(x) for x in given.leaves]), nest.build(empty)


# --- traced ---------------------------------------------------------------------------------------


def trace_step(given: Given, rows: Rows) -> tuple[BodyRecorder, Nest, list[TensorSpec]]:
    """Trace one step; return its body, and what `y` is."""
    specs = [replace(x.spec, shape=x.shape[1:]) for x in rows.leaves]
    with tracing(given.construct) as body:
        carry = given.nest.build(body.parameters(given.specs))
        x = rows.nest.build(body.parameters(specs))
        following, y = split_result(given, given.function(carry, x))
        leaves, nest = flatten(given.construct, "y", y)
        results = [strong(leaf) for leaf in leaves]
        body.returns([*given.carry(following), *results])
    return body, nest, [t.spec for t in results]


def scan_traced(given: Given, rows: Rows) -> tuple[Any, Any]:
    """Record a scan as one node."""

    def trace() -> tuple[list[BodyRecorder], Nest]:
        body, nest, _ = trace_step(given, rows)
        return [body], nest

    (body,), nest = traced_once(given.construct, (given.function,), trace)
    outside = outside_of([body])
    count = len(given.leaves)
    name = getattr(given.function, "__name__", given.construct)
    graph = graph_of(body, name, outside, state_at=count)
    with audible():
        out = bind_scan(
            graph,
            (*given.leaves, *outside.operands(outside.written)),
            tuple(rows.leaves),
            outside.operands(outside.read),
            (rows.length, rows.reverse),
        )
    return _delivered(out, count, outside, given.nest, nest)


def _delivered(
    out: tuple[Tensor, ...], count: int, outside: Outside, carry: Nest, ys: Nest
) -> tuple[Any, Any]:
    written = len(outside.written)
    with audible():
        outside.commit(out[count : count + written])
    stacked = out[count + written : count + written + sum(ys.present)]
    return carry.build(given_back(out[:count])), ys.build(given_back(stacked))
