"""Einstein summation."""

from __future__ import annotations

from typing import Any

from hybrid.core.batch import Lanes
from hybrid.core.dispatch import bind, located
from hybrid.core.op import Attrs, Example, Op, register
from hybrid.core.spec import Shape, TensorSpec, promote_specs
from hybrid.core.tensor import ArrayLike, Tensor, asarray
from hybrid.dtypes import promote
from hybrid.errors import ShapeError
from hybrid.ops.creation import eye, ones
from hybrid.ops.movement import squeeze


def _sizes(terms: list[str], shapes: list[Shape], subscripts: str) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes):
        if len(term) != len(shape):
            raise ShapeError(
                f"einsum: {term!r} in {subscripts!r} names {len(term)} axes, the operand has "
                f"shape {shape}"
            )
        for letter, n in zip(term, shape):
            if sizes.setdefault(letter, n) != n:
                raise ShapeError(
                    f"einsum: {letter!r} in {subscripts!r} has size {sizes[letter]} and {n}"
                )
    return sizes


def _infer_einsum(*specs: TensorSpec, subscripts: str) -> TensorSpec:
    left, out = subscripts.split("->")
    sizes = _sizes(left.split(","), [s.shape for s in specs], subscripts)
    return TensorSpec(tuple(sizes[c] for c in out), promote_specs(specs), specs[0].device)


def _eager_einsum(xp: Any, *arrays: Any, subscripts: str) -> Any:
    out = xp.einsum(subscripts, *arrays, optimize=len(arrays) > 1)
    # A permutation or a diagonal comes back as a view, which no other op may write to; bfloat16
    # comes back as float32.
    return xp.asarray(out).astype(promote(x.dtype for x in arrays), copy=len(arrays) == 1)


def _vjp_einsum(i: int, g: Tensor, out: Tensor, *inputs: Tensor, subscripts: str) -> Tensor:
    left, result = subscripts.split("->")
    terms = left.split(",")
    own, x = terms[i], inputs[i]
    operands = [g, *(t for j, t in enumerate(inputs) if j != i)]
    names = [result, *(t for j, t in enumerate(terms) if j != i)]
    # An axis that only this operand had was summed alone: its gradient is the same everywhere.
    sizes = dict(zip(own, x.shape))
    alone = "".join(c for c in sizes if not any(c in name for name in names))
    if alone:
        operands.append(ones([sizes[c] for c in alone], g.dtype))
        names.append(alone)
    # An axis named twice took the diagonal: the gradient lies on the diagonal.
    spare = _letters_but(subscripts)
    target = ""
    for letter, n in zip(own, x.shape):
        if letter in target:
            operands.append(eye(n, dtype=g.dtype))
            names.append(letter + spare[0])
            letter, spare = spare[0], spare[1:]
        target += letter
    return bind(EINSUM, tuple(operands), {"subscripts": f"{','.join(names)}->{target}"}).astype(
        x.dtype, copy=False
    )


def _letters_but(used: str) -> str:
    alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return "".join(c for c in alphabet if c not in used)


def _batch_einsum(op: Op, size: int, lanes: Lanes, attrs: Attrs) -> Tensor | None:
    if not any(lane.batched for lane in lanes):
        return None
    taken, out = attrs["subscripts"].split("->")
    letter = _letters_but(attrs["subscripts"])[0]
    names = [letter + n if x.batched else n for n, x in zip(taken.split(","), lanes, strict=True)]
    subscripts = f"{','.join(names)}->{letter}{out}"
    return bind(EINSUM, tuple(lane.tensor for lane in lanes), {"subscripts": subscripts})


EINSUM = register(
    Op(
        name="einsum",
        family="linalg",
        batch=_batch_einsum,
        infer=_infer_einsum,
        eager=_eager_einsum,
        vjp=_vjp_einsum,
        examples=(
            Example(((2, 3), (3, 4)), {"subscripts": "ij,jk->ik"}),
            Example(((2, 3, 4), (2, 4, 5)), {"subscripts": "bij,bjk->bik"}),
            Example(((3, 3),), {"subscripts": "ii->"}),
            Example(((3, 3),), {"subscripts": "ii->i"}),
            Example(((2, 3),), {"subscripts": "ij->ji"}),
            Example(((2, 3), (4,)), {"subscripts": "ij,k->i"}),
            Example(((2, 3), (3, 4), (4,)), {"subscripts": "ij,jk,k->i"}),
        ),
        doc="Einstein summation.",
    )
)


def einsum(subscripts: str, /, *operands: ArrayLike) -> Tensor:
    """Multiply and sum as Einstein's notation says.

    Parameters
    ----------
    subscripts : str
        ``"ij,jk->ik"``: a letter per axis of each operand, then those of the result. Without the
        arrow the result has the letters that occur once, in alphabetical order. ``...`` stands
        for axes that broadcast.
    *operands : array-like

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        Where letters and shapes do not fit.

    Examples
    --------
    >>> einsum("ij,ij->i", [[1, 2], [3, 4]], [[1, 1], [1, 1]])
    Tensor([3, 7], dtype=int64)
    """
    tensors = [asarray(x) for x in operands]
    terms, result = _parse(subscripts, [t.ndim for t in tensors])
    terms, tensors = _without_stretched(terms, tensors)
    attrs = {"subscripts": f"{','.join(terms)}->{result}"}
    return bind(EINSUM, tuple(tensors), attrs)


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
    for term, tensor in zip(terms, tensors):
        for letter, n in zip(term, tensor.shape):
            sizes[letter] = n if n != 1 else sizes.get(letter, 1)
    left, kept = [], []
    for term, tensor in zip(terms, tensors):
        drop = [i for i, (c, n) in enumerate(zip(term, tensor.shape)) if n == 1 and sizes[c] != 1]
        left.append("".join(c for i, c in enumerate(term) if i not in drop))
        kept.append(squeeze(tensor, tuple(drop)) if drop else tensor)
    return left, kept
