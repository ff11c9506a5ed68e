"""How long the functions that a case calls take by themselves: the other ceiling of its kernels.

An ``exp`` takes longer than moving its number does, so where a case calls such functions, the share
of the copy's bandwidth that it can reach is limited by them. How often which function is called is
counted in the kernels of the case's Plan. What a call takes is measured in the case's turns (see
`benchmarks.ceilings`), function by function, over numbers that lie in the cache, on one thread: by
NumPy's loop and by ours, whichever is faster. Where a processor does some of it beside the rest, as
divisions beside products, a case may come to more than all of this bound.
"""

from __future__ import annotations

import ast
import functools
from collections import Counter
from collections.abc import Callable, Iterator
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import vectormath
from benchmarks.case import Case
from benchmarks.peers import PEERS

if TYPE_CHECKING:
    from hybrid.kernels.region import Instr, Region

SIZE = 32_768  # numbers; arguments and results are 512 kB at most

Function = tuple[str, str]
"""Name and dtype."""


def calls(case: Case) -> Counter[Function]:
    """Count the calls of functions of a traced case, a call for each number."""
    import hybrid as hb

    compiled: list[Any] = []

    def keep(function: Any) -> Any:
        compiled.append(hb.compile(function))
        return compiled[-1]

    arguments = [
        PEERS["hybrid"].array(hb, value) if hasattr(value, "dtype") else value
        for value in case.inputs(case.size)
    ]
    case.programs["hybrid"](hb, keep)(*arguments)
    found: Counter[Function] = Counter()
    for function in compiled:
        for segment in function.get_concrete_function(*arguments).segments:
            for plan in segment.plans.values():
                for kernel in plan.kernels:
                    found += of_region(kernel.region)
    return found


def of_region(region: Region) -> Counter[Function]:
    """Count the calls in one run of a kernel."""
    from hybrid.kernels.loopnest import canonical
    from hybrid.kernels.spec import dataflow, quotients_by_root

    spec = canonical(region)[0]
    outer = dataflow(spec).outer
    # Divided once for each row.
    products = quotients_by_root(spec) if spec.form == "rows" else {}
    space = region.space
    kept = prod(size for axis, size in enumerate(space) if axis not in region.axes)
    found: Counter[Function] = Counter()
    for number, instr in enumerate(region.body, len(region.inputs)):
        for name in _called(instr):
            once = number in outer or (name == "divide" and number in products)
            found[name, instr.dtype] += kept if once else prod(space)
    return found


def _called(instr: Instr) -> Iterator[str]:
    from hybrid.kernels.vectormath import NAMES

    if instr.kind != "map" or instr.dtype not in vectormath.DTYPES:
        return
    template = instr.expr.replace("{", "_").replace("}", "_")
    for node in ast.walk(ast.parse(template, mode="eval")):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NAMES:
            yield node.func.id
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "reciprocal":
            yield "divide"
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            yield "divide"


def ways(name: str, dtype: str) -> tuple[Callable[[], object], ...]:
    """Return calls of one function over `SIZE` numbers: NumPy's loop and our kernel."""
    theirs: Callable[..., Any] = np.divide
    drawn = list(np.random.default_rng(0).uniform(0.1, 5.0, (2, SIZE)))
    if name != "divide":
        theirs, drawn = vectormath.by_numpy(name), vectormath.drawn(name)
    arguments = [x[:SIZE].astype(dtype) for x in drawn]
    out = np.empty(SIZE, dtype)
    ours = _kernel(name, dtype, len(arguments))
    return lambda: theirs(*arguments, out=out), lambda: ours(*arguments, out)


def _kernel(name: str, dtype: str, count: int) -> Callable[..., None]:
    """Return hybrid's kernel of one function."""
    from hybrid.kernels.kernel import kernel_of
    from hybrid.kernels.region import Access, Instr, Region

    expr = "{0} / {1}" if name == "divide" else f"{name}({', '.join(['{0}', '{1}'][:count])})"
    access = Access(dtype, 1, 0, (1,))
    body = (Instr("map", name, expr, tuple(range(count)), dtype),)
    kernel, geometry = kernel_of(Region((SIZE,), (), (access,) * count, body, ((count, access),)))
    return functools.partial(kernel.call, 0, geometry)
