"""Reductions: the lanes of a block share a result, sweep its elements and combine what they found.

A kernel may take several passes over its elements, as softmax does: each pass knows the totals of
those before it. Where the reduction is not split, all passes are one launch, and after the first
the elements come from the caches. Where it is, each pass is two launches: blocks reduce their
stretches, then the pieces are reduced.

Sums depend on sizes only. A thread adds every n-th element, in order; the lanes' sums are added as
a tree. That is at most a few hundred additions in a row, so that rounding errors grow slowly.
"""

from __future__ import annotations

from hybrid.kernels.cuda.source import Writer
from hybrid.kernels.expression import SUFFIX
from hybrid.kernels.phase import identity
from hybrid.kernels.spec import arguments

_WARP = 32


class ReductionWriter(Writer):
    """Writes a phase of a reduction: ``item``, or ``partialN``, ``totalN``, ``storeN``."""

    def function(self) -> None:
        """Tiles of results, one after another; lanes without a result repeat the last one."""
        emit, spec = self.emit, self.spec
        kind = self.phase.rstrip("0123456789")
        cut = kind in ("partial", "store")
        emit("thread = cuda.threadIdx.x")
        self._allocate()
        self._lanes()
        emit(f"tiles = quotient64(kept + {spec.results - 1}, {spec.results})")
        emit("item = cuda.blockIdx.x + 0")
        with emit.block(f"while item < tiles{' * chunks' if cut else ''}:"):
            if cut:
                emit("tile = item // chunks")
                emit("chunk = item - tile * chunks")
                emit("start = chunk * length")
                emit("stop = min(start + length, extent)")
            else:
                emit("tile = item")
            emit(f"position = tile * {spec.results} + column")
            emit("alive = position < kept")
            emit("result = min(position, kept - 1)")
            self._place_result()
            {"item": self._item, "partial": self._partial, "total": self._total}.get(
                kind, self._store
            )()
            emit("item += cuda.gridDim.x")

    # --- the phases -----------------------------------------------------------------------

    def _item(self) -> None:
        self.emit("start = 0")
        self.emit("stop = extent")
        for number in range(self.flow.passes):
            if self.flow.passes > 1:
                self.emit(f"# pass {number}")
            self._sweep(number)
        self._finish()

    def _partial(self) -> None:
        number = self._number()
        self._sweep(number)
        with self.emit.block("if alive and lane == 0:"):
            for value in self.flow.reduces[number]:
                self.emit(f"store(partial_{value}, chunk * kept + position, v{value})")

    def _total(self) -> None:
        """Reduce the pieces of each result."""
        emit, number = self.emit, self._number()
        reduces = self.flow.reduces[number]
        self._open(reduces, 1)
        emit("piece = lane + 0")
        with emit.block("while piece < chunks:"):
            for value in reduces:
                emit(f"v{value}_piece = load(partial_{value}, piece * kept + result)")
                self._accumulate(value, f"s{value}", f"v{value}_piece")
            emit(f"piece += {self.spec.lanes}")
        self._close(reduces, 1)
        with emit.block("if alive and lane == 0:"):
            for value in reduces:
                emit(f"store(total_{value}, position, v{value})")
        if not any(self.flow.reduces[number + 1 :]):
            self._finish()

    def _store(self) -> None:
        self._sweep(self._number())

    def _number(self) -> int:
        return int(self.phase.lstrip("abcdefghijklmnopqrstuvwxyz"))

    # --- places ---------------------------------------------------------------------------

    def _lanes(self) -> None:
        """Number of the thread's result in the block, and of the thread among those of a result."""
        emit, spec = self.emit, self.spec
        if spec.along == "rows":
            emit(f"column = thread >> {spec.lanes.bit_length() - 1}")
            emit(f"lane = thread & {spec.lanes - 1}")
        else:
            emit(f"lane = thread >> {spec.results.bit_length() - 1}")
            emit(f"column = thread & {spec.results - 1}")

    def _place_result(self) -> None:
        if self.strides["out0"][0]:
            self.unravel("result", self.spec.kept, "k")
        self.locate(self.operands, "at", "", 0)

    # --- values of the results ------------------------------------------------------------

    def _need(self, roots: set[int]) -> None:
        """Compute values of the results that are not known yet."""
        for value in self._missing(roots):
            if value < self.count:
                self.emit_read(f"v{value}", value, "at")
            elif self.instr(value).kind == "reduce":
                self.emit(f"v{value} = load(total_{value}, result)")
            else:
                self.emit(f"v{value} = {self.computed(value, self.known, 'at')}")
            self.known[value] = f"v{value}"

    def _missing(self, roots: set[int]) -> list[int]:
        missing: set[int] = set()
        pending = list(roots)
        while pending:
            value = pending.pop()
            if value in missing or value in self.known:
                continue
            missing.add(value)
            if value >= self.count and self.instr(value).kind != "reduce":
                pending += arguments(self.instr(value))
        return sorted(missing)

    def _finish(self) -> None:
        """Store what there is one of for each result; one lane does, for it may be in place."""
        outputs = self.flow.outer_outputs
        if not outputs:
            return
        with self.emit.block("if alive and lane == 0:"):
            self._need({self.spec.body.outputs[index][0] for index in outputs})
            for index in outputs:
                value, operand = self.spec.body.outputs[index]
                text = self.converted(self.known[value], self.dtype(value), operand.dtype)
                self.emit(f"store(out{index}, out{index}_at, {text})")

    # --- sweeps ---------------------------------------------------------------------------

    def _sweep(self, number: int) -> None:
        """One pass over the elements from ``start`` to ``stop``."""
        emit, spec = self.emit, self.spec
        reduces = self.flow.reduces[number]
        self._need(self.references(self.roots(number)))
        self._open(reduces, spec.vector)
        if spec.vector == 1:
            emit("index = start + lane")
            with emit.block("while index < stop:"):
                self._step(number, 1)
                emit(f"index += {spec.lanes}")
        else:
            # A stretch begins at a multiple of the vector.
            emit(f"whole = quotient64(stop, {spec.vector}) * {spec.vector}")
            emit(f"index = start + lane * {spec.vector}")
            with emit.block("while index < whole:"):
                self._step(number, spec.vector)
                emit(f"index += {spec.lanes * spec.vector}")
            if not spec.reduced:
                emit("index = whole + lane")
                with emit.block("while index < stop:"):
                    self._step(number, 1)
                    emit(f"index += {spec.lanes}")
        self._close(reduces, spec.vector)

    def _step(self, number: int, width: int) -> None:
        self.unravel("index", self.spec.reduced, "r")
        self.locate(self.inner_operands(), "here", "@_at", 1)
        lanes = self.elements(self.roots(number), width, "here")
        if number == self.flow.store_pass:
            if self.spec.results > 1:
                with self.emit.block("if alive:"):
                    self.write_inner(lanes, width, "here")
            else:
                self.write_inner(lanes, width, "here")
        for value in self.flow.reduces[number]:
            (arg,) = arguments(self.instr(value))
            for lane, text in enumerate(lanes[arg]):
                text = self.converted(text, self.dtype(arg), self.dtype(value))
                self._accumulate(value, self._sum(value, lane), text)

    # --- accumulation ---------------------------------------------------------------------

    def _sum(self, value: int, lane: int) -> str:
        return f"s{value}" + (f"_{lane}" if lane else "")

    def _accumulate(self, value: int, into: str, text: str) -> None:
        self.emit(f"{into} = {self.joined(self.instr(value), into, text)}")

    def _open(self, reduces: tuple[int, ...], width: int) -> None:
        for value in reduces:
            instr = self.instr(value)
            for lane in range(width):
                start = self.header.constant(identity(instr), instr.dtype)
                self.emit(f"{self._sum(value, lane)} = {start}")

    def _close(self, reduces: tuple[int, ...], width: int) -> None:
        """From the sums of a thread's neighbours to the total, which all lanes then know."""
        for value in reduces:
            step = 1
            while step < width:
                for lane in range(0, width, 2 * step):
                    self._accumulate(value, self._sum(value, lane), self._sum(value, lane + step))
                step *= 2
            if self.spec.along == "rows":
                self._combine_neighbours(value)
            else:
                self._combine_columns(value)
            self.known[value] = f"v{value}"

    def _combine_neighbours(self, value: int) -> None:
        """Lanes next to each other: within a warp by exchange, between warps by shared memory."""
        emit, lanes = self.emit, self.spec.lanes
        total = f"s{value}"
        mask = min(lanes, _WARP) // 2
        while mask:
            self._accumulate(
                value, total, self.from_lane("exchange", total, self.instr(value).dtype, str(mask))
            )
            mask //= 2
        if lanes <= _WARP:
            emit(f"v{value} = {total}")
            return
        warps = lanes // _WARP
        shared = self._shared(value)
        with emit.block(f"if lane & {_WARP - 1} == 0:"):
            emit(f"{shared}[thread >> 5] = {total}")
        emit("cuda.syncthreads()")
        emit(f"first_warp = (thread >> 5) & {~(warps - 1)}")
        parts = [f"{shared}[first_warp + {number}]" for number in range(warps)]
        while len(parts) > 1:
            pairs = zip(parts[::2], parts[1::2], strict=True)
            parts = [self.joined(self.instr(value), a, b) for a, b in pairs]
        emit(f"v{value} = {parts[0]}")
        # The next combination writes to the same memory.
        emit("cuda.syncthreads()")

    def _combine_columns(self, value: int) -> None:
        """Lanes a row of results apart: a tree in shared memory."""
        emit, spec = self.emit, self.spec
        if spec.lanes == 1:
            emit(f"v{value} = s{value}")
            return
        shared = self._shared(value)
        emit(f"{shared}[thread] = s{value}")
        emit("cuda.syncthreads()")
        half = spec.lanes // 2
        while half:
            with emit.block(f"if lane < {half}:"):
                other = f"{shared}[thread + {half * spec.results}]"
                emit(
                    f"{shared}[thread] = "
                    f"{self.joined(self.instr(value), f'{shared}[thread]', other)}"
                )
            emit("cuda.syncthreads()")
            half //= 2
        emit(f"v{value} = {shared}[column]")
        emit("cuda.syncthreads()")

    def _shared(self, value: int) -> str:
        """Shared memory for the lanes' sums of a dtype."""
        return f"shared_{SUFFIX[self.instr(value).dtype]}"

    def _allocate(self) -> None:
        """Shared memory, where lanes of several warps or rows of lanes meet."""
        if self.spec.lanes <= (_WARP if self.spec.along == "rows" else 1):
            return
        instrs = [instr for instr in self.spec.body.body if instr.kind == "reduce"]
        for dtype in dict.fromkeys(instr.dtype for instr in instrs):
            kind = "boolean" if dtype == "bool" else dtype
            self.emit(f"shared_{SUFFIX[dtype]} = cuda.shared.array({self.spec.threads}, {kind})")
