"""Nested containers of Tensors as loops carry them and branches return them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from hybrid.core import containers
from hybrid.core.making import asarray
from hybrid.core.number import Number
from hybrid.core.operands import PYTHON_SCALARS, spec_of
from hybrid.core.source import SourceLine, located
from hybrid.core.spec import TensorSpec, casts
from hybrid.core.state import state
from hybrid.core.tensor import Tensor, wrap
from hybrid.core.variable import Variable
from hybrid.errors import DTypeError, HybridError, ShapeError
from hybrid.ops.copying import copy
from hybrid.ops.creation import full
from hybrid.records import dataclass


@dataclass(frozen=True, slots=True)
class Nest:
    """The structure of a container; None in it is part of the structure.

    Attributes
    ----------
    tree : PyTreeSpec
    present : tuple of bool
        Which leaves are not None.
    """

    tree: Any
    present: tuple[bool, ...]

    def build(self, leaves: Iterable[Any]) -> Any:
        """Put leaves into the structure."""
        given = iter(leaves)
        return containers.unflatten(self.tree, [next(given) if p else None for p in self.present])

    def names(self, root: str) -> list[str]:
        """Return how the user would write each leaf: ``carry['h'][0]``."""
        paths = containers.paths(containers.unflatten(self.tree, [0] * len(self.present)))
        written = [root + "".join(f"[{key!r}]" for key in path) for path in paths]
        return [name for name, here in zip(written, self.present, strict=True) if here]


def flatten(construct: str, what: str, container: Any) -> tuple[list[Any], Nest]:
    """Return the leaves of a container as Tensors and Python numbers, and its structure.

    Raises
    ------
    DTypeError
        For a leaf that is no array and no number.
    """
    leaves, tree = containers.flatten(container)
    nest = Nest(tree, tuple(x is not None for x in leaves))
    found = [x for x in leaves if x is not None]
    for i, x in enumerate(found):
        if not isinstance(x, _LEAVES):
            kind, name = type(x).__name__, nest.names(what)[i]
            raise DTypeError(located(f"{construct}: {name} is a {kind}, not an array or a number"))
    return [x if is_number(x) else asarray(x) for x in found], nest


_LEAVES = (Tensor, Variable, np.ndarray, np.generic, *PYTHON_SCALARS)


def is_number(x: Any) -> bool:
    """Tell whether `x` is a plain Python number."""
    stands_in = isinstance(x, np.generic | Tensor) or type(x) is Number
    return isinstance(x, PYTHON_SCALARS) and not stands_in


def strong(x: Any) -> Tensor:
    """Return a leaf as a Tensor; a Python number gets the dtype that ``asarray`` gives it."""
    if is_number(x):
        return full((), x, dtype=asarray(x).dtype)
    tensor = asarray(x)
    return tensor.astype(state.defaults.dtypes[tensor.dtype.kind]) if tensor.spec.weak else tensor


def like(x: Any, spec: TensorSpec) -> Tensor:
    """Return a leaf as a Tensor; a Python number takes the dtype of `spec` where that holds it."""
    own = spec_of(x)
    if not own.weak or not casts(own, spec.dtype):
        return strong(x)
    return full((), x, dtype=spec.dtype) if is_number(x) else asarray(x).astype(spec.dtype)


def _holders(leaves: list[Any], i: int) -> tuple[int, int]:
    return sys.getrefcount(leaves[i]), sys.getrefcount(leaves[i]._data)


_ALONE = _holders([wrap(np.empty(1))], 0)


def owned(leaves: list[Any]) -> list[Tensor]:
    """Return leaves as Tensors whose memory nothing else knows, copied where need be.

    In a trace the results of a body are values of their own; this makes eager ones so.

    Parameters
    ----------
    leaves : list
        That nothing but this list holds, if they are not to be copied.
    """
    made: list[Tensor] = []
    for i in range(len(leaves)):
        if is_number(leaves[i]):
            made.append(strong(leaves[i]))
        elif (
            _holders(leaves, i) == _ALONE
            and leaves[i]._data.base is None
            and leaves[i]._alias is None
        ):
            made.append(leaves[i])
        else:
            made.append(copy(leaves[i]))
    return made


def describe(spec: TensorSpec) -> str:
    """Write shape and dtype as ``float32[3]``."""
    return f"{spec.dtype.name}[{','.join(map(str, spec.shape))}]"


def defined_at(function: Callable[..., Any]) -> str:
    """Name a body and where it is defined."""
    inner = inspect.unwrap(function)
    code = getattr(inner, "__code__", None)
    name = getattr(inner, "__name__", type(inner).__name__)
    if code is None:
        return name
    return f"{name} at {SourceLine(code.co_filename, code.co_firstlineno, name)}"


def check_same(
    construct: str,
    root: str,
    wanted: tuple[Nest, Sequence[TensorSpec]],
    found: tuple[Nest, Sequence[TensorSpec]],
    sides: tuple[Callable[[], str], Callable[[], str]],
    hint: str = "",
) -> None:
    """Raise unless two containers have the same structure, shapes and dtypes, naming the leaf.

    Parameters
    ----------
    construct, root : str
        The function that is called, and what the containers are: ``carry``, ``result``.
    wanted, found : (Nest, specs)
    sides : pair of callables
        Say where each comes from: "going in", "coming out of the body step at f.py:3".
    """  # fmt: skip
    kind: type[HybridError] = ShapeError
    if wanted[0] != found[0]:
        name, a, b = root, _written(wanted[0]), _written(found[0])
    else:
        pairs = list(zip(wanted[1], found[1], strict=True))
        differ = [(x.shape, x.dtype) != (y.shape, y.dtype) for x, y in pairs]
        if True not in differ:
            return
        place = differ.index(True)
        x, y = pairs[place]
        name, a, b = wanted[0].names(root)[place], describe(x), describe(y)
        kind = DTypeError if x.shape == y.shape else ShapeError
    one, other = (side() for side in sides)
    raise kind(located(f"{construct}: {name} is {a} {one} and {b} {other}{hint}"))


def _written(nest: Nest) -> str:
    built = nest.build([Tensor] * sum(nest.present))
    return str(built).replace(str(Tensor), "Tensor")
