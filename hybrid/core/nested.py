"""Nested lists and tuples in which Tensors are, on their way to become one Tensor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid import dtypes
from hybrid.core import foreign, unknown
from hybrid.core.number import Number, in_graph, in_python
from hybrid.core.spec import PYTHON_TYPES
from hybrid.core.state import state

if TYPE_CHECKING:
    from hybrid.core.tensor import Tensor


def holds_tensors(obj: Any) -> bool:
    """Tell whether Tensors or Variables are in nested sequences, or `obj` is one."""
    from hybrid.core.tensor import Tensor
    from hybrid.core.variable import Variable

    if isinstance(obj, list | tuple):
        return any(holds_tensors(x) for x in obj)
    return type(obj) in (Tensor, Number) or isinstance(obj, Variable)


def joined(obj: Any, dtype: Any, copy: bool | None) -> Tensor:
    """Join nested sequences in which Tensors are: in sight of traces and tapes."""
    if copy is False:
        raise foreign.needs_copy("Tensors to be joined")
    if dtype is None:
        kinds = [_kind_of_number(x) for x in _leaves(obj)]
        if None in kinds:
            dtype = dtypes.promote(_dtype_in_a_list(x) for x in _leaves(obj))
        else:
            dtype = state.defaults.dtypes[max(kinds, key="bifc".index)]
    return _stacked(obj, dtype)


def _leaves(obj: Any) -> Iterator[Any]:
    if isinstance(obj, list | tuple):
        for x in obj:
            yield from _leaves(x)
    else:
        yield obj


def _kind_of_number(x: Any) -> Any:
    """Return the kind of a Python number, or of what stands for one; None for an array."""
    spec = getattr(in_graph(x), "spec", None)
    if spec is not None:
        return spec.dtype.kind if spec.weak else None
    if isinstance(x, np.generic):
        return None
    return next((kind for kind, of in PYTHON_TYPES.items() if isinstance(x, of)), None)


def _dtype_in_a_list(x: Any) -> dtypes.DType:
    """Return what an element adds to the dtype of a list; Python's numbers are weak."""
    from hybrid.core.making import asarray

    spec = asarray(x).spec
    return state.defaults.dtypes[spec.dtype.kind] if spec.weak else spec.dtype


def _stacked(obj: Any, dtype: dtypes.DType) -> Tensor:
    from hybrid.core.dispatch import bind
    from hybrid.core.making import asarray
    from hybrid.core.op import OPS
    from hybrid.core.tensor import wrap

    if not isinstance(obj, list | tuple):
        return asarray(obj, dtype)
    if not obj:
        return wrap(np.zeros(0, dtype))
    return bind(OPS["stack"], tuple([_stacked(x, dtype) for x in obj]), {"axis": 0})


def without_unknowns(obj: Any) -> Any:
    """Return nested lists with numbers in place of unknown ones, which NumPy takes for arrays."""
    if isinstance(obj, list | tuple):
        return [without_unknowns(x) for x in obj] if any(map(_is_open, obj)) else obj
    return unknown.settled(obj)


def _is_open(x: Any) -> bool:
    return type(x) is unknown.Unknown or isinstance(x, list | tuple)


def as_arrays(obj: Any) -> Any:
    """Return nested lists with ndarrays in place of Tensors."""
    from hybrid.core.tensor import Tensor

    if isinstance(obj, list | tuple):
        return [as_arrays(x) for x in obj]
    return obj.numpy() if isinstance(obj, Tensor) else in_python(obj)
