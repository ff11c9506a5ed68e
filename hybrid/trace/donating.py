"""Whether a call may write results over what they replace: :mod:`hybrid.runtime.donation`."""

from __future__ import annotations

from typing import Any

from hybrid.core.lending import borrow, settle
from hybrid.core.tensor import Tensor
from hybrid.core.variable import Variable


class Loan:
    """What one call lends to its Plan, which calls this just before it overwrites anything.

    Parameters
    ----------
    targets : tuple
        For each donation of the Plan the Variable that gets a new value, or the Tensor or ndarray
        that is written in place; None for what must stay as it is.
    """

    __slots__ = ("begun", "targets")

    def __init__(self, targets: tuple[Any, ...]) -> None:
        self.targets = targets
        self.begun = False

    def __call__(self) -> list[bool]:
        self.begun = True
        return [self._lends(target) for target in self.targets]

    def _lends(self, target: Any) -> bool:
        if type(target) is Variable:
            return borrow(target, self)
        if type(target) is Tensor:
            if target._alias is not None:  # a tape may have saved the contents
                target._alias.storage.before_write()
            target = target._data
        return target is not None and bool(target.flags.writeable)

    def end(self) -> None:
        """Let others read the Variables again."""
        for target in self.targets:
            if type(target) is Variable:
                settle(target, self)
