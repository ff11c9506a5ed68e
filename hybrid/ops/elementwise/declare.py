"""How an elementwise op is declared: one call gives the Op, the public function and the operators.

A declaration names the op, the NumPy ufunc whose dtype rules and loops it shares, the scalar
expression for fused kernels and the gradient by each input, in the notation of the formula. What
follows from that (broadcasting, promotion, error texts, reflected and in-place operators, the table
that NumPy's protocols use) is made here, once.

Eager operators on small arrays are dominated by Python, so that the functions made here try the
ufunc directly where nothing records the call. Whatever goes wrong there is left to the general
path, :func:`hybrid.core.dispatch.bind`, which explains it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.dispatch import bind, busy, state
from hybrid.core.op import Example, Op, register
from hybrid.core.op import Rule as Gradient
from hybrid.core.spec import Shape, TensorSpec, broadcast_shapes
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.dtypes import DType
from hybrid.errors import DTypeError, ShapeError
from hybrid.ops.elementwise.operands import SCALARS, strong
from hybrid.ops.elementwise.operators import attach_binary, attach_unary, binary_call, unary_call

Key = DType | type
Loop = tuple[DType, ...]
DTypeRule = Callable[..., Loop]
"""``rule(*keys)``: the dtypes the inputs are cast to, then the dtype of the result. A key is a
dtype, or int, float, complex for a value that stands for a Python scalar."""

Mend = tuple[str, Callable[..., Any]]
Unary = Callable[[ArrayLike], Tensor]
Binary = Callable[[ArrayLike, ArrayLike], Tensor]

PIECEWISE = "piecewise constant: its gradient is zero wherever it exists"
INTEGER = "its inputs are integers or booleans"

UFUNCS: dict[np.ufunc, Callable[..., Any]] = {}
"""The public function that does what a NumPy ufunc does."""

_WEAK_KEYS: dict[str, Key] = {"b": dtypes.bool_, "i": int, "f": float, "c": complex}


# --- dtype rules ----------------------------------------------------------------------------------


def loops_of(ufunc: np.ufunc) -> DTypeRule:
    """Return the dtype rule of `ufunc`: the loop that NumPy would choose.

    Parameters
    ----------
    ufunc : numpy.ufunc
        With one result.

    Returns
    -------
    callable
        Raises TypeError where NumPy has no loop.
    """

    @cache
    def rule(*keys: Key) -> Loop:
        if dtypes.bfloat16 in keys:
            keys = tuple(dtypes.bfloat16 if _is_real_scalar(key) else key for key in keys)
        return tuple(ufunc.resolve_dtypes((*keys, None)))

    return rule


def _is_real_scalar(key: Key) -> bool:
    return isinstance(key, type) and key is not complex


def key_of(x: Any) -> Key:
    """Return the key of an array or a Python scalar."""
    if type(x) in SCALARS:
        return dtypes.bool_ if type(x) is bool else type(x)
    dtype: DType = x.dtype
    return dtype


def _narrowed(eager: Callable[..., Any]) -> Callable[..., Any]:
    """Make Python scalars that meet bfloat16 weak, for which NumPy widens."""

    def narrowed(xp: Any, x: Any, y: Any) -> Any:
        if type(x) in (int, float) and type(y) not in SCALARS and y.dtype == dtypes.bfloat16:
            x = y.dtype.type(x)
        elif type(y) in (int, float) and type(x) not in SCALARS and x.dtype == dtypes.bfloat16:
            y = x.dtype.type(y)
        return eager(xp, x, y)

    return narrowed


def _refusing(eager: Callable[..., Any], rule: DTypeRule) -> Callable[..., Any]:
    """Let an eager form that is not a ufunc itself refuse the dtypes that its rule refuses."""
    check = cache(rule)

    def refusing(xp: Any, *arrays: Any) -> Any:
        check(*map(key_of, arrays))
        return eager(xp, *arrays)

    return refusing


REAL = loops_of(np.fabs)
"""Functions of one real number: integers become floating-point, complex numbers are refused."""


def meeting(*keys: Key) -> DType:
    """Return the dtype in which values of `keys` meet."""
    if len(keys) == 1:
        return _MEET(keys[0], keys[0])[-1]
    common = _MEET(*keys[:2])[-1]
    for key in keys[2:]:
        common = _MEET(common, key)[-1]
    return common


# Every pair of dtypes can be added; bfloat16 with Python scalars and with wide integers included,
# where numpy.result_type refuses or widens.
_MEET = loops_of(np.add)


def _loop(name: str, rule: DTypeRule, hint: str, specs: tuple[TensorSpec, ...]) -> Loop:
    """Apply a dtype rule to specs; Python scalars among arrays are weak."""
    weak = not all(s.weak for s in specs)
    keys = [_WEAK_KEYS[s.dtype.kind] if s.weak and weak else s.dtype for s in specs]
    try:
        return rule(*keys)
    except TypeError:
        given = " and ".join(map(_describe, keys))
        raise DTypeError(f"{name}: not defined for {given}; {hint}") from None


def _describe(key: Key) -> str:
    return f"Python {key.__name__}" if isinstance(key, type) else key.name


# --- shapes ---------------------------------------------------------------------------------------


def broadcast(name: str, specs: tuple[TensorSpec, ...]) -> Shape:
    """Return the shape to which `specs` broadcast.

    Raises
    ------
    ShapeError
        Naming the op and the shapes.
    """
    try:
        return broadcast_shapes(*(spec.shape for spec in specs))
    except ValueError:
        raise _do_not_broadcast(name, specs) from None


def _do_not_broadcast(name: str, specs: tuple[TensorSpec, ...]) -> ShapeError:
    shapes = [str(s.shape) for s in specs]
    listed = ", ".join(shapes[:-1]) + f" and {shapes[-1]}"
    return ShapeError(
        f"{name}: shapes {listed} do not broadcast; counted from the last axis, sizes must be "
        "equal or 1: add axes with expand_dims or x[:, None], or reshape"
    )


def _device(specs: tuple[TensorSpec, ...]) -> str:
    return next((s.device for s in specs if not s.weak), specs[0].device)


# --- declarations ---------------------------------------------------------------------------------


def elementwise(
    name: str,
    eager: Callable[..., Any] | np.ufunc,
    rule: DTypeRule,
    *,
    scalar: str | None,
    vjp: tuple[Gradient | None, ...],
    doc: str,
    examples: tuple[Example, ...],
    hint: str = "convert with astype first",
    no_gradient: str = "",
    chosen: Callable[..., Any] | None = None,
    raises: bool = False,
    put: Op | None = None,
    into: Callable[..., Any] | None = None,
) -> Op:
    """Make and register the Op of an elementwise function without attributes.

    Parameters
    ----------
    name : str
    eager : callable
        ``eager(xp, *arrays)``, or the ufunc that it is.
    rule : callable
        The dtype rule.
    scalar : str or None
        None keeps the op out of fused kernels: then it runs as a library call.
    vjp : tuple
        Per input ``rule(g, out, *inputs)`` or None.
    doc : str
    examples : tuple of Example
    hint : str
        What to do about a dtype that is refused.
    no_gradient : str
        Why there is no rule.
    chosen, into : callable, optional
    raises : bool
    put : Op, optional
        See :class:`Op`.

    Returns
    -------
    Op
    """

    if isinstance(eager, np.ufunc):
        eager = _by_name(eager)
    else:
        eager = _refusing(eager, rule)

    def infer(*specs: TensorSpec) -> TensorSpec:
        result = _loop(name, rule, hint, specs)[-1]
        weak = all(s.weak for s in specs)
        return TensorSpec(broadcast(name, specs), result, _device(specs), weak)

    def compute(specs: tuple[TensorSpec, ...]) -> Loop:
        return _loop(name, rule, hint, specs)[:-1]

    return register(
        Op(
            name=name,
            family="elementwise",
            infer=infer,
            eager=eager,
            scalar=scalar,
            compute=None if scalar is None else compute,
            literal=compute if scalar is None else None,
            vjp=vjp if any(vjp) else None,
            no_gradient=no_gradient,
            chosen=chosen,
            raises=raises,
            put=put,
            into=into,
            examples=examples,
            doc=doc,
        )
    )


def unary(
    name: str,
    scalar: str | None,
    vjp: Gradient | None = None,
    *,
    doc: str,
    ufunc: np.ufunc | None = None,
    eager: Callable[..., Any] | None = None,
    mend: Mend | None = None,
    rule: DTypeRule | None = None,
    operator: str = "",
    no_gradient: str = "",
    domain: tuple[float, float] = (-2.0, 2.0),
    dtype: str | None = None,
    hint: str = "convert with astype first",
    notes: str = "",
    example: str = "",
) -> Unary:
    """Declare an elementwise function of one array.

    Parameters
    ----------
    name : str
    scalar : str or None
        Scalar expression of ``{0}``.
    vjp : callable, optional
        ``vjp(g, out, x)``.
    doc : str
        One line.
    ufunc : numpy.ufunc, optional
        Its loops give the dtype rule and, where `eager` is None, the eager form.
    eager : callable, optional
        ``eager(xp, x)``.
    mend : pair, optional
        Characters of dtypes whose results by `ufunc` are wrong, and ``rule(xp, result, x)`` that
        gives the right ones.
    rule : callable, optional
        Dtype rule, where it is not that of `ufunc`.
    operator : str
        The operator that does the same: ``"__neg__"``.
    no_gradient : str
        Why there is no `vjp`.
    domain : pair of float
        Where tests draw values from.
    dtype : str, optional
        Dtype of the values that tests draw, floating-point if None.
    hint : str
        What to do about a dtype that is refused.
    notes, example : str
        Sections of the docstring.

    Returns
    -------
    callable
        The public function.
    """
    given = None if dtype is None else (dtype,)
    shapes: tuple[Shape, ...] = ((2, 3), (), (0, 3))
    direct: Callable[..., Any] | None = ufunc if eager is None else None
    if ufunc is not None and eager is None and rule is not None:
        eager = _by_name(ufunc)  # which refuses what the rule does; the function refuses nothing
    if mend is not None:
        eager, direct = _mended(_given(ufunc), mend)
    op = elementwise(
        name,
        eager or _given(ufunc),
        rule or loops_of(_given(ufunc)),
        scalar=scalar,
        vjp=(vjp,),
        doc=doc,
        examples=tuple(Example((s,), dtypes=given, domain=domain) for s in shapes),
        hint=hint,
        no_gradient=no_gradient,
    )
    if operator:
        attach_unary(operator, op, direct)
    function = unary_call(op, direct)
    _publish(function, op, "x : array-like\n", notes, example)
    if ufunc is not None:
        UFUNCS[ufunc] = function
    return function


def binary(
    name: str,
    scalar: str | None,
    *vjp: Gradient | None,
    doc: str,
    ufunc: np.ufunc,
    mend: Mend | None = None,
    rule: DTypeRule | None = None,
    operator: str = "",
    no_gradient: str = "",
    domain: tuple[float, float] = (-2.0, 2.0),
    dtype: str | None = None,
    hint: str = "convert with astype first",
    notes: str = "",
    example: str = "",
) -> Binary:
    """Declare an elementwise function of two arrays.

    Parameters
    ----------
    name : str
    scalar : str or None
        Scalar expression of ``{0}`` and ``{1}``.
    *vjp : callable
        ``rule(g, out, x, y)`` for `x`, then for `y`; the tape undoes the broadcasting.
    doc : str
        One line.
    ufunc : numpy.ufunc
    mend : pair, optional
        Characters of dtypes whose results by `ufunc` are wrong, and ``rule(xp, result, x, y)`` that
        gives the right ones.
    rule : callable, optional
        Dtype rule, where it is not that of `ufunc`.
    operator : str
        The operator that does the same; ``"__add__"`` makes ``__radd__`` and ``__iadd__`` too.
    no_gradient, domain, dtype, hint, notes, example
        As for :func:`unary`.

    Returns
    -------
    callable
        The public function.
    """
    given = None if dtype is None else (dtype, dtype)
    pairs: tuple[tuple[Shape, Shape], ...] = (
        ((2, 3), (2, 3)),
        ((2, 3), (3,)),
        ((2, 1), (1, 3)),
        ((), (2,)),
    )
    eager, direct = (ufunc, ufunc) if mend is None else _mended(ufunc, mend)
    op = elementwise(
        name,
        eager,
        rule or loops_of(ufunc),
        scalar=scalar,
        vjp=vjp or (None, None),
        doc=doc,
        examples=tuple(Example(pair, dtypes=given, domain=domain) for pair in pairs),
        hint=hint,
        no_gradient=no_gradient,
    )
    if operator:
        attach_binary(operator, op, direct)
    function = binary_call(op, direct)
    _publish(function, op, "x1, x2 : array-like\n    Of shapes that broadcast.\n", notes, example)
    UFUNCS[ufunc] = function
    return function


def call(op: Op, *inputs: Any) -> Tensor:
    """Apply `op` to whatever a public function is given."""
    first = inputs[0]
    if (not busy or state.plain) and type(first) is Tensor and type(first._data) is np.ndarray:
        for x in inputs:
            if type(x) is not Tensor and type(x) not in SCALARS:
                break
        else:
            return bind(op, inputs, {})
    return bind(op, strong(*inputs), {})


def _given(ufunc: np.ufunc | None) -> np.ufunc:
    if ufunc is None:
        raise ValueError("a declaration needs a ufunc, or both eager= and rule=")
    return ufunc


def _by_name(ufunc: np.ufunc) -> Callable[..., Any]:
    """Return the eager form that looks `ufunc` up in the array module at hand."""
    name = ufunc.__name__

    def eager(xp: Any, *arrays: Any) -> Any:
        return getattr(xp, name)(*arrays)

    return _narrowed(eager) if ufunc.nin == 2 else eager


def _mended(ufunc: np.ufunc, mend: Mend) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the eager form that corrects what `ufunc` gives, and the same for NumPy alone."""
    wrong, rule = mend
    plain = _by_name(ufunc)

    def eager(xp: Any, *arrays: Any) -> Any:
        result = plain(xp, *arrays)
        return rule(xp, result, *arrays) if result.dtype.char in wrong else result

    def direct(*arrays: Any) -> Any:
        result = ufunc(*arrays)
        return rule(np, result, *arrays) if result.dtype.char in wrong else result

    return eager, direct


_OUT = """out : Tensor or ndarray, optional
    What the result is written to, and returned.
"""


def _publish(
    function: Callable[..., Tensor], op: Op, parameters: str, notes: str, example: str
) -> None:
    """Give a public function its name and its docstring."""
    function.__name__ = function.__qualname__ = op.name
    function.__module__ = "hybrid"
    sections = [op.doc, _section("Parameters", parameters + _OUT), _section("Returns", "Tensor\n")]
    if notes:
        sections.append(_section("Notes", notes.strip() + "\n"))
    if example:
        sections.append(_section("Examples", example.strip() + "\n"))
    function.__doc__ = "\n\n".join(s.rstrip() for s in sections) + "\n"


def _section(title: str, text: str) -> str:
    return f"{title}\n{'-' * len(title)}\n{text}"
