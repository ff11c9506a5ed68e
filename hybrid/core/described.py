"""What a Tensor is: shape, dtype, device."""

from __future__ import annotations

from typing import Any, cast

from hybrid import dtypes
from hybrid.core.attached import Attached
from hybrid.core.places import DeviceArray
from hybrid.core.source import located
from hybrid.core.spec import Shape, TensorSpec
from hybrid.core.symbol import Symbol


class Described(Attached):
    """The properties of a Tensor that its data tells, an ndarray or what stands for one."""

    __slots__ = ()

    _data: Any

    @property
    def shape(self) -> Shape:
        """Sizes of the axes."""
        return self._data.shape  # type: ignore[no-any-return]  # asked too often for a cast()

    @property
    def dtype(self) -> dtypes.DType:
        """The dtype of the elements."""
        return self._data.dtype  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._data.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._data.size  # type: ignore[no-any-return]

    @property
    def nbytes(self) -> int:
        """Bytes that the elements take."""
        return self.size * self.dtype.itemsize

    @property
    def itemsize(self) -> int:
        """Bytes that one element takes."""
        return self.dtype.itemsize

    @property
    def device(self) -> str:
        """Where the elements are: ``"cpu"``, ``"cuda:0"``."""
        return self._data.device  # type: ignore[no-any-return]

    @property
    def spec(self) -> TensorSpec:
        """Shape, dtype and device in one."""
        data = self._data
        kind = type(data)
        if kind is Symbol or kind is DeviceArray:
            return cast(TensorSpec, data.spec)
        return TensorSpec(data.shape, data.dtype)

    def __len__(self) -> int:
        shape = self._data.shape
        if not shape:
            raise TypeError(located("len() of a 0-d Tensor: it has no axis"))
        return cast(int, shape[0])
