"""Wrong input: the type that NumPy raises, what is wrong and what to do, alike in both modes."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import HybridError

# Name -> (call of a namespace with arrays, what the text must say). `x` is float32 of shape (2, 3),
# `i` int64 of shape (4,), `b` bool of shape (2,), `u` uint8 of shape (3,).
WRONG: dict[str, tuple[Callable[..., Any], str]] = {
    # shapes
    "add": (lambda xp, x, i, b, u: x + i, r"add: shapes \(2, 3\) and \(4,\)"),
    "matmul": (lambda xp, x, i, b, u: x @ x, r"matmul: .*\(2, 3\)"),
    "matmul of a number": (lambda xp, x, i, b, u: x @ 3, "matmul"),
    "reshape": (lambda xp, x, i, b, u: x.reshape(4, 2), r"reshape: 6 elements"),
    "stack": (lambda xp, x, i, b, u: xp.stack([x, i]), r"stack: .*\(2, 3\).*\(4,\)"),
    "stack nothing": (lambda xp, x, i, b, u: xp.stack([]), "stack: there is no array"),
    "concatenate": (lambda xp, x, i, b, u: xp.concatenate([x, i]), r"concat: .*\(2, 3\)"),
    "split": (lambda xp, x, i, b, u: xp.split(i, 3), "split: "),
    "einsum": (lambda xp, x, i, b, u: xp.einsum("ij,jk->ik", x, x), "einsum: "),
    "tensordot": (lambda xp, x, i, b, u: xp.tensordot(x, x, axes=1), "tensordot: "),
    "where": (lambda xp, x, i, b, u: xp.where(b, x, i), "shapes "),
    "assignment": (lambda xp, x, i, b, u: x.__setitem__(0, i), r"\(4,\).*\(3,\)"),
    "in place": (lambda xp, x, i, b, u: i[:1].__iadd__(i), r"add: .*\(4,\).*\(1,\)"),
    "negative size": (lambda xp, x, i, b, u: xp.zeros((-1, 2)), "zeros|full: shape"),
    "overflow": (lambda xp, x, i, b, u: xp.zeros((2**40, 2**40)), r"full: no memory .*\(109951"),
    "overflow of tile": (lambda xp, x, i, b, u: xp.tile(i, 2**62), "tile: no memory holds int64"),
    "einsum letters": (lambda xp, x, i, b, u: xp.einsum("i$->i", x), r"einsum: '\$' in 'i\$->i'"),
    "average": (lambda xp, x, i, b, u: xp.average(i, weights=u), r"average: .*\(3,\).*\(4,\)"),
    # axes
    "sum": (lambda xp, x, i, b, u: xp.sum(x, axis=2), r"sum: axis 2 .*\(2, 3\)"),
    "sum twice": (lambda xp, x, i, b, u: xp.sum(x, axis=(0, 0)), r"sum: axes \(0, 0\)"),
    "sort": (lambda xp, x, i, b, u: xp.sort(x, axis=4), r"sort: axis 4"),
    "cumsum": (lambda xp, x, i, b, u: xp.cumsum(x, axis=4), r": axis 4"),
    "flip": (lambda xp, x, i, b, u: xp.flip(x, axis=4), r"flip: axis 4"),
    "roll": (lambda xp, x, i, b, u: xp.roll(x, 1, axis=4), r"roll: axis 4"),
    "concatenate axis": (lambda xp, x, i, b, u: xp.concatenate([x, x], axis=5), "concat: axis 5"),
    "squeeze": (lambda xp, x, i, b, u: xp.squeeze(x, axis=0), r"squeeze: axis 0 of shape"),
    "expand_dims": (lambda xp, x, i, b, u: xp.expand_dims(x, axis=7), r"expand_dims: axis 7"),
    "transpose": (lambda xp, x, i, b, u: xp.transpose(x, (0, 1, 2)), r"\(0, 1, 2\)|axis 2"),
    "moveaxis": (lambda xp, x, i, b, u: xp.moveaxis(x, 0, 5), r"moveaxis: axis 5"),
    "take axis": (lambda xp, x, i, b, u: xp.take(i, [0], axis=3), r"take: axis 3"),
    # dtypes
    "bool - bool": (lambda xp, x, i, b, u: b - b, "subtract: .*bool"),
    "-bool": (lambda xp, x, i, b, u: -b, "negative: .*bool"),
    "float << int": (lambda xp, x, i, b, u: x << 1, "left_shift: .*float32"),
    "~float": (lambda xp, x, i, b, u: ~x, "invert: .*float32"),
    "float & float": (lambda xp, x, i, b, u: x & x, "and: .*float32"),
    "floor of complex": (lambda xp, x, i, b, u: xp.floor(x * 1j), "floor: .*complex64"),
    "astype": (lambda xp, x, i, b, u: x.astype("int33"), "astype: 'int33'"),
    "dtype=": (lambda xp, x, i, b, u: xp.zeros(3, dtype="int33"), "'int33'"),
    "int += float": (lambda xp, x, i, b, u: i.__iadd__(1.5), "add: .*float64.*int64"),
    # numbers
    "uint8 + 300": (lambda xp, x, i, b, u: u + 300, "add: Python integer 300 .*uint8"),
    "uint8 += 300": (lambda xp, x, i, b, u: u.__iadd__(300), "add: Python integer 300 .*uint8"),
    "gcd": (lambda xp, x, i, b, u: xp.gcd(x, 2), "gcd: not defined for float32 and Python int"),
    "uint8 assigned": (lambda xp, x, i, b, u: u.__setitem__(0, 300), "300 .*uint8"),
    "uint8 filled": (lambda xp, x, i, b, u: xp.full(3, 300, dtype=np.uint8), "300 .*uint8"),
    "int ** -1": (lambda xp, x, i, b, u: i**-1, "[Ii]ntegers to negative"),
    "no step": (lambda xp, x, i, b, u: xp.linspace(0, 1, -3), "linspace: "),
    # indices
    "index": (lambda xp, x, i, b, u: i[7], r"7 .*axis 0.*size 4|7.*\(4,\)"),
    "index array": (lambda xp, x, i, b, u: i[[1, 9]], r"9"),
    "too many indices": (lambda xp, x, i, b, u: i[1, 2], r"\(4,\)"),
    "float index": (lambda xp, x, i, b, u: i[1.5], "1.5|float"),
    "mask": (lambda xp, x, i, b, u: i[b], r"\(2,\).*\(4,\)"),
    "take": (lambda xp, x, i, b, u: xp.take(i, [9]), "9"),
    # elements
    "empty max": (lambda xp, x, i, b, u: xp.max(x[:0]), r"max: shape \(0, 3\)"),
    "empty argmax": (lambda xp, x, i, b, u: xp.argmax(x[:0]), r"argmax: shape \(0, 3\)"),
    "truth": (lambda xp, x, i, b, u: bool(x), r"\(2, 3\) is ambiguous: use hb.any"),
    "float": (lambda xp, x, i, b, u: float(x), r"float\(\) needs .*\(2, 3\)"),
    "range": (lambda xp, x, i, b, u: range(x), r"f32\[2,3\]"),
    "item": (lambda xp, x, i, b, u: x.item(), r"\(2, 3\)"),
    "list of a number": (lambda xp, x, i, b, u: list(xp.sum(x)[...]), r"0-d"),
    "length of a number": (lambda xp, x, i, b, u: len(xp.sum(x)[...]), r"0-d"),
    "singular": (lambda xp, x, i, b, u: xp.linalg.inv(xp.zeros((2, 2))), "inv: .*singular"),
    "not square": (lambda xp, x, i, b, u: xp.linalg.inv(x), r"inv: .*\(2, 3\)"),
    # arguments
    "too few": (lambda xp, x, i, b, u: xp.exp(), "exp"),
    "too many": (lambda xp, x, i, b, u: xp.exp(x, x, x), "exp"),
    "unknown": (lambda xp, x, i, b, u: xp.sum(x, axes=1), "axes"),
    "text": (lambda xp, x, i, b, u: x + "a", "'?str"),
    "attribute": (lambda xp, x, i, b, u: x.nonsense, "nonsense"),
}


def arrays() -> list[np.ndarray[Any, Any]]:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    return [x, np.arange(4), np.array([True, False]), np.arange(3, dtype=np.uint8)]


def raised(function: Callable[..., Any], *args: Any) -> Exception:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(Exception) as caught:
            function(*args)
    return caught.value


def builtin_types(error: Exception) -> set[type]:
    general = (Exception, BaseException, object, RuntimeError)
    return {t for t in type(error).__mro__ if t.__module__ == "builtins" and t not in general}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_refused_as_numpy_does_with_names_shapes_and_line(name: str) -> None:
    call, words = WRONG[name]
    expected = raised(call, np, *arrays())
    eager = raised(call, hb, *map(hb.asarray, arrays()))
    traced = raised(hb.compile(lambda *args: call(hb, *args)), *map(hb.asarray, arrays()))

    kinds = builtin_types(expected)
    assert not kinds or builtin_types(eager) & kinds, f"{eager!r} for {expected!r}"
    assert type(traced) is type(eager)
    said = str(eager).partition("\n")[0]
    assert str(traced).partition("\n")[0] == said
    assert re.search(words, said), said
    if isinstance(traced, HybridError):
        assert "test_errors.py" in str(traced)


def test_out_is_written_and_returned() -> None:
    x, _, _, u = map(hb.asarray, arrays())
    out = hb.zeros((2, 3))
    view = out[0]
    assert hb.add(x, 1, out=out) is out
    assert hb.exp(x, out=out) is out
    np.testing.assert_allclose(view.numpy(), np.exp([0, 1, 2]), rtol=1e-6)
    with pytest.raises(hb.errors.ShapeError, match=r"\(3,\)"):
        hb.add(x, 1, out=view)
    with pytest.raises(hb.errors.DTypeError, match=r"float32.*uint8"):
        hb.negative(hb.astype(u, hb.float32), out=u)


def test_clip_takes_python_ints_that_no_element_can_reach() -> None:
    u = np.arange(5, dtype=np.uint8)
    for low, high in ((0, 300), (-3, 2), (-1, 999)):
        expected = np.clip(u, low, high)
        for clip in (hb.clip, hb.compile(hb.clip)):
            found = clip(hb.asarray(u), low, high)
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found.numpy(), expected)
