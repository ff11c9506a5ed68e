"""Each op's gradient equals central differences, and the second derivative those of the first.

The registry drives this: an op is tested because it is registered, on the examples that it names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.dispatch import bind, bind_all
from hybrid.core.graph import Value
from hybrid.core.op import OPS, Example, Op
from hybrid.core.spec import TensorSpec
from hybrid.trace.recorder import trace_pure

CONTROL = {"call", "call_with_residuals", "fused"}  # made of other ops, which are tested


WIDER = {"float16": "float64", "float32": "float64", "complex64": "complex128"}


def in_double(example: Example) -> Example:
    """Return an example in double precision, without which there are no central differences."""
    kinds = example.dtypes or ("float64",) * len(example.shapes)
    return replace(example, dtypes=tuple(WIDER.get(kind, kind) for kind in kinds))


@cache
def examples_in_double(op: Op) -> list[Example]:
    """Return the examples by which the op has derivatives."""
    if not (op.vjp or op.joint_vjp) or op.name in CONTROL:
        return []
    return [e for e in map(in_double, op.examples) if inexact_in_double(op, e) and finite(op, e)]


def inexact_in_double(op: Op, example: Example) -> bool:
    assert example.dtypes is not None
    specs = [
        TensorSpec(shape, np.dtype(kind))
        for shape, kind in zip(example.shapes, example.dtypes, strict=True)
    ]
    found = op.infer(*specs, **example.attrs)
    results = [s.dtype for s in (found if op.multi else (found,)) if s.dtype.kind in "fc"]
    exact = bool(results) and all(d in (np.float64, np.complex128) for d in results)
    return exact and any(s.dtype.kind in "fc" for s in specs)


def finite(op: Op, example: Example) -> bool:
    """Tell whether the results are numbers: the largest element of nothing is not."""
    arrays = draw(example, 0)
    prepared = arrays if example.prepare is None else example.prepare(*arrays)
    found = op.eager(np, *prepared, **example.attrs)
    return all(np.isfinite(r).all() for r in (found if op.multi else (found,)))


@cache
def differentiable() -> list[Any]:
    return [
        pytest.param(op, example, id=f"{op.name}-{i}")
        for op in OPS.values()
        for i, example in enumerate(examples_in_double(op))
        if "complex128" not in example.dtypes
    ]


def draw(example: Example, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    arrays = []
    for i, shape in enumerate(example.shapes):
        kind = example.dtypes[i] if example.dtypes else "float64"
        if kind.startswith("float"):
            arrays.append(well_apart(rng, shape, example.domain))
        elif kind.startswith("complex"):
            parts = [well_apart(rng, shape, example.domain) for _ in range(2)]
            arrays.append(parts[0] + 1j * parts[1])
        elif kind == "bool":
            arrays.append(rng.random(shape) < 0.5)
        else:
            # As many of each, so that no segment is empty.
            n, kinds = int(np.prod(shape)), 3 if kind.startswith("u") else 2
            arrays.append((rng.permutation(n) % kinds).reshape(shape).astype(kind))
    return arrays


def well_apart(
    rng: np.random.Generator, shape: tuple[int, ...], domain: tuple[float, float]
) -> np.ndarray:
    """Draw distinct values, some way apart: ties and kinks have no central difference."""
    low, high = domain
    n = int(np.prod(shape))
    places = (rng.permutation(n) + 0.3 + 0.3 * rng.random(n)) / max(n, 1)
    return (low + (high - low) * places).reshape(shape)


def applied(op: Op, example: Example) -> Callable[..., hb.Tensor]:
    def f(*tensors: hb.Tensor) -> hb.Tensor:
        prepared = tensors if example.prepare is None else example.prepare(*tensors)
        out = bind(op, prepared, example.attrs)
        results = out if op.multi else (out,)
        total = None
        for k, r in enumerate(real_parts(results)):
            weights = np.cos(np.arange(r.size) + k).reshape(r.shape)
            part = hb.sum(r * hb.asarray(weights))
            total = part if total is None else total + part
        assert total is not None
        return total

    return f


def real_parts(results: Sequence[hb.Tensor]) -> Iterator[hb.Tensor]:
    """Return what of some results has a gradient, complex ones in two parts.

    Of complex results beside others the sizes: eigenvectors are determined up to a phase only.
    """
    for r in results:
        if r.dtype.kind == "f":
            yield r
        elif r.dtype.kind == "c":
            yield from (hb.real(r), hb.imag(r)) if len(results) == 1 else (hb.square(hb.abs(r)),)


def gradients(f: Callable[..., Any], tensors: list[hb.Tensor]) -> list[Any]:
    watched = [t for t in tensors if t.dtype.kind == "f"]
    with hb.GradientTape() as tape:
        tape.watch(watched)
        out = f(*tensors)
    return tape.gradient(out, watched, unconnected_gradients="zero")


def numeric(f: Callable[..., Any], arrays: list[np.ndarray], which: int) -> np.ndarray:
    step = 1e-6
    result = np.zeros_like(arrays[which])
    for place in np.ndindex(arrays[which].shape):
        values = []
        for sign in (1, -1):
            moved = [a.copy() for a in arrays]
            moved[which][place] += sign * step
            values.append(f(*(hb.asarray(a) for a in moved)).item())
        result[place] = (values[0] - values[1]) / (2 * step)
    return result


@pytest.mark.parametrize(("op", "example"), differentiable())
def test_gradient_equals_central_differences(op: Op, example: Example) -> None:
    arrays = draw(example, 1)
    f = applied(op, example)
    found = gradients(f, [hb.asarray(a) for a in arrays])
    floats = [i for i, a in enumerate(arrays) if a.dtype.kind == "f"]
    rules = op.vjp if isinstance(op.vjp, tuple) else None
    for i, gradient in zip(floats, found, strict=True):
        assert gradient.shape == arrays[i].shape
        assert gradient.dtype == arrays[i].dtype
        if rules is not None and rules[i] is None:
            continue  # stated to have none
        np.testing.assert_allclose(gradient.numpy(), numeric(f, arrays, i), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("op", "example"), differentiable())
def test_second_derivative_equals_differences_of_the_first(op: Op, example: Example) -> None:
    arrays = draw(example, 2)
    f = applied(op, example)

    def slope(*tensors: hb.Tensor) -> hb.Tensor:
        total = None
        for k, g in enumerate(gradients(f, list(tensors))):
            weights = np.sin(np.arange(g.size) + k + 1).reshape(g.shape)
            part = hb.sum(g * hb.asarray(weights))
            total = part if total is None else total + part
        assert total is not None
        return total

    found = gradients(slope, [hb.asarray(a) for a in arrays])
    floats = [i for i, a in enumerate(arrays) if a.dtype.kind == "f"]
    rules = op.vjp if isinstance(op.vjp, tuple) else None
    for i, gradient in zip(floats, found, strict=True):
        if rules is not None and rules[i] is None:
            continue
        np.testing.assert_allclose(
            gradient.numpy(), numeric(slope, arrays, i), rtol=5e-4, atol=5e-5
        )


def test_every_op_with_float_results_has_a_rule_or_a_reason() -> None:
    missing = [op.name for op in OPS.values() if lacks_a_rule(op)]
    assert not missing, f"no gradient rule and no stated reason: {missing}"


def lacks_a_rule(op: Op) -> bool:
    """Tell whether an op leaves open what its gradient is; without examples, any op may."""
    if op.vjp is not None or op.joint_vjp is not None or op.no_gradient:
        return False
    return not op.examples or any(_float_result(op, example) for example in op.examples)


def test_an_op_without_a_rule_is_noticed() -> None:
    sin, equal = OPS["sin"], OPS["equal"]
    assert lacks_a_rule(replace(sin, vjp=None))
    assert lacks_a_rule(replace(sin, vjp=None, examples=()))
    assert not lacks_a_rule(replace(sin, vjp=None, no_gradient="a reason"))
    assert not lacks_a_rule(equal)


def _float_result(op: Op, example: Example) -> bool:
    drawn = draw(in_double(example), 0)
    prepared = drawn if example.prepare is None else example.prepare(*drawn)
    inputs = tuple(hb.asarray(a) for a in prepared)
    out = bind(op, inputs, example.attrs)
    return any(r.dtype.kind in "fcV" for r in (out if op.multi else (out,)))


@pytest.mark.parametrize(("op", "example"), differentiable())
def test_forward_mode_is_the_transpose_of_reverse_mode(op: Op, example: Example) -> None:
    """The slope in a direction equals the product of gradient and direction."""
    tensors = [hb.asarray(a) for a in draw(example, 3)]
    places = [i for i, t in enumerate(tensors) if t.dtype.kind == "f"]
    whole = applied(op, example)

    def f(*floats: hb.Tensor) -> hb.Tensor:
        given = list(tensors)
        for i, x in zip(places, floats, strict=True):
            given[i] = x
        return whole(*given)

    points = [tensors[i] for i in places]
    directions = [hb.asarray(np.sin(1.0 + np.arange(x.size)).reshape(x.shape)) for x in points]
    _, slope = hb.jvp(f, points, directions)
    _, pull = hb.vjp(f, *points)
    expected = sum(
        np.sum(g.numpy() * d.numpy())
        for g, d in zip(pull(hb.asarray(np.float64(1.0))), directions, strict=True)
    )
    np.testing.assert_allclose(slope.item(), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", [n for n, op in OPS.items() if op.vjp or op.joint_vjp])
def test_the_gradient_of_an_op_traced_alone_reads_nothing_from_outside(name: str) -> None:
    op = OPS[name]
    for example in op.examples:
        dtypes = example.dtypes or ("float32",) * len(example.shapes)
        specs = [TensorSpec(s, np.dtype(d)) for s, d in zip(example.shapes, dtypes, strict=True)]

        def gradient(*xs: Any, attrs: Any = example.attrs) -> tuple[Any, ...]:
            inexact = [x for x in xs if x.dtype.kind in "fc"]
            with hb.GradientTape() as tape:
                tape.watch(inexact)
                results = bind_all(op, xs, attrs) if op.multi else (bind(op, xs, attrs),)
            found = tape.gradient([y for y in results if y.dtype.kind in "fc"], inexact)
            return tuple(x for x in found if x is not None) or xs

        graph, _ = trace_pure(name, gradient, specs)
        known = {*graph.parameters, *(v for node in graph.nodes for v in node.outputs)}
        read = [x for node in graph.nodes for x in node.inputs if isinstance(x, Value)]
        assert known.issuperset(read)
