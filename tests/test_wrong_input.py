"""Every function of the standard refuses wrong input as NumPy's does, alike in both modes.

The functions are those of ``array_api_strict``, as in ``test_array_api``. NumPy says for each call
whether it is wrong, and which of Python's exceptions says so.
"""

from __future__ import annotations

import inspect
import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import array_api_strict as strict
import numpy as np
import pytest

import hybrid as hb

X = np.arange(6.0).reshape(2, 3)
SQUARE = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]])
SPACES = [(strict, np, hb, ""), (strict.linalg, np.linalg, hb.linalg, "linalg.")]
SPACES += [(strict.fft, np.fft, hb.fft, "fft.")]

# What to call functions with whose parameters are not arrays alone.
ARGUMENTS: dict[str, list[Any]] = {
    "astype": [X, np.float32],
    "broadcast_to": [X, (2, 2, 3)],
    "clip": [X, 0, 1],
    "concat": [[X, X]],
    "cumulative_prod": [np.arange(3.0)],
    "cumulative_sum": [np.arange(3.0)],
    "expand_dims": [X, 0],
    "matmul": [SQUARE, SQUARE],
    "moveaxis": [X, 0, 1],
    "permute_dims": [X, (0, 1)],
    "repeat": [X, 2],
    "reshape": [X, (3, 2)],
    "roll": [X, 1],
    "searchsorted": [np.arange(3.0), X],
    "squeeze": [X[None], 0],
    "stack": [[X, X]],
    "take": [X, np.array([0])],
    "take_along_axis": [X, np.zeros((2, 3), int)],
    "tile": [X, (2,)],
    "where": [X > 0, X, X],
    "linalg.cross": [np.ones(3), np.ones(3)],
    "linalg.matmul": [SQUARE, SQUARE],
    "linalg.matrix_power": [SQUARE, 2],
    "linalg.outer": [np.ones(3), np.ones(3)],
}
_OF_MATRICES = ("cholesky", "det", "eigh", "eigvalsh", "inv", "matrix_norm", "matrix_rank")
_OF_MATRICES += ("matrix_transpose", "pinv", "qr", "slogdet", "solve", "svd", "svdvals", "trace")


def cases() -> Iterator[tuple[str, Callable[..., Any], Callable[..., Any], list[Any], list[str]]]:
    """Yield name, NumPy's and hybrid's function, right arguments, and all names of parameters."""
    for standard, theirs, ours, prefix in SPACES:
        for name in sorted(standard.__all__):
            function = getattr(standard, name)
            if not inspect.isfunction(function) or not hasattr(theirs, name):
                continue
            parameters = inspect.signature(function).parameters
            arguments = ARGUMENTS.get(prefix + name)
            if arguments is None:
                needed = [p for p in parameters.values() if p.default is p.empty]
                if not needed or any(p.name not in ("x", "x1", "x2") for p in needed):
                    continue
                array = SQUARE if prefix and name in _OF_MATRICES else X
                arguments = [array] * len(needed)
            found = getattr(theirs, name), getattr(ours, name)
            yield (prefix + name, *found, arguments, list(parameters))


CASES = {name: rest for name, *rest in cases()}
EACH = pytest.mark.parametrize("name", CASES)


def raised(call: Callable[..., Any], *args: Any, **options: Any) -> Exception | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call(*args, **options)
        except Exception as error:
            return error
    return None


def kinds(error: Exception) -> set[type]:
    general = (Exception, BaseException, object, RuntimeError)
    return {t for t in type(error).__mro__ if t.__module__ == "builtins" and t not in general}


def tensors(args: list[Any]) -> list[Any]:
    return [hb.asarray(x) if isinstance(x, np.ndarray) else x for x in args]


def refusal(name: str, args: list[Any], **options: Any) -> str | None:
    """Return what hybrid says in both modes, None where neither it nor NumPy refuses."""
    theirs, ours, *_ = CASES[name]
    expected = raised(theirs, *args, **options)
    eager = raised(ours, *tensors(args), **options)
    traced = raised(hb.compile(lambda *given: ours(*given, **options)), *tensors(args))
    case = f"{name}({args}, {options})"
    assert type(eager) is type(traced), f"{case}: {eager!r} eager, {traced!r} traced"
    if eager is None:
        assert expected is None, f"{case}: NumPy raises {expected!r}"
        return None
    text = str(eager).partition("\n")[0]
    assert text == str(traced).partition("\n")[0], case
    if expected is not None and kinds(expected):
        assert kinds(expected) & kinds(eager), f"{case}: {eager!r}, NumPy {expected!r}"
    return text


@EACH
def test_axes_out_of_range_and_of_other_types(name: str) -> None:
    _, _, args, parameters = CASES[name]
    for parameter in {"axis", "axes"} & {*parameters[len(args) :]}:
        if name.endswith("tensordot"):  # whose axes are a count or two tuples
            continue
        several = parameter == "axes"
        for axis in (7, -9):
            text = refusal(name, args, **{parameter: (axis,) if several else axis})
            assert text is not None
            assert name.rpartition(".")[2] in text
            assert f"{axis}" in text
        with pytest.raises(TypeError):
            CASES[name][1](*tensors(args), **{parameter: 1.5})


DTYPES = ("bool", "uint8", "float16", "complex64")


@EACH
@pytest.mark.usefixtures("without_kernels")  # most calls are refused before there is one
def test_dtypes_are_refused_where_numpy_refuses_them(name: str) -> None:
    _, _, args, _ = CASES[name]
    arrays = [x for x in args[:2] if isinstance(x, np.ndarray)]
    if not arrays or name in ("where", "take", "take_along_axis"):
        return
    for dtype in DTYPES:
        given = [x.astype(dtype) if isinstance(x, np.ndarray) else x for x in args]
        text = refusal(name, given)
        theirs = raised(CASES[name][0], *given)
        if text is not None and not isinstance(theirs, np.linalg.LinAlgError):
            assert dtype in text
            assert theirs is not None, f"{name} of {dtype}: {text}"


@EACH
def test_ints_that_do_not_fit_the_dtype(name: str) -> None:
    _, _, args, parameters = CASES[name]
    if parameters[:2] != ["x1", "x2"] or len(args) != 2 or "axis" in parameters:
        return
    small = X.astype(np.uint8)
    for value in (300, -1, 2**70):
        for given in ([small, value], [value, small]):
            expected = raised(CASES[name][0], *given)
            if isinstance(expected, OverflowError) and "matmul" not in name:
                text = refusal(name, given)
                assert text is not None
                assert text.startswith(name)


@EACH
def test_shapes_that_do_not_meet_are_named(name: str) -> None:
    *_, parameters = CASES[name]
    if parameters[:2] != ["x1", "x2"] or name in ("searchsorted", "isin"):
        return
    dtype = int if name.startswith("bitwise") else float
    given = [np.ones((2, 3), dtype), np.ones((4, 5), dtype)]
    if raised(CASES[name][0], *given) is None:
        return
    text = refusal(name, given)
    assert text is not None
    assert "(4, 5)" in text or "(2, 3)" in text


@EACH
def test_what_is_no_array_is_refused(name: str) -> None:
    _, ours, args, _ = CASES[name]
    if not isinstance(args[0], np.ndarray) or name == "result_type":
        return
    for thing in ("a", None, object(), {}):
        given = [thing, *args[1:]]
        eager = raised(ours, *tensors(given))
        traced = raised(hb.compile(lambda *rest, t=thing, f=ours: f(t, *rest)), *tensors(args[1:]))
        assert isinstance(eager, TypeError), f"{name}({thing!r}): {eager!r}"
        assert type(traced) is type(eager)


@EACH
def test_calls_with_too_few_or_unknown_arguments(name: str) -> None:
    _, ours, args, _ = CASES[name]
    for given, options in (([], {}), (args, {"nonsense": 1})):
        eager = raised(ours, *tensors(given), **options)
        traced = raised(hb.compile(lambda *xs, o=options: ours(*xs, **o)), *tensors(given))
        assert type(eager) is type(traced)
        if name not in ("result_type", "broadcast_arrays", "meshgrid") or options:
            assert isinstance(eager, TypeError), f"{name}: {eager!r}"


@pytest.mark.parametrize("name", ["zeros", "ones", "empty", "full", "eye", "broadcast_to", "tile"])
def test_shapes_beyond_memory(name: str) -> None:
    calls: dict[str, Callable[[Any], Any]] = {
        "full": lambda xp: xp.full((2**40, 2**40), 1),
        "eye": lambda xp: xp.eye(2**40, 2**40),
        "broadcast_to": lambda xp: xp.broadcast_to(xp.asarray([1.0]), (2**40, 2**40)),
        "tile": lambda xp: xp.tile(xp.asarray([1.0]), 2**62),
    }
    call = calls.get(name, lambda xp: getattr(xp, name)((2**40, 2**40)))
    expected, eager = raised(call, np), raised(call, hb)
    traced = raised(hb.compile(lambda: call(hb)))
    assert expected is not None
    assert eager is not None
    assert type(eager) is type(traced)
    assert kinds(eager) & (kinds(expected) | {MemoryError, ValueError})
    assert str(2**40) in str(eager) or str(2**62) in str(eager)


SINGULAR = {"inv": (), "solve": (np.ones((2, 2)),), "cholesky": ()}


@pytest.mark.parametrize(
    ("name", "dtype"), list(itertools.product(SINGULAR, ["f4", "f8", "c8", "c16"]))
)
def test_singular_matrices(name: str, dtype: str) -> None:
    args = [np.array([[1.0, 2.0], [2.0, 1.0 if name == "cholesky" else 4.0]], dtype)]
    args += [x.astype(dtype) for x in SINGULAR[name]]
    expected = raised(getattr(np.linalg, name), *args)
    assert isinstance(expected, np.linalg.LinAlgError)
    ours = getattr(hb.linalg, name)
    eager, traced = raised(ours, *tensors(args)), raised(hb.compile(ours), *tensors(args))
    assert type(eager) is type(traced)
    assert isinstance(eager, np.linalg.LinAlgError)
    assert name in str(eager)
    assert "(2, 2)" in str(eager)


def test_the_walk_meets_the_standard() -> None:
    assert len(CASES) > 150
