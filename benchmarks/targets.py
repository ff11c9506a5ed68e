"""What is promised for the CPU, next to what was measured, in one run of the benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from statistics import geometric_mean

from benchmarks.beyond import Measurement
from benchmarks.report import SLOW, Rows, duration, our_speeds, times

# Elementwise expressions and reductions of rows that move 4 MB and more.
BANDWIDTH = (
    *("elementwise * 1e6", "elementwise * 1e7", "ten simple ops * 1e7", "Black-Scholes *"),
    *("* over rows 2000x2000", "softmax 1000x1000", "logsumexp 1000x1000", "layer norm 1000x1000"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise.

    Attributes
    ----------
    target : str
    measured : str
        Empty where the run did not measure it.
    met : bool or None
        None where it was not measured.
    """

    target: str
    measured: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class Measured:
    """All that a run measured."""

    rows: Rows
    beyond: Mapping[str, Measurement]
    _times: dict[tuple[str, str], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for case, results in self.rows:
            for found in results:
                if found.samples:
                    self._times[case.name, found.peer] = found.median

    def time(self, case: str, peer: str = "hybrid") -> float:
        """The median of a case. Raises KeyError where there is none."""
        return self._times[case, peer]

    def __contains__(self, measured: tuple[str, str]) -> bool:
        """Whether there is a time of that case and peer."""
        return measured in self._times


Check = Callable[[Measured], tuple[str, bool]]


def geometric(m: Measured) -> tuple[str, bool]:
    speeds = our_speeds(m.rows)
    mean = geometric_mean(speeds.values())
    traced = [
        speeds[case.name]
        for case, results in m.rows
        if case.measure == "call" and any(r.peer == "hybrid" and r.samples for r in results)
        if case.name in speeds
    ]
    text = f"{mean:.2f} over {len(speeds)} cases"
    if traced:
        text += f" ({geometric_mean(traced):.2f} over the {len(traced)} that time traced calls; "
        text += "the others time eager ops, first calls and memory)"
    return text, mean >= 1.3


def none_slow(m: Measured) -> tuple[str, bool]:
    speeds = our_speeds(m.rows)
    slow = [value for value in speeds.values() if value < SLOW]
    return f"{len(slow)} of {len(speeds)} below, the least {times(min(speeds.values()))}", not slow


def bandwidth(m: Measured) -> tuple[str, bool]:
    shares = {
        case.name: m.time(case.name, "copy") / m.time(case.name)
        for case, _ in m.rows
        if _listed(case.name, BANDWIDTH)
        if (case.name, "copy") in m and (case.name, "hybrid") in m
    }
    if not shares:
        raise ValueError("no such case was measured")
    below = sorted((share, name) for name, share in shares.items() if share < 0.8)
    text = f"{len(shares) - len(below)} of {len(shares)} cases"
    # What a case's functions take alone, where that is more than a copy. Only where it is most of
    # the time does it excuse a case: elsewhere both take their turns.
    functions = {
        name: m.time(name, "functions") / m.time(name)
        for share, name in below
        if (name, "functions") in m and m.time(name, "functions") > share * m.time(name)
    }
    shown = {}
    for share, name in below:
        said = [f"its functions {100 * functions[name]:.0f} %"] if name in functions else []
        said += _limited(m.beyond.get("limits", {}).get(name))
        shown[name] = f"{name} {100 * share:.0f} %" + (f" ({'; '.join(said)})" if said else "")
    computed = [text for name, text in shown.items() if functions.get(name, 0.0) >= 0.8]
    copied = [text for name, text in shown.items() if functions.get(name, 0.0) < 0.8]
    if copied:
        text += "; below: " + ", ".join(copied)
    if computed:
        text += "; below, but bound by the time of their functions: " + ", ".join(computed)
    return text, not below


def _limited(limit: Mapping[str, float] | None) -> list[str]:
    """What is left of a copy's bandwidth if memory takes no time: see `benchmarks.limits`."""
    if limit is None:
        return []
    shares = (100 * limit["copied"] / limit[part] for part in ("functions", "cached"))
    return ["of the bandwidth exp alone leaves {:.0f} %, all in the cache {:.0f} %".format(*shares)]


def fewer_bytes(m: Measured) -> tuple[str, bool]:
    found = m.beyond["traffic"]
    saved = 1 - found["traced"] / found["eager"]
    eager, traced = (m.time("ten simple ops float32 1e7", p) for p in ("hybrid-eager", "hybrid"))
    kernels = "1 kernel" if found["kernels"] == 1 else f"{found['kernels']} kernels"
    return (
        f"{100 * saved:.0f} % fewer ({found['ops']} ops, {kernels}); "
        f"1e7 numbers take {duration(eager)} eager, {duration(traced)} traced"
    ), saved >= 0.83 and traced < eager


def demo(m: Measured) -> tuple[str, bool]:
    eager, traced = (m.beyond["demo_step"][mode] for mode in ("eager", "traced"))
    return f"{duration(eager)} / {duration(traced)} = {eager / traced:.1f}", eager / traced >= 4.2


def call(m: Measured) -> tuple[str, bool]:
    ours, jax = (m.time("call, 4 arguments", peer) for peer in ("hybrid", "jax"))
    text = f"{duration(ours)}, JAX {duration(jax)} ({jax / ours:.1f} times)"
    return text, ours <= 2e-6 and ours <= jax / 3


def within(case: str, seconds: float) -> Check:
    def check(m: Measured) -> tuple[str, bool]:
        return duration(m.time(case)), m.time(case) < seconds

    return check


def importing(m: Measured) -> tuple[str, bool]:
    found = m.beyond["importing"]
    text = (
        f"{duration(found['seconds'])}, with `hb.compile` {duration(found['compiled'])} more, "
        f"numba {'is' if found['numba'] else 'not'} imported"
    )
    return text, found["seconds"] < 0.3 and not found["numba"]


def jacobi(m: Measured) -> tuple[str, bool]:
    ready = m.time("compile 1000 Jacobi steps")
    pairs = [
        (
            m.time(f"Jacobi {side}x{side}, 1000 steps", "numba"),
            m.time(f"Jacobi {side}x{side}, 1000 steps"),
        )
        for side in (128, 512)
    ]
    parts = [f"ready in {duration(ready)}"]
    parts += [f"numba {duration(numba)} / {duration(ours)}" for numba, ours in pairs]
    return "; ".join(parts), ready < 2 and all(ours <= numba for numba, ours in pairs)


def growth(m: Measured) -> tuple[str, bool]:
    from benchmarks.growth import Growth

    found = m.beyond["growth"]
    each = {name: Growth(*grown) for name, grown in found["grown"].items()}
    parts = [f"{name} {grown}" for name, grown in each.items()]
    text = f"{found['calls']:,} calls, {found['traces']:,} traces each: {', '.join(parts)}"
    return text, all(grown.is_noise for grown in each.values())


def vector_math(m: Measured) -> tuple[str, bool]:
    speeds = m.beyond["vector_math"]
    slow = sorted((value, name) for name, value in speeds.items() if value < 1)
    text = f"geometric mean {geometric_mean(speeds.values()):.2f}; "
    text += f"{len(slow)} of {len(speeds)} slower"
    if slow:
        text += ": " + ", ".join(f"{name} {times(value)}" for value, name in slow)
    return text, not slow


def tracing(m: Measured) -> tuple[str, bool]:
    seconds = m.beyond["tracing"]["seconds"]
    return f"{duration(seconds)} over {m.beyond['tracing']['nodes']:,} nodes", seconds <= 1e-5


def native_step(m: Measured) -> tuple[str, bool]:
    found = m.beyond["native_step"]
    return ", ".join(f"{name} {duration(t)}" for name, t in found.items()), max(
        found.values()
    ) < 1e-6


TARGETS: dict[str, Check] = {
    "geometric mean over all cases, to the best peer of each: at least 1.3": geometric,
    "no case below 0.8": none_slow,
    "elementwise and row reductions from 4 MB on: 80 % of copy bandwidth": bandwidth,
    "ten fused elementwise ops move 83 % fewer bytes than eager": fewer_bytes,
    "the demo's training step, traced: 4.2 times as fast as eager": demo,
    "a call with four small Tensors: 2 µs, a third of JAX's": call,
    "cold compile of the MLP training step: under 2 s": within("compile MLP step", 2.0),
    "the same in a second process: under 0.2 s": within("first call after restart, MLP step", 0.2),
    "a new shape: under 20 ms": within("new shape, MLP step", 0.02),
    "`import hybrid`: under 0.3 s, without numba": importing,
    "1,000 Jacobi steps, only decorated: ready in 2 s, no slower than loops in numba": jacobi,
    "memory growth over 1e6 calls and 1e4 traces: none": growth,
    "vector math: at least the speed of NumPy's loops": vector_math,
    "tracing: 10 µs a node": tracing,
    "a step of a native loop over scalars: under 1 µs": native_step,
}


def findings(measured: Measured) -> list[Finding]:
    """Check each promise; one whose cases or measurements are not there is not measured."""
    there = {name: values for name, values in measured.beyond.items() if "problem" not in values}
    measured = replace(measured, beyond=there)
    found = []
    for target, check in TARGETS.items():
        try:
            found.append(Finding(target, *check(measured)))
        except (KeyError, ValueError):
            found.append(Finding(target, "", None))
    return found


def markdown(found: Sequence[Finding]) -> str:
    """The promises as a table."""
    lines = ["| promised | measured | |", "| --- | --- | --- |"]
    for finding in found:
        met = "not measured" if finding.met is None else "met" if finding.met else "**not met**"
        lines.append(f"| {finding.target} | {finding.measured} | {met} |")
    return "\n".join(lines)


def _listed(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)
