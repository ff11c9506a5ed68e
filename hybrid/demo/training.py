"""The digits and the photograph, in both modes, with the clock running."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

import hybrid as hb
from hybrid.core.tensor import Array
from hybrid.demo.digits import Classifier
from hybrid.demo.photograph import drawing

Mode = Literal["eager", "traced"]
MODES: tuple[Mode, ...] = ("eager", "traced")

BATCH = 128
HELD_OUT = 360  # of 1797 images
SEED = 0


@dataclass(frozen=True, slots=True)
class Digits:
    """Images (one row each, from 0 to 1) and which digits they show."""

    images: Array
    labels: Array
    test_images: Array
    test_labels: Array


@dataclass(frozen=True, slots=True)
class Training:
    """What came out of training in one mode.

    Attributes
    ----------
    losses : list of float
        One per step.
    seconds : list of float
        What each step took; the first one includes trace and compilation.
    accuracy : float
        The fraction of the held-out images that are recognised.
    """

    mode: Mode
    losses: list[float]
    seconds: list[float]
    accuracy: float

    @property
    def total_seconds(self) -> float:
        """The time of all steps, the first one included."""
        return sum(self.seconds)


def load_digits() -> Digits:
    """Load scikit-learn's digits and hold some of them out."""
    from sklearn.datasets import load_digits as load

    images, labels = load(return_X_y=True)
    order = np.random.default_rng(SEED).permutation(len(labels))
    images, labels = images[order].astype(np.float32) / 16, labels[order]
    return Digits(images[HELD_OUT:], labels[HELD_OUT:], images[:HELD_OUT], labels[:HELD_OUT])


def load_photograph() -> Array:
    """Load a photograph that comes with scikit-learn."""
    from sklearn.datasets import load_sample_image

    photograph: Array = load_sample_image("china.jpg")
    return photograph


def batches(data: Digits, epochs: int) -> Iterator[tuple[hb.Tensor, hb.Tensor]]:
    """Yield shuffled batches of images and one-hot targets."""
    targets = np.eye(10, dtype=np.float32)[data.labels]
    rng = np.random.default_rng(SEED)
    for _ in range(epochs):
        order = rng.permutation(len(targets))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            yield hb.asarray(data.images[chosen]), hb.asarray(targets[chosen])


def _progress(total: int, what: str, unit: str) -> tqdm[Any]:
    """Return a progress bar; into a file it writes a line now and then, not ten a second."""
    often = 0.1 if sys.stderr.isatty() else 5.0
    return tqdm(total=total, desc=what, unit=unit, mininterval=often)


def train(mode: Mode, data: Digits, epochs: int) -> Training:
    """Train a classifier from the same seed, eagerly or traced."""
    hb.random.seed(SEED)
    model = Classifier()
    step: Callable[[Any, Any], Any] = model.step if mode == "eager" else hb.compile(model.step)
    losses: list[float] = []
    seconds: list[float] = []
    steps = epochs * (len(data.images) // BATCH)
    with _progress(steps, f"digits, {mode:6}", "step") as progress:
        for images, targets in batches(data, epochs):
            started = time.perf_counter()
            loss = float(step(images, targets))
            seconds.append(time.perf_counter() - started)
            losses.append(loss)
            progress.update()
            progress.set_postfix_str(f"loss {loss:.4f}", refresh=False)
    accuracy = model.accuracy(hb.asarray(data.test_images), hb.asarray(data.test_labels))
    return Training(mode, losses, seconds, accuracy)


@dataclass(frozen=True, slots=True)
class Filtering:
    """What came out of filtering the photograph in one mode; `seconds` as for a Training."""

    mode: Mode
    image: Array
    seconds: list[float]


def apply_filter(mode: Mode, photograph: Array, runs: int) -> Filtering:
    """Filter the photograph several times, eagerly or traced."""
    function: Callable[[Any], Any] = drawing if mode == "eager" else hb.compile(drawing)
    source = hb.asarray(photograph)
    seconds: list[float] = []
    with _progress(runs + 1, f"photo,  {mode:6}", "run") as progress:
        for _ in range(runs + 1):
            started = time.perf_counter()
            image = function(source)
            seconds.append(time.perf_counter() - started)
            progress.update()
    return Filtering(mode, image.numpy(), seconds)
