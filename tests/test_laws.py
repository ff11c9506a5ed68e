"""Traced equals eager: every op and the dtypes it takes, with the values and strides that hurt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import hybrid as hb
from hybrid.core.dispatch import bind
from hybrid.core.op import OPS, Example, Op
from hybrid.core.spec import TensorSpec
from hybrid.dtypes import is_inexact
from hybrid.errors import DTypeError

KINDS = (
    "float32",
    "bool",
    "int8",
    "uint64",
    "bfloat16",
    "float16",
    "float64",
    "complex64",
)

pytestmark = pytest.mark.filterwarnings("ignore::hybrid.errors.RetraceWarning")

SKIPPED = frozenset(
    name
    for name, op in OPS.items()
    if op.multi or op.impure or op.family in ("control", "creation", "random", "inplace")
)


def special(dtype: np.dtype[Any]) -> np.ndarray:
    """Values at the edges of `dtype`."""
    if dtype.kind == "b":
        return np.array([False, True])
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        values = [bounds.min, bounds.max, 0, 1, 7, 8, bounds.max - 1, 64, bounds.min + 1, 31]
        return np.array(values, dtype)
    info = ml_dtypes.finfo(dtype)
    ends = [float(info.max), float(info.tiny), float(info.smallest_subnormal)]
    values = [np.nan, np.inf, -np.inf, 0.0, -0.0, 0.5, -1.5, 2.5, 88.0, -104.0, 1.0, *ends]
    if dtype.kind == "c":
        return np.array([complex(a, b) for a in values[:8] for b in values[3:8]]).astype(dtype)
    return np.array(values).astype(dtype)


def strided(
    shape: tuple[int, ...], dtype: np.dtype[Any], seed: int, *, ordinary: bool = False
) -> np.ndarray:
    """Special values in an array whose axes lie in Fortran order, each with a step of -2."""
    rng = np.random.default_rng(seed)
    values = np.linspace(-2, 2, 40).astype(dtype) if ordinary else special(dtype)
    base = rng.choice(values, tuple(2 * n for n in reversed(shape)))
    return base[(slice(None, None, -2),) * len(shape)].T if shape else np.asarray(base)


def drawn(op: Op, example: Example, kind: str) -> list[np.ndarray] | None:
    """Inputs for an example of `op` in the dtype `kind`; None where the op does not take it."""
    fixed = example.dtypes or (None,) * len(example.shapes)
    own = example.dtypes is not None and kind in example.dtypes
    if op.elementwise and example.dtypes and len(set(example.dtypes)) == 1:
        fixed = (None,) * len(example.shapes)  # the op takes other dtypes as well
    elif example.dtypes is not None and not own:
        return None
    inputs = []
    for i, (shape, name) in enumerate(zip(example.shapes, fixed, strict=True)):
        dtype = np.dtype(name or (ml_dtypes.bfloat16 if kind == "bfloat16" else kind))
        if (
            op.family in ("indexing", "statistics", "pooling", "moving")
            and dtype.kind in "iu"
            and name is not None
        ):
            inputs.append(np.arange(int(np.prod(shape)), dtype=dtype).reshape(shape) % 3)
        else:
            inputs.append(strided(shape, dtype, i, ordinary=example.prepare is not None))
    if op.name == "pow" and inputs[0].dtype.kind in "biu":
        return None  # hb.pow takes integer_pow then
    if example.prepare is not None:
        try:
            inputs = list(example.prepare(*inputs))
        except TypeError:
            return None
    if op.name == "searchsorted":
        inputs[0] = np.sort(inputs[0])
    if op.name == "quantile":
        inputs[1] = np.linspace(0, 1, inputs[1].size).reshape(inputs[1].shape)
    try:
        op.infer(*(TensorSpec(a.shape, a.dtype) for a in inputs), **example.attrs)
    except (DTypeError, TypeError):
        return None
    return inputs


def assert_agrees(found: np.ndarray, expected: np.ndarray) -> None:
    """Integers bit for bit; floats within 8 ULP, with the same NaNs and signed zeros."""
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    if not is_inexact(expected.dtype):
        np.testing.assert_array_equal(found, expected)
        return
    if expected.dtype.kind == "c":
        assert_agrees(found.real, expected.real)
        assert_agrees(found.imag, expected.imag)
        return
    info = ml_dtypes.finfo(expected.dtype)
    a, b = found.astype(np.float64), expected.astype(np.float64)
    with np.errstate(all="ignore"):
        close = np.abs(a - b) <= 8 * float(info.eps) * np.abs(b) + 4 * float(
            info.smallest_subnormal
        )
    fine = close & np.isfinite(b) | (a == b) | (np.isnan(a) & np.isnan(b))
    np.testing.assert_array_equal(fine, np.ones_like(fine), f"{found}\n{expected}")
    zeros = (a == 0) & (b == 0)
    np.testing.assert_array_equal(np.signbit(a[zeros]), np.signbit(b[zeros]))


CASES = [
    pytest.param(op, i, example, id=f"{op.name}-{i}")
    for op in OPS.values()
    if op.name not in SKIPPED
    for i, example in enumerate(op.examples)
]


@pytest.mark.parametrize(("op", "number", "example"), CASES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_traced_equals_eager(op: Op, number: int, example: Example):
    def plain(*xs: Any) -> Any:
        return bind(op, xs, example.attrs)

    def fused(*xs: Any) -> Any:
        y = bind(op, tuple(hb.where(True, x, x) for x in xs), example.attrs)
        return y, hb.where(y == y, y, y)

    chained = hb.compile(fused)
    alone = hb.compile(plain)
    for kind in KINDS if number == 0 else KINDS[:1]:
        inputs = drawn(op, example, kind)
        if inputs is None:
            continue
        # Where NumPy's own casts depend on the layout of the array there is no right value.
        target = example.attrs.get("dtype")
        if op.name == "astype" and np.dtype(target).kind in "iu" and inputs[0].dtype.kind == "f":
            inputs[0] = np.clip(np.nan_to_num(inputs[0]), -100, 100)
        if op.name == "reciprocal" and inputs[0].dtype.kind in "iu":
            inputs[0] = inputs[0] | 1  # NumPy's 1 / 0 depends on the layout of the array
        before = [a.tobytes() for a in inputs]
        with np.errstate(all="ignore"):
            expected = plain(*map(hb.asarray, inputs)).numpy()
            for result in (alone(*inputs), *chained(*inputs)):
                _compare(op, result.numpy(), expected)
        for array, was in zip(inputs, before, strict=True):
            assert array.tobytes() == was


def _compare(op: Op, found: np.ndarray, expected: np.ndarray) -> None:
    if op.elementwise or not is_inexact(expected.dtype) or op.family in ("movement", "indexing"):
        assert_agrees(found, expected)
    else:  # another order of summation: what is finite may overflow on the way
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        if op.name != "prod":
            np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))


# --- gradients of complex numbers -----------------------------------------------------------------

WEIGHTS = np.array([1j, 2 - 1j, 0.5])
REAL_VALUED: dict[str, Callable[..., Any]] = {
    "abs": lambda x: (hb.abs(x) ** 3).sum(),
    "abs after a product": lambda x: hb.abs(x * x + WEIGHTS).sum(),
    "sign": lambda x: hb.real(hb.sign(x) * WEIGHTS).sum(),
    "var": lambda x: hb.var(x),
    "std": lambda x: hb.std(x, correction=1),
    "real, imag": lambda x: (hb.real(x) ** 2 * hb.imag(x)).sum(),
    "conj": lambda x: hb.real(hb.conj(x) * x * x).sum(),
    "exp": lambda x: hb.real(hb.exp(x) * WEIGHTS).sum(),
    "divide": lambda x: hb.imag(WEIGHTS / x).sum(),
    "vecdot": lambda x: hb.real(hb.vecdot(x, WEIGHTS)),
    "einsum": lambda x: hb.real(hb.einsum("i,i,i->", x, x, WEIGHTS)),
    "norm": lambda x: hb.norm(x),
}


@pytest.mark.parametrize("name", REAL_VALUED)
def test_complex_gradients_have_one_convention(name: str):
    function = REAL_VALUED[name]
    point = np.array([1 + 2j, -0.5 + 0.3j, 0.7 - 1j])
    x = hb.asarray(point)
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = function(x)

    def slope(direction: complex) -> np.ndarray:
        steps = 1e-6 * direction * np.eye(3)
        return np.array([(function(point + s) - function(point - s)).item() / 2e-6 for s in steps])

    np.testing.assert_allclose(
        tape.gradient(y, x).numpy(), slope(1) - 1j * slope(1j), rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("name", REAL_VALUED)
def test_complex_second_derivatives_follow_it(name: str):
    weights = np.array([2 + 1j, -1j, 0.5 - 1j])

    def slope(at: Any) -> Any:
        x = hb.asarray(at)
        with hb.GradientTape() as tape:
            tape.watch(x)
            y = REAL_VALUED[name](x)
        return hb.real((tape.gradient(y, x) * weights).sum())

    point = np.array([1 + 2j, -0.5 + 0.3j, 0.7 - 1j])
    x = hb.asarray(point)
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = slope(x)
    steps = [1e-6 * d * np.eye(3) for d in (1, 1j)]
    by_re, by_im = (
        np.array([(slope(point + s) - slope(point - s)).item() / 2e-6 for s in rows])
        for rows in steps
    )
    found = tape.gradient(y, x, unconnected_gradients="zero").numpy()
    np.testing.assert_allclose(found, by_re - 1j * by_im, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("order", [0, 1, 2, 3, np.inf, -np.inf])
def test_norms_of_complex_numbers_are_real(order: float):
    x = np.array([3 + 4j, 0, -1j, 1.5])
    found = hb.vector_norm(x, ord=order)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found.numpy(), np.linalg.norm(x, order), rtol=1e-14)
    assert hb.compile(hb.norm)(x).dtype == np.float64


@pytest.mark.parametrize("run", [lambda f: f, hb.compile])
def test_a_ufunc_writes_where_it_is_told(run: Callable[..., Any]):
    x, mask = np.arange(6.0).reshape(2, 3), np.array([True, False, True])
    into = np.full((2, 3), 7.0)
    run(lambda t, out: np.add(t, 1, where=mask, out=out))(hb.asarray(x), into)
    np.testing.assert_array_equal(into, np.add(x, 1, where=mask, out=np.full((2, 3), 7.0)))
