"""A card without a card: arrays that NumPy computes, with CuPy's manners.

They refuse what CuPy's arrays refuse: to meet ndarrays, to become one without being asked, and
functions and arguments that CuPy 14 does not have. An index out of range wraps around, as it does
on a card. What a test shows with it is that eager forms go by the array module and mix nothing; the
numbers are NumPy's own.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import scipy.fft
import scipy.linalg
import scipy.special

from hybrid.core import devices
from hybrid.core.gaps import Filled
from hybrid.core.op import OPS
from hybrid.core.places import Place


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Of the functions that hybrid's ops could call; from cupy-cuda13x 14.2.0.
LACKING = _names(
    "block bmat einsum_path frompyfunc geomspace histogram_bin_edges insert matvec nanpercentile "
    "nanquantile nditer ndenumerate errstate polyder polydiv polyint spacing unstack vecdot "
    "vecmat ctypeslib emath strings char rec ma matrix void str_"
)
LACKING_LINALG = _names(
    "diagonal matrix_norm multi_dot outer svdvals tensordot trace vecdot vector_norm"
)
LACKING_SPECIAL = _names("expi1")
SCIPY_LINALG = _names(
    "lu lu_factor lu_solve expm solve_triangular tri tril triu toeplitz circulant hankel hadamard "
    "leslie kron block_diag companion helmert hilbert dft fiedler fiedler_companion "
    "convolution_matrix invhilbert"
)
NO_ARGUMENT = {
    **{name: {"where"} for name in _names("all any mean nanmean")},
    **{name: {"initial", "where"} for name in _names("max min amax amin prod sum")},
    **{name: {"initial", "where"} for name in _names("nanmax nanmin nanprod nansum")},
    **{name: {"where", "mean", "correction"} for name in _names("nanstd nanvar std var")},
    **{name: {"device"} for name in _names("arange asarray empty eye full ones zeros")},
    "argsort": {"order", "stable"},
    "sort": {"order", "stable"},
    "argpartition": {"kind", "order"},
    "partition": {"kind", "order"},
    "array": {"ndmax"},
    "count_nonzero": {"keepdims"},
    "isin": {"kind"},
    "percentile": {"weights"},
    "quantile": {"weights"},
    "cholesky": {"upper"},
    "matrix_rank": {"hermitian", "rtol"},
    "pinv": {"hermitian", "rtol"},
    "svd": {"hermitian"},
}
_METHODS = _names(
    "all any argmax argmin argpartition argsort astype byteswap choose clip compress conj "
    "conjugate copy cumprod cumsum diagonal dot fill flatten max mean min nonzero partition prod "
    "put ravel repeat reshape round searchsorted sort squeeze std sum swapaxes take tobytes "
    "tolist trace transpose var view"
)
_FACTS = _names("shape dtype ndim size strides nbytes itemsize flags")
_MAKERS = _names("asarray array ascontiguousarray asanyarray")
# Answers about arrays, which CuPy gives as Python's or NumPy's own.
_QUESTIONS = _names(
    "may_share_memory shares_memory result_type can_cast min_scalar_type promote_types finfo iinfo "
    "ndim shape size iscomplexobj isrealobj isscalar broadcast_shapes normalize_axis_index"
)
_METHODS_OF_UFUNCS = {
    "reduce": {"add", "multiply"},
    "accumulate": {"add", "multiply"},
    "outer": None,
    "at": {"add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor"},
}


class FakeArray(np.lib.mixins.NDArrayOperatorsMixin):
    """What stands for a CuPy array."""

    __array_priority__ = 100

    def __init__(self, data: Any, ordinal: int = 0) -> None:
        self._data = np.asarray(data)
        self.device = SimpleNamespace(id=ordinal, synchronize=lambda: None)

    def __getattr__(self, name: str) -> Any:
        if name in _FACTS:
            return getattr(self._data, name)
        if name == "take":  # on a card, what is out of range wraps around
            return _function(functools.partial(self._data.take, mode="wrap"), name, self.device.id)
        if name in _METHODS:
            return _function(getattr(self._data, name), name, self.device.id)
        raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r}")

    @property
    def T(self) -> FakeArray:
        return FakeArray(self._data.T, self.device.id)

    @property
    def mT(self) -> FakeArray:
        return FakeArray(self._data.mT, self.device.id)

    @property
    def real(self) -> FakeArray:
        return FakeArray(self._data.real, self.device.id)

    @property
    def imag(self) -> FakeArray:
        return FakeArray(self._data.imag, self.device.id)

    @property
    def base(self) -> Any:
        return self._data.base

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return dict(self._data.__array_interface__)

    def item(self) -> Any:
        return self._data.item()

    def get(self) -> Any:
        return self._data.copy()

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct "
            "a NumPy array explicitly."
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        name = ufunc.__name__
        if name in LACKING or not isinstance(getattr(np, name, None), np.ufunc):
            raise TypeError(f"cupy has no ufunc {name}")
        function = getattr(ufunc, method)
        if method != "__call__":
            known = _METHODS_OF_UFUNCS.get(method, set())
            if known is not None and name not in known:
                raise NotImplementedError(f"`{name}.{method}` is not supported")
        return _function(function, name, self.device.id)(*args, **kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        module = func.__module__.removeprefix("numpy").removeprefix(".")
        owner = MODULE.linalg if module == "linalg" else MODULE.fft if module == "fft" else MODULE
        known = getattr(owner, func.__name__, None)
        if known is None or any(not issubclass(t, FakeArray) for t in types):
            return NotImplemented
        return known(*args, **kwargs)

    def __getitem__(self, index: Any) -> FakeArray:
        return FakeArray(self._data[_index(index, self.shape)], self.device.id)

    def __setitem__(self, index: Any, value: Any) -> None:
        self._data[_index(index, self.shape)] = _lent(value, "setitem", scalars=True)

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self._data)

    def __int__(self) -> int:
        return int(self._data)

    def __index__(self) -> int:
        return self._data.__index__()

    def __float__(self) -> float:
        return float(self._data)

    def __complex__(self) -> complex:
        return complex(self._data)

    def __repr__(self) -> str:
        return repr(self._data)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, self.device.id)

    def __dlpack__(self, *, stream: Any = None, **options: Any) -> Any:
        return _Capsule(self)


class _Capsule:
    def __init__(self, array: FakeArray) -> None:
        self.array = array


def _index(index: Any, shape: tuple[int, ...]) -> Any:
    """Return an index for NumPy; numbers in arrays wrap around."""
    if not isinstance(index, tuple):
        entry = _one_index(index, shape[0] if shape else 0)
        return entry
    taken = sum(_axes(entry) for entry in index)
    found, axis = [], 0
    for entry in index:
        if entry is Ellipsis:
            axis += len(shape) - taken
            found.append(entry)
            continue
        found.append(_one_index(entry, shape[axis] if axis < len(shape) else 0))
        axis += _axes(entry)
    return tuple(found)


def _axes(entry: Any) -> int:
    if entry is None or entry is Ellipsis:
        return 0
    return entry.ndim if isinstance(entry, FakeArray) and entry.dtype.kind == "b" else 1


def _one_index(entry: Any, size: int) -> Any:
    if isinstance(entry, np.ndarray) and entry.ndim:
        raise TypeError("Unsupported type <class 'numpy.ndarray'> of an index")
    if not isinstance(entry, FakeArray):
        return entry
    data = entry._data
    return data % size if data.dtype.kind in "iu" and size else data


def _lent(x: Any, name: str, *, scalars: bool = True) -> Any:
    """Return what NumPy is to get for an argument of a function of CuPy's."""
    if isinstance(x, FakeArray):
        return x._data
    if isinstance(x, np.ndarray) and x.dtype != object:
        raise TypeError(f"{name}: Unsupported type {type(x)}")
    if isinstance(x, list | tuple):
        return type(x)(_lent(item, name) for item in x)
    return x


def _given(x: Any, ordinal: int) -> Any:
    if isinstance(x, np.ndarray | np.generic):
        return FakeArray(x, ordinal)
    if isinstance(x, list | tuple):
        items = [_given(item, ordinal) for item in x]
        return type(x)(*items) if hasattr(x, "_fields") else type(x)(items)
    return x


def _ordinals(x: Any) -> set[int]:
    if isinstance(x, FakeArray):
        return {x.device.id}
    if isinstance(x, list | tuple):
        return set().union(*map(_ordinals, x))
    return set()


_current = [0]


def _function(function: Any, name: str, ordinal: int | None = None) -> Any:
    """Return a function of NumPy's as CuPy has it."""

    def called(*args: Any, **kwargs: Any) -> Any:
        unknown = NO_ARGUMENT.get(name, set()) & {k for k, v in kwargs.items() if v is not None}
        if unknown:
            raise TypeError(f"{name}() got an unexpected keyword argument {unknown.pop()!r}")
        if len(_ordinals((args, tuple(kwargs.values())))) > 1:
            raise ValueError("Array device must be same as the current device")
        if name in _MAKERS:
            args = tuple(x._data if isinstance(x, FakeArray) else x for x in args)
        lent = [_lent(x, name) if name not in _MAKERS else _plain(x) for x in args]
        options = {key: _lent(x, name) for key, x in kwargs.items()}
        if name in ("sort", "argsort"):
            options["stable"] = True  # CuPy knows no other way
        with np.errstate(all="ignore"):
            result = function(*lent, **options)
        out = kwargs.get("out")
        if out is not None:
            return out[0] if isinstance(out, tuple) else out
        if name in _QUESTIONS:
            return result
        return _given(result, _current[-1] if ordinal is None else ordinal)

    return called


def _plain(x: Any) -> Any:
    if isinstance(x, list | tuple):
        return type(x)(map(_plain, x))
    return x._data if isinstance(x, FakeArray) else x


class FakeModule(ModuleType):
    """What stands for a module of CuPy."""

    def __init__(self, name: str, of: Any, lacking: Any = (), only: Any = None) -> None:
        super().__init__(name)
        self.__dict__.update(_of=of, _lacking=lacking, _only=only, ndarray=FakeArray)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in self._lacking or not hasattr(self._of, name):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if self._only is not None and name not in self._only:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        found = getattr(self._of, name)
        if inspect.ismodule(found):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if isinstance(found, np.ufunc) or (callable(found) and not isinstance(found, type)):
            return _Callable(found, name)
        return found


class _Callable:
    """A function of a fake module, with the methods that a ufunc has."""

    def __init__(self, function: Any, name: str) -> None:
        self._of, self.__name__ = function, name
        self._call = _function(function, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        known = _METHODS_OF_UFUNCS.get(name, set())
        if isinstance(self._of, np.ufunc) and (known is None or self.__name__ in known):
            return _function(getattr(self._of, name), self.__name__)
        raise AttributeError(name)


MODULE = FakeModule("cupy", np, LACKING)
MODULE.__dict__["linalg"] = FakeModule("cupy.linalg", np.linalg, LACKING_LINALG)
MODULE.__dict__["lib"] = SimpleNamespace(
    stride_tricks=FakeModule("cupy.lib.stride_tricks", np.lib.stride_tricks)
)
MODULE.__dict__["fft"] = FakeModule("cupy.fft", np.fft)

SCIPY = {
    "cupyx.scipy.special": FakeModule("cupyx.scipy.special", scipy.special, LACKING_SPECIAL),
    "cupyx.scipy.fft": FakeModule("cupyx.scipy.fft", scipy.fft),
    "cupyx.scipy.linalg": FakeModule("cupyx.scipy.linalg", scipy.linalg, only=SCIPY_LINALG),
}


def place(ordinal: int) -> Place:
    """Return a card that NumPy plays."""

    @contextlib.contextmanager
    def current() -> Iterator[None]:
        _current.append(ordinal)
        try:
            yield
        finally:
            _current.pop()

    def adopt(producer: Any) -> FakeArray:
        return producer.__dlpack__().array if isinstance(producer, FakeArray) else producer

    return Place(
        name=f"cuda:{ordinal}",
        xp=Filled(MODULE),
        put=lambda array: FakeArray(np.array(array), ordinal),
        get=lambda array: array.get(),
        move=lambda array: FakeArray(array.get(), ordinal),
        adopt=adopt,
        current=current,
        wait=lambda: None,
        stopwatch=lambda: lambda: 1e-3,
    )


def drawn(
    place: Place, op: str, attrs: Mapping[str, Any], state: FakeArray, size: int, dtype: Any
) -> FakeArray:
    """Stand for ``hybrid.kernels.cuda.drawing.drawn``."""
    assert type(state) is FakeArray, f"a state on {place.name} is expected"
    found = OPS[op].eager(np, state.get(), **attrs)
    assert (found.size, found.dtype) == (size, dtype)
    return place.put(found.reshape(-1))


def add_rows(place: Place, out: FakeArray, places: FakeArray, values: FakeArray) -> None:
    """Stand for ``hybrid.kernels.cuda.scattering.add_rows``."""
    assert (out.dtype, out.shape[1]) == (values.dtype, values.shape[1])
    assert places.dtype == np.int64
    assert not places.size or 0 <= places._data.min() <= places._data.max() < len(out._data)
    assert np.may_share_memory(out._data, out._data.base)  # what was asked for, not a copy of it
    np.add.at(out._data, places._data, values._data)


@contextlib.contextmanager
def fake_cards(count: int = 2) -> Iterator[None]:
    """Let there be cards, in a ``with`` statement."""
    opened, modules = dict(devices._opened), {name: sys.modules.get(name) for name in SCIPY}
    devices._opened.update({f"cuda:{i}": place(i) for i in range(count)})
    sys.modules.update(SCIPY)
    try:
        yield
    finally:
        devices._opened.clear()
        devices._opened.update(opened)
        for name, module in modules.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
