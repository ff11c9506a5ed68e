"""Elementwise kernels: threads stride over the elements, several neighbours at a time."""

from __future__ import annotations

from hybrid.kernels.cuda.source import Writer


class MapWriter(Writer):
    """One element, or ``vector`` neighbours, for each step of a thread."""

    def function(self) -> None:
        """The main loop over groups of neighbours, then the few elements that fill no group."""
        emit, spec = self.emit, self.spec
        emit(f"thread = cuda.blockIdx.x * {spec.threads} + cuda.threadIdx.x")
        emit(f"stride = cuda.gridDim.x * {spec.threads}")
        if spec.vector == 1:
            emit("index = thread")
            with emit.block("while index < kept:"):
                self._step(1)
                emit("index += stride")
            return
        emit(f"groups = quotient64(kept, {spec.vector})")
        emit("group = thread")
        with emit.block("while group < groups:"):
            emit(f"index = group * {spec.vector}")
            self._step(spec.vector)
            emit("group += stride")
        # With several loops the inner size is a multiple of the vector.
        if not spec.kept:
            emit(f"index = groups * {spec.vector} + thread")
            with emit.block("if index < kept:"):
                self._step(1)

    def _step(self, width: int) -> None:
        if self.strides["out0"][0]:
            self.unravel("index", self.spec.kept, "k")
        self.locate(self.operands, "at", "", 0)
        lanes = self.elements(self.roots(0), width, "at")
        self.write_inner(lanes, width, "at")
