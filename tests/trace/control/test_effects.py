"""print, callback and assert_ happen at every run, in order, once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import AssertionFailed, DTypeError, ShapeError

X = np.array([1.0, -2.0, 3.0], np.float32)


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def twice_alike(x: hb.Tensor) -> Any:
    hb.print("a {}", x.sum())
    hb.print("a {}", x.sum())
    return x


def dead(x: hb.Tensor) -> Any:
    y = hb.exp(x * 0)
    hb.print("{0:.1f} {name} {1} {word!r}", y[0], 3, name=y.shape, word="w")
    return x


def in_a_scan(x: hb.Tensor) -> Any:
    def step(c: hb.Tensor, v: hb.Tensor) -> Any:
        hb.print("{} + {}", c, v)
        return c + v, None

    hb.scan(step, 0.0, x)
    hb.print("end")
    return x


def in_branches(x: hb.Tensor) -> Any:
    hb.cond(x[0] > 0, lambda: hb.print("yes {}", x[0]), lambda: hb.print("no"))
    hb.switch(x.argmax(), [lambda: hb.print("0"), lambda: hb.print("1"), lambda: hb.print("2")])


def in_a_while(x: hb.Tensor) -> Any:
    def small(c: hb.Tensor) -> hb.Tensor:
        hb.print("small? {}", c)
        return c < 4

    def double(c: hb.Tensor) -> hb.Tensor:
        hb.print(c, c * 2)
        return c * 2

    return hb.while_loop(small, double, abs(x[0]))


def around_a_decision(x: hb.Tensor) -> Any:
    hb.print("before")
    if x[0] > 0:
        hb.print("positive {}", x)
    hb.print("after")
    return x


@pytest.mark.parametrize(
    "f", [twice_alike, dead, in_a_scan, in_branches, in_a_while, around_a_decision]
)
def test_a_compiled_function_prints_what_eager_code_prints(
    f: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    g = hb.compile(f)
    for x in (X, -X, X, -X):
        f(hb.asarray(x))
        expected = said(capsys)
        g(hb.asarray(x))
        assert said(capsys) == expected != []
    assert g.cache_info().misses == 1


@pytest.mark.parametrize("f", [twice_alike, in_a_scan, in_a_while])
def test_a_gradient_does_not_print_again(
    f: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    g = hb.compile(f)
    for _ in range(2):
        f(hb.asarray(X))
        expected = said(capsys)
        x = hb.asarray(X)
        with hb.GradientTape() as tape:
            tape.watch(x)
            y = (g(x) * x).sum()
        tape.gradient(y, x)
        assert said(capsys) == expected


@pytest.mark.parametrize("mode", ["eager", "traced"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{} {}", r"no value for field 1 of '\{\} \{\}', given 1 value and by\n  at .*"),
        ("{:{size}}", r"no value for field size of .*\n  at .*"),
        ("{a.b[0]} {0}", r"no value for field a of .*\n  at .*"),
        ("{0} {", r"Single '\{' encountered in format string, in '\{0\} \{'\n  at .*"),
    ],
)
@pytest.mark.parametrize("name", ["print", "assert_"])
def test_a_field_without_a_value_is_an_error_that_names_it(
    name: str, text: str, message: str, mode: str
) -> None:
    def f(x: hb.Tensor) -> None:
        condition = () if name == "print" else (True,)
        getattr(hb, name)(*condition, text, x, by=2)

    with pytest.raises(ValueError, match=f"^{name}: {message}"):
        (f if mode == "eager" else hb.compile(f))(hb.asarray(X))


def test_fields_inside_of_formats_are_filled(capsys: pytest.CaptureFixture[str]) -> None:
    @hb.compile
    def f(x: hb.Tensor) -> None:
        hb.print("{0:>{width}}|{1[0]}|{{}}", "a", x, width=3)

    f(hb.asarray([1.0]))
    assert said(capsys) == ["  a|1.0|{}"]


class TestAssert:
    @pytest.mark.parametrize("mode", ["eager", "traced"])
    def test_it_raises_at_the_run_with_the_line(self, mode: str) -> None:
        def f(x: hb.Tensor) -> hb.Tensor:
            hb.assert_(x > -3, "too small: {} at {place}", x.min(), place="f")  # noqa: PT009
            return x * 2

        g = f if mode == "eager" else hb.compile(f)
        np.testing.assert_array_equal(g(hb.asarray(X)), X * 2)
        for _ in range(2):
            with pytest.raises(AssertionFailed, match=r"too small: -4.0 at f\n  at .*hb\.assert_"):
                g(hb.asarray(X * 2))

    def test_in_a_body_it_names_the_line_of_the_body(self) -> None:
        def step(c: hb.Tensor, v: hb.Tensor) -> Any:
            hb.assert_(v > 0)  # noqa: PT009 (this one)
            return c + v, None

        f = hb.compile(lambda x: hb.scan(step, 0.0, x)[0])
        assert f(hb.asarray(abs(X))).item() == 6
        with pytest.raises(AssertionError, match=r"does not hold\n.*this one"):
            f(hb.asarray(X))


class TestCallback:
    def test_results_have_the_containers_of_the_spec(self) -> None:
        spec = {"a": hb.TensorSpec((3,), hb.float32), "b": (hb.TensorSpec((), hb.int64),)}

        def f(x: hb.Tensor) -> Any:
            return hb.callback(lambda d: {"a": d["x"] * 2, "b": (7,)}, spec, {"x": x})

        for g in (f, hb.compile(f)):
            found = g(hb.asarray(X))
            np.testing.assert_array_equal(found["a"], X * 2)
            assert found["b"][0].item() == 7

    def test_it_keeps_its_order_and_its_arrays(self) -> None:
        seen: list[Any] = []

        @hb.compile
        def f(x: hb.Tensor) -> hb.Tensor:
            for i in range(3):
                hb.callback(seen.append, None, x * i)
            return x

        f(hb.asarray(X))
        f(hb.asarray(X * 10))
        expected = [X * i for i in range(3)] + [X * 10 * i for i in range(3)]
        for found, wanted in zip(seen, expected, strict=True):
            np.testing.assert_array_equal(found, wanted)

    def test_it_may_call_compiled_functions(self) -> None:
        double = hb.compile(lambda x: x * 2)
        spec = hb.TensorSpec((3,), hb.float32)
        f = hb.compile(lambda x: hb.callback(lambda a: double(hb.asarray(a)), spec, x + 1) - 1)
        for _ in range(2):
            np.testing.assert_array_equal(f(hb.asarray(X)), (X + 1) * 2 - 1)

    @pytest.mark.parametrize("mode", ["eager", "traced"])
    @pytest.mark.parametrize(
        ("returned", "kind", "text"),
        [
            (np.zeros(2, np.float32), ShapeError, r"returned float32\[2\], result_spec says"),
            (np.zeros(3), DTypeError, r"returned float64\[3\], result_spec says float32\[3\]"),
            ((1, 2), ShapeError, "result_spec is"),
        ],
    )
    def test_another_result_than_promised_is_an_error(
        self, returned: Any, kind: type[Exception], text: str, mode: str
    ) -> None:
        def f(x: hb.Tensor) -> hb.Tensor:
            return hb.callback(lambda a: returned, hb.TensorSpec((3,), hb.float32), x) + 1

        with pytest.raises(kind, match=text):
            (f if mode == "eager" else hb.compile(f))(hb.asarray(X))

    def test_no_gradient_flows_through_it(self) -> None:
        @hb.compile
        def f(x: hb.Tensor) -> hb.Tensor:
            return x * hb.callback(lambda a: a * 5, hb.TensorSpec((3,), hb.float32), x)

        x = hb.asarray(X)
        with hb.GradientTape() as tape:
            tape.watch(x)
            y = f(x)
        np.testing.assert_allclose(tape.gradient(y, x), X * 5)

    def test_what_is_no_array_is_refused(self) -> None:
        with pytest.raises(DTypeError, match="an argument is a str"):
            hb.callback(len, None, "x")
        with pytest.raises(DTypeError, match="result_spec has a str"):
            hb.callback(len, "x", X)


def test_effects_are_part_of_the_printed_graph_and_the_drawing() -> None:
    f = hb.compile(in_a_scan)
    f(hb.asarray(X))
    assert "print(%0, %1, message='{} + {}')" in str(f.concrete_functions[0].graph)
    boxes = {box.title: box.lines for box in hb.draw(f).panels[0].boxes}
    assert boxes["scan"][:2] == ("carries=1, length=3, xs=1", "step: print, add")
    assert "print" in boxes


def test_effects_before_an_error_happen() -> None:
    seen: list[float] = []

    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        hb.callback(lambda a: seen.append(float(a)), None, x.sum())
        raise KeyError("of the user")

    with pytest.raises(KeyError):
        f(hb.asarray(X))
    assert seen == [2.0]
