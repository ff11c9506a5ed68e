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


@functools.cache
def identity() -> bytes:
    """The same for all processors on which LLVM takes the same instructions, here and now."""
    code = elf.instructions(_ASK.ljust(64, b"\xcc") + _ENABLED)
    if code is None:
        from hybrid.kernels import engine

        return "\0".join(engine.cpu()).encode()
    ask = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p)(code)
    found = (ctypes.c_uint32 * 4)()
    words: list[int] = []
    highest = {0: 0, 0x80000000: 0}
    for leaf, subleaf in _LEAVES:
        if leaf in highest:
            ask(leaf, 0, found)
            highest[leaf] = found[0]
        elif leaf > highest[leaf & 0x80000000]:
            continue
        ask(leaf, subleaf, found)
        words += (a & b for a, b in zip(found, _MASKS.get(leaf, (0xFFFFFFFF,) * 4)))
        if leaf == 1 and found[2] & _OSXSAVE:
            ctypes.CFUNCTYPE(None, ctypes.c_void_p)(code + 64)(found)
            words += found[:2]
    return struct.pack(f"<{len(words)}I", *words)
