"""The command: ``python -m benchmarks [--case PATTERN] [--peers NAMES] [--quick]``."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from fnmatch import fnmatch
from pathlib import Path

from benchmarks.machine import limit_threads

RESULTS = Path(__file__).parent / "results"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description="Measure the peers.")
    parser.add_argument("--case", action="append", help="name, part of a name, or pattern")
    parser.add_argument("--peers", help="comma-separated; all of them by default")
    parser.add_argument("--quick", action="store_true", help="fewer, shorter samples")
    parser.add_argument("--threads", type=int, default=2, help="threads for every peer")
    parser.add_argument("--list", action="store_true", help="list cases and peers, measure nothing")
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
    from benchmarks import report
    from benchmarks.cases import CASES
    from benchmarks.harness import QUICK, Effort, Harness
    from benchmarks.machine import measure_machine
    from benchmarks.peers import PEERS

    patterns = arguments.case or ["*"]
    peers = arguments.peers.split(",") if arguments.peers else list(PEERS)
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

    machine = measure_machine(threads, arguments.quick)
    rows = []
    with closing(Harness(peers, threads, QUICK if arguments.quick else Effort())) as harness:
        for case in cases:
            print(case.name, file=sys.stderr, flush=True)
            rows.append((case, harness.run(case)))

    table = report.markdown(rows, machine)
    print(table)
    full = not (arguments.case or arguments.peers or arguments.quick)
    output: Path = arguments.output or RESULTS / ("latest" if full else "partial")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.with_suffix(".md").write_text(table, encoding="utf-8")
    output.with_suffix(".json").write_text(report.as_json(rows, machine), encoding="utf-8")
    report.draw(rows, output.with_suffix(".png"))
    problems = [found.problem for _, results in rows for found in results]
    return int(any(problem.wrong for problem in problems if problem))


def _matches(name: str, pattern: str) -> bool:
    return fnmatch(name, pattern) or fnmatch(name, f"*{pattern}*")


if __name__ == "__main__":
    sys.exit(main())
