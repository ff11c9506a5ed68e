"""What Python asks a traced value for, in words."""

from __future__ import annotations

from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor


class Size(int):
    """How many elements a result has where the data say so (`nonzero`, `unique`, masks).

    A traced value that is asked for this is asked by a function of hybrid, not by the user's own
    ``int()``; guards and messages tell the two apart.
    """


class Exact(float):
    """A float that Python asks for, told from others by its bits: 0.0 from -0.0."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float) and self.hex() == other.hex()

    def __hash__(self) -> int:
        return hash(self.hex())


def asked(kind: type) -> str:
    """Return what stands in messages for asking a traced value for a `kind`."""
    if kind is Size:
        return "a result that has as many elements as the data say"
    return f"{name_of(kind)} of a traced value"


def name_of(kind: type) -> str:
    """Return what stands for a guard that asks for a `kind`."""
    return {Size: "size", Exact: "float()"}.get(kind, f"{kind.__name__}()")


def has_contents(x: Tensor) -> bool:
    """Tell whether the contents of `x` are there: not while it stands for a value of a trace."""
    return type(x._data) is not Symbol or x._data.array is not None


def size_by_data(count: Tensor) -> int:
    """Return the number of elements that a result has, by a traced `count` of them."""
    symbol = count._symbol()
    return int(symbol.recorder.concretize(symbol, Size))
