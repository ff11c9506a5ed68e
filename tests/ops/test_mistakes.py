"""Typical mistakes: the message names shapes and the user's line, the same in both modes."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest

import hybrid as hb

MISTAKES = {
    "x + y": "(3, 4) and (5,) do not broadcast",
    "x @ y": "(3, 4) and (5,) do not fit",
    "x[3]": "index 3 is out of bounds for axis 0 of shape (3, 4), which has size 3",
    "x[0, 0, 0]": "names 3 axes, an array of shape (3, 4) has 2",
    "x[5:2:0]": "the step of the slice [5:2:0] is zero",
    "x[mask]": "mask of shape (2,) does not fit axes 0 to 0 of shape (3, 4)",
    "bool(x)": "a Tensor of shape (3, 4) is ambiguous",
    "x.reshape(5, 5)": "12 elements of shape (3, 4) do not fill the shape (5, 5)",
    "x.reshape('a')": "reshape: a shape is an int or several, not 'a'",
    "x.sum(axis=2)": "sum: axis 2 does not exist in an array of shape (3, 4)",
    "hb.max(hb.zeros(0))": "max: shape (0,) has no elements",
    "hb.exp(None)": "asarray: dtype object",
    "hb.concatenate([x, y])": "shapes (3, 4) and (5,) have 2 and 1 axes",
    "hb.concatenate([x, y[None]])": "have sizes 4 and 5 along axis 1; only along axis 0",
    "hb.stack([x, y])": "stack: shapes (3, 4) and (5,) differ",
    "hb.arange('a')": "a range is made of numbers, not of 'a'",
    "hb.choose([0, 2], [1, 2])": "choose: 2 is none of the 2 choices, counted from 0",
    "hb.ones(3, 4)": "ones: 4 is no dtype; a shape of several sizes is one tuple",
    "x.to_device('gpu')": "to_device: there is no device 'gpu' here, only cpu",
    "hb.pad(x, 1, mode='some')": "mode 'some' is not one of constant",
    "hb.asarray([[1, 2], [3]])": "inhomogeneous shape",
    "x.__setitem__(0, y)": "(5,) does not fit the part that is written, of shape (4,)",
    "x.__delitem__(0)": "del: elements of a Tensor cannot be deleted; hb.delete(x, index, axis)",
    "x.__iand__(x)": "bitwise operations need integers or booleans",
    "hb.linalg.inv(x)": "shape (3, 4) is not square",
    "hb.where(mask, x, y)": "(2,), (3, 4) and (5,) do not broadcast",
}


def raised(function: Any) -> Exception:
    x, y, mask = hb.ones((3, 4)), hb.ones(5), hb.asarray([True, False])
    try:
        function(x, y, mask)
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("code", MISTAKES)
def test_a_message_names_shapes_and_the_line_in_both_modes(code: str) -> None:
    names: dict[str, Any] = {"hb": hb, "np": np}
    exec(compile(f"def mistaken(x, y, mask):\n    return {code}", "user.py", "exec"), names)
    eager, compiled = raised(names["mistaken"]), raised(hb.compile(names["mistaken"]))
    assert MISTAKES[code] in str(eager)
    assert str(eager).endswith("at user.py:2 in mistaken")
    assert eager.__context__ is None or eager.__suppress_context__  # one traceback
    assert (type(compiled), str(compiled)) == (type(eager), str(eager))


def test_del_is_numpys_error_whichever_way_writes_take() -> None:
    x = hb.ones(4)
    for _ in range(25_000):  # from some number on writes are done in native code
        x[1] = 2.0
    with pytest.raises(ValueError, match="cannot be deleted"):
        del x[0]


@pytest.mark.parametrize("how", [lambda f: f, hb.compile], ids=["eager", "compiled"])
@pytest.mark.parametrize(
    "f", [operator.add, operator.lt, operator.pow, operator.iadd, operator.eq, operator.ne]
)
def test_a_tensor_of_another_library_is_named_with_its_module(f: Any, how: Any) -> None:
    def no_device(self: Any) -> Any:
        raise NotImplementedError

    other = type("Tensor", (), {"__module__": "others.arrays", "__dlpack__": no_device})()
    for function in (lambda x: f(x, other), lambda x: f(other, x)):
        with pytest.raises(TypeError, match=r"(?s)hybrid.Tensor and a others.arrays.Tensor.* at "):
            how(function)(hb.ones(2))
