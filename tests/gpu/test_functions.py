"""Every public function gives on a card what it gives on the CPU, and gives it there."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import DeviceError

ARRAYS = {
    "float32": np.array([[4, 1, 0.5], [1, 3, 0.25], [0.5, 0.25, 2]], np.float32),
    "int64": np.array([[1, 0, 2], [2, 1, 0], [0, 2, 1]]),
    "bool": np.array([[True, False, True]] * 3),
}
# They make no arrays of these, or show them.
OTHERS = {"compile", "print", "compare", "explain", "show", "demo"}


def public(space: ModuleType) -> list[str]:
    """Names of a namespace's functions."""
    return sorted(
        name
        for name in dir(space)
        if not name.startswith("_")
        and name not in OTHERS
        and callable(getattr(space, name))
        and not inspect.isclass(getattr(space, name))
    )


SPACES = {"": hb, "linalg.": hb.linalg, "fft.": hb.fft}
FUNCTIONS = {f"{at}{name}": getattr(x, name) for at, x in SPACES.items() for name in public(x)}


def leaves(found: Any) -> Iterator[hb.Tensor]:
    if isinstance(found, hb.Tensor):
        yield found
    elif isinstance(found, tuple | list):
        for item in found:
            yield from leaves(item)


def results(function: Callable[..., Any], device: str, arrays: list[Any]) -> list[hb.Tensor]:
    with warnings.catch_warnings(action="ignore"):
        return list(leaves(function(*(hb.asarray(x.copy(), device=device) for x in arrays))))


def check(function: Callable[..., Any], arrays: list[Any]) -> bool:
    """Compare what the devices give; False where the CPU gives no arrays."""
    try:
        wanted = results(function, "cpu", arrays)
    except Exception:
        return False
    found = results(function, "cuda", arrays)
    for there, here in zip(found, wanted, strict=True):
        assert (there.device, there.dtype, there.shape) == ("cuda:0", here.dtype, here.shape)
        wide = [x.to_device("cpu").astype("complex128").numpy() for x in (there, here)]
        np.testing.assert_allclose(*wide, rtol=1e-4, atol=1e-5)
    return bool(wanted)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_are_where_the_arguments_are(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    done = [
        check(FUNCTIONS[name], [array] * count) for array in ARRAYS.values() for count in (1, 2, 3)
    ]
    if not any(done):
        pytest.skip("not a function of one to three arrays of one shape")


def added(x: Any) -> Any:
    np.add.at(x, ([0, 0], [1, 1]), 2.0)
    return x


WITH_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "one_hot": lambda x: hb.one_hot(x[0].astype("int64"), 5),
    "initial": lambda x: hb.cumulative_sum(x, axis=1, include_initial=True),
    "jacobian": lambda x: hb.jacobian(lambda y: hb.exp(y[0]) * y[1])(x),
    "hessian": lambda x: hb.hessian(lambda y: (y**3).sum())(x),
    "vmap": lambda x: hb.vmap(lambda r: r * r.sum())(x),
    "cond": lambda x: hb.linalg.cond(x, 1),
    "no power": lambda x: hb.linalg.matrix_power(x, 0),
    "index of numpy": lambda x: x[np.array([2, 0])] + hb.take(x, [0, 1], axis=0),
    "mask of numpy": lambda x: x[np.array([True, False, True])],
    "quantile": lambda x: hb.quantile(x, 0.3, axis=1),
    "histogram": lambda x: hb.histogram(x, 4),
    "edges": lambda x: hb.histogram_bin_edges(x, "auto"),
    "at": lambda x: (x.at[0].multiply(2.0), x.at[[0, 0]].add(1.0), x.at[1:].min(0.75)),
    "between": lambda x: hb.linspace(x[0], x[1], 4),
    "resize": lambda x: np.resize(x, (2, 7)),
    "pad": lambda x: (np.pad(x, 1), np.pad(x, 1, mode="reflect"), np.pad(x, 2, mode="linear_ramp")),
    "pad with": lambda x: np.pad(x, 1, constant_values=3.0),
    "unique": lambda x: np.unique(x, return_counts=True),
    "xor of sets": lambda x: np.setxor1d(x[0], x[1]),
    "reduce": lambda x: np.add.reduce(x, axis=0, initial=2.0),
    "empty reduce": lambda x: np.maximum.reduce(x[:0], axis=0, initial=2.0),
    "reduceat": lambda x: np.add.reduceat(x, [0, 2], axis=0),
    "insert": lambda x: np.insert(x, 1, 5.0, axis=0),
    "choose": lambda x: np.select([x > 1, x > 0.5], [x, -x], 0.0),
    "average": lambda x: hb.average(x, axis=0, weights=x[0]),
    "polynomial": lambda x: (np.polyval(x[0], x[1]), np.poly(x[0]), np.polyadd(x[0], x[1, :2])),
    "gradient": lambda x: np.gradient(x, axis=0),
    "convolve": lambda x: np.convolve(x[0], x[1]),
    "interp": lambda x: hb.interp(x[0], hb.sort(x[1]), x[2]),
    "out": lambda x: hb.exp(x, out=hb.zeros_like(x)),
    "where": lambda x: np.add(x, 1, where=x > 1, out=hb.zeros_like(x)),
    "nonzero": lambda x: (hb.nonzero(x > 1), hb.argwhere(x > 1), x[x > 1]),
    "loss": lambda x: hb.cross_entropy(x, hb.asarray([0, 2, 1], device=x.device)),
    "einsum": lambda x: hb.einsum("ij,kj->ik", x, x),
    "ufunc at": lambda x: added(x.copy()),
    "ufunc into": lambda x: np.exp(x, out=hb.zeros_like(x)),
    "accumulate": lambda x: np.add.accumulate(x, axis=1),
    "outer": lambda x: np.multiply.outer(x[0], x[1]),
    "topk": lambda x: hb.topk(x, 2),
}


@pytest.mark.parametrize("name", WITH_OPTIONS)
def test_options_too(name: str) -> None:
    assert check(WITH_OPTIONS[name], [ARRAYS["float32"]])


def test_what_numpy_computes_itself_says_that_it_is_not_done_on_a_card() -> None:
    x = hb.asarray(ARRAYS["float32"], device="cuda")
    with pytest.raises(
        DeviceError, match=r"np.linalg.eigvals, .*own .*cannot .* cuda:0; move .*'cpu'"
    ):
        np.linalg.eigvals(x)
    with hb.device("cuda", fallback="cpu"):
        found = np.linalg.eigvals(x)
    assert found.device == "cuda:0"
    np.testing.assert_allclose(
        np.sort(found.to_device("cpu").numpy()), np.linalg.eigvalsh(ARRAYS["float32"]), rtol=1e-5
    )
