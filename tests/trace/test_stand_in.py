"""NumPy's names inside a trace: arrays that a function makes by itself can hold traced values."""

from __future__ import annotations

import functools
import pickle
import threading
import types
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy import zeros

import hybrid as hb
from hybrid.core.source import is_installed
from hybrid.errors import EagerFallbackWarning, TraceError
from hybrid.trace import stand_in
from hybrid.trace.effects import Watch
from hybrid.trace.stand_in import stood_in, wherever_named

X = np.arange(1.0, 6.0)


def differences(x: Any) -> Any:
    out = np.zeros(5)
    out[1:-1] = x[2:] - x[:-2]
    return out


def element_by_element(x: Any) -> Any:
    out = np.empty((5, 2))
    for i in range(5):
        out[i, 0] = x[i] * 2
        out[i, 1] = i
    return out


def time_steps(x: Any) -> Any:
    u = np.ones_like(np.linspace(0, 1, 5))
    for _ in range(3):
        un = u.copy()
        u[1:-1] = un[1:-1] + 0.1 * (un[2:] - 2 * un[1:-1] + un[:-2]) + x[1:-1]
    return u


def by_imported_name(x: Any) -> Any:
    out = zeros((2, 5), dtype=np.float32)
    out[1] = x
    return out


def filled(x: Any) -> Any:
    return np.full((2, 5), x) + np.full(5, 1.5)


def filled_like(x: Any) -> Any:
    out = np.full_like(np.arange(5), x[1], dtype=np.float64)
    out += np.zeros_like(np.arange(5))
    return out


def array_of_values(x: Any) -> Any:
    return np.array([[x[0], 2.0], [np.cos(x[1]), x[2]]])


def array_of_an_array(x: Any) -> Any:
    y = np.asarray(x)
    z = np.array(x, dtype=np.float32)
    return np.asarray([y, z])


def by_a_name_imported_inside(x: Any) -> Any:
    import numpy
    import numpy as other
    from numpy import ones

    out = numpy.zeros(5) + ones(5)
    out[1:] = x[1:] + other.zeros_like(numpy.arange(4))
    return out


def lines_between_values(x: Any) -> Any:
    line = np.linspace(0, x[1], 5) + np.linspace(x[0], x[4], num=5, endpoint=False)
    return line + np.logspace(0, x[1], 5, base=2.0) + np.linspace(x[:2], x[1], 5)[:, 1]


def in_a_helper(x: Any) -> Any:
    return differences(x) + element_by_element(x)[:, 0]


def known_values(x: Any) -> Any:
    weights = np.ones(3)
    weights[1] = 2
    weights /= weights.sum()
    index = np.zeros(2, int)
    index[1] = 3
    if weights[1] > 0.4:
        x = x + float(weights[1])
    return x[index] + x[int(index[1])] + len(range(index[1]))


FUNCTIONS: list[Callable[..., Any]] = [
    *(differences, element_by_element, time_steps, by_imported_name, filled, filled_like),
    *(array_of_values, array_of_an_array, in_a_helper, known_values),
    *(by_a_name_imported_inside, lines_between_values),
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_numpy_code_that_makes_arrays_is_traced_unedited(function: Callable[..., Any]) -> None:
    traced = hb.compile(function, fullgraph=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for scale in (1.0, 2.0, 3.0):
            found, expected = traced(hb.asarray(X * scale)), function(X * scale)
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    assert traced.cache_info().misses == 1


def test_a_range_between_values_is_traced_once_for_each_count() -> None:
    @hb.compile
    def f(x: Any, start: float) -> Any:
        return np.arange(start, x[1]) * 2.0, np.arange(x[0], stop=x[2], step=0.7)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for x, start in ((X, 0.5), (X * 1.1, 0.7), (X * 3, 0.25), (X, 0.75)):
            for found, expected in zip(f(hb.asarray(x), start), f.__wrapped__(x, start)):
                assert found.dtype == expected.dtype
                np.testing.assert_array_equal(found.numpy(), expected)


def test_only_functions_that_are_traced_import_the_stand_in() -> None:
    import builtins

    seen: list[Any] = []
    by_python = builtins.__import__

    def elsewhere() -> None:
        import numpy

        seen.append(numpy)

    @hb.compile
    def f(x: Any) -> Any:
        import numpy

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        exec("import numpy; seen.append(numpy)", {"seen": seen, "__name__": "module"})
        return x + numpy.zeros(5)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        f(hb.asarray(X))
    assert [x is np for x in seen[:2]] == [True, True]
    assert builtins.__import__ is by_python


def test_a_closure_cell_may_hold_numpy() -> None:
    numpy = np

    @hb.compile(fullgraph=True)
    def f(x: Any) -> Any:
        out = numpy.zeros(5)
        out[0] = x.sum()
        return out

    np.testing.assert_array_equal(f(hb.asarray(X)).numpy(), [15, 0, 0, 0, 0])
    assert numpy is np


def test_names_mean_numpy_again_after_a_trace_and_after_an_error() -> None:
    @hb.compile
    def f(x: Any) -> Any:
        assert type(np.zeros(2)) is hb.Tensor
        raise LookupError

    original = np.zeros
    with pytest.raises(LookupError):
        f(hb.asarray(X))
    assert np.zeros is original
    assert type(np.zeros(2)) is np.ndarray
    assert type(zeros(2)) is np.ndarray


class Pair(types.GenericAlias):
    """Of a class in C whose members nobody can set."""


def test_what_nobody_can_set_is_left_as_it_is() -> None:
    held = Pair(list, (np, 2.0))

    @hb.compile(fullgraph=True)
    def f(x: Any) -> Any:
        return x * held.__args__[1] + np.ones(5)

    np.testing.assert_array_equal(f(X), X * 2 + 1)
    assert held.__args__[0] is np


def test_names_mean_numpy_again_where_one_of_them_cannot_be_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numpy, array = np, X.copy()

    def f(x: Any) -> Any:
        return x + array.sum() + numpy.ones(5)

    put = stand_in._put

    def failing(place: Any, change: Any) -> None:
        put(place, change)
        if change is not stand_in._restored:
            raise RuntimeError("in the middle")

    monkeypatch.setattr(stand_in, "_put", failing)
    with pytest.raises(RuntimeError, match="in the middle"):
        hb.compile(f)(X)
    assert numpy is np
    assert type(array) is np.ndarray
    assert not stand_in._users


def test_other_threads_and_guards_see_numpy_meanwhile() -> None:
    seen: list[Any] = []

    def elsewhere() -> None:
        seen.append(type(np.zeros(2)))
        seen.append([b.name for b in watch.bindings if b.changed])

    watch = Watch(differences, [])
    again = Watch(differences, [])
    stand_ins = [stood_in(x.bindings, wherever_named(x.builtins)) for x in (watch, again)]
    with stand_ins[0], stand_ins[1]:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert seen == [np.ndarray, []]


def test_what_tensors_cannot_be_stays_numpys() -> None:
    @hb.compile
    def f(x: Any) -> Any:
        names = np.zeros(2, dtype=object)
        names[0] = "a"
        turned = np.zeros((2, 3), order="F")
        return x * len(names[0]) * turned.flags.f_contiguous

    np.testing.assert_array_equal(f(hb.asarray(X)).numpy(), X)


def test_an_ndarray_that_takes_no_traced_value_is_named_with_the_line_to_change() -> None:
    made = np.random.RandomState(0).permutation(1)  # NumPy's, but none of its functions

    @hb.compile
    def f(x: Any) -> Any:
        out = made.repeat(5) * 1.0
        out[1:] = x[1:] * 2
        return out

    with pytest.warns(EagerFallbackWarning) as caught:
        result = f(hb.asarray(X))
    np.testing.assert_array_equal(result, [0, 4, 6, 8, 10])
    text = str(caught[0].message)
    assert (
        "say out = hb.asarray(made.repeat(5) * 1.0) instead of out = made.repeat(5) * 1.0" in text
    )
    assert "out[1:] = x[1:] * 2" in text


def a_range(x: Any) -> Any:
    out = np.arange(5.0)
    out[1:] = x[:-1] * 2
    return out


def a_range_of_ints(x: Any) -> Any:
    out = np.arange(5)
    out[0] = x[0]
    return out


def a_line(x: Any) -> Any:
    out = np.linspace(0, 1, 5)
    out[2] = x.sum()
    return out * 2


def a_line_that_is_added_to(x: Any) -> Any:
    out = np.linspace(0, 1, 5)
    out += x
    return out


def a_line_seen_as_a_matrix(x: Any) -> Any:
    out = np.linspace(0, 1, 6).reshape(2, 3)
    out[1] += x[:3]
    return out


def a_matrix(x: Any) -> Any:
    out = np.eye(5)
    out[0] = x
    np.add(out, 1.0, out=out)
    return out


def a_triangle(x: Any) -> Any:
    out = np.tri(5)
    out.T[0] = x
    return out


def a_copy(x: Any) -> Any:
    out = np.copy(X)
    out += x
    return out


def an_array_of_numbers(x: Any) -> Any:
    out = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    out[[0, 2]] = x[:2]
    return out


def what_python_reads_of_it(x: Any) -> Any:
    out = np.arange(5)
    out[0] = 3
    if out[0] == 3 and out.sum() > 5:
        return x * int(out[2])
    return x


def what_numpy_computes_of_it(x: Any) -> Any:
    out = np.arange(5.0)
    out[2] = 7.0
    out += 1
    return x * np.sin(out)


def in_a_helper(x: Any) -> Any:
    return a_range(x) + a_line(x)


def an_index_stays_one(x: Any) -> Any:
    out = np.zeros(5)
    for i in np.arange(3):
        out[i] = x[i] * {j: j + 1 for j in np.arange(3)}[i]
    return out


@pytest.mark.parametrize(
    "f",
    [
        a_range,
        a_range_of_ints,
        a_line,
        a_line_that_is_added_to,
        a_line_seen_as_a_matrix,
        a_matrix,
        a_triangle,
        a_copy,
        an_array_of_numbers,
        what_python_reads_of_it,
        what_numpy_computes_of_it,
        in_a_helper,
        an_index_stays_one,
    ],
)
def test_a_new_array_that_is_written_to_takes_traced_values(f: Callable[[Any], Any]) -> None:
    traced = hb.compile(f, fullgraph=True)
    for x in (X, X * 3, -X):
        np.testing.assert_array_equal(np.asarray(traced(hb.asarray(x))), f(x), strict=True)
    assert traced.cache_info().misses == 1


def test_what_shows_the_memory_of_an_array_outside_writes_to_it() -> None:
    outside = np.zeros(3)

    def f(x: Any) -> Any:
        out = np.atleast_1d(outside)
        out[0] = x[0]
        return out * 2

    traced = hb.compile(f)
    for x in (1.0, 2.0, 3.0):
        np.testing.assert_array_equal(traced(hb.asarray([x])), [2 * x, 0, 0])
        assert outside[0] == x


def test_without_the_source_an_array_stays_numpys() -> None:
    scope: dict[str, Any] = {"np": np}
    text = "def f(x):\n    out = np.arange(3.0)\n    out[0] = x[0]\n    return out\n"
    exec(text, scope)
    with pytest.warns(EagerFallbackWarning, match="writing into an ndarray"):
        found = hb.compile(scope["f"])(hb.asarray([7.0]))
    np.testing.assert_array_equal(found, [7, 1, 2])


def test_parts_of_different_shapes_make_no_array() -> None:
    def f(x: Any) -> Any:
        return np.array([x, x[1:]])

    for function in (lambda: f(X), lambda: hb.compile(f)(hb.asarray(X))):
        with pytest.raises(ValueError, match="shape"):
            function()


def test_contents_of_a_captured_tensor_written_in_the_trace_are_read_after_the_write() -> None:
    kept = hb.zeros(3)
    part = kept[1:]

    @hb.compile
    def f(x: Any) -> Any:
        kept[1] = x.sum()
        return kept.tolist(), part.tolist()

    for scale in (1.0, 2.0):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EagerFallbackWarning)
            found = f(hb.asarray(X * scale))
        assert found == ([0.0, 15 * scale, 0.0], [15 * scale, 0.0])


def test_numba_compiles_code_that_names_numpy_during_a_trace() -> None:
    import numba

    def f(x: Any) -> Any:
        @numba.njit
        def doubled(a: Any) -> Any:
            out = np.zeros(a.shape[0])
            for i in range(a.shape[0]):
                out[i] = a[i] * 2
            return out + np.arange(5)

        return x + doubled(np.arange(5) * 1.0)

    np.testing.assert_array_equal(hb.compile(f)(hb.asarray(X)).numpy(), f(X))


JOINED: dict[str, Any] = {
    "numbers around": lambda x, m, k: np.r_[0, x, 1],
    "a fraction": lambda x, m, k: np.r_[x, 0.5, k],
    "matrices": lambda x, m, k: np.r_[m, m + 1],
    "slices": lambda x, m, k: np.r_[1:3, x, 0:1:3j],
    "booleans": lambda x, m, k: np.r_[x > 0, True],
    "a list": lambda x, m, k: np.r_[[1, 2], x > 0],
    "elements": lambda x, m, k: np.r_[x[0], x[1]],
    "columns": lambda x, m, k: np.c_[np.ones(3), x, x * k],
    "a column behind a matrix": lambda x, m, k: np.c_[m, x],
    "one column": lambda x, m, k: np.c_[x],
    "no Tensor": lambda x, m, k: np.c_[[1, 2], [3, 4]] * k,
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", JOINED)
def test_what_indexing_joins_is_traced(name: str, dtype: str) -> None:
    function = JOINED[name]
    x, m = np.linspace(0, 1, 3).astype(dtype), np.arange(6).reshape(3, 2).astype(dtype)
    traced = hb.compile(function, fullgraph=True)
    for k in (2, 2.5, 3, 4):
        found, expected = traced(x, m, k), function(x, m, k)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_directions_for_joining_are_numpys() -> None:
    with pytest.warns(EagerFallbackWarning):
        found = hb.compile(lambda x: np.r_["0,2", x, x])(X)
    np.testing.assert_array_equal(found, np.r_["0,2", X, X])


GATHERED: dict[str, Any] = {
    "sum": lambda x, a: np.sum([x[0], x[1]]),
    "norm": lambda x, a: np.linalg.norm([x[0], a]),
    "determinant": lambda x, a: np.linalg.det([[x[0], a], [2.0, x[1]]]),
    "matrix by vector": lambda x, a: np.dot([[a, 0], [0, x[1]]], [x[2], 1]),
    "diagonal": lambda x, a: np.diag([a, 1.0]),
    "any": lambda x, a: np.any([x[0] > 1, a > 1]),
    "rows": lambda x, a: np.vstack([(a, 1), (x[0], x[1])]),
    "transform": lambda x, a: np.fft.fft([a, x[1]]),
    "by hand": lambda x, a: np.stack([x * a, x]),
    "a ufunc": lambda x, a: np.hypot([a, x[0]], (x[1], 2.0)),
    "of numbers alone": lambda x, a: np.sqrt([a, 2.0]) + np.add.reduce([a, 3.0]),
    "reduced": lambda x, a: np.maximum.reduce([x, x[::-1], x * 0 + x[1]]),
    "accumulated": lambda x, a: np.multiply.accumulate([x[1], x[2]]),
    "outer": lambda x, a: np.subtract.outer([a, x[1]], x),
    "padded": lambda x, a: np.pad(x, 1, constant_values=a),
    "padded by two": lambda x, a: np.pad(x, 1, constant_values=(x[0], 2.0)),
    "a ramp": lambda x, a: np.pad(x, 2, "linear_ramp", end_values=a),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", GATHERED)
def test_numbers_that_numpy_would_gather_are_traced(name: str, dtype: str) -> None:
    function, x = GATHERED[name], np.linspace(0, 1, 3).astype(dtype)
    traced = hb.compile(function, fullgraph=True)
    for a in (0.1, 0.7):
        found, expected = traced(x, a), function(x, a)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype == "float32" else 1e-13)


def test_a_tuple_given_to_at_is_an_index() -> None:
    def f(x: Any, i: Any, j: Any) -> Any:
        y = x.copy()
        np.add.at(y, (i, j), 1)
        return y

    x, i, j = np.zeros((3, 4)), np.array([0, 2, 0]), np.array([3, 1, 3])
    np.testing.assert_array_equal(hb.compile(f, fullgraph=True)(x, i, j), f(x, i, j))


PLAIN_ADD = np.add


def test_ufuncs_are_what_they_are_in_a_trace() -> None:
    def f(x: Any) -> Any:
        known = isinstance(np.add, np.ufunc), np.add.nin, np.sqrt.__name__, {np.add: 1}[np.add]
        same = np.add is np.add, np.add == PLAIN_ADD, pickle.loads(pickle.dumps(np.add)) == np.add
        return known, same, functools.reduce(np.add, [x, x]) * 1

    x = np.ones(2)
    found, expected = hb.compile(f, fullgraph=True)(x), f(x)
    assert found[:2] == expected[:2] == ((True, 2, "sqrt", 1), (True, True, True))
    np.testing.assert_array_equal(found[2], expected[2])


@pytest.mark.parametrize(
    "func",
    [
        np.ma.getdata,
        lambda x: np.ma.getdata(x, subok=False),
        lambda x: np.ma.add(x, 1),
        lambda x: [1, np.ma.getdata(x)],
        lambda x: np.ma.masked_greater(x, 1).mean(),
        lambda x: np.ma.array([1, 2, 3], mask=[0, 0, 1]) * x,
    ],
)
def test_what_numpys_masked_arrays_take_for_contents_is_refused_with_a_way_out(func: Any) -> None:
    compiled = hb.compile(lambda x: func(x * 2))
    with pytest.raises(TraceError, match=r"numpy\.ma .*x\.numpy\(\)"):
        compiled(hb.asarray(np.arange(3.0)))


def test_arithmetic_with_what_masked_arrays_take_for_contents_is_refused_with_the_way_out() -> None:
    for f in (lambda x: np.ma.getdata(x) * x, lambda x: 2.0 + np.ma.getdata(x)):
        with pytest.raises(TraceError, match=r"np.ma.getdata\(x.numpy\(\)\)"):
            hb.compile(f)(hb.ones(3))


def test_code_that_is_in_the_interpreter_is_not_the_users() -> None:
    import importlib
    import os

    assert is_installed(os.path.join.__code__)
    assert is_installed(importlib.import_module.__code__)
    assert is_installed(importlib._bootstrap._new_module.__code__)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "grid",
    [
        lambda n, x: np.mgrid[:2, :n] * x,
        lambda n, x: np.ogrid[0:n, 1 : 2 * n : n][1] * x,
        lambda n, x: np.mgrid[0 : 1 : n * 1j, -1:1:3j] * x,
        lambda n, x: np.mgrid[: x.shape[0], :n] * 1.0,
        lambda n, x: np.ogrid[:n] * x[0],
    ],
)
def test_grids_have_sizes_that_differ_from_call_to_call(grid: Any) -> None:
    compiled = hb.compile(grid)
    x = np.ones(1)
    for n in (2, 3, 4, 4, 5):
        np.testing.assert_array_equal(np.asarray(compiled(n, x)), grid(n, x))


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_a_list_of_a_tensor_and_nothing_is_an_array_of_objects_as_in_eager_code() -> None:
    def f(x: Any) -> Any:
        return np.array([x.sum(), None])

    for g in (f, hb.compile(f)):
        made = g(hb.ones(3))
        assert type(made) is np.ndarray
        assert made.dtype == object
        assert (float(made[0]), made[1]) == (3.0, None)
