"""A classifier of handwritten digits: two hidden layers, cross entropy, Adam."""

from __future__ import annotations

from itertools import pairwise

import hybrid as hb

Array = hb.Tensor
Layers = list[tuple[hb.Variable, hb.Variable]]


def make_layers(*widths: int) -> Layers:
    """Return weights and biases for layers of the given widths (He initialisation)."""
    layers = []
    for i, (rows, columns) in enumerate(pairwise(widths), 1):
        weights = hb.random.normal((rows, columns), std=(2 / rows) ** 0.5)
        bias = hb.zeros(columns)
        layers.append((hb.Variable(weights, name=f"w{i}"), hb.Variable(bias, name=f"b{i}")))
    return layers


class Adam:
    """Adam (Kingma and Ba, 2015), with its state in Variables."""

    def __init__(self, layers: Layers, rate: float = 2e-3) -> None:
        self.rate, self.beta1, self.beta2, self.epsilon = rate, 0.9, 0.999, 1e-7
        self.parameters = [parameter for layer in layers for parameter in layer]
        self.means = [hb.Variable(hb.zeros(p.shape)) for p in self.parameters]
        self.squares = [hb.Variable(hb.zeros(p.shape)) for p in self.parameters]
        self.count = hb.Variable(0.0)

    def update(self, gradients: list[Array]) -> None:
        """Move the parameters one step down the gradients."""
        self.count.assign_add(1)
        n = self.count.read()
        rate = self.rate * hb.sqrt(1 - self.beta2**n) / (1 - self.beta1**n)
        for p, mean, square, g in zip(self.parameters, self.means, self.squares, gradients):
            mean.assign_add((1 - self.beta1) * (g - mean))
            square.assign_add((1 - self.beta2) * (g * g - square))
            p.assign_sub(rate * mean / (hb.sqrt(square) + self.epsilon))


class Classifier:
    """A network that tells which digit an image of 8x8 pixels shows."""

    def __init__(self) -> None:
        self.layers = make_layers(64, 128, 64, 10)
        self.optimizer = Adam(self.layers)

    def scores(self, images: Array) -> Array:
        """Return one score per digit for each image, the highest for the most likely."""
        *hidden, (weights, bias) = self.layers
        x = images
        for w, b in hidden:
            x = hb.relu(x @ w + b)
        return x @ weights + bias

    def loss(self, images: Array, targets: Array) -> Array:
        """Return the mean cross entropy; `targets` has a 1 in the column of the digit."""
        return -hb.mean(hb.sum(targets * hb.log_softmax(self.scores(images), axis=1), axis=1))

    def step(self, images: Array, targets: Array) -> Array:
        """Train on one batch and return its loss."""
        with hb.GradientTape() as tape:
            loss = self.loss(images, targets)
        self.optimizer.update(tape.gradient(loss, self.optimizer.parameters))
        return loss

    def accuracy(self, images: Array, digits: Array) -> float:
        """Return the fraction of the images that are recognised."""
        return float(hb.mean(hb.argmax(self.scores(images), axis=1) == digits))
