"""On a real card: whole programs, launched at first, then captured and replayed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hybrid as hb
from tests.runtime.cuda.programs import PROGRAMS

pytestmark = pytest.mark.gpu


def arrays_for(name: str, seed: int) -> list[Any]:
    program, rng = PROGRAMS[name], np.random.default_rng(seed)
    dtypes = program.dtypes or ("float32",) * len(program.shapes)
    return [
        (rng.standard_normal(shape) * (3 if dtype == "int64" else 1)).astype(dtype)
        for shape, dtype in zip(program.shapes, dtypes, strict=True)
    ]


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str) -> None:
    function = PROGRAMS[name].function
    compiled = hb.compile(function)
    rough = "float16" in name
    for seed in (0, 0, 1, 1, 0):
        arrays = arrays_for(name, seed)
        found = compiled(*(hb.asarray(x, device="cuda") for x in arrays))
        wanted = function(*map(hb.asarray, arrays))
        pairs = zip(*(x if isinstance(x, tuple) else (x,) for x in (found, wanted)), strict=True)
        for x, y in pairs:
            assert x.device == "cuda:0"
            tolerance = 0.02 if rough else 2e-4
            got, want = x.to_device("cpu").numpy(), y.numpy()
            kind = np.complex128 if want.dtype.kind == "c" else np.float64
            np.testing.assert_allclose(
                got.astype(kind), want.astype(kind), rtol=tolerance, atol=tolerance
            )


def test_what_is_kept_of_replays_stays_as_it_was() -> None:
    f, kept = hb.compile(lambda x: hb.exp(x) @ x), []
    x = hb.asarray(np.eye(64, dtype=np.float32), device="cuda")
    for _ in range(6):
        kept.append(f(x))
        x = x * 0.5
    for step, found in enumerate(kept):
        want = np.eye(64) * 0.5**step
        np.testing.assert_allclose(
            found.to_device("cpu").numpy(), np.exp(want) @ want, rtol=1e-4, atol=1e-4
        )
