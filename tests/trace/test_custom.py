"""Gradients that users give: eager, traced, mapped, differentiated twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import GradientError, ShapeError

MODES = [
    pytest.param(lambda f: f, id="eager"),
    pytest.param(hb.compile, id="traced"),
    pytest.param(lambda f: lambda *a: hb.vmap(f, axis_size=1)(*(x[None] for x in a))[0], id="vmap"),
    pytest.param(
        lambda f: hb.compile(lambda *a: hb.vmap(f, axis_size=1)(*(x[None] for x in a))[0]),
        id="traced-vmap",
    ),
]
Mode = Callable[[Any], Any]


def same(a: Any, b: Any) -> None:
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-6)


@hb.custom_gradient
def log1pexp(x: Any) -> Any:
    e = hb.exp(x)
    return hb.log(1 + e), lambda upstream: upstream * (1 - 1 / (1 + e))


@hb.custom_vjp
def scaled(x: Any, factor: Any) -> Any:
    return hb.sin(x) * factor


# Ten times what it would be, so that the rule and nothing else is seen.
scaled.defvjp(
    lambda x, factor: (scaled(x, factor), {"x": x, "factor": factor}),
    lambda kept, g: (10 * g * hb.cos(kept["x"]) * kept["factor"], None),
)


@hb.custom_jvp
def cubed(x: Any) -> Any:
    return x**3


@cubed.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    return cubed(x), 30 * x**2 * dx


POINT = np.asarray([0.5, 1.0, 2.0])


@pytest.mark.parametrize("mode", MODES)
def test_the_rule_is_used_and_the_value_is_the_functions(mode: Mode) -> None:
    x = hb.asarray(POINT)
    for function, value, slope in (
        (log1pexp, np.log1p(np.exp(POINT)), 1 / (1 + np.exp(-POINT))),
        (lambda x: scaled(x, 2.0), np.sin(POINT) * 2, 20 * np.cos(POINT)),
        (cubed, POINT**3, 30 * POINT**2),
    ):
        same(mode(function)(x), value)
        same(mode(hb.grad(lambda x: function(x).sum()))(x), slope)
        same(hb.grad(lambda x: mode(function)(x).sum())(x), slope)


@pytest.mark.parametrize("mode", MODES)
def test_the_rule_is_differentiated_again(mode: Mode) -> None:
    x = hb.asarray(POINT)
    s = 1 / (1 + np.exp(-POINT))

    def second(function: Any) -> Any:
        return mode(hb.grad(lambda x: hb.grad(lambda x: function(x).sum())(x).sum()))

    same(second(log1pexp)(x), s * (1 - s))
    same(second(lambda x: scaled(x, 2.0))(x), -20 * np.sin(POINT))
    same(second(cubed)(x), 60 * POINT)
    same(hb.grad(lambda x: hb.grad(lambda x: mode(cubed)(x).sum())(x).sum())(x), 60 * POINT)


def test_a_mapped_rule_sums_over_examples_for_what_they_share() -> None:
    rows, factor = hb.asarray([[1.0, 2.0], [3.0, 4.0]]), hb.asarray([10.0, 20.0])

    @hb.custom_vjp
    def product(x: Any, y: Any) -> Any:
        return x * y

    product.defvjp(lambda x, y: (x * y, (x, y)), lambda kept, g: (g * kept[1], 7 * g * kept[0]))
    loss = lambda x, y: hb.vmap(product, in_axes=(0, None))(x, y).sum()
    for run in (loss, hb.compile(loss)):
        a, b = hb.grad(run, (0, 1))(rows, factor)
        same(a, [[10, 20], [10, 20]])
        same(b, [28, 42])


def test_containers_numbers_and_missing_gradients() -> None:
    @hb.custom_gradient
    def f(p: Any, n: int) -> Any:
        def gradient(up_a: Any, up_b: Any) -> Any:
            return {"w": up_a * n, "b": None}, None

        return {"a": p["w"] * n, "b": p["b"] + 1}, gradient

    for mode in (lambda f: f, hb.compile):
        found = mode(hb.grad(lambda p: sum(x.sum() for x in f(p, 3).values())))(
            {"w": hb.ones(2), "b": hb.ones(2)}
        )
        same(found["w"], [3, 3])
        same(found["b"], [0, 0])


@pytest.mark.parametrize("mode", [lambda f: f, hb.compile])
def test_watched_values_from_outside_are_refused_by_name(mode: Mode) -> None:
    v = hb.Variable([2.0, 3.0])

    @hb.custom_gradient
    def scaled_by_v(x: Any) -> Any:
        return x * v, lambda g: g

    run = mode(scaled_by_v)
    same(run(hb.ones(2)), [2, 3])

    def gradient() -> Any:
        with hb.GradientTape() as tape:
            y = run(hb.ones(2)).sum()
        return tape.gradient(y, v)

    with pytest.raises(GradientError, match="scaled_by_v has a gradient of its own"):
        gradient()


def test_errors_name_the_function() -> None:
    @hb.custom_vjp
    def unfinished(x: Any) -> Any:
        return x

    with pytest.raises(GradientError, match=r"unfinished\.defvjp"):
        unfinished(1.0)
    with pytest.raises(TypeError, match="must return"):
        hb.custom_gradient(lambda x: x)(hb.ones(2))

    @hb.custom_gradient
    def wrong_shape(x: Any) -> Any:
        return x, lambda g: hb.ones(5)

    with pytest.raises(ShapeError, match=r"wrong_shape has shape \(5,\)"):
        hb.grad(lambda x: wrong_shape(x).sum())(hb.ones(2))

    @hb.custom_gradient
    def too_few(x: Any, y: Any) -> Any:
        return x * y, lambda g: (g,)

    with pytest.raises(GradientError, match="2 arguments were given"):
        hb.grad(lambda x: too_few(x, x).sum())(hb.ones(2))


@pytest.mark.parametrize("mode", [lambda f: f, hb.compile])
def test_what_only_the_gradient_of_the_users_is_made_of_may_be_watched(mode: Mode) -> None:
    def f(w: Any, x: Any) -> Any:
        @hb.custom_gradient
        def tripled(x: Any) -> Any:
            return x * 3 * w.detach(), lambda upstream: upstream * w * 2

        return hb.grad(lambda t: tripled(t) ** 2)(x)

    # By w: of 2 * (3 * 5 * 7) * w * 2, where 5 is detached.
    w, x = hb.asarray(5.0), hb.asarray(7.0)
    same(mode(hb.grad(f))(w, x), 420.0)
    # The rule says that the result changes by w * 2 with t.
    same(mode(hb.grad(lambda w: f(w, w * 1)))(x), 2 * 147 * 2 + 2 * (7 * 2) * (7 * 2))


def test_a_value_of_an_example_from_outside_is_refused_by_name() -> None:
    def f(w: Any) -> Any:
        @hb.custom_gradient
        def scaled(x: Any) -> Any:
            return x * w, lambda upstream: upstream * w

        return scaled(hb.ones(()))

    with pytest.raises(GradientError, match=r"each example of a vmap .*Pass that as an argument"):
        hb.vmap(f)(hb.ones(3))
