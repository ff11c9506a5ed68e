"""Arguments and results that share memory, or lie in it in unusual ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import EagerFallbackWarning
from tests.trace.agreement import agree, compiled_throughout


def misaligned() -> np.ndarray:
    raw = np.zeros(4 * 6 + 1, np.uint8)
    array = raw[1:].view(np.float32)
    array[:] = np.arange(6)
    return array


def read_only() -> np.ndarray:
    array = np.arange(6, dtype=np.float32)
    array.flags.writeable = False
    return array


ARRAYS: dict[str, Callable[[], np.ndarray]] = {
    "not contiguous": lambda: np.arange(12, dtype=np.float32)[::2],
    "negatively strided": lambda: np.arange(6, dtype=np.float32)[::-1],
    "stride 0": lambda: np.broadcast_to(np.float32(2), (6,)),
    "transposed": lambda: np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "of Fortran order": lambda: np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "read-only": read_only,
    "misaligned": misaligned,
    "byte-swapped": lambda: np.arange(6, dtype=">f4"),
    "empty": lambda: np.zeros((0, 3), np.float32),
    "0-d": lambda: np.array(3.0, np.float32),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_is_read_however_it_lies_in_memory(name: str) -> None:
    make = ARRAYS[name]

    def f(x: hb.Tensor) -> tuple[hb.Tensor, ...]:
        return hb.tanh(x) * 2 + x.sum(), x.reshape(-1), hb.cumsum(x.ravel(), axis=0)

    with compiled_throughout():
        # An ndarray argument is a Tensor inside; so it is to the eager function.
        agree(f, lambda: (hb.asarray(make()),), lambda: (hb.asarray(make().copy()),))
        traced = hb.compile(f)
        for _ in range(2):
            for got, want in zip(traced(make()), f(hb.asarray(make())), strict=True):
                np.testing.assert_array_equal(got.numpy(), want.numpy())


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_is_written_however_it_lies_in_memory(name: str) -> None:
    make = ARRAYS[name]

    def f(x: hb.Tensor) -> hb.Tensor:
        x += 1
        x[..., :1] = 5
        return x * 2

    a, b = make(), make()
    traced = hb.compile(f)
    for _ in range(3):
        results = []
        for g, array in ((traced, a), (f, b)):
            try:
                results.append(g(hb.asarray(array)).tolist())
            except (ValueError, IndexError) as error:
                results.append(type(error))
        assert results[0] == results[1]
        np.testing.assert_array_equal(a, b)


def test_a_read_only_ndarray_refuses_a_write_with_the_line() -> None:
    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        x += 1  # not allowed
        return x

    array = np.zeros(3)
    f(array)  # known by the time it is read-only
    array.flags.writeable = False
    for _ in range(2):
        with pytest.raises(ValueError, match="read-only"):
            f(array)
    np.testing.assert_array_equal(array, 1)


def _by_attribute(array: Any) -> None:
    array.flags.writeable = False


def _by_letter(array: Any) -> None:
    array.flags["W"] = False


@pytest.mark.parametrize("close", [_by_attribute, _by_letter])
@pytest.mark.parametrize("made", [True, False])
def test_an_array_made_read_only_while_traced_refuses_writes(
    close: Callable[[Any], None], made: bool
) -> None:
    def f(x: Any, change: bool) -> Any:
        array = np.ones(3) if made else x * 2
        close(array)
        if change:
            array[0] = x[0]
        return array

    traced = hb.compile(f)
    x = hb.arange(1.0, 4.0)
    with pytest.warns(EagerFallbackWarning, match="it sets flags of an array"):
        assert not traced(x, False).flags.writeable
    assert not traced(x, False).flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        traced(x, True)


@pytest.mark.parametrize("wrapped", [True, False])
def test_an_input_returned_as_it_came_is_the_same_object(wrapped: bool) -> None:
    f = hb.compile(lambda x, other: (x, other, x))
    x: Any = np.arange(3.0)
    x = hb.asarray(x) if wrapped else x
    scalar = np.float32(3)
    for _ in range(3):
        first, other, again = f(x, scalar)
        assert first is x
        assert again is x
        assert other is scalar


def test_one_tensor_returned_twice_is_one_object() -> None:
    @hb.compile
    def f(x: hb.Tensor) -> dict[str, hb.Tensor]:
        y = x * 2
        return {"b": y, "a": y, "c": [y]}

    for _ in range(3):
        out = f(hb.ones(3))
        assert list(out) == ["b", "a", "c"]
        assert out["b"] is out["a"] is out["c"][0]


def test_results_that_are_views_of_inputs_share_their_memory() -> None:
    def f(x: hb.Tensor) -> tuple[hb.Tensor, ...]:
        return x[1:], x.T, x.reshape(-1), x[None], x[:, ::2], x[0, 0]

    traced = hb.compile(f)
    for _ in range(3):
        a, b = hb.zeros((3, 4)), hb.zeros((3, 4))
        for i, (mine, its) in enumerate(zip(traced(a), f(b), strict=True)):
            mine[...] = i + 1
            its[...] = i + 1
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_result_is_never_memory_that_the_next_call_writes() -> None:
    @hb.compile
    def f(x: hb.Tensor) -> tuple[hb.Tensor, hb.Tensor]:
        return x * 2, hb.zeros(3)

    kept = [f(hb.full(3, float(i))) for i in range(4)]
    for i, (double, zeros) in enumerate(kept):
        np.testing.assert_array_equal(double.numpy(), 2 * i)
        zeros[...] = 7
        np.testing.assert_array_equal(f(hb.ones(3))[1].numpy(), 0)


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
@pytest.mark.parametrize("shift", [0, 1, 3, 10])
def test_two_arguments_that_share_memory(shift: int) -> None:
    def f(x: hb.Tensor, y: hb.Tensor) -> hb.Tensor:
        x[1:] = x[:-1] + y[1:]
        y *= 2
        return x + y

    def call() -> tuple[hb.Tensor, ...]:
        base = hb.asarray(np.arange(20.0))
        return base[:10], base[shift : shift + 10]

    agree(f, call, lambda: (hb.ones(10, dtype=hb.float64), hb.ones(10, dtype=hb.float64)), rounds=3)


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_a_view_and_its_base_as_arguments_in_any_order() -> None:
    def f(x: hb.Tensor, y: hb.Tensor) -> hb.Tensor:
        y[...] = 3
        return x.sum() + y.sum()

    def call() -> tuple[hb.Tensor, ...]:
        base = hb.zeros((3, 3))
        return base, base.T[1]

    agree(f, call, lambda: call()[::-1], lambda: (hb.zeros((3, 3)), hb.zeros(3)))


def test_overlapping_slices_read_and_written_in_one_statement() -> None:
    def f(x: hb.Tensor) -> hb.Tensor:
        x[1:] = x[:-1]
        x[:-1] += x[1:]
        x[::-1] = x
        x[2:], x[:-2] = x[:-2] * 1, x[2:] * 1
        return x * 1

    with compiled_throughout():
        agree(f, lambda: (hb.asarray(np.arange(8.0)),), lambda: (hb.asarray(np.arange(8.0)[::-1]),))


def test_a_donated_variable_value_is_not_overwritten_while_a_caller_holds_it() -> None:
    v = hb.Variable(hb.zeros(1000))
    step = hb.compile(lambda: v.assign(v.read() + 1))
    held = []
    for i in range(4):
        held.append((i, v.read()))
        step()
    for i, value in held:
        np.testing.assert_array_equal(value.numpy(), i)


def test_out_arguments_are_written() -> None:
    def f(x: hb.Tensor, out: hb.Tensor) -> hb.Tensor:
        return np.add(x, 1, out=out)

    with compiled_throughout():
        traced = agree(f, lambda: (hb.ones(3), hb.zeros(3)))
    x, out = hb.ones(3), hb.zeros(3)
    assert traced(x, out) is out


def test_masks_and_views_of_views_write_through() -> None:
    def f(x: hb.Tensor) -> hb.Tensor:
        x[x > 3] = 0
        inner = x[1:].T[:2][::-1]
        inner[0] += 10
        flat = x.reshape(-1)
        flat[0] = -1
        return inner * 1

    with compiled_throughout():
        agree(f, lambda: (hb.asarray(np.arange(12.0).reshape(3, 4)),))


def test_entangled_calls_warn_and_do_not_spoil_later_ones() -> None:
    traced = hb.compile(lambda x, y: x.__iadd__(1) * y)
    base = np.zeros(5)
    with pytest.warns(EagerFallbackWarning, match="shares memory"):
        np.testing.assert_array_equal(traced(base[:-1], base[1:]).numpy(), [1, 1, 1, 0])
    with compiled_throughout():
        for _ in range(2):
            result = traced(np.zeros(4), np.ones(4))
            np.testing.assert_array_equal(result.numpy(), 1)


def test_a_numpy_scalar_argument_is_an_array_inside_and_never_written() -> None:
    def f(x: hb.Tensor, s: hb.Tensor) -> tuple[hb.Tensor, ...]:
        product = x * s
        s += 1
        return product, s * 1, s

    traced = hb.compile(f)
    for k in (3.0, 4.0, 5.0):
        scalar = np.float64(k)
        product, more, s = traced(hb.ones(2), scalar)
        assert (product.dtype, product.tolist()) == (hb.float64, [k, k])
        assert more.item() == k + 1
        assert s.item() == k + 1
        assert scalar == k
    assert traced.cache_info().misses == 1


@pytest.mark.parametrize("name", ["misaligned", "byte-swapped", "not contiguous", "0-d"])
@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_the_callers_ndarray_is_written_whatever_its_layout(name: str, ends: bool) -> None:
    def f(x: Any) -> Any:
        x += 1
        if ends:
            x *= float(x.sum())
        x[..., :1] *= 3
        return x.sum()

    traced = hb.compile(f)
    a, b = ARRAYS[name](), ARRAYS[name]()
    if name == "0-d":
        a, b = a[None], b[None]
    for _ in range(3):
        np.testing.assert_allclose(traced(a).numpy(), f(b), rtol=1e-6)
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_one_tensor_in_two_places_and_then_two_tensors() -> None:
    f = hb.compile(lambda x, y, z=3.0: (x * 2 + y) * z)
    a, b = hb.asarray([1.0, 2.0]), hb.asarray([10.0, 20.0])
    for _ in range(3):
        for x, y in ((a, a), (a, b), (b, b), (b, a)):
            np.testing.assert_array_equal(f(x, y).numpy(), (x.numpy() * 2 + y.numpy()) * 3)
    assert f.cache_info().misses == 2
    assert f._shortcuts.launchers


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("viewed", [False, True])
def test_a_captured_tensor_is_written_elsewhere_as_it_is_by_then(order: Any, viewed: bool) -> None:
    def run(wrap: Callable[[Any], Any]) -> tuple[Any, ...]:
        outside = hb.asarray(np.array([[0.0, 1.0], [2.0, 3.0]], order=order))

        def f(a: Any, b: Any) -> Any:
            part = outside[0] if viewed else b[0]
            outside[...] = a
            a[...] = outside
            part *= 3
            b[...] = outside

        a, b = hb.asarray(np.arange(4.0, 8).reshape(2, 2)), hb.asarray(np.zeros((2, 2)))
        wrap(f)(a, b)
        return a, b, outside

    with compiled_throughout():
        for got, want in zip(run(hb.compile), run(lambda f: f), strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_copies_are_apart_where_the_function_goes_on_eagerly(order: Any) -> None:
    def f(a: Any) -> tuple[Any, ...]:
        b, c, d = np.zeros((2, 2)), a * 2, a.copy()
        b[...] = a
        c[...] = b
        row, kept = c[0], hb.where(a > 0, a, a)
        float(b.sum())
        b[0, 0], d[1, 1], row[1] = 50, 70, 40
        kept += b
        a[1] -= 1
        return b, c, d, row, kept, b.reshape(-1), c.T.reshape(-1)

    values = [[1.0, 2.0], [3.0, 4.0]]
    given, wanted = (hb.asarray(np.array(values, order=order)) for _ in range(2))
    for got, want in zip(hb.compile(f)(given), f(wanted), strict=True):
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(given, wanted)


KEPT = hb.ones((2, 2), dtype="float64")


def filled(x: Any) -> Any:
    made = np.zeros((2, 2))
    made[...] = x
    return made


FILLED: dict[str, Callable[[Any], Any]] = {
    "an argument": lambda a: filled(a),
    "a row of it": lambda a: filled(a)[0],
    "an argument in two arrays": lambda a: (filled(a), filled(a), a),
    "a result in two arrays": lambda a: (b := a * 2, filled(b)),
    "what is written": lambda a: (a.__iadd__(1), filled(a))[1],
    "a captured Tensor": lambda a: (filled(KEPT), KEPT),
    "rows of one": lambda a: [*(b := filled(a)), b.T],
}


@pytest.mark.parametrize("make", FILLED.values(), ids=FILLED)
def test_a_result_that_holds_what_another_array_holds_has_memory_of_its_own(
    make: Callable[[Any], Any],
) -> None:
    def shared(f: Callable[[Any], Any]) -> list[bool]:
        a = hb.ones((2, 2), dtype="float64")
        for _ in range(3):
            found = f(a)
        results = [*found] if isinstance(found, tuple | list) else [found]
        arrays = [np.asarray(x) for x in (a, KEPT, *results)]
        return [np.shares_memory(x, y) for x in arrays for y in arrays]

    with compiled_throughout():
        assert shared(hb.compile(make)) == shared(make)


@pytest.mark.parametrize("make", [np.ones, hb.ones])
def test_a_view_of_all_of_an_argument_is_another_object(make: Any) -> None:
    def reads(a: Any, b: Any) -> Any:
        return (a + 1, b) if a is b else (a - 1, b)

    def writes(a: Any, b: Any) -> Any:
        a[0] = 5
        return b + 1 if a is b else b - 1

    for function in (reads, writes):
        traced = hb.compile(function)
        for whole in (False, True, False, True):
            results = []
            for f in (function, traced):
                x = make(3)
                y = x if whole else x[:]
                result = f(x, y)
                assert not isinstance(result, tuple) or result[1] is y
                results.append(np.asarray(result[0] if isinstance(result, tuple) else result))
            np.testing.assert_array_equal(*results)
