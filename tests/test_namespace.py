"""The public namespace: what ``import hybrid as hb`` shows."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import pydoc
import re
from collections.abc import Iterator
from typing import Any

import pytest

import hybrid as hb


def test_no_public_name_hides_a_subpackage() -> None:
    for module in pkgutil.iter_modules(hb.__path__):
        if not module.name.startswith("_"):
            found = importlib.import_module(f"hybrid.{module.name}")
            assert getattr(hb, module.name) is found


def test_all_names_are_sorted_unique_and_there() -> None:
    assert hb.__all__ == sorted(set(hb.__all__))
    assert all(hasattr(hb, name) for name in hb.__all__)


def test_completing_a_name_shows_what_is_public_and_no_internals() -> None:
    shown = {name for name in dir(hb) if not name.startswith("__")}
    assert shown == {name for name in hb.__all__ if not name.startswith("__")}
    assert "__version__" in dir(hb)


@pytest.mark.parametrize("space", [hb.errors, hb.fft, hb.linalg, hb.random])
def test_public_modules_show_what_is_theirs_and_nothing_that_is_imported(space: Any) -> None:
    assert space.__all__ == sorted(set(space.__all__))
    assert dir(space) == space.__all__
    # linalg has names that are public elsewhere too, as in the Array API standard.
    for name in set(space.__all__) - {*hb.__all__, "LinAlgError"}:
        shown = getattr(space, name)
        owner = type(shown.__self__) if inspect.ismethod(shown) else shown
        assert f"{owner.__module__}.".startswith(f"{space.__name__}.")


SHOWN = {
    hb.GradientTape: """batch_jacobian gradient jacobian reset stop_recording watch
        watched_variables""",
    hb.Graph: "as_default gradients placeholder run",
    hb.Variable: """assign assign_add assign_sub device dtype item name ndim numpy read shape size
        spec trainable value""",
    hb.CompiledFunction: """cache_clear cache_info concrete_functions explain fullgraph
        get_concrete_function name wait""",
    hb.TraceLog: "of",
}


@pytest.mark.parametrize("kind", SHOWN, ids=lambda kind: kind.__name__)
def test_help_shows_what_is_public_and_no_internals(kind: type) -> None:
    assert [name for name in dir(kind) if not name.startswith("_")] == SHOWN[kind].split()


def test_help_tells_what_stands_for_a_method_that_tensors_lack() -> None:
    shown = re.sub(r"[\s|]+", " ", pydoc.plain(pydoc.render_doc(hb.Tensor)))
    assert " masked_fill Not there; here it is hb.where(mask, value, x). " in shown
    assert " dump Not there; that of the ndarray with its elements is x.numpy().dump. " in shown


def _public_functions() -> Iterator[Any]:
    for space in (hb, hb.linalg, hb.fft):
        for name in (name for name in space.__all__ if not name.startswith("_")):
            if inspect.isfunction(function := getattr(space, name)):
                yield pytest.param(function, id=f"{space.__name__}.{name}")
    for name, method in sorted(vars(hb.Tensor).items()):
        if inspect.isfunction(method) and not name.startswith("_"):
            yield pytest.param(method, id=f"Tensor.{name}")


@pytest.mark.parametrize("function", list(_public_functions()))
def test_public_functions_say_what_they_take_and_show_it(function: Any) -> None:
    text = inspect.getdoc(function) or ""
    given = set(inspect.signature(function).parameters) - {"self"}
    assert not given or "Parameters\n-----" in text or _ELSEWHERE.search(text)
    assert ">>> " in text


_ELSEWHERE = re.compile(r"arguments (are those )?(as )?(of|there)\b|\b(as|see|for) (:func:|`)")
