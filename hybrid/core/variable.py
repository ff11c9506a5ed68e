"""Variable: a mutable cell that holds a Tensor and is captured by reference."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from hybrid.core import dispatch
from hybrid.core.devices import as_device, place
from hybrid.core.lending import awaited
from hybrid.core.making import as_ndarray, asarray
from hybrid.core.operands import spec_of
from hybrid.core.places import DeviceArray, data_to, fill, like
from hybrid.core.source import located
from hybrid.core.spec import Shape, TensorSpec, casts, fits
from hybrid.core.tensor import Array, Tensor, wrap
from hybrid.dtypes import DType
from hybrid.errors import DTypeError, ShapeError, TraceError

_living: weakref.WeakValueDictionary[int, Variable] = weakref.WeakValueDictionary()
"""By identity; ``==`` compares the elements of Variables."""


def living() -> list[Variable]:
    """Return the Variables that there are. The garbage collector knows none that were frozen."""
    return list(_living.values())


class Variable:
    """A cell with a fixed shape and dtype whose contents can be replaced.

    Compiled functions read and write it by reference; gradient tapes watch it when it is read.

    Parameters
    ----------
    value : array-like
        The first contents; copied.
    dtype : dtype, optional
    trainable : bool
        Whether tapes watch it by themselves.
    name : str, optional
        For printing.

    Examples
    --------
    >>> v = Variable([1.0, 2.0])
    >>> v.assign_add([1.0, 1.0])
    >>> v
    Variable([2., 3.], dtype=float32)
    """

    __slots__ = ("__weakref__", "_tensor", "name", "trainable")

    __array_priority__ = 1000

    def __init__(
        self, value: Any, dtype: Any = None, *, trainable: bool = True, name: str = ""
    ) -> None:
        recorder = dispatch.state.recorder
        if isinstance(value, Variable):
            value = value.read()
        if isinstance(value, Tensor):
            if recorder is not None:
                value = recorder.initial_value(value)
            self._tensor = wrap(_own(value, dtype))
        else:
            where = place(as_device("Variable", None))
            self._tensor = wrap(data_to(np.array(as_ndarray(value, dtype)), where))
        self.name = name
        self.trainable = trainable
        _living[id(self)] = self
        if recorder is not None:
            recorder.created(self)

    @property
    def shape(self) -> Shape:
        """Sizes of the axes; they never change."""
        return self._tensor.shape

    @property
    def dtype(self) -> DType:
        """The dtype; it never changes."""
        return self._tensor.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._tensor.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._tensor.size

    @property
    def device(self) -> str:
        """Where the contents are."""
        return self._tensor.device

    @property
    def spec(self) -> TensorSpec:
        """Shape, dtype and device in one."""
        return self._tensor.spec

    @property
    def value(self) -> Tensor:
        """The present contents, as :meth:`read` returns them."""
        return self.read()

    def read(self) -> Tensor:
        """Return the present contents; a later assignment does not change what was read.

        Examples
        --------
        >>> import hybrid as hb
        >>> v = hb.Variable(1.0)
        >>> before = v.read()
        >>> v.assign(2.0)
        >>> before
        Tensor(1., dtype=float32)
        """
        state = dispatch.state
        tensor = self._tensor if state.recorder is None else state.recorder.read_variable(self)
        if state.tapes:
            for tape in state.tapes:
                tape._accessed(self, tensor)
        return tensor

    def assign(self, value: Any) -> None:
        """Replace the contents.

        Parameters
        ----------
        value : array-like
            Of the Variable's shape (or broadcasting to it) and of a dtype that NumPy's
            ``same_kind`` rule casts to the Variable's.

        Examples
        --------
        >>> import hybrid as hb
        >>> v = hb.Variable([1.0, 2.0])
        >>> v.assign([3.0, 4.0])
        >>> v
        Variable([3., 4.], dtype=float32)
        """
        if isinstance(value, Variable):
            value = value.read()
        _given("assign", value)
        recorder = dispatch.state.recorder
        if recorder is not None:
            recorder.assign_variable(self, value)
            return
        if not isinstance(value, Tensor | int | float | complex):
            value = asarray(value)
        self._check(spec_of(value))
        for tape in dispatch.state.tapes:
            tape._assigned(self)
        source = value._data if isinstance(value, Tensor) else value
        old = self._tensor._data
        if type(old) is DeviceArray or type(source) is DeviceArray:
            array = like(old)
            fill("assign", array, source)
        else:
            array = np.empty(self.shape, self.dtype)
            np.copyto(array, source, casting="unsafe")
        self._tensor = wrap(array)

    def _check(self, spec: TensorSpec) -> None:
        """Raise unless a value of `spec` can be assigned."""
        name = self.name or "a Variable"
        if not fits(spec.shape, self.shape):
            what = f"{name} has shape {self.shape}, the new value {spec.shape}"
            raise ShapeError(located(f"assign: {what}"))
        if not casts(spec, self.dtype):
            what = f"{name} has dtype {self.dtype}, the new value {spec.dtype}"
            raise DTypeError(located(f"assign: {what}; convert it with astype first"))

    def assign_add(self, value: Any) -> None:
        """Add `value` to the contents.

        Parameters
        ----------
        value : array-like
            As for :meth:`assign`.

        Examples
        --------
        >>> import hybrid as hb
        >>> v = hb.Variable(1.0)
        >>> v.assign_add(2.0)
        >>> v
        Variable(3., dtype=float32)
        """
        self.assign(self.read() + _given("assign_add", value))

    def assign_sub(self, value: Any) -> None:
        """Subtract `value` from the contents.

        Parameters
        ----------
        value : array-like
            As for :meth:`assign`.

        Examples
        --------
        >>> import hybrid as hb
        >>> v = hb.Variable(1.0)
        >>> v.assign_sub(2.0)
        >>> v
        Variable(-1., dtype=float32)
        """
        self.assign(self.read() - _given("assign_sub", value))

    def numpy(self) -> Array:
        """Return a copy of the contents as an ndarray.

        Examples
        --------
        >>> import hybrid as hb
        >>> hb.Variable([1.0, 2.0]).numpy()
        array([1., 2.], dtype=float32)
        """
        return self.read().numpy().copy()

    def item(self) -> Any:
        """Return the only element as a Python scalar.

        Examples
        --------
        >>> import hybrid as hb
        >>> hb.Variable(2.5).item()
        2.5
        """
        return self.read().item()

    def __repr__(self) -> str:
        text = repr(self._tensor).removeprefix("Tensor")
        name = f"{self.name}: " if self.name else ""
        return f"Variable({name}{text[1:]}"

    def __hash__(self) -> int:
        return id(self)

    def __getattr__(self, name: str) -> Any:
        if name == "_tensor":
            return awaited(self)
        # Everything a Tensor can do is done to the present contents.
        if name.startswith("__") or not hasattr(Tensor, name):
            raise AttributeError(f"a Variable has no attribute {name!r}")
        return getattr(self.read(), name)

    def __setitem__(self, index: Any, value: Any) -> None:
        """Assign contents of which some elements are others; what was read before keeps its own."""
        contents = self.read().copy()
        contents[index] = value
        self.assign(contents)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self.read().__array__(dtype, copy=copy)

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        if dispatch.state.recorder is not None:
            raise TraceError("a Variable cannot be copied inside a compiled function")
        return Variable(self._tensor, trainable=self.trainable, name=self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return Variable, (self._tensor,)


def _given(what: str, value: Any) -> Any:
    """Return what a Variable is given; None is what a tape gives where it saw no way."""
    if value is None:
        raise TypeError(
            located(
                f"{what}: the value is None. A gradient is None where the tape saw no op on the "
                "way from the source to the target: compute the target inside of the `with` of the "
                "tape, by hb's functions and from this source, and watch what is no Variable by "
                'tape.watch(x). With unconnected_gradients="zero" it is zeros'
            )
        )
    return value


def _own(value: Tensor, dtype: Any) -> Any:
    """Return the contents of a Tensor, copied, on the device where they are."""
    data = value._data
    if type(data) is not DeviceArray:
        return np.array(data, dtype=dtype)
    return data.copy() if dtype is None else value.astype(dtype)._data


def forward_operator(name: str) -> None:
    """Let a Variable answer operator `name` through its present contents."""

    def operator(self: Variable, *args: Any) -> Any:
        return getattr(self.read(), name)(*args)

    operator.__name__ = name
    setattr(Variable, name, operator)


_NUMBERS = ("bool", "int", "float", "complex", "index", "round", "format")
for _name in ("getitem", "len", "iter", "contains", "matmul", "rmatmul", *_NUMBERS):
    forward_operator(f"__{_name}__")
