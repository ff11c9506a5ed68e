"""Warnings of NumPy's in eager code name the line of the user, and errstate means what it means."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.ops import _shortways

X = hb.asarray([0.0, 1.0, -1.0, 3e38])
ZEROS = hb.zeros(4)
LARGE = hb.zeros((600, 700))
INTS = hb.asarray([1, 2], dtype="int32")

CASES = {
    "X / ZEROS": "divide",
    "1 / ZEROS": "divide",
    "X * 3e38": "multiply",
    "X[::2] / ZEROS[::2]": "divide",
    "INTS // 0": "floor_divide",
    "hb.log(ZEROS)": "log",
    "hb.log(ZEROS[::2])": "log",
    "hb.divide(X, ZEROS)": "divide",
    "hb.divide(X, ZEROS[:, None])": "divide",
    "np.log(ZEROS)": "log",
    "np.divide(X, ZEROS, where=X > 0, out=hb.ones(4))": "divide",
    "np.add.reduce(hb.full((3,), 3e38))": "reduce",
    "hb.log(LARGE)": "log",
    "LARGE / LARGE": "divide",
    "hb.full((3,), 3e38).sum()": "reduce",
    "hb.full((3, 3), 3e38).sum((0, 1))": "reduce",
    "hb.var(X)": "var",
    "hb.matmul(hb.full((3, 3), 3e38), hb.ones((3, 3)))": "matmul",
    "hb.full((3, 3), 3e38) @ hb.ones((3, 3))": "matmul",
    "hb.corrcoef(LARGE[:3])": "divide",
    "X.astype('int8')": "cast",
    "hb.asarray(1e300)": "cast",
    "X.copy().__setitem__(0, 1e300)": "cast",
    "X.at[0].set(1e300)": "cast",
    "X.at[[0, 1]].set(1e300)": "cast",
    "X.at[[3, 3]].add(3e38)": "add",
    "X.at[[3, 3]].multiply(3e38)": "multiply",
    "hb.pad(X, 1, constant_values=1e300)": "cast",
    "hb.segment_sum(hb.full(3, 3e38), hb.asarray([0, 0, 0]), 1)": "add",
    "hb.random.normal(100, std=1e39)": "cast",
    "hb.random.uniform(3, low=-3e38, high=3e38)": "cast",
    "X.copy().fill(1e300)": "cast",
    "hb.concat([X, [1e300]])": "cast",
    "hb.asarray([1e300])": "cast",
    "hb.asarray(np.array([1e300]), dtype='float32')": "cast",
    "hb.array([[1e300]])": "cast",
    "hb.full((2,), 1e300)": "cast",
    "hb.abs([1e300])": "cast",
    "hb.sum([1e300])": "cast",
    "hb.stack([[1e300], [1.0]])": "cast",
    "hb.Variable([1e300])": "cast",
    "(X + 1) @ [1e300, 1, 1, 1]": "cast",
    "hb.sqrt(hb.Variable(X - 2))": "sqrt",
}


@pytest.fixture(params=["in Python", "in native code"])
def _ways(request: pytest.FixtureRequest) -> None:
    if request.param == "in native code":
        _shortways.install()


def warned(code: str) -> list[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        exec(compile(code, "user.py", "exec"), {"__name__": "user", **globals()})
    return found


@pytest.mark.usefixtures("_ways")
@pytest.mark.parametrize("code", CASES)
def test_a_warning_names_the_users_line_and_what_was_computed(code: str) -> None:
    found = warned(f"\n\n{code}")
    assert found
    for one in found:
        assert (one.filename, one.lineno, one.category) == ("user.py", 3, RuntimeWarning)
        assert str(one.message).endswith(f" encountered in {CASES[code]}")


def test_each_line_is_told_once() -> None:
    code = "for _ in range(3):\n    hb.log(ZEROS)\n    1 / ZEROS\nhb.log(ZEROS)"
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        exec(compile(code, "user.py", "exec"), {"__name__": "user", **globals()})
    assert [one.lineno for one in found] == [2, 3, 4]


@pytest.mark.usefixtures("_ways")
@pytest.mark.parametrize("code", ["X / ZEROS", "hb.divide(X, ZEROS)", "np.log(ZEROS)", "1 / LARGE"])
def test_errstate_decides(code: str) -> None:
    def run() -> Any:
        return eval(code, globals())

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with np.errstate(all="ignore"):
            run()
        with pytest.raises(RuntimeWarning, match="encountered in"):
            run()
        with np.errstate(all="raise"), pytest.raises(FloatingPointError, match="encountered in"):
            run()
        called: list[str] = []
        with np.errstate(all="call", call=lambda kind, _: called.append(kind)):
            run()
        assert called
        with np.errstate(divide="ignore", invalid="warn"):
            hb.log(ZEROS)
            with pytest.raises(RuntimeWarning, match="invalid value encountered in sqrt"):
                hb.sqrt(X - 2)
    assert np.geterr() == {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}


def test_a_filter_for_the_users_module_meets_it() -> None:
    code = compile("hb.log(ZEROS)", "user.py", "exec")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", module="user_of_logs")
        exec(code, {**globals(), "__name__": "user_of_logs"})
        assert not found
        exec(code, {**globals(), "__name__": "another"})
    assert len(found) == 1


def test_threads_may_ask_for_different_things() -> None:
    def ask(mode: Any) -> int:
        heard: list[str] = []
        for _ in range(200):
            with np.errstate(all=mode, call=lambda kind, _: heard.append(kind)):
                try:
                    hb.log(ZEROS[::2])
                    hb.add(X, ZEROS[:, None])
                except FloatingPointError:
                    heard.append("raised")
        return len(heard)

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(ask, ["ignore", "raise", "call"])) == [0, 200, 200]
