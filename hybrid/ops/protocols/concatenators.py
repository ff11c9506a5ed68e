"""``np.r_``, ``np.c_`` and the grids as they are inside a trace: of Tensors and unknown sizes.

They are objects that are indexed, of which NumPy asks no Tensor what it can do itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.defaults import default_dtype
from hybrid.core.dispatch import state
from hybrid.core.making import asarray
from hybrid.core.operands import spec_of
from hybrid.core.spec import promote_specs
from hybrid.core.tensor import Tensor
from hybrid.core.unknown import Unknown
from hybrid.core.watched import holds_tensors, noted
from hybrid.ops.elementwise.operands import is_weak
from hybrid.ops.joining import concat
from hybrid.ops.protocols.making import writable
from hybrid.ops.reshaping import reshape


class Concatenator:
    """What is indexed in place of ``np.r_`` or ``np.c_`` inside a trace.

    Parameters
    ----------
    original : object
        NumPy's.
    columns : int
        The axes that vectors have when they are joined: 1 for ``np.r_``, which joins along the
        first axis, 2 for ``np.c_``, which makes columns of them and joins along the last axis.
    """

    def __init__(self, original: Any, columns: int) -> None:
        self._original = original
        self._columns = columns

    def __getitem__(self, key: Any) -> Any:
        items = key if isinstance(key, tuple) else (key,)
        directed = any(isinstance(x, str) for x in items)
        if state.recorder is None or directed or not holds_tensors(items):
            return writable(self._original[noted(key)]) if state.recorder else self._original[key]
        return self._joined(items)

    def _joined(self, items: tuple[Any, ...]) -> Tensor:
        with default_dtype(dtypes.float64):  # as NumPy makes arrays of lists
            arrays = [self._original[x] if isinstance(x, slice) else x for x in items]
            given = [x if is_weak(x) else asarray(x) for x in arrays]
            dtype = promote_specs(tuple(map(spec_of, given)))
            return self._along([_in(x, dtype) for x in given])

    def _along(self, tensors: list[Tensor]) -> Tensor:
        if self._columns == 1:
            return concat([x if x.ndim else reshape(x, 1) for x in tensors], axis=0)
        return concat([x if x.ndim > 1 else reshape(x, (x.size, 1)) for x in tensors], axis=-1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def __len__(self) -> int:
        return 0


def _known(x: Any) -> Any:
    """Return the bounds of slices as they are in this call, for which the trace holds then."""
    if isinstance(x, tuple):
        return tuple(map(_known, x))
    if isinstance(x, slice):
        return slice(_known(x.start), _known(x.stop), _known(x.step))
    return x.concrete() if isinstance(x, Unknown) else x


class Grid:
    """What is indexed in place of ``np.mgrid`` or ``np.ogrid`` inside a trace.

    NumPy's are asked for numbers of which some calls of the function decide.
    """

    def __init__(self, original: Any) -> None:
        self._original = original

    def __getitem__(self, key: Any) -> Any:
        if state.recorder is None:
            return self._original[key]
        return writable(self._original[noted(_known(key))])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def __len__(self) -> int:
        return 0


CONCATENATORS = {
    "r_": Concatenator(np.r_, 1),
    "c_": Concatenator(np.c_, 2),
    "mgrid": Grid(np.mgrid),
    "ogrid": Grid(np.ogrid),
}
"""What stands for an object of NumPy inside a trace, by its name there."""


def _in(x: Any, dtype: dtypes.DType) -> Tensor:
    return x.astype(dtype, copy=False) if type(x) is Tensor else asarray(x, dtype)
