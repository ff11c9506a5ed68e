"""Where in a graph its values are made and read, as arrays: loops of thousands of steps are told
apart at once, not node by node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from hybrid.core.graph import FuncGraph, Node, Operand, Value
from hybrid.records import dataclass
from hybrid.trace.passes.likeness import Likeness

Ints = np.ndarray[Any, np.dtype[np.int64]]
_LITERAL = -1


@dataclass(slots=True)
class Places:
    """The nodes of a graph, which of them makes and reads a value, and the numbers that may move.

    Attributes
    ----------
    nodes : tuple of Node
    numbers : list of tuple of int
        Of each node, by its likeness.
    results : dict
        For each result of a node its number. Values from outside have negative ones.
    maker, output : array
        For each result the node that makes it, and which of its results it is.
    last : array
        For each result the node that reads it last; -1 where none does, one beyond the end for what
        the graph returns.
    first_result, first_operand : array
        For each node, and one beyond the last, where its results and operands begin.
    operands : array
        The numbers of all operands, node by node; the same one for all literals.
    """

    nodes: tuple[Node, ...]
    numbers: list[tuple[int, ...]]
    results: dict[Value, int]
    maker: Ints
    output: Ints
    last: Ints
    first_result: Ints
    first_operand: Ints
    operands: Ints

    @classmethod
    def of(cls, graph: FuncGraph, like: Likeness) -> Places:
        """Number the results and operands of all nodes."""
        nodes = graph.nodes
        results: dict[Value, int] = {}
        outside: dict[Value, int] = {}
        operands: list[int] = []
        reads, makes = [0], [0]
        made = 0
        for node in nodes:
            for x in node.inputs:
                if type(x) is Value:
                    number = results.get(x)
                    if number is None:
                        number = outside.setdefault(x, _LITERAL - 1 - len(outside))
                    operands.append(number)
                else:
                    operands.append(_LITERAL)
            for v in node.outputs:
                results[v] = made
                made += 1
            reads.append(len(operands))
            makes.append(made)
        first_result, first_operand = np.array(makes), np.array(reads)
        maker = np.repeat(np.arange(len(nodes)), np.diff(first_result))
        read = np.array(operands, np.int64)
        reader = np.repeat(np.arange(len(nodes)), np.diff(first_operand))
        last = np.full(made, -1)
        last[read[read >= 0]] = reader[read >= 0]  # of several readers the last one stays
        last[[results[x] for x in graph.outputs if x in results]] = len(nodes)
        return cls(
            nodes,
            list(map(like.numbers, nodes)),
            results,
            maker,
            np.arange(made) - first_result[maker],
            last,
            first_result,
            first_operand,
            read,
        )

    def made(self, x: Operand) -> tuple[int, int] | None:
        """Return the node that makes a value, and which of its results it is."""
        number = self.results.get(x) if type(x) is Value else None
        return None if number is None else (int(self.maker[number]), int(self.output[number]))

    def last_read(self, x: Value) -> int:
        """Return the node that reads a result last; see `last`."""
        return int(self.last[self.results[x]])

    def read_from(self, part: tuple[int, int], stop: int) -> Iterator[tuple[int, int, Value]]:
        """Yield what nodes make that is read from the node `stop` on, with where it is made."""
        begin, end = self.first_result[list(part)]
        for number in (begin + np.flatnonzero(self.last[begin:end] >= stop)).tolist():
            i, j = int(self.maker[number]), int(self.output[number])
            yield i, j, self.nodes[i].outputs[j]

    def moves(self, i: int, period: int) -> tuple[int, ...]:
        """Return by how much the numbers of a node differ one step on."""
        pairs = zip(self.numbers[i], self.numbers[i + period], strict=True)
        return tuple(then - now for now, then in pairs)

    def is_steady(self, i: int, period: int) -> bool:
        """Tell whether the numbers of a node move alike in this step and the next."""
        return not self.numbers[i] or self.moves(i, period) == self.moves(i + period, period)

    def follows(self, one: Operand, other: Operand, period: int) -> bool:
        """Tell whether an operand is to one step what `one` is to the step before."""
        if one is other:
            return True
        if type(one) is not Value or type(other) is not Value:  # alike, if both: see codes
            return type(one) is type(other)
        before, after = self.made(one), self.made(other)
        return before is not None and after is not None and after == (before[0] + period, before[1])

    def broken(self, start: int, stop: int, period: int) -> list[int]:
        """Return the nodes of a run whose operands do not follow one step on.

        A run is of nodes that are alike, and so have as many operands, one period apart.
        """
        begin, end, later = self.first_operand[[start, stop - period, start + period]]
        one, other = self.operands[begin:end], self.operands[later : later + end - begin]
        within = (one >= 0) & (other >= 0)
        steps = self.maker[other[within]] - self.maker[one[within]]
        same = self.output[other[within]] == self.output[one[within]]
        follows = one == other
        follows[within] |= (steps == period) & same
        wrong = begin + np.flatnonzero(~follows)
        nodes = np.searchsorted(self.first_operand, wrong, side="right") - 1
        return sorted(set(nodes.tolist()))
