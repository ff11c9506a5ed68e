"""Every function of NumPy on Tensors: hybrid's own ones are traced and agree with NumPy's."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.ops.protocols.functions import adapters, namesake

X = np.array([[3.0, 1.0, 2.5], [4.0, -1.5, 0.5]])
S = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]])
V = np.array([2.0, -1.0, 0.5, 3.0])
I = np.array([3, 1, 2, 1])
Z = np.array([1 + 2j, -1j, 3.0])
M = np.array([True, False, True, True])

# What NumPy computes itself on the concrete values; why hybrid leaves it to NumPy.
LEFT = {
    "makes text": "array2string array_repr array_str",
    "writes files": "save savetxt savez savez_compressed",
    "is of dates": "busday_count busday_offset datetime_as_string is_busday",
    "asks about memory": "may_share_memory shares_memory",
    "is of polynomials whose leading zeros go": "polydiv polyint polymul roots",
    "has a shape or a dtype that the data say": "trim_zeros real_if_close linalg.eig "
    "linalg.eigvals",
    "is seldom asked for": "geomspace",
}

CALLS: dict[str, Callable[[], Any] | Callable[..., Any]] = {
    "allclose": lambda x=X: np.allclose(x, x + 1e-9),
    "angle": lambda z=Z: np.angle(z, deg=True),
    "append": lambda x=X: np.append(x, x[:1], axis=0),
    "append raveled": lambda x=X: np.append(x, x[0]),
    "array_equal": lambda x=X: np.array_equal(x, x),
    "array_equiv": lambda x=X: np.array_equiv(x, x[:1]),
    "array_split": lambda v=V: np.array_split(v, 3),
    "array_split at": lambda v=V: np.array_split(v, [1, 3]),
    "atleast_1d": lambda v=V: np.atleast_1d(v[0], v),
    "atleast_2d": lambda v=V: np.atleast_2d(v),
    "atleast_3d": lambda x=X, v=V: np.atleast_3d(x, v),
    "average": lambda v=V: np.average(v, weights=np.arange(4.0)),
    "bincount": lambda i=I: np.bincount(i, minlength=4),
    "block": lambda x=X: np.block([[x, x], [x * 2, x]]),
    "block of vectors": lambda v=V: np.block([v, v]),
    "choose": lambda i=I, v=V: np.choose(i % 2, [v, -v]),
    "choose wrapped": lambda i=I, v=V: np.choose(i, [v, -v], mode="wrap"),
    "choose clipped": lambda i=I, v=V: np.choose(i, [v, -v], mode="clip"),
    "column_stack": lambda v=V: np.column_stack((v, v * 2)),
    "compress": lambda x=X: np.compress([True, False, True], x, axis=1),
    "convolve": lambda v=V: np.convolve(v, v[:2]),
    "corrcoef": lambda x=X: np.corrcoef(x),
    "correlate": lambda v=V: np.correlate(v, v[:2]),
    "cov": lambda x=X: np.cov(x),
    "delete": lambda x=X: np.delete(x, 1, axis=1),
    "delete raveled": lambda x=X: np.delete(x, [0, 2]),
    "diag": lambda v=V: np.diag(v),
    "diag above": lambda v=V: np.diag(v, 1),
    "diag below": lambda v=V: np.diag(v, -2),
    "diag of a matrix": lambda s=S: np.diag(s, 1),
    "diagflat": lambda x=X: np.diagflat(x),
    "diagonal": lambda s=S: np.diagonal(s, offset=1),
    "digitize": lambda v=V: np.digitize(v, [0.0, 1.0, 2.0]),
    "dsplit": lambda x=X: np.dsplit(x[:, None, :], 3),
    "dstack": lambda x=X: np.dstack((x, x)),
    "ediff1d": lambda v=V: np.ediff1d(v, to_begin=0.0, to_end=[1.0, 2.0]),
    "extract": lambda v=V: np.extract([True, False, True, False], v),
    "fliplr": lambda x=X: np.fliplr(x),
    "flipud": lambda x=X: np.flipud(x),
    "gradient": lambda v=V: np.gradient(v),
    "gradient of two axes": lambda s=S: np.gradient(s, 0.5),
    "gradient of places": lambda v=V: np.gradient(v, np.array([0.0, 1.0, 1.5, 4.0]), edge_order=2),
    "gradient of an axis": lambda s=S: np.gradient(s, 2.0, axis=1, edge_order=2),
    "histogram2d": lambda v=V: np.histogram2d(v, v[::-1], bins=3)[0],
    "histogram2d of edges": lambda v=V: np.histogram2d(v, -v, [-2.0, 0.0, 1.0, 9.0], weights=v),
    "histogramdd": lambda x=X: np.histogramdd(x, (2, 3, 4))[0],
    "hsplit": lambda x=X: np.hsplit(x, 3),
    "i0": lambda v=V: np.i0(v * 4),
    "i0 of integers": lambda i=I: np.i0(i),
    "packbits": lambda i=I: np.packbits(i > 1),
    "packbits of an axis": lambda x=X: np.packbits(np.abs(x) > 1, axis=0, bitorder="little"),
    "packbits of integers": lambda i=I: np.packbits(i, axis=-1),
    "unpackbits": lambda i=I: np.unpackbits(i.astype(np.uint8)),
    "unpackbits, cut": lambda i=I: np.unpackbits(i.astype(np.uint8), count=-3, bitorder="little"),
    "unpackbits, more": lambda i=I: np.unpackbits(i.astype(np.uint8), axis=0, count=99),
    "isclose": lambda x=X: np.isclose(x, 2.5),
    "iscomplex": lambda z=Z: np.iscomplex(z),
    "isneginf": lambda v=V: np.isneginf(v / 0.0),
    "isposinf": lambda v=V: np.isposinf(v / 0.0),
    "isreal": lambda z=Z: np.isreal(z),
    "kron": lambda x=X, v=V: np.kron(x, v),
    "max with initial": lambda x=X: np.max(x, axis=1, initial=3.5),
    "median": lambda x=X: np.median(x, axis=0),
    "nan_to_num": lambda v=V: np.nan_to_num(v / 0.0, posinf=9.0),
    "nanmean": lambda x=X: np.nanmean(x, axis=1),
    "percentile": lambda x=X: np.percentile(x, 30.0, axis=1),
    "polyval": lambda v=V: np.polyval([1.0, -2.0, 0.5], v),
    "ptp": lambda x=X: np.ptp(x, axis=0),
    "quantile": lambda x=X: np.quantile(x, [0.25, 0.5]),
    "rollaxis": lambda x=X: np.rollaxis(x[None], 2, 1),
    "rot90": lambda x=X: np.rot90(x),
    "rot90 thrice": lambda x=X: np.rot90(x, 3),
    "rot90 backwards": lambda x=X: np.rot90(x, -2, axes=(1, 0)),
    "select": lambda v=V: np.select([v < 0, v > 1], [v, v * 10], default=-7.0),
    "sinc": lambda v=V: np.sinc(v),
    "sum where": lambda x=X: np.sum(x, axis=0, where=x > 1, initial=2.0),
    "trace": lambda s=S: np.trace(s, offset=1),
    "trapezoid": lambda x=X: np.trapezoid(x, dx=0.5),
    "trapezoid over places": lambda x=X: np.trapezoid(x, x=[0.0, 1.0, 3.0], axis=1),
    "unwrap": lambda v=V: np.unwrap(v * 3),
    "unwrap of degrees": lambda v=V: np.unwrap(v * 200, period=360),
    "vander": lambda v=V: np.vander(v, 3),
    "vander increasing": lambda v=V: np.vander(v, increasing=True),
    "vsplit": lambda x=X: np.vsplit(x, 2),
    "apply_along_axis": lambda x=X: np.apply_along_axis(lambda v: v / v.sum(), 0, x),
    "apply_along_axis to numbers": lambda x=X: np.apply_along_axis(np.sum, 1, x),
    "apply_over_axes": lambda x=X: np.apply_over_axes(np.sum, x, [0, 1]),
    "argpartition": lambda v=V: np.argpartition(v, 2)[2],
    "cross": lambda x=X: np.cross(x, x[::-1]),
    "cross of columns": lambda s=S: np.cross(s, s[:, 0], axisa=0, axisc=0),
    "einsum_path": lambda x=X: np.einsum_path("ij,kj->ik", x, x)[0][1],
    "eye": lambda v=V: np.eye(4) * v,
    "insert": lambda v=V: np.insert(v, 2, 9.0),
    "insert at the end": lambda v=V: np.insert(v, -1, v[:2]),
    "insert several": lambda v=V: np.insert(v, [3, 1, 1], [9.0, 8.0, 7.0]),
    "insert a column": lambda x=X: np.insert(x, 1, x[:, 0], axis=1),
    "insert columns": lambda x=X: np.insert(x, [0, -1], 5.0, axis=1),
    "insert by a slice": lambda x=X: np.insert(x, slice(0, 2), x[0], axis=0),
    "intersect1d": lambda i=I: np.intersect1d(i, [3, 1, 7]),
    "lexsort": lambda i=I, v=V: np.lexsort((v, i)),
    "max of nothing": lambda v=V: np.max(v[:0], initial=2.0),
    "mean where": lambda x=X: np.mean(x, axis=1, where=x > 0.6),
    "ix_": lambda i=I, v=V: np.ix_(i % 3, v),
    "meshgrid": lambda v=V: np.meshgrid(v, v[:2], sparse=True),
    "meshgrid ij": lambda v=V: np.meshgrid(v, v[:2], indexing="ij", sparse=True),
    "pad with constants": lambda x=X: np.pad(x, 1, constant_values=((1, 2), (3, 4))),
    "pad with means": lambda x=X: np.pad(x, ((1, 0), (2, 1)), mode="mean"),
    "pad with maxima": lambda x=X: np.pad(x, 2, mode="maximum"),
    "pad with ramps": lambda x=X: np.pad(x, ((2, 1), (0, 3)), "linear_ramp", end_values=4.0),
    "partition": lambda v=V: np.partition(v, 2)[2],
    "piecewise": lambda v=V: np.piecewise(v, [v < 0, v > 1], [lambda a: -a, np.exp, 7.0]),
    "poly": lambda v=V: np.poly(v),
    "polyadd": lambda v=V: np.polyadd(v, v[:2]),
    "polyder": lambda v=V: np.polyder(v, 2),
    "polyfit": lambda v=V: np.polyfit(v, np.arange(4.0), 2),
    "polysub": lambda v=V: np.polysub(v[:1], v),
    "reduceat": lambda x=X: np.add.reduceat(x, [0, 2, 1], axis=1),
    "resize": lambda v=V: np.resize(v, (3, 3)),
    "setdiff1d": lambda i=I: np.setdiff1d(i, [3, 7]),
    "setxor1d": lambda i=I: np.setxor1d(i, [3, 7]),
    "sliding_window_view": lambda x=X: np.lib.stride_tricks.sliding_window_view(x, (2, 2)),
    "sort_complex": lambda z=Z: np.sort_complex(z),
    "std where": lambda x=X: np.std(x, axis=0, where=x < 3, ddof=0),
    "take wrapped": lambda v=V: np.take(v, [5, -6], mode="wrap"),
    "take clipped": lambda v=V: np.take(v, [5, -6], mode="clip"),
    "tri": lambda s=S: np.tri(3) @ s,
    "triu_indices_from": lambda s=S: s[np.triu_indices_from(s, 1)],
    "union1d": lambda i=I: np.union1d(i, [3, 7]),
    "linalg.tensorinv": lambda s=S: np.linalg.tensorinv(s[:, :, None], ind=1),
    "linalg.tensorsolve": lambda s=S: np.linalg.tensorsolve(s, s[0]),
    "linalg.cholesky": lambda s=S: np.linalg.cholesky(s),
    "linalg.cond": lambda s=S: np.linalg.cond(s),
    "linalg.det": lambda s=S: np.linalg.det(s),
    "linalg.eigh": lambda s=S: np.linalg.eigh(s)[0],
    "linalg.inv": lambda s=S: np.linalg.inv(s),
    "linalg.lstsq": lambda s=S: np.linalg.lstsq(s, s[0])[0],
    "linalg.matrix_power": lambda s=S: np.linalg.matrix_power(s, 3),
    "linalg.pinv": lambda x=X: np.linalg.pinv(x),
    "linalg.qr": lambda s=S: abs(np.linalg.qr(s)[1]),
    "linalg.slogdet": lambda s=S: np.linalg.slogdet(s)[1],
    "linalg.solve": lambda s=S: np.linalg.solve(s, s[0]),
    "linalg.svdvals": lambda x=X: np.linalg.svdvals(x),
    "linalg.trace": lambda s=S: np.linalg.trace(s),
    "fft.fft": lambda v=V: np.fft.fft(v, n=6),
    "fft.irfft": lambda z=Z: np.fft.irfft(z),
    "fft.fft2": lambda x=X: np.fft.fft2(x),
    "fft.fftshift": lambda v=V: np.fft.fftshift(v),
}


def agree(found: Any, expected: Any) -> None:
    if isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for part, wanted in zip(found, expected, strict=True):
            agree(part, wanted)
        return
    if isinstance(expected, np.ndarray | np.generic):
        assert type(found) is hb.Tensor
        assert found.dtype == expected.dtype
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # a division by zero on purpose
def test_functions_agree_with_numpy_and_never_end_a_trace(name: str) -> None:
    call = CALLS[name]
    arrays = call.__defaults__  # type: ignore[union-attr]
    expected = call(*arrays)
    agree(call(*map(hb.asarray, arrays)), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error", hb.errors.EagerFallbackWarning)
        if name.startswith(("compress", "extract")):
            agree(call(*map(hb.asarray, arrays)), expected)
        agree(hb.compile(call)(*map(hb.asarray, arrays)), expected)


WRITES: dict[str, Callable[..., Any]] = {
    "put": lambda v, w: np.put(v, [3, 0], w),
    "put wrapped": lambda v, w: np.put(v, [5, -1], w, mode="wrap"),
    "put clipped": lambda v, w: np.put(v, [9, -9], w, mode="clip"),
    "place": lambda v, w: np.place(v, v > 0, w),
    "putmask": lambda v, w: np.putmask(v, v > 0, w),
    "put_along_axis": lambda v, w: np.put_along_axis(v, np.array([1, 3]), w, 0),
    "fill_diagonal": lambda v, w: np.fill_diagonal(v.reshape(2, 2), w),
    "fill": lambda v, w: v.fill(w[0]),
    "put, a method": lambda v, w: v.put([1], w),
}


@pytest.mark.parametrize("name", WRITES)
def test_functions_that_write_are_traced_and_seen_by_tapes(name: str) -> None:
    call = WRITES[name]

    def changed(v: Any, w: Any) -> Any:
        v = v * 1.0
        call(v, w)
        return v * v

    def total(w: Any) -> Any:
        return changed(hb.asarray(V), w).sum()

    w = np.array([7.0, 8.0])
    agree(changed(hb.asarray(V), hb.asarray(w)), changed(V, w))
    agree(hb.compile(changed, fullgraph=True)(hb.asarray(V), hb.asarray(w)), changed(V, w))
    steps = np.eye(2) * 1e-6
    slopes = [(changed(V, w + h).sum() - changed(V, w - h).sum()) / 2e-6 for h in steps]
    np.testing.assert_allclose(hb.grad(total)(hb.asarray(w)).numpy(), slopes, atol=1e-6)


@pytest.mark.parametrize("name", [n for n in CALLS if "eigh" not in n])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_functions_of_floats_are_differentiated_or_refused(name: str) -> None:
    call = CALLS[name]
    (array, *others) = call.__defaults__  # type: ignore[union-attr]
    if array.dtype != np.float64:
        return

    def total(x: Any) -> Any:
        found = call(x, *map(hb.asarray, others))
        parts = found if isinstance(found, list | tuple) else [found]
        return sum((p * p).sum() for p in parts if isinstance(p, hb.Tensor) and p.dtype.kind == "f")

    def value(x: Any) -> float:
        found = call(x, *others)
        parts = found if isinstance(found, list | tuple) else [found]
        return float(sum(np.sum(p * p) for p in map(np.asarray, parts) if p.dtype.kind == "f"))

    x = array * 1.01
    step = np.zeros_like(x)
    step.flat[1] = 1e-6
    slope = (value(x + step) - value(x - step)) / 2e-6
    if not np.isfinite(slope):
        return
    with hb.GradientTape() as tape:
        t = hb.asarray(x)
        tape.watch(t)
        y = total(t)
    found = tape.gradient(y, t, unconnected_gradients="zero") if isinstance(y, hb.Tensor) else None
    if found is not None:
        np.testing.assert_allclose(found.numpy().flat[1], slope, rtol=1e-5, atol=1e-6)


def test_what_numpy_computes_itself_names_what_to_write_instead() -> None:
    x = hb.asarray(S)
    with hb.GradientTape() as tape:
        tape.watch(x)
        with pytest.raises(hb.errors.GradientError, match=r"hb\.linalg\.eigvalsh is for Hermitian"):
            np.linalg.eigvals(x)
    with pytest.warns(hb.errors.EagerFallbackWarning, match=r"hb\.linalg\.eigvalsh is for"):
        hb.compile(np.linalg.eigvals)(x)
    with pytest.raises(AttributeError, match=r"x\.numpy\(\)\.ctypes"):
        _ = x.ctypes


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    for space in (np, np.linalg, np.fft):
        for name in dir(space):
            function = getattr(space, name)
            if not name.startswith("_") and hasattr(function, "_implementation"):
                yield f"{space.__name__}.{name}".removeprefix("numpy."), function


def test_every_function_of_numpy_is_hybrids_or_left_to_numpy_for_a_reason() -> None:
    left = {name for names in LEFT.values() for name in names.split()}
    lacking = {n for n, f in functions() if f not in adapters() and namesake(f) is None}
    assert lacking == left


@pytest.mark.parametrize("obj", [1, [0, 3], [True, False, True, False, False], []])
def test_delete_takes_tensors_for_places(obj: Any) -> None:
    places = np.asarray(obj, dtype=int if obj == [] else None)
    x = np.arange(5.0)
    expected = np.delete(x, places)
    for given in (places, hb.asarray(places)):
        np.testing.assert_array_equal(hb.delete(x, given).numpy(), expected)
        np.testing.assert_array_equal(np.asarray(np.delete(hb.asarray(x), given)), expected)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "uint64", "float16", "float32", "F"])
def test_the_powers_of_narrow_dtypes_are_not_cut_off(dtype: str) -> None:
    x = np.array([100, 7]).astype(dtype)
    np.testing.assert_array_equal(hb.vander(x, 4).numpy(), np.vander(x, 4), strict=True)


@pytest.mark.parametrize("func", [np.partition, np.argpartition])
@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 2)])
def test_any_place_parts_nothing(func: Any, shape: tuple[int, ...]) -> None:
    x = hb.zeros(shape, dtype=hb.float64)
    for call in (func, hb.compile(lambda x, kth: func(x, kth))):
        expected = func(np.zeros(shape), 5)
        np.testing.assert_array_equal(np.asarray(call(x, 5)), expected, strict=True)


@pytest.mark.parametrize(
    "call",
    [
        lambda xp: xp.vander(xp.asarray(X)),
        lambda xp: xp.choose(xp.asarray([0.5, 1.0]), [xp.asarray([1, 2]), xp.asarray([3, 4])]),
        lambda xp: xp.select([xp.asarray([1.0, 0.0])], [xp.asarray([1, 2])]),
        lambda xp: np.add.accumulate(xp.asarray(1.0)),
    ],
    ids=["vander", "choose", "select", "accumulate"],
)
def test_what_numpy_refuses_is_refused(call: Callable[[Any], Any]) -> None:
    for xp in (np, hb):
        with pytest.raises((TypeError, ValueError)):
            call(xp)


def of_one_array() -> list[str]:
    """Return NumPy's functions and ufuncs that take one array alone, and are hybrid's too."""
    found = []
    for name in sorted(set(dir(np)) & set(hb.__all__)):
        func = getattr(np, name)
        if not callable(func) or isinstance(func, type):
            continue
        try:
            with np.errstate(all="ignore"):
                result = func(np.eye(3))
        except Exception:  # which asks for more than an array
            continue
        if isinstance(result, np.ndarray | np.generic) and name not in MADE:
            found.append(name)
    return found


OTHERWISE = {
    ("clip", "bool"): "without limits it copies",
    ("ediff1d", "bool"): "diff takes booleans, so does this",
    ("median", "complex64"): "complex numbers have no order; NumPy takes that of real parts",
    ("nanmedian", "complex64"): "the same",
    ("histogram_bin_edges", "complex64"): "the same",
}
MADE = {"array", "asarray", "from_dlpack", "zeros", "ones", "empty"}  # of a shape, or by protocol


@pytest.mark.parametrize("kind", ["bool", "int8", "int64", "float16", "float32", "complex64"])
@pytest.mark.parametrize("name", of_one_array())
def test_dtypes_and_refusals_are_numpys(name: str, kind: str) -> None:
    if (name, kind) in OTHERWISE:
        return
    func, x = getattr(np, name), np.array([[0, 1, 1], [1, 1, 0], [1, 0, 1]]).astype(kind)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected = func(x)
        except (TypeError, np.linalg.LinAlgError):
            with pytest.raises((TypeError, np.linalg.LinAlgError)):
                func(hb.asarray(x))
            return
        found = func(hb.asarray(x))
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)


EDGES: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "largest of booleans, from 0": (lambda x: np.max(x, initial=0), np.ones(3, bool)),
    "least int, from a float": (lambda x: np.min(x, initial=2.5), np.ones(3, np.int32)),
    "product of ints, from a float": (lambda x: np.prod(x, initial=1.5), np.ones(3, np.int32)),
    "sum of no axes": (lambda x: np.add.reduce(x), np.ones((), np.uint32)),
    "product of no axes, from the last": (lambda x: np.multiply.reduce(x, -1), np.ones(())),
    "area of nothing": (lambda x: np.trapezoid(x), np.ones((2, 0), np.int8)),
    "lower triangle of a row": (lambda x: np.tril(x, -1), np.arange(3.0)),
    "upper triangle of a row": (lambda x: np.triu(x, k=1), np.arange(4)),
    "equality of int64 and uint64": (
        lambda x: np.array_equal(x, x.astype(np.uint64)),
        np.array([-1, 2]),
    ),
}


@pytest.mark.parametrize("name", EDGES)
def test_what_is_rare_is_numpys_too_in_both_modes(name: str) -> None:
    function, x = EDGES[name]
    wanted = function(x)
    for run in (function, hb.compile(function)):
        found = run(hb.asarray(x))
        np.testing.assert_array_equal(found, wanted)
        assert np.asarray(found).dtype == np.asarray(wanted).dtype


@pytest.mark.parametrize("mode", [lambda f: f, hb.compile])
@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda x, i: np.choose(i, [x[0], x[1]]), ValueError),
        (lambda x, i: np.bincount(x), ValueError),
        (lambda x, i: np.cov(x, ddof=0.5), ValueError),
        (lambda x, i: np.linalg.lstsq(x, i, rcond=None), np.linalg.LinAlgError),
    ],
)
def test_wrong_calls_raise_what_they_raise_for_ndarrays(mode: Any, call: Any, kind: type) -> None:
    with pytest.raises(kind):
        mode(call)(hb.ones((2, 3)), hb.asarray([-1, 0, 1]))


def test_a_triangle_of_less_than_nothing_is_empty_in_a_trace() -> None:
    assert hb.compile(lambda x: np.tri(-1) + x)(hb.ones((0, 0))).shape == (0, 0)
