"""The ops that random numbers are drawn by: pure functions of the state of a generator.

The generator is Philox 4x64 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
Its state is three 64-bit words, a key of two and a counter of blocks drawn so far.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.batch import Lane, Lanes
from hybrid.core.devices import CPU
from hybrid.core.dispatch import bind
from hybrid.core.heard import converts
from hybrid.core.op import Attrs, Example, Op, register
from hybrid.core.places import Place
from hybrid.core.spec import Shape, TensorSpec
from hybrid.core.tensor import Tensor
from hybrid.dtypes import DType
from hybrid.errors import ShapeError
from hybrid.kernels import normals
from hybrid.ops.elementwise import where
from hybrid.ops.joining import stack

WORDS_PER_BLOCK = 4
STATE = TensorSpec((3,), dtypes.uint64)
_NO_GRADIENT = "the numbers do not depend on anything that has a gradient"


def _check_state(state: TensorSpec) -> None:
    if state.shape != STATE.shape or state.dtype != STATE.dtype:
        raise ShapeError(f"random: the state of a generator is {STATE}, not {state}")


def _raw(state: Any, words: int) -> Any:
    """Return 64-bit words: the blocks behind the state's counter."""
    philox = np.random.Philox(key=state[:2], counter=int(state[2]))
    return philox.random_raw(words)


def _halves(state: Any, count: int) -> Any:
    """Return 32-bit words; little end first on every machine."""
    return _raw(state, (count + 1) // 2).astype("<u8", copy=False).view("<u4")[:count]


def _by_kernel(op: str) -> Callable[..., Any]:
    """Return what draws on a card."""

    def draw(place: Place, state: Any, **attrs: Any) -> Any:
        from hybrid.kernels.cuda.drawing import drawn

        shape = attrs.get("shape", (attrs.get("n"),))
        dtype = attrs.get("dtype", dtypes.uint64)
        return drawn(place, op, attrs, state, prod(shape), dtype).reshape(shape)

    return draw


# --- batches --------------------------------------------------------------------------------------

# Inside a vmap each example draws numbers of its own, all from the state that they share. The
# counter then moves on by what the examples together can take.


def _batch_advance(op: Op, size: int, lanes: Lanes, attrs: Attrs) -> Lane | None:
    (state,) = lanes
    if state.batched:
        return None
    return Lane(bind(op, (state.tensor,), {"blocks": attrs["blocks"] * size}), batched=False)


def _batch_draw(op: Op, size: int, lanes: Lanes, attrs: Attrs) -> Tensor | None:
    (state,) = lanes
    if state.batched:
        return None
    return bind(op, (state.tensor,), {**attrs, "shape": (size, *attrs["shape"])})


def _batch_apart(op: Op, size: int, lanes: Lanes, attrs: Attrs) -> Tensor | None:
    (state,) = lanes
    if state.batched:
        return None
    step = -(-attrs["n"] // WORDS_PER_BLOCK)
    states = (bind(RANDOM_ADVANCE, (state.tensor,), {"blocks": i * step}) for i in range(size))
    return stack([bind(op, (its,), attrs) for its in states])


# --- bits and the counter -------------------------------------------------------------------------


def _infer_bits(state: TensorSpec, *, n: int) -> TensorSpec:
    _check_state(state)
    return TensorSpec((n,), dtypes.uint64, state.device)


RANDOM_BITS = register(
    Op(
        name="random_bits",
        family="random",
        batch=_batch_apart,
        infer=_infer_bits,
        by_kernel=_by_kernel("random_bits"),
        eager=lambda xp, state, *, n: _raw(state, n),
        examples=(Example(((3,),), {"n": 7}, ("uint64",)),),
        doc="Random 64-bit words.",
    )
)


def _infer_advance(state: TensorSpec, *, blocks: int) -> TensorSpec:
    _check_state(state)
    return state


def _eager_advance(xp: Any, state: Any, *, blocks: int) -> Any:
    moved = xp.array(state)
    moved[2:] += xp.uint64(blocks)
    return moved


RANDOM_ADVANCE = register(
    Op(
        name="random_advance",
        family="random",
        batch=_batch_advance,
        infer=_infer_advance,
        eager=_eager_advance,
        examples=(Example(((3,),), {"blocks": 5}, ("uint64",)),),
        doc="The state of a generator once some blocks are drawn.",
    )
)

# --- uniform --------------------------------------------------------------------------------------


def _infer_float(state: TensorSpec, *, shape: Shape, dtype: DType, **_: float) -> TensorSpec:
    _check_state(state)
    return TensorSpec(shape, dtype, state.device)


def words_for(count: int, dtype: DType) -> int:
    """Return how many 64-bit words `count` numbers take: two of up to 32 bits share one."""
    return count if dtype == dtypes.float64 else (count + 1) // 2


@converts
def _eager_uniform(
    xp: Any, state: Any, *, shape: Shape, dtype: DType, low: float, high: float
) -> Any:
    count = prod(shape)
    if dtype == dtypes.float64:
        unit = (_raw(state, count) >> np.uint64(11)).astype(np.float64)
        unit *= 2.0**-53
    else:
        unit = (_halves(state, count) >> np.uint32(8)).astype(np.float32)
        unit *= np.float32(2.0**-24)
    if (low, high) != (0, 1):
        unit *= unit.dtype.type(high - low)
        unit += unit.dtype.type(low)
    elif dtype == unit.dtype:  # which does not reach 1
        return unit.reshape(shape)
    out = unit.astype(dtype, copy=False).reshape(shape)
    if low < high:  # rounding must not reach the open end
        top = np.asarray(high, dtype)
        np.minimum(out, np.nextafter(top, np.asarray(low, dtype)), out=out)
    return out


def _infer_words(state: TensorSpec, *, shape: Shape, dtype: DType) -> TensorSpec:
    _check_state(state)
    return TensorSpec(shape, dtype, state.device)


RANDOM_WORDS = register(
    Op(
        name="random_words",
        family="random",
        batch=_batch_draw,
        infer=_infer_words,
        by_kernel=_by_kernel("random_words"),
        eager=lambda xp, state, *, shape, dtype: (
            _raw(state, prod(shape)) if dtype == dtypes.uint64 else _halves(state, prod(shape))
        ).reshape(shape),
        draws=True,
        examples=(
            Example(((3,),), {"shape": (2, 5), "dtype": dtypes.uint32}, ("uint64",)),
            Example(((3,),), {"shape": (7,), "dtype": dtypes.uint64}, ("uint64",)),
        ),
        doc="Random words of 32 or 64 bits.",
    )
)


def _expand_uniform(
    state: Tensor, *, shape: Shape, dtype: DType, low: float, high: float
) -> Tensor | None:
    """Do what the eager form does, operation by operation: the same bits."""
    if state.device != CPU:
        return None  # a card's own kernel draws the numbers
    wide = dtype == dtypes.float64
    kind = dtypes.float64 if wide else dtypes.float32
    attrs = {"shape": shape, "dtype": dtypes.uint64 if wide else dtypes.uint32}
    words = bind(RANDOM_WORDS, (state,), attrs)
    unit = (words >> (11 if wide else 8)).astype(kind) * 2.0 ** (-53 if wide else -24)
    if (low, high) != (0, 1):
        unit = unit * (high - low) + low
    out = unit.astype(dtype, copy=False)
    if low < high:
        top = np.asarray(high, dtype)
        below = np.nextafter(top, np.asarray(low, dtype))
        out = where(out >= top.item(), below.item(), out)
    return out


RANDOM_UNIFORM = register(
    Op(
        name="random_uniform",
        family="random",
        warns=True,
        batch=_batch_draw,
        infer=_infer_float,
        by_kernel=_by_kernel("random_uniform"),
        eager=_eager_uniform,
        expand=_expand_uniform,
        no_gradient=_NO_GRADIENT,
        examples=(
            Example(
                ((3,),),
                {"shape": (2, 5), "dtype": dtypes.float32, "low": 0.0, "high": 1.0},
                ("uint64",),
            ),
            Example(
                ((3,),),
                {"shape": (3,), "dtype": dtypes.float64, "low": -1.0, "high": 4.0},
                ("uint64",),
            ),
        ),
        doc="Numbers spread evenly over a half-open interval.",
    )
)

# --- normal ---------------------------------------------------------------------------------------


@converts
def _eager_normal(
    xp: Any, state: Any, *, shape: Shape, dtype: DType, mean: float, std: float
) -> Any:
    count = prod(shape)
    pairs = (count + 1) // 2
    if dtype == dtypes.float64:
        unit = (_raw(state, 2 * pairs) >> np.uint64(11)).astype(np.float64)
    else:
        unit = _halves(state, 2 * pairs).astype(np.float32)
    kind = unit.dtype.type
    unit += kind(0.5)
    unit *= kind(2.0**-53 if dtype == dtypes.float64 else 2.0**-32)
    both = normals.box_muller(unit[:pairs], unit[pairs:])[:count]
    if (mean, std) != (0, 1):
        both *= kind(std)
        both += kind(mean)
    return both.astype(dtype, copy=False).reshape(shape)


RANDOM_NORMAL = register(
    Op(
        name="random_normal",
        family="random",
        warns=True,
        batch=_batch_draw,
        infer=_infer_float,
        by_kernel=_by_kernel("random_normal"),
        eager=_eager_normal,
        no_gradient=_NO_GRADIENT,
        examples=(
            Example(
                ((3,),),
                {"shape": (2, 5), "dtype": dtypes.float32, "mean": 0.0, "std": 1.0},
                ("uint64",),
            ),
            Example(
                ((3,),),
                {"shape": (3,), "dtype": dtypes.float64, "mean": 5.0, "std": 0.1},
                ("uint64",),
            ),
        ),
        doc="Normally distributed numbers.",
    )
)

# --- integers and permutations --------------------------------------------------------------------


def _infer_integers(
    state: TensorSpec, *, shape: Shape, dtype: DType, low: int, high: int
) -> TensorSpec:
    _check_state(state)
    return TensorSpec(shape, dtype, state.device)


def _high_word(x: Any, factor: int) -> Any:
    """Return the upper 64 bits of the 128-bit products of `x` and `factor`."""
    low32 = 0xFFFFFFFF
    x1, x0 = x >> 32, x & low32
    f1, f0 = factor >> 32, factor & low32
    middle = x1 * f0 + (x0 * f0 >> 32)
    return x1 * f1 + (middle >> 32) + ((x0 * f1 + (middle & low32)) >> 32)


def _eager_integers(xp: Any, state: Any, *, shape: Shape, dtype: DType, low: int, high: int) -> Any:
    words = _raw(state, prod(shape))
    # Multiply and shift: how often two values come up differs by a factor of (high - low) / 2**64.
    drawn = words if high - low == 2**64 else _high_word(words, high - low)
    return (drawn + np.uint64(low % 2**64)).astype(dtype).reshape(shape)


def _expand_integers(
    state: Tensor, *, shape: Shape, dtype: DType, low: int, high: int
) -> Tensor | None:
    if state.device != CPU:
        return None  # a card's own kernel draws the numbers
    words = bind(RANDOM_WORDS, (state,), {"shape": shape, "dtype": dtypes.uint64})
    drawn = words if high - low == 2**64 else _high_word(words, high - low)
    return (drawn + low % 2**64).astype(dtype, copy=False)


RANDOM_INTEGERS = register(
    Op(
        name="random_integers",
        family="random",
        batch=_batch_draw,
        infer=_infer_integers,
        by_kernel=_by_kernel("random_integers"),
        eager=_eager_integers,
        expand=_expand_integers,
        examples=(
            Example(
                ((3,),),
                {"shape": (2, 5), "dtype": dtypes.int64, "low": -3, "high": 10},
                ("uint64",),
            ),
        ),
        doc="Whole numbers of a half-open interval.",
    )
)


def _infer_permutation(state: TensorSpec, *, n: int) -> TensorSpec:
    _check_state(state)
    return TensorSpec((n,), dtypes.int64, state.device)


RANDOM_PERMUTATION = register(
    Op(
        name="random_permutation",
        family="random",
        batch=_batch_apart,
        infer=_infer_permutation,
        by_kernel=lambda place, state, *, n: place.xp.argsort(
            _by_kernel("random_bits")(place, state, n=n), stable=True
        ),
        eager=lambda xp, state, *, n: np.argsort(_raw(state, n), stable=True),
        examples=(Example(((3,),), {"n": 6}, ("uint64",)),),
        doc="The numbers below n in a random order.",
    )
)
