"""Products agree with NumPy, in value and in which shapes they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from hybrid.core.op import OPS
from hybrid.core.tensor import asarray
from hybrid.errors import ShapeError
from hybrid.ops import linalg

rng = np.random.default_rng(0)


def drawn(*shapes):
    return [rng.normal(size=shape) for shape in shapes]


@pytest.mark.parametrize(
    "shapes", [e.shapes for e in OPS["matmul"].examples] + [((2, 0), (0, 3)), ((0, 2), (2,))]
)
def test_matmul_is_numpys(shapes):
    a, b = drawn(*shapes)
    np.testing.assert_allclose((asarray(a) @ b).numpy(), a @ b)
    np.testing.assert_allclose(linalg.matmul(a, b).numpy(), a @ b)
    assert isinstance(a @ asarray(b), type(asarray(b)))


@pytest.mark.parametrize("shapes", [((3,), (3,)), ((2, 3), (3,)), ((2, 3), (2, 3, 4)), ((), (2,))])
def test_dot_is_numpys(shapes):
    a, b = drawn(*shapes)
    np.testing.assert_allclose(linalg.dot(a, b).numpy(), np.dot(a, b))
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
    np.testing.assert_allclose(linalg.tensordot(a, b, axes).numpy(), np.tensordot(a, b, axes))


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ij,jk->ik", ((2, 3), (3, 4))),
        ("ij,jk", ((2, 3), (3, 4))),
        ("ba", ((2, 3),)),
        ("ii", ((3, 3),)),
        ("...ij,...jk->...ik", ((5, 1, 2, 3), (4, 3, 2))),
        ("...i,i", ((2, 3, 4), (4,))),
        ("i...->...", ((2, 3),)),
        (" i j , j -> i ", ((2, 3), (3,))),
        ("ij,jk,kl->il", ((2, 3), (3, 4), (4, 2))),
        ("bhqd,bhkd->bhqk", ((2, 2, 3, 4), (2, 2, 5, 4))),
        ("ij,ij->", ((2, 3), (1, 3))),
    ],
)
def test_einsum_is_numpys(subscripts, shapes):
    operands = drawn(*shapes)
    np.testing.assert_allclose(
        linalg.einsum(subscripts, *operands).numpy(), np.einsum(subscripts, *operands)
    )


@pytest.mark.parametrize("example", OPS["einsum"].examples, ids=lambda e: e.attrs["subscripts"])
def test_gradient_of_einsum(example):
    """The product with the gradient equals the derivative: einsum is linear in each operand."""
    op = OPS["einsum"]
    inputs = [asarray(x) for x in drawn(*example.shapes)]
    out = asarray(op.eager(np, *(x.numpy() for x in inputs), **example.attrs))
    g = asarray(np.asarray(rng.normal(size=out.shape)))
    for i, x in enumerate(inputs):
        (step,) = drawn(x.shape)
        moved = [t.numpy() for t in inputs]
        moved[i] = step
        change = (op.eager(np, *moved, **example.attrs) * g.numpy()).sum()
        gradient = op.vjp(i, g, out, *inputs, **example.attrs)
        np.testing.assert_allclose((gradient.numpy() * step).sum(), change)


def test_outer_vecdot():
    a, b = drawn((2, 3), (2, 3))
    np.testing.assert_allclose(linalg.outer(a, b).numpy(), np.outer(a, b))
    np.testing.assert_allclose(linalg.vecdot(a, b).numpy(), np.vecdot(a, b))
    np.testing.assert_allclose(linalg.vecdot(a, b, axis=0).numpy(), np.vecdot(a, b, axis=0))


@pytest.mark.parametrize("ord", [0, 1, 2, 3, np.inf, -np.inf])
def test_vector_norm_is_numpys(ord):
    (x,) = drawn((3, 4))
    found = linalg.vector_norm(x, axis=1, ord=ord).numpy()
    np.testing.assert_allclose(found, np.linalg.norm(x, ord, axis=1))
    np.testing.assert_allclose(linalg.norm(x, ord, axis=1).numpy(), found)


def test_norm_of_a_matrix_and_of_zero():
    (x,) = drawn((3, 4))
    np.testing.assert_allclose(linalg.norm(x).item(), np.linalg.norm(x))
    assert linalg.norm(np.zeros(3)).item() == 0


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
        linalg.matmul(np.ones((2, 3, 3)), np.ones((3, 3, 3)))
    with pytest.raises(ShapeError, match=r"einsum: 'j' in 'ij,jk->ik' has size 4 and 3"):
        linalg.einsum("ij,jk->ik", a, a)
    with pytest.raises(ShapeError, match=r"names 3 axes, the operand has shape \(3, 4\)"):
        linalg.einsum("ijk->i", a)
    with pytest.raises(ShapeError, match="'z' is in no operand"):
        linalg.einsum("ij->z", a)
    with pytest.raises(ShapeError, match="is for 2 operands, given 1"):
        linalg.einsum("ij,jk", a)
    with pytest.raises(ShapeError, match="do not meet axes"):
        linalg.tensordot(a, a, 1)
    with pytest.raises(ShapeError, match="vecdot"):
        linalg.vecdot(a, np.ones(3))
