"""Random programs: a compiled function does what the same source does eagerly.

Each example is the text of a Python function, drawn from a seed: arithmetic, reductions, slices,
writes in place, Variables, containers, decisions on data, bounded loops (of hb too), early returns,
exceptions.
It runs on several inputs, eagerly and compiled; results, what the arguments hold afterwards, the
Variables and the type of an exception are compared. ``HYBRID_FUZZ_EXAMPLES`` sets how many.

This is about tracing, so the optimised graphs are interpreted: building kernels would take most
of the time. ``HYBRID_FUZZ_KERNELS=1`` builds them.
"""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.interpret import interpret
from hybrid.errors import EagerFallbackWarning, RetraceWarning

EXAMPLES = int(os.environ.get("HYBRID_FUZZ_EXAMPLES", "200"))
FIRST = int(os.environ.get("HYBRID_FUZZ_SEED", "0"))
ROWS, COLUMNS = 3, 4


class Program:
    """Writes one random function ``f(x, y, k, s, n, d)``; the Variables `v` and `w` are outside.

    `x` and `y` are float matrices, `k` an integer one, `s` a float, `n` an int, `d` a dict of
    matrices and a list of rows.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lines: list[str] = []
        self.matrices = ["x", "y", "d['m']"]
        self.rows = ["x[0]", "y[-1]", "d['r'][0]", "v"]
        self.fresh = 0

    def source(self) -> str:
        """Return the text of the function."""
        self.lines.append("def f(x, y, k, s, n, d):")
        self.block(1, self.random.randint(4, 8), 2)
        self.lines.append("    " + self.result())
        return "\n".join(self.lines) + "\n"

    def pick(self, *options: str) -> str:
        """Return one of the texts."""
        return self.random.choice(options)

    # --- expressions ------------------------------------------------------------------------------

    def scalar(self) -> str:
        """Return an expression without axes."""
        m = self.pick(*self.matrices)
        return self.pick(
            f"{m}.sum()", f"{m}.mean()", f"{m}.max()", f"{m}[1, 2]", "s", "w", "0.5", "2", "n",
            f"{self.pick(*self.rows)}.sum()", "k.sum()", "k[0, n % 3]", f"len({m})",
            f"max({m}[0, 0], {m}[1, 1])", f"min(s, {m}.mean())", f"sum({m}[:, 1])",
            f"({m}.min() if {m}[0, 1] > 0 else s)", f"abs({m}[2, 3])", "n * s", f"{m}.std()",
        )  # fmt: skip

    def row(self) -> str:
        """Return an expression of shape (COLUMNS,)."""
        m, r = self.pick(*self.matrices), self.pick(*self.rows)
        return self.pick(
            r, r, f"{m}.sum(axis=0) * 0.25", f"{m}[{self.random.randrange(ROWS)}]",
            f"{r}[::-1]", f"({r} * {self.scalar()})", f"hb.tanh({r})", f"{m}.max(axis=0)",
            f"{m}[n % 3]", f"hb.sort({r})", f"hb.cumsum({r}) * 0.25", f"({m}.T @ {m}[:, 0]) * 0.1",
            f"hb.stack([{r}[i] * i for i in range({COLUMNS})])",
            f"{m}.mean(axis=0, keepdims=True)[0]",
            f"[*{m}][1]", f"np.where({r} > 0, {r}, 0.5)", f"(lambda q: q * 2 - {r})({r})",
            f"hb.roll({r}, n % 4)", f"{m}[k[0, 0] % {ROWS}]", f"hb.softmax({r})",
        )  # fmt: skip

    def matrix(self, depth: int = 2) -> str:
        """Return an expression of shape (ROWS, COLUMNS)."""
        if depth == 0:
            return self.pick(*self.matrices)
        a, b = self.matrix(depth - 1), self.matrix(depth - 1)
        return self.pick(
            f"({a} + {b})", f"({a} - {self.row()})", f"hb.tanh({a} * {b})", f"hb.sin({a})",
            f"{a}.T.reshape({ROWS}, {COLUMNS})", f"{a}[::-1]", f"hb.where({a} > {b}, {a}, {b})",
            f"({a} * 0.5 + {self.scalar()})", f"hb.maximum({a}, {self.scalar()})", a,
            f"hb.concat([{a}[1:], {b}[:1]])", f"np.sqrt(abs({a}))", f"{a}[[2, 0, 1]]",
            f"({a} * (k // 2) + k % 3)", f"hb.stack([{self.row()}, {self.row()}, {self.row()}])",
            f"{a}.at[1].add({self.row()})", f"hb.clip({a}, -n, n)", f"{a}.copy()",
            f"({a} / (1 + {b} ** 2))", f"helper({a}, {self.scalar()})", f"(-{a}).T.T",
        )  # fmt: skip

    def condition(self) -> str:
        """Return a decision on data."""
        a, b = self.scalar(), self.scalar()
        m = self.pick(*self.matrices)
        plain = self.pick(
            f"{m}.sum() > {a}", f"{m}[0, 0] < {b}", f"{m}.sum() > 0 and {m}[1, 1] < 1",
            f"{a} > {b} or {m}.max() < 2", f"not ({m} > 0).any()", f"s > {a}", "n % 2",
            f"0 < {a} < 3", f"n > 3 and {a} > 0", "k[0, 0] == k[1, 1]", "(k > n).all()",
        )  # fmt: skip
        return plain

    # --- statements -------------------------------------------------------------------------------

    def write(self) -> str:
        """Return a statement that writes in place."""
        m = self.pick(*self.matrices)
        return self.pick(
            f"{m}[{self.random.randrange(ROWS)}] = {self.row()}",
            f"{m}[:, 1:3] *= 0.5",
            f"{m}.T[1] -= 0.25",
            f"{m}[{m} > 1] = {self.random.choice(['0.5', '-1', 's'])}",
            f"{m}[[0, 2]] = {self.row()}",
            f"{m}[hb.asarray([2, 0, 2])] += 0.125",
            f"np.add({m}, {self.row()}, out={m})",
            f"np.multiply({m}, 0.5, out={m})",
            f"{m}[:] = hb.clip({self.matrix(1)}, -4, 4)",
            f"{m}[1:] = {m}[:-1]",
            f"{m}[...] = {m}[:, ::-1]",
            f"{m}[n % {ROWS}, :2] = s",
            f"{m}.reshape(-1)[1::5] *= 0.5",
            f"{m}[1] += np.clip({self.row()}, -1, 1)",
            "k[k > 2] = 1",
            "k[0] += n",
        )

    def variable(self) -> str:
        """Return a statement that changes a Variable."""
        return self.pick(
            f"v.assign(hb.clip({self.row()}, -4, 4))",
            f"v.assign_add(hb.clip({self.row()}, -1, 1) * 0.125)",
            "w.assign_add(1)",
            "v.assign_sub(v * 0.5)",
            "box['v'].assign(box['v'] * 0.5)",
            "pair[1].assign(pair[1] * 0.5 + s)",
            "w.assign(hb.tanh(w) * n)",
        )

    def container(self) -> list[str]:
        """Return statements that fill a container and read it again."""
        name, row = self.name(), self.row()
        return self.random.choice(
            [
                [f"{name} = []", f"for q in {self.pick(*self.matrices)}: {name}.append(q * 2)",
                 f"{name} = hb.stack({name})"],
                [f"{name} = {{i: q for i, q in enumerate({self.pick(*self.matrices)})}}",
                 f"{name}[1] = {row}", f"{name} = hb.stack([*{name}.values()])"],
                [f"p, q, r = {self.matrix(1)}", f"{name} = hb.stack((r, p, q + {row}))"],
                [f"{name} = [q for q in {self.matrix(1)} if q.sum() > 0] or [{row}]",
                 f"{name} = hb.stack([{name}[0]] * {ROWS})"],
                [f"{name} = hb.stack(sorted({self.pick(*self.matrices)}, key=lambda q: q.sum()))"],
                [f"def g(i): return {row} * i",
                 f"{name} = hb.stack([g(i) for i in range({ROWS})])"],
                [f"{name} = np.zeros(({ROWS}, {COLUMNS}))", f"{name}[1:] = {self.matrix(1)}[1:]"],
            ]
        )  # fmt: skip

    def structured(self) -> list[str]:
        """Return structured control flow, or a gradient."""
        name, m = self.name(), self.pick(*self.matrices)
        return self.random.choice(
            [
                [f"{name} = hb.cond({self.scalar()} > 0.5, lambda q: q * 2, lambda q: q - 1, {m})"],
                [f"{name} = hb.fori_loop(0, 3, lambda i, c: c * 0.5 + i, {m})"],
                [f"{name} = hb.scan(lambda c, q: (c * 0.5 + q, c - q), {self.row()}, {m})[1]"],
                [f"{name} = hb.while_loop(lambda c: abs(c).max() > 1, lambda c: c * 0.5, {m})"],
                [f"{name} = hb.map(lambda q: q * 2 + s, {m})"],
                ["with hb.GradientTape() as tape:", f"    q = {m} * 1", "    tape.watch(q)",
                 f"    r = (hb.tanh(q) * {self.matrix(1)}).sum() + (q ** 2).sum()",
                 f"{name} = tape.gradient(r, q)"],
                [f"{name} = hb.grad(lambda q: (hb.sin(q) * {self.row()}).sum())({m})"],
                [f"{name} = hb.vmap(lambda q: q * 2 + q.sum())({m})"],
            ]
        )  # fmt: skip

    def name(self) -> str:
        """Return a new name."""
        self.fresh += 1
        return f"t{self.fresh}"

    def result(self) -> str:
        """Return a return statement."""
        m, r, s = self.matrix(), self.row(), self.scalar()
        return self.pick(
            f"return {{'z': {m}, 'b': {r}, 'a': n}}", "return d, k", f"return {m}, {m}.T[0]",
            f"return {m}", f"return {m}, {r}", f"return {{'a': {m}, 'b': [{r}, {s}]}}",
            f"return [{m}, None, 'text', ({s},)]", "return x", "return x[0], y.T",
        )  # fmt: skip

    def block(self, indent: int, statements: int, depth: int) -> None:
        """Write statements; names that they make are known inside only."""
        known = list(self.matrices), list(self.rows)
        for _ in range(statements):
            self.statement(indent, depth)
        if indent > 1:
            self.matrices, self.rows = known

    def put(self, indent: int, text: str) -> None:
        """Write a line."""
        self.lines.append("    " * indent + text)

    def body(self, indent: int, head: str, result: Callable[[], str], *rows: str) -> None:
        """Write a function for a loop or a branch: a block without decisions, and its result."""
        known = list(self.matrices), list(self.rows)
        self.put(indent, head)
        self.rows += rows * 3
        for _ in range(self.random.randint(0, 2)):
            kind = self.random.choice([self.write, self.variable, None])
            if kind is not None:
                self.put(indent + 1, kind())
            else:
                text, name = self.pick(self.row(), f"{self.pick(*self.rows)} + 0"), self.name()
                self.put(indent + 1, f"{name} = {text}")
                self.rows.append(name)
        self.put(indent + 1, f"return {result()}")
        self.matrices, self.rows = known

    def clipped(self) -> str:
        """Return a row that does not grow from step to step."""
        return f"hb.clip({self.row()}, -4, 4)"

    def construct(self, indent: int) -> None:
        """Write a loop or a branch of hb."""
        kind = self.random.choice(["fori", "scan", "while", "cond", "switch", "nested"])
        f, g, name = self.name(), self.name(), self.name()
        if kind == "fori":
            self.body(indent, f"def {f}(i, c):", self.clipped, "c", f"{self.matrix(0)}[i]")
            self.put(indent, f"{name} = hb.fori_loop(0, {ROWS}, {f}, {self.row()})")
        elif kind == "scan":
            self.body(
                indent, f"def {f}(c, r):", lambda: f"{self.clipped()}, {self.row()}", "c", "r"
            )
            last = self.name()
            back = self.pick("True", "False")
            source = f"hb.scan({f}, {self.row()}, {self.matrix(1)}, reverse={back})"
            self.put(indent, f"{last}, {name} = {source}")
            self.matrices.append(name)
            name = last
        elif kind == "while":
            self.body(indent, f"def {f}(q):", lambda: f"q[0] + 1, {self.clipped()}", "q[1]")
            count = f"lambda q: hb.logical_and(q[0] < 3, q[1].sum() > {self.scalar()})"
            self.put(indent, f"{name} = hb.while_loop({count}, {f}, (0, {self.row()}))[1]")
        elif kind == "nested":
            self.body(indent, f"def {f}(i, c):", self.clipped, "c")
            inner = f"hb.fori_loop(0, 2, {f}, c * 0.5)"
            self.body(
                indent, f"def {g}(c, r):", lambda: f"{inner}, {self.scalar()} * 1.0", "c", "r"
            )
            self.put(indent, f"{name} = hb.scan({g}, {self.row()}, {self.matrix(0)})[0]")
        else:
            self.body(indent, f"def {f}():", lambda: f"{self.row()} + 0.0")
            self.body(indent, f"def {g}():", lambda: f"{self.row()} * 1.0")
            a, b = self.scalar(), self.scalar()
            chosen = f"({a} > {b}) * 1 + 0" if kind == "switch" else f"{a} > {b}"
            call = f"hb.cond({chosen}, {f}, {g})"
            if kind == "switch":
                call = f"hb.switch({chosen}, [{f}, {g}])"
            self.put(indent, f"{name} = {call}")
        self.rows.append(name)

    def statement(self, indent: int, depth: int) -> None:
        """Write one statement, with what belongs to it."""
        kind = self.random.choices(
            ["matrix", "row", "write", "variable", "if", "loop", "while", "return", "try", "draw",
             "raise", "construct"],
            [4, 3, 5, 3, 3 * depth, depth, depth, 0.5, 0.5 * depth, 0.5, 0.3, depth],
        )[0]  # fmt: skip
        if kind == "matrix":
            text, name = self.matrix(), self.name()
            self.put(indent, f"{name} = {text}")
            self.matrices.append(name)
        elif kind == "row":
            text, name = self.row(), self.name()
            self.put(indent, f"{name} = {text}")
            self.rows.append(name)
        elif kind == "write":
            self.put(indent, self.write())
        elif kind == "construct":
            self.construct(indent)
        elif kind == "variable":
            self.put(indent, self.variable())
        elif kind == "if":
            self.put(indent, f"if {self.condition()}:")
            self.block(indent + 1, self.random.randint(1, 3), depth - 1)
            if self.random.random() < 0.6:
                self.put(indent, "else:")
                self.block(indent + 1, self.random.randint(1, 3), depth - 1)
        elif kind == "loop":
            self.put(
                indent, f"for i in {self.pick('range(1)', 'range(2)', 'range(3)', 'range(n % 4)')}:"
            )
            self.block(indent + 1, self.random.randint(1, 2), 0)
            self.put(indent + 1, f"{self.pick(*self.matrices)}[i] += i * 0.25")
            if self.random.random() < 0.5:
                self.put(indent + 1, f"if {self.condition()}: {self.pick('break', 'continue')}")
        elif kind == "while":
            count = self.name()
            self.put(indent, f"{count} = 0")
            self.put(indent, f"while {count} < 3 and ({self.condition()}):")
            self.block(indent + 1, self.random.randint(1, 2), 0)
            self.put(indent + 1, f"{count} += 1")
        elif kind == "return":
            self.put(indent, f"if {self.condition()}:")
            self.put(indent + 1, self.result())
        elif kind == "raise":
            self.put(indent, f"if {self.condition()}:")
            self.put(indent + 1, "raise KeyError('on purpose')")
        elif kind in ("container", "structured"):
            lines = self.container() if kind == "container" else self.structured()
            for line in lines:
                self.put(indent, line)
            self.matrices.append(f"t{self.fresh}")
        elif kind == "finally":
            self.put(indent, "try:")
            self.block(indent + 1, 1, depth - 1)
            self.put(indent + 1, f"if {self.condition()}: raise ValueError('on purpose')")
            self.put(indent, "finally:")
            self.block(indent + 1, 1, 0)
        elif kind == "assert":
            self.put(indent, f"assert {self.condition()}, 'on purpose'")
        elif kind == "draw":
            self.put(indent, f"{self.pick(*self.matrices)}[1] += hb.random.uniform({COLUMNS})")
        else:
            self.put(indent, "try:")
            self.block(indent + 1, self.random.randint(1, 2), depth - 1)
            self.put(indent + 1, f"if {self.condition()}: raise ValueError('on purpose')")
            self.put(indent, "except ValueError:")
            self.block(indent + 1, 1, 0)


def calls(seed: int) -> list[tuple[Any, ...]]:
    """Return the arguments of a few calls of one signature; the first ones come twice."""
    drawn = np.random.default_rng(seed)

    def arguments(scale: float, shift: float) -> tuple[Any, ...]:
        def matrix() -> np.ndarray[Any, Any]:
            values = drawn.normal(size=(ROWS, COLUMNS)) * scale + shift
            return np.round(values, 3)

        held = {"m": matrix(), "r": [matrix()[0]]}
        k = drawn.integers(-3, 6, (ROWS, COLUMNS))
        s, n = float(np.round(drawn.normal(), 3)), int(drawn.integers(1, 7))
        return matrix(), matrix(), k, s, n, held

    different = [arguments(1, 0), arguments(0.5, 1), arguments(2, -1), arguments(1, 0)]
    return [different[i] for i in (0, 1, 0, 2, 3, 1, 2)]


def as_tensors(x: Any) -> Any:
    """Return arguments with Tensors of their own memory for the ndarrays."""
    if isinstance(x, tuple | list):
        return type(x)(map(as_tensors, x))
    if isinstance(x, dict):
        return {k: as_tensors(v) for k, v in x.items()}
    return hb.asarray(x, copy=True) if isinstance(x, np.ndarray) else x


def plain(x: Any) -> Any:
    """Return results as copies that do not change any more."""
    if isinstance(x, tuple | list):
        return [type(x).__name__, *map(plain, x)]
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    return np.array(x) if isinstance(x, hb.Tensor | hb.Variable) else x


def same(a: Any, b: Any) -> bool:
    """Compare the types, dtypes and values of results."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, np.ndarray):
        alike = a.dtype == b.dtype and a.shape == b.shape
        return alike and np.allclose(a, b, rtol=1e-9, atol=1e-9, equal_nan=True)
    return a == b if not isinstance(a, float) else bool(np.isclose(a, b, equal_nan=True))


def behaviour(source: str, seed: int, compiled: Callable[[Any], Any]) -> list[Any]:
    """Return all that can be seen of the calls."""
    v, w = hb.Variable(np.arange(COLUMNS) / 4), hb.Variable(1.0, dtype=hb.float64)
    scope: dict[str, Any] = {"hb": hb, "np": np, "v": v, "w": w, "box": {"v": v}, "pair": (w, v)}
    exec("def helper(q, a):\n    return q * 0.5 - a if q[0, 0] > 0 else q + a", scope)
    exec(compile(source, f"<fuzz {seed}>", "exec"), scope)
    function = compiled(scope["f"])
    hb.random.seed(seed)
    seen: list[Any] = []
    for arguments in calls(seed):
        own = as_tensors(arguments)
        try:
            result = plain(function(*own))
        except Exception as error:
            result = ["raised", type(error).__name__]
        seen.append([result, plain(own), plain(v), plain(w)])
    return seen


def interpreted(graph: Any, layouts: Any) -> Any:
    """Return what stands for a Plan: the optimised graph, computed op by op in fresh memory."""

    def run(*arrays: Any) -> tuple[Any, ...]:
        return tuple(np.array(x) for x in interpret(graph, map(np.asarray, arrays)))

    return SimpleNamespace(run=run)


@pytest.fixture(autouse=True)
def without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    if not os.environ.get("HYBRID_FUZZ_KERNELS"):
        monkeypatch.setattr("hybrid.trace.sized.make_plan", interpreted)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + EXAMPLES))
def test_random_programs_do_the_same_compiled(seed: int) -> None:
    source = Program(seed).source()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RetraceWarning)
        warnings.simplefilter("ignore", EagerFallbackWarning)
        eager = behaviour(source, seed, lambda f: f)
        traced = behaviour(source, seed, hb.compile)
    for i, (want, got) in enumerate(zip(eager, traced, strict=True)):
        for what, a, b in zip(("result", "arguments", "v", "w"), want, got, strict=True):
            assert same(a, b), f"call {i}, {what}:\n{source}\neager {a}\ntraced {b}"
