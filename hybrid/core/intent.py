"""What the user's line is about to do with an array that NumPy has just made for it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from types import CodeType

from hybrid.core.source import user_frame

Place = tuple[int | None, int | None, int | None, int | None]
"""First line, last line, first column, last column: as code objects tell them."""


def to_be_written() -> bool:
    """Tell whether the array that is being made becomes one that the user's function writes into.

    ``a = np.arange(6.0).reshape(2, 3)`` does, if somewhere there is ``a[...] = v``, ``a += v`` or
    ``out=a``. Where the source is not at hand nobody knows, and the answer is no.
    """
    frame = user_frame()
    if frame is None:
        return False
    places = _calls_for_written_names(frame.f_code)
    return bool(places) and _place(frame.f_code, frame.f_lasti) in places


@lru_cache(maxsize=4096)
def _place(code: CodeType, instruction: int) -> Place:
    return next(islice(code.co_positions(), instruction // 2, None))


@lru_cache(maxsize=1024)
def _calls_for_written_names(code: CodeType) -> frozenset[Place]:
    try:
        source = inspect.getsource(code)
        tree = ast.parse(textwrap.dedent(source))
    except (OSError, SyntaxError, ValueError):
        return frozenset()
    down = code.co_firstlineno - 1
    right = len(source) - len(source.lstrip())
    written = frozenset(_written_names(tree))
    return frozenset(
        (
            call.lineno + down,
            (call.end_lineno or 0) + down,
            call.col_offset + right,
            (call.end_col_offset or 0) + right,
        )
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign) and _target(node) in written
        for call in _calls_in(node.value)
    )


def _target(node: ast.Assign | ast.AnnAssign) -> str | None:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return targets[0].id if isinstance(targets[0], ast.Name) and len(targets) == 1 else None


def _calls_in(node: ast.expr | None) -> Iterator[ast.Call]:
    """Yield the calls whose result is the value of an expression, or what that is computed from.

    Not those among the arguments of a call, which may do anything with them.
    """
    match node:
        case ast.Call():
            yield node
            if isinstance(node.func, ast.Attribute):
                yield from _calls_in(node.func.value)
        case ast.Attribute() | ast.Subscript():
            yield from _calls_in(node.value)
        case ast.UnaryOp():
            yield from _calls_in(node.operand)
        case ast.BinOp():
            yield from _calls_in(node.left)
            yield from _calls_in(node.right)


def _written_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        written: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            parts = [x for target in node.targets for x in ast.walk(target)]
            written = [x for x in parts if isinstance(x, ast.Subscript)]
        elif isinstance(node, ast.AugAssign):
            written = [node.target]
        elif isinstance(node, ast.keyword) and node.arg == "out":
            written = [node.value]
        yield from (x.id for x in map(_root, written) if isinstance(x, ast.Name))


def _root(node: ast.expr) -> ast.expr:
    """Return the expression whose memory one such as ``a.T[1:][0]`` may show."""
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node
