"""Numbers that follow from sizes, as operands in a graph.

As a literal such a number would be part of the code of a kernel, which would then be compiled for
each size.
"""

from __future__ import annotations

from hybrid import dtypes
from hybrid.core.dispatch import bind, state
from hybrid.core.op import Example, Op, register
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import Tensor

NUMBER = register(
    Op(
        name="number",
        family="sizes",
        infer=lambda *, value, dtype: TensorSpec((), dtype),
        eager=lambda xp, *, value, dtype: xp.asarray(value, dtype),
        no_gradient="it has no inputs",
        examples=(Example((), {"value": 5, "dtype": dtypes.float32}),),
        doc="A number that follows from sizes.",
    )
)


def divided(x: Tensor, by: float) -> Tensor:
    """Return ``x / by`` for a number that follows from sizes; `x` is floating-point or complex."""
    if state.recorder is None:
        return x / by
    return x / bind(NUMBER, (), {"value": by, "dtype": x.dtype})
