"""Maps that read along another axis than they write: transposing copies and what is fused to them.

Neighbouring threads must touch neighbouring elements, when they read and when they write. So a
block reads a square tile along the axis where the operand is contiguous, keeps it in shared memory
and reads it from there along the other. A row of a tile is one element longer than its side: else
all threads of a warp would wait for the same bank of that memory.
"""

from __future__ import annotations

from hybrid.kernels.cuda.source import Lanes, Writer, stored_dtype
from hybrid.kernels.cuda.spec import SMALL_TILE, TILE


class TileWriter(Writer):
    """The last two loops are cut into tiles; ``out`` runs along the last, others along the first.

    A block takes tile after tile. Its threads are as wide as a tile, and take its rows in turns.
    """

    def function(self) -> None:
        """Tile after tile: read along one axis, wait for all, write along the other."""
        emit, spec = self.emit, self.spec
        side = TILE if spec.threads >= 8 * TILE else SMALL_TILE
        rows = spec.threads // side
        width, turned = spec.kept[-1], self._turned()
        across = -(-width // side)
        for name in turned:
            dtype = stored_dtype(self.operands[name].dtype)
            kind = "boolean" if dtype == "bool" else dtype
            emit(f"{name}_tile = cuda.shared.array({side * (side + 1)}, {kind})")
        emit("thread = cuda.threadIdx.x")
        emit(f"x = thread & {side - 1}")
        emit(f"y = thread >> {side.bit_length() - 1}")
        self._height(width)
        emit(f"down = quotient64(height + {side - 1}, {side})")
        emit(f"matrices = quotient64(kept, {width}) // height")
        emit("item = cuda.blockIdx.x + 0")
        with emit.block(f"while item < matrices * down * {across}:"):
            emit(f"strip = quotient64(item, {across})")
            emit(f"left = (item - strip * {across}) * {side}")
            emit("matrix = strip // down")
            emit(f"top = (strip - matrix * down) * {side}")
            self._outer_positions()
            with emit.block(f"for step in range({side // rows}):"):
                emit("i = top + x")
                emit(f"j = left + y + step * {rows}")
                with emit.block(f"if i < height and j < {width}:"):
                    for name in turned:
                        inside = f"(y + step * {rows}) * {side + 1} + x"
                        place = self._place(name, "i", "j")
                        emit(f"{name}_tile[{inside}] = load({name}, {place})")
            emit("cuda.syncthreads()")
            with emit.block(f"for step in range({side // rows}):"):
                emit(f"i = top + y + step * {rows}")
                emit("j = left + x")
                with emit.block(f"if i < height and j < {width}:"):
                    self._compute(turned, f"x * {side + 1} + y + step * {rows}")
            emit("cuda.syncthreads()")
            emit("item += cuda.gridDim.x")

    def _turned(self) -> list[str]:
        """Operands that are contiguous along the loop before the last."""
        pairs = ((name, kept[-2:]) for name, (kept, _) in self.strides.items())
        return [n for n, (i, j) in pairs if i == 1 and j > 1 and n.startswith("in")]

    def _height(self, width: int) -> None:
        """The size of the loop before the last: known, unless that is the outermost."""
        if len(self.spec.kept) > 1:
            self.emit(f"height = {self.spec.kept[-2]} + 0 * kept")
        else:
            self.emit(f"height = quotient64(kept, {width})")

    def _outer_positions(self) -> None:
        """Where the matrix that the tile belongs to begins in each operand."""
        if len(self.spec.kept) > 1:
            self.unravel("matrix", self.spec.kept[:-2], "k")
        for name in self.operands:
            terms = [
                f"k{place} * {stride}"
                for place, stride in enumerate(self.strides[name][0][:-2])
                if stride
            ]
            self.emit(f"{name}_at = {' + '.join(terms) or '0'}")

    def _place(self, name: str, i: str, j: str) -> str:
        along_i, along_j = self.strides[name][0][-2:]
        return f"{name}_at + {i} * {along_i} + {j} * {along_j}"

    def _compute(self, turned: list[str], in_tile: str) -> None:
        """The scalar body for one element, some of whose operands lie in tiles."""
        lanes: Lanes = {}
        for value in self.closure(self.roots(0)):
            name = f"in{value}"
            if value >= self.count:
                text = self.expression(value, {v: texts[0] for v, texts in lanes.items()})
            elif name in turned:
                text = self.loaded(name, f"{name}_tile[{in_tile}]")
            else:
                text = self.loaded(name, f"load({name}, {self._place(name, 'i', 'j')})")
            self.emit(f"v{value} = {text}")
            lanes[value] = (f"v{value}",)
        for name in self.operands:
            if name.startswith("out"):
                self.emit(f"{name}_here = {self._place(name, 'i', 'j')}")
        self.write_inner(lanes, 1, "here")
