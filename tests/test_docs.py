"""The documents are true: their Python runs, links lead somewhere, lists are complete."""

from __future__ import annotations

import doctest
import gc
import inspect
import linecache
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import hybrid as hb
from benchmarks.passes import programs
from hybrid import errors
from hybrid.trace.passes import PASSES

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
_OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, its text and the line it begins on."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(found[1], found[2], text.count("\n", 0, found.start()) + 1)
        for found in _FENCE.finditer(text)
    ]


def run(page: Path, language: str, text: str, line: int, names: dict[str, Any]) -> None:
    """Run one block in the names that the earlier blocks of its page have left."""
    if language == "pycon":
        test = doctest.DocTestParser().get_doctest(text, names, page.name, str(page), line)
        test.globs = names  # a copy otherwise, which would lose what the block defines
        report: list[str] = []
        doctest.DocTestRunner(optionflags=_OPTIONS).run(test, out=report.append, clear_globs=False)
        assert not report, "".join(report)
    elif language == "python":
        where = f"<{page.name}, line {line}>"
        linecache.cache[where] = len(text), None, text.splitlines(keepends=True), where
        exec(compile(text, where, "exec"), names)


@pytest.fixture(autouse=True)
def no_arrays_of_other_pages() -> None:
    """One that wants a gradient keeps a tape open; a page's functions and names are a cycle."""
    gc.collect()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    with warnings.catch_warnings():
        for block in blocks(page):
            run(page, block.language, block.text, block.line, names)
    names.clear()  # an array that wants a gradient keeps a tape open, which other pages would see
    gc.collect()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    prose = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for target, anchor in _LINK.findall(prose):
        found = (page.parent / target) if target else page
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tests_that_a_page_names_exist(page: Path):
    for path, name in re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", page.read_text("utf-8")):
        text = (ROOT / path).read_text(encoding="utf-8")
        assert not name or f"def {name}(" in text, f"{path}::{name}"


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get where it is shown."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


def test_each_exception_has_its_section():
    defined = {
        name
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and kind.__module__ == errors.__name__
    }
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^### (\w+)$", page, re.MULTILINE))
    assert described == defined


def test_each_pass_has_its_section():
    page = (ROOT / "docs" / "passes.md").read_text(encoding="utf-8")
    described = re.findall(r"^## (\w+)$", page, re.MULTILINE)
    assert described == [step.name for step in PASSES]


def test_each_pass_has_its_measured_effect():
    page = (ROOT / "docs" / "passes.md").read_text(encoding="utf-8")
    table = page.partition("| --- | --- | --- | --- | --- |\n")[2].partition("\n\n")[0]
    measured = [re.split(r" *\| *", row)[1:3] for row in table.splitlines()]
    assert measured == [[program.name, program.text] for program in programs()]
    passes = [p.name for p in programs() if p.without is None and p.apart is None]
    assert list(dict.fromkeys(passes)) == [step.name for step in PASSES]


def test_each_environment_variable_is_documented():
    read = set()
    for path in (ROOT / "hybrid").rglob("*.py"):
        read |= set(re.findall(r"\"(HYBRID_[A-Z_]+)\"", path.read_text(encoding="utf-8")))
    page = (ROOT / "docs" / "semantics.md").read_text(encoding="utf-8")
    assert read
    assert read <= set(re.findall(r"`(HYBRID_[A-Z_]+)`", page))


def test_the_changelog_knows_this_version():
    assert f"## [{hb.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_page_of_pitfalls_names_tests_that_exist():
    text = (ROOT / "docs" / "pitfalls.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| ")]
    named = {
        name.strip()
        for row in rows
        if set(row[1].strip()) - {"-"} and row[3].strip() != "tests"
        for name in row[3].split(",")
    }
    assert len(named) > 25
    places = [ROOT / "tests" / "trace", ROOT / "tests"]
    for name in sorted(named):
        assert any((place / f"{name}.py").exists() for place in places), name


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_the_modules_that_a_page_names_exist(page: Path):
    to_be_made = "hybrid/trace/passes/squares.py"  # by who follows the steps of CONTRIBUTING.md
    known = {str(path.relative_to(ROOT)) for path in ROOT.glob("*/**/*.py")} | {to_be_made}
    named = re.findall(r"`([\w/]+\.py)", page.read_text(encoding="utf-8"))
    assert [x for x in named if not any(f"/{path}".endswith(f"/{x}") for path in known)] == []


def test_the_map_of_the_design_names_each_module():
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    plan = page.partition("```\nhybrid/\n")[2].partition("```")[0]
    layers = re.split(r"^  (\w+)/ ", plan, flags=re.MULTILINE)[1:]
    for name, text in zip(layers[::2], layers[1::2], strict=True):
        modules = {path.stem for path in (ROOT / "hybrid" / name).glob("*.py")} - {"__init__"}
        assert modules <= set(re.findall(r"\w+", text)), name
