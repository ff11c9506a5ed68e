"""Einstein summation: a contraction of tensors, taken apart into products of two.

The order is planned by opt_einsum. Each product of two is one of matrices where letters are summed,
and an elementwise one where none are, so that a graph fuses what surrounds it and a gradient is
that of products. What is to be done is worked out once for subscripts and shapes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from math import prod
from typing import Any, Literal

from hybrid import dtypes
from hybrid.core.dispatch import bind, state
from hybrid.core.spec import Shape
from hybrid.core.tensor import Tensor
from hybrid.core.unknown import known
from hybrid.ops._axes import Axes
from hybrid.ops.diagonals import DIAGONAL
from hybrid.ops.elementwise.operands import together
from hybrid.ops.linalg.notation import from_numbers, letter_sizes, parse
from hybrid.ops.permuting import permute_dims
from hybrid.ops.products import matmul, summed_products, total
from hybrid.ops.reshaping import reshape
from hybrid.ops.unit_axes import squeeze
from hybrid.records import dataclass

Optimize = bool | str | Sequence[Any]


def einsum(subscripts: Any, /, *operands: Any, optimize: Optimize = True) -> Tensor:
    """Multiply and sum as Einstein's notation says.

    Parameters
    ----------
    subscripts : str
        ``"ij,jk->ik"``: a letter per axis of each operand, then those of the result. Without the
        arrow the result has the letters that occur once, in alphabetical order. ``...`` stands
        for axes that broadcast. Or else operands and lists of numbers in turns, as in
        ``einsum(x, [0, 1], y, [1, 2], [0, 2])``.
    *operands : array-like
    optimize : bool, str or path
        How three operands and more are ordered: True and names are for ``opt_einsum``
        (``"greedy"``, ``"optimal"``, ``"dp"`` and others), False takes them from the left, a list
        of pairs is a path as ``numpy.einsum_path`` returns it.

    Returns
    -------
    Tensor
        A view where a single operand is only permuted, or its diagonal is taken.

    Raises
    ------
    ShapeError
        Where letters and shapes do not fit.

    Examples
    --------
    >>> einsum("ij,ij->i", [[1, 2], [3, 4]], [[1, 1], [1, 1]])
    Tensor([3, 7], dtype=int64)
    """
    if not isinstance(subscripts, str):
        subscripts, operands = from_numbers((subscripts, *operands))
    if not isinstance(optimize, bool | str):
        optimize = tuple(step if isinstance(step, str) else tuple(step) for step in optimize)
    tensors = list(together(*operands))
    shapes = tuple(t.shape for t in tensors)
    # The order is chosen for the sizes of this call, also where they are unknown.
    certain = state.recorder is None
    hints = shapes if certain else tuple(tuple(map(known, shape)) for shape in shapes)
    plan = _planned(subscripts, hints, optimize)
    if plan.bare is not None:
        return matmul(*[tensors[i] for i in plan.bare])
    sizes = plan.sizes if certain else letter_sizes(plan.terms, shapes, subscripts)
    dtype = tensors[0].dtype
    if any(t.dtype != dtype for t in tensors):
        dtype = dtypes.promote(t.dtype for t in tensors)
        tensors = [t.astype(dtype, copy=False) for t in tensors]
    for place, axes in plan.squeezed:
        tensors[place] = squeeze(tensors[place], axes)
    for step in plan.steps:
        tensors.append(_run(step, [tensors.pop(i) for i in step.places], sizes))
    return tensors[0]


# --- what is done ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Arrangement:
    """What becomes of one operand before the product.

    Attributes
    ----------
    diagonals : tuple of orders of axes, each of which puts two last whose diagonal is taken
    summed : axes that no other operand has
    order, groups
        To permute, and then to reshape so that each group of letters is an axis; None where they
        are so already.
    """

    diagonals: tuple[Axes, ...]
    summed: Axes
    order: Axes | None
    groups: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class _Step:
    """One or two operands to take from a list, one after another, and what they give."""

    places: tuple[int, ...]
    operands: tuple[_Arrangement, ...]
    product: Literal["none", "multiply", "inner", "matmul"]
    letters: str | None = None
    order: Axes | None = None


@dataclass(frozen=True, slots=True)
class _Plan:
    """A contraction: which axes of which operands to remove first, and its steps.

    `bare` are the two operands whose product of matrices, as they are, is all there is to it.
    """

    terms: tuple[str, ...]
    sizes: dict[str, int]
    squeezed: tuple[tuple[int, Axes], ...]
    steps: tuple[_Step, ...]
    bare: tuple[int, ...] | None = None


_AS_IT_IS = _Arrangement((), (), None, None)


def _bare(steps: Sequence[_Step]) -> tuple[int, ...] | None:
    if len(steps) != 1 or steps[0].product != "matmul" or steps[0].operands != (_AS_IT_IS,) * 2:
        return None
    (step,) = steps
    if step.letters is not None or step.order is not None:
        return None
    first, second = step.places  # popped one after the other
    return first, second + (second >= first)


def _run(step: _Step, taken: list[Tensor], sizes: dict[str, int]) -> Tensor:
    operands = [_arranged(x, how, sizes) for x, how in zip(taken, step.operands, strict=True)]
    if step.product == "none":
        return operands[0]
    a, b = operands
    if step.product == "matmul":
        found = matmul(a, b)
    elif step.product == "multiply":
        found = a * b
    else:
        found = summed_products(a, b)
    if step.letters is not None:
        found = reshape(found, tuple(sizes[c] for c in step.letters))
    return found if step.order is None else permute_dims(found, step.order)


def _arranged(x: Tensor, how: _Arrangement, sizes: dict[str, int]) -> Tensor:
    for axes in how.diagonals:
        x = bind(DIAGONAL, (permute_dims(x, axes),), {"offset": 0})
    if how.summed:
        x = total(x, how.summed)
    if how.order is not None:
        x = permute_dims(x, how.order)
    if how.groups is None:
        return x
    return reshape(x, tuple(prod(sizes[c] for c in group) for group in how.groups))


# --- how it is planned ----------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _planned(subscripts: str, shapes: tuple[Shape, ...], optimize: Any) -> _Plan:
    """Return the plan of a contraction, right for all sizes where the same letters broadcast."""
    terms, result = parse(subscripts, [len(shape) for shape in shapes])
    given = tuple(terms)
    sizes = letter_sizes(given, shapes, subscripts)
    squeezed = []
    for place, (term, shape) in enumerate(zip(terms, shapes)):
        # An axis of size 1 that broadcasts against another operand's is as good as none.
        axes = tuple(i for i, (c, n) in enumerate(zip(term, shape)) if n == 1 != sizes[c])
        if axes:
            squeezed.append((place, axes))
            terms[place] = "".join(c for i, c in enumerate(term) if i not in axes)
    steps = []
    for group in _path(terms, result, sizes, optimize):
        for places in _in_pairs(group, len(terms)):
            taken = [terms[i] for i in places]
            for place in sorted(places, reverse=True):
                del terms[place]
            kept = set(result).union(*terms)
            out = "".join(dict.fromkeys(c for term in taken for c in term if c in kept))
            out = out if terms else result
            steps.append((_pair if len(places) == 2 else _single)(places, taken, out))
            terms.append(out)
    bare = None if squeezed else _bare(steps)
    return _Plan(given, sizes, tuple(squeezed), tuple(steps), bare)


def _path(
    terms: list[str], result: str, sizes: dict[str, int], optimize: Any
) -> Sequence[tuple[int, ...]]:
    if len(terms) <= 2:
        return [tuple(range(len(terms)))]
    if optimize is False:
        return [tuple(range(len(terms)))]
    from opt_einsum import contract_path  # 20 ms, for those who need it

    if isinstance(optimize, tuple):
        optimize = [tuple(step) for step in optimize if not isinstance(step, str)]
    shapes = [tuple(sizes[c] for c in term) for term in terms]
    path: Sequence[tuple[int, ...]]
    text = f"{','.join(terms)}->{result}"
    path, _ = contract_path(text, *shapes, shapes=True, optimize=optimize)
    return path


def _in_pairs(places: Sequence[int], count: int) -> list[tuple[int, ...]]:
    """Split a step of many of `count` operands: the first two, then the result and one more."""
    if len(places) <= 2:
        return [tuple(places)]
    first, second, *rest = sorted(places)
    return [(first, second), *((count - 2 - i, p - 2 - i) for i, p in enumerate(rest))]


def _single(places: tuple[int, ...], terms: list[str], out: str) -> _Step:
    how = _arrangement(terms[0], out, out)
    if how.order is None and not how.summed:  # a view, as NumPy's, not the operand itself
        how = replace(how, order=tuple(range(len(out))))
    return _Step(places, (how,), "none")


def _pair(places: tuple[int, ...], terms: list[str], out: str) -> _Step:
    """Return how two operands are multiplied: which letters make rows, columns, the sum."""
    ta, tb = terms
    shared = [c for c in dict.fromkeys(ta) if c in tb]
    batch = "".join(c for c in out if c in shared)
    inner = "".join(c for c in shared if c not in out)
    rows = "".join(c for c in out if c in ta and c not in tb)
    columns = "".join(c for c in out if c in tb and c not in ta)
    if rows and columns and out.index(columns[0]) < out.index(rows[0]):
        return _pair(places[::-1], terms[::-1], out)
    product: Literal["multiply", "inner", "matmul"]
    if not inner:
        product, found, given = "multiply", out, (*out,)
        groups = [tuple(c if c in term else "" for c in out) for term in terms]
    elif batch and not rows and not columns:
        product, found, given = "inner", batch, (*batch,)
        groups = [(*batch, inner)] * 2
    else:
        # Without a batch, an operand that has neither rows nor columns is a vector.
        high, wide = (rows,) if batch or rows else (), (columns,) if batch or columns else ()
        product, found, given = "matmul", batch + rows + columns, (*batch, *high, *wide)
        groups = [(*batch, *high, inner), (*batch, inner, *wide)]
    arrangements = tuple(
        _arrangement(term, {*out, *shared}, "".join(group), group)
        for term, group in zip(terms, groups, strict=True)
    )
    letters = None if given == (*found,) else found
    return _Step(_popped(places), arrangements, product, letters, _order(found, out))


def _arrangement(
    term: str, kept: Iterable[str], order: str, groups: tuple[str, ...] | None = None
) -> _Arrangement:
    diagonals = []
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            i, j = term.index(letter), term.rindex(letter)
            rest = tuple(k for k in range(len(term)) if k not in (i, j))
            diagonals.append((*rest, i, j))
            term = "".join(term[k] for k in rest) + letter
    summed = tuple(i for i, c in enumerate(term) if c not in kept)
    left = "".join(c for c in term if c in kept)
    groups = None if groups == (*order,) else groups
    return _Arrangement(tuple(diagonals), summed, _order(left, order), groups)


def _order(term: str, wanted: str) -> Axes | None:
    axes = tuple(term.index(c) for c in wanted)
    return None if axes == tuple(range(len(axes))) else axes


def _popped(places: tuple[int, ...]) -> tuple[int, ...]:
    """Return the second of two places as it is when the first has been taken out."""
    first, second = places
    return first, second - (second > first)
