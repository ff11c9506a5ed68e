"""Every public function works in every mode: its own examples say what must come out.

The examples of a docstring are run as they stand (so does doctest, but it misses functions that a
declaration makes), with the function traced, and under a tape.
"""

from __future__ import annotations

import doctest
import functools
import inspect
import re
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

import hybrid as hb

_SPACES = [
    space
    for space in (getattr(hb, name, None) for name in ("linalg", "fft", "nn", "random"))
    if isinstance(space, ModuleType)
]

# They are about modes themselves, or take functions.
_OTHER = {"compile", "compare", "draw", "eagerly", "functions_run_eagerly", "run_functions_eagerly"}


def eager(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` as it is."""
    return function


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` as it is in a compiled one: its arguments are what that one captures."""

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        return hb.compile(lambda: function(*args, **options))()

    return call


def taped(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` as it is under a tape that watches its arguments."""

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        tensors = [x for x in (*args, *options.values()) if type(x) is hb.Tensor]
        with hb.GradientTape(persistent=True) as tape:
            tape.watch([x for x in tensors if x.dtype.kind in "fc"])
            return function(*args, **options)

    return call


def documented() -> Iterator[Any]:
    for space in (hb, *_SPACES):
        public = getattr(space, "__all__", None) or vars(space)
        for name in sorted(set(public) - _OTHER):
            function = getattr(space, name)
            if inspect.isfunction(function) and ">>>" in (function.__doc__ or ""):
                yield pytest.param(space, name, id=f"{space.__name__}.{name}")


class Close(doctest.OutputChecker):
    """Compare numbers as numbers: kernels and NumPy differ by a few units in the last place."""

    _NUMBER = re.compile(r"-?\d+\.?\d*(?:e[+-]?\d+)?")

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        if super().check_output(want, got, optionflags):
            return True
        texts = [self._NUMBER.sub("#", text) for text in (want, got)]
        numbers = [[*map(float, self._NUMBER.findall(text))] for text in (want, got)]
        alike = super().check_output(*texts, optionflags) and len(numbers[0]) == len(numbers[1])
        return alike and numbers[0] == pytest.approx(numbers[1], rel=1e-6)


@pytest.mark.parametrize("mode", [eager, traced, taped], ids=lambda mode: mode.__name__)
@pytest.mark.parametrize(("space", "name"), list(documented()))
def test_the_examples_of_a_function_hold(
    space: ModuleType, name: str, mode: Callable[..., Any]
) -> None:
    function = getattr(space, name)
    module = inspect.getmodule(inspect.unwrap(function))
    names = {**vars(hb), **vars(space), **(vars(module) if module else {}), "hb": hb}
    names[name] = mode(function)
    test = doctest.DocTestParser().get_doctest(function.__doc__, names, name, None, None)
    report: list[str] = []
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a result whose shape depends on data ends the trace
        doctest.DocTestRunner(checker=Close(), optionflags=options).run(test, out=report.append)
    assert not report, "".join(report)


def test_there_are_examples_to_run() -> None:
    assert len(list(documented())) > 380
