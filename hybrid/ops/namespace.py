"""What the Array API's inspection functions say of this namespace."""

from __future__ import annotations

from typing import Any

from hybrid import dtypes
from hybrid.core.devices import as_device, devices
from hybrid.core.state import state
from hybrid.dtypes import DType
from hybrid.ops.data_types import isdtype

_STANDARD: dict[str, DType] = {
    "bool": dtypes.bool_,
    **{
        dtype.name: dtype
        for dtype in sorted(dtypes.KINDS["numeric"], key=lambda d: (d.kind, d.itemsize))
        if dtype not in (dtypes.float16, dtypes.bfloat16)
    },
}


class NamespaceInfo:
    """What the namespace can do, by the inspection API of the Array API standard.

    Examples
    --------
    >>> import hybrid as hb
    >>> hb.__array_namespace_info__().default_dtypes()["real floating"]
    dtype('float32')
    """

    def capabilities(self) -> dict[str, Any]:
        """Return what is optional in the standard, and whether it is there."""
        # NumPy's limit; einsum and the kernels have none of their own.
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """Return the device on which Tensors are made: the CPU, or that of `hybrid.device`."""
        return as_device("default_device", None)

    def devices(self) -> list[str]:
        """Return the devices there are."""
        return list(devices())

    def default_dtypes(self, *, device: Any = None) -> dict[str, DType]:
        """Return the dtypes that are taken where none is given, by kind."""
        as_device("default_dtypes", device)
        found = state.defaults.dtypes
        return {
            "real floating": found["f"],
            "complex floating": found["c"],
            "integral": found["i"],
            "indexing": dtypes.int64,
        }

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, DType]:
        """Return the dtypes of the standard by name, those of a kind (as in ``isdtype``) or all."""
        as_device("dtypes", device)
        if kind is None:
            return dict(_STANDARD)
        return {name: dtype for name, dtype in _STANDARD.items() if isdtype(dtype, kind)}


def __array_namespace_info__() -> NamespaceInfo:
    """Return what this namespace can do: dtypes, devices, defaults (Array API 2024.12)."""
    return NamespaceInfo()
