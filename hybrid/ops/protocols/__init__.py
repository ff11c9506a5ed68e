"""NumPy's functions on Tensors: ``np.exp(x)``, ``np.sum(x)``, ``ndarray + x`` run hybrid's own ops.

NumPy hands its ufuncs and functions over through two protocols (NEP 13 and NEP 18). A ufunc is
looked up among those that the declarations named (`ufuncs`); a function among hybrid's public
functions of the same name, with its arguments translated by name (`functions`), or among the
`adapters` for those that names do not explain. What hybrid does not have, or not with these
arguments, NumPy computes on the concrete values (`by_numpy`): in a trace that ends tracing, with
its warning, and on a tape it is refused where a gradient would be lost.
"""

from __future__ import annotations

from importlib.util import find_spec

from hybrid.core.tensor import Tensor
from hybrid.core.variable import Variable
from hybrid.ops.protocols import writers
from hybrid.ops.protocols.functions import __array_function__, implements
from hybrid.ops.protocols.ufuncs import __array_ufunc__

__all__ = ["implements", "writers"]

if find_spec("einops") is not None:
    from hybrid.ops.protocols import tensors_in_einops

for _cell in (Tensor, Variable):
    for _protocol in (__array_ufunc__, __array_function__):
        setattr(_cell, _protocol.__name__, _protocol)
