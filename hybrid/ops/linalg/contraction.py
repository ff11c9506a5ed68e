"""Einstein summation: a contraction of tensors, taken apart into products of two.

The order is planned by opt_einsum. Each product of two is one of matrices where letters are summed,
and an elementwise one where none are, so that a graph fuses what surrounds it and a gradient is
that of products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

from hybrid import dtypes
from hybrid.core.dispatch import bind, located
from hybrid.core.spec import Shape
from hybrid.core.tensor import Tensor, asarray
from hybrid.core.unknown import known, same
from hybrid.errors import ShapeError
from hybrid.ops.diagonals import DIAGONAL
from hybrid.ops.linalg.products import matmul, total
from hybrid.ops.movement import permute_dims, reshape, squeeze

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

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
        subscripts, operands = _from_numbers((subscripts, *operands))
    tensors = [asarray(x) for x in operands]
    terms, result = _parse(subscripts, [t.ndim for t in tensors])
    _check_sizes(terms, [t.shape for t in tensors], subscripts)
    dtype = dtypes.promote(t.dtype for t in tensors)
    terms, tensors = _without_stretched(terms, tensors)
    tensors = [t.astype(dtype, copy=False) for t in tensors]
    # The order of contractions is chosen for the sizes of this call, also if they are unknown.
    shapes = tuple(tuple(map(known, t.shape)) for t in tensors)
    frozen: Any = optimize
    if not isinstance(optimize, bool | str):
        frozen = tuple(step if isinstance(step, str) else tuple(step) for step in optimize)
    for step in _planned(tuple(terms), result, shapes, frozen):
        taken = [tensors.pop(i) for i in step.places]
        tensors.append(_contract(taken, step.terms, step.result))
    return tensors[0]


@dataclass(frozen=True, slots=True)
class _Step:
    """One or two operands to take, from the places given in this order, and what they give."""

    places: tuple[int, ...]
    terms: tuple[str, ...]
    result: str


@lru_cache(maxsize=1024)
def _planned(
    terms: tuple[str, ...], result: str, shapes: tuple[Shape, ...], optimize: Any
) -> tuple[_Step, ...]:
    """Return the steps of a contraction, the last of which gives the result."""
    left = list(terms)
    steps = []
    for places in _path(terms, result, shapes, optimize):
        for pair in _in_pairs(places, len(left)):
            taken = tuple(left.pop(i) for i in pair)
            kept = set(result).union(*left)
            out = (
                result
                if not left
                else "".join(dict.fromkeys(c for c in "".join(taken) if c in kept))
            )
            steps.append(_Step(pair, taken, out))
            left.append(out)
    return tuple(steps)


def _path(
    terms: tuple[str, ...], result: str, shapes: tuple[Shape, ...], optimize: Any
) -> Sequence[tuple[int, ...]]:
    if len(terms) <= 2:
        return [tuple(range(len(terms)))]
    if optimize is False:
        return [(0, 1)] + [(len(terms) - 2 - i, 0) for i in range(len(terms) - 2)]
    from opt_einsum import contract_path  # 20 ms, for those who need it

    if isinstance(optimize, tuple):
        optimize = [tuple(step) for step in optimize if not isinstance(step, str)]
    text = f"{','.join(terms)}->{result}"
    path: Sequence[tuple[int, ...]]
    path, _ = contract_path(text, *shapes, shapes=True, optimize=optimize)
    return path


def _in_pairs(places: Sequence[int], count: int) -> list[tuple[int, ...]]:
    """Split a step of many operands: the first two, then the result with one more each time.

    Places are to be popped one after another, so that each is counted without those before it.
    """
    if len(places) <= 2:
        return [_popped(places)]
    rest = sorted(places)
    pairs = [_popped(rest[:2])]
    shifted = [p - 2 for p in rest[2:]]
    for i, place in enumerate(shifted):
        last = count - 2 - i
        pairs.append(_popped((last, place - i)))
    return pairs


def _popped(places: Sequence[int]) -> tuple[int, ...]:
    first, *others = places
    return (first, *(p - (p > first) for p in others))


# --- one step -------------------------------------------------------------------------------------


def _contract(tensors: list[Tensor], terms: tuple[str, ...], result: str) -> Tensor:
    """Contract one or two operands."""
    if len(tensors) == 1:
        return _alone(tensors[0], terms[0], result)
    (a, b), (ta, tb) = tensors, terms
    a, ta = _reduced(a, ta, set(result) | set(tb))
    b, tb = _reduced(b, tb, set(result) | set(ta))
    shared = [c for c in ta if c in tb]
    batch = [c for c in result if c in shared]
    inner = [c for c in shared if c not in result]
    rows = [c for c in result if c in ta and c not in tb]
    columns = [c for c in result if c in tb and c not in ta]
    if columns and rows and result.index(columns[0]) < result.index(rows[0]):
        a, b, ta, tb, rows, columns = b, a, tb, ta, columns, rows
    if not inner:
        return _spread(a, ta, result) * _spread(b, tb, result)
    if batch and not rows and not columns:
        order = "".join(batch + inner)
        product = _arranged(a, ta, order) * _arranged(b, tb, order)
        return _arranged(
            total(product, tuple(range(len(batch), len(order)))), "".join(batch), result
        )
    return _as_matmul(a, ta, b, tb, batch, rows, inner, columns, result)


def _as_matmul(
    a: Tensor,
    ta: str,
    b: Tensor,
    tb: str,
    batch: list[str],
    rows: list[str],
    inner: list[str],
    columns: list[str],
    result: str,
) -> Tensor:
    sizes = dict(zip(ta + tb, a.shape + b.shape))
    outside, high, summed, wide = (
        tuple(sizes[c] for c in letters) for letters in (batch, rows, inner, columns)
    )
    left = _arranged(a, ta, "".join(batch + rows + inner))
    right = _arranged(b, tb, "".join(batch + inner + columns))
    # Without a batch, an operand that has neither rows nor columns is a vector.
    height = (prod(high),) if batch or rows else ()
    width = (prod(wide),) if batch or columns else ()
    left = reshape(left, (*outside, *height, prod(summed)))
    right = reshape(right, (*outside, prod(summed), *width))
    product = reshape(matmul(left, right), (*outside, *high, *wide))
    return _arranged(product, "".join(batch + rows + columns), result)


def _alone(x: Tensor, term: str, result: str) -> Tensor:
    x, term = _reduced(x, term, set(result))
    return permute_dims(x, tuple(term.index(c) for c in result))


def _reduced(x: Tensor, term: str, kept: set[str]) -> tuple[Tensor, str]:
    """Take the diagonal of letters that occur twice, and sum over those that nobody else has."""
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            i, j = term.index(letter), term.rindex(letter)
            rest = [k for k in range(x.ndim) if k not in (i, j)]
            x = bind(DIAGONAL, (permute_dims(x, (*rest, i, j)),), {"offset": 0})
            term = "".join(term[k] for k in rest) + letter
    alone = tuple(i for i, c in enumerate(term) if c not in kept)
    if not alone:
        return x, term
    return total(x, alone), "".join(c for c in term if c in kept)


def _arranged(x: Tensor, term: str, order: str) -> Tensor:
    """Bring the axes into an order."""
    return x if term == order else permute_dims(x, tuple(term.index(c) for c in order))


def _spread(x: Tensor, term: str, result: str) -> Tensor:
    """Bring the axes into the order of the result, with size 1 for those that are not there."""
    x = _arranged(x, term, "".join(c for c in result if c in term))
    sizes = iter(x.shape)
    return reshape(x, tuple(next(sizes) if c in term else 1 for c in result))


# --- the notation ---------------------------------------------------------------------------------


def _from_numbers(given: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """Return subscripts and operands for ``einsum(x, [0, 1], y, [1, 2], [0, 2])``."""
    pairs = len(given) // 2
    operands = given[: 2 * pairs : 2]
    terms = [_term(numbers) for numbers in given[1 : 2 * pairs : 2]]
    text = ",".join(terms)
    return text if len(given) % 2 == 0 else f"{text}->{_term(given[-1])}", operands


def _term(numbers: Any) -> str:
    return "".join("..." if n is Ellipsis else _LETTERS[n] for n in numbers)


def _check_sizes(terms: list[str], shapes: list[Shape], subscripts: str) -> None:
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes):
        if len(term) != len(shape):
            raise ShapeError(
                located(
                    f"einsum: {term!r} in {subscripts!r} names {len(term)} axes, the operand has "
                    f"shape {shape}"
                )
            )
        for letter, n in zip(term, shape):
            before = sizes.setdefault(letter, n)
            if same(n, before) or n == before:
                continue
            if before == 1:
                sizes[letter] = n
            elif n != 1:
                raise ShapeError(
                    located(f"einsum: {letter!r} in {subscripts!r} has size {before} and {n}")
                )


def _letters_but(used: str) -> str:
    return "".join(c for c in _LETTERS if c not in used)


def _parse(subscripts: str, ndims: list[int]) -> tuple[list[str], str]:
    """Return a term per operand and the result's, with the ellipsis spelled out in letters."""
    text = subscripts.replace(" ", "")
    left, arrow, result = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise ShapeError(
            located(f"einsum: {subscripts!r} is for {len(terms)} operands, given {len(ndims)}")
        )
    counts = [n - len(t.replace("...", "")) for t, n in zip(terms, ndims) if "..." in t]
    spare = _letters_but(text)[: max(counts, default=0)]
    if min(counts, default=0) < 0:
        raise ShapeError(located(f"einsum: {subscripts!r} names more axes than an operand has"))
    lengths = iter(counts)
    terms = [
        t.replace("...", spare[len(spare) - next(lengths) :]) if "..." in t else t for t in terms
    ]
    if not arrow:
        letters = "".join(terms)
        once = sorted(c for c in set(letters) - set(spare) if letters.count(c) == 1)
        return terms, spare + "".join(once)
    result = result.replace("...", spare)
    unknown = sorted(set(result) - set("".join(terms)))
    if unknown or len(set(result)) != len(result):
        why = f"{unknown[0]!r} is in no operand" if unknown else "a letter occurs twice"
        raise ShapeError(located(f"einsum: the result {result!r} of {subscripts!r}: {why}"))
    return terms, result


def _without_stretched(terms: list[str], tensors: list[Tensor]) -> tuple[list[str], list[Tensor]]:
    """Remove axes of size 1 that broadcast against another operand's."""
    sizes: dict[str, int] = {}
    stretched = False
    for term, tensor in zip(terms, tensors):
        for letter, n in zip(term, tensor.shape):
            before = sizes.setdefault(letter, n)
            if not same(before, n) and before != n:
                stretched = True
                sizes[letter] = n if n != 1 else before
    if not stretched:
        return terms, tensors
    left, kept = [], []
    for term, tensor in zip(terms, tensors):
        drop = [i for i, (c, n) in enumerate(zip(term, tensor.shape)) if n == 1 and sizes[c] != 1]
        left.append("".join(c for i, c in enumerate(term) if i not in drop))
        kept.append(squeeze(tensor, tuple(drop)) if drop else tensor)
    return left, kept
