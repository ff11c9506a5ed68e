"""Several kernels compiled at once: Python translates one by one, LLVM works in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import PriorityQueue

from hybrid.kernels import build, machine, parallel
from hybrid.kernels.texts import Source


@contextmanager
def compiled(sources: Sequence[Source]) -> Iterator[Callable[[Source], bytes]]:
    """Begin to compile sources; what waits for the object code of one of them.

    As many are compiled at once as kernels may use threads.
    """
    count = min(len(sources), parallel.get_num_threads())
    if count < 2:
        yield build.build
        return
    made: dict[str, Future[bytes]] = {source.name: Future() for source in sources}
    waiting: PriorityQueue[tuple[bool, int, str, str]] = PriorityQueue()

    def work() -> None:
        reduced, _, name, text = waiting.get()
        try:
            made[name].set_result(machine.object_code(text, reduced))
        except BaseException as error:
            made[name].set_exception(error)

    with ThreadPoolExecutor(count, "hybrid_compile") as pool:
        # What takes longest begins first: nobody waits for it alone at the end. How long that is,
        # LLVM's text says, and before it is there the source. Those that leave a pass out are next
        # to each other, since they wait for those that do not; so are those of many loops.
        for source in sorted(sources, key=lambda source: (source.reduced, -len(source.text))):
            text = build.code(source)
            waiting.put((source.reduced, -len(text), source.name, text))
            pool.submit(work)
        yield lambda source: made[source.name].result()
