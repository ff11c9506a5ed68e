"""Laws of derivatives, for every op that has a rule, at shapes that hypothesis draws.

Each is about one number or one slope in a direction, so that an example is cheap: the slope equals
central differences, forward mode is the transpose of reverse mode, the second derivative by both
modes equals differences of the first, and a compiled function gives what eager code gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

import hybrid as hb
from hybrid.core.op import OPS, Example, Op
from hybrid.core.spec import TensorSpec
from tests.autodiff.test_gradients import applied, draw, examples_in_double

# A cast of complex numbers to a real dtype is among the examples.
pytestmark = pytest.mark.filterwarnings("ignore:Casting complex values")

# Each op anew: three of each are hundreds of examples.
few = settings(max_examples=max(3, settings.default.max_examples // 20))


def by_op() -> list[Any]:
    pairs = [(op, examples_in_double(op)) for op in OPS.values()]
    return [pytest.param(op, examples, id=op.name) for op, examples in pairs if examples]


@st.composite
def cases(draw_one: Any, op: Op, examples: list[Example]) -> Example:
    """Draw an example of the op with other sizes, and perhaps one more axis."""
    example: Example = draw_one(st.sampled_from([*examples, *_complex(op, examples)]))
    if op.elementwise and not example.attrs:
        drawn = mutually_broadcastable_shapes(
            num_shapes=len(example.shapes), max_dims=3, min_side=0, max_side=4
        )
        return replace(example, shapes=draw_one(drawn).input_shapes)
    grown = _grown(example, draw_one(st.lists(st.integers(0, 2), min_size=5, max_size=5)))
    lead = draw_one(st.sampled_from((None, 0, 1, 3)))
    for candidate in (_led(op, grown, lead), grown):
        if candidate is not None and _fits(op, candidate):
            event("other shapes")
            return candidate
    event("shapes of the example")
    return example


def _complex(op: Op, examples: list[Example]) -> list[Example]:
    """Return the examples of real numbers that may as well be of complex ones."""
    kinds = [tuple(k.replace("float64", "complex128") for k in e.dtypes or ()) for e in examples]
    changed = [replace(e, dtypes=k) for e, k in zip(examples, kinds, strict=True) if e.dtypes != k]
    return [e for e in changed if _fits(op, e)]


def _grown(example: Example, steps: list[int]) -> Example:
    """Return an example with larger axes: equal ones stay equal, longer ones longer."""
    sizes = sorted({n for shape in example.shapes for n in shape if n > 1})
    more = dict(zip(sizes, accumulate(steps), strict=False))
    shapes = tuple(tuple(n + more.get(n, 0) for n in shape) for shape in example.shapes)
    return replace(example, shapes=shapes)


def _led(op: Op, example: Example, size: int | None) -> Example | None:
    if size is None or op.lead is None:
        return None
    attrs = op.lead(example.attrs, size, *example.shapes)
    shapes = tuple((size, *shape) for shape in example.shapes)
    return None if attrs is None else replace(example, shapes=shapes, attrs=attrs)


def _fits(op: Op, example: Example) -> bool:
    """Tell whether the op takes inputs of these shapes, which its attrs may not go with."""
    arrays = draw(example, 0)
    try:
        prepared = arrays if example.prepare is None else example.prepare(*arrays)
        specs = [TensorSpec(np.shape(a), np.asarray(a).dtype) for a in prepared]
        inferred = op.infer(*specs, **example.attrs)
        results = op.eager(np, *prepared, **example.attrs)
    except Exception:
        return False
    pairs = zip(inferred, results, strict=True) if op.multi else [(inferred, results)]
    return all(spec.shape == np.shape(result) for spec, result in pairs)


class Slopes:
    """An op at a point, as a function of its inexact inputs, and a direction there.

    A complex input is two real ones, its parts: the rules of complex numbers must give what those
    of real ones give.
    """

    def __init__(self, op: Op, example: Example) -> None:
        arrays = draw(example, 4)
        whole = applied(op, example)

        def f(*floats: hb.Tensor) -> hb.Tensor:
            parts = iter(floats)
            given = {
                "f": lambda a: next(parts),
                "c": lambda a: next(parts) + 1j * next(parts),
            }
            return whole(*(given.get(a.dtype.kind, hb.asarray)(a) for a in arrays))

        self.f = f
        self.points: list[hb.Tensor] = []
        self.directions: list[hb.Tensor] = []
        rules = op.vjp if isinstance(op.vjp, tuple) else [op] * len(arrays)
        for a, rule in zip(arrays, rules, strict=True):
            direction = np.sin(1.0 + np.arange(a.size)).reshape(a.shape)
            if rule is None:  # it is stated to have no gradient
                direction *= 0
            for part in {"f": [a], "c": [a.real, a.imag]}.get(a.dtype.kind, []):
                self.points.append(hb.asarray(np.array(part)))
                self.directions.append(hb.asarray(direction))
                direction = np.cos(direction) * (rule is not None)

    @property
    def every(self) -> tuple[int, ...]:
        """The numbers of the arguments."""
        return tuple(range(len(self.points)))

    def reverse(self, *points: hb.Tensor) -> hb.Tensor:
        """Return the slope by gradients."""
        found = hb.grad(self.f, self.every)(*points)
        parts = (hb.sum(g * d) for g, d in zip(found, self.directions, strict=True))
        return sum(parts, hb.asarray(0.0, hb.float64))

    def forward(self, *points: hb.Tensor) -> hb.Tensor:
        """Return the slope by forward mode."""
        found: hb.Tensor = hb.jvp(self.f, points, tuple(self.directions))[1]
        return found

    def second(self, *points: hb.Tensor) -> tuple[hb.Tensor, ...]:
        """Return the gradients of the slope."""
        found: tuple[hb.Tensor, ...] = hb.grad(self.reverse, self.every)(*points)
        return found

    def derivatives(self, *points: hb.Tensor) -> tuple[hb.Tensor, ...]:
        """Return value, gradients, slope and the gradients of the slope."""
        value, gradients = hb.value_and_grad(self.f, self.every)(*points)
        return value, *gradients, self.forward(*points), *self.second(*points)

    def along(self, gradients: Sequence[hb.Tensor]) -> float:
        """Return the product of gradients and direction."""
        pairs = zip(gradients, self.directions, strict=True)
        return float(sum(np.sum(g.numpy() * d.numpy()) for g, d in pairs))

    def difference(self, f: Callable[..., hb.Tensor], step: float) -> float:
        """Return the central difference of a function in the direction."""
        moves = [(sign * step, sign) for sign in (1, -1)]
        values = [
            sign
            * f(*(x + far * d for x, d in zip(self.points, self.directions, strict=True))).item()
            for far, sign in moves
        ]
        return float(sum(values) / (2 * step))


@pytest.mark.parametrize(("op", "examples"), by_op())
@few
@given(data=st.data())
def test_first_and_second_derivatives_by_each_mode(
    op: Op, examples: list[Example], data: st.DataObject
) -> None:
    at = Slopes(op, data.draw(cases(op, examples)))
    slope = at.reverse(*at.points).item()
    close(slope, at.difference(at.f, 1e-6), 2e-5)
    close(slope, at.forward(*at.points).item(), 1e-9)
    curvature = at.along(at.second(*at.points))
    close(curvature, at.difference(at.reverse, 1e-5), 5e-4)
    mixed = hb.jvp(at.reverse, tuple(at.points), tuple(at.directions))[1]
    close(curvature, mixed.item(), 1e-8)


def close(a: float, b: float, rtol: float) -> None:
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


@pytest.mark.parametrize(("op", "examples"), by_op())
@few
@given(data=st.data())
def test_a_compiled_function_gives_the_derivatives_of_eager_code(
    op: Op, examples: list[Example], data: st.DataObject
) -> None:
    """The passes but fusion: kernels have tests of their own, and take ten times as long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRID_PASSES_OFF", "fuse")
        traced_as_eager(op, data.draw(cases(op, examples)))


@pytest.mark.slow
@pytest.mark.parametrize(("op", "examples"), by_op())
def test_so_do_its_kernels(op: Op, examples: list[Example]) -> None:
    traced_as_eager(op, examples[0])


def traced_as_eager(op: Op, example: Example) -> None:
    at = Slopes(op, example)
    compiled = hb.compile(at.derivatives, fullgraph=True)
    for found, wanted in zip(compiled(*at.points), at.derivatives(*at.points), strict=True):
        assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-8, atol=1e-9)
