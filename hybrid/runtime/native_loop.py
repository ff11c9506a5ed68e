"""Loops whose bodies are kernels and products of matrices only: they run in native code.

A step costs tens of nanoseconds besides. The carry lies in two buffers that change places at each
step. Rows of arrays and results that are stacked are read and written where they lie. Each call
that is under way has a frame of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hybrid.core.spec import TensorSpec
from hybrid.runtime.memory import ALIGNMENT
from hybrid.runtime.native_calls import Call, clear_flag, has_failed
from hybrid.runtime.native_program import LONGEST_NS, At, Entry, LoopShape, Nested, Program

Array = np.ndarray[Any, np.dtype[Any]]


class NativeLoop:
    """A loop in native code.

    Parameters
    ----------
    shape : LoopShape
    body : Program
    ask : Program, optional
        Whether to do another step.
    """

    def __init__(self, shape: LoopShape, body: Program, ask: Program | None = None) -> None:
        self.shape = shape
        self.body = body
        self.ask = ask
        programs = [p for p in (ask, body) if p is not None]
        self._chunk = max(1, LONGEST_NS // sum(program.cost for program in programs))
        self._checked = any(program.checked for program in programs)
        self.retired = False
        self._pool: list[_Frame] = []

    def run(
        self,
        carry: Sequence[Array],
        rows: Sequence[Array],
        constants: Sequence[Array],
        ys: Sequence[Array],
        course: tuple[int | None, bool],
    ) -> tuple[Array, ...] | None:
        """Run all steps and return the last carry; `course` is their number and the direction.

        None where an index was out of bounds, or a matrix may have been singular: run step by step,
        the loop raises the error, or what looked like one was another NaN, and the loop is
        `retired`.
        """
        if self._checked:
            clear_flag()
        try:
            frame = self._pool.pop()
        except IndexError:
            frame = _Frame(self)
        try:
            found = frame.run(carry, rows, constants, ys, course, self._chunk)
            return None if frame.forgotten() or (self._checked and has_failed()) else found
        finally:
            self._pool.append(frame)


class _Frame:
    """Buffers and packed arguments of one call under way."""

    def __init__(self, loop: NativeLoop, failed: Array | None = None) -> None:
        from hybrid.kernels.loop import looper

        self._loop = looper()
        shape = loop.shape
        self._pairs = [(_empty(s), _empty(s)) for s in shape.carries]
        for i in loop.body.still:
            self._pairs[i] = self._pairs[i][0], self._pairs[i][0]
        self._rows = shape.row_strides
        self._ys = [s.nbytes for s in shape.ys]
        self._answer = np.zeros((), np.bool_)
        self._failed = np.zeros((), np.int64) if failed is None else failed
        self._kept: list[Any] = []
        self._slots: list[tuple[int, At]] = []
        self._offsets: dict[int, int] = {}
        self._moving: list[tuple[int, At, dict[str, list[Array]], int]] = []
        self._words: list[int] = []
        self._targets: list[int] = []  # words that hold the number of another word
        programs = [p for p in (loop.ask, loop.body) if p is not None]
        entries = [self._entries(program) for program in programs]
        self._starts = []
        for block in entries:
            self._starts.append((len(self._words), len(block)))
            self._words += [word for entry in block for word in entry]
        self._given = [(i, at) for i, at in self._slots if at.kind in ("row", "constant", "y")]
        self._moves_at = len(self._words)
        moving = [(i, at) for i, at in self._slots if self._motion(at)[0]]
        for index, at in moving:
            self._words += [index, *self._motion(at)]
        self._moves = len(moving)
        self._finish(loop, moving)

    def _finish(self, loop: NativeLoop, moving: list[tuple[int, At]]) -> None:
        """Turn positions into addresses, now that it is known where the words lie."""
        self.words = np.array(self._words, np.int64)
        base = _address(self.words)
        for start, count in self._starts:
            for entry in range(count):
                self.words[start + 4 * entry + 1] = base + 8 * self.words[start + 4 * entry + 1]
        for index in self._targets:
            self.words[index] = base + 8 * self.words[index]
        for number in range(len(moving)):
            at = self._moves_at + 3 * number
            self.words[at] = base + 8 * self.words[at]
        self._template = self.words.copy()
        self._backward = self._template.copy()
        for number, (_, place) in enumerate(moving):
            if place.kind in ("row", "y"):
                self._backward[self._moves_at + 3 * number + 1] *= -1
        asked = loop.ask is not None
        spans = [(base + 8 * start, count) for start, count in self._starts]
        self._ask = spans[0] if asked else (0, 0)
        self._do = spans[-1]
        self._flag = _address(self._answer) if asked else 0
        self._moves_address = base + 8 * self._moves_at

    def _entries(self, program: Program) -> list[tuple[int, int, int, int]]:
        from hybrid.kernels.loop import copy_address, inner_loop_address, seek_address
        from hybrid.kernels.products import multiply_address

        temporaries = [_empty(spec) for spec in program.temporaries]
        fixed = [array.copy() for array in program.fixed]
        self._kept += [*temporaries, *fixed]
        known = {"temporary": temporaries, "fixed": fixed, "flag": [self._answer]}
        known["failed"] = [self._failed]
        found = []
        for entry in program.entries:
            pack, self._moving = len(self._words), []
            if entry.action is None:
                for at in entry.operands:
                    self._slot(at, known)
                self._words.append(entry.nbytes)
                calls = [(copy_address(), pack, 0, 0)]
            elif isinstance(entry.action, Call):
                self._numbers(entry.action)
                for at, offset in zip(entry.operands, entry.action.offsets, strict=True):
                    self._slot(at, known, offset)
                divided = bool(entry.action.divided)
                calls = [(multiply_address() if divided else inner_loop_address(), pack, 0, 0)]
            elif isinstance(entry.action, Nested):
                calls = self._nested(entry.action, entry.operands, known)
            else:
                self._arguments(entry, entry.action.geometry, known)
                runs, work = entry.action.runs, entry.action.geometry[2:]
                calls = [
                    (run, pack, int(items), entry.action.parallel)
                    for run, items in zip(runs, work, strict=False)
                ]
            for moving in self._moving:
                found.append((seek_address(), self._seek(*moving), 0, 0))
            found += calls
        return found

    def _nested(
        self, inner: Nested, operands: tuple[At, ...], known: dict[str, list[Array]]
    ) -> list[tuple[int, int, int, int]]:
        """Append what a loop within a step is given; return what to call before, for and after it.

        Its first carries are copied into its buffers, and its last ones out of them.
        """
        from hybrid.kernels.loop import copy_address, nested_address

        frame = _Frame(NativeLoop(inner.shape, inner.body), self._failed)
        self._kept.append(frame)
        n, rows = len(inner.shape.carries), len(inner.shape.row_strides)
        results = len(operands) - n - len(inner.shape.ys)
        calls = []
        for (buffer, _), at, spec in zip(frame._pairs, operands, inner.shape.carries, strict=False):
            calls.append((copy_address(), len(self._words), 0, 0))
            self._words.append(_address(buffer))
            self._slot(at, known)
            self._words.append(spec.nbytes)
        calls.append((nested_address(), len(self._words), 0, 0))
        template = frame._backward if inner.reverse else frame._template
        moves = frame._moves_address, frame._moves
        head = _address(template), _address(frame.words), template.nbytes
        self._words += [*head, *frame._do, *moves, inner.length, len(frame._given)]
        first = {"row": n, "constant": n + rows, "y": results + n}
        last = inner.length - 1 if inner.reverse else 0
        for index, at in frame._given:
            self._words.append(_address(frame.words) + 8 * index)
            walks = at.kind in ("row", "y")
            start = last * frame._motion(at)[0] if walks else 0
            self._slot(operands[first[at.kind] + at.number], known, start + frame._offsets[index])
        for pair, at, spec in zip(
            frame._pairs, operands[results:], inner.shape.carries, strict=False
        ):
            calls.append((copy_address(), len(self._words), 0, 0))
            self._slot(at, known)
            self._words += [_address(pair[inner.length % 2]), spec.nbytes]
        return calls

    def _arguments(self, entry: Entry, geometry: Any, known: dict[str, list[Array]]) -> None:
        """Append what a kernel is given."""
        scratch = np.empty(max(int(geometry[1]), 1), np.uint8)
        self._kept += [geometry, scratch]
        self._words.append(_address(geometry))
        for at in entry.operands:
            self._slot(at, known)
        self._words.append(_address(scratch))

    def _numbers(self, call: Call) -> None:
        """Append what a call is given before the addresses of its arrays."""
        if call.divided:
            self._words += call.divided
            return
        numbers = np.array(call.dimensions, np.intp), np.array(call.strides, np.intp)
        self._kept += numbers
        self._words += [call.function, call.data, *map(_address, numbers), len(call.offsets)]

    def _slot(self, at: At, known: dict[str, list[Array]], offset: int = 0) -> None:
        """Append the address of an operand, which is filled in later where it is not known yet."""
        index = len(self._words)
        if at.moves:
            self._moving.append((index, at, known, offset))
            self._words.append(0)
            return
        offset += at.offset
        self._slots.append((index, at))
        self._offsets[index] = offset
        if at.kind in known:
            self._words.append(_address(known[at.kind][at.number]) + offset)
        elif at.kind in ("in", "out"):
            self._words.append(_address(self._pairs[at.number][at.kind == "out"]) + offset)
        else:
            self._words.append(0)

    def _seek(self, index: int, at: At, known: dict[str, list[Array]], offset: int) -> int:
        """Append what finds an operand that moves, for the word at `index`; return where."""
        pack = len(self._words)
        self._targets.append(pack)
        self._words.append(index)
        self._slot(replace(at, moves=()), known, offset)
        self._words.append(len(at.moves))
        for counter, unit in at.moves:
            self._slot(counter, known)
            self._words.append(unit)
        return pack

    def _motion(self, at: At) -> tuple[int, int]:
        if at.kind == "row":
            return self._rows[at.number], 1
        if at.kind == "y":
            return self._ys[at.number], 1
        if at.kind not in ("in", "out"):
            return 0, 1
        one, other = (_address(buffer) for buffer in self._pairs[at.number])
        return (other - one, -1) if at.kind == "in" else (one - other, -1)

    def run(
        self,
        carry: Sequence[Array],
        rows: Sequence[Array],
        constants: Sequence[Array],
        ys: Sequence[Array],
        course: tuple[int | None, bool],
        chunk: int,
    ) -> tuple[Array, ...]:
        """Run the loop; see `NativeLoop.run`."""
        length, reverse = course
        np.copyto(self.words, self._backward if reverse else self._template)
        for (buffer, _), value in zip(self._pairs, carry, strict=True):
            buffer[...] = value
        last = (length or 0) - 1
        starts = {
            "row": [_address(x) + (last * x.strides[0] if reverse else 0) for x in rows],
            "y": [_address(y) + (last * y.strides[0] if reverse else 0) for y in ys],
            "constant": [_address(x) for x in constants],
        }
        for index, at in self._given:
            self.words[index] = starts[at.kind][at.number] + self._offsets[index]
        done = 0
        while length is None or done < length:
            limit = chunk if length is None else min(chunk, length - done)
            count = self._loop(
                *self._ask, self._flag, *self._do, self._moves_address, self._moves, limit
            )
            done += count
            if count < limit or self._failed:
                break
        return tuple(pair[done % 2].copy() for pair in self._pairs)

    def forgotten(self) -> bool:
        """Tell whether an index was out of bounds, and forget it."""
        wrong = bool(self._failed)
        self._failed[...] = 0
        return wrong


def _empty(spec: TensorSpec) -> Array:
    raw = np.empty(spec.nbytes + ALIGNMENT, np.uint8)
    return np.ndarray(spec.shape, spec.dtype, raw, -raw.ctypes.data % ALIGNMENT)


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
