"""The same seed gives the same numbers; their distributions are what they are said to be."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from hybrid import dtypes
from hybrid.core.dispatch import bind
from hybrid.core.making import asarray
from hybrid.core.op import OPS
from hybrid.errors import DTypeError
from hybrid.ops import drawing, random

N = 40_000


def test_bits_are_philox():
    words = random.Generator(3)
    key, counter = words.state.numpy()[:2], int(words.state.numpy()[2])
    expected = np.random.Philox(key=key, counter=counter).random_raw(10)
    np.testing.assert_array_equal(words.bits(10).numpy(), expected)


def test_consecutive_draws_continue_the_stream():
    whole, parts = random.Generator(5), random.Generator(5)
    expected = whole.bits(8).numpy()
    np.testing.assert_array_equal(np.concatenate([parts.bits(4), parts.bits(4)]), expected)


def test_seeds_repeat_and_differ():
    random.seed(1)
    first = random.uniform(4).numpy(), random.normal(4).numpy(), random.permutation(5).numpy()
    random.seed(1)
    again = random.uniform(4).numpy(), random.normal(4).numpy(), random.permutation(5).numpy()
    for a, b in zip(first, again):
        np.testing.assert_array_equal(a, b)
    random.seed(2)
    assert (random.uniform(4).numpy() != first[0]).all()
    assert (random.uniform(4).numpy() != random.uniform(4).numpy()).all()
    assert random.Generator().bits(2).tolist() != random.Generator().bits(2).tolist()


def test_state_saves_a_place_in_the_stream():
    stream = random.Generator(1)
    saved = stream.state.numpy()
    a = stream.uniform(3).numpy()
    stream.state.assign(saved)
    np.testing.assert_array_equal(stream.uniform(3).numpy(), a)
    twin = pickle.loads(pickle.dumps(stream))
    np.testing.assert_array_equal(twin.uniform(3).numpy(), stream.uniform(3).numpy())
    clone = copy.deepcopy(stream)
    np.testing.assert_array_equal(clone.uniform(3).numpy(), stream.uniform(3).numpy())


def test_split_gives_independent_streams():
    children = random.Generator(0).split(3)
    again = random.Generator(0).split(3)
    draws = [c.uniform(N).numpy() for c in children]
    np.testing.assert_array_equal(draws[1], again[1].uniform(N).numpy())
    assert abs(np.corrcoef(draws)[np.triu_indices(3, 1)]).max() < 0.02


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", dtypes.bfloat16])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-2.0, 3.0)])
def test_uniform(dtype, low, high):
    x = random.Generator(0).uniform(N, low, high, dtype=dtype)
    assert x.dtype == dtype
    values = x.numpy().astype(np.float64)
    assert values.min() >= low
    assert values.max() < high
    width = high - low
    assert values.mean() == pytest.approx((low + high) / 2, abs=0.01 * width)
    assert values.std() == pytest.approx(width / np.sqrt(12), rel=0.02)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_normal(dtype):
    x = random.Generator(0).normal(N, 3.0, 2.0, dtype=dtype)
    assert x.dtype == dtype
    z = (x.numpy().astype(np.float64) - 3) / 2
    assert z.mean() == pytest.approx(0, abs=0.02)
    assert z.std() == pytest.approx(1, rel=0.02)
    assert (z**3).mean() == pytest.approx(0, abs=0.06)
    assert (z**4).mean() == pytest.approx(3, rel=0.05)
    assert np.corrcoef(z[: N // 2], z[N // 2 :])[0, 1] == pytest.approx(0, abs=0.02)
    assert random.normal((3, 5)).shape == (3, 5)


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [(-3, 4, "int64"), (0, 256, "uint8"), (-(2**63), 2**63, "int64"), (0, 2**64, "uint64"),
     (0, 2**40 + 1, "int64"), (2**63 - 5, 2**63, "int64")],
)  # fmt: skip
def test_integers(low, high, dtype):
    x = random.Generator(0).integers(low, high, N, dtype=dtype)
    assert x.dtype == dtype
    values = x.numpy().astype(np.float64)
    assert int(x.numpy().min()) >= low
    assert int(x.numpy().max()) < high
    spread = float(high - low)
    middle = low + (spread - 1) / 2
    assert (values - middle).mean() / spread == pytest.approx(0, abs=0.01)
    if spread < 300:
        assert len(np.unique(x.numpy())) == spread


@pytest.mark.parametrize("factor", [1, 7, 2**32 - 1, 2**32, 2**40 + 3, 2**64 - 1])
def test_high_word_is_exact(factor):
    words = np.array([0, 1, 2**32 - 1, 2**32, 2**63 + 12345, 2**64 - 1], np.uint64)
    expected = [int(w) * factor >> 64 for w in words]
    assert [int(h) for h in drawing._high_word(words, factor)] == expected


def test_permutation():
    stream = random.Generator(0)
    assert sorted(stream.permutation(50).tolist()) == list(range(50))
    x = np.arange(12).reshape(6, 2)
    rows = stream.permutation(x).numpy()
    np.testing.assert_array_equal(rows[np.argsort(rows[:, 0])], x)
    first = [int(random.permutation(4)[0]) for _ in range(200)]
    assert set(first) == {0, 1, 2, 3}


def test_bernoulli():
    x = random.Generator(0).bernoulli(0.25, N)
    assert x.dtype == np.bool_
    assert x.numpy().mean() == pytest.approx(0.25, abs=0.01)
    assert random.bernoulli([0.0, 1.0]).tolist() == [False, True]


def test_tensors_as_parameters_broadcast():
    centres = asarray(np.array([0.0, 100.0]))
    x = random.Generator(0).normal((1000, 2), centres, 1.0, dtype="float64").numpy()
    np.testing.assert_allclose(x.mean(axis=0), [0, 100], atol=0.2)
    u = random.Generator(0).uniform((1000, 2), centres, centres + 1, dtype="float64").numpy()
    np.testing.assert_allclose(u.mean(axis=0), [0.5, 100.5], atol=0.1)


def test_a_draw_is_a_function_of_the_state():
    op = OPS["random_normal"]
    attrs = {"shape": (5,), "dtype": np.dtype("float32"), "mean": 0.0, "std": 1.0}
    state = random.Generator(4).state.read()
    a, b = (bind(op, (state,), attrs).numpy() for _ in range(2))
    np.testing.assert_array_equal(a, b)


def test_errors():
    with pytest.raises(DTypeError, match="uniform: int64 is not a floating-point dtype"):
        random.uniform(2, dtype="int64")
    with pytest.raises(DTypeError, match="integers: float32 is not an integer dtype"):
        random.integers(2, dtype="float32")
    with pytest.raises(ValueError, match="no number from 3 up to 3"):
        random.integers(3, 3)
    with pytest.raises(ValueError, match="int8 does not hold all numbers from 0 to 255"):
        random.integers(0, 256, dtype="int8")
