"""Object code put into memory without LLVM, whose library takes 20 ms of a process to load.

Loading means: copy sections, write addresses or distances, make the code executable. All sections
lie in one piece of memory, so that instructions can say how far away something is in 32 bits
(LLVM's small code model), or where (its large one). What is outside may be further away than that:
each symbol has a cell of 16 bytes next to the code, a jump to its address, and the address.
Whatever else a file holds, an unknown symbol, another platform or a system that forbids it: `load`
says None, and LLVM loads.

The tables for unwinding are left out. Code here throws nothing; a thread that ends while it waits
inside for Python's lock (of a daemon, at exit) is ended by the C library all the same, which takes
the first function without tables for the end of the stack.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import platform
import struct
import sys
from collections.abc import Mapping
from typing import Any

from hybrid.records import dataclass

# Of the headers of a file, its sections, symbols and relocations ("elf.h").
_FILE = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")
_WORD, _HALF = struct.Struct("<Q"), struct.Struct("<i")
_IDENTITY = b"\x7fELF\x02\x01\x01"  # 64 bits, the low byte first
_RELOCATABLE, _X86_64 = 1, 62
_PROGBITS, _SYMTAB, _RELA, _NOBITS, _UNWIND = 1, 2, 4, 8, 0x70000001
_WRITE, _ALLOC, _EXECUTE, _LARGE = 1, 2, 4, 0x10000000
# Constants that may be merged, and strings: flags that say nothing to a loader of one file.
_PLAIN = _WRITE | _ALLOC | _EXECUTE | _LARGE | 0x10 | 0x20
_WHOLE_ADDRESS = 1  # R_X86_64_64
_DISTANCE, _DISTANCE_OF_CALL = 2, 4  # R_X86_64_PC32, R_X86_64_PLT32
_DISTANCE_OF_ADDRESS = 9, 41, 42  # R_X86_64_GOTPCREL, GOTPCRELX, REX_GOTPCRELX
_CELL = struct.Struct("<8sQ")
_JUMP = b"\xff\x25\x02\0\0\0\0\0"  # to where the second half of the cell says
_UNDEFINED, _RESERVED = 0, 0xFF00
_GLOBAL = 1
_INSTRUCTIONS = mmap.PROT_READ | getattr(mmap, "PROT_EXEC", 0) if sys.platform != "win32" else 0


class _Unknown(Exception):
    """There is something in a file that only LLVM knows what to do with."""


@dataclass(frozen=True, slots=True)
class _Section:
    kind: int
    flags: int
    at: int
    size: int
    link: int
    info: int
    align: int

    @property
    def placed(self) -> bool:
        return bool(self.flags & _ALLOC) and self.kind != _UNWIND


@functools.cache
def possible() -> bool:
    """Whether code can be loaded here at all."""
    here = sys.platform, platform.machine(), sys.implementation.name, _WORD.size
    return here == ("linux", "x86_64", "cpython", ctypes.sizeof(ctypes.c_void_p))


def load(code: bytes, given: Mapping[str, int] = {}) -> Mapping[str, int] | None:
    """The addresses of what object code defines for others; None where LLVM has to load it.

    What it refers to is `given`, or in the process. The code stays for as long as that lives.
    """
    if not possible():
        return None
    try:
        return _placed(code, given)
    except (_Unknown, OSError, struct.error, IndexError, UnicodeDecodeError):
        return None


def instructions(code: bytes) -> int | None:
    """The address of machine code that refers to nothing; None where it cannot be made to run."""
    if not possible():
        return None
    size = -(-len(code) // mmap.PAGESIZE) * mmap.PAGESIZE
    try:
        memory, base = _memory(size)
        memory[: len(code)] = code
        _protect(base, [size])
    except (_Unknown, OSError):
        return None
    return base


def _memory(size: int) -> tuple[mmap.mmap, int]:
    """Memory that nobody ever unmaps: callables outlive what made them, threads may be inside."""
    memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(memory))
    return memory, ctypes.addressof(ctypes.c_char.from_buffer(memory))


def _placed(code: bytes, given: Mapping[str, int]) -> dict[str, int]:
    sections = _sections(code)
    starts, cells, ends = _arranged(sections)
    memory, base = _memory(ends[-1])
    for number, start in starts.items():
        section = sections[number]
        if section.kind == _PROGBITS:
            memory[start : start + section.size] = _content(code, section)
    placed = {n: base + at for n, at in starts.items()}
    addresses, defined = _symbols(code, sections, placed, given)
    for number, address in enumerate(addresses):
        _CELL.pack_into(memory, cells + number * _CELL.size, _JUMP, address or 0)
    for section in sections:
        if section.kind == _RELA and section.info in starts:
            size = sections[section.info].size
            _relocate(code, section, size, memory, base, starts, cells, addresses)
    _protect(base, ends)
    return defined


def _sections(code: bytes) -> list[_Section]:
    head = _FILE.unpack_from(code)
    identity, kind, machine, at, size, count = (
        head[0],
        head[1],
        head[2],
        head[6],
        head[11],
        head[12],
    )
    if not identity.startswith(_IDENTITY) or (kind, machine) != (_RELOCATABLE, _X86_64):
        raise _Unknown
    if size != _SECTION.size:
        raise _Unknown
    found = []
    for number in range(count):
        fields = _SECTION.unpack_from(code, at + number * size)
        _, kind, flags, _, offset, length, link, info, align, _ = fields
        section = _Section(kind, flags, offset, length, link, info, max(align, 1))
        if section.placed and (
            kind not in (_PROGBITS, _NOBITS) or flags & ~_PLAIN or align > mmap.PAGESIZE
        ):
            raise _Unknown
        found.append(section)
    return found


def _content(code: bytes, section: _Section) -> bytes:
    content = code[section.at : section.at + section.size]
    if len(content) != section.size:
        raise _Unknown
    return content


def _arranged(sections: list[_Section]) -> tuple[dict[int, int], int, list[int]]:
    """Where sections lie, and the cells of symbols; and where each kind of them ends.

    Code, with the cells, then constants, then variables: each begins on a page of its own.
    """
    (symbols,) = (section for section in sections if section.kind == _SYMTAB)
    cells = 0
    starts: dict[int, int] = {}
    ends = []
    end = 0
    for flags in (_EXECUTE, 0, _WRITE):
        for number, section in enumerate(sections):
            if section.placed and section.flags & (_EXECUTE | _WRITE) == flags:
                starts[number] = -(-end // section.align) * section.align
                end = starts[number] + section.size
        if flags == _EXECUTE:
            cells = -(-end // _CELL.size) * _CELL.size
            end = cells + symbols.size // _SYMBOL.size * _CELL.size
        end = -(-end // mmap.PAGESIZE) * mmap.PAGESIZE
        ends.append(end)
    if set(starts) != {number for number, section in enumerate(sections) if section.placed}:
        raise _Unknown  # a section is code and variable at once
    return starts, cells, ends


def _symbols(
    code: bytes, sections: list[_Section], placed: Mapping[int, int], given: Mapping[str, int]
) -> tuple[list[int | None], dict[str, int]]:
    """The address of each symbol, None for what has none; and those of what is for others, by name.

    What others define is given, or in the C library's table of what there is in the process.
    """
    (table,) = (section for section in sections if section.kind == _SYMTAB)
    names = _content(code, sections[table.link])
    addresses: list[int | None] = []
    defined = {}
    for name, info, _, section, value, _ in _SYMBOL.iter_unpack(_content(code, table)):
        address = placed[section] + value if section in placed else None
        if section == _UNDEFINED and addresses:
            outside = names[name : names.index(b"\0", name)].decode()
            address = given[outside] if outside in given else _address(outside)
        elif section >= _RESERVED and info & 15 != 4:  # all but the name of the file
            raise _Unknown
        elif address is not None and info >> 4 == _GLOBAL:
            defined[names[name : names.index(b"\0", name)].decode()] = address
        addresses.append(address)
    return addresses, defined


@functools.cache
def _address(name: str) -> int:
    """The address of something that the interpreter or a C library has."""
    try:
        function = getattr(ctypes.pythonapi, name)
    except AttributeError:
        raise _Unknown from None
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _relocate(
    code: bytes,
    table: _Section,
    size: int,
    memory: mmap.mmap,
    base: int,
    starts: Mapping[int, int],
    cells: int,
    addresses: list[int | None],
) -> None:
    """Write the addresses that a section refers to, or how far away they are."""
    start = starts[table.info]
    for at, what, more in _RELOCATION.iter_unpack(_content(code, table)):
        symbol, kind = what >> 32, what & 0xFFFFFFFF
        address = addresses[symbol]
        width = _WORD.size if kind == _WHOLE_ADDRESS else _HALF.size
        if address is None or at + width > size:
            raise _Unknown
        if kind == _WHOLE_ADDRESS:
            _WORD.pack_into(memory, start + at, (address + more) & 0xFFFFFFFFFFFFFFFF)
            continue
        cell = base + cells + symbol * _CELL.size
        if kind in _DISTANCE_OF_ADDRESS:
            address = cell + _WORD.size
        elif kind == _DISTANCE_OF_CALL and not base <= address < base + len(memory):
            address = cell
        elif kind not in (_DISTANCE, _DISTANCE_OF_CALL):
            raise _Unknown
        _HALF.pack_into(memory, start + at, address + more - (base + start + at))


def _protect(base: int, ends: list[int]) -> None:
    """Make code executable and constants readable, and neither writable."""
    start = 0
    for end, rights in zip(ends, (_INSTRUCTIONS, mmap.PROT_READ), strict=False):
        if end > start and _mprotect()(base + start, end - start, rights):
            raise _Unknown
        start = end


@functools.cache
def _mprotect() -> Any:
    found = ctypes.pythonapi.mprotect
    found.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return found
