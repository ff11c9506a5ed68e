"""The Array API standard, version 2024.12: each name and each parameter is there.

The list of names and signatures is that of ``array_api_strict``, the standard's reference
implementation. What the functions compute is tested in ``test_array_api_dtypes`` and
``test_array_api_special_cases``, and op by op over the registry.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import array_api_strict as strict
import numpy as np
import pytest

import hybrid as hb

# --- names and signatures -------------------------------------------------------------------------

_STRICT_ONLY = {
    "__version__",
    "ArrayAPIStrictFlags",
    "Device",
    "get_array_api_strict_flags",
    "reset_array_api_strict_flags",
    "set_array_api_strict_flags",
}
_MODULES = {strict: "hb", strict.linalg: "linalg", strict.fft: "fft"}


def names() -> Iterator[Any]:
    """Every name of the standard: of the main namespace, then of the extensions."""
    for module, space in _MODULES.items():
        for name in sorted({*module.__all__} - _STRICT_ONLY):
            yield pytest.param(module, name, id=f"{space}.{name}")


def ours(module: ModuleType) -> Any:
    return hb if module is strict else getattr(hb, _MODULES[module])


@pytest.mark.parametrize(("module", "name"), list(names()))
def test_the_namespace_has_every_name(module: ModuleType, name: str) -> None:
    assert hasattr(ours(module), name)
    if module is strict:
        assert name in hb.__all__


def functions() -> list[Any]:
    return [case for case in names() if inspect.isfunction(getattr(*case.values))]


@pytest.mark.parametrize(("module", "name"), functions())
def test_every_function_takes_the_parameters_of_the_standard(module: ModuleType, name: str) -> None:
    assert_takes(getattr(ours(module), name), inspect.signature(getattr(module, name)))


def assert_takes(function: Callable[..., Any], standard: inspect.Signature) -> None:
    """Every call that the standard allows binds, and what may be left out has the same default."""
    signature = inspect.signature(function)
    parameters = list(standard.parameters.values())
    for given in (parameters, [p for p in parameters if p.default is p.empty]):
        args = [p.name for p in given if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        more = [1, 2] if any(p.kind is p.VAR_POSITIONAL for p in given) else []
        signature.bind(*args, *more, **{p.name: 0 for p in given if p.kind is p.KEYWORD_ONLY})
        keywords = {p.name: 0 for p in given if p.kind is p.POSITIONAL_OR_KEYWORD}
        positional = [p.name for p in given if p.kind is p.POSITIONAL_ONLY]
        if not more:
            signature.bind(
                *positional,
                **keywords,
                **{p.name: 0 for p in given if p.kind is p.KEYWORD_ONLY},
            )
    for parameter in parameters:
        plain = isinstance(parameter.default, bool | int | float | str)
        if plain and parameter.name in signature.parameters:
            # None stands for "NumPy's name of the same parameter says it".
            assert signature.parameters[parameter.name].default in (parameter.default, None)


_ARRAY = strict.zeros(1).__class__
_PYTHONS = {"__module__", "__slots__", "__dict__", "__weakref__", "__doc__", "__annotations__"}
_NUMPYS = {"__array__", "__buffer__", "__iter__", "__str__", "__repr__"}


def attributes() -> list[str]:
    """What the standard's array object has, methods and properties."""
    return [
        name
        for name in vars(_ARRAY)
        if (
            name not in _NUMPYS
            and not (name.startswith("_") and not name.startswith("__"))
            and name not in vars(object)
            and name
            not in (
                "__module__",
                "__slots__",
                "__dict__",
                "__weakref__",
                "__doc__",
                "__annotations__",
            )
        )
        or name in ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__")
    ]


@pytest.mark.parametrize("name", attributes())
def test_a_tensor_has_every_attribute(name: str) -> None:
    standard = getattr(_ARRAY, name)
    if inspect.isfunction(standard):
        signature = inspect.signature(standard)
        others = list(signature.parameters.values())[1:]  # nobody gives `self` by its name
        assert_takes(getattr(hb.zeros(1), name), signature.replace(parameters=others))
    else:
        # A property, or what stands for it in native code once there was some eager work.
        described = getattr(hb.Tensor, name)
        assert inspect.isdatadescriptor(described)
        assert described.__doc__


def test_the_walk_meets_the_whole_standard() -> None:
    """Should the reference implementation change its form, the tests above must not pass empty."""
    assert len(functions()) > 170
    assert len(attributes()) > 60
    assert {"__matmul__", "__dlpack__", "__array_namespace__", "mT", "to_device"} < {*attributes()}


def test_inspection() -> None:
    info, standard = hb.__array_namespace_info__(), strict.__array_namespace_info__()
    for name in ("capabilities", "default_device", "default_dtypes", "devices", "dtypes"):
        assert_takes(getattr(info, name), inspect.signature(getattr(standard, name)))
    assert info.capabilities().keys() == standard.capabilities().keys()
    assert info.default_dtypes().keys() == standard.default_dtypes().keys()
    assert info.default_device() in info.devices()
    assert list(info.dtypes()) == list(info.dtypes(device="cpu"))
    assert {*info.dtypes()} == {*standard.dtypes()}
    for kind in ("bool", "integral", "numeric", ("real floating", "complex floating")):
        assert {*info.dtypes(kind=kind)} == {*standard.dtypes(kind=kind)}
    for name, dtype in info.dtypes().items():
        assert dtype == getattr(hb, name) == np.dtype(name)
    assert hb.zeros(1).dtype == info.default_dtypes()["real floating"]
    assert hb.asarray(1j).dtype == info.default_dtypes()["complex floating"]
    assert hb.arange(1).dtype == info.default_dtypes()["integral"]
    assert hb.argmax(hb.zeros(1)).dtype == info.default_dtypes()["indexing"]
    with pytest.raises(ValueError, match="device"):
        info.dtypes(device="abacus")


RECORDS = {
    "linalg.eigh": ("eigenvalues", "eigenvectors"),
    "linalg.qr": ("Q", "R"),
    "linalg.slogdet": ("sign", "logabsdet"),
    "linalg.svd": ("U", "S", "Vh"),
    "unique_all": ("values", "indices", "inverse_indices", "counts"),
    "unique_counts": ("values", "counts"),
    "unique_inverse": ("values", "inverse_indices"),
}


@pytest.mark.parametrize("path", RECORDS)
def test_several_results_are_a_named_tuple(path: str) -> None:
    function = functools.reduce(getattr, path.split("."), hb)
    result = function(hb.eye(3))
    assert isinstance(result, tuple)
    assert result._fields == RECORDS[path]
    assert all(isinstance(getattr(result, name), hb.Tensor) for name in RECORDS[path])


def test_constants() -> None:
    assert (hb.e, hb.pi, hb.inf, hb.newaxis) == (math.e, math.pi, math.inf, None)
    assert math.isnan(hb.nan)
