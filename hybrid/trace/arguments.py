"""The arguments of a call, and what stands for them while a function is traced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from inspect import BoundArguments
from typing import Any, NamedTuple

import numpy as np

from hybrid.core.formula import Input
from hybrid.core.number import of_tensor
from hybrid.core.spec import TensorSpec, weak_scalar
from hybrid.core.unknown import entered
from hybrid.trace.sharing import same_array
from hybrid.trace.signature import Signature, is_array
from hybrid.trace.tracer import Tracer

_LETTERS = "nmkpqrstuvw"


class Call(NamedTuple):
    """The arguments of a call, bound to the parameters, and their leaves."""

    bound: BoundArguments
    leaves: list[Any]

    @property
    def given(self) -> tuple[Any, ...]:
        """The arguments in the order of the parameters."""
        return tuple(self.bound.arguments.values())


def traced_leaves(tracer: Tracer, leaves: Sequence[Any], signature: Signature) -> list[Any]:
    """Return what the user's function is given: Tensors, Unknowns, and constants as they are.

    Parameters
    ----------
    tracer : Tracer
    leaves : sequence
        The arguments of this call.
    signature : Signature
        What of them is left open.

    Returns
    -------
    list
    """
    names = _Names(signature.names)
    traced: list[Any] = []
    for i, (leaf, key) in enumerate(zip(leaves, signature.leaves, strict=True)):
        if is_array(leaf):
            spec = key if isinstance(key, TensorSpec) else weak_scalar(leaf)
            tensor = tracer.argument(i, _with_unknown_sizes(tracer, i, spec, leaf, names))
            same = next((j for j in range(i) if same_array(leaves[j], leaf)), None)
            traced.append(of_tensor(tensor) if same is None else traced[same])
        elif isinstance(key, TensorSpec):  # an int that is no constant
            traced.append(entered(tracer.unknowns, Input(names.of_argument(i), i), leaf))
        else:
            traced.append(leaf)
    return traced


def _with_unknown_sizes(
    tracer: Tracer, i: int, spec: TensorSpec, leaf: Any, names: _Names
) -> TensorSpec:
    shape: list[Any] = list(spec.shape)
    for axis, n in enumerate(shape):
        if n is None:
            size = np.shape(leaf)[axis] if isinstance(leaf, np.ndarray) else leaf.shape[axis]
            shape[axis] = entered(tracer.unknowns, Input(names.of_size(), i, axis), size)
    return replace(spec, shape=tuple(shape))


class _Names:
    """Names for what is unknown, in printed graphs and in the words of `explain`."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = arguments
        self._free = [x for x in _LETTERS if x not in arguments]
        self._count = 0

    def of_size(self) -> str:
        """Return a letter for another size."""
        if self._free:
            return self._free.pop(0)
        self._count += 1
        return f"n{self._count}"

    def of_argument(self, i: int) -> str:
        """Return the name of an int argument: its own where that is a Python name."""
        name = self._arguments[i]
        return name if name.isidentifier() else f"i{i}"
