"""Random programs of views and writes: the text of a Python function, drawn from a seed.

Statements are drawn one by one and tried in plain NumPy on every call's arguments; what raises
there is left out. So the programs know no shapes, and each of them runs.
"""

from __future__ import annotations

import random
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np

Scope = dict[str, Any]
_LARGEST = 400
ORDERS = ("C", "C", "C", "F", "F", "part", "back", "apart")


def laid_out(x: np.ndarray[Any, Any], order: str) -> np.ndarray[Any, Any]:
    """Return an array of the same elements in memory of its own that lies in some order."""
    if order in ("C", "F"):
        return np.array(x, order=order)  # type: ignore[call-overload, no-any-return]
    if order == "back":
        return x[::-1].copy()[::-1]
    wide = np.zeros([n * 2 for n in x.shape], x.dtype)
    part = wide[tuple([slice(None, None, 2)] * x.ndim)] if order == "apart" else wide
    if order == "part":
        part = np.zeros([n + 1 for n in x.shape], x.dtype).T
        part = part[tuple([slice(0, n) for n in x.shape[::-1]])].T
    part[...] = x
    return part


class Aliasing:
    """One random function ``f`` of arrays, and what its calls are given.

    `a` and `b` are matrices of one shape, `c` has three axes, `r` one, `z` is complex, `k` has
    integers. Outside are the matrix `g`, the attribute `o.m` and the list `box`.

    Attributes
    ----------
    source : str
        The text.
    calls : list of dict
        For each call the arguments, as ``(elements, order)`` by name.
    shared : str
        An expression for `b` by `a`, where they share memory.
    """

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.seed = seed
        self.shared = self.pick("a", "a[::-1]", "a.T.T", "a[:]") if self.chance(0.15) else ""
        sizes = self.pick([(3, 4)] * 4, [(3, 4), (2, 3), (4, 4), (5, 2)], [(4, 4)] * 4)
        same = self.chance(0.4)
        first = [self.draw.choice(ORDERS) for _ in range(8)]
        self.calls = []
        numbers = np.random.default_rng(seed)
        for rows, columns in sizes:
            orders = iter(first if same else [self.draw.choice(ORDERS) for _ in range(8)])
            self.calls.append(
                {
                    "a": (self._numbers(numbers, (rows, columns)), next(orders)),
                    "b": (self._numbers(numbers, (rows, columns)), next(orders)),
                    "c": (self._numbers(numbers, (2, rows, columns)), next(orders)),
                    "r": (self._numbers(numbers, (columns,)), next(orders)),
                    "z": (self._numbers(numbers, (rows, columns)) * (1 - 0.5j), next(orders)),
                    "k": (numbers.integers(0, 2, (columns,)), "C"),
                    "g": (self._numbers(numbers, (rows, columns)), next(orders)),
                    "m": (self._numbers(numbers, (rows, columns)), next(orders)),
                    "q": (self._numbers(numbers, (rows, columns)), next(orders)),
                }
            )
        self.names = ["a", "a", "b", "c", "r", "z", "g", "o.m", "box[0]"]
        self.fresh = 0
        self.lines: list[str] = []
        for _ in range(self.draw.randint(4, 11)):
            self.step()
        self.source = self.text(self.lines)

    def _numbers(self, numbers: Any, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        found: np.ndarray[Any, Any] = numbers.integers(-8, 9, shape) / 4
        return found

    def text(self, lines: list[str]) -> str:
        """Return the function made of some lines."""
        made = [f"t{i}" for i in range(self.fresh)]
        return "\n".join(
            [
                "def f(a, b, c, r, z, k):",
                "    R, C = a.shape",
                *(f"    {name} = None" for name in made),
                *("    " + line for line in lines),
                f"    return [{', '.join(['a', 'b', 'g', 'o.m', 'z', *made])}]",
                "",
            ]
        )

    def scope(self, call: int) -> Scope:
        """Return what a call reads, as ndarrays of its own."""
        found = {name: laid_out(*given) for name, given in self.calls[call].items()}
        if self.shared:
            found["b"] = eval(self.shared, {"a": found["a"]})
        return found

    def step(self) -> None:
        """Append one statement, or a block of some, that runs in NumPy."""
        for _ in range(20):
            before, names = self.fresh, list(self.names)
            lines = self.block() if self.chance(0.2) else self.statement()
            if self.runs([*self.lines, *lines]):
                self.lines += lines
                return
            self.fresh, self.names = before, names

    def runs(self, lines: list[str]) -> bool:
        """Tell whether a program runs on all that it will be given, and what it makes is small."""
        scope = {"np": np}
        text = self.text(lines)
        exec(compile(text, "<drawn>", "exec"), scope)
        for call in range(len(self.calls)):
            found = self.scope(call)
            scope["g"], scope["o"] = found.pop("g"), SimpleNamespace(m=found.pop("m"))
            scope["box"] = [found.pop("q")]
            try:
                with warnings.catch_warnings(), np.errstate(all="ignore"):
                    warnings.simplefilter("ignore")
                    made = scope["f"](**found)
            except Exception:
                return False
            if any(isinstance(x, np.generic) or np.shape(x) == () for x in made if x is not None):
                return False  # a number of NumPy's is a Tensor in hybrid, which is written in place
            for x in made:
                if isinstance(x, np.ndarray) and (
                    x.dtype.kind not in "fcib" or x.size > _LARGEST or not np.all(abs(x) < 1e6)
                ):
                    return False
        return True

    # --- drawing ----------------------------------------------------------------------------------

    def chance(self, probability: float) -> bool:
        """Return True with a probability."""
        return self.draw.random() < probability

    def pick(self, *options: Any) -> Any:
        """Return one of the options."""
        return self.draw.choice(options)

    def name(self) -> str:
        """Return the name of an array."""
        made = [name for name in self.names if name.startswith("t")]
        return str(self.pick(*made) if made and self.chance(0.6) else self.pick(*self.names))

    def statement(self) -> list[str]:
        """Return a statement."""
        if self.chance(0.45):
            return [self.write()]
        if self.chance(0.08):
            return [
                self.pick(
                    f"o.m = {self.name()}",
                    f"box[0] = {self.name()}",
                    "a, b = b, a",
                    "g[...], a[...] = a, g",
                    f"o.m = {self.made()}",
                    f"{self.name()}.T[0] = {self.name()}[0]",
                )
            ]
        made = self.view() if self.chance(0.55) else self.made()
        name = f"t{self.fresh}"
        self.fresh += 1
        self.names.append(name)
        return [f"{name} = {made}"]

    def block(self) -> list[str]:
        """Return a branch or a loop."""
        head = self.pick(
            "if R > 2:", "if R == C:", "if a.sum() > 0:", "for i in range(2):",
            "for i in range(R):",
            "for i in range(12):", "while R > 2 and b.ndim == 2: ", "list", "if r[0] > 0.5:",
            "for i, q in enumerate(a):", "try",
        )  # fmt: skip
        if head == "list":
            name = f"t{self.fresh}"
            self.fresh += 1
            self.names.append(name)
            row = self.pick("q", "q * 2", "q[::-1]", "q.copy()", "a[i % R]", "b.T[0]", "g + i")
            return [
                f"{name} = []", f"for i, q in enumerate({self.name()}):",
                f"    {name}.append({row})",
                self.pick(f"{name}[0] += 1", f"{name}[-1][...] = 2", "pass"),
                self.pick(f"{name} = np.stack({name})", f"{name} = np.array({name})",
                f"{name} = np.concatenate({name})"),
            ]  # fmt: skip
        body = [line for _ in range(self.draw.randint(1, 3)) for line in self.statement()]
        if head == "for i in range(R):" or head == "for i in range(2):":
            body.append(f"{self.name()}[i] {self.pick('', '+', '*')}= {self.scalar()}")
        if head == "for i, q in enumerate(a):":
            body.append(
                self.pick("q *= 0.5", "q[0] = i", "b[i] = q[::-1]", f"{self.name()}[i] += q")
            )
        if head.startswith("while"):
            body.append("break")
        if head == "try":
            wrong = self.pick(
                "a[9] = 1", "a[...] = c[0, 0, :1, None][None][[0, 7]]", "a.reshape(5, 7)"
            )
            at = self.draw.randrange(len(body) + 1)
            return [
                "try:",
                *("    " + x for x in [*body[:at], wrong, *body[at:]]),
                "except (IndexError, ValueError):",
                "    r[0] = 2",
            ]
        return [head, *("    " + line for line in body)]

    def scalar(self) -> str:
        """Return an expression for a number."""
        return str(self.pick("1.5", "2", "-0.5", "a[0, 0]", "r[-1]", f"{self.name()}.flat[0]", "R"))

    def view(self) -> str:
        """Return an expression that NumPy makes a view of, if it can."""
        v = self.name()
        return str(self.pick(
            f"{v}.T", f"{v}.T", f"np.transpose({v})", f"np.swapaxes({v}, 0, -1)",
            f"{v}.swapaxes(-1, -2)",
            f"np.moveaxis({v}, 0, -1)", f"{v}.reshape(-1)", f"{v}.reshape(-1)", f"{v}.ravel()",
            f"np.ravel({v})", f"{v}.reshape({v}.shape[::-1])", f"{v}.reshape(-1, order='F')",
            f"{v}.reshape({v}.shape[::-1], order='F')", f"np.reshape({v}, (-1, C))",
            f"{v}.reshape(R, -1)", f"{v}.reshape({v}.shape)", f"{v}.ravel('F')",
            f"np.ravel({v}, order='K')",
            f"{v}[::2]", f"{v}[::-1]", f"{v}[1:, ::-2]", f"{v}[..., 0]", f"{v}[..., ::-1]",
            f"{v}[:, 1:]",
            f"{v}[0]", f"{v}[-1]", f"{v}[None]", f"{v}[:, None]", f"{v}[..., np.newaxis]",
            f"{v}[1:-1]", f"{v}[:0]",
            f"np.squeeze({v})", f"np.expand_dims({v}, 0)", f"np.expand_dims({v}, (0, -1))[0]",
            f"np.broadcast_to({v}, (2, *{v}.shape))", f"np.broadcast_arrays({v}, r)[1]",
            f"np.diagonal({v})", f"{v}.diagonal(1)", f"np.diag({v})",
            f"{v}.real", f"np.real({v})", f"{v}.T.real[::-1]", "z[1:].imag", "z[::-1, 1:].imag",
            "np.imag(z.T)", "z.real", "z.imag.T", "z.real.reshape(-1)",
            f"np.flip({v})", f"np.flip({v}, 0)", f"np.rot90({v})", f"np.fliplr({v})",
            f"np.flipud({v})",
            f"np.atleast_2d({v})", f"np.atleast_3d({v})", f"np.split({v}, 2, -1)[1]",
            f"np.array_split({v}, 2)[0]",
            f"np.asarray({v})", f"np.asanyarray({v})", f"np.asfortranarray({v})",
            f"np.ascontiguousarray({v})", f"np.require({v}, requirements='C')",
            f"{v}.astype({v}.dtype, copy=False)", f"np.nan_to_num({v}, copy=False)",
            f"next(iter({v}))", f"[*{v}][-1]",
            f"np.asarray({v}, order='F')", f"np.asarray({v}, order='C')",
            f"{v}[tuple([slice(None)] * {v}.ndim)]",
            f"{v}.squeeze().T[::-1].reshape(-1)", f"np.rollaxis({v}, -1)",
            f"{v}.T.reshape({v}.shape)",
            f"np.matrix_transpose({v})", f"{v}.mT", f"np.vsplit({v}, [1])[1]",

            f"np.permute_dims({v})",
            f"np.array({v}, copy=False)", f"np.array({v}, ndmin=3, copy=None)",
            f"np.unstack({v})[0]",
        ))  # fmt: skip

    def made(self) -> str:
        """Return an expression that NumPy makes a new array of; in which order, may matter.

        What keeps no order in hybrid is left out (see `docs/pitfalls.md`).
        """
        v, w = self.name(), self.name()
        found = self.pick(
            f"{v} * 2", f"-{v}", f"{v} + {w}", f"{v} + {w}.T", f"np.add({v}, 1)",
            f"np.where({v} > 0, {v}, {w})",
            f"np.where({v} > 0, {v}, 0.5)", f"np.exp({v} * 0)", f"abs({v})", f"{v} > 0.5",
            f"{v}.copy()", f"np.copy({v})",
            f"np.array({v})", f"np.array({v}, order='C')", f"np.array({v}, order='F')",
            f"{v}.copy('F')",
            f"np.copy({v}, order='C')", f"{v}.astype('f4')",
            f"{v}.astype('f8')", f"{v}.astype('f4', order='C')", f"{v}.astype('f8', order='F')",

            f"np.zeros({v}.shape)",
            f"np.zeros({v}.shape, order='F')", "np.ones((C, R)).T",
            f"np.full({v}.shape[::-1], 3.0).T", "np.eye(R)",
            "np.arange(12.0).reshape(3, 4)[:, ::-1]",
            f"np.concatenate([{v}, {w}])", f"np.concatenate([{v}, {v}], -1)",
            f"np.stack([{v}, {w}])",
            f"np.stack([{v}, {v}], -1)", f"np.hstack([{v}, {w}])", f"np.vstack([{v}, {w}])",
            f"np.column_stack([{v}, {v}])",
            f"np.cumsum({v}, 0)", f"np.cumsum({v}.T, -1)", f"np.sort({v}, 0)", f"np.sort({v})",
            f"np.argsort({v}, 0)",
            f"np.roll({v}, 1)", f"np.roll({v}, 1, 0)", f"np.repeat({v}, 2, 0)", f"np.tile({v}, 2)",
            f"np.clip({v}, -1, 1)",
            f"{v}.clip(-1, 1)", f"{v} @ {w}.T", f"np.dot({v}, {w}.T)",
            f"np.outer({v}[0], {w}[-1])", f"np.diff({v})",
            f"np.diff({v}, axis=0)", f"{v}.sum(0)", f"{v}.sum(-1, keepdims=True)", f"{v}.max(0)",
            f"{v}.mean(0)",
            f"{v}[[0, -1]]", f"{v}[:, [1, 0]]", f"{v}[..., [0, 1, 0]]", f"{v}[[1, 0], :1]",
            f"{v}[np.ix_([1, 0], [0, 1])]",
            f"{v}[k]", f"{v}[:, k]", f"np.take({v}, [1, 0], axis=-1)", f"np.take({v}, k)",
            f"{v}.take([0, 1], 0)",
            f"np.compress([True, False, True], {v}, axis=0)", f"{v}[{v} > 0]", f"{v}[:, r > -9]",
            f"{v}[a[:, 0] > -9]",








            f"np.real({v}) * 2", f"np.conj({v})", f"np.tril({v})", f"np.triu({v}.T)",
            f"np.kron({v}, [[1, 2]])",
            f"np.cross({v}[:, :2], {w}[:, :2])",

            f"np.linalg.norm({v}, axis=0)",
            f"np.apply_along_axis(np.sort, 0, {v})", f"np.block([[{v}, {v}]])",
            f"np.trapezoid({v}, axis=0)",
            f"np.minimum({v}, {w})", f"np.maximum.accumulate({v}, 0)", f"np.add.reduce({v}, 1)",
            f"np.add.outer({v}[0], r)",
            f"np.gradient({v}, axis=0)", f"np.interp({v}, [0, 1], [2, 3])", f"np.nan_to_num({v})",
            f"np.round({v}, 1)",
            f"np.take_along_axis({v}, np.argsort({v}, 0), 0)", f"np.sqrt(abs({v}))",
            f"np.cov({v})", "np.meshgrid(r, a[:, 0])[0]",
            f"np.indices({v}.shape)[0]", f"np.prod({v}, 0)",
            f"np.linalg.inv({v} + 9 * np.eye(R)) * 0",
            f"np.divmod({v}, 2)[1]", f"np.modf({v})[0]", f"np.frexp({v})[0]", f"np.sign({v})",
            f"np.mod({v}, 3)",
            f"np.float32({v})", f"np.angle({v}) * 0", f"np.heaviside({v}, 1)", f"np.lexsort({v})",
            f"np.searchsorted(np.sort(r), {v})",
            f"np.logical_not({v})", f"np.isnan({v})", f"np.digitize({v}, [0, 1])",
            f"np.piecewise({v}, [{v} > 0], [1, -1])",
            f"np.extract({v} > 0, {v})", f"np.argwhere({v} > 0)", f"np.histogram({v}, 3)[0]",
            "np.vander(r)", "np.tri(R, C)",
            f"np.ediff1d({v})", f"np.partition({v}, 1, 0)[:2]", f"np.cumulative_sum({v}, axis=0)",
            f"np.rint({v})",
            f"np.tensordot({v}, {w}.T, 1)", f"np.linalg.matrix_power({v}, 2)",
            f"np.matmul({v}.T, {w})", f"np.inner({v}, {w})",
            f"np.swapaxes({v}, 0, 1) * 1", "np.fromfunction(lambda i, j: i + j, (R, C))",
            f"np.i0({v}) * 0", f"np.sinc({v} * 0)",
        )  # fmt: skip
        if self.chance(0.35):
            found = f"({found})" + self.pick(
                ".T", ".reshape(-1)", ".reshape(-1)", "[::-1]", "[0]", ".T.reshape(-1)", ".ravel()"
            )
        return str(found)

    def value(self) -> str:
        """Return an expression for what is written."""
        return str(self.pick(
            self.scalar(), self.scalar(), self.name(), f"{self.name()}.T", f"{self.name()}[::-1]",
            f"{self.name()} * 0.5",
            "r", "r[::-1]", f"{self.name()}[..., :1]", f"{self.name()}[0]",
        ))  # fmt: skip

    def write(self) -> str:
        """Return a statement that writes in place."""
        v, e = self.name(), self.value()
        op = self.pick("", "", "+", "*", "-")
        return str(self.pick(
            f"{v}[...] {op}= {e}", f"{v}[:] = {e}", f"{v} {op or '+'}= {e}", f"{v}[::2] {op}= {e}",
            f"{v}[0] {op}= {e}",
            f"{v}[-1] {op}= {e}", f"{v}[:, 0] {op}= {e}", f"{v}[:, ::-2] {op}= {e}",
            f"{v}[..., 1:] {op}= {e}", f"{v}.T[0] {op}= {e}",
            f"{v}.reshape(-1)[::2] {op}= {e}", f"{v}.ravel()[0] {op}= {e}",
            f"{v}.T.reshape(-1)[1] {op}= {e}",
            f"{v}[1:] {op}= {v}[:-1]", f"{v}[...] {op}= {v}[::-1]", f"{v} {op or '+'}= {v}.T",
            f"{v}[:, 1:] {op}= {v}[:, :-1]",
            f"{v}[::-1] {op}= {v}", f"{v}[...] = {v}.T", f"{v}[0], {v}[1] = {v}[1], {v}[0]",
            f"{v}[{v} > 1] {op}= {self.scalar()}", f"{v}[[0, 1]] {op}= {e}",
            f"{v}[[0, 0, 1]] {op}= {e}", f"{v}[:, k] {op}= {e}",
            f"{v}[k] {op}= {e}", f"{v}[np.ix_([1, 0], [0, 1])] {op}= {e}",
            f"{v}[[0, 1], [1, 0]] {op}= {e}", f"{v}[:, a[0] > 0] {op}= {self.scalar()}",
            f"{v}[k, ::-1] {op}= {e}", f"{v}[1, [1, 0]] {op}= {e}", f"{v}[..., None] {op}= {e}",
            f"{v}[a[:, 0] > 0, 1:] {op}= {self.scalar()}",
            f"np.copyto({v}, {e})", f"np.copyto({v}, {e}, where={v} > 0)",
            f"np.put({v}, [0, -1], [1, 2])", f"np.put({v}, [1, 1], {e})",
            f"{v}.put([0, 2], [5, 6])",
            f"np.add.at({v}, [0, 0, 1], {e})", f"np.add.at({v}, (k, 0), 1)",
            f"np.multiply.at({v}, k, 2)", f"np.maximum.at({v}, ([0, 1], [1, 0]), 2)",
            f"np.add.at({v}, {v} > 0, 1)",
            f"{v}.sort()", f"{v}.sort(axis=0)", f"{v}.fill({self.scalar()})",
            f"np.add({v}, {e}, out={v})", f"np.add({v}, {e}, {v})",
            f"np.multiply({v}, 2, out={self.name()})", f"np.add({v}, 1, out={v}, where={v} > 0)",
            f"np.negative({v}, out={v})", f"np.add({v}, {v}.T, out={v})",
            f"np.subtract({v}[1:], {v}[:-1], out={v}[:-1])", f"np.cumsum({v}, 0, out={v})",
            f"np.cumsum({v}, 0, out={self.name()})", f"np.sum({v}, 0, out={self.name()}[0])",
            f"np.matmul({v}, {self.name()}, out={self.name()})", f"np.clip({v}, -1, 1, out={v})",
            f"{v}.clip(-1, 1, out={v})", f"np.where({v} > 0, {v}, 1).T[...] = 2",
            f"np.fill_diagonal({v}, {self.scalar()})", f"np.place({v}, {v} > 0, [1, 2])",
            f"np.putmask({v}, {v} > 0, {e})",
            f"np.put_along_axis({v}, np.argsort({v}, 0)[:1], 3, 0)",
            f"{v}.flat[::2] = {self.scalar()}", f"{v}.flat[0] = 9", f"{v}.flat = {self.scalar()}",
            f"{v}[...].T[:, 0] {op}= {e}",
            f"{v}[(0, 1)] {op}= {self.scalar()}",
            f"np.take({v}, [0, 1], axis=0, out={self.name()}[:2])",
            f"np.concatenate([{v}, {v}], out={self.name()})",
            f"np.add({v}, {e}, out=({v},))", f"np.round({v}, 0, out={v})",
            f"np.dot({v}, {self.name()}, out={self.name()})",
            f"{v}.reshape(R, -1)[1:] {op}= {e}", f"np.moveaxis({v}, 0, -1)[0] {op}= {e}",
            f"np.nan_to_num({v} / 0, copy=False)", f"{v} **= 2", f"{v} //= 2", f"{v} %= 3",
            f"{v} /= 2",
            f"np.ravel({v})[1:3] {op}= {e}", f"np.diagonal({v}).copy()[0] = 4",
            f"np.rot90({v})[0] {op}= {e}", f"np.flip({v}, -1)[..., 0] {op}= {e}",
            f"np.broadcast_to({v}, {v}.shape)[0] = 1",
            f"np.sort({v}).T[0] = 3", f"np.maximum({v}, 0, {v})", f"np.logical_not({v}, out={v})",
            f"np.mean({v}, 0, out={self.name()}[0])", f"{v}.sum(0, out={self.name()}[-1])",
            f"np.stack([{v}, {v}], out={self.name()})",
            f"z.real[0] {op}= {self.name()}[0]", f"z.imag {op or '+'}= {e}", f"z.real = {e}",
            f"z[1:].imag[::-1] {op}= {e}", f"np.add(a, {v}, out=z.real)", f"z.T.real[0] = {e}",
            f"z[...] {op}= {e}", f"np.multiply(z, {e}, out=z)", f"z[:, 0] {op}= {e}",
        ))  # fmt: skip
