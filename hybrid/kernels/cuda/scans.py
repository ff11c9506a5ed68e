"""Scans: cumulative sums and their like.

Where the scanned axis is the contiguous one, the lanes of a warp share a row. They take as many
neighbours at a time as they are, scan them among themselves and carry the last result on. Elsewhere
each thread scans a column of its own.
"""

from __future__ import annotations

from hybrid.kernels.cuda.source import Writer
from hybrid.kernels.phase import start


class ScanWriter(Writer):
    """One launch; nothing is split."""

    def function(self) -> None:
        """Tiles of rows, one after another; lanes without a row repeat the last one."""
        emit, spec = self.emit, self.spec
        emit("thread = cuda.threadIdx.x")
        emit(f"column = thread >> {spec.lanes.bit_length() - 1}")
        emit(f"lane = thread & {spec.lanes - 1}")
        emit(f"tiles = quotient64(kept + {spec.results - 1}, {spec.results})")
        emit("item = cuda.blockIdx.x + 0")
        with emit.block("while item < tiles:"):
            emit(f"position = item * {spec.results} + column")
            emit("alive = position < kept")
            emit("result = min(position, kept - 1)")
            if self.strides["out0"][0]:
                self.unravel("result", spec.kept, "k")
            self.locate(self.operands, "at", "", 0)
            self._known()
            for value in self._scans():
                instr = self.instr(value)
                first = self.header.constant(start(instr), instr.dtype)
                emit(f"s{value} = {first}")
            emit("base = 0")
            with emit.block("while base < extent:"):
                self._step()
                emit(f"base += {spec.lanes}")
            emit("item += cuda.gridDim.x")

    def _scans(self) -> list[int]:
        instrs = enumerate(self.spec.body.body, self.count)
        return [value for value, instr in instrs if instr.kind == "scan"]

    def _known(self) -> None:
        """Values that are the same for a whole row."""
        for value in sorted(self.flow.outer):
            if value < self.count:
                self.emit_read(f"v{value}", value, "at")
            else:
                self.emit(f"v{value} = {self.computed(value, self.known, 'at')}")
            self.known[value] = f"v{value}"

    def _step(self) -> None:
        emit = self.emit
        if self.spec.lanes > 1:
            emit("inside = base + lane < extent")
            emit("index = min(base + lane, extent - 1)")
        else:
            emit("index = base")
        self.unravel("index", self.spec.reduced, "r")
        self.locate(self.inner_operands(), "here", "@_at", 1)
        lanes = self.elements(self.roots(0), 1, "here")
        with emit.block("if alive and inside:" if self.spec.lanes > 1 else "if alive:"):
            self.write_inner(lanes, 1, "here")

    def expression(self, value: int, names: dict[int, str]) -> str:
        """A scan is computed by all lanes together; the rest is as ever."""
        instr = self.instr(value)
        if instr.kind != "scan":
            return super().expression(value, names)
        (arg,) = instr.args
        assert isinstance(arg, int)
        text = self.converted(names[arg], self.dtype(arg), instr.dtype)
        if self.spec.lanes == 1:
            self.emit(f"s{value} = {self.joined(instr, f's{value}', text)}")
            return f"s{value}"
        return self._among_lanes(value, text)

    def _among_lanes(self, value: int, text: str) -> str:
        """Scan the lanes' elements; those beyond the end of the row change nothing."""
        emit, instr, lanes = self.emit, self.instr(value), self.spec.lanes
        nothing = self.header.constant(start(instr), instr.dtype)
        own = f"x{value}"
        emit(f"{own} = select(inside, {text}, {nothing})")
        distance = 1
        while distance < lanes:
            other = self.from_lane("before", own, instr.dtype, str(distance))
            # All lanes must ask, though the first ones have nothing before them.
            emit(f"{own}_before = {other}")
            sum_ = self.joined(instr, f"{own}_before", own)
            emit(f"{own} = select(lane >= {distance}, {sum_}, {own})")
            distance *= 2
        emit(f"{own} = {self.joined(instr, f's{value}', own)}")
        last = self.from_lane("of_lane", own, instr.dtype, f"(thread & 31) | {lanes - 1}")
        emit(f"s{value} = {last}")
        return own
