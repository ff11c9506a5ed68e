"""What Python's library and NumPy are told once, and code asks for: contexts, levels, options.

They hold for a program, a thread or a block of it, and no name of the user's shows them. So a trace
of code that asks for one, by the names below, is compared with what it is at each call.
"""

from __future__ import annotations

import abc
import decimal
import locale
import logging
import os
import sys
from collections.abc import Callable, Iterator, Set
from typing import Any

import numpy as np


class Setting:
    """What a function gives at each call, as a container of it."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self._ask = ask

    def __iter__(self) -> Iterator[Any]:
        yield self._ask()


def _decimal() -> Any:
    now = decimal.getcontext()
    traps = "".join(str(int(asked)) for asked in now.traps.values())
    return now.prec, now.rounding, now.Emin, now.Emax, now.capitals, now.clamp, traps


def _levels() -> Any:
    known = list(logging.Logger.manager.loggerDict.values())
    loggers = [logging.root, *(x for x in known if isinstance(x, logging.Logger))]
    return repr([(x.name, x.level, int(x.disabled), logging.root.manager.disable) for x in loggers])


def _errors() -> Any:
    return repr(np.geterr())


def _options() -> Any:
    return repr(np.get_printoptions())


def _locale() -> Any:
    return locale.setlocale(locale.LC_ALL)


def _arguments() -> Any:
    return repr(sys.argv)


def subclasses_of(kind: type) -> Callable[[], Any]:
    """Return a function that gives the subclasses that a class has when it is called."""
    return lambda: tuple(kind.__subclasses__())


_ASKED: dict[str, tuple[Callable[[], Any], str]] = {
    "the context of decimal": (_decimal, "Decimal getcontext localcontext decimal"),
    "the levels of loggers": (_levels, "isEnabledFor getEffectiveLevel"),
    "np.geterr()": (_errors, "geterr"),
    "np.get_printoptions()": (_options, "get_printoptions array2string array_str array_repr"),
    "the locale": (_locale, "setlocale getlocale localeconv"),
    "sys.argv": (_arguments, "argv"),
    "the working folder": (os.getcwd, "getcwd cwd abspath"),
    "the recursion limit": (sys.getrecursionlimit, "getrecursionlimit"),
    "the process": (os.getpid, "getpid"),
    "classes registered with an ABC": (abc.get_cache_token, "ABC ABCMeta"),
}


def settings_asked(names: Set[str]) -> Iterator[tuple[str, Setting]]:
    """Yield what code with such names may ask for, with a name of its own each."""
    for name, (ask, by) in _ASKED.items():
        if not names.isdisjoint(by.split()):
            yield name, Setting(ask)
