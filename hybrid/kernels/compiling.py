"""Several kernels compiled at once: Python translates one by one, LLVM works in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from hybrid.kernels import build, machine, parallel
from hybrid.kernels.cpu import Source


@contextmanager
def compiled(sources: Sequence[Source]) -> Iterator[Callable[[Source], bytes]]:
    """Begin to compile sources; what waits for the object code of one of them.

    As many are compiled at once as kernels may use threads.
    """
    count = min(len(sources), parallel.get_num_threads())
    if count < 2:
        yield build.build
        return
    with ThreadPoolExecutor(count, "hybrid_compile") as pool:
        # What takes longest begins first: nobody waits for it alone at the end. And those that
        # leave a pass out are next to each other, since they wait for those that do not.
        ordered = sorted(sources, key=lambda source: (source.reduced, -len(source.text)))
        made = {s.name: pool.submit(machine.object_code, build.code(s), s.reduced) for s in ordered}
        yield lambda source: made[source.name].result()
