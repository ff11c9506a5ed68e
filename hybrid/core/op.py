"""Op and its registry: every primitive is one record, and everything else walks the records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from typing import Any

from hybrid.core.layout import Layout
from hybrid.core.spec import Shape, TensorSpec
from hybrid.dtypes import DType
from hybrid.errors import ShapeError
from hybrid.records import dataclass

Attrs = Mapping[str, Any]
Rule = Callable[..., Any]
Steps = tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]
Parts = tuple[Any, tuple[Steps, ...]]


@dataclass(frozen=True, slots=True)
class Block:
    """A part of an input that an op copies to a place in its result.

    Parameters
    ----------
    source : int
        Which input.
    first, at : tuple of int
        The first element copied, in the input and in the result.
    sizes : tuple of int
    """

    source: int
    first: Shape
    at: Shape
    sizes: Shape


Blocks = tuple[Any, tuple[Block, ...]]


@dataclass(frozen=True, slots=True)
class Example:
    """Inputs that an op accepts: what the registry-driven tests start from.

    Parameters
    ----------
    shapes : tuple of shapes
        One per input.
    attrs : mapping
    dtypes : tuple of str, optional
        One per input; floating-point where None.
    domain : pair of float
        Where the values of floating-point inputs are drawn from.
    prepare : callable, optional
        ``prepare(*inputs)`` gives the inputs that the op takes (a positive definite matrix) from
        such values; written so that it serves ndarrays and Tensors.
    """

    shapes: tuple[Shape, ...]
    attrs: Attrs = field(default_factory=dict)
    dtypes: tuple[str, ...] | None = None
    domain: tuple[float, float] = (-2.0, 2.0)
    prepare: Callable[..., tuple[Any, ...]] | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Op:
    """A primitive operation: one definition serves eager, trace, gradient and kernels.

    Parameters
    ----------
    name : str
        Unique; what printed graphs show.
    family : str
        The module of ``hybrid.ops`` that defines it.
    infer : callable
        ``infer(*specs, **attrs)`` gives the TensorSpec of the result, or a tuple of them. It checks
        shapes and dtypes and raises the errors that the user sees.
    eager : callable
        ``eager(xp, *arrays, **attrs)`` computes it, `xp` being NumPy or CuPy.
    by_kernel : callable, optional
        ``by_kernel(place, *arrays, **attrs)`` computes it on a card, for ops that the functions of
        its array module cannot express.
    scalar : str, optional
        The scalar expression for fused kernels: ``"{0} * {1}"``, ``"exp({0})"``.
    compute : callable, optional
        Elementwise ops: the dtypes to which the inputs are cast before the scalar expression.
    literal : callable, optional
        For ops that cast no input: the dtypes that Python scalars among the inputs take.
    vjp : tuple of rules, or one rule
        ``rule(g, out, *inputs, **attrs)`` gives the gradient by one input; an entry None has none.
        A single callable ``rule(i, g, out, *inputs, **attrs)`` serves ops of any number of inputs.
    joint_vjp : callable, optional
        ``rule(wanted, g, out, *inputs, **attrs)`` gives the gradients by all inputs at once, for
        ops whose gradients share their work; `wanted` says which are asked for.
    chosen : callable, optional
        ``chosen(i, *inputs)`` gives a mask of the elements of the result that come from input `i`,
        for ops that choose between their inputs: elsewhere its gradient is 0, whatever its
        elements are.
    view : callable, optional
        ``view(layout, **attrs)`` gives the layout of the result where it is a view of the input.
    put : Op, optional
        Of an op whose eager result shows a part of each element in memory (the real part of complex
        numbers): ``put(x, part, **attrs)`` is the input once the result is written. Such a result
        is a view of another dtype, which kernels compute like any other op.
    shown : callable, optional
        Of such an op: ``shown(layout, **attrs)`` gives how its result lies, in steps of its own
        elements.
    selects : bool
        The view shows some elements of its input, each of them once: the gradients of several such
        views are put together in one array.
    scatter : callable, optional
        ``scatter(total, g, *inputs, **attrs)`` adds the gradient by the elements of the first input
        that the op picks to that by the whole: of several picks only one whole array is made.
    scatter_into : callable, optional
        The same for ndarrays, in place.
    expand : callable, optional
        The op written with simpler ops, for fusion; it returns None where that pays not.
    sweep : callable, optional
        The same for an input in memory that no cache holds: written so that it is read once where
        `expand` reads it again for each reduction; None where `expand` does as well.
    lead : callable, optional
        ``lead(attrs, size, *shapes)`` gives the attrs with which the op does to each example of a
        batch what it does to one: for inputs of `shapes` with a leading axis of `size` in front;
        None where no attrs do.
    batch : callable, optional
        ``batch(op, size, lanes, attrs)`` applies it to a batch, for ops that `lead` cannot
        describe; it returns the batch of results, a Lane where that is none, or None where it has
        no rule for these inputs. Without, examples are
        taken one by one.
    parts : callable, optional
        ``parts(*specs, **attrs)`` says, of an op that puts its inputs side by side into a new
        array, what number fills the rest, and for each input the view ops (name and attrs) that
        show where in the result it goes; None where it does more than that.
    raises : bool
        The eager form may raise an error for what the elements of its inputs are: a matrix is
        singular, an index out of bounds.
    first_index : int
        Of an op that raises only where an index is out of bounds, which input is the first of the
        indices; its attr ``axes`` says which axes of its first input they index.
    draws : bool
        Whether it only takes words of a random stream, in the order of the elements of the result,
        whose state is its input.
    blocks : callable, optional
        ``blocks(*specs, **attrs)`` says the same, in another way, of an op that copies blocks of
        its inputs: what number fills the rest, None where the blocks leave none, and each block;
        None where it does more than that.
    in_order : callable, optional
        ``in_order(spec)`` tells whether the eager form lays out a result of `spec` in C order,
        however its inputs lie in memory.
    turns : bool
        The eager form may lay out a result in another order where all inputs lie in C order.
    reduce : str, optional
        The monoid of a fusable reduction; its attrs are then ``axis`` (a tuple of non-negative
        ints) and ``keepdims``.
    scan : str, optional
        The monoid of a fusable scan along an axis; its attr is then ``axis`` (a non-negative int).
    picks : bool
        Whether it only reads its first input at index arrays, the others; its attrs are then
        ``axes``, those that the arrays index, and ``at``, where their own axes stand in the result.
    multi : bool
        The op has a tuple of results.
    no_gradient : str
        Why an op with floating-point results has no rule.
    impure : bool
        The op must run at each call, in order, and is never removed or merged.
    acts : bool
        Somebody outside notices each run of an impure op, or answers it: what a trace has written
        by then is committed first, and no run is ever repeated.
    warns : bool
        NumPy may warn of the numbers to which the eager form comes, though its family only moves
        or picks them: it converts some, or adds them up.
    anywhere : bool
        The eager form is given what Tensors hold, wherever that is: it runs Plans.
    bodies : tuple of str
        The attrs that hold FuncGraphs, or tuples of them, which the op runs.
    prepare : callable, optional
        ``prepare(specs, **attrs)`` gives the function that a Plan calls instead of `eager`: for
        ops with bodies, which are compiled once. It takes and gives what Tensors hold.
    into : callable, optional
        ``into(*specs, **attrs)`` gives a function of ndarrays that writes the result into the
        memory that it is given as ``out=``, and raises only if the op `raises`; None where there is
        nothing better than `eager`. For Plans on the CPU.
    changes : bool
        What `into` gives may be told to write into the memory of its first input.
    narrow : callable, optional
        ``narrow(used, **attrs)`` gives, for an op with bodies of whose results only some are used,
        which inputs and results are to stay and the attrs for them; None where all stay.
    recorded : callable, optional
        ``recorded(**attrs)`` gives the attrs under which the op is recorded where a gradient may
        be asked for: further results are then what the gradient needs.
    examples : tuple of Example
        For the tests that walk the registry.
    doc : str
        One line.
    """

    name: str
    family: str
    infer: Callable[..., Any]
    eager: Callable[..., Any]
    by_kernel: Callable[..., Any] | None = None
    scalar: str | None = None
    compute: Callable[[tuple[TensorSpec, ...]], tuple[DType, ...]] | None = None
    literal: Callable[[tuple[TensorSpec, ...]], tuple[DType, ...]] | None = None
    vjp: tuple[Rule | None, ...] | Rule | None = None
    joint_vjp: Rule | None = None
    chosen: Callable[..., Any] | None = None
    view: Callable[..., Layout | None] | None = None
    put: Op | None = None
    shown: Callable[..., Layout] = Layout.halved
    selects: bool = False
    scatter: Callable[..., Any] | None = None
    scatter_into: Callable[..., None] | None = None
    expand: Callable[..., Any] | None = None
    sweep: Callable[..., Any] | None = None
    lead: Callable[..., Attrs | None] | None = None
    batch: Callable[..., Any] | None = None
    parts: Callable[..., Parts | None] | None = None
    blocks: Callable[..., Blocks | None] | None = None
    in_order: Callable[[TensorSpec], bool] | None = None
    turns: bool = False
    reduce: str | None = None
    scan: str | None = None
    picks: bool = False
    raises: bool = False
    first_index: int = 0
    draws: bool = False
    multi: bool = False
    no_gradient: str = ""
    impure: bool = False
    acts: bool = False
    warns: bool = False
    anywhere: bool = False
    bodies: tuple[str, ...] = ()
    prepare: Callable[..., Callable[..., Any]] | None = None
    into: Callable[..., Callable[..., None] | None] | None = None
    changes: bool = False
    narrow: Callable[..., Any] | None = None
    recorded: Callable[..., Attrs] | None = None
    examples: tuple[Example, ...] = ()
    doc: str = ""

    @property
    def shows(self) -> bool:
        """Whether eager code may get a view of the memory of its input."""
        return self.view is not None or self.put is not None

    def lie(self, layout: Layout, attrs: Attrs) -> Layout | None:
        """Return how a view by this op lies, in steps of its own elements; None for a copy."""
        if self.view is None:
            return self.shown(layout, **attrs)
        return self.view(layout, **attrs)

    @property
    def elementwise(self) -> bool:
        """Whether each element of the result depends on the same element of the inputs only."""
        return self.compute is not None

    @property
    def aligns(self) -> bool:
        """Whether inputs with more axes in front broadcast as they are, kernels or not."""
        return self.elementwise or self.family == "elementwise"

    @property
    def computed(self) -> bool:
        """Whether kernels can compute it, where dtypes and attrs are such."""
        return any(x is not None for x in (self.scalar, self.reduce, self.scan))

    @property
    def fusable(self) -> bool:
        """Whether it can be part of a kernel: computed there, or a way to read its inputs."""
        return self.computed or self.finds

    @property
    def finds(self) -> bool:
        """Whether it only finds elements, which kernels can do while they read."""
        return self.picks or self.draws or self.blocks is not None

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def always(spec: TensorSpec) -> bool:
    """Say of an op that its results lie in C order."""
    return True


OPS: dict[str, Op] = {}

VARIANTS: dict[tuple[Op, str], Op] = {}
"""Ops that stand in for one whose scalar expression is not that of NumPy's loop for booleans
(``"b"``) or for integers and booleans (``"i"``)."""


def register(op: Op) -> Op:
    """Enter `op` in the registry; names are unique."""
    if op.name in OPS:
        raise ValueError(f"an op named {op.name!r} is registered already")
    OPS[op.name] = op
    return op


_ADDRESSES = 1 << 62
"""Bytes that no memory has: beyond, NumPy's own numbers overflow."""


def too_large(op: Op, specs: Iterable[TensorSpec]) -> ShapeError | None:
    """Return the error for a result of `op` that no memory could hold, if there is one."""
    for spec in specs:
        if spec.size * spec.dtype.itemsize > _ADDRESSES:
            return ShapeError(f"{op.name}: no memory holds {spec.dtype.name} of shape {spec.shape}")
    return None
