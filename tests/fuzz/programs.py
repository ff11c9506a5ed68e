"""Random programs: the text of a Python function, drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable


class Program:
    """Writes one random function ``f``; what it reads are arguments or globals, as it happens.

    `x` and `y` are float matrices, `k` an integer one, `s` a float, `n` an int, `d` a dict of
    matrices and a list of rows, `c` a dataclass of a matrix and a float, `many` the rows of a
    matrix. The Variables `v` and `w` are outside, and so are the matrix `bias`, the float `rate`
    and the function `helper`. A method also has a matrix and a float of `self`.

    Attributes
    ----------
    parameters : list of str
        Of `x`, `y`, `k`, `s`, `n`, `d`, `c`, `many`; what is missing there is a global.
    defaults : bool
        Whether `s` and `n` have default values, and `by` may be given by its name.
    method, sizes, dtypes, taped, nested, consumed : bool
        Whether it is a method; whether the number of rows, or the dtype, differs from call to
        call; whether tapes are around the calls; whether `helper` is compiled too; whether `many`
        is a generator in some calls.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lines: list[str] = []
        self.fresh = 0
        self.method = self.chance(0.15)
        self.sizes = self.chance(0.3)
        self.dtypes = self.chance(0.3)
        self.taped = self.chance(0.2)
        self.nested = self.chance(0.5)
        self.defaults = self.chance(0.3)
        self.consumed = self.chance(0.05)
        as_argument = 1.0 if self.chance(0.3) else 0.6
        flat = self.chance(0.4)
        names = ["y", "k"] if flat else ["y", "k", "d", "c", "many"]
        self.parameters = ["x", *(name for name in names if self.chance(as_argument))]
        self.parameters += [n for n in ("s", "n") if self.defaults or self.chance(as_argument)]
        if self.consumed and "many" not in self.parameters:
            self.parameters.insert(1, "many")
        self.matrices = ["x", "x", "y", "d['m']", "c.m", "bias"]
        self.rows = ["x[0]", "y[-1]", "d['r'][0]", "v"]
        self.scalars = ["s", "w", "rate", "c.rate"]
        if self.method:
            self.matrices.append("self.m")
            self.scalars.append("self.rate")
        if self.defaults:
            self.scalars.append("named.get('by', 2)")

    def chance(self, probability: float) -> bool:
        """Return True with a probability."""
        return self.random.random() < probability

    def source(self) -> str:
        """Return the text of the function."""
        named = {"s": "s=0.5", "n": "n=2"} if self.defaults else {}
        given = [named.get(name, name) for name in self.parameters]
        given += ["**named"] if self.defaults else []
        self.lines.append(f"def f({', '.join(['self'] * self.method + given)}):")
        self.lines.append("    R, C = x.shape")
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
            f"{m}.sum()", f"{m}.mean()", f"{m}.max()", f"{m}[1, 2]", "0.5", "2", "n",
            self.pick(*self.scalars), self.pick(*self.scalars), f"{m}.sum() / R",
            f"{self.pick(*self.rows)}.sum()", "k.sum()", "k[0, n % 3]", f"len({m})",
            f"max({m}[0, 0], {m}[1, 1])", f"min(s, {m}.mean())", f"sum({m}[:, 1])",
            f"({m}.min() if {m}[0, 1] > 0 else s)", f"abs({m}[2, 3])", "n * s", f"{m}.std()",
            "len(f'{n}')", f"[s, n, {m}[0, 0]][int(k[0, 0]) % 3]", "len({int(q) for q in k[0]})",
            f"{{0: s, 1: n}}.get(int(k[0, 1]) % 3, {m}[0, 0])", f"hb.asarray({m}).detach().max()",
        )  # fmt: skip

    def row(self) -> str:
        """Return an expression of shape (C,)."""
        m, r = self.pick(*self.matrices), self.pick(*self.rows)
        return self.pick(
            r, r, f"{m}.sum(axis=0) * 0.25", f"{m}[{self.random.randrange(3)}]",
            f"{r}[::-1]", f"({r} * {self.scalar()})", f"hb.tanh({r})", f"{m}.max(axis=0)",
            f"{m}[n % 3]", f"hb.sort({r})", f"hb.cumsum({r}) * 0.25", f"({m}.T @ {m}[:, 0]) * 0.1",
            f"hb.stack([{r}[i] * i for i in range(C)])",
            f"{m}.mean(axis=0, keepdims=True)[0]",
            f"[*{m}][1]", f"np.where({r} > 0, {r}, 0.5)", f"(lambda q: q * 2 - {r})({r})",
            f"hb.roll({r}, n % 4)", "sum(many)", f"{m}[k[0, 0] % R]", f"hb.softmax({r})",
            f"functools.partial(hb.multiply, {self.scalar()})({r})", f"hb.stop_gradient({r})",
            f"dataclasses.replace(c, m={r}).m", f"(hb.asarray({r}) * 2).detach()",
        )  # fmt: skip

    def matrix(self, depth: int = 2) -> str:
        """Return an expression of shape (R, C)."""
        if depth == 0:
            return self.pick(*self.matrices)
        a, b = self.matrix(depth - 1), self.matrix(depth - 1)
        p, q, r = self.row(), self.row(), self.row()
        return self.pick(
            f"({a} + {b})", f"({a} - {self.row()})", f"hb.tanh({a} * {b})", f"hb.sin({a})",
            f"{a}.T.reshape(R, C)", f"{a}[::-1]", f"hb.where({a} > {b}, {a}, {b})",
            f"({a} * 0.5 + {self.scalar()})", f"hb.maximum({a}, {self.scalar()})", a,
            f"hb.concat([{a}[1:], {b}[:1]])", f"np.sqrt(abs({a}))",
            f"{a}[[2, 0, 1, *range(3, R)]]",
            f"({a} * (k // 2) + k % 3)", f"hb.stack([{p}, {q}, *[{r}] * (R - 2)])",
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

    def remembered(self) -> str:
        """Return a decision that gives a number a name, for what comes after it."""
        name, a, b = self.name(), self.scalar(), self.scalar()
        self.scalars.append(name)
        return self.pick(f"({name} := {a}) > {b}", f"not (({name} := {a} + {b}) > 1)")

    # --- statements -------------------------------------------------------------------------------

    def write(self) -> str:
        """Return a statement that writes in place."""
        m = self.pick(*self.matrices)
        return self.pick(
            f"{m}[{self.random.randrange(3)}] = {self.row()}",
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
            f"{m}[n % R, :2] = s",
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
            "w.assign(w * 0.5 + rate)",
        )

    def container(self) -> list[str]:
        """Return statements that fill a container and read it again."""
        name, row = self.name(), self.row()
        # No tape knows what eager code writes into an ndarray.
        zeros = "hb.zeros" if self.taped else "np.zeros"
        return self.random.choice(
            [
                [f"{name} = []", f"for q in {self.pick(*self.matrices)}: {name}.append(q * 2)",
                 f"{name} = hb.stack({name})"],
                [f"{name} = {{i: q for i, q in enumerate({self.pick(*self.matrices)})}}",
                 f"{name}[1] = {row}", f"{name} = hb.stack([*{name}.values()])"],
                [f"{name} = hb.stack([q * rate for q in many])"],
                [f"p, q, *r = {self.matrix(1)}", f"{name} = hb.stack((*r, p, q + {row}))"],
                [f"{name} = [q for q in {self.matrix(1)} if q.sum() > 0] or [{row}]",
                 f"{name} = hb.stack([{name}[0]] * R)"],
                [f"{name} = hb.stack(sorted({self.pick(*self.matrices)}, key=lambda q: q.sum()))"],
                [f"def g(i): return {row} * i",
                 f"{name} = hb.stack([g(i) for i in range(R)])"],
                [f"{name} = {zeros}((R, C))", f"{name}[1:] = {self.matrix(1)}[1:]"],
                [f"{name} = {self.new_array()}", f"{name}[1] = {row}",
                 f"{name}[:, 0] += {self.scalar()}"],
                ["def g():", f"    for q in {self.pick(*self.matrices)}:",
                 "        if q.sum() > 0: yield q * 2", f"        else: yield q - {row}",
                 f"{name} = hb.stack([*g()])"],
                [f"def g(q, i): return q if i == 0 or q.sum() > 8 else g(q * 0.5 + {row}, i - 1)",
                 f"{name} = g({self.pick(*self.matrices)}, n % 4)"],
                [f"{name} = {self.matrix(0)}",
                 f"{name} = hb.stack([(r := q * 0.5) + {row} for q in {name}]) * r"],
                [f"with hb.default_dtype('{self.pick('float32', 'float64')}'):",
                 f"    {name} = hb.ones((R, C)) * 0.5 + hb.asarray([0.1] * C) + {row}"],
            ]
        )  # fmt: skip

    def new_array(self) -> str:
        """Return an array made from nothing, which statements write into."""
        if self.taped:  # no tape knows what eager code writes into an ndarray
            return "hb.eye(R, C, dtype=hb.float64)"
        return self.pick(
            "np.eye(R, C)", "np.arange(R * C * 1.0).reshape(R, C)", "np.full((R, C), 0.5)",
            "np.linspace(0, 1, R * C).reshape(R, C)", "np.tri(R, C) * 2", "np.tile(0.25, (R, C))",
        )  # fmt: skip

    def match(self, indent: int, depth: int) -> None:
        """Write a match statement over a number, a container or an object."""
        m, r, low = self.pick(*self.matrices), self.pick(*self.rows), self.scalar()
        subject, *cases = self.random.choice(
            [
                ["int(k[0, 0]) % 4", "0 | 3", f"1 if {self.condition()}", "number"],
                ["n", "1 | 2", f"int() as number if {low} < number", "_"],
                [f"{self.scalar()} > {low}", "True", "_"],
                [f"({m}, [{r}, n])", f"(q, [_, 2 | 3]) if q.sum() > {low}", "(_, [q, *rest])"],
                [f"[*{m}]", f"[q, _, *rest] if q.sum() > {low}", "[_, *rest, q]"],
                ["d", f"{{'m': q}} if {self.condition()}", "{'r': [q, *_], **rest}"],
                ["c", f"Config(m=q, rate=rated) if q[0, 0] > {low}", "Config(rate=float(rated))"],
                [f"{m}", "np.ndarray() | hb.Tensor() as q", "_"],
            ]
        )
        self.put(indent, f"match {subject}:")
        for case in cases:
            self.put(indent + 1, f"case {case}:")
            self.block(indent + 2, self.random.randint(1, 2), depth - 1)

    def counter(self, indent: int) -> None:
        """Write a function that changes variables of the one around it, and calls of it."""
        name, total = self.name(), self.name()
        self.put(indent, f"{total} = {self.pick('0', '1.5', self.scalar(), self.matrix(1))}")
        self.put(indent, f"def {name}(q):")
        self.put(indent + 1, f"nonlocal {total}")
        change = self.pick(
            f"{total} = {total} * 0.5 + q", f"{total} += 1", f"{total} = abs({total} - q)",
            f"if {self.condition()}: {total} = q - {total}",
        )  # fmt: skip
        self.put(indent + 1, change)
        self.put(indent + 1, f"return {total} * 0.5")
        call = self.pick(
            f"[{name}(i * s) for i in range(n % 4)]", f"{name}({self.scalar()})",
            f"hb.map(lambda q: q + {name}(0.5), {self.pick(*self.rows)})",
        )  # fmt: skip
        self.put(indent, f"{name} = {call}")
        made = self.name()
        self.put(indent, f"{made} = {self.pick(*self.matrices)} + {total}")
        self.matrices.append(made)

    def structured(self) -> list[str]:
        """Return structured control flow, or a gradient."""
        name, m = self.name(), self.pick(*self.matrices)
        return self.random.choice(
            [
                [f"{name} = hb.cond({self.scalar()} > 0.5, lambda q: q * 2, lambda q: q - 1, {m})"],
                [f"{name} = hb.fori_loop(0, 3, lambda i, c: c * 0.5 + i, {m})"],
                [f"{name} = hb.scan(lambda c, q: (c * 0.5 + q, c - q), {self.first()}, {m})[1]"],
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
            "return c, s", "return bias, rate, x * rate",
        )  # fmt: skip

    def block(self, indent: int, statements: int, depth: int) -> None:
        """Write statements; names that they make are known inside only."""
        known = list(self.matrices), list(self.rows), list(self.scalars)
        for _ in range(statements):
            self.statement(indent, depth)
        if indent > 1:
            self.matrices, self.rows, self.scalars = known

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
        return f"hb.clip({self.row()}, -4, 4).astype(hb.float64)"

    def first(self) -> str:
        """Return a row to begin a loop with, of the dtype of all further ones."""
        return f"{self.row()}.astype(hb.float64)"

    def construct(self, indent: int) -> None:
        """Write a loop or a branch of hb."""
        kind = self.random.choice(["fori", "scan", "while", "cond", "switch", "nested"])
        f, g, name = self.name(), self.name(), self.name()
        if kind == "fori":
            self.body(indent, f"def {f}(i, c):", self.clipped, "c", f"{self.matrix(0)}[i]")
            self.put(indent, f"{name} = hb.fori_loop(0, R, {f}, {self.first()})")
        elif kind == "scan":
            self.body(
                indent, f"def {f}(c, r):", lambda: f"{self.clipped()}, {self.row()}", "c", "r"
            )
            last = self.name()
            back = self.pick("True", "False")
            source = f"hb.scan({f}, {self.first()}, {self.matrix(1)}, reverse={back})"
            self.put(indent, f"{last}, {name} = {source}")
            self.matrices.append(name)
            name = last
        elif kind == "while":
            self.body(indent, f"def {f}(q):", lambda: f"q[0] + 1, {self.clipped()}", "q[1]")
            count = f"lambda q: hb.logical_and(q[0] < 3, q[1].sum() > {self.scalar()})"
            self.put(indent, f"{name} = hb.while_loop({count}, {f}, (0, {self.first()}))[1]")
        elif kind == "nested":
            self.body(indent, f"def {f}(i, c):", self.clipped, "c")
            inner = f"hb.fori_loop(0, 2, {f}, c * 0.5)"
            self.body(
                indent, f"def {g}(c, r):", lambda: f"{inner}, {self.scalar()} * 1.0", "c", "r"
            )
            self.put(indent, f"{name} = hb.scan({g}, {self.first()}, {self.matrix(0)})[0]")
        else:
            self.body(indent, f"def {f}():", lambda: f"{self.first()} + 0.0")
            self.body(indent, f"def {g}():", lambda: f"{self.first()} * 1.0")
            a, b = self.scalar(), self.scalar()
            chosen = f"({a} > {b}) * 1 + 0" if kind == "switch" else f"{a} > {b}"
            call = f"hb.cond({chosen}, {f}, {g})"
            if kind == "switch":
                call = f"hb.switch({chosen}, [{f}, {g}])"
            self.put(indent, f"{name} = {call}")
        self.rows.append(name)

    def tape(self, indent: int) -> None:
        """Write a block under a tape of its own, and a gradient."""
        m, name = self.pick("x", "y", *self.matrices), self.name()
        if self.random.random() < 0.5:
            self.put(indent, f"{name} = {m} * 1.0")
            m, name = name, self.name()
        self.put(indent, "with hb.GradientTape(persistent=True) as tape:")
        self.put(indent + 1, f"tape.watch({m})")
        self.block(indent + 1, self.random.randint(1, 3), 0)
        self.put(indent + 1, f"r = (hb.tanh({self.matrix(1)}) * {m}).sum()")
        self.put(indent, f"{name} = tape.gradient(r, {m})")
        self.matrices.append(name)

    def statement(self, indent: int, depth: int) -> None:
        """Write one statement, with what belongs to it."""
        kind = self.random.choices(
            ["matrix", "row", "write", "variable", "if", "loop", "while", "return", "try", "draw",
             "raise", "construct", "container", "structured", "finally", "assert", "tape", "mask",
             "unrecorded", "suppress", "match", "nonlocal"],
            [4, 3, 5, 3, 3 * depth, depth, depth, 0.5, 0.5 * depth, 0.5, 0.3, depth,
             depth, 0.7 * depth, 0.3 * depth, 0.3, 0.3 * depth, 0.2,
             (0.8 if self.taped else 0.2) * depth, 0.2 * depth, 0.5 * depth, 0.5 * depth],
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
        elif kind == "tape":
            self.tape(indent)
        elif kind == "mask":  # its shape depends on data, which ends a trace
            text, name = self.pick(*self.matrices), self.name()
            self.put(indent, f"{name} = {text}[{self.pick(*self.matrices)}[:, 0] > 0].sum(axis=0)")
            self.rows.append(name)
        elif kind == "variable":
            self.put(indent, self.variable())
        elif kind == "if":
            asked = self.remembered() if self.chance(0.2) else self.condition()
            self.put(indent, f"if {asked}:")
            self.block(indent + 1, self.random.randint(1, 3), depth - 1)
            if self.random.random() < 0.6:
                self.put(indent, "else:")
                self.block(indent + 1, self.random.randint(1, 3), depth - 1)
        elif kind == "loop":
            self.put(
                indent, f"for i in {self.pick('range(1)', 'range(2)', 'range(3)', 'range(n % 4)')}:"
            )
            self.block(indent + 1, self.random.randint(1, 2), depth - 1)
            self.put(indent + 1, f"{self.pick(*self.matrices)}[i] += i * 0.25")
            if self.random.random() < 0.5:
                self.put(indent + 1, f"if {self.condition()}: {self.pick('break', 'continue')}")
                if self.random.random() < 0.3:
                    self.put(indent, "else:")
                    self.block(indent + 1, 1, 0)
        elif kind == "while":
            count = self.name()
            self.put(indent, f"{count} = 0")
            asked = self.remembered() if self.chance(0.2) else self.condition()
            self.put(indent, f"while {count} < 3 and ({asked}):")
            self.put(indent + 1, f"{count} += 1")
            self.block(indent + 1, self.random.randint(1, 2), depth - 1)
            if self.random.random() < 0.3:
                self.put(indent + 1, f"if {self.condition()}: {self.pick('break', 'continue')}")
            if self.random.random() < 0.3:
                self.put(indent, "else:")
                self.block(indent + 1, 1, 0)
        elif kind == "match":
            self.match(indent, depth)
        elif kind == "nonlocal":
            self.counter(indent)
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
        elif kind == "unrecorded":
            self.put(indent, "with hb.no_grad():")
            self.block(indent + 1, self.random.randint(1, 2), depth - 1)
        elif kind == "suppress":
            self.put(indent, "with contextlib.suppress(ValueError):")
            self.block(indent + 1, 1, depth - 1)
            self.put(indent + 1, f"if {self.condition()}: raise ValueError('on purpose')")
            self.block(indent + 1, 1, 0)
        elif kind == "assert":
            self.put(indent, f"assert {self.condition()}, 'on purpose'")
        elif kind == "draw":
            self.put(indent, f"{self.pick(*self.matrices)}[1] += hb.random.uniform(C)")
        else:
            self.put(indent, "try:")
            self.block(indent + 1, self.random.randint(1, 2), depth - 1)
            self.put(indent + 1, f"if {self.condition()}: raise ValueError('on purpose')")
            self.put(indent, "except ValueError:")
            self.block(indent + 1, 1, 0)
