"""Gradients through loops and branches: those of the same Python loop, in every mode and order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import GradientError

RNG = np.random.default_rng(5)
X = RNG.normal(size=(4, 3)) / 2
W = RNG.normal(size=(3, 3)) / 2


def recurrence(x: hb.Tensor, w: hb.Tensor) -> hb.Tensor:
    def step(h: hb.Tensor, row: hb.Tensor) -> Any:
        h = hb.tanh(w @ h + row)
        return h, (h * h).sum()

    last, ys = hb.scan(step, x[0], x)
    return last.sum() + (ys * x[:, 0]).sum()


def backwards(x: hb.Tensor, w: hb.Tensor) -> hb.Tensor:
    def step(carry: Any, row: Any) -> Any:
        count, h = carry
        h = h * row["a"] + w[count]
        return ((count + 1) % 3, h), {"h": h[0], "unused": row["b"] * 2}

    (_, last), ys = hb.scan(step, (0, x[1]), {"a": x, "b": (x, None)[0]}, reverse=True)
    return last.sum() + (ys["h"] ** 2).sum()


def counted(x: hb.Tensor, w: hb.Tensor) -> hb.Tensor:
    return hb.fori_loop(1, 4, lambda i, c: hb.sin(c @ w) * i + x[i], x[0]).sum()


def by_data(x: hb.Tensor, w: hb.Tensor) -> hb.Tensor:
    return hb.fori_loop(0, 3 + x[0].argmax() * 0, lambda i, c: hb.sin(c @ w) + x[i], x[0]).sum()


def until(x: hb.Tensor, w: hb.Tensor) -> hb.Tensor:
    def step(carry: Any) -> Any:
        n, c = carry
        return n + 1, c * 1.5 + hb.sin(w[0] * c)

    n, c = hb.while_loop(lambda carry: (carry[1] ** 2).sum() < 50, step, (0, x[0]))
    return (c * c).sum() * n


def never(x: hb.Tensor, w: hb.Tensor) -> hb.Tensor:
    return hb.while_loop(lambda c: c.sum() > 1e9, lambda c: c @ w, x[0] * x[1]).sum()


def no_rows(x: hb.Tensor, w: hb.Tensor) -> hb.Tensor:
    last, ys = hb.scan(lambda c, row: (c * row @ w, c), x[0] ** 2, x[:0])
    return last.sum() + ys.sum()


def branches(x: hb.Tensor, w: hb.Tensor) -> hb.Tensor:
    y = hb.cond(x.sum() > 100, lambda a: a @ w, lambda a: hb.exp(a) * w[0], x)
    z = hb.switch(hb.argmax(x[0]), [lambda a: a * a, lambda a: a**3, lambda a: hb.sin(a) * x], y)
    return (y * z).sum()


def nested(x: hb.Tensor, w: hb.Tensor) -> hb.Tensor:
    def outer(h: hb.Tensor, row: hb.Tensor) -> Any:
        def inner(i: int, c: hb.Tensor) -> hb.Tensor:
            return hb.cond(c.sum() > 0, lambda: hb.tanh(w @ c) * row, lambda: c * c + h)

        h = hb.fori_loop(0, 2, inner, h)
        h = hb.while_loop(lambda e: (e * e).sum() < 1, lambda e: e * 2 + row, h + 0.1)
        return h, h.sum()

    return hb.scan(outer, x[0], x)[1].sum()


def writes_in_place(x: hb.Tensor, w: hb.Tensor) -> hb.Tensor:
    y = x * 1
    tail = y[1:]

    def step(i: int, c: hb.Tensor) -> hb.Tensor:
        tail[i] = tail[i] * c.sum()
        c[0] = c[0] * 2
        return c * w[i]

    return (hb.fori_loop(0, 3, step, x[0]) * y).sum()


def mapped(x: hb.Tensor, w: hb.Tensor) -> hb.Tensor:
    return hb.map(lambda row: hb.logsumexp(w @ row), x).sum()


def with_effects(x: hb.Tensor, w: hb.Tensor) -> hb.Tensor:
    spec = hb.TensorSpec((3,), hb.float64)

    def step(c: hb.Tensor, row: hb.Tensor) -> Any:
        hb.assert_(hb.isfinite(c))  # noqa: PT009
        factor = hb.callback(np.cos, spec, row)
        return c * factor + w[0] * row, None

    last, _ = hb.scan(step, x[0], x)
    return hb.cond(last.sum() > -100, lambda: last * hb.callback(np.sin, spec, last), lambda: last).sum()  # fmt: skip # noqa: E501


PROGRAMS = [
    recurrence, backwards, counted, by_data, until, never, no_rows, branches, nested,
    writes_in_place, mapped, with_effects,
]  # fmt: skip
ONCE = [with_effects]


@pytest.fixture(autouse=True)
def few_kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile kernels for a few programs only: what is tested here is the graphs."""
    program = request.node.callspec.params.get("f") if hasattr(request.node, "callspec") else None
    if program is not recurrence:
        monkeypatch.setenv("HYBRID_PASSES_OFF", "fuse")


def tensors() -> list[hb.Tensor]:
    return [hb.asarray(X.copy()), hb.asarray(W.copy())]


def gradient(f: Callable[..., Any], inputs: list[hb.Tensor]) -> Any:
    with hb.GradientTape() as tape:
        tape.watch(inputs)
        y = f(*inputs)
    return tape.gradient(y, inputs, unconnected_gradients="zero")


def slope(f: Callable[..., Any], inputs: list[hb.Tensor]) -> hb.Tensor:
    return sum((g * g * (i + 1)).sum() for i, g in enumerate(gradient(f, inputs)))


def close(found: Any, expected: Any) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("f", PROGRAMS)
class TestFirstOrder:
    def test_a_tape_around_a_compiled_function(self, f: Callable[..., Any]) -> None:
        g = hb.compile(fullgraph=True)(f)
        for _ in range(2):
            close(gradient(g, tensors()), gradient(f, tensors()))

    def test_a_tape_inside_a_compiled_function(self, f: Callable[..., Any]) -> None:
        g = hb.compile(fullgraph=True)(lambda *inputs: gradient(f, list(inputs)))
        for _ in range(2):
            close(g(*tensors()), gradient(f, tensors()))

    def test_differences(self, f: Callable[..., Any]) -> None:
        if f is with_effects:
            pytest.skip("no gradient flows through a callback, but differences do")
        found = gradient(f, tensors())
        for which in range(2):
            direction = np.random.default_rng(which).normal(size=tensors()[which].shape)
            ends = []
            for sign in (1, -1):
                inputs = tensors()
                inputs[which] = inputs[which] + sign * 1e-6 * direction
                ends.append(f(*inputs).item())
            expected = (ends[0] - ends[1]) / 2e-6
            assert (found[which].numpy() * direction).sum() == pytest.approx(
                expected, rel=1e-5, abs=1e-6
            )


@pytest.mark.parametrize("f", [f for f in PROGRAMS if f not in ONCE])
@pytest.mark.parametrize("where", ["around", "inside", "between"])
def test_second_order(f: Callable[..., Any], where: str) -> None:
    expected = gradient(lambda *inputs: slope(f, list(inputs)), tensors())
    if where == "around":
        g = hb.compile(f)
        found = gradient(lambda *inputs: slope(g, list(inputs)), tensors())
    elif where == "between":
        g = hb.compile(lambda *inputs: slope(f, list(inputs)))
        found = gradient(g, tensors())
    else:
        g = hb.compile(lambda *a: gradient(lambda *b: slope(f, list(b)), list(a)))
        found = g(*tensors())
    close(found, expected)


def test_variables_in_a_body_are_watched() -> None:
    w = hb.Variable(W)
    frozen = hb.Variable(X[0], trainable=False)

    def f(x: hb.Tensor) -> hb.Tensor:
        return hb.scan(lambda h, row: (hb.tanh(w @ h + row * frozen), None), x[0], x)[0].sum()

    found = []
    for g in (f, hb.compile(f)):
        with hb.GradientTape() as tape:
            y = g(hb.asarray(X))
        found.append(tape.gradient(y, [w]))
    close(found[1], found[0])

    def inside(x: hb.Tensor) -> Any:
        with hb.GradientTape() as tape:
            y = f(x)
        return tape.gradient(y, [w, frozen])

    by_w, by_frozen = hb.compile(inside)(hb.asarray(X))
    close([by_w], found[0])
    assert by_frozen is None


def test_training_in_a_loop_equals_training_in_python() -> None:
    def train(w: hb.Variable, x: hb.Tensor) -> hb.Tensor:
        def step(i: int, _: hb.Tensor) -> hb.Tensor:
            with hb.GradientTape() as tape:
                loss = ((x @ w - x) ** 2).sum()
            w.assign_sub(0.05 * tape.gradient(loss, w))
            return loss

        return hb.fori_loop(0, 20, step, hb.asarray(0.0, dtype="float64"))

    a, b = hb.Variable(W), hb.Variable(W)
    loss = hb.compile(train)(b, hb.asarray(X))
    assert loss.item() == pytest.approx(train(a, hb.asarray(X)).item(), rel=1e-9)
    close([b.read()], [a.read()])


def test_what_does_not_depend_has_no_gradient() -> None:
    @hb.compile
    def f(x: hb.Tensor, w: hb.Tensor) -> Any:
        with hb.GradientTape() as tape:
            tape.watch([x, w])
            y = hb.scan(lambda c, row: (c + row, (row * w[0]).sum()), x[0], x)[0].sum()
        return tape.gradient(y, [x, w])

    by_x, by_w = f(*tensors())
    assert by_w is None
    np.testing.assert_allclose(by_x.numpy()[1], 1)


def test_a_callback_whose_results_a_while_loop_needs_again_is_refused() -> None:
    spec = hb.TensorSpec((3,), hb.float64)

    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        return hb.while_loop(
            lambda c: c.sum() < 9, lambda c: c * 2 + hb.callback(np.abs, spec, c), abs(x[0])
        )

    with pytest.raises(GradientError, match=r"it would call hb\.callback again"):
        gradient(f, tensors()[:1])


def test_what_takes_more_than_a_kernel_is_kept_of_each_step() -> None:
    """Going back, tanh is computed again from its argument; the product with it is not."""

    def f(x: hb.Tensor, w: hb.Tensor) -> hb.Tensor:
        return hb.scan(lambda h, row: (hb.tanh(w @ h + row), None), x[0], x)[0].sum()

    graph = hb.compile(hb.grad(f, (0, 1))).get_concrete_function(*tensors()).optimized
    forward, back = (node.attrs["body"] for node in graph.nodes if node.op.name == "scan")

    def products(body: Any) -> int:
        return sum(node.op.name in ("matmul", "einsum") for node in body.nodes)

    assert len(forward.outputs) == 3  # the carry, and of each step the carry and the argument
    assert products(forward) == 1
    assert products(back) <= 2  # the gradients by the carry and by w


BODIES: dict[str, Callable[..., hb.Tensor]] = {
    "while": lambda g, u: hb.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, g(s[1])), (0, u))[
        1
    ],
    "scan": lambda g, u: hb.scan(lambda u, _: (g(u), None), u, None, length=2)[0],
    "fori": lambda g, u: hb.fori_loop(0, 2, lambda _, u: g(u), u),
    "cond": lambda g, u: hb.cond(u.sum() < 99, g, lambda u: u, u),
    "switch": lambda g, u: hb.switch(1, [lambda u: u, g], u),
    "map": lambda g, u: hb.map(g, hb.stack([u, 2 * u])).sum(axis=0),
    "checkpoint": lambda g, u: hb.checkpoint(g)(u),
    "vmap": lambda g, u: hb.vmap(g)(hb.stack([u, 2 * u])).sum(axis=0),
}
"""What runs a function in a trace of its own."""


def pull_of(x: hb.Tensor, w: hb.Tensor) -> Callable[[hb.Tensor], hb.Tensor]:
    pull = hb.vjp(lambda x: hb.tanh(x @ w) * w[0], x)[1]
    return lambda u: hb.sin(pull(u)[0])


def push_of(x: hb.Tensor, w: hb.Tensor) -> Callable[[hb.Tensor], hb.Tensor]:
    push = hb.linearize(lambda x: hb.tanh(x @ w) * w[0], x)[1]
    return lambda u: hb.sin(push(u))


def tape_of(x: hb.Tensor, w: hb.Tensor) -> Callable[[hb.Tensor], hb.Tensor]:
    with hb.GradientTape(persistent=True) as tape:
        tape.watch(x)
        between = hb.tanh(x @ w)
        y = between * between * w[0]
    return lambda u: hb.sin(tape.gradient(y, between, u) * tape.gradient(y, x, u))


@pytest.mark.usefixtures("without_kernels")  # what depends on what is tested
@pytest.mark.parametrize("inner", [None, "scan", "cond", "vmap"])
@pytest.mark.parametrize("outer", BODIES)
@pytest.mark.parametrize("made", [pull_of, push_of, tape_of])
def test_a_tape_that_ended_before_a_body_is_asked_inside(made: Any, outer: str, inner: str | None):
    """As where the gradient of an implicit function is found by a loop: it was 0 in a trace."""

    def solved(x: hb.Tensor, w: hb.Tensor) -> hb.Tensor:
        g = made(x, w)
        step = g if inner is None else lambda u: BODIES[inner](g, u)
        return BODIES[outer](step, x + 1)

    x, w = hb.asarray(X), hb.asarray(W)
    for f in (solved, hb.grad(lambda x, w: (solved(x, w) ** 2).sum(), (0, 1))):
        compiled = hb.compile(f, fullgraph=True)
        for found, expected in zip(compiled(x, w), f(x, w), strict=True):
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("outer", [k for k in BODIES if k != "vmap"])
def test_a_tape_around_a_body_that_is_asked_inside_sends_it_to_eager_code(outer: str):
    """The tape sees the node of the loop, nothing of its steps: the gradient was 0."""

    def asked_inside(x: hb.Tensor, w: hb.Tensor) -> hb.Tensor:
        with hb.GradientTape(persistent=True) as tape:
            tape.watch(x)
            y = x * x
            return BODIES[outer](lambda u: hb.sin(tape.gradient(y * u * w[0], x)), x + 1)

    x, w = hb.asarray(X), hb.asarray(W)
    expected = asked_inside(x, w).numpy()
    with pytest.warns(hb.errors.EagerFallbackWarning, match="a tape that was opened around it"):
        found = hb.compile(asked_inside)(x, w)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)


def test_a_tape_around_a_compiled_function_that_is_asked_inside():
    x = hb.asarray(X)
    with hb.GradientTape(persistent=True) as tape:
        tape.watch(x)
        inside = hb.compile(lambda u: tape.gradient(x * x * u, x))
        with pytest.warns(hb.errors.EagerFallbackWarning, match="a tape that was opened around it"):
            found = inside(hb.asarray(W[0]))
    np.testing.assert_allclose(found.numpy(), 2 * X * W[0])


@pytest.mark.parametrize("compiled", [False, True])
def test_a_tape_around_a_vmap_knows_nothing_of_an_example(compiled: bool):
    def asked_inside(x: hb.Tensor) -> hb.Tensor:
        with hb.GradientTape(persistent=True) as tape:
            tape.watch(x)
            return hb.vmap(lambda u: tape.gradient(x[0] * u, x))(x)

    with pytest.raises(GradientError, match=r"opened around it(.|\n)*tape.gradient"):
        (hb.compile(asked_inside) if compiled else asked_inside)(hb.asarray(X))


def test_the_gradient_of_a_checkpoint_that_writes_to_its_result_has_the_writes():
    def written(x: hb.Tensor) -> hb.Tensor:
        y = x * x
        y[1:] = y[:-1] * 2
        return y

    x = hb.asarray(X[0])
    for f in (written, hb.checkpoint(written), hb.compile(hb.checkpoint(written))):
        found = hb.vjp(f, x)[1](hb.asarray([1.0, 2.0, 3.0]))[0]
        np.testing.assert_allclose(found.numpy(), X[0] * [10, 12, 0])
        np.testing.assert_allclose(hb.jvp(f, (x,), (x,))[1].numpy(), 2 * f(x).numpy())


@pytest.mark.parametrize("reduce", [hb.median, lambda x: hb.quantile(x, 0.3, method="midpoint")])
def test_the_way_back_through_a_scan_keeps_the_numbers_that_rules_make(reduce: Any) -> None:
    rows = hb.asarray(np.linspace(0.1, 2.0, 20).reshape(4, 5) ** 2)

    def run(a: Any) -> Any:
        return hb.scan(lambda carry, row: (carry + reduce(row * carry), carry), a, rows)

    def pushed(a: Any) -> Any:
        return hb.jvp(run, (a,), (hb.ones_like(a),))[1]

    a = hb.asarray(1.0, dtype=hb.float64)
    step = 1e-6
    slope = (run(a + step)[0] - run(a - step)[0]) / (2 * step)
    for found in (pushed(a), hb.compile(pushed)(a)):
        np.testing.assert_allclose(float(found[0]), float(slope), rtol=1e-6)


def choosing(w: hb.Tensor, t: hb.Tensor) -> Any:
    return hb.cond(t.sum() > 0, lambda: (w * t * t).sum(), lambda: t.sum())


def two_parts(x: hb.Tensor, one: slice, other: slice) -> list[Any]:
    with hb.GradientTape() as tape:
        v, u = x[one], x[other]
        tape.watch([v, u])
        z = hb.fori_loop(0, 2, lambda i, c: c * v.sum() * u.sum(), hb.ones(()))
    return tape.gradient(z, [v, u])


@pytest.mark.parametrize(
    "f",
    [
        pytest.param(lambda x: hb.grad(lambda t: choosing(x, t))(x), id="cond"),
        pytest.param(
            lambda x: hb.grad(
                lambda t: hb.fori_loop(0, 3, lambda i, c: c * (x * t).sum(), hb.ones(()))
            )(x),
            id="loop",
        ),
        pytest.param(
            lambda x: hb.grad(lambda t: hb.checkpoint(lambda t: (x * t * t).sum())(t))(x),
            id="checkpoint",
        ),
        pytest.param(
            lambda x: hb.grad(lambda w: hb.grad(lambda t: choosing(w, t))(w).sum())(x),
            id="second order",
        ),
        pytest.param(
            lambda x: hb.grad(lambda w: hb.grad(lambda t: choosing(w, t))(x).sum())(x),
            id="two arguments",
        ),
        pytest.param(lambda x: two_parts(x, slice(0, 2), slice(1, 3)), id="parts"),
    ],
)
@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_an_array_that_a_body_uses_and_is_differentiated_by_under_another_name_is_a_constant(
    f: Callable[..., Any],
) -> None:
    x = hb.asarray([1.0, 2.0, 3.0])
    for wanted, got in zip(hb.stack(list(f(x))), hb.stack(list(hb.compile(f)(x)))):
        np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=1e-6)


@pytest.mark.filterwarnings("error::hybrid.errors.EagerFallbackWarning")
def test_parts_of_an_array_that_share_nothing_are_watched_in_a_body() -> None:
    x = hb.asarray([1.0, 2.0, 3.0, 4.0])
    v, u = hb.compile(two_parts)(x, slice(0, 1), slice(1, 4))
    assert [float(v[0]), float(u[0])] == [162.0, 18.0]


@pytest.mark.parametrize("mode", [lambda f: f, hb.compile])
def test_a_body_that_detaches_an_array_from_outside_first_has_its_gradient_later(mode: Any) -> None:
    def f(w: hb.Tensor, t: hb.Tensor) -> Any:
        return hb.cond(t > 0, lambda: t * w.detach() * w, lambda: t)

    assert float(mode(hb.grad(f))(hb.asarray(5.0), hb.asarray(7.0))) == 35.0
