"""Einstein's notation: what the subscripts of a contraction say."""

from __future__ import annotations

from typing import Any

from hybrid.core.source import located
from hybrid.core.spec import Shape
from hybrid.core.unknown import same
from hybrid.errors import ShapeError

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def from_numbers(given: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """Return subscripts and operands for ``einsum(x, [0, 1], y, [1, 2], [0, 2])``."""
    pairs = len(given) // 2
    operands = given[: 2 * pairs : 2]
    terms = [_term(numbers) for numbers in given[1 : 2 * pairs : 2]]
    text = ",".join(terms)
    return text if len(given) % 2 == 0 else f"{text}->{_term(given[-1])}", operands


def _term(numbers: Any) -> str:
    return "".join("..." if n is Ellipsis else _LETTERS[n] for n in numbers)


def parse(subscripts: str, ndims: list[int]) -> tuple[list[str], str]:
    """Return a term per operand and the result's, with the ellipsis spelled out in letters."""
    text = subscripts.replace(" ", "")
    left, arrow, result = text.partition("->")
    odd = [c for c in f"{left}{result}".replace("...", "").replace(",", "") if not c.isalpha()]
    if odd:
        raise ValueError(located(f"einsum: {odd[0]!r} in {subscripts!r} is no letter"))
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
    if spare and "..." not in result:
        why = f"the axes of '...' are missing from the result {result!r}"
        raise ShapeError(located(f"einsum: {subscripts!r}: {why}"))
    result = result.replace("...", spare)
    unknown = sorted(set(result) - set("".join(terms)))
    if unknown or len(set(result)) != len(result):
        why = f"{unknown[0]!r} is in no operand" if unknown else "a letter occurs twice"
        raise ShapeError(located(f"einsum: the result {result!r} of {subscripts!r}: {why}"))
    return terms, result


def letter_sizes(
    terms: tuple[str, ...], shapes: tuple[Shape, ...], subscripts: str
) -> dict[str, int]:
    """Return the size of each letter; axes of size 1 broadcast."""
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes):
        if len(term) != len(shape):
            raise ShapeError(
                located(
                    f"einsum: {term!r} in {subscripts!r} names {len(term)} axes, the operand has "
                    f"shape {shape}"
                )
            )
        own: dict[str, int] = {}
        for letter, n in zip(term, shape):
            first = own.setdefault(letter, n)
            if not same(n, first) and n != first:
                text = f"einsum: {letter!r} in {subscripts!r} has sizes {first} and {n}"
                raise ShapeError(located(f"{text} in one operand, of shape {shape}"))
            before = sizes.setdefault(letter, n)
            if same(n, before) or n == before:
                continue
            if before == 1:
                sizes[letter] = n
            elif n != 1:
                raise ShapeError(
                    located(f"einsum: {letter!r} in {subscripts!r} has size {before} and {n}")
                )
    return sizes


def _letters_but(used: str) -> str:
    return "".join(c for c in _LETTERS if c not in used)
