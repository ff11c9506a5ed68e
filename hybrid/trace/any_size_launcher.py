"""The short way for sizes that no call had before, where a template serves them.

A launcher knows the sizes of its calls. For new ones it would have to be made: signature, trace,
Plan and launcher are looked up or made in some 80 microseconds, in Python that no cache holds by
then three times that. What is here has one function for all sizes: it looks whether the arguments
are such that trace and template hold, and calls the one text of the Plan with other numbers. A size
that comes again and again gets a launcher of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hybrid.core.formula import NAMES, Input, inputs_of
from hybrid.core.source import run_generated
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import Array, Tensor
from hybrid.trace.concrete import ConcreteFunction
from hybrid.trace.launcher import CLEAR, Launcher, generated
from hybrid.trace.signature import Identity
from hybrid.trace.templates import Template

Run = Callable[[tuple[Any, ...]], Any]

UNKNOWN: Any = object()
"""What stands for the result of a call that is not known."""

WORTH_A_LAUNCHER = 4
"""Calls with some sizes before these get a launcher, which takes as long as 20 calls without."""
MAX_COUNTED = 256
MAX_LAUNCHERS = 8


class AnySizeLaunchers:
    """The launchers of one function that serve all sizes; the latest is asked first."""

    __slots__ = ("_known", "_times")

    def __init__(self) -> None:
        self._known: tuple[AnySizeLauncher, ...] = ()
        self._times: dict[Any, int] = {}

    def __bool__(self) -> bool:
        return bool(self._known)

    def launch(self, key: Any, args: tuple[Any, ...]) -> Any:
        """Answer a call; `UNKNOWN` where that takes more, or a launcher of its own is worth it.

        Parameters
        ----------
        key : hashable
            The same for calls with equal sizes.
        args : tuple
        """
        times = self._times.get(key, 0)
        if times < WORTH_A_LAUNCHER:
            for launcher in self._known:
                if launcher.valid():
                    found = launcher.run(args)
                    if found is not UNKNOWN:
                        if len(self._times) >= MAX_COUNTED:
                            self._times.clear()
                        self._times[key] = times + 1
                        return found
        return UNKNOWN

    def remember(
        self, launcher: Launcher, leaves: list[Any], given: int, recover: Callable[..., Any]
    ) -> None:
        """Let other sizes be served as those of a launcher are, if a template holds for these.

        Parameters
        ----------
        launcher : Launcher
        leaves : list
            The arguments of its call, default values last.
        given : int
            How many of them were given.
        recover : callable
            As of `Resume`.
        """
        template = launcher.template
        if template is None or any(x.template is template for x in self._known):
            return
        run = _any_size(launcher, template, leaves, given, recover)
        if run is not None:
            found = AnySizeLauncher(launcher.concrete, template, launcher.valid, run)
            self._known = (found, *self._known[: MAX_LAUNCHERS - 1])

    def forget(self, concretes: Sequence[ConcreteFunction]) -> None:
        """Forget the launchers of some traces."""
        self._known = tuple(x for x in self._known if x.concrete not in concretes)

    def clear(self) -> None:
        """Forget everything."""
        self._known = ()
        self._times.clear()


class AnySizeLauncher:
    """A call without look-ups, whatever the sizes.

    Attributes
    ----------
    concrete : ConcreteFunction
    template : Template
    valid : callable
        Tells whether the trace is up to date.
    run : callable
        Answers a call; gives `UNKNOWN` where trace or template do not hold for it.
    """

    __slots__ = ("concrete", "run", "template", "valid")

    def __init__(
        self,
        concrete: ConcreteFunction,
        template: Template,
        valid: Callable[[], bool],
        run: Run,
    ) -> None:
        self.concrete = concrete
        self.template = template
        self.valid = valid
        self.run = run


def _any_size(
    launcher: Launcher,
    template: Template,
    leaves: list[Any],
    given: int,
    recover: Callable[..., Any],
) -> Run | None:
    """Write the function of an AnySizeLauncher; None for arguments that it cannot tell apart."""
    concrete = launcher.concrete
    segment = concrete.root
    assert segment is not None
    assert segment.result is not None
    tests = _tests(concrete, template, leaves, given)
    if tests is None:
        return None
    lines, scope = tests
    sizes = "".join(f"{_size(x)}, " for x in template.draft.driver.inputs)
    lines.append(f"key = ({''.join(f'{_size(x)}, ' for x in segment.inputs)})")
    build = "result_for(key).build" if segment.result_is_sized else "build"
    scope |= {
        "segment": segment,
        "template": template,
        "launch": generated(segment, template.draft.donations, leaves, given),
        "run_for": template.draft.driver.run_once_for,
        "result_for": segment.result_for,
        "build": segment.result.build,
        "recover": recover,
        "clear": launcher.clear,
    }
    if launcher.clear is not CLEAR:
        lines.append(_unless(["clear(args)"]))
    lines.append("segment.called = key, template")
    lines.append(f"return launch(args, run_for({sizes}), {build}, recover)")
    source = "\n".join(["def run(args):", *(f"    {line}" for line in lines)])
    run_generated(source, "launcher", scope)
    run: Run = scope.pop("run")
    return run


def _tests(
    concrete: ConcreteFunction, template: Template, leaves: list[Any], given: int
) -> tuple[list[str], dict[str, Any]] | None:
    """Write what leaves a call to others: all that `fast_key` tells apart, and the conditions."""
    conditions = [
        c
        for c in (*concrete.conditions, *template.conditions)
        if all(x.axis is not None for x in inputs_of(c.formula))  # others are for `clear`
    ]
    needed = {x for c in conditions for x in inputs_of(c.formula)}
    if any(x.leaf >= given for x in needed.union(template.draft.driver.inputs)):
        return None
    names = "".join(f"a{i}, " for i in range(given))
    lines = [_unless([f"len(args) == {given}"]), *([f"{names}= args"] if given else [])]
    scope: dict[str, Any] = {"UNKNOWN": UNKNOWN, "Tensor": Tensor, "ndarray": np.ndarray, **NAMES}
    for i, (leaf, key) in enumerate(zip(leaves[:given], concrete.signature.leaves, strict=False)):
        kind = type(leaf)
        data = leaf._data if kind is Tensor else leaf
        if type(data) is np.ndarray and isinstance(key, TensorSpec):
            x = f"a{i}"
            if kind is Tensor:
                lines += [_unless([f"type({x}) is Tensor"]), f"x{i} = {x}._data"]
                x = f"x{i}"
            scope[f"t{i}"] = data.dtype
            lines += [
                _unless([f"type({x}) is ndarray", f"{x}.dtype is t{i}", f"{x}.flags.aligned"]),
                f"s{i} = {x}.shape",
                _unless([*_sizes(i, key.shape), f"{x}.strides == {_strides(i, key.shape, data)}"]),
            ]
        elif kind is float or kind is complex:
            lines.append(_unless([f"type(a{i}) is {kind.__name__}"]))
        elif kind is int and isinstance(key, TensorSpec):  # whatever it is, as long as it is int64
            lines.append(_unless([f"type(a{i}) is int", f"{-(2**63)} <= a{i} < {2**63}"]))
        elif kind in (int, bool, str, type(None)):
            scope[f"k{i}"] = kind
            lines.append(_unless([f"type(a{i}) is k{i}", f"a{i} == {leaf!r}"]))
        elif isinstance(key, Identity):
            lines.append(_unless([f"id(a{i}) == {key.number}"]))
        else:
            return None
    if conditions:
        lines.append(_unless([f"({c.text(_size)})" for c in conditions]))
    return lines, scope


def _unless(tests: Sequence[str]) -> str:
    return f"if not ({' and '.join(tests)}): return UNKNOWN"


def _size(x: Input) -> str:
    return f"s{x.leaf}[{x.axis}]"


def _sizes(i: int, shape: Sequence[int | None]) -> list[str]:
    """Write that the sizes of an argument are those of the trace, where it leaves none open."""
    fixed = [f"s{i}[{axis}] == {n}" for axis, n in enumerate(shape) if n is not None]
    return [f"len(s{i}) == {len(shape)}", *fixed]


def _strides(i: int, shape: Sequence[int | None], data: Array) -> str:
    """Write what strides an argument has: contiguous ones where a size is open."""
    if None not in shape:
        return str(data.strides)
    step, found = str(data.itemsize), []
    for axis in reversed(range(len(shape))):
        found.append(step)
        step += f" * s{i}[{axis}]"
    return f"({''.join(f'{x}, ' for x in reversed(found))})"
