"""What has been measured so far, a line for each case, so that a run that was ended can go on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import Result
from benchmarks.worker import Problem

Settings = dict[str, Any]


def begin(path: Path, settings: Settings) -> None:
    """Start anew; ``settings`` are those that a run that goes on must share."""
    path.write_text(json.dumps(settings) + "\n", encoding="utf-8")


def add(path: Path, case: str, results: Sequence[Result]) -> None:
    """Append what one case gave."""
    entry = {"case": case, "results": [_entry(found) for found in results]}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def read(path: Path, settings: Settings) -> dict[str, list[Result]]:
    """Return the results of each case; nothing where the run was another one."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    if not lines or json.loads(lines[0]) != settings:
        return {}
    entries = [json.loads(line) for line in lines[1:]]
    return {e["case"]: [_result(e["case"], found) for found in e["results"]] for e in entries}


def _entry(result: Result) -> dict[str, Any]:
    problem = result.problem
    return {
        "peer": result.peer,
        "samples": result.samples,
        "problem": problem and [problem.text, problem.wrong],
    }


def _result(case: str, entry: dict[str, Any]) -> Result:
    problem = Problem(*entry["problem"]) if entry["problem"] else None
    return Result(case, entry["peer"], tuple(entry["samples"]), problem)
