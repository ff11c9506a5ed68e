"""Arguments and methods of ndarrays that Tensors take and have, in every mode."""

from __future__ import annotations

import numpy as np
import pytest

import hybrid as hb

X = np.array([[3.0, 1.0, 2.5], [0.0, -4.5, 9.0]])


def parted(x):
    y = x.copy()
    y.partition(1)
    z = x.copy()
    z.partition((0, 2), axis=1, kind="introselect")
    return y[:, 1], z[:, 0], z[:, 2]


CALLS = {
    "astype, casting": lambda x: x.astype("f4", casting="same_kind"),
    "astype, by place": lambda x: x.astype("i8", "K", "unsafe", False, True),
    "astype, order": lambda x: x.astype("f8", order="F").ravel("K"),
    "ravel": lambda x: (x.T.ravel("K"), x.T.ravel("A"), x[:, ::-1].ravel("K"), x.ravel("A")),
    "ravel, behind": lambda x: x.reshape(3, 1, 2).transpose(2, 0, 1).ravel("K"),
    "reshape": lambda x: (x.T.reshape((2, 3), order="A"), x.reshape((3, 2), order="A")),
    "flatten": lambda x: (x.T.flatten("K"), x.flatten("A")),
    "copy": lambda x: tuple(x.T.copy(o).ravel("K") for o in "CFAK"),
    "astype, no copy": lambda x: x.astype("f8", copy=False, order="C").sum(),
    "take, wrap": lambda x: x.take([0, 7, -8], mode="wrap"),
    "take, clip": lambda x: x.take([[0, 7], [-8, 1]], axis=1, mode="clip"),
    "take, by place": lambda x: x.take([1], 0, None, "raise"),
    "partition": parted,
    "argpartition": lambda x: x.argpartition(1)[:, 1],
    "argpartition of all": lambda x: x.argpartition(2, axis=None)[2],
    "np.partition": lambda x: np.partition(x, -1, axis=None)[-1],
}


@pytest.mark.parametrize("given", [lambda x: x, hb.asarray], ids=["ndarray", "Tensor"])
@pytest.mark.parametrize(
    "made", [lambda f: f, hb.compile(fullgraph=True)], ids=["eager", "compiled"]
)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_results_are_numpys(call, made, given):
    expected = call(X)
    found = made(call)(given(X.copy()))
    pairs = (
        zip(found, expected, strict=True) if isinstance(expected, tuple) else [(found, expected)]
    )
    for ours, theirs in pairs:
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(np.asarray(ours), theirs)


@pytest.mark.parametrize("made", [lambda f: f, hb.compile], ids=["eager", "compiled"])
@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: x.astype("i4", casting="safe"), TypeError, "float64 does not become int32"),
        (lambda x: x.astype("i4", casting="kind"), ValueError, "one of unsafe, same_kind"),
        (lambda x: x.astype("f4", order="Q"), ValueError, "'Q'"),
        (lambda x: x.take([9]), IndexError, "9"),
        (lambda x: x.take([9], mode="round"), ValueError, "round"),
        (lambda x: x.partition(3), ValueError, "kth is 3, there are 3"),
        (lambda x: x.argpartition(6, axis=None), ValueError, "kth is 6, there are 6"),
        (lambda x: x.partition(1, kind="quick"), ValueError, "quick"),
    ],
)
def test_what_numpy_refuses_is_refused(made, call, error, text):
    with pytest.raises(error, match=text):
        made(call)(hb.asarray(X.copy()))
    with pytest.raises(error):
        call(X.copy())
