"""Symbol: a value of a trace, as the Tensors that stand for it hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hybrid import dtypes
from hybrid.core.graph import Value
from hybrid.core.layout import Layout
from hybrid.core.source import SourceLine, located
from hybrid.core.spec import Shape, TensorSpec
from hybrid.errors import TraceError

if TYPE_CHECKING:
    from hybrid.core.tensor import Tensor

Array = np.ndarray[Any, np.dtype[Any]]
TAKEN_BY_MASKED = (
    "numpy.ma asks a traced Tensor for contents that are not there yet; give it the ndarray: "
    "np.ma.getdata(x.numpy())"
)


class Recorder(Protocol):
    """What a trace offers to the Tensors that live in it."""

    @property
    def open(self) -> bool:
        """Whether the trace goes on."""

    def concretize(self, symbol: Symbol, kind: type) -> Any:
        """Return the concrete value that Python asks a traced one for."""

    def materialize(self, tensor: Tensor, why: str) -> Array:
        """Return the contents of `tensor`, if need be by ending the trace."""

    def layout_of(self, tensor: Tensor) -> Layout:
        """Return how eager code would lay out a Tensor here."""

    def lie_like(self, tensor: Tensor, like: Tensor, order: str) -> None:
        """Let a new Tensor lie as NumPy lays out one like another."""


class Symbol:
    """A value of a trace, as the Tensors that stand for it hold it.

    `given` says whether memory that was made for it may lie as arguments of the trace do; `layout`
    is how a new view lies, where that is known. `picked` is what is known of what a mask selects,
    which has no value until somebody asks for it (:mod:`hybrid.core.picked`).
    """

    __slots__ = ("__weakref__", "array", "given", "layout", "line", "picked", "recorder", "value")

    layout: Layout | None
    value: Value

    def __init__(self, value: Value, recorder: Recorder, line: SourceLine | None) -> None:
        self.value = value
        self.array: Array | None = None  # the contents, once tracing has ended in eager code
        self.recorder = recorder
        self.line = line
        self.given = False
        self.picked: Any = None

    def __getattr__(self, name: str) -> Any:
        """Select what a mask selects, once its value is asked for."""
        if name != "value" or self.picked is None:
            raise AttributeError(f"a value of a trace has no attribute {name!r}")
        found = self.picked.settled()
        return found.value if type(found) is Symbol else self.value

    # NumPy would take it for an object, and compare it by identity.
    def __array_ufunc__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse the ufuncs of :mod:`numpy.ma`, which takes it for the contents of its Tensor."""
        raise TraceError(located(TAKEN_BY_MASKED))

    def view(self, *args: Any) -> Any:
        """Refuse to be an ndarray, as :func:`numpy.ma.getdata` would have it."""
        raise TraceError(located(TAKEN_BY_MASKED))

    def _refuse(self, other: Any) -> Any:
        """Refuse arithmetic: what :func:`numpy.ma.getdata` gives of a Tensor is no array."""
        raise TraceError(located(TAKEN_BY_MASKED))

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = _refuse
    __rtruediv__ = __pow__ = __rpow__ = __matmul__ = __rmatmul__ = __getitem__ = _refuse

    @property
    def spec(self) -> TensorSpec:
        """Shape and dtype of the value."""
        return self.picked or self.value.spec

    # What NumPy's arrays offer too, so that a Tensor need not know which of both it holds.
    @property
    def shape(self) -> Shape:
        """Sizes of the axes."""
        return self.value.spec.shape

    @property
    def dtype(self) -> dtypes.DType:
        """The dtype."""
        return (self.picked or self.value.spec).dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return (self.picked or self.value.spec).ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.value.spec.size

    @property
    def device(self) -> str:
        """The name of the device."""
        return (self.picked or self.value.spec).device

    @property
    def strides(self) -> None:
        """None: a value of a trace lies nowhere yet."""
        return None
