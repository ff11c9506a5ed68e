"""Views of memory as elements of another dtype, and what is told of how memory lies."""

from __future__ import annotations

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import DTypeError, EagerFallbackWarning, ShapeError


def _numpy(x):
    return x


MODES = [
    pytest.param(lambda f: f, hb.asarray, id="eager"),
    pytest.param(hb.compile(fullgraph=True), _numpy, id="compiled, an ndarray"),
    pytest.param(hb.compile(fullgraph=True), hb.asarray, id="compiled, a Tensor"),
]
every_mode = pytest.mark.parametrize(("made", "given"), MODES)

CHANGES = [("f8", "i8"), ("f4", "u4"), ("c16", "f8"), ("f4", "c8"), ("u1", "u4"), ("i8", "?")]


@every_mode
@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_elements_are_those_that_numpy_sees_in_the_memory(made, given, old, new):
    f = made(lambda x: (x.view(new), x.view(dtype=np.dtype(new))[..., 1:]))
    for shape in ((2, 8), (8,), (1, 4), (3, 1, 4)):
        x = np.arange(np.prod(shape)).astype(old).reshape(shape)
        if np.dtype(new) == np.bool_:
            x = x.astype(bool).repeat(8, -1).view("i8")
        for _ in range(2):
            whole, part = f(given(x.copy()))
            expected = x.view(new)
            assert whole.dtype == expected.dtype
            np.testing.assert_array_equal(whole.numpy(), expected)
            np.testing.assert_array_equal(part.numpy(), expected[..., 1:])


@every_mode
def test_a_write_to_the_view_is_one_to_the_array_and_the_other_way_round(made, given):
    def f(x):
        bits, z = x.view("u8"), x[:, 2:].view("c16")
        bits >>= np.uint64(1)
        x[0] = 2.0
        bits[1, :2] = [0, np.uint64(1 << 62)]
        x.view("i8")[...] += np.arange(4, dtype="i4")
        x[:1].view("u4")[...] = np.float64(3) * bits[:1, :1].view("u4")[:, :1]
        z[1, 0] += 3j
        z.view("f8")[0, 1:] = 0.1
        z.view("f8")[...] *= 1.7
        return bits, z, x[0]

    compiled = made(f)
    for k in range(3):
        old, new = (np.arange(8.0).reshape(2, 4) + k for _ in range(2))
        expected = f(old)
        found = compiled(given(new))
        np.testing.assert_array_equal(new, old)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a.numpy(), b)


@pytest.mark.filterwarnings("ignore:f was traced:hybrid.errors.RetraceWarning")
@every_mode
def test_how_memory_lies_is_told_as_of_ndarrays(made, given):
    def f(x):
        flags = x.flags
        orders = flags.c_contiguous, flags["F_CONTIGUOUS"], flags["C"], flags.fnc
        return x.strides, x.T.strides, (x * 2).strides, orders, x[..., ::2].strides

    compiled = made(f)
    a = np.arange(48.0).reshape(6, 8)
    for x in (a, a[:, ::2], a[:, :4], a.T, np.asfortranarray(a), a[::-1], a[0], a[0, ::2], a[:1]):
        for _ in range(2):
            assert compiled(given(x)) == f(x)


def test_what_else_flags_tell_ends_a_trace():
    f = hb.compile(lambda x: (x.flags.writeable, x + 1))
    x = np.zeros(2)
    with pytest.warns(EagerFallbackWarning, match="flags.writeable"):
        assert f(x)[0] is True
    x.flags.writeable = False
    assert f(x)[0] is False
    assert hb.asarray(np.zeros(2)).flags.writeable


@every_mode
@pytest.mark.parametrize(
    ("make", "change", "error", "text"),
    [
        (lambda: np.zeros((2, 4)).T, "f4", ShapeError, "gaps"),
        (lambda: np.zeros(8)[::2], "c16", ShapeError, r"float64 of shape \(4,\) as complex128"),
        (lambda: np.zeros(8)[::-1], "u1", ShapeError, "backwards"),
        (lambda: np.zeros(3), "c16", ShapeError, "whole elements"),
        (lambda: np.zeros(()), "f4", ShapeError, "one element"),
        (lambda: np.zeros(3), (3, 1), DTypeError, "reshape"),
        (lambda: np.zeros(3), "M8[s]", DTypeError, "not supported"),
        (lambda: np.zeros(3), "nothing", DTypeError, "not a dtype"),
    ],
)
def test_what_no_view_can_be_says_why(made, given, make, change, error, text):
    with pytest.raises(error, match=text):
        made(lambda x: x.view(change))(given(make()))


def test_rows_that_begin_amid_elements_are_seen_outside_the_trace():
    x = np.arange(9.0).reshape(3, 3)
    f = hb.compile(lambda x: x[:, :2].view("c16") * 1)
    with pytest.warns(EagerFallbackWarning, match="amid"):
        np.testing.assert_array_equal(f(x).numpy(), x[:, :2].view("c16"))


@pytest.mark.parametrize("made", [lambda f: f, hb.compile], ids=["eager", "compiled"])
def test_gradients_pass_between_complex_numbers_and_their_parts(made):
    x = hb.asarray([[1.0, 2.0, 3.0, 4.0]], dtype="float64")

    def viewed(x):
        return (hb.abs((x * 2).view("c16") ** 2) ** 2).sum()

    def combined(x):
        pairs = x.reshape(1, 2, 2) * 2
        return (hb.abs((pairs[..., 0] + 1j * pairs[..., 1]) ** 2) ** 2).sum()

    found, expected = made(hb.grad(viewed))(x), hb.grad(combined)(x)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)

    def parts(x):
        z = (x[:, ::2] + 1j * x[:, 1::2]) ** 2
        return (z.copy().view("f8") * np.arange(4)).sum()

    def parted(x):
        z = (x[:, ::2] + 1j * x[:, 1::2]) ** 2
        return (hb.stack([z.real, z.imag], axis=-1).reshape(1, 4) * np.arange(4)).sum()

    found, expected = made(hb.grad(parts))(x), hb.grad(parted)(x)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)


@pytest.mark.parametrize("made", [lambda f: f, hb.compile], ids=["eager", "compiled"])
def test_gradients_pass_what_is_written_to_a_view(made):
    def written(x):
        z = hb.zeros(2, dtype="complex128") + 1j
        z.view("f8")[1:3] = x
        return (hb.abs(z) ** 2 * np.array([1.0, 5.0])).sum()

    x = hb.asarray([2.0, 3.0], dtype="float64")
    np.testing.assert_allclose(made(hb.grad(written))(x).numpy(), [4.0, 30.0])


def test_each_example_of_a_batch_is_seen_anew():
    x = np.arange(12.0).reshape(3, 4)
    for f in (lambda r: r.view("c16"), lambda r: r.view("u8") >> 2, lambda r: r[0].view("i8")):
        expected = np.stack([np.asarray(f(hb.asarray(row))) for row in x])
        for made in (hb.vmap(f), hb.compile(hb.vmap(f))):
            np.testing.assert_array_equal(made(x).numpy(), expected)
