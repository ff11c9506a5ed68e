"""The libraries that are compared, each behind the same few functions."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from benchmarks.case import Array, Compile, Function

Thunk = Callable[[], Any]


def _as_is(value: Any) -> Any:
    return value


def _do_not_compile(library: Any) -> Compile:
    return _as_is


def _call(function: Function, arguments: tuple[Any, ...]) -> Thunk:
    return lambda: function(*arguments)


@dataclass(frozen=True, slots=True)
class Peer:
    """How one library is loaded, compiled with, called and read.

    Attributes
    ----------
    name : str
        The column of the table.
    library : str
        The module that is imported, and the key of its programs in a case.
    load : callable
        ``load(library, threads)`` configures the imported library.
    compile : callable
        ``compile(library)`` is its compile function.
    array : callable
        ``array(library, ndarray)`` is the library's array, in memory of its own.
    thunk : callable
        ``thunk(function, arguments)`` is a call that returns when its result is there.
    numpy : callable
        The library's array as an ndarray.
    slow_to_compile : bool
        Compiling takes it seconds.
    """

    name: str
    library: str
    load: Callable[[Any, int], None] = lambda library, threads: None
    compile: Callable[[Any], Compile] = _do_not_compile
    array: Callable[[Any, Array], Any] = lambda library, value: value
    thunk: Callable[[Function, tuple[Any, ...]], Thunk] = _call
    numpy: Callable[[Any], Array] = np.asarray
    slow_to_compile: bool = False

    def open(self, threads: int) -> Any:
        """Import the library and set it up. Raises ImportError where it is not installed."""
        library = importlib.import_module(self.library)
        self.load(library, threads)
        return library


def _load_torch(torch: Any, threads: int) -> None:
    torch.set_num_threads(threads)
    torch.manual_seed(0)


def _load_jax(jax: Any, threads: int) -> None:
    # XLA takes its thread count from the processors that the process may run on, which
    # `benchmarks.machine.limit_threads` has set.
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")
    importlib.import_module("jax.nn")


def _call_jax(function: Function, arguments: tuple[Any, ...]) -> Thunk:
    def call() -> Any:
        result = function(*arguments)
        for array in result if isinstance(result, tuple) else (result,):
            array.block_until_ready()
        return result

    return call


def _load_numexpr(numexpr: Any, threads: int) -> None:
    numexpr.set_num_threads(threads)


def _load_numba(numba: Any, threads: int) -> None:
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))


def _from_torch(value: Any) -> Array:
    return np.asarray(value.detach().numpy())


def _parallel(numba: Any) -> Compile:
    compile: Compile = numba.njit(parallel=True)
    return compile


_HYBRID: dict[str, Any] = {
    "library": "hybrid",
    "array": lambda hb, value: hb.array(value),
}
_TORCH: dict[str, Any] = {
    "library": "torch",
    "load": _load_torch,
    "array": lambda torch, value: torch.tensor(value),
    "numpy": _from_torch,
}
_JAX: dict[str, Any] = {
    "library": "jax",
    "load": _load_jax,
    "array": lambda jax, value: jax.numpy.array(value),
    "thunk": _call_jax,
}

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer("numpy", library="numpy"),
        Peer("numexpr", library="numexpr", load=_load_numexpr),
        # Tapes of Python on NumPy's arrays, for the cases of those.
        Peer("autograd", library="autograd"),
        # Loops by hand, for the cases that are such.
        Peer(
            "numba",
            library="numba",
            load=_load_numba,
            compile=lambda numba: numba.njit(parallel=True),
        ),
        Peer("hybrid-eager", **_HYBRID),
        Peer("hybrid", **_HYBRID, compile=lambda hb: hb.compile),
        Peer("torch", **_TORCH),
        Peer("torch-compile", **_TORCH, compile=lambda torch: torch.compile, slow_to_compile=True),
        Peer("jax-eager", **_JAX),
        Peer("jax", **_JAX, compile=lambda jax: jax.jit),
    )
}
OURS = ("hybrid-eager", "hybrid")


def installed_versions() -> dict[str, str]:
    """The version of each installed library that takes part."""
    found = {}
    for library in dict.fromkeys(peer.library for peer in PEERS.values()):
        try:
            found[library] = version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
