"""What NumPy makes of unusual calls: the same values, dtypes and refusals, eager and traced.

Found by calling NumPy's functions with random arrays and options; each family of finds is here.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb

F8 = np.array([[3.0, -1.0, 2.5], [4.0, 0.0, 0.5]])
F4 = F8.astype(np.float32)
C8 = np.array([1 + 2j, -1j, 3.0], np.complex64)
I4 = np.array([[3, -1, 2], [4, 0, 5]], np.int32)
U1 = np.array([3, 1, 2], np.uint8)
B = np.array([True, False, True])
NONE = np.zeros((0, 3), np.float32)


def on_copy(write: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: Any, *others: Any) -> Any:
        x = np.copy(x)
        write(x, *others)
        return x

    return call


AGREE: dict[str, tuple[Callable[..., Any], tuple[np.ndarray[Any, Any], ...]]] = {
    # comparisons with what is no array
    "== None": (lambda x: x == None, (F8,)),  # noqa: E711
    "!= None": (lambda x: x != None, (I4,)),  # noqa: E711
    "== text": (lambda x: x == "a", (B,)),
    "!= text": (lambda x: x != "a", (NONE,)),
    "in": (lambda x: (3 in x, 7 in x, 3.0 in x, None in x), (I4,)),
    "in a number": (lambda x: (2 in x, 1 in x), (np.array(2),)),
    "in nothing": (lambda x: 1 in x, (NONE,)),
    # dtypes
    "conj of booleans": (lambda x: x.conj(), (B,)),
    "mean in int": (lambda x: np.mean(x, dtype=np.int32, axis=0), (I4,)),
    "mean of float in int": (lambda x: np.mean(x, dtype=np.int64), (F4,)),
    "mean in bool": (lambda x: np.mean(x, dtype=bool), (I4,)),
    "diff after int": (lambda x: np.diff(x, prepend=0), (U1,)),
    "diff before float": (lambda x: np.diff(x, append=1.5), (F4,)),
    "linspace dtype": (lambda x: np.linspace(x, 1, 3, axis=-1, dtype=np.float32), (F8,)),
    "sort_complex": (np.sort_complex, (C8,)),
    "select": (lambda x, b: np.select([b, ~b], [x, b]), (C8, B)),
    "select small": (lambda x, b: np.select([b, ~b], [x, b], default=-1), (I4[0], B)),
    "concatenate": (lambda x: np.concatenate([x, x], dtype=np.float32), (F8,)),
    "concatenate unsafe": (
        lambda x: np.concatenate([x, x], dtype=np.int8, casting="unsafe"),
        (F8,),
    ),
    # shapes
    "cov of a row": (lambda x: np.cov(x, rowvar=False), (F8[:1],)),
    "corrcoef of columns": (lambda x: np.corrcoef(x, rowvar=False), (F8,)),
    "copyto where": (on_copy(lambda x, y: np.copyto(x, y, where=x > 2)), (F8[0], F4[1:])),
    "copyto same kind": (on_copy(lambda x, y: np.copyto(x, y)), (F4, F8)),
    "cross axis": (lambda x, y: np.cross(x, y, axisa=0, axisc=0), (F8.T, C8)),
    "cross of two and three": (lambda x, y: np.cross(x, y, axisc=0), (F8[:, :2], F8)),
    "roll by two": (lambda x: np.roll(x, (1, 1)), (F8,)),
    # without elements
    "infinity norm": (lambda x: np.linalg.norm(x, ord=np.inf, axis=0), (NONE,)),
    "infinity norm of a matrix": (lambda x: np.linalg.norm(x, ord=np.inf), (NONE,)),
    "1-norm of a matrix": (lambda x: np.linalg.norm(x, ord=1, keepdims=True), (NONE.T,)),
    "matrix norm of halves": (lambda x: np.linalg.matrix_norm(x), (F8.astype(np.float16),)),
    # bytes
    "tobytes": (lambda x: x.tobytes(), (I4.T,)),
    "tobytes by columns": (lambda x: x.tobytes("F"), (I4,)),
    "poly of integers": (np.poly, (I4[0],)),
    "poly of halves": (np.poly, (F8[0].astype(np.float16),)),
    "hypot of one": (lambda x: np.hypot.reduce(x[:1]), (-np.abs(F8),)),
    # writes of numbers beside unsigned integers
    "subtract.at": (
        on_copy(lambda x: np.subtract.at(x, [0, 0], 1)),
        (U1.astype(np.uint64),),
    ),
    "put_along_axis": (
        on_copy(lambda x: np.put_along_axis(x, np.argmax(x, axis=0, keepdims=True), 1, 0)),
        (U1.astype(np.uint64),),
    ),
}

REFUSED: dict[str, tuple[Callable[..., Any], tuple[np.ndarray[Any, Any], ...], str]] = {
    "einsum diagonal": (lambda x: np.einsum("ii", x), (F8[:1],), r"'i' in 'ii' has sizes 1 and 3"),
    "einsum ellipsis": (lambda x: np.einsum("...->", x), (F8,), r"'\.\.\.' are missing"),
    "gradient of bool": (np.gradient, (B,), "gradient: booleans"),
    "ediff1d of bool": (np.ediff1d, (B,), "ediff1d: booleans"),
    "ediff1d to float": (lambda x, y: np.ediff1d(x, to_end=y), (I4, F8), "float64 .* int32"),
    "concatenate": (
        lambda x: np.concatenate([x, x], dtype=np.float64),
        (C8,),
        "concatenate: complex64 does not become float64 by the rule 'same_kind'",
    ),
    "copyto": (on_copy(lambda x, y: np.copyto(x, y)), (I4, F8), "float64 .* int32"),
    "copyto where": (
        on_copy(lambda x, y: np.copyto(x, y, where=x > 0)),
        (U1, C8),
        "copyto: complex64 does not become uint8",
    ),
    "accumulate": (np.add.accumulate, (np.array(1.0),), "cannot accumulate|add.accum"),
    "reduceat": (
        lambda x: np.add.reduceat(x, [0]),
        (np.array(1.0),),
        "cannot reduceat|add.reduceat",
    ),
    "unravel_index": (lambda x: np.unravel_index(x, (9, 9)), (F8,), "unravel_index: .*float64"),
    "ravel_multi_index": (
        lambda x: np.ravel_multi_index((x, x), (9, 9)),
        (F4,),
        "ravel_multi_index: .*float32",
    ),
    "polyfit of nothing": (lambda x: np.polyfit(x, x, 1), (NONE[:, 0],), r"polyfit: .*\(0,\)"),
    "polyfit of a matrix": (lambda x: np.polyfit(x, x, 1), (F8,), r"polyfit: .*\(2, 3\)"),
}


def run(mode: str, call: Callable[..., Any], arrays: Any) -> Any:
    function = call if mode == "eager" else hb.compile(lambda *args: call(*args))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*map(hb.asarray, arrays))


MODES = pytest.mark.parametrize("mode", ["eager", "traced"])


@MODES
@pytest.mark.parametrize("name", AGREE)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_value_and_dtype_are_numpys(name: str, mode: str) -> None:
    call, arrays = AGREE[name]
    agree(run(mode, call, arrays), call(*arrays))


def agree(found: Any, expected: Any) -> None:
    if isinstance(expected, tuple | bytes | bool):
        assert found == expected
        return
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-6)


@MODES
@pytest.mark.parametrize("name", REFUSED)
def test_what_numpy_refuses_is_refused_with_names_and_shapes(name: str, mode: str) -> None:
    call, arrays, words = REFUSED[name]
    with pytest.raises((TypeError, ValueError)) as theirs:
        call(*arrays)
    kind = TypeError if isinstance(theirs.value, TypeError) else ValueError
    with pytest.raises(kind, match=words):
        run(mode, call, arrays)


_FOLDING = [np.logical_or, np.logical_and, np.logical_xor, np.bitwise_or, np.bitwise_xor]
_FOLDING += [np.logaddexp, np.logaddexp2, np.hypot, np.gcd, np.fmax]


@pytest.mark.parametrize("ufunc", _FOLDING, ids=lambda ufunc: ufunc.__name__)
def test_ufuncs_fold_single_elements_into_the_dtype_of_their_results(ufunc: np.ufunc) -> None:
    dtypes, shapes = ("bool", "uint8", "int32", "float32", "complex64"), [(1,), (1, 3), (3, 1), ()]
    calls = {"reduce": lambda x: ufunc.reduce(x), "accumulate": lambda x: ufunc.accumulate(x)}
    for dtype, shape, (name, call) in itertools.product(dtypes, shapes, calls.items()):
        x = np.ones(shape, dtype)
        case = f"{ufunc.__name__}.{name} of {dtype}{shape}"
        try:
            expected = np.asarray(call(x))
        except TypeError:
            for mode in ("eager", "traced"):
                with pytest.raises(TypeError):
                    run(mode, call, (x,))
            continue
        for mode in ("eager", "traced"):
            found = np.asarray(run(mode, call, (x,)))
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape), case
            np.testing.assert_allclose(found, expected, rtol=1e-6, err_msg=case)


def test_a_python_number_is_compared_with_none_as_python_does() -> None:
    @hb.compile
    def scaled(x: Any, rate: Any) -> Any:
        return x if rate == None else x * rate  # noqa: E711

    np.testing.assert_array_equal(scaled(hb.ones(2), 3.0).numpy(), [3, 3])
