"""The cases, by name: every module of this folder has a tuple ``CASES``."""

from __future__ import annotations

import importlib
import pkgutil

from benchmarks.case import Case


def _collect() -> dict[str, Case]:
    found: dict[str, Case] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        for case in importlib.import_module(f"{__name__}.{module.name}").CASES:
            if case.name in found:
                raise ValueError(f"two benchmark cases are called {case.name!r}")
            found[case.name] = case
    return found


CASES = _collect()
