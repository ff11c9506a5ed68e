"""CudaSpec -> Source: which writer writes which form."""

from __future__ import annotations

import functools

from hybrid.kernels.cuda.maps import MapWriter
from hybrid.kernels.cuda.reductions import ReductionWriter
from hybrid.kernels.cuda.scans import ScanWriter
from hybrid.kernels.cuda.source import Source, Writer, description, finished, parameters
from hybrid.kernels.cuda.spec import CudaSpec, phases
from hybrid.kernels.cuda.tiles import TileWriter
from hybrid.kernels.expression import Header
from hybrid.kernels.phase import Text

_WRITERS: dict[str, type[Writer]] = {
    "map": MapWriter,
    "tiles": TileWriter,
    "rows": ReductionWriter,
    "columns": ReductionWriter,
    "scanned rows": ScanWriter,
    "scanned columns": ScanWriter,
}


@functools.lru_cache(maxsize=4096)
def source(spec: CudaSpec) -> Source:
    """The source of the kernel for a specification."""
    header, emit = Header(), Text()
    names = phases(spec)
    for phase in names:
        emit()
        emit()
        _WRITERS[spec.along](spec, phase, header, emit).write()
    lines = [*(f"# {line}" for line in description(spec)), "", *header.lines.values(), *emit.lines]
    words = [instr.op for instr in spec.body.body if instr.kind != "cast"] or ["copy"]
    return finished(words, lines, names, parameters(spec)[1], spec.threads)
