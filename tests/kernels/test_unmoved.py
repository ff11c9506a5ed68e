"""Words of memory tell whether Python's objects are as they were."""

from __future__ import annotations

from collections.abc import Callable
from types import CellType
from typing import Any

import pytest

from hybrid.kernels import unmoved

pytestmark = pytest.mark.skipif(not unmoved.usable(), reason="an interpreter of another kind")


def same(pairs: unmoved.Pairs) -> bool:
    return all(unmoved._at(address) == (address, word) for address, word in pairs)


def namespace(**more: Any) -> dict[str, Any]:
    return {"__name__": "x", "__builtins__": {}, **more}


def test_a_name_stays_while_others_change() -> None:
    names = namespace(a=object(), b=object())
    meant = unmoved.of_name(names, "a")
    for i in range(1000):
        names["b"] = i
        assert same(meant)
    names["a"] = object()
    assert not same(meant)


@pytest.mark.parametrize(
    "change",
    [
        lambda names: names.update(c=1),
        lambda names: names.pop("b"),
        lambda names: names.clear(),
        lambda names: [names.update({f"n{i}": i}) for i in range(100)],
        lambda names: [names.pop("b"), names.update(c=1)],
        lambda names: [names.pop("a"), names.update(a=1)],
    ],
)
def test_names_that_come_and_go(change: Callable[[dict[str, Any]], Any]) -> None:
    names = namespace(a=object(), b=object())
    keys, meant, absent = unmoved.of_keys(names), *(unmoved.of_name(names, x) for x in ("a", "z"))
    assert same(keys)
    assert same(meant)
    assert same(absent)
    change(names)
    assert not same(keys)
    assert not same(absent)
    assert not same(meant)


def test_tables_of_names_in_the_place_of_others() -> None:
    names = namespace(a=object(), b=object())
    keys = unmoved.of_keys(names)
    for i in range(200):
        for j in range(20):
            names[f"n{i}.{j}"] = j
        for j in range(20):
            del names[f"n{i}.{j}"]
        assert not same(keys)


def test_a_dict_that_is_no_namespace_is_told_by_all_that_it_holds() -> None:
    held: dict[Any, Any] = {"a": 1, 2: "b"}
    pairs = unmoved.of_name(held, "a")
    held[2] = "c"
    assert not same(pairs)


def test_cells_functions_and_classes() -> None:
    def f(a: Any = 1.5, *, b: Any = 2.5) -> Any:
        return a, b

    def g(a: Any = 1, *, b: Any = 2) -> Any:
        return b, a

    class Base: ...

    class Other: ...

    class Child(Base): ...

    cell, child = CellType(1.5), Child()
    code, defaults = (unmoved.of_function(f, name) for name in ("__code__", "__defaults__"))
    told: dict[str, tuple[unmoved.Pairs | None, Callable[[], Any]]] = {
        "cell": (unmoved.of_cell(cell), lambda: setattr(cell, "cell_contents", 2.5)),
        "code": (code, lambda: setattr(f, "__code__", g.__code__)),
        "defaults": (defaults, lambda: setattr(f, "__defaults__", (7,))),
        "bases": (unmoved.of_bases(Child), lambda: setattr(Child, "__bases__", (Other,))),
        "class": (unmoved.of_class(child), lambda: setattr(child, "__class__", Other)),
    }
    for name, (pairs, change) in told.items():
        assert pairs, name
        assert same(pairs), name
        change()
        assert not same(pairs), name
    assert unmoved.of_function(f, "__doc__") is None


def test_items_of_lists() -> None:
    items: list[Any] = [object(), object()]
    pairs = unmoved.of_list(items)
    assert same(pairs)
    items[1] = None
    assert not same(pairs)
    pairs = unmoved.of_list(items)
    items.extend(range(100))
    assert not same(pairs[:1])
