"""Layers agree with their formulas and with torch; chance is the same in both modes."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

import hybrid as hb
from hybrid.errors import DTypeError, IndexingError, ShapeError
from tests.ops.agreement import in_both_modes

rng = np.random.default_rng(0)


# --- dropout --------------------------------------------------------------------------------------


def test_dropout_keeps_the_mean():
    hb.random.seed(0)
    found = hb.dropout(np.ones((200, 500), "float32"), 0.25, training=True).numpy()
    np.testing.assert_array_equal(np.unique(found), [0, np.float32(4 / 3)])
    assert abs(found.mean() - 1) < 0.01
    assert found.dtype == np.float32


def test_dropout_drops_the_same_in_both_modes_and_others_each_time():
    def step(x):
        return hb.dropout(x, 0.5, training=True)

    compiled, x, runs = hb.compile(step), hb.ones(50), []
    for function in (step, compiled):
        hb.random.seed(3)
        runs.append([function(x).numpy() for _ in range(3)])
    np.testing.assert_array_equal(*runs)
    assert (runs[0][0] != runs[0][1]).any()
    own = [hb.dropout(x, 0.5, training=True, generator=hb.random.Generator(1)) for _ in "ab"]
    np.testing.assert_array_equal(own[0].numpy(), own[1].numpy())


def test_the_gradient_of_dropout_is_dropped_too():
    x = hb.asarray(rng.normal(size=100))
    with hb.GradientTape() as tape:
        tape.watch(x)
        out = hb.dropout(x, 0.3, training=True)
    found = tape.gradient(out, x).numpy()
    np.testing.assert_allclose(found, np.where(out.numpy() == 0, 0, 1 / 0.7))


def test_dropout_at_its_ends():
    x = np.array([1.0, np.inf])
    np.testing.assert_array_equal(hb.dropout(x, 0.9, training=False).numpy(), x)
    np.testing.assert_array_equal(hb.dropout(x, 0, training=True).numpy(), x)
    np.testing.assert_array_equal(hb.dropout(x, 1, training=True).numpy(), [0, 0])


# --- normalisation --------------------------------------------------------------------------------


@pytest.mark.parametrize(("axis", "dtype"), [(-1, "float32"), ((0, 1), "float64")])
def test_layer_norm_gives_mean_0_and_variance_1(axis, dtype):
    x = (rng.normal(size=(3, 4, 5)) * 7 + 3).astype(dtype)
    scale, shift = rng.normal(size=(2, 5)).astype(dtype)
    found = in_both_modes(lambda *a: hb.layer_norm(*a, axis=axis), x, scale, shift)
    mean, var = x.mean(axis, keepdims=True), x.var(axis, keepdims=True)
    expected = (x - mean) / np.sqrt(var + 1e-5) * scale + shift
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert found.dtype == np.dtype(dtype)


@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("given", [True, False])
def test_batch_norm_treats_each_channel_alike(given, axis):
    x = rng.normal(size=(6, 4, 4)) * 7 + 3
    scale, shift, mean, var = np.abs(rng.normal(size=(4, 4)))
    others = (0, 2) if axis == 1 else (0, 1)
    options = dict(mean=mean, variance=var) if given else {}
    found = in_both_modes(lambda *a: hb.batch_norm(*a, axis=axis, **options), x, scale, shift)
    if not given:
        mean, var = x.mean(others), x.var(others)
    shape = (4, 1) if axis == 1 else (4,)
    scale, shift, mean, var = (v.reshape(shape) for v in (scale, shift, mean, var))
    np.testing.assert_allclose(found, (x - mean) / np.sqrt(var + 1e-5) * scale + shift)


# --- attention and embedding ----------------------------------------------------------------------


def by_formula(q, k, v, seen):
    scores = np.where(seen, q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1]), -np.inf)
    return scipy.special.softmax(scores, -1) @ v


@pytest.mark.parametrize("length", [5, 3])
@pytest.mark.parametrize("how", ["all", "mask", "causal", "both", "numbers"])
def test_attention_weights_values_by_how_keys_fit(how, length):
    q, k, v = (rng.normal(size=(2, 3, n, d)) for n, d in [(length, 4), (5, 4), (5, 6)])
    mask = rng.random((2, 1, length, 5)) < 0.6
    mask[..., 0] = True
    causal = np.tri(length, 5, dtype=bool)
    seen = {"all": mask | True, "mask": mask, "causal": causal, "both": mask & causal}
    given = {"mask": mask, "both": mask, "numbers": np.where(mask, 0.0, -np.inf)}.get(how)
    found = in_both_modes(
        lambda *a: hb.attention(*a, mask=given, causal=how in ("causal", "both")), q, k, v
    )
    expected = by_formula(q, k, v, seen.get(how, mask))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_a_query_that_sees_nothing_gets_nothing():
    q, k, v = map(hb.asarray, rng.normal(size=(3, 2, 4)))
    mask = np.array([[False, False], [True, False]])
    with hb.GradientTape() as tape:
        tape.watch([q, k, v])
        out = hb.attention(q, k, v, mask=mask)
    np.testing.assert_array_equal(out.numpy(), [np.zeros(4), v.numpy()[0]])
    gradients = tape.gradient(out, [q, k, v])
    assert all(np.isfinite(g.numpy()).all() for g in gradients)
    np.testing.assert_array_equal(gradients[2].numpy(), [np.ones(4), np.zeros(4)])


def test_embedding_takes_rows_and_adds_up_their_gradients():
    table, indices = rng.normal(size=(5, 3)), np.array([[1, 4], [1, 0]])
    found = in_both_modes(lambda t: hb.embedding(indices, t), table)
    np.testing.assert_array_equal(found, table[indices])
    tensor = hb.asarray(table)
    with hb.GradientTape() as tape:
        tape.watch(tensor)
        total = hb.embedding(indices, tensor).sum()
    expected = np.array([1.0, 2, 0, 0, 1])[:, None] * np.ones(3)
    np.testing.assert_array_equal(tape.gradient(total, tensor).numpy(), expected)


def test_values_are_torchs():
    torch = pytest.importorskip("torch")
    nn = torch.nn.functional
    x = rng.normal(size=(6, 4, 5))
    t = torch.from_numpy(x)
    np.testing.assert_allclose(hb.layer_norm(x).numpy(), nn.layer_norm(t, (5,)).numpy())
    expected = nn.batch_norm(t, None, None, training=True).numpy()
    np.testing.assert_allclose(hb.batch_norm(x).numpy(), expected)
    expected = nn.scaled_dot_product_attention(t, t, t, is_causal=True).numpy()
    np.testing.assert_allclose(hb.attention(x, x, x, causal=True).numpy(), expected)
    logits, classes = x[:, :, 0], rng.integers(0, 4, 6)
    a, b = torch.from_numpy(logits), torch.from_numpy(classes)
    expected = nn.cross_entropy(a, b, label_smoothing=0.2).numpy()
    found = hb.cross_entropy(logits, classes, label_smoothing=0.2).numpy()
    np.testing.assert_allclose(found, expected)
    expected = nn.binary_cross_entropy_with_logits(a, torch.sigmoid(a)).numpy()
    found = hb.binary_cross_entropy_with_logits(logits, scipy.special.expit(logits)).numpy()
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("mode", ["eager", "traced"])
def test_errors_name_what_does_not_fit(mode):
    def refused(function, *arrays, match, error=ShapeError, **options):
        def call(*arrays):
            return function(*arrays, **options)

        with pytest.raises(error, match=match):
            (hb.compile(call) if mode == "traced" else call)(*arrays)

    x = np.ones((4, 3))
    refused(hb.attention, x, x.T, x, match=r"attention: shapes \(4, 3\), \(3, 4\) and \(4, 3\)")
    refused(hb.attention, x[0], x, x, match="attention: shapes")
    refused(hb.batch_norm, x, np.ones(4), match=r"scale has shape \(4,\), .* 3 channels")
    refused(hb.layer_norm, x, axis=2, error=IndexError, match="layer_norm: axis 2")
    refused(hb.dropout, x, rate=1.5, training=True, error=ValueError, match="rate is 1.5")
    refused(hb.dropout, x.astype(int), training=True, error=DTypeError, match="int64 cannot")
    refused(hb.embedding, x, x, error=DTypeError, match="integers, not float64")
    refused(hb.embedding, np.array([4]), x, error=IndexingError, match="index 4 is out of bounds")
