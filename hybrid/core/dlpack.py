"""DLPack, both ways and without a copy; bfloat16 included, for which NumPy has no code."""

from __future__ import annotations

import ctypes
from typing import Any, Final

import numpy as np

from hybrid.core.devices import as_device, place
from hybrid.core.places import DeviceArray
from hybrid.dtypes import bfloat16
from hybrid.records import dataclass

Array = np.ndarray[Any, np.dtype[Any]]
Device = tuple[int, int]

CPU: Final[Device] = (1, 0)
_CUDA, _CUDA_MANAGED = 2, 13  # of DLDeviceType
_UINT, _BFLOAT = 1, 4  # of DLDataTypeCode


def export(
    array: Array,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: Device | None = None,
    copy: bool | None = None,
) -> Any:
    """Return a capsule that holds `array`.

    Parameters
    ----------
    array : ndarray
    stream : None
        A CPU has none.
    max_version : pair of int, optional
        The newest version of DLPack that the consumer knows.
    dl_device : pair of int, optional
        Where the consumer wants the elements.
    copy : bool, optional
        True copies, False and None share the memory.

    Returns
    -------
    PyCapsule

    Raises
    ------
    BufferError
        Where the elements cannot be given in that way: to another device, or memory that may only
        be read to a consumer that would not know.
    """
    options = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
    if array.dtype != bfloat16:
        return array.__dlpack__(**options)
    capsule = array.view(np.uint16).__dlpack__(**options)
    _described(capsule).code = _BFLOAT
    return capsule


def number(device: str) -> Device:
    """Return DLPack's numbers of a device."""
    kind, _, ordinal = device.partition(":")
    return CPU if kind == "cpu" else (_CUDA, int(ordinal))


def is_on_card(obj: Any) -> bool:
    """Tell whether `obj` is another library's array in the memory of an NVIDIA GPU."""
    kind = type(obj)
    return (
        kind is not np.ndarray
        and hasattr(kind, "__dlpack_device__")
        and obj.__dlpack_device__()[0] in (_CUDA, _CUDA_MANAGED)
    )


def borrow(producer: Any) -> DeviceArray:
    """Return an array in the memory of another library's array on a GPU."""
    found = place(as_device("from_dlpack", f"cuda:{producer.__dlpack_device__()[1]}"))
    assert found is not None
    with found.current():
        return DeviceArray(found.adopt(producer), found)


def lend(
    data: DeviceArray,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: Device | None = None,
    copy: bool | None = None,
) -> Any:
    """Return a capsule that holds an array on a GPU; the arguments are those of :func:`export`.

    `stream` is the consumer's, which is made to wait for what was asked of ours.
    """
    if dl_device is not None and tuple(dl_device) != number(data.device):
        if tuple(dl_device) != CPU or copy is False:
            raise BufferError(f"a Tensor on {data.device} cannot be given to device {dl_device}")
        return export(data.get(), None, max_version, dl_device, None)
    with data.place.current():
        array = data.array.copy() if copy else data.array
        return array.__dlpack__(stream=stream, max_version=max_version)


def adopt(producer: Any, device: Any = None, copy: bool | None = None) -> Array:
    """Return an ndarray of what `producer` holds, in the same memory unless `copy` is True."""
    foreign = _Foreign(producer)
    array: Array = np.from_dlpack(foreign, device=device, copy=copy)
    return array.view(bfloat16) if foreign.is_bfloat16 else array


@dataclass(slots=True)
class _Foreign:
    """A producer of capsules whose bfloat16 is passed to NumPy as uint16."""

    producer: Any
    is_bfloat16: bool = False

    def __dlpack_device__(self) -> Device:
        device: Device = self.producer.__dlpack_device__()
        return device

    def __dlpack__(self, **options: Any) -> Any:
        try:
            capsule = self.producer.__dlpack__(**options)
        except TypeError:  # a producer older than version 1 knows none of the options
            if options.get("copy"):
                raise
            capsule = self.producer.__dlpack__()
        described = _described(capsule)
        if described.code == _BFLOAT and described.bits == 16:
            described.code = _UINT
            self.is_bfloat16 = True
        return capsule


# --- the structs of dlpack.h, as far as the dtype -------------------------------------------------


class _DataType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("dtype", _DataType),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
    ]


class _Versioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager_ctx", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _DLTensor),
    ]


# A capsule is fresh for each consumer, and whoever frees it does not look at the dtype: it may be
# rewritten as long as nobody has consumed it.
_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.argtypes, _is_valid.restype = [ctypes.py_object, ctypes.c_char_p], ctypes.c_int
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.argtypes, _pointer.restype = [ctypes.py_object, ctypes.c_char_p], ctypes.c_void_p


def _described(capsule: Any) -> Any:
    """Return the dtype that a capsule declares; writing to it changes the capsule."""
    if _is_valid(capsule, b"dltensor_versioned"):
        return _Versioned.from_address(_pointer(capsule, b"dltensor_versioned")).tensor.dtype
    return _DLTensor.from_address(_pointer(capsule, b"dltensor")).dtype
