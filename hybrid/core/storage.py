"""Storage: the memory behind a Tensor and its views, and how a view finds its value again.

A Tensor that was never viewed and whose contents no tape saved has no Storage: it is alone with its
memory. The first view (or the first save) makes one. A write through any alias then goes to the
Storage and raises its version; aliases whose version lags replay their chain of view ops on the
current contents when they are next read. In a trace the contents are an SSA value; in eager code
they are an ndarray, which views share anyway, and only the tape's record is replayed.
"""

from __future__ import annotations

import weakref
from typing import Any, cast

import numpy as np

from hybrid.core.layout import Layout
from hybrid.core.op import Attrs, Op
from hybrid.core.places import DeviceArray

Chain = tuple[tuple[Op, Attrs], ...]
_new = object.__new__  # what a tape saves is made field by field: constructors take twice as long
_ref = weakref.ref


class Snapshot:
    """The contents of a Storage at one version, as a tape saved them.

    `data` is what the Storage holds, `array` a copy that it handed over when these contents were
    about to be overwritten; None until then.
    """

    __slots__ = ("__weakref__", "array", "data")

    data: Any
    array: np.ndarray[Any, Any] | DeviceArray | None

    @property
    def contents(self) -> Any:
        """The contents, whatever was written since."""
        return self.data if self.array is None else self.array

    def alias(self, node: Any, chain: Chain) -> Alias:
        """Return the alias of a Tensor that shows these contents, or a part, again.

        What is saved of it is this snapshot, which a write through any other alias reaches.
        """
        storage = Storage(self.data, None if chain else node)
        storage._snapshot = weakref.ref(self)
        return Alias(storage, 0, chain)


SAVED = Snapshot()
"""The link of a Tensor alone with its memory whose array nodes of a tape hold as it is.

They find what was in it, once it is about to be overwritten, at the node of the Tensor.
"""
SAVED.data = SAVED.array = None


class Storage:
    """The contents that several aliases share: the base data, its tape node and a version.

    `keeper` is the node that is to be given the contents before they are first overwritten, where
    the Tensor that was alone with them was :data:`SAVED`.

    `watched` holds the views that a tape watches though the base knows nothing of them; the next
    write makes it known (most views are never written, and the base may be a whole data set).

    `order` is what a trace knows of how the memory would lie in eager code, if not in C order.
    """

    __slots__ = ("_snapshot", "base", "keeper", "node", "order", "version", "watched")

    is_array = False

    def __init__(self, base: Any, node: Any) -> None:
        self.base = base
        self.node = node
        self.version = 0
        self.watched: tuple[weakref.ref[Any], ...] = ()
        self.keeper: Any = None
        self.order: Any = None
        self._snapshot: weakref.ref[Snapshot] | None = None

    def snapshot(self) -> Snapshot:
        """Return the token of the present contents; whoever holds it keeps them readable."""
        found = None if self._snapshot is None else self._snapshot()
        if found is None:
            found = _new(Snapshot)
            found.data = self.base
            found.array = None
            self._snapshot = _ref(found)
        return found

    def before_write(self) -> None:
        """Hand the contents to those who saved them; nobody else pays for the copy."""
        found = self._snapshot() if self._snapshot is not None else None
        if found is not None and isinstance(self.base, np.ndarray | DeviceArray):
            found.array = self.base.copy()
        self._snapshot = None
        if self.keeper is not None:
            self.keeper.keep(self.base.copy() if found is None else found.contents)
            self.keeper = None


class Cell(Storage):
    """The contents of an array without axes, which `hybrid.core.scalars` tells from a scalar."""

    __slots__ = ()

    is_array = True


class Alias:
    """How a Tensor hangs on a Storage: the view ops from the base, and the version last seen.

    Most views are read and dropped, so that their chain is only worked out when it is asked for:
    from that of the view they were made of, its `parent`, and `later`, a function and its arguments
    that give the view ops from there. A parent whose alias nobody has asked for yet is what to make
    one of.
    """

    __slots__ = ("_chain", "_later", "_parent", "storage", "version")

    def __init__(
        self,
        storage: Storage,
        version: int,
        chain: Chain | None,
        parent: Alias | tuple[Any, ...] | None = None,
        *later: Any,
    ) -> None:
        self.storage = storage
        self._chain = chain
        self.version = version
        self._parent = parent
        self._later = later

    @property
    def chain(self) -> Chain:
        """The view ops from the base to the Tensor."""
        if self._chain is None:
            waiting, alias = [], self
            while alias._chain is None:
                waiting.append(alias)
                parent = alias._parent
                assert parent is not None
                alias = Alias(*parent) if type(parent) is tuple else cast(Alias, parent)
            steps = list(alias._chain)
            for alias in reversed(waiting):
                function, *arguments = alias._later
                steps += function(*arguments)
            self._chain = tuple(steps)
            self._parent, self._later = None, ()
        return self._chain


def of_array(data: Any, node: Any) -> Alias:
    """Return the alias of an array without axes."""
    return Alias(Cell(data, node), 0, ())


def alone(data: Any, node: Any) -> tuple[Storage, int, Chain]:
    """Return what to make the alias of, of a Tensor that was alone with its memory until now."""
    storage = _new(Storage)
    storage.base = data
    storage.node = node
    storage.version = 0
    storage.watched = ()
    storage._snapshot = storage.keeper = storage.order = None
    return storage, 0, ()


def layout_through(chain: Chain, layout: Layout) -> Layout | None:
    """Return how a view lies, given how its base does; None where one of the ops must copy."""
    for op, attrs in chain:
        found = op.lie(layout, attrs)
        if found is None:
            return None
        layout = found
    return layout
