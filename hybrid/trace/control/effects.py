"""What a graph does besides computing: ``hb.print``, ``hb.callback``, ``hb.assert_``.

The ops are impure: they run at each call, in the order of the program, and no pass removes, merges
or repeats them.
"""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from itertools import count
from string import Formatter
from types import FunctionType
from typing import Any

import numpy as np

from hybrid.core import containers, dispatch
from hybrid.core.devices import CPU
from hybrid.core.making import as_ndarray, asarray
from hybrid.core.op import Op, register
from hybrid.core.operands import PYTHON_SCALARS
from hybrid.core.placed import together
from hybrid.core.places import DeviceArray, data_to, on_cpu
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import Array, ArrayLike, Tensor
from hybrid.core.unknown import settled
from hybrid.core.variable import Variable
from hybrid.errors import AssertionFailed, DTypeError, ShapeError
from hybrid.records import dataclass
from hybrid.trace.control.nests import describe

_NO_RESULT = "it has no results"


@dataclass(frozen=True, slots=True)
class Message:
    """A text with fields, some of which are filled when the graph is made.

    Attributes
    ----------
    text : str
        As for ``str.format``.
    names : tuple
        For each array the position or name of its field.
    fixed : tuple of (position or name, value)
        What is no array.
    """

    text: str
    names: tuple[int | str, ...]
    fixed: tuple[tuple[int | str, Any], ...]

    def filled(self, arrays: tuple[Any, ...]) -> str:
        """Return the text with arrays in their fields."""
        fields = dict(self.fixed) | dict(zip(self.names, arrays, strict=True))
        given = [fields[i] for i in range(len(fields)) if i in fields]
        named = {key: x for key, x in fields.items() if isinstance(key, str)}
        return self.text.format(*given, **named)

    def __str__(self) -> str:
        return repr(self.text)


def _message(
    construct: str, text: str, args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Message, tuple[Any, ...]]:
    missing = [
        field for field in _fields(construct, text) if field not in (*range(len(args)), *named)
    ]
    if missing:
        given = f"{len(args)} values" if len(args) != 1 else "1 value"
        names = f" and {', '.join(named)}" if named else ""
        raise ValueError(
            located(
                f"{construct}: no value for field {missing[0]} of {text!r}, given {given}{names}"
            )
        )
    fields: dict[int | str, Any] = dict(enumerate(args)) | named
    arrays = {key: x for key, x in fields.items() if _is_array(x)}
    fixed = tuple((key, x) for key, x in fields.items() if key not in arrays)
    return Message(text, tuple(arrays), fixed), tuple(arrays.values())


def _fields(construct: str, text: str) -> Iterator[int | str]:
    """Yield the positions and names of the fields of a text, those inside of formats too."""
    automatic = count()
    pending = [text]
    while pending:
        try:
            parts = list(Formatter().parse(pending.pop()))
        except ValueError as error:
            raise ValueError(located(f"{construct}: {error}, in {text!r}")) from None
        for _, field, spec, _ in parts:
            if field is not None:
                name = re.split(r"[.\[]", field, maxsplit=1)[0]
                yield next(automatic) if not name else int(name) if name.isdigit() else name
                pending.append(spec or "")


def _is_array(x: Any) -> bool:
    return isinstance(x, (Tensor, Variable, np.ndarray, np.generic, *PYTHON_SCALARS))


# --- print ----------------------------------------------------------------------------------------


def _eager_print(
    xp: Any,
    *arrays: Any,
    message: Message,
    stream: str = "stdout",
    end: str = "\n",
    flush: bool = False,
) -> tuple[()]:
    file = getattr(sys, stream)  # as it is at the run
    builtins.print(message.filled(tuple(map(on_cpu, arrays))), end=end, file=file, flush=flush)
    return ()


PRINT = register(
    Op(
        name="print",
        family="control",
        infer=lambda *specs, **attrs: (),
        eager=_eager_print,
        multi=True,
        impure=True,
        acts=True,
        anywhere=True,
        no_gradient=_NO_RESULT,
        doc="Print a text with arrays in it.",
    )
)


def print(text: Any, /, *args: Any, **named: Any) -> None:
    """Print at every run, in compiled functions too.

    The built-in ``print`` ends a trace where it is given a Tensor; this one is part of the graph
    and shows values, in the order of the program.

    Parameters
    ----------
    text : str
        With fields, as for ``str.format``. Anything else is printed as it is.
    *args, **named
        What goes into the fields.

    Raises
    ------
    ValueError
        Where the text has a field for which there is no value.

    Examples
    --------
    >>> import hybrid as hb
    >>> @hb.compile
    ... def halve(x):
    ...     hb.print("x is {}, of size {size:.2f}", x, size=(x * x).sum())
    ...     return x / 2
    >>> _ = halve(hb.asarray([3.0, 4.0])), halve(hb.asarray([0.0, 1.0]))
    x is [3. 4.], of size 25.00
    x is [0. 1.], of size 1.00
    """
    if not isinstance(text, str):
        args = (text, *args)
        text = " ".join(["{}"] * len(args))
    message, arrays = _message("print", text, args, named)
    dispatch.bind_all(PRINT, arrays, {"message": message})


def print_text(text: str, numbers: tuple[Any, ...], stream: str, *, flush: bool) -> None:
    """Print a text with numbers in it to what is ``sys.stdout`` or ``sys.stderr`` at each run."""
    message, arrays = _message("print", text, numbers, {})
    attrs = {"message": message, "stream": stream, "end": "", "flush": flush}
    dispatch.bind_all(PRINT, arrays, attrs)


# --- assert_ --------------------------------------------------------------------------------------


def _eager_assert(xp: Any, condition: Any, *arrays: Any, message: Message) -> tuple[()]:
    if not np.all(on_cpu(condition)):
        raise AssertionFailed(message.filled(tuple(map(on_cpu, arrays))))
    return ()


ASSERT = register(
    Op(
        name="assert_",
        family="control",
        infer=lambda *specs, message: (),
        eager=_eager_assert,
        raises=True,
        multi=True,
        impure=True,
        anywhere=True,
        no_gradient=_NO_RESULT,
        doc="Raise unless all elements are true.",
    )
)


def assert_(condition: ArrayLike, text: str = "", /, *args: Any, **named: Any) -> None:
    """Raise at every run at which a condition does not hold, in compiled functions too.

    Python's ``assert`` works as well, but asks for the value, which ends a segment of the graph.

    Parameters
    ----------
    condition : array-like
        All its elements must be true.
    text : str, optional
        What the error says, with fields as for ``str.format``.
    *args, **named
        What goes into the fields.

    Raises
    ------
    AssertionFailed
        An AssertionError; it names the line of the call.

    Examples
    --------
    >>> import hybrid as hb
    >>> @hb.compile
    ... def root(x):
    ...     hb.assert_(x >= 0, "root of {}", x)
    ...     return hb.sqrt(x)
    >>> root(hb.asarray(4.0))
    Tensor(2., dtype=float32)
    >>> root(hb.asarray(-4.0))
    Traceback (most recent call last):
    hybrid.errors.AssertionFailed: root of -4.0
      at ...
    """
    text = text or "the assertion does not hold"
    message, arrays = _message("assert_", text, args, named)
    dispatch.bind_all(ASSERT, (condition, *arrays), {"message": message})


# --- callback -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class Called:
    """A Python function, and the containers of its arguments and results."""

    function: Callable[..., Any]
    arguments: Any
    results: Any

    def __call__(self, arrays: tuple[Any, ...], specs: tuple[TensorSpec, ...]) -> tuple[Array, ...]:
        given = containers.unflatten(self.arguments, [np.array(on_cpu(x)) for x in arrays])
        # The call may come from a Plan that runs in the middle of a trace.
        trace = None if dispatch.state.recorder is None else dispatch.state.recorder.trace
        around = nullcontext() if trace is None else trace.called_back()
        with around, dispatch.scope(recorder=None, tapes=()):
            returned = self.function(*given)
        return _checked(str(self), returned, self.results, specs)

    def __str__(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)


def _checked(
    name: str, returned: Any, tree: Any, specs: tuple[TensorSpec, ...]
) -> tuple[Array, ...]:
    if not specs:
        return ()
    leaves, found = containers.flatten(returned)
    if found != tree:
        raise ShapeError(f"callback: {name} returned {found}, result_spec is {tree}")
    arrays = []
    for leaf, spec in zip(leaves, specs, strict=True):
        array = as_ndarray(leaf._data if isinstance(leaf, Tensor) else leaf)
        if _is_python(leaf) and np.can_cast(array.dtype, spec.dtype, "same_kind"):
            array = array.astype(spec.dtype)
        if (array.shape, array.dtype) != (spec.shape, spec.dtype):
            is_ = describe(TensorSpec(array.shape, array.dtype))
            kind = DTypeError if array.shape == spec.shape else ShapeError
            raise kind(f"callback: {name} returned {is_}, result_spec says {describe(spec)}")
        arrays.append(array.copy())
    return tuple(arrays)


def _is_python(x: Any) -> bool:
    return not hasattr(x, "dtype")


def _infer_callback(
    *inputs: TensorSpec, call: Called, specs: tuple[TensorSpec, ...]
) -> tuple[TensorSpec, ...]:
    device = together("callback", ((x.device, x.ndim) for x in inputs)) or CPU
    return tuple(replace(spec, device=device) for spec in specs)


def _eager_callback(
    xp: Any, *arrays: Any, call: Called, specs: tuple[TensorSpec, ...]
) -> tuple[Any, ...]:
    here = next((x.place for x in arrays if type(x) is DeviceArray), None)
    return tuple(data_to(x, here) for x in call(arrays, specs))


CALLBACK = register(
    Op(
        name="callback",
        family="control",
        infer=_infer_callback,
        eager=_eager_callback,
        multi=True,
        impure=True,
        acts=True,
        anywhere=True,
        no_gradient="what a Python function computes is not known",
        doc="Call a Python function.",
    )
)


def callback(function: Callable[..., Any], result_spec: Any, /, *args: Any) -> Any:
    """Call a Python function at every run, in compiled functions too.

    Parameters
    ----------
    function : callable
        Called with NumPy arrays of its own, in the containers of `args`. It may do anything, call
        compiled functions included.
    result_spec : TensorSpec, nested container of them, or None
        Shape and dtype of what it returns; None where it returns nothing of interest. Tensors
        serve as specs too.
    *args : array-like or nested containers
        What it is called with.

    Returns
    -------
    Tensor or container like `result_spec`, or None
        No gradient flows through it.

    Raises
    ------
    ShapeError, DTypeError
        At the run, where the function returns something else than `result_spec` says.

    Examples
    --------
    >>> import hybrid as hb
    >>> log = []
    >>> @hb.compile
    ... def step(x):
    ...     hb.callback(log.append, None, x.sum())
    ...     return hb.callback(lambda a: a[::-1], hb.TensorSpec((2,), hb.float32), x) * 10
    >>> step(hb.asarray([1.0, 2.0]))
    Tensor([20., 10.], dtype=float32)
    >>> step(hb.asarray([3.0, 4.0]))
    Tensor([40., 30.], dtype=float32)
    >>> [float(x) for x in log]
    [3.0, 7.0]
    """
    leaves, arguments = containers.flatten(args)
    for x in leaves:
        if not _is_array(x):
            kind = type(x).__name__
            raise DTypeError(located(f"callback: an argument is a {kind}, not an array"))
    given, results = containers.flatten(result_spec)
    specs = tuple(_spec(x) for x in given) if result_spec is not None else ()
    _fix_numbers(function)
    trace = None if dispatch.state.recorder is None else dispatch.state.recorder.trace
    if trace is not None:
        trace.before_callback(function)
    call = Called(function, arguments, results)
    out = dispatch.bind_all(CALLBACK, tuple(leaves), {"call": call, "specs": specs})
    return None if result_spec is None else containers.unflatten(results, out)


def _fix_numbers(function: Any, seen: frozenset[int] = frozenset()) -> None:
    """Make the trace one for the unknown numbers that `function`, which runs later, has kept."""
    kept = [getattr(function, name, None) for name in ("args", "keywords", "__defaults__")]
    for cell in getattr(function, "__closure__", None) or ():
        with suppress(ValueError):  # an empty one
            kept.append(cell.cell_contents)
    for x in containers.leaves_of(kept):
        settled(x)
        if isinstance(x, FunctionType) and id(x) not in seen:
            _fix_numbers(x, seen | {id(function)})


def _spec(x: Any) -> TensorSpec:
    if isinstance(x, TensorSpec):
        return TensorSpec(x.shape, np.dtype(x.dtype))
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        return asarray(x).spec if not isinstance(x, Tensor) else TensorSpec(x.shape, x.dtype)
    kind = type(x).__name__
    raise DTypeError(located(f"callback: result_spec has a {kind}, not a TensorSpec"))
