"""``hb.compile``: the decorator, and what it may be given."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, overload

from hybrid.trace.compiled_function import CompiledFunction


@overload
def compile(function: Callable[..., Any], /) -> CompiledFunction: ...
@overload
def compile(
    function: Callable[..., Any],
    /,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    input_signature: Sequence[Any] | None = None,
    background: bool = False,
) -> CompiledFunction: ...
@overload
def compile(
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    input_signature: Sequence[Any] | None = None,
    background: bool = False,
) -> Callable[[Callable[..., Any]], CompiledFunction]: ...
def compile(
    function: Callable[..., Any] | None = None,
    /,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    input_signature: Sequence[Any] | None = None,
    background: bool = False,
) -> Any:
    """Trace a function and run it as fused kernels.

    The function is traced once per shape and dtype of its arguments; later calls replay the trace
    without running any Python of it. Python control flow on traced values is followed: each way
    through the function is traced when it is first taken.

    Parameters
    ----------
    function : callable
        A function, a method in the body of a class, or an object that can be called.
    fullgraph : bool
        Raise :class:`hybrid.errors.TraceError` where the function cannot become one graph.
    dynamic : bool, optional
        Whether sizes of arguments are unknown in a trace, so that it serves calls of any size. Left
        out, an axis becomes unknown by itself when it comes with a third size; False keeps one
        trace for each size, True leaves all of them open from the first trace on.
    input_signature : sequence, optional
        A :class:`hybrid.TensorSpec` (or a container of them) for each of the leading parameters;
        None in a shape is an unknown size. Other arguments are refused with TypeError or
        ValueError.
    background : bool
        Do not let calls wait for the compiler: until the kernels are there, the ops of the trace
        run one by one, as in eager code. An error of the compiler is raised by the next call, and
        by :meth:`CompiledFunction.wait`. Bodies of loops, and functions called under a tape of the
        caller's, are compiled at once.

    Returns
    -------
    CompiledFunction
        It is called as the function is. Its methods ``explain``, ``cache_info`` and
        ``get_concrete_function`` tell what was traced and why. With options only, a decorator.

    Raises
    ------
    TypeError
        Where `function` cannot be called.

    Examples
    --------
    >>> import hybrid as hb
    >>> @hb.compile
    ... def f(x):
    ...     return hb.tanh(x) * 2
    >>> f(hb.asarray([0.0, 0.0]))
    Tensor([0., 0.], dtype=float32)
    """
    options: dict[str, Any] = {
        "fullgraph": fullgraph,
        "dynamic": dynamic,
        "input_signature": input_signature,
        "background": background,
    }
    if function is None:
        return functools.partial(CompiledFunction, **options)
    if isinstance(function, classmethod | staticmethod):  # the decorators in the other order
        return type(function)(CompiledFunction(function.__func__, **options))
    if isinstance(function, CompiledFunction):
        function = function.__wrapped__
    if not callable(function):
        raise TypeError(f"compile: {function!r} is not a function; options are given by name")
    return CompiledFunction(function, **options)
