"""Drivers: readable text, errors with the user's line, calls from many threads at once."""

from __future__ import annotations

import sys
import threading
import traceback
from typing import Any

import numpy as np
import pytest

from hybrid.core.graph import Const, FuncGraph
from hybrid.core.op import Op
from hybrid.core.source import SourceLine, user_frame
from hybrid.core.spec import TensorSpec
from hybrid.errors import IndexingError
from hybrid.runtime.plan import Plan, make_plan
from tests.runtime.graphs import (
    Sketch,
    add_bias,
    draw_arrays,
    f32,
    layouts_of,
    softmax,
)

pytestmark = pytest.mark.usefixtures("numpy_kernels")


def library_op(name: str, eager: Any) -> Op:
    """An op that no kernel can hold, outside the registry."""
    return Op(name, "test", lambda x: x, lambda xp, x: eager(x))


def call(sketch: Sketch, op: Op, x: Any) -> Any:
    line = SourceLine("model.py", len(sketch.builder.nodes) + 1, sketch.name)
    return sketch.builder.emit(op, (x,), {}, line)[0]


def network() -> FuncGraph:
    """Two layers and a softmax."""
    sketch = Sketch("net")
    x, w, b, v = sketch.input(4, 8), sketch.capture(8, 6), sketch.capture(6), sketch.capture(6, 5)
    (hidden,) = sketch.fused(sketch("matmul", x, w), b, body=add_bias(4, 6))
    product = sketch("matmul", hidden, v)
    (y,) = sketch.fused(product, body=softmax(4, 5))
    turned = sketch("permute_dims", w, axes=(1, 0))
    gram = sketch("matmul", hidden, turned)
    picked = sketch("concat", gram, gram, axis=1)
    return sketch.graph(y, picked, Const(1.0, f32))


def plan_of(graph: FuncGraph) -> tuple[Plan, list[Any]]:
    import random

    arrays = [np.ascontiguousarray(x) for x in draw_arrays(random.Random(0), graph)]
    return make_plan(graph, layouts_of(arrays)), arrays


def test_text_of_a_driver() -> None:
    plan, _ = plan_of(network())
    assert plan.source == (
        "def plan_net(x0, c0, c1, c2):\n"
        "    try:\n"
        "        workspace = pool.pop()\n"
        "    except IndexError:\n"
        "        workspace = new_workspace()\n"
        "    t0, t1, = workspace\n"
        "    try:\n"
        "        x0.dot(c0, t0)  # model.py:1\n"
        "        k0(0, g0, t0, c1, t0)  # model.py:2\n"
        "        o0 = empty((4, 5), float32)\n"
        "        t0.dot(c2, o0)  # model.py:3\n"
        "        k1(0, g1, o0, o0)  # model.py:4\n"
        "        v0 = c0.T\n"
        "        t0.dot(v0, t1)  # model.py:6\n"
        "        r0 = adopt(hb_concat(np, t1, t1, axis=1), "
        '(4, 16), float32, "K", t1)  # model.py:7\n'
        "        return (o0, r0, q0.copy())\n"
        "    except Exception as error:\n"
        "        raise explained(error) from error.__cause__\n"
        "    finally:\n"
        "        pool.append(workspace)\n"
    )


def test_plan_without_temporaries_has_no_workspace() -> None:
    sketch = Sketch("f")
    plan, _ = plan_of(sketch.graph(*sketch.fused(sketch.input(2, 3), body=softmax(2, 3))))
    assert plan.source == (
        "def plan_f(x0):\n"
        "    try:\n"
        "        o0 = empty((2, 3), float32)\n"
        "        k0(0, g0, x0, o0)  # model.py:1\n"
        "        return (o0,)\n"
        "    except Exception as error:\n"
        "        raise explained(error) from error.__cause__\n"
    )


def test_large_library_results_are_released_when_read() -> None:
    sketch = Sketch("f")
    x = sketch.input(300, 300)
    doubled = sketch("concat", x, x, axis=0)
    turned = sketch("permute_dims", doubled, axes=(1, 0))
    again = sketch("concat", turned, turned, axis=0)
    (y,) = sketch.multi("concat", again, again, axis=0)
    plan, arrays = plan_of(sketch.graph(y))
    lines = [line.strip() for line in plan.source.split("\n")]
    assert "del r0, v0" in lines
    assert "del r1" in lines
    plan.run(*arrays)


# --- errors ---------------------------------------------------------------------------------------


def fail(x: Any) -> Any:
    raise ZeroDivisionError("no way")


def test_errors_carry_the_line_of_the_user() -> None:
    sketch = Sketch("f")
    (y,) = sketch.fused(sketch.input(2, 3), body=softmax(2, 3))
    plan, arrays = plan_of(sketch.graph(call(sketch, library_op("shaky", fail), y)))
    with pytest.raises(ZeroDivisionError, match="no way") as caught:
        plan.run(*arrays)
    assert caught.value.__notes__ == ["in hb.shaky at model.py:2 in f"]


def test_errors_of_hybrid_name_the_line_in_their_text() -> None:
    def refuse(x: Any) -> Any:
        raise IndexingError("index 9 is out of bounds")

    sketch = Sketch("f")
    plan, arrays = plan_of(sketch.graph(call(sketch, library_op("pick", refuse), sketch.input(2))))
    with pytest.raises(IndexingError) as caught:
        plan.run(*arrays)
    assert str(caught.value) == "index 9 is out of bounds\n  at model.py:1 in f"


def test_errors_in_fused_nodes_name_their_ops() -> None:
    body = Sketch("body")
    x = body.input(2, dtype="complex64")
    graph = body.graph(body("exp", x))
    sketch = Sketch("f")
    plan, _ = plan_of(sketch.graph(*sketch.fused(sketch.input(2, dtype="complex64"), body=graph)))
    with pytest.raises(TypeError) as caught:
        plan.run("not an array")
    assert caught.value.__notes__ == ["in fused(exp) at model.py:1 in f"]


def test_a_library_function_that_breaks_its_promise_is_found_out() -> None:
    sketch = Sketch("f")
    op = library_op("odd", lambda x: x[:1])
    plan, arrays = plan_of(sketch.graph(call(sketch, op, sketch.input(2))))
    with pytest.raises(RuntimeError, match=r"shape \(2,\) was promised, this one has \(1,\)"):
        plan.run(*arrays)


def test_tracebacks_show_the_driver() -> None:
    sketch = Sketch("f")
    plan, arrays = plan_of(sketch.graph(call(sketch, library_op("shaky", fail), sketch.input(2))))
    with pytest.raises(ZeroDivisionError) as caught:
        plan.run(*arrays)
    assert "hb_shaky(np, x0)" in "".join(traceback.format_exception(caught.value))


def test_a_driver_is_no_code_of_the_user() -> None:
    seen: list[Any] = []

    def look(x: Any) -> Any:
        frame = user_frame()
        assert frame is not None
        while frame.f_code.co_filename == __file__ and frame.f_code.co_name in ("look", "<lambda>"):
            assert frame.f_back is not None
            frame = frame.f_back
        seen.append(sys.modules["hybrid.core.source"].is_framework(frame.f_code))
        return x.copy()

    sketch = Sketch("f")
    plan, arrays = plan_of(sketch.graph(call(sketch, library_op("look", look), sketch.input(2))))
    plan.run(*arrays)
    assert seen == [True]


def test_the_workspace_comes_back_after_an_error() -> None:
    seen: list[int] = []
    fails = True

    def sometimes(x: Any) -> Any:
        seen.append(x.ctypes.data)
        if fails:
            raise ValueError
        return x.copy()

    sketch = Sketch("f")
    x = sketch.input(2, 2)
    product = sketch("matmul", x, x)
    plan, arrays = plan_of(sketch.graph(call(sketch, library_op("sometimes", sometimes), product)))
    for _ in range(3):
        with pytest.raises(ValueError):
            plan.run(*arrays)
    fails = False
    plan.run(*arrays)
    assert len(set(seen)) == 1


# --- results of library functions -----------------------------------------------------------------


def test_a_result_inside_the_workspace_or_an_argument_is_copied() -> None:
    sketch = Sketch("f")
    x = sketch.input(2, 2)
    same = call(sketch, library_op("same", lambda x: x), x)
    product = sketch("matmul", x, x)
    part = call(sketch, library_op("view", lambda x: x[:]), product)
    other = sketch("matmul", x, part)
    third = sketch("matmul", other, other)
    plan, arrays = plan_of(sketch.graph(same, part, third))
    same_array, part_array, _ = plan.run(*arrays)
    assert same_array is not arrays[0]
    np.testing.assert_array_equal(part_array, arrays[0] @ arrays[0])
    before = part_array.copy()
    plan.run(arrays[0] + 1)
    np.testing.assert_array_equal(part_array, before)


def test_results_are_put_in_order_for_kernels() -> None:
    sketch = Sketch("f")
    turned = call(sketch, library_op("turn", lambda x: x.T.copy().T), sketch.input(3, 3))
    (y,) = sketch.fused(turned, body=softmax(3, 3))
    plan, arrays = plan_of(sketch.graph(y, turned))
    np.testing.assert_array_equal(plan.run(*arrays)[1], arrays[0])
    assert '"C"' in plan.source


def test_several_results_do_not_share_memory() -> None:
    op = Op(
        "halves",
        "test",
        lambda x: (TensorSpec((2,), f32), TensorSpec((2,), f32)),
        lambda xp, x: (lambda y: (y[:2], y[1:3]))(x + 1),
        multi=True,
    )
    sketch = Sketch("f")
    line = SourceLine("model.py", 1, "f")
    first, second = sketch.builder.emit(op, (sketch.input(4),), {}, line)
    plan, arrays = plan_of(sketch.graph(first, second))
    a, b = plan.run(*arrays)
    assert not np.shares_memory(a, b)
    np.testing.assert_array_equal(b, arrays[0][1:3] + 1)


def test_ops_of_one_name_are_told_apart() -> None:
    sketch = Sketch("f")
    x = sketch.input(2)
    one = call(sketch, library_op("<lambda>", lambda x: x + 1), x)
    two = call(sketch, library_op("<lambda>", lambda x: x * 2), one)
    plan, arrays = plan_of(sketch.graph(two))
    np.testing.assert_array_equal(plan.run(*arrays)[0], (arrays[0] + 1) * 2)


# --- threads --------------------------------------------------------------------------------------


def test_many_threads_may_run_one_plan() -> None:
    plan, arrays = plan_of(network())
    x, *rest = arrays
    inputs = [x + k for k in range(8)]
    wanted = [plan.run(x, *rest) for x in inputs]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(30):
            outputs = plan.run(inputs[k], *rest)
            if not all(map(np.array_equal, outputs, wanted[k])):
                wrong.append(k)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []


def test_a_plan_may_call_itself() -> None:
    depth = 0

    def again(x: Any) -> Any:
        nonlocal depth
        before = x.copy()
        depth += 1
        if depth < 4:
            plan.run(*(array + depth for array in arrays))
        np.testing.assert_array_equal(x, before)
        return before

    sketch = Sketch("f")
    x = sketch.input(2, 2)
    product = sketch("matmul", x, x)
    plan, arrays = plan_of(sketch.graph(call(sketch, library_op("again", again), product)))
    np.testing.assert_array_equal(plan.run(*arrays)[0], arrays[0] @ arrays[0])
    assert depth == 4
