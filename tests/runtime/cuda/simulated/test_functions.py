"""Compiled functions of Tensors on a card: eager code's results, devices and errors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import hybrid as hb
from hybrid.core import devices
from hybrid.errors import DeviceError
from hybrid.kernels.cuda import card as cards
from tests.gpu.fake import MODULE, fake_cards
from tests.runtime.cuda.fake import FakeCard

A = np.arange(6, dtype=np.float32).reshape(2, 3) - 2


@pytest.fixture(autouse=True)
def _cards() -> Iterator[None]:
    with fake_cards():
        places = [devices.place(name) for name in ("cuda:0", "cuda:1")]
        cards._known.update({place: FakeCard(place=place) for place in places})
        yield
        for place in places:
            del cards._known[place]


def on_card(array: np.ndarray = A, device: str = "cuda") -> hb.Tensor:
    return hb.asarray(array.copy(), device=device)


def writes(x):
    x[0] = 0.0
    part = x.T[1:]
    part += 1
    return x.sum(axis=0), part


def decides(x):
    total = x.sum()
    if total > 3:
        return total * 2
    return x[0] - total


def loops(x):
    total, rows = hb.scan(lambda c, r: (c + r, c * r), hb.zeros_like(x[0]), x)
    halved = hb.while_loop(lambda y: y.sum() > 1, lambda y: y * 0.5, hb.abs(x))
    return total, rows, halved, hb.cond(x.sum() > 0, lambda y: y * 2, hb.abs, x)


FUNCTIONS = [
    lambda x: hb.tanh(x) @ x.T * 2 + 1,
    lambda x: hb.softmax(x, axis=1) - x.mean(),
    lambda x: (x, x.T, x[0], x * 1),
    lambda x: hb.where(x > 0, x, 0).astype("bfloat16") + 1,
    lambda x: hb.concat([x, hb.ones_like(x)])[1::2, ::-1],
    lambda x: x.at[0].add(1.0) + hb.take(x, [1, 0], axis=0),
    lambda x: hb.linalg.solve(x[:, :2], x),
    lambda x: hb.fft.rfft(x).real,
    lambda x: x + hb.ones(3, device=x.device),
    lambda x: hb.sort(x, axis=1, descending=True)[x.shape[0] - 1],
    lambda x: hb.vmap(lambda row: row / hb.max(row))(x),
    lambda x: hb.jacobian(lambda row: row * row)(x[0]),
    writes,
    decides,
    loops,
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_compiled_function_gives_on_a_card_what_eager_code_gives_on_the_cpu(function):
    want = _numpy(function(hb.asarray(A.copy())))
    compiled = hb.compile(function)
    for _ in range(3):
        found = compiled(on_card())
        for a, b in zip(_leaves(found), want, strict=True):
            assert a.device == "cuda:0"
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a.numpy(), b, rtol=1e-5, atol=1e-5)
    assert [str(c.signature) for c in compiled.concrete_functions] == ["(x: f32[2,3]@cuda:0)"]


def _leaves(found):
    return list(found) if isinstance(found, tuple) else [found]


def _numpy(found):
    return [x.numpy() for x in _leaves(found)]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (hb.softmax(x * 2, axis=1) ** 2).sum(),
        lambda x: hb.fori_loop(0, 3, lambda i, y: y * y * 0.5, x).sum(),
        lambda x: hb.while_loop(lambda y: y.sum() < 40, lambda y: y * 2, hb.abs(x)).sum(),
        lambda x: hb.where(x > 0, x, 0).mean() * x[1].max() + x.to_device("cpu").sum(),
        lambda x: hb.cond(x.sum() > 0, lambda y: y.sum() * 2, lambda y: y.sum(), x),
        hb.checkpoint(lambda x: hb.exp(x * 0.1).sum()),
    ],
)
def test_gradients_of_compiled_functions(function):
    want = hb.grad(function)(hb.asarray(A)).numpy()
    compiled = hb.compile(function)
    for way in (hb.grad(compiled), hb.compile(hb.grad(function)), hb.grad(function)):
        for _ in range(2):
            found = way(on_card())
            assert found.device == "cuda:0"
            np.testing.assert_allclose(found.numpy(), want, rtol=1e-5, atol=1e-6)


def test_the_device_and_the_scope_are_part_of_the_signature():
    f = hb.compile(lambda x: (x * 2, hb.zeros(2)))
    x = on_card()
    assert [t.device for t in f(x)] == ["cuda:0", "cpu"]
    assert [t.device for t in f(hb.asarray(A))] == ["cpu", "cpu"]
    with hb.device("cuda"):
        for _ in range(2):
            assert [t.device for t in f(x)] == ["cuda:0", "cuda:0"]
    assert [t.device for t in f(on_card(device="cuda:1"))] == ["cuda:1", "cpu"]
    assert [t.device for t in f(x)] == ["cuda:0", "cpu"]
    text = f.explain()
    assert "4 traces, 2 calls replayed" in text
    assert "x: device cuda:0 -> cpu" in text
    assert "Tensors were made on cpu, and are on cuda:0 now" in text


def test_a_function_may_choose_the_device():
    @hb.compile
    def f(x):
        with hb.device("cuda"):
            y = hb.ones(3)
        return y, x.to_device("cuda") * y, (x.to_device("cuda") * 2).to_device("cpu") + x

    for _ in range(2):
        y, moved, back = f(hb.asarray(A))
        assert (y.device, moved.device, back.device) == ("cuda:0", "cuda:0", "cpu")
        np.testing.assert_array_equal(moved.numpy(), A)
        np.testing.assert_array_equal(back.numpy(), A * 3)


def test_arrays_on_different_devices_are_refused_at_the_users_line():
    f = hb.compile(lambda x: x + hb.ones(3))
    with pytest.raises(DeviceError, match=r"(?s)add: .* cuda:0 and cpu.*test_functions.*hb.ones"):
        f(on_card())
    assert f(hb.asarray(A)).device == "cpu"


def test_variables_stay_on_their_device():
    v = hb.Variable(on_card())
    step = hb.compile(lambda x: v.assign_add(x) or v * 2)
    for i in range(1, 4):
        np.testing.assert_array_equal(step(on_card()).numpy(), A * (i + 1) * 2)
    assert v.device == "cuda:0"
    with pytest.raises(DeviceError):
        hb.compile(lambda x: v.assign(x))(hb.asarray(A))
    assert v.device == "cuda:0"


def test_random_numbers_in_a_compiled_function_are_the_cpus():
    draw = hb.compile(lambda: hb.random.normal(5))
    hb.random.seed(3)
    want = [draw().numpy(), draw().numpy()]
    hb.random.seed(3)
    with hb.device("cuda"):
        for numbers in want:
            found = draw()
            assert found.device == "cuda:0"
            np.testing.assert_array_equal(found.numpy(), numbers)


def test_eager_code_draws_by_kernels_of_the_card():
    here, there = hb.random.Generator(5), hb.random.Generator(5)

    def drawn(g):
        return [
            g.normal(5),
            g.uniform((2, 3), -1, 1),
            g.integers(9, shape=4),
            g.permutation(7),
            g.bits(6),
            g.uniform(5, dtype="bfloat16"),
            g.normal(0),
            g.normal(3, mean=hb.ones(3), std=2.0),
        ]

    want = drawn(here)
    card = cards.card_at(devices.place("cuda:0"))
    del card.log[:]
    with hb.device("cuda"):
        found = drawn(there)
    assert card.log.count("launch") == len(want) - 1  # none for nothing
    for a, b in zip(found, want, strict=True):
        assert a.device == "cuda:0"
        assert a.numpy().tobytes() == b.numpy().tobytes()


def test_a_permutation_in_a_compiled_function_is_drawn_on_the_card():
    shuffle = hb.compile(lambda x: x[hb.random.permutation(4)] * 2)
    hb.random.seed(3)
    want = [hb.arange(4).numpy()[hb.random.permutation(4).numpy()] * 2 for _ in range(3)]
    hb.random.seed(3)
    with hb.device("cuda"):
        x = hb.arange(4)
        for numbers in want:
            np.testing.assert_array_equal(shuffle(x).numpy(), numbers)


@pytest.mark.parametrize("compiled", [False, True])
def test_rows_are_added_by_kernels_of_the_card(compiled):
    ids, x = np.array([2, 0, 2, -1, 2, 0]), np.arange(12, dtype=np.float32).reshape(6, 2) - 5

    def f(x, ids):
        with hb.GradientTape() as tape:
            tape.watch(x)
            found = (hb.take(x, ids, axis=0) * hb.take(x, ids, axis=0)).sum()
        grid = hb.zeros((2, 4)).at[[0, 1, 0], [3, 1, 3]].add(x[0, 0])
        return hb.segment_sum(x, ids % 4, 4), tape.gradient(found, x), grid, x.at[ids].add(x)

    here = f(hb.asarray(x), hb.asarray(ids))
    card = cards.card_at(devices.place("cuda:0"))
    del card.log[:]
    with hb.device("cuda"):
        g = hb.compile(f) if compiled else f
        there = [g(on_card(x), on_card(ids)) for _ in range(2)]
    assert card.log.count("launch") >= 16  # two for each of four, twice
    for found in there:
        for a, b in zip(found, here, strict=True):
            assert a.device == "cuda:0"
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    with pytest.raises(IndexError, match="bounds"):
        f(on_card(x), on_card(ids + 9))


def shifted_twice(x):
    x[1:] = x[:-1]
    x[2:] = x[:-2] * 1
    x[:-1] = x[1:]
    return x * 1


def test_what_is_written_over_its_own_source_is_read_before():
    values = np.arange(35, dtype=np.float32).reshape(7, 5) ** 2 % 17
    want = hb.asarray(values.copy())
    shifted_twice(want)
    f = hb.compile(shifted_twice)
    for _ in range(3):
        x = on_card(values)
        np.testing.assert_array_equal(f(x).numpy(), want.numpy())
        np.testing.assert_array_equal(x.numpy(), want.numpy())


@pytest.mark.parametrize("index", [(slice(1, None), 0), (0,), (None, slice(None), slice(None, 2))])
def test_views_that_escape_from_a_trace_that_gave_up_are_of_the_card(index):
    def f(x):
        y = x + 1
        part = y[index]
        if part.sum().item() > 0:  # asks, so that the trace ends
            part += 1
        return part, y

    with pytest.warns(hb.errors.EagerFallbackWarning):
        found = hb.compile(f)(on_card())
    for a, b in zip(found, f(hb.asarray(A.copy())), strict=True):
        assert a.device == "cuda:0"
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_many_traces_with_arrays_of_their_own_are_kept():
    @hb.compile
    def f(x, n):
        made = hb.asarray([1.0] * 3, device=x.device)
        made[:n] = x[0, :n]
        return made

    for n in (1, 2, 3, 1):
        for rows in (2, 3):
            x = np.full((rows, 3), rows + n, np.float32)
            want = np.where(np.arange(3) < n, np.float32(rows + n), np.float32(1))
            np.testing.assert_array_equal(f(on_card(x), n).numpy(), want)


def test_arrays_from_outside_are_read_at_each_call():
    w = on_card(A[0])
    f = hb.compile(lambda x: x * w)
    for number in (1.0, 5.0, 7.0):
        w[0] = number
        np.testing.assert_array_equal(f(on_card()).numpy(), A * w.numpy())


def test_arrays_that_a_function_makes_and_writes_are_new_at_each_call():
    @hb.compile
    def f(x):
        made = hb.asarray([1.0, 2.0, 3.0], device=x.device)
        made[0] = x.sum()
        row = made[1:]
        row += x[0, :2]
        return made, made * 2

    found = [f(on_card(A * k)) for k in (1, 2, 3)]
    for k, (made, double) in zip((1, 2, 3), found, strict=True):
        want = np.array([1, 2, 3], np.float32)
        want[0] = (A * k).sum()
        want[1:] += (A * k)[0, :2]
        np.testing.assert_array_equal(made.numpy(), want)
        np.testing.assert_array_equal(double.numpy(), want * 2)


def test_a_card_that_is_full_says_what_the_plan_needed(monkeypatch):
    f = hb.compile(lambda x: (hb.exp(x) @ x, x @ x.T))
    place, values = devices.place("cuda:0"), np.ones((64, 64), np.float32)
    monkeypatch.setitem(cards._known, place, FakeCard(limit=1 << 14, place=place))
    needed = r"asked for.*; the Plan needs 16 KiB for temporaries, 32 KiB for results"
    for _ in range(3):
        with pytest.raises(hb.errors.OutOfMemoryError, match=needed):
            f(on_card(values))


def test_a_library_that_finds_no_memory_says_what_the_plan_needed(monkeypatch):
    def full(*_, **__):
        raise MemoryError("Out of memory allocating 24 bytes")

    f = hb.compile(lambda x: hb.sort(x * 2, axis=1))
    monkeypatch.setitem(MODULE.__dict__, "sort", full)
    wanted = r"sort: cuda:0 is out of memory.*allocating 24 bytes; the Plan needs"
    for _ in range(2):
        with pytest.raises(hb.errors.OutOfMemoryError, match=wanted):
            f(on_card())


def test_effects_see_values(capsys):
    seen = []

    @hb.compile
    def f(x):
        hb.print("x is {} {:.1f}", x[0, :2], x.sum())
        hb.assert_(x.sum() > 0, "no")  # noqa: PT009
        return hb.callback(lambda a: seen.append(a) or a * 2, hb.TensorSpec((3,), hb.float32), x[0])

    for _ in range(2):
        assert f(on_card()).tolist() == [-4.0, -2.0, 0.0]
    assert capsys.readouterr().out == "x is [-2. -1.] 3.0\n" * 2
    assert all(isinstance(a, np.ndarray) for a in seen)
    with pytest.raises(AssertionError, match="no"):
        f(on_card(-A))


def test_python_that_asks_for_values_runs_eagerly():
    f = hb.compile(lambda x: x * x.mean().item())
    with pytest.warns(hb.errors.EagerFallbackWarning):
        found = f(on_card())
    np.testing.assert_allclose(found.numpy(), A * A.mean())


def test_compare_measures_and_compares_on_a_card():
    found = hb.compare(lambda x: hb.tanh(x) * 2, on_card(), repeat=2)
    assert found.eager.median == pytest.approx(1e-3)  # by the card's clock, which is longer
    assert "0 ULP" in str(found)
