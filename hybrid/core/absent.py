"""Names that ndarrays or Python's numbers have, and Tensors do not: each says what to do instead.

A ``__getattr__`` would say it too, but Python 3.11 looks up every attribute of a class that has one
by name, its slots included: 44 ns instead of 14, three to ten times in each op.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.core.spec import PYTHON_TYPES
from hybrid.core.symbol import Symbol

ELSEWHERE = {
    "unsqueeze": "hb.expand_dims(x, axis), or x[:, None]",
    "permute": "x.transpose(...)",
    "expand": "hb.broadcast_to(x, shape)",
    "expand_as": "hb.broadcast_to(x, y.shape)",
    "view_as": "x.reshape(y.shape)",
    "contiguous": "x, or x.copy()",
    "clone": "x.copy()",
    "numel": "x.size",
    "dim": "x.ndim",
    "t": "x.T",
    "mm": "x @ y",
    "bmm": "x @ y",
    "to": "x.to_device(device), or x.astype(dtype)",
    "cpu": 'x.to_device("cpu")',
    "cuda": 'x.to_device("cuda")',
    "type": "x.astype(dtype)",
    "float": "x.astype(hb.float32)",
    "double": "x.astype(hb.float64)",
    "half": "x.astype(hb.float16)",
    "long": "x.astype(hb.int64)",
    "exp": "hb.exp(x)",
    "log": "hb.log(x)",
    "sqrt": "hb.sqrt(x)",
    "pow": "x ** y",
    "abs": "hb.abs(x)",
    "tanh": "hb.tanh(x)",
    "sigmoid": "hb.sigmoid(x)",
    "relu": "hb.relu(x)",
    "softmax": "hb.softmax(x, axis=...)",
    "log_softmax": "hb.log_softmax(x, axis=...)",
    "norm": "hb.linalg.norm(x)",
    "gather": "hb.take_along_axis(x, index, axis)",
    "index_select": "hb.take(x, index, axis)",
    "masked_fill": "hb.where(mask, value, x)",
    "repeat_interleave": "hb.repeat(x, n, axis)",
    "topk": "hb.topk(x, n)",
    "flip": "hb.flip(x, axis)",
    "split": "hb.split(x, n, axis)",
    "zero_": "x[...] = 0",
    "fill_": "x[...] = value",
    "copy_": "x[...] = y",
    "add_": "x += y",
    "sub_": "x -= y",
    "mul_": "x *= y",
    "div_": "x /= y",
    "block_until_ready": "hb.synchronize()",
}
"""What methods of the Tensors of others are here."""


# An attribute that there is not, unless the Tensor stands for a Python scalar that has it. What is
# said of it instead is its docstring, for ``help``.
class Absent:
    __slots__ = ("__doc__", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.__doc__ = f"Not there{_instead(name)}."

    def __get__(self, tensor: Any, owner: type) -> Any:
        if tensor is None:
            raise AttributeError(f"type object {owner.__name__!r} has no attribute {self.name!r}")
        data = tensor._data
        if type(data) is Symbol and data.spec.weak:
            if hasattr(PYTHON_TYPES[data.dtype.kind], self.name):
                return getattr(tensor._concrete(self.name).item(), self.name)
        text = f"a Tensor has no attribute {self.name!r}{_instead(self.name)}"
        raise AttributeError(text, name=self.name, obj=tensor)


def _instead(name: str) -> str:
    if name in ELSEWHERE:
        return f"; here it is {ELSEWHERE[name]}"
    if hasattr(np.ndarray, name):
        return f"; that of the ndarray with its elements is x.numpy().{name}"
    return ""


def leave_out(kind: type) -> None:
    """Give a class what tells of the names that it lacks; what is attached later replaces it."""
    for names in (ELSEWHERE, *map(dir, (np.ndarray, *PYTHON_TYPES.values()))):
        for name in names:
            if not name.startswith("_") and name not in dir(kind):
                setattr(kind, name, Absent(name))


def present(instance: Any) -> list[str]:
    """Return the names of the attributes that there are, for ``dir``."""
    kind = type(instance)
    names = object.__dir__(instance)
    return [name for name in names if not isinstance(kind.__dict__.get(name), Absent)]
