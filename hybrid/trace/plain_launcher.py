"""The short way to calls that run eagerly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hybrid.core import containers
from hybrid.core.making import asarray
from hybrid.core.tensor import Tensor
from hybrid.trace.concrete import ConcreteFunction
from hybrid.trace.launcher import CLEAR, Launcher
from hybrid.trace.signature import is_numpys
from hybrid.trace.unchanged import unbound


class PlainLauncher(Launcher):
    """The short way to a call that runs eagerly, for arguments that were seen before.

    It stands among the launchers of traces, and is found by the same keys: nothing has to be bound,
    flattened and described again to learn that the function is called as it is.

    Parameters
    ----------
    function : callable
    concrete : ConcreteFunction
        What says that it runs eagerly.
    args : tuple
        Arguments like those of the calls that it answers; none of them is a container.
    """

    __slots__ = ()

    def __init__(
        self, function: Callable[..., Any], concrete: ConcreteFunction, args: tuple[Any, ...]
    ) -> None:
        self.concrete = concrete
        self.following = self.direct = self.template = None
        self.tickets = {}
        self.times = 0
        self.valid = unbound  # eager code asks for each name outside
        self.clear = CLEAR
        self.apart = []
        self.simple = False
        places = [i for i, x in enumerate(args) if is_numpys(x)]
        self.run = _around(function, places)


def _around(function: Callable[..., Any], places: list[int]) -> Callable[[tuple[Any, ...]], Any]:
    """Return a function of arguments of which those at some places are NumPy's."""

    def run(args: tuple[Any, ...]) -> Any:
        given = list(args)
        for i in places:
            given[i] = asarray(args[i])
        returned = function(*given)
        original = {id(given[i]): args[i] for i in places}
        if type(returned) is Tensor:
            return original.get(id(returned), returned)
        if any(id(x) in original for x in containers.leaves_of(returned)):
            return containers.map_items(lambda x: original.get(id(x), x), returned, ())
        return returned

    return run if places else lambda args: function(*args)
