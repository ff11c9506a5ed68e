"""Attributes that a Tensor has not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.elsewhere import METHODS


def test_a_name_of_ndarrays_tells_what_has_it() -> None:
    with pytest.raises(AttributeError, match=r"has no attribute 'ctypes'.*x\.numpy\(\)\.ctypes"):
        getattr(hb.ones(2), "ctypes")  # noqa: B009
    assert not hasattr(hb.Tensor, "ctypes")


def test_other_names_are_refused_by_name() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'other'") as caught:
        getattr(hb.ones(2), "other")  # noqa: B009
    assert caught.value.name == "other"
    assert getattr(hb.ones(2), "hex", None) is None


def test_dir_names_what_there_is() -> None:
    x = hb.ones((2, 2))
    assert all(hasattr(x, name) for name in dir(x))
    assert "reshape" in dir(x)
    assert not {"ctypes", "hex"} & set(dir(x))


def test_what_stands_for_a_python_number_has_its_methods() -> None:
    @hb.compile
    def text(x: hb.Tensor, rate: float) -> tuple[hb.Tensor, str]:
        return x * rate, rate.hex()

    for rate in (0.5, 0.25):
        assert text(hb.ones(2), rate)[1] == rate.hex()


def test_attributes_cannot_be_set_from_outside() -> None:
    x = hb.ones(2)
    for name in ("base", "other"):
        with pytest.raises(AttributeError, match=name):
            setattr(x, name, np.ones(2))


def test_methods_of_other_libraries_tell_what_they_are_here():
    x = hb.ones(3)
    with pytest.raises(AttributeError, match=r"no attribute 'unsqueeze'; here .*hb\.expand_dims"):
        x.unsqueeze(0)  # type: ignore[attr-defined]
    assert "unsqueeze" not in dir(x)
    for name in METHODS:
        assert not hasattr(x, name), f"{name} is there, and needs no remedy"


@pytest.mark.parametrize(
    ("call", "here"),
    [
        (lambda x: x.sum(dim=0), "'dim'; here it is axis"),
        (lambda x: hb.mean(x, keepdim=True), "'keepdim'; here it is keepdims"),
        (lambda x: x.max(dim=0), "'dim'; here it is axis"),
    ],
)
def test_names_of_arguments_that_others_have_are_told_of(call: Any, here: str) -> None:
    x = hb.ones((2, 3))
    for f in (call, hb.compile(call)):
        with pytest.raises(TypeError, match=here):
            f(x)
