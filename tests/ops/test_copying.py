"""Copies have memory of their own, in the order asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.making import asarray

X = np.arange(24.0).reshape(2, 3, 4)


def test_a_copy_has_numpys_values_and_memory_of_its_own():
    for copied in (hb.copy(X), asarray(X).copy()):
        np.testing.assert_array_equal(copied.numpy(), np.copy(X), strict=True)
        assert not np.shares_memory(copied.numpy(), X)


def test_a_copy_lies_in_the_order_asked_for() -> None:
    def f(x: Any) -> Any:
        first, last = x.copy("F"), x.T.copy(order="C")
        first.T.reshape(-1)[1] = 7
        last.reshape(-1)[2] = 8
        return first, last

    x = np.arange(12.0).reshape(3, 4)
    for run in (f, hb.compile(f)):
        for got, want in zip(run(hb.asarray(x)), f(x), strict=True):
            np.testing.assert_array_equal(got, want)
    with pytest.raises(ValueError, match="copy: order is 'C', 'F', 'A' or 'K', not 'Q'"):
        hb.ones(3).copy("Q")
