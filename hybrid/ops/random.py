"""Random numbers from a counter: the same seed gives the same numbers, eager and traced.

The generator is Philox 4x64 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
Its state is a Variable of three 64-bit words, a key of two and a counter of blocks drawn so far. A
draw is a pure function of the state; moving the counter on is an assignment, which a compiled
function performs at each call.
"""

from __future__ import annotations

import operator
import os
import threading
from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core import defaults
from hybrid.core.devices import CPU, DeviceScope, as_device
from hybrid.core.dispatch import bind
from hybrid.core.making import asarray
from hybrid.core.op import Op
from hybrid.core.source import located
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.core.variable import Variable
from hybrid.dtypes import DType
from hybrid.errors import DTypeError
from hybrid.ops._axes import as_dtype, as_shape
from hybrid.ops.drawing import (
    RANDOM_ADVANCE,
    RANDOM_BITS,
    RANDOM_INTEGERS,
    RANDOM_NORMAL,
    RANDOM_PERMUTATION,
    RANDOM_UNIFORM,
    WORDS_PER_BLOCK,
    words_for,
)
from hybrid.ops.indexing import take

__all__ = [
    "Generator",
    "bernoulli",
    "bits",
    "integers",
    "normal",
    "permutation",
    "seed",
    "split",
    "uniform",
]

Size = int | Iterable[int]


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
        # The state stays on the CPU, for every device: so a stream goes on wherever it is wanted.
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
        with DeviceScope(CPU):
            self._variable.assign(_seeded(seed))

    def split(self, n: int = 2) -> list[Generator]:
        """Return `n` generators whose streams are independent of each other and of this one."""
        with DeviceScope(CPU):
            keys = self._draw(RANDOM_BITS, {"n": 2 * n}, 2 * n).numpy().reshape(n, 2)
        children = []
        for key in keys:
            child = Generator(0)
            with DeviceScope(CPU):
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
        unit = self._draw(RANDOM_UNIFORM, attrs, words_for(prod(sizes), kind))
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
        unit = self._draw(RANDOM_NORMAL, attrs, words_for(even, kind))
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
        with DeviceScope(rows.device):
            order = self.permutation(rows.shape[0])
        return take(rows, order, axis=0)

    def _draw(self, op: Op, attrs: dict[str, Any], words: int) -> Tensor:
        blocks = -(-words // WORDS_PER_BLOCK)
        with self._lock:
            now = self._variable.read()
            # The state is moved, of three words, and not the numbers.
            there = now.to_device(as_device(op.name, None))
            drawn: Tensor = bind(op, (there,), attrs)
            self._variable.assign(bind(RANDOM_ADVANCE, (now,), {"blocks": blocks}))
        return drawn


def _seeded(seed: int | None) -> Any:
    if seed is None:
        return np.array([*np.frombuffer(os.urandom(16), np.uint64), 0], np.uint64)
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


def __dir__() -> list[str]:
    return __all__
