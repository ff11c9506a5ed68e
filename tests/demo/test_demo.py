"""The tour of the library, on its real data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hybrid as hb
from hybrid.__main__ import main
from hybrid.demo.digits import Classifier
from hybrid.demo.photograph import blur, drawing, edges, luminance
from hybrid.demo.training import MODES, load_digits, load_photograph, train
from hybrid.inspect.ulp import max_ulp

pytest.importorskip("sklearn")


def test_both_modes_learn_the_digits_equally_well() -> None:
    data = load_digits()
    eager, traced = (train(mode, data, 10) for mode in MODES)
    assert eager.accuracy == traced.accuracy
    assert traced.accuracy > 0.96
    np.testing.assert_allclose(eager.losses, traced.losses, rtol=1e-2)


def test_held_out_digits_are_not_trained_on() -> None:
    data = load_digits()
    assert len(data.images) + len(data.test_images) == 1797
    seen = {image.tobytes() for image in data.images}
    assert not any(image.tobytes() in seen for image in data.test_images)


def test_the_gradient_of_the_classifier_is_that_of_its_loss() -> None:
    hb.random.seed(0)
    model = Classifier()
    rng = np.random.default_rng(0)
    images = hb.asarray(rng.uniform(size=(16, 64)).astype(np.float32))
    targets = hb.asarray(np.eye(10, dtype=np.float32)[rng.integers(0, 10, 16)])
    bias = model.layers[-1][1]
    with hb.GradientTape() as tape:
        loss = model.loss(images, targets)
    gradient = tape.gradient(loss, bias).numpy()
    before = bias.numpy()
    for i in (0, 7):
        step = np.zeros(10, np.float32)
        step[i] = 1e-2
        bias.assign(before + step)
        above = model.loss(images, targets).item()
        bias.assign(before - step)
        below = model.loss(images, targets).item()
        assert gradient[i] == pytest.approx((above - below) / 2e-2, rel=1e-2, abs=1e-4)


def test_the_filter_is_the_same_in_both_modes() -> None:
    photograph = load_photograph()
    eager = drawing(hb.asarray(photograph))
    traced = hb.compile(drawing)(photograph)
    assert eager.shape == (photograph.shape[0] - 6, photograph.shape[1] - 6, 3)
    assert max_ulp(eager, traced) <= 16


def test_parts_of_the_filter() -> None:
    grey = hb.full((9, 8, 3), 0.25)
    np.testing.assert_allclose(luminance(grey).numpy(), 0.25, rtol=1e-6)
    np.testing.assert_allclose(blur(hb.ones((9, 8))).numpy(), np.ones((5, 4)), rtol=1e-6)
    ramp = hb.asarray(np.tile(np.arange(8, dtype=np.float32), (9, 1)))
    np.testing.assert_allclose(edges(ramp).numpy(), np.full((7, 6), 8.0))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "tour.png"
    assert main(["demo", "--quick", "--output", str(picture)]) == 0
    text = capsys.readouterr().out
    for word in ("accuracy", "training step", "filter", "ULP", "kernels", "loaded from disk"):
        assert word in text
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_missing_folder_is_said_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--output", str(tmp_path / "no" / "tour.png")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_epochs_must_be_positive(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["demo", "--epochs", "0"])
    assert "not a positive number" in capsys.readouterr().err
