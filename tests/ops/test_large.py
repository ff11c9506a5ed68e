"""Elementwise functions of large arrays: NumPy's bits, warnings and errors, from any thread."""

from __future__ import annotations

import os
import threading
import warnings
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core import recycle
from hybrid.kernels import divided as divided_module
from hybrid.kernels import parallel
from hybrid.kernels.divided import LARGE, divided
from hybrid.ops.elementwise.declare import UFUNCS
from hybrid.ops.elementwise.large import large

SIZE = LARGE + 13
needs_threads = pytest.mark.skipif(parallel.available() < 2, reason="there is one processor")


def numbers(dtype: str, seed: int = 0) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.1, 0.9, SIZE)
    return (x + 1j * x[::-1] if dtype[0] == "c" else x).astype(dtype)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with each loop that is divided."""
    seen: list[str] = []

    def counting(ufunc: np.ufunc, types: str) -> Any:
        loop = divided(ufunc, types)

        def run(*arrays: Any) -> int:
            seen.append(ufunc.__name__)
            assert loop is not None
            return loop(*arrays)

        return None if loop is None else run

    monkeypatch.setattr("hybrid.ops.elementwise.large.divided", counting)
    return seen


@needs_threads
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_every_ufunc_gives_the_same_bits(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, done = counted(monkeypatch), 0
    x, y = numbers(dtype), numbers(dtype, 1)
    for ufunc, function in UFUNCS.items():
        args = (x, y)[: ufunc.nin]
        if ufunc.signature is not None or ufunc.nout > 1:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                wanted = ufunc(*args)
            except TypeError:
                continue
            got = large(ufunc, *args)
            public = function(*map(hb.asarray, args)).numpy()
            small = [a[:1000] for a in args]
            few = function(*map(hb.asarray, small)).numpy()
        assert got.dtype == wanted.dtype
        assert got.tobytes() == wanted.tobytes(), ufunc
        assert public[: small[0].size].tobytes() == few.tobytes(), ufunc
        done += 1
    assert len(seen) > done


@needs_threads
@pytest.mark.parametrize("case", ["x + y", "x * 2.5", "3 - x", "-x", "x < y", "x / 3", "x >= 0.5"])
def test_operators_are_divided(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = counted(monkeypatch)
    x, y = numbers("float32"), numbers("float32", 1)
    got = eval(case, {"x": hb.asarray(x), "y": hb.asarray(y)})
    wanted = eval(case, {"x": x, "y": y})
    assert got.dtype == wanted.dtype
    assert got.numpy().tobytes() == wanted.tobytes()
    assert len(seen) == 1
    with hb.GradientTape() as tape:
        tape.watch(t := hb.asarray(x))
        taped = eval(case, {"x": t, "y": hb.asarray(y)})
    assert taped.numpy().tobytes() == wanted.tobytes()
    assert len(seen) == 2


@needs_threads
@pytest.mark.parametrize(
    "operands",
    [
        lambda x: (x[::2], x[::-2]),
        lambda x: (x.reshape(-1, 1)[:1000], x[:1000]),
        lambda x: (x, x.astype("float64")),
        lambda x: (x, np.ones(1, "float32")),
        lambda x: (x, 1e300),
        lambda x: (x, float("nan")),
        lambda x: (x.astype("int32"), x.astype("int32")),
        lambda x: (x.astype(">f4"), x.astype(">f4")),
        lambda x: (x.astype("float16"), x.astype("float16")),
        lambda x: (np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view("float32"), x),
        lambda x: (x.reshape(-1, 1).T[:, : SIZE // 2 * 2].reshape(2, -1).T,) * 2,
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_does_not_lie_plainly_is_left_to_numpy(
    operands: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = counted(monkeypatch)
    given = operands(numbers("float32"))
    assert large(np.add, *given).tobytes() == np.add(*given).tobytes()
    assert not seen


@pytest.mark.parametrize("where", [0, SIZE // 2, -1])
def test_what_goes_wrong_is_told_as_numpy_tells_it(where: int) -> None:
    x, y = numbers("float64"), numbers("float64", 1)
    x[where], y[where] = 1e308, 1e-308

    def told(function: Any) -> list[str]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            function()
        return [str(w.message) for w in caught]

    a, b = hb.asarray(x), hb.asarray(y)
    assert told(lambda: a / b) == told(lambda: x / y) != []
    assert told(lambda: b * b) == told(lambda: y * y) == []  # an underflow is not told
    with np.errstate(over="ignore"):
        assert told(lambda: a / b) == []
    with np.errstate(under="raise"), pytest.raises(FloatingPointError):
        b * b
    y[where] = 0
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        a / b


@needs_threads
def test_many_threads_at_once_and_a_forked_child() -> None:
    x = hb.asarray(numbers("float32"))
    wanted = np.exp(x.numpy()).tobytes()
    wrong: list[int] = []

    def work() -> None:
        for _ in range(10):
            if hb.exp(x).numpy().tobytes() != wanted:
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    child = os.fork()
    if not child:
        os._exit(int(hb.exp(x).numpy().tobytes() != wanted))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_one_thread_divides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = counted(monkeypatch)
    before = hb.get_num_threads()
    hb.set_num_threads(1)
    try:
        x = hb.asarray(numbers("float32"))
        np.testing.assert_array_equal((x + x).numpy(), x.numpy() * 2)
    finally:
        hb.set_num_threads(before)
    assert not seen


def test_memory_of_large_results_comes_back_but_not_while_somebody_sees_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recycle, "LARGE", 1 << 20)
    recycle._free.clear()
    x = hb.asarray(numbers("float32"))
    y = x + x
    address = y.numpy().ctypes.data
    assert address % recycle.ALIGNMENT == 0
    view, exported = y[5:], np.from_dlpack(y)
    del y
    kept = (view.numpy().copy(), exported.copy())
    z = x * 3
    assert z.numpy().ctypes.data != address
    assert np.array_equal(view.numpy(), kept[0])
    assert np.array_equal(exported, kept[1])
    del view, exported
    assert (x * 5).numpy().ctypes.data == address
    recycle._free.clear()


def test_a_processor_with_other_flags_divides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(divided_module, "FLAGS", None)
    assert divided.__wrapped__(np.add, "ff->f") is None
