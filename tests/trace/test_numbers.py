"""Floats and complex numbers among the arguments are to Python what they are in eager code."""

from __future__ import annotations

import collections.abc
import datetime
import decimal
import enum
import fractions
import json
import math
import numbers
import operator
import pickle
import struct
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import EagerFallbackWarning, TraceError
from tests.trace.agreement import agree, compiled_throughout

VALUES = (2.0, 0.5, 1.0, 0.0, float("nan"))


class Level(enum.IntEnum):
    LOW = 1


def match_bool(s: float) -> str:
    match s > 1:
        case True:
            return "above"
        case False:
            return "below"
        case _:
            return "neither"


def match_kind(s: Any) -> Any:
    match s * 2:
        case int():
            return "int"
        case 1.0:
            return "one"
        case float(v):
            return "float", v
        case complex():
            return "complex"


def match_nested(s: float) -> Any:
    match {"above": s > 1, "s": (s, s < 1)}:
        case {"above": True, "s": (float(), _)}:
            return 1
        case {"above": False, "s": (_, True)}:
            return 2
        case {"s": (x, _)}:
            return x


def caught(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def call(s: Any) -> Any:
        try:
            return function(s)
        except (TypeError, ValueError, ArithmeticError, AttributeError) as error:
            return type(error).__name__

    return call


def is_same(flag: Any) -> str:
    return "same" if flag is True else "other"


LOOKED_AT: dict[str, Callable[[Any], Any]] = {
    # what a comparison gives
    "is True": lambda s: (s > 1) is True,
    "is not False": lambda s: (s * 2 > 1) is not False,
    "chained": lambda s: (0 < s < 2) is True,
    "equal": lambda s: ((s == 1.0) is True, (s != 1.0) is False),
    "nan": lambda s: (s != s) is True,
    "both": lambda s: ((s > 1) & (s < 3)) is True,
    "in a helper": lambda s: is_same(s > 1),
    "operator": lambda s: operator.is_(s > 1, True),
    "match bool": match_bool,
    "match kind": match_kind,
    "match nested": match_nested,
    "in set": lambda s: ((s > 1) in {True}, (s > 1) in (True, False), s in {1.0, 2.0}),
    "key": lambda s: ({True: "a", False: "b"}[s > 1], {1.0: "a", 2.0: "b"}.get(s, "c")),
    "index": lambda s: ([10, 20][s > 1], "ab" * (s > 1), [1] * (s > 1), [1, 2][: s > 1]),
    "arithmetic": lambda s: ((s > 1) + (s > 0), 3 * (s > 1), -(s > 1), ~(s > 1), 0.5 * (s > 1)),
    "divided": lambda s: ((s > 1) // 2, (s > 1) / 2, 2 ** (s > 1), divmod(s > 1, 2), 1 << (s > 1)),
    "count": lambda s: sum(v > 1 for v in (s, 1.5, s * 2)),
    "bytes": lambda s: bytes(3 * (s > 1)),
    "and, or, not": lambda s: (s and 5, s or 5, not s, (s > 1) and s, (s > 1) or s),
    "xor": lambda s: ((s > 1) ^ (s < 3), (s > 1) | True),
    "other kinds": lambda s: (s == "a", s == [1.0], s == (1.0,), s == None, s != "a"),  # noqa: E711
    "big ints": lambda s: (s == 10**400, s < 10**400, s == 2**53 + 1),
    # what it is
    "type": lambda s: (type(s).__name__, type(s * 2) is float, type(s) in (int, float)),
    "type of a bool": lambda s: {bool: 1}.get(type(s > 0)),
    "type of a product": lambda s: (type(3 * (s > 1)) is int, type(0.5 * (s > 1)) is float),
    "types": lambda s: (isinstance(float, type), type(type(s)) is type, issubclass(bool, type)),
    "isinstance": lambda s: (isinstance(s, float), isinstance(s, hb.Tensor), isinstance(s, bool)),
    "abstract": lambda s: (isinstance(s, numbers.Real), isinstance(s, collections.abc.Sized)),
    "attributes": lambda s: [hasattr(s, x) for x in ("shape", "dtype", "T", "item", "sum", "real")],
    "iterable": lambda s: (hasattr(s, "__len__"), isinstance(s, collections.abc.Iterable)),
    "identity": lambda s: (s is None, s is s, +s is s),
    "scalar": lambda s: (np.isscalar(s), np.ndim(s), np.shape(s)),
    # numbers and text
    "parts": lambda s: (s.real, s.imag, s.conjugate()),
    "methods": lambda s: (s.hex(), s.is_integer()),
    "text": lambda s: (f"{s} {s:.2f} {s!r} {s > 1}", "%s %r %.1f" % (s, s, s), str([s])),  # noqa: UP031
    "hash": lambda s: (hash(s) == hash(s + 0.0), len({s, 1.0, 2.0})),
    "rounded": caught(lambda s: (math.floor(s), math.ceil(s), math.trunc(s), round(s), int(s))),
    "digits": lambda s: (round(s, 1), math.isnan(s), math.frexp(s)),
    "range": caught(lambda s: list(range(int(s)))),
    "fraction": caught(lambda s: (s + fractions.Fraction(1, 2), s < decimal.Decimal(2))),
    "enum": lambda s: (s * Level.LOW, s < Level.LOW, s > Level.LOW),
    "pickled": lambda s: pickle.loads(pickle.dumps(s * 2)),
    "sorted": lambda s: (sorted([s, 1.0, 0.5]), max(s, 1.0), sum([s, 1, 2])),
    # errors
    "shape": caught(lambda s: s.shape),
    "subscript": caught(lambda s: s[0]),
    "as an index": caught(lambda s: [1, 2, 3][s]),
    "matmul": caught(lambda s: s @ s),
    "list": caught(lambda s: s + [1]),
    "order": caught(lambda s: s < 1j),
    "bits": caught(lambda s: (s & 1, ~s)),
    "zero": caught(lambda s: (1 / (s - 1), s % (s - 1))),
    "length": caught(len),
    # beside arrays
    "default dtype": lambda s: (hb.asarray(s), hb.array(s), hb.asarray([s, 1]), hb.asarray(s > 1)),
    "given dtype": lambda s: hb.ones(2) * hb.asarray(s, "float64"),
    "functions": lambda s: (hb.sin(s), hb.where(s > 1, s, 2), hb.maximum(s, 2.0), hb.full(2, s)),
    "mask": lambda s: (hb.ones(2) * (s > 1), hb.where(s > 1, hb.ones(2), 0)),
    "NumPy dtype": lambda s: hb.ones(2) * np.sqrt(abs(s)) + np.float64(2) * s,
}


@pytest.mark.parametrize("name", LOOKED_AT)
@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_a_float_is_to_python_what_it_is_in_eager_code(name: str) -> None:
    agree(LOOKED_AT[name], *(lambda v=v: (v,) for v in VALUES), rounds=1)  # type: ignore[misc]


@pytest.mark.parametrize("name", ["match kind", "equal", "type", "parts", "order", "text", "types"])
@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_a_complex_number_is_to_python_what_it_is_in_eager_code(name: str) -> None:
    agree(LOOKED_AT[name], *(lambda v=v: (v,) for v in (2 + 1j, 0j, 1j, 1 + 0j)), rounds=1)


@pytest.mark.parametrize("name", ["type", "types", "default dtype", "match kind"])
@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_an_int_that_is_an_input_is_to_python_what_it_is_in_eager_code(name: str) -> None:
    agree(LOOKED_AT[name], *(lambda v=v: (v,) for v in range(4)), rounds=1)


def written(x: hb.Tensor, index: Any, value: Any) -> hb.Tensor:
    x[index] = value
    return x


BESIDE: dict[str, Callable[[hb.Tensor, float], Any]] = {
    "written": lambda x, s: (written(x, 0, s), written(x, x > s, s), x.at[1].add(s), x.fill(s)),
    "given to NumPy's writers": lambda x, s: (np.put(x, [0], s), np.place(x, x > 0, [s]), x),
    "given to ufuncs": lambda x, s: (
        np.add(x, s, dtype="float64"),
        np.add(x, s, where=x > s, out=hb.zeros(x.shape)),
        np.sum(x, initial=s),
        np.maximum(s, x),
    ),
    "given to NumPy": lambda x, s: (
        np.where(x > 0, s, 0),
        np.outer(x, s),
        np.dot(s, x),
        np.select([x > s, x < 0], [x, s], s * 2),
        np.polyval([s, 1, 2], x),
        np.full_like(x, s),
        np.real(s) * x,
        np.stack([x, np.full(x.shape, s) * 1]),
        np.array([s, 1, 2]) * x,
    ),
    "given to hybrid": lambda x, s: (
        hb.linspace(0, s, 3),
        hb.arange(0, s, 0.5),
        hb.tile(s, 2),
        hb.einsum(",i->i", s, x),
        hb.clip(x, -s, s),
        hb.interp(x, [0, 1], [0, s]),
    ),
    "differentiated": lambda x, s: (
        hb.grad(lambda t: (t * 2.0) ** 2)(s),
        hb.grad(lambda q: (q**s).sum())(x * x),
    ),
    "carried": lambda x, s: (
        hb.fori_loop(0, 3, lambda i, c: c * 0.5 + i, s),
        hb.scan(lambda c, q: (c * s, q + c), s, x),
        hb.cond(s > 1, lambda: s, lambda: s * 2),
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", BESIDE)
def test_a_float_counts_beside_arrays_as_in_eager_code_and_stays_traced(
    name: str, dtype: str
) -> None:
    def array() -> hb.Tensor:
        return hb.asarray([-1.0, 0.2, 0.7], dtype=dtype)

    with compiled_throughout():
        agree(BESIDE[name], lambda: (array(), 2.0), lambda: (array(), 0.3), rounds=1)


def test_the_number_of_a_step_is_an_int() -> None:
    def f(x: hb.Tensor) -> tuple[hb.Tensor, ...]:
        def step(i: int, c: hb.Tensor) -> hb.Tensor:
            kind = 1 if type(i) is int and not isinstance(i, hb.Tensor) else 100
            return (c + x[i] * i).at[i].add(i / 2 + i**2 + i % 2) + kind + hb.where(i > 1, i, 0)

        return hb.fori_loop(0, 3, step, x), hb.fori_loop(
            0, 3, lambda i, c: c + hb.asarray([i, 1.5]), hb.zeros(2)
        )

    with compiled_throughout():
        agree(f, lambda: (hb.asarray([1.0, 2.0, 3.0]),))


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_what_tells_the_number_of_a_step_apart_runs_eagerly() -> None:
    def f(x: hb.Tensor) -> tuple[Any, ...]:
        return (
            hb.fori_loop(0, 3, lambda i, c: c + (5 if (i > 1) is True else 0), x),
            hb.fori_loop(0, 3, lambda i, c: c + (i > 0) + (i > 1), 0),
            hb.fori_loop(0, 3, lambda i, c: c + [10, 20, 30][i], 0),
        )

    agree(f, lambda: (hb.ones(2),))


def test_comparisons_that_ops_alone_use_are_no_decisions() -> None:
    def f(x: hb.Tensor, rate: float) -> Any:
        mask = (rate > 0.1) & (rate < 0.9)
        return hb.where(mask, x * rate, x) + x * (rate > 0.5), hb.cond(
            rate > 0.3, lambda: x, lambda: -x
        )

    traced = hb.compile(f, fullgraph=True)
    for rate in (0.05, 0.4, 0.6, 2.0):
        for got, want in zip(traced(hb.ones(3), rate), f(hb.ones(3), rate), strict=True):
            np.testing.assert_array_equal(got.numpy(), want.numpy())
    assert traced.cache_info().misses == 1


def test_a_rate_that_changes_takes_no_new_traces() -> None:
    @hb.compile
    def f(x: hb.Tensor, rate: float) -> hb.Tensor:
        if rate > 0.5:
            x = x * 2
        return x * rate if (rate < 2) is True else x - max(rate, 1.0)

    with compiled_throughout():
        for step in range(40):
            f(hb.ones(3), step / 10)
    assert f.cache_info().misses == 1


def test_fullgraph_refuses_to_tell_a_bool_apart() -> None:
    with pytest.raises(TraceError, match=r"bool\(\) of a traced value"):
        hb.compile(lambda s: hb.ones(2) * ((s > 1) is True), fullgraph=True)(2.0)


def test_numbers_kept_outside_end_the_trace() -> None:
    class Log:
        last = 0.0

    log = Log()

    def f(x: hb.Tensor, rate: float) -> hb.Tensor:
        log.last = rate * 2
        return x * rate

    traced = hb.compile(f)
    with pytest.warns(EagerFallbackWarning, match=r"log\.last"):
        traced(hb.ones(2), 1.5)
    assert log.last == 3.0
    traced(hb.ones(2), 2.5)
    assert log.last == 5.0


def test_numbers_in_errors_and_lists_are_pythons_own() -> None:
    def f(found: list[float], s: float) -> None:
        found.append(s * 2)
        if s > 1:
            raise ValueError(s, s * 3)

    traced = hb.compile(f)
    for s in (0.5, 2.0, 0.25, 3.0):
        found: list[float] = []
        if s > 1:
            with pytest.raises(ValueError) as caught:
                traced(found, s)
            assert [type(x) for x in caught.value.args] == [float, float]
            assert caught.value.args == (s, s * 3)
        else:
            traced(found, s)
        assert [*map(type, found)] == [float]
        assert found == [s * 2]


IN_C: dict[str, Callable[[float], Any]] = {
    "json": lambda s: json.dumps({"rate": s}),
    "decimal": lambda s: str(decimal.Decimal(s)),
    "timedelta": lambda s: datetime.timedelta(seconds=s).microseconds,
    "struct": lambda s: struct.pack("d", s),
    "after a question": lambda s: json.dumps(s if s > 0.5 else -s),
    "of what was computed": lambda s: json.dumps([s * 2, 1]),
}


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
@pytest.mark.parametrize("name", IN_C)
def test_what_is_written_in_c_is_given_the_number_itself(name: str) -> None:
    def f(x: Any, rate: float) -> Any:
        return x * rate, IN_C[name](rate)

    traced = hb.compile(f)
    for rate in (0.1, 0.9, 0.3, 0.7):
        found, expected = traced(np.ones(2), rate), f(np.ones(2), rate)
        np.testing.assert_array_equal(np.asarray(found[0]), expected[0])
        assert found[1] == expected[1]
    assert traced.cache_info().misses == 1


def test_that_says_where_and_an_error_of_the_users_is_raised_as_it_is() -> None:
    warned = (
        r"no number that is an input of the trace \(Object of type .* JSON(.|\n)*test_numbers.py"
    )
    with pytest.warns(hb.errors.EagerFallbackWarning, match=warned):
        hb.compile(lambda rate: json.dumps(rate))(0.5)

    @hb.compile
    def refuse(rate: float) -> None:
        raise TypeError("no", rate * 2)

    for rate in (0.5, 1.5):
        with pytest.raises(TypeError) as caught:
            refuse(rate)
        assert caught.value.args == ("no", rate * 2)
        assert caught.value.__context__ is None


@pytest.mark.parametrize("values", [(1, 2, 3), (0.5, 1.5, 2.5)], ids=["int", "float"])
def test_a_number_that_is_kept_before_an_error_is_a_number(values: tuple[float, ...]) -> None:
    kept: list[float] = []

    @hb.compile
    def f(x: Any, n: float) -> Any:
        kept.append(n)
        if x[0] > 2:
            raise ValueError("too large")
        return x * n

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, n in enumerate(values):
            kept.clear()
            with pytest.raises(ValueError, match="too large"):
                f(np.ones(2) * (i + 3), n)
            assert [type(x) for x in kept] == [type(n)]
            assert kept == [n]
