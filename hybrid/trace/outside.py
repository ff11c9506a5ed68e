"""What a trace knows of the world outside: arguments, captured Tensors, Variables, their memory.

The graph takes them for separate values. So this module notes which of them share memory, and what
NumPy itself may have changed; before a write that the graph would get wrong, tracing ends.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.autodiff.joining import joined
from hybrid.autodiff.record import begin
from hybrid.core import dispatch, formula
from hybrid.core.aliases import aliases, own_alias
from hybrid.core.conditions import Condition, Unknowns
from hybrid.core.formula import Call, Formula, Input, Sum
from hybrid.core.graph import Value
from hybrid.core.making import asarray
from hybrid.core.scalars import is_scalar
from hybrid.core.source import located, user_line
from hybrid.core.spec import TensorSpec
from hybrid.core.storage import Alias, Storage
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Array, Tensor
from hybrid.core.unknown import Unknown
from hybrid.core.variable import Variable
from hybrid.errors import TraceError
from hybrid.runtime.arguments import layout_of
from hybrid.trace.environment import Binding, Contents
from hybrid.trace.memory_order import Order
from hybrid.trace.plain import write_back
from hybrid.trace.recorder import GraphRecorder
from hybrid.trace.sharing import may_share, memory_of, same_array
from hybrid.trace.sources import Derived


def _raw(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _hangs_on(tensor: Tensor, storage: Storage) -> bool:
    return tensor._alias is not None and tensor._alias.storage is storage


_OF_NUMPY = (np.ndarray, np.generic)
_INTO_ARRAY = "writing into an ndarray (hb.asarray(...) makes it a Tensor, which takes it as it is)"


class OutsideRecorder(GraphRecorder):
    """Records nodes over arguments, captured Tensors and Variables, which it reads and writes.

    Parameters
    ----------
    name : str
        The name of the function.
    arguments : sequence
        The flattened arguments as the caller gave them.
    environment : list
        What is computed by now, arrays and Tensors.
    first : bool
        No trace of the function exists: it may make Variables.

    Attributes
    ----------
    inputs : list of (int, Tensor, Value)
        For each array argument its number, what stands for it, and its contents last committed.
    shadows : dict
        For each captured Tensor (by the identity of its memory) the Tensor, what stands for it, and
        its contents last committed.
    """

    def __init__(
        self, name: str, arguments: Sequence[Any], environment: list[Any], *, first: bool
    ) -> None:
        super().__init__()
        self.name = name
        self.arguments = arguments
        self.environment = environment
        self.first = first
        self.inputs: list[tuple[int, Tensor, Value]] = []
        self.variables: dict[int, tuple[Variable, Tensor, Value, bool]] = {}
        self.made: list[Variable] = []
        self._overlaps: list[tuple[Tensor, Tensor]] = []
        self.first_contents: dict[int, Array] = {}
        self.expected: dict[int, Array] = {}
        self._made_here: dict[int, weakref.ref[Tensor]] = {}
        self._bare: dict[int, weakref.ref[Tensor]] = {}
        self._converted: set[int] = set()  # by `hb.asarray`, which gave them as they are
        self._with_own: set[int] = set()  # that a transform has made Tensors of
        self._views: dict[tuple[Any, ...], Tensor] = {}
        self.entangled = False
        self.unknowns = Unknowns()
        self._read: dict[int, Contents] = {}
        self._derived: dict[Formula, Derived] = {}

    def argument(self, leaf: int, spec: TensorSpec) -> Tensor:
        """Return the Tensor that stands for an argument."""
        tensor = self.parameter(spec)
        self._note_overlaps(self.arguments[leaf], tensor, argument=True)
        self.inputs.append((leaf, tensor, tensor._data.value))
        tensor._data.given = spec.ndim > 1
        self._lie_as(tensor, self.arguments[leaf])
        return tensor

    def _lie_as(self, tensor: Tensor, source: Any) -> None:
        """Let a Tensor lie as what it stands for does in this call."""
        array = memory_of(source)
        if array is not None and not array.flags.c_contiguous:
            self.lie(tensor, Order(replace(layout_of(array), shape=tensor.shape)))

    def number(self, x: Unknown) -> Any:
        """Return the weak Tensor that stands for an unknown number; one for each formula."""
        kind = dtypes.int64 if isinstance(x.hint, int) else dtypes.float64
        if kind == dtypes.int64 and not -(2**63) <= x < 2**63:
            return x.concrete()
        source = self._derived.get(x.formula)
        if source is None:
            source = self._derived[x.formula] = Derived(x.formula, formula.read(x.formula))
        value = self.capture(source, TensorSpec((), kind, weak=True))
        return self.tensor(value, user_line())

    def note_read(self, array: Array) -> None:
        """Remember the contents that Python reads of an array from outside; eager, if written."""
        written = (i for i, t, value in self.inputs if self.value_of(t) is not value)
        if self.open and any(may_share(self.arguments[i], array) for i in written):
            self._disentangle()
        if self.open and id(array) not in self._read:
            self._read[id(array)] = Contents(array)

    def contents_read(self, arrays: Sequence[tuple[str, Any]]) -> dict[int, Binding]:
        """Return guards on what Python has read, of arrays that outlive the trace.

        Parameters
        ----------
        arrays : sequence of (str, array)
            Those that the function reaches, with their names.
        """
        names = {id(memory_of(array)): name for name, array in arrays}
        return {
            key: Binding(f"the contents of {names.get(key, 'an array')}", read, None, read.first)
            for key, read in self._read.items()
            if read.array() is not None
        }

    # --- memory that several arrays share ---------------------------------------------------------

    def _note_overlaps(self, source: Any, tensor: Tensor, *, argument: bool) -> None:
        """Remember which Tensors from outside share memory: the graph takes them for apart.

        The same array as two arguments is one Tensor in the trace.
        """
        for i, other, _ in self.inputs:
            array = self.arguments[i]
            if may_share(array, source) and not (argument and same_array(array, source)):
                self._overlaps.append((tensor, other))
        for array, other, _ in self.shadows.values():
            if other is not tensor and may_share(array, source):
                self._overlaps.append((tensor, other))

    def shadow(self, tensor: Tensor) -> Tensor:
        """Return what stands for a Tensor from outside; eager, if what it shares was written."""
        tensor = self._first_of(tensor)
        before = len(self.shadows)
        shadow = super().shadow(tensor)
        if len(self.shadows) > before:
            first = self.first_contents[id(tensor)] = tensor._data.copy()
            if isinstance(first, np.ndarray):  # what is on a card NumPy does not change
                self.expected[id(tensor)] = first
            self._note_overlaps(tensor, shadow, argument=False)
            self._lie_as(shadow, tensor)
            written = [t for _, t, value in self.inputs if self.value_of(t) is not value]
            written += [t for _, t, value in self.shadows.values() if self.value_of(t) is not value]
            if any(a is shadow and any(b is t for t in written) for a, b in self._overlaps):
                self._disentangle()
                return tensor
        elif self._changed_by_numpy(tensor, shadow):
            self.give_up("NumPy itself has changed an array that the function has used before")
            return tensor
        return shadow

    def _first_of(self, tensor: Tensor) -> Tensor:
        """Return the first Tensor that shows the same part of an ndarray: ``W.T`` is a new one."""
        data = tensor._data
        if type(data) is not np.ndarray or data.base is None or id(data) in self.shadows:
            return tensor
        if not data.size or tensor._node is not None or tensor._alias is not None:
            return tensor
        if id(tensor) in self._bare:
            return tensor
        place = data.ctypes.data, data.shape, data.strides, data.dtype
        return self._views.setdefault(place, tensor)

    def note_made(self, tensor: Tensor) -> None:
        """Note that the function has made an array from nothing: its contents are known."""
        self._made_here[id(tensor)] = weakref.ref(tensor)

    def note_bare(self, tensor: Tensor) -> None:
        """Note a Tensor that shows the memory of an ndarray, which NumPy reads unasked."""
        self._bare[id(tensor)] = weakref.ref(tensor)

    def made_arrays(self) -> dict[Value, Array]:
        """Return what arrays held that the function made from nothing, when it first used them."""
        found = [(key, ref()) for key, ref in self._made_here.items() if key in self.captures]
        return {
            self.captures[key][1]: self.first_contents[key]
            for key, tensor in found
            if tensor is self.captures[key][0]
            and isinstance(self.first_contents.get(key), np.ndarray)
        }

    def _changed_by_numpy(self, tensor: Tensor, shadow: Tensor) -> bool:
        source = self.shadows[id(tensor._data)][0]
        expected = self.expected.get(id(source))
        return expected is not None and not np.array_equal(_raw(expected), _raw(source._data))

    def before_write(self, target: Tensor) -> None:
        """Go on eagerly before memory is written that another array shares."""
        super().before_write(target)
        if any(aliases(target, t) for pair in self._overlaps for t in pair):
            self._disentangle()
        elif self._bare and any(map(self._is_read_unasked, self._shown_by(target))):
            self.give_up(_INTO_ARRAY)

    def is_scalar(self, tensor: Tensor) -> bool:
        """Tell whether ``+=`` rebinds what has no axes; of an argument each call says it."""
        for leaf, given, _ in self.inputs:
            if not given.ndim and (given is tensor or aliases(given, tensor)):
                found = is_scalar(self.arguments[leaf])
                self._depend("is_scalar", leaf, found)
                return found
        return super().is_scalar(tensor)

    def kind_of(self, tensor: Tensor) -> type | None:
        """Return the class that eager code has here; of an argument each call says it.

        None of what is computed from ndarrays: by NumPy's functions it is one or a scalar of
        NumPy's, by hybrid's it is a Tensor.
        """
        if self.is_own(tensor):
            return Tensor
        for leaf, argument, _ in self.inputs:
            if argument is tensor or (tensor.ndim and aliases(argument, tensor)):
                array = isinstance(self.arguments[leaf], np.ndarray)
                self._depend("is_array", leaf, array)
                if not tensor.ndim:
                    number = isinstance(self.arguments[leaf], np.generic)
                    self._depend("is_number", leaf, number)
                    if number:
                        return type(self.arguments[leaf])
                mixed = argument is not tensor and leaf in self._with_own
                if array and (mixed or leaf in self._converted):
                    return None  # which is asked about, the array or what was made of it?
                return np.ndarray if array else Tensor
        arrays = (isinstance(self.arguments[leaf], _OF_NUMPY) for leaf, _, _ in self.inputs)
        return None if type(tensor._data) is Symbol and any(arrays) else Tensor

    def note_converted(self, tensor: Tensor) -> None:
        """Note that ``hb.asarray`` has given the Tensor that stands for an argument already."""
        self._converted.update(
            leaf for leaf, argument, _ in self.inputs if aliases(argument, tensor)
        )

    def note_own(self, tensor: Tensor) -> None:
        """Note that `tensor` is a Tensor in eager code too, and what is a view of it."""
        super().note_own(tensor)
        shown = [leaf for leaf, argument, _ in self.inputs if aliases(argument, tensor)]
        self._with_own.update(shown)

    def _depend(self, function: str, leaf: int, found: bool) -> None:
        """Let the trace hold for calls of whose argument a function says the same."""
        asked = Call(function, (Sum((((Input(f"argument {leaf + 1}", leaf),), 1),)),))
        self.unknowns.conditions[Condition(asked, "is" if found else "is not")] = None

    def _shown_by(self, target: Tensor) -> list[Tensor]:
        """Return what Tensors around ndarrays are written where `target` is."""
        shown = [x for x, shadow, _ in self.shadows.values() if aliases(target, shadow)]
        refs = [(x, self._bare.get(id(x))) for x in (target, *shown)]
        return [x for x, ref in refs if ref is not None and ref() is x]

    def _is_read_unasked(self, source: Tensor) -> bool:
        """Tell whether others than the trace still have the memory of a Tensor as an ndarray."""
        array, base = source._data, source._data.base
        # The Tensor and this frame know the array, and the environment; the array its base.
        known = 3 + sum(x is array for x in self.environment)
        return sys.getrefcount(array) > known or (base is not None and sys.getrefcount(base) > 3)

    def _disentangle(self) -> None:
        self.entangled = True
        self.give_up("an array is written that shares memory with another one")

    # --- Variables --------------------------------------------------------------------------------

    @property
    def made_variables(self) -> bool:
        """Whether the function made Variables: its next call is another one then."""
        return bool(self.made)

    def read_variable(self, variable: Variable) -> Tensor:
        """Return the traced contents of a Variable."""
        found = self.variables.get(id(variable))
        if found is not None:
            return found[1]
        value = self.capture(variable, variable.spec)
        tensor = self.tensor(value, user_line())
        self.variables[id(variable)] = variable, tensor, value, False
        return tensor

    def assign_variable(self, variable: Variable, value: Any) -> None:
        """Replace the traced contents of a Variable; the cell itself changes at the commit."""
        tensor = self.contents_for(variable, value)
        value = tensor._data.value
        self.variables[id(variable)] = variable, tensor, value, True

    def created(self, variable: Variable) -> None:
        """Note a Variable that the function made."""
        if not self.first:
            raise TraceError(
                located(
                    f"{self.name}: a Variable is made in a later trace; make it outside, or only "
                    "when it does not exist yet"
                )
            )
        self.made.append(variable)

    # --- what was written -------------------------------------------------------------------------

    def value_of(self, tensor: Tensor) -> Value:
        """Return the value that a Tensor of the trace has now."""
        dispatch.refresh(tensor)
        value: Value = tensor._data.value
        return value

    def written_since(self, tensor: Tensor) -> Tensor | None:
        """Return what was written in the trace to memory that a Tensor from outside shows."""
        known = [*self.shadows.values(), *((self.arguments[i], t, v) for i, t, v in self.inputs)]
        for source, shadow, committed in known:
            if self.value_of(shadow) is not committed and may_share(source, tensor):
                return shadow
        return None

    def pending_writes(self) -> list[tuple[Any, Value, bool]]:
        """Return what was written since the last segment: target, new value, whether to rebind."""
        writes: list[tuple[Any, Value, bool]] = []
        for i, (leaf, tensor, committed) in enumerate(self.inputs):
            value = self.value_of(tensor)
            if value is not committed and not isinstance(self.arguments[leaf], np.generic):
                writes.append((leaf, value, False))
                self.inputs[i] = leaf, tensor, value
        for key, (variable, tensor, committed, assigned) in self.variables.items():
            value = self.value_of(tensor)
            if assigned or value is not committed:
                writes.append((variable, value, assigned))
                self.variables[key] = variable, tensor, value, False
        for key, (source, tensor, committed) in self.shadows.items():
            value = self.value_of(tensor)
            if value is not committed:
                writes.append((source, value, False))
                self.shadows[key] = source, tensor, value
        return writes

    def dirty(self) -> list[Any]:
        """Return what was written since the last segment, and is not committed."""
        inputs = [t for _, t, value in self.inputs if self.value_of(t) is not value]
        variables = [
            v
            for v, t, value, assigned in self.variables.values()
            if assigned or self.value_of(t) is not value
        ]
        outside = [t for _, t, value in self.shadows.values() if self.value_of(t) is not value]
        return [*inputs, *variables, *outside]

    def reattach(self, inside: Mapping[int, Any]) -> None:
        """Let arguments and Variables be themselves again, so that later writes reach them.

        Parameters
        ----------
        inside : mapping of int to node
            What tapes that were opened in the trace know of its Tensors, by their id.
        """
        for tensor, original in self._originals():
            self._adopt(tensor, original, inside)

    def _originals(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield what stands for something outside, and that."""
        for leaf, tensor, _ in self.inputs:
            original = self.arguments[leaf]
            if isinstance(original, Tensor | np.ndarray):
                yield tensor, asarray(original)
        for variable, tensor, _, _ in self.variables.values():
            yield tensor, variable._tensor
        for source, tensor, _ in self.shadows.values():
            yield tensor, source

    def _adopt(self, tensor: Tensor, original: Tensor, inside: Mapping[int, Any]) -> None:
        """Make `tensor` and its views aliases of `original`: of its memory, and for the tapes."""
        family, watched = [tensor], [tensor]
        if tensor._alias is not None:
            storage = tensor._alias.storage
            watched += [view for ref in storage.watched if (view := ref()) is not None]
            family += [t for t in self.live_tensors() if t is not tensor and _hangs_on(t, storage)]
        home = own_alias(original)
        dispatch.refresh(original)
        for member in family:
            chain = member._alias.chain if member._alias is not None else ()
            current = original
            for op, attrs in chain:
                current = dispatch.bind(op, (current,), attrs)
            member._data = current._data
            member._alias = Alias(home.storage, home.storage.version, (*home.chain, *chain))
            member._node = joined(inside.get(id(member)), current._node)
            if member._node is not None and any(member is x for x in watched):
                begin(original if member is tensor else member, member._node)

    def write_back(self) -> None:
        """After a fallback, hand on what was written to copies of misaligned or swapped arrays."""
        for leaf, tensor, _ in self.inputs:
            if type(tensor._data) is np.ndarray:
                write_back(tensor, self.arguments[leaf])
