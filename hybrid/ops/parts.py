"""What a write to the real or the imaginary part of complex numbers makes of the whole."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from hybrid import dtypes
from hybrid.core.dispatch import bind
from hybrid.core.op import OPS, Example, Op, always, register
from hybrid.core.spec import TensorSpec, broadcast_shapes
from hybrid.core.tensor import Tensor
from hybrid.dtypes import DType
from hybrid.errors import DTypeError

PART_OF = {dtypes.complex64: dtypes.float32, dtypes.complex128: dtypes.float64}
"""The dtype of the parts of complex numbers."""


def _compute(specs: tuple[TensorSpec, ...]) -> tuple[DType, ...]:
    dtype = specs[0].dtype
    return dtype, PART_OF[dtype]


def _infer(name: str) -> Callable[..., TensorSpec]:
    def infer(z: TensorSpec, part: TensorSpec) -> TensorSpec:
        if z.dtype not in PART_OF or part.dtype.kind == "c":
            raise DTypeError(f"{name}: not defined for {z.dtype.name} and {part.dtype.name}")
        return TensorSpec(broadcast_shapes(z.shape, part.shape), z.dtype, z.device)

    return infer


def _eager(which: str) -> Callable[..., Any]:
    def put(xp: Any, z: Any, part: Any) -> Any:
        out = xp.array(xp.broadcast_arrays(z, part)[0], order="C")
        getattr(out, which)[...] = part  # a view, of ndarrays and of CuPy's arrays
        return out

    return put


@cache
def _op(name: str) -> Op:
    return OPS[name]


def _of(name: str, *inputs: Any) -> Tensor:
    return bind(_op(name), inputs, {})


def _declared(which: str, scalar: str, vjp: tuple[Any, Any], doc: str) -> Op:
    name = f"with_{which}"
    return register(
        Op(
            name=name,
            family="parts",
            infer=_infer(name),
            eager=_eager(which),
            scalar=scalar,
            compute=_compute,
            vjp=vjp,
            in_order=always,
            examples=tuple(
                Example((shape, shape), dtypes=("complex64", "float32"))
                for shape in ((2, 3), (), (0, 3))
            ),
            doc=doc,
        )
    )


WITH_REAL = _declared(
    "real",
    "with_real({0}, {1})",
    (
        lambda g, out, z, part: _of("with_real", g, 0.0),
        lambda g, out, z, part: _of("real", g),
    ),
    "Complex numbers with other real parts: what a write to ``z.real`` makes of `z`.",
)

WITH_IMAG = _declared(
    "imag",
    "with_imag({0}, {1})",
    (
        lambda g, out, z, part: _of("with_imag", g, 0.0),
        lambda g, out, z, part: _of("negative", _of("imag", g)),
    ),
    "Complex numbers with other imaginary parts: what a write to ``z.imag`` makes of `z`.",
)
