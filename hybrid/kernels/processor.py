"""What tells this processor from others, without LLVM: its own answers to CPUID."""

from __future__ import annotations

import ctypes
import functools
import struct

from hybrid.kernels import elf

# void ask(uint32_t leaf, uint32_t subleaf, uint32_t *found)
_ASK = bytes.fromhex(
    "53"  # push rbx
    "4989d0"  # mov r8, rdx
    "89f8"  # mov eax, edi
    "89f1"  # mov ecx, esi
    "0fa2"  # cpuid
    "418900"  # mov [r8], eax
    "41895804"  # mov [r8 + 4], ebx
    "41894808"  # mov [r8 + 8], ecx
    "4189500c"  # mov [r8 + 12], edx
    "5b"  # pop rbx
    "c3"  # ret
)
# void enabled(uint32_t *found)
_ENABLED = bytes.fromhex(
    "31c9"  # xor ecx, ecx
    "0f01d0"  # xgetbv
    "8907"  # mov [rdi], eax
    "895704"  # mov [rdi + 4], edx
    "c3"  # ret
)
# What LLVM asks (getHostCPUFeatures), and some more: leaf and subleaf. Names and features are all
# that these say, but for the second word of leaf 1, which has the number of the core.
_LEAVES = (
    *((0, 0), (1, 0), (7, 0), (7, 1), (7, 2), (0xD, 1), (0x14, 0), (0x19, 0), (0x1E, 1), (0x24, 0)),
    *((0x80000000, 0), (0x80000001, 0), (0x80000007, 0), (0x80000008, 0), (0x80000021, 0)),
)
_MASKS = {
    1: (0xFFFFFFFF, 0, 0xFFFFFFFF, 0xFFFFFFFF),
    # Sizes of addresses, and how many cores there are.
    0x80000008: (0, 0xFFFFFFFF, 0, 0),
}
_OSXSAVE = 1 << 27
# Features that kernels ask for: leaf, word and bit that say so, and the registers that the system
# has to keep for them.
_YMM, _ZMM = 0x06, 0xE6
_FEATURES = {
    "fma": (1, 2, 12, _YMM),
    "f16c": (1, 2, 29, _YMM),
    "avx2": (7, 1, 5, _YMM),
    "avx512f": (7, 1, 16, _ZMM),
    "avx512vl": (7, 1, 31, _ZMM),
}


@functools.cache
def identity() -> bytes:
    """The same for all processors on which LLVM takes the same instructions, here and now."""
    answers, kept = _asked()
    if not answers:
        from hybrid.kernels import engine

        return "\0".join(engine.cpu()).encode()
    words = [kept]
    for (leaf, _), found in answers.items():
        words += (a & b for a, b in zip(found, _MASKS.get(leaf, (0xFFFFFFFF,) * 4), strict=True))
    return struct.pack(f"<{len(words)}I", *words)


@functools.cache
def features() -> frozenset[str]:
    """What this processor has of `_FEATURES`; on another kind, all that LLVM names."""
    answers, kept = _asked()
    if not answers:
        from hybrid.kernels import engine

        return frozenset(name[1:] for name in engine.cpu()[2].split(",") if name[:1] == "+")
    return frozenset(
        name
        for name, (leaf, word, bit, needed) in _FEATURES.items()
        if answers.get((leaf, 0), (0,) * 4)[word] >> bit & 1 and kept & needed == needed
    )


@functools.cache
def _asked() -> tuple[dict[tuple[int, int], tuple[int, ...]], int]:
    """The four words that each leaf and subleaf gives, and which registers the system keeps.

    Nothing where code of one's own cannot be run.
    """
    code = elf.instructions(_ASK.ljust(64, b"\xcc") + _ENABLED)
    if code is None:
        return {}, 0
    ask = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p)(code)
    found = (ctypes.c_uint32 * 4)()
    answers: dict[tuple[int, int], tuple[int, ...]] = {}
    for leaf, subleaf in _LEAVES:
        # The first leaf of each kind says which is the last.
        first = answers.get((leaf & 0x80000000, 0))
        if first is None or leaf <= first[0]:
            ask(leaf, subleaf, found)
            answers[leaf, subleaf] = tuple(found)
    kept = 0
    if answers[1, 0][2] & _OSXSAVE:
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(code + 64)(found)
        kept = found[0]
    return answers, kept
