"""The real and imaginary parts of complex numbers: views, which see writes and pass them on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from tests.trace.agreement import compiled_throughout


def numbers(dtype: str = "complex128") -> np.ndarray[Any, Any]:
    real, imag = np.arange(24.0).reshape(2, 3, 4)
    return (real + 1j * imag[::-1]).astype(dtype)


def of_a_slice(z: Any) -> Any:
    part = z[1:, ::-2].real
    part[0] = -3
    return part * 2


def seen_later(z: Any) -> Any:
    real, imag = z.real, np.imag(z.T)
    z[0] = 5 - 2j
    return real + 0, imag + 0


def swapped(z: Any) -> Any:
    z.real, z.imag = z.imag.copy(), z.real.copy()
    return z * 1


def through_views_of_the_part(z: Any) -> Any:
    z.T.imag[1:, ::-1][0] += 10
    z.real.reshape(3, 2, 2)[1, :, 0] = 7
    return z.real.sum()


def by_masks_and_lists(z: Any) -> Any:
    z.real[z.imag > 15] = 0
    z.imag[[0, 2], 1] *= 3
    np.add.at(z.real, ([0, 0], [1, 1]), 1)
    return z + 0


def by_out(z: Any) -> Any:
    np.add(z.real, z.imag, out=z.real)
    np.multiply(z.real, 2, out=z.imag[:, ::-1])
    np.copyto(z.real[0], 9)
    return z + 0


def in_a_loop(z: Any) -> Any:
    for i in range(3):
        z.real[i] += z.imag[i - 1]
        z[i].imag *= 0.5
    return z + 0


def special_values(z: Any) -> Any:
    z.real = np.inf
    z.imag[0] = -0.0
    z.imag[1] = np.nan
    return z.imag + 0


FUNCTIONS: list[Callable[[Any], Any]] = [
    of_a_slice, seen_later, swapped, through_views_of_the_part, by_masks_and_lists, by_out,
    in_a_loop, special_values,
]  # fmt: skip


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "traced"])
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_parts_are_the_views_that_numpy_makes(
    f: Callable[[Any], Any], dtype: str, compiled: bool
) -> None:
    theirs = numbers(dtype)
    want = f(theirs)
    run = hb.compile(f) if compiled else f
    for _ in range(2):
        mine = numbers(dtype)
        with compiled_throughout():
            got = run(hb.asarray(mine))
        np.testing.assert_array_equal(mine, theirs)
        for a, b in zip(*(x if isinstance(x, tuple) else (x,) for x in (got, want)), strict=True):
            assert np.asarray(a).dtype == b.dtype
            np.testing.assert_allclose(np.asarray(a), b, rtol=1e-6)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "traced"])
def test_a_part_that_is_returned_is_a_view_of_the_callers_array(compiled: bool) -> None:
    def parts(z: Any) -> Any:
        return z.real, z[1:].imag.T

    run = hb.compile(parts) if compiled else parts
    for _ in range(2):
        z = numbers()
        real, imag = run(hb.asarray(z))
        real[0], imag[1] = 50, 60
        assert (z[0].real == 50).all()
        assert (z[1:, 1].imag == 60).all()
        assert np.asarray(real).strides == (64, 16)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "traced"])
def test_the_part_of_a_number_is_a_number_by_itself(compiled: bool) -> None:
    def f(z: Any) -> Any:
        total = z.sum()
        part = total.real
        part += 1
        return part, total

    part, total = (hb.compile(f) if compiled else f)(hb.asarray(numbers()))
    want = numbers().sum()
    assert (part.item(), total.item()) == (want.real + 1, want)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "traced"])
def test_the_imaginary_part_of_real_numbers_cannot_be_written(compiled: bool) -> None:
    def by_index(x: Any) -> None:
        x.imag[0] = 1

    def whole(x: Any) -> None:
        x.imag = 1

    for f, error in ((by_index, ValueError), (whole, TypeError)):
        with pytest.raises(error):
            f(np.ones(3))
        with pytest.raises(error):
            (hb.compile(f) if compiled else f)(hb.ones(3))


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "traced"])
def test_gradients_pass_writes_to_parts(compiled: bool) -> None:
    w = np.linspace(-1, 2, 12).reshape(3, 4)

    def loss(z: Any, x: Any) -> Any:
        whole = z * 1
        whole.real[1:] = x * 2
        whole.imag *= x[0]
        part = whole.imag
        return (whole.real * w).sum() + (part**2).sum()

    def by_formula(z: Any, x: Any) -> Any:
        real = hb.concat([hb.real(z)[:1] + 0, x * 2])
        return (real * w).sum() + ((hb.imag(z) * x[0]) ** 2).sum()

    z, x = hb.asarray(numbers()), hb.asarray(w[1:] + 1)
    got = hb.grad(loss, argnums=(0, 1))
    want = hb.grad(by_formula, argnums=(0, 1))(z, x)
    for a, b in zip((hb.compile(got) if compiled else got)(z, x), want, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


def test_a_view_of_a_part_is_watched_and_written_on_a_tape() -> None:
    z = hb.asarray(numbers())
    part = z.real
    with hb.GradientTape() as tape:
        tape.watch(part)
        part *= 3
        y = (z.real * 2).sum()
    np.testing.assert_array_equal(tape.gradient(y, part).numpy(), np.full((3, 4), 6.0))


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "traced"])
def test_parts_in_a_body_of_a_loop_are_those_of_the_array_outside(compiled: bool) -> None:
    def f(z: Any) -> Any:
        def step(i: Any, total: Any) -> Any:
            z.imag[1] += 1.0
            return total + z.imag.sum()

        return hb.fori_loop(0, 3, step, 0.0 * z.real.sum())

    z, theirs = numbers(), numbers()
    total = 0.0
    for _ in range(3):
        theirs.imag[1] += 1
        total += theirs.imag.sum()
    got = (hb.compile(f) if compiled else f)(hb.asarray(z))
    assert got.item() == total
    np.testing.assert_array_equal(z, theirs)


def test_examples_of_a_batch_write_to_parts() -> None:
    def f(z: Any, x: Any) -> Any:
        z = z * 1
        z.real[:2] = x
        z.imag = x[0]
        return z

    z = np.stack([numbers()[0], 2 * numbers()[1]])
    x = np.arange(4.0).reshape(2, 2)
    found = hb.vmap(f)(hb.asarray(z), hb.asarray(x)).numpy()
    for one, mine, its in zip(found, z, x, strict=True):
        np.testing.assert_array_equal(one, f(mine, its))
