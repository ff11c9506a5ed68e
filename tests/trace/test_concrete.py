"""What a call was traced to, as an object."""

from __future__ import annotations

import copy
import pickle

import pytest

import hybrid as hb


def double(x: hb.Tensor) -> hb.Tensor:
    return x * 2


def test_a_trace_is_copied_as_itself_and_says_that_it_cannot_be_pickled() -> None:
    concrete = hb.compile(double).get_concrete_function(hb.ones(2))
    assert copy.copy(concrete) is copy.deepcopy(concrete) is concrete
    with pytest.raises(TypeError, match=r"trace of double cannot be pickled.*compiled function"):
        pickle.dumps(concrete)
