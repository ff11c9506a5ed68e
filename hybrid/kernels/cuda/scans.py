"""Scans: cumulative sums and their like.

Where the scanned axis is the contiguous one, the lanes of a warp share a row: each takes some
neighbours, the lanes scan what theirs come to among themselves, and carry the last result on.
Elsewhere each thread scans a column of its own.

Where rows are few and long, three launches share them among blocks: the first finds what each
stretch comes to, the second scans those, the third scans each stretch from there. Which numbers are
added in which order depends on sizes only.
"""

from __future__ import annotations

from hybrid.kernels.cuda.source import Lanes, Writer
from hybrid.kernels.cuda.spec import scan_values
from hybrid.kernels.phase import start

# Pieces that a lane takes at once in the second launch: as many loads are under way.
_EACH = 8


class ScanWriter(Writer):
    """Writes a phase of a scan: ``item``, or ``partial0``, ``total0`` and ``store0``."""

    def function(self) -> None:
        """Tiles of rows, or of stretches of them; lanes without one repeat the last."""
        emit, spec = self.emit, self.spec
        stretches = self.phase.startswith(("partial", "store"))
        emit("thread = cuda.threadIdx.x")
        emit(f"column = thread >> {spec.lanes.bit_length() - 1}")
        emit(f"lane = thread & {spec.lanes - 1}")
        emit(f"count = kept{' * chunks' if stretches else ''}")
        emit(f"tiles = quotient64(count + {spec.results - 1}, {spec.results})")
        emit("item = cuda.blockIdx.x + 0")
        with emit.block("while item < tiles:"):
            emit(f"position = item * {spec.results} + column")
            emit("alive = position < count")
            emit("place = min(position, count - 1)")
            if stretches:
                emit("chunk = quotient64(place, kept)")
                emit("result = place - chunk * kept")
                emit("start = chunk * length")
                emit("stop = min(start + length, extent)")
            else:
                emit("result = place")
                emit("start = 0")
                emit("stop = extent")
            self._begin()
            if self.phase.startswith("total"):
                self._totals()
            else:
                self._known()
                self._sweep()
            if self.phase.startswith("partial"):
                with emit.block("if alive and lane == 0:"):
                    for value in scan_values(spec.body):
                        emit(f"store(partial_{value}, place, s{value})")
            emit("item += cuda.gridDim.x")

    def _nothing(self, value: int) -> str:
        """What changes no result."""
        instr = self.instr(value)
        return self.header.constant(start(instr), instr.dtype)

    def _begin(self) -> None:
        """What the scans have come to before."""
        found = "load(partial_{}, place)" if self.phase.startswith("store") else ""
        for value in scan_values(self.spec.body):
            self.emit(f"s{value} = {found.format(value) or self._nothing(value)}")

    def _known(self) -> None:
        """Values that are the same for a whole row."""
        if self.strides["out0"][0]:
            self.unravel("result", self.spec.kept, "k")
        self.locate(self.operands, "at", "", 0)
        for value in sorted(self.flow.outer):
            if value < self.count:
                self.emit_read(f"v{value}", value, "at")
            else:
                self.emit(f"v{value} = {self.computed(value, self.known, 'at')}")
            self.known[value] = f"v{value}"

    # --- the elements -----------------------------------------------------------------------

    def _sweep(self) -> None:
        """Scan the elements from ``start`` to ``stop``; a stretch begins at a multiple of both."""
        emit, spec = self.emit, self.spec
        width, step = spec.vector, spec.lanes * spec.vector
        emit("base = start + 0")
        if width > 1:
            emit(f"whole = quotient64(stop, {width}) * {width}")
            with emit.block("while base < whole:"):
                self._step(width, "whole")
                emit(f"base += {step}")
            if spec.reduced:
                return
            emit("base = max(whole, start)")
        with emit.block("while base < stop:"):
            self._step(1, "stop")
            emit(f"base += {spec.lanes}")

    def _step(self, width: int, end: str) -> None:
        emit, together = self.emit, self.spec.lanes > 1
        if together:
            emit(f"index = base + lane * {width}")
            emit(f"inside = index < {end}")
            emit(f"index = min(index, {end} - {width})")
        else:
            emit("index = base")
        self.unravel("index", self.spec.reduced, "r")
        self.locate(self.inner_operands(), "here", "@_at", 1)
        if self.phase.startswith("partial"):
            self.elements(set(scan_values(self.spec.body)), width, "here")
            return
        lanes = self.elements(self.roots(0), width, "here")
        with emit.block("if alive and inside:" if together else "if alive:"):
            self.write_inner(lanes, width, "here")

    def neighbours(self, value: int, lanes: Lanes, width: int, where: str) -> tuple[str, ...]:
        """A scan is computed by all lanes together; the rest is as ever."""
        instr = self.instr(value)
        if instr.kind != "scan":
            return super().neighbours(value, lanes, width, where)
        (arg,) = instr.args
        assert isinstance(arg, int)
        texts = [self.converted(text, self.dtype(arg), instr.dtype) for text in lanes[arg]]
        if self.spec.lanes > 1:
            texts = [f"select(inside, {text}, {self._nothing(value)})" for text in texts]
        return tuple(self._scanned(value, texts)[1:])

    def _scanned(self, value: int, texts: list[str]) -> list[str]:
        """What lay before a lane's neighbours, and what it has come to after each of them."""
        emit, instr, lanes = self.emit, self.instr(value), self.spec.lanes
        names = [f"v{value}_{i}" for i in range(len(texts))]
        before, own = f"s{value}_before", names[-1]
        emit(f"{names[0]} = {texts[0]}")
        for last, name, text in zip(names, names[1:], texts[1:], strict=False):
            emit(f"{name} = {self.joined(instr, last, text)}")
        emit(f"{before} = s{value}")
        if lanes > 1:
            emit(f"v{value}_sum = {own}")
            own = f"v{value}_sum"
            distance = 1
            while distance < lanes:
                self._from_before(value, own, distance)
                joined = self.joined(instr, f"{own}_before", own)
                emit(f"{own} = select(lane >= {distance}, {joined}, {own})")
                distance *= 2
            self._from_before(value, own, 1)
            joined = self.joined(instr, before, f"{own}_before")
            emit(f"{before} = select(lane >= 1, {joined}, {before})")
        for name in names:
            emit(f"{name} = {self.joined(instr, before, name)}")
        emit(f"s{value} = {names[-1]}")
        if lanes > 1:
            last = self.from_lane("of_lane", names[-1], instr.dtype, f"(thread & 31) | {lanes - 1}")
            emit(f"s{value} = {last}")
        return [before, *names]

    def _from_before(self, value: int, own: str, distance: int) -> None:
        """All lanes must ask, though the first ones have nothing before them."""
        other = self.from_lane("before", own, self.instr(value).dtype, str(distance))
        self.emit(f"{own}_before = {other}")

    # --- the pieces -------------------------------------------------------------------------

    def _totals(self) -> None:
        """Put in place of what each stretch came to what all before it came to."""
        emit, lanes = self.emit, self.spec.lanes
        emit("base = 0")
        with emit.block("while base < chunks:"):
            emit(f"piece = base + lane * {_EACH}")
            for value in scan_values(self.spec.body):
                texts = [f"x{value}_{i}" for i in range(_EACH)]
                for i, text in enumerate(texts):
                    emit(f"{text} = {self._nothing(value)}")
                    with emit.block(f"if piece + {i} < chunks:"):
                        emit(f"{text} = load(partial_{value}, (piece + {i}) * kept + result)")
                before = self._scanned(value, texts)
                for i in range(_EACH):
                    with emit.block(f"if alive and piece + {i} < chunks:"):
                        emit(f"store(partial_{value}, (piece + {i}) * kept + result, {before[i]})")
            emit(f"base += {lanes * _EACH}")
