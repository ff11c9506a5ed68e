"""The command: ``python -m benchmarks [--case PATTERN] [--peers NAMES] [--quick] [--resume]``."""

from __future__ import annotations

import argparse
import compileall
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.machine import limit_threads

if TYPE_CHECKING:
    from benchmarks.allowance import Allowance
    from benchmarks.beyond import Measurement
    from benchmarks.case import Case
    from benchmarks.harness import Effort, Result
    from benchmarks.machine import Machine
    from benchmarks.report import Rows

RESULTS = Path(__file__).parent / "results"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description="Measure the peers.")
    parser.add_argument("--case", action="append", help="name, part of a name, or pattern")
    parser.add_argument(
        "--peers", help="comma-separated; by default all, if --quick those that compile fast"
    )
    parser.add_argument("--quick", action="store_true", help="six minutes at most")
    parser.add_argument("--threads", type=int, default=2, help="threads for every peer")
    parser.add_argument("--list", action="store_true", help="list cases and peers, measure nothing")
    parser.add_argument(
        "--resume", action="store_true", help="go on with a run that was ended, like this one"
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="path without suffix for .md, .json and .png; by default results/latest "
        "for a full run and results/partial for any other",
    )
    return parser.parse_args()


def main() -> int:
    """Measure, print the table, write the files; 1 if a peer gave a wrong result."""
    arguments = _arguments()
    threads = limit_threads(arguments.threads)
    # After limit_threads: NumPy's BLAS reads its number of threads when it is imported.
    from benchmarks import allowance
    from benchmarks.beyond import measured
    from benchmarks.cases import CASES
    from benchmarks.harness import QUICK, Effort
    from benchmarks.machine import measure_machine
    from benchmarks.peers import PEERS

    patterns = arguments.case or ["*"]
    effort = QUICK if arguments.quick else Effort()
    time = allowance.Allowance(effort)
    peers = arguments.peers.split(",") if arguments.peers else allowance.default_peers(effort)
    unknown = sorted(set(peers) - set(PEERS))
    cases = [case for name, case in CASES.items() if any(_matches(name, p) for p in patterns)]
    if unknown or not cases:
        what = f"no peer {unknown[0]!r}" if unknown else f"no case like {patterns[0]!r}"
        print(f"{what}; `python -m benchmarks --list` shows all", file=sys.stderr)
        return 2
    if arguments.list:
        print("cases:", *(f"  {case.name}" for case in cases), sep="\n")
        print("peers:", *(f"  {name}" for name in PEERS), sep="\n")
        return 0

    _write_bytecode()
    everything = not (arguments.case or arguments.peers)
    name = "latest" if everything and not arguments.quick else "partial"
    output: Path = arguments.output or RESULTS / name
    output.parent.mkdir(parents=True, exist_ok=True)
    machine = measure_machine(threads, arguments.quick)
    rows = _measure(cases, peers, machine, effort, time, output, resume=arguments.resume)
    note = allowance.note(effort, peers, cases, [case for case, _ in rows])
    print(note, end="\n" if note else "", file=sys.stderr, flush=True)
    beyond: dict[str, Measurement] = {}
    if everything:
        print("what no case shows", file=sys.stderr, flush=True)
        beyond = dict(measured(arguments.quick, lambda: time.left))
    print(_write(rows, machine, beyond, output, note))
    problems = [found.problem for _, results in rows for found in results]
    return int(any(problem.wrong for problem in problems if problem))


def _measure(
    cases: Sequence[Case],
    peers: Sequence[str],
    machine: Machine,
    effort: Effort,
    time: Allowance,
    output: Path,
    *,
    resume: bool,
) -> Rows:
    """Measure each case, while there is time; the table is written anew after each."""
    from benchmarks import allowance, journal, report
    from benchmarks.harness import Harness
    from benchmarks.progress import Progress

    path = output.with_suffix(".jsonl")
    settings = {"peers": list(peers), "threads": machine.threads, "effort": asdict(effort)}
    known = journal.read(path, settings) if resume else {}
    if not known:
        journal.begin(path, settings)
    rows: list[tuple[Case, list[Result]]] = []
    progress = Progress([case for case in cases if case.name not in known], effort, time)
    with closing(Harness(peers, machine.threads, effort)) as harness:
        for case in allowance.in_turn(cases, effort):
            if case.name in known:
                rows.append((case, known[case.name]))
                continue
            if time.for_cases <= 0:
                continue
            progress.begin(case.name)
            results = harness.run(case)
            rows.append((case, results))
            journal.add(path, case.name, results)
            output.with_suffix(".md").write_text(report.markdown(rows, machine), encoding="utf-8")
            progress.end([f"{r.peer}: {r.problem.text}" for r in results if r.problem])
    places = {case.name: place for place, case in enumerate(cases)}
    return sorted(rows, key=lambda row: places[row[0].name])


def _write(
    rows: Rows, machine: Machine, beyond: dict[str, Measurement], output: Path, note: str
) -> str:
    """Write the three files; return the Markdown."""
    from benchmarks import report, targets

    measured = targets.Measured(rows, beyond)
    found = targets.findings(measured) if beyond else []
    text = report.markdown(rows, machine, targets.markdown(found) if found else "", note)
    more = {"targets": [asdict(finding) for finding in found], "beyond": beyond} if found else None
    output.with_suffix(".md").write_text(text, encoding="utf-8")
    output.with_suffix(".json").write_text(report.as_json(rows, machine, more), encoding="utf-8")
    report.draw(rows, output.with_suffix(".png"))
    return text


def _write_bytecode() -> None:
    """Do what an installer does, or first calls would include reading our own source."""
    places = find_spec("hybrid")
    for folder in (places and places.submodule_search_locations) or ():
        compileall.compile_dir(folder, quiet=2)


def _matches(name: str, pattern: str) -> bool:
    return fnmatch(name, pattern) or fnmatch(name, f"*{pattern}*")


if __name__ == "__main__":
    sys.exit(main())
