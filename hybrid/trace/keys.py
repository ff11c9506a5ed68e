"""Keys of calls: cheap to make, and as fine as the signatures of their traces at least."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Mapping
from operator import is_
from typing import Any

import numpy as np

from hybrid.core.making import asarray
from hybrid.core.tensor import Tensor
from hybrid.trace.signature import Identity, Signature, is_array, leaf_key

Parameters = Mapping[str, inspect.Parameter]


def key_without(places: frozenset[int]) -> Callable[[tuple[Any, ...]], Any]:
    """Return :func:`fast_key` without the values of the ints in some places."""
    if not places:
        return fast_key

    def key(args: tuple[Any, ...]) -> Any:
        is_open = [
            i in places and type(x) is int and -(2**63) <= x < 2**63 for i, x in enumerate(args)
        ]
        return fast_key(tuple(int if hide else x for x, hide in zip(args, is_open, strict=True)))

    return key


def fast_key(args: tuple[Any, ...]) -> Any:
    """Return a key that is cheap to make and at least as fine as the signature; None for none."""
    key: list[Any] = []
    for x in args:
        kind = type(x)
        if kind is Tensor:
            data = x._data
            key += (kind, data.dtype, data.shape, data.strides)
            if type(data) is not np.ndarray:
                key.append(data.device)
        elif kind is np.ndarray:
            # The launcher hands the ndarray itself to the kernels, which want it aligned.
            key += (kind, x.dtype, x.shape, x.strides, x.flags.aligned)
        elif kind is float or kind is complex:
            key.append(kind)
        elif x is int:  # for an int of whatever value
            key.append(x)
        elif kind is int or kind is bool or kind is str or x is None:
            key += (kind, x)
        elif kind in _SCALARS:
            key.append(kind)
        elif kind.__hash__ is _BY_IDENTITY:
            # A model, a Variable: its trace, and with it this key, dies with it.
            key += (kind, id(x))
        elif isinstance(x, enum.Enum):  # which lives as long as its class
            key += (kind, id(x))
        elif kind in _CONTAINERS or is_array(x):
            return None
        elif kind.__hash__ is _UNHASHABLE:  # a dataclass
            key += (kind, id(x))
        else:  # one that is frozen
            known = leaf_key(x)
            key += (kind, id(x)) if type(known) is Identity else (known,)
    return tuple(key)


_BY_IDENTITY: Any = object.__hash__
_UNHASHABLE: Any = None
_CONTAINERS = frozenset((list, tuple, dict))  # no leaves
_SCALARS = frozenset(np.dtype(char).type for char in "?bhilqBHILQefdFD")  # NumPy's, by dtype


class Seen:
    """Stands for the dtypes, shapes and strides of some arrays; it is found by its identity.

    Attributes
    ----------
    times : int
        How often they have been compared in Python.
    alike : callable
        Tells in native code whether arrays are such, once that is worth it.
    """

    __slots__ = ("alike", "times")

    def __init__(self) -> None:
        self.times = 0
        self.alike: Callable[..., int] = _differ

    def again(self, arrays: tuple[Any, ...]) -> None:
        """Count one more; the first ones are not worth what native code takes to be made."""
        self.times += 1
        if self.times == WORTH_COMPARING:
            from hybrid.kernels.alike import alike

            self.alike = alike(arrays)


def _differ(*arrays: Any) -> int:
    return 0


WORTH_COMPARING = 32
_KEPT = 256  # at most, of the kinds of arguments of one function


def key_of_tensors(count: int) -> Callable[[tuple[Any, ...]], Any]:
    """Return :func:`fast_key` with a shorter key for that many arguments, all of them Tensors."""
    names = [f"x{i}" for i in range(count)]
    arrays = ", ".join(names)
    fields = ", ".join(f"{x}.dtype, {x}.shape, {x}.strides" for x in names)
    lines = ["latest = Seen()", "def key(args):", "    global latest"]
    lines += [f"    if len(args) == {count}:", f"        {arrays}, = args"]
    lines += [f"        if {' is '.join(f'type({x})' for x in names)} is Tensor:"]
    lines += [f"            {x} = {x}._data" for x in names]
    # A local name: another thread may put something else there.
    lines += ["            found = latest", f"            if found.alike({arrays}): return found"]
    lines += [f"            if {' is '.join(f'type({x})' for x in names)} is ndarray:"]
    lines += [f"                fields = ({fields})", "                found = seen.get(fields)"]
    lines += ["                if found is None:"]
    lines += [f"                    if len(seen) >= {_KEPT}: seen.clear()"]
    lines += ["                    found = seen.setdefault(fields, Seen())"]
    lines += [f"                found.again(({arrays},))", "                latest = found"]
    lines += ["                return found", "    return fast_key(args)"]
    scope: dict[str, Any] = {"Tensor": Tensor, "ndarray": np.ndarray, "fast_key": fast_key}
    scope |= {"Seen": Seen, "seen": {}}
    exec("\n".join(lines), scope)
    found: Callable[[tuple[Any, ...]], Any] = scope["key"]
    return found


def is_flat(
    signature: Signature, leaves: list[Any], args: tuple[Any, ...], parameters: Parameters
) -> bool:
    """Tell whether the leaves are the arguments as given, in order, and then default values.

    The one container that may hold some of them is the tuple of a parameter like ``*args``. An
    ndarray that has to be converted (misaligned, byte-swapped) is not taken as given.
    """
    gathering = sum(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters.values())
    given = len(args) <= len(leaves) and all(map(is_, leaves, args))
    if any(type(x) is np.ndarray and asarray(x)._data is not x for x in leaves):
        return False
    return bool(signature.tree.num_nodes == len(leaves) + 1 + gathering and given)
