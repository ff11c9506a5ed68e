"""grad and its kin: closed forms, composition in any order, eager and traced."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hybrid as hb
from hybrid.errors import GradientError, GradientWarning, ShapeError

MODES = [pytest.param(lambda f: f, id="eager"), pytest.param(hb.compile, id="traced")]
Mode = Callable[[Any], Any]


def same(a: Any, b: Any, rtol: float = 1e-6) -> None:
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=rtol, atol=1e-9)


def rosenbrock(x: Any) -> Any:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def rosenbrock_gradient(x: np.ndarray) -> np.ndarray:
    g = np.zeros_like(x)
    g[:-1] = -400 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (1 - x[:-1])
    g[1:] += 200 * (x[1:] - x[:-1] ** 2)
    return g


def rosenbrock_hessian(x: np.ndarray) -> np.ndarray:
    h = np.diag(-400 * x[:-1], 1) + np.diag(-400 * x[:-1], -1)
    diagonal = np.zeros_like(x)
    diagonal[:-1] = 1200 * x[:-1] ** 2 - 400 * x[1:] + 2
    diagonal[1:] += 200
    return h + np.diag(diagonal)


@pytest.mark.parametrize("mode", MODES)
@given(x=st.lists(st.floats(-2, 2), min_size=2, max_size=5))
def test_rosenbrock_by_closed_forms(mode: Mode, x: list[float]) -> None:
    point = np.asarray(x)
    direction = np.cos(np.arange(len(x)))
    value, gradient = mode(hb.value_and_grad(rosenbrock))(point)
    same(value, rosenbrock(point))
    same(gradient, rosenbrock_gradient(point), 1e-9)
    matrix = rosenbrock_hessian(point)
    same(mode(hb.hessian(rosenbrock))(point), matrix, 1e-9)
    (product,) = mode(lambda p, d: hb.hvp(rosenbrock, (p,), (d,)))(point, direction)
    np.testing.assert_allclose(product.numpy(), matrix @ direction, rtol=1e-9, atol=1e-6)
    _, slope = mode(lambda p, d: hb.jvp(rosenbrock, (p,), (d,)))(point, direction)
    np.testing.assert_allclose(slope.numpy(), rosenbrock_gradient(point) @ direction, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_textbook_examples(mode: Mode) -> None:
    same(mode(hb.grad(lambda x: hb.sum(2 * x)))(hb.ones(3)), [2, 2, 2])
    c, (da, db) = mode(hb.value_and_grad(lambda a, b: a * b, (0, 1)))(15.0, 20.0)
    assert (c.item(), da.item(), db.item()) == (300, 20, 15)
    d, (da, db) = mode(hb.value_and_grad(lambda a, b: a * (a + b), (0, 1)))(2.0, 3.0)
    assert (d.item(), da.item(), db.item()) == (10, 7, 2)

    def branches(x: Any) -> Any:
        return (x * x if hb.sum(x) > 0 else -x).sum()

    gradient = mode(hb.grad(branches))
    same(gradient(hb.asarray([1.0, 2.0])), [2, 4])
    same(gradient(hb.asarray([-1.0, -2.0])), [-1, -1])


@pytest.mark.parametrize("mode", MODES)
def test_per_example_gradients_of_logistic_regression(mode: Mode) -> None:
    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=(7, 3)), rng.integers(0, 2, 7) * 1.0, rng.normal(size=3)

    def loss(w: Any, x: Any, y: Any) -> Any:
        return hb.logaddexp(0.0, x @ w) - y * (x @ w)

    found = mode(hb.vmap(hb.grad(loss), in_axes=(None, 0, 0)))(w, x, y)
    p = 1 / (1 + np.exp(-x @ w))
    same(found, (p - y)[:, None] * x)
    curvature = mode(hb.hessian(lambda w: hb.vmap(loss, (None, 0, 0))(w, x, y).sum()))(w)
    same(curvature, (x * (p * (1 - p))[:, None]).T @ x)


@pytest.mark.parametrize("mode", MODES)
def test_jacobian_and_scores_of_logistic_regression(mode: Mode) -> None:
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(5, 3)), rng.normal(size=3)

    def probabilities(w: Any) -> Any:
        return hb.sigmoid(hb.asarray(x) @ w)

    p = 1 / (1 + np.exp(-x @ w))
    for kind in ("forward", "reverse"):
        same(mode(hb.jacobian(probabilities, mode=kind))(w), (p * (1 - p))[:, None] * x)
    direction = rng.normal(size=3)
    _, slope = mode(lambda w, d: hb.jvp(probabilities, (w,), (d,)))(w, direction)
    same(slope, p * (1 - p) * (x @ direction))


@pytest.mark.parametrize("mode", MODES)
def test_the_marginal_likelihood_of_a_gaussian_process(mode: Mode) -> None:
    """dL/dt = tr((K^-1 - a a^T) dK/dt) / 2, a = K^-1 y (Rasmussen and Williams, 2006, 5.9)."""
    rng = np.random.default_rng(2)
    x, y = np.sort(rng.uniform(0, 4, 12)), rng.normal(size=12)
    squares = (x[:, None] - x[None]) ** 2
    theta = np.array([0.3, -0.2, -1.0])  # logarithms of length, size and noise

    def negative_log_likelihood(theta: Any) -> Any:
        length, size, noise = (hb.exp(theta[i]) for i in range(3))
        k = size**2 * hb.exp(-hb.asarray(squares) / (2 * length**2)) + noise**2 * hb.eye(
            12, dtype="float64"
        )
        factor = hb.linalg.cholesky(k)
        half = hb.linalg.solve_triangular(factor, hb.asarray(y), lower=True)
        return half @ half / 2 + hb.sum(hb.log(hb.diagonal(factor))) + 6 * np.log(2 * np.pi)

    length, size, noise = np.exp(theta)
    smooth = size**2 * np.exp(-squares / (2 * length**2))
    k = smooth + noise**2 * np.eye(12)
    slopes = [smooth * squares / length**2, 2 * smooth, 2 * noise**2 * np.eye(12)]
    inverse = np.linalg.inv(k)
    a = inverse @ y
    value, gradient = mode(hb.value_and_grad(negative_log_likelihood))(theta)
    same(value, y @ a / 2 + np.linalg.slogdet(k)[1] / 2 + 6 * np.log(2 * np.pi), 1e-10)
    outer = inverse - np.outer(a, a)
    same(gradient, [np.trace(outer @ slope) / 2 for slope in slopes], 1e-8)
    step, direction = 1e-5, np.array([1.0, -1.0, 0.5])
    (product,) = mode(lambda t, d: hb.hvp(negative_log_likelihood, (t,), (d,)))(theta, direction)
    ends = [hb.grad(negative_log_likelihood)(theta + s * step * direction).numpy() for s in (1, -1)]
    same(product, (ends[0] - ends[1]) / (2 * step), 1e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["auto", "forward", "reverse"])
def test_jacobians_of_nested_arguments_and_results(mode: Mode, kind: Any) -> None:
    a, b = np.asarray([1.0, 2.0, 3.0]), np.asarray([[0.5, -1.0]])

    def f(p: Any, scale: Any) -> Any:
        return {"x": p["a"][:2] * p["b"][0] * scale, "y": hb.sin(p["a"]).sum()}

    found = mode(hb.jacobian(f, mode=kind))({"a": a, "b": b}, 2.0)
    same(found["x"]["a"], [[1.0, 0, 0], [0, -2.0, 0]])
    same(found["x"]["b"], np.asarray([[2.0, 0], [0, 4.0]])[:, None, :])
    same(found["y"]["a"], np.cos(a))
    same(found["y"]["b"], np.zeros((1, 2)))
    by_scale = hb.jacobian(f, (0, 1), mode=kind)({"a": a, "b": b}, hb.asarray(2.0, hb.float64))
    same(by_scale["x"][1], a[:2] * b[0])


def test_forward_and_reverse_agree_and_so_do_their_batches() -> None:
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(2, 3)), rng.normal(size=(3, 4))

    def f(x: Any) -> Any:
        return hb.softmax(hb.tanh(x @ w), axis=-1)

    forward, reverse = (hb.jacobian(f, mode=m)(x) for m in ("forward", "reverse"))
    assert forward.shape == (2, 4, 2, 3)
    same(forward, reverse, 1e-9)
    same(hb.vmap(hb.jacobian(f))(x[None])[0], reverse, 1e-9)
    same(hb.jacobian(hb.compile(f))(x), reverse, 1e-9)


def test_third_derivatives_by_any_mixture() -> None:
    def cube(x: Any) -> Any:
        return x**3 * 2

    x = hb.asarray(1.5, hb.float64)
    third = hb.grad(hb.grad(hb.grad(cube)))(x)
    assert third.item() == 12
    assert hb.compile(hb.grad(hb.compile(hb.grad(hb.compile(hb.grad(cube))))))(x).item() == 12
    _, forward = hb.jvp(hb.grad(hb.grad(cube)), (x,), (1.0,))
    assert forward.item() == 12
    assert hb.jacobian(hb.hessian(cube), mode="forward")(x).item() == 12


def test_linearize_and_vjp_may_be_used_many_times() -> None:
    y, push = hb.linearize(lambda x, s: x * x * s, hb.asarray([1.0, 2.0]), 3.0)
    same(y, [3, 12])
    same(push([1.0, 0.0] * hb.ones(2), 0.0), [6, 0])
    same(push(hb.asarray([0.0, 1.0]), 1.0), [1, 4 + 12])
    (z, pull, aux) = hb.vjp(lambda x: (hb.exp(x), "note"), hb.asarray([0.0, 1.0]), has_aux=True)
    assert aux == "note"
    for _ in range(2):
        same(pull(hb.asarray([1.0, 2.0]))[0], np.exp([0.0, 1.0]) * [1, 2])
    same(z, np.exp([0.0, 1.0]))


def test_one_tensor_in_two_places_has_two_gradients() -> None:
    x = hb.asarray([2.0, 3.0])
    a, b = hb.grad(lambda a, b: (a * b * b).sum(), (0, 1))(x, x)
    same(a, [4, 9])
    same(b, [8, 18])


def test_unused_arguments_have_gradient_zero_and_containers_keep_their_form() -> None:
    params = {"w": hb.ones((2, 2)), "b": [hb.zeros(2), None]}
    found = hb.grad(lambda p: (p["w"] ** 2).sum())(params)
    same(found["w"], 2 * np.ones((2, 2)))
    same(found["b"][0], np.zeros(2))
    assert found["b"][1] is None


def test_aux_is_handed_on() -> None:
    (value, aux), gradient = hb.value_and_grad(lambda x: (x * x, {"seen": x}), has_aux=True)(3.0)
    assert (value.item(), aux["seen"].item(), gradient.item()) == (9, 3, 6)
    gradient, aux = hb.grad(lambda x: (x * x, 1), has_aux=True)(3.0)
    assert (gradient.item(), aux) == (6, 1)


def test_writes_in_place_inside_the_function() -> None:
    def f(x: Any) -> Any:
        y = x * 1
        y[1:] *= y[:-1]
        return y.sum()

    same(hb.grad(f)(hb.asarray([2.0, 3.0, 4.0])), [1 + 3, 2 + 4, 3])
    same(hb.jacobian(lambda x: x.at[0].set(5.0))(hb.ones(2)), [[0, 0], [0, 1]])


class _Held:
    x = 1.0


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: hb.grad(lambda x: x)(hb.ones(3)), GradientError, r"float32\[3\]"),
        (lambda: hb.grad(lambda x: x)(hb.arange(3)), GradientError, "dtype int64 has no gradient"),
        (lambda: hb.grad(lambda x: x, 1)(1.0), ValueError, "1 positional argument, counted"),
        (lambda: hb.grad(lambda x: None)(1.0), GradientError, "the function returns None"),
        (lambda: hb.grad(lambda x: "no")(1.0), GradientError, "the function returns a str"),
        (lambda: hb.grad(lambda x: x, has_aux=True)(1.0), TypeError, "has_aux"),
        (lambda: hb.jvp(hb.sin, (hb.ones(2),), (hb.ones(3),)), ShapeError, r"tangent of shape \(3"),
        (lambda: hb.jvp(hb.sin, hb.ones(2), hb.ones(2)), TypeError, "tuples"),
        (lambda: hb.jvp(hb.sin, (1.0,), (1.0, 2.0)), ValueError, "1 primals but 2"),
        (lambda: hb.jacobian(hb.argmax)(hb.ones(2)), GradientError, "int64"),
        (lambda: hb.jacobian(hb.sin, mode="both"), ValueError, "both"),
        (lambda: hb.jvp(float, (1.0,), (1.0,)), GradientError, r"a float.*leave out float\(\)"),
        (
            lambda: hb.jacobian(lambda x: np.sin(x.numpy()))(hb.ones(2)),
            GradientError,
            r"NumPy's ndarray.*begin with hb.asarray",
        ),
        (lambda: hb.grad(lambda h: h.x)(_Held()), TypeError, "not _Held; hb.register_container"),
        (lambda: hb.GradientTape().watch(_Held()), TypeError, "not _Held; hb.register_container"),
    ],
)
def test_errors_say_what_is_wrong(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


# --- the tape's own -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_jacobians_of_a_tape(mode: Mode) -> None:
    def f(x: Any, w: Any) -> Any:
        with hb.GradientTape(persistent=True) as tape:
            tape.watch([x, w])
            y = x * w + x[:, ::-1] ** 2
        whole = tape.jacobian(y, {"x": x, "w": w})
        return whole, tape.batch_jacobian(y, x)

    x, w = hb.asarray([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), hb.asarray([10.0, 20.0])
    whole, batch = mode(f)(x, w)
    per_row = [[[10, 2 * b], [2 * a, 20]] for a, b in x.numpy()]
    same(batch, per_row)
    expected = np.zeros((3, 2, 3, 2))
    for i in range(3):
        expected[i, :, i, :] = per_row[i]
    same(whole["x"], expected)
    same(whole["w"], np.stack([np.diag(row) for row in x.numpy()]))


def test_what_is_not_to_be_recorded_is_not() -> None:
    v = hb.Variable([1.0, 2.0], name="v")
    with hb.GradientTape() as tape:
        y = (v * v).sum()
        with tape.stop_recording():
            z = y * 5
        u = y + z
    assert tape.watched_variables() == (v,)
    same(tape.gradient(u, v), [2, 4])
    with hb.GradientTape(persistent=True) as tape:
        y = (v * v).sum()
        tape.reset()
        z = (v * 3).sum()
    assert tape.gradient(y, v) is None
    same(tape.gradient(z, v), [3, 3])


def test_a_jacobian_uses_a_tape_up_as_a_gradient_does() -> None:
    x = hb.ones(2)
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    tape.jacobian(y, x)
    with pytest.raises(GradientError, match="used up"):
        tape.gradient(y, x)
    with pytest.raises(ShapeError, match="first axis"):
        tape.batch_jacobian(y, hb.ones(3))


@pytest.mark.parametrize("more", [lambda y: (y, y), lambda y: {"loss": y}, lambda y: [y, y]])
def test_grad_of_several_results_names_has_aux(more: Any):
    with pytest.raises(GradientError, match=r"returns a (tuple|dict|list)(.|\n)*has_aux"):
        hb.grad(lambda x: more(x.sum()))(hb.ones(3))
    assert hb.grad(lambda x: [x.sum()])(hb.ones(3)).tolist() == [1, 1, 1]


TAKEN = {
    "float": lambda x: float((x * x).sum()),
    "item": lambda x: hb.asarray((x * x).sum().item()),
    "numpy": lambda x: hb.asarray(x.numpy() ** 2).sum(),
    "tolist": lambda x: sum(v * v for v in x.tolist()),
}


@pytest.mark.parametrize("how", TAKEN)
def test_a_gradient_of_which_nothing_is_left_is_told_with_the_line(how):
    words = (
        rf"gradient of <lambda> is 0: .* {how}\(\) gave.*\n  at .*test_transforms.py.* in <lambda>"
    )
    with pytest.warns(GradientWarning, match=words):
        assert hb.grad(TAKEN[how])(hb.ones(2)).tolist() == [0.0, 0.0]
    _, pull = hb.vjp(TAKEN["numpy"], hb.ones(2))
    with pytest.warns(GradientWarning, match=r"numpy\(\) gave"):
        assert pull(hb.ones(()))[0].tolist() == [0.0, 0.0]


def test_a_gradient_of_which_something_is_left_is_not_told():
    def shown(x):
        loss = (x * x).sum()
        assert f"{float(loss):.1f} {loss.item()}" == "2.0 2.0"
        return loss

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert hb.grad(shown)(hb.ones(2)).tolist() == [2.0, 2.0]
        assert hb.grad(lambda x: 0.0)(hb.ones(2)).tolist() == [0.0, 0.0]
        assert hb.hessian(lambda x: x.sum())(hb.ones(1)).tolist() == [[0.0]]


def test_of_a_hessian_what_the_function_takes_is_told_once():
    with pytest.warns(GradientWarning) as caught:
        hb.hessian(TAKEN["float"])(hb.ones(2))
    assert len(caught) == 1
