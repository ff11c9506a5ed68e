"""``hybrid ops``: the page ``docs/ops.md``, made from the registry and the public namespace."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import groupby
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.op import OPS, Example, Op
from hybrid.core.spec import TensorSpec
from hybrid.errors import HybridError

_HEAD = """\
# Ops

*Written by `python -m hybrid ops > docs/ops.md`; do not edit. A test compares.*

An op is a primitive: one record with its shape rule, eager form, scalar expression and
gradient. There are {ops}, and {fusable} of them can be part of a kernel. Every op runs eagerly,
in a compiled function and under a tape. The columns:

- **dtypes** of the inputs. *real* is integers and real floating-point, *numeric* is real and
  complex, *bits* is bool and integers, *float* is real floating-point, *inexact* is float and
  complex, *any* is all 15. In complex numbers, arithmetic, `where`, equality and the like are
  fused; functions such as `exp`, and reductions, are library calls.
- **compiled**: *fused* ops become loops of a kernel together with their neighbours; *fused
  reduction* ops end such a loop, *fused scan* ops run along it; *read in kernels* is what one
  kernel alone wants and does while it reads, else a library call; *expanded* ops are first written
  with simpler ones; a *view* moves nothing; *library* ops are calls of NumPy, SciPy or hybrid's
  own routines; *graphs* are run by the op itself.
- **gradient**: whether a tape can go through the op, and if not, why; a dash where no result is
  floating-point.
- **vmap**: *rule* takes the whole batch at once, *each* one example after the other.
- **GPU**: what computes it for Tensors on a card, which the tests check with a simulated one. A
  *kernel* is generated from the same Region as the CPU's; *by kernels* are ops that are first
  written with such ones. *Library* ops become no Region: their eager form, written against an
  array module, is CuPy's. A *view* moves nothing, *graphs* are run by the op itself.
"""

_NAMESPACES = ("hybrid", "hybrid.linalg", "hybrid.fft", "hybrid.random", "hybrid.nn")

_GROUPS: tuple[tuple[str, frozenset[dtypes.DType]], ...] = tuple(
    (name, frozenset().union(*(dtypes.KINDS[kind] for kind in kinds)))
    for name, kinds in (
        ("any", ("bool", "numeric")),
        ("numeric", ("numeric",)),
        ("real or bool", ("bool", "integral", "real floating")),
        ("real", ("integral", "real floating")),
        ("inexact", ("real floating", "complex floating")),
        ("float", ("real floating",)),
        ("bits", ("bool", "integral")),
        ("integers", ("integral",)),
        ("complex", ("complex floating",)),
        ("bool", ("bool",)),
    )
)


def ops_page() -> str:
    """Return the text of ``docs/ops.md``."""
    ops = registered()
    counted = _HEAD.format(ops=len(ops), fusable=sum(op.fusable for op in ops))
    return "\n".join([counted, *_op_tables(), *_function_tables()])


def registered() -> list[Op]:
    """Return all ops, with those that ``hybrid`` does not bring before they are asked for."""
    import_module("hybrid.compiled")
    import_module("hybrid.families")
    return list(OPS.values())


# --- ops ------------------------------------------------------------------------------------------


def _op_tables() -> Iterator[str]:
    ops = sorted(registered(), key=lambda op: (op.family, op.name))
    for family, members in groupby(ops, key=lambda op: op.family):
        header = ("op", "what it does", "dtypes", "compiled", "gradient", "vmap", "GPU")
        yield f"## {family}\n\n{_table(header, map(_op_row, members))}"


def _op_row(op: Op) -> tuple[str, ...]:
    return (
        f"`{op.name}`",
        op.doc,
        accepted(op),
        _compiled(op),
        _gradient(op),
        "rule" if op.aligns or op.lead or op.batch else "each",
        _gpu(op),
    )


def _compiled(op: Op) -> str:
    if op.name == "fused":
        return "kernel"
    if op.bodies:
        return "graphs"
    if op.view is not None:
        return "view"
    if op.reduce is not None:
        return "fused reduction"
    if op.scan is not None:
        return "fused scan"
    if op.scalar is not None:
        return "fused"
    if op.fusable:
        return "read in kernels"
    return "expanded" if op.expand is not None else "library"


def _gpu(op: Op) -> str:
    if op.bodies or op.name == "fused":
        return _compiled(op)
    if op.view is not None:
        return "view"
    if op.computed:
        return "kernel"
    return "by kernels" if op.expand is not None else "library"


def _gradient(op: Op) -> str:
    if op.vjp is not None or op.joint_vjp is not None:
        return "yes"
    return f"no: {op.no_gradient}" if op.no_gradient else "-"


def accepted(op: Op) -> str:
    """Name the dtypes that `op` takes, as its own rule tells for its first example."""
    if not op.examples or not op.examples[0].shapes:
        return "any" if op.family == "creation" else ""
    found = frozenset(d for d in dtypes.SUPPORTED if taken(op, op.examples[0], d) is not None)
    for name, group in _GROUPS:
        if found == group:
            return name
    return ", ".join(map(dtypes.short, sorted(found, key=lambda d: (d.kind, d.itemsize))))


def taken(op: Op, example: Example, dtype: dtypes.DType) -> list[TensorSpec] | None:
    """Return the inputs of an example in `dtype`; None where the op refuses them.

    Indices, conditions and the like keep the dtype that the example gives them.
    """
    given = [np.dtype(name) for name in example.dtypes or ("float32",) * len(example.shapes)]
    computed = [d for d in given if dtypes.is_inexact(d)] or given
    specs = [
        TensorSpec(shape, dtype if d in computed else d) for shape, d in zip(example.shapes, given)
    ]
    try:
        op.infer(*specs, **example.attrs)
    except (HybridError, TypeError):
        return None
    return specs


# --- functions ------------------------------------------------------------------------------------


def _function_tables() -> Iterator[str]:
    for name in _NAMESPACES:
        try:
            module = import_module(name)
        except ModuleNotFoundError:
            continue
        functions = dict(_functions(module))
        short = "hb" + name.removeprefix("hybrid")
        rows = (
            (f"`{spelled}{_parameters(function)}`", _summary(function))
            for spelled, function in functions.items()
        )
        yield f"## Functions of {short}\n\n{_table(('function', 'what it does'), rows)}"


def _functions(module: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    public = getattr(module, "__all__", None) or [n for n in vars(module) if n[0] != "_"]
    for name in sorted(public):
        function = getattr(module, name)
        if inspect.isfunction(function):
            yield name, function


def _parameters(function: Callable[..., Any]) -> str:
    """Spell the signature without its annotations."""
    signature = inspect.signature(function)
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    text = str(signature.replace(parameters=bare, return_annotation=signature.empty))
    return text.replace("|", "\\|")


def _summary(function: Callable[..., Any]) -> str:
    return (function.__doc__ or "").strip().partition("\n")[0]


def _table(header: tuple[str, ...], rows: Any) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
