"""einsum agrees with NumPy for any subscripts, and its gradient is that of a linear function."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hybrid as hb
from hybrid.errors import ShapeError

pytestmark = pytest.mark.filterwarnings("ignore::hybrid.errors.RetraceWarning")

rng = np.random.default_rng(0)


def drawn(*shapes):
    return [rng.normal(size=shape) for shape in shapes]


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
        hb.einsum(subscripts, *operands).numpy(), np.einsum(subscripts, *operands)
    )


SIZES = dict(zip("abcde", (2, 3, 1, 4, 2)))


@st.composite
def contractions(draw):
    """Subscripts of one to four operands, with repeated letters, in any order."""
    terms = draw(st.lists(st.text("abcde", max_size=3), min_size=1, max_size=4))
    letters = sorted(set("".join(terms)))
    kept = draw(st.lists(st.sampled_from(letters), unique=True)) if letters else []
    return terms, "".join(kept)


@given(contractions(), st.sampled_from(["float64", "complex128", "int8", "bool"]), st.data())
def test_any_contraction_is_numpys_eager_and_traced(contraction, kind, data):
    terms, result = contraction
    text = f"{','.join(terms)}->{result}"
    operands = []
    for number, term in enumerate(terms):
        base = np.random.default_rng(number).integers(-3, 4, [2 * SIZES[c] for c in term])
        operands.append(
            (base * (1 + 2j if kind[0] == "c" else 1)).astype(kind)[
                (slice(None, None, 2),) * len(term)
            ]
        )
    expected = np.einsum(text, *operands)
    optimize = data.draw(st.sampled_from([True, False, "greedy", "dp"]))
    ours = lambda *xs: hb.einsum(text, *xs, optimize=optimize)
    for run in (ours, hb.compile(ours)):
        found = run(*operands)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


@given(contractions())
def test_the_gradient_of_any_contraction_is_that_of_a_linear_function(contraction):
    terms, result = contraction
    text = f"{','.join(terms)}->{result}"
    draw = np.random.default_rng(1)
    complex_normal = lambda shape: draw.normal(size=shape) + 1j * draw.normal(size=shape)
    operands = [complex_normal([SIZES[c] for c in term]) for term in terms]
    weights = complex_normal([SIZES[c] for c in result])
    tensors = [hb.asarray(x) for x in operands]
    with hb.GradientTape() as tape:
        tape.watch(tensors)
        y = hb.real((hb.einsum(text, *tensors) * weights).sum())
    for i, gradient in enumerate(tape.gradient(y, tensors)):
        step = complex_normal(operands[i].shape)
        moved = [step if k == i else x for k, x in enumerate(operands)]
        change = (np.einsum(text, *moved) * weights).sum().real
        np.testing.assert_allclose(
            (gradient.numpy() * step).sum().real, change, rtol=1e-9, atol=1e-9
        )


def test_operands_and_numbers_in_turns():
    x, y = drawn((2, 3), (3, 4))
    for turns in ((x, [0, 1], y, [1, 2], [0, 2]), (x, [0, 1], y, [1, 2]), (x, [..., 1], [1, ...])):
        np.testing.assert_allclose(hb.einsum(*turns).numpy(), np.einsum(*turns))


def test_the_order_is_planned_and_may_be_given():
    thin = drawn((200, 2), (2, 200), (200, 1))
    text = "ij,jk,kl->il"
    planned = hb.compile(lambda *xs: hb.einsum(text, *xs)).get_concrete_function(*thin)
    assert "f64[200,200]" not in str(planned.graph)
    naive = hb.compile(lambda *xs: hb.einsum(text, *xs, optimize=False))
    assert "f64[200,200]" in str(naive.get_concrete_function(*thin).graph)
    path, _ = np.einsum_path(text, *thin)
    np.testing.assert_allclose(
        hb.einsum(text, *thin, optimize=path).numpy(), np.einsum(text, *thin)
    )


def test_a_permutation_and_a_diagonal_are_views():
    x = hb.asarray(np.zeros((2, 2)))
    hb.einsum("ij->ji", x)[0, 1] = 3
    hb.einsum("ii->i", x)[1] = 5
    np.testing.assert_array_equal(x.numpy(), [[0, 0], [3, 5]])


@pytest.mark.parametrize("run", [lambda f: f, hb.compile])
def test_errors_name_letters_and_shapes(run):
    a = hb.asarray(np.ones((3, 4)))
    for text, operands, message in (
        ("ij,jk->ik", (a, a), r"einsum: 'j' in 'ij,jk->ik' has size 4 and 3"),
        ("ijk->i", (a,), r"names 3 axes, the operand has shape \(3, 4\)"),
        ("ij->z", (a,), "'z' is in no operand"),
        ("ij,jk", (a,), "is for 2 operands, given 1"),
    ):
        with pytest.raises(ShapeError, match=message):
            run(lambda *xs: hb.einsum(text, *xs))(*operands)
