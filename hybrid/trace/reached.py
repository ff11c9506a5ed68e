"""What a function can reach besides its arguments, once it was looked for."""

from __future__ import annotations

from dataclasses import field
from types import CodeType
from typing import Any

from hybrid.core.tensor import Tensor
from hybrid.records import dataclass
from hybrid.trace import bytecode
from hybrid.trace.environment import Binding, Space
from hybrid.trace.owners import is_package

# What reads memory as it is: of builtins, Python's library, and NumPy.
_READERS = """
    memoryview bytes bytearray hashlib zlib struct array pickle ctypes ascontiguousarray
    asfortranarray asanyarray require frombuffer nditer ndenumerate as_strided broadcast poly1d
    vectorize from_dlpack
"""
_MEMORY_READERS = frozenset(_READERS.split())

Named = tuple[dict[str, Any], str, CodeType]
"""Globals, a built-in function, and the code that names it."""


@dataclass(slots=True)
class Reached:
    """What a function can reach.

    Attributes
    ----------
    bindings : list of Binding
        The names, and the contents of containers and objects, that a trace depends on.
    codes : list of CodeType
        The user's code: of the function and its helpers.
    arrays : list of (str, Tensor or ndarray)
    traced : list of (str, Tensor)
        Tensors of a trace that something outside holds.
    stateful : list of (str, object)
        Iterators and generators of random numbers: reading them changes them.
    names : set of str
        Attributes and globals that the code names.
    builtins : list of (dict, str, code)
        Globals of the user's code, the built-in functions that it names, and the code.
    classes : list of (mappingproxy, type)
        The attributes of the user's classes, which are read-only by themselves, and the classes.
    spaces : list of (str, Space)
        Where code may make new names: globals, modules, classes and functions.
    cached : set of CodeType
        That of functions whose results ``functools.cache`` keeps.
    remembered : set of str
        What these results are called, and what is in them begins with.
    dispatching : list of function
        Those of ``functools.singledispatch``.
    elsewhere : bool
        The code names something of an installed package, other than NumPy and Python's library.
    """

    bindings: list[Binding] = field(default_factory=list)
    codes: list[CodeType] = field(default_factory=list)
    arrays: list[tuple[str, Any]] = field(default_factory=list)
    traced: list[tuple[str, Tensor]] = field(default_factory=list)
    stateful: list[tuple[str, Any]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    builtins: list[Named] = field(default_factory=list)
    classes: list[tuple[Any, type]] = field(default_factory=list)
    spaces: list[tuple[str, Space]] = field(default_factory=list)
    cached: set[CodeType] = field(default_factory=set)
    remembered: set[str] = field(default_factory=set)
    dispatching: list[Any] = field(default_factory=list)
    elsewhere: bool = False

    @property
    def alone(self) -> bool:
        """Whether no installed package may look at the code or its globals, as compilers do."""
        imported = (name for code in self.codes for name in bytecode.imports(code))
        return not self.elsewhere and not any(map(is_package, imported))

    @property
    def reads_memory(self) -> bool:
        """Whether code may read an array in a way that no array can notice: in C."""
        return self.elsewhere or not self.names.isdisjoint(_MEMORY_READERS)
