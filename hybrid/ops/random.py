"""Random numbers from a counter: the same seed gives the same numbers, eager and traced.

The generator is Philox 4x64 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
Its state is a Variable of three 64-bit words, a key of two and a counter of blocks drawn so far. A
draw is a pure function of the state; moving the counter on is an assignment, which a compiled
function performs at each call.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core import defaults
from hybrid.core.batch import Lane, Lanes
from hybrid.core.devices import CPU, DeviceScope, as_device
from hybrid.core.dispatch import bind, located
from hybrid.core.op import Attrs, Example, Op, register
from hybrid.core.spec import Shape, TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor, asarray
from hybrid.core.variable import Variable
from hybrid.dtypes import DType
from hybrid.errors import DTypeError, ShapeError
from hybrid.ops._axes import as_dtype, as_shape
from hybrid.ops.elementwise import where
from hybrid.ops.indexing import take
from hybrid.ops.joining import stack

Size = int | Iterable[int]

_WORDS_PER_BLOCK = 4
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
    return _raw(state, (count + 1) // 2).astype("<u8").view("<u4")[:count]


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
    step = -(-attrs["n"] // _WORDS_PER_BLOCK)
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


def _words(count: int, dtype: DType) -> int:
    """Return how many 64-bit words `count` numbers take: two of up to 32 bits share one."""
    return count if dtype == dtypes.float64 else (count + 1) // 2


def _eager_uniform(
    xp: Any, state: Any, *, shape: Shape, dtype: DType, low: float, high: float
) -> Any:
    count = prod(shape)
    if dtype == dtypes.float64:
        unit = (_raw(state, count) >> np.uint64(11)) * 2.0**-53
    else:
        unit = (_halves(state, count) >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    if (low, high) != (0, 1):
        unit = unit * unit.dtype.type(high - low) + unit.dtype.type(low)
    out = unit.astype(dtype).reshape(shape)
    if low < high:  # rounding must not reach the open end
        top = np.asarray(high, dtype)
        out[out >= top] = np.nextafter(top, np.asarray(low, dtype))
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
) -> Tensor:
    """Do what the eager form does, operation by operation: the same bits."""
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
        batch=_batch_draw,
        infer=_infer_float,
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


def _eager_normal(
    xp: Any, state: Any, *, shape: Shape, dtype: DType, mean: float, std: float
) -> Any:
    count = prod(shape)
    pairs = (count + 1) // 2
    if dtype == dtypes.float64:
        unit = ((_raw(state, 2 * pairs) >> np.uint64(11)) + 0.5) * 2.0**-53
    else:
        unit = (_halves(state, 2 * pairs).astype(np.float32) + np.float32(0.5)) * np.float32(
            2.0**-32
        )
    kind = unit.dtype.type
    # Box and Muller's transform: a radius and an angle give two independent numbers.
    radius = np.sqrt(kind(-2) * np.log(unit[:pairs]))
    angle = kind(2 * np.pi) * unit[pairs:]
    both = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]
    if (mean, std) != (0, 1):
        both = both * kind(std) + kind(mean)
    return both.astype(dtype).reshape(shape)


RANDOM_NORMAL = register(
    Op(
        name="random_normal",
        family="random",
        batch=_batch_draw,
        infer=_infer_float,
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


def _expand_integers(state: Tensor, *, shape: Shape, dtype: DType, low: int, high: int) -> Tensor:
    words = bind(RANDOM_WORDS, (state,), {"shape": shape, "dtype": dtypes.uint64})
    drawn = words if high - low == 2**64 else _high_word(words, high - low)
    return (drawn + low % 2**64).astype(dtype, copy=False)


RANDOM_INTEGERS = register(
    Op(
        name="random_integers",
        family="random",
        batch=_batch_draw,
        infer=_infer_integers,
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
        eager=lambda xp, state, *, n: np.argsort(_raw(state, n), stable=True),
        examples=(Example(((3,),), {"n": 6}, ("uint64",)),),
        doc="The numbers below n in a random order.",
    )
)


# --- Generator ------------------------------------------------------------------------------------


class Generator:
    """A stream of random numbers.

    Parameters
    ----------
    seed : int, optional
        The same seed gives the same numbers; left out, the operating system chooses.

    Examples
    --------
    >>> a, b = Generator(7), Generator(7)
    >>> bool((a.normal(3) == b.normal(3)).all())
    True
    """

    def __init__(self, seed: int | None = None) -> None:
        # The CPU draws, for every device: so the numbers do not depend on where they are wanted.
        with DeviceScope(CPU):
            self._variable = Variable(_seeded(seed), trainable=False, name="random state")
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Generator(state={self._variable._tensor!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"_variable": self._variable}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self._variable = saved["_variable"]
        self._lock = threading.Lock()

    @property
    def state(self) -> Variable:
        """The key and the counter; save and assign it to repeat a stream from some place on."""
        return self._variable

    def seed(self, seed: int | None) -> None:
        """Start the stream of another seed."""
        self._variable.assign(_seeded(seed))

    def split(self, n: int = 2) -> list[Generator]:
        """Return `n` generators whose streams are independent of each other and of this one."""
        keys = self._draw(RANDOM_BITS, {"n": 2 * n}, 2 * n).numpy().reshape(n, 2)
        children = []
        for key in keys:
            child = Generator(0)
            child._variable.assign(np.array([*key, 0], np.uint64))
            children.append(child)
        return children

    def bits(self, n: int) -> Tensor:
        """Return `n` random 64-bit words."""
        (count,) = as_shape("bits", n)
        return self._draw(RANDOM_BITS, {"n": count}, count)

    def uniform(
        self,
        shape: Size = (),
        low: ArrayLike = 0.0,
        high: ArrayLike = 1.0,
        *,
        dtype: Any = None,
    ) -> Tensor:
        """Return numbers spread evenly from `low` up to, not including, `high`.

        Parameters
        ----------
        shape : int or tuple of int
        low, high : number or array-like
            Arrays broadcast to `shape`; gradients flow to them.
        dtype : dtype, optional
            Floating-point; the default dtype if left out.

        Returns
        -------
        Tensor
        """
        kind, sizes = _floating("uniform", dtype), as_shape("uniform", shape)
        plain = _plain(low), _plain(high)
        ends = (0.0, 1.0) if None in plain else plain
        attrs = {"shape": sizes, "dtype": kind, "low": ends[0], "high": ends[1]}
        unit = self._draw(RANDOM_UNIFORM, attrs, _words(prod(sizes), kind))
        if None not in plain:
            return unit
        start = asarray(low).astype(kind, copy=False)
        return start + unit * (asarray(high).astype(kind, copy=False) - start)

    def normal(
        self,
        shape: Size = (),
        mean: ArrayLike = 0.0,
        std: ArrayLike = 1.0,
        *,
        dtype: Any = None,
    ) -> Tensor:
        """Return normally distributed numbers.

        Parameters
        ----------
        shape : int or tuple of int
        mean, std : number or array-like
            Arrays broadcast to `shape`; gradients flow to them.
        dtype : dtype, optional
            Floating-point; the default dtype if left out.

        Returns
        -------
        Tensor
        """
        kind, sizes = _floating("normal", dtype), as_shape("normal", shape)
        plain = _plain(mean), _plain(std)
        moments = (0.0, 1.0) if None in plain else plain
        attrs = {"shape": sizes, "dtype": kind, "mean": moments[0], "std": moments[1]}
        even = prod(sizes) + prod(sizes) % 2
        unit = self._draw(RANDOM_NORMAL, attrs, _words(even, kind))
        if None not in plain:
            return unit
        centre, scale = asarray(mean), asarray(std)
        return centre.astype(kind, copy=False) + unit * scale.astype(kind, copy=False)

    def integers(
        self, low: int, high: int | None = None, shape: Size = (), *, dtype: Any = dtypes.int64
    ) -> Tensor:
        """Return whole numbers from `low` up to, not including, `high`.

        Parameters
        ----------
        low : int
            With no `high`, this is the high end and the low one is 0.
        high : int, optional
        shape : int or tuple of int
        dtype : dtype
            An integer dtype.

        Returns
        -------
        Tensor

        Raises
        ------
        ValueError
            Where there is no number to choose or `dtype` does not hold them all.
        """
        first, last = (0, low) if high is None else (low, high)
        kind = as_dtype("integers", dtype)
        if kind.kind not in "iu":
            raise DTypeError(located(f"integers: {kind.name} is not an integer dtype"))
        ends, sizes = (operator.index(first), operator.index(last)), as_shape("integers", shape)
        _check_range(*ends, kind)
        attrs = {"shape": sizes, "dtype": kind, "low": ends[0], "high": ends[1]}
        return self._draw(RANDOM_INTEGERS, attrs, prod(sizes))

    def bernoulli(self, p: ArrayLike = 0.5, shape: Size | None = None) -> Tensor:
        """Return booleans that are True with probability `p`."""
        chance = asarray(p)
        size = chance.shape if shape is None else shape
        return self.uniform(size, dtype=dtypes.float32) < chance

    def permutation(self, x: int | ArrayLike) -> Tensor:
        """Return the numbers below `x`, or the rows of the array `x`, in a random order."""
        if isinstance(x, int):
            (n,) = as_shape("permutation", x)
            return self._draw(RANDOM_PERMUTATION, {"n": n}, n)
        rows = asarray(x)
        if not rows.ndim:
            return self.permutation(int(rows))
        return take(rows, self.permutation(rows.shape[0]).to_device(rows.device), axis=0)

    def _draw(self, op: Op, attrs: dict[str, Any], words: int) -> Tensor:
        blocks = -(-words // _WORDS_PER_BLOCK)
        with self._lock:
            now = self._variable.read()
            drawn: Tensor = bind(op, (now,), attrs)
            self._variable.assign(bind(RANDOM_ADVANCE, (now,), {"blocks": blocks}))
        return drawn.to_device(as_device(op.name, None))


def _seeded(seed: int | None) -> Any:
    key = np.random.SeedSequence(seed).generate_state(2, np.uint64)
    return np.array([*key, 0], np.uint64)


def _floating(name: str, dtype: Any) -> DType:
    kind = defaults.get_default_dtype() if dtype is None else as_dtype(name, dtype)
    if not dtypes.is_float(kind):
        raise DTypeError(located(f"{name}: {kind.name} is not a floating-point dtype"))
    return kind


def _plain(x: Any) -> float | None:
    """Return a Python or NumPy number as a float; None for arrays."""
    return float(x) if isinstance(x, int | float | np.number) else None


def _check_range(low: int, high: int, dtype: DType) -> None:
    if low >= high:
        raise ValueError(located(f"integers: there is no number from {low} up to {high}"))
    info = np.iinfo(dtype)
    if low < info.min or high - 1 > info.max:
        raise ValueError(
            located(f"integers: {dtype.name} does not hold all numbers from {low} to {high - 1}")
        )


_default = Generator()

seed = _default.seed
split = _default.split
bits = _default.bits
uniform = _default.uniform
normal = _default.normal
integers = _default.integers
bernoulli = _default.bernoulli
permutation = _default.permutation
