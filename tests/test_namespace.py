"""The public namespace: what ``import hybrid as hb`` shows."""

from __future__ import annotations

import importlib
import pkgutil

import hybrid as hb


def test_no_public_name_hides_a_subpackage() -> None:
    for module in pkgutil.iter_modules(hb.__path__):
        if not module.name.startswith("_"):
            found = importlib.import_module(f"hybrid.{module.name}")
            assert getattr(hb, module.name) is found


def test_all_names_are_sorted_unique_and_there() -> None:
    assert hb.__all__ == sorted(set(hb.__all__))
    assert all(hasattr(hb, name) for name in hb.__all__)
