"""What eager operations cost beside NumPy's and torch's: ``python -m benchmarks.eager_cost``.

Every op on 16 and on 1,000,000 float32 elements, on one thread, the three libraries in turns. The
clock is the thread's own, which stands still while others have the processor; the least time of
several counts, since others may use the memory too. A row is a statement;
the ratio is that of hybrid to NumPy, to be at most 2.5 for 16 elements and 1.05 for a million.

The floor is what a Python function takes that does nothing but make a Tensor. Where NumPy's call is
so short that the floor alone is beyond the limit (views), the verdict says so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from time import thread_time
from timeit import Timer
from typing import Any

from benchmarks.machine import limit_threads

Spaces = dict[str, dict[str, Any]]  # of names, for each library

SMALL, LARGE = 16, 1_000_000
VIEW = 20.0  # us, in which nothing is done to a million elements
LIMITS = {SMALL: 2.5, LARGE: 1.05}

STATEMENTS = (
    *("x + y", "x - y", "x * y", "x / y", "x * 2.0", "2.0 * x", "x ** 2", "x < y", "-x", "abs(x)"),
    *("xp.sum(x)", "xp.sum(x, axis=0)", "x.sum()", "xp.mean(x)", "xp.max(x)", "xp.argmax(x)"),
    *("xp.any(x > 1)", "xp.cumsum(x, axis=0)", "xp.var(x)", "xp.prod(x)"),
    *("x.reshape(4, -1)", "xp.reshape(x, (4, -1))", "xp.stack([x, y])", "xp.concatenate([x, y])"),
    *("x[1:]", "x[3]", "x[::2]", "x[None]", "x.T", "m.T", "x[i]", "x[b]", "x[1:] = 0.0"),
    *("xp.flip(x, (0,))", "xp.squeeze(m)", "xp.broadcast_to(x, (2, n))", "xp.zeros(n)"),
    *("xp.where(b, x, y)", "xp.clip(x, 0.2, 0.5)", "xp.take(x, i)", "xp.sort(x)"),
    *(
        "x[2:5]",
        "x[1:][1:]",
        "(x + y)[1:]",
        "m[0]",
        "m[0, 2]",
        "x[1] = 2.0",
        "z = x; z *= 1.0",
        "x[1:3] += 1.0",
        "m[:, 1] = 0.0",
        "x[1:] *= 1.0",
    ),
    *("float(x[0])", "int(i[0])", "bool(x[0] > 2)", "x.item(3)", "x.tolist()", "len(x)", "list(x)"),
    *("x.shape", "x.ndim", "x.dtype", "x.max()", "x.mean()", "x.argmax()", "x.std()", "x.any()"),
    *(
        "x.astype('float64')",
        "x.copy()",
        "x.ravel()",
        "x.dot(y)",
        "x == y",
        "x > 0.5",
        "~b",
        "b & b",
    ),
    *("xp.ones(n)", "xp.arange(n)", "xp.asarray([1.0, 2.0])", "xp.array(2.0)", "xp.zeros_like(x)"),
    *("v @ x[:len(v)]", "xp.dot(x, y)", "xp.minimum(x, y)", "xp.linspace(0, 1, n)", "xp.round(x)"),
    *("v @ v", "xp.matmul(v, v)", "xp.einsum('ij,jk->ik', v, v)"),
)
"""`x`, `y`: n elements; `m`: `x` with two axes; `v`: a square matrix; `i`: indices; `b`: a mask."""


@dataclass(frozen=True, slots=True)
class Row:
    """Microseconds of one statement."""

    statement: str
    size: int
    numpy: float
    hybrid: float
    torch: float | None

    @property
    def ratio(self) -> float:
        """Hybrid's time over NumPy's."""
        return self.hybrid / self.numpy

    def verdict(self, floor: float) -> str:
        """Say whether the ratio is within its limit, and where it is not, whether it could be."""
        if self.ratio <= LIMITS[self.size]:
            return "within"
        if self.size == LARGE and self.numpy < VIEW:
            return "view"
        reachable = floor + self.numpy <= LIMITS[self.size] * self.numpy
        return "over" if reachable else "floor"


def statements() -> Iterator[str]:
    """Yield the elementwise functions of the registry, then the other statements."""
    import numpy as np

    import hybrid as hb
    from hybrid.core.op import OPS

    for name, op in OPS.items():
        known = hasattr(hb, name) and isinstance(getattr(np, name, None), np.ufunc)
        if op.family != "elementwise" or not known:
            continue
        kind = "f" if _takes(getattr(np, name), "f") else "i"
        one = "x" if kind == "f" else "i"
        other = ", y" if kind == "f" else ", i"
        yield f"xp.{name}({one}{other if getattr(np, name).nin == 2 else ''})"
    yield from STATEMENTS


def _takes(ufunc: Any, char: str) -> bool:
    return any(types.startswith(char * ufunc.nin + "->") for types in ufunc.types)


def scopes(size: int) -> Spaces:
    """Return the names that statements use, for each library at hand."""
    import numpy as np

    import hybrid as hb

    rng = np.random.default_rng(0)
    side = min(int(size**0.5), 300)
    x, y = (rng.uniform(0.1, 0.9, size).astype(np.float32) for _ in range(2))
    arrays: dict[str, Any] = {
        "x": x,
        "y": y,
        "m": x[None].copy(),
        "v": x[: side * side].reshape(side, side).copy(),
        "i": rng.integers(1, 4, size),
        "b": x > 0.5,
    }
    found: Spaces = {"numpy": {"xp": np, "n": size, **arrays}}
    found["hybrid"] = {"xp": hb, "n": size}
    found["hybrid"] |= {k: hb.asarray(a, copy=True) for k, a in arrays.items()}
    try:
        import torch
    except ImportError:
        return found
    found["torch"] = {"xp": torch, "n": size}
    found["torch"] |= {k: torch.from_numpy(a.copy()) for k, a in arrays.items()}
    return found


def measure(statement: str, size: int, spaces: Spaces, rounds: int) -> Row | None:
    """Time `statement` in each library, in turns; None where one of the first two has it not."""
    timers = {}
    for name, scope in spaces.items():
        timer = Timer(statement, timer=thread_time, globals=scope)
        try:
            timer.timeit(2)
            timers[name] = timer
        except (AttributeError, TypeError, ValueError, RuntimeError, NotImplementedError):
            if name != "torch":
                return None
    calls = max(1, int(2e-3 / (timers["numpy"].timeit(3) / 3)))
    found: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(rounds):
        for name, timer in timers.items():
            found[name].append(timer.timeit(calls) / calls * 1e6)
    times = {name: min(t) for name, t in found.items()}
    return Row(statement, size, times["numpy"], times["hybrid"], times.get("torch"))


def floor() -> float:
    """Return the microseconds of a Python function that does nothing but make a Tensor."""
    import numpy as np

    from hybrid.core.tensor import Tensor, wrap

    def call(x: Tensor) -> Tensor:
        return wrap(x._data)

    timer = Timer("call(x)", timer=thread_time, globals={"call": call, "x": wrap(np.zeros(1))})
    return min(timer.repeat(50, 1000)) / 1000 * 1e6


def table(rows: list[Row], least: float) -> str:
    """Return the rows as Markdown, the dearest first; `least` is the floor."""
    lines = ["| statement | elements | NumPy us | hybrid us | ratio | verdict | torch us |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | --- | ---: |")
    for row in sorted(rows, key=lambda r: (r.size, -r.ratio)):
        torch = "" if row.torch is None else f"{row.torch:.2f}"
        lines.append(
            f"| `{row.statement}` | {row.size} | {row.numpy:.2f} | {row.hybrid:.2f} "
            f"| {row.ratio:.2f} | {row.verdict(least)} | {torch} |"
        )
    return "\n".join(lines)


def summary(rows: list[Row], least: float) -> str:
    """Say for each size how many rows are within the limit, and how many take less than torch."""
    lines = [f"floor: a Python function that makes a Tensor takes {least:.2f} us"]
    for size in sorted({row.size for row in rows}):
        mine = [row for row in rows if row.size == size]
        found: dict[str, list[str]] = {v: [] for v in ("within", "over", "floor", "view")}
        for row in mine:
            found[row.verdict(least)].append(row.statement)
        lines.append(
            f"{size} elements: {len(found['within'])} of {len(mine)} statements within "
            f"{LIMITS[size]} times NumPy; over: {_listed(found['over'])}; "
            f"beyond reach, because of the floor: {_listed(found['floor'])}; "
            f"views, which cost what they cost for {SMALL}: {_listed(found['view'])}"
        )
        slower = [r.statement for r in mine if r.torch is not None and r.hybrid > r.torch]
        both = sum(r.torch is not None for r in mine)
        lines.append(
            f"{size} elements: {both - len(slower)} of {both} take less than torch; "
            f"more: {_listed(slower)}"
        )
    return "\n".join(lines)


def _listed(statements: list[str]) -> str:
    return ", ".join(statements) or "none"


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser("python -m benchmarks.eager_cost")
    parser.add_argument("--size", type=int, action="append", choices=(SMALL, LARGE))
    parser.add_argument("--only", default="", help="statements that contain this text")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    limit_threads(1)
    rows = []
    for size in arguments.size or (SMALL, LARGE):
        spaces = scopes(size)
        for statement in statements():
            if arguments.only in statement:
                row = measure(statement, size, spaces, arguments.rounds)
                rows += [row] if row else []
    least = floor()
    print(table(rows, least))
    print(summary(rows, least))
    return 0


if __name__ == "__main__":
    sys.exit(main())
