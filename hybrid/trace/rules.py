"""What the rules of ops say, remembered for as long as a trace runs.

The steps of a loop in Python ask for the same specs again and again. Questions are told apart by
the identity of what they are about (op, attributes, specs, layouts), which takes less time than the
answers. All of it is kept, so that no id comes to mean something else, and the nodes of a trace
share it.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import numpy as np

from hybrid.core.graph import Const, Value
from hybrid.core.layout import Layout, contiguous
from hybrid.core.op import OPS, VARIANTS, Attrs, Op
from hybrid.core.placed import together
from hybrid.core.spec import TensorSpec, weak_scalar
from hybrid.core.state import state
from hybrid.dtypes import DType
from hybrid.records import dataclass
from hybrid.trace.memory_order import always_view, in_order, kept

_PLAIN = frozenset((int, bool, str, type(None), *map(type, map(np.dtype, "?bhilqBHILQefdFD"))))
_KINDS = {int: "i", float: "f"}
_NONE: Attrs = {}


@dataclass(frozen=True, eq=False, slots=True)
class Answer:
    """What the rules say of an op on operands of some kind.

    Attributes
    ----------
    wanted : tuple of dtype
        Elementwise ops: in which dtypes it computes.
    casts : bool
        Whether one of the Values has another dtype.
    weak : bool
        Whether the result is that of Python scalars alone.
    results : tuple of TensorSpec
    kept : tuple of TensorSpec
        What it was asked about, by whose ids it is found.
    """

    wanted: tuple[DType, ...]
    casts: bool
    weak: bool
    results: tuple[TensorSpec, ...]
    kept: tuple[TensorSpec, ...]


class Rules:
    """The answers of one trace, whose ops are all asked about here."""

    def __init__(self) -> None:
        self._attrs: dict[int, tuple[Attrs, Attrs]] = {}
        self._equal: dict[Hashable, Attrs] = {}
        self._specs: dict[TensorSpec, TensorSpec] = {}
        self._scalars: dict[type | DType, TensorSpec] = {}
        self._consts: dict[Hashable, Const] = {}
        self.answers: dict[Hashable, Answer] = {}
        self.usual: dict[Hashable, Answer] = {}  # see hybrid.trace.usual
        self._results: dict[Hashable, tuple[Any, tuple[TensorSpec, ...]]] = {}
        self._bases: dict[int, tuple[TensorSpec, Layout]] = {}
        self._views: dict[tuple[int, int, int], tuple[Any, tuple[Layout | None, bool]]] = {}
        self._kept: dict[tuple[int, ...], tuple[Any, Layout]] = {}
        self._in_order: dict[int, tuple[Layout, bool]] = {}
        self.turned = False

    def attrs(self, attrs: Attrs) -> Attrs:
        """Return the mapping that stands for all that are equal to `attrs`, types included."""
        if not attrs:
            return _NONE
        known = self._attrs.get(id(attrs))
        if known is not None:
            return known[1]
        key = _key(attrs)
        shared = attrs if key is None else self._equal.setdefault(key, attrs)
        self._attrs[id(attrs)] = attrs, shared
        return shared

    def _device(self, op: Op, specs: tuple[TensorSpec, ...]) -> str:
        """Return the device on which an op is computed, by the rule of eager code."""
        literals = {id(spec) for spec in self._scalars.values()}
        arrays = [s for s in specs if not s.weak and id(s) not in literals]
        return together(op.name, ((s.device, s.ndim) for s in arrays)) or state.device

    def scalar(self, x: Any) -> TensorSpec:
        """Return the spec of a Python scalar."""
        found = self._scalars.get(type(x))
        if found is None:
            found = self._scalars[type(x)] = weak_scalar(x)
        return found

    def literal(self, dtype: DType) -> TensorSpec:
        """Return the spec of a literal."""
        found = self._scalars.get(dtype)
        if found is None:
            found = self._scalars[dtype] = TensorSpec((), dtype)
        return found

    def _spec(self, x: Any) -> TensorSpec:
        if type(x) is Value:
            return x.spec
        return self.literal(x.dtype) if type(x) is Const else self.scalar(x)

    def answer(self, op: Op, operands: tuple[Any, ...], attrs: Attrs, key: Hashable) -> Answer:
        """Return what is known of an op on such operands: Values, scalars, literals."""
        specs = tuple([self._spec(x) for x in operands])
        if op.compute is None:
            found = Answer((), False, False, self.results(op, specs, attrs, weak=False), specs)
        else:
            # The specs as the user gave them decide: a Python scalar is weak, a Const is not.
            weak = op.name != "astype" and all(spec.weak for spec in specs)
            wanted = op.compute(specs)
            pairs = list(zip(operands, specs, wanted, strict=True))
            casts = any(type(x) is Value and s.dtype != dtype for x, s, dtype in pairs)
            cast = tuple([self._in(x, s, dtype) for x, s, dtype in pairs])
            found = Answer(wanted, casts, weak, self.results(op, cast, attrs, weak=weak), specs)
            if not (weak or casts or attrs or op.multi or op.shows) and _plain(op, operands):
                kinds = (id(x.spec) if type(x) is Value else type(x) for x in operands)
                self.usual[op, *kinds] = found
        self.answers[key] = found
        return found

    def _in(self, x: Any, spec: TensorSpec, dtype: DType) -> TensorSpec:
        """Return the spec of an operand once it is cast."""
        if type(x) is not Value:
            return self.literal(dtype)
        if spec.dtype == dtype:
            return spec
        cast = {"dtype": dtype}
        return self.results(OPS["astype"], (spec,), self.attrs(cast), weak=False)[0]

    def const(self, x: Any, dtype: DType) -> Const:
        """Return the literal that a Python scalar becomes in `dtype`; mostly one for equal ones."""
        if (not x and type(x) is float) or type(x) is complex:  # 0.0 and -0.0 are equal
            return Const(scalar_in(x, dtype), dtype)
        key = type(x), x, dtype
        found = self._consts.get(key)
        if found is None:
            found = self._consts[key] = Const(scalar_in(x, dtype), dtype)
        return found

    def again(self, x: Any, dtype: DType) -> Const | None:
        """Return the literal of a Python number; None for an int that may not fit an integer dtype.

        One that was a literal before does: operators saw to it.
        """
        if type(x) is int and dtype.kind in "iu":
            return self._consts.get((int, x, dtype))
        return self.const(x, dtype)

    def results(
        self, op: Op, specs: tuple[TensorSpec, ...], attrs: Attrs, *, weak: bool
    ) -> tuple[TensorSpec, ...]:
        """Return the specs of the results; `attrs` are those that :meth:`attrs` returns."""
        key = (op, id(attrs), weak, state.device, *map(id, specs))
        known = self._results.get(key)
        if known is None:
            inferred = op.infer(*specs, **attrs)
            found = inferred if op.multi else (inferred,)
            where = attrs.get("device") or self._device(op, specs)
            found = tuple(self._one(_as(s, weak, where)) for s in found)
            known = self._results[key] = (specs, attrs), found
        return known[1]

    def _one(self, spec: TensorSpec) -> TensorSpec:
        """Return the one that stands for all equal specs; of unknown sizes none is asked for."""
        if all(type(n) is int for n in spec.shape):
            return self._specs.setdefault(spec, spec)
        return spec

    def base(self, spec: TensorSpec) -> Layout:
        """Return the layout of an array of a trace, which lies in C order."""
        known = self._bases.get(id(spec))
        if known is None:
            known = self._bases[id(spec)] = spec, contiguous(spec.shape)
        return known[1]

    def view(self, op: Op, layout: Layout, attrs: Attrs) -> tuple[Layout | None, bool]:
        """Return how a view lies, as ``op.view`` does, and whether it is one of all layouts."""
        key = id(op), id(layout), id(attrs)
        known = self._views.get(key)
        if known is None:
            found = op.lie(layout, attrs)
            always = always_view(op, layout.shape, attrs)
            known = self._views[key] = (layout, attrs), (found, always)
            self.turned |= found is not None and not in_order(found)
        return known[1]

    def in_order(self, layout: Layout) -> bool:
        """Tell whether the axes of a layout follow one another as in C order."""
        known = self._in_order.get(id(layout))
        if known is None:
            known = self._in_order[id(layout)] = layout, in_order(layout)
        return known[1]

    def may_turn(self, op: Op, spec: TensorSpec) -> bool:
        """Tell whether a result of an op may lie in another order, where its operands do."""
        return len(spec.shape) > 1 and (op.in_order is None or not op.in_order(spec))

    def kept(self, layouts: list[Layout], spec: TensorSpec) -> Layout:
        """Return how an elementwise result lies; that of :meth:`base` if in C order."""
        key = (id(spec), *map(id, layouts))
        known = self._kept.get(key)
        if known is None:
            found = kept(layouts, spec.shape)
            found = self.base(spec) if in_order(found) else found
            known = self._kept[key] = (spec, layouts), found
        return known[1]


def _plain(op: Op, operands: tuple[Any, ...]) -> bool:
    """Tell whether operators record an op itself for such operands, and no variant of it."""
    kinds = {x.spec.dtype.kind if type(x) is Value else _KINDS.get(type(x)) for x in operands}
    varied = (op, "b") in VARIANTS and kinds <= {"b"}, (op, "i") in VARIANTS and kinds <= {*"biu"}
    return None not in kinds and not any(varied)


def scalar_in(x: Any, dtype: DType) -> Any:
    """Return the Python scalar that `x` becomes in `dtype`, exactly."""
    if dtype.kind in "iu" and isinstance(x, int):
        return int(dtype.type(x))
    return dtype.type(x).item() if dtype.kind != "V" else float(dtype.type(x))


def _as(spec: TensorSpec, weak: bool, device: str) -> TensorSpec:
    same = spec.weak == weak and spec.device == device
    return spec if same else replace(spec, weak=weak, device=device)


def _key(attrs: Attrs) -> Hashable:
    """Return a key for attributes of which equal ones mean the same; None for others."""
    key = []
    for name, value in attrs.items():
        kind = type(value)
        if kind is tuple:
            if not _PLAIN.issuperset(map(type, value)) or bool in map(type, value):
                return None
        elif kind not in _PLAIN:
            return None
        key.append((name, kind, value))
    return tuple(key)
