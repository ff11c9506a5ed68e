"""``hybrid demo``: train, filter, compare, and show."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

import hybrid as hb
from hybrid.demo.digits import Classifier
from hybrid.demo.photograph import drawing
from hybrid.demo.picture import save_picture
from hybrid.demo.table import Findings, make_table
from hybrid.demo.training import (
    MODES,
    SEED,
    apply_filter,
    batches,
    load_digits,
    load_photograph,
    train,
)
from hybrid.kernels import kernel

NEEDED_ACCURACY = 0.96


def run(epochs: int, output: Path, *, quick: bool = False) -> int:
    """Run the tour; return 0 if both modes learnt the digits equally well, else 1.

    Parameters
    ----------
    epochs : int
        Times that training goes over all digits.
    output : Path
        Where the picture is written.
    quick : bool
        Fewer repetitions, for a first look and for tests.
    """
    console = Console()
    data, photograph = load_digits(), load_photograph()
    repeat = 5 if quick else None
    # Before the training, so that the first call of the step is really the first one.
    hb.random.seed(SEED)
    step = hb.compare(Classifier().step, *next(batches(data, 1)), repeat=repeat)
    filter_ = hb.compare(drawing, hb.asarray(photograph), repeat=repeat)
    eager, traced = (train(mode, data, epochs) for mode in MODES)
    plain, fused = (apply_filter(mode, photograph, 5 if quick else 30) for mode in MODES)
    found = Findings((eager, traced), (plain, fused), step, filter_, kernel.stats(), photograph)
    console.print()
    console.print(make_table(found))
    save_picture(found, output)
    console.print(f"picture: {output}", highlight=False)
    return _verdict(console, found)


def _verdict(console: Console, found: Findings) -> int:
    eager, traced = found.trainings
    if eager.accuracy != traced.accuracy:
        console.print("[bold red]the two modes differ in accuracy[/]")
        return 1
    if traced.accuracy <= NEEDED_ACCURACY:
        console.print(
            f"[yellow]accuracy is not above {NEEDED_ACCURACY:.0%}; train for more epochs[/]"
        )
        return 1
    return 0
