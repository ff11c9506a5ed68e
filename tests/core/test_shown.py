"""Errors as they are shown to who has not caught them."""

from __future__ import annotations

import operator
import re
import subprocess
import sys
import traceback
from collections.abc import Callable
from typing import Any

import pytest

import hybrid as hb
from hybrid.core.elsewhere import FUNCTIONS, KEYWORDS, METHODS, OPTIONS, PARTS
from hybrid.core.shown import prepare
from hybrid.core.source import is_framework
from hybrid.ops import composite

x = hb.ones((2, 3))


def shown(f: Callable[[], Any]) -> BaseException:
    try:
        f()
    except BaseException as error:
        prepare(error)
        return error
    raise AssertionError("no error")


def frames_of_hybrid(error: BaseException) -> int:
    return sum(is_framework(frame.f_code) for frame, _ in traceback.walk_tb(error.__traceback__))


def test_what_is_named_instead_is_there_and_what_it_stands_for_is_not() -> None:
    for name, here in {**METHODS, **FUNCTIONS, **KEYWORDS, **OPTIONS, **PARTS}.items():
        for word in re.findall(r"\bhb\.(\w[\w.]*\b)", here):
            assert operator.attrgetter(word)(hb) is not None, name
        for word in re.findall(r"\bx\.(\w+)", here):
            assert hasattr(x, word), name
    for name in FUNCTIONS:
        with pytest.raises(AttributeError):
            operator.attrgetter(name)(hb)


@pytest.mark.parametrize(
    ("f", "wanted"),
    [
        (lambda: hb.cat([x, x]), "hb.cat is hb.concat(tensors, axis)"),  # type: ignore[attr-defined]
        (lambda: hb.jit(abs), "hb.jit is hb.compile"),  # type: ignore[attr-defined]
        (lambda: hb.random.PRNGKey(0), "hb.random.PRNGKey is hb.random.seed"),  # type: ignore[attr-defined]
        (lambda: hb.softmax(x, dim=0), "dim is axis"),  # type: ignore[call-arg]
        (lambda: hb.concat([x, x], dim=0), "dim is axis"),  # type: ignore[call-arg]
        (lambda: hb.random.normal(key=0), "key is not needed"),  # type: ignore[call-arg]
        (lambda: hb.compile(abs, static_argnums=0), "static_argnums is not needed"),  # type: ignore[call-overload]
        (lambda: x.size(0), "it is x.shape"),  # type: ignore[operator]
    ],
)
def test_names_of_other_libraries_tell_what_they_are_here(
    f: Callable[[], Any], wanted: str
) -> None:
    assert callable(hb.compile)  # with it goes what `hb` looks names up by
    error = shown(f)
    assert any(wanted in note for note in error.__notes__)
    assert frames_of_hybrid(error) == 0
    prepare(error)
    assert len(error.__notes__) == 1


def test_functions_of_others_are_not_told_of() -> None:
    def softmax(x: hb.Tensor) -> hb.Tensor:
        return x

    own = {"softmax": softmax}
    error = shown(lambda: eval("softmax(1, dim=0)", own))
    softmax.__module__ = __name__
    assert not hasattr(error, "__notes__")
    assert not hasattr(shown(lambda: sys.cat), "__notes__")  # type: ignore[attr-defined]
    assert not hasattr(shown(lambda: x.other), "__notes__")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "f",
    [
        lambda: x + hb.ones(4),
        lambda: x @ x,
        lambda: x.sum(axis=5),
        lambda: hb.stack([x, hb.ones(3)]),
        lambda: x.clamp(0),  # type: ignore[attr-defined]
        lambda: hb.vmap(lambda row: 1 / 0)(x),
        lambda: hb.grad(lambda x: x.sum() + hb.ones(2)[5])(x),
    ],
)
def test_an_error_of_the_users_shows_the_users_frames(f: Callable[[], Any]) -> None:
    error = shown(f)
    assert frames_of_hybrid(error) == 0
    assert traceback.extract_tb(error.__traceback__)[-1].filename == __file__


def test_a_mistake_in_hybrid_shows_every_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composite, "bind", None)
    assert frames_of_hybrid(shown(lambda: hb.softmax(x))) > 0


def test_all_frames_are_there_for_those_who_look_into_hybrid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HYBRID_DEBUG", "1")
    assert frames_of_hybrid(shown(lambda: x + hb.ones(4))) > 0


def test_a_program_that_ends_with_an_error_shows_its_own_line_last() -> None:
    code = "import hybrid as hb\nhb.ones((2, 3)).sum(axis=7)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr
    assert said.count("File ") == 1
    assert said.strip().splitlines()[-2].startswith("hybrid.errors.AxisError: sum: axis 7")


def test_a_notebook_shows_its_own_line_last() -> None:
    code = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(colors="nocolor")
shell.run_cell("import hybrid as hb")
shell.run_cell("hb.ones((2, 3)).sum(axis=7)")
shell.run_cell("hb.cat")
shell.run_cell("1 / 0")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    said = run.stdout + run.stderr
    assert "AxisError: sum: axis 7" in said
    assert "hb.cat is hb.concat" in said
    assert "ZeroDivisionError: division by zero" in said
    assert "hybrid/ops" not in said
    assert "unregistering" not in said


def test_a_thread_that_ends_with_an_error_shows_its_own_line_last() -> None:
    code = """
import threading
import hybrid as hb
for f in (lambda: hb.ones((2, 3)).sum(axis=7), lambda: hb.cat, lambda: 1 / 0):
    thread = threading.Thread(target=f)
    thread.start()
    thread.join()
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr
    assert "AxisError: sum: axis 7" in said
    assert "hb.cat is hb.concat" in said
    assert "ZeroDivisionError: division by zero" in said
    assert said.count("Exception in thread") == 3
    assert "hybrid/ops" not in said
    assert "hybrid/core" not in said


@pytest.mark.parametrize("name", ["concat", "concatenate", "stack", "hstack", "column_stack"])
def test_arrays_that_are_given_one_by_one_are_told_to_be_a_list(name: str) -> None:
    with pytest.raises(TypeError) as caught:
        getattr(hb, name)(x, x, x)
    prepare(caught.value)
    assert caught.value.__notes__ == [f"the arrays are given as one list: hb.{name}([x, y])"]


def test_a_list_of_a_function_of_the_users_is_not_told_of() -> None:
    def stack(arrays: Any) -> None:
        """Take one argument."""

    with pytest.raises(TypeError) as caught:
        stack(x, x)  # type: ignore[call-arg]
    prepare(caught.value)
    assert not hasattr(caught.value, "__notes__")
