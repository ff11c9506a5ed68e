"""A small convolutional network trains alike in both modes, and its gradients are right."""

from __future__ import annotations

import numpy as np

import hybrid as hb

SHAPES = ((4, 1, 3, 3), (4, 1, 1), (6, 2, 3, 3), (6, 1, 1), (24, 5), (5,))


def initial():
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape) * 0.3 for shape in SHAPES]


def data():
    rng = np.random.default_rng(1)
    return rng.normal(size=(8, 1, 10, 10)), rng.integers(0, 5, 8)


def loss_of(parameters, x, y, training=False):
    w1, b1, w2, b2, w3, b3 = parameters
    h = hb.max_pool2d(hb.tanh(hb.conv2d(x, w1, padding="same") + b1), 2)
    h = hb.batch_norm(hb.conv2d(h, w2, stride=2, padding=1, groups=2) + b2)
    h = hb.avg_pool2d(hb.gelu(h), 2, stride=1).reshape(len(y), -1)
    h = hb.dropout(h, 0.2, training=training)
    return hb.cross_entropy(h @ w3 + b3, y, label_smoothing=0.1)


def test_training_steps_are_the_same_in_both_modes():
    x, y = map(hb.asarray, data())
    losses = []
    for compile in (lambda f: f, hb.compile):
        parameters = [hb.Variable(value) for value in initial()]
        hb.random.seed(0)

        def step(x, y):
            with hb.GradientTape() as tape:
                loss = loss_of(parameters, x, y, training=True)
            for value, g in zip(parameters, tape.gradient(loss, parameters), strict=True):
                value.assign_sub(0.5 * g)
            return loss

        function = compile(step)
        losses.append([float(function(x, y)) for _ in range(30)])
    np.testing.assert_allclose(*losses, rtol=1e-9)
    assert losses[0][-1] < 0.7 * losses[0][0]


def test_gradients_along_a_line_are_differences():
    x, y = map(hb.asarray, data())
    at = [hb.asarray(value) for value in initial()]
    rng = np.random.default_rng(2)
    along = [rng.normal(size=shape) for shape in SHAPES]

    def slope(parameters):
        with hb.GradientTape() as tape:
            tape.watch(parameters)
            loss = loss_of(parameters, x, y)
        gradients = tape.gradient(loss, parameters)
        return sum(hb.sum(g * d) for g, d in zip(gradients, along, strict=True))

    def moved(function, by):
        return float(function([p + by * d for p, d in zip(at, along, strict=True)]))

    def difference(function):
        return (moved(function, 1e-6) - moved(function, -1e-6)) / 2e-6

    first = difference(lambda parameters: loss_of(parameters, x, y))
    np.testing.assert_allclose(float(slope(at)), first, rtol=1e-6)
    with hb.GradientTape() as tape:
        tape.watch(at)
        out = slope(at)
    pairs = zip(tape.gradient(out, at), along, strict=True)
    second = sum(float(hb.sum(g * d)) for g, d in pairs)
    np.testing.assert_allclose(second, difference(slope), rtol=1e-5)
