"""Every op of the registry on a card that NumPy plays: the CPU's value, or a stated reason."""

from __future__ import annotations

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.devices import place
from hybrid.core.dispatch import bind
from hybrid.core.gaps import Filled
from hybrid.core.op import OPS, Example, Op
from hybrid.core.placed import run
from hybrid.core.places import DeviceArray, put
from hybrid.core.tensor import wrap
from hybrid.errors import DeviceError
from tests.gpu.fake import MODULE, FakeArray
from tests.ops.test_registry import CASES, inputs_of


def not_on_a_card(op: Op, example: Example) -> bool:
    """Distinct parts along an axis: CuPy sorts numbers only."""
    return op.name == "unique" and example.attrs["axis"] is not None


@pytest.mark.parametrize(("op", "example"), CASES)
def test_an_eager_form_gives_on_a_card_what_it_gives_on_the_cpu(op: Op, example: Example):
    arrays = inputs_of(example)
    want = op.eager(np, *(a.copy() for a in arrays), **example.attrs)
    there = [put(a, place("cuda:0")) for a in arrays]
    if not_on_a_card(op, example):
        with pytest.raises(DeviceError, match="cannot be computed on cuda:0"):
            run(op, there, example.attrs)
        return
    with hb.device("cuda"):
        found = run(op, there, example.attrs)
    for a, b in zip(found if op.multi else (found,), want if op.multi else (want,), strict=True):
        assert type(a) is (np.ndarray if "device" in example.attrs else DeviceArray)
        same(np.asarray(a) if isinstance(a, np.ndarray) else a.get(), np.asarray(b))


def same(found: np.ndarray, want: np.ndarray) -> None:
    assert (found.shape, found.dtype) == (want.shape, want.dtype)
    if want.dtype.kind in "fc":
        np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_array_equal(found, want)


VIEWS = [case for case in CASES if case.values[0].view is not None]


@pytest.mark.parametrize(("op", "example"), VIEWS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_views_are_views_on_a_card_too(op: Op, example: Example, dtype: str):
    (array,) = inputs_of(example)
    there = put(array.astype(dtype), place("cuda:0"))
    shares = np.may_share_memory(op.eager(np, array, **example.attrs), array)
    assert run(op, [there], example.attrs).shares_memory(there) == shares


GRADIENTS = [
    case
    for case in CASES
    if (case.values[0].vjp or case.values[0].joint_vjp) and case.values[0].family != "control"
]


def gradient(op: Op, example: Example, device: str) -> list[hb.Tensor | None]:
    """Return the gradients of the squares of what an op gives, by all inputs that have one."""
    inputs = [wrap(a.copy()).to_device(device) for a in inputs_of(example)]
    with hb.GradientTape() as tape:
        watched = [x for x in inputs if x.dtype.kind in "fc"]
        tape.watch(watched)
        found = bind(op, tuple(inputs), example.attrs)
        results = [x for x in (found if op.multi else [found]) if x.dtype.kind in "fc"]
        loss = [
            (x * x.conj()).real.sum() if x.dtype.kind == "c" else (x * x).sum() for x in results
        ]
    return tape.gradient(loss, watched)


@pytest.mark.parametrize(("op", "example"), GRADIENTS)
def test_a_gradient_gives_on_a_card_what_it_gives_on_the_cpu(op: Op, example: Example):
    pairs = zip(gradient(op, example, "cuda:0"), gradient(op, example, "cpu"), strict=True)
    for there, here in pairs:
        if here is None:
            assert there is None
            continue
        assert there.device == "cuda:0"
        np.testing.assert_allclose(there.numpy(), here.numpy(), rtol=1e-4, atol=1e-5)


def _floats(op: Op) -> bool:
    return bool(op.examples) and op.examples[0].dtypes is None


@pytest.mark.parametrize("name", [op.name for op in OPS.values() if op.elementwise and _floats(op)])
def test_bfloat16_is_computed_as_on_the_cpu(name: str):
    op = OPS[name]
    example = op.examples[0]
    arrays = [a.astype(hb.bfloat16) for a in inputs_of(example)]
    try:
        want = np.asarray(op.eager(np, *arrays, **example.attrs))
    except TypeError:
        pytest.skip("not defined for bfloat16")
    found = run(op, [put(a, place("cuda:0")) for a in arrays], example.attrs).get()
    assert found.dtype == want.dtype
    np.testing.assert_allclose(found.astype("f4"), want.astype("f4"), rtol=1e-2)


# --- gaps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "minimum", "maximum"])
@pytest.mark.parametrize("dtype", ["int8", "int64", "uint64", "float16", "float32", "complex64"])
def test_values_for_one_place_are_all_taken(name: str, dtype: str):
    rng = np.random.default_rng(0)
    values = rng.integers(1, 4, (7, 3)).astype(dtype)
    out, index = rng.integers(1, 9, (4, 3)).astype(dtype), np.array([0, 2, 2, 0, 2, 3, 2])
    ufunc = getattr(np, name)
    if (name, np.dtype(dtype).kind) in (("divide", "i"), ("divide", "u")):
        return
    there = FakeArray(out.copy())
    getattr(Filled(MODULE), name).at(there, FakeArray(index), FakeArray(values))
    ufunc.at(out, index, values)
    np.testing.assert_allclose(there.get(), out, rtol=1e-3)


@pytest.mark.parametrize("length", [1, 2, 7, 64, 65])
def test_running_extremes(length: int):
    x = np.random.default_rng(0).standard_normal((3, length)).astype("f4")
    x[0, length // 2] = np.nan
    for name in ("maximum", "minimum"):
        found = getattr(Filled(MODULE), name).accumulate(FakeArray(x), axis=1).get()
        np.testing.assert_array_equal(found, getattr(np, name).accumulate(x, axis=1))


def test_a_maximum_may_start_somewhere():
    x = np.arange(6, dtype="f4").reshape(2, 3)
    filled = Filled(MODULE)
    for axis in (0, 1, (0, 1), None):
        found = filled.max(FakeArray(x), axis=axis, keepdims=True, initial=2.5).get()
        np.testing.assert_array_equal(found, np.max(x, axis, keepdims=True, initial=2.5))
    empty = filled.max(FakeArray(x[:0]), axis=0, initial=-np.inf).get()
    assert empty.tolist() == [-np.inf] * 3


def test_spacing_and_edges():
    x = np.array([1, -1, 0.0, -0.0, 3e38, -5], "f4")
    np.testing.assert_array_equal(Filled(MODULE).spacing(FakeArray(x)).get(), np.spacing(x))
    for limits in (None, (0.0, 2.0), (1.0, 1.0)):
        found = Filled(MODULE).histogram_bin_edges(FakeArray(x[:4]), 4, limits).get()
        np.testing.assert_allclose(found, np.histogram_bin_edges(x[:4], 4, limits))


@pytest.mark.parametrize("index", [[3], [-4], [0, 7]])
def test_indices_out_of_range_are_refused(index: list[int]):
    x = hb.zeros((2, 3), device="cuda")
    places = hb.asarray(index, device="cuda")
    for read in (lambda: hb.take(x, places, axis=1), lambda: x[:, places]):
        with pytest.raises(IndexError, match="out of bounds for axis"):
            read()
    with pytest.raises(IndexError):
        x.at[:, places].add(1.0)
    with pytest.raises(IndexError):
        x[:, places] = 1.0
