"""Code written in LLVM's assembly language: compiled once, and kept on disk as kernels are."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hybrid.kernels import cache, native


def kept(text: str) -> bool:
    """Whether code lies on disk, compiled."""
    return cache.read(cache.key(text)) is not None


def load(text: str, given: Mapping[str, int] = {}) -> Callable[[str], int]:
    """Load code that is the same in every process; what gives the address of a symbol in it.

    What differs is given: the addresses of symbols that it refers to. It is made for any processor
    of this kind, without optimising.
    """
    key = cache.key(text)
    code = cache.read(key)
    if code is None:
        from hybrid.kernels import engine

        code = engine.object_code(text)
        cache.write(key, code)
    return native.load_object(code, given)
