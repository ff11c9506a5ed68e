"""A compiled function gives the eager result, whatever the shape of the call and of the code."""

from __future__ import annotations

import threading
import warnings
from xml.etree.ElementTree import Element

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import EagerFallbackWarning, LeakedTensorError, RetraceWarning, TraceError


def arange(*shape: int, dtype: str = "float32") -> hb.Tensor:
    n = int(np.prod(shape))
    return hb.asarray((np.arange(n).reshape(shape) / 7 - 1).astype(dtype))


def same(a: object, b: object) -> None:
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-6)


class TestCalls:
    def test_the_traced_result_equals_the_eager_one(self) -> None:
        def f(x: hb.Tensor, y: hb.Tensor) -> hb.Tensor:
            return hb.tanh(x * y + x) * hb.exp(-y) + hb.log(hb.abs(x) + 1)

        g = hb.compile(f)
        x, y = arange(5, 7), arange(7)
        for _ in range(3):
            same(g(x, y), f(x, y))
        assert g.cache_info() == (2, 1, 1)

    def test_positional_and_keyword_arguments_share_a_trace(self) -> None:
        @hb.compile
        def f(x: hb.Tensor, b: float = 2.0) -> hb.Tensor:
            return x * b

        x = arange(3)
        for result in (f(x), f(x, 2.0), f(x=x), f(x, b=2.0), f(b=2.0, x=x)):
            same(result, x.numpy() * 2)
        assert f.cache_info().misses == 1

    def test_arguments_keep_their_order_whatever_their_names(self) -> None:
        f = hb.compile(lambda z, a: z - a)
        x, y = arange(3), arange(3) * 3
        for _ in range(3):
            same(f(x, y), x.numpy() - y.numpy())
            same(f(y, x), y.numpy() - x.numpy())
            same(f(a=x, z=y), y.numpy() - x.numpy())

    def test_a_keyword_given_once_does_not_become_the_default(self) -> None:
        @hb.compile
        def f(x: hb.Tensor, *, k: int = 2, rate: float = 0.5) -> hb.Tensor:
            return x * k * rate

        x = arange(3)
        for _ in range(3):
            same(f(x), x.numpy())
            same(f(x, k=4), x.numpy() * 2)
            same(f(x, rate=1.5), x.numpy() * 3)

    def test_a_python_float_is_an_input_and_does_not_retrace(self) -> None:
        @hb.compile
        def f(x: hb.Tensor, rate: float) -> hb.Tensor:
            return x * rate

        x = arange(3)
        for i in range(20):
            result = f(x, i / 3)
            assert result.dtype == hb.float32
            same(result, x.numpy() * np.float32(i / 3))
        assert f.cache_info().misses == 1

    def test_isinstance_sees_the_python_scalar_that_was_passed(self) -> None:
        def f(x: hb.Tensor, rate: object) -> hb.Tensor:
            return x * rate if isinstance(rate, float) else x

        same(hb.compile(f)(arange(3), 3.0), arange(3).numpy() * 3)

    @pytest.mark.parametrize("dtype", ["int8", "int32", "uint16", "float32"])
    def test_python_scalars_are_weak_in_every_op(self, dtype: str) -> None:
        def f(x: hb.Tensor) -> tuple[hb.Tensor, ...]:
            y = x * 1
            y[1] = 3
            return x**3, x + 1, hb.where(x > 1, x, 0), y, hb.maximum(x, 2)

        x = hb.asarray(np.arange(4).astype(dtype))
        for got, want in zip(hb.compile(f)(x), f(x), strict=True):
            assert got.dtype == want.dtype
            same(got, want)

    def test_scalar_results_of_scalar_arguments_stay_python_scalars(self) -> None:
        def f(x: float) -> float:
            return x * 2.0 + 1

        result = hb.compile(f)(0.1)
        assert type(result) is float
        assert result == f(0.1)

    def test_true_one_and_one_point_zero_have_traces_of_their_own(self) -> None:
        @hb.compile
        def f(x: hb.Tensor, n: object) -> hb.Tensor:
            return x + (10 if n is True else n)

        x = arange(3)
        same(f(x, 1), x.numpy() + 1)
        same(f(x, True), x.numpy() + 10)
        same(f(x, 1.0), x.numpy() + 1)

    def test_containers_go_in_and_out(self) -> None:
        @hb.compile
        def f(batch: dict[str, object]) -> dict[str, object]:
            a, (b, c) = batch["a"], batch["pair"]
            return {"sum": a + b, "rest": [c, None, "text", (a * c,)]}

        x = arange(4)
        for _ in range(2):
            out = f({"pair": (x, x + 1), "a": x})
            same(out["sum"], x.numpy() * 2)
            assert out["rest"][1:3] == [None, "text"]
            same(out["rest"][3][0], x.numpy() * (x.numpy() + 1))
        assert f.cache_info().misses == 1

    def test_methods_lambdas_and_closures_compile(self) -> None:
        class Scale:
            def __init__(self, by: float) -> None:
                self.by = hb.Variable(by)

            @hb.compile
            def __call__(self, x: hb.Tensor) -> hb.Tensor:
                return x * self.by

        x = arange(3)
        two, three = Scale(2.0), Scale(3.0)
        same(two(x), x.numpy() * 2)
        same(three(x), x.numpy() * 3)
        same(two(x), x.numpy() * 2)
        shift = hb.asarray(5.0)
        same(hb.compile(lambda v: v + shift)(x), x.numpy() + 5)

    def test_a_compiled_function_is_inlined_in_another(self) -> None:
        @hb.compile
        def inner(x: hb.Tensor) -> hb.Tensor:
            return x * 2

        @hb.compile
        def outer(x: hb.Tensor) -> hb.Tensor:
            return inner(x) + inner(x + 1)

        x = arange(3)
        same(outer(x), x.numpy() * 4 + 2)
        assert inner.cache_info().misses == 0

    def test_an_argument_returned_as_it_came_is_the_same_object(self) -> None:
        @hb.compile
        def f(x: hb.Tensor, y: hb.Tensor) -> tuple[hb.Tensor, ...]:
            z = x + y
            return x, z, z

        x, y = arange(3), arange(3)
        for _ in range(2):
            a, b, c = f(x, y)
            assert a is x
            assert b is c

    @pytest.mark.parametrize("index", [np.s_[::2], np.s_[::-1], np.s_[:, 1:3], np.s_[:, ::-2]])
    def test_arguments_may_lie_anyhow_in_memory(self, index: object) -> None:
        def f(x: hb.Tensor) -> hb.Tensor:
            return hb.exp(x) * 2 + x.sum(axis=0)

        x = np.linspace(-1, 1, 24, dtype=np.float32).reshape(4, 6)[index]
        traced = hb.compile(f)
        same(traced(x), f(hb.asarray(x)))
        same(
            traced(np.broadcast_to(x[:1], x.shape)), f(hb.asarray(np.broadcast_to(x[:1], x.shape)))
        )

    @pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (1, 5)])
    def test_small_and_empty_shapes(self, shape: tuple[int, ...]) -> None:
        def f(x: hb.Tensor) -> hb.Tensor:
            return (hb.tanh(x) + 1).sum()

        x = hb.asarray(np.ones(shape, np.float64))
        same(hb.compile(f)(x), f(x))


class TestCaptures:
    def test_a_captured_tensor_is_read_by_reference(self) -> None:
        w = hb.asarray(np.ones(3, np.float32))
        f = hb.compile(lambda x: x * w)
        x = arange(3)
        same(f(x), x)
        w[...] = 4.0
        same(f(x), x.numpy() * 4)

    def test_rebinding_a_captured_name_retraces(self) -> None:
        scope: dict[str, object] = {"hb": hb, "w": hb.asarray([1.0, 1.0, 1.0]), "k": 2}
        exec("def helper(x):\n    return x * k\ndef f(x):\n    return helper(x) * w\n", scope)
        f = hb.compile(scope["f"])
        x = arange(3)
        same(f(x), x.numpy() * 2)
        scope["w"] = hb.asarray([3.0, 3.0, 3.0])
        same(f(x), x.numpy() * 6)
        scope["k"] = 5
        same(f(x), x.numpy() * 15)
        exec("def helper(x):\n    return x + k\n", scope)
        same(f(x), (x.numpy() + 5) * 3)

    def test_attributes_of_self_are_not_baked_in(self) -> None:
        class Model:
            rate = 1.0

            def __init__(self) -> None:
                self.scale = 2
                self.layers = [1.0]

            @hb.compile
            def run(self, x: hb.Tensor) -> hb.Tensor:
                return x * self.scale + sum(self.layers)

        model, x = Model(), arange(3)
        same(model.run(x), x.numpy() * 2 + 1)
        model.scale = 7
        same(model.run(x), x.numpy() * 7 + 1)
        model.layers.append(4.0)
        same(model.run(x), x.numpy() * 7 + 5)

    def test_traces_die_with_the_objects_they_know(self) -> None:
        class Thing:
            def __init__(self) -> None:
                self.k = 3.0

        @hb.compile
        def f(thing: Thing, x: hb.Tensor) -> hb.Tensor:
            return x * thing.k

        x = arange(3)
        for _ in range(5):
            same(f(Thing(), x), x.numpy() * 3)
        assert f.cache_info().currsize <= 1


class TestVariables:
    def test_writes_are_seen_after_each_call(self) -> None:
        v = hb.Variable([1.0, 2.0])

        @hb.compile
        def step(x: hb.Tensor) -> hb.Tensor:
            v.assign_add(x)
            return v.read() * 2

        x = hb.asarray([1.0, 1.0])
        for i in range(1, 4):
            same(step(x), (np.array([1.0, 2.0]) + i) * 2)
            same(v, np.array([1.0, 2.0]) + i)

    def test_a_value_read_before_is_not_changed_by_a_write(self) -> None:
        v = hb.Variable([1.0, 2.0])
        old = v.read()
        hb.compile(lambda: v.assign(v.read() * 3))()
        same(old, [1, 2])
        same(v, [3, 6])

    def test_a_returned_value_is_the_one_before_the_assignment(self) -> None:
        v = hb.Variable([1.0, 2.0])

        @hb.compile
        def f() -> hb.Tensor:
            old = v.read()
            v.assign(old * 2)
            return old

        kept = [f() for _ in range(4)]
        for i, old in enumerate(kept):
            same(old, np.array([1.0, 2.0]) * 2**i)

    def test_swapping_two_variables(self) -> None:
        a, b = hb.Variable(1.0), hb.Variable(2.0)

        @hb.compile
        def swap() -> None:
            x, y = a.read(), b.read()
            a.assign(y)
            b.assign(x)

        for i in range(3):
            swap()
            assert (a.item(), b.item()) == ((2, 1) if i % 2 == 0 else (1, 2))

    def test_a_variable_made_in_the_first_trace_only(self) -> None:
        state: list[hb.Variable] = []

        @hb.compile
        def f(x: hb.Tensor) -> hb.Tensor:
            if not state:
                state.append(hb.Variable(hb.zeros((3,))))
            state[0].assign_add(x)
            return state[0].read()

        x = arange(3)
        f(x)
        same(f(x), x.numpy() * 2)

    def test_writes_land_even_if_a_later_line_raises(self) -> None:
        v = hb.Variable(1.0)

        @hb.compile
        def f(x: hb.Tensor) -> hb.Tensor:
            v.assign_add(1.0)
            raise KeyError("later")

        with pytest.raises(KeyError):
            f(arange(3))
        assert v.item() == 2.0


class TestWrites:
    def test_a_written_argument_is_written_for_the_caller(self) -> None:
        def f(x: hb.Tensor) -> hb.Tensor:
            x[1:] = x[:-1] * 2
            x += 1
            return x.sum()

        traced = hb.compile(f)
        for _ in range(3):
            a, b = np.arange(5.0), np.arange(5.0)
            same(traced(a), f(hb.asarray(b)))
            np.testing.assert_array_equal(a, b)
            t = hb.asarray(np.arange(5.0))
            traced(t)
            same(t, b)

    def test_aliases_see_writes(self) -> None:
        def f(x: hb.Tensor) -> tuple[hb.Tensor, ...]:
            y = x * 1
            row = y[1]
            column = y.T[0]
            row[...] = 7
            before = column * 1
            y *= 2
            column[0] = -1
            return y, row * 1, before, column * 1

        x = arange(3, 4)
        for result in (hb.compile(f)(x), hb.compile(f)(x)):
            for got, want in zip(result, f(x), strict=True):
                same(got, want)

    def test_a_view_of_an_argument_returned_is_still_a_view(self) -> None:
        @hb.compile
        def f(x: hb.Tensor) -> hb.Tensor:
            return x[1:]

        x = arange(4)
        for _ in range(2):
            y = f(x)
            y[0] = 42
            assert x.numpy()[1] == 42

    def test_captured_arrays_are_written_in_place(self) -> None:
        log = np.zeros(3)

        @hb.compile
        def f(x: hb.Tensor) -> hb.Tensor:
            out = hb.asarray(log)
            out[0] = x.sum()
            return out * 2

        f(hb.asarray([1.0, 2.0]))
        same(f(hb.asarray([1.0, 4.0])), [10, 0, 0])
        same(log, [5, 0, 0])

    def test_arguments_that_overlap_are_written_as_in_eager_code(self) -> None:
        def f(x: hb.Tensor, y: hb.Tensor) -> hb.Tensor:
            x += 1
            return y * 2

        traced = hb.compile(f)
        for _ in range(3):  # a trace of separate arrays is known by the second round
            base = np.zeros(6)
            with pytest.warns(EagerFallbackWarning, match="shares memory"):
                same(traced(base[:4], base[2:]), [2, 2, 0, 0])
            apart = hb.zeros(4, dtype=hb.float64)
            same(traced(apart, hb.zeros(4, dtype=hb.float64)), [0, 0, 0, 0])
            twice = hb.zeros(4, dtype=hb.float64)
            same(traced(twice, twice), [2, 2, 2, 2])

    def test_arguments_that_overlap_and_are_only_read_are_traced(self) -> None:
        traced = hb.compile(lambda x, y: y - x)
        base = hb.asarray(np.arange(6.0) ** 2)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for _ in range(3):
                same(traced(base[:-1], base[1:]), np.diff(base.numpy()))
        assert traced.cache_info().misses == 1

    @pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
    def test_a_captured_tensor_passed_as_an_argument_is_seen_to_be_the_same(self) -> None:
        buf = hb.zeros(4)

        def reads(x: hb.Tensor) -> hb.Tensor:
            x += 1
            return buf * 2

        def writes(x: hb.Tensor) -> hb.Tensor:
            buf[1:] += 1
            return x * 2

        for f, expected in ((reads, [2, 2, 2, 2]), (writes, [0, 2, 2, 2])):
            traced = hb.compile(f)
            for argument in (buf, hb.zeros(4), buf, hb.zeros(4), buf):
                buf[...] = 0
                result = traced(argument)
                want = expected if argument is buf else np.zeros(4)
                same(result, want)

    def test_the_same_tensor_twice(self) -> None:
        def f(x: hb.Tensor, y: hb.Tensor) -> hb.Tensor:
            x += 1
            return x * y

        a, b = arange(3), arange(3)
        same(hb.compile(f)(a, a), f(b, b))
        same(a, b)


class TestGuards:
    def test_both_branches_of_an_if_on_a_tensor(self) -> None:
        calls = []

        @hb.compile
        def f(x: hb.Tensor) -> hb.Tensor:
            calls.append(1)
            y = x * 2
            if x.sum() > 0:
                return y * x
            return -y

        for sign in (1.0, -1.0, 1.0, -1.0, 3.0):
            x = hb.asarray(np.full(3, sign, np.float32))
            same(f(x), x.numpy() * 2 * x.numpy() if sign > 0 else -2 * x.numpy())
        assert len(calls) == 2

    def test_while_and_break_and_short_circuits(self) -> None:
        def f(x: hb.Tensor) -> hb.Tensor:
            n = 0
            while x.sum() < 100 and n < 50:
                x = x * 2
                n += 1
                if x.max() > 60:
                    break
            return x + n

        traced = hb.compile(f)
        for start in (1.0, 3.0, 50.0, 200.0, 1.0):
            x = hb.asarray(np.full(3, start))
            same(traced(x), f(x))

    def test_int_and_range_of_a_tensor(self) -> None:
        def f(x: hb.Tensor, n: hb.Tensor) -> hb.Tensor:
            for i in range(int(n)):
                x = x + i
            return x.reshape(n, -1) if n > 1 else x

        traced = hb.compile(f)
        x = arange(6)
        for n in (1, 2, 3, 2):
            same(traced(x, hb.asarray(n)), f(x, hb.asarray(n)))

    def test_a_write_before_a_guard_is_not_done_twice(self) -> None:
        v = hb.Variable(0.0)

        @hb.compile
        def f(x: hb.Tensor) -> hb.Tensor:
            v.assign_add(1.0)
            if x.sum() > 0:
                v.assign_add(10.0)
            return v.read() * 1

        expected = 0.0
        for sign in (1, -1, 1, -1, -1):
            expected += 11 if sign > 0 else 1
            same(f(hb.asarray([float(sign)])), expected)
            assert v.item() == expected

    def test_an_old_value_survives_a_write_across_a_guard(self) -> None:
        def f(x: hb.Tensor) -> hb.Tensor:
            old = x * 1
            keep = x.sum()
            x += 1
            if x.sum() > 0:
                return old + x + keep
            return old - x

        traced = hb.compile(f)
        for start in (1.0, -5.0, 2.0, -7.0):
            a, b = np.full(3, start), np.full(3, start)
            same(traced(a), f(hb.asarray(b)))
            np.testing.assert_array_equal(a, b)

    def test_fullgraph_refuses_a_guard(self) -> None:
        @hb.compile(fullgraph=True)
        def f(x: hb.Tensor) -> hb.Tensor:
            return x if x.sum() > 0 else -x

        with pytest.raises(TraceError, match=r"fullgraph=True.*bool"):
            f(arange(3))


class TestEagerFallback:
    def test_float_of_a_traced_value_goes_on_eagerly_with_one_warning(self) -> None:
        seen = []

        @hb.compile
        def f(x: hb.Tensor) -> hb.Tensor:
            y = x * 2
            row = y[1:]
            seen.append(float(y.sum()))
            row += 1
            return y + seen[-1]

        def eager(a: np.ndarray) -> np.ndarray:
            y = a * 2
            total = y.sum()
            y[1:] += 1
            return y + total

        x = arange(3)
        with pytest.warns(EagerFallbackWarning, match=r"float\(\)") as caught:
            same(f(x), eager(x.numpy()))
        assert "test_compile.py" in str(caught[0].message)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            same(f(x + 1), eager(x.numpy() + 1))
        assert len(seen) == 2

    def test_numpy_code_that_wants_an_array_still_gives_the_right_result(self) -> None:
        @hb.compile
        def f(x: hb.Tensor) -> hb.Tensor:
            order = np.argsort((x * 1.0).__array__())
            return x[order]

        x = hb.asarray([3.0, 1.0, 2.0])
        with pytest.warns(EagerFallbackWarning):
            same(f(x), [1, 2, 3])
        same(f(x * -1), [-3, -2, -1])

    def test_what_wants_an_array_is_named_as_the_user_calls_it(self) -> None:
        def drawn(x: hb.Tensor) -> hb.Tensor:
            rng = np.random.default_rng(0)
            # fmt: off
            return rng.multivariate_normal(
                x * 2,
                np.eye(3))
            # fmt: on

        def shown(x: hb.Tensor) -> hb.Tensor:
            return (x * 2).__array__()

        for f, name in ((drawn, "rng.multivariate_normal"), (shown, r"\(x \* 2\).__array__")):
            with pytest.warns(EagerFallbackWarning, match=f"{name}, which wants an array, needs"):
                same(hb.compile(f)(arange(3)), f(arange(3)))

    def test_writes_before_and_after_the_fallback_reach_the_caller(self) -> None:
        v = hb.Variable([0.0])

        @hb.compile
        def f(x: hb.Tensor) -> float:
            x += 1
            v.assign_add([1.0])
            total = float(x.sum())
            x += 1
            v.assign_add([total])
            return total

        a = np.zeros(2)
        with pytest.warns(EagerFallbackWarning):
            assert f(a) == 2.0
        same(a, [2, 2])
        same(v, [3])

    def test_a_leaked_tensor_names_its_line(self) -> None:
        kept = Element("box")  # in C: nothing shows what is in it

        @hb.compile
        def f(x: hb.Tensor) -> hb.Tensor:
            y = x * 3
            kept.set("y", y)  # type: ignore[arg-type]
            return y + 1

        f(arange(3))
        leaked = kept.get("y")
        with pytest.raises(LeakedTensorError, match=r"y = x \* 3"):
            leaked + 1
        with pytest.raises(LeakedTensorError):
            leaked.numpy()

    def test_shape_errors_name_both_shapes_the_op_and_the_line(self) -> None:
        @hb.compile
        def f(x: hb.Tensor, y: hb.Tensor) -> hb.Tensor:
            return x + y  # the culprit

        with pytest.raises(ValueError, match=r"add.*\(3,\).*\(4,\)(.|\n)*the culprit"):
            f(arange(3), arange(4))
        same(f(arange(3), arange(3)), arange(3).numpy() * 2)


class TestLocalArrays:
    """Arrays that a function makes with NumPy are new at each call."""

    def test_accumulators_start_anew(self) -> None:
        def f(x: hb.Tensor) -> tuple[hb.Tensor, hb.Tensor]:
            total = np.zeros(3, np.float32)
            other = hb.asarray([1.0, 2.0, 3.0])
            total = hb.asarray(total)
            total += x
            other *= x
            return total, other

        traced = hb.compile(f)
        for k in (1.0, 2.0, 3.0, 4.0):
            x = hb.asarray(np.full(3, k, np.float32))
            for got, want in zip(traced(x), f(x), strict=True):
                same(got, want)

    def test_plain_ndarrays_start_anew(self) -> None:
        def f(x: hb.Tensor) -> np.ndarray:
            total = np.zeros(3, np.float32)
            total += x
            return total

        traced = hb.compile(f)
        for k in (1.0, 2.0, 3.0, 4.0):
            x = hb.asarray(np.full(3, k, np.float32))
            same(traced(x), f(x))

    @pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
    def test_what_numpy_itself_writes_between_two_uses_is_seen(self) -> None:
        def f(x: hb.Tensor) -> hb.Tensor:
            a = np.zeros(3, np.float32)
            y = x + a
            a[0] = 1
            return y * 10 + a

        traced = hb.compile(f)
        for k in (1.0, 2.0, 3.0):
            x = hb.asarray(np.full(3, k, np.float32))
            same(traced(x), f(x))

    @pytest.mark.parametrize("turn", [False, True])
    def test_a_reshape_is_a_view_where_it_is_one_in_eager_code(self, turn: bool) -> None:
        def f(x: hb.Tensor) -> hb.Tensor:
            flat = (x.T if turn else x).reshape(-1)
            flat[0] = 99
            return flat.sum()

        traced = hb.compile(f)
        for k in range(6):
            a = np.arange(12.0).reshape(3, 4)
            b = a.copy()
            first, second = (a, b) if k % 2 else (a.T.copy().T, b.T.copy().T)
            same(traced(first), f(hb.asarray(second)))
            np.testing.assert_array_equal(first, second)

    def test_a_constant_that_is_returned_is_not_changed_by_the_caller(self) -> None:
        def f(x: hb.Tensor) -> hb.Tensor:
            return hb.asarray([1.0, 2.0]) * 1 if x is None else hb.asarray([1.0, 2.0])

        traced = hb.compile(f)
        for _ in range(4):
            result = traced(hb.zeros(2))
            same(result, [1, 2])
            result += 5

    def test_across_a_guard(self) -> None:
        def f(x: hb.Tensor) -> hb.Tensor:
            total = hb.asarray([0.0, 0.0])
            total += x
            if x.sum() > 0:
                total += 1
            return total

        traced = hb.compile(f)
        for k in (1.0, -1.0, 2.0, -2.0, 3.0):
            x = hb.asarray([k, k])
            same(traced(x), f(x))

    def test_a_captured_array_that_is_returned_is_itself(self) -> None:
        w = hb.zeros(3)

        @hb.compile
        def f(x: hb.Tensor) -> tuple[hb.Tensor, hb.Tensor]:
            w[0] += x
            return w, w[1:]

        for k in range(3):
            whole, tail = f(1.0)
            assert whole is w
            tail[0] = 10 + k
            assert w.tolist() == [k + 1, 10 + k, 0]

    @pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
    def test_overlapping_captured_views_stay_tensors_of_their_memory(self) -> None:
        b = hb.zeros(6)
        u, w = b[:4], b[2:]

        def f(x: float) -> hb.Tensor:
            u[...] += x
            w[...] *= 2
            return b.sum()

        traced = hb.compile(f)
        for _ in range(3):
            b[...] = 1
            same(traced(1.0), 16.0)
            assert b.tolist() == [2, 2, 4, 4, 2, 2]


def test_a_function_first_called_under_a_tape_replays_outside_of_it() -> None:
    f = hb.compile(lambda x: hb.exp(x[:2]) * 2 + x[1:])
    x = hb.asarray(np.array([1.0, 2.0, 3.0]))
    for _ in range(2):
        with hb.GradientTape() as tape:
            tape.watch(x)
            y = f(x)
        assert tape.gradient(y, x) is not None
        for _ in range(3):
            same(f(x), np.exp(x.numpy()[:2]) * 2 + x.numpy()[1:])


class TestResults:
    def test_results_that_share_memory_share_it_in_both_modes(self) -> None:
        def f(x: hb.Tensor) -> tuple[hb.Tensor, ...]:
            y = x * 2
            return y[1:], y, y.T

        x = hb.asarray(np.ones((3, 3), np.float32))
        traced = hb.compile(f)
        for g in (traced, traced, f):
            tail, whole, turned = g(x)
            tail[0] = 7
            assert whole.numpy()[1, 0] == 7
            assert turned.numpy()[0, 1] == 7

    def test_text_made_from_a_value_is_that_of_the_value(self) -> None:
        f = hb.compile(lambda x: x * len(f"{hb.sum(x):.1f}"))
        with pytest.warns(EagerFallbackWarning, match="format"):
            same(f(hb.asarray([1.0, 2.0])), [3, 6])
        same(f(hb.asarray([100.0, 2.0])), [500, 10])

    def test_a_number_that_the_function_changes_itself_is_not_frozen(self) -> None:
        n = 0

        @hb.compile
        def f(x: hb.Tensor) -> hb.Tensor:
            nonlocal n
            n += 1
            return x * n

        for i in range(1, 5):
            same(f(hb.asarray([1.0])), [i])
        assert n == 4
        assert f.cache_info().hits == 2

    def test_random_numbers_are_the_same_in_both_modes_and_go_on(self) -> None:
        def f() -> tuple[hb.Tensor, ...]:
            return hb.random.normal((3,)), hb.random.uniform((2,)), hb.random.permutation(5)

        traced = hb.compile(f)
        hb.random.seed(3)
        wanted = [f() for _ in range(3)]
        hb.random.seed(3)
        for want in wanted:
            for a, b in zip(traced(), want, strict=True):
                np.testing.assert_array_equal(a.numpy(), b.numpy())
        assert traced.cache_info().misses == 1


class TestLooking:
    def test_explain_says_what_runs_and_what_memory_it_takes(self) -> None:
        @hb.compile
        def f(x: hb.Tensor) -> hb.Tensor:
            return hb.sum(hb.exp(x @ x) @ x)

        f(hb.ones((16, 16)))
        assert "2 kernels, 2 library calls, temporaries 2 KiB" in f.explain()

    def test_explain_says_why_it_was_traced_again(self) -> None:
        @hb.compile
        def f(x: hb.Tensor, mode: str = "a") -> hb.Tensor:
            return x * 2

        f(arange(3))
        f(arange(4))
        f(arange(4), mode="b")
        text = f.explain()
        assert "for the first time" in text
        assert "x: shape (3,) -> (4,)" in text
        assert "mode: value 'a' -> 'b'" in text

    def test_many_retraces_warn_once(self) -> None:
        f = hb.compile(lambda x: x + 1, dynamic=False)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for n in range(1, 14):
                f(arange(n))
        assert [w.category for w in caught].count(RetraceWarning) == 1

    def test_concrete_functions_print_their_graph_with_lines(self) -> None:
        @hb.compile
        def f(x: hb.Tensor) -> hb.Tensor:
            return hb.exp(x) * 2

        text = str(f.get_concrete_function(arange(3)).graph)
        assert "exp(%0)" in text
        assert "test_compile.py" in text
        f.cache_clear()
        assert f.cache_info() == (0, 0, 0)

    def test_functions_run_eagerly_on_request(self) -> None:
        calls = []

        @hb.compile
        def f(x: hb.Tensor) -> hb.Tensor:
            calls.append(1)
            return x + 1

        x = arange(3)
        f(x), f(x)
        assert len(calls) == 1
        with hb.eagerly():
            f(x), f(x)
        assert len(calls) == 3
        hb.run_functions_eagerly(True)
        try:
            f(x)
        finally:
            hb.run_functions_eagerly(False)
        assert len(calls) == 4
        f(x)
        replayed = len(calls)
        f(x)
        assert len(calls) == replayed
        assert f.__wrapped__(x).shape == (3,)


def test_many_threads_share_one_trace() -> None:
    traces = []

    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        traces.append(1)
        return (hb.tanh(x) * 2).sum(axis=1)

    wrong = []

    def work(seed: int) -> None:
        x = np.random.default_rng(seed).normal(size=(20, 30)).astype(np.float32)
        want = (np.tanh(x) * 2).sum(axis=1)
        for _ in range(50):
            if not np.allclose(f(x), want, atol=1e-5):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    assert len(traces) == 1
