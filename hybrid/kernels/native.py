"""Object code becomes a Python callable.

Code that Python calls has the signature of CPython's METH_FASTCALL. That of kernels is one for all
(:mod:`hybrid.kernels.entry`), and their own code nothing but phases. Loading needs neither numba
nor its dispatcher, and on Linux not LLVM either: a process that finds all its kernels on disk never
imports numba, nor llvmlite.

Every object is loaded by itself, so that no two kernels can ever share a symbol (functions of one
name in one engine of LLVM's can call each other's body, numba issue 10486).
"""

from __future__ import annotations

import ctypes
import inspect
import platform
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hybrid.kernels import elf, processor

_METH_FASTCALL = 0x0080
_METH_KEYWORDS = 0x0002
_METH_O = 0x0008


class _MethodDef(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


# Method tables live as long as the process: a callable may outlive any cache.
_alive: list[object] = []


def converts_half() -> bool:
    """Whether this processor converts float16; without, there is no code to link it with."""
    on_x86 = platform.machine().lower() in ("x86_64", "amd64", "x86", "i386", "i686")
    return not on_x86 or "f16c" in processor.features()


def load_object(code: bytes, given: Mapping[str, int] = {}) -> Callable[[str], int]:
    """Load object code; what gives the address of a symbol in it.

    It may refer to symbols that are given.
    """
    found = elf.load(code, given)
    if found is not None:
        return found.__getitem__
    from hybrid.kernels import engine

    return engine.load_object(code, given)


def keep(*objects: object) -> None:
    """Keep what code refers to by its address."""
    _alive.extend(objects)


def python_callable(address: int, name: str) -> Callable[..., None]:
    """The code at ``address`` as a built-in function whose ``self`` is the ndarray type.

    It checks its arguments against that: a pointer inside the object code would be stale in the
    next process.
    """
    return function_of(address, name, np.ndarray)


def function_of(address: int, name: str, known: object) -> Callable[..., None]:
    """The code at ``address`` as a built-in function whose ``self`` is something known."""
    definition, create = method(address, name)
    function: Callable[..., None] = create(ctypes.addressof(definition), known, None)
    return function


def method(address: int, name: str) -> tuple[_MethodDef, Callable[[int, Any, Any], Any]]:
    """A method table, which is never freed, and what makes functions of its address.

    These are given ``self`` and something that they keep alive.
    """
    definition = _MethodDef(name.encode(), address, _METH_FASTCALL, None)
    _alive.append(definition)
    create = ctypes.pythonapi.PyCFunction_NewEx
    create.restype = ctypes.py_object
    create.argtypes = (ctypes.c_void_p, ctypes.py_object, ctypes.py_object)
    return definition, create


def method_of(
    kind: type, address: int, name: str, like: Callable[..., Any], *, keywords: bool = False
) -> Any:
    """A method of a class: what is set as its attribute, and is given the instance as ``self``.

    ``help`` shows of it what it shows of the Python function that it is `like`. With `keywords`
    the code takes their names as a fourth argument: a tuple, or null.
    """
    definition, _ = method(address, name)
    definition.doc = _documentation(name, like, keywords).encode()
    definition.flags |= _METH_KEYWORDS if keywords else 0
    describe = ctypes.pythonapi.PyDescr_NewMethod
    describe.restype = ctypes.py_object
    describe.argtypes = (ctypes.py_object, ctypes.c_void_p)
    return describe(kind, ctypes.addressof(definition))


def method_of_one(kind: type, address: int, name: str, like: Callable[..., Any]) -> Any:
    """A method of one argument, with which its code is called, of a class."""
    definition, _ = method(address, name)
    definition.doc = _documentation(name, like, keywords=False).encode()
    definition.flags = _METH_O
    describe = ctypes.pythonapi.PyDescr_NewMethod
    describe.restype = ctypes.py_object
    describe.argtypes = (ctypes.py_object, ctypes.c_void_p)
    return describe(kind, ctypes.addressof(definition))


class _GetSetDef(ctypes.Structure):
    """CPython's PyGetSetDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("get", ctypes.c_void_p),
        ("set", ctypes.c_void_p),
        ("doc", ctypes.c_char_p),
        ("closure", ctypes.c_void_p),
    )


def getter_of(kind: type, address: int, name: str, like: Callable[..., Any]) -> Any:
    """A property of a class that is only read: what is set as its attribute."""
    text = inspect.cleandoc(like.__doc__ or "").encode()
    definition = _GetSetDef(name.encode(), address, None, text, None)
    _alive.append(definition)
    describe = ctypes.pythonapi.PyDescr_NewGetSet
    describe.restype = ctypes.py_object
    describe.argtypes = (ctypes.py_object, ctypes.c_void_p)
    return describe(kind, ctypes.addressof(definition))


class _WrapperBase(ctypes.Structure):
    """CPython's struct wrapperbase: what it knows of a slot."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("offset", ctypes.c_int),
        ("function", ctypes.c_void_p),
        ("wrapper", ctypes.c_void_p),
        ("doc", ctypes.c_char_p),
        ("flags", ctypes.c_int),
        ("name_object", ctypes.py_object),
    )


# In a wrapper descriptor: the header, d_type, d_name and d_qualname come before it.
_BASE_OF_WRAPPER = object.__basicsize__ + 3 * ctypes.sizeof(ctypes.c_void_p)


def slot_of(kind: type, address: int, name: str, like: Callable[..., Any]) -> Any:
    """An operator of a class: what is set as its attribute, so that Python calls the code itself.

    To an attribute that is a function, of whatever kind, Python goes by way of a look-up in the
    class. ``ndarray`` has all operators; theirs tell what Python knows of the slot.
    """
    known = ctypes.c_void_p.from_address(id(np.ndarray.__dict__[name]) + _BASE_OF_WRAPPER).value
    base = _WrapperBase.from_buffer_copy(_WrapperBase.from_address(known or 0))
    if base.name_object != name:
        raise RuntimeError("the interpreter lays its slots out in another way")
    base.doc = _documentation(name, like, keywords=False).encode()
    _alive.append(base)
    describe = ctypes.pythonapi.PyDescr_NewWrapper
    describe.restype = ctypes.py_object
    describe.argtypes = (ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p)
    return describe(kind, ctypes.addressof(base), address)


def _documentation(name: str, like: Callable[..., Any], keywords: bool) -> str:
    """What a method table has for documentation: the signature as text, and the docstring."""
    parameters = [
        p.replace(
            annotation=p.empty,
            kind=p.kind if keywords or p.kind is not p.POSITIONAL_OR_KEYWORD else p.POSITIONAL_ONLY,
        )
        for p in inspect.signature(like).parameters.values()
    ]
    signature = str(inspect.Signature(parameters)).replace("(", "($", 1)
    return f"{name}{signature}\n--\n\n{inspect.cleandoc(like.__doc__ or '')}"
