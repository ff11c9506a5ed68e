"""Losses agree with their formulas and with torch, for every way to state the targets."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

import hybrid as hb
from hybrid.errors import DTypeError, IndexingError, ShapeError
from tests.ops.agreement import in_both_modes

rng = np.random.default_rng(0)
REDUCE = {"none": lambda x: x, "mean": np.mean, "sum": np.sum}


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0,)])
def test_one_hot_has_a_one_at_each_class(shape, axis):
    if axis > len(shape):
        return
    x = rng.integers(0, 5, shape)
    found = in_both_modes(lambda x: hb.one_hot(x, 5, axis=axis), x)
    np.testing.assert_array_equal(found, np.moveaxis(np.eye(5, dtype="float32")[x], -1, axis))
    assert found.dtype == np.float32


def test_one_hot_of_what_is_no_class_is_zero():
    found = hb.one_hot([-1, 3], 3, dtype=bool)
    assert found.dtype == np.bool_
    assert not found.numpy().any()


@pytest.mark.parametrize(
    ("axis", "smoothing", "reduction", "dtype"),
    [(-1, 0.1, "mean", "float32"), (1, 0.1, "none", "float64"), (1, 0.0, "sum", "float64")],
)
def test_cross_entropy_is_minus_the_logarithm_of_what_was_right(axis, smoothing, reduction, dtype):
    logits = rng.normal(size=(6, 5, 5)).astype(dtype) * 3
    classes = rng.integers(0, 5, (6, 5))
    wanted = np.moveaxis(np.eye(5)[classes], -1, axis)
    smooth = wanted * (1 - smoothing) + smoothing / 5
    losses = -(smooth * scipy.special.log_softmax(logits.astype("float64"), axis)).sum(axis)
    options = dict(axis=axis, label_smoothing=smoothing, reduction=reduction)
    for targets in (classes, wanted.astype(dtype)):
        found = in_both_modes(lambda x, t: hb.cross_entropy(x, t, **options), logits, targets)
        np.testing.assert_allclose(found, REDUCE[reduction](losses), rtol=2e-6, atol=2e-6)
        assert found.dtype == np.dtype(dtype)


@pytest.mark.parametrize("reduction", REDUCE)
def test_binary_cross_entropy_is_exact_where_the_sigmoid_is_not(reduction):
    logits = np.array([-800.0, -40, -1, 0, 1e-8, 3, 40, 800])
    targets = np.array([0.0, 0, 1, 0.5, 0.25, 1, 1, 0])
    found = in_both_modes(
        lambda x, t: hb.binary_cross_entropy_with_logits(x, t, reduction=reduction),
        logits,
        targets,
    )
    losses = targets * np.logaddexp(0, -logits) + (1 - targets) * np.logaddexp(0, logits)
    np.testing.assert_allclose(found, REDUCE[reduction](losses), rtol=1e-14)
    same = hb.binary_cross_entropy_with_logits(logits, targets > 0.5, reduction=reduction)
    assert same.dtype == np.float64


@pytest.mark.parametrize("kind", ["classes", "probabilities", "binary"])
def test_gradients_are_what_was_given_minus_what_was_right(kind):
    logits = rng.normal(size=(4, 3))
    if kind == "classes":
        targets = rng.integers(0, 3, 4)
        expected = (scipy.special.softmax(logits, 1) - np.eye(3)[targets]) / 4
    else:
        targets = scipy.special.softmax(rng.normal(size=(4, 3)), 1)
        likely = scipy.special.softmax(logits, 1) if kind != "binary" else None
        likely = scipy.special.expit(logits) if likely is None else likely
        expected = (likely - targets) / (4 if kind != "binary" else 12)
    loss = hb.binary_cross_entropy_with_logits if kind == "binary" else hb.cross_entropy

    def gradient(x):
        with hb.GradientTape() as tape:
            tape.watch(x)
            total = loss(x, targets)
        return tape.gradient(total, x)

    np.testing.assert_allclose(in_both_modes(gradient, logits), expected, rtol=1e-12)


@pytest.mark.parametrize("mode", ["eager", "traced"])
def test_errors_name_what_does_not_fit(mode):
    def refused(function, *arrays, match, error, **options):
        def call(*arrays):
            return function(*arrays, **options)

        with pytest.raises(error, match=match):
            (hb.compile(call) if mode == "traced" else call)(*arrays)

    x, t = np.ones((4, 3)), np.zeros(4, int)
    refused(hb.cross_entropy, x, t[:3], error=ShapeError, match=r"targets of shape \(3,\)")
    refused(hb.cross_entropy, x, x[:3], error=ShapeError, match=r"\(3, 3\) for logits of shape")
    refused(hb.cross_entropy, x, t + 3, error=IndexingError, match="index 3 is out of bounds")
    refused(hb.cross_entropy, x, t, reduction="max", error=ValueError, match="'max' is not one")
    refused(hb.cross_entropy, x, t, label_smoothing=2, error=ValueError, match="smoothing is 2")
    refused(hb.binary_cross_entropy_with_logits, x, t, error=ShapeError, match=r"\(4,\) for log")
    refused(hb.one_hot, x, num_classes=3, error=DTypeError, match="integers, not float64")
    refused(hb.one_hot, t, num_classes=-1, error=ValueError, match="-1 classes")
