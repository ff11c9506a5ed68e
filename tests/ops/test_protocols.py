"""NumPy's own functions on Tensors and Variables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid import dtypes
from hybrid.autodiff.tape import GradientTape
from hybrid.core.making import asarray
from hybrid.core.tensor import Tensor
from hybrid.core.variable import Variable
from hybrid.errors import GradientError, ShapeError
from hybrid.ops.elementwise.declare import UFUNCS

X = np.arange(1.0, 7.0, dtype=np.float32).reshape(2, 3)


def tensor(array: np.ndarray[Any, Any] = X) -> Tensor:
    return asarray(array.copy())


def check(result: Any, expected: Any) -> None:
    assert type(result) is Tensor
    assert result.dtype == np.asarray(expected).dtype
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-6)


# --- ufuncs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda u: u.__name__)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of arguments outside the domain
def test_ufuncs_run_hybrids_ops(ufunc: np.ufunc) -> None:
    array = np.array([[1, 2], [3, 1]])
    arrays = [array.astype(np.float32)] * ufunc.nin
    try:
        expected = ufunc(*arrays)
    except TypeError:
        arrays = [array] * ufunc.nin
        expected = ufunc(*arrays)
    result = ufunc(tensor(arrays[0]), *arrays[1:])
    if ufunc.nout > 1:
        for part, wanted in zip(result, expected):
            check(part, wanted)
    else:
        np.testing.assert_array_equal(result.numpy(), expected)
        assert result.dtype == expected.dtype


def test_ndarray_on_the_left() -> None:
    check(X + tensor(), X + X)
    check(X @ tensor().T, X @ X.T)
    check(np.float32(2) * tensor(), np.float32(2) * X)
    assert type(tensor() > X) is Tensor


def test_out() -> None:
    out = tensor()
    assert np.add(tensor(), 1, out=out) is out
    check(out, X + 1)
    array = np.zeros((2, 3), np.float32)
    assert np.multiply(tensor(), 2, out=array) is array
    np.testing.assert_array_equal(array, X * 2)
    array += tensor()
    np.testing.assert_array_equal(array, X * 3)
    assert np.exp(X, out=out) is out
    check(out, np.exp(X))
    with pytest.raises(ShapeError):
        np.add(tensor(), 1, out=tensor(X[0]))


def test_where_and_dtype() -> None:
    mask = X > 2
    out = tensor()
    np.negative(tensor(), out=out, where=mask)
    check(out, np.negative(X, out=X.copy(), where=mask))
    check(np.add(tensor(), 1, dtype=np.float64), np.add(X, 1, dtype=np.float64))


def test_methods_of_ufuncs() -> None:
    x = tensor()
    check(np.add.reduce(x), np.add.reduce(X))
    check(np.maximum.reduce(x, axis=1, keepdims=True), np.maximum.reduce(X, axis=1, keepdims=True))
    check(np.multiply.reduce(x, axis=None), np.multiply.reduce(X, axis=None))
    check(np.add.accumulate(x, axis=1), np.add.accumulate(X, axis=1))
    check(np.subtract.outer(x, X[0]), np.subtract.outer(X, X[0]))
    check(np.hypot.reduce(x), np.hypot.reduce(X))
    check(np.add.reduceat(x, [0, 1]), np.add.reduceat(X, [0, 1]))


MASK = X > 2
UFUNC_CALLS: dict[str, Any] = {
    "where with out": lambda x: np.add(x, 1, where=MASK, out=np.zeros((2, 3), np.float32)),
    "dtype": lambda x: np.add(x, 1, dtype="f8"),
    "signature": lambda x: np.true_divide(x, 3, signature="dd->d"),
    "casting": lambda x: np.add(x, 1, out=np.zeros((2, 3), np.int32), casting="unsafe"),
    "reduce where": lambda x: np.add.reduce(x, axis=1, where=MASK),
    "reduce initial": lambda x: np.add.reduce(x, initial=5),
    "reduce dtype": lambda x: np.multiply.reduce(x, dtype=np.float64, axis=None),
    "reduce keepdims": lambda x: np.minimum.reduce(x, axis=(0, 1), keepdims=True),
    "maximum where": lambda x: np.maximum.reduce(x, axis=0, where=MASK, initial=-5.0),
    "hypot.reduce": lambda x: np.hypot.reduce(x, axis=1),
    "hypot.reduce of all": lambda x: np.hypot.reduce(x, axis=None, keepdims=True),
    "logaddexp.reduce": lambda x: np.logaddexp.reduce(x),
    "bitwise_xor.reduce": lambda x: np.bitwise_xor.reduce(np.astype(x, np.int16), axis=1),
    "add.accumulate": lambda x: np.add.accumulate(x, axis=1),
    "maximum.accumulate": lambda x: np.maximum.accumulate(x % 4, axis=1),
    "logaddexp.accumulate": lambda x: np.logaddexp.accumulate(x, axis=1),
    "outer": lambda x: np.subtract.outer(x, x[0]),
    "outer dtype": lambda x: np.multiply.outer(x, x, dtype=np.float64),
    "matvec": lambda x: np.matvec(x, x[0]),
    "vecmat": lambda x: np.vecmat(x[:, 0], x),
}


@pytest.mark.parametrize("name", UFUNC_CALLS)
def test_options_and_methods_of_ufuncs_agree_with_numpy_and_are_traced(name: str) -> None:
    call = UFUNC_CALLS[name]
    expected = call(X.copy())
    for function in (call, hb.compile(call, fullgraph=True)):
        result = function(tensor())
        np.testing.assert_allclose(np.asarray(result), expected, rtol=1e-6)
        assert result.dtype == expected.dtype


@pytest.mark.parametrize("ufunc", [np.add, np.subtract])
def test_at_adds_up_repeated_indices_traced_and_on_tapes(ufunc: np.ufunc) -> None:
    def f(x: Any, v: Any) -> Any:
        y = x * 1
        ufunc.at(y, ([0, 0], [1, 1]), v)
        return y

    expected = f(X, np.float32([1, 2]))
    v = asarray(np.float32([1, 2]))
    check(f(tensor(), v), expected)
    check(hb.compile(f, fullgraph=True)(tensor(), v), expected)
    with GradientTape() as tape:
        tape.watch(v)
        y = f(tensor(), v)
    sign = 1 if ufunc is np.add else -1
    np.testing.assert_allclose(tape.gradient(y, v).numpy(), [sign, sign])


def test_a_gradient_is_not_lost_where_numpy_writes() -> None:
    x = tensor()
    with GradientTape() as tape:
        tape.watch(x)
        y = x * 2
        with pytest.raises(GradientError, match=r"np\.power\.at is NumPy's own here"):
            np.power.at(y, ([0], [1]), 3.0)
        np.multiply.at(y, ([0, 0], [1, 1]), 3.0)
    expected = np.full(x.shape, 2.0)
    expected[0, 1] = 18
    check(tape.gradient(y, x), expected.astype(np.float32))


def test_writes_by_ufuncs_are_seen_by_views_and_spare_what_tapes_saved() -> None:
    x = tensor()
    view = x[0]
    with GradientTape() as tape:
        tape.watch(x)
        y = x * x
    np.add(X, 1, out=x)
    check(view, X[0] + 1)
    check(tape.gradient(y, x), 2 * X)
    np.multiply.at(x, (0, [1, 1]), 2)
    check(view, (X[0] + 1) * np.float32([1, 4, 1]))
    frozen = X.copy()
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        np.add(X, 1, out=asarray(frozen))


def test_every_ufunc_of_numpy_but_that_of_dates_has_an_op() -> None:
    ufuncs = {u for u in vars(np).values() if isinstance(u, np.ufunc)}
    assert ufuncs - UFUNCS.keys() == {np.isnat}


@pytest.mark.parametrize("ufunc", [np.modf, np.frexp, np.divmod], ids=lambda u: u.__name__)
def test_ufuncs_with_two_results_agree_with_numpy(ufunc: np.ufunc) -> None:
    x = np.array([1.5, -2.25, 0.0, -0.0, np.inf, -np.inf, np.nan, 1e-310])
    operands = (2.0,) if ufunc.nin == 2 else ()
    with np.errstate(invalid="ignore"):
        expected = ufunc(x, *operands)
        for function in (ufunc, hb.compile(lambda *a: ufunc(*a), fullgraph=True)):
            for found, wanted in zip(function(asarray(x), *operands), expected, strict=True):
                assert found.dtype == wanted.dtype
                np.testing.assert_array_equal(found.numpy(), wanted)
                if wanted.dtype.kind == "f":
                    signs = np.signbit(wanted) | np.isnan(wanted)
                    np.testing.assert_array_equal(np.signbit(found.numpy()) | np.isnan(x), signs)
    fraction, whole = np.empty(8), asarray(np.empty(8))
    if ufunc is np.modf:
        ufunc(asarray(x), out=(fraction, whole))
        np.testing.assert_array_equal(fraction, expected[0])
        np.testing.assert_array_equal(whole.numpy(), expected[1])


def test_foreign_types_are_asked_themselves() -> None:
    class Foreign:
        def __array_ufunc__(self, *_: Any, **__: Any) -> str:
            return "mine"

    assert np.add(tensor(), Foreign()) == "mine"


# --- functions ------------------------------------------------------------------------------------

CALLS: dict[str, Any] = {
    "sum": lambda x: np.sum(x),
    "sum of an axis": lambda x: np.sum(x, 0),
    "sum with dtype": lambda x: np.sum(x, axis=1, dtype=np.float64, keepdims=True),
    "sum with where": lambda x: np.sum(x, where=np.array([True, False, True])),
    "sum with initial": lambda x: np.sum(x, initial=10),
    "mean": lambda x: np.mean(x, axis=-1),
    "var": lambda x: np.var(x, axis=0, ddof=1),
    "std": lambda x: np.std(x),
    "max": lambda x: np.max(x, axis=1),
    "amin": lambda x: np.amin(x),
    "argmax": lambda x: np.argmax(x, axis=1),
    "any": lambda x: np.any(x > 3, axis=0),
    "cumsum": lambda x: np.cumsum(x, axis=1),
    "concatenate": lambda x: np.concatenate([x, x], axis=1),
    "concatenate with an ndarray": lambda x: np.concatenate((X, x)),
    "stack": lambda x: np.stack([x, x], axis=2),
    "vstack": lambda x: np.vstack([x, x]),
    "where": lambda x: np.where(x > 2, x, 0),
    "clip": lambda x: np.clip(x, 2, 4),
    "clip by name": lambda x: np.clip(x, a_min=2, a_max=None),
    "clip by new names": lambda x: np.clip(x, max=3),
    "dot": lambda x: np.dot(x, x.T),
    "inner": lambda x: np.inner(x, x),
    "vdot": lambda x: np.vdot(x, x),
    "outer": lambda x: np.outer(x, x),
    "tensordot": lambda x: np.tensordot(x, x, axes=([1], [1])),
    "einsum": lambda x: np.einsum("ij,kj->ik", x, x),
    "einsum by numbers": lambda x: np.einsum(x, [0, 1], [1, 0]),
    "reshape": lambda x: np.reshape(x, (3, 2)),
    "reshape in another order": lambda x: np.reshape(x, (3, 2), order="F"),
    "ravel": lambda x: np.ravel(x),
    "transpose": lambda x: np.transpose(x),
    "transpose by axes": lambda x: np.transpose(x, (1, 0)),
    "swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "moveaxis": lambda x: np.moveaxis(x, 0, 1),
    "expand_dims": lambda x: np.expand_dims(x, 1),
    "squeeze": lambda x: np.squeeze(np.expand_dims(x, 1)),
    "broadcast_to": lambda x: np.broadcast_to(x, (4, 2, 3)),
    "flip": lambda x: np.flip(x, axis=1),
    "roll": lambda x: np.roll(x, 1, axis=1),
    "pad": lambda x: np.pad(x, 1),
    "pad at the edge": lambda x: np.pad(x, ((1, 0), (0, 2)), mode="edge"),
    "tile": lambda x: np.tile(x, (2, 1)),
    "repeat": lambda x: np.repeat(x, 2, axis=1),
    "triu": lambda x: np.triu(x, 1),
    "take": lambda x: np.take(x, [0, 2], axis=1),
    "sort": lambda x: np.sort(x, axis=0),
    "argsort": lambda x: np.argsort(x, axis=1),
    "zeros_like": lambda x: np.zeros_like(x),
    "full_like": lambda x: np.full_like(x, 3, dtype=np.int64),
    "round": lambda x: np.round(x / 7, 2),
    "copy": lambda x: np.copy(x),
    "norm": lambda x: np.linalg.norm(x),
    "norm of an axis": lambda x: np.linalg.norm(x, axis=1),
    "inv": lambda x: np.linalg.inv(x[:, :2]),
    "median": lambda x: np.median(x, axis=0),
    "interp": lambda x: np.interp(x, [0.0, 10.0], [0.0, 1.0]),
    "fft": lambda x: np.fft.fft(x),
    "real": lambda x: np.real(x),
    "linspace": lambda x: np.linspace(x[0], x[1], 4),
    "diff": lambda x: np.diff(x),
    "logaddexp": lambda x: np.logaddexp(x, 1.0),
}


@pytest.mark.parametrize("name", CALLS)
def test_functions(name: str) -> None:
    expected = CALLS[name](X)
    check(CALLS[name](tensor()), expected)
    if name not in ("inv", "linspace"):  # a Variable has no index
        check(CALLS[name](Variable(X)), expected)


def test_functions_with_out() -> None:
    out = np.zeros(3, np.float32)
    assert np.sum(tensor(), axis=0, out=out) is out
    np.testing.assert_array_equal(out, X.sum(0))
    target = tensor(X[0])
    assert np.mean(tensor(), axis=0, out=target) is target
    check(target, X.mean(0))


def test_functions_of_several_results() -> None:
    rows, columns = np.nonzero(tensor() > 3)
    check(rows, np.nonzero(X > 3)[0])
    check(columns, np.where(X > 3)[1])
    for part, wanted in zip(np.split(tensor(), 3, axis=1), np.split(X, 3, axis=1)):
        check(part, wanted)
    values, counts = np.unique(tensor(), return_counts=True)
    check(values, np.unique(X))
    check(counts, np.ones(6, int))
    result = np.linalg.svd(tensor())
    check(result.S, np.linalg.svd(X).S)


def test_questions_about_arrays() -> None:
    x = tensor()
    assert np.shape(x) == (2, 3)
    assert np.ndim(x) == 2
    assert np.size(x) == 6
    assert np.size(x, 1) == 3
    assert np.result_type(x, np.float64) == np.float64
    assert np.result_type(x, 1.0) == np.float32
    assert not np.iscomplexobj(x)
    assert np.isrealobj(x)
    assert np.allclose(x, X)
    assert np.array_equal(x, X)


def test_functions_that_write() -> None:
    x = tensor()
    view = x[0]
    np.fill_diagonal(x, 0)
    np.put(x, [5], 9)
    np.putmask(x, x.numpy() == 2, -2)
    expected = X.copy()
    np.fill_diagonal(expected, 0)
    np.put(expected, [5], 9)
    np.putmask(expected, expected == 2, -2)
    check(x, expected)
    check(view, expected[0])
    np.copyto(x, 1)
    check(view, np.ones(3, np.float32))
    array = np.zeros((2, 3), np.float32)
    np.copyto(array, tensor())
    np.testing.assert_array_equal(array, X)


def test_asarray_still_gives_ndarrays() -> None:
    assert type(np.asarray(tensor())) is np.ndarray
    assert np.asarray(tensor(), dtype=np.float64).dtype == np.float64
    x = tensor()
    assert np.shares_memory(np.asarray(x), x.numpy())


def test_bfloat16_goes_through() -> None:
    x = asarray(X.astype(dtypes.bfloat16))
    assert np.exp(x).dtype == dtypes.bfloat16
    assert np.maximum(x, 0.5).dtype == dtypes.bfloat16


def test_wrong_arguments_are_explained_by_numpy() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'axes'"):
        np.sum(tensor(), axes=1)


# --- gradients ------------------------------------------------------------------------------------


def test_gradients_pass_through_numpy_functions() -> None:
    x = tensor()
    with GradientTape() as tape:
        tape.watch(x)
        y = np.sum(np.exp(x) * X)
    np.testing.assert_allclose(tape.gradient(y, x).numpy(), np.exp(X) * X, rtol=1e-6)


def test_a_gradient_is_not_lost_in_silence() -> None:
    x = tensor()
    with GradientTape() as tape:
        tape.watch(x)
        with pytest.raises(GradientError, match=r"np\.real_if_close is NumPy's own here"):
            np.real_if_close(x * 2)
        assert np.allclose(x * 2, X * 2)
        assert np.median((x * 2).numpy()) == 7


OUT_OF_THEIR_SHAPE = {
    "cumsum": lambda x, out: np.cumsum(x, 0, out=out),
    "cumprod": lambda x, out: np.cumprod(x, 0, out=out),
    "accumulate": lambda x, out: np.add.accumulate(x, out=out),
    "sum": lambda x, out: np.sum(x, axis=0, out=out),
    "sum_method": lambda x, out: x.sum(0, out=out),
    "reduce": lambda x, out: np.add.reduce(x, out=out),
    "mean": lambda x, out: np.mean(x, axis=0, out=out),
    "max": lambda x, out: np.max(x, axis=0, out=out),
    "argmax": lambda x, out: np.argmax(x, axis=0, out=out),
    "median": lambda x, out: np.median(x, axis=0, out=out),
    "var": lambda x, out: np.var(x, axis=0, out=out),
    "all": lambda x, out: np.all(x, axis=0, out=out),
    "ptp": lambda x, out: np.ptp(x, axis=0, out=out),
    "dot": lambda x, out: np.dot(x, x, out=out),
    "take": lambda x, out: np.take(x, [0, 1, 2], out=out),
    "compress": lambda x, out: np.compress([1, 1, 1], x, out=out),
    "concatenate": lambda x, out: np.concatenate([x, x], out=out),
    "stack": lambda x, out: np.stack([x], out=out),
    "round": lambda x, out: np.round(x, out=out),
    "trace": lambda x, out: np.trace(np.outer(x, x), out=out),
    "einsum": lambda x, out: np.einsum("i->i", x, out=out),
}


@pytest.mark.parametrize("compiled", [False, True], ids=("eager", "compiled"))
@pytest.mark.parametrize("call", OUT_OF_THEIR_SHAPE.values(), ids=OUT_OF_THEIR_SHAPE)
def test_out_of_another_shape_is_refused_where_numpy_refuses_it(call, compiled):
    with pytest.raises(ValueError):
        call(np.arange(3.0), np.zeros((2, 3)))
    out = hb.zeros((2, 3), dtype="float64")
    with pytest.raises(ValueError, match="out"):
        (hb.compile(call) if compiled else call)(hb.arange(3.0, dtype="float64"), out)
    np.testing.assert_array_equal(out, np.zeros((2, 3)))


SPREAD_OVER_OUT = {
    "add": lambda x, out: np.add(x, x, out=out),
    "clip": lambda x, out: np.clip(x, 0, 1, out=out),
    "fix": lambda x, out: np.fix(x, out=out),
    "outer": lambda x, out: np.multiply.outer(x, x, out=out),
    "quantile": lambda x, out: np.quantile(x, 0.5, axis=0, out=out),
}


@pytest.mark.parametrize("compiled", [False, True], ids=("eager", "compiled"))
@pytest.mark.parametrize("call", SPREAD_OVER_OUT.values(), ids=SPREAD_OVER_OUT)
def test_a_result_is_broadcast_to_out_where_numpy_does_that(call, compiled):
    expected, out = np.zeros((2, 3, 3)), hb.zeros((2, 3, 3), dtype="float64")
    call(np.arange(3.0), expected)
    (hb.compile(call) if compiled else call)(hb.arange(3.0, dtype="float64"), out)
    np.testing.assert_array_equal(out, expected)
