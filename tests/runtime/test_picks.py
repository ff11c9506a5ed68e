"""Single elements at index arrays are those of eager code, however arrays and indices lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hybrid as hb
from hybrid.runtime import driver
from hybrid.runtime.picks import pick_kernel

Array = np.ndarray[Any, np.dtype[Any]]

MODES: dict[str, Callable[..., Any]] = {
    "gather": lambda x, value, *index: x[index],
    "add": lambda x, value, *index: x.at[index].add(value),
    "set": lambda x, value, *index: x.at[index].set(value),
}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32), st.sampled_from(["float32", "float64", "int32", "int64"]))
def test_elements_are_those_of_eager_code(seed: int, dtype: str) -> None:
    rng = np.random.default_rng(seed)
    ndim, block = int(rng.integers(1, 5)), tuple(rng.integers(1, 5, rng.integers(0, 3)).tolist())
    shape = tuple(rng.integers(1, 6, ndim).tolist())
    base = hb.asarray((100 * rng.standard_normal((*shape, 2))).astype(dtype))
    x = base[..., 0] if rng.integers(2) else base[..., 0].copy()
    index = [_index(rng, block, n) for n in shape]
    if rng.integers(2):
        index[0] = _index(rng, (), shape[0])
    picked = np.broadcast_shapes(*(i.shape for i in index))
    value = hb.asarray((100 * rng.standard_normal(picked)).astype(dtype))
    value = value if rng.integers(2) else value.reshape(-1)[0] if value.size else value
    for mode, function in MODES.items():
        f = hb.compile(function)
        for _ in range(2):
            found, expected = f(x, value, *index), function(x, value, *index)
            np.testing.assert_array_equal(found.numpy(), expected.numpy(), err_msg=mode)


def _index(rng: np.random.Generator, block: tuple[int, ...], size: int) -> hb.Tensor:
    """Draw indices: as they lie, backwards, every other, of one for all rows."""
    whole = rng.integers(-size, size, tuple(2 * n for n in block))
    lie = {
        "as drawn": whole[tuple(slice(n) for n in block)].copy(),
        "backwards": whole[tuple(slice(n - 1, None, -1) for n in block)],
        "every other": whole[tuple(slice(None, None, 2) for _ in block)],
        "turned": whole[tuple(slice(n) for n in block)].copy(order="F"),
        "one": np.broadcast_to(whole.reshape(-1)[0], block),
    }
    return hb.asarray(lie[rng.choice(list(lie))])


@pytest.mark.parametrize("mode", MODES)
def test_they_have_kernels_that_read_views_as_they_lie(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []

    def counted(step: Any) -> Any:
        found.append(pick_kernel(step))
        return found[-1]

    monkeypatch.setattr(driver, "pick_kernel", counted)
    f = hb.compile(MODES[mode])
    x, rows = hb.zeros((4, 3)), hb.asarray([2, 0])
    columns = hb.asarray([[0, 9], [1, 9]])[:, 0]
    value = hb.asarray([[5.0, 6.0], [7.0, 8.0]])[1]
    results = [f(x, value, rows, columns).tolist() for _ in range(2)]
    assert results == [MODES[mode](x, value, rows, columns).tolist()] * 2
    assert len(found) == 1
    assert found[0] is not None


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wrong", [[0, 3], [-4, 0]])
def test_an_index_outside_is_named_and_nothing_is_written(mode: str, wrong: list[int]) -> None:
    f = hb.compile(MODES[mode])
    x = hb.ones((4, 3))
    args = x, hb.ones(2), hb.asarray([2, 0])
    f(*args, hb.asarray([0, 1]))
    with pytest.raises(
        hb.errors.IndexingError, match=r"out of bounds for axis 1 of shape \(4, 3\)"
    ):
        f(*args, hb.asarray(wrong))
    assert (x.numpy() == 1).all()


def test_indices_of_which_only_the_bounds_are_looked_at_are_named_for_any_size() -> None:
    @hb.compile
    def averages(table: hb.Tensor, words: hb.Tensor) -> hb.Tensor:
        return table[words].sum(axis=1)

    table = hb.ones((50, 64))
    for n in (20, 21, 22, 23):
        words = hb.asarray(np.arange(8 * n).reshape(8, n) % 100 - 50)
        assert (averages(table, words).numpy() == n).all()
        bad = words.numpy().copy()
        bad[3, 4] = 50
        with pytest.raises(
            hb.errors.IndexingError, match=r"index 50 .* axis 0 of shape \(50, 64\)"
        ):
            averages(table, hb.asarray(bad))


def test_one_trace_has_them_for_any_size() -> None:
    @hb.compile
    def losses(x: hb.Tensor, labels: hb.Tensor) -> hb.Tensor:
        return x[hb.arange(len(labels)), labels]

    for n in (5, 6, 7, 8, 9):
        x = hb.asarray(np.arange(3 * n, dtype=np.float32).reshape(n, 3))
        labels = hb.asarray(np.arange(n) % 3)
        assert losses(x, labels).tolist() == [3 * i + i % 3 for i in range(n)]
    with pytest.raises(hb.errors.IndexingError, match=r"index 3 .* axis 1 of shape \(9, 3\)"):
        losses(x, labels + 1)


def test_what_is_read_may_be_a_part_of_what_is_changed() -> None:
    @hb.compile
    def turned(x: hb.Tensor, i: hb.Tensor) -> hb.Tensor:
        y = x * 2
        return y.at[i].set(y[::-1])

    x, i = hb.asarray(np.arange(5.0)), hb.asarray([0, 1, 2, 3, 4])
    for _ in range(3):
        assert turned(x, i).tolist() == [8, 6, 4, 2, 0]
