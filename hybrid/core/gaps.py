"""What eager forms ask of NumPy and CuPy 14 does not have, written with what it has."""

from __future__ import annotations

import contextlib
from typing import Any


class Filled:
    """An array module whose gaps are filled."""

    def __init__(self, module: Any) -> None:
        self.__name__ = module.__name__
        self._module = module
        at = {"minimum": _EXTREMES, "maximum": _EXTREMES, "add": _SUMS, "subtract": _SUMS}
        folds = {
            "maximum": module.max,
            "minimum": module.min,
            "logical_or": module.any,
            "logical_and": module.all,
            "add": module.sum,
            "multiply": module.prod,
        }
        scans = {"add": module.cumsum, "multiply": module.cumprod}
        for name in (*folds, "subtract", "divide", "power"):
            found = _Ufunc(
                module,
                getattr(module, name),
                folds.get(name),
                scans.get(name),
                at.get(name, frozenset()),
            )
            setattr(self, name, found)
        self.linalg = _Filled(module.linalg, cholesky=self._cholesky, vector_norm=self._norm)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def errstate(self, **_: Any) -> contextlib.AbstractContextManager[None]:
        """Do nothing: a card raises and warns of no floating-point number."""
        return contextlib.nullcontext()

    # A card sorts stably whatever is asked for.

    def sort(self, x: Any, axis: int | None = -1, *, stable: bool | None = None) -> Any:
        """Sort along an axis."""
        return self._module.sort(x, axis=axis)

    def argsort(self, x: Any, axis: int | None = -1, *, stable: bool | None = None) -> Any:
        """Return the indices that sort along an axis."""
        return self._module.argsort(x, axis=axis)

    def max(self, x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
        """Return the largest elements, and `initial` where there are none."""
        if initial is None:
            return self._module.max(x, axis=axis, keepdims=keepdims)
        axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
        more = [list(x.shape) for _ in axes]
        for sizes, along in zip(more, axes, strict=True):
            sizes[along] = 1
            padding = self._module.full(tuple(sizes), initial, x.dtype)
            x = self._module.concatenate([x, padding], axis=along)
            for others in more:
                others[along] = x.shape[along]
        return self._module.max(x, axis=axis, keepdims=keepdims)

    def count_nonzero(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        """Count the elements that are not zero."""
        return self._module.sum(x != 0, axis=axis, keepdims=keepdims)

    def spacing(self, x: Any) -> Any:
        """Return the distance to the next number away from zero."""
        x = x.astype("float16") if x.dtype.kind == "b" else x
        inf = self._module.full_like(x, float("inf"))
        return self._module.nextafter(x, self._module.where(x < 0, -inf, inf)) - x

    def histogram_bin_edges(self, x: Any, bins: int, limits: Any = None) -> Any:
        """Return the edges of bins of one width."""
        if limits is None:
            limits = (x.min().item(), x.max().item()) if x.size else (0.0, 1.0)
        low, high = limits
        if low == high:
            low, high = low - 0.5, high + 0.5
        return self._module.linspace(low, high, bins + 1)

    def vecdot(self, a: Any, b: Any) -> Any:
        """Return the inner products of vectors along the last axis."""
        if a.dtype.kind == "b":
            return self._module.any(a & b, axis=-1)
        return self._module.sum(self._module.conj(a) * b, axis=-1)

    def _cholesky(self, x: Any, *, upper: bool = False) -> Any:
        factor = self._module.linalg.cholesky(x)
        return self._module.conj(factor).swapaxes(-1, -2) if upper else factor

    def _norm(self, x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
        squares = self._module.square(self._module.abs(x))
        return self._module.sqrt(self._module.sum(squares, axis=axis, keepdims=keepdims))


class _Filled:
    def __init__(self, module: Any, **gaps: Any) -> None:
        self._module = module
        self.__dict__.update(gaps)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


# What a card can add to, or compare with, in one step, by the character of its dtype.
_SUMS = frozenset("efdFDiIL")
_EXTREMES = frozenset("fdiIL")


class _Ufunc:
    """A ufunc with the methods that NumPy's has."""

    def __init__(
        self, module: Any, ufunc: Any, fold: Any, scan: Any, at_once: frozenset[str]
    ) -> None:
        self._module = module
        self._ufunc = ufunc
        self._fold = fold
        self._scan = scan
        self._at_once = at_once
        self.__name__ = ufunc.__name__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._ufunc(*args, **kwargs)

    def reduce(
        self, x: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False
    ) -> Any:
        """Combine the elements along axes."""
        return self._fold(x, axis=axis, keepdims=keepdims, **({"dtype": dtype} if dtype else {}))

    def accumulate(self, x: Any, axis: int = 0, dtype: Any = None) -> Any:
        """Combine each element with all before it: each step reaches twice as far back."""
        if self._scan is not None:
            return self._scan(x, axis=axis, dtype=dtype)
        out = self._module.moveaxis(self._module.array(x), axis, 0)
        distance = 1
        while distance < out.shape[0]:
            out[distance:] = self._ufunc(out[distance:], out[:-distance].copy())
            distance *= 2
        return self._module.ascontiguousarray(self._module.moveaxis(out, 0, axis))

    def at(self, out: Any, index: Any, value: Any) -> None:
        """Combine elements with values in place: what occurs twice, twice."""
        char = out.dtype.char.replace("q", "l").replace("Q", "L")
        if char in self._at_once:
            self._ufunc.at(out, index, value)
        elif char == "l" and self._at_once is _SUMS:  # two's complement adds up alike
            whole = self._module.asarray(value, dtype=out.dtype)
            self._ufunc.at(out.view("uint64"), index, whole.view("uint64"))
        else:
            self._one_by_one(out, index, value)

    def _one_by_one(self, out: Any, index: Any, value: Any) -> None:
        """Do it in rounds, in each of which no place occurs twice."""
        xp = self._module
        places = xp.arange(out.size).reshape(out.shape)[index]
        values = xp.broadcast_to(xp.asarray(value), places.shape).reshape(-1)
        places, flat = places.reshape(-1), out.reshape(-1)
        while places.size:
            _, first = xp.unique(places, return_index=True)
            chosen = places[first]
            flat[chosen] = self._ufunc(flat[chosen], values[first]).astype(out.dtype)
            left = xp.ones(places.shape, dtype=bool)
            left[first] = False
            places, values = places[left], values[left]
        if not xp.may_share_memory(flat, out):
            out[...] = flat.reshape(out.shape)
