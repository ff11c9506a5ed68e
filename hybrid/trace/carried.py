"""Numbers outside that a function sets (``self.t += 1`` in a step), or its callers again and again.

No graph reads or sets an attribute. So such numbers are handed to the function as arguments ahead
of its own, and back beside its result: around the call they are read and set, in it they are what
an int or float argument is. What a trace depends on outside is all but them.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Sequence
from types import CellType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any, Literal

from hybrid.core import dispatch
from hybrid.core.number import Number
from hybrid.core.unknown import Unknown, settled
from hybrid.records import dataclass
from hybrid.trace.environment import MISSING, Binding, same_value
from hybrid.trace.growth import Changes
from hybrid.trace.signature import signature_of

_PLAIN = tuple([x.__setattr__ for x in (object, ModuleType, SimpleNamespace)])

Holder = Any
"""A dict, of globals, of attributes or any other, or a cell."""

Step = tuple[Literal["attribute", "item"], Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a number is.

    Attributes
    ----------
    name : str
        As a person would write it.
    root : str
        The name that the function has for what leads there.
    path : tuple of Step
        The attributes and items from there to the object whose attribute, or item, it is.
    key : object
        In the dict that holds it; None in a cell.
    kind : {"attribute", "item", "global", "cell"}
    """

    name: str
    root: str
    path: tuple[Step, ...]
    key: Any
    kind: str


def places_of(
    function: Callable[..., Any], binding: Binding, arguments: inspect.BoundArguments
) -> tuple[list[Place], list[Binding]]:
    """Return where the numbers are of which a binding shows other ones, and what else it shows.

    Parameters
    ----------
    function : callable
        That was traced.
    binding : Binding
        As it was before.
    arguments : BoundArguments
        Of the call.
    """
    holder, name = binding.holder, binding.name
    apart = [binding]
    if type(holder) is CellType:
        places: list[Place | None] = [Place(name, name, (), None, "cell")]
    elif type(holder) is not dict:
        return [], [binding]
    elif binding.key is not None:
        places = [_named(name, binding.key)]
    else:
        before = _changed(binding)
        if not before or not all(isinstance(key, str) for key in holder):
            return [], [binding]
        whole = name.removesuffix("[...]")
        spell = "{}[{!r}]".format if whole != name else lambda text, key: f"{text[:-1]}{key}"
        apart = [Binding(spell(whole, key), holder, key, x) for key, x in before.items()]
        places = [_named(x.name, key) for x, key in zip(apart, before, strict=True)]
    numbers, others = [], []
    for place, one in zip(places, apart, strict=True):
        if place is None:
            others.append(one)
            continue
        now = read(holder, place.key)
        plain = is_number(one.value) and (is_number(now) or type(now) in (Number, Unknown))
        if plain and find(place, function, arguments.arguments) is holder:
            numbers.append(place)
        else:
            others.append(one)
    return numbers, others


def _named(name: str, key: str) -> Place | None:
    """Return the place of ``n``, ``self.inner.n`` or ``self.layers['in']['n']``; None of others."""
    steps: list[Step] = []
    try:
        node = ast.parse(name, mode="eval").body
        while not isinstance(node, ast.Name):
            if isinstance(node, ast.Attribute):
                steps.append(("attribute", node.attr))
            elif isinstance(node, ast.Subscript):
                steps.append(("item", ast.literal_eval(node.slice)))
            else:
                return None
            node = node.value
    except (SyntaxError, ValueError):
        return None
    if not steps:
        return Place(name, name, (), key, "global")
    (kind, _), *path = steps
    return Place(name, node.id, (*reversed(path),), key, kind)


def _changed(binding: Binding) -> dict[Any, Any]:
    """Return the items that a dict had and has no more, as they were; none where keys changed."""
    before, now = (dict(zip(*_halves(x), strict=True)) for x in (binding.value, binding.read()))
    if before.keys() != now.keys():
        return {}
    return {k: x for k, x in before.items() if now[k] is not x and not same_value(now[k], x)}


def _halves(found: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    middle = len(found) // 2
    return found[:middle], found[middle:]


def is_number(x: Any) -> bool:
    """Tell whether something is an int that an argument may be, or a float."""
    return type(x) is float or (type(x) is int and -(2**63) <= x < 2**63)


def find(place: Place, function: Callable[..., Any], arguments: dict[str, Any]) -> Holder:
    """Return what holds a number in a call; None where that is not to be found.

    Parameters
    ----------
    place : Place
    function : callable
    arguments : dict
        By the names of the parameters.
    """
    inner: Any = function.__func__ if isinstance(function, MethodType) else function
    if not isinstance(inner, FunctionType):
        return None
    if place.kind == "global":
        return inner.__globals__
    free = dict(zip(inner.__code__.co_freevars, inner.__closure__ or (), strict=True))
    if place.kind == "cell":
        return free.get(place.root)
    found = arguments.get(place.root, MISSING)
    if found is MISSING and isinstance(function, MethodType) and place.root == "self":
        found = function.__self__
    if found is MISSING and place.root in free:
        found = _content(free[place.root])
    if found is MISSING:
        found = inner.__globals__.get(place.root, MISSING)
    if type(found).__module__.startswith("hybrid."):
        found = getattr(found, "__wrapped__", found)  # of a compiled function
    if isinstance(found, MethodType):
        found = found.__self__
    for way, name in place.path:
        held = getattr(found, "__dict__", None) if way == "attribute" else found
        found = held.get(name, MISSING) if isinstance(held, dict) else MISSING
    if place.kind == "item":
        return found if type(found) is dict else None
    # A class may do more where an attribute is set.
    plain = getattr(type(found), "__setattr__") in _PLAIN  # noqa: B009
    fields = getattr(found, "__dict__", None) if plain else None
    return fields if type(fields) is dict else None


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def read(holder: Holder, key: Any) -> Any:
    """Return what is held, `MISSING` where nothing is."""
    if type(holder) is CellType:
        return _content(holder)
    return holder.get(key, MISSING) if type(holder) is dict else MISSING


def put(holder: Holder, key: Any, value: Any) -> None:
    """Let it be held."""
    if type(holder) is CellType:
        holder.cell_contents = value
    elif value is MISSING:
        holder.pop(key, None)
    else:
        holder[key] = value


def only_numbers(
    function: Callable[..., Any], changes: Changes, arguments: inspect.BoundArguments
) -> tuple[list[Place], Changes]:
    """Return where numbers were set outside, and what else is another than before.

    Parameters
    ----------
    function : callable
        That was traced.
    changes : Changes
    arguments : BoundArguments
        Of the call.
    """
    found: list[Place] = []
    others: list[Binding] = []
    for binding in changes.replaced:
        numbers, rest = places_of(function, binding, arguments)
        found += numbers
        others += rest
    return found, Changes(changes.made, tuple(others))


class Moved:
    """The numbers that callers have changed outside between calls, which a trace has as constants.

    One that is set once, as a setting is, stays a constant; at the second change it is handed in.
    """

    def __init__(self) -> None:
        self._noted: dict[str, Place] = {}

    def again(
        self,
        function: Callable[..., Any],
        changed: Sequence[Binding],
        arguments: inspect.BoundArguments,
    ) -> list[Place]:
        """Return where numbers have changed, once one has for the second time.

        Parameters
        ----------
        function : callable
            That was traced.
        changed : sequence of Binding
            What the trace depends on, and is another thing now.
        arguments : BoundArguments
            Of the call.
        """
        if not changed:
            return []
        places, _ = only_numbers(function, Changes((), tuple(changed)), arguments)
        twice = any(place.name in self._noted for place in places)
        self._noted |= {place.name: place for place in places}
        return [*self._noted.values()] if twice else []  # those that change in turn as well


class Carrying:
    """A function with numbers ahead of its arguments, and beside its result.

    Parameters
    ----------
    function : callable
    places : sequence of Place
        Where the numbers are outside.

    Attributes
    ----------
    fixed : list
        What holds each in every call; None where that may be another object.
    """

    def __init__(self, function: Callable[..., Any], places: Sequence[Place]) -> None:
        self.function = function
        self.places = tuple(places)
        own = signature_of(function)
        self.signature = _with_numbers(own, self.places)
        roots = {place.root for place in self.places}
        self.fixed = [self._always(place) for place in self.places]
        self._asked = {name: i for i, name in enumerate(own.parameters) if name in roots}

    def _always(self, place: Place) -> Holder:
        """Return what holds a number in every call, None where that may be another one."""
        own = isinstance(self.function, MethodType) and place.root == "self" and not place.path
        if place.kind in ("global", "cell") or (own and place.kind == "attribute"):
            return find(place, self.function, {})
        return None

    def holders(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Holder]:
        """Return what holds the numbers in a call with these arguments of the function itself."""
        arguments = {k: args[i] for k, i in self._asked.items() if i < len(args)}
        arguments |= {k: kwargs[k] for k in self._asked.keys() & kwargs.keys()}
        pairs = zip(self.places, self.fixed, strict=True)
        return [find(x, self.function, arguments) if h is None else h for x, h in pairs]

    def of_call(self, bound: inspect.BoundArguments) -> list[tuple[Holder, Any]]:
        """Return the holders and keys in a call with the numbers ahead."""
        args = bound.args[len(self.places) :]
        holders = self.holders(args, bound.kwargs)
        return [(h, x.key) for h, x in zip(holders, self.places, strict=True)]

    def run(
        self, function: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> tuple[Any, tuple[Any, ...]]:
        """Call the function with the numbers where it looks for them; return what it made of them.

        Where it raises, those that it has set stay so.
        """
        count = len(self.places)
        given, args = args[:count], args[count:]
        found = list(zip(self.holders(args, kwargs), self.places, given, strict=True))
        before = [read(holder, place.key) for holder, place, _ in found]
        for holder, place, number in found:
            put(holder, place.key, number)
        try:
            result = function(*args, **kwargs)
        except BaseException:
            for (holder, place, number), old in zip(found, before, strict=True):
                if read(holder, place.key) is number:
                    put(holder, place.key, old)
            raise
        after = tuple([read(holder, place.key) for holder, place, _ in found])
        for (holder, place, _), number in zip(found, before, strict=True):
            put(holder, place.key, number)
        return result, after

    def give_back(self, call: inspect.BoundArguments) -> None:
        """Let the numbers be what they were before a call, which is made once more."""
        for (holder, key), number in zip(self.of_call(call), call.args, strict=False):
            put(holder, key, number)


def settle(found: Iterable[tuple[Holder, Any]]) -> None:
    """Let numbers be Python's own again, once the trace has ended."""
    for holder, key in found:
        now = read(holder, key)
        if type(now) in (Number, Unknown):
            put(holder, key, settled(dispatch.after_trace(now)))


def _with_numbers(own: inspect.Signature, places: Sequence[Place]) -> inspect.Signature:
    names: list[str] = []
    for place in places:
        name = "".join(x if x.isalnum() else "_" for x in place.name)
        while name in names or name in own.parameters:
            name += "_"
        names.append(name)
    kind = inspect.Parameter.POSITIONAL_ONLY
    ahead = [inspect.Parameter(name, kind) for name in names]
    return inspect.Signature([*ahead, *own.parameters.values()])
