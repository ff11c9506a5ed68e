"""Whose something is: the user's own program's, or an installed package's, which stays as it is."""

from __future__ import annotations

import sys
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from hybrid.core.source import INSTALLED


def is_elsewhere(value: Any) -> bool:
    """Tell whether something is of an installed package, other than NumPy and Python's library."""
    if isinstance(value, np.ufunc | np.ndarray | np.generic):
        return False
    owner = value if isinstance(value, ModuleType | type | FunctionType) else type(value)
    module: object = owner.__name__ if isinstance(owner, ModuleType) else owner.__module__
    if not isinstance(module, str):
        return False  # of a type in C it may be anything
    return is_package(module.partition(".")[0]) and not users_own(module)


def is_package(name: str) -> bool:
    """Tell whether a module is none of NumPy, Python's library and hybrid."""
    return name not in ("numpy", "hybrid") and name not in sys.stdlib_module_names


class UsersModules:
    """The names of all modules that are of the user's own program."""

    def __contains__(self, name: object) -> bool:
        return users_own(name)


def users_own(module_name: object) -> bool:
    """Tell whether a module is of the user's own program, as opposed to an installed package."""
    if module_name == "__main__":
        return True  # though its file be of a package: `python -m pytest` runs the user's code
    if not isinstance(module_name, str):
        return False  # of a type in C it may be anything
    module = sys.modules.get(module_name)
    home = getattr(module, "__file__", None) or ""
    package, _, rest = module_name.partition(".")
    framework = package == "hybrid" and not rest.startswith("demo")
    frozen = package in sys.builtin_module_names or package in sys.stdlib_module_names
    return not framework and not frozen and not home.startswith(INSTALLED)


def is_iterator(obj: Any) -> bool:
    """Tell whether looping over `obj` uses it up, in a way that no attribute tells."""
    kind = type(obj)
    return hasattr(kind, "__next__") and not users_own(kind.__module__)
