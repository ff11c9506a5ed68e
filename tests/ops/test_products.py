"""Products agree with NumPy, in value and in which shapes they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.making import asarray
from hybrid.core.op import OPS
from hybrid.errors import ShapeError
from hybrid.ops import products, tensor_products

rng = np.random.default_rng(0)


def drawn(*shapes):
    return [rng.normal(size=shape) for shape in shapes]


@pytest.mark.parametrize(
    "shapes", [e.shapes for e in OPS["matmul"].examples] + [((2, 0), (0, 3)), ((0, 2), (2,))]
)
def test_matmul_is_numpys(shapes):
    a, b = drawn(*shapes)
    np.testing.assert_allclose((asarray(a) @ b).numpy(), a @ b)
    np.testing.assert_allclose(products.matmul(a, b).numpy(), a @ b)
    assert isinstance(a @ asarray(b), type(asarray(b)))


@pytest.mark.parametrize("shapes", [((3,), (3,)), ((2, 3), (3,)), ((2, 3), (2, 3, 4)), ((), (2,))])
def test_dot_is_numpys(shapes):
    a, b = drawn(*shapes)
    np.testing.assert_allclose(tensor_products.dot(a, b).numpy(), np.dot(a, b))
    np.testing.assert_allclose(asarray(a).dot(b).numpy(), np.dot(a, b))


@pytest.mark.parametrize(
    ("shapes", "axes"),
    [
        (((2, 3, 4), (3, 4, 5)), 2),
        (((2, 3, 4), (4, 2)), ([0, -1], [1, 0])),
        (((2, 3), (4, 5)), 0),
        (((2, 3), (2, 3)), 2),
    ],
)
def test_tensordot_is_numpys(shapes, axes):
    a, b = drawn(*shapes)
    np.testing.assert_allclose(
        tensor_products.tensordot(a, b, axes).numpy(), np.tensordot(a, b, axes)
    )


COMPLEX = (
    ("matmul", ((2, 3), (3, 2))),
    ("vecdot", ((2, 3), (3,))),
    ("vdot", ((2, 3), (2, 3))),
    ("inner", ((2, 3), (4, 3))),
    ("inner", ((), (4, 3))),
    ("outer", ((2,), (2, 3))),
    ("tensordot", ((2, 3), (2, 3))),
    ("kron", ((2, 3), (2, 2))),
    ("kron", ((3,), (2, 2))),
    ("kron", ((2, 2, 1), (3,))),
    ("kron", ((), (0, 2))),
)


@pytest.mark.parametrize(("name", "shapes"), COMPLEX)
@pytest.mark.parametrize("kind", ["int8", "float32", "complex128", "bool"])
def test_products_are_numpys_eager_and_traced(name, shapes, kind):
    arrays = [(3 * x * (1 + (1j if kind[0] == "c" else 0))).astype(kind) for x in drawn(*shapes)]
    ours, expected = getattr(hb, name), getattr(np, name)(*arrays)
    for run in (ours, hb.compile(lambda *xs: ours(*xs))):
        found = run(*arrays)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        getattr(np, name)(*map(hb.asarray, arrays)).numpy(), expected, rtol=1e-5, atol=1e-6
    )


def test_a_real_factor_of_a_complex_product_has_a_real_gradient():
    a, b = hb.asarray(drawn((2, 3))[0]), hb.asarray(drawn((3,))[0] * 1j + 1)
    with hb.GradientTape() as tape:
        tape.watch(a)
        y = hb.real((a @ b).sum() * 1j)
    gradient = tape.gradient(y, a)
    assert gradient.dtype == np.float64
    np.testing.assert_allclose(gradient.numpy(), np.real(1j * np.tile(b.numpy(), (2, 1))))


def test_outer_vecdot():
    a, b = drawn((2, 3), (2, 3))
    np.testing.assert_allclose(tensor_products.outer(a, b).numpy(), np.outer(a, b))
    for dtype in ("float16", "float64", "int64", "bool", "complex64"):
        x, y = asarray(a[0] * 9).astype(dtype), asarray(b[1] * 9).astype(dtype)
        wanted = np.outer(x.numpy(), y.numpy())
        np.testing.assert_array_equal(tensor_products.outer(x, y).numpy(), wanted, strict=True)
    np.testing.assert_allclose(products.vecdot(a, b).numpy(), np.vecdot(a, b))
    np.testing.assert_allclose(products.vecdot(a, b, axis=0).numpy(), np.vecdot(a, b, axis=0))


def test_errors_name_the_shapes():
    a = asarray(np.ones((3, 4)))
    with pytest.raises(
        ShapeError,
        match=r"matmul: shapes \(3, 4\) and \(3, 4\) do not fit: the last axis of the first has "
        r"size 4, the second to last axis of the second has size 3",
    ):
        a @ a
    with pytest.raises(ShapeError, match=r"matmul: .* both need at least one axis"):
        a @ 2.0
    with pytest.raises(ShapeError, match=r"the axes before the last two, \(2,\) and \(3,\)"):
        products.matmul(np.ones((2, 3, 3)), np.ones((3, 3, 3)))
    with pytest.raises(ShapeError, match="do not meet axes"):
        tensor_products.tensordot(a, a, 1)
    with pytest.raises(ShapeError, match="vecdot"):
        products.vecdot(a, np.ones(3))


@pytest.mark.parametrize("first", ["float64", "float32", "int32", "bool", "complex64", "bfloat16"])
@pytest.mark.parametrize("other", ["float64", "float32", "int16"])
@pytest.mark.parametrize("shape", [(70, 50), (3, 70, 50)])
def test_products_of_two_dtypes_have_the_same_bits_in_both_modes(
    shape: tuple[int, ...], first: str, other: str
) -> None:
    draw = np.random.default_rng(0)
    a = hb.asarray(draw.normal(size=shape) * 3).astype(getattr(hb, first))
    b = hb.asarray(draw.normal(size=(50, 60)) * 3).astype(getattr(hb, other))
    for function in (lambda a, b: a @ b, lambda a, b: (a + a) @ (b * b) * 2):
        found, expected = hb.compile(function)(a, b), function(a, b)
        assert found.dtype == expected.dtype
        assert found.numpy().tobytes() == expected.numpy().tobytes()


def test_an_in_place_matrix_product_writes():
    a = np.arange(4.0).reshape(2, 2)
    for run in (lambda f: f, hb.compile):
        t = asarray(a.copy())
        row = t[0]

        def square(x):
            x @= x
            return x

        run(square)(t)
        np.testing.assert_array_equal(t.numpy(), a @ a)
        np.testing.assert_array_equal(row.numpy(), (a @ a)[0])
    with pytest.raises(ShapeError, match="cannot be written"):
        t @= np.ones((2, 3))
