"""Matrices that a function cannot take are refused alike in eager and in traced code."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import DTypeError, LinAlgError, ShapeError

L = hb.linalg
SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])
STACK = np.stack([np.eye(2), SINGULAR, SINGULAR])
SQUARE = (
    L.cholesky, L.eigh, L.eigvalsh, L.inv, L.det, L.slogdet, L.expm,
    lambda x: L.cond(x, 1),
    lambda x: L.matrix_power(x, 2),
    lambda x: L.solve(x, np.ones(3)),
    lambda x: L.solve_triangular(x, np.ones(3)),
)  # fmt: skip
ANY = (L.qr, L.svd, L.svdvals, L.pinv, lambda x: L.lstsq(x, x),
       lambda x: L.matrix_norm(x, ord="nuc"))  # fmt: skip
BOTH = [lambda f: f, hb.compile]


def refused(run: Any, f: Callable[..., Any], x: Any, kind: type[Exception], message: str) -> None:
    def called(t):
        return f(t)  # the line that is named

    with pytest.raises(kind, match=message) as caught:
        run(called)(hb.asarray(x))
    text = str(caught.value)
    assert "the line that is named" in text or re.search(r"at .*test_errors.py", text), text


@pytest.mark.parametrize("run", BOTH)
@pytest.mark.parametrize("f", SQUARE)
def test_what_is_not_square_is_refused_when_it_is_traced(run: Any, f: Any):
    refused(run, f, np.ones((3, 4)), np.linalg.LinAlgError, r"shape \(3, 4\) is not square")
    refused(run, f, np.ones(3), LinAlgError, r"shape \(3,\) has 1 axes; a matrix has two")


@pytest.mark.parametrize("run", BOTH)
@pytest.mark.parametrize("p", [None, -2, 1, "fro"])
def test_matrices_without_elements_have_no_condition_number(run: Any, p: Any):
    for shape in ((0, 0), (2, 0, 0), (0, 0, 0)):
        with pytest.raises(np.linalg.LinAlgError, match="empty"):
            np.linalg.cond(np.ones(shape), p)
        refused(run, lambda x: L.cond(x, p), np.ones(shape), LinAlgError, "have no elements")


@pytest.mark.parametrize("run", BOTH)
@pytest.mark.parametrize("f", ANY)
def test_what_is_no_matrix_is_refused(run: Any, f: Any):
    refused(run, f, np.ones(3), LinAlgError, r"shape \(3,\) has 1 axes; a matrix has two")


@pytest.mark.parametrize("run", BOTH)
@pytest.mark.parametrize("f", [*SQUARE[:8], *ANY])
def test_dtypes_that_lapack_does_not_have_are_refused(run: Any, f: Any):
    for dtype in (hb.float16, hb.bfloat16):
        refused(run, f, np.eye(2).astype(dtype), DTypeError, rf"LAPACK has no {dtype}; convert")


@pytest.mark.parametrize("run", BOTH)
@pytest.mark.parametrize(
    ("f", "message"),
    [
        (L.inv, "inv: the matrix of shape .2, 2. at .1. of the stack is singular"),
        (
            lambda x: L.solve(x, np.ones(2)),
            "solve: the matrix of shape .* of the stack is singular",
        ),
        (lambda x: L.cholesky(-x), "cholesky: the matrix .* at .0. of the stack is not positive"),
        (lambda x: L.solve_triangular(x * [0, 1], np.ones(2)), "solve_triangular: .* diagonal"),
        (lambda x: L.svd(x * np.nan), "svd: the matrix .* did not converge"),
        (lambda x: L.matrix_power(x, -1), "inv: .* is singular"),
    ],
)
def test_a_matrix_that_cannot_be_taken_is_named_when_it_is_met(run: Any, f: Any, message: str):
    refused(run, f, STACK, np.linalg.LinAlgError, message)


def test_a_compiled_function_goes_on_after_a_singular_matrix():
    inverse = hb.compile(L.inv)
    np.testing.assert_array_equal(inverse(np.eye(2)).numpy(), np.eye(2))
    with pytest.raises(LinAlgError):
        inverse(SINGULAR)
    np.testing.assert_array_equal(inverse(2 * np.eye(2)).numpy(), np.eye(2) / 2)
    assert inverse.cache_info().misses == 1


@pytest.mark.parametrize("run", BOTH)
def test_sides_that_do_not_fit_are_refused(run: Any):
    eye = np.eye(3)
    for f in (L.solve, L.solve_triangular):
        refused(run, lambda x, f=f: f(x, np.ones(2)), eye, ShapeError, r"\(3, 3\) and \(2,\)")
        refused(run, lambda x, f=f: f(x, 1.0), eye, ShapeError, "no axes")
        wrong = lambda x, f=f: f(x[None, ...].repeat(2, axis=0), np.ones((3, 3, 1)))
        refused(run, wrong, eye, ShapeError, "do not broadcast")
    refused(run, lambda x: L.lstsq(x, np.ones(2)), eye, LinAlgError, "3 rows and 2 rows")
    refused(run, lambda x: L.cross(x[:2], x[:2], axis=0), eye, ShapeError, "vectors of 3 elements")
    refused(run, lambda x: L.outer(x, x), eye, ShapeError, "not both vectors")
    refused(run, lambda x: L.diagonal(x[0]), eye, ShapeError, "a diagonal needs two")
    refused(run, lambda x: L.multi_dot([x, x[:2], x]), eye, ShapeError, "neighbours do not fit")
    refused(run, lambda x: L.multi_dot([x]), eye, ShapeError, "two arrays or more")


def test_words_that_are_not_known_are_refused():
    with pytest.raises(ValueError, match="mode is 'reduced' or 'complete', not 'raw'"):
        L.qr(np.eye(2), mode="raw")
    with pytest.raises(ValueError, match="trans is 0, 1 or 2"):
        L.solve_triangular(np.eye(2), np.ones(2), trans="X")
    with pytest.raises(TypeError):
        L.matrix_power(np.eye(2), 0.5)
