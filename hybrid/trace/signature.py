"""Signature: the cache key of a call, and the words for how two of them differ."""

from __future__ import annotations

import enum
import functools
import inspect
import operator
from collections.abc import Callable, Sequence
from types import FunctionType, MethodType
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core import containers
from hybrid.core.devices import CPU
from hybrid.core.making import asarray
from hybrid.core.operands import PYTHON_SCALARS
from hybrid.core.spec import TensorSpec, weak_scalar
from hybrid.core.state import USUAL, Defaults, state
from hybrid.core.tensor import Tensor
from hybrid.core.variable import Variable
from hybrid.records import dataclass
from hybrid.trace.environment import same_value
from hybrid.trace.holders import slots_of
from hybrid.trace.mutation import Groups, same_containers
from hybrid.trace.owners import users_own
from hybrid.trace.sharing import identical


@dataclass(frozen=True, slots=True)
class Identity:
    """A leaf that the key knows by identity only: a module, `self`, a Variable."""

    number: int
    kind: str

    def __str__(self) -> str:
        return f"<{self.kind}>"


class Fields:
    """The attributes of an object, as they were: what its own ``==`` may not look at."""

    __slots__ = ("_values",)

    def __init__(self, values: tuple[Any, ...]) -> None:
        self._values = values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fields) and same_value(self._values, other._values)

    def __hash__(self) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class Literal:
    """A leaf that is part of the key by type and value: 1, 1.0 and True are three."""

    kind: type
    value: Any
    fields: Fields | None = None

    def __str__(self) -> str:
        return repr(self.value)


@dataclass(frozen=True, slots=True)
class Signature:
    """Container structure and what each leaf contributes; hashable.

    Attributes
    ----------
    tree : PyTreeSpec
        How the arguments nest.
    leaves : tuple
        A TensorSpec, Literal or Identity for each leaf.
    aliases : tuple of tuple of int
        Groups of leaves that are the same array.
    names : tuple of str
        How the user would write each leaf: ``x``, ``batch['image']``.
    same : tuple of tuple of int
        Groups of containers that are one object, by the order of `given_containers`.
    defaults : Defaults
        What held where nothing was said.
    device : str
        Where Tensors were made.
    """

    tree: Any
    leaves: tuple[TensorSpec | Literal | Identity, ...]
    aliases: tuple[tuple[int, ...], ...] = ()
    names: tuple[str, ...] = ()
    same: Groups = ()
    defaults: Defaults = USUAL
    device: str = CPU

    def __hash__(self) -> int:
        return hash((self.tree, self.leaves, self.aliases))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Signature) and self._key == other._key

    @property
    def _key(self) -> tuple[Any, ...]:
        return self.tree, self.leaves, self.aliases, self.same, self.defaults, self.device

    def __str__(self) -> str:
        pairs = zip(self.names, self.leaves, strict=True)
        return "(" + ", ".join(f"{name}: {leaf}" for name, leaf in pairs) + ")"


Leaf = Any

# Classes of the user's that derive from them have more to them than a value.
_NUMBERS = frozenset((float, complex))


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Return the parameters of a function; builtins bind their arguments by themselves."""
    bare = _bare(function)
    return inspect.signature(_anything if bare is None else bare)


def _bare(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """Return what takes the arguments that calls of a function take, None where C code takes them.

    A decorator often says by `functools.wraps` that its function has the parameters of another one,
    and takes fewer, or more.
    """
    if isinstance(function, FunctionType):
        own = FunctionType(
            function.__code__, {}, argdefs=function.__defaults__, closure=function.__closure__
        )
        own.__kwdefaults__ = function.__kwdefaults__
        return own
    if isinstance(function, functools.partial):
        bare = _bare(function.func)
        return bare and functools.partial(bare, *function.args, **function.keywords)
    if isinstance(function, MethodType):
        bare = _bare(function.__func__)
        return bare and MethodType(bare, function.__self__)
    call = getattr(type(function), "__call__", None)  # noqa: B004
    return _bare(MethodType(call, function)) if isinstance(call, FunctionType) else None


def _anything(*args: Any, **kwargs: Any) -> None: ...


def by_place(
    function: Callable[..., Any], signature: inspect.Signature, count: int, names: Sequence[str]
) -> Callable[[Sequence[Any]], tuple[Any, ...]] | None:
    """Return what puts arguments, of which the last ones are given by name, in their places.

    None where one cannot be given by place, behind so many others, or one would be left out before
    it, and where a function does not say itself what it takes.
    """
    if type(function) is not FunctionType:
        return None
    parameters = list(signature.parameters.values())[count : count + len(names)]
    found = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    if {*found} != {*names}:
        return None
    places = [*range(count), *(count + names.index(name) for name in found)]
    return operator.itemgetter(*places) if len(places) > 1 else tuple


def defaults_of(function: Callable[..., Any]) -> tuple[int, int]:
    """Return what tells whether the default values of a function were replaced."""
    return id(getattr(function, "__defaults__", None)), id(
        getattr(function, "__kwdefaults__", None)
    )


def flatten(arguments: dict[str, Any]) -> tuple[list[Leaf], Any, Callable[[], tuple[str, ...]]]:
    """Flatten bound arguments; None is a leaf, so that it is part of the key."""
    # As a tuple: the leaves of a dict come sorted by key, those of a call in order.
    values = tuple(arguments.values())
    leaves, tree = containers.flatten(values)

    def names() -> tuple[str, ...]:
        keys = tuple(arguments)
        return tuple(_spell(keys[i], rest) for i, *rest in containers.paths(values))

    return leaves, tree, names


def _spell(argument: str, path: list[Any]) -> str:
    return argument + "".join(f"[{part!r}]" for part in path)


def describe(
    leaves: list[Leaf], tree: Any, names: tuple[str, ...], arguments: Sequence[Any]
) -> Signature:
    """Return the signature of `arguments`, which are flattened to `leaves` and `tree`."""
    keys = tuple(map(leaf_key, leaves))
    nested = tree.num_nodes > len(leaves) + 2  # more than one container
    same = same_containers(arguments) if nested else ()
    return Signature(tree, keys, identical(leaves), names, same, state.defaults, state.device)


def leaf_key(leaf: Leaf) -> TensorSpec | Literal | Identity:
    """Return what one leaf contributes to the key."""
    if isinstance(leaf, Tensor):
        return leaf.spec
    if is_numpys(leaf) or is_dlpack(leaf):
        return asarray(leaf).spec
    if type(leaf) in _NUMBERS:
        return weak_scalar(leaf)
    if not isinstance(leaf, Variable):
        try:
            hash(leaf)
        except (TypeError, ValueError):  # ValueError says a memoryview that may be written
            pass
        else:
            if isinstance(leaf, PYTHON_SCALARS) or not _by_identity(leaf):
                return Literal(type(leaf), leaf, _fields(leaf))
    return Identity(id(leaf), type(leaf).__name__)


def _fields(leaf: Any) -> Fields | None:
    kind = type(leaf)
    if isinstance(leaf, type | enum.Enum) or not users_own(kind.__module__):
        return None
    own = getattr(leaf, "__dict__", {})
    return Fields((*own, *own.values(), *slots_of(leaf)))


def _by_identity(leaf: Any) -> bool:
    by_identity: Any = object.__hash__
    return type(leaf).__hash__ is by_identity and not isinstance(leaf, type)


def is_numpys(leaf: Leaf) -> bool:
    """Tell whether a leaf is an array or a number of NumPy's; its texts and dates are values."""
    if isinstance(leaf, np.generic):
        return leaf.dtype in dtypes.SUPPORTED
    return isinstance(leaf, np.ndarray)


def is_dlpack(leaf: Any) -> bool:
    """Tell whether `leaf` is an array of another library."""
    return hasattr(type(leaf), "__dlpack__") and not isinstance(leaf, Tensor | np.ndarray)


def is_array(leaf: Leaf) -> bool:
    """Tell whether a leaf becomes an input of the graph."""
    if isinstance(leaf, Tensor) or is_numpys(leaf) or is_dlpack(leaf):
        return True
    return type(leaf) in _NUMBERS


def array_text(leaf: Leaf, name: str) -> str:
    """Write what kernels take of an argument like `leaf`; ``array`` is ``np.asarray``."""
    if type(leaf) is Tensor:
        return f"{name}._data"
    return f"array({name})" if isinstance(leaf, np.generic) else name


# --- words ----------------------------------------------------------------------------------------


def difference(new: Signature, old: Signature) -> list[str]:
    """Say in words how two signatures of one function differ."""
    if new.tree != old.tree:
        before, now = str(old), str(new)
        if before == now:  # a list where a tuple was: the names of the leaves are the same
            before, now = _containers(old.tree), _containers(new.tree)
        return [f"the arguments nest differently: {before} before, {now} now"]
    words = [
        _leaf_difference(name, before, now)
        for name, before, now in zip(new.names, old.leaves, new.leaves, strict=True)
        if before != now
    ]
    if new.aliases != old.aliases:
        words.append("other arguments are the same array")
    if new.same != old.same:
        words.append("other arguments are the same container")
    if new.defaults != old.defaults:
        words.append(f"default dtype {old.defaults.floats} -> {new.defaults.floats}")
    if new.device != old.device:
        words.append(f"Tensors were made on {old.device}, and are on {new.device} now")
    return words


def _leaf_difference(name: str, before: Any, now: Any) -> str:
    numbers = [isinstance(spec, TensorSpec) and spec.weak for spec in (before, now)]
    if isinstance(before, TensorSpec) and isinstance(now, TensorSpec) and not any(numbers):
        parts = [
            f"{what} {getattr(before, field)} -> {getattr(now, field)}"
            for what, field in (("shape", "shape"), ("dtype", "dtype"), ("device", "device"))
            if getattr(before, field) != getattr(now, field)
        ]
        return f"{name}: " + ", ".join(parts)
    if isinstance(before, Literal) and isinstance(now, Literal):
        return f"{name}: value {before} -> {now}"
    if isinstance(before, Identity) and isinstance(now, Identity):
        return f"{name}: another {now.kind} object"
    return f"{name}: {before} -> {now}"


def _containers(tree: Any) -> str:
    """Write how arguments nest, with a star for each leaf: ``([*, *], *)``."""
    return str(tree).removeprefix("PyTreeSpec(").partition(", NoneIsLeaf")[0]
