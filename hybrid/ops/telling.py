"""What a Tensor tells of itself (shape, length, its value as a number) has short ways too."""

from __future__ import annotations

from hybrid.core.tensor import Tensor
from hybrid.kernels.shortway import Way
from hybrid.ops import _shortways

for _name in ("shape", "ndim", "size", "dtype"):
    _get = getattr(Tensor, _name).fget
    _shortways.on_tensor(Way(_name, _name, _get, _get))

for _kind, _method in (
    ("length", Tensor.__len__),
    ("float", Tensor.__float__),
    ("int", Tensor.__int__),
    ("bool", Tensor.__bool__),
):
    _shortways.on_tensor(Way(_method.__name__, _kind, _method, _method))
