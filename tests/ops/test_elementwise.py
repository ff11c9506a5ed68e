"""Elementwise ops: each against NumPy, for every dtype, and its rule against its eager form."""

from __future__ import annotations

import doctest
import operator
import sys
import warnings
from collections.abc import Iterator
from itertools import product
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import scipy.special

import hybrid as hb
from hybrid import dtypes
from hybrid.core.dispatch import bind
from hybrid.core.making import asarray
from hybrid.core.op import OPS, Op
from hybrid.core.spec import TensorSpec, weak_scalar
from hybrid.core.tensor import Tensor
from hybrid.core.variable import Variable
from hybrid.errors import DTypeError, HybridError, ShapeError
from hybrid.ops import elementwise as ew
from hybrid.ops.elementwise.declare import UFUNCS

ALL = sorted(dtypes.SUPPORTED, key=lambda d: d.name)
OPERATIONS = [op for op in OPS.values() if op.family == "elementwise"]
PLAIN = [op for op in OPERATIONS if op.name != "astype"]
TERNARY = ("where", "clip")
BINARY = [
    op
    for op in PLAIN
    if op.name in ("leaky_relu", "add_boolean", "integer_pow")
    or any(f.__name__ == op.name and u.nin == 2 for u, f in UFUNCS.items())
]
UNARY = [op for op in PLAIN if op not in BINARY and op.name not in TERNARY]

_name = operator.attrgetter("name")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """NumPy warns of every division by zero and overflow that these tests provoke."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def sample(dtype: np.dtype[Any], size: int = 6, seed: int = 0) -> np.ndarray[Any, Any]:
    """Values that fit any dtype, zero and negative ones among them where the dtype has them."""
    values = np.random.default_rng(seed).integers(0 if dtype.kind in "ub" else -3, 4, size)
    scaled = values * (1 if dtype.kind in "iub" else 0.625)
    return (scaled + (0.5j if dtype.kind == "c" else 0)).astype(dtype)


def outcome(call: Any) -> Any:
    """Spec of what `call` returns, or DTypeError where it refuses the dtypes."""
    try:
        result = call()
    except DTypeError:
        return DTypeError
    return result if isinstance(result, TensorSpec) else result.spec


def arity(op: Op) -> int:
    return 1 if op in UNARY else 2 if op in BINARY else 3


def inferred(op: Op, *values: Any) -> Any:
    def spec(value: Any) -> TensorSpec:
        if isinstance(value, np.ndarray):
            return TensorSpec(value.shape, value.dtype)
        return weak_scalar(value)

    return outcome(lambda: op.infer(*map(spec, values)))


# --- the rule says what the eager form does -------------------------------------------------------


@pytest.mark.parametrize("op", UNARY, ids=_name)
def test_infer_equals_eager_for_every_dtype(op: Op) -> None:
    for dtype in ALL:
        x = sample(dtype)
        assert inferred(op, x) == outcome(lambda: bind(op, (x,), {})), dtype


@pytest.mark.parametrize("op", BINARY, ids=_name)
def test_infer_equals_eager_for_every_pair_of_dtypes(op: Op) -> None:
    for a, b in product(ALL, ALL):
        x, y = sample(a), abs(sample(b, seed=1)) if b.kind != "b" else sample(b)
        if y.dtype != b:
            y = y.astype(b)
        assert inferred(op, x, y) == outcome(lambda: bind(op, (x, y), {})), (a, b)
    for a, scalar in product(ALL, (True, 2, 0.5, 1j)):
        x = abs(sample(a)).astype(a) if a.kind != "b" else sample(a)
        assert inferred(op, x, scalar) == outcome(lambda: bind(op, (x, scalar), {})), (a, scalar)
        assert inferred(op, scalar, x) == outcome(lambda: bind(op, (scalar, x), {})), (scalar, a)


@pytest.mark.parametrize("name", TERNARY)
def test_infer_equals_eager_for_ops_of_three(name: str) -> None:
    op = OPS[name]
    for a, b in product(ALL, ALL):
        first = np.array([True, False] * 3) if name == "where" else sample(a)
        for inputs in ((first, sample(a), sample(b, seed=1)), (first, sample(b), 2)):
            assert inferred(op, *inputs) == outcome(lambda i=inputs: bind(op, i, {})), (a, b)


@pytest.mark.parametrize("op", OPERATIONS, ids=_name)
def test_examples_infer_and_run(op: Op) -> None:
    rng = np.random.default_rng(0)
    for example in op.examples:
        names = example.dtypes or ("float32",) * len(example.shapes)
        arrays = [
            rng.uniform(*example.domain, shape).astype(d) for shape, d in zip(example.shapes, names)
        ]
        specs = [TensorSpec(a.shape, a.dtype) for a in arrays]
        result = bind(op, tuple(arrays), example.attrs)
        assert result.spec == op.infer(*specs, **example.attrs)


@pytest.mark.parametrize("op", [op for op in PLAIN if op.compute], ids=_name)
def test_compute_is_idempotent(op: Op) -> None:
    for combination in product(ALL, repeat=min(arity(op), 2)):
        specs = [TensorSpec((2,), d) for d in combination]
        specs += [TensorSpec((2,), dtypes.float32)] * (arity(op) - len(specs))
        try:
            once = op.compute(tuple(specs))  # type: ignore[misc]
        except DTypeError:
            continue
        again = tuple(TensorSpec((2,), d) for d in once)
        assert op.compute(again) == once  # type: ignore[misc]
        assert op.infer(*again).dtype == op.infer(*specs).dtype


# --- the scalar expression says it too ------------------------------------------------------------

MEANING: dict[str, Any] = {
    "select": np.where,
    "abs": np.abs,
    "not_": np.invert,
    "pow": np.power,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": scipy.special.expit,
    "erf": scipy.special.erf,
    "erfc": scipy.special.erfc,
    **{
        name: getattr(np, name)
        for name in ["asin", "acos", "atan", "atan2", "asinh", "acosh", "atanh"]
    },
}


class Meaning(dict[str, Any]):
    def __missing__(self, name: str) -> Any:
        return MEANING.get(name) or getattr(np, name)


@pytest.mark.parametrize("op", [op for op in PLAIN if op.compute], ids=_name)
def test_scalar_expressions_compute_what_the_eager_form_does(op: Op) -> None:
    assert op.scalar is not None
    assert op.compute is not None
    text = op.scalar.format("a", "b", "c")
    for dtype in (d for d in ALL if d.kind in "biuf" and d != np.float16):
        arrays = [sample(dtype, 8, seed) for seed in range(arity(op))]
        if dtype.kind == "i" and op.name == "pow":
            continue  # integer_pow stands in
        try:
            expected = op.eager(np, *arrays)
            wanted = op.compute(tuple(TensorSpec(a.shape, a.dtype) for a in arrays))
        except (TypeError, DTypeError):
            continue
        cast = dict(zip("abc", (a.astype(d) for a, d in zip(arrays, wanted))))
        found = eval(text, Meaning(cast))
        eps = np.finfo(expected.dtype).eps if expected.dtype.kind == "f" else 0
        np.testing.assert_allclose(
            found.astype(expected.dtype), expected, rtol=8 * float(eps), atol=0, err_msg=dtype.name
        )


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ufunc", "function"), UFUNCS.items(), ids=lambda v: v.__name__)
def test_values_are_those_of_numpy(ufunc: np.ufunc, function: Any) -> None:
    if ufunc.signature is not None or ufunc.nout > 1:
        pytest.skip("tested with the ops of its family")
    for dtype in ALL:
        arrays = [sample(dtype, 8, seed) for seed in range(ufunc.nin)]
        if ufunc is np.power and dtype.kind == "i":
            arrays[1] = abs(arrays[1])
        if dtype == dtypes.bfloat16 and ufunc in (np.radians, np.degrees):
            continue  # ml_dtypes has loops for deg2rad and rad2deg only; the aliases widen
        try:
            expected = ufunc(*arrays)
        except TypeError:
            with pytest.raises(DTypeError, match=OPS[function.__name__].name):
                function(*map(asarray, arrays))
            continue
        result = function(*map(asarray, arrays))
        assert result.dtype == expected.dtype
        assert_same(result.numpy(), expected)


def assert_same(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> None:
    """Compare bit for bit but for NaN; NumPy does not know that bfloat16 has one."""
    if found.dtype == dtypes.bfloat16:
        found, expected = found.astype(np.float32), expected.astype(np.float32)
    np.testing.assert_array_equal(found, expected)


REFERENCES: dict[str, Any] = {
    "sigmoid": scipy.special.expit,
    "erf": scipy.special.erf,
    "erfc": scipy.special.erfc,
    "gelu": lambda x: x * scipy.special.ndtr(x),
    "silu": lambda x: x * scipy.special.expit(x),
    "softplus": lambda x: np.log1p(np.exp(-abs(x))) + np.maximum(x, 0),
    "relu": lambda x: np.maximum(x, 0),
    "rsqrt": lambda x: 1 / np.sqrt(abs(x)),
    "round": np.round,
    "real": np.real,
    "imag": np.imag,
    "stop_gradient": lambda x: x,
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
}


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_values_of_ops_that_numpy_lacks(name: str, dtype: str) -> None:
    exact = np.linspace(-6, 6, 41)
    x = exact.astype(np.dtype(getattr(ml_dtypes, dtype, dtype)))
    if name == "rsqrt":
        x = abs(x) + x.dtype.type(1)
    result = getattr(ew, name)(asarray(x))
    assert result.dtype == x.dtype
    with np.errstate(over="ignore"):
        expected = REFERENCES[name](x.astype(np.float64)).astype(x.dtype).astype(np.float64)
    smallest = ml_dtypes.finfo(x.dtype).tiny
    eps = float(ml_dtypes.finfo(x.dtype).eps)
    np.testing.assert_allclose(
        result.numpy().astype(np.float64), expected, rtol=64 * eps, atol=float(smallest)
    )


def test_tails_of_activations() -> None:
    x = asarray(np.array([-1e30, -100.0, 100.0, 1e30, np.nan], np.float32))
    np.testing.assert_array_equal(
        ew.sigmoid(x).numpy()[1:], np.float32([3.783506e-44, 1, 1, np.nan])
    )
    assert ew.sigmoid(x).numpy()[0] == 0
    np.testing.assert_array_equal(ew.relu(x).numpy(), np.float32([0, 0, 100, 1e30, np.nan]))
    np.testing.assert_array_equal(ew.softplus(x).numpy()[2:], np.float32([100, 1e30, np.nan]))
    # Written with 1 + erf this would be 0 from -6 on.
    assert -1e-20 < ew.gelu(asarray(np.float32(-10))).item() < 0


def test_round_is_half_to_even_and_knows_decimals() -> None:
    x = np.array([0.5, 1.5, 2.5, -0.5, 1234.5678])
    for decimals in (0, 2, -2):
        np.testing.assert_array_equal(ew.round(asarray(x), decimals).numpy(), x.round(decimals))
    integers = np.array([15, 25, 149])
    np.testing.assert_array_equal(asarray(integers).round(-1).numpy(), integers.round(-1))
    assert asarray(integers).round(2).dtype == np.int64


def test_where_and_clip() -> None:
    x = np.linspace(-2, 2, 5).astype(np.float32)
    t = asarray(x)
    np.testing.assert_array_equal(ew.where(t > 0, t, 0).numpy(), np.where(x > 0, x, 0))
    assert ew.where(t > 0, t, 0.0).dtype == np.float32
    assert ew.where(t > 0, 1.0, 2.0).dtype == np.float32
    assert ew.where(True, 1, 2).item() == 1
    assert ew.where(t > 0, asarray(x.astype(dtypes.bfloat16)), 1.0).dtype == dtypes.bfloat16
    for low, high in ((-1, 1), (None, 0.5), (0.5, None), (x[::-1].copy(), 1.5), (1, -1)):
        np.testing.assert_array_equal(t.clip(low, high).numpy(), x.clip(low, high))
    assert asarray(x.astype(dtypes.bfloat16)).clip(-0.5, 1).dtype == dtypes.bfloat16
    copied = t.clip()
    assert copied is not t
    np.testing.assert_array_equal(copied.numpy(), x)


def test_stop_gradient_and_positive_are_copies() -> None:
    x = np.ones(3)
    for function in (ew.stop_gradient, ew.positive):
        assert not np.shares_memory(function(asarray(x)).numpy(), x)
    assert np.shares_memory(ew.real(asarray(x)).numpy(), x)  # as NumPy's of real numbers


def test_astype() -> None:
    x = asarray([1.75, -1.75])
    assert x.astype("int32").tolist() == [1, -1]
    assert x.astype(np.float32) is not x
    assert x.astype(np.float32, copy=False) is x
    with pytest.raises(DTypeError, match="astype: dtype object is not supported"):
        x.astype(object)


# --- scalars --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "int8", "complex64"])
def test_python_scalars_are_weak(dtype: str) -> None:
    x = asarray(sample(np.dtype(getattr(ml_dtypes, dtype, dtype))))
    assert (x + 1).dtype == (1 + x).dtype == (x * 2).dtype == x.dtype
    assert ew.maximum(x, 1).dtype == ew.maximum(1, x).dtype == x.dtype
    if dtype != "int8":
        assert (x + 1.5).dtype == (1.5 - x).dtype == x.dtype


def test_numpy_scalars_are_strong() -> None:
    x = asarray([1.0, 2.0])
    assert (x + np.float64(1)).dtype == (np.float64(1) + x).dtype == np.float64


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("scalar", [*map(np.dtype, "?bHlfdF"), np.dtype(np.float16)], ids=str)
@pytest.mark.parametrize("shape", [(), (3,), (200_000,)])
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float16", "float32", "float64", "D"])
def test_operators_beside_a_scalar_of_numpy_give_what_numpy_gives(
    scalar: np.dtype[Any], shape: tuple[int, ...], dtype: str
) -> None:
    a, s = np.full(shape, 3).astype(dtype), scalar.type(2)
    x = asarray(a)
    for name in ("add", "mul", "truediv", "lt", "eq"):
        apply = getattr(operator, name)
        for mine, wanted in ((apply(x, s), apply(a, s)), (apply(s, x), apply(s, a))):
            assert type(mine) is hb.Tensor
            assert (mine.dtype, mine.shape) == (wanted.dtype, wanted.shape)
            np.testing.assert_array_equal(mine.numpy(), wanted)


def test_python_scalars_alone_become_what_asarray_makes_of_them() -> None:
    assert ew.exp(2.0).dtype == np.float32
    assert ew.exp(2).dtype == np.float64
    assert ew.add(2, 3).dtype == np.int64
    assert ew.add(2, 3.0).dtype == ew.add(2.0, 3).dtype == np.float32
    assert ew.multiply(2.0, 1j).dtype == np.complex64


def test_results_without_axes_are_tensors() -> None:
    x = asarray(np.float32(2))
    for result in (x + 1, 1 + x, x * x, -x, ew.exp(x), ew.power(x, 2), ew.where(x > 1, x, 0)):
        assert type(result) is Tensor
        assert type(result._data) is np.ndarray
        assert result.shape == ()


def test_large_integers() -> None:
    x = asarray(np.array([1, 2], np.int8))
    assert (x < 1000).tolist() == [True, True]
    assert (x == 1000).tolist() == [False, False]
    with pytest.raises(OverflowError):
        x + 1000


# --- operators ------------------------------------------------------------------------------------

TWO = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow"]
BITS = ["and_", "or_", "xor", "lshift", "rshift"]
ONE = ["neg", "pos", "abs", "invert"]
COMPARE = ["eq", "ne", "lt", "le", "gt", "ge"]


@pytest.mark.parametrize("name", TWO + BITS + COMPARE)
def test_operators(name: str) -> None:
    function = getattr(operator, name)
    dtype = np.int32 if name in BITS else np.float32
    x, y = np.array([1, 2, 3], dtype), np.array([[3], [2]], dtype)
    expected = function(x, y)
    others: list[tuple[Any, Any]] = [
        (asarray(x), asarray(y)),
        (asarray(x), y),
        (x, asarray(y)),
        (Variable(x), asarray(y)),
        (asarray(x), Variable(y)),
        (asarray(x), y.tolist() if name in BITS else asarray(y)),
    ]
    for left, right in others:
        result = function(left, right)
        assert type(result) is Tensor
        assert result.dtype == expected.dtype or isinstance(right, list)
        np.testing.assert_array_equal(result.numpy(), expected)
    for left, right in ((x, 2), (2, x), (x, x[:1].reshape(())[()])):
        wrapped = [asarray(v) if v is x else v for v in (left, right)]
        np.testing.assert_array_equal(function(*wrapped).numpy(), function(left, right))


@pytest.mark.parametrize("name", ONE)
def test_unary_operators(name: str) -> None:
    x = np.array([-1, 0, 3])
    for value in (asarray(x), Variable(x)):
        np.testing.assert_array_equal(
            getattr(operator, name)(value).numpy(), getattr(operator, name)(x)
        )


@pytest.mark.parametrize("name", TWO + BITS)
def test_inplace_operators_write(name: str) -> None:
    function = getattr(operator, "i" + name.rstrip("_"))
    dtype = np.int32 if name in BITS else np.float32
    for other in (2, np.array([2, 3, 4], dtype), asarray(np.array([2, 3, 4], dtype))):
        x = np.array([5, 6, 7], dtype)
        t = asarray(x.copy())
        seen = t
        t = function(t, other)
        assert t is seen
        x = function(x, np.asarray(other, dtype))
        np.testing.assert_array_equal(t.numpy(), x)
        assert t.dtype == x.dtype


def test_inplace_is_seen_through_views() -> None:
    x = asarray(np.zeros(4, np.float32))
    view = x[1:3]
    view += 1
    x *= 2
    assert x.tolist() == [0, 2, 2, 0]
    assert view.tolist() == [2, 2]


def test_inplace_keeps_dtype_and_shape() -> None:
    x = asarray(np.array([1, 2]))
    with pytest.raises(DTypeError, match="add: a result of dtype float64 cannot be written into"):
        x += 1.5
    with pytest.raises(ShapeError, match=r"multiply: the result has shape \(3, 2\)"):
        x *= np.ones((3, 1), int)
    assert x.tolist() == [1, 2]
    y = asarray(np.float32([1, 2]))
    y += np.array([0.5, 0.5])
    assert y.dtype == np.float32
    z = asarray(np.array([1, 2], dtypes.bfloat16))
    z += y
    assert z.dtype == dtypes.bfloat16


def test_inplace_on_a_variable_assigns() -> None:
    v = Variable([1.0, 2.0])
    same = v
    before = v.read()
    v += 1
    assert v is same
    assert v.read().tolist() == [2, 3]
    assert before.tolist() == [1, 2]


def test_power_of_small_constants() -> None:
    x = np.array([0.5, 2.0, 3.0], np.float32)
    for exponent in (2, 0.5, -1, 3, 0, 1.0):
        np.testing.assert_array_equal((asarray(x) ** exponent).numpy(), x**exponent)
    integers = np.array([1, -2])
    np.testing.assert_array_equal((asarray(integers) ** 2).numpy(), integers**2)
    with pytest.raises(ValueError, match="negative integer powers"):
        asarray(integers) ** -1
    with pytest.raises(ValueError, match="negative integer powers"):
        ew.pow(integers, -1)


def test_divmod() -> None:
    quotient, rest = divmod(asarray(np.array([5, -5])), 3)
    assert (quotient.tolist(), rest.tolist()) == ([1, -2], [2, 1])
    quotient, rest = divmod(7, asarray(np.array([2, 4])))
    assert (quotient.tolist(), rest.tolist()) == ([3, 1], [1, 3])


def test_foreign_operands_are_left_to_python() -> None:
    x = asarray([1.0])
    assert (x == None).tolist() == [False]  # noqa: E711  # element by element, as in NumPy
    assert (x != "a").tolist() == [True]
    assert (x == object()) is False
    with pytest.raises(TypeError, match="unsupported operand"):
        x + "a"
    with pytest.raises(TypeError, match="not supported between"):
        x < object()
    with pytest.raises(TypeError, match="unsupported operand"):
        x += None

    class Foreign:
        def __radd__(self, other: Any) -> str:
            return "mine"

    assert x + Foreign() == "mine"


# --- errors ---------------------------------------------------------------------------------------


def test_shapes_that_do_not_broadcast() -> None:
    with pytest.raises(ShapeError) as caught:
        asarray(np.ones(3)) + asarray(np.ones(4))
    text = str(caught.value)
    assert text.startswith("add: shapes (3,) and (4,) do not broadcast; ")
    assert "expand_dims" in text
    assert "test_elementwise.py" in text
    with pytest.raises(ShapeError, match=r"where: shapes \(2,\), \(3,\) and \(\) do not broadcast"):
        ew.where(np.ones(2, bool), np.ones(3), 1.0)


def test_refused_dtypes() -> None:
    x = asarray([1.0])
    with pytest.raises(DTypeError, match="bitwise_and: not defined for float32 and Python int; "):
        x & 1
    with pytest.raises(DTypeError, match=r"subtract: not defined for bool and bool; use x \^ y"):
        asarray([True]) - asarray([True])
    with pytest.raises(DTypeError, match="floor: not defined for complex64"):
        ew.floor(asarray([1j]))
    with pytest.raises(DTypeError, match="asarray: dtype object, of what is given as "):
        x + np.array([None])


@pytest.mark.parametrize("op", PLAIN, ids=_name)
def test_every_op_has_a_gradient_or_says_why_not(op: Op) -> None:
    probe = [TensorSpec((2,), dtypes.float32)] * arity(op)
    try:
        result = op.infer(*probe)
    except HybridError:
        return
    if dtypes.is_inexact(result.dtype):
        assert op.vjp is not None or op.no_gradient


# --- documentation --------------------------------------------------------------------------------


def public() -> list[Any]:
    functions = {id(f): f for f in vars(ew).values() if getattr(f, "__module__", "") == "hybrid"}
    written = (ew.where, ew.clip, ew.round, ew.leaky_relu, ew.stop_gradient, ew.astype, ew.divmod)
    return [*functions.values(), *written]


@pytest.mark.parametrize("function", public(), ids=lambda f: f.__name__)
def test_docstrings(function: Any) -> None:
    assert function.__doc__
    assert "Parameters\n----------\n" in function.__doc__.replace("    ", "")
    names = {"asarray": asarray, **vars(ew)}
    test = doctest.DocTestParser().get_doctest(
        doctest.script_from_examples("") + function.__doc__, names, function.__name__, None, None
    )
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=sys.stdout.write)
    assert runner.failures == 0


def test_out_may_be_given_by_place() -> None:
    x, out = hb.asarray([1.0, 4.0]), hb.zeros(2)
    assert hb.sqrt(x, out) is out
    np.testing.assert_array_equal(out.numpy(), [1, 2])
    assert hb.add(x, x, out) is out
    np.testing.assert_array_equal(out.numpy(), [2, 8])


def test_aliases_are_the_same_function() -> None:
    pairs = "arcsin asin, arctan2 atan2, power pow, true_divide divide, absolute abs, mod remainder"
    for pair in pairs.split(", "):
        alias, name = pair.split()
        assert getattr(ew, alias) is getattr(ew, name)


@pytest.mark.parametrize("exponent", [2, 2.0, 0.5, -1.0])
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float16", "complex64"])
def test_powers_with_python_numbers_have_numpys_dtype(dtype: str, exponent: float) -> None:
    base = np.array([1, 1, 1], dtype)
    expected = base**exponent
    for power in (lambda x: x**exponent, hb.compile(lambda x: x**exponent)):
        np.testing.assert_array_equal(power(hb.asarray(base)).numpy(), expected, strict=True)


# --- what compiled code takes for the same --------------------------------------------------------


LIBRARY = [op for op in BINARY if op.scalar is None and hasattr(ew, op.name)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("op", LIBRARY, ids=lambda op: op.name)
def test_a_python_number_is_as_weak_beside_a_library_call_as_in_eager_code(op: Op):
    function = getattr(ew, op.name)
    for dtype, number in product(("float32", "float16", "int8", "bool"), (2, 2.5)):
        x = hb.ones(3, dtype=dtype)
        for swapped in (False, True):

            def f(x: Any, *, n: Any = number, swapped: bool = swapped) -> Any:
                return function(n, x) if swapped else function(x, n)

            try:
                eager = f(x)
            except (DTypeError, OverflowError):
                continue
            traced = hb.compile(f)(x)
            assert traced.dtype == eager.dtype, (dtype, number)
            np.testing.assert_array_equal(traced.numpy(), eager.numpy())


COMPARISONS = [hb.less, hb.less_equal, hb.greater, hb.greater_equal, hb.equal, hb.not_equal]


@pytest.mark.parametrize("compare", COMPARISONS, ids=lambda f: f.__name__)
def test_signed_and_unsigned_integers_of_64_bits_compare_by_value(compare: Any):
    edges = [-(2**63), -1, 0, 1, 5, 2**62, 2**63 - 1]
    signed = np.repeat(np.array(edges, np.int64), 8)
    unsigned = np.tile(np.array([0, 1, 4, 5, 2**62, 2**63 - 1, 2**63, 2**64 - 1], np.uint64), 7)
    ufunc = getattr(np, compare.__name__)
    for x, y in ((signed, unsigned), (unsigned, signed), (signed.astype(np.int8), unsigned)):
        for run in (compare, hb.compile(compare)):
            np.testing.assert_array_equal(run(hb.asarray(x), hb.asarray(y)), ufunc(x, y))
