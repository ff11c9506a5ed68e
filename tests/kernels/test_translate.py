"""Law: the code of a kernel's source computes what Python computes for its text."""

from __future__ import annotations

import ctypes
import hashlib
import textwrap
from typing import Any

import numpy as np
import pytest

from hybrid.kernels import build, kernel, native
from hybrid.kernels.memory import load, store
from hybrid.kernels.texts import Source
from hybrid.kernels.translate import inlined

Words = np.ndarray[Any, np.dtype[np.int64]]

HEAD = """\
words_pointer = operand(0, "int64", "words")
"""
FORMS = {
    "counts up to a number": """
        for i in range(n):
            store(words, i, i)
        """,
    "counts from a number": """
        for i in range(2, n):
            store(words, i, i * i)
        """,
    "counts in steps, the last of them beyond the end": """
        for i in range(1, n, 3):
            store(words, i, 7)
        """,
    "counts in steps known at the call only": """
        for i in range(0, n, m):
            store(words, i, m)
        """,
    "lanes are a range": """
        for i in lanes(1, 8, 4):
            store(words, i, i * n)
        """,
    "lanes of several vectors at a time are a range": """
        for i in lanes(0, 16, 4, 2):
            store(words, i, i * n)
        """,
    "lanes of what cannot be vectors are a range": """
        for i in lanes(1, 8, 4, 1):
            store(words, i, load(words, i - 1) * n + m)
        """,
    "an interleaved loop counts as any": """
        for i in interleaved(n):
            store(words, i, i * m)
        """,
    "items are a range": """
        for i in items(m, n):
            for j in range(i):
                store(words, i, j)
        """,
    "an empty range leaves the variable alone": """
        i = 5
        for i in range(3, 3):
            store(words, 0, 1)
        store(words, 1, i)
        """,
    "the variable keeps its last number": """
        i = 0
        for i in range(n):
            store(words, i, 1)
        store(words, 0, i)
        """,
    "assigning to the variable does not change the counting": """
        for i in range(n):
            old = i
            i = i * 10
            store(words, old, i)
        """,
    "loops in loops": """
        total = 0
        for i in range(n):
            for j in range(i, n):
                total += j * m
            store(words, i, total)
        """,
    "branches": """
        for i in range(n):
            if i % 3 == 1:
                x = 10
            else:
                if i > 4:
                    x = 20
                else:
                    x = 30
            store(words, i, x)
        """,
    "a branch without the other": """
        x = 1
        for i in range(n):
            if (i < 2) | (i >= 6):
                x += i
            store(words, i, x)
        """,
    "several at once, computed before any is stored": """
        a, b = 1, 2
        for i in range(n):
            a, b = b, a + b
            store(words, i, a)
        """,
    "while": """
        k = 0
        while k * k < n:
            store(words, k, k * m)
            k += 1
        while m < 0:
            store(words, 9, 9)
        """,
    "floored division and remainder": """
        for i in range(n):
            k = i - 5
            store(words, i, k // 3 * 1000 + k % 3 * 10 + k // m + k % m)
            store(words, i, load(words, i) + k // -3 * 100000 + k % -3 * 7000000)
        """,
    "the smaller and the larger": """
        for i in range(n):
            store(words, i, min(i, m) * 100 + max(3, i))
        """,
}


def _source(text: str) -> Source:
    body = textwrap.indent(textwrap.dedent(text).strip("\n"), "    ")
    name = "k_test_" + hashlib.sha256(body.encode()).hexdigest()[:12]
    head = f"def {name}_run(args, lo, hi):\n    words = words_pointer(args)\n"
    return Source(name, f"{HEAD}\n\n{head}    n, m = hi, lo\n{body}\n", (f"{name}_run",), 1)


def _compiled(text: str, words: Words, n: int, m: int) -> None:
    source = _source(text)
    address = native.load_object(build.build(source))(f"{source.phases[0]}_run")
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(address)
    run((ctypes.c_void_p * 1)(words.ctypes.data), m, n)


def _python(text: str, words: Words, n: int, m: int) -> None:
    names: dict[str, Any] = {
        "load": lambda words, i: int(words[i]),
        "store": lambda words, i, x: words.put(i, x),
        "interleaved": range,
        "items": range,
        "lanes": lambda first, count, width, *at_once: range(first, first + count),
    }
    exec(textwrap.dedent(text), names | {"words": words, "n": n, "m": m})


@pytest.mark.parametrize("form", FORMS)
def test_statements(form: str) -> None:
    for n, m in ((0, 1), (1, 2), (9, 4)):
        got, expected = np.full(16, -1), np.full(16, -1)
        _compiled(FORMS[form], got, n, m)
        _python(FORMS[form], expected, n, m)
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    "statement", ["while n:\n    n = 0\nelse:\n    n = 1", "return n", "words[0] = 1"]
)
def test_other_statements_are_refused(statement: str) -> None:
    with pytest.raises(SyntaxError, match="not for kernels"):
        build.code(_source(statement))


def test_a_variable_keeps_its_type() -> None:
    with pytest.raises(TypeError, match="x is int64, and then float64"):
        build.code(_source("x = 1\nx = 1.0"))


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(NameError, match="nothing"):
        build.code(_source("x = nothing + n"))


@inlined
def _fill(words: Any, n: Any, value: Any) -> None:
    """Variables of a function that is inlined are its own."""
    x = value
    for i in range(n):
        store(words, i, x + load(words, i))


def test_a_function_is_inlined_with_variables_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    names = build.namespace() | {"fill": _fill}
    monkeypatch.setattr(build, "namespace", lambda: dict(names))
    words = np.arange(8)
    _compiled("x = 100\nfill(words, n, 10)\nfill(words, m, 5)\nstore(words, 7, x)", words, 4, 2)
    assert words.tolist() == [15, 16, 12, 13, 4, 5, 6, 100]


def test_source_of_a_kernel_is_compiled_once(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYBRID_CACHE_DIR", str(tmp_path))
    source = _source(FORMS["branches"])
    first = kernel.load(source)
    assert kernel.load(source) is first
    kernel.clear()
    assert [first[2], kernel.load(source)[2]] == [False, True]


def test_variables_that_are_assigned_once_are_no_memory() -> None:
    text = "x = n + 1\nfor i in range(n):\n    y = x * i\n    store(words, i, y)"
    assert "alloca" not in build.code(_source(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Read before the statement that assigns it: what the step before has left.
        ("x = 7\nfor i in range(n):\n    store(words, i, x)\n    x = i", [7, 0, 1, 2]),
        # Assigned on both ways, read after them.
        ("for i in range(n):\n    if i < 2:\n        x = 5\n    else:\n        x = 6\n"
         "    store(words, i, x)", [5, 5, 6, 6]),
        # Assigned once in a loop, read after it.
        ("for i in range(n):\n    x = i * 3\nstore(words, 0, x)", [9, 0, 0, 0]),
        # Assigned once in a loop that asks, read by its question and after it.
        ("i = 0\ngoing = i < n\nwhile going:\n    x = i * 2\n    i += 1\n    going = i < n\n"
         "store(words, 2, x)", [0, 0, 6, 0]),
        ("x = n\nx += 1\nstore(words, 1, x)", [0, 5, 0, 0]),
        # The counter, after the loop.
        ("for i in range(n):\n    store(words, i, i)\nstore(words, 0, i)", [3, 1, 2, 3]),
        # Two variables that change places.
        ("x = 1\ny = 2\nfor i in range(n):\n    x, y = y, x\n    store(words, i, x)", [2, 1, 2, 1]),
    ],
)  # fmt: skip
def test_variables_that_change_or_outlive_their_block_are_memory(
    text: str, expected: list[int]
) -> None:
    words = np.zeros(4, np.int64)
    _compiled(text, words, 4, 0)
    assert words.tolist() == expected
