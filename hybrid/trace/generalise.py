"""From the signature of one call to the signature of many: which ints and sizes are left open.

An int argument is a constant until a second value comes in its place; the size of an axis until a
third comes. Then the place stands for whatever a call brings, in one trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace
from typing import Any

import numpy as np

from hybrid.core import containers
from hybrid.core.spec import TensorSpec, weak_scalar
from hybrid.errors import DTypeError, ShapeError
from hybrid.records import dataclass
from hybrid.trace.signature import Literal, Signature, is_array

SIZES_BEFORE_UNKNOWN = 2
FIXED_BEFORE_KNOWN = 2  # traces of unknown sizes that held for one size each

Place = tuple[Any, ...]


@dataclass(slots=True)
class Generaliser:
    """What one function has seen of ints and sizes.

    Parameters
    ----------
    dynamic : bool, optional
        Whether the sizes of axes are unknown: True from the first trace on, False never, None from
        the third size of an axis on.
    specs : tuple, optional
        The user's ``input_signature``: a TensorSpec, or a container of them, for each of the
        leading parameters.
    open_ints : int
        How many of the first leaves are left open where they are ints, from the first trace on.
    """

    dynamic: bool | None
    specs: tuple[Any, ...] | None = None
    open_ints: int = 0
    _ints: dict[Place, list[int]] = field(default_factory=dict)
    _sizes: dict[Place, list[int]] = field(default_factory=dict)
    _fixed: dict[Signature, int] = field(default_factory=dict)
    _refused: set[Signature] = field(default_factory=set)

    def general(self, exact: Signature) -> Signature:
        """Return the signature of `exact` with what is left open; `exact` itself if nothing is."""
        leaves = tuple(self._leaf(exact.tree, i, leaf) for i, leaf in enumerate(exact.leaves))
        return exact if leaves == exact.leaves else replace(exact, leaves=leaves)

    def for_trace(self, exact: Signature) -> tuple[Signature, str]:
        """Return the signature to trace a call for, and why it is not more general.

        Where traces of unknown sizes came to hold for one size each, further ones would too, and
        are slower to make than traces of known sizes.
        """
        general = self.general(exact)
        if general in self._refused:
            return exact, "what it calls refuses a number that is an input of the trace"
        if self._fixed.get(general, 0) < FIXED_BEFORE_KNOWN:
            return general, ""
        sizes = self.sized(exact)
        return sizes, f"traces of {general} came to hold for one size each"

    def sized(self, exact: Signature) -> Signature:
        """Return the signature of `exact` with open ints, but no open sizes."""
        if not self._fixed:
            return exact
        leaves = tuple(
            leaf if isinstance(leaf, TensorSpec) else self._leaf(exact.tree, i, leaf)
            for i, leaf in enumerate(exact.leaves)
        )
        return exact if leaves == exact.leaves else replace(exact, leaves=leaves)

    def note_refused(self, signature: Signature) -> None:
        """Take note that the function cannot be traced with unknown numbers."""
        self._refused.add(signature)

    def note_fixed(self, signature: Signature) -> None:
        """Take note that a trace of unknown sizes holds for one size only."""
        if self.dynamic is None and self.specs is None:
            self._fixed[signature] = self._fixed.get(signature, 0) + 1

    def _leaf(self, tree: Any, i: int, leaf: Any) -> Any:
        if isinstance(leaf, Literal) and leaf.kind is int:
            open_now = i < self.open_ints or len(self._ints.get((tree, i), ())) > 1
            return weak_scalar(leaf.value) if open_now and _is_int64(leaf.value) else leaf
        if self.dynamic is False or not isinstance(leaf, TensorSpec) or leaf.weak:
            return leaf
        shape: Any = tuple(
            None if self._is_open(_axis(tree, i, leaf, axis)) else n
            for axis, n in enumerate(leaf.shape)
        )
        return leaf if shape == leaf.shape else replace(leaf, shape=shape)

    def _is_open(self, place: Place) -> bool:
        return self.dynamic is True or len(self._sizes.get(place, ())) > SIZES_BEFORE_UNKNOWN

    def learn(self, exact: Signature) -> list[str]:
        """Take note of a call that no trace answers; say what is left open from now on."""
        words = []
        for i, (name, leaf) in enumerate(zip(exact.names, exact.leaves, strict=True)):
            if isinstance(leaf, Literal) and leaf.kind is int and _is_int64(leaf.value):
                seen = self._ints.setdefault((exact.tree, i), [])
                if _is_new(leaf.value, seen, 2):
                    words.append(f"{name} is an input of the trace after values {_listed(seen)}")
            elif isinstance(leaf, TensorSpec) and self.dynamic is None and not leaf.weak:
                for axis, n in enumerate(leaf.shape):
                    seen = self._sizes.setdefault(_axis(exact.tree, i, leaf, axis), [])
                    if _is_new(n, seen, SIZES_BEFORE_UNKNOWN + 1):
                        words.append(
                            f"dimension {axis} of {name} became symbolic after sizes "
                            f"{_listed(seen)}"
                        )
        return words

    def forget(self) -> None:
        """Begin anew."""
        self._ints.clear()
        self._sizes.clear()
        self._fixed.clear()
        self._refused.clear()

    # --- input_signature --------------------------------------------------------------------------

    def declared(self, name: str, exact: Signature, leaves: Sequence[Any]) -> Signature:
        """Return the signature with the user's specs in it.

        Raises
        ------
        DTypeError, ShapeError
            Where an argument is not what the ``input_signature`` says.
        """
        if self.specs is None:
            return exact
        wanted, tree = containers.flatten(self.specs)
        given = exact.tree.children()[: len(self.specs)]
        if tuple(given) != tuple(tree.children()):
            raise DTypeError(
                f"{name}: the arguments nest otherwise than the input_signature says: expected "
                f"{self.specs}, got {exact}"
            )
        for argument, leaf, spec, found in zip(exact.names, leaves, wanted, exact.leaves):
            _check(f"{name}: argument {argument}: ", leaf, spec, found)
        return replace(exact, leaves=(*wanted, *exact.leaves[len(wanted) :]))


def _check(where: str, leaf: Any, spec: TensorSpec, found: Any) -> None:
    expected = f"expected {spec} by the input_signature, got "
    if not is_array(leaf) or not isinstance(found, TensorSpec) or found.weak:
        raise DTypeError(f"{where}{expected}{leaf!r}; give a Tensor or an ndarray")
    if found.dtype != spec.dtype:
        raise DTypeError(f"{where}{expected}{found}; convert it with astype first")
    fits = found.ndim == spec.ndim and all(
        want in (None, n) for want, n in zip(spec.shape, found.shape, strict=True)
    )
    if not fits:
        raise ShapeError(f"{where}{expected}{found}")


def as_specs(given: Sequence[Any] | None) -> tuple[Any, ...] | None:
    """Return an ``input_signature`` in normal form.

    Raises
    ------
    TypeError
        Where it is not made of TensorSpecs.
    """
    if given is None:
        return None
    leaves, tree = containers.flatten(tuple(given))
    for leaf in leaves:
        if not isinstance(leaf, TensorSpec):
            raise TypeError(f"input_signature is made of TensorSpecs, not {leaf!r}")
    normal = [replace(x, shape=tuple(x.shape), dtype=np.dtype(x.dtype)) for x in leaves]
    specs: tuple[Any, ...] = containers.unflatten(tree, normal)
    return specs


def _axis(tree: Any, i: int, leaf: TensorSpec, axis: int) -> Place:
    return tree, i, leaf.dtype, leaf.ndim, axis


def _is_new(value: int, seen: list[int], enough: int) -> bool:
    """Note a value; tell whether it is the one that makes them `enough`."""
    if value in seen or len(seen) >= enough:
        return False
    seen.append(value)
    return len(seen) == enough


def _is_int64(value: int) -> bool:
    return -(2**63) <= value < 2**63


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
