"""Elementwise ops in eager code while tapes are open: short ways to bind.

They return None where there is more to do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid.core.dispatch import refresh
from hybrid.core.heard import heard
from hybrid.core.op import Op
from hybrid.core.storage import SAVED, Snapshot
from hybrid.core.tensor import Tensor
from hybrid.ops.elementwise.large import LARGE, large
from hybrid.ops.elementwise.operands import DIRECT, weakly

_new = object.__new__
_array = np.ndarray
_asarray = np.asarray


def unary_on_tape(taping: Any, op: Op, ufunc: Callable[..., Any], x: Tensor) -> Tensor | None:
    link = x._link
    data = x._data if link is None or link is SAVED else _current(x)
    try:
        data = heard()(ufunc, data) if data.size < LARGE else large(ufunc, data)
    except Exception:
        return None
    out = _new(Tensor)
    out._data = data if type(data) is _array else _asarray(data)
    out._link = out._node = None
    if x._node is not None:
        taping.tape._record_one(taping, x._node, op, op, (x,), out)
    return out


def binary_on_tape(taping: Any, op: Op, ufunc: Callable[..., Any], x: Any, y: Any) -> Tensor | None:
    if type(x) is not Tensor:
        return _with_number(taping, op, ufunc, weakly(x, y), y)
    if type(y) is np.float64:
        y = weakly(y, x)
    link = x._link
    left = x._data if link is None or link is SAVED else _current(x)
    if type(y) is Tensor:
        link = y._link
        right = y._data if link is None or link is SAVED else _current(y)
    elif type(y) in DIRECT and left.dtype.kind != "V":
        right = y
    else:
        return None
    try:
        small = left.size < LARGE
        data = heard()(ufunc, left, right) if small else large(ufunc, left, right)
    except Exception:
        return None
    out = _new(Tensor)
    out._data = data if type(data) is _array else _asarray(data)
    out._link = out._node = None
    if right is not y:
        taping.tape._record_two(taping, op, x, y, out)
    elif x._node is not None:
        key = op if type(y) is float else (op, int)
        taping.tape._record_one(taping, x._node, key, op, (x, y), out)
    return out


def _with_number(
    taping: Any, op: Op, ufunc: Callable[..., Any], x: Any, y: Tensor
) -> Tensor | None:
    if type(x) not in DIRECT or y._data.dtype.kind == "V":
        return None
    try:
        right = y._data if y._link is None else _current(y)
        data = heard()(ufunc, x, right) if right.size < LARGE else large(ufunc, x, right)
    except Exception:
        return None
    out = _new(Tensor)
    out._data = data if type(data) is _array else _asarray(data)
    out._link = out._node = None
    if y._node is not None:
        taping.tape._record_one(taping, y._node, (type(x), op), op, (x, y), out)
    return out


def _current(x: Tensor) -> Any:
    link: Any = x._link
    if type(link) is not Snapshot and link is not None:
        storage, version = link[:2] if type(link) is tuple else (link.storage, link.version)
        if version != storage.version:
            refresh(x)
    return x._data
