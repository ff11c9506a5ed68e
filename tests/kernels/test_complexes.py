"""Complex numbers in kernels: compiled code gives what eager code gives, in one kernel."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.dispatch import bind
from hybrid.core.op import OPS, Op
from hybrid.core.spec import TensorSpec
from hybrid.errors import DTypeError
from hybrid.kernels.spec import holds_for_complex
from hybrid.ops.elementwise import astype

SPECIAL = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e30, 1e-30, 3.5)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """NumPy warns of the divisions by zero and overflows that these tests provoke."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def values(dtype: str, seed: int, count: int = 300) -> np.ndarray[Any, Any]:
    """Every pair of special values, and normal numbers."""
    rng = np.random.default_rng(seed)
    grid = [complex(a, b) for a in SPECIAL for b in SPECIAL]
    drawn = rng.standard_normal(count) + 1j * rng.standard_normal(count)
    return rng.permutation(np.concatenate([grid, drawn])).astype(dtype)


def assert_same(found: Any, expected: Any, units: int = 0) -> None:
    """Equal bit for bit but for the kind of NaN; the parts of complex numbers one by one."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    if expected.dtype.kind == "c":
        for part in ("real", "imag"):
            assert_same(getattr(found, part), getattr(expected, part), units)
        return
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(found, expected)
        return
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    numbers = ~np.isnan(expected)
    found, expected = found[numbers], expected[numbers]
    np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))
    off = ~((found == expected) | (np.abs(found - expected) <= units * np.spacing(abs(expected))))
    assert not off.any(), (found[off][:4], expected[off][:4])


def compiled(f: Callable[..., Any], *arrays: Any) -> Any:
    """What `f` gives compiled; asserts that it is one kernel at most and nothing else."""
    traced = hb.compile(f)
    tensors = tuple(map(hb.asarray, arrays))
    result = traced(*tensors)
    (plan,) = traced.get_concrete_function(*tensors).root.plans.values()
    assert len(plan.kernels) <= 1, plan
    assert "0 library calls" in str(plan), plan
    return result


def takes_complex(op: Op) -> int:
    """How many complex inputs an op takes that kernels have for them; 0 if they have not."""
    if op.scalar is None or op.compute is None or not holds_for_complex(op.scalar):
        return 0
    for count in (1, 2):
        specs = (TensorSpec((2,), hb.complex64),) * count
        try:
            if {d.kind for d in op.compute(specs)} == {"c"} and "cast" not in op.scalar:
                op.infer(*specs)
                return count
        except (TypeError, ValueError, IndexError, DTypeError):
            continue
    return 0


OPERATIONS = [op for op in OPS.values() if takes_complex(op)]


def test_the_arithmetic_of_complex_numbers_has_kernels() -> None:
    names = {op.name for op in OPERATIONS}
    assert names >= {"add", "subtract", "multiply", "divide", "negative", "square", "reciprocal"}
    assert names >= {"conj", "real", "imag", "abs", "equal", "not_equal", "isnan", "isfinite"}
    assert not names & {"less", "greater_equal", "maximum", "exp", "sign"}


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("op", OPERATIONS, ids=lambda op: op.name)
def test_each_op_gives_what_eager_code_gives(op: Op, dtype: str) -> None:
    x, y = values(dtype, 0), values(dtype, 1)
    # The outer product holds every special value beside every other.
    arrays = (np.repeat(x[:, None], len(y), axis=1), np.tile(y, (len(x), 1)))[: takes_complex(op)]
    expected = bind(op, tuple(map(hb.asarray, arrays)), {})
    found = compiled(lambda *given: bind(op, given, {}), *arrays)
    # NumPy's own length of a complex number is a unit off as well.
    assert_same(found, expected, units=2 if op.name == "abs" else 0)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_chains_with_literals_conditions_and_casts_give_what_eager_code_gives(dtype: str) -> None:
    x, y = values(dtype, 2), values(dtype, 3)

    def chain(x: Any, y: Any) -> Any:
        z = (x * y + x) / (y - 1j) * (0.5 - 2j)
        z = hb.where(hb.isnan(z), y, z)
        return z + astype(hb.real(x) > 0, dtype) - astype(z, "complex128")

    assert_same(compiled(chain, x, y), chain(hb.asarray(x), hb.asarray(y)))


def test_masked_writes_are_part_of_the_kernel() -> None:
    def step(z: Any, c: Any) -> Any:
        z = z * z + c
        far = z.real**2 + z.imag**2 > 4
        z[far] = z[far] ** 2 + c[far]
        z[~far] = 2
        return z

    z, c = values("complex128", 4), values("complex128", 5)
    traced = hb.compile(step)
    assert_same(traced(hb.asarray(z), hb.asarray(c)), step(hb.asarray(z), hb.asarray(c)))


@pytest.mark.parametrize("view", [lambda x: x[::3], lambda x: x[::-1], lambda x: x[5:6]])
def test_operands_are_read_where_they_lie(view: Callable[..., Any]) -> None:
    x = values("complex64", 6)
    assert_same(compiled(lambda x: view(x) * 2j, x), view(hb.asarray(x)) * 2j)


@pytest.mark.parametrize("axis", [0, 1])
def test_transposes_broadcasts_and_real_reductions_fuse(axis: int) -> None:
    rng = np.random.default_rng(7)
    x = (rng.standard_normal((40, 30)) + 1j * rng.standard_normal((40, 30))).astype("complex128")
    row = x[0]

    def power(x: Any, row: Any) -> Any:
        z = x * hb.conj(row)
        return (z.real**2 + z.imag**2).sum(axis=axis, keepdims=True)

    found = compiled(power, x, row)
    np.testing.assert_allclose(found, power(hb.asarray(x), hb.asarray(row)), rtol=1e-14)
    assert_same(
        compiled(lambda x: x.T + hb.conj(x.T), x),
        (lambda x: x.T + hb.conj(x.T))(hb.asarray(x)),
    )


def test_dropping_imaginary_parts_still_warns() -> None:
    traced = hb.compile(lambda z: astype(z * 2, "float64"))
    with pytest.warns(np.exceptions.ComplexWarning):
        np.testing.assert_array_equal(traced(hb.asarray([1 + 2j])), [2.0])


def test_constants_that_differ_in_where_a_sign_stands_are_kept_apart() -> None:
    x = np.array([0.25 + 1j, -2 - 0.5j])

    def f(x: Any) -> Any:
        return x * (1 + 20j) + x * (12 + 0j) + x * (1 - 20j) + x * 120j

    assert_same(compiled(f, x), f(hb.asarray(x)))
