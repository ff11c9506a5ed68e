"""print: what eager code prints is printed at every call, once and in the same order."""

from __future__ import annotations

import builtins
import contextlib
import io
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import EagerFallbackWarning

UP = np.array([1.0, 2.0, 3.0], np.float32)

say = print


def printed(f: Callable[..., Any], *args: Any) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(ValueError, np.linalg.LinAlgError):
        f(*args)
    return out.getvalue()


def plain(x: hb.Tensor) -> Any:
    print("a {brace}", 1, 2.5, None, sep="-{}-", end="!\n", flush=True)
    print()
    return x * 2


def around_hb_print(x: hb.Tensor) -> Any:
    print("before")
    y = x * 2
    hb.print("sum {}", y.sum())
    print("after")
    return y


def with_a_shape(x: hb.Tensor) -> Any:
    print(x.shape, len(x), x.dtype, f"{x.ndim} axes")
    return x


def by_another_name(x: hb.Tensor) -> Any:
    list(map(print, ["a", "b"]))
    say("alias")
    return x


def in_a_helper(x: hb.Tensor) -> Any:
    return plain(by_another_name(x))


def around_writes(x: hb.Tensor) -> Any:
    print("one")
    x[0] = 5.0
    print("two")
    return x * 2


def before_it_raises(x: hb.Tensor) -> Any:
    print("before")
    if x.sum() > 0:
        raise ValueError("positive")
    print("after")
    return x


def before_an_op_raises(x: hb.Tensor) -> Any:
    print("before")
    y = hb.linalg.inv(x * hb.zeros((3, 3)))
    print("after")
    return y


def in_a_scan(x: hb.Tensor) -> Any:
    def step(c: hb.Tensor, v: hb.Tensor) -> Any:
        print("step")
        return c + v, None

    return hb.scan(step, 0.0, x)


def in_branches(x: hb.Tensor) -> Any:
    def positive(x: hb.Tensor) -> hb.Tensor:
        print("positive")
        return x

    def negative(x: hb.Tensor) -> hb.Tensor:
        print("negative")
        return -x

    return hb.cond(x.sum() > 0, positive, negative, x)


def in_a_while(x: hb.Tensor) -> Any:
    def small(c: hb.Tensor) -> hb.Tensor:
        print("small?")
        return c.sum() < 20

    def double(c: hb.Tensor) -> hb.Tensor:
        print("double")
        return c * 2

    return hb.while_loop(small, double, abs(x))


def in_a_for_loop(x: hb.Tensor) -> Any:
    for _ in range(50):
        x = x * 0.9
        print(".", end="")
    return x


def counting_steps(x: hb.Tensor) -> Any:
    for i in range(60):
        x = x * 0.9
        if i % 20 == 0:
            print("step", i)
    return x


def until_it_is_small(x: hb.Tensor) -> Any:
    steps = 0
    while abs(x).sum() > 0.1:
        x = x * 0.5
        steps += 1
        print("again", steps)
    return x


def left_by_break(x: hb.Tensor) -> Any:
    for i in range(100):
        x = x * 0.5
        print(i, end=" ")
        if abs(x).sum() < 0.1:
            break
    print("done")
    return x


def in_a_gradient(x: hb.Tensor) -> Any:
    def loss(x: hb.Tensor) -> hb.Tensor:
        print("loss")
        return (x * x).sum()

    return hb.grad(loss)(x)


def in_a_vmap(x: hb.Tensor) -> Any:
    def double(v: hb.Tensor) -> hb.Tensor:
        print("one for all")
        return v * 2

    return hb.vmap(double)(x)


def into_text_of_its_own(x: hb.Tensor) -> Any:
    out = io.StringIO()
    print("abc", file=out)
    with contextlib.redirect_stdout(out):
        print("de")
    print("got", out.getvalue())
    return x * len(out.getvalue())


@pytest.mark.parametrize(
    "f",
    [
        plain,
        around_hb_print,
        with_a_shape,
        by_another_name,
        in_a_helper,
        around_writes,
        before_it_raises,
        before_an_op_raises,
        in_a_scan,
        in_branches,
        in_a_while,
        in_a_for_loop,
        counting_steps,
        until_it_is_small,
        left_by_break,
        in_a_gradient,
        in_a_vmap,
        into_text_of_its_own,
    ],
)
def test_what_is_printed_is_printed_at_every_call_and_in_order(f: Callable[..., Any]) -> None:
    compiled = hb.compile(f)
    for x in (UP, UP, -UP, UP, 4 * UP, -UP):
        expected = printed(f, hb.asarray(x.copy()))
        assert printed(compiled, hb.asarray(x.copy())) == expected != ""


def test_a_compiled_function_that_prints_is_replayed() -> None:
    compiled = hb.compile(plain, fullgraph=True)
    printed(compiled, hb.asarray(UP))
    printed(compiled, hb.asarray(UP))
    assert "1 trace, 1 call replayed" in compiled.explain()


def test_an_int_argument_that_is_printed_stays_an_input_of_the_trace() -> None:
    def f(x: hb.Tensor, i: int) -> hb.Tensor:
        print("step", i)
        return x + i

    compiled = hb.compile(f)
    for i in range(6):
        assert printed(compiled, hb.asarray(UP), i) == f"step {i}\n"
    assert "2 traces, 4 calls replayed" in compiled.explain()


def test_the_stream_is_that_of_the_run() -> None:
    def f(x: hb.Tensor) -> hb.Tensor:
        print("a")
        print("b", file=sys.stderr)
        return x

    compiled = hb.compile(f)
    for _ in range(3):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            compiled(hb.asarray(UP))
        assert (out.getvalue(), err.getvalue()) == ("a\n", "b\n")


def test_what_is_printed_to_a_file_is_there_after_every_call(tmp_path: Path) -> None:
    path = tmp_path / "log"

    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        with open(path, "a") as file:
            print("line", file=file)
        return x

    with pytest.warns(EagerFallbackWarning, match="prints to a file"):
        f(hb.asarray(UP))
    f(hb.asarray(UP))
    assert path.read_text() == "line\nline\n"


def test_a_body_that_prints_to_text_outside_runs_eagerly() -> None:
    def f(x: hb.Tensor) -> Any:
        out = io.StringIO()

        def step(c: hb.Tensor, v: hb.Tensor) -> Any:
            print("step", file=out)
            return c + v, None

        hb.scan(step, 0.0, x)
        return x * len(out.getvalue())

    compiled = hb.compile(f)
    with pytest.warns(EagerFallbackWarning, match="prints to a file"):
        found = compiled(hb.asarray(UP))
    assert found.tolist() == f(hb.asarray(UP)).tolist() == (15 * UP).tolist()


def test_a_function_that_prints_an_address_runs_eagerly() -> None:
    def f(x: hb.Tensor) -> hb.Tensor:
        print(object())
        return x if x.sum() > 0 else -x

    compiled = hb.compile(f)
    with pytest.warns(EagerFallbackWarning, match="prints an address"):
        assert " at 0x" in printed(compiled, hb.asarray(UP))
    for x in (-UP, UP):
        assert " at 0x" in printed(compiled, hb.asarray(x))


def test_what_print_refuses_is_refused() -> None:
    @hb.compile
    def f(x: hb.Tensor, **options: Any) -> hb.Tensor:
        print("a", **options)
        return x

    with pytest.raises(TypeError, match="sep must be None or a string"):
        f(hb.asarray(UP), sep=3)
    with pytest.raises(TypeError, match="keyword argument"):
        f(hb.asarray(UP), color="red")


def test_what_stands_for_print_looks_like_it() -> None:
    @hb.compile
    def f(x: hb.Tensor) -> Any:
        same = print == builtins.print
        return x, (same, callable(print), repr(print), pickle.dumps(print), print.__name__)

    held = f(hb.asarray(UP))[1]
    assert held[:3] == (True, True, repr(print))
    assert pickle.loads(held[3])("", end="") is None
    assert held[4] == "print"
