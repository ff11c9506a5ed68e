"""Fourier transforms agree with NumPy, eager and traced; their gradients with differences."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import array_api_strict
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hybrid as hb
from hybrid.errors import AxisError, DTypeError, ShapeError
from tests.ops.agreement import slopes

pytestmark = pytest.mark.filterwarnings("ignore::hybrid.errors.RetraceWarning")

REAL = ("rfft", "ihfft", "rfftn", "rfft2")
ONE_AXIS = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
MANY_AXES = ("fftn", "ifftn", "rfftn", "irfftn", "fft2", "ifft2", "rfft2", "irfft2")
NORMS = ("backward", "ortho", "forward", None)
KINDS = ("float32", "float64", "complex64", "complex128", "int64", "bool")


def signal(shape: tuple[int, ...], kind: str, seed: int, contiguous: bool = True) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = shape if contiguous else tuple(2 * n for n in reversed(shape))
    x = 4 * rng.normal(size=shape)
    x = (x + 1j * rng.normal(size=shape)).astype(kind) if kind[0] == "c" else x.astype(kind)
    return x if contiguous else x[(slice(None, None, -2),) * x.ndim].T


def agrees(found: hb.Tensor, expected: np.ndarray) -> None:
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    single = expected.dtype.name in ("float32", "complex64")
    tolerance = 2e-5 if single else 1e-12
    np.testing.assert_allclose(found.numpy(), expected, rtol=tolerance, atol=tolerance * 20)


@pytest.mark.parametrize("name", ONE_AXIS)
def test_transforms_of_an_axis_are_numpys(name: str):
    ours, theirs = getattr(hb.fft, name), getattr(np.fft, name)

    @given(
        st.sampled_from([((4,), 0), ((5,), -1), ((2, 1), 0), ((3, 2, 4), -2), ((0, 3), 1)]),
        st.sampled_from([None, 1, 2, 3, 4, 7]),
        st.sampled_from(NORMS),
        st.sampled_from([k for k in KINDS if name not in REAL or k[0] != "c"]),
        st.booleans(),
    )
    def check(where: Any, n: int | None, norm: Any, kind: str, contiguous: bool) -> None:
        shape, axis = where
        x = signal(shape, kind, 0, contiguous)
        options = dict(n=n, axis=axis, norm=norm)
        agrees(ours(x, **options), theirs(x, **options))
        agrees(theirs(hb.asarray(x), n, axis, norm), theirs(x, **options))

    check()


@pytest.mark.parametrize("name", MANY_AXES)
def test_transforms_of_axes_are_numpys(name: str):
    ours, theirs = getattr(hb.fft, name), getattr(np.fft, name)

    @given(
        st.sampled_from([(None, (-2, -1)), (None, (2, 0)), ((3, 5), (0, 1)), ((4, -1), (1, 2))]),
        st.sampled_from(NORMS),
        st.sampled_from([k for k in KINDS if name not in REAL or k[0] != "c"]),
        st.booleans(),
    )
    def check(where: Any, norm: Any, kind: str, contiguous: bool) -> None:
        s, axes = where
        x = signal((2, 4, 3), kind, 0, contiguous)
        s = s if s is None or s[-1] != -1 else (s[0], 3)
        options = dict(s=s, axes=axes, norm=norm)
        agrees(ours(x, **options), theirs(x, **options))
        agrees(theirs(hb.asarray(x), **options), theirs(x, **options))

    check()
    x = signal((2, 3, 4), "float64", 1)
    agrees(ours(x), theirs(x))


def test_low_precision_is_computed_in_single():
    x = signal((4,), "float32", 0)
    assert hb.fft.fft(x.astype(np.float16)).dtype == np.complex64
    assert hb.fft.irfft(hb.asarray(x).astype(hb.bfloat16)).dtype == np.float32


# --- gradients, traces ----------------------------------------------------------------------------

CASES: dict[str, Callable[[Any], Any]] = {
    "fft": lambda x: hb.fft.fft(x, n=7, axis=0),
    "fft of real": lambda x: hb.fft.fft(hb.real(x), norm="ortho"),
    "ifft": lambda x: hb.fft.ifft(x, n=2, norm="forward"),
    "fftn": lambda x: hb.fft.fftn(x, norm="ortho"),
    "ifftn": lambda x: hb.fft.ifftn(x, s=(2, 6), axes=(1, 0)),
    "fft2": hb.fft.fft2,
    "ifft2": hb.fft.ifft2,
    "rfft": lambda x: hb.fft.rfft(hb.real(x) * hb.imag(x), axis=0),
    "rfft, odd": lambda x: hb.fft.rfft(hb.real(x), n=5, norm="forward"),
    "irfft": lambda x: hb.fft.irfft(x, axis=0, norm="ortho"),
    "irfft, odd": lambda x: hb.fft.irfft(x, n=5),
    "rfftn": lambda x: hb.fft.rfftn(hb.real(x), norm="ortho"),
    "irfftn": lambda x: hb.fft.irfftn(x, s=(3, 5), axes=(0, 1)),
    "hfft": lambda x: hb.fft.hfft(x, norm="ortho"),
    "ihfft": lambda x: hb.fft.ihfft(hb.real(x), n=5),
    "shift": lambda x: hb.fft.fftshift(x, axes=0) + hb.fft.ifftshift(x),
    "frequencies": lambda x: hb.fft.fft(x) * hb.fft.fftfreq(4, d=0.5, dtype=hb.float64),
}


def total(x: Any) -> Any:
    """A real number that depends on each element in its own way, and not linearly."""
    k = np.arange(x.size).reshape(x.shape)
    weights = np.exp(1j * k) if x.dtype.kind == "c" else np.cos(k)
    y = hb.real(x * weights)
    return (y + y**3 / 9).sum()


def gradient(f: Callable[[Any], Any], point: np.ndarray) -> hb.Tensor:
    x = hb.asarray(point)
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    return tape.gradient(y, x)


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_differences_to_second_order(name: str):
    f = lambda x: total(CASES[name](x))
    x = signal((4, 4), "complex128", 2) / 4
    np.testing.assert_allclose(gradient(f, x).numpy(), slopes(f, x), rtol=1e-5, atol=1e-7)
    slope = lambda t: total(gradient_of_tensor(f, t))
    np.testing.assert_allclose(gradient(slope, x).numpy(), slopes(slope, x), rtol=1e-4, atol=1e-6)


def gradient_of_tensor(f: Callable[[Any], Any], x: Any) -> hb.Tensor:
    x = hb.asarray(x)
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    return tape.gradient(y, x)


@pytest.mark.parametrize("name", CASES)
def test_traced_is_eager_with_gradients(name: str):
    f, x = CASES[name], signal((4, 4), "complex128", 3)
    traced = hb.compile(f, fullgraph=True)
    np.testing.assert_allclose(traced(x).numpy(), f(x).numpy(), rtol=1e-12, atol=1e-12)
    eager = gradient(lambda t: total(f(t)), x).numpy()
    inside = hb.compile(lambda t: gradient_of_tensor(lambda u: total(f(u)), t), fullgraph=True)
    np.testing.assert_allclose(inside(x).numpy(), eager, rtol=1e-9, atol=1e-9)


def test_a_transform_and_its_inverse_give_the_signal_back():
    x = signal((3, 5, 4), "float64", 0)
    for there, back in ((hb.fft.fftn, hb.fft.ifftn), (hb.fft.rfftn, hb.fft.irfftn)):
        for norm in NORMS:
            np.testing.assert_allclose(back(there(x, norm=norm), norm=norm).numpy(), x, atol=1e-12)
    np.testing.assert_array_equal(hb.fft.ifftshift(hb.fft.fftshift(x)).numpy(), x)


def test_vmap_transforms_each_example():
    x = signal((3, 4, 5), "complex128", 0)
    for f in (lambda t: hb.fft.fft(t, axis=0), hb.fft.ifft2, lambda t: hb.fft.irfft(t, axis=0)):
        expected = np.stack([f(example).numpy() for example in x])
        np.testing.assert_allclose(hb.vmap(f)(x).numpy(), expected, atol=1e-12)


# --- frequencies and shifts -----------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 5, 8])
@pytest.mark.parametrize("name", ["fftfreq", "rfftfreq"])
def test_frequencies_are_numpys(name: str, n: int):
    ours, expected = getattr(hb.fft, name), getattr(np.fft, name)(n, d=0.3)
    assert ours(n, d=0.3).dtype == np.float32
    np.testing.assert_allclose(ours(n, d=0.3, dtype=hb.float64).numpy(), expected, rtol=1e-15)
    traced = hb.compile(lambda: ours(n, d=0.3, dtype=hb.float64))
    np.testing.assert_allclose(traced().numpy(), expected, rtol=1e-15)


@pytest.mark.parametrize("axes", [None, 0, (1,), (0, -1)])
def test_shifts_are_numpys(axes: Any):
    x = signal((3, 4), "float32", 0)
    for name in ("fftshift", "ifftshift"):
        expected = getattr(np.fft, name)(x, axes)
        np.testing.assert_array_equal(getattr(hb.fft, name)(x, axes=axes).numpy(), expected)
        np.testing.assert_array_equal(getattr(np.fft, name)(hb.asarray(x), axes).numpy(), expected)


# --- what is asked wrongly ------------------------------------------------------------------------


@pytest.mark.parametrize("run", [lambda f: f, hb.compile])
def test_wrong_arguments_are_refused(run: Any):
    x = hb.asarray(np.ones((2, 3)))
    for f, kind, message in (
        (lambda t: hb.fft.fft(t, n=0), ShapeError, r"invalid number of data points \(0\)"),
        (lambda t: hb.fft.fft(t[:, :0]), ShapeError, "no data points"),
        (lambda t: hb.fft.irfft(t[:, :1]), ShapeError, r"data points \(0\) for shape \(2, 1\)"),
        (lambda t: hb.fft.fft(t, axis=2), AxisError, r"fft: axis 2 .* shape \(2, 3\)"),
        (lambda t: hb.fft.fftn(t, s=(2,), axes=(0, 1)), ShapeError, "one for each"),
        (lambda t: hb.fft.fftn(t, axes=(0, 0)), AxisError, "twice"),
        (lambda t: hb.fft.rfftn(t, axes=()), ShapeError, "no axis to transform"),
        (lambda t: hb.fft.rfft(t * 1j), DTypeError, "takes real numbers, not complex128"),
        (lambda t: hb.fft.fft(t, norm="unitary"), ValueError, "'forward', not 'unitary'"),
        (lambda t: hb.fft.fftfreq(0), ShapeError, "data points"),
        (lambda t: hb.fft.fftfreq(3, dtype=hb.int32), DTypeError, "not int32"),
    ):
        with pytest.raises(kind, match=message) as caught:
            run(f)(x)
        assert "test_fft.py" in str(caught.value)


@pytest.mark.parametrize("name", array_api_strict.fft.__all__)
def test_the_extension_is_complete(name: str):
    """Every name of the standard is there and takes the standard's arguments."""
    ours = inspect.signature(getattr(hb.fft, name)).parameters
    theirs = inspect.signature(getattr(array_api_strict.fft, name)).parameters
    assert set(ours) >= {p.name for p in theirs.values() if p.kind is p.KEYWORD_ONLY}
    for p in theirs.values():
        if p.kind is p.KEYWORD_ONLY:
            assert ours[p.name].default == p.default
            assert ours[p.name].kind is not p.POSITIONAL_ONLY
